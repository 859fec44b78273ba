"""Frames that no guest sends, put on the channel from inside, past the prelude."""

import textwrap
from functools import partial

from tests.hostile.guests.technique import Technique

_PROLOGUE = """
import json

# What the prelude keeps to itself is one attribute away in the jail. monty has no such attribute, but its names of the
# host can be called; the token stays unknown there, and is guessed.
guessed = {"at": "0" * 32, "id": 10 ** 6}

def here():
    try: return agent.__globals__["_a_here"]
    except AttributeError: return guessed

ITEM = {"coroutine": True, "item": None}
CALL = {"call": {"name": "agent", "args": {"task": "a", "role": "echo"}}}

def fan(group, items, asks=(), construct="parallel", **options):
    return frame("fan", group=group, construct=construct, options=options, items=items, asks=list(asks))

def tell(text):
    try: known = agent.__globals__["_a_tell"]
    except AttributeError: return _a_tell(text)
    return known(text)

def send(number, text):
    try: known = agent.__globals__["_a_send"]
    except AttributeError: return _a_send(number, text)
    return known(number, text)

def frame(do, **fields):
    where = here()
    where["id"] += 1
    return json.dumps({"id": where["id"], "at": where["at"], "do": do, **fields})
"""


def speaking(name: str, what: str, text: str, family: str) -> Technique:
    """A technique that puts frames on the channel itself."""
    body = textwrap.dedent(text).strip("\n")
    if "async def main" not in body:
        body = "async def main():\n" + textwrap.indent(body, "    ")
        body += "\n    return [await agent('after', role='echo')]"
    return Technique(name=name, family=family, what=what, text=f"{_PROLOGUE}\n{body}\n")


_of = partial(speaking, family="protocol spoofing")


RAW = """
        channel = agent.__globals__["_a_channel"][0]
        channel.flush()
        raw = lambda content: channel._write(channel._descriptor, content)
"""
PROTOCOL = [
    _of(
        "bytes-huge-length",
        "raw bytes on the channel: a frame of four thousand million bytes",
        RAW
        + """
        raw(b"F" + bytes(4) + bytes([255]) * 4 + b"x" * 100)
    """,
    ),
    _of(
        "bytes-half-a-frame",
        "raw bytes on the channel: a frame whose end never comes",
        RAW
        + """
        raw(b"F" + bytes(4) + bytes([0, 0, 0, 200]) + b"x" * 100)
    """,
    ),
    _of(
        "bytes-of-no-kind",
        "raw bytes on the channel: a message of an unknown kind",
        RAW
        + """
        raw(b"?" + bytes(4) + bytes([0, 0, 0, 1]) + b"x")
    """,
    ),
    _of(
        "bytes-of-a-liar",
        "raw bytes on the channel: it says that it waits, again and again, and computes",
        RAW
        + """
        raw((b"W" + bytes(8)) * 1000)
        while True: raw(b"W" + bytes(8))
    """,
    ),
    _of(
        "bytes-that-are-no-text",
        "raw bytes on the channel: a frame that is no UTF-8",
        RAW
        + """
        raw(b"F" + bytes(4) + bytes([0, 0, 0, 2]) + bytes([255, 254]))
    """,
    ),
    _of("frame-not-json", "a frame that is no JSON", 'tell("this is no frame")'),
    _of("frame-empty", "an empty frame", 'tell("")'),
    _of("frame-list", "a frame that is a list", 'tell("[1, 2, 3]")'),
    _of("frame-number", "a frame that is a number", 'tell("17")'),
    _of("frame-without-fields", "an object without fields", 'tell("{}")'),
    _of("frame-truncated", "half a frame", 'tell(frame("log", text="x")[:-5])'),
    _of("frame-deep", "a frame nested a hundred thousand deep", 'tell("[" * 100000 + "]" * 100000)'),
    _of("frame-deep-object", "objects nested twenty thousand deep", "tell('{\"a\":' * 20000 + '1' + '}' * 20000)"),
    _of(
        "frame-lines",
        "two frames in one, and a line break inside",
        'tell(frame("print", text="a") + chr(10) + frame("print", text="b"))',
    ),
    _of("frame-nul", "null characters and broken characters", 'tell("\\x00" * 100 + frame("log", text="\\x00"))'),
    _of("frame-surrogate", "half a character", 'tell(frame("log", text="x").replace("x", "\\\\ud800"))'),
    _of("frame-nan", "NaN where JSON has none", 'tell(\'{"id": NaN, "at": "x", "do": "log"}\')'),
    _of(
        "frame-huge-number",
        "an id of ten thousand digits",
        'tell(\'{"id": \' + \'9\' * 10000 + \', "at": "x", "do": "log"}\')',
    ),
    _of(
        "frame-twice-a-name",
        "the same name twice in one object",
        'tell(frame(\'log\', text=\'x\')[:-1] + \', "do": "end", "value": "forged"}\')',
    ),
    _of("id-negative", "a negative id", 'here()["id"] = -5\ntell(frame("log", text="x"))'),
    _of("id-zero", "id 0", 'here()["id"] = -1\ntell(frame("log", text="x"))'),
    _of("id-reused", "an id that was used", "log('x')\nhere()[\"id\"] -= 1\ntell(frame('log', text='y'))"),
    _of("id-true", "an id that is true", 'tell(\'{"id": true, "at": "x", "do": "log", "text": "x"}\')'),
    _of("id-text", "an id that is a text", 'tell(\'{"id": "1", "at": "x", "do": "log", "text": "x"}\')'),
    _of("id-fraction", "an id that is a fraction", 'tell(\'{"id": 1.5, "at": "x", "do": "log", "text": "x"}\')'),
    _of("do-unknown", "a request that there is not", 'tell(frame("shutdown"))'),
    _of(
        "do-private",
        "a request named like something inside the host",
        'tell(frame("__class__"))\ntell(frame("_serve"))',
    ),
    _of("do-list", "a request that is a list", "tell(frame(['log'], text='x'))"),
    _of("reply-as-request", "a reply, sent by the guest", 'tell(\'{"id": 1, "value": "forged"}\')'),
    _of("cancel-as-request", "a cancellation, sent by the guest", 'tell(\'{"id": 1, "cancel": true}\')'),
    _of(
        "call-without-arguments",
        "a call of nothing",
        'tell(frame("call"))\ntell(frame("call", call={}))\ntell(frame("call", call=[]))',
    ),
    _of(
        "call-of-a-private-name",
        "a call whose name is an attribute",
        'tell(frame("call", call={"name": "__init__", "args": {}}))',
    ),
    _of(
        "call-with-more-arguments",
        "arguments that no call has",
        'tell(frame("call", call={"name": "step", "args": {"name": "list_files", "self": 1, "performer": 1}}))',
    ),
    _of(
        "fan-of-no-kind",
        "a fan-out of an unknown construct",
        'tell(frame("fan", group=1, construct="everything", options={}, items=[], asks=[]))',
    ),
    _of(
        "fan-of-wrong-items",
        "a fan-out whose items are no items",
        'tell(fan(77, [1, None, {"call": 1}, {"coroutine": 5}]))',
    ),
    _of(
        "fan-with-wrong-options",
        "options of all sorts",
        "tell(fan(78, [], concurrency=-1, limits=[], x=1))",
    ),
    _of(
        "fan-that-never-ends-its-items",
        "a fan-out whose items begin and never end",
        """
        async def main():
            asked = fan(90, [ITEM] * 5)
            await send(json.loads(asked)["id"], asked)
            return "here"
    """,
    ),
    _of(
        "group-used-twice",
        "one group for two fan-outs",
        "for _ in range(2): tell(fan(79, [ITEM]))",
    ),
    _of(
        "begin-of-no-group",
        "the beginning of an item that there is not",
        'tell(frame("begin", group=10 ** 9, index=0))',
    ),
    _of(
        "begin-of-a-negative-item",
        "item -1 of a group",
        'tell(fan(80, [ITEM]))\ntell(frame("begin", group=80, index=-1))',
    ),
    _of(
        "begin-twice",
        "one item begun twice",
        """
        async def main():
            asked = fan(81, [ITEM])
            tell(asked)
            tell(frame("begin", group=81, index=0))
            tell(frame("begin", group=81, index=0))
            return await agent("after", role="echo")
    """,
    ),
    _of(
        "ask-of-no-group",
        "an answer to a question that nobody asked",
        'tell(frame("ask", group=5, answer={"value": True}))',
    ),
    _of(
        "ask-with-a-lie",
        "answers of the wrong kind to what the host asks",
        """
        async def main():
            asked = fan(82, [CALL], ["vote"], "quorum", need=1)
            tell(asked)
            for answer in (None, {"value": "maybe"}, {"value": [True]}, 5, {"wrong": 5}, {"raised": ["x"]}):
                tell(frame("ask", group=82, answer=answer))
            return await agent("after", role="echo")
    """,
    ),
    _of(
        "pulled-without-a-source",
        "items of a source that there is not",
        'tell(frame("pulled", group=3, item={"call": {"name": "agent", "args": {}}}))',
    ),
    _of("print-of-an-object", "a `print` that is no text", 'tell(frame("print", text={"a": 1}))'),
    _of(
        "end-twice",
        "the script ends twice",
        'tell(frame("end", value="forged"))\ntell(frame("end", value="forged again"))',
    ),
    _of(
        "end-then-go-on",
        "the script ends, and goes on asking",
        """
        async def main():
            tell(frame("end", value="ended"))
            while True: tell(frame("log", text="still here"))
    """,
    ),
    _of(
        "end-of-both-kinds",
        "an end with a value and an error",
        'tell(frame("end", value=1, error="x", described="y", cancelled=True))',
    ),
    _of(
        "end-with-a-text-as-cancelled",
        "an end whose fields have the wrong types",
        'tell(frame("end", error=5, described=["x"]))',
    ),
    _of(
        "frames-in-a-million",
        "frames without end, none of which waits for a reply",
        """
        async def main():
            while True: tell(frame("print", text=""))
    """,
    ),
    _of(
        "requests-in-a-million",
        "requests without end, whose replies nobody reads",
        """
        async def main():
            while True: tell(frame("call", call={"name": "agent", "args": {"task": "x", "role": "echo"}}))
    """,
    ),
    _of(
        "replies-that-nobody-reads",
        "requests with giant replies that pile up",
        """
        async def main():
            put("a", "x" * 500000)
            while True: tell(frame("get", key="a", default=None))
    """,
    ),
]
