"""The places in a message in which a construct under test is put."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from construct import (
    Array,
    BitStruct,
    Bitwise,
    Byte,
    Bytewise,
    Computed,
    CString,
    FixedSized,
    GreedyBytes,
    GreedyRange,
    Int16ub,
    Int32ub,
    Nibble,
    Optional,
    Prefixed,
    RawCopy,
    Select,
    Struct,
    Switch,
    VarInt,
    this,
)

from iotsim import FlatStruct

if TYPE_CHECKING:
    from tests.protocol.conformance.recording import Case


@dataclass(frozen=True)
class Surrounding:
    """A message around a construct.

    ``schema(case)``  the schema of the message
    ``frame(data)``   its bytes, given those of the construct
    ``wrap(value)``   its value, given that of the construct
    """

    name: str
    schema: Callable[[Case], Any]
    frame: Callable[[Case, bytes], bytes]
    wrap: Callable[[Case, Any], Any]


def params(case: Case) -> list[Any]:
    """The entries of the context as members that take no bytes."""
    return [
        name / (Computed(lambda _, value=value: value) if callable(value) else Computed(value))
        for name, value in case.params.items()
    ]


def fixed_size(case: Case) -> int:
    return max((len(data) for data in case.datas), default=0) + 1


def fits_bits(case: Case) -> bool:
    """Whether the construct reads bits: its bytes are zeros and ones, in eights."""
    return all(set(data) <= {0, 1} and len(data) % 8 == 0 for data in case.datas)


def pack_bits(data: bytes) -> bytes:
    return bytes(int("".join(map(str, data[at : at + 8])), 2) for at in range(0, len(data), 8))


def in_bits(case: Case) -> Any:
    if fits_bits(case):
        return Struct(*params(case), "it" / Bitwise(case.construct))
    return Struct(
        *params(case),
        "bits" / BitStruct("head" / Nibble, "it" / Bytewise(case.construct), "tail" / Nibble),
    )


def bits_frame(case: Case, data: bytes) -> bytes:
    if fits_bits(case):
        return pack_bits(data)
    return bytes.fromhex(f"5{data.hex()}a")


def bits_wrap(case: Case, value: Any) -> Any:
    if fits_bits(case):
        return {"it": value}
    return {"bits": {"head": 5, "it": value, "tail": 10}}


def flat_wrap(case: Case, value: Any) -> Any:
    inner: Any = {}
    if case.construct.name:
        inner = {case.construct.name: value}
    elif isinstance(value, Mapping):
        inner = value
    return {"kind": 7, **inner, "after": 9}


def plain(
    name: str,
    members: Callable[[Any, Case], list[Any]],
    frame: Callable[[bytes], bytes],
    **others: Any,
) -> Surrounding:
    """A struct of `members`, of which one is "it"; `others` are the values of the others."""

    def schema(case: Case) -> Any:
        return Struct(*params(case), *members(case.construct, case))

    return Surrounding(
        name, schema, lambda _, data: frame(data), lambda _, value: {"it": value, **others}
    )


SURROUNDINGS = [
    Surrounding("bare", lambda case: case.construct, lambda _, data: data, lambda _, value: value),
    plain("only", lambda it, _: ["it" / it], lambda data: data),
    plain(
        "first",
        lambda it, _: ["it" / it, "after" / Int16ub],
        lambda data: data + b"\x12\x34",
        after=0x1234,
    ),
    plain(
        "middle",
        lambda it, _: ["before" / Int16ub, "it" / it, "after" / Byte],
        lambda data: b"\x12\x34" + data + b"\x07",
        before=0x1234,
        after=7,
    ),
    plain(
        "last",
        lambda it, _: ["before" / Int16ub, "it" / it],
        lambda data: b"\x12\x34" + data,
        before=0x1234,
    ),
    Surrounding(
        "nested",
        lambda case: Struct(
            "before" / Byte,
            "inner" / Struct(*params(case), "it" / case.construct, "last" / Byte),
            "after" / Byte,
        ),
        lambda _, data: b"\x01" + data + b"\x02\x03",
        lambda _, value: {"before": 1, "inner": {"it": value, "last": 2}, "after": 3},
    ),
    Surrounding(
        "array",
        lambda case: Struct(*params(case), "items" / Array(2, case.construct), "after" / Byte),
        lambda _, data: data + data + b"\x07",
        lambda _, value: {"items": [value, value], "after": 7},
    ),
    Surrounding(
        "greedy",
        lambda case: Struct(*params(case), "items" / GreedyRange(case.construct)),
        lambda _, data: data + data + data,
        lambda _, value: {"items": [value, value, value]},
    ),
    plain(
        "prefixed",
        lambda it, _: ["it" / Prefixed(VarInt, it), "after" / Byte],
        lambda data: VarInt.build(len(data)) + data + b"\x07",
        after=7,
    ),
    Surrounding(
        "fixed",
        lambda case: Struct(
            *params(case), "it" / FixedSized(fixed_size(case), case.construct), "after" / Byte
        ),
        lambda case, data: data.ljust(fixed_size(case), b"\0") + b"\x07",
        lambda _, value: {"it": value, "after": 7},
    ),
    plain(
        "optional",
        lambda it, _: ["before" / Byte, "it" / Optional(it), "rest" / GreedyBytes],
        lambda data: b"\x01" + data + b"\x02\x03",
        before=1,
        rest=b"\x02\x03",
    ),
    plain(
        "switch",
        lambda it, _: [
            "kind" / Byte,
            "it" / Switch(this.kind, {1: it, 2: Int16ub}),
            "after" / Byte,
        ],
        lambda data: b"\x01" + data + b"\x07",
        kind=1,
        after=7,
    ),
    plain("select", lambda it, _: ["it" / Select(it, Int32ub, Byte)], lambda data: data),
    Surrounding(
        "rawcopy",
        lambda case: Struct(
            *params(case), "before" / Byte, "it" / RawCopy(case.construct), "after" / Byte
        ),
        lambda _, data: b"\x01" + data + b"\x07",
        lambda _, value: {"before": 1, "it": {"value": value}, "after": 7},
    ),
    Surrounding(
        "flat",
        lambda case: FlatStruct(*params(case), "kind" / Byte, case.construct, "after" / Byte),
        lambda _, data: b"\x07" + data + b"\x09",
        flat_wrap,
    ),
    Surrounding("bits", in_bits, bits_frame, bits_wrap),
    plain(
        "after text",
        lambda it, _: ["text" / CString("utf8"), "it" / it, "after" / Byte],
        lambda data: b"abc\x00" + data + b"\x07",
        text="abc",
        after=7,
    ),
]
