"""SNTP: a time server, by RFC 4330, RFC 5905 and RFC 7822."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotsim import ScenarioError
from iotsim.events import Received
from iotsim.protocol.registry import load_protocol
from iotsim.testing import Transcript

CODEC = load_protocol("sntp").protocol.codec
EPOCH = 2_208_988_800
START = 1_800_000_000.0
ASKED = 0xE000_0000_1234_5678


def server(
    wall_time: float = START, *, rest: dict[str, Any] | None = None, **model: Any
) -> Transcript:
    return Transcript("sntp", model=model, wall_time=wall_time, **(rest or {}))


def ask(device: Transcript, **fields: Any) -> dict[str, Any] | None:
    answers = device.receive({"mode": "CLIENT", "transmit": ASKED, **fields})
    assert len(answers) <= 1
    return dict(answers[0]) if answers else None


def told(device: Transcript, **fields: Any) -> dict[str, Any]:
    answer = ask(device, **fields)
    assert answer is not None
    return answer


def seconds(timestamp: int) -> float:
    """The Unix time of a timestamp."""
    return timestamp / (1 << 32) - EPOCH


# -- answers ----------------------------------------------------------------------------------------


def test_a_request_is_answered() -> None:
    """RFC 4330, section 6: the table of what the server sets"""
    clock = server()
    clock.wait(2.5)
    answer = told(clock, poll=6)
    assert clock.lines() == [
        "2.500 <- CLIENT version=4 stratum=0 leap=NONE",
        "2.500 -> SERVER version=4 stratum=2 leap=NONE",
    ]
    assert answer["originate"] == ASKED
    assert answer["poll"] == 6
    assert answer["reference"] == b"LOCL"
    assert seconds(answer["receive"]) == seconds(answer["transmit"]) == START + 2.5
    assert START <= seconds(answer["reference_time"]) <= START + 2.5


def test_a_secondary_server_refers_to_the_address_of_its_own() -> None:
    """RFC 5905, section 7.3: so that clients see loops; a code of four characters is no address."""
    assert told(server(stratum=3, reference="192.0.2.77"))["reference"] == bytes([192, 0, 2, 77])
    assert told(server(stratum=1, reference="1.2."))["reference"] == b"1.2."


@pytest.mark.parametrize("version", range(8))
def test_versions(version: int) -> None:
    """RFC 4330, section 6: the version is copied; those that are not known are discarded."""
    answer = ask(server(), version=version)
    assert (answer and answer["version"]) == (version if 1 <= version <= 4 else None)


@pytest.mark.parametrize(
    ("mode", "version", "answered"),
    [
        ("CLIENT", 3, "SERVER"),
        ("SYMMETRIC_ACTIVE", 3, "SYMMETRIC_PASSIVE"),
        ("RESERVED", 1, "SERVER"),
        ("RESERVED", 4, None),
        ("SYMMETRIC_PASSIVE", 4, None),
        ("SERVER", 4, None),
        ("BROADCAST", 4, None),
        ("CONTROL", 2, None),
        ("PRIVATE", 2, None),
    ],
)
def test_modes(mode: str, version: int, answered: str | None) -> None:
    """RFC 4330, section 6; RFC 1059 for version 1, which has none"""
    answer = ask(server(), mode=mode, version=version)
    assert (answer and answer["mode"]) == answered


@pytest.mark.parametrize(("stratum", "sent"), [(1, 1), (15, 15), (16, 0)])
def test_strata(stratum: int, sent: int) -> None:
    """RFC 5905, section 7.3: 16 is sent as 0."""
    answer = told(server(stratum=stratum))
    assert (answer["stratum"], answer["reference_time"] > 0) == (sent, sent > 0)


@pytest.mark.parametrize(
    ("leap", "sent"),
    [("none", "NONE"), ("insert", "INSERT"), ("delete", "DELETE"), ("unsynchronized", "UNKNOWN")],
)
def test_leaps(leap: str, sent: str) -> None:
    answer = told(server(leap=leap))
    assert (answer["leap"], answer["reference_time"] > 0) == (sent, sent != "UNKNOWN")


def test_a_kiss_o_death() -> None:
    """RFC 5905, section 7.4"""
    answer = told(server(kiss="RATE", stratum=3))
    assert (answer["stratum"], answer["leap"], answer["reference"]) == (0, "UNKNOWN", b"RATE")
    assert answer["originate"] == ASKED


def test_an_offset_is_a_number_or_an_expression() -> None:
    assert seconds(told(server(offset=-3600))["transmit"]) == START - 3600
    drifting = server(offset="=state.ahead + t / 10", rest={"state": {"ahead": 5}})
    drifting.wait(20)
    assert seconds(told(drifting)["transmit"]) == START + 20 + 7


def test_timestamps_wrap_in_2036() -> None:
    """RFC 4330, section 3: bit 0 is not set from 2036 on."""
    answer = told(server(wall_time=2_085_978_496 + 10.0))
    assert answer["transmit"] == 10 << 32


def test_rules_answer_first() -> None:
    rule = {"when": {"version": 3}, "reply": {"mode": "SERVER", "stratum": 7}}
    clock = server(rest={"rules": [rule]})
    assert told(clock, version=3)["stratum"] == 7
    assert told(clock, version=4)["stratum"] == 2


@pytest.mark.parametrize("group", ["224.0.1.1", "10.77.255.255"])
def test_a_group_is_answered_by_each_itself(group: str) -> None:
    """RFC 5905, section 3.1: manycast"""
    clock = server()
    (answer,) = clock.receive(mode="CLIENT", at=group)
    assert answer["mode"] == "SERVER"
    assert clock.receive(mode="SYMMETRIC_ACTIVE", at=group) == []


def test_a_group_of_ipv6() -> None:
    clock = server()
    assert len(clock.receive(mode="CLIENT", at="ff05::101", peer="[fd77::1]:40000")) == 1


# -- authentication and extensions ------------------------------------------------------------------

KEYS = {"1": "a secret", "70000": "hex:00ff80"}


def signed(number: int, key: bytes, kind: str, **fields: Any) -> bytes:
    plain = CODEC.encode({"mode": "CLIENT", "transmit": ASKED, **fields})
    return plain + number.to_bytes(4, "big") + hashlib.new(kind, key + plain).digest()


@pytest.mark.parametrize("kind", ["md5", "sha1"])
@pytest.mark.parametrize(("number", "key"), [(1, b"a secret"), (70_000, b"\x00\xff\x80")])
def test_who_signs_is_answered_signed(kind: str, number: int, key: bytes) -> None:
    """RFC 5905, section 7.3"""
    clock = server(keys=KEYS)
    clock.receive(signed(number, key, kind, version=3))
    ((_, data),) = clock.datagrams
    assert data[48:52] == number.to_bytes(4, "big")
    assert data[52:] == hashlib.new(kind, key + data[:48]).digest()


@pytest.mark.parametrize(
    "datagram",
    [
        signed(1, b"another", "md5"),
        signed(2, b"a secret", "md5"),
        signed(70_000, b"a secret", "sha1"),
        signed(1, b"a secret", "sha1")[:-1] + b"\0",
        CODEC.encode({"mode": "CLIENT"}) + b"\0\0\0\1",
        CODEC.encode({"mode": "CLIENT"}) + bytes(4),
    ],
)
def test_who_signs_wrong_is_answered_by_a_crypto_nak(datagram: bytes) -> None:
    """RFC 5905, section 7.3: the number of the key is 0, and there is no digest."""
    clock = server(keys=KEYS)
    clock.receive(datagram)
    assert [data[48:] for _, data in clock.datagrams] == [bytes(4)]


EXTENSION = {"type": 0x0104, "value": bytes(range(32))}


def test_extension_fields_are_taken_and_not_answered() -> None:
    """RFC 7822, section 7.5"""
    clock = server(keys=KEYS)
    answer = told(clock, extensions=[EXTENSION, {"type": 0x0204, "value": bytes(28)}])
    assert answer["extensions"] == []
    clock.receive(signed(1, b"a secret", "sha1", extensions=[EXTENSION]))
    heard = [event.message for event in clock.events if isinstance(event, Received)]
    assert heard[-1]["extensions"] == [EXTENSION]
    assert len(clock.datagrams[-1][1]) == 48 + 24


@pytest.mark.parametrize(
    ("length", "reason"),
    [
        (47, "too early"),
        (50, "an extension field cannot have 0 bytes"),
        (64, "an extension field cannot have 0 bytes"),
        (0, "too early"),
    ],
)
def test_what_is_no_message(length: int, reason: str) -> None:
    clock = server()
    clock.receive((b"\x23" + bytes(100))[:length])
    (line,) = clock.lines()
    assert "undecodable" in line
    assert reason in line


@pytest.mark.parametrize(
    "extension",
    [
        "0104 000f" + 30 * "00",
        "0104 0010" + 8 * "00",
        "0104 0011" + 40 * "00",
        "0104 ffff" + 60 * "00",
    ],
)
def test_lengths_of_extension_fields_that_lie(extension: str) -> None:
    """RFC 7822, section 7.5: 16 bytes at least, and a multiple of 4"""
    clock = server()
    clock.receive(CODEC.encode({"mode": "CLIENT"}) + bytes.fromhex(extension))
    assert "an extension field cannot have" in clock.lines()[0]
    assert clock.datagrams == []


# -- mistakes, and hostile datagrams ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ({"stratum": 0}, "greater than or equal to 1"),
        ({"stratum": 17}, "less than or equal to 16"),
        ({"offset": "soon"}, "offset is a number of seconds"),
        ({"leap": "maybe"}, "must be 'none', 'insert', 'delete' or 'unsynchronized'"),
        ({"reference": "LOCAL"}, "a reference has up to 4 characters"),
        ({"reference": "fd00::1"}, "a reference has up to 4 characters"),
        ({"keys": {"0": "x"}}, "the number of a key"),
    ],
)
def test_mistakes_are_told(model: dict[str, Any], reason: str) -> None:
    with pytest.raises(ScenarioError, match=reason):
        server(**model)


CLOCK = server(keys=KEYS)


@given(st.binary(min_size=40, max_size=140), st.integers(0, 255))
def test_any_bytes(data: bytes, first: int) -> None:
    before = len(CLOCK.datagrams)
    CLOCK.receive(bytes([first]) + data)
    answers = CLOCK.datagrams[before:]
    assert len(answers) <= 1
    assert all(len(answer) <= max(48, len(data) + 1) for _, answer in answers)
    assert not any("failed" in line for line in CLOCK.lines())
