"""Many workspaces that begin and end at the same moment do not get into each other's way."""

from __future__ import annotations

import anyio
import pytest

from antiphon.subagents.testing.workspaces import temporary_workspaces

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]


async def test_workspaces_that_are_made_at_once_are_all_whole() -> None:
    async with temporary_workspaces({"a.txt": "a\n", "deep/b.txt": "b\n"}) as workspaces:
        base, trees = workspaces.base.tree, dict[str, str]()

        async def work(name: str) -> None:
            workspace = await workspaces.take(name, base, writes=True)
            (workspace.root / f"{name}.txt").write_text(name)
            trees[name] = await workspaces.give_back(workspace)

        async with anyio.create_task_group() as group:
            for number in range(12):
                group.start_soon(work, f"w{number}")
        for name, tree in trees.items():
            changed = await (await workspaces.at("look", tree)).changed()
            assert [change.path for change in changed] == [f"{name}.txt"]
