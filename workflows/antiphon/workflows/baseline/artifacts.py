"""Names of files in a SARIF log, made comparable: relative to the audited folder wherever that can be known."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from antiphon.workflows.baseline.plain import number, table, tables, text

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_MOST_BASES = 16


class Artifacts:
    """The files of one run.

    Args:
        run: the run. root: the audited folder, or None.
    """

    def __init__(self, run: Mapping[str, Any], root: Path | None) -> None:
        self._artifacts = tables(run.get("artifacts"))
        self._bases = table(run.get("originalUriBaseIds"))
        self._root = str(root).rstrip("/") + "/" if root else None

    def name(self, location: Mapping[str, Any]) -> str:
        """The file's name: relative to the audited folder, else its URI, decoded; "" where none is said."""
        index = number(location.get("index"))
        if not text(location.get("uri")) and 0 <= index < len(self._artifacts):
            location = table(self._artifacts[index].get("location"))
        uri = text(location.get("uri"))
        return self._relative(self._based(uri, text(location.get("uriBaseId")))) if uri else ""

    def _based(self, uri: str, base: str) -> str:
        """A relative URI behind its base, where the log says what that is."""
        for _ in range(_MOST_BASES):  # a log may let its bases lead in a circle
            if not base or _SCHEME.match(uri):
                break
            entry = table(self._bases.get(base))
            uri, base = text(entry.get("uri")) + uri, text(entry.get("uriBaseId"))
        return uri

    def _relative(self, uri: str) -> str:
        path = unquote(uri) if not uri.lower().startswith("file:") else unquote(urlsplit(uri).path)
        if self._root and path.startswith(self._root):
            path = path.removeprefix(self._root)
        if _SCHEME.match(uri) and not uri.lower().startswith("file:"):
            return path
        return posixpath.normpath(path)
