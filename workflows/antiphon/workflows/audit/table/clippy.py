"""clippy: mistakes in Rust. It compiles, so build scripts and macros of the tree are executed."""

from __future__ import annotations

import json
import posixpath

from pydantic import BaseModel

from antiphon.subagents.process import Completed
from antiphon.subagents.program import UnreadableOutput
from antiphon.subagents.records import Place, Text
from antiphon.workflows.audit.hits import Hit, Job, Reading
from antiphon.workflows.audit.table.entry import Asks, Entry, Honouring, file_languages, first_problem

_OURS = "clippy::"
_GROUPS = ("clippy::correctness", "clippy::suspicious")


class _Code(BaseModel):
    code: Text


class _Span(BaseModel):
    file_name: Text
    is_primary: bool
    line_start: Place
    line_end: Place
    column_start: Place
    column_end: Place


class _Message(BaseModel):
    code: _Code | None
    level: Text
    message: Text
    spans: list[_Span]


class _Line(BaseModel):
    reason: Text
    message: _Message | None = None
    success: bool = True


def read(output: Completed, job: Job) -> Reading:
    """Read cargo's JSON lines. Raises `UnreadableOutput`."""
    try:
        lines = [_Line.model_validate(json.loads(line)) for line in output.stdout.splitlines()]
    except (ValueError, RecursionError) as error:  # what pydantic raises is a ValueError
        raise UnreadableOutput(f"it is not cargo's JSON: {first_problem(error)}", output.stdout) from None
    said = [line.message for line in lines if line.message is not None]
    errors = [one.message for one in said if one.level == "error"]
    if output.exit != 0 or not lines:
        stderr = " ".join(output.stderr[-300:].decode("utf-8", "backslashreplace").split())
        return Reading(failure=f"it could not be compiled: {errors[0] if errors else stderr}")
    hits = dict.fromkeys(hit for one in said for hit in _hits(one, job.root))  # once, though for each target
    return Reading(tuple(hits))


def _hits(message: _Message, root: str) -> list[Hit]:
    if message.code is None or not message.code.code.startswith(_OURS):
        return []
    name = message.code.code.removeprefix(_OURS)
    return [
        Hit(
            path=posixpath.join(root, span.file_name),
            rule=name,
            text=message.message,
            line=span.line_start,
            end_line=max(span.line_start, span.line_end),
            column=span.column_start,
            end_column=span.column_end,
            url=f"https://rust-lang.github.io/rust-clippy/stable/index.html#{name}",
        )
        for span in message.spans
        if span.is_primary
    ][:1]


def _each(option: str) -> tuple[str, ...]:
    return tuple(word for group in _GROUPS for word in (option, group))


ENTRY = Entry(
    tool="clippy",
    home="https://doc.rust-lang.org/clippy/",
    licence="MIT OR Apache-2.0",
    lineage="clippy",
    asks=Asks(program="cargo", version=("clippy", "--version"), oldest=(0, 1, 72)),
    advice="rustup component add clippy",
    languages=file_languages("rust"),
    lenses={"correctness": ()},
    options=(
        *("clippy", "--quiet", "--offline", "--locked", "--no-deps", "--message-format=json"),
        *("--target-dir", "target", "--manifest-path", "{root}/Cargo.toml", "--", "-A", "clippy::all"),
    ),
    whole=True,
    target="none",
    separator=(),
    honouring=Honouring(
        words=(b"allow", b"expect"), method="allow", ignoring=_each("--force-warn"), honouring=_each("-W")
    ),
    read=read,
    exits=frozenset({0, 101}),
    isolation="CLIPPY_CONF_DIR names an empty configuration; --force-warn is stronger than the lints table of "
    "Cargo.toml and any allow in the source; started outside the tree, so that .cargo/config.toml and "
    "rust-toolchain.toml of the project are not read",
    environment={"CLIPPY_CONF_DIR": "{data}/clippy", "RUSTUP_HOME": "{rustup}"},
    reads=("{rustup}",),
    executes=True,
    timeout_seconds=600.0,
)
