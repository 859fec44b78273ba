"""What an interpreter offers by itself: `os`, `sys`, `pathlib`, `asyncio`, and names that only its host answers."""

from functools import partial

from tests.hostile.guests.kernel import REACH
from tests.hostile.guests.technique import Technique

_of = partial(Technique, family="the interpreter's own system")

SYSTEM = [
    _of(
        name="os-environ",
        what="`os.environ` and `os.getenv`",
        does="tells",
        text="import os\nreturn [str(os.getenv(NAME)), str(dict(os.environ))]",
    ),
    _of(
        name="path-write",
        what="`Path.write_text`",
        does="writes",
        text="import pathlib\nreturn pathlib.Path(FOLDER + '/written').write_text('x')",
    ),
    _of(
        name="path-touch",
        what="`Path.touch` and `Path.mkdir`",
        does="writes",
        text="import pathlib\npathlib.Path(FOLDER + '/made').mkdir()\nreturn pathlib.Path(FOLDER + '/written').touch()",
    ),
    _of(
        name="path-unlink",
        what="`Path.unlink` of the canary",
        does="writes",
        text="import pathlib\nreturn pathlib.Path(CANARY).unlink()",
    ),
    _of(
        name="path-rename",
        what="`Path.rename` of the canary",
        does="writes",
        text="import pathlib\nreturn str(pathlib.Path(CANARY).rename(FOLDER + '/written'))",
    ),
    _of(
        name="path-listing",
        what="`Path.iterdir`, `exists`, `stat`, `resolve`, `cwd`, `home`",
        text="""
        import pathlib
        told = []
        for look in (
            lambda: list(pathlib.Path(FOLDER).iterdir()), lambda: pathlib.Path(CANARY).exists() or 1 / 0,
            lambda: pathlib.Path(CANARY).stat(), lambda: pathlib.Path("/etc/passwd").read_bytes(),
        ):
            try: told.append("DONE " + str(look()))
            except Exception as error: told.append(type(error).__name__)
        return told
        """,
    ),
    _of(
        name="open-modes",
        what="`open` to append, to update, in binary, by descriptor",
        does="writes",
        text="""
        told = []
        for given in ((CANARY, "a"), (CANARY, "r+"), (CANARY, "wb"), (0, "r"), (1, "w"), (3, "rb")):
            try: told.append("DONE " + str(open(*given)))
            except Exception as error: told.append(type(error).__name__)
        return told
        """,
    ),
    _of(
        name="asyncio-sleep",
        what="`asyncio.sleep` for an hour",
        text="""
        import asyncio
        async def main():
            await asyncio.sleep(3600)
        """,
    ),
    _of(
        name="asyncio-gather",
        what="`asyncio.gather` of calls and coroutines, past the constructs",
        text="""
        import asyncio
        async def main():
            return await asyncio.gather(*[agent(str(n), role="echo") for n in range(5)])
        """,
    ),
    _of(
        name="asyncio-subprocess",
        what="`asyncio.create_subprocess_exec`",
        text="""
        import asyncio
        async def main():
            return str(await asyncio.create_subprocess_exec("touch", MARK))
        """,
    ),
    _of(
        name="names-of-the-host",
        what="calls of names that only the host could answer",
        text="""
        told = []
        for call in (
            lambda: _a_open(CANARY), lambda: read_file(CANARY), lambda: _host("exec", "touch " + MARK),
            lambda: _a_fork(),
        ):
            try: told.append("DONE " + str(call()))
            except Exception as error: told.append(type(error).__name__)
        return told
        """,
    ),
    _of(
        name="names-of-the-host-without-end",
        what="the same five thousand times",
        text="""
        for number in range(5000):
            try: _a_open(CANARY)
            except Exception: pass
        return "asked"
        """,
    ),
    _of(
        name="real-import",
        what="the interpreter's own `__import__`, from behind the guard, for extension modules",
        text=REACH
        + """
def attack():
    import json
    known, told = json.dumps.__builtins__, ["reached __import__"]
    for name in ("ctypes", "_socket", "_posixsubprocess", "mmap", "resource", "fcntl", "select", "asyncio"):
        try: told.append("gave " + str(known["__import__"](name)))
        except ImportError as error: told.append(name + ": refused")
        except OSError as error: told.append(name + ": refused " + str(error.errno))
    return told
""",
    ),
    _of(
        name="real-open",
        what="the interpreter's own `open`, from behind the guard",
        does="reads",
        text="""
        import json
        return json.dumps.__builtins__["open"](CANARY).read()
        """,
    ),
    _of(
        name="real-exec",
        what="the interpreter's own `exec`, from behind the guard, with real builtins",
        does="reads",
        text="""
        import json
        known, space = json.dumps.__builtins__, {"path": CANARY}
        known["exec"]("got = open(path).read()", space)
        return space["got"]
        """,
    ),
]
