"""What a fan-out came to, as a script sees it."""


class Outcome:
    """How a branch ended. `.value` is there where there is one."""

    def __init__(self, fields, item):
        self.kind = fields["kind"]
        self.path = fields["path"]
        self.reason = fields["reason"]
        self.item = item
        self.ok = self.kind == "succeeded"
        self.category = fields.get("category", "")

    def __repr__(self):
        return f"<{self.kind} {self.path}: {self.reason}>" if self.reason else f"<{self.kind} {self.path}>"


def _a_outcome(fields, index, group):
    outcome = Outcome(fields, group["items"].get(index))
    if outcome.kind == "succeeded" or outcome.kind == "degraded":
        outcome.value = group["kept"].get(index) if fields.get("local") else fields["value"]
    return outcome


class Census:
    """How many branches were planned, were started, and ended as what."""

    def __init__(self, outcomes):
        ended = {}
        for outcome in outcomes:
            ended[outcome.kind] = ended.get(outcome.kind, 0) + 1
        self.planned = len(outcomes)
        self.started = len(outcomes) - ended.get("skipped", 0)
        self.ended = ended

    def to_json(self):
        said = {"planned": self.planned, "started": self.started}
        for kind in sorted(self.ended):
            said[kind] = self.ended[kind]
        return said

    def __repr__(self):
        return f"Census({self.to_json()})"


class Outcomes:
    """The outcomes of a fan-out, in the order of its items."""

    def __init__(self, outcomes, complete):
        self._outcomes = outcomes
        self.complete = complete
        self.census = Census(outcomes)

    def __iter__(self):
        return iter(self._outcomes)

    def __getitem__(self, index):
        return self._outcomes[index]

    def __repr__(self):
        return f"Outcomes({self.census.to_json()})"

    def succeeded(self):
        return [outcome.value for outcome in self._outcomes if outcome.ok]

    def degraded(self):
        return [outcome for outcome in self._outcomes if outcome.kind == "degraded"]

    def failed(self):
        return [outcome for outcome in self._outcomes if outcome.kind not in ("succeeded", "degraded")]


class Tally:
    """A quorum's result: the decision, and every vote that led to it."""

    def __init__(self, decided, votes, outcomes):
        self.decided = decided
        self.votes = votes
        self.outcomes = outcomes

    def __repr__(self):
        return f"Tally({self.decided!r}, {self.votes!r})"
