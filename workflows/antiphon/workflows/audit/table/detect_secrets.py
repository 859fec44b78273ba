"""detect-secrets: strings that look like passwords, keys and tokens, in any text."""

from __future__ import annotations

from antiphon.workflows.audit.languages import TEXT_LANGUAGES
from antiphon.workflows.audit.table.entry import Asks, Entry, Honouring
from antiphon.workflows.audit.table.output import read_runner

ENTRY = Entry(
    tool="detect-secrets",
    home="https://github.com/Yelp/detect-secrets",
    licence="Apache-2.0",
    lineage="detect-secrets",
    asks=Asks(module="secrets_runner.py", distribution="detect-secrets", oldest=(1, 5)),
    advice="pip install detect-secrets",
    bundled=True,
    languages=TEXT_LANGUAGES,
    lenses={"secrets": ()},
    honouring=Honouring(words=(b"allowlist", b"whitelist"), method="pragma: allowlist secret", ignoring=("--all",)),
    read=read_runner,
    isolation="called by its Python interface with a fixed list of detectors and filters; no baseline of the project "
    "is read, and no secret is tried out over the network",
    shard=64,
)
