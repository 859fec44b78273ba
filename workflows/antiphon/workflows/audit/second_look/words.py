"""What the files of a tree mention: how often each name occurs, and who imports what from where."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from antiphon.workflows.audit.files import read_regular
from antiphon.workflows.audit.survey import Survey

_NAME = re.compile(rb"[^\W\d]\w*", re.ASCII)
_IMPORT = re.compile(rb"from[ \t]+([\w.]+)[ \t]+import[ \t]+(\([^)]{0,5000}\)|[^\n(]{1,2000})", re.ASCII)
_LARGEST_OTHER_BYTES = 256 * 1024
# Files besides Python that can name a function: entry points, templates, documentation, settings.
_TEXTS = frozenset({".toml", ".cfg", ".ini", ".txt", ".md", ".rst", ".html", ".jinja", ".j2", ".yaml", ".yml", ".json",
                    ".pyx", ".pxd", ".ipynb", ".sh"})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Words:
    """What a tree mentions.

    Attributes:
        counts: by name, how often it occurs in any file. Names with letters outside ASCII are not counted.
        imported: (last part of a module's name, name) of everything that is imported from somewhere.
        digest: sha256, in hex, of what was read.
    """

    counts: Mapping[str, int]
    imported: frozenset[tuple[str, str]]
    digest: str

    @classmethod
    def of(cls, survey: Survey) -> Words:
        """Read a tree. Blocks: call it in a worker thread."""
        texts: list[tuple[str, bytes]] = []
        for file in survey.files:
            if file.language != "other" or PurePosixPath(file.unit).suffix.lower() in _TEXTS:
                limit = file.size if file.language != "other" else _LARGEST_OTHER_BYTES
                data = read_regular(survey.root / file.unit, limit)
                texts.append((file.unit, data or b""))
        return cls.in_texts(texts)

    @classmethod
    def in_texts(cls, texts: Iterable[tuple[str, bytes]]) -> Words:
        """What some named texts mention."""
        counts: Counter[bytes] = Counter()
        imported: set[tuple[str, str]] = set()
        seen = hashlib.sha256()
        for unit, data in sorted(texts):
            counts.update(_NAME.findall(data))
            imported |= set(_imports(unit, data))
            seen.update(f"{unit}\0{hashlib.sha256(data).hexdigest()}\0".encode("utf-8", "surrogateescape"))
        names = {name.decode(): count for name, count in counts.items()}
        return cls(names, frozenset(imported), seen.hexdigest())


def _imports(unit: str, data: bytes) -> Iterable[tuple[str, str]]:
    for module, names in _IMPORT.findall(data):
        last = module.decode().rpartition(".")[2] or PurePosixPath(unit).parent.name
        for name in names.strip(b"()").split(b","):
            word = _NAME.search(name)
            if word:
                yield last, word.group().decode()
