"""gitleaks: secrets, by a list of the forms that keys of many services have."""

from __future__ import annotations

from antiphon.workflows.audit.languages import TEXT_LANGUAGES
from antiphon.workflows.audit.table.entry import Asks, Entry, Honouring
from antiphon.workflows.audit.table.sarif_output import read_sarif

ENTRY = Entry(
    tool="gitleaks",
    home="https://gitleaks.io/",
    licence="MIT",
    lineage="gitleaks",
    asks=Asks(program="gitleaks", version=("version",), oldest=(8, 19)),
    advice="install gitleaks from https://github.com/gitleaks/gitleaks/releases",
    languages=TEXT_LANGUAGES,
    lenses={"secrets": ()},
    options=(
        *("dir", "--no-banner", "--no-color", "--log-level", "error", "--redact=100", "--exit-code", "0"),
        *("--config", "{data}/gitleaks.toml", "--gitleaks-ignore-path", "{data}"),
        *("--report-format", "sarif", "--report-path", "/dev/stdout"),
    ),
    whole=True,
    target="root",
    separator=(),
    honouring=Honouring(words=(b"gitleaks:allow",), method="gitleaks:allow", ignoring=("--ignore-gitleaks-allow",)),
    read=read_sarif,
    isolation="--config names its own default rules, and --gitleaks-ignore-path a folder of ours; no history of the "
    "repository is read, and secrets are redacted before they are written",
    timeout_seconds=300.0,
)
