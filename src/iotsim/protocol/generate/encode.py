"""The table of ``encode``: which function generates the code for which node, and the root."""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
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
    Container,
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
    ListContainer,
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
    encode_arrays,
    encode_bits,
    encode_fields,
    encode_structs,
    encode_values,
    runtime,
)
from iotsim.protocol.generate.nodes import Unmatched
from iotsim.protocol.generate.source import Scope, Value
from iotsim.protocol.tree import unnamed
from iotsim.protocol.verified import Checksum

if TYPE_CHECKING:
    from iotsim.protocol.generate.encoder import Encoder, Handler

HANDLERS: dict[Any, Handler] = {
    FormatField: encode_values.format_field,
    BytesInteger: encode_values.bytes_integer,
    Bytes: encode_values.bytes_,
    StringEncoded: encode_values.string,
    Enum: encode_values.enum,
    FlagsEnum: encode_values.flags,
    ConstructMapping: encode_values.mapping,
    Struct: encode_structs.struct_,
    FlatStruct: encode_structs.struct_,
    Sequence: encode_structs.sequence,
    FocusedSeq: encode_structs.focused,
    Const: encode_values.const,
    Computed: encode_values.computed,
    Rebuild: encode_values.rebuild,
    Default: encode_values.default,
    Hex: encode_values.transparent,
    HexDump: encode_values.transparent,
    Checksum: encode_values.checksum,
    Check: encode_values.check,
    IfThenElse: encode_structs.alternatives,
    Switch: encode_structs.alternatives,
    Select: encode_structs.select,
    Array: encode_arrays.array,
    GreedyRange: encode_arrays.array,
    Prefixed: encode_arrays.prefixed,
    FixedSized: encode_arrays.fixed_sized,
    NullTerminated: encode_arrays.null_terminated,
    NullStripped: encode_arrays.null_stripped,
    Padded: encode_arrays.padded,
    Aligned: encode_arrays.aligned,
    Transformed: encode_bits.transformed,
    Unmatched: encode_values.unmatched,
    id(Flag): encode_values.flag,
    id(VarInt): encode_values.varint,
    id(ZigZag): encode_values.varint,
    id(GreedyBytes): encode_values.greedy_bytes,
    id(Pass): encode_values.nothing,
    id(Error): encode_values.error,
    id(Terminated): encode_values.nothing,
    id(Tell): encode_values.tell,
}


def write_root(e: Encoder, message: Construct[Any, Any]) -> None:
    """Write the whole of encode: its last line returns the bytes."""
    bare = unnamed(message)
    if type(bare) in (Struct, FlatStruct):
        names: list[str] = []
        sets: list[str] = []
        scope = Scope(None, bare, source="message")
        encode_structs.members(e, bare, scope, names, sets)
        if not e.bare:
            encode_fields.refuse_unknown(e, "message", names, sets)
    else:
        e.encode(bare, Value("message"), "value", Scope())
    e.w.line(f"return {e.joined().source}")


HELPERS: dict[str, Any] = {
    "BytesIO": io.BytesIO,
    "Container": Container,
    "ListContainer": ListContainer,
    "Mapping": Mapping,
    "pack": struct.pack,
    "run_build": runtime.run_build,
    "varint_bytes": runtime.varint_bytes,
    "zigzag_bytes": runtime.zigzag_bytes,
    "flags_value": runtime.flags_value,
    "not_bytes": runtime.not_bytes,
}
