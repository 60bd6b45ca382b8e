"""Functions that generated code calls: contexts for lambdas, construct for the nodes it leaves to it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from construct import Const, Construct, Container, Default, Enum, ListContainer, Rebuild, Struct
from construct.core import BytesIOWithOffsets, EnumInteger

from iotsim.protocol.flat import FlatStruct
from iotsim.protocol.generate.nodes import find_flat
from iotsim.protocol.interpreted import normalize
from iotsim.protocol.tree import unnamed

if TYPE_CHECKING:
    from collections.abc import Mapping


class Mismatch(Exception):  # noqa: N818  # never leaves generated code
    """The bytes, or the values, are not those of a message."""


class Unusual(BaseException):  # likewise
    """Perhaps fine, but not what generated code is made for: construct decides.

    Not an Exception, so that no part of the generated code takes it for a failed alternative.
    """


def not_bytes(value: Any, integers: bool) -> BaseException:
    """What to raise for a value that should be bytes: construct takes some others for such."""
    accepted = (bytes, bytearray, int) if integers else (bytes, bytearray)
    return Unusual() if isinstance(value, accepted) else Mismatch()


def open_stream(data: bytes, position: int, origin: int) -> io.BytesIO:
    """A stream over ``data``, which begins at ``origin`` of the message, at ``position`` in it."""
    if origin:
        stream: io.BytesIO = BytesIOWithOffsets(data, io.BytesIO(), origin)
    else:
        stream = io.BytesIO(data)
    stream.seek(origin + position)
    return stream


def enter(
    stream: io.BytesIO, parsing: bool, *levels: tuple[Any, Mapping[str, Any], int | None]
) -> Any:
    """construct's context: for each level, outermost first, its node, fields and array index."""
    context: Any = Container(_parsing=parsing, _building=not parsing, _sizing=False)
    context._params = params = context
    root = None
    for node, fields, index in levels:
        context = Container(
            _=context,
            _params=params,
            _root=root,
            _parsing=parsing,
            _building=not parsing,
            _sizing=False,
            _subcons=getattr(node, "_subcons", None),
            _io=stream,
            _index=index,
        )
        root = context["_root"] = root or context
        context.update(fields)
    return context


def native(node: Construct[Any, Any], value: Any) -> Any:
    """A plain value as construct itself would have parsed it: what lambdas expect."""
    bare: Any = unnamed(node)
    while isinstance(bare, Default | Rebuild | Const):
        bare = unnamed(bare.subcon)
    if isinstance(bare, Enum):
        if isinstance(value, str):
            return bare.decmapping[bare.encmapping[value]] if value in bare.encmapping else value
        return EnumInteger(value)
    if isinstance(bare, Struct) and not isinstance(bare, FlatStruct) and isinstance(value, dict):
        members = {member.name: member for member in bare.subcons if member.name}
        return Container(
            {
                name: native(members[name], item) if name in members else native(bare, item)
                for name, item in value.items()
            }
        )
    if isinstance(value, dict):
        return Container({name: _container(item) for name, item in value.items()})
    return _container(value)


def native_fields(node: Construct[Any, Any], fields: Mapping[str, Any] | None) -> dict[str, Any]:
    """The fields that an unnamed member of a FlatStruct gave, as construct would have them."""
    found = {}
    for name, value in (fields or {}).items():
        member = find_flat(node, name)
        found[name] = _container(value) if member is None else native(member, value)
    return found


def _container(value: Any) -> Any:
    if isinstance(value, dict):
        return Container({name: _container(item) for name, item in value.items()})
    if isinstance(value, list):
        return ListContainer(_container(item) for item in value)
    return value


def run_parse(node: Any, stream: io.BytesIO, context: Any, origin: int) -> tuple[Any, int]:
    """The value of a node that construct parses, and the position after it."""
    value = normalize(node._parsereport(stream, context, "(parsing)"))
    return value, stream.tell() - origin


def run_build(node: Any, value: Any, context: Any, prefix: bytes = b"") -> tuple[Any, bytes]:
    """What construct makes of a node: the built value, and all bytes, those of ``prefix`` first."""
    stream = io.BytesIO(prefix)
    stream.seek(len(prefix))
    built = node._build(value, stream, context, "(building)")
    data = stream.getvalue()
    if stream.tell() != len(data):
        # It wrote elsewhere, and what follows will go over it.
        raise Unusual
    return built, data


def read_varint(data: bytes, position: int) -> tuple[int, int]:
    """A VarInt and the position after it."""
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7


def read_zigzag(data: bytes, position: int) -> tuple[int, int]:
    """A ZigZag integer and the position after it."""
    value, position = read_varint(data, position)
    return (-(value // 2 + 1) if value & 1 else value // 2), position


def varint_bytes(value: int) -> bytes:
    """``value`` as a VarInt."""
    if not isinstance(value, int) or value < 0:
        raise Mismatch
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(0x80 | value & 0x7F)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def zigzag_bytes(value: int) -> bytes:
    """``value`` as a ZigZag integer."""
    if not isinstance(value, int):
        raise Mismatch
    return varint_bytes(2 * value if value >= 0 else 2 * abs(value) - 1)


def flags_value(flags: Mapping[str, int], value: Any) -> int:
    """The integer of a FlagsEnum: of an int, of names joined by ``|``, or of a dict."""
    if isinstance(value, int):
        return value
    total = 0
    if isinstance(value, str):
        for name in value.split("|"):
            if name.strip():
                total |= flags[name.strip()]
        return total
    if isinstance(value, dict):
        for name, on in value.items():
            if on and not name.startswith("_"):
                total |= flags[name]
        return total
    raise Mismatch
