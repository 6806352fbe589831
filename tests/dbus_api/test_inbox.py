"""The queues of what has come: whole messages, in the order of each sender, and nobody keeps the others waiting."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from dbus_next import Message, MessageFlag
from dbus_next.signature import Variant
from hypothesis import given
from hypothesis import strategies as st

from jackd_router.dbus_api import inbox
from jackd_router.dbus_api.frames import sender_of, serial_of
from jackd_router.dbus_api.inbox import Inbox
from jackd_router.dbus_api.names import DBUS, DBUS_PATH
from tests.dbus_api.flood import with_header_field

SENDER = 7


def call(sender: str, serial: int, text: str = "x", *, flags: MessageFlag = MessageFlag.NONE) -> bytes:
    """Give a call as the bus hands it on."""
    body = [text, Variant("as", [text])]
    message = Message("a.b", "/a", "a.b", "C", flags=flags, signature="sv", body=body, serial=serial)
    return with_header_field(bytes(message._marshall()), SENDER, sender)


def left(name: str) -> bytes:
    """Give what the bus tells when a connection has left."""
    signal = Message.new_signal(DBUS_PATH, DBUS, "NameOwnerChanged", "sss", [name, name, ""])
    signal.serial = 1
    return with_header_field(bytes(signal._marshall()), SENDER, DBUS)


def taken(waiting: Inbox) -> Iterator[tuple[str, int]]:
    """Give sender and serial number of all that waits, in turn."""
    while (frame := waiting.take()) is not None:
        yield sender_of(frame).decode(), serial_of(frame)


def test_who_sends_much_has_one_turn_among_the_others() -> None:
    waiting = Inbox()
    assert not waiting.put(b"".join(call(":1.1", number + 1) for number in range(1_000)) + call(":1.2", 7) + call(":1.2", 8))
    assert list(taken(waiting))[:5] == [(":1.1", 1), (":1.2", 7), (":1.1", 2), (":1.2", 8), (":1.1", 3)]


@given(st.lists(st.tuples(st.sampled_from([":1.1", ":1.2", ":1.33"]), st.text("xé\n", max_size=40))), st.integers(1, 200))
def test_messages_in_pieces_come_whole_and_in_the_order_of_their_sender(sent: list[tuple[str, str]], piece: int) -> None:
    waiting = Inbox()
    stream = b"".join(call(sender, number + 1, text) for number, (sender, text) in enumerate(sent))
    for start in range(0, len(stream), piece):
        assert not waiting.put(stream[start : start + piece])
    came = list(taken(waiting))
    wanted = [(sender, number + 1) for number, (sender, _) in enumerate(sent)]
    assert sorted(came) == sorted(wanted)
    for one in {sender for sender, _ in sent}:
        assert [serial for sender, serial in came if sender == one] == [serial for sender, serial in wanted if sender == one]


def test_that_somebody_left_comes_after_what_he_sent() -> None:
    waiting = Inbox()
    calls = b"".join(call(":1.1", number) for number in (1, 2, 3, 4))
    waiting.put(calls + left(":1.1") + left(":1.2") + call(":1.3", 3))
    assert [serial for sender, serial in taken(waiting) if sender != ":1.3"] == [1, 1, 2, 3, 4, 1], "of :1.2, and last of :1.1"
    assert not waiting


def test_the_flood_of_somebody_who_has_left_nobody_means() -> None:
    waiting = Inbox()
    waiting.put(b"".join(call(":1.1", number) for number in range(1, inbox.MUCH + 500)) + left(":1.1"))
    came = list(taken(waiting))
    assert came == [*((":1.1", number) for number in range(1, inbox.MUCH + 1)), (DBUS, 1)]


def test_who_may_not_speak_now_has_his_turn_later() -> None:
    waiting = Inbox()
    waiting.put(call(":1.1", 1) + call(":1.2", 2) + call(":1.1", 3))
    frame = waiting.take(lambda sender: sender != b":1.1")
    assert frame
    assert serial_of(frame) == 2
    assert waiting.take(lambda sender: False) is None
    assert list(taken(waiting)) == [(":1.1", 1), (":1.1", 3)]


def test_where_all_together_send_too_much_each_has_a_share(monkeypatch: pytest.MonkeyPatch) -> None:
    large = {sender: call(sender, 1, "x" * 1_000) for sender in (":1.1", ":1.2", ":1.3")}
    size = len(large[":1.1"])
    monkeypatch.setattr(inbox, "MOST_OF_ALL_BYTES", 20 * size)
    monkeypatch.setattr(inbox, "SHARE_BYTES", 3 * size)
    waiting = Inbox()
    assert len(waiting.put(large[":1.1"] * 30)) == 10
    assert len(waiting.put(large[":1.2"] * 5 + large[":1.1"])) == 3
    for _ in range(23):
        assert waiting.take()
    assert not waiting
    assert not waiting.put(large[":1.3"] * 20), "there is room again"


def test_what_is_too_much_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    large = call(":1.1", 1, "x" * 1_000)
    monkeypatch.setattr(inbox, "MOST_WAITING_BYTES", 10 * len(large))
    waiting = Inbox()
    surplus = waiting.put(large * 12 + call(":1.2", 2))
    assert surplus == [large] * 2
    assert waiting.take() == large
    assert waiting.put(large * 2) == [large]
    assert not waiting.put(left(":1.1") + left(":1.3") * 100), "what the bus tells is never too much"
    answer = large[:1] + b"\x02" + large[2:]
    assert waiting.take_overflow()
    assert not waiting.put(answer)
    assert not waiting.take_overflow(), "nor is an answer"
    signal = large[:1] + b"\x04" + large[2:]
    assert not waiting.put(signal), "nobody waits for what becomes of a signal"
    assert waiting.take_overflow()
    assert list(taken(waiting)).count((":1.1", 1)) == 9 + 1 + 1, "the calls, the answer, and that he has left"
    assert not Inbox().put(call(":1.1", 1, "x" * 20_000)), "one message waits, however large"


def test_a_flood_is_much_of_which_nobody_waits_for_an_answer() -> None:
    unasked = b"".join(call(":1.1", number, flags=MessageFlag.NO_REPLY_EXPECTED) for number in range(1, inbox.MUCH + 1))
    waiting = Inbox()
    waiting.put(unasked)
    little = waiting.is_flooded()
    waiting.put(call(":1.1", 7))
    much = waiting.is_flooded()
    waiting.put(call(":1.2", 8))
    assert (little, much, waiting.is_flooded()) == (False, True, False), "somebody else waits at last"
    waiting.put(unasked.replace(b":1.1", b":1.2"))
    assert not waiting.is_flooded(), "his question is what is next of him"
    assert waiting.is_flooded(lambda sender: sender == b":1.3"), "who may not speak now does not count"
    asked = Inbox()
    asked.put(b"".join(call(":1.1", number + 1) for number in range(inbox.MUCH + 1)))
    assert not asked.is_flooded(), "one waits for each answer"
