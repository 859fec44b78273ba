"""Format strings that walk attributes, and texts that are code."""

from functools import partial

from tests.hostile.guests.technique import Technique

_of = partial(Technique, family="format strings")

FORMATS = [
    _of(
        name="format-environ",
        what="`str.format` walks attributes and items to `os.environ`",
        does="tells",
        text="""
        import warnings
        return "{0.__init__.__globals__[sys].modules[os].environ}".format(warnings.catch_warnings)
        """,
    ),
    _of(
        name="format-map-environ",
        what="the same by `format_map`",
        does="tells",
        text="""
        import warnings
        given = {"x": warnings.catch_warnings}
        return "{x.__init__.__globals__[sys].modules[os].environ}".format_map(given)
        """,
    ),
    _of(
        name="format-of-an-api-function",
        what="a format string over the functions that the host gave",
        text='return "{0.__globals__} {0.__builtins__} {0.__code__.co_filename}".format(agent)',
    ),
    _of(
        name="format-nested-field",
        what="the field's name comes out of a format specification",
        does="tells",
        text="""
        import warnings
        class Lying:
            def __format__(self, asked):
                return asked.format(warnings.catch_warnings)
        return f"{Lying():{'{0.__init__.__globals__[sys].modules[os].environ}'}}"
        """,
    ),
    _of(
        name="percent-mapping",
        what="`%` formatting asks a mapping of one's own",
        does="reads",
        text="""
        class Mapping(dict):
            def __missing__(self, name): return open(name).read()
        return ("%(" + CANARY + ")s") % Mapping()
        """,
    ),
    _of(
        name="format-width-bomb",
        what="a width of ten thousand million characters",
        text='return len(f"{1:>{10 ** 10}}")',
    ),
    _of(
        name="format-precision-bomb",
        what="a precision of two thousand million digits",
        text='return len("%.2000000000f" % 1.5)',
    ),
    _of(
        name="template-pattern",
        what="a `string.Template` subclass with a pattern that explodes",
        text="""
        import string
        class Template(string.Template):
            pattern = r"(?P<named>(a+)+$)|(?P<escaped>\\x00)|(?P<braced>\\x01)|(?P<invalid>\\x02)"
        return Template("a" * 40 + "!").safe_substitute()
        """,
    ),
]
