"""Literals of a scenario as values that a field can have.

A scenario writes 20.1 where a 32-bit field carries 20.10000038, a name or a number for an enum,
``hex:`` for bytes. `literal` gives the value as a decoded message would hold it, or says why no
message ever could.
"""

from __future__ import annotations

import math
import re
import struct
from typing import TYPE_CHECKING, Any

from iotsim.match.fieldpath import nearest
from iotsim.match.usual import usual_text
from iotsim.units import parse_bytes

if TYPE_CHECKING:
    from iotsim.protocol.fields import Field

DEEPEST = 20
"""No literal has more lists and tables within each other than this."""


class LiteralError(ValueError):
    """A literal that the field cannot hold; ``hint`` as in `iotsim.errors.Problem`."""

    def __init__(self, reason: str, hint: str = "") -> None:
        self.hint = hint
        super().__init__(reason)


def literal(value: Any, field: Field | None) -> Any:
    """`value` as a message carries it in `field`; without a field, as it is."""
    written_as_hex = isinstance(value, str) and value.startswith("hex:")
    if written_as_hex and (field is None or field.kind not in ("string", "enum")):
        value = _bytes(value)
    if field is None or (value is None and field.optional):
        return _plain(value)
    if field.kind == "payload":
        if isinstance(value, (list, dict)):
            raise LiteralError(f"{render(value)}, but '{field.path}' is a text or bytes")
        return field.round(value)
    if isinstance(value, list):
        if field.kind == "array":
            return field.round(_plain(value))
        if field.kind not in EXPECTED and field.kind != "enum":
            return _plain(value)
        raise LiteralError(f"a list, but '{field.path}' is {article(field.kind)}")
    if field.kind == "enum":
        return _enum(value, field)
    wanted = EXPECTED.get(field.kind)
    if wanted is None:
        return _plain(value)
    if isinstance(value, bool) is not (field.kind == "bool") or not isinstance(value, wanted):
        hint = "write bytes as 'hex:0a ff'" if field.kind == "bytes" else ""
        shown = render(value)
        if isinstance(value, str):
            shown = repr(value[:80])
            if field.kind in ("int", "float", "bool"):
                hint = "an expression begins with '='"
        raise LiteralError(f"{shown}, but '{field.path}' is {article(field.kind)}", hint)
    return _plain(value) if isinstance(value, dict) else rounded(value, field)


EXPECTED: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "bytes": (bytes,),
    "string": (str,),
    "struct": (dict,),
    "flags": (dict,),
    "array": (list,),
}


def rounded(value: Any, field: Field) -> Any:
    """A number as the field's wire type carries it; what is no number is returned as it is, but in a
    payload, which carries all values as texts or bytes."""
    if field.kind == "payload":
        return field.round(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return value
    if field.kind == "int" and isinstance(value, int):
        low, high = integer_range(field.wire)
        if not low <= value <= high:
            raise LiteralError(
                f"{render(value)} does not fit '{field.path}', which is {field.wire}",
                f"{low:.0f} to {high:.0f}",
            )
    if field.kind == "float" and field.format:
        try:
            return struct.unpack(field.format, struct.pack(field.format, value))[0]
        except (OverflowError, struct.error):
            raise LiteralError(
                f"{render(value)} does not fit '{field.path}', which is {field.wire}"
            ) from None
    return value


_INTEGER = re.compile(r"(u?)int([0-9]+)|([0-9]+) bits?(, signed)?")


def integer_range(wire: str) -> tuple[float, float]:
    """The least and the greatest integer of the wire types named in `wire`, as far as it tells."""
    low = high = 0.0
    for part in wire.split(" or "):
        found = _INTEGER.match(part)
        if found is None:
            return -math.inf, math.inf
        bits = int(found[2] or found[3])
        signed = bool(found[4]) if found[3] else not found[1]
        low = min(low, -(2 ** (bits - 1)) if signed else 0)
        high = max(high, 2 ** (bits - 1 if signed else bits) - 1)
    return low, high


def _enum(value: Any, field: Field) -> Any:
    names = field.names
    if isinstance(value, str):
        if value in names:
            return value
        hint = nearest(value, list(names)) or f"names: {', '.join(list(names)[:12])}"
        raise LiteralError(f"'{field.path}' has no value named '{value[:100]}'", hint)
    if isinstance(value, int) and not isinstance(value, bool):
        for name, number in names.items():
            if number == value:
                return name
        return value
    raise LiteralError(f"{render(value)}, but '{field.path}' is an enum", "write one of its names")


def _bytes(text: str) -> bytes:
    try:
        return parse_bytes(text)
    except ValueError as error:
        raise LiteralError(str(error)) from None


def _plain(value: Any, depth: int = 0) -> Any:
    """A copy of the value with texts ``hex:`` inside lists and tables made bytes."""
    if depth > DEEPEST:
        raise LiteralError("nested too deeply")
    if isinstance(value, list):
        return [_plain(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item, depth + 1) for key, item in value.items()}
    if depth and isinstance(value, str) and value.startswith("hex:"):
        return _bytes(value)
    if value is None or isinstance(value, (bool, int, float, str, bytes)):
        return value
    raise LiteralError(f"a {type(value).__name__} is no value of a message")


def article(kind: str) -> str:
    names = {
        "int": "an integer",
        "float": "a number",
        "bool": "true or false",
        "bytes": "bytes",
        "string": "a text",
        "enum": "an enum",
        "flags": "a set of flags",
        "array": "an array",
        "struct": "a structure",
        "none": "nothing",
        "payload": "a text or bytes",
    }
    return names.get(kind, kind)


def render(value: Any, depth: int = 0) -> str:
    """A value of a message as people read it, at most some ninety characters long."""
    if value is None:
        return "absent"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        text = "hex:" + value[:40].hex() + ("..." if len(value) > 40 else "")
    elif isinstance(value, float):
        text = _number(value)
    elif isinstance(value, int):
        text = str(value) if value.bit_length() < 256 else "a very large integer"
    elif isinstance(value, str):
        text = value if value.isidentifier() else repr(value[:80])
    elif depth > 3:
        text = "..."
    elif isinstance(value, dict):
        items = list(value.items())[:8]
        inner = ", ".join(f"{key} = {render(item, depth + 1)}" for key, item in items)
        text = "{ " + inner + " }"
    elif isinstance(value, (list, tuple)):
        text = "[" + ", ".join(render(item, depth + 1) for item in value[:8]) + "]"
    else:
        text = usual_text(value) or repr(value)
    return text if len(text) <= 90 else text[:87] + "..."


def _number(value: float) -> str:
    """20.1 also for the nearest 32-bit number to it."""
    if not math.isfinite(value):
        return str(value)
    if value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    short = f"{value:.7g}"
    return short if abs(float(short) - value) <= abs(value) * 6e-8 else repr(value)
