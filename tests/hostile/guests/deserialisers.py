"""Data that is code: pickle and its like."""

from functools import partial

from tests.hostile.guests.technique import Technique

_of = partial(Technique, family="deserialisers")

DESERIALISERS = [
    _of(
        name="pickle-reduce",
        what="`pickle` calls what `__reduce__` names",
        does="runs",
        text="""
        import pickle
        class Bomb:
            def __reduce__(self): return (eval, ("__import__('os').system('touch " + MARK + "')",))
        return pickle.loads(pickle.dumps(Bomb()))
        """,
    ),
    _of(
        name="pickle-bytes",
        what="a pickle written by hand: `cposix\\nsystem`",
        does="runs",
        text='import pickle\nreturn pickle.loads(b"cposix\\nsystem\\n(S\'touch " + MARK.encode() + b"\'\\ntR.")',
    ),
    _of(
        name="c-pickle",
        what="`_pickle`, the same in C",
        does="runs",
        text='import _pickle\nreturn _pickle.loads(b"cposix\\nsystem\\n(S\'touch " + MARK.encode() + b"\'\\ntR.")',
    ),
    _of(
        name="marshal-code",
        what="`marshal` gives a code object, which a function runs",
        does="reads",
        text="""
        import marshal
        made = marshal.loads(marshal.dumps(compile("open(path).read()", "x", "eval")))
        return type(lambda: 0)(made, {"path": CANARY})()
        """,
    ),
    _of(
        name="marshal-crash",
        what="`marshal` of bytes that crash the interpreter",
        text="""
        for kind in object.__subclasses__():
            if kind.__name__ == "BuiltinImporter": marshal = kind.load_module("marshal")
        made = marshal.loads(marshal.dumps((lambda: None).__code__).replace(b"d\\x00", b"d\\xff"))
        return type(lambda: 0)(made, {})()
        """,
    ),
    _of(
        name="shelve-file",
        what="`shelve` opens a database file",
        does="writes",
        text="import shelve\nwith shelve.open(FOLDER + '/written') as held: held['a'] = 1",
    ),
    _of(
        name="sqlite-file",
        what="`sqlite3` opens a database file",
        does="writes",
        text="import sqlite3\nsqlite3.connect(FOLDER + '/written').execute('create table a (b)')",
    ),
    _of(
        name="yaml-unsafe",
        what="YAML with a Python tag",
        text='import yaml\nreturn yaml.unsafe_load("!!python/object/apply:os.system [\'touch " + MARK + "\']")',
    ),
    _of(
        name="copy-reduce",
        what="`copy.copy` calls what `__reduce_ex__` gives",
        does="runs",
        text="""
        import copy
        class Bomb:
            def __reduce_ex__(self, version): return (eval, ("__import__('os').system('touch " + MARK + "')",))
        return copy.copy(Bomb())
        """,
    ),
    _of(
        name="copyreg-table",
        what="`copyreg` says how another class is copied",
        does="runs",
        text="""
        import copyreg, copy
        class Plain: pass
        copyreg.pickle(Plain, lambda one: (eval, ("__import__('os').system('touch " + MARK + "')",)))
        return copy.deepcopy(Plain())
        """,
    ),
    _of(
        name="logging-dictionary",
        what="`logging.config` calls the factory that a dictionary names",
        does="runs",
        text="""
        import logging.config
        made = {"()": "os.system", "command": "touch " + MARK}
        try: logging.config.dictConfig({"version": 1, "filters": {"one": made}})
        except ValueError: return "configured"
        """,
    ),
    _of(
        name="json-object-hook",
        what="`json` with an `object_hook` that works",
        does="reads",
        text="import json\nreturn json.loads('{\"a\": 1}', object_hook=lambda given: open(CANARY).read())",
    ),
    _of(
        name="archive-write",
        what="`zipfile` and `tarfile` write where they are told",
        does="writes",
        text="import zipfile\nzipfile.ZipFile(FOLDER + '/written', 'w').close()",
    ),
]
