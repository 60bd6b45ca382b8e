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
import struct
import zlib
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from construct import ExplicitError

# Those that are not named here add to what `Decoder` and `Encoder` know.
from iotsim.protocol.generate import chunks, computed, runtime  # noqa: F401
from iotsim.protocol.generate.generator import Generator, Task
from iotsim.protocol.generate.key import find_key
from iotsim.protocol.generate.reading import Decoder
from iotsim.protocol.generate.source import UnsupportedError, Value, Writer, literal
from iotsim.protocol.generate.structs import decode_message, encode_message
from iotsim.protocol.generate.writing import Encoder
from iotsim.protocol.traced import Tracer
from iotsim.protocol.values import PLAIN, is_plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotsim.protocol.interpreted import Interpreter

_HELPERS: dict[str, Any] = {
    "Mismatch": runtime.Mismatch,
    "Unusual": runtime.Unusual,
    "ExplicitError": ExplicitError,
    "Mapping": Mapping,
    "PLAIN": PLAIN,
    "is_plain": is_plain,
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


class Compiler:
    """Writes code for a schema that does what ``reference`` does, faster."""

    def __init__(self, reference: Interpreter) -> None:
        self.reference = reference
        self.message = reference.lowered
        self.key = find_key(self.message)
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

    def _task(self, writer: Writer, notes: dict[str, str], known: dict[str, Value]) -> Task:
        return Task(writer, self.reference, self._tracer, notes, known)

    def _write_decode(self, writer: Writer, fallbacks: dict[str, str]) -> None:
        key = self.key

        def write(known: dict[str, Value]) -> None:
            made = Decoder(self._task(writer, fallbacks, known))
            _attempt(made, lambda: decode_message(made, self.message))

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
            made = Encoder(self._task(writer, notes, known), bare=bare, told=told)
            start = len(writer.lines)
            if bare:
                writer.line("")
                writer.depth += 1
            done = _attempt(made, lambda: encode_message(made, self.message))
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


def _attempt(made: Generator, write: Callable[[], None]) -> bool:
    """Write a function's body or, where that cannot be, that construct has to do it all."""
    writer, notes = made.w, made.notes
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
