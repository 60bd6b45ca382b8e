"""Constructs for schemas: what construct itself cannot say.

They are ordinary construct classes: a schema made of them parses and builds without iotsim.

`Checksum`     a field with a checksum of other bytes; computed on build, verified on parse
`Length`       a field with the number of bytes that follow, or of all; likewise
`FlatStruct`   a Struct whose unnamed structs give it their fields, and in which both can stand
`Native`       a field that two functions read and write, with declared fields
`Wrapped`      a construct inside bytes that two functions take off and put on
`Derived`      a field that takes no bytes, but follows from others
`Json`         a free-form value in JSON; `Cbor`, likewise in CBOR
`Payload`      text where it is such, else bytes
`Text`         text of any encoding in a field of fixed size

construct's own Checksum needs RawCopy, which nests the fields under ``value``; its Rebuild computes
a length but does not verify it. A Struct with a Switch nests the fields of each case. The fields of an
Adapter, and the type of a Computed, are not known to anybody.
"""

from __future__ import annotations

from iotsim.protocol.flat import FlatStruct
from iotsim.protocol.native import Derived, Native, Wrapped
from iotsim.protocol.payloads import Cbor, Json, Payload, Text
from iotsim.protocol.verified import Checksum, Length

__all__ = [
    "Cbor",
    "Checksum",
    "Derived",
    "FlatStruct",
    "Json",
    "Length",
    "Native",
    "Payload",
    "Text",
    "Wrapped",
]
