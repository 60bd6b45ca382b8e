"""The table of ``decode``: which function generates the code for which node, and the root."""

from __future__ import annotations

import itertools
import struct
from typing import TYPE_CHECKING, Any

from construct import (
    Aligned,
    Array,
    Bytes,
    BytesInteger,
    Check,
    Computed,
    Const,
    Construct,
    Default,
    Enum,
    Error,
    FixedSized,
    Flag,
    FlagsEnum,
    FocusedSeq,
    FormatField,
    GreedyBytes,
    GreedyRange,
    Hex,
    HexDump,
    IfThenElse,
    NullStripped,
    NullTerminated,
    Padded,
    Pass,
    Prefixed,
    Rebuild,
    Select,
    Sequence,
    StringEncoded,
    Struct,
    Switch,
    Tell,
    Terminated,
    Transformed,
    VarInt,
    ZigZag,
)
from construct import Mapping as ConstructMapping

from iotsim.protocol.flat import FlatStruct
from iotsim.protocol.generate import (
    decode_arrays,
    decode_bits,
    decode_structs,
    decode_values,
    runtime,
)
from iotsim.protocol.generate.nodes import Unmatched
from iotsim.protocol.generate.source import Scope
from iotsim.protocol.interpreted import normalize
from iotsim.protocol.tree import unnamed
from iotsim.protocol.verified import Checksum, Length

if TYPE_CHECKING:
    from iotsim.protocol.generate.decoder import Decoder, Handler

HANDLERS: dict[Any, Handler] = {
    FormatField: decode_values.format_field,
    BytesInteger: decode_values.bytes_integer,
    Bytes: decode_values.bytes_,
    StringEncoded: decode_values.string,
    Enum: decode_values.enum,
    FlagsEnum: decode_values.flags,
    ConstructMapping: decode_values.mapping,
    Struct: decode_structs.struct_,
    FlatStruct: decode_structs.struct_,
    Sequence: decode_structs.sequence,
    FocusedSeq: decode_structs.focused,
    Const: decode_values.const,
    Computed: decode_values.computed,
    Rebuild: decode_values.transparent,
    Default: decode_values.transparent,
    Hex: decode_values.transparent,
    HexDump: decode_values.transparent,
    Length: decode_values.transparent,
    Checksum: decode_values.checksum,
    Check: decode_values.check,
    IfThenElse: decode_structs.if_then_else,
    Switch: decode_structs.switch,
    Select: decode_structs.select,
    Array: decode_arrays.array,
    GreedyRange: decode_arrays.greedy_range,
    Prefixed: decode_arrays.prefixed,
    FixedSized: decode_arrays.fixed_sized,
    NullTerminated: decode_arrays.null_terminated,
    NullStripped: decode_arrays.null_stripped,
    Padded: decode_arrays.padded,
    Aligned: decode_arrays.aligned,
    Transformed: decode_bits.transformed,
    Unmatched: decode_values.unmatched,
    id(Flag): decode_values.flag,
    id(VarInt): decode_values.varint,
    id(ZigZag): decode_values.varint,
    id(GreedyBytes): decode_values.greedy_bytes,
    id(Pass): decode_values.nothing,
    id(Error): decode_values.error,
    id(Terminated): decode_values.terminated,
    id(Tell): decode_values.tell,
}


def write_root(d: Decoder, message: Construct[Any, Any]) -> None:
    """Write the whole of decode: its last line returns the message."""
    w = d.w
    bare = unnamed(message)
    if isinstance(bare, Struct) and type(bare) in (Struct, FlatStruct):
        scope = Scope(None, bare)
        entries = decode_structs.members(d, bare, scope)
        result = f"{{{', '.join(entries)}}}"
    else:
        value = d.decode(bare, "value", Scope())
        d.flush()
        w.line(f"if {value.source}.__class__ is not dict: raise Mismatch")
        result = value.source
    exact = d.flush(exact=d.strict)
    end = d.place.position
    if d.strict and not exact and str(end) != "len(data)":
        w.line(f"if len(data) != {end}: raise Mismatch")
    w.line(f"return {result}")


HELPERS: dict[str, Any] = {
    "Mismatch": runtime.Mismatch,
    "Unusual": runtime.Unusual,
    "open_stream": runtime.open_stream,
    "enter": runtime.enter,
    "native": runtime.native,
    "native_fields": runtime.native_fields,
    "normalize": normalize,
    "run_parse": runtime.run_parse,
    "read_varint": runtime.read_varint,
    "read_zigzag": runtime.read_zigzag,
    "Pass": Pass,
    "unpack_from": struct.unpack_from,
    "count_up": itertools.count,
}
