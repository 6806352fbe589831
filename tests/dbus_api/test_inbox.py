"""The queues of what has come: whole messages, in the order of each sender, and nobody keeps the others waiting."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from dbus_next import Message, MessageFlag, MessageType
from dbus_next.signature import Variant
from hypothesis import given
from hypothesis import strategies as st

from jackd_router.dbus_api import inbox
from jackd_router.dbus_api.inbox import Inbox, is_call, sender_of, serial_of, wants_reply
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
    while waiting:
        frame = waiting.take()
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
    waiting.put(call(":1.1", 1) + call(":1.1", 2) + left(":1.1") + left(":1.2") + call(":1.3", 3))
    assert list(taken(waiting)) == [(":1.1", 1), (DBUS, 1), (":1.3", 3), (":1.1", 2), (DBUS, 1)]


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
    assert waiting.put(large[:1] + b"\x04" + large[2:] + answer) == [large[:1] + b"\x04" + large[2:]], "signals, not answers"
    assert not wants_reply(answer)
    assert not Inbox().put(call(":1.1", 1, "x" * 20_000)), "one message waits, however large"


def test_what_a_header_says() -> None:
    silent = call(":1.99", 2**32 - 1, flags=MessageFlag.NO_REPLY_EXPECTED)
    assert (sender_of(silent), serial_of(silent), wants_reply(silent), is_call(silent)) == (b":1.99", 2**32 - 1, False, True)
    assert wants_reply(call(":1.99", 1))
    nobody = bytes(Message(path="/", interface="a.b", member="C", message_type=MessageType.SIGNAL, serial=9)._marshall())
    assert (sender_of(nobody), is_call(nobody)) == (b"", False)
    head, path = bytes.fromhex("42010001 00000000 00000005 0000001a"), bytes.fromhex("01016f00 00000001") + b"/\0"
    big_endian = head + bytes.fromhex("07017300 00000004") + b":1.5" + bytes(4) + path + bytes(6)
    assert (sender_of(big_endian), serial_of(big_endian)) == (b":1.5", 5)


def test_nobody_speaks_for_another() -> None:
    """The bus writes the sender last; what looks like it stands in a field that nobody knows, or in the body."""
    pretended = "\x07\x01s"
    with_field = bytes(Message("a.b", "/a", "a.b", "C", serial=1)._marshall())
    for _ in range(8):  # so that one of them begins where a field may begin
        with_field, pretended = with_header_field(with_field, 37, pretended), f"x{pretended}"
    assert sender_of(with_header_field(with_field, SENDER, ":1.2")) == b":1.2"
    assert sender_of(call(":1.2", 1, "xxxx\x07\x01s")) == b":1.2"


def test_a_flood_is_much_of_which_nobody_waits_for_an_answer() -> None:
    unasked = b"".join(call(":1.1", number, flags=MessageFlag.NO_REPLY_EXPECTED) for number in range(1, inbox.MUCH + 1))
    waiting = Inbox()
    waiting.put(unasked)
    little = waiting.is_flooded
    waiting.put(call(":1.1", 7))
    much = waiting.is_flooded
    waiting.put(call(":1.2", 8))
    assert (little, much, waiting.is_flooded) == (False, True, False), "somebody else waits at last"
    waiting.put(unasked.replace(b":1.1", b":1.2"))
    assert not waiting.is_flooded, "his question is what is next of him"
    asked = Inbox()
    asked.put(b"".join(call(":1.1", number + 1) for number in range(inbox.MUCH + 1)))
    assert not asked.is_flooded, "one waits for each answer"
