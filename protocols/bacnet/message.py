"""Messages, read and written: BVLC (annex J), NPDU (clause 6), APDU (clause 20.1) and the parameters of a
service, in one."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from iotsim import DecodeError, EncodeError

from .codes import (
    ABORTS,
    APDUS,
    DEFAULT_SERVICE,
    FUNCTIONS,
    MAX_APDU,
    MAX_SEGMENTS,
    MORE,
    NETWORK_MESSAGES,
    NPDU_FUNCTIONS,
    PRIORITIES,
    REJECTS,
    RESPONSE_ACCEPTED,
    SEGMENTED,
)
from .services import ACKS, CONFIRMED, ERROR, REQUESTS, UNCONFIRMED, WRITE_MULTIPLE_ERROR
from .syntax import Cursor, Item, Writer, read_elements, read_items
from .tags import MalformedError, read_tag

if TYPE_CHECKING:
    from collections.abc import Mapping

Message = dict[str, Any]


def _name(names: dict[str, int], number: int) -> str | int:
    return next((name for name, one in names.items() if one == number), number)


def _number(names: dict[str, int], name: Any, path: str, most: int = 255) -> int:
    number = names.get(name, name) if isinstance(name, str) else name
    if not isinstance(number, int) or not 0 <= number <= most:
        raise EncodeError(f"there is no {name!r:.60}", path)
    return int(number)


class Octets:
    """What is left of a datagram, taken from the front; DecodeError where there is not enough."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data, self.at = data, at

    def number(self, size: int, path: str) -> int:
        return int.from_bytes(self.take(size, path), "big")

    def take(self, size: int, path: str) -> bytes:
        octets = self.data[self.at : self.at + size]
        if len(octets) < size:
            raise DecodeError("the message is cut off", path, self.at)
        self.at += size
        return octets

    def rest(self) -> bytes:
        return self.take(len(self.data) - self.at, "data")


# -- BVLC (annex J) ----------------------------------------------------------------------------------


def read_message(data: bytes, at: int) -> tuple[Message, int]:
    message, octets = read_headers(data, at)
    if "apdu" in message:
        _read_parameters(message, octets)
    elif octets.at < len(data):
        raise DecodeError("octets are left over", "data", octets.at)
    return message, len(data)


def read_headers(data: bytes, at: int) -> tuple[Message, Octets]:
    """All that stands before the parameters of a service, and where those are."""
    octets = Octets(data, at)
    if octets.number(1, "function") != 0x81:
        raise DecodeError("no BACnet/IP: it begins by 0x81", "function", at)
    function = octets.number(1, "function")
    length = octets.number(2, "length")
    if length != len(data) - at:
        raise DecodeError(
            f"the length says {length}, and it has {len(data) - at} octets", "length", at + 2
        )
    message: Message = {"function": _name(FUNCTIONS, function)}
    if function == 4:
        message["origin"] = _endpoint(octets.take(6, "origin"))
    if function in NPDU_FUNCTIONS:
        _read_npdu(message, octets)
    elif function == 0:
        message["result"] = octets.number(2, "result")
    elif function == 5:
        message["ttl"] = octets.number(2, "ttl")
    elif function not in (2, 6):
        message["data"] = octets.rest()
    return message, octets


def _endpoint(octets: bytes) -> str:
    return f"{ipaddress.IPv4Address(octets[:4])}:{int.from_bytes(octets[4:], 'big')}"


def endpoint(text: Any) -> tuple[int, int]:
    """The address and port of ``10.77.0.1:47808``. ValueError if it is none."""
    host, _, port = str(text).rpartition(":")
    number = int(port) if port.isascii() and port.isdecimal() and len(port) < 6 else -1
    if not 0 <= number <= 0xFFFF:
        raise ValueError(f"{text!r:.60} is no address and port, such as '10.77.0.1:47808'")
    return int(ipaddress.IPv4Address(host)), number


def _endpoint_octets(text: Any, path: str) -> bytes:
    try:
        address, port = endpoint(text)
    except ValueError as error:
        raise EncodeError(str(error), path) from None
    return address.to_bytes(4, "big") + port.to_bytes(2, "big")


def write_message(message: Message) -> bytes:
    function = _number(FUNCTIONS, message.get("function") or "ORIGINAL_UNICAST_NPDU", "function")
    if function in NPDU_FUNCTIONS:
        body = _write_npdu(message)
        if function == 4:
            body = _endpoint_octets(message.get("origin"), "origin") + body
    elif function == 0:
        body = _two(message.get("result", 0), "result")
    elif function == 5:
        body = _two(message.get("ttl"), "ttl")
    else:
        body = message.get("data") or b""
    return b"\x81" + bytes([function]) + (len(body) + 4).to_bytes(2, "big") + body


def _two(value: Any, path: str) -> bytes:
    return _number({}, value, path, 0xFFFF).to_bytes(2, "big")


# -- NPDU (clause 6.2) -------------------------------------------------------------------------------


def _read_npdu(message: Message, octets: Octets) -> None:
    if octets.number(1, "version") != 1:
        raise DecodeError("the version of the network layer is 1", "version", octets.at - 1)
    control = octets.number(1, "control")
    message["network_priority"] = _name(PRIORITIES, control & 3)
    message["expecting_reply"] = bool(control & 4)
    message["destination"] = _read_address(octets, "destination") if control & 0x20 else None
    message["source"] = _read_address(octets, "source") if control & 8 else None
    message["hop_count"] = octets.number(1, "hop_count") if control & 0x20 else None
    if control & 0x50:
        raise DecodeError("reserved bits are set", "control", octets.at)
    if control & 0x80:
        kind = octets.number(1, "network_message")
        message["network_message"] = _name(NETWORK_MESSAGES, kind)
        message["data"] = octets.rest()
    else:
        _read_apdu(message, octets)


def _read_address(octets: Octets, path: str) -> Message:
    network = octets.number(2, path)
    return {"network": network, "address": octets.take(octets.number(1, path), path)}


def _write_npdu(message: Message) -> bytes:
    control = _number(
        PRIORITIES, message.get("network_priority") or "NORMAL", "network_priority", 3
    )
    destination, source = message.get("destination"), message.get("source")
    kind = message.get("network_message")
    apdu = b"" if kind is not None else _write_apdu(message)
    expecting = message.get("expecting_reply")
    if expecting is None:
        expecting = bool(apdu) and (apdu[0] >> 4 == 0 or apdu[0] & 0xF8 == 0x38)
    control |= (4 if expecting else 0) | (0x20 if destination else 0) | (8 if source else 0)
    body = _write_address(destination, "destination") + _write_address(source, "source")
    if destination:
        hops = message.get("hop_count")
        body += bytes([_number({}, 255 if hops is None else hops, "hop_count")])
    if kind is not None:
        control |= 0x80
        body += bytes([_number(NETWORK_MESSAGES, kind, "network_message")]) + (
            message.get("data") or b""
        )
    return bytes([1, control]) + body + apdu


def _write_address(address: Any, path: str) -> bytes:
    if not address:
        return b""
    octets = address.get("address") or b""
    return _two(address.get("network"), f"{path}.network") + bytes([len(octets)]) + octets


# -- APDU (clause 20.1) ------------------------------------------------------------------------------


def _read_apdu(message: Message, octets: Octets) -> None:
    first = octets.number(1, "apdu")
    kind = first >> 4
    apdu = _name(APDUS, kind)
    if isinstance(apdu, int):
        raise DecodeError(f"no APDU has the type {kind}", "apdu", octets.at - 1)
    message["apdu"] = apdu
    if kind == 0:
        message["segmented_response_accepted"] = bool(first & RESPONSE_ACCEPTED)
        limits = octets.number(1, "max_apdu")
        message["max_segments"] = MAX_SEGMENTS[limits >> 4 & 7]
        code = limits & 15
        message["max_apdu"] = MAX_APDU[code] if code < len(MAX_APDU) else code
    if kind != 1:
        message["invoke_id"] = octets.number(1, "invoke_id")
    if kind == 4:
        message["negative"], message["server"] = bool(first & 2), bool(first & 1)
        message["sequence_number"] = octets.number(1, "sequence_number")
        message["window"] = octets.number(1, "window")
    elif kind >= 6:
        message["reason"] = _name(REJECTS if kind == 6 else ABORTS, octets.number(1, "reason"))
        if kind == 7:
            message["server"] = bool(first & 1)
    else:
        if kind in (0, 3) and first & SEGMENTED:
            message["more_follows"] = bool(first & MORE)
            message["sequence_number"] = octets.number(1, "sequence_number")
            message["window"] = octets.number(1, "window")
        names = UNCONFIRMED if kind == 1 else CONFIRMED
        message["service"] = _name(names, octets.number(1, "service"))


def _read_parameters(message: Message, octets: Octets) -> None:
    apdu = message["apdu"]
    if apdu in ("SEGMENT_ACK", "REJECT", "ABORT", "SIMPLE_ACK"):
        if octets.at < len(octets.data):
            raise DecodeError("octets are left over", "apdu", octets.at)
    elif "sequence_number" in message:
        message["data"] = octets.rest()
    else:
        message.update(read_service(apdu, message["service"], octets.data, octets.at))


def read_service(apdu: str, service: str | int, data: bytes, at: int) -> Message:
    """The parameters from `at` to the end. MalformedError if they are none."""
    cursor = Cursor(data, at, len(data))
    items = production(apdu, service)
    if apdu == "ERROR" and items is ERROR and not cursor.done and read_tag(data, at).context:
        items = None
    if items is None:
        return {"parameters": read_elements(cursor, None, "parameters", 0)}
    found = read_items(cursor, items)
    if not cursor.done:
        raise MalformedError("octets are left over", "service", cursor.at, "TOO_MANY_ARGUMENTS")
    return found


def production(apdu: str, service: str | int) -> tuple[Item, ...] | None:
    """The parameters of a service as they are declared; None where they are not."""
    if apdu == "ERROR":
        return WRITE_MULTIPLE_ERROR if service == "WRITE_PROPERTY_MULTIPLE" else ERROR
    table = ACKS if apdu == "COMPLEX_ACK" else REQUESTS
    return table.get(service) if isinstance(service, str) else None


def write_service(apdu: str, message: Message) -> bytes:
    """The parameters' octets. EncodeError if `message` lacks one."""
    writer = Writer()
    items = production(apdu, message.get("service") or 0)
    if message.get("parameters") is not None or items is None:
        elements = message.get("parameters") or []
        return b"".join(writer.element(one, f"parameters.{i}") for i, one in enumerate(elements))
    return writer.items(message, items)


def kind_of(message: Mapping[str, Any]) -> str:
    """The APDU of a message that does not say it: a request, as its service is."""
    apdu = message.get("apdu")
    if apdu is None:
        unconfirmed = (message.get("service") or DEFAULT_SERVICE) in UNCONFIRMED
        return "UNCONFIRMED_REQUEST" if unconfirmed else "CONFIRMED_REQUEST"
    return str(apdu)


def _write_apdu(message: Message) -> bytes:
    apdu = kind_of(message)
    kind = _number(APDUS, apdu, "apdu", 7)
    first, parts = kind << 4, []
    number = message.get("sequence_number")
    segmented = number is not None and kind in (0, 3)
    if segmented:
        first |= SEGMENTED | (MORE if message.get("more_follows") else 0)
    if kind == 0:
        first |= RESPONSE_ACCEPTED if message.get("segmented_response_accepted") else 0
        parts.append(bytes([_limits(message)]))
    if kind != 1:
        parts.append(bytes([_number({}, message.get("invoke_id") or 0, "invoke_id")]))
    if kind in (4, 7) and message.get("server", True):
        first |= 1
    if kind == 4 and message.get("negative"):
        first |= 2
    if segmented or kind == 4:
        parts.append(bytes([_number({}, number, "sequence_number")]))
        parts.append(bytes([_number({}, message.get("window", 1), "window")]))
    if kind >= 6:
        names = REJECTS if kind == 6 else ABORTS
        parts.append(bytes([_number(names, message.get("reason", "OTHER"), "reason")]))
    elif kind != 4:
        names = UNCONFIRMED if kind == 1 else CONFIRMED
        service = message.get("service")
        if service is None and kind == 1:
            service = DEFAULT_SERVICE
        parts.append(bytes([_number(names, service, "service")]))
        if segmented:
            parts.append(message.get("data") or b"")
        elif kind != 2:
            parts.append(write_service(apdu, {**message, "service": service}))
    return bytes([first]) + b"".join(parts)


def _limits(message: Message) -> int:
    segments, size = message.get("max_segments") or 0, message.get("max_apdu", 1476)
    if segments not in MAX_SEGMENTS:
        raise EncodeError(f"it is one of {MAX_SEGMENTS}, not {segments!r:.40}", "max_segments")
    code = MAX_APDU.index(size) if size in MAX_APDU else size
    return MAX_SEGMENTS.index(segments) << 4 | _number({}, code, "max_apdu", 15)
