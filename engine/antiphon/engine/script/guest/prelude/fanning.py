"""Fan-outs: the host runs the construct, and says when each coroutine of it may begin."""


def _a_options(concurrency, limits, context):
    options = {}
    if concurrency is not None:
        options["concurrency"] = _a_plain(concurrency, "concurrency=")
    if limits is not None:
        options["limits"] = _a_plain(limits, "limits=")
    if context:
        options["context"] = _a_context(context)
    return options


def _a_items(construct, items):
    if isinstance(items, (set, frozenset)):
        raise UsageError(
            f"{construct}() was given a set, whose order changes from run to run: {construct}(sorted(...))"
        )
    if isinstance(items, (str, bytes, dict)):
        raise UsageError(
            f"{construct}() takes an iterable of calls, not {type(items).__name__}: {construct}([call, call])"
        )
    return items


def parallel(calls, *, until=None, concurrency=None, limits=None, context=()):
    options = _a_options(concurrency, limits, context)
    what = {"construct": "parallel", "items": _a_items("parallel", calls), "options": options, "until": until}
    return _a_lazy("fan", what)


def pipeline(items, *stages, concurrency=None, limits=None, context=()):
    options = _a_options(concurrency, limits, context)
    what = {"construct": "pipeline", "items": _a_items("pipeline", items), "options": options, "stages": stages}
    return _a_lazy("fan", what)


def race(calls, *, limits=None, context=()):
    what = {"construct": "race", "items": _a_items("race", calls), "options": _a_options(None, limits, context)}
    return _a_lazy("fan", what)


def quorum(calls, need, *, vote, limits=None, context=()):
    options = {**_a_options(None, limits, context), "need": _a_plain(need, "need=")}
    what = {"construct": "quorum", "items": _a_items("quorum", calls), "options": options, "vote": vote}
    return _a_lazy("fan", what)


def branch(name, call, *, limits=None, context=()):
    options = {**_a_options(None, limits, context), "name": _a_plain(name, "branch()")}
    return _a_lazy("fan", {"construct": "branch", "items": [call], "options": options})


async def _a_fan(what):
    """One fan-out: the host runs it, and says when each of its coroutines may begin."""
    _a_here["group"] += 1
    group = {"number": _a_here["group"], "at": _a_here["at"], "items": {}, "kept": {}, "raised": [], "ended": []}
    group["until"], group["vote"] = what.get("until"), what.get("vote")
    group["stages"], group["source"] = what.get("stages"), None
    fields = {"group": group["number"], "construct": what["construct"], "options": what["options"], "items": []}
    jobs = []
    if hasattr(what["items"], "__aiter__"):
        group["source"] = what["items"].__aiter__()
    else:
        for given in what["items"]:
            _a_plan(group, fields["items"], jobs, given)
    group["planned"] = len(fields["items"])
    fields["asks"] = [name for name in ("until", "vote", "source") if group[name] is not None]
    answer = {}
    jobs.insert(0, _a_whole(group, fields, answer))
    if fields["asks"]:
        jobs.append(_a_answers(group))
    await _a_gather(jobs)
    _a_here["at"] = group["at"]
    if group["source"] is not None:
        await _a_close(group["source"])
    if "raised" in answer:
        raise group["raised"][0] if group["raised"] and not answer["cancelled"] else answer["raised"]
    return _a_result(what["construct"], answer["value"], group)


def _a_plan(group, items, jobs, given, index=None):
    """Describe one item to the host; what the host cannot perform by itself becomes a job here."""
    index = len(items) if index is None else index
    if group["stages"] is not None:
        group["items"][index] = given
        items.append({"coroutine": True, "item": _a_item_name(given)})
        jobs.append(_a_job(group, index, given))
        return
    call = _a_call_of(given)
    if call is not None:
        items.append({"call": call})
    elif _a_awaitable(given):
        items.append({"coroutine": True})
        jobs.append(_a_job(group, index, given))
    else:
        items.append({"wrong": type(given).__name__})


def _a_item_name(given):
    return given if given is None or isinstance(given, (str, bool, int, float)) else None


def _a_awaitable(given):
    return hasattr(given, "__await__") or type(given).__name__ == "coroutine"


async def _a_whole(group, fields, answer):
    _a_here["at"] = group["at"]  # others may have run since, where several replies come at once
    try:
        answer["value"] = await _a_host("fan", fields)
    except Exception as error:
        answer["raised"], answer["cancelled"] = error, False
    except BaseException as error:
        answer["raised"], answer["cancelled"] = error, True


async def _a_job(group, index, given):
    """One item of a fan-out, in a branch of its own, from when the host lets it begin."""
    try:
        begun = await _a_host("begin", {"group": group["number"], "index": index})
    except BaseException:
        _a_drop(given)
        return
    _a_here["at"] = begun["at"]
    ended = {}
    try:
        group["kept"][index] = await _a_worked(given, group["stages"])
    except Exception as error:
        ended = _a_raised(error)
    except BaseException:
        ended = {"cancelled": True}
    _a_here["at"] = begun["at"]
    _a_tell(_a_frame("end", ended)[1])


async def _a_worked(given, stages):
    if stages is None:
        return await given
    for stage in stages:
        given = stage(given)
        if _a_awaitable(given):
            given = await given
    return given


async def _a_answers(group):
    """Answer what the host wants to know of this fan-out: `until` and `vote` stay on this side."""
    answer = None
    while True:
        _a_here["at"] = group["at"]
        try:
            question = await _a_host("ask", {"group": group["number"], "answer": answer})
        except BaseException:
            return
        if question is None:
            return
        answer = _a_answer(group, question)


def _a_answer(group, question):
    try:
        if "pull" in question:
            _a_spawn(_a_pull(group))
            return {"value": None}
        if "vote" in question:
            given = question["vote"]
            vote = group["vote"](group["kept"].get(given["index"]) if given.get("local") else given["value"])
            return {"value": vote} if vote is None or isinstance(vote, bool) else {"wrong": repr(vote)[:200]}
        for fields in question["add"]:
            group["ended"].append(_a_outcome(fields, fields["index"], group))
        return {"value": bool(group["until"](group["ended"][: question["until"]]))}
    except Exception as error:
        group["raised"].append(error)
        return {"raised": _a_raised(error)["described"]}


def _a_result(construct, said, group):
    outcomes = [_a_outcome(fields, fields["index"], group) for fields in said["outcomes"]]
    if construct == "branch":
        return outcomes[0]
    if construct == "race":
        won = said["won"]
        return group["kept"].get(won["index"]) if won.get("local") else won["value"]
    if construct == "quorum":
        return Tally(said["decided"], tuple(said["votes"]), Outcomes(outcomes, True))
    return Outcomes(outcomes, said["complete"])
