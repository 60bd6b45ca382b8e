"""Syslog: RFC 5424 messages, those of RFC 3164, and how TCP carries them (RFC 6587)."""

from __future__ import annotations

import re
from typing import Any

from iotsim.northbound.content import NO_JSON, json_of, text_or_bytes
from iotsim.northbound.fields import FACILITIES, SEVERITIES

_PRIORITY = re.compile(rb"<([0-9]{1,3})>")
_HEADER_5424 = re.compile(
    rb"1 (-|[0-9T:.Z+-]{1,40}) ([!-~]{1,255}) ([!-~]{1,48}) ([!-~]{1,128}) ([!-~]{1,32}) "
)
_ELEMENT = re.compile(rb'\[([^ =\]"\x00-\x20]{1,32})((?: [^ =\]"]{1,32}="(?:[^"\\\]]|\\.)*")*)\]')
_PARAMETER = re.compile(rb' ([^ =\]"]{1,32})="((?:[^"\\\]]|\\.)*)"')
_ESCAPE = re.compile(rb'\\(["\\\]])')
_HEADER_3164 = re.compile(
    rb"((?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ 0-9][0-9] "
    rb"[0-9]{2}:[0-9]{2}:[0-9]{2}) "
)
_HOST_3164 = re.compile(rb"([A-Za-z0-9_.:-]{1,255}) (?=[^ :\[]{1,48}(?:\[|:))")
_TAG = re.compile(rb"([A-Za-z0-9_./-]{1,48})(?:\[([^\]\s]{1,32})\])?: ?")
_LENGTH = re.compile(rb"([1-9][0-9]{0,8}) ")
BOM = b"\xef\xbb\xbf"


def syslog_fields(data: bytes) -> dict[str, Any]:
    """The fields of one message. What has no priority is no syslog, and a ``message`` with an ``error``."""
    priority = _PRIORITY.match(data)
    if priority is None or int(priority[1]) >= 8 * len(FACILITIES):
        return {"message": text_or_bytes(data.rstrip(b"\n\0")), "error": "no priority"}
    facility, severity = divmod(int(priority[1]), 8)
    fields: dict[str, Any] = {"facility": FACILITIES[facility], "severity": SEVERITIES[severity]}
    rest = data[priority.end() :]
    header = _HEADER_5424.match(rest)
    if header is not None:
        fields["format"] = "rfc5424"
        named = zip(("time", "host", "app", "pid", "msgid"), header.groups(), strict=True)
        fields |= {name: value.decode("ascii") for name, value in named if value != b"-"}
        rest = _structured(rest[header.end() :], fields)
    else:
        fields["format"] = "rfc3164"
        rest = _legacy(rest, fields)
    message = rest.removeprefix(BOM).rstrip(b"\n\0")
    fields["message"] = text_or_bytes(message)
    if message[:1] in (b"{", b"[") and (value := json_of(message)) is not NO_JSON:
        fields["json"] = value
    return fields


def _structured(rest: bytes, fields: dict[str, Any]) -> bytes:
    """Put the structured data at the begin of `rest` into `fields`; what follows it."""
    if rest.startswith(b"-"):
        return rest[1:].removeprefix(b" ")
    data: dict[str, dict[str, str]] = {}
    while (element := _ELEMENT.match(rest)) is not None:
        parameters = data.setdefault(element[1].decode("ascii", "replace"), {})
        for name, value in _PARAMETER.findall(element[2]):
            text = _ESCAPE.sub(rb"\1", value).decode("utf-8", "replace")
            parameters[name.decode("ascii", "replace")] = text
        rest = rest[element.end() :]
    if data:
        fields["data"] = data
    else:
        fields["error"] = "no structured data, nor '-' in its place"
    return rest.removeprefix(b" ")


def _legacy(rest: bytes, fields: dict[str, Any]) -> bytes:
    """Put what `rest` has of an RFC 3164 header into `fields`; what follows it."""
    timestamp = _HEADER_3164.match(rest)
    if timestamp is not None:
        fields["time"] = timestamp[1].decode("ascii")
        rest = rest[timestamp.end() :]
        host = _HOST_3164.match(rest)
        if host is not None:
            fields["host"] = host[1].decode("ascii")
            rest = rest[host.end() :]
    tag = _TAG.match(rest)
    if tag is not None:
        fields["app"] = tag[1].decode("ascii")
        if tag[2] is not None:
            fields["pid"] = tag[2].decode("ascii", "replace")
        rest = rest[tag.end() :]
    return rest


class Framing:
    """Messages out of a stream: with their length before each, or ended by a newline, as each begins."""

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._held = b""
        self.broken = ""
        """Why nothing more can be told apart in this stream; "" while it can."""

    def receive(self, data: bytes) -> list[bytes]:
        """The messages that `data` completes; b"" is the end of the stream, which ends the last one."""
        if self.broken:
            return []
        rest = self._held + data
        found: list[bytes] = []
        while rest:
            counted = _LENGTH.match(rest)
            if counted is not None:
                end = counted.end() + int(counted[1])
                if int(counted[1]) > self._largest:
                    self.broken = f"a message of more than {self._largest} bytes"
                    rest = b""
                    break
                if len(rest) < end:
                    break
                found.append(rest[counted.end() : end])
                rest = rest[end:]
                continue
            line, newline, behind = rest.partition(b"\n")
            if not newline:
                break
            if line:
                found.append(line)
            rest = behind
        if not data and rest:
            found.append(rest)
            rest = b""
        if len(rest) > self._largest + 16:
            self.broken = f"a message of more than {self._largest} bytes"
            rest = b""
        self._held = rest
        return found
