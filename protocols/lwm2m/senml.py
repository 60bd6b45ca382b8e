"""SenML (RFC 8428) in JSON and CBOR, as LwM2M uses it (TS Core, sections 7.4.4 and 7.4.5).

A body is a list of records. Each has a name, which is a path, and at most one value, whose field says its
type; a name stands behind the base name of the latest record that had one.
"""

from __future__ import annotations

import base64
from typing import Any

from iotsim import Cbor, Json
from iotsim.protocols.coap.representation import decoded

from .message import Path, RefusedError, path_of, text_of

SENML_JSON, SENML_CBOR = "application/senml+json", "application/senml+cbor"
LABELS = {"bn": -2, "bt": -3, "n": 0, "v": 2, "vs": 3, "vb": 4, "t": 6, "vd": 8}
"""Of CBOR; ``vlo``, which is LwM2M's own, is a text in both."""
NAMES = {str(number): name for name, number in LABELS.items()}
FIELDS = {"string": "vs", "boolean": "vb", "opaque": "vd", "objlink": "vlo"}
"""Of each type; of all others it is ``v``."""
TYPES = {"vs": str, "vb": bool, "vd": bytes, "vlo": str}
MOST_RECORDS = 4096


def read(data: bytes, format_: str) -> list[tuple[Path, Any]]:
    """Of each record the path, and the value, None where it has none. BAD_REQUEST if it is no SenML of
    LwM2M."""
    try:
        records = decoded(data, format_)
    except ValueError:
        raise RefusedError("BAD_REQUEST") from None
    if not isinstance(records, list) or len(records) > MOST_RECORDS:
        raise RefusedError("BAD_REQUEST")
    base: Any = ""
    found = []
    for record in records:
        if not isinstance(record, dict):
            raise RefusedError("BAD_REQUEST")
        if format_ == SENML_CBOR:
            record = {NAMES.get(key, key): value for key, value in record.items()}
        base = record.get("bn", base)
        found.append((_path(base, record.get("n", "")), _value(record, format_)))
    return found


def _path(base: Any, name: Any) -> Path:
    if isinstance(base, str) and isinstance(name, str) and (base + name).startswith("/"):
        path = path_of((base + name).rstrip("/"))
        if path is not None:
            return path
    raise RefusedError("BAD_REQUEST")


def _value(record: dict[Any, Any], format_: str) -> Any:
    fields = [field for field in ("v", *TYPES) if field in record]
    if not fields:
        return None
    field = fields[0]
    value = record[field]
    if field == "vd" and format_ == SENML_JSON and isinstance(value, str):
        try:
            value = base64.b64decode(value + "=" * (-len(value) % 4), b"-_", validate=True)
        except ValueError:
            value = None
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if len(fields) > 1 or not (is_number if field == "v" else isinstance(value, TYPES[field])):
        raise RefusedError("BAD_REQUEST")
    return value


def write(entries: list[tuple[Path, Any, str]], base: Path, format_: str) -> bytes:
    """Records of paths, values and their types, named from `base` on, with which all paths begin."""
    records: list[dict[str, Any]] = []
    for path, value, kind in entries:
        record: dict[str, Any] = {}
        if not base:
            record["n"] = text_of(path)
        elif len(path) > len(base):
            record["n"] = text_of(path[len(base) :])[1:]
        if base and not records:
            record = {"bn": text_of(base) + ("/" if record else ""), **record}
        if kind == "opaque" and format_ == SENML_JSON:
            value = base64.urlsafe_b64encode(value).rstrip(b"=").decode()
        record[FIELDS.get(kind, "v")] = value
        records.append(record)
    if format_ == SENML_JSON:
        return Json().encode(records)
    return Cbor().encode([{LABELS.get(key, key): one for key, one in r.items()} for r in records])
