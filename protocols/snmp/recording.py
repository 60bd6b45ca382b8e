"""Recordings: what a real device has told, as a file.

``.snmprec``   lines ``OID|TAG|VALUE``, as snmpsim has them: tags are decimal numbers; after one with an ``x``
               the value is hexadecimal, after one with an ``e`` it has escapes
``snmpwalk``   what net-snmp's programs print with ``-On``: ``.1.3.6.1.2.1.1.7.0 = INTEGER: 72``
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Any

from iotsim import DecodeError

from .ber import EXCEPTIONS, RANGES, TYPE_NAMES, normal_oid, value_in
from .mib import Variable, as_kind

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_RECORDED = 500_000
MOST_HEAD_LINES = 100
SNMPREC = re.compile(r"\.?([0-9.]+)\|([0-9]+)([xe]?)\|(.*)", re.ASCII | re.DOTALL)
WALKED = re.compile(r"\.?([0-9]+(?:\.[0-9]+)+) = ?(.*)", re.ASCII)
WRONG_TYPE = "Wrong Type (should be "
"""Before what is no value of the type that a MIB says: ``Wrong Type (should be Gauge32): INTEGER: 5``."""
NOT_THERE = ("No Such Object", "No Such Instance", "No more variables left")
WALKED_TYPES = {
    "INTEGER": "INTEGER",
    "Integer32": "INTEGER",
    "STRING": "OCTETS",
    "Hex-STRING": "OCTETS",
    "BITS": "OCTETS",
    "OID": "OID",
    "IpAddress": "IPADDRESS",
    "Network Address": "IPADDRESS",
    "Counter32": "COUNTER32",
    "Gauge32": "GAUGE32",
    "Unsigned32": "GAUGE32",
    "Timeticks": "TIMETICKS",
    "Opaque": "OPAQUE",
    "Counter64": "COUNTER64",
    "NULL": "NULL",
}


Entry = tuple[str, str, Any]


def read_recording(file: Any) -> dict[str, Variable]:
    """The variables that are recorded in a `File`. ValueError with the line of what is wrong."""
    lines = [line.removesuffix("\r") for line in file.text.split("\n")]
    if any(map(SNMPREC.fullmatch, lines[:MOST_HEAD_LINES])):
        texts, read = snmprec_texts(lines), snmprec_entry
    else:
        texts, read = walked_texts(lines), walked_entry
    found: dict[str, Variable] = {}
    for number, text in texts:
        try:
            entry = read(text)
            if entry is None:
                continue
            oid, kind, value = entry
            oid = normal_oid(oid)
            if oid in found:
                raise ValueError(f"{oid} is there twice")
            found[oid] = Variable(oid, kind, recorded(value, kind))
        except (ValueError, DecodeError) as error:
            raise file.error(number, getattr(error, "reason", error)) from None
        if len(found) > MOST_RECORDED:
            raise file.error(number, f"more than {MOST_RECORDED} entries")
    if not found:
        raise file.error(1, "no entry of a recording in this file")
    return found


def recorded(value: Any, kind: str) -> Any:
    """A value as it is recorded: a number that its type cannot be is none."""
    if kind in RANGES:
        number, (low, high) = int(value), RANGES[kind]
        if not low <= number <= high:
            raise ValueError(f"{number} is no {kind}, which is {low} to {high}")
        return number
    return as_kind(value, kind)


def snmprec_texts(lines: list[str]) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.startswith("#"):
            yield number, line


def snmprec_entry(text: str) -> Entry | None:
    match = SNMPREC.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:80]!r} is no OID|TAG|VALUE")
    oid, tag, form, said = match.groups()
    kind = TYPE_NAMES.get(int(tag)) if len(tag) < 4 else None
    if kind is None or kind in EXCEPTIONS:
        raise ValueError(f"{tag[:20]} is the tag of no value")
    if form:
        octets = bytes.fromhex(said) if form == "x" else unescaped(said)
        if kind in ("OCTETS", "OPAQUE", "IPADDRESS"):
            return oid, kind, value_in(octets, kind, "", 0)
        said = octets.decode("latin-1")
    return oid, kind, None if kind == "NULL" else said


def unescaped(text: str) -> bytes:
    """The octets of a text with Python's escapes."""
    return text.encode("latin-1", "backslashreplace").decode("unicode_escape").encode("latin-1")


def walked_texts(lines: list[str]) -> Iterator[tuple[int, str]]:
    """The entries with the numbers of their first lines: a value may go on over several."""
    begun, held = 0, [""]
    for number, line in enumerate(lines, 1):
        if WALKED.match(line) or (not begun and line.strip()):
            if begun:
                yield begun, "\n".join(held)
            begun, held = number, [line]
        elif begun:
            held.append(line)
    if begun:
        yield begun, "\n".join(held)


def walked_entry(text: str) -> Entry | None:
    first, _, rest = text.partition("\n")
    match = WALKED.fullmatch(first)
    if match is None:
        hint = "" if " = " not in first else "; snmpwalk -On writes numbers"
        raise ValueError(f"{first[:80]!r} is no OID = TYPE: VALUE{hint}")
    oid, said = match.groups()
    said = f"{said}\n{rest}".rstrip("\n")
    if said.startswith(NOT_THERE):
        return None
    if said.strip() in ('""', ""):
        return oid, "OCTETS", ""
    name, _, value = said.removeprefix(WRONG_TYPE).partition(":")
    if said.startswith(WRONG_TYPE):
        name, _, value = value.strip().partition(":")
    kind = WALKED_TYPES.get(name)
    if kind is None:
        raise ValueError(f"{said[:80]!r} is no TYPE: VALUE")
    return oid, kind, walked_value(name, kind, value.removeprefix(" "))


def walked_value(name: str, kind: str, text: str) -> Any:
    if name in ("Hex-STRING", "BITS"):
        digits = re.match(r"(?:[0-9A-Fa-f]{2}(?:\s+|\Z))*", text)
        return bytes.fromhex(digits[0]) if digits else b""
    if name == "Network Address":
        return ".".join(str(int(part, 16)) for part in text.split(":"))
    if kind == "OCTETS":
        if len(text) > 1 and text[0] == text.rstrip()[-1] == '"':
            return re.sub(r'\\(["\\])', r"\1", text.rstrip()[1:-1])
        return text
    if kind in RANGES:
        number = re.match(r"(?:[^(]*\()?(-?[0-9]+)\)?", text.strip())
        if number is None:
            raise ValueError(f"{text[:80]!r} has no number")
        return int(number[1])
    if kind == "OPAQUE":
        return walked_opaque(text)
    return text.strip() if kind != "NULL" else None


def walked_opaque(text: str) -> bytes:
    """What net-snmp shows of an Opaque: a float in it (its own tag 0x9f 0x78), or octets."""
    shown, _, value = text.strip().partition(": ")
    if shown == "Float":
        return b"\x9f\x78\x04" + struct.pack(">f", float(value))
    return bytes.fromhex(value or shown)
