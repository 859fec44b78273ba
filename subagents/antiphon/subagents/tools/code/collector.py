"""Reads what installed packages say of themselves: ``collector.py JOB``, in a process that can be ended.

Their metadata, their README and their docstrings, as text: nothing is imported, neither theirs nor antiphon's.
"""

from __future__ import annotations

import ast
import csv
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

MOST_FILE_BYTES = 1 << 20
MOST_README = 40_000
MOST_DOCUMENTATION = 3_000
MOST_SIGNATURE = 300
MOST_RECORD_LINES = 20_000
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_TESTS = frozenset({"test", "tests", "testing", "_vendor", "vendored", "benchmarks", "examples"})


def say(**said: Any) -> int:
    """Write one object; how many characters it took."""
    line = json.dumps(said)
    print(line)
    return len(line)


def text_of(file: str, most: int = MOST_FILE_BYTES) -> str:
    """A file's text; none for what is no file, a link, or too large."""
    try:
        if os.path.islink(file) or not os.path.isfile(file) or os.path.getsize(file) > most:
            return ""
        with open(file, "rb") as stream:
            return stream.read(most).decode("utf-8", "replace")
    except OSError:
        return ""


def same_name(name: str) -> str:
    """A distribution's name as indexes compare them."""
    return re.sub(r"[-_.]+", "-", name).lower()


class Package:
    """An installed distribution: its name, version, summary and README, and the files that it says it has."""

    def __init__(self, site: str, folder: str) -> None:
        self.site = site
        head, _, self.readme = text_of(os.path.join(site, folder, "METADATA")).partition("\n\n")
        fields = dict(re.findall(r"^(Name|Version|Summary): (.*)$", head, re.MULTILINE))
        self.name = fields.get("Name", "").strip()[:200]
        self.version = fields.get("Version", "").strip()[:100]
        self.summary = fields.get("Summary", "").strip()[:500]
        self.files = list(self.sources(folder))

    def sources(self, folder: str) -> Iterator[tuple[str, int]]:
        """Its modules, tests left out, as paths below the folder of packages, and their sizes."""
        record = text_of(os.path.join(self.site, folder, "RECORD"), 8 << 20)
        for row in list(csv.reader(record.split("\n")[:MOST_RECORD_LINES])):
            path = row[0] if row else ""
            parts = path.split("/")
            if not path.endswith(".py") or path.startswith("/") or ".." in parts or _TESTS & set(parts):
                continue
            size = int(row[2]) if len(row) > 2 and row[2].isdigit() else 0
            if size < MOST_FILE_BYTES:
                yield path, size

    @property
    def modules(self) -> set[str]:
        """The names that its modules are imported by, up to the first dot."""
        return {path.split("/")[0].removesuffix(".py") for path, _ in self.files}

    @property
    def size(self) -> int:
        """Bytes of its modules."""
        return sum(size for _, size in self.files)


def packages(sites: list[str]) -> list[Package]:
    """All that are installed; of two with one name the first that is found."""
    found: dict[str, Package] = {}
    for site in sites:
        try:
            folders = sorted(name for name in os.listdir(site) if name.endswith(".dist-info"))
        except OSError:
            continue
        for folder in folders:
            package = Package(site, folder)
            if package.name:
                found.setdefault(same_name(package.name), package)
    return list(found.values())


def module_name(path: str) -> str:
    """What a file is imported as."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def is_private(module: str) -> bool:
    """Whether users are not meant to import it."""
    return any(part.startswith("_") for part in module.split("."))


def told(tree: ast.Module, module: str, public: Callable[[str], str]) -> Iterator[tuple[str, str, str]]:
    """What users may call of a module: the full name, its signature, its docstring.

    Args:
        tree: the module.
        module: its name.
        public: the full name that users know a name of it by; "" for none.
    """
    if (said := ast.get_docstring(tree)) and not is_private(module):
        yield module, "", said
    for one in tree.body:
        if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and (name := public(one.name)):
            yield name, signature(one), ast.get_docstring(one) or ""
            if isinstance(one, ast.ClassDef):
                yield from methods(one, name)


def imported(tree: ast.Module, module: str, *, package: bool) -> Iterator[tuple[str, str, str]]:
    """What a module takes from others: the other's name, the name in there, the name here."""
    for one in tree.body:
        if not isinstance(one, ast.ImportFrom):
            continue
        above = module.split(".")
        above = above[: len(above) - one.level + package] if one.level else []
        source = ".".join([*above, *([one.module] if one.module else [])])
        for each in one.names:
            yield source, each.name, each.asname or each.name


def methods(one: ast.ClassDef, around: str) -> Iterator[tuple[str, str, str]]:
    """The public methods of a class, and how it is made."""
    for inner in one.body:
        if isinstance(inner, _FUNCTIONS) and (not inner.name.startswith("_") or inner.name == "__init__"):
            yield f"{around}.{inner.name}", signature(inner), ast.get_docstring(inner) or ""


def signature(one: ast.stmt) -> str:
    """A definition's first line, without its colon."""
    try:
        if isinstance(one, ast.ClassDef):
            return f"class {one.name}({', '.join(map(ast.unparse, one.bases))})"[:MOST_SIGNATURE]
        if not isinstance(one, _FUNCTIONS):
            return ""
        begin = "async def" if isinstance(one, ast.AsyncFunctionDef) else "def"
        returns = f" -> {ast.unparse(one.returns)}" if one.returns else ""
        return f"{begin} {one.name}({ast.unparse(one.args)}){returns}"[:MOST_SIGNATURE]
    except RecursionError:
        return ""


class Reading:
    """Reads packages until the time or the room is over."""

    def __init__(self, seconds: float, characters: int) -> None:
        self.until, self.room = time.monotonic() + seconds, characters
        self.told: set[str] = set()

    @property
    def over(self) -> bool:
        """Whether nothing more is read."""
        return self.room < 0 or time.monotonic() > self.until

    def read(self, package: Package) -> bool:
        """What one package says; whether all of it was read."""
        about = {"package": package.name, "version": package.version}
        readme = f"{package.summary}\n\n{package.readme[:MOST_README]}"
        self.room -= say(**about, name=package.name, signature="", text=readme)
        paths = {module_name(path): path for path, _ in package.files}
        wanted: Wanted = {module: {} for module in paths if not is_private(module)}
        waiting = sorted(wanted, key=lambda module: (module.count("."), module))
        seen: set[tuple[str, int]] = set()
        while waiting:
            if self.over:
                return False
            module = waiting.pop(0)
            names = wanted[module]
            if (module, len(names)) in seen or module not in paths:
                continue
            seen.add((module, len(names)))
            tree = syntax(os.path.join(package.site, paths[module]))
            if tree is not None:
                self.tell(about, tree, module, names)
                waiting += pass_on(tree, module, wanted, package=paths[module].endswith("/__init__.py"))
        return True

    def tell(self, about: dict[str, str], tree: ast.Module, module: str, names: dict[str, str]) -> None:
        """Write what one module has for users."""
        private = is_private(module)

        def public(name: str) -> str:
            if name.startswith("_"):
                return ""
            plain = "" if private else f"{module}.{name}"
            return names.get(name) or (f"{names['*']}.{name}" if "*" in names else plain)

        for name, written, said in told(tree, module, public):
            if (written or said) and name not in self.told:
                self.told.add(name)
                self.room -= say(**about, name=name, signature=written, text=said[:MOST_DOCUMENTATION])


Wanted = dict[str, dict[str, str]]
"""By module the names that others give to users, and what they are called there; `*` for all."""


def pass_on(tree: ast.Module, module: str, wanted: Wanted, *, package: bool) -> list[str]:
    """Private modules that this one takes names from for its users; noted in `wanted`."""
    found: list[str] = []
    mine, private = wanted[module], is_private(module)
    for source, name, here in imported(tree, module, package=package):
        known = mine.get(here) or (f"{mine['*']}.{here}" if "*" in mine else "")
        known = known or ("" if private else f"{module}.{here}")
        if not known or not is_private(source) or here.startswith("_"):
            continue
        if name not in wanted.setdefault(source, {}):
            wanted[source][name] = module if name == "*" else known
            found.append(source)
    return found


def syntax(file: str) -> ast.Module | None:
    """The syntax tree of a file; None for what cannot be parsed."""
    try:
        return ast.parse(text_of(file))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def main(file: str) -> None:
    """Write what the wanted packages say, those with the least code first, and which were not read."""
    with open(file, encoding="utf-8") as stream:
        job = json.load(stream)
    found = packages(job["site"])
    wanted = same_name(job["package"])
    if wanted:
        module = job["package"].split(".")[0]
        found = [one for one in found if same_name(one.name) == wanted] or [
            one for one in found if module in one.modules
        ]
    reading = Reading(job["seconds"], job["characters"])
    left = [one.name for one in sorted(found, key=lambda one: (one.size, one.name)) if not reading.read(one)]
    say(done=True, packages=len(found), left=left)


if __name__ == "__main__":
    main(sys.argv[1])
