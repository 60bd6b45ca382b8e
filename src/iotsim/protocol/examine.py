"""Reports on protocols: their field tables, and the check of a file.

All of it is data or text; the command line only prints it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from construct import GreedyBytes, GreedyRange, Renamed, Struct, Terminated

from iotsim.errors import DecodeError, EncodeError
from iotsim.protocol.device import StandIn
from iotsim.protocol.dissection import DissectedField, dissect, place_text
from iotsim.protocol.flat import FlatStruct
from iotsim.protocol.tree import children, unnamed
from iotsim.protocol.verified import Length

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from construct import Construct

    from iotsim.protocol.codec import Codec
    from iotsim.protocol.definition import Protocol
    from iotsim.protocol.device import Device
    from iotsim.protocol.fields import Field, Schema
    from iotsim.protocol.registry import LoadedProtocol, Vector


MOST_CASES = 8


class FieldRow(NamedTuple):
    """A line of a protocol's field table. ``place`` is "4", "4.2" (byte and bit), or ""."""

    place: str
    path: str
    kind: str
    wire: str
    note: str


ANY_FIELD = FieldRow("", "(any)", "any", "", "a message may have any field")


def field_rows(schema: Schema) -> list[FieldRow]:
    """The fields of messages, in the order of the wire."""
    rows = [_field_row(field_) for field_ in schema.fields.values()]
    return [*rows, ANY_FIELD] if schema.free else rows


def _field_row(field_: Field) -> FieldRow:
    notes = [field_.doc] if field_.doc else []
    if field_.names:
        notes.append(", ".join(f"{name}={number}" for name, number in field_.names.items()))
    if field_.optional:
        notes.append(_messages_with(field_))
    return FieldRow(
        place_text(field_.offset), field_.path, field_.kind, field_.wire, "; ".join(notes)
    )


def _messages_with(field_: Field) -> str:
    cases = field_.cases
    if not cases:
        return "in some messages"
    more = f" and {len(cases) - MOST_CASES} more" if len(cases) > MOST_CASES else ""
    return f"in {', '.join(cases[:MOST_CASES])}{more}"


@dataclass(frozen=True)
class Finding:
    """Something wrong with a protocol file: which vector, which field, at which byte."""

    message: str
    where: str = ""
    path: str = ""
    offset: int | None = None

    def __str__(self) -> str:
        parts = [part for part in (self.where, self.path, self.message) if part]
        at = "" if self.offset is None else f" (at byte {self.offset})"
        return ": ".join(parts) + at


@dataclass
class _Checker:
    loaded: LoadedProtocol
    findings: list[Finding] = field(default_factory=list)

    @property
    def protocol(self) -> Protocol:
        return self.loaded.protocol

    def add(self, message: str, where: str = "", path: str = "", offset: int | None = None) -> None:
        self.findings.append(Finding(message, where, path, offset))

    def vector(self, index: int, vector: Vector) -> None:
        where = f"VECTORS[{index}]"
        message = self.decodes(where, vector)
        if vector.decodes_only:
            return
        self.encodes(where, vector, vector.fields, "the vector's fields")
        if message is None:
            return
        self.encodes(where, vector, message, "the decoded message")
        codec, device = self.codec(vector), vector.device
        try:
            data = codec.encode(self.least(vector, message), device)
            again = codec.encode(codec.decode(data, device), device)
        except (DecodeError, EncodeError) as error:
            self.add(f"the message with defaults only does not come back: {error}", where)
        else:
            if data != again:
                self.add("the message with defaults only comes back as other bytes", where)

    def codec(self, vector: Vector) -> Codec:
        return self.protocol.answer_codec if vector.answer else self.protocol.codec

    def fields(self, vector: Vector) -> Schema:
        return self.protocol.answer_schema if vector.answer else self.protocol.schema

    def least(self, vector: Vector, message: Mapping[str, Any]) -> dict[str, Any]:
        """Only those fields of ``message`` that must be given."""
        fields = self.fields(vector).fields
        return {
            name: value
            for name, value in message.items()
            if name not in fields or fields[name].required
        }

    def decodes(self, where: str, vector: Vector) -> dict[str, Any] | None:
        try:
            message = self.codec(vector).decode(vector.data, vector.device)
        except DecodeError as error:
            self.add(f"does not decode: {error.reason}", where, error.path, error.offset)
            return None
        found = _flatten(message)
        for path, value in _flatten(vector.fields).items():
            known = self.fields(vector).find(path)
            expected = known.round(value) if known else value
            if value == {} and any(other.startswith(f"{path}.") for other in found):
                continue  # a table of which nothing is said
            if path not in found:
                self.add(f"expected {value!r}, but the message has no such field", where, path)
            elif found[path] != expected and not _both_nan(found[path], expected):
                row = next((row for row in self.rows(vector) if row.path == path), None)
                offset = row.offset // 8 if row else None
                self.add(f"expected {value!r}, decoded {found[path]!r}", where, path, offset)
        return message

    def encodes(self, where: str, vector: Vector, message: Mapping[str, Any], what: str) -> None:
        try:
            built = self.codec(vector).encode(message, vector.device)
        except EncodeError as error:
            self.add(f"{what} do not encode: {error.reason}", where, error.path)
            return
        data = vector.data
        if built == data:
            return
        pairs = zip(built, data, strict=False)
        offset = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(built), len(data)))
        path = ""
        for row in self.rows(replace(vector, data=built)):
            if row.offset // 8 <= offset < -(-(row.offset + row.size) // 8) and not row.nested:
                path = row.path
                break
        self.add(
            f"{what} encode to {built[offset : offset + 8].hex(' ') or 'nothing'}, "
            f"expected {data[offset : offset + 8].hex(' ') or 'nothing'}",
            where,
            path,
            offset,
        )

    def rows(self, vector: Vector) -> tuple[DissectedField, ...]:
        found = dissect(self.protocol, vector.data, answer=vector.answer, device=vector.device)
        return found.rows

    def schema(self, message: Construct[Any, Any]) -> None:
        for node, path in _nodes(message, "", set()):
            if isinstance(node, Struct) and not isinstance(node, FlatStruct):
                for member in node.subcons:
                    if isinstance(unnamed(member), Length):
                        name = f"{path}.{member.name}".strip(".")
                        self.add("a Length stands in a Struct: use FlatStruct", "", name)
            if isinstance(node, GreedyRange) and _may_be_empty(node.subcon):
                self.add("an element may take no bytes: it would repeat for ever", "", path)

    def error_reply(self) -> None:
        reply = self.protocol.error_reply
        if reply is None:
            return
        for data, device in self.broken():
            try:
                self.protocol.codec.decode(data, device)
            except DecodeError as error:
                try:
                    fields = reply(error, data)
                    if fields is not None:
                        self.protocol.answer_codec.encode(fields, device)
                except Exception as caught:
                    text = f"{type(caught).__name__}: {caught}"
                    self.add(f"fails for {data.hex() or 'no bytes'}: {text}", "error_reply")
                    return

    def broken(self) -> Iterator[tuple[bytes, Device]]:
        """Datagrams that are hardly messages, and the device to which they are sent."""
        for data in (b"", b"\x00", bytes(64), b"\xff" * 64):
            yield data, StandIn()
        for vector in self.loaded.vectors:
            data = vector.data
            yield data[:-1], vector.device
            yield data + b"\x00", vector.device
            for i in range(len(data)):
                yield data[:i] + bytes([data[i] ^ 0xFF]) + data[i + 1 :], vector.device


def check(loaded: LoadedProtocol) -> list[Finding]:
    """What is wrong with a protocol; [] if nothing is.

    Its vectors must decode to their fields, and their fields encode to their bytes. What was
    decoded must encode to the same bytes, also with only those fields that must be given, then to
    bytes that come back; unless the vector only decodes. The schema must make sense, and error_reply
    must bear broken vectors.
    """
    checker = _Checker(loaded)
    checker.schema(loaded.protocol.message)
    if loaded.protocol.answer is not None:
        checker.schema(loaded.protocol.answer)
    if not loaded.vectors:
        checker.add("there are none: nothing shows that the schema is right", "VECTORS")
    for index, vector in enumerate(loaded.vectors):
        checker.vector(index, vector)
    checker.error_reply()
    return checker.findings


def _flatten(value: Any, path: str = "") -> dict[str, Any]:
    """The leaves of nested dicts and lists, by dotted path."""
    if isinstance(value, dict) and (value or not path):
        items = [(str(name), item) for name, item in value.items()]
    elif isinstance(value, list | tuple) and value:
        items = [(str(index), item) for index, item in enumerate(value)]
    else:
        return {path: value}
    found: dict[str, Any] = {}
    for name, item in items:
        found.update(_flatten(item, f"{path}.{name}" if path else name))
    return found


def _both_nan(a: Any, b: Any) -> bool:
    return isinstance(a, float) and isinstance(b, float) and a != a and b != b


def _nodes(
    node: Construct[Any, Any], path: str, seen: set[int]
) -> Iterator[tuple[Construct[Any, Any], str]]:
    """All nodes below ``node``, with the path of the field that they are in."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, Renamed) and node.name:
        path = f"{path}.{node.name}" if path else node.name
    yield node, path
    for child in children(node):
        yield from _nodes(child, path, seen)


def _may_be_empty(node: Construct[Any, Any]) -> bool:
    try:
        return node.sizeof() == 0
    except Exception:
        bare = unnamed(node)
        if isinstance(bare, Struct):
            return all(_may_be_empty(member) for member in bare.subcons)
        return bare in (GreedyBytes, Terminated) or isinstance(bare, GreedyRange)
