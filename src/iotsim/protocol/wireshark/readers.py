"""`Readers`: a pass over the nodes of a schema that writes what reads them, in Lua.

A reader is an expression: a call of a function of ``runtime.lua`` with the readers inside. What Lua cannot
say is read as bytes, and noted in `Readers.missing`.
"""

from __future__ import annotations

import codecs
import textwrap
from functools import singledispatchmethod
from typing import TYPE_CHECKING, Any

import construct

from iotsim.protocol import nodes as n
from iotsim.protocol.checksums import crc16_ccitt, crc16_modbus, crc32, sum8, xor8
from iotsim.protocol.generate.source import UnsupportedError
from iotsim.protocol.wireshark.lua import LARGEST, Traced, constant, function, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from iotsim.protocol.wireshark.fields import Fields

CHECKSUMS = {crc16_ccitt, crc16_modbus, crc32, sum8, xor8}
"""Those that ``runtime.lua`` has, by the same names."""
ENCODINGS = {"utf-8", "ascii", "iso8859-1"}
NATIVE_INTEGERS = 8
"""Bytes of the largest integer that Wireshark has a type for."""
BITS_OF_A_MASK = 32


class Readers:
    """Writes readers; their fields are added to ``fields``.

    ``missing`` are the paths of what is shown as bytes only, or is not verified, with the reasons.
    """

    def __init__(self, fields: Fields) -> None:
        self.fields = fields
        self.missing: dict[str, str] = {}
        self.natives = False
        """Whether a `Native` is among these."""
        self.bit: int | None = None
        """The offset in the word whose bits are being read; None if it is not known."""
        self.word = 0
        """The bits of that word; 0 outside of one."""

    def reader(self, node: n.Node, path: str | None) -> str:
        """What reads ``node``; a field if ``path`` is not ""."""
        bit = self.bit
        try:
            found = self.read(node, path)
        except UnsupportedError as error:
            self.bit = bit
            found = self.unknown(node, path, str(error))
        if self.word and bit is not None and node.size is not None:
            self.bit = bit + node.size
        elif self.word:
            self.bit = None
        return found

    def unknown(self, node: n.Node, path: str | None, reason: str) -> str:
        if path is not None and (not path or path.startswith(_FLAT)):
            path = _join(path.removeprefix(_FLAT), "rest")
        self.missing[path or "(unnamed)"] = reason
        if self.word:
            if node.size is None:
                return "unknown()"
            return f"bitfield({node.size}, false, false, {self.field(path, 'uint64')})"
        size = "nil" if node.size is None else str(node.size)
        return f"unknown({size}, {self.field(path, 'bytes')})"

    def field(self, path: str | None, type_: str, **more: Any) -> str:
        return self.fields.add(path, type_, **more) if path else "nil"

    @singledispatchmethod
    def read(self, node: n.Node, path: str | None) -> str:
        raise UnsupportedError(f"{type(node.origin).__name__} has no counterpart in Lua")

    # -- single values --------------------------------------------------------------------------

    @read.register
    def number(self, node: n.Number, path: str | None) -> str:
        return self.numeric(node, path, {})

    @read.register
    def integer(self, node: n.Integer, path: str | None) -> str:
        return self.numeric(node, path, {})

    @read.register
    def bits(self, node: n.Bits, path: str | None) -> str:
        return self.numeric(node, path, {})

    @read.register
    def variable(self, node: n.VarInteger, path: str | None) -> str:
        return self.numeric(node, path, {})

    def numeric(self, node: n.Node, path: str | None, names: dict[int, str]) -> str:
        """A number, with names of its values."""
        if isinstance(node, n.VarInteger):
            kind = "int64" if node.zigzag else "uint64"
            field = self.field(path, kind, names=names)
            return f"varint({_boolean(node.zigzag)}, {field})"
        if isinstance(node, n.Bits):
            return self.some_bits(node, path, names)
        size = node.size or 0
        if isinstance(node, n.Number) and node.code == "?":
            return f"flag({self.field(path, 'bool')})"
        little = isinstance(node, n.Number) and node.order == "<"
        little = little or (isinstance(node, n.Integer) and node.little)
        if isinstance(node, n.Number) and node.code in "efd":
            field = self.field(path, "double" if node.code == "d" else "float")
            return f"float({size}, {_boolean(little)}, {field})"
        signed = node.signed if isinstance(node, n.Integer) else _signed(node)
        if size > NATIVE_INTEGERS:
            self.missing[path or "(unnamed)"] = f"an integer of {size} bytes, shown as bytes"
        field = self.field(path, _integer_type(size, signed), names=names)
        return f"integer({size}, {_boolean(little)}, {_boolean(signed)}, {field})"

    def some_bits(self, node: n.Bits, path: str | None, names: dict[int, str]) -> str:
        size = node.size or 0
        masked = False
        if self.bit is not None and self.bit // 8 + 4 >= -(-(self.bit + size) // 8):
            whole = 8 * (-(-(self.bit + size) // 8) - self.bit // 8)
            mask = ((1 << size) - 1) << (whole - self.bit % 8 - size)
            masked = True
            if node.flag:
                field = self.field(path, "bool", mask=mask, width=whole)
            else:
                kind = f"{'int' if node.signed else 'uint'}{whole}"
                field = self.field(path, kind, names=names, mask=mask)
        elif node.flag:
            field = self.field(path, "bool")
        elif size <= BITS_OF_A_MASK:
            field = self.field(path, "int32" if node.signed else "uint32", names=names)
        elif size <= 53:
            field = self.field(path, "int64" if node.signed else "uint64")
        else:
            raise UnsupportedError(f"a number of {size} bits")
        signed, flag = _boolean(node.signed), _boolean(node.flag)
        return f"bitfield({size}, {signed}, {flag}, {field}, {_boolean(masked)})"

    @read.register
    def data(self, node: n.Data, path: str | None) -> str:
        field = self.field(path, "bytes")
        if node.length is None:
            return f"bytes(nil, {field})"
        return f"bytes({function(node.length)}, {field})"

    @read.register
    def text(self, node: n.Text, path: str | None) -> str:
        encoding = codecs.lookup(node.encoding).name
        if encoding not in ENCODINGS:
            raise UnsupportedError(f"text in {encoding}")
        inner = self.read(node.inner, None)
        return f"characters({inner}, {quoted(encoding)}, {self.field(path, 'string')})"

    @read.register
    def names(self, node: n.Names, path: str | None) -> str:
        if node.kind == "flags":
            return self.flags(node, path)
        decoded = {number: value for number, value in node.decoded.items() if abs(number) < LARGEST}
        shown = {int(number): str(value) for number, value in decoded.items()}
        inner = self.numeric(node.inner, path, shown)
        table = ", ".join(f"[{int(key)}] = {constant(value)}" for key, value in decoded.items())
        return f"{'mapped' if node.kind == 'mapping' else 'named'}({inner}, {{{table}}})"

    def flags(self, node: n.Names, path: str | None) -> str:
        inner, size = node.inner, node.inner.size or 0
        word = isinstance(inner, n.Number) and inner.code in "BHL"
        little = isinstance(inner, n.Number) and inner.order == "<"
        masks = []
        for name, mask in node.encoded.items():
            if not 0 <= mask < LARGEST:
                raise UnsupportedError(f"the flag {mask}")
            masked = word and mask.bit_count() == 1 and mask < 1 << 8 * size
            more = {"mask": mask, "width": 8 * size} if masked else {}
            field = self.field(_join(path or None, name), "bool", **more)
            masks.append(f"{{{quoted(name)}, {mask}, {field}, {_boolean(masked)}}}")
        read = self.numeric(inner, "", {})
        if isinstance(inner, n.Bits):
            kind = "uint64" if size > BITS_OF_A_MASK else "uint32"
        elif isinstance(inner, n.VarInteger):
            kind = "uint64"
        else:
            kind = _integer_type(size, _signed(inner))
        whole, table = self.field(path, kind), ", ".join(masks)
        return f"flags({read}, {{{table}}}, {whole}, {_boolean(little)})"

    @read.register
    def computed(self, node: n.Computed, path: str | None) -> str:
        return self.derived_value(node.value, path)

    @read.register
    def derived(self, node: n.Derived, path: str | None) -> str:
        return self.derived_value(node.value, path)

    def derived_value(self, value: Any, path: str | None) -> str:
        """A value that takes no bytes."""
        found = function(value)
        if not path:
            return f"computed({found})"
        if isinstance(value, bool):
            return f"computed({found}, {self.field(path, 'bool')})"
        if isinstance(value, bytes) or value is None:
            return f"computed({found})"
        field = self.field(path, "string")
        return f"described({found}, {field})"

    @read.register
    def tell(self, node: n.Tell, path: str | None) -> str:
        if self.word:
            raise UnsupportedError("an offset among bits")
        return f"computed(function(this, c) return c.at end, {self.field(path, 'uint32')})"

    @read.register
    def nothing(self, node: n.Nothing, path: str | None) -> str:
        return "nothing"

    @read.register
    def end(self, node: n.End, path: str | None) -> str:
        return "the_end"

    @read.register
    def refuse(self, node: n.Fail, path: str | None) -> str:
        return "refuse"

    @read.register
    def check(self, node: n.Check, path: str | None) -> str:
        try:
            return f"check({function(node.test)})"
        except UnsupportedError as error:
            self.missing[f"{path or '(unnamed)'}, a check"] = str(error)
            return "nothing"

    @read.register
    def adapted(self, node: n.Adapted, path: str | None) -> str:
        if isinstance(node.origin, construct.Validator | construct.ExprValidator):
            self.missing[path or "(unnamed)"] = "a validation, which is not done"
            return self.reader(node.inner, path)
        whole = _is_whole(node.inner)
        if whole is None:
            raise UnsupportedError(_adapter(node))
        arguments = [None, ""][: node.more.count(",")]
        try:
            found = node.decode(Traced("value", whole), *arguments)
        except Exception as error:
            raise UnsupportedError(_adapter(node)) from error
        if not isinstance(found, Traced):
            raise UnsupportedError(_adapter(node))
        kind = "int64" if found.whole else "double"
        inner, field = self.read(node.inner, None), self.field(path, kind)
        return f"adapted({inner}, function(value) return {found.source} end, {field})"

    @read.register
    def coded(self, node: n.Coded, path: str | None) -> str:
        inner, kind = self.read(node.inner, None), type(node.origin).__name__
        path = path or "body"
        if kind == "Text":
            return f'characters({inner}, "utf-8", {self.field(path, "string")})'
        if kind == "Payload":
            fields = f"{self.field(path, 'string')}, {self.field(path, 'bytes')}"
            return f"payload({inner}, {fields})"
        self.missing[path] = f"{kind.upper()}, as Wireshark's own dissector shows it"
        if kind == "Json":
            return f'foreign({inner}, "json", {self.field(path, "bytes")})'
        return f'foreign({inner}, "cbor", {self.field(path, "bytes")})'

    # -- what passes a value on -----------------------------------------------------------------

    @read.register
    def const(self, node: n.Const, path: str | None) -> str:
        inner, value = self.reader(node.inner, path), node.value
        if isinstance(node.inner, n.Names) and value in node.inner.encoded:
            value = node.inner.decoded.get(node.inner.encoded[value], value)
        try:
            return f"always({inner}, {constant(value)})"
        except UnsupportedError as error:
            self.missing[path or "(unnamed)"] = f"not verified: {error}"
            return inner

    @read.register
    def default(self, node: n.Default, path: str | None) -> str:
        return self.read(node.inner, path)

    @read.register
    def rebuilt(self, node: n.Rebuilt, path: str | None) -> str:
        return self.read(node.inner, path)

    @read.register
    def length(self, node: n.Length, path: str | None) -> str:
        return self.read(node.inner, path)

    @read.register
    def checksum(self, node: n.Checksum, path: str | None) -> str:
        inner = self.reader(node.inner, path)
        name = getattr(node.function, "__name__", "a function")
        if node.function not in CHECKSUMS:
            self.missing[path or "(unnamed)"] = f"a checksum that is not verified: {name}"
            return inner
        try:
            return f"checksum({inner}, {name}, {function(node.start)})"
        except UnsupportedError as error:
            self.missing[path or "(unnamed)"] = f"a checksum that is not verified: {error}"
            return inner

    @read.register
    def hashed(self, node: n.Hashed, path: str | None) -> str:
        self.missing[path or "(unnamed)"] = "a checksum of fields, which is not verified"
        return self.reader(node.inner, path)

    # -- groups ---------------------------------------------------------------------------------

    def members(
        self, members: Iterable[n.Member], path: str | None, label: str | None = None
    ) -> str:
        """Those of a group; ``label`` is the path of a Sequence, whose elements they are."""
        lines = []
        for member in members:
            shown = None
            if member.flat and path is not None:
                shown = _FLAT + path
            elif member.name and (not member.name.startswith("_") or member.kept):
                shown = _join(path, member.name)
            if label is not None:
                shown = f"{label}[]"
            read = self.reader(member.node, shown)
            more = ', "flat"' if member.flat else ""
            if isinstance(member.node, n.Length):
                rest = _boolean(member.node.rest)
                more = f", {{rest = {rest}, adjust = {member.node.adjust}}}"
            name = quoted(member.name) if member.name else "nil"
            lines.append(f"{{{name}, {read}{more}}},")
        body = textwrap.indent("\n".join(lines), "  ")
        return f"{{\n{body}\n}}" if lines else "{}"

    @read.register
    def struct(self, node: n.Struct, path: str | None) -> str:
        inside, field = path, "nil"
        if path is not None and path.startswith(_FLAT):
            inside = path.removeprefix(_FLAT)
        else:
            field = self.field(path, "none")
        return f"struct({self.members(node.members, inside)}, {field})"

    @read.register
    def sequence(self, node: n.Sequence, path: str | None) -> str:
        if not path or path.startswith(_FLAT):
            return f"struct({self.members(node.members, path)}, nil)"
        return f"sequence({self.members(node.members, None, path)}, {quoted(path)})"

    @read.register
    def focused(self, node: n.Focused, path: str | None) -> str:
        lines = []
        for member in node.members:
            inside = path if member.name == node.selected else None
            name = quoted(member.name) if member.name else "nil"
            lines.append(f"{{{name}, {self.reader(member.node, inside)}}},")
        body = textwrap.indent("\n".join(lines), "  ")
        return f"struct({{\n{body}\n}}, nil, {quoted(node.selected)})"

    def alternative(self, node: n.Node, path: str | None) -> str:
        bit = self.bit
        found = self.reader(node, path)
        self.bit = bit
        return found

    @read.register
    def switch(self, node: n.Switch, path: str | None) -> str:
        key = function(node.key)
        lines = []
        for case, inner in node.cases.items():
            case = int(case) if isinstance(case, bool) else case
            lines.append(f"[{constant(case)}] = {self.alternative(inner, path)},")
        body = textwrap.indent("\n".join(lines), "  ")
        return f"switch({key}, {{\n{body}\n}}, {self.alternative(node.default, path)})"

    @read.register
    def choose(self, node: n.If, path: str | None) -> str:
        lines = [
            f"{{{function(condition)}, {self.alternative(branch, path)}}},"
            for condition, branch in node.branches
        ]
        body = textwrap.indent("\n".join(lines), "  ")
        return f"choose({{\n{body}\n}})"

    @read.register
    def select(self, node: n.Select, path: str | None) -> str:
        lines = [f"{self.alternative(choice, path)}," for choice in node.choices]
        body = textwrap.indent("\n".join(lines), "  ")
        return f"select_first({{\n{body}\n}})"

    @read.register
    def repeat(self, node: n.Repeat, path: str | None) -> str:
        count = "nil" if node.count is None else function(node.count)
        self.bit = None
        inner = self.reader(node.inner, f"{path}[]" if path else None)
        return f"array({inner}, {count}, {quoted(path or '(unnamed)')})"

    # -- data within data -----------------------------------------------------------------------

    @read.register
    def prefixed(self, node: n.Prefixed, path: str | None) -> str:
        less_by = node.length.size if node.inclusive else 0
        length = self.read(node.length, None)
        return f"prefixed({length}, {less_by}, {self.reader(node.inner, path)})"

    @read.register
    def window(self, node: n.Window, path: str | None) -> str:
        return f"window({function(node.length)}, {self.reader(node.inner, path)})"

    @read.register
    def padded(self, node: n.Padded, path: str | None) -> str:
        if self.word:
            return f"skip_bits({node.size})"
        inner, length = self.reader(node.inner, path), function(node.length)
        return f"padded({length}, {_boolean(node.aligned)}, {inner})"

    @read.register
    def terminated(self, node: n.Terminated, path: str | None) -> str:
        return f"terminated({constant(node.term)}, {self.reader(node.inner, path)})"

    @read.register
    def stripped(self, node: n.Stripped, path: str | None) -> str:
        return f"stripped({constant(node.pad)}, {self.reader(node.inner, path)})"

    @read.register
    def bit_word(self, node: n.BitWord, path: str | None) -> str:
        self.bit, self.word = 0, node.size or 0
        try:
            return f"word({node.size}, {self.reader(node.inner, path)})"
        finally:
            self.bit, self.word = None, 0

    @read.register
    def raw_copy(self, node: n.RawCopy, path: str | None) -> str:
        if path is not None and path.startswith(_FLAT):
            raise UnsupportedError("RawCopy without a name")
        inner = self.reader(node.inner, _join(path, "value"))
        fields = [self.field(_join(path, "data"), "bytes")]
        numbers = ("length", "offset1", "offset2")
        fields += [self.field(_join(path, name), "uint32") for name in numbers]
        return f"raw_copy({inner}, {', '.join(fields)}, {self.field(path, 'none')})"

    # -- the rest -------------------------------------------------------------------------------

    @read.register
    def native(self, node: n.Native, path: str | None) -> str:
        if node.origin.lua is None:
            self.natives = True
            raise UnsupportedError("a Native, whose functions are Python's")
        missing = dict(self.missing)
        self.reader(node.like, path)  # for its fields
        self.missing = missing
        body = textwrap.indent(node.origin.lua.read_text(encoding="utf-8").rstrip(), "  ")
        fields = self.fields.below((path or "").removeprefix(_FLAT))
        table = "\n".join(f"  [{quoted(name)}] = {{{kinds}}}," for name, kinds in fields.items())
        return f"native(function(c, this, add)\n{body}\nend, {{\n{table}\n}})"

    @read.register
    def opaque(self, node: n.Opaque, path: str | None) -> str:
        same = node.inner is not None and node.shows == "same"
        if same and node.inner is not None and node.reason.startswith(("a hook", "a checksum")):
            self.missing[path or "(unnamed)"] = f"not done: {node.reason}"
            return self.reader(node.inner, path)
        raise UnsupportedError(node.note or node.reason)


_FLAT = "\0"
"""Before the path of what an unnamed member gives its fields to."""


def _join(path: str | None, name: str) -> str | None:
    return f"{path}.{name}" if path else None if path is None else name


def _boolean(value: object) -> str:
    return "true" if value else "false"


def _signed(node: n.Node) -> bool:
    return isinstance(node, n.Number) and node.code in "bhlq"


def _integer_type(size: int, signed: bool) -> str:
    if size > NATIVE_INTEGERS:
        return "bytes"
    bits = 8 * size if size <= 4 else 64
    return f"{'int' if signed else 'uint'}{bits}"


def _adapter(node: n.Adapted) -> str:
    return f"{type(node.origin).__name__}, an adapter in Python"


def _is_whole(node: n.Node) -> bool | None:
    """Whether a number is an integer; None for what is no number."""
    if isinstance(node, n.Number):
        return node.code not in "efd"
    return True if isinstance(node, n.INTEGERS) else None
