"""The names that a schema's expressions look up."""

from __future__ import annotations

from typing import Any

from construct import (
    Array,
    Bytes,
    Computed,
    Construct,
    ExprAdapter,
    If,
    Int8ub,
    Int16ub,
    LazyBound,
    Struct,
    Switch,
    len_,
    this,
)

from iotsim import Checksum, FlatStruct
from iotsim.protocol.mentions import mentioned


def helper(context: Any) -> bool:
    return bool(context.deep & 1)


def of_bytes(data: bytes) -> int:
    return data.unrelated  # type: ignore[attr-defined, no-any-return]


def test_names_in_expressions_and_functions() -> None:
    inner = "other"
    message = FlatStruct(
        "plain" / Int8ub,
        "kind" / Int8ub,
        Switch(this.kind, {1: Struct("x" / Bytes(this._.size.n))}),
        "if" / If(lambda ctx: ctx["key"] and helper(ctx), Int8ub),
        "many" / Array(lambda ctx: getattr(ctx, inner, 0), Int8ub),
        "sum" / Computed(len_(this.many) + 1),
        "adapted" / ExprAdapter(Int8ub, lambda obj, ctx: obj * ctx.scale, lambda obj, ctx: obj),
        "crc" / Checksum(Int16ub, of_bytes, start=this.begin),
    )
    names = mentioned(message)
    assert names is not None
    assert names >= {"kind", "size", "n", "key", "deep", "many", "scale", "begin"}
    assert not names & {"plain", "x", "crc", "unrelated"}


def test_a_schema_that_contains_itself() -> None:
    tree: Construct[Any, Any] = Struct(
        "n" / Int8ub, "below" / If(this.n > 0, LazyBound(lambda: tree))
    )
    assert mentioned(tree) is None
