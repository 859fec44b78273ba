"""Plain CPython, unconfined: what each technique does where nothing holds it. Run as a program, told by its input.

Each script is executed in a process of its own, forked, which has two seconds.
"""

import json
import os
import signal
import sys
from typing import Any


def perform(text: str) -> str:
    """What a script gives, or how it failed, as text."""
    space: dict[str, Any] = {"__name__": "__main__"}
    try:
        exec(compile(text, "script.py", "exec"), space)
        asked = space["main"]()
        try:
            while True:
                asked.send(None)
        except StopIteration as end:
            return repr(end.value)
    except BaseException as error:
        return f"{type(error).__name__}: {error}"


def apart(text: str, out: str) -> None:
    """Perform it in a process of its own, and write what it gave into a file."""
    child = os.fork()
    if child == 0:
        signal.alarm(2)
        os.setpgid(0, 0)
        with open(out, "w") as file:
            os.dup2(file.fileno(), 1)
            gave = perform(text)
            file.write(gave)
            file.flush()
        os._exit(0)
    os.waitpid(child, 0)


def main() -> None:
    """Perform what is asked for: a list of texts, and for each a file to write into."""
    for text, out in json.load(sys.stdin):
        apart(text, out)


if __name__ == "__main__":
    main()
