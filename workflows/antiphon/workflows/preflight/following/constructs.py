"""What the names of the script API do: each call of one becomes a place of the outline."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Final

from antiphon.engine.limits import Limits, LimitsError
from antiphon.workflows.preflight.following.calls import Calls, Given
from antiphon.workflows.preflight.following.frames import Frame
from antiphon.workflows.preflight.following.shapes import shaped
from antiphon.workflows.preflight.following.values import (
    NOTHING,
    Callable,
    Items,
    Known,
    Number,
    Outcome,
    Record,
    Unknown,
    Value,
    Work,
    joined,
    number_of,
    size_of,
    ways_of,
)
from antiphon.workflows.preflight.model import ONCE, Place, PlaceKind

BETWEEN: Final = " | "
_MOST_TITLES: Final = 5
_DEFAULT_ROLES: Final = {"agent": "worker", "choose": "judge"}


class Constructs(Calls):
    """Looks at calls of the API."""

    def api(self, name: str, given: Given) -> Value:
        """What a call of a name of the API gives."""
        match name:
            case "agent" | "choose":
                return self._asked(name, given)
            case "step" | "approve":
                return self._step(name, given)
            case "parallel" | "race" | "quorum":
                return self._fan_out(name, given)
            case "pipeline":
                return self._pipeline(given)
            case "branch":
                return self._branch(given)
            case "workflow":
                return self._nested(given)
            case "phase":
                self.put([self._place("phase", name, given, self._title(given, "title"))])
                return Known(None)
            case "get":
                return Unknown(f"what get() on line {given.node.lineno} gives")
            case "Critic":
                names = ("role", "ask", "model")
                return Record({**dict(zip(names, given.values, strict=False)), **given.named})
            case _:
                return self.told_by_api(name, given)

    def told_by_api(self, name: str, given: Given) -> Value:
        """A name of the API that does no calls."""
        if name in ("claims", "synthesize"):
            return Unknown(f"{name}() on line {given.node.lineno}")
        return NOTHING

    # --- leaves ---------------------------------------------------------------------------------------------------

    def _asked(self, name: str, given: Given) -> Value:
        source = f"what {name}() on line {given.node.lineno} gives"
        role = self._texts(given.get("role"), "" if given.spread else _DEFAULT_ROLES[name])
        title = self._texts(given.get("label"), "") or role or name
        place = self._place("call", name, given, title)
        until = given.get("until")
        place = replace(
            place, role=role, model=self._texts(given.get("model"), ""), children=self._critic(until, given)
        )
        if name == "choose":
            options = given.get("options", 1)
            return Work((place,), size_of(options).item if options is not None else Unknown(source))
        output = given.get("output")
        return Work((place,), Unknown(source) if output is None else shaped(output, source))

    def _critic(self, until: Value | None, given: Given) -> tuple[Place, ...]:
        """An independent subagent that judges the value: what ``Critic(...)`` was made with stands in its place."""
        if not isinstance(until, Record) or "role" not in until.fields:
            return ()
        role = self._texts(until.fields["role"], "")
        return (
            Place(
                kind="call",
                title=role or "critic",
                line=given.node.lineno,
                bound=ONCE,
                construct="critic",
                role=role,
                model=self._texts(until.fields.get("model"), ""),
            ),
        )

    def _step(self, name: str, given: Given) -> Value:
        title = self._texts(given.get("name" if name == "step" else "question", 0), "") or name
        place = self._place("call", name, given, title)
        if name == "approve":
            return Work((place,), NOTHING)
        place = replace(place, step=self._texts(given.get("name", 0), ""))
        return Work((place,), Unknown(f"what step({title!r}) on line {given.node.lineno} gives"))

    def _nested(self, given: Given) -> Value:
        title = self._texts(given.get("name", 0), "") or "workflow"
        place = self._place("workflow", "workflow", given, title)
        return Work((place,), Unknown(f"what workflow({title!r}) on line {given.node.lineno} gives"))

    # --- fan-out --------------------------------------------------------------------------------------------------

    def _fan_out(self, name: str, given: Given) -> Value:
        items = self.sized(given.get("calls", 0) or NOTHING)
        children, alone = self._each(items, given)
        place = self._place("fan-out", name, given, self._fan_title(name, given))
        place = replace(
            place,
            bound=items.size,
            source=items.source,
            argument=items.argument,
            listed=alone,
            children=self.counted(children),
        )
        value = self._value_of(items.item)
        if name != "parallel":
            return Work((place,), value if name == "race" else NOTHING)
        each = None if items.each is None else tuple(Outcome(self._value_of(one)) for one in items.each)
        return Work((place,), replace(items, item=Outcome(value), each=each, held=None, outcomes=True))

    def _each(self, items: Items, given: Given) -> tuple[list[Place], bool]:
        """What the items do; and whether that is told one by one, as they do not all do the same."""
        works = [self._work(one, given) for one in items.each or (items.item,)]
        if all(work == works[0] for work in works[1:]):
            return list(works[0]) if works else [], False
        return [one for work in works for one in work], True

    def _work(self, item: Value, given: Given) -> tuple[Place, ...]:
        """What one item does."""
        ways = [way.places for way in ways_of(item) if isinstance(way, Work)]
        if not ways and isinstance(item, Unknown | Callable):
            told = item.source if isinstance(item, Unknown) else ""
            return (
                Place(
                    kind="call",
                    title=told or "something",
                    line=given.node.lineno,
                    bound=ONCE,
                    construct="unseen",
                    source=told,
                ),
            )
        return ways[0] if len(ways) == 1 else tuple(self.choice("one of several", given.node.lineno, ways))

    def _value_of(self, item: Value) -> Value:
        return joined([way.value if isinstance(way, Work) else NOTHING for way in ways_of(item)])

    def _pipeline(self, given: Given) -> Value:
        items = self.sized(given.get("items", 0) or NOTHING)
        value: Value = items.item
        children: list[Place] = []
        for number, stage in enumerate(given.values[1:], 1):
            node = given.node.args[number] if number < len(given.node.args) else None
            with self.apart() as happens:
                value = self._staged(stage, node, value, given)
            children += happens
        place = self._place("fan-out", "pipeline", given, self._fan_title("pipeline", given))
        place = replace(
            place, bound=items.size, source=items.source, argument=items.argument, children=self.counted(children)
        )
        return Work((place,), replace(items, item=Outcome(value), each=None, held=None, outcomes=True))

    def _staged(self, stage: Value, node: ast.expr | None, value: Value, given: Given) -> Value:
        """What a stage makes of a value; what it gives is awaited where it can be."""
        handed = Given(node=given.node, values=(value,))
        api = self.script.origin(node) if node is not None else ""
        found = self.called_with(stage, handed, api)
        works = [way for way in ways_of(found) if isinstance(way, Work)]
        return self.awaited(found, given.node) if works else found

    def called_with(self, target: Value, given: Given, origin: str) -> Value:
        """What calling something that was handed over gives."""
        if isinstance(target, Unknown) and origin.startswith("antiphon.workflows.script."):
            target = Callable(api=origin.rpartition(".")[2])
        return joined([self.called(way, given, origin, Frame()) for way in ways_of(target)])

    # --- branches -------------------------------------------------------------------------------------------------

    def _branch(self, given: Given) -> Value:
        call = given.get("call", 1) or NOTHING
        place = self._place("branch", "branch", given, self._texts(given.get("name", 0), "") or "branch")
        place = replace(place, children=self.counted(self._work(call, given)))
        return Work((place,), Outcome(self._value_of(call)))

    # --- parts ----------------------------------------------------------------------------------------------------

    def _place(self, kind: PlaceKind, construct: str, given: Given, title: str) -> Place:
        return Place(
            kind=kind,
            title=title,
            line=given.node.lineno,
            bound=ONCE,
            construct=construct,
            limits=limits_of(given.get("limits")),
        )

    def _title(self, given: Given, name: str) -> str:
        said = self._texts(given.get(name, 0), "")
        return said or (self.told(given.node.args[0]) if given.node.args else name)

    def _fan_title(self, name: str, given: Given) -> str:
        return self.told(given.node) if not given.node.args else f"{name} over {self._over(given.node.args[0])}"

    def _over(self, node: ast.expr) -> str:
        match node:
            case ast.ListComp(generators=generators) | ast.GeneratorExp(generators=generators):
                return " × ".join(self.told(one.iter) for one in generators[:_MOST_TITLES])
            case ast.List(elts=elements) | ast.Tuple(elts=elements):
                return f"{len(elements)} calls"
            case _:
                return self.told(node)

    def _texts(self, value: Value | None, default: str) -> str:
        """The text that a value is, or those that it may be."""
        if value is None:
            return default
        ways = [way.value for way in ways_of(value) if isinstance(way, Known)]
        texts = [text for text in ways if isinstance(text, str)]
        return BETWEEN.join(texts) if len(texts) == len(ways_of(value)) else ""


def limits_of(value: Value | None) -> Mapping[str, float | None]:
    """Limits by name; None for one that is computed."""
    if not isinstance(value, Record):
        return {}
    return {name: _number(name, each) for name, each in value.fields.items() if name in Limits.model_fields}


def _number(name: str, value: Value) -> float | None:
    if isinstance(value, Number):
        return number_of(value).worst
    if not isinstance(value, Known):
        return None
    try:
        found: Decimal | float | int | None = getattr(Limits.parse({name: value.value}), name)
    except (LimitsError, ValueError):
        return None
    return None if found is None else float(found)
