"""CoAP's messages: RFC 7252, section 3, and the options of the other RFCs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotsim import DecodeError, EncodeError
from iotsim.protocol.dissection import dissect
from iotsim.protocol.registry import load_protocol

PROTOCOL = load_protocol("coap").protocol
CODEC = PROTOCOL.codec
HEAD = bytes.fromhex("40010001")


def decoded(rest: str, head: str = "4001 0001") -> Any:
    return CODEC.decode(bytes.fromhex(head + rest))


@pytest.mark.parametrize(
    ("field", "value", "rest"),
    [
        ("if_match", [b"", b"\x01\x02"], "10 02 0102"),
        ("uri_host", "h", "31 68"),
        ("etag", [b"a", b"b"], "41 61 01 62"),
        ("if_none_match", True, "50"),
        ("observe", 0, "60"),
        ("observe", 0xFFFFFF, "63 ffffff"),
        ("uri_port", 5683, "72 1633"),
        ("location_path", ["a", ""], "81 61 00"),
        ("path", "/a/b", "b1 61 01 62"),
        ("path", "/a/", "b1 61 00"),
        ("path", "/a%2Fb%25", "b4 612f6225"),
        ("content_format", "text/plain", "c0"),
        ("content_format", "application/json", "c1 32"),
        ("content_format", 10000, "c2 2710"),
        ("max_age", 0, "d0 01"),
        ("max_age", 0xFFFFFFFF, "d4 01 ffffffff"),
        ("query", ["a=1", "b"], "d3 02 613d31 01 62"),
        ("hop_limit", 16, "d1 03 10"),
        ("accept", "application/cbor", "d1 04 3c"),
        ("location_query", ["q"], "d1 07 71"),
        ("block2", {"number": 0, "more": False, "size": 16}, "d0 0a"),
        ("block2", {"number": 1, "more": True, "size": 1024}, "d1 0a 1e"),
        ("block1", {"number": 0xFFFFF, "more": False, "size": 64}, "d3 0e fffff2"),
        ("block1", {"number": 0, "more": False, "size": 2048}, "d1 0e 07"),
        ("size2", 300, "d2 0f 012c"),
        ("proxy_uri", "coap://a", "d8 16 636f61703a2f2f61"),
        ("proxy_scheme", "coap", "d4 1a 636f6170"),
        ("size1", 1, "d1 2f 01"),
        ("echo", b"e", "d1 ef 65"),
        ("no_response", 26, "d1 f5 1a"),
        ("request_tag", [b""], "e0 0017"),
        ("options", [{"number": 65000, "value": b"x"}], "e1 fcdb 78"),
    ],
)
def test_each_option(field: str, value: Any, rest: str) -> None:
    data = HEAD + bytes.fromhex(rest)
    assert CODEC.decode(data)[field] == value
    assert CODEC.encode({"code": "GET", "message_id": 1, field: value}) == data


def test_what_is_always_there() -> None:
    request = decoded("")
    assert (request["path"], request["payload"]) == ("/", "")
    assert "path" not in decoded("", "6045 0001")
    assert decoded("", "6045 0001")["payload"] == ""
    assert "payload" not in decoded("", "7000 0001")


@pytest.mark.parametrize(
    ("rest", "number"),
    [
        ("49 010203040506070809", 4),  # an ETag of 9 bytes
        ("40", 4),  # and one of none
        ("51 00", 5),  # If-None-Match has no value
        ("64 00000001", 6),
        ("c3 000032", 12),
        ("60 01 01", 6),  # there twice
        ("b2 fffe", 11),  # no UTF-8
        ("d4 0a 00000000", 23),  # a block option of 4 bytes
        ("d0 16", 35),  # an empty Proxy-Uri
    ],
)
def test_what_is_treated_as_unknown(rest: str, number: int) -> None:
    """Sections 5.4.3 and 5.4.5."""
    message = decoded(rest)
    assert [one["number"] for one in message["options"]] == [number]
    assert CODEC.encode(message) == HEAD + bytes.fromhex(rest)


def test_leading_zeros_of_a_number() -> None:
    """Section 3.2: they are to be understood, but not written."""
    message = decoded("c2 0032")
    assert message["content_format"] == "application/json"
    assert CODEC.encode(message) == HEAD + bytes.fromhex("c132")


@pytest.mark.parametrize(
    ("data", "reset"),
    [
        ("", False),
        ("40", False),
        ("400100", False),
        ("8001 0001", False),  # another version (section 3)
        ("4901 0001 000000000000000000", True),  # a token of 9 bytes
        ("4201 0001 00", True),
        ("4001 0001 b5 61", True),
        ("4001 0001 f0", True),  # an option's head of 15
        ("4001 0001 0f", True),
        ("4001 0001 d0", True),
        ("4001 0001 e0 00", True),
        ("4001 0001 e0 ffff", True),  # a number beyond 65535
        ("4001 0001 ff", True),  # a marker, and no payload
        ("4000 0001 ff 00", True),  # an empty message that is not (section 4.1)
        ("4100 0001 00", True),
        ("5001 0001 ff", False),  # not confirmable
        ("6045 0001 ff", False),
    ],
)
def test_what_is_no_message(data: str, reset: bool) -> None:
    """A confirmable one is reset, all else is ignored (section 4.2)."""
    datagram = bytes.fromhex(data)
    with pytest.raises(DecodeError) as caught:
        CODEC.decode(datagram)
    assert PROTOCOL.error_reply is not None
    reply = PROTOCOL.error_reply(caught.value, datagram)
    assert reply == ({"type": "RST", "code": "EMPTY", "message_id": 1} if reset else None)


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"token": bytes(9)}, ""),
        ({"observe": 1 << 24}, "observe"),
        ({"observe": -1}, "observe"),
        ({"content_format": "text/none"}, "content_format"),
        ({"uri_host": ""}, "uri_host"),
        ({"etag": [bytes(9)]}, "etag"),
        ({"etag": ["text"]}, "etag"),
        ({"block1": {"number": 0, "size": 100}}, "block1"),
        ({"block1": {"size": 16, "last": True}}, "block1"),
        ({"path": 7}, "path"),
        ({"nonsense": 7}, "nonsense"),
        ({"options": [{"number": 70000, "value": b""}]}, ""),
    ],
)
def test_what_cannot_be_sent(fields: dict[str, Any], path: str) -> None:
    with pytest.raises(EncodeError) as caught:
        CODEC.encode({"code": "GET", **fields})
    assert caught.value.path.endswith(path)


@pytest.mark.parametrize(("value", "text"), [(21.5, "21.5"), (True, "true"), ("é", "é")])
def test_a_payload_is_a_text_where_it_can_be(value: Any, text: str) -> None:
    data = CODEC.encode({"code": "CONTENT", "payload": value})
    assert data == b"\x40\x45\0\0\xff" + text.encode()
    assert CODEC.decode(data)["payload"] == text


def test_it_is_all_generated() -> None:
    assert CODEC.fallbacks == {}


@given(st.binary(max_size=40))
def test_any_bytes(rest: bytes) -> None:
    try:
        message = CODEC.decode(HEAD + rest)
    except DecodeError:
        return
    again = CODEC.decode(CODEC.encode(message))
    assert again == message


def test_a_dissection_shows_an_option_that_is_there_once_too_often_as_the_message_has_it() -> None:
    found = dissect(PROTOCOL, HEAD + bytes.fromhex("61 05 01 06"))  # Observe, twice
    shown = [(row.path, row.value) for row in found.rows if row.offset >= 8 * len(HEAD)]
    again = {"number": 6, "value": b"\x06"}
    assert shown[-2:] == [("observe", 5), ("options.0", again)]
    assert found.message is not None
    assert (found.message["observe"], found.message["options"]) == (5, [again])
