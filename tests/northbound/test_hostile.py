"""Whatever comes, nothing is raised, and nothing grows without end."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from iotsim.northbound.content import NO_JSON, content_fields, json_of, to_json
from iotsim.northbound.http import HttpConnection, Refusal
from iotsim.northbound.names import NameServer
from iotsim.northbound.rules import Answer
from iotsim.northbound.syslog import Framing, syslog_fields
from iotsim.results.jsonl import plain_message

LARGEST = 1000
PIECES = st.sampled_from(
    [
        *(b"GET / HTTP/1.1\r\n", b"POST /a?b=c HTTP/1.1\r\n", b"Host: x\r\n", b"\r\n", b"\r\n\r\n"),
        *(b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n", b"0\r\n\r\n"),
        *(b"Connection: close\r\n", b"Expect: 100-continue\r\n", b"Upgrade: h2c\r\n", b"hello", b"\xff"),
    ]
)  # fmt: skip
STREAM = st.lists(PIECES | st.binary(max_size=40), max_size=30)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
NAMES = NameServer({"cloud.example": ("127.0.0.1", "::1")})


@given(STREAM)
def test_http_takes_or_refuses_every_stream(pieces: list[bytes]) -> None:
    connection = HttpConnection(LARGEST)
    for piece in [*pieces, b""]:
        if connection.ended:
            break
        connection.receive(piece)
        while (got := connection.next()) is not None:
            plain_message(got.fields)
            data = connection.answer(Answer(400 if isinstance(got, Refusal) else 200), 0.0)
            assert data.startswith(b"HTTP/1.1 ")
            assert connection.ended or not isinstance(got, Refusal)
            if connection.ended:
                break
        assert connection.held <= LARGEST


@given(st.binary(max_size=200))
def test_each_datagram_is_some_syslog(data: bytes) -> None:
    for message in (
        data,
        b"<13>" + data,
        b"<13>1 - - - - - " + data,
        b"<13>Feb  5 17:32:18 " + data,
    ):
        fields = syslog_fields(message)
        assert "message" in fields
        msgspec.json.encode(plain_message(fields))


@given(
    st.lists(
        st.binary(max_size=50) | st.sampled_from([b"5 hello", b"<13>a\n", b"9" * 20]), max_size=40
    )
)
def test_framing_keeps_no_more_than_it_may(pieces: list[bytes]) -> None:
    framing = Framing(LARGEST)
    for piece in [*pieces, b""]:
        assert all(len(message) <= LARGEST + 16 for message in framing.receive(piece))
        assert len(framing._held) <= LARGEST + 16


@given(st.binary(max_size=100))
def test_the_name_server_answers_or_not(data: bytes) -> None:
    answer = NAMES.answer(data)
    assert answer is None or answer[:2] == data[:2]


@given(st.binary(max_size=100))
def test_content_is_what_it_is(data: bytes) -> None:
    fields = content_fields(data, "body")
    text = fields["body"]
    assert (text.encode() if isinstance(text, str) else text) == data


@given(JSON)
def test_json_of_a_scenario_is_read_again(value: object) -> None:
    again = json_of(to_json(value))
    assert again is not NO_JSON
    assert to_json(again) == to_json(value)
