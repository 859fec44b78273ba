"""The calls of the script API: described to the host, which performs them."""


async def _a_begin(kind, what):
    if kind == "call":
        return await _a_host("call", {"call": what})
    return await _a_fan(what)


def _a_call(name, args):
    return _a_lazy("call", {"name": name, "args": args})


def agent(
    task,
    *extra,
    role="worker",
    output=None,
    about=None,
    covers=(),
    context=(),
    model=None,
    workspace=None,
    until=None,
    limits=None,
    label=None,
):
    args = {"task": _a_plain(task, "agent()"), "role": role}
    if extra:
        args["extra"] = len(extra)
    if output is not None:
        args["output"] = _a_output(output)
    if about is not None:
        args["about"] = about if isinstance(about, str) else _a_id(about)
    if covers:
        args["covers"] = _a_units(covers)
    if context:
        args["context"] = _a_context(context)
    if until is not None:
        args["until"] = _a_until(until)
    if limits is not None:
        args["limits"] = _a_plain(limits, "limits=")
    for name, value in (("model", model), ("workspace", workspace), ("label", label)):
        if value is not None:
            args[name] = _a_plain(value, f"{name}=")
    return _a_call("agent", args)


def _a_id(about):
    if hasattr(about, "id") and isinstance(about.id, str):
        return about.id
    raise UsageError("about= takes a record, or a record's id: hand it what claims() gave")


def step(name, args=None, *, limits=None):
    given = {"name": name, "args": _a_plain(args or {}, f"step({name!r})")}
    if limits is not None:
        given["limits"] = _a_plain(limits, "limits=")
    return _a_call("step", given)


def approve(question, details=None):
    return _a_call("approve", {"question": question, "details": _a_plain(details, "approve()")})


def choose(question, options, *, role="judge", model=None, context=()):
    if isinstance(options, (set, frozenset)):
        raise UsageError("choose() was given a set, whose order changes from run to run: choose(q, sorted(...))")
    if isinstance(options, (str, dict)):
        raise UsageError("choose() takes a list of options: choose(q, ['a', 'b'])")
    args = {"question": question, "options": _a_plain(list(options), "choose()"), "role": role}
    if model is not None:
        args["model"] = model
    if context:
        args["context"] = _a_context(context)
    return _a_call("choose", args)


def workflow(name, args=None, *, limits=None):
    given = {"name": name, "args": _a_plain(args or {}, f"workflow({name!r})")}
    if limits is not None:
        given["limits"] = _a_plain(limits, "limits=")
    return _a_call("workflow", given)
