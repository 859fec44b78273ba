"""The modules of the standard library that a script in the jail can import: those that only compute."""

from typing import Final

MODULES: Final = (
    *("__future__", "abc", "array", "ast", "base64", "binascii", "bisect", "calendar", "cmath", "collections"),
    *("collections.abc", "colorsys", "contextlib", "copy", "csv", "dataclasses", "datetime", "decimal", "difflib"),
    *("enum", "fnmatch", "fractions", "functools", "graphlib", "hashlib", "heapq", "hmac", "html", "html.entities"),
    *("ipaddress", "itertools", "json", "keyword", "math", "numbers", "operator", "pathlib", "posixpath", "pprint"),
    *("random", "re", "reprlib", "shlex", "statistics", "string", "struct", "textwrap", "time", "tomllib", "types"),
    *("typing", "unicodedata", "urllib", "urllib.parse", "uuid", "warnings", "weakref", "zlib"),
)
"""Loaded before the first script is, and nothing can be loaded after. Clocks and randomness in them are fixed."""
LAZILY: Final = (
    *("_strptime", "_pylong", "copyreg", "locale", "atexit", "inspect", "io", "builtins", "linecache"),
    *("_md5", "_sha1", "_sha2", "_sha256", "_sha512", "_sha3", "_blake2"),
    *("encodings.ascii", "encodings.latin_1", "encodings.cp1252", "encodings.idna", "stringprep"),
    *("encodings.utf_8_sig", "encodings.utf_16", "encodings.utf_16_le", "encodings.utf_16_be", "encodings.utf_32"),
    *("encodings.unicode_escape", "encodings.raw_unicode_escape"),
)
"""What those import only when they need it, as far as this version of Python has it."""
