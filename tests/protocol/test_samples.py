"""What vectors show of fields whose type the schema does not tell."""

from __future__ import annotations

import datetime as dt

from construct import Array, ExprAdapter, Int8ub, Struct

from iotsim.protocol.fields import Schema
from iotsim.protocol.registry import Vector
from iotsim.protocol.samples import types_seen

FREE = ExprAdapter(Int8ub, lambda value, _: {"value": value}, lambda value, _: value["value"])
SCHEMA = Schema(Struct("known" / Int8ub, "at" / FREE, "free" / FREE, "many" / Array(2, FREE)))


def test_types_of_free_fields_by_path() -> None:
    moment = dt.date(2026, 5, 1)
    vectors = [
        Vector(b"", {"known": 1, "at": moment, "free": {"ids": [1, "a"]}, "many": [1.5, moment]}),
        Vector(b"", {"known": 2, "at": "never", "free": {}}),
    ]
    assert types_seen(SCHEMA, vectors) == {
        "at": {dt.date, str},
        "free": {dict},
        "free.ids": {list},
        "free.ids[]": {int, str},
        "many[]": {float, dt.date},
    }


def test_what_is_below_a_free_field_is_free() -> None:
    for path in ("free.a", "free.a[0].b", "free[].b", "many[1].x.y", "many.1"):
        field = SCHEMA.find(path)
        assert field is not None, path
        assert field.kind == "any"
    assert SCHEMA.find("known.a") is None
    assert SCHEMA.find("other.a") is None
    assert SCHEMA.find("many.a") is None
