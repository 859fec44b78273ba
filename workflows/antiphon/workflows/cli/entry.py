"""`antiphon`: finds the command, and turns whatever it raises into one sentence, a next step and an exit code."""

from __future__ import annotations

import difflib
import errno
import importlib
import os
import traceback
from collections.abc import Iterator, Sequence
from typing import Final

import click

from antiphon.workflows.cli.terminal import Piece, safe_encoding, talk

COMMANDS: Final = {
    "audit": ("antiphon.workflows.cli.audit", "Audit a source tree, offline."),
    "fix": ("antiphon.workflows.cli.fix", "Mend a bug: a test that shows it, and a patch, held to tests and checks."),
    "build": ("antiphon.workflows.cli.build", "Build what a task asks for, in parallel, and put it together."),
    "plan": ("antiphon.workflows.cli.plan", "Have the orchestration for a task written by a model, and checked."),
    "replan": ("antiphon.workflows.cli.replan", "Plan a run again: a further version of its script, in a fork of it."),
    "run": ("antiphon.workflows.cli.run", "Run a workflow file."),
    "check": ("antiphon.workflows.cli.check", "Look at a script before it runs: outline, cost, scope, findings."),
    "resume": ("antiphon.workflows.cli.resume", "Go on with a run; what is done already is not done again."),
    "apply": ("antiphon.workflows.cli.apply", "Put a run's patch into the project; shows it, and asks."),
    "runs": ("antiphon.workflows.cli.runs", "List the runs."),
    "show": ("antiphon.workflows.cli.show", "Show what a run did: tree, outcomes, cost, census."),
    "why": ("antiphon.workflows.cli.why", "Show why a run says something: who, on what evidence, in which context."),
    "answer": ("antiphon.workflows.cli.answer", "Answer what a run asks its model, where that is file:DIR."),
    "roles": ("antiphon.workflows.cli.roles", "List the roles that model agents can take."),
    "verify": ("antiphon.workflows.cli.verify", "Check that a run's record was not changed."),
    "clean": ("antiphon.workflows.cli.clean", "Remove the bulky parts of ended runs."),
    "doctor": ("antiphon.workflows.cli.doctor", "Show what works on this machine, and what to type for the rest."),
}
"""Every command: the module that holds it as `command`, and its line in the help."""

_DISK: Final = frozenset({errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EFBIG})
DEBUG: Final = "ANTIPHON_DEBUG"


class Commands(click.Group):
    """The commands, each imported when it is called and not before."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[cmd_name][0]).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command named first, or a usage error that names the nearest one."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            close = difflib.get_close_matches(args[0], COMMANDS, n=1)
            meant = f"; did you mean {close[0]!r}?" if close else ""
            raise click.UsageError(f"there is no command {args[0]!r}{meant}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The help's list, which imports no command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


def _print_version(ctx: click.Context, _parameter: click.Parameter, asked: bool) -> None:
    if asked and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"antiphon {version('antiphon')}")
        ctx.exit()


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Print it.")
def antiphon() -> None:
    """Run orchestration scripts that fan out many subagents, and prove afterwards what they did.

    Exit codes: 0 completed, 1 failed or tampered, 2 usage, 3 degraded, 4 paused, 74 disk, 130 stopped.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: what was typed after `antiphon`; by default this process's own.

    Returns:
        The exit code.
    """
    with safe_encoding():
        try:
            given = None if arguments is None else list(arguments)
            code = antiphon.main(args=given, prog_name="antiphon", standalone_mode=False)
            return code if isinstance(code, int) else 0
        except (click.Abort, KeyboardInterrupt):
            return 130
        except click.ClickException as error:
            return _report_usage(error)
        except Exception as error:
            return report(error)


def _report_usage(error: click.ClickException) -> int:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        talk().text(error.format_message())
        return error.exit_code
    context = getattr(error, "ctx", None)
    path = context.command_path if isinstance(context, click.Context) else "antiphon"
    message = error.format_message()
    tell(message[:1].lower() + message[1:].rstrip("."), f"{path} --help")
    return error.exit_code


def tell(message: str, advice: str | None = None) -> None:
    """Say on stderr what is wrong, and what to type next."""
    paper = talk()
    paper.columns = None  # a sentence that is cut has no cause any more
    paper.line(Piece("error: ", "bad"), message)
    if advice:
        paper.line(Piece("next: ", "bold"), advice)


def report(error: Exception) -> int:
    """Say on stderr what an exception means.

    Returns:
        The exit code it stands for.
    """
    from antiphon.tracing.errors import AntiphonError

    if os.environ.get(DEBUG):
        talk().text("".join(traceback.format_exception(error)))
    cause = plainest(error)
    if isinstance(cause, AntiphonError):
        tell(cause.message, cause.advice)
        return cause.exit_code
    if isinstance(cause, OSError) and cause.errno in _DISK:
        where = f"{cause.filename}: " if cause.filename else ""
        tell(f"{where}{cause.strerror}", "make room, or check the permissions; --runs-dir DIR chooses another place")
        return 74
    tell(f"{type(cause).__name__}: {cause}{_place_of(cause)}")
    talk().line(f"this is a bug in antiphon; run with {DEBUG}=1 for the traceback")
    return 1


def plainest(error: Exception) -> Exception:
    """The error that a group of errors is about: the first of our own if all of them are, else the first that is not.

    A log that failed comes first, because everything else that went wrong then did so for it.
    """
    from antiphon.tracing.errors import AntiphonError, LogFailed

    leaves = list(_leaves(error))
    failed = [leaf for leaf in leaves if isinstance(leaf, LogFailed)]
    strange = [leaf for leaf in leaves if not isinstance(leaf, AntiphonError)]
    return (failed or strange or leaves)[0]


def _leaves(error: Exception) -> Iterator[Exception]:
    inside: Sequence[Exception] | None = getattr(error, "exceptions", None)
    if not inside:
        yield error
        return
    for inner in inside:
        yield from _leaves(inner)


def _place_of(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f" ({os.path.basename(frames[-1].filename)}:{frames[-1].lineno})" if frames else ""
