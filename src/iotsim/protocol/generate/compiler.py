"""The compiler: ``decode`` and ``encode`` for a schema, as Python source that is executed once.

`decode` and `encode` write the code. Here it is put together:

- Most schemas have a field that says which message it is. If the root struct has such a one, an
  Enum or an integer at a fixed place on which a Switch (or an If) turns, the code begins by looking
  at it and has a branch of its own for each value. Inside it the Switch is decided already, so that
  a whole message is often one struct.Struct.
- When encoding, such a branch is written twice: for messages that have just the fields that they
  must have, where all defaults are constants (most replies are of this kind), and for all others.
- Whatever goes wrong, the reference engine is asked again, and gives the error, or the result.
"""

from __future__ import annotations

import binascii
import operator
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from construct import (
    BytesInteger,
    Construct,
    Enum,
    ExplicitError,
    FocusedSeq,
    IfThenElse,
    Pass,
    Sequence,
    Struct,
    Switch,
)
from construct.expr import BinExpr, Path

from iotsim.protocol.generate import decode, encode
from iotsim.protocol.generate.decoder import Decoder
from iotsim.protocol.generate.encoder import Encoder
from iotsim.protocol.generate.expressions import steps
from iotsim.protocol.generate.nodes import hides_context, is_int_node, static_size
from iotsim.protocol.generate.source import UnsupportedError, Value, Writer, literal, plain
from iotsim.protocol.tree import children, has_hook, unnamed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from iotsim.protocol.interpreted import Interpreter

MAX_VALUES = 16
"""Messages that get a branch of their own."""

_HELPERS = {
    **decode.HELPERS,
    **encode.HELPERS,
    "ExplicitError": ExplicitError,
    "crc_hqx": binascii.crc_hqx,
    "zlib_crc32": zlib.crc32,
}


@dataclass(frozen=True)
class Compiled:
    """The functions, their source, and the nodes left to construct: field -> reason."""

    decode: Callable[..., dict[str, Any]]
    encode: Callable[..., bytes]
    source: str
    fallbacks: Mapping[str, str]


@dataclass(frozen=True)
class _Key:
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


def compile_schema(message: Construct[Any, Any], reference: Interpreter) -> Compiled:
    """Code for ``message`` that does what ``reference`` does, faster."""
    writer = Writer(reserved={*_HELPERS, "decode_by_construct", "encode_by_construct"})
    fallbacks: dict[str, str] = {}
    key = find_key(message, reference.strict)
    with writer.block("def decode(data, device=None):"):
        with writer.block("try:"):
            _write_decode(writer, message, reference, fallbacks, key)
        writer.line("except (Exception, Unusual):")
        writer.line("    pass")
        writer.line("return decode_by_construct(data)")
    writer.line("")
    with writer.names(), writer.block("def encode(message, device=None):"):
        with writer.block("try:"):
            _write_encode(writer, message, reference, fallbacks, key)
        writer.line("except (Exception, Unusual):")
        writer.line("    pass")
        writer.line("return encode_by_construct(message)")
    names = {
        **_HELPERS,
        **writer.bindings,
        "decode_by_construct": reference.decode,
        "encode_by_construct": reference.encode,
    }
    code = compile("\n".join(writer.lines), "<codec>", "exec")
    exec(code, names)  # the source is ours, made from the schema
    return Compiled(names["decode"], names["encode"], writer.source(), fallbacks)


def _write_decode(
    writer: Writer,
    message: Construct[Any, Any],
    reference: Interpreter,
    fallbacks: dict[str, str],
    key: _Key | None,
) -> None:
    if has_hook(message):
        fallbacks["(message)"] = "it has a hook"
        writer.line("raise Unusual")
        return

    def write(known: dict[str, Value]) -> None:
        made = Decoder(
            writer, decode.HANDLERS, reference.tracer, reference.strict, fallbacks, known
        )
        _attempt(writer, fallbacks, lambda: decode.write_root(made, message))

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


def _write_encode(
    writer: Writer,
    message: Construct[Any, Any],
    reference: Interpreter,
    fallbacks: dict[str, str],
    key: _Key | None,
) -> None:
    keep = hides_context(message, encode.HANDLERS, set())

    def write(known: dict[str, Value], bare: bool) -> None:
        notes: dict[str, str] = {}
        made = Encoder(
            writer, encode.HANDLERS, reference.tracer, reference.strict, notes, known, bare, keep
        )
        start = len(writer.lines)
        if bare:
            writer.line("")
            writer.depth += 1
        _attempt(writer, notes, lambda: encode.write_root(made, message))
        if bare:
            writer.depth -= 1
            if notes or made.branched:
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


def _attempt(writer: Writer, fallbacks: dict[str, str], write: Callable[[], None]) -> None:
    """Write a function's body, or, where that cannot be, that construct has to do it all."""
    lines, depth = len(writer.lines), writer.depth
    try:
        write()
    except UnsupportedError as error:
        del writer.lines[lines:]
        writer.depth = depth
        writer.line("raise Unusual")
        fallbacks.setdefault("(message)", str(error))


def find_key(message: Construct[Any, Any], strict: bool) -> _Key | None:
    """The field on which the messages of a schema turn, if there is one at a fixed place."""
    try:
        root = unnamed(message)
        if not isinstance(root, Struct):
            return None
        offset = 0
        for member in root.subcons:
            size = static_size(member)
            if size is None:
                return None
            if member.name and not member.flagbuildnone:
                key = _key(root, member.name, unnamed(member), offset, size, strict)
                if key is not None:
                    return key
            offset += size
    except UnsupportedError:
        pass
    return None


def _key(root: Struct, name: str, node: Any, offset: int, size: int, strict: bool) -> _Key | None:
    number: Any = unnamed(node.subcon) if isinstance(node, Enum) else node
    order, signed = "big", False
    if is_int_node(number):
        form: str = number.fmtstr
        signed = form[1].islower()
        if form[0] == "=":
            return None
        order = "little" if form[0] == "<" else "big"
    elif isinstance(number, BytesInteger):
        if callable(number.swapped) or number.signed:
            return None
        order = "little" if number.swapped else "big"
    else:
        return None
    numbers: dict[str | int, int] = {}
    for value in _values(root, name, 0, set()):
        if isinstance(node, Enum):
            if isinstance(value, str) and value in node.encmapping:
                numbers[plain(value)] = int(node.encmapping[value])
        elif isinstance(value, int) and not isinstance(value, bool):
            numbers[value] = value
    # Two names of one number: the Enum parses it to one of them only.
    if not 0 < len(numbers) <= MAX_VALUES or len(set(numbers.values())) < len(numbers):
        return None
    if isinstance(node, Enum):
        for value, number_ in numbers.items():
            if node.decmapping.get(number_) != value:
                return None
    closed = strict and any(_closes(member, name, numbers) for member in root.subcons)
    return _Key(name, offset, size, order, signed, numbers, closed)


def _closes(member: Any, name: str, numbers: Mapping[str | int, int]) -> bool:
    """Whether a member of the root is a Switch on ``name`` that refuses all but ``numbers``."""
    node = unnamed(member)
    return (
        isinstance(node, Switch)
        and node.default is Pass
        and _is_field(node.keyfunc, [name])
        and all(case in numbers for case in node.cases)
    )


def _values(node: Any, name: str, depth: int, seen: set[int]) -> Iterator[Any]:
    """The values that a Switch or an If compares the root's field ``name`` with."""
    if id(node) in seen:
        return
    seen.add(id(node))
    here = ["_"] * (depth - 1) + [name]
    if isinstance(node, Switch) and _is_field(node.keyfunc, here):
        yield from node.cases
    if isinstance(node, IfThenElse) and isinstance(node.condfunc, BinExpr):
        condition: Any = node.condfunc
        left, right = condition.lhs, condition.rhs
        if condition.op is operator.eq and _is_field(left, here) and not callable(right):
            yield right
    inside = depth + 1 if isinstance(node, Struct | Sequence | FocusedSeq) else depth
    for child in children(node):
        yield from _values(child, name, inside, seen)


def _is_field(expression: Any, path: list[str]) -> bool:
    if not isinstance(expression, Path):
        return False
    try:
        return steps(expression) == path
    except UnsupportedError:
        return False
