"""Searches files for a regular expression, line by line: ``searcher.py JOB``, in a process that can be ended.

It imports nothing of antiphon's, so that it starts at once. For each file with matches it writes one object: its path,
how many lines match, and those that are wanted, as [number, text, whether it matches].
"""

from __future__ import annotations

import json
import os
import re
import stat
import sys
from typing import Any

MOST_FILE_BYTES = 8 << 20
MOST_CHARACTERS = 500
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW


def content_of(root: int, path: str) -> bytes | str:
    """A file's bytes, through no link; else why it is not searched."""
    *folders, name = path.split("/")
    descriptor = os.dup(root)
    try:
        for folder in folders:
            below = os.open(folder, FOLDER, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
        file = os.open(name, FILE, dir_fd=descriptor)
    except OSError:
        return "could not be read"
    finally:
        os.close(descriptor)
    with os.fdopen(file, "rb") as stream:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            return "could not be read"
        if status.st_size > MOST_FILE_BYTES:
            return f"larger than {MOST_FILE_BYTES >> 20} MiB"
        data = stream.read(MOST_FILE_BYTES)
    return "not text" if b"\0" in data[:8192] else data


def cut(line: str, found: re.Match[str] | None) -> str:
    """A line, or of a long one what is around its match."""
    line = line.rstrip("\r")
    if len(line) <= MOST_CHARACTERS:
        return line
    begin = max(0, (found.start() if found else 0) - MOST_CHARACTERS // 4)
    end = begin + MOST_CHARACTERS
    return f"{'…' if begin else ''}{line[begin:end]}{'…' if end < len(line) else ''}"


def search(regex: re.Pattern[str], data: bytes, context: int, wanted: range) -> tuple[int, list[list[Any]]]:
    """How many lines match, and those whose number among all matches is wanted, with the lines around them."""
    lines = data.decode("utf-8", "surrogateescape").split("\n")
    if not lines[-1]:
        lines.pop()
    shown: dict[int, list[Any]] = {}
    count = 0
    for number, line in enumerate(lines):
        found = regex.search(line)
        if not found:
            continue
        if count in wanted:
            for near in range(max(0, number - context), min(len(lines), number + context + 1)):
                shown.setdefault(near, [near + 1, cut(lines[near], None), False])
            shown[number] = [number + 1, cut(line, found), True]
        count += 1
    return count, [shown[number] for number in sorted(shown)]


def main(file: str) -> None:
    """Search, and write what is found at once, so that what came before an end by force is known."""
    with open(file, encoding="utf-8") as stream:
        job = json.load(stream)
    pattern = re.escape(job["pattern"]) if job["literal"] else job["pattern"]
    try:
        regex = re.compile(pattern, re.IGNORECASE if job["ignore_case"] else 0)
    except (re.error, OverflowError, RecursionError) as error:
        print(json.dumps({"wrong": str(error)}))
        return
    root = os.open(job["root"], FOLDER)
    first, last, most = job["offset"], job["offset"] + job["limit"], job["most"]
    exact = job["pattern"].encode("utf-8", "replace") if job["literal"] and not job["ignore_case"] else b""
    total = 0
    left_out: dict[str, int] = {}
    for path in job["files"]:
        data = content_of(root, path)
        if isinstance(data, str):
            left_out[data] = left_out.get(data, 0) + 1
            continue
        if exact not in data:
            continue
        wanted = range(max(0, first - total), max(0, last - total))
        count, lines = search(regex, data, job["context"], wanted)
        total += count
        if count:
            print(json.dumps({"path": path, "count": count, "lines": lines}), flush=True)
        if total >= most:
            break
    print(json.dumps({"done": True, "left_out": left_out}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
