"""Reading texts, bytes, bodies, what is calculated, and what takes no bytes."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, Any

from iotsim.protocol import nodes as n
from iotsim.protocol.arithmetic import trace
from iotsim.protocol.generate.source import UnsupportedError
from iotsim.protocol.wireshark.lua import arithmetic, constant, function, quoted
from iotsim.protocol.wireshark.readers import FLAT, join, read

if TYPE_CHECKING:
    from iotsim.protocol.wireshark.readers import Readers

ENCODINGS = {"utf-8", "ascii", "iso8859-1"}


@read.register(n.Data)
def data(node: n.Data, readers: Readers, path: str | None) -> str:
    field = readers.field(path, "bytes")
    if node.length is None:
        return f"bytes(nil, {field})"
    return f"bytes({function(node.length)}, {field})"


@read.register(n.Text)
def text(node: n.Text, readers: Readers, path: str | None) -> str:
    return characters(readers.read(node.inner, None), node.encoding, readers, path)


def characters(inner: str, encoding: str, readers: Readers, path: str | None) -> str:
    """The bytes that ``inner`` reads, as text."""
    encoding = codecs.lookup(encoding).name
    if encoding not in ENCODINGS:
        raise UnsupportedError(f"text in {encoding}")
    return f"characters({inner}, {quoted(encoding)}, {readers.field(path, 'string')})"


@read.register(n.Coded)
def coded(node: n.Coded, readers: Readers, path: str | None) -> str:
    inner, kind = readers.read(node.inner, None), type(node.origin).__name__
    if path is not None and (not path or path.startswith(FLAT)):
        path = join(path.removeprefix(FLAT), "body")
    if kind == "Text":
        read_all = characters("bytes(nil, nil)", node.origin.encoding, readers, path)
        return f"window(constant({node.origin.size}), stripped({constant(bytes(1))}, {read_all}))"
    if kind == "Payload":
        fields = f"{readers.field(path, 'string')}, {readers.field(path, 'bytes')}"
        return f"payload({inner}, {fields})"
    readers.missing[path or "(unnamed)"] = f"{kind.upper()}, as Wireshark's own dissector shows it"
    if kind == "Json":
        return f'foreign({inner}, "json", {readers.field(path, "bytes")})'
    return f'foreign({inner}, "cbor", {readers.field(path, "bytes")})'


@read.register(n.Computed)
def computed(node: n.Computed, readers: Readers, path: str | None) -> str:
    return derived_value(node.value, readers, path)


@read.register(n.Derived)
def derived(node: n.Derived, readers: Readers, path: str | None) -> str:
    return derived_value(node.value, readers, path)


def derived_value(value: Any, readers: Readers, path: str | None) -> str:
    """A value that takes no bytes."""
    found = function(value)
    if not path:
        return f"computed({found})"
    if isinstance(value, bool):
        return f"computed({found}, {readers.field(path, 'bool')})"
    if isinstance(value, bytes) or value is None:
        return f"computed({found})"
    field = readers.field(path, "string")
    return f"described({found}, {field})"


@read.register(n.Tell)
def tell(node: n.Tell, readers: Readers, path: str | None) -> str:
    if readers.word:
        raise UnsupportedError("an offset among bits")
    return f"computed(function(this, c) return c.at end, {readers.field(path, 'uint32')})"


@read.register(n.Nothing)
def nothing(node: n.Nothing, readers: Readers, path: str | None) -> str:
    return "nothing"


@read.register(n.Adapted)
def adapted(node: n.Adapted, readers: Readers, path: str | None) -> str:
    if node.validates:
        readers.missing[path or "(unnamed)"] = "a validation, which is not done"
        return readers.reader(node.inner, path)
    whole = _is_whole(node.inner)
    found = None if whole is None else trace(node.decode, *node.more, whole=whole)
    if found is None:
        raise UnsupportedError(f"{type(node.origin).__name__}, an adapter in Python")
    kind = "int64" if found.whole else "double"
    inner, field = readers.read(node.inner, None), readers.field(path, kind)
    return f"adapted({inner}, function(value) return {arithmetic(found, 'value')} end, {field})"


def _is_whole(node: n.Node) -> bool | None:
    """Whether a number is an integer; None for what is no number."""
    if isinstance(node, n.Number):
        return node.code not in "efd"
    return True if isinstance(node, n.INTEGERS) else None
