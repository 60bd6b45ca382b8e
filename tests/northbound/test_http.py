"""HTTP/1.1 without a socket: what is made of what a client sends, and what it is sent."""

from __future__ import annotations

from typing import Any

import pytest

from iotsim.northbound.http import HttpConnection, Refusal, Request, query_fields
from iotsim.northbound.rules import Answer

LARGEST = 1000
DATE = 1_800_000_000.0
OK = Answer()


def received(data: bytes, largest: int = LARGEST) -> tuple[HttpConnection, Request | Refusal]:
    connection = HttpConnection(largest)
    connection.receive(data)
    got = connection.next()
    assert got is not None
    return connection, got


def post(body: bytes, headers: str = "") -> bytes:
    return (
        f"POST /r HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode()
        + body
    )


def fields_of(data: bytes) -> dict[str, Any]:
    _, got = received(data)
    assert isinstance(got, Request), got
    return got.fields


def test_a_request_has_method_path_query_headers_and_body() -> None:
    data = (
        b"PATCH /devices/7%2F8?unit=C&tag=a&tag=b&empty= HTTP/1.1\r\nHost: cloud.example\r\n"
        b'X-Key: one\r\nx-key: two\r\nContent-Length: 13\r\n\r\n{"value":1.5}'
    )
    assert fields_of(data) == {
        "method": "PATCH",
        "path": "/devices/7%2F8",
        "query": {"unit": "C", "tag": ["a", "b"], "empty": ""},
        "headers": {"host": "cloud.example", "x-key": "one, two", "content-length": "13"},
        "body": '{"value":1.5}',
        "json": {"value": 1.5},
    }


def test_a_request_comes_in_pieces_of_any_size() -> None:
    data = post(b'{"a": [1, 2]}')
    connection = HttpConnection(LARGEST)
    for place in range(len(data)):
        assert connection.next() is None
        connection.receive(data[place : place + 1])
    got = connection.next()
    assert isinstance(got, Request)
    assert got.fields["json"] == {"a": [1, 2]}


def test_a_chunked_body_is_put_together() -> None:
    chunks = b"3\r\n[1,\r\n3;x=y\r\n 2]\r\n0\r\nTrailer: t\r\n\r\n"
    data = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks
    assert fields_of(data)["json"] == [1, 2]


def test_an_absolute_target_is_a_path() -> None:
    fields = fields_of(b"GET http://cloud.example/a/b?c=d HTTP/1.1\r\nHost: cloud.example\r\n\r\n")
    assert (fields["path"], fields["query"]) == ("/a/b", {"c": "d"})


@pytest.mark.parametrize(
    ("body", "shown", "has_json"),
    [
        (b"\xff\x00", b"\xff\x00", False),
        (b"plain", "plain", False),
        (b'{"a":', '{"a":', False),
        (b"NaN", "NaN", False),
        (b"[" * 300 + b"]" * 300, "[" * 300 + "]" * 300, False),
        (b'{"a": "\xff"}', b'{"a": "\xff"}', False),
        (b" 5 ", " 5 ", True),
        (b"null", "null", True),
    ],
)
def test_a_body_is_what_it_is(body: bytes, shown: str | bytes, has_json: bool) -> None:
    fields = fields_of(post(body))
    assert fields["body"] == shown
    assert ("json" in fields) is has_json


def test_no_body_is_no_field() -> None:
    assert not {"body", "json"} & fields_of(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").keys()


@pytest.mark.parametrize(
    ("data", "status", "reason"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400, "illegal request line"),
        (b"GET / HTTP/1.1\r\n\r\n", 400, "Missing mandatory Host"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "multiple Host"),
        (b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n", 400, "illegal"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400, "conflict"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400, "Content-Length"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501, "Transfer-Encoding"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400, "chunk"),
        (post(b"x" * (LARGEST + 1)), 413, "more than 1000 bytes"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n", 413, "more than"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"b" * 70_000, 431, "more than 65536 bytes"),
    ],
)  # fmt: skip
def test_what_is_no_request_is_refused_and_named(data: bytes, status: int, reason: str) -> None:
    connection, got = received(data)
    assert isinstance(got, Refusal)
    assert got.status == status
    assert reason.lower() in got.reason.lower()
    assert got.fields["error"] == got.reason
    answer = connection.answer(Answer(got.status, body=b"no\n"), DATE)
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert connection.ended


def test_a_chunked_body_is_bounded_too() -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    connection = HttpConnection(LARGEST)
    connection.receive(head)
    got = None
    for _ in range(20):
        connection.receive(b"64\r\n" + b"x" * 100 + b"\r\n")
        got = connection.next()
        assert connection.held <= LARGEST + 100
        if got is not None:
            break
    assert isinstance(got, Refusal)
    assert got.status == 413


def test_an_end_in_the_middle_of_a_request_is_told() -> None:
    connection = HttpConnection(LARGEST)
    connection.receive(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
    assert connection.next() is None
    connection.receive(b"")
    got = connection.next()
    assert isinstance(got, Refusal)
    assert "closed" in got.reason


def test_an_end_between_requests_is_the_end() -> None:
    connection, _ = received(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    connection.answer(OK, DATE)
    connection.receive(b"")
    assert connection.next() is None
    assert connection.ended


def test_requests_in_a_row_are_answered_in_turn() -> None:
    one = b"GET /1 HTTP/1.1\r\nHost: x\r\n\r\n"
    connection, got = received(one + one.replace(b"/1", b"/2") + post(b"[3]"))
    seen = []
    for _ in range(3):
        assert isinstance(got, Request)
        seen.append(got.fields["path"])
        assert connection.answer(OK, DATE).startswith(b"HTTP/1.1 200 OK\r\n")
        assert not connection.ended
        got = connection.next()  # type: ignore[assignment]
    assert seen == ["/1", "/2", "/r"]
    assert got is None


@pytest.mark.parametrize(
    ("head", "ended"),
    [
        ("HTTP/1.1\r\nHost: x\r\nConnection: close", True),
        ("HTTP/1.0", True),
        ("HTTP/1.1\r\nHost: x", False),
    ],
)
def test_a_connection_goes_on_unless_the_client_wants_its_end(head: str, ended: bool) -> None:
    connection, _ = received(f"GET / {head}\r\n\r\n".encode())
    connection.answer(OK, DATE)
    assert connection.ended is ended


def test_who_waits_for_100_continue_gets_it() -> None:
    connection = HttpConnection(LARGEST)
    connection.receive(
        b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
    )
    assert connection.next() is None
    assert connection.to_send.startswith(b"HTTP/1.1 100 ")
    connection.receive(b"[1]")
    assert isinstance(connection.next(), Request)


@pytest.mark.parametrize(
    ("request_line", "answer", "expected"),
    [
        ("GET", Answer(), b"HTTP/1.1 200 OK\r\ndate: D\r\ncontent-length: 0\r\n\r\n"),
        (
            "GET",
            Answer(503, (("retry-after", "1"),), b'{"ok":false}', "application/json"),
            (
                b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\n"
                b"content-type: application/json\r\ndate: D\r\ncontent-length: 12\r\n\r\n"
                b'{"ok":false}'
            ),
        ),
        ("HEAD", Answer(body=b"abc"), b"HTTP/1.1 200 OK\r\ndate: D\r\ncontent-length: 3\r\n\r\n"),
        ("DELETE", Answer(204), b"HTTP/1.1 204 No Content\r\ndate: D\r\n\r\n"),
        ("GET", Answer(599), b"HTTP/1.1 599 Answer\r\ndate: D\r\ncontent-length: 0\r\n\r\n"),
        (
            "GET",
            Answer(
                headers=(("Date", "never"), ("Content-Type", "a/b")), body=b"x", media_type="c/d"
            ),
            b"HTTP/1.1 200 OK\r\nDate: never\r\nContent-Type: a/b\r\ncontent-length: 1\r\n\r\nx",
        ),
    ],
)
def test_answers_on_the_wire(request_line: str, answer: Answer, expected: bytes) -> None:
    connection, _ = received(f"{request_line} / HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    data = connection.answer(answer, DATE).replace(b"Fri, 15 Jan 2027 08:00:00 GMT", b"D")
    assert data == expected


def test_headers_of_the_scenario_that_contradict_the_body_are_sent_as_they_are() -> None:
    connection, _ = received(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    data = connection.answer(Answer(headers=(("content-length", "99"),), body=b"abc"), DATE)
    assert b"content-length: 99\r\n" in data
    assert data.endswith(b"\r\n\r\nabc")
    assert connection.ended


def test_who_wants_another_protocol_is_answered_in_this_one() -> None:
    data = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    connection, got = received(data)
    assert isinstance(got, Request)
    assert connection.answer(OK, DATE).startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_query_without_end_is_kept_whole() -> None:
    query = "&".join(["a=1"] * 5000)
    assert query_fields(query) == {"": query}
