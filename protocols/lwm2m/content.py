"""Values in the content formats of LwM2M, and back (TS Core, section 7.4).

A value is a resource's, or a table of values by ids, as texts: of a resource with several instances, of an
object's instance, of an object.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from iotsim import Cbor
from iotsim.protocols.coap.representation import TEXT, decoded, is_number, to_bytes

from . import senml, tlv
from .message import Path, RefusedError, is_id
from .objects import definition_of
from .senml import SENML_CBOR, SENML_JSON

TLV = "application/vnd.oma.lwm2m+tlv"
OPAQUE = "application/octet-stream"
CBOR = "application/cbor"
LINKS = "application/link-format"
SEVERAL = (TLV, SENML_JSON, SENML_CBOR)
"""Formats that take all values; the others take that of one resource."""
FORMATS = (TEXT, OPAQUE, CBOR, *SEVERAL)
DEEP = 4
LARGEST_INTEGER = 1 << 63
KINDS: dict[type, str] = {
    bool: "boolean",
    int: "integer",
    float: "float",
    str: "string",
    bytes: "opaque",
}
KindAt: TypeAlias = Callable[[Path], str]
"""The type of the resource at a path, "" if that is not known."""


def kind_of(path: Path, value: Any) -> str:
    """The type of the resource at a path: what is known of it, else that of `value`."""
    return definition_of(path[0], path[2]).kind or KINDS.get(value.__class__, "")


def typed(value: Any, kind: str) -> Any:
    """`value` as the type `kind` has it; ValueError if it has no such one."""
    try:
        if kind == "float" and not isinstance(value, str):
            return _finite(float(value))
        if kind in ("integer", "time") and not isinstance(value, str):
            whole = value if value.__class__ is int else round(_finite(value))
            if -LARGEST_INTEGER <= whole < LARGEST_INTEGER:
                return whole
        if kind == "boolean" and value in (0, 1):
            return bool(value)
        if kind == "string" and not isinstance(value, (bytes, dict, list)) and value is not None:
            return value if isinstance(value, str) else str(value)
        if kind == "opaque" and isinstance(value, (str, bytes)):
            return to_bytes(value)
        if kind == "objlink":
            number, _, instance = value.partition(":")
            if (is_id(number) and is_id(instance)) or value == "65535:65535":
                return value
    except (TypeError, ValueError, AttributeError, OverflowError):
        pass
    raise ValueError(f"{value!r:.60} is no {kind or 'value of a resource'}")


def _finite(value: Any) -> float:
    if not math.isfinite(value):
        raise ValueError("no finite number")
    return float(value)


def given(value: Any, kind: str) -> Any:
    """What a server gives as the value of a resource; BAD_REQUEST if it is of another type."""
    is_whole = value.__class__ is int or (value.__class__ is float and value.is_integer())
    fits = {
        "boolean": value.__class__ is bool,
        "integer": is_whole,
        "time": is_whole,
        "float": value.__class__ in (int, float),
        "string": value.__class__ is str,
        "opaque": value.__class__ in (bytes, str),
        "objlink": value.__class__ is str,
        "": value.__class__ in KINDS,
    }
    try:
        if fits[kind]:
            return typed(value, kind or KINDS[value.__class__])
    except ValueError:
        pass
    raise RefusedError("BAD_REQUEST")


# -- out -------------------------------------------------------------------------------------------


def encode(value: Any, path: Path, format_: Any) -> bytes | str:
    """A value of what is at `path`, in a format. NOT_ACCEPTABLE if that takes no such value; ValueError
    if it is none of the resource's type."""
    if format_ in (SENML_JSON, SENML_CBOR):
        base = path[: -1 if len(path) == DEEP else None]
        return senml.write(list(leaves(value, path)), base, format_)
    if format_ == TLV and path:
        return tlv.write(_entries(value, path))
    if isinstance(value, dict):
        raise RefusedError("NOT_ACCEPTABLE")
    ((_, value, kind),) = leaves(value, path)
    if format_ == OPAQUE and kind == "opaque":
        return bytes(value)
    if format_ == CBOR:
        return Cbor().encode(value)
    if format_ != TEXT:
        raise RefusedError("NOT_ACCEPTABLE")
    if kind == "boolean":
        return "1" if value else "0"
    return base64.b64encode(value).decode() if kind == "opaque" else str(value)


def leaves(value: Any, path: Path) -> Iterator[tuple[Path, Any, str]]:
    """The path, value and type of each resource, or instance of one."""
    if isinstance(value, dict):
        for step, one in value.items():
            if not is_id(str(step)) or len(path) >= DEEP:
                raise ValueError(f"no table of ids: {step!r}")
            yield from leaves(one, (*path, int(step)))
    elif len(path) < 3:
        raise ValueError(f"{value!r:.60} is no table of what is there")
    else:
        kind = kind_of(path, value)
        yield path, typed(value, kind), kind


def _entries(value: Any, path: Path) -> list[tlv.Entry]:
    """What TLV has at `path`: the entry of a resource, or those of what is below."""
    if len(path) > 2:
        return [_entry(value, path)]
    if not isinstance(value, dict):
        raise ValueError(f"{value!r:.60} is no table of what is there")
    return [_entry(one, (*path, int(step))) for step, one in value.items()]


def _entry(value: Any, path: Path) -> tlv.Entry:
    depth = len(path)
    if depth == 2 or isinstance(value, dict):
        if depth > 3 or not isinstance(value, dict):
            raise ValueError(f"{value!r:.60} is no value of a resource")
        inside = [_entry(one, (*path, int(step))) for step, one in value.items()]
        return tlv.Entry(tlv.INSTANCE if depth == 2 else tlv.MULTIPLE, path[-1], inside)
    ((_, value, kind),) = leaves(value, path)
    kind_of_entry = tlv.RESOURCE if depth == 3 else tlv.RESOURCE_INSTANCE
    return tlv.Entry(kind_of_entry, path[-1], tlv.write_value(value, kind))


# -- in --------------------------------------------------------------------------------------------


def decode(payload: Any, path: Path, format_: Any, kind_at: KindAt) -> Any:
    """The value of what is at `path` that a body has. BAD_REQUEST if it is none, UNSUPPORTED_CONTENT_FORMAT
    if the format is not one for it."""
    data = to_bytes(payload)
    if format_ == TLV:
        return _from_tlv(tlv.read(data), path, kind_at)
    if format_ in (SENML_JSON, SENML_CBOR):
        return _from_senml(senml.read(data, format_), path)
    if format_ not in FORMATS or len(path) < 3:
        raise RefusedError("UNSUPPORTED_CONTENT_FORMAT")
    if format_ == OPAQUE:
        return data
    if format_ == CBOR:
        try:
            return decoded(data, CBOR)
        except ValueError:
            raise RefusedError("BAD_REQUEST") from None
    return _from_text(data, kind_at(path))


def _from_text(data: bytes, kind: str) -> Any:
    try:
        if kind == "opaque":
            return base64.b64decode(data, validate=True)
        text = data.decode()
        if kind in ("integer", "time", "float") and not is_number(text):
            raise RefusedError("BAD_REQUEST")
        if kind in ("integer", "time"):
            return int(text)
        if kind == "float":
            return float(text)
        if kind == "boolean":
            return {"0": False, "1": True}[text]
    except (ValueError, KeyError):
        raise RefusedError("BAD_REQUEST") from None
    return text


def _from_tlv(entries: list[tlv.Entry], path: Path, kind_at: KindAt) -> Any:
    if len(path) > 2:  # one resource, or an instance of one, that is the very same
        if len(entries) != 1 or entries[0].id != path[-1] or entries[0].kind == tlv.INSTANCE:
            raise RefusedError("BAD_REQUEST")
        return _value_of(entries[0], path, kind_at)
    if len(path) == 2 and [one.kind for one in entries] == [tlv.INSTANCE]:
        if entries[0].id != path[1]:
            raise RefusedError("BAD_REQUEST")
        entries = entries[0].value
    return _table(entries, path, kind_at)


def _table(entries: list[tlv.Entry], path: Path, kind_at: KindAt) -> dict[str, Any]:
    return {str(one.id): _value_of(one, (*path, one.id), kind_at) for one in entries}


def _value_of(entry: tlv.Entry, path: Path, kind_at: KindAt) -> Any:
    fits = {2: (tlv.INSTANCE,), 3: (tlv.RESOURCE, tlv.MULTIPLE), 4: (tlv.RESOURCE_INSTANCE,)}
    if entry.kind not in fits.get(len(path), ()):
        raise RefusedError("BAD_REQUEST")
    if entry.kind in tlv.INSIDE:
        return _table(entry.value, path, kind_at)
    return tlv.read_value(entry.value, kind_at(path))


def _from_senml(records: list[tuple[Path, Any]], path: Path) -> Any:
    if len(records) == 1 and records[0][0] == path:
        return records[0][1]
    found: dict[str, Any] = {}
    for name, value in records:
        if name[: len(path)] != path or len(name) == len(path) or value is None:
            raise RefusedError("BAD_REQUEST")
        table = found
        for step in name[len(path) : -1]:
            table = table.setdefault(str(step), {})
            if not isinstance(table, dict):
                raise RefusedError("BAD_REQUEST")
        table[str(name[-1])] = value
    return found
