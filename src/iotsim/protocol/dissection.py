"""Dissections: a datagram taken apart, field by field, as data and as text."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from iotsim.errors import DecodeError
from iotsim.protocol.interpreted import Interpreter
from iotsim.protocol.places import Recorder
from iotsim.safetext import safe_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from construct import Construct

    from iotsim.protocol.definition import Protocol
    from iotsim.protocol.device import Device

MOST_LINES = 2000
LONGEST_TEXT = 4000
"""The most that is shown of a dissection: a datagram of 64 KiB may have as many fields, or one."""


def place_text(bits: int | None) -> str:
    """A place in a message: "4", "4.2" (byte and bit), or "" if it is not known."""
    if bits is None:
        return ""
    return f"{bits // 8}.{bits % 8}" if bits % 8 else str(bits // 8)


class DissectedField(NamedTuple):
    """A field in a datagram. ``offset`` and ``size`` are in bits; ``data`` its bytes.

    ``path`` is "" for bytes that belong to no named field. A struct or array that other rows
    show in detail has ``nested`` set.
    """

    offset: int
    size: int
    path: str
    value: Any
    data: bytes
    nested: bool = False


@dataclass(frozen=True)
class Dissection:
    """A datagram taken apart, as far as it could be; ``message`` is None if ``error`` is not."""

    data: bytes
    rows: tuple[DissectedField, ...]
    message: dict[str, Any] | None
    error: DecodeError | None = None

    def lines(self) -> Iterator[str]:
        """The dissection as text, each field one line of bounded length: place, bytes, field, value."""
        table = [
            tuple(
                safe_line(_clip(text))
                for text in (
                    place_text(row.offset),
                    _bytes_text(row),
                    row.path or "(unnamed)",
                    _value_text(row),
                )
            )
            for row in self.rows[:MOST_LINES]
        ]
        widths = [max([0, *(len(line[i]) for line in table)]) for i in range(3)]
        for line in table:
            cells = [text.ljust(width) for text, width in zip(line[:3], widths, strict=True)]
            yield "  ".join([*cells, line[3]]).rstrip()
        if len(self.rows) > MOST_LINES:
            yield f"and {len(self.rows) - MOST_LINES} more"
        if self.error is not None:
            yield safe_line(_clip(f"error: {self.error}"))


def _clip(text: str) -> str:
    if len(text) <= LONGEST_TEXT:
        return text
    return f"{text[:LONGEST_TEXT]}… ({len(text)} characters)"


def _bytes_text(row: DissectedField) -> str:
    if row.nested:
        return ""
    if row.size % 8 or row.offset % 8:
        return f"{row.size} bit" + ("" if row.size == 1 else "s")
    return row.data.hex(" ") if len(row.data) <= 16 else f"{row.data[:15].hex(' ')} ..."


def _value_text(row: DissectedField) -> str:
    if row.nested:
        return f"{len(row.value)} elements" if isinstance(row.value, list) else ""
    if isinstance(row.value, bytes):
        return "hex:" + row.value.hex()
    return str(row.value)


def summary_line(protocol: Protocol, message: Mapping[str, Any]) -> str:
    """What ``protocol`` says of ``message`` in a line, of bounded length."""
    return safe_line(_clip(protocol.summarize(message)))


def dissect(
    protocol: Protocol, data: bytes, *, answer: bool = False, device: Device | None = None
) -> Dissection:
    """Take ``data`` apart, field by field, up to the first that is wrong.

    ``answer``: it is what a device sends. ``device`` is which, for a schema that asks for it.
    """
    schema = protocol.answer if answer and protocol.answer is not None else protocol.message
    engine, recorder = _recording(schema, protocol.strict)
    recorder.clear()
    message, error = None, None
    try:
        message = engine.decode(data, device)
    except DecodeError as caught:
        error = caught
    shown_in_detail = {
        row.path[:end]
        for row in recorder.rows
        for end, character in enumerate(row.path)
        if character == "."
    }
    rows: list[DissectedField] = []
    here = 0
    for row in recorder.rows:
        if any(name.startswith("_") and name not in engine.kept for name in row.path.split(".")):
            continue
        try:
            value = engine.normalize(row.value)
        except Exception:  # what is lazy is read now, and may be wrong
            continue
        nested = isinstance(value, dict | list) and row.path in shown_in_detail
        if value is None and row.end == row.start:
            continue
        if row.start > here:
            rows.append(_unnamed(data, here, row.start))
        rows.append(
            DissectedField(
                row.start,
                row.end - row.start,
                row.path,
                value,
                data[row.start // 8 : -(-row.end // 8)],
                nested,
            )
        )
        here = max(here, row.start if nested else row.end)
    if message and not rows:
        rows.append(DissectedField(0, 8 * len(data), "(message)", message, data))
    elif here < 8 * len(data):
        rows.append(_unnamed(data, here, 8 * len(data)))
    return Dissection(data, tuple(rows), message, error)


@lru_cache(maxsize=8)
def _recording(schema: Construct[Any, Any], strict: bool) -> tuple[Interpreter, Recorder]:
    """An engine, which takes longer to make than to use, and what records what it does."""
    recorder = Recorder()
    return Interpreter(schema, strict, recorder), recorder


def _unnamed(data: bytes, start: int, end: int) -> DissectedField:
    chunk = data[start // 8 : -(-end // 8)]
    value: bytes | str = chunk
    if start % 8 or end % 8:
        bits = int.from_bytes(chunk, "big") >> (-end % 8) & ((1 << end - start) - 1)
        value = f"0b{bits:0{end - start}b}"
    return DissectedField(start, end - start, "", value, chunk)
