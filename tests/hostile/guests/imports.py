"""Every door to a module: statements, functions, loaders, hooks, and modules that run what they are told."""

from functools import partial

from tests.hostile.guests.technique import Technique

_of = partial(Technique, family="imports")

IMPORTS = [
    _of(name="import-os", what="`import os`", does="runs", text="import os\nreturn os.system('touch ' + MARK)"),
    _of(
        name="dunder-import",
        what="`__import__`, with its name in pieces",
        does="runs",
        text="return __import__('sub' + 'process').call(['touch', MARK])",
    ),
    _of(
        name="importlib-import-module",
        what="`importlib.import_module`",
        does="runs",
        text="import importlib\nreturn importlib.import_module('os').system('touch ' + MARK)",
    ),
    _of(
        name="builtins-dictionary",
        what="`__builtins__['__import__']`",
        does="runs",
        text="""
        space = __builtins__ if isinstance(__builtins__, dict) else vars(__builtins__)
        return space["__import__"]("os").system("touch " + MARK)
        """,
    ),
    _of(
        name="pkgutil-resolve-name",
        what="`pkgutil.resolve_name('os:system')`",
        does="runs",
        text="import pkgutil\nreturn pkgutil.resolve_name('os:system')('touch ' + MARK)",
    ),
    _of(
        name="runpy-path",
        what="`runpy.run_path` executes a planted file",
        does="runs",
        text="import runpy\nreturn str(runpy.run_path(PLANTED))[:10]",
    ),
    _of(
        name="source-file-loader",
        what="`SourceFileLoader`, reached through `zipimport`",
        does="runs",
        text="import zipimport\nreturn str(zipimport._bootstrap_external.SourceFileLoader('x', PLANTED).load_module())",
    ),
    _of(
        name="spec-from-location",
        what="`importlib.util.spec_from_file_location`",
        does="runs",
        text="""
        import importlib.util
        spec = importlib.util.spec_from_file_location("x", PLANTED)
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
        """,
    ),
    _of(
        name="path-of-the-attacker",
        what="a folder of one's own in front of `sys.path`",
        does="runs",
        text="import sys\nsys.path.insert(0, FOLDER)\nimport planted",
    ),
    _of(
        name="meta-path-hook",
        what="an import hook in `sys.meta_path` that answers every name",
        does="reads",
        text="""
        import sys
        class Hook:
            def find_spec(self, name, path=None, target=None):
                sys.modules[name] = sys
                raise ImportError(__import__("io").open(CANARY).read())
        sys.meta_path.insert(0, Hook())
        import nothing_of_this_name
        """,
    ),
    _of(
        name="sys-modules",
        what="`sys.modules['os']`: loaded already",
        does="tells",
        text="import sys\nreturn dict(sys.modules['os'].environ)",
    ),
    _of(
        name="codecs-open", what="`codecs.open`", does="reads", text="import codecs\nreturn codecs.open(CANARY).read()"
    ),
    _of(
        name="io-fileio",
        what="`io.FileIO` and `io.open_code`",
        does="reads",
        text="import io\nreturn io.FileIO(CANARY).read().decode() + io.open_code(CANARY).read().decode()",
    ),
    _of(name="plain-open", what="`open`", does="writes", text="return open(FOLDER + '/written', 'w').write('x')"),
    _of(
        name="pathlib-read",
        what="`pathlib.Path.read_text`: a pure module that is not pure",
        does="reads",
        text="import pathlib\nreturn pathlib.Path(CANARY).read_text()",
    ),
    _of(
        name="linecache",
        what="`linecache`, `fileinput`: readers of source",
        does="reads",
        text="import linecache, fileinput\nreturn linecache.getlines(CANARY) + list(fileinput.input([CANARY]))",
    ),
    _of(
        name="site-import",
        what="`site` brings `os` along",
        does="tells",
        text="import site\nreturn dict(site.os.environ)",
    ),
    _of(
        name="ctypes-system",
        what="`ctypes` calls `system` of the C library",
        does="runs",
        text="import ctypes\nreturn ctypes.CDLL(None).system(('touch ' + MARK).encode())",
    ),
    _of(
        name="posix-builtin",
        what="`posix`: built into the interpreter, no file is needed",
        does="reads",
        text="import posix\nreturn posix.read(posix.open(CANARY, posix.O_RDONLY), 100)",
    ),
    _of(
        name="imp-create-builtin",
        what="`_imp.create_builtin` with a specification of one's own",
        does="reads",
        text="""
        import _imp
        class Spec: name = "posix"
        posix = _imp.create_builtin(Spec)
        _imp.exec_builtin(posix)
        return posix.read(posix.open(CANARY, posix.O_RDONLY), 100)
        """,
    ),
    _of(
        name="mmap",
        what="`mmap` over a file",
        does="reads",
        text="""
        import mmap, os
        return bytes(mmap.mmap(os.open(CANARY, os.O_RDONLY), 0, prot=mmap.PROT_READ))
        """,
    ),
    _of(
        name="timeit-string",
        what="`timeit` executes a text",
        does="runs",
        text="""
        import timeit
        return timeit.timeit("__import__('os').system('touch ' + m)", number=1, globals={"m": MARK})
        """,
    ),
    _of(
        name="code-interpreter",
        what="`code.InteractiveInterpreter` is an interpreter inside",
        does="runs",
        text="""
        import code
        return code.InteractiveInterpreter({"m": MARK}).runsource("import os; os.system('touch ' + m)")
        """,
    ),
    _of(
        name="pydoc-pager",
        what="`pydoc` pipes into a program",
        does="runs",
        text="import pydoc\npydoc.pipepager('', 'touch ' + MARK)",
    ),
    _of(
        name="trace-run",
        what="`trace` and `bdb` run texts in `__main__`",
        does="runs",
        text="import bdb\nreturn bdb.Bdb().run('import os; os.system(\"touch ' + MARK + '\")')",
    ),
    _of(
        name="exec-with-own-builtins",
        what="`exec` with a namespace that asks for new builtins",
        does="runs",
        text="exec(\"import os; os.system('touch ' + m)\", {'m': MARK})",
    ),
    _of(
        name="eval-of-a-compile",
        what="`eval(compile(...))` under another file name",
        does="runs",
        text="return eval(compile(\"__import__('os').system('touch ' + MARK)\", '<frozen os>', 'eval'))",
    ),
    _of(
        name="star-of-builtins",
        what="`from builtins import *` over what was taken away",
        does="reads",
        text="""
        from builtins import *
        from builtins import open as again

        def attack():
            return again(CANARY).read()
        """,
    ),
    _of(
        name="host-packages",
        what="the host's own modules by name",
        text="""
        import antiphon.engine.errors, antiphon.subagents.process
        return str(antiphon.subagents.process)
        """,
    ),
    _of(
        name="script-api-star",
        what="`from antiphon.workflows.script import` a name that is no part of the script API",
        text="""
        from antiphon.workflows.script import os

        async def main():
            return os.system("touch " + MARK)
        """,
    ),
    _of(
        name="extension-file-loader",
        what="`ExtensionFileLoader` maps a shared object",
        text="""
        import importlib.machinery
        spec = importlib.machinery.ModuleSpec("x", None, origin="/proc/self/exe")
        return str(importlib.machinery.ExtensionFileLoader("x", "/proc/self/exe").create_module(spec))
        """,
    ),
]
