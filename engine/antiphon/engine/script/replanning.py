"""`replan`: a script says that it is the wrong one for what it found, and ends; see `antiphon replan`."""

from __future__ import annotations

import json
from typing import Any, Final, NoReturn

from antiphon.engine.branch import current_branch
from antiphon.engine.errors import Stopped
from antiphon.engine.run import Run
from antiphon.engine.script.given import plain
from antiphon.engine.settings import LARGE_BYTES
from antiphon.tracing.log import Json

EVENT: Final = "replan"
"""The event with the reason and the results; the one that stands last holds."""
MOST_REASON: Final = 4_000
"""Characters of a reason that are kept."""


def replan(reason: str, results: Any = None) -> NoReturn:
    """End this script: what was found needs another one. The run pauses, and ``antiphon replan RUN`` has it written.

    What finished is kept, and the new version goes on in a fork of this run. A script never changes while it runs.

    Args:
        reason: what the script did not reckon with, in a sentence or two.
        results: what is known so far, for whoever writes the new version; JSON.

    Raises:
        UsageError: JSON cannot hold the results.
    """
    here = current_branch()
    here.run.check()
    said = " ".join(str(reason).split())[:MOST_REASON] or "no reason was given"
    here.run.log.enqueue(EVENT, here.path, {"reason": said, **_kept(here.run, plain(results, "replan()"))})
    here.run.pause("replan", f"the script asks for another version of itself: {said}")
    raise Stopped


def _kept(run: Run, results: Json) -> dict[str, Json]:
    text = json.dumps(results)
    if run.blobs is not None and len(text) > LARGE_BYTES:
        return {"blob": run.blobs.put(text.encode())}
    return {"results": results}
