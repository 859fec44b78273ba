"""Approvals: calls that a person answers."""

from __future__ import annotations

from typing import cast

from antiphon.engine.call import Call, Prepared
from antiphon.engine.context import CallContext
from antiphon.engine.output import output_type


class Approvals:
    """Performs approvals: the value is the person's yes or no. See `Run.answer`."""

    def prepare(self, call: Call) -> Prepared:
        """An approval sees its question and nothing else."""
        return Prepared(visible={}, output=output_type(bool))

    async def perform(self, call: Call, context: CallContext) -> object:
        """Wait for the answer."""
        asked = cast(dict[str, object], call.task)
        more = f"\n{call.shown}" if call.shown else ""
        return await context.ask(f"{asked['question']}{more}")
