"""The messages of MQTT-SN 1.2 in bytes (section 5)."""

from __future__ import annotations

import pytest

from iotsim.errors import DecodeError, EncodeError
from iotsim.protocol.registry import load_protocol
from iotsim.protocols.mqttsn.message import TYPES
from iotsim.protocols.mqttsn.topics import is_filter, is_name, is_short, matches

LOADED = load_protocol("mqttsn")
CODEC = LOADED.protocol.codec


def test_every_type_has_a_vector() -> None:
    assert {vector.fields["kind"] for vector in LOADED.vectors} == set(TYPES)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("", "no message is empty"),
        ("01", "ends within the length"),
        ("01 00", "ends within the length"),
        ("02", "the length is 2, and 1 bytes are there"),
        ("00 16", "the length is 0"),
        ("01 0002 16", "the length is 2"),
        ("03 16", "the length is 3, and 2 bytes are there"),
        ("02 16 00", "the length is 2, and 3 bytes are there"),
        ("01 0003", "a message has a type"),
        ("02 03", "no message has the type 0x03"),
        ("02 11", "no message has the type 0x11"),
        ("02 ff", "no message has the type 0xff"),
        ("02 05", "return_code: ends within the message"),
        ("04 05 0000", "1 bytes are left over"),
        ("03 06 00", "1 bytes are left over"),
        ("03 18 00", "duration: ends within the message"),
        ("05 18 000000", "1 bytes are left over"),
        ("06 12 01 0001 03", "topic: 2 bytes, not 1"),
        ("08 12 02 0001 616263", "topic: 2 bytes, not 3"),
        ("07 12 03 0001 0003", "topic_id_type: 3 is reserved"),
        ("07 0c 03 0001 0000", "topic_id_type: 3 is reserved"),
        ("07 0c 02 ff61 0000", "topic: no text in UTF-8"),
        ("08 0a 0000 0001 ffff", "topic: no text in UTF-8"),
        ("02 fe", "radius: ends within the message"),
    ],
)
def test_what_is_no_message_is_told(data: str, reason: str) -> None:
    with pytest.raises(DecodeError, match=reason):
        CODEC.decode(bytes.fromhex(data))


@pytest.mark.parametrize("size", [0, 247, 248, 249, 60_000])
def test_a_length_is_as_short_as_it_can_be(size: int) -> None:
    message = {"kind": "PUBLISH", "topic_id": 1, "data": b"\xff" * size}
    data = CODEC.encode(message)
    assert len(data) == size + (7 if size < 249 else 9)
    assert (data[0] == 1) == (size >= 249)
    assert CODEC.decode(data)["data"] == (message["data"] or "")


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ({"kind": "PUBLISHED"}, "no message is a 'PUBLISHED'"),
        ({"kind": "CONNECT"}, "duration: the message needs this field"),
        ({"kind": "PINGRESP", "topic": "a"}, "topic: the message has no such field"),
        ({"kind": "PUBLISH", "qos": 4}, "qos: must be"),
        ({"kind": "PUBLISH", "topic_id_type": "SHORT", "topic": "abc"}, "two bytes"),
        ({"kind": "PUBLISH", "data": "x" * 65_536}, "at most 65535 bytes"),
        ({"kind": "CONNACK", "return_code": "FINE"}, "there is no 'FINE'"),
        ({"kind": "CONNECT", "duration": 65_536}, "duration: must be 0 to 65535, not 65536"),
        ({"kind": "PUBLISH", "topic_id": -1}, "topic_id: must be 0 to 65535, not -1"),
    ],
)
def test_what_cannot_be_written_is_told(message: dict[str, object], reason: str) -> None:
    with pytest.raises(EncodeError, match=reason):
        CODEC.encode(message)


def test_unknown_return_codes_stay_numbers() -> None:
    assert CODEC.decode(b"\x03\x05\x7f") == {"kind": "CONNACK", "return_code": 0x7F}
    assert CODEC.encode({"kind": "CONNACK", "return_code": 0x7F}) == b"\x03\x05\x7f"


@pytest.mark.parametrize(
    ("wanted", "topic", "takes"),
    [
        ("a/b", "a/b", True),
        ("a/b", "a", False),
        ("a/+", "a/b", True),
        ("a/+", "a/b/c", False),
        ("a/+", "a", False),
        ("a/+/c", "a//c", True),
        ("+", "a", True),
        ("+/+", "/a", True),
        ("+", "/a", False),
        ("#", "a/b/c", True),
        ("a/#", "a/b/c", True),
        ("a/#", "a", True),  # the parent, too
        ("a/#", "ab", False),
        ("#", "$SYS/a", False),
        ("+/a", "$SYS/a", False),
        ("$SYS/#", "$SYS/a", True),
    ],
)
def test_filters_take_topics(wanted: str, topic: str, takes: bool) -> None:
    """As MQTT 3.1.1 has it (section 4.7)."""
    assert matches(wanted, topic) == takes


def test_topics_are_names_or_filters() -> None:
    for name in ("a", "a/b", "/", "$SYS", "ä/b"):
        assert is_name(name)
    for wanted in ("#", "+", "a/#", "+/a/+"):
        assert is_filter(wanted)
        assert not is_name(wanted)
    for wrong in ("", "a#", "#/a", "a+/b", "a\0", "x" * 1025):
        assert not is_filter(wrong)
    assert [is_short(one) for one in ("ab", "ä", "a", "abc", "ab/", "+a", "a#")] == (
        [True, True, False, False, False, False, False]
    )
