"""Reading what is verified: constants, checks, checksums, lengths, the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iotsim.protocol import nodes as n
from iotsim.protocol.checksums import crc16_ccitt, crc16_modbus, crc32, sum8, xor8
from iotsim.protocol.generate.source import UnsupportedError
from iotsim.protocol.wireshark.lua import constant, function
from iotsim.protocol.wireshark.readers import read

if TYPE_CHECKING:
    from iotsim.protocol.wireshark.readers import Readers

CHECKSUMS = {crc16_ccitt, crc16_modbus, crc32, sum8, xor8}
"""Those that ``runtime/checksums.lua`` has, by the same names."""


@read.register(n.Const)
def const(node: n.Const, readers: Readers, path: str | None) -> str:
    inner, value = readers.reader(node.inner, path), node.value
    if isinstance(node.inner, n.Names) and value in node.inner.encoded:
        value = node.inner.decoded.get(node.inner.encoded[value], value)
    try:
        return f"always({inner}, {constant(value)})"
    except UnsupportedError as error:
        readers.missing[path or "(unnamed)"] = f"not verified: {error}"
        return inner


@read.register(n.Check)
def check(node: n.Check, readers: Readers, path: str | None) -> str:
    try:
        return f"check({function(node.test)})"
    except UnsupportedError as error:
        readers.missing[f"{path or '(unnamed)'}, a check"] = str(error)
        return "nothing"


@read.register(n.End)
def end(node: n.End, readers: Readers, path: str | None) -> str:
    return "the_end"


@read.register(n.Fail)
def refuse(node: n.Fail, readers: Readers, path: str | None) -> str:
    return "refuse"


@read.register(n.Checksum)
def checksum(node: n.Checksum, readers: Readers, path: str | None) -> str:
    inner = readers.reader(node.inner, path)
    name = getattr(node.function, "__name__", "a function")
    if node.function not in CHECKSUMS:
        readers.missing[path or "(unnamed)"] = f"a checksum that is not verified: {name}"
        return inner
    try:
        return f"checksum({inner}, {name}, {function(node.start)})"
    except UnsupportedError as error:
        readers.missing[path or "(unnamed)"] = f"a checksum that is not verified: {error}"
        return inner


@read.register(n.Hashed)
def hashed(node: n.Hashed, readers: Readers, path: str | None) -> str:
    readers.missing[path or "(unnamed)"] = "a checksum of fields, which is not verified"
    return readers.reader(node.inner, path)


@read.register(n.Default)
@read.register(n.Rebuilt)
@read.register(n.Length)
def inner(node: n.Default | n.Rebuilt | n.Length, readers: Readers, path: str | None) -> str:
    return readers.read(node.inner, path)
