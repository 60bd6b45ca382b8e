"""What tshark shows of datagrams with a dissector of ours, and whether that is what the codec decodes."""

from __future__ import annotations

import math
import re
import struct
import subprocess
import xml.etree.ElementTree as ET
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from iotsim.protocol.dissection import DissectedField, Dissection, dissect
from iotsim.protocol.wireshark import dissector

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from iotsim import Protocol
    from iotsim.protocol.device import StandIn

SERVERS, CLIENT = 41000, 40000
"""Ports: that of a protocol's server, which is the next for each, and that of its clients."""
BEFORE = 28
"""Bytes of the headers of IPv4 and UDP."""
NO_XML = re.compile("[^\t\n -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
LUA_ERROR = "Lua Error"


@dataclass(frozen=True)
class Sent:
    """A datagram; ``answer``: it is one that a device sends."""

    data: bytes
    answer: bool = False
    device: StandIn | None = None


@dataclass
class Shown:
    """A datagram as tshark shows it: fields by abbreviation, in their order, and what is wrong with it."""

    fields: dict[str, list[ET.Element]] = field(default_factory=lambda: defaultdict(list))
    experts: list[str] = field(default_factory=list)
    mistakes: list[str] = field(default_factory=list)
    """Errors of the dissector itself."""
    others: set[str] = field(default_factory=set)
    """The protocols that Wireshark's own dissectors show."""


class Case(NamedTuple):
    """A protocol, and datagrams of it."""

    protocol: Protocol
    datagrams: list[Sent]


def capture(cases: Iterable[Case]) -> bytes:
    """A capture file of all datagrams, in IPv4 without a link layer."""
    parts = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 228)]
    for server, case in enumerate(cases, SERVERS):
        for sent in case.datagrams:
            ports = (server, CLIENT) if sent.answer else (CLIENT, server)
            size = 8 + len(sent.data)
            udp = struct.pack(">HHHH", *ports, size, 0) + sent.data
            head = struct.pack(
                ">BBHHHBBH4s4s", 0x45, 0, 20 + size, 0, 0, 64, 17, 0, b"\n\0\0\1", b"\n\0\0\2"
            )
            packet = head + udp
            parts.append(struct.pack("<IIII", 0, 0, len(packet), len(packet)) + packet)
    return b"".join(parts)


def tshark(folder: Path, cases: list[Case]) -> list[list[Shown]]:
    """What tshark shows of the datagrams of each case, with the dissectors of all; in one run, since
    starting it takes longer than that."""
    file = folder / "datagrams.pcap"
    file.write_bytes(capture(cases))
    words = ["tshark", "-n", "-r", str(file), "-T", "pdml"]
    names = [registered(case.protocol.name) for case in cases]
    for server, (case, name) in enumerate(zip(cases, names, strict=True), SERVERS):
        script = folder / f"{case.protocol.name}.lua"
        script.write_text(dissector(case.protocol).source)
        words += ["-X", f"lua_script:{script}", "-d", f"udp.port=={server},{name}"]
    done = subprocess.run(words, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, done.stderr
    assert "ua:" not in done.stderr, done.stderr
    packets = iter(ET.fromstring(NO_XML.sub("?", done.stdout)).findall("packet"))
    shown = [
        [_shown(next(packets), name) for _ in case.datagrams]
        for case, name in zip(cases, names, strict=True)
    ]
    assert next(packets, None) is None
    return shown


def registered(name: str) -> str:
    """The name by which Wireshark knows the protocol: another one if it has one of that name itself."""
    return f"iotsim_{name}" if name in _its_own() else name


@cache
def _its_own() -> set[str]:
    done = subprocess.run(["tshark", "-G", "protocols"], capture_output=True, text=True, check=True)
    return {line.split("\t")[2] for line in done.stdout.splitlines() if line.count("\t") > 1}


def _shown(packet: ET.Element, name: str) -> Shown:
    found = Shown()
    found.others = {str(proto.get("name")) for proto in packet.iter("proto")} - {name}
    for element in packet.iter("field"):
        abbreviation = str(element.get("name"))
        if LUA_ERROR in str(element.get("showname")):
            found.mistakes.append(str(element.get("showname")))
        if abbreviation in (f"{name}._malformed", f"{name}._mistaken"):
            found.experts.append(str(element.get("showname")))
        elif abbreviation.startswith(f"{name}."):
            found.fields[abbreviation.removeprefix(f"{name}.")].append(element)
    return found


def differences(case: Case, shown_of_all: list[Shown]) -> tuple[list[str], int]:
    """In what tshark and the codec differ about the datagrams, and how many values were compared."""
    protocol = case.protocol
    made = dissector(protocol)
    found: list[str] = []
    count = 0
    for sent, shown in zip(case.datagrams, shown_of_all, strict=True):
        where = f"{protocol.name} {sent.data.hex()}"
        found += [f"{where}: {one}" for one in shown.mistakes]
        ours = dissect(protocol, sent.data, answer=sent.answer, device=sent.device)
        if ours.error is None and shown.experts:
            found.append(f"{where}: refused by tshark only: {shown.experts}")
        if ours.error is not None and not shown.experts and not made.missing:
            found.append(f"{where}: refused by iotsim only: {ours.error}")
        if ours.error is not None:
            continue
        by_path: dict[str, list[DissectedField]] = defaultdict(list)
        for row in _rows(ours):
            by_path[re.sub(r"\.\d+(?=\.|\Z)", "", row.path)].append(row)
        for path, rows in by_path.items():
            if _is_below(path, made.missing) or path.startswith("(message)"):
                continue
            named = made.abbreviations.get(path, {})
            if not named and _is_below(path, made.abbreviations):
                continue  # of a body that another dissector shows
            theirs = [
                (element, names)
                for abbreviation, names in named.items()
                for element in shown.fields[abbreviation]
                if not len(element)  # no group
            ]
            theirs.sort(key=lambda one: int(one[0].get("pos", "0")))
            if len(theirs) != len(rows):
                if not made.missing:
                    found.append(f"{where}: {path}: {len(rows)} values, but {len(theirs)} shown")
                continue
            for row, (element, names) in zip(rows, theirs, strict=True):
                count += 1
                if not _same(row.value, element, names):
                    found.append(
                        f"{where}: {row.path}: {row.value!r}, but {ET.tostring(element)!r}"
                    )
                if not _in_place(row, element):
                    found.append(
                        f"{where}: {row.path}: at {row.offset}, but {ET.tostring(element)!r}"
                    )
    return found, count


def _rows(ours: Dissection) -> Iterator[DissectedField]:
    """A row for each single value."""
    values = dict(_flat(ours.message, ""))
    leaves: dict[str, DissectedField] = {}
    for row in _leaves(ours.rows):
        before = leaves.get(row.path)
        if before is not None:  # a native's, in several pieces
            size = row.offset + row.size - before.offset
            row = before._replace(size=size, value=values.get(row.path, row.value))
        leaves[row.path] = row
    yield from leaves.values()
    for path, value in values.items():
        if path not in leaves:  # a native's, which has no place
            yield DissectedField(0, 0, path, value, b"")


def _flat(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """The single values of a message, by path."""
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for name, inner in pairs:
            yield from _flat(inner, f"{path}.{name}" if path else str(name))
    elif value is not None:
        yield path, value


def _is_below(path: str, others: Iterable[str]) -> bool:
    return any(f"{path}.".startswith(f"{other.replace('[]', '')}.") for other in others)


def _leaves(rows: Iterable[DissectedField]) -> Iterable[DissectedField]:
    for row in rows:
        if not row.path or row.nested or row.value is None or row.value in ([], {}):
            continue
        if isinstance(row.value, dict):
            for name, value in row.value.items():
                yield row._replace(path=f"{row.path}.{name}", value=value)
        elif not isinstance(row.value, list):
            yield row


def _same(value: Any, element: ET.Element, names: dict[str, int]) -> bool:
    shown = str(element.get("show"))
    if isinstance(value, str) and value in names:
        value = names[value]
    if isinstance(value, bool):
        return shown in (("1", "True") if value else ("0", "False"))
    if isinstance(value, bytes):
        return bytes.fromhex(str(element.get("value") or "")) == value
    if isinstance(value, int):
        if ":" in shown or not re.fullmatch(r"-?\d+", shown):
            return element.get("value") is not None or shown == str(value)
        return int(shown) == value or abs(value) >= 1 << 53
    if isinstance(value, float):
        other = float(shown)
        return math.isclose(value, other, rel_tol=1e-5, abs_tol=1e-9) or value != value
    return _printable(shown) == _printable(str(value)) or not str(value).isprintable()


def _printable(text: str) -> str:
    return re.sub(r"[\\\"]", "", text)


def _in_place(row: DissectedField, element: ET.Element) -> bool:
    start, size = int(element.get("pos", "0")) - BEFORE, int(element.get("size", "0"))
    if not size or not row.size:
        return True
    return start >= row.offset // 8 and start + size <= -(-(row.offset + row.size) // 8)
