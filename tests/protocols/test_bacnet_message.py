"""BACnet/IP: messages (clauses 18.8 and 20), good, bad and hostile."""

from __future__ import annotations

import random
from typing import Any

import pytest
from tests.protocols.bacnet import (
    BROADCAST,
    CODEC,
    LOADED,
    OTHER,
    READ_ALL,
    REQUEST,
    device,
    read,
    segments,
)

from iotsim.errors import DecodeError, EncodeError
from iotsim.events import DeviceFailed, SessionFailed

# -- what is wrong (clauses 18.8 and 20) -----------------------------------------------------------

HEAD = "0005070c"
REJECTS = {
    "a tag that is another": (HEAD + "1c00000005 1955", "INVALID_TAG"),
    "nothing at all": (HEAD, "MISSING_REQUIRED_PARAMETER"),
    "nothing to read (clause 15.7)": ("0005070e", "MISSING_REQUIRED_PARAMETER"),
    "nothing to write (clause 15.10)": ("00050710", "MISSING_REQUIRED_PARAMETER"),
    "no property": (HEAD + "0c00000005", "MISSING_REQUIRED_PARAMETER"),
    "something more": (HEAD + "0c00000005 1955 2901 3900", "TOO_MANY_ARGUMENTS"),
    "an identifier of three octets": (HEAD + "0b000005 1955", "INVALID_PARAMETER_DATATYPE"),
    "a length that lies": (HEAD + "0dff", "INVALID_TAG"),
    "a service that nobody has": ("00050763", "UNRECOGNIZED_SERVICE"),
    "a service that nobody has, with no tags": ("00050763 1d", "UNRECOGNIZED_SERVICE"),
    "a service that devices here have not": ("0005071a 0c00000005 1955", "UNRECOGNIZED_SERVICE"),
    "values in one another": ("0005070f 0c00000005 1955 " + "3e" * 100, "OTHER"),
}


@pytest.mark.parametrize("what", REJECTS)
def test_a_request_that_is_none_is_rejected(what: str) -> None:
    octets, reason = REJECTS[what]
    apdu = bytes.fromhex(octets)
    (answer,) = device().receive(
        b"\x81\x0a" + (len(apdu) + 6).to_bytes(2, "big") + b"\x01\x04" + apdu
    )
    assert (answer["apdu"], answer["reason"], answer["invoke_id"]) == ("REJECT", reason, 7)


@pytest.mark.parametrize(
    "octets",
    [
        "",
        "81",
        "810a",
        "810a0004",
        "810b00080100ff00",
        "820a00040100",
        "810a00060200",
        "810a00070140",
    ],
)
def test_what_is_no_message_is_not_answered(octets: str) -> None:
    one = device()
    assert one.receive(bytes.fromhex(octets)) == []
    with pytest.raises(DecodeError):
        CODEC.decode(bytes.fromhex(octets))


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"service": "READ_PROPERTY", "property": "units"}, "object"),
        ({"service": "READ_PROPERTY", "object": "analog-input", "property": "units"}, "object"),
        ({"service": "READ_PROPERTY", "object": "device,1", "property": "colour"}, "property"),
        ({"service": "NO_SUCH"}, "service"),
        ({"function": "FORWARDED_NPDU", "origin": "nowhere"}, "origin"),
        (
            {
                "service": "READ_PROPERTY_MULTIPLE",
                "reads": [{"object": "device,1", "property": "all"}],
            },
            "reads.0.property",
        ),
        (
            {"service": "READ_PROPERTY", "max_segments": 3, "object": "device,1", "property": 1},
            "max_segments",
        ),
    ],
)
def test_what_cannot_be_a_message_is_told(fields: dict[str, Any], path: str) -> None:
    with pytest.raises(EncodeError) as raised:
        CODEC.encode(fields)
    assert raised.value.path == path


VALUES = [
    ("NULL", None),
    ("BOOLEAN", True),
    ("UNSIGNED", 0),
    ("UNSIGNED", 1 << 40),
    ("INTEGER", -1),
    ("INTEGER", 128),
    ("REAL", 72.0),
    ("DOUBLE", 72.1),
    ("OCTET_STRING", b"\x12" * 300),
    ("CHARACTER_STRING", "This is a BACnet string!"),
    ("BIT_STRING", "10101"),
    ("BIT_STRING", ""),
    ("ENUMERATED", 0),
    ("DATE", "1991-01-24"),
    ("DATE", "*-13-32"),
    ("DATE", "2026-11-26/1"),
    ("TIME", "17:35:45.17"),
    ("TIME", "*:*:*.*"),
    ("OBJECT_IDENTIFIER", "binary-input,15"),
    ("OBJECT_IDENTIFIER", "300,4194303"),
    ("LIST", []),
    ("LIST", [{"type": "REAL", "value": 1.0}, {"type": "NULL", "value": None}]),
    (
        "LIST",
        [{"type": "OPENED", "tag": 20, "value": [{"type": "CONTEXT", "tag": 1, "value": b"a"}]}],
    ),
]


@pytest.mark.parametrize(("kind", "value"), VALUES)
def test_values_of_all_types_come_back(kind: str, value: Any) -> None:
    fields = {"service": "WRITE_PROPERTY", "object": "device,1", "property": 600}
    message = CODEC.decode(CODEC.encode({**fields, "type": kind, "value": value}))
    assert (message["type"], message["value"]) == (kind, value)


TAGGED = [
    ("00", "NULL", None),
    ("11", "BOOLEAN", True),
    ("21 48", "UNSIGNED", 72),
    ("31 48", "INTEGER", 72),
    ("44 42900000", "REAL", 72.0),
    ("55 08 4052000000000000", "DOUBLE", 72.0),
    ("63 1234ff", "OCTET_STRING", b"\x12\x34\xff"),
    (
        "75 19 00" + b"This is a BACnet string!".hex(),
        "CHARACTER_STRING",
        "This is a BACnet string!",
    ),
    ("82 03a8", "BIT_STRING", "10101"),
    ("91 00", "ENUMERATED", 0),
    ("a4 5b011804", "DATE", "1991-01-24"),
    ("b4 11232d11", "TIME", "17:35:45.17"),
    ("c4 00c0000f", "OBJECT_IDENTIFIER", "binary-input,15"),
]


@pytest.mark.parametrize(("octets", "kind", "value"), TAGGED)
def test_the_examples_of_clause_20_2(octets: str, kind: str, value: Any) -> None:
    """Clauses 20.2.2 to 20.2.14: what each example of a value is in octets."""
    fields = {"service": "WRITE_PROPERTY", "object": "device,1", "property": 600}
    data = CODEC.encode({**fields, "type": kind, "value": value})
    assert data.endswith(b"\x3e" + bytes.fromhex(octets) + b"\x3f")


# -- hostile input ---------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_mutated_messages_break_neither_the_codec_nor_the_device(seed: int) -> None:
    chance = random.Random(seed)
    one = device({"subscriptions": 4}, seed=seed)
    seeds = [vector.data for vector in LOADED.vectors]
    seeds += [
        CODEC.encode(READ_ALL),
        CODEC.encode({**READ_ALL, "max_apdu": 50, "segmented_response_accepted": True}),
    ]
    seeds += [
        CODEC.encode(part) for part in segments(REQUEST, 20, service="READ_PROPERTY_MULTIPLE")
    ]
    for item, kind, value in (
        ("analog-value,1", "REAL", 5.0),
        ("binary-output,1", "ENUMERATED", 1),
    ):
        fields = {"service": "WRITE_PROPERTY", "object": item, "property": "present-value"}
        seeds.append(CODEC.encode({**fields, "type": kind, "value": value, "priority": 8}))
    seeds.append(CODEC.encode({"function": "FORWARDED_NPDU", "origin": OTHER, "service": "WHO_IS"}))
    seeds.append(CODEC.encode({"apdu": "SEGMENT_ACK", "sequence_number": 0, "server": False}))
    decoded = 0
    for _ in range(1500):
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.randint(0, 3)):
            where = chance.randrange(4, len(data))
            if chance.random() < 0.7:
                data[where] = chance.choice((0, 1, 0x3E, 0x3F, 0xFF, chance.randrange(256)))
            else:
                data[where : where + chance.randint(0, 3)] = chance.randbytes(chance.randint(0, 3))
            data += b"\x00" * (5 - len(data))
        data[2:4] = len(data).to_bytes(2, "big")
        try:
            message = CODEC.decode(bytes(data))
        except DecodeError:
            pass
        else:
            decoded += 1
            again = CODEC.decode(CODEC.encode(message))
            assert repr(again) == repr(message)
        one.receive(bytes(data), at=BROADCAST if chance.random() < 0.1 else "")
        one.wait(chance.choice((0, 0, 0.5, 3)))
    assert decoded > 300
    assert all(len(payload) <= 1497 for _, payload in one.datagrams)
    assert not [each for each in one.events if isinstance(each, (DeviceFailed, SessionFailed))]
    one.receive(service="DEVICE_COMMUNICATION_CONTROL", enable="ENABLE")
    assert read(one, "device,1000", "object-name") == "device[0]"
