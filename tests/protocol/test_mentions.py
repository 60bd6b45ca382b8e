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

from iotsim import Checksum, Encrypted, FlatStruct, Native, Wrapped, this_device
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


def test_what_gives_values_gives_no_shape() -> None:
    """Keys, nonces, and functions that are given bytes or values, and no fields."""
    message = FlatStruct(
        "nonce" / Bytes(12),
        "native" / Native(lambda data, at: (data.nonce, at), of_bytes, like=Bytes(this.size)),
        "wrapped" / Wrapped(of_bytes, of_bytes, Bytes(this.inside)),
        "body"
        / Encrypted(Bytes(this.more), mode="GCM", key=this_device.state.key, nonce=this.nonce),
        "mac" / Checksum(Bytes(8), of_bytes, over=(this.begin, None), key=this.secret),
    )
    assert mentioned(message) == {"size", "inside", "more", "begin"}
