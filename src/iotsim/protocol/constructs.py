"""Constructs for schemas: checksums, lengths and flat structs, which construct itself cannot say.

They are ordinary construct classes: a schema made of them parses and builds without iotsim.

`Checksum`     a field with a checksum of the bytes before it; computed on build, verified on parse
`Length`       a field with the number of bytes that follow, or of all; likewise
`FlatStruct`   a Struct whose unnamed structs give it their fields, and in which `Length` can stand

construct's own Checksum needs RawCopy, which nests the fields under ``value``; its Rebuild computes
a length but does not verify it. And a Struct with a Switch nests the fields of each case.
"""

from __future__ import annotations

from iotsim.protocol.flat import FlatStruct
from iotsim.protocol.verified import Checksum, Length

__all__ = ["Checksum", "FlatStruct", "Length"]
