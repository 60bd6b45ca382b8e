"""Ten small schemas, each of one kind: what decoding and encoding a message of it takes.

Ours against construct, interpreted and compiled, all of the very same schema and message. Before
anything is timed, all must agree: on the bytes, and on the values as messages show them.
"""

from __future__ import annotations

import datetime as dt
import statistics
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from codec import seconds_each
from construct import (
    Adapter,
    Array,
    BitsInteger,
    BitStruct,
    Bytes,
    Checksum,
    Computed,
    CString,
    Enum,
    ExprAdapter,
    Flag,
    Float32b,
    GreedyBytes,
    GreedyRange,
    If,
    Int8ub,
    Int16sb,
    Int16ub,
    Int32ub,
    Optional,
    PaddedString,
    Padding,
    PascalString,
    Prefixed,
    RawCopy,
    Rebuild,
    Struct,
    Switch,
    len_,
    obj_,
    this,
)

from iotsim.protocol.codec import Codec
from iotsim.protocol.interpreted import normalize

if TYPE_CHECKING:
    from collections.abc import Callable

    from construct import Construct

ROUNDS = 15
SECONDS_PER_ROUND = 0.02
OURS, INTERPRETED, COMPILED = "ours", "construct, interpreted", "construct, compiled"


@dataclass(frozen=True)
class Example:
    """A schema, and a message of it."""

    schema: Construct[Any, Any]
    message: dict[str, Any]


class Tenths(Adapter):  # type: ignore[type-arg]
    def _decode(self, obj: Any, context: Any, path: str) -> Any:
        return obj / 10

    def _encode(self, obj: Any, context: Any, path: str) -> Any:
        return round(obj * 10)


class Date(Adapter):  # type: ignore[type-arg]
    def _decode(self, obj: Any, context: Any, path: str) -> Any:
        return dt.date(obj.year, obj.month, obj.day)

    def _encode(self, obj: Any, context: Any, path: str) -> Any:
        return {"year": obj.year, "month": obj.month, "day": obj.day}


def longest(context: Any) -> int:
    """A function that may look at everything, for all one can tell."""
    return max((len(record.data) for record in context.records), default=0)


EXAMPLES = {
    "numbers": Example(
        Struct("device" / Int32ub, "seq" / Int16ub, "point" / Int8ub, "value" / Float32b),
        {"device": 7, "seq": 300, "point": 2, "value": 20.5},
    ),
    "bits": Example(
        BitStruct(
            "quality" / Enum(BitsInteger(2), GOOD=0, BAD=3),
            "alarm" / Flag,
            Padding(1),
            "level" / BitsInteger(12),
        ),
        {"quality": "BAD", "alarm": True, "level": 1000},
    ),
    "strings": Example(
        Struct(
            "name" / PascalString(Int8ub, "utf8"),
            "site" / CString("utf8"),
            "code" / PaddedString(8, "ascii"),
            Padding(lambda context: -context._io.tell() % 4),
        ),
        {"name": "boiler", "site": "cellar", "code": "B12"},
    ),
    "lists": Example(
        Struct(
            "count" / Rebuild(Int8ub, len_(this.points)),
            "points" / Array(this.count, Struct("id" / Int8ub, "value" / Int16ub)),
        ),
        {"count": 5, "points": [{"id": number, "value": 100 * number} for number in range(5)]},
    ),
    "TLV": Example(
        Struct(
            "options"
            / GreedyRange(
                Struct(
                    "kind" / Enum(Int8ub, PORT=1, NAME=2),
                    "value"
                    / Prefixed(Int8ub, Switch(this.kind, {"PORT": Int16ub, "NAME": GreedyBytes})),
                )
            )
        ),
        {
            "options": [
                {"kind": "PORT", "value": 5683},
                {"kind": "NAME", "value": b"sensor"},
                {"kind": "PORT", "value": 47808},
                {"kind": "NAME", "value": b""},
            ]
        },
    ),
    "If and Optional": Example(
        Struct(
            "flags" / Int8ub,
            "value" / If(this.flags & 1, Int16ub),
            "limit" / If(lambda context: context.flags > 2, Int16ub),
            "time" / Optional(Int32ub),
        ),
        {"flags": 3, "value": 205, "limit": 400, "time": 1_700_000_000},
    ),
    "RawCopy and Checksum": Example(
        Struct(
            "fields" / RawCopy(Struct("device" / Int32ub, "value" / Int16ub)),
            "crc" / Checksum(Int32ub, zlib.crc32, this.fields.data),
        ),
        {"fields": {"value": {"device": 7, "value": 205}}},
    ),
    "adapters": Example(
        Struct(
            "temperature" / Tenths(Int16sb),
            "humidity" / Tenths(Int16ub),
            "pressure" / ExprAdapter(Int16ub, obj_ + 800, obj_ - 800),
            "battery"
            / ExprAdapter(Int8ub, lambda obj, _: obj / 50, lambda obj, _: round(obj * 50)),
        ),
        {"temperature": -4.5, "humidity": 61.5, "pressure": 1013, "battery": 3.3},
    ),
    "adapter of a struct": Example(
        Struct(
            "device" / Int32ub,
            "since" / Date(Struct("year" / Int16ub, "month" / Int8ub, "day" / Int8ub)),
        ),
        {"device": 7, "since": dt.date(2026, 11, 25)},
    ),
    "function of the context": Example(
        Struct(
            "count" / Rebuild(Int8ub, len_(this.records)),
            "records" / Array(this.count, Struct("data" / Prefixed(Int8ub, GreedyBytes))),
            "longest" / Computed(longest),
            "end" / Bytes(2),
        ),
        {"records": [{"data": b"sensor"}, {"data": b""}], "end": b"\r\n"},
    ),
}


def measure_schemas() -> dict[str, Any]:
    """By schema, for decoding and encoding by who does it: `us`, microseconds; `ratio`, to ours. And
    `without`, who cannot, and why; `left`, what our codec leaves to construct."""
    return {name: _measure(example) for name, example in EXAMPLES.items()}


def _measure(example: Example) -> dict[str, Any]:
    schema, message = example.schema, example.message
    codec = Codec(schema)
    data = codec.encode(message)
    value = normalize(schema.parse(data))
    assert schema.build(message) == data
    assert codec.decode(data) == value
    contenders: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        OURS: (lambda: codec.decode(data), lambda: codec.encode(message)),
        INTERPRETED: (lambda: schema.parse(data), lambda: schema.build(message)),
    }
    without = {}
    try:
        compiled = schema.compile()
        assert normalize(compiled.parse(data)) == value, "it decodes something else"
        assert compiled.build(message) == data, "it encodes something else"
    except Exception as error:
        without[COMPILED] = str(error) or type(error).__name__
    else:
        contenders[COMPILED] = (lambda: compiled.parse(data), lambda: compiled.build(message))
    times: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in contenders}
    for _ in range(ROUNDS):
        for name, works in contenders.items():
            for taken, work in zip(times[name], works, strict=True):
                taken.append(seconds_each(work, SECONDS_PER_ROUND))
    us, ratio = {}, {}
    for name, directions in times.items():
        us[name] = [1e6 * statistics.median(taken) for taken in directions]
        ratio[name] = [
            statistics.median(one / ours for one, ours in zip(taken, base, strict=True))
            for taken, base in zip(directions, times[OURS], strict=True)
        ]
    return {"us": us, "ratio": ratio, "without": without, "left": dict(codec.fallbacks)}
