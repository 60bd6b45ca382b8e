"""Bodies and payloads: what they are as texts, as JSON, and as bytes."""

from __future__ import annotations

from typing import Any

import msgspec

from iotsim.units import bytes_as_text

NO_JSON = object()
DEEPEST = 64
"""JSON that is nested more deeply is none that anybody matches, and would exhaust those who walk it."""
_decoder = msgspec.json.Decoder()


def text_or_bytes(data: bytes) -> str | bytes:
    """`data` as a text if it is one in UTF-8, else as it is."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def json_of(data: bytes) -> Any:
    """What `data` is as JSON (RFC 8259), `NO_JSON` if it is none, or nested too deeply."""
    try:
        value = _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
        return NO_JSON
    return value if _is_shallow(value, DEEPEST) else NO_JSON


def _is_shallow(value: Any, depth: int) -> bool:
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list):
        return True
    return depth > 0 and all(_is_shallow(item, depth - 1) for item in value)


def content_fields(data: bytes, name: str) -> dict[str, Any]:
    """The field called `name` with `data`, and ``json`` if it is JSON."""
    fields: dict[str, Any] = {name: text_or_bytes(data)}
    if data and (value := json_of(data)) is not NO_JSON:
        fields["json"] = value
    return fields


def to_bytes(content: Any) -> bytes:
    """The bytes of a body that is a text, bytes, or any other plain value, which is its text."""
    if content is None:
        return b""
    if isinstance(content, bytes):
        return content
    if isinstance(content, bool):
        return b"true" if content else b"false"
    return str(content).encode("utf-8", "replace")


def to_json(content: Any) -> bytes:
    """JSON of plain values; bytes become a text ``hex:…``, as scenarios write them.

    ValueError if they have no form in it.
    """
    try:
        return msgspec.json.encode(bytes_as_text(content))
    except (TypeError, RecursionError, OverflowError) as error:
        raise ValueError(str(error)) from None
