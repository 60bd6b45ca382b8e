"""What CoAP's codec keeps of messages changes nothing: it gives what the codec of the schema gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotsim import DecodeError, EncodeError
from iotsim.protocol.codec import Codec
from iotsim.protocol.registry import load_protocol
from iotsim.protocols.coap import codec
from iotsim.protocols.coap.message import MESSAGE

if TYPE_CHECKING:
    from collections.abc import Callable

PLAIN = Codec(MESSAGE)
KEEPING = load_protocol("coap").protocol.codec
HEADS = [bytes.fromhex(one) for one in ("4001", "5002", "6045", "7000", "4245", "4881", "4901")]
OPTIONS = [
    bytes.fromhex(one)
    for one in ("", "b474656d70", "c0", "c0d001", "41ff", "42ffff", "60", "61", "d0ff", "e0ff00")
]
pieces = st.one_of(st.sampled_from(OPTIONS), st.binary(max_size=4))
datagrams = st.builds(
    lambda head, number, token, options, payload: head + number + token + options + payload,
    st.sampled_from(HEADS),
    st.sampled_from([b"\0\1", b"\xff\xff"]),
    st.sampled_from([b"", b"ab", b"\xff\xff", b"12345678", b"123456789"]),
    st.lists(pieces, max_size=2).map(b"".join),
    st.sampled_from(
        [b"", b"\xff", b"\xff20.5", b"\xff\xff", b"\xff\0", b"\xffa\xffb", b"\xff\xc3\xa9"]
    ),
)
same = st.sampled_from
messages = st.fixed_dictionaries(
    {"code": same(["GET", "CONTENT", "CHANGED", "EMPTY", 69, 1, True, "NONE", None])},
    optional={
        "type": same(["CON", "ACK", "NON", "RST", 1, True, [], None]),
        "message_id": same([0, 65535, 65536, -1, True, 1.0, None, "1"]),
        "token": same([b"", b"ab", b"12345678", b"123456789", "ab", bytearray(b"ab"), None]),
        "payload": same(["", "20.5", "\ud800", "\0", b"", b"\0\xff", 0, 7, 1.5, True, None, [1]]),
        "content_format": same(["text/plain", "application/json", "none", 0, False, 60, None, []]),
        "max_age": same([0, 1, True, 1.0, 60, 1 << 32, -1, None, "1"]),
        "etag": same([[b"a"], None]),
        "observe": same([0, 7]),
        "path": same(["/", "/temp"]),
        "unknown": same([1, None]),
        "version": same([1, 2, None]),
    },
)  # fmt: skip


def outcome(function: Callable[..., Any], given_: Any) -> Any:
    """What `function` returns, with the order of names and the classes of values, or the error."""
    try:
        found = function(given_)
    except (DecodeError, EncodeError) as error:
        return str(error)
    return repr(found)


@given(st.lists(datagrams, min_size=1, max_size=6))
def test_decodes_as_the_schema_does(several: list[bytes]) -> None:
    for data in several:
        for _ in range(2):
            assert outcome(KEEPING.decode, data) == outcome(PLAIN.decode, data)


@given(st.lists(messages, min_size=1, max_size=6))
def test_encodes_and_tells_as_the_schema_does(several: list[dict[str, Any]]) -> None:
    for message in several:
        for _ in range(2):
            before = repr(message)
            assert outcome(KEEPING.encode, message) == outcome(PLAIN.encode, message)
            assert outcome(KEEPING.tell, message) == outcome(PLAIN.tell, message)
            assert repr(message) == before


@pytest.mark.parametrize("rest", ["b474656d70", "41aa", "b161ff32302e35", "e1fcdb78"])
def test_messages_share_nothing_that_can_be_changed(rest: str) -> None:
    data = bytes.fromhex("4201 0001 6162" + rest)
    expected = repr(PLAIN.decode(data))
    for _ in range(3):
        message = KEEPING.decode(data)
        assert repr(message) == expected
        for name, value in message.items():
            if isinstance(value, list):
                value.append(value[0])
            message[name] = None


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "MOST_KEPT", 4)
    answers, decode = codec.Answers(PLAIN.encode, PLAIN.decode), codec.keeping_decoder(PLAIN.decode)
    cells = decode.__closure__ or ()  # type: ignore[attr-defined]
    (kept,) = [cell.cell_contents for cell in cells if isinstance(cell.cell_contents, dict)]
    for age in range(20):
        message = {"type": "NON", "code": "CONTENT", "message_id": 1, "token": b"", "max_age": age}
        assert decode(answers.encode(message))["max_age"] == age
        assert 0 < len(kept) <= 4
        assert 0 < len(answers.kept) <= 4
