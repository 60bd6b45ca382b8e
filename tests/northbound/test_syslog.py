"""Syslog messages and their framing, among them the examples of the RFCs."""

from __future__ import annotations

from typing import Any

import pytest

from iotsim.northbound.syslog import Framing, syslog_fields

LARGEST = 1000


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (  # RFC 5424, section 6.5, example 1
            (
                b"<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - "
                b"\xef\xbb\xbf'su root' failed for lonvick on /dev/pts/8"
            ),
            {
                "facility": "auth", "severity": "crit", "format": "rfc5424",
                "time": "2003-10-11T22:14:15.003Z", "host": "mymachine.example.com", "app": "su",
                "msgid": "ID47", "message": "'su root' failed for lonvick on /dev/pts/8",
            },
        ),
        (  # example 3
            (
                b"<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 "
                b'[exampleSDID@32473 iut="3" eventSource="App\\"lication" eventID="1011"]'
                b'[examplePriority@32473 class="high"] An application event'
            ),
            {
                "facility": "local4", "severity": "notice", "format": "rfc5424",
                "time": "2003-10-11T22:14:15.003Z", "host": "mymachine.example.com",
                "app": "evntslog", "msgid": "ID47",
                "data": {
                    "exampleSDID@32473": {
                        "iut": "3", "eventSource": 'App"lication', "eventID": "1011"
                    },
                    "examplePriority@32473": {"class": "high"},
                },
                "message": "An application event",
            },
        ),
        (b"<0>1 - - - - - -", {
            "facility": "kern", "severity": "emerg", "format": "rfc5424", "message": "",
        }),
        (  # RFC 3164, section 5.4, example 1
            b"<34>Oct 11 22:14:15 mymachine su: 'su root' failed for lonvick on /dev/pts/8",
            {
                "facility": "auth", "severity": "crit", "format": "rfc3164",
                "time": "Oct 11 22:14:15", "host": "mymachine", "app": "su",
                "message": "'su root' failed for lonvick on /dev/pts/8",
            },
        ),
        (  # without a host, as of the C library
            b"<13>Feb  5 17:32:18 gw[4711]: up\n",
            {
                "facility": "user", "severity": "notice", "format": "rfc3164",
                "time": "Feb  5 17:32:18", "app": "gw", "pid": "4711", "message": "up",
            },
        ),
        (b"<191>just text", {
            "facility": "local7", "severity": "debug", "format": "rfc3164", "message": "just text",
        }),
        (b'<14>gw: {"value": 1}', {
            "facility": "user", "severity": "info", "format": "rfc3164", "app": "gw",
            "message": '{"value": 1}', "json": {"value": 1},
        }),
        (b"no syslog", {"message": "no syslog", "error": "no priority"}),
        (b"<192>x", {"message": "<192>x", "error": "no priority"}),
        (b"", {"message": "", "error": "no priority"}),
        (b"<13>\xff\xfe", {
            "facility": "user", "severity": "notice", "format": "rfc3164", "message": b"\xff\xfe",
        }),
    ],
)  # fmt: skip
def test_messages(data: bytes, expected: dict[str, Any]) -> None:
    assert syslog_fields(data) == expected


def test_broken_structured_data_is_named() -> None:
    fields = syslog_fields(b"<13>1 - - - - - [oops text")
    assert fields["error"] == "no structured data, nor '-' in its place"
    assert fields["message"] == "[oops text"


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_messages_come_out_of_a_stream_however_it_is_cut(step: int) -> None:
    stream = b"6 <13>ab<14>line one\n<15>two\n\n9 <16>c\nd\ne<17>last"
    framing = Framing(LARGEST)
    found = []
    for place in range(0, len(stream), step):
        found += framing.receive(stream[place : place + step])
    found += framing.receive(b"")
    assert found == [b"<13>ab", b"<14>line one", b"<15>two", b"<16>c\nd\ne", b"<17>last"]
    assert not framing.broken


@pytest.mark.parametrize("flood", [b"1001 <13>x", b"x" * 2000])
def test_a_message_that_is_too_long_ends_a_stream(flood: bytes) -> None:
    framing = Framing(LARGEST)
    assert framing.receive(flood) == []
    assert framing.broken == "a message of more than 1000 bytes"
    assert framing.receive(b"3 <1>") == []
