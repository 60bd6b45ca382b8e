"""Values that are not only read and written: constants, defaults, what functions give, checks, checksums."""

from __future__ import annotations

from dataclasses import replace

from iotsim.protocol import nodes as n
from iotsim.protocol.generate.reading import Decoder, decode
from iotsim.protocol.generate.source import (
    NONE,
    PLAIN,
    Scope,
    UnsupportedError,
    Value,
    adapted,
    literal,
)
from iotsim.protocol.generate.writing import Encoder, encode

# -- constants, defaults ----------------------------------------------------------------------------


@decode.register(n.Filled)
def decode_filled(node: n.Filled, d: Decoder, hint: str, scope: Scope) -> Value:
    return d.decode(node.inner, hint, scope)


@decode.register(n.Const)
def decode_const(node: n.Const, d: Decoder, hint: str, scope: Scope) -> Value:
    raw = _only_bytes(node)
    if raw is not None:
        name = d.w.new(hint)
        d.take(f"{len(raw)}s", len(raw), name)
        d.refuse_if(f"{name} != {raw!r}")
        return literal(node.value)
    value = d.decode(node.inner, hint, scope)
    if value.odd or value.scope is not None:
        raise UnsupportedError("a Const of what is not plain")
    d.refuse_if(f"not {value.source} == {literal(node.value).source}")
    return value


def _only_bytes(node: n.Const) -> bytes | None:
    """The bytes of a Const that no other value shares, if that is certain; else None."""
    inner, value = node.inner, node.value
    if isinstance(inner, n.Text) and type(value) is str:
        plain_text = inner.encoding.replace("-", "").lower() in {"ascii", "utf8"}
        encoded = value.encode(inner.encoding, "replace")
        return encoded if plain_text and len(encoded) == inner.size else None
    if isinstance(inner, n.Data) and type(value) is bytes:
        return value if inner.size == len(value) else None
    return None


@encode.register(n.Const)
def encode_const(node: n.Const, e: Encoder, value: Value, hint: str, scope: Scope) -> Value:
    constant = literal(node.value)
    if not (value.known and value.constant is None):
        e.refuse_if(f"{value.source} is not None and {value.source} != {constant.source}")
    built = e.encode(node.inner, constant, hint, scope)
    return replace(constant, wire=built.wire)


@encode.register(n.Default)
def encode_default(node: n.Default, e: Encoder, value: Value, hint: str, scope: Scope) -> Value:
    if value.known and value.constant is None:
        return e.encode(node.inner, e.value_of(node.value, hint, scope), hint, scope)
    source = e.variable(value, hint)
    with e.w.block(f"if {source} is None:"):
        e.w.line(f"{source} = {e.value_of(node.value, hint, scope).source}")
    return e.encode(node.inner, Value(source), hint, scope)


@encode.register(n.Rebuilt)
def encode_rebuilt(node: n.Rebuilt, e: Encoder, value: Value, hint: str, scope: Scope) -> Value:
    return e.encode(node.inner, e.value_of(node.value, hint, scope), hint, scope)


# -- no bytes ---------------------------------------------------------------------------------------


@decode.register(n.Computed)
def decode_computed(node: n.Computed, d: Decoder, hint: str, scope: Scope) -> Value:
    if not callable(node.value) and type(node.value) not in PLAIN:
        bound = d.w.bind("constant", node.value)
        return Value(bound, plain=f"normalize({bound})")
    return d.value_of(node.value, hint, scope)


@encode.register(n.Computed)
def encode_computed(node: n.Computed, e: Encoder, value: Value, hint: str, scope: Scope) -> Value:
    # What it is computed of is what was given, which the wire may carry as something else.
    computed = e.value_of(node.value, hint, scope)
    return computed if computed.known else replace(computed, wire=None)


@decode.register(n.Derived)
def decode_derived(node: n.Derived, d: Decoder, hint: str, scope: Scope) -> Value:
    if d.swallows:
        raise UnsupportedError("a Derived of an alternative")
    value = d.evaluate(node.value, scope)
    return adapted(d.w.let(hint, value.source))


@encode.register(n.Derived)
def encode_derived(node: n.Derived, e: Encoder, value: Value, hint: str, scope: Scope) -> Value:
    return Value(e.variable(value, hint))


@decode.register(n.Tell)
def decode_tell(node: n.Tell, d: Decoder, hint: str, scope: Scope) -> Value:
    offset = d.tell()
    if offset.known:
        return offset
    name = d.w.new(hint)
    d.after(f"{name} = {offset.source}")
    return Value(name, scalar=True)


@encode.register(n.Tell)
def encode_tell(node: n.Tell, e: Encoder, value: Value, hint: str, scope: Scope) -> Value:
    # Inside other data it is counted from there when encoding, from the message's start when decoding.
    offset = replace(e.tell(), wire=None)
    return offset if offset.known else replace(offset, source=e.variable(offset, hint))


@decode.register(n.Check)
def decode_check(node: n.Check, d: Decoder, hint: str, scope: Scope) -> Value:
    d.refuse_if(f"not ({d.evaluate(node.test, scope).source})")
    return NONE


@encode.register(n.Check)
def encode_check(node: n.Check, e: Encoder, value: Value, hint: str, scope: Scope) -> Value:
    e.refuse_if(f"not ({e.evaluate(node.test, scope).source})")
    return NONE


@decode.register(n.Nothing)
def decode_nothing(node: n.Nothing, d: Decoder, hint: str, scope: Scope) -> Value:
    return NONE


@encode.register(n.Nothing)
@encode.register(n.End)
def encode_nothing(node: n.Node, e: Encoder, value: Value, hint: str, scope: Scope) -> Value:
    return replace(value, wire="None")


@decode.register(n.End)
def decode_end(node: n.End, d: Decoder, hint: str, scope: Scope) -> Value:
    d.refuse_if(f"len({d.place.data}) > {d.place.position}")
    return NONE


@decode.register(n.Fail)
def decode_fail(node: n.Fail, d: Decoder, hint: str, scope: Scope) -> Value:
    d.flush()
    d.w.line("raise ExplicitError")
    return NONE


@encode.register(n.Fail)
def encode_fail(node: n.Fail, e: Encoder, value: Value, hint: str, scope: Scope) -> Value:
    e.w.line("raise ExplicitError")
    return NONE


# -- functions of the schema ------------------------------------------------------------------------


@decode.register(n.Adapted)
def decode_adapted(node: n.Adapted, d: Decoder, hint: str, scope: Scope) -> Value:
    value = d.decode(node.inner, hint, scope)
    name = d.w.new(hint)
    d.after(f"{name} = {d.call(node.decode, _arguments(node, value.source), 'adapter')}")
    return adapted(name)


@encode.register(n.Adapted)
def encode_adapted(node: n.Adapted, e: Encoder, value: Value, hint: str, scope: Scope) -> Value:
    source = e.variable(value, hint)
    inner = e.w.let(f"{hint}_encoded", e.call(node.encode, _arguments(node, source), "adapter"))
    e.encode(node.inner, Value(inner), hint, scope)
    # A list may have been a tuple, which the adapter knows; of that, expressions would be wrong.
    own = e.call(node.decode, _arguments(node, inner), "adapter")
    return Value(f"({own} if {source}.__class__ is list else {source})")


def _arguments(node: n.Adapted, value: str) -> str:
    return ", ".join([value, *map(repr, node.more)])


@decode.register(n.Coded)
def decode_coded(node: n.Coded, d: Decoder, hint: str, scope: Scope) -> Value:
    value = d.decode(node.inner, hint, scope)
    name, function = d.w.new(hint), d.w.bind("decode", node.decode, node.wire, id(node))
    d.after(f"{name} = {function}({value.source})")
    return Value(name, scalar=node.kind == "string")


@encode.register(n.Coded)
def encode_coded(node: n.Coded, e: Encoder, value: Value, hint: str, scope: Scope) -> Value:
    source, function = e.variable(value, hint), e.w.bind("encode", node.encode, node.wire, id(node))
    data = e.w.let(f"{hint}_bytes", f"{function}({source})")
    e.bytes.add(data)
    e.encode(node.inner, Value(data), hint, scope)
    wire = f"{e.w.bind('decode', node.decode, node.wire, id(node))}({data})" if e.told else None
    return Value(source, wire=wire)


@decode.register(n.Native)
def decode_native(node: n.Native, d: Decoder, hint: str, scope: Scope) -> Value:
    d.flush()
    start, data, read = d.place.position, d.place.data, d.w.bind("decode", node.decode)
    if d.swallows:
        name = d.read(f"read_native({read}, {data}, {start})", hint)
    else:
        name = d.read(f"{read}({data}, {start})", hint)
        d.refuse_if(f"not {start} <= {d.place.position} <= len({data})")
    return Value(name, plain=name) if node.plain else adapted(name)


@encode.register(n.Native)
def encode_native(node: n.Native, e: Encoder, value: Value, hint: str, scope: Scope) -> Value:
    source = e.variable(value, hint)
    if node.names and e.strict:
        known = e.w.bind(
            "known", frozenset(node.names).issuperset, f"{set(node.names)!r}.issuperset"
        )
        e.w.line(f"if {source}.__class__ is dict and not {known}({source}): raise Unusual")
    return write_native(node, e, source, hint)


def write_native(node: n.Native, e: Encoder, source: str, hint: str) -> Value:
    """Encode the value that the variable ``source`` has, whose names are known to be right."""
    wire = None
    if e.told and node.tell is not None and not e.out.isolated:
        before, tell = e.settle("before"), e.w.bind("tell", node.tell)
        data, wire = e.w.new(f"{hint}_bytes"), e.w.new(f"{hint}_told")
        e.w.line(f"{data}, {wire} = {tell}({before}, {source})")
    else:
        data = e.w.let(f"{hint}_bytes", e.call(node.encode, source, "encode"))
    e.w.line(f"if {data}.__class__ is not bytes: raise Unusual")
    e.part(data)
    return Value(source, wire=wire)


# -- checksums --------------------------------------------------------------------------------------


@decode.register(n.Checksum)
def decode_checksum(node: n.Checksum, d: Decoder, hint: str, scope: Scope) -> Value:
    start, end, data = d.start_of(node, scope), d.place.position, d.place.data
    before = not end.base and start.known and start.constant <= end.offset
    if not before and start.source != "0":
        d.refuse_if(f"not 0 <= {start.source} <= {end}")
    covered = f"{data}[{'' if start.source == '0' else start.source}:{end}]"
    value = d.decode(node.inner, hint, scope)
    d.refuse_if(f"{value.source} != {d.checksum(node, covered)}")
    return value


@encode.register(n.Checksum)
def encode_checksum(node: n.Checksum, e: Encoder, value: Value, hint: str, scope: Scope) -> Value:
    if e.out.isolated:
        raise UnsupportedError("a Checksum whose bytes are not all here")
    start, head = e.start_of(node, scope), e.settle("head")
    if start.source != "0":
        e.refuse_if(f"not 0 <= {start.source} <= len({head})")
    covered = head if start.source == "0" else f"{head}[{start.source}:]"
    result = e.w.let(hint, e.checksum(node, covered))
    built = e.encode(node.inner, Value(result), hint, scope)
    return Value(result, scalar=True, wire=built.wire)


@decode.register(n.Hashed)
def decode_hashed(node: n.Hashed, d: Decoder, hint: str, scope: Scope) -> Value:
    value = d.decode(node.inner, hint, scope)
    over = d.evaluate(node.over, scope)
    d.refuse_if(f"{value.source} != {d.call(node.function, over.source, 'hash')}")
    return value


@encode.register(n.Hashed)
def encode_hashed(node: n.Hashed, e: Encoder, value: Value, hint: str, scope: Scope) -> Value:
    over = e.evaluate(node.over, scope)
    result = e.w.let(hint, e.call(node.function, over.source, "hash"))
    built = e.encode(node.inner, Value(result), hint, scope)
    return Value(result, wire=built.wire)
