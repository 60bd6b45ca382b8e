"""Bytes, text, and data within data: behind a length, up to a terminator, padded, copied."""

from __future__ import annotations

from dataclasses import replace

from iotsim.protocol import nodes as n
from iotsim.protocol.generate.reading import Decoder, Position, decode, is_rest
from iotsim.protocol.generate.source import (
    NONE,
    UNKNOWN,
    Scope,
    UnsupportedError,
    Value,
    literal,
)
from iotsim.protocol.generate.writing import Encoder, encode

# -- bytes and text ---------------------------------------------------------------------------------


@decode.register(n.Data)
def decode_data(node: n.Data, d: Decoder, hint: str, scope: Scope) -> Value:
    if node.length is None:
        return Value(_rest(d, hint), scalar=True)
    if node.size is None:
        return Value(d.slice(d.evaluate(node.length, scope).source, hint), scalar=True)
    name = d.w.new(hint)
    d.take(f"{node.size}s", node.size, name)
    return Value(name, scalar=True)


def _rest(d: Decoder, hint: str, then: str = "") -> str:
    """A variable with all bytes that are left, and what is done with them ``then``."""
    d.flush()
    data, start = d.place.data, str(d.place.position)
    d.place.position = Position(f"len({data})")
    return d.w.let(hint, data + ("" if start == "0" else f"[{start}:]") + then)


@encode.register(n.Data)
def encode_data(node: n.Data, e: Encoder, value: Value, hint: str, scope: Scope) -> Value:
    length = None if node.length is None else e.evaluate(node.length, scope)
    if value.known and isinstance(value.constant, bytes):
        if length is None or (length.known and len(value.constant) == length.constant):
            e.push_bytes(value.constant)
            e.out.full = length is None
            return value
        if length.known:
            raise UnsupportedError("a constant of another length")
    source = e.variable(value, hint)
    if source not in e.bytes:
        integers = length is not None
        e.w.line(f"if {source}.__class__ is not bytes: raise not_bytes({source}, {integers})")
    if length is not None:
        e.refuse_if(f"len({source}) != {length.source}")
    if node.size is not None:
        e.push(f"{node.size}s", node.size, Value(source))
    else:
        e.part(source, full=length is None)
    return Value(source, scalar=True, wire=source)


@decode.register(n.Text)
def decode_text(node: n.Text, d: Decoder, hint: str, scope: Scope) -> Value:
    name = d.decode(node.inner, hint, scope).source
    d.after(f"{name} = {name}.decode({node.encoding!r})")
    return Value(name, scalar=True)


@encode.register(n.Text)
def encode_text(node: n.Text, e: Encoder, value: Value, hint: str, scope: Scope) -> Value:
    if value.known and isinstance(value.constant, str):
        try:
            encoded = literal(value.constant.encode(node.encoding) if value.constant else b"")
        except UnicodeEncodeError as error:
            raise UnsupportedError(str(error)) from error
        e.encode(node.inner, encoded, hint, scope)
        return value
    source = e.variable(value, hint)
    e.refuse_if(f"not isinstance({source}, str)")
    encoding = Value(f"{source}.encode({node.encoding!r}) if {source} else b''")
    encoded_name = e.variable(encoding, f"{hint}_bytes")
    e.bytes.add(encoded_name)
    wire = e.encode(node.inner, Value(encoded_name), hint, scope).wire
    return Value(source, scalar=True, wire=wire and f"{wire}.decode({node.encoding!r})")


# -- data within data -------------------------------------------------------------------------------


@decode.register(n.Prefixed)
def decode_prefixed(node: n.Prefixed, d: Decoder, hint: str, scope: Scope) -> Value:
    length = d.decode(node.length, "length", scope)
    start = d.place.position
    source = f"{length.source} - {node.length.size}" if node.inclusive else length.source
    return d.inside(d.slice(source, hint), start, node.inner, hint, scope)


@encode.register(n.Prefixed)
def encode_prefixed(node: n.Prefixed, e: Encoder, value: Value, hint: str, scope: Scope) -> Value:
    inner, built = e.inside(node.inner, value, hint, scope)
    data = e.variable(inner, f"{hint}_bytes")
    length = f"len({data})" + (f" + {node.length.size}" if node.inclusive else "")
    e.encode(node.length, Value(length), "length", scope)
    e.part(data)
    return built


@decode.register(n.Window)
def decode_window(node: n.Window, d: Decoder, hint: str, scope: Scope) -> Value:
    inner = node.inner
    if node.size is not None and isinstance(inner, n.Stripped) and is_rest(inner.inner):
        name = d.w.new(hint)
        d.take(f"{node.size}s", node.size, name)
        d.after(f"{name} = {name}.rstrip({inner.pad!r})")
        return Value(name, scalar=True)
    length, start = d.evaluate(node.length, scope), d.place.position
    return d.inside(d.slice(length.source, hint), start, inner, hint, scope)


@encode.register(n.Window)
def encode_window(node: n.Window, e: Encoder, value: Value, hint: str, scope: Scope) -> Value:
    length = e.evaluate(node.length, scope)
    inner, built = e.inside(node.inner, value, hint, scope)
    _fill(e, inner, length, b"\x00", hint)
    wire = built.wire if isinstance(node.inner, n.Stripped) else None
    return replace(built, wire=wire)


def _fill(e: Encoder, value: Value, length: Value, pattern: bytes, hint: str) -> None:
    """Add bytes padded to a length, which they must not exceed."""
    if value.known and length.known and len(value.constant) <= length.constant:
        e.push_bytes(value.constant.ljust(length.constant, pattern))
        return
    data = e.variable(value, f"{hint}_bytes")
    e.refuse_if(f"len({data}) > {length.source}")
    padded = e.w.let(f"{hint}_bytes", f"{data}.ljust({length.source}, {pattern!r})")
    if length.known:
        e.push(f"{length.constant:d}s", length.constant, Value(padded))
    else:
        e.part(padded)


@decode.register(n.Terminated)
def decode_terminated(node: n.Terminated, d: Decoder, hint: str, scope: Scope) -> Value:
    d.flush()
    start, data = d.place.position, d.place.data
    end = d.w.let("end", f"{data}.index({node.term!r}, {start})")
    chunk = d.w.let(hint, f"{data}[{start}:{end}]")
    value = d.inside(chunk, start, node.inner, hint, scope)
    d.place.position = Position(end, 1)
    return value


@encode.register(n.Terminated)
def encode_terminated(
    node: n.Terminated, e: Encoder, value: Value, hint: str, scope: Scope
) -> Value:
    built = e.encode(node.inner, value, hint, scope)
    e.push_bytes(node.term)
    return replace(built, wire=None)


@decode.register(n.Stripped)
def decode_stripped(node: n.Stripped, d: Decoder, hint: str, scope: Scope) -> Value:
    d.flush()
    start = d.place.position
    chunk = _rest(d, hint, f".rstrip({node.pad!r})")
    return d.inside(chunk, start, node.inner, hint, scope)


@encode.register(n.Stripped)
def encode_stripped(node: n.Stripped, e: Encoder, value: Value, hint: str, scope: Scope) -> Value:
    built = e.encode(node.inner, value, hint, scope)
    all_data = built.wire is not None and isinstance(node.inner, n.Data)
    return replace(built, wire=f"{built.wire}.rstrip({node.pad!r})" if all_data else None)


@decode.register(n.Padded)
def decode_padded(node: n.Padded, d: Decoder, hint: str, scope: Scope) -> Value:
    if d.word is not None:
        d.skip(node)
        return NONE
    length, stop = node.length, ""
    if callable(length):
        length = d.evaluate(length, scope).source
        d.refuse_if(f"not {length} >= 0")
        stop = d.w.let("p", f"{d.place.position} + {length}")
    start = d.place.position
    value = d.decode(node.inner, hint, scope)
    end = d.place.position
    if not stop and end.base == start.base:
        taken = end.offset - start.offset
        pad = -taken % length if node.aligned else length - taken
        if pad < 0:
            raise UnsupportedError("a length that is too short")
        d.take(f"{pad}x", pad, None)
        return value
    d.flush()
    if not stop:
        there = (
            f"{end} + -({end} - ({start})) % {length}" if node.aligned else f"{start} + {length}"
        )
        stop = d.w.let("p", there)
    d.w.line(f"if not {end} <= {stop} <= len({d.place.data}): raise Mismatch")
    d.place.position = Position(stop)
    return value


@encode.register(n.Padded)
def encode_padded(node: n.Padded, e: Encoder, value: Value, hint: str, scope: Scope) -> Value:
    if e.terms is not None:
        assert node.size is not None
        if node.size:
            e.terms.append((literal(0), node.size))
        return NONE
    if isinstance(node.inner, n.Nothing) and node.size is not None:
        e.push_bytes(node.pattern * node.size)
        return NONE
    length = e.evaluate(node.length, scope)
    inner, built = e.inside(node.inner, value, hint, scope, isolated=True)
    if node.aligned:
        data = e.variable(inner, f"{hint}_bytes")
        padding = f"{node.pattern!r} * (-len({data}) % {length.source})"
        e.part(e.w.let(f"{hint}_bytes", f"{data} + {padding}"))
    else:
        _fill(e, inner, length, node.pattern, hint)
    # The wire shows the same, unless the node inside would take the padding, too.
    return built if node.inner.size is not None else replace(built, wire=None)


# -- bytes beside their value -----------------------------------------------------------------------


@decode.register(n.RawCopy)
def decode_raw_copy(node: n.RawCopy, d: Decoder, hint: str, scope: Scope) -> Value:
    start, data, origin = d.place.position, d.place.data, d.place.origin
    value = d.decode(node.inner, f"{hint}_value", scope)
    d.flush()
    end, raw, name = d.place.position, d.w.new(f"{hint}_data"), d.w.new(hint)
    first, last = d.w.new(f"{hint}_offset"), d.w.new(f"{hint}_offset")
    before = "" if str(origin) == "0" else f"{origin} + "
    d.w.line(f"{raw} = {data}[{start}:{end}]")
    d.w.line(f"{first}, {last} = {before}{start}, {before}{end}")
    fields = {
        "data": Value(raw, scalar=True),
        "value": value,
        "offset1": Value(first),
        "offset2": Value(last),
        "length": Value(f"({last} - {first})"),
    }
    shown = ", ".join(f"{key!r}: {one.shown}" for key, one in fields.items())
    d.w.line(f"{name} = {{{shown}}}")
    return Value(name, scope=Scope(None, fields), murky=value.odd)


@encode.register(n.RawCopy)
def encode_raw_copy(node: n.RawCopy, e: Encoder, value: Value, hint: str, scope: Scope) -> Value:
    source = e.variable(value, hint)
    data, built = e.w.new(f"{hint}_data"), e.w.new(f"{hint}_value")
    if not node.inner.given:
        e.w.line(f"if {source} is None: {source} = {{'value': None}}")
    e.w.line(f"if {source}.__class__ is not dict: raise Unusual")
    with e.w.block(f"if 'data' in {source}:"):
        e.w.line(f"{data} = {source}['data']")
        e.w.line(f"if {data}.__class__ is not bytes: raise Unusual")
    with e.w.block("else:"), e.piece(data):
        e.w.line(f"{built} = {source}['value']")
        e.encode(node.inner, Value(built), hint, scope)
    if node.size is None:
        e.part(data)
    else:
        e.w.line(f"if len({data}) != {node.size}: raise Unusual")
        e.push(f"{node.size}s", node.size, Value(data))
    fields = {"data": Value(data, scalar=True)}
    fields |= dict.fromkeys(("value", "offset1", "offset2", "length"), UNKNOWN)
    return Value("", scope=Scope(None, fields))
