"""A conversation that outgrew its model: results are shortened, the oldest first, and say so; frames and task never."""

from antiphon.subagents.model.contract import Message, ToolCall
from antiphon.subagents.prompt import as_sent, estimated_tokens, shortened
from antiphon.subagents.prompt.overflow import HEAD_CHARACTERS, TAIL_CHARACTERS

LONG = "".join(f"line {number}\n" for number in range(2_000))


def conversation(turns: int, *, said: str = "I look.") -> list[Message]:
    """A prompt with a giant frame, then turns of one call of a tool each."""
    messages = [Message(role="system", text="be"), Message(role="user", text=LONG), Message(role="user", text="task")]
    for turn in range(turns):
        call = ToolCall(f"c{turn}", "read", "{}")
        messages.append(Message(role="assistant", text=said, calls=(call,)))
        messages.append(Message(role="tool", text=f"{turn} {LONG}", answers=call.id))
    return messages


def size(messages: list[Message] | tuple[Message, ...]) -> int:
    """By the measure that is the default."""
    return sum(map(estimated_tokens, messages))


def test_what_fits_is_left_alone() -> None:
    messages = conversation(2)
    found = shortened(messages, size(messages))
    assert found.messages == tuple(messages)
    assert (found.indexes, found.tokens, found.fits) == ((), size(messages), True)


def test_the_oldest_result_is_shortened_first_and_says_how_to_read_on() -> None:
    messages = conversation(5)
    found = shortened(messages, size(messages) - 1)
    assert found.fits
    assert found.indexes == (4, 6)
    text = found.messages[4].text
    assert text.startswith(messages[4].text[:HEAD_CHARACTERS])
    assert text.endswith(LONG[-TAIL_CHARACTERS:])
    gone = len(messages[4].text) - HEAD_CHARACTERS - TAIL_CHARACTERS
    assert f"[... {gone} characters of this result left out to make room; to read on, call read for less" in text
    assert found.messages[5:6] == tuple(messages[5:6])


def test_then_what_the_model_said_earlier_and_last_the_newest_result() -> None:
    messages = conversation(3, said=LONG)
    by_room = [shortened(messages, most).indexes for most in (size(messages) - 1, 40_000, 30_000, 20_000)]
    assert by_room == [(4, 6), (3, 4, 6), (3, 4, 5, 6), (3, 4, 5, 6, 8)]


def test_what_cannot_fit_says_so_and_frames_and_task_are_whole() -> None:
    messages = conversation(1)
    found = shortened(messages, 100)
    assert not found.fits
    assert found.tokens == size(found.messages) > 100
    assert found.messages[:3] == tuple(messages[:3])
    assert shortened(messages[:3], 1).messages == tuple(messages[:3])


def test_what_was_shortened_stays_so_and_what_was_sent_can_be_told_from_the_indexes() -> None:
    messages = conversation(4)
    found = shortened(messages, size(messages) - 1)
    roomy = shortened(messages, size(messages) * 2, already=found.indexes)
    assert roomy.messages == found.messages == as_sent(messages, found.indexes)
    assert shortened(found.messages, found.tokens).messages == found.messages
    everything = as_sent(messages, range(len(messages)))
    assert as_sent(everything, range(len(messages))) == everything


def test_indexes_that_make_no_sense_do_nothing() -> None:
    messages = conversation(1)
    assert shortened(messages, 10**9, already=[0, 1, 2, -1, 99]).messages == tuple(messages)


def test_a_tool_that_was_never_named_is_the_tool() -> None:
    messages = [Message(role="assistant", text=""), Message(role="tool", text=LONG, answers="x")]
    assert "call the tool for less" in shortened(messages, 10).messages[1].text
