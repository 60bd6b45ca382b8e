"""The keys of ``[[fault]]``, and how their values are written."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from iotsim.scenario.schema import (
    Duration,
    Holds,
    Model,
    Port,
    Range,
    Table,
    Text,
    Texts,
    written,
)
from iotsim.scenario.scopes import ScopeTable
from iotsim.scenario.sleep import SleepTable
from iotsim.units import parse_bytes, parse_duration, parse_share

MOST_REPEATS = 1000
MOST_BYTES = 65_507
"""As UDP carries over IPv4."""
KINDS = (
    *("offline", "mute", "reboot", "freeze", "stale", "clock_skew", "slow", "repeat", "truncate"),
    *("extra", "malform", "raw", "error", "rebind", "sleep"),
)
OF_MESSAGES = ("when", "where", "skip", "every", "first")
"""The keys that are about messages."""
OF_TIME = ("at", "between", "after")
_DRIFT = re.compile(r"\s*([+-]?)\s*([0-9.]+)\s*(ppm|%)\s*", re.ASCII)
_SIGNED = re.compile(r"\s*([+-]?)(.*)", re.DOTALL)


def signed_duration(value: Any) -> float:
    """``"-5s"``: seconds."""
    if not isinstance(value, str):
        raise ValueError("must be a text such as '5s' or '-5s'")
    match = _SIGNED.fullmatch(value)
    assert match is not None
    return parse_duration(match[2]) * (-1.0 if match[1] == "-" else 1.0)


def _drift(value: Any) -> float:
    """Seconds that a clock gains in a second."""
    match = _DRIFT.fullmatch(value[:40]) if isinstance(value, str) else None
    if match is None:
        raise ValueError("must be a text such as '200ppm' or '-1%'")
    try:
        number = float(match[2])
    except ValueError:
        raise ValueError(f"'{match[2]}' is no number") from None
    drift = number / 1e6 if match[3] == "ppm" else parse_share(f"{match[2]}%")
    if drift >= 1:
        raise ValueError("a clock cannot gain a second in a second")
    return -drift if match[1] == "-" else drift


def parse_payload(value: Any) -> bytes:
    if not isinstance(value, str):
        raise ValueError("must be bytes such as 'hex:00 ff'")
    data = parse_bytes(value)
    if len(data) > MOST_BYTES:
        raise ValueError(f"{len(data)} bytes: a datagram carries {MOST_BYTES} at most")
    return data


Bytes = Annotated[
    bytes, BeforeValidator(written(parse_payload, type="string", pattern=r"^hex:[0-9A-Fa-f\s]*$"))
]
TRUE = {"const": True}
TEXTS = {"type": "array", "items": {"type": "string"}, "minItems": 1}
written(signed_duration, type="string", examples=["-5s"])
written(_drift, type="string", examples=["200ppm"])


class FaultTable(ScopeTable):
    offline: Literal[True] | None = None
    mute: Literal[True] | None = None
    reboot: Annotated[Any, Holds(lambda: RebootTable, TRUE)] = None
    freeze: Annotated[Any, WithJsonSchema({"anyOf": [TRUE, {"type": "string"}, TEXTS]})] = None
    stale: Annotated[Duration, Field(gt=0)] | None = None
    clock_skew: Annotated[Table, Holds(lambda: SkewTable)] | None = None
    slow: Range | None = None
    repeat: Annotated[int, Field(ge=1, le=MOST_REPEATS)] | None = None
    truncate: Annotated[int, Field(ge=1, le=MOST_BYTES)] | None = None
    extra: Bytes | None = None
    malform: Table | None = None
    raw: Bytes | None = None
    error: Text | None = None
    rebind: Annotated[Table, Holds(lambda: RebindTable)] | None = None
    sleep: Annotated[Table, Holds(SleepTable)] | None = None


class RebootTable(Model):
    down: Annotated[Duration, Field(gt=0)]


class SkewTable(Model):
    offset: Annotated[float, BeforeValidator(signed_duration)] = 0.0
    drift: Annotated[float, BeforeValidator(_drift)] = 0.0


class RebindTable(Model):
    address: Texts | None = None
    port: Port | None = None
