"""Values of a model in a content format, and back."""

from __future__ import annotations

import math
from typing import Any

from iotsim import Cbor, Json, Payload, crc32

JSON, CBOR, PAYLOAD = Json(), Cbor(), Payload()
TEXT = "text/plain"
MERGE_PATCH = "application/merge-patch+json"
LARGEST_INTEGER = 1 << 64


def is_json(format_: str | int) -> bool:
    return isinstance(format_, str) and format_.endswith("json")


def is_cbor(format_: str | int) -> bool:
    return isinstance(format_, str) and format_.endswith("cbor")


def render(value: Any, format_: str | int) -> str | bytes:
    """``value`` in a format. Texts and bytes are taken to be in it already."""
    if value.__class__ is str or value.__class__ is bytes:
        return value
    if format_ == TEXT:
        if value.__class__ is float or value.__class__ is int:
            return str(value)  # what most values are
    else:
        if is_cbor(format_):
            return CBOR.encode(value)
        if is_json(format_):
            return JSON.encode(value).decode()
    if isinstance(value, (dict, list)):
        return JSON.encode(value).decode()
    return PAYLOAD.encode(value).decode()


def parse(payload: str | bytes, format_: str | int, like: Any) -> Any:
    """What a payload sets a value to that is ``like``. ValueError if it is of another kind.

    A number stays a number, so that expressions which reckon with it go on.
    """
    if like is None or isinstance(like, (str, bytes)):
        return payload
    value = _plain(payload, format_)
    if isinstance(like, bool):
        if value not in (0, 1):
            raise ValueError("true or false, and nothing else")
        return bool(value)
    if not isinstance(like, (int, float)):
        if not isinstance(value, (dict, list)):
            raise ValueError("a table or a list, and nothing else")
        return value
    if value.__class__ is int:
        if abs(value) > LARGEST_INTEGER:
            raise ValueError("an integer of more than 64 bits")
    elif value.__class__ is not float or not math.isfinite(value):
        raise ValueError("a finite number, and nothing else")
    return value


def is_number(text: str) -> bool:
    """Whether it may be a number: `int` and `float` read more than a protocol should."""
    return text.isascii() and "_" not in text and text == text.strip()


def _plain(payload: str | bytes, format_: str | int) -> Any:
    """What a body says; a text that is neither a number nor true or false, itself."""
    data = to_bytes(payload)
    if is_json(format_) or is_cbor(format_):
        return decoded(data, format_)
    text = data.decode().strip()
    if text in ("true", "false"):
        return text == "true"
    if not is_number(text):
        return text
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text


def decoded(data: bytes, format_: str | int) -> Any:
    """A body in JSON or CBOR; ValueError if it is none."""
    try:
        return CBOR.decode(data) if is_cbor(format_) else JSON.decode(data)
    except Exception as error:
        raise ValueError(str(error)) from None


def merged(value: Any, patch: Any) -> Any:
    """``value`` after a merge patch (RFC 7396)."""
    if not isinstance(patch, dict):
        return patch
    result = dict(value) if isinstance(value, dict) else {}
    for name, part in patch.items():
        if part is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), part)
    return result


def to_bytes(payload: Any) -> bytes:
    return payload.encode() if payload.__class__ is str else PAYLOAD.encode(payload)


def to_payload(data: bytes) -> str | bytes:
    return PAYLOAD.decode(data)


def etag_of(payload: str | bytes, format_: str | int) -> bytes:
    """The entity tag of a representation: the same for the same bytes in the same format."""
    return crc32(to_bytes(payload) + str(format_).encode()).to_bytes(4, "big")
