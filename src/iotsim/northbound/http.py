"""One connection of an HTTP/1.1 server, sans I/O: bytes to requests, answers to bytes.

The parsing is h11's, which is strict where leniency would be a way in (RFC 9112). Here are the bounds of
what a client may send, and what is made of a request: its fields.
"""

from __future__ import annotations

from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import h11

from iotsim.northbound.content import content_fields, text_or_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iotsim.northbound.rules import Answer

LARGEST_HEAD = 65536
"""Bytes of a request line and its headers."""
LONGEST_REASON = 300
MOST_QUERY_FIELDS = 1000
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Refusal(NamedTuple):
    """What came is no request that is taken: the status that says so, the reason, and what is known of it."""

    status: int
    reason: str
    fields: dict[str, Any]


class Request(NamedTuple):
    """A whole request."""

    fields: dict[str, Any]


class HttpConnection:
    """A server's connection.

    `receive` what came, b"" at its end; then `next` gives a `Request`, a `Refusal`, or None where more has
    to come first, or nothing will (``ended``). Each of the former two asks for one `answer`. `largest` bounds
    a body. What ``to_send`` has is to be sent before all else.
    """

    def __init__(self, largest: int) -> None:
        self._connection = h11.Connection(h11.SERVER, max_incomplete_event_size=LARGEST_HEAD)
        self._largest = largest
        self._request: h11.Request | None = None
        self._body = bytearray()
        self.ended = False
        self.to_send = b""

    @property
    def held(self) -> int:
        """How many bytes of a request that is not whole yet are kept."""
        return len(self._body)

    def receive(self, data: bytes) -> None:
        # h11 refuses data after an end that it has been told of; what a connection sends after it is void.
        if not self.ended:
            self._connection.receive_data(data)

    def next(self) -> Request | Refusal | None:
        connection = self._connection
        while not self.ended:
            try:
                event = connection.next_event()
            except h11.RemoteProtocolError as error:
                reason = str(error)
                if error.error_status_hint == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE:
                    reason = f"a request line and headers of more than {LARGEST_HEAD} bytes"
                return self.refuse(error.error_status_hint, reason)
            if event is h11.NEED_DATA:
                if connection.they_are_waiting_for_100_continue and self._request is not None:
                    self.to_send += (
                        connection.send(
                            h11.InformationalResponse(
                                status_code=100, headers=[], reason=b"Continue"
                            )
                        )
                        or b""
                    )
                return None
            if event is h11.PAUSED:
                self.ended = True  # it wants another protocol, which it has not got
            elif isinstance(event, h11.Request):
                self._request = event
                self._body.clear()
                length = dict(event.headers).get(b"content-length", b"0")
                if int(length) > self._largest:
                    return self._too_large()
            elif isinstance(event, h11.Data):
                self._body += event.data
                if len(self._body) > self._largest:
                    return self._too_large()
            elif isinstance(event, h11.EndOfMessage):
                return self._whole()
            elif isinstance(event, h11.ConnectionClosed):
                self.ended = True
        return None

    def answer(self, answer: Answer, date: float) -> bytes:
        """The bytes of `answer` to what `next` gave last; afterwards ``ended`` tells whether it was the
        connection's last. `date` is the Unix time."""
        body = answer.body or b""
        given = {name.lower() for name, _ in answer.headers}
        headers: list[tuple[str, str]] = [*answer.headers]
        if answer.media_type and "content-type" not in given:
            headers.append(("content-type", answer.media_type))
        if "date" not in given:
            headers.append(("date", formatdate(date, usegmt=True)))
        if not {"content-length", "transfer-encoding"} & given and answer.status not in (204, 304):
            headers.append(("content-length", str(len(body))))
        connection = self._connection
        if connection.our_state is h11.SEND_RESPONSE or connection.our_state is h11.IDLE:
            return self._by_h11(answer, headers, body)
        self.ended = True
        return b""

    # --- inside -------------------------------------------------------------------------------

    def _by_h11(self, answer: Answer, headers: list[tuple[str, str]], body: bytes) -> bytes:
        connection = self._connection
        response = h11.Response(
            status_code=answer.status,
            headers=[(name.encode("latin-1"), text.encode("latin-1")) for name, text in headers],
            reason=_phrase(answer.status),
        )
        silent = answer.status in (204, 304)
        if self._request is not None and self._request.method == b"HEAD":
            silent = True
        try:
            data = connection.send(response) or b""
            if body and not silent:
                data += connection.send(h11.Data(data=body)) or b""
            data += connection.send(h11.EndOfMessage()) or b""
        except h11.LocalProtocolError:
            # Headers of the scenario's own that contradict the body: they are what it wants to see.
            self.ended = True
            lines = "".join(f"{name}: {text}\r\n" for name, text in headers)
            phrase = _phrase(answer.status).decode()
            head = f"HTTP/1.1 {answer.status} {phrase}\r\n{lines}\r\n".encode("latin-1")
            return head + body
        if connection.our_state is h11.MUST_CLOSE or connection.our_state is h11.SWITCHED_PROTOCOL:
            self.ended = True
        elif connection.our_state is h11.DONE and connection.their_state is h11.DONE:
            self._request = None
            self._body.clear()
            connection.start_next_cycle()
        elif connection.their_state is not h11.DONE:
            self.ended = True
        return data

    def _whole(self) -> Request:
        assert self._request is not None
        fields = _head_fields(self._request)
        if self._body:
            fields |= content_fields(bytes(self._body), "body")
        return Request(fields)

    def _too_large(self) -> Refusal:
        return self.refuse(413, f"a body of more than {self._largest} bytes")

    def refuse(self, status: int, reason: str) -> Refusal:
        """The refusal of what has come last, after which nothing more is taken."""
        fields = _head_fields(self._request) if self._request is not None else {}
        reason = reason[:LONGEST_REASON]  # h11 shows what it has got
        fields["error"] = reason
        self._body.clear()
        return Refusal(status, reason, fields)


def _head_fields(request: h11.Request) -> dict[str, Any]:
    target = request.target.decode("latin-1")
    path, _, query = target.partition("?")
    if not path.startswith("/") and "://" in path:
        try:
            split = urlsplit(target)
            path, query = split.path or "/", split.query
        except ValueError:
            pass  # it stays as it is
    headers: dict[str, Any] = {}
    for name, value in request.headers:
        key, text = name.decode("latin-1"), _shown(value)
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    fields: dict[str, Any] = {
        "method": request.method.decode("latin-1"),
        "path": path,
        "query": query_fields(query),
        "headers": headers,
    }
    return fields


def _shown(value: bytes) -> str:
    text = text_or_bytes(value)
    return text if isinstance(text, str) else value.decode("latin-1")


def query_fields(query: str) -> dict[str, str | Sequence[str]]:
    """The fields of a URL's query, decoded; one that is there several times has all of its values."""
    try:
        pairs = parse_qsl(
            query, keep_blank_values=True, max_num_fields=MOST_QUERY_FIELDS, errors="replace"
        )
    except ValueError:
        return {"": query}
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name not in fields:
            fields[name] = value
        elif isinstance(fields[name], list):
            fields[name].append(value)
        else:
            fields[name] = [fields[name], value]
    return fields


def _phrase(status: int) -> bytes:
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:
        return b"Answer"
