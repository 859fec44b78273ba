"""What uses up memory, processor, stack or patience."""

from functools import partial

from tests.hostile.guests.technique import Technique

_of = partial(Technique, family="bombs")

BOMBS = [
    _of(name="memory-list", what="a list of a thousand million", text="return len([0] * 10 ** 9)"),
    _of(name="memory-bytes", what="ten thousand million bytes at once", text="return len(bytes(10 ** 10))"),
    _of(
        name="memory-doubling",
        what="a text that doubles",
        text="text = 'x'\nwhile True: text = text + text",
    ),
    _of(
        name="memory-small-pieces",
        what="small objects, one by one, each below every cap",
        text="held = []\nwhile True: held.append('x' * 1000 + str(len(held)))",
    ),
    _of(
        name="memory-nested-lists",
        what="lists that hold each other a hundred times each",
        text="held = []\nwhile True: held = [list(held), held, [1] * 10000]",
    ),
    _of(
        name="memory-swallowed",
        what="`except MemoryError` in a loop",
        text="""
        while True:
            try:
                held = []
                while True: held.append('x' * 10 ** 6 + str(len(held)))
            except MemoryError:
                pass
        """,
    ),
    _of(
        name="memory-padding",
        what="`str.ljust` and `replace` multiply",
        text="return len('ab'.ljust(10 ** 5).replace(' ', 'x' * 10 ** 5))",
    ),
    _of(
        name="memory-join",
        what="`join` and `*` of texts in a generator",
        text="return len(''.join('x' * 10 ** 6 for _ in range(10 ** 6)))",
    ),
    _of(
        name="memory-decompress",
        what="a few kilobytes that decompress to gigabytes",
        text="""
        import zlib
        packed = zlib.compress(bytes(20 * 10 ** 6))
        return len(b"".join(zlib.decompress(packed) for _ in range(200)))
        """,
    ),
    _of(
        name="memory-product",
        what="`itertools.product` made a list",
        text="import itertools\nreturn len(list(itertools.product(range(100), repeat=8)))",
    ),
    _of(name="bigint-power", what="`10 ** 10 ** 8`", text="return (10 ** 10 ** 8) % 7"),
    _of(name="bigint-shift", what="`1 << (1 << 33)`", text="return (1 << (1 << 33)) % 7"),
    _of(
        name="bigint-repeated",
        what="squares of squares, each allowed by itself",
        text="number = 3\nwhile True: number = number * number",
    ),
    _of(
        name="bigint-to-text",
        what="a number of five million digits as text",
        text="""
        import enum
        try: enum.sys.set_int_max_str_digits(0)
        except Exception: pass
        return len(str(1 << 2 * 10 ** 7))
        """,
    ),
    _of(
        name="text-to-bigint",
        what="a text of a million digits as number",
        text="return int('9' * 10 ** 6) % 7",
    ),
    _of(name="factorial", what="`math.factorial(10 ** 7)`", text="import math\nreturn math.factorial(10 ** 7) % 7"),
    _of(
        name="decimal-precision",
        what="a `Decimal` with ten million digits",
        text="""
        import decimal
        decimal.getcontext().prec = 10 ** 7
        return str(decimal.Decimal(2).sqrt())[:10]
        """,
    ),
    _of(
        name="regex-catastrophic",
        what="a regular expression that goes back and back",
        text="import re\nreturn bool(re.match(r'(a+)+$', 'a' * 60 + '!'))",
    ),
    _of(
        name="regex-backreference",
        what="the same with a back reference, which no automaton can do",
        text="import re\nreturn bool(re.match(r'(a*)*(a*)*\\\\1b', 'a' * 60))",
    ),
    _of(
        name="regex-compile",
        what="a regular expression whose repeats multiply",
        text="import re\nreturn bool(re.compile('(?:(?:(?:a{1,5000}){1,5000}){1,5000}){1,5000}').match('a' * 500))",
    ),
    _of(name="loop", what="`while True: pass`", text="while True: pass"),
    _of(
        name="loop-that-swallows",
        what="`while True` with a bare `except` inside and out",
        text="""
        while True:
            try:
                while True:
                    try: 1 / 0
                    except: pass
            except: pass
        """,
    ),
    _of(
        name="loop-in-c",
        what="an endless loop inside one function in C, where no signal is looked at",
        text="import itertools, collections\ncollections.deque(itertools.repeat(0), maxlen=0)",
    ),
    _of(name="loop-sum", what="`sum(range(10 ** 12))`", text="return sum(range(10 ** 12))"),
    _of(
        name="loop-all",
        what="`all` over an endless `iter`",
        text="return all(iter(int, 1)) or max(iter(lambda: 1, 2))",
    ),
    _of(
        name="loop-of-awaits",
        what="awaits of its own coroutine that never reach the host",
        text="""
        async def nothing(): return 1
        async def main():
            while True: await nothing()
        """,
    ),
    _of(
        name="loop-of-phases",
        what="short turns without end, each answered by the host",
        text="""
        async def main():
            while True: now()
        """,
    ),
    _of(
        name="sort-that-never-ends",
        what="a sort whose comparison computes",
        text="""
        def compute(one):
            while True: one = one + 1
        return sorted([3, 1, 2], key=compute)
        """,
    ),
    _of(
        name="recursion",
        what="recursion without end",
        text="""
        def down(): return down()
        return down()
        """,
    ),
    _of(
        name="recursion-limit",
        what="the recursion limit is raised first: a real stack overflow",
        text="""
        import enum
        enum.sys.setrecursionlimit(10 ** 9)
        def down(one): return down([one])
        return down(1)
        """,
    ),
    _of(
        name="recursion-in-c",
        what="`repr` and `==` of lists a hundred thousand deep",
        text="""
        one, two = [], []
        for _ in range(200000): one, two = [one], [two]
        return [one == two, len(repr(one))]
        """,
    ),
    _of(
        name="recursion-of-iterators",
        what="a chain of `filter` a million deep, which is freed",
        text="""
        made = iter([])
        for _ in range(500000): made = filter(None, made)
        return list(made)
        """,
    ),
    _of(
        name="compile-nested",
        what="`eval` of parentheses ten thousand deep",
        text="return eval('(' * 10000 + ')' * 10000)",
    ),
    _of(
        name="compile-long",
        what="`eval` of a sum of a hundred thousand terms",
        text="return eval('+'.join(['1'] * 100000))",
    ),
    _of(
        name="hash-collisions",
        what="keys that all have one hash",
        text="return len({number * (2 ** 61 - 1): 1 for number in range(200000)})",
    ),
    _of(
        name="deepcopy-bomb",
        what="`copy.deepcopy` of something that grows as it is copied",
        text="""
        import copy
        class Grows:
            def __deepcopy__(self, memo): return [copy.deepcopy(Grows(), memo)]
        return copy.deepcopy(Grows())
        """,
    ),
    _of(
        name="del-without-end",
        what="a `__del__` that makes the object anew",
        text="""
        class Again:
            def __del__(self): Again()
        Again()
        """,
    ),
]
