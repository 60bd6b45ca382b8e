"""The compiler: ``decode`` and ``encode`` for a schema, as Python source that is executed once.

`decode` and `encode` write the code. Here it is put together:

- Most schemas have a field that says which message it is. If the root struct has such a one, an Enum or
  an integer at a fixed place on which a Switch (or an If) turns, the code begins by looking at it and has
  a branch of its own for each value. Inside it the Switch is decided already, so that a whole message is
  often one struct.Struct.
- When encoding, such a branch is written twice: for messages that have just the fields that they must
  have, where all defaults are constants (most replies are of this kind), and for all others.
- What the handlers cannot do, for one kind of message or for all, is left to the reference engine. So is
  whatever goes wrong: the reference gives the error, or the result.
"""

from __future__ import annotations

import binascii
import operator
import struct
import zlib
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from construct import ExplicitError
from construct.expr import BinExpr

from iotsim.protocol import nodes as n
from iotsim.protocol.functions import steps
from iotsim.protocol.generate import decode, encode, runtime
from iotsim.protocol.generate.expressions import is_this, plain_form
from iotsim.protocol.generate.reading import Decoder
from iotsim.protocol.generate.source import UnsupportedError, Value, Writer, literal
from iotsim.protocol.generate.writing import Encoder
from iotsim.protocol.traced import Tracer
from iotsim.protocol.values import PLAIN, restorer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from iotsim.protocol.interpreted import Interpreter

MAX_VALUES = 16
"""Messages that get a branch of their own."""

_HELPERS: dict[str, Any] = {
    "Mismatch": runtime.Mismatch,
    "Unusual": runtime.Unusual,
    "ExplicitError": ExplicitError,
    "Mapping": Mapping,
    "PLAIN": PLAIN,
    "pack": struct.pack,
    "unpack_from": struct.unpack_from,
    "crc_hqx": binascii.crc_hqx,
    "zlib_crc32": zlib.crc32,
    **{
        function.__name__: function
        for function in (
            runtime.build,
            runtime.flags_value,
            runtime.guarded,
            runtime.not_bytes,
            runtime.parse,
            runtime.read_native,
            runtime.read_varint,
            runtime.read_zigzag,
            runtime.scalar,
            runtime.sized,
            runtime.varint_bytes,
            runtime.zigzag_bytes,
        )
    },
}


class Compiled(NamedTuple):
    """A function, its source, and what is left to construct: field -> reason."""

    function: Callable[..., Any]
    source: str
    fallbacks: Mapping[str, str]


class Native(NamedTuple):
    """A node that construct does: its construct, and how to turn a plain value into one of its own."""

    construct: Any
    restore: Callable[[Any], Any]


class Compiler:
    """Writes code for a schema that does what ``reference`` does, faster."""

    def __init__(self, reference: Interpreter) -> None:
        self.reference = reference
        self.message = reference.lowered
        self.key = find_key(self.message, reference.strict)
        self.kept = reference.kept
        self._natives: dict[int, Native] = {}
        # Where something failed is said by the reference, which is then asked.
        self._tracer = Tracer(reference.strict, places=False)

    def decoder(self) -> Compiled:
        """decode(data: bytes) -> dict"""
        return self._function("decode", "data", lambda it: it.decode, self._write_decode)

    def encoder(self) -> Compiled:
        """encode(message) -> bytes"""
        return self._function(
            "encode", "message", lambda it: it.encode, lambda w, f: self._write_encode(w, f, False)
        )

    def teller(self, otherwise: Callable[[Any], Any]) -> Compiled:
        """tell(message) -> bytes, and what decoding them would give, or what ``otherwise`` gives."""
        return self._function(
            "tell", "message", lambda _: otherwise, lambda w, f: self._write_encode(w, f, True)
        )

    def _function(
        self,
        name: str,
        argument: str,
        otherwise: Callable[[Interpreter], Callable[[Any], Any]],
        write: Callable[[Writer, dict[str, str]], None],
    ) -> Compiled:
        writer = Writer(reserved={*_HELPERS, "normalize", "by_construct"})
        fallbacks: dict[str, str] = {}
        with writer.names(), writer.block(f"def {name}({argument}, device=None):"):
            with writer.block("try:"):
                write(writer, fallbacks)
            writer.line("except (Exception, Unusual):")
            writer.line("    pass")
            writer.line(f"return by_construct({argument}, device)")
        by_construct = otherwise(self._quick if "(message)" in fallbacks else self.reference)
        names = {
            **_HELPERS,
            **writer.bindings,
            "by_construct": by_construct,
            "normalize": self.reference.normalize,
        }
        try:
            code = compile("\n".join(writer.lines), "<codec>", "exec")
        except (SyntaxError, RecursionError, MemoryError) as error:
            # Python has limits of its own: a hundred levels of blocks, so many nested expressions.
            reason = f"too deep for Python ({error.__class__.__name__})"
            return Compiled(otherwise(self._quick), "", {"(message)": reason})
        exec(code, names)  # the source is ours, made from the schema
        return Compiled(names[name], writer.source(), fallbacks)

    @cached_property
    def _quick(self) -> Interpreter:
        return self.reference.quicker()

    def _shown(self, member: n.Member) -> bool:
        name = member.name
        return bool(name) and (not name.startswith("_") or name in self.kept)

    def _native(self, node: n.Opaque) -> Native:
        found = self._natives.get(id(node))
        if found is None:
            construct = self._tracer.copy(node.origin)
            found = Native(construct, restorer(node))
            self._natives[id(node)] = found
        return found

    def _settings(self, notes: dict[str, str], known: dict[str, Value]) -> dict[str, Any]:
        return {
            "strict": self.reference.strict,
            "shown": self._shown,
            "native": self._native,
            "notes": notes,
            "known": known,
        }

    def _write_decode(self, writer: Writer, fallbacks: dict[str, str]) -> None:
        key = self.key

        def write(known: dict[str, Value]) -> None:
            made = Decoder(writer, decode.HANDLERS, **self._settings(fallbacks, known))
            _attempt(made, fallbacks, lambda: decode.write_message(made, self.message))

        if key is not None:
            name = writer.new(key.name)
            writer.line(f"{name} = {key.read()}")
            for value, number in key.numbers.items():
                with writer.names(), writer.block(f"if {name} == {number}:"):
                    write({key.name: literal(value)})
        if key is not None and key.closed:
            writer.line("raise Mismatch")
            return
        with writer.names():
            write({})

    def _write_encode(self, writer: Writer, fallbacks: dict[str, str], told: bool) -> None:
        key = self.key

        def write(known: dict[str, Value], bare: bool) -> None:
            notes: dict[str, str] = {}
            settings = self._settings(notes, known)
            made = Encoder(writer, encode.HANDLERS, bare=bare, told=told, **settings)
            start = len(writer.lines)
            if bare:
                writer.line("")
                writer.depth += 1
            done = _attempt(made, notes, lambda: encode.write_message(made, self.message))
            if bare:
                writer.depth -= 1
                if not done or made.branched:
                    # It is not for such messages; the code for all of them will do.
                    del writer.lines[start:]
                else:
                    count = len(made.required)
                    writer.lines[start] = "    " * writer.depth + f"if len(message) == {count}:"
            else:
                fallbacks.update({path: notes[path] for path in notes if path not in fallbacks})

        if key is not None:
            name = writer.new(key.name)
            writer.line(f"{name} = message[{key.name!r}]")
            for value in key.numbers:
                # 1 == True == 1.0, but struct packs only the first two.
                exact = f" and {name}.__class__ is int" if isinstance(value, int) else ""
                with writer.names(), writer.block(f"if {name} == {value!r}{exact}:"):
                    known = {key.name: literal(value)}
                    with writer.names():
                        write(known, bare=True)
                    write(known, bare=False)
        else:
            with writer.names():
                write({}, bare=True)
        if key is not None and key.closed:
            writer.line("raise Mismatch")
            return
        with writer.names():
            write({}, bare=False)


def _attempt(made: Decoder | Encoder, notes: dict[str, str], write: Callable[[], None]) -> bool:
    """Write a function's body or, where that cannot be, that construct has to do it all."""
    writer = made.w
    lines, depth, before = len(writer.lines), writer.depth, dict(notes)
    try:
        write()
    except UnsupportedError as error:
        del writer.lines[lines:]
        writer.depth = depth
        writer.line("raise Unusual")
        path = ".".join(filter(None, made.path))
        notes.clear()
        notes.update(before)
        notes.setdefault("(message)", f"{path}: {error}" if path else str(error))
        return False
    return True


# -- the field that tells messages apart ------------------------------------------------------------


class _Key(NamedTuple):
    """The field of the root that tells messages apart: where it is, and value -> number."""

    name: str
    offset: int
    size: int
    order: str
    signed: bool
    numbers: Mapping[str | int, int]
    closed: bool
    """Whether a message with any other value is refused."""

    def read(self) -> str:
        if self.size == 1 and not self.signed:
            return f"data[{self.offset}]"
        signed = ", signed=True" if self.signed else ""
        return (
            f"int.from_bytes(data[{self.offset}:{self.offset + self.size}], {self.order!r}{signed})"
        )


def find_key(message: n.Node, strict: bool) -> _Key | None:
    """The field on which the messages of a schema turn, if there is one at a fixed place."""
    if not isinstance(message, n.Struct):
        return None
    offset = 0
    names = [name for member in message.members for name in (member.flat or (member.name,))]
    for member in message.members:
        size = member.node.size
        if size is None or isinstance(member.node, n.Opaque):
            return None
        if member.name and member.node.given and names.count(member.name) == 1:
            key = _key(message, member, offset, strict)
            if key is not None:
                return key
        offset += size
    return None


def _key(root: n.Struct, member: n.Member, offset: int, strict: bool) -> _Key | None:
    node, name = member.node, member.name
    number = node.inner if isinstance(node, n.Names) and node.kind == "enum" else node
    if isinstance(number, n.Number) and number.code in "BHLQbhlq":
        order = "little" if number.order == "<" else "big"
        signed = number.code.islower()
    elif isinstance(number, n.Integer):
        order, signed = ("little" if number.little else "big"), number.signed
    else:
        return None
    numbers: dict[str | int, int] = {}
    for value in _values(root, name, 0, set()):
        if isinstance(node, n.Names):
            if isinstance(value, str) and str.__str__(value) in node.encoded:
                numbers[str.__str__(value)] = node.encoded[str.__str__(value)]
        elif type(value) is int:
            numbers[value] = value
    # Two names of one number: the Enum parses it to one of them only.
    if not 0 < len(numbers) <= MAX_VALUES or len(set(numbers.values())) < len(numbers):
        return None
    if isinstance(node, n.Names) and any(node.decoded.get(v) != k for k, v in numbers.items()):
        return None
    closed = strict and any(_closes(other.node, name, numbers) for other in root.members)
    assert number.size is not None
    return _Key(name, offset, number.size, order, signed, numbers, closed)


def _closes(node: n.Node, name: str, numbers: Mapping[str | int, int]) -> bool:
    """Whether a member of the root is a Switch on ``name`` that refuses all but ``numbers``."""
    return (
        isinstance(node, n.Switch)
        and node.default is None
        and _is_field(node.key, [name])
        and all(case in numbers for case in node.cases)
    )


def _values(node: n.Node, name: str, depth: int, seen: set[tuple[int, int]]) -> Iterator[Any]:
    """The values that a Switch or an If compares the root's field ``name`` with."""
    if (id(node), depth) in seen:
        return
    seen.add((id(node), depth))
    here = ["_"] * (depth - 1) + [name]
    if isinstance(node, n.Switch) and _is_field(node.key, here):
        yield from node.cases
    if isinstance(node, n.If):
        for condition, _ in node.branches:
            parts: Any = plain_form(condition)
            equal = isinstance(parts, BinExpr) and vars(parts)["op"] is operator.eq
            if equal and _is_field(vars(parts)["lhs"], here) and not callable(vars(parts)["rhs"]):
                yield vars(parts)["rhs"]
    inside = depth + 1 if isinstance(node, n.Struct | n.Sequence | n.Focused) else depth
    for child in n.children(node):
        yield from _values(child, name, inside, seen)


def _is_field(expression: Any, path: list[str]) -> bool:
    expression = plain_form(expression)
    return is_this(expression) and steps(expression) == path
