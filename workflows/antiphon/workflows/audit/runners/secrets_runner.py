"""Prints where detect-secrets finds secrets in some files as JSON: ``secrets_runner.py [--all] -- FILE...``

What is printed never holds a secret: the sort, the line, and the hash that detect-secrets makes of it.
"""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
from detect_secrets.core.scan import scan_file
from detect_secrets.settings import transient_settings

_HEURISTIC = "detect_secrets.filters.heuristic."
_ALLOWLIST = "detect_secrets.filters.allowlist.is_line_allowlisted"
# Without those that try a secret out over the network, and those that pass over whole files without a word.
FILTERS = (
    "is_sequential_string",
    "is_potential_uuid",
    "is_likely_id_string",
    "is_templated_secret",
    "is_prefixed_with_dollar_sign",
    "is_indirect_reference",
    "is_not_alphanumeric_string",
)
# Public addresses are no secrets.
NO_SECRETS = frozenset({"IPPublicDetector"})
LIMITS = {"Base64HighEntropyString": 4.5, "HexHighEntropyString": 3.0}


def main(arguments: list[str]) -> None:
    """Look at the files and print."""
    paths = arguments[arguments.index("--") + 1 :]
    everything = "--all" in arguments[: arguments.index("--")]
    filters = [_HEURISTIC + name for name in FILTERS] + ([] if everything else [_ALLOWLIST])
    items: list[dict[str, object]] = []
    problems: list[dict[str, str]] = []
    with transient_settings({"plugins_used": plugins(), "filters_used": [{"path": path} for path in filters]}) as now:
        # Always on otherwise: they leave files out by name and by sort, and the survey has done that.
        now.disable_filters("detect_secrets.filters.common.is_invalid_file", _HEURISTIC + "is_non_text_file")
        for path in paths:
            reason = unreadable(path)
            if reason:
                problems.append({"path": path, "reason": reason})
            found: list[Any] = [] if reason else list(scan_file(path))
            items.extend(described(path, secret) for secret in found)
    unique = {json.dumps(item, sort_keys=True): item for item in items}
    ordered = sorted(unique.values(), key=lambda item: (str(item["path"]), int(str(item["line"])), str(item["rule"])))
    json.dump({"items": ordered, "problems": problems, "looked_at": paths}, sys.stdout)


def plugins() -> list[dict[str, object]]:
    """Every detector, with its limit."""
    kinds: dict[str, Any] = dict(get_mapping_from_secret_type_to_class())
    names = sorted({str(kind.__name__) for kind in kinds.values()} - NO_SECRETS)
    return [{"name": name, **({"limit": LIMITS[name]} if name in LIMITS else {})} for name in names]


def unreadable(path: str) -> str:
    """Why a file cannot be read as text, or "": detect-secrets would pass over it in silence."""
    try:
        with open(path, encoding="utf-8") as file:
            for _ in file:
                pass
    except (OSError, UnicodeDecodeError) as error:
        return f"it cannot be read as text: {error}"
    return ""


def described(path: str, secret: Any) -> dict[str, object]:
    """A secret as we print it."""
    return {
        "path": path,
        "rule": str(secret.type),
        "text": f"what looks like a secret: {secret.type}",
        "line": max(secret.line_number, 1),
        "end_line": max(secret.line_number, 1),
        "fingerprint": str(secret.secret_hash),
    }


if __name__ == "__main__":
    logging.disable()
    main(sys.argv[1:])
