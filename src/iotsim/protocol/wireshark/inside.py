"""Reading data within data, and what Python has functions for."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from iotsim.errors import ProtocolError
from iotsim.protocol import nodes as n
from iotsim.protocol.generate.source import UnsupportedError
from iotsim.protocol.wireshark.lua import constant, function, quoted
from iotsim.protocol.wireshark.readers import FLAT, boolean, join, read

if TYPE_CHECKING:
    from iotsim.protocol.wireshark.readers import Readers

_TYPES = re.compile("^-- Types of ([^:]*): (.*)$", re.MULTILINE)
"""In the Lua of a Native: those of a field of which ``like`` says none."""
_ONLY = re.compile("^-- Shows only: (.*)$", re.MULTILINE)
"""The fields that it shows, the last of which is the bytes of all others."""


@read.register(n.Prefixed)
def prefixed(node: n.Prefixed, readers: Readers, path: str | None) -> str:
    less_by = node.length.size if node.inclusive else 0
    length = readers.read(node.length, None)
    return f"prefixed({length}, {less_by}, {readers.reader(node.inner, path)})"


@read.register(n.Window)
def window(node: n.Window, readers: Readers, path: str | None) -> str:
    return f"window({function(node.length)}, {readers.reader(node.inner, path)})"


@read.register(n.Padded)
def padded(node: n.Padded, readers: Readers, path: str | None) -> str:
    if readers.word:
        return f"skip_bits({node.size})"
    inner, length = readers.reader(node.inner, path), function(node.length)
    return f"padded({length}, {boolean(node.aligned)}, {inner})"


@read.register(n.Terminated)
def terminated(node: n.Terminated, readers: Readers, path: str | None) -> str:
    return f"terminated({constant(node.term)}, {readers.reader(node.inner, path)})"


@read.register(n.Stripped)
def stripped(node: n.Stripped, readers: Readers, path: str | None) -> str:
    return f"stripped({constant(node.pad)}, {readers.reader(node.inner, path)})"


@read.register(n.BitWord)
def bit_word(node: n.BitWord, readers: Readers, path: str | None) -> str:
    readers.bit, readers.word = 0, node.size or 0
    try:
        return f"word({node.size}, {readers.reader(node.inner, path)})"
    finally:
        readers.bit, readers.word = None, 0


@read.register(n.RawCopy)
def raw_copy(node: n.RawCopy, readers: Readers, path: str | None) -> str:
    if path is not None and path.startswith(FLAT):
        raise UnsupportedError("RawCopy without a name")
    inner = readers.reader(node.inner, join(path, "value"))
    fields = [readers.field(join(path, "data"), "bytes")]
    numbers = ("length", "offset1", "offset2")
    fields += [readers.field(join(path, name), "uint32") for name in numbers]
    return f"raw_copy({inner}, {', '.join(fields)}, {readers.field(path, 'none')})"


@read.register(n.Native)
def native(node: n.Native, readers: Readers, path: str | None) -> str:
    if node.origin.lua is None:
        readers.natives = True
        raise UnsupportedError("a Native, whose functions are Python's")
    try:
        lua = Path(node.origin.lua).read_text(encoding="utf-8").rstrip()
    except (OSError, ValueError) as error:
        raise ProtocolError(f"what a Native says in Lua cannot be read: {error}") from error
    place = (path or "").removeprefix(FLAT).replace("[]", "")
    start = f"{place}." if place else ""
    before = readers.fields.below(place)
    missing, readers.missing = readers.missing, {}
    readers.reader(node.like, path)  # for its fields
    readers.missing = missing
    for name, kinds in _TYPES.findall(lua):
        readers.fields.forget(f"{start}{name}")
        for kind in kinds.split():
            readers.field(f"{start}{name}", kind)
    only = " ".join(_ONLY.findall(lua)).split()
    if only:
        readers.natives = True
        readers.missing[f"{start}{only[-1]}"] = "of a Native, which Lua says in part"
        for name in readers.fields.below(place):
            if name not in before and name.split(".")[0] not in only:
                readers.fields.forget(f"{start}{name}")
    fields = readers.fields.below(place)
    body = textwrap.indent(lua, "  ")
    table = "\n".join(f"  [{quoted(name)}] = {{{kinds}}}," for name, kinds in fields.items())
    return f"native(function(c, this, add)\n{body}\nend, {{\n{table}\n}})"


@read.register(n.Opaque)
def opaque(node: n.Opaque, readers: Readers, path: str | None) -> str:
    same = node.inner is not None and node.shows == "same"
    if same and node.inner is not None and node.reason.startswith(("a hook", "a checksum")):
        readers.missing[path or "(unnamed)"] = f"not done: {node.reason}"
        return readers.reader(node.inner, path)
    raise UnsupportedError(node.note or node.reason)
