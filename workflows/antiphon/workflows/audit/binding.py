"""Binds an audit to all that was asked beside the tree: earlier results to reuse, an earlier audit to compare with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import anyio.to_thread

from antiphon.engine import Settings
from antiphon.workflows.audit.cache import Reuse
from antiphon.workflows.audit.changes import Before, before_of
from antiphon.workflows.audit.launch import Asked, Audit, prepare
from antiphon.workflows.audit.store import InMemory, Keeping, store_beside
from antiphon.workflows.baseline import find_baseline, load_baseline
from antiphon.workflows.places import make_run
from antiphon.workflows.running import Ended, Options, Watching, start

if TYPE_CHECKING:
    from antiphon.subagents.model.contract import ModelClient

_STRANGE = "The run {} was not made by this user on this machine: what it makes look old need not be."
_ABOUT_NOW = "Not compared with {}: what the SARIF files say that were given, as they are about now; it is called new."
_WITHOUT_MODELS = "No model was asked about {}: what models found is called new."


async def bind(
    asked: Asked,
    *,
    home: Path,
    settings: Settings | None = None,
    watching: tuple[Watching, ...] = (),
    clients: Mapping[str, ModelClient] | None = None,
) -> Audit:
    """Prepare an audit, with what is to be reused, and what is to be compared with.

    Names that may mean another thing tomorrow (a branch, `last`) are pinned in what comes back, so that a run that is
    resumed is compared with the same.

    Args:
        asked: what to audit, and how.
        home: where runs live; what is reused lies beside them.
        settings: how the audit of a git revision is performed; by default as any run.
        watching: who watches that audit, so that Ctrl-C reaches it too.
        clients: see `prepare`.

    Raises:
        UsageError: something that was asked for does not exist: a path, a lens, a baseline, a revision.
    """
    kept: Keeping | None = store_beside(home) if asked.reuse else InMemory() if asked.since else None
    before: Before | None = None
    if asked.since:
        before = await before_of(
            Path(asked.path),
            asked.since,
            partial(_audit_tree, asked, kept, Options(settings=settings or Settings(), watching=watching)),
            commit=asked.commit,
        )
        if asked.sarif:
            before = replace(before, notes=(*before.notes, _ABOUT_NOW.format(asked.since)))
        if asked.models:
            before = replace(before, notes=(*before.notes, _WITHOUT_MODELS.format(asked.since)))
        asked = replace(asked, commit=before.commit)
    elif asked.baseline:
        named = await anyio.to_thread.run_sync(partial(find_baseline, asked.baseline, runs_dir=home))
        log = await anyio.to_thread.run_sync(partial(load_baseline, named, root=_folder_of(Path(asked.path))))
        notes = () if named.ours else (_STRANGE.format(named.source),)
        before, asked = Before(log, notes=notes), replace(asked, baseline=named.pinned)
    audit = await prepare(asked, reuse=Reuse(kept) if kept is not None else None, runs=home, clients=clients)
    return replace(audit, before=before)


def _folder_of(path: Path) -> Path:
    """The folder that files are named relative to."""
    return path if path.is_dir() else path.parent


async def _audit_tree(asked: Asked, kept: Keeping | None, options: Options, tree: Path, directory: Path) -> Ended:
    """Audit the files of a revision as they would be audited now, but for logs of other tools, which are about now."""
    plain = Asked(
        path=str(tree),
        lenses=asked.lenses,
        exclude=asked.exclude,
        sandbox=asked.sandbox,
        execute=asked.execute,
        reuse=asked.reuse,
        fail_on=asked.fail_on,
    )
    reuse = Reuse(kept, run=f"the audit of {asked.since}") if kept is not None else None
    audit = await prepare(plain, reuse=reuse)
    options = replace(options, conclude=audit.conclude)
    return await start(make_run(directory), audit.loaded, audit.asked.arguments(), options)
