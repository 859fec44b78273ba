"""From any object to everything: attributes, classes, closures."""

from functools import partial

from tests.hostile.guests.technique import Technique

_of = partial(Technique, family="attribute walks")

WALKS = [
    _of(
        name="subclasses-to-system",
        what="the class `os._wrap_close`, found among all classes, knows `system`",
        does="runs",
        text="""
        for kind in ().__class__.__base__.__subclasses__():
            if kind.__name__ == "_wrap_close":
                return kind.__init__.__globals__["system"]("touch " + MARK)
        raise LookupError("no such class")
        """,
    ),
    _of(
        name="mro-to-builtin-importer",
        what="`BuiltinImporter`, found among all classes, makes `posix` anew",
        does="reads",
        text="""
        for kind in "".__class__.__mro__[-1].__subclasses__():
            if kind.__name__ == "BuiltinImporter":
                posix = kind.load_module("posix")
                return posix.read(posix.open(CANARY, posix.O_RDONLY), 100)
        """,
    ),
    _of(
        name="unbound-subclasses",
        what="`type.__subclasses__(object)`: the method of the metaclass, called unbound",
        does="reads",
        text="""
        kinds = {kind.__name__: kind for kind in type.__subclasses__(object)}
        return kinds["BuiltinImporter"].load_module("_io").open(CANARY).read()
        """,
    ),
    _of(
        name="metaclass-dictionary",
        what="`vars(type)['__sub' + 'classes__']`: no forbidden name is written anywhere",
        does="reads",
        text="""
        name = "__sub" + "classes__"
        kinds = {kind.__name__: kind for kind in vars(type)[name](object)}
        return kinds["BuiltinImporter"].load_module("_io").open(CANARY).read()
        """,
    ),
    _of(
        name="getattribute-unbound",
        what="`object.__getattribute__` and `type.__getattribute__`, called by hand",
        does="reads",
        text="""
        kinds = type.__getattribute__(object, "__subclasses__")()
        found = [kind for kind in kinds if kind.__name__ == "BuiltinImporter"]
        return found[0].load_module("_io").open(CANARY).read()
        """,
    ),
    _of(
        name="super-getattribute",
        what="`super()` looks attributes up past what a class hides",
        does="reads",
        text="""
        class Walk:
            def up(self):
                return super().__getattribute__("__class__").__base__
        kinds = Walk().up().__subclasses__()
        found = [kind for kind in kinds if kind.__name__ == "BuiltinImporter"]
        return found[0].load_module("_io").open(CANARY).read()
        """,
    ),
    _of(
        name="attrgetter-path",
        what="`operator.attrgetter` walks a dotted path that is only a text",
        does="reads",
        text="""
        import operator
        kinds = operator.attrgetter("__class__.__base__.__subclasses__")(())()
        found = [kind for kind in kinds if kind.__name__ == "BuiltinImporter"]
        return operator.methodcaller("load_module", "_io")(found[0]).open(CANARY).read()
        """,
    ),
    _of(
        name="reduce-getattr",
        what="`functools.reduce(getattr, [...])` over names made of pieces",
        does="reads",
        text="""
        import functools
        path = ["__" + part + "__" for part in ("class", "base", "subclasses")]
        kinds = functools.reduce(getattr, path, ())()
        return [k for k in kinds if k.__name__ == "BuiltinImporter"][0].load_module("_io").open(CANARY).read()
        """,
    ),
    _of(
        name="class-pattern",
        what="a `match` class pattern reads attributes without a dot",
        does="reads",
        text="""
        match ():
            case object(__class__=kind):
                pass
        match kind:
            case object(__base__=base):
                pass
        match base:
            case object(__subclasses__=below):
                pass
        return [k for k in below() if k.__name__ == "BuiltinImporter"][0].load_module("_io").open(CANARY).read()
        """,
    ),
    _of(
        name="function-globals",
        what="`__globals__` of a function, to `__builtins__` and `open`",
        does="reads",
        text="""
        known = (lambda: None).__globals__["__builtins__"]
        return (known["open"] if isinstance(known, dict) else known.open)(CANARY).read()
        """,
    ),
    _of(
        name="function-builtins",
        what="`__builtins__` of a function of the standard library",
        does="reads",
        text="""
        import json
        return json.dumps.__builtins__["open"](CANARY).read()
        """,
    ),
    _of(
        name="builtin-self",
        what="`print.__self__` is the module `builtins`",
        does="reads",
        text="return print.__self__.open(CANARY).read()",
    ),
    _of(
        name="builtin-self-import",
        what="`len.__self__.__import__('os')`",
        does="runs",
        text="return len.__self__.__import__('os').system('touch ' + MARK)",
    ),
    _of(
        name="module-of-a-warning",
        what="`warnings.catch_warnings` keeps `sys`, which keeps every module",
        does="tells",
        text="""
        import warnings
        modules = warnings.catch_warnings.__init__.__globals__["sys"].modules
        return dict(modules["os"].environ)
        """,
    ),
    _of(
        name="modules-of-modules",
        what="from every importable module through the modules it uses, until one has `environ` or `system`",
        does="tells",
        text="""
        import json, re, random, statistics, enum, dataclasses, typing, decimal, collections, functools
        seen, todo, told = set(), [json, re, random, statistics, enum, dataclasses, typing, decimal], []
        while todo and len(seen) < 400:
            module = todo.pop()
            if id(module) in seen: continue
            seen.add(id(module))
            for name, value in list(vars(module).items()):
                if type(value) is type(json): todo.append(value)
                if name == "environ": told.append(str(dict(value)))
        return told
        """,
    ),
    _of(
        name="importer-of-globals",
        what="`__loader__` and `__spec__` of a module: an importer that nobody imported",
        does="reads",
        text="""
        import json
        loaded = json.__spec__.loader
        get = type(loaded).get_data.__globals__["_io"]
        return get.open(CANARY).read()
        """,
    ),
    _of(
        name="site-printer",
        what="`license` prints whatever files it is told to",
        does="reads",
        text="""
        license._Printer__filenames = [CANARY]
        license._Printer__lines = None
        license._Printer__setup()
        return license._Printer__lines
        """,
    ),
    _of(
        name="api-closures",
        what="every closure, default and global of the script API, three deep, for anything that opens files",
        text="""
        import json
        seen, todo, told = set(), [agent, parallel, pipeline, branch, budget, log, phase, step], []
        while todo and len(seen) < 3000:
            here = todo.pop()
            if id(here) in seen: continue
            seen.add(id(here))
            for name in ("__globals__", "__closure__", "__defaults__", "__kwdefaults__", "__wrapped__", "__self__",
                         "__func__", "__dict__", "__builtins__"):
                value = getattr(here, name, None)
                if isinstance(value, dict): todo.extend(list(value.values()))
                elif isinstance(value, tuple): todo.extend(getattr(v, "cell_contents", v) for v in value)
                elif value is not None: todo.append(value)
        for found in todo + list(seen):
            if getattr(found, "__name__", "") == "open": told.append(found(CANARY).read())
        for name in ("open", "io", "os", "posix", "socket"):
            for here in (agent, parallel):
                value = here.__globals__.get(name) if hasattr(here, "__globals__") else None
                if value is not None: told.append(getattr(value, "open", value)(CANARY).read())
        return told
        """,
    ),
    _of(
        name="outcome-walk",
        what="from an `Outcome` of the host back to the code that made it",
        text="""
        async def main():
            outcome = await branch("one", agent("hello", role="echo"))
            space = type(outcome).__init__.__globals__
            return [str(space.get("CANARY")), space["__builtins__"]["open"](CANARY).read()]
        """,
    ),
    _of(
        name="forward-reference",
        what="`typing.get_type_hints` evaluates annotations that are texts",
        does="runs",
        text="""
        import typing
        class Hint: pass
        Hint.__annotations__ = {"x": "__import__('os').system('touch " + MARK + "')"}
        try: typing.get_type_hints(Hint)
        except TypeError: return "evaluated"
        """,
    ),
    _of(
        name="gc-objects",
        what="`gc.get_objects` lists everything the interpreter holds",
        does="tells",
        text="""
        for kind in object.__subclasses__():
            if kind.__name__ == "BuiltinImporter":
                gc = kind.load_module("gc")
        told = [str(o) for o in gc.get_objects() if isinstance(o, dict) and (NAME in o or NAME.encode() in o)]
        held = [str(dict(o)) for o in gc.get_objects() if type(o).__name__ == "_Environ"]
        return told + held
        """,
    ),
    _of(
        name="inspect-walk",
        what="`inspect` looks at callers and reads their source",
        does="reads",
        text="""
        import inspect
        return inspect.linecache.getlines(CANARY)
        """,
    ),
]
