"""The command line. stdout is data, stderr is talk; nothing heavy is imported before a command needs it.

`entry` finds the command and turns errors into one sentence, a next step and an exit code. `performing` is what every
command that runs something shares: live view (`live`, `lines`, fed by `progress`), Ctrl-C (`signals`), the closing
words (`summary`). `telling` reads a recorded run into a `story` without trusting it, `account` and `tree` write it out;
`glance` only looks how a run stands. `pruning` makes tombstones. `terminal` is the one place that writes.
"""

from antiphon.workflows.cli.entry import main

__all__ = ["main"]
