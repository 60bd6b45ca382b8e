"""Which datagrams of a capture are a protocol's, in which direction, and what becomes of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from construct import Byte, Bytes, Struct
from tests.capture.conversation import CLIENT, Conversation

from iotsim import Follower, Protocol, Seen, this_device
from iotsim.protocol.device import StandIn
from iotsim.wire.address import parse_address

if TYPE_CHECKING:
    from iotsim.capture import Decoded

TWO_SIDED = Protocol(
    "two", Struct("asked" / Byte), 5000, answer=Struct("told" / Byte, "more" / Byte)
)
DEVICE = "10.77.1.1:5000"


def decoded(talk: Conversation, data: bytes, source: str, to: str) -> Decoded:
    found = talk.send(data, source, to)
    assert found is not None
    return found


def test_the_port_says_who_the_device_is_and_which_schema_a_message_has() -> None:
    talk = Conversation(TWO_SIDED)
    asked = decoded(talk, b"\x01", CLIENT, DEVICE)
    assert (asked.message, asked.seen.from_device) == ({"asked": 1}, False)
    told = decoded(talk, b"\x01\x02", DEVICE, CLIENT)
    assert (told.message, told.seen.from_device) == ({"told": 1, "more": 2}, True)
    assert told.seen.client == asked.seen.client == (parse_address("10.77.0.1"), 40000)
    assert talk.send(b"\x01", CLIENT, "10.77.1.1:5001") is None
    assert (talk.decoder.messages, dict(talk.decoder.skipped)) == (2, {"UDP at other ports": 1})


def test_other_ports_can_be_named() -> None:
    talk = Conversation(TWO_SIDED, ports=(6000, 6001))
    assert decoded(talk, b"\x01", CLIENT, "10.77.1.1:6001").message == {"asked": 1}
    assert decoded(talk, b"\x01\x02", "10.77.1.1:6000", CLIENT).seen.from_device
    assert talk.send(b"\x01", CLIENT, DEVICE) is None


def test_between_two_of_the_ports_a_device_that_is_named_decides() -> None:
    to_device, from_device = ("10.77.0.1:5000", DEVICE), (DEVICE, "10.77.0.1:5000")
    talk = Conversation(TWO_SIDED)
    assert not decoded(talk, b"\x01", *to_device).seen.from_device
    assert not decoded(talk, b"\x01", *from_device).seen.from_device
    talk = Conversation(TWO_SIDED, is_device=lambda address: address == parse_address("10.77.1.1"))
    assert not decoded(talk, b"\x01", *to_device).seen.from_device
    assert decoded(talk, b"\x01\x02", *from_device).seen.from_device
    assert talk.send(b"\x01", CLIENT, "10.77.1.2:5000") is None
    assert talk.send(b"\x01\x02", "10.77.1.2:5000", CLIENT) is None
    assert not decoded(talk, b"\x01", CLIENT, "224.0.0.5:5000").seen.from_device
    assert dict(talk.decoder.skipped) == {"of other devices": 2}


def test_what_is_no_message_says_where_and_is_counted() -> None:
    talk = Conversation(TWO_SIDED)
    found = decoded(talk, b"\x01", DEVICE, CLIENT)
    assert found.message is None
    assert found.error is not None
    assert (found.error.path, found.error.offset) == ("more", 1)
    assert (talk.decoder.messages, talk.decoder.undecodable) == (0, 1)


def test_what_is_not_wanted_is_followed_all_the_same() -> None:
    def wanted(message: dict[str, Any] | None, from_device: bool) -> bool:
        return message is not None and from_device

    talk = Conversation(TWO_SIDED, wanted=wanted)
    assert talk.send(b"\x01", CLIENT, DEVICE) is None
    assert talk.send(b"", CLIENT, DEVICE) is None
    assert decoded(talk, b"\x01\x02", DEVICE, CLIENT).notes == ["answers #1 after 200 ms"]
    assert dict(talk.decoder.skipped) == {"not as asked for": 2}


def test_a_schema_is_told_of_the_device() -> None:
    protocol = Protocol("keyed", Struct("data" / Bytes(this_device.state.size)), 5000)
    talk = Conversation(protocol, device=StandIn(state={"size": 2}))
    assert decoded(talk, b"ab", CLIENT, DEVICE).message == {"data": b"ab"}
    assert decoded(talk, b"ab", CLIENT, DEVICE).device.address == "10.77.1.1"
    assert decoded(talk, b"ab", DEVICE, CLIENT).device.address == "10.77.1.1"


class Failing(Follower):
    def follow(self, message: dict[str, Any], seen: Seen) -> list[str]:
        return [message["nowhere"]]


def test_a_follower_that_fails_costs_its_notes_only() -> None:
    talk = Conversation(Protocol("failing", Struct("a" / Byte), 5000, follower=Failing))
    for _ in range(2):
        found = decoded(talk, b"\x01", CLIENT, DEVICE)
        assert found.message == {"a": 1}
        assert found.notes == ("the follower fails: KeyError: 'nowhere'",)
    assert talk.decoder.unfollowed == "#1: KeyError: 'nowhere'"


@pytest.mark.parametrize("t", [-1e9, 0.0, 1e9])
def test_times_count_from_the_first(t: float) -> None:
    talk = Conversation(TWO_SIDED)
    talk.send(b"\x01", CLIENT, DEVICE, t)
    found = talk.send(b"\x02", CLIENT, DEVICE, t + 2)
    assert found is not None
    assert found.seen.time == 2.0
