"""Encoding structs, and choosing between alternatives."""

from __future__ import annotations

from typing import Any

from construct import (
    BitsInteger,
    BytesInteger,
    Enum,
    Error,
    FlagsEnum,
    IfThenElse,
    Pass,
    Renamed,
    StopIf,
    StringEncoded,
    Struct,
    Switch,
    Transformed,
    VarInt,
    ZigZag,
)

from iotsim.protocol.flat import FlatStruct, flat_names
from iotsim.protocol.generate.encode_bits import Bits
from iotsim.protocol.generate.encode_fields import fetch, refuse_unknown, require_dict
from iotsim.protocol.generate.encoder import LATER, UNKNOWN, Encoder, Slot
from iotsim.protocol.generate.expressions import translate
from iotsim.protocol.generate.nodes import (
    UNMATCHED,
    static_size,
    struct_code,
    switch_tests,
    uses_context,
)
from iotsim.protocol.generate.source import NONE, Scope, UnsupportedError, Value
from iotsim.protocol.tree import unnamed
from iotsim.protocol.verified import Checksum, Length


def struct_(e: Encoder, node: Any, value: Value, hint: str, scope: Scope | None) -> Value:
    if value.known and value.constant is None:
        inner = Scope(scope, node, index=scope.index if scope else None)
    else:
        source = e.variable(value, hint)
        if scope is not None:
            e.w.line(f"if {source} is None: {source} = {{}}")
        inner = Scope(scope, node, source=source, index=scope.index if scope else None)
    names: list[str] = []
    sets: list[str] = []
    require_dict(e, node, inner.source)
    members(e, node, inner, names, sets)
    refuse_unknown(e, inner.source, names, sets)
    return Value("", scope=inner)


def members(e: Encoder, node: Any, scope: Scope, names: list[str], sets: list[str]) -> None:
    """Encode the members of a struct; add the names that it has to ``names`` or ``sets``."""
    if any(isinstance(unnamed(member), StopIf) for member in node.subcons):
        raise UnsupportedError("StopIf")
    flat = isinstance(node, FlatStruct)
    start = e.out.fixed, len(e.out.varying)
    slots: list[Slot] = []
    for index, member in enumerate(node.subcons):
        bare = unnamed(member)
        if member.name:
            names.append(member.name)
        if isinstance(bare, Checksum) and any(not slot.source for slot in slots):
            sizes = [static_size(rest) for rest in node.subcons[index:]]
            rest = sum(size for size in sizes if size is not None)
            if None in sizes:
                raise UnsupportedError("a Length with a varying size after the Checksum")
            e.resolve_slots(slots, start, rest)
        if flat and isinstance(bare, Length):
            slots.append(length(e, bare))
            if member.name:
                scope.fields[member.name] = LATER
            continue
        if flat and not member.name and flat_names(member):
            embed(e, member, scope, names, sets)
            continue
        value = fetch(e, member, scope)
        built = e.encode(member, value, "unnamed", scope)
        if member.name:
            scope.fields[member.name] = built
    e.resolve_slots([slot for slot in slots if not slot.source], start, 0)


def length(e: Encoder, node: Length) -> Slot:
    code = struct_code(node.subcon)
    size = static_size(node.subcon)
    if code is None or size is None:
        raise UnsupportedError("a Length that is no plain integer")
    slot = Slot(node, 0, 0)
    e.push(code[1], size, LATER, code[0], slot)
    slot.fixed, slot.varying = e.out.fixed, len(e.out.varying)
    e.out.slots.append(slot)
    return slot


def embed(e: Encoder, member: Any, scope: Scope, names: list[str], sets: list[str]) -> None:
    """An unnamed member of a FlatStruct, built from the same mapping."""
    bare = resolve(e, unnamed(member), scope)
    if bare is Pass:
        return
    allowed = frozenset(flat_names(member))
    if isinstance(bare, Struct):
        inner = Scope(scope, bare, source=scope.source, allowed=allowed, index=scope.index)
        members(e, bare, inner, names, sets)
    elif isinstance(bare, Transformed) and isinstance(unnamed(bare.subcon), Struct):
        struct_ = unnamed(bare.subcon)
        inner = Scope(scope, struct_, source=scope.source, allowed=allowed, index=scope.index)
        writer = Bits(e)
        writer.members(struct_, inner)
        writer.finish(bare)
        names.extend(m.name for m in struct_.subcons if m.name)
    elif isinstance(bare, Switch | IfThenElse):
        embed_branches(e, bare, scope, allowed, sets)
        for name in allowed:
            scope.fields[name] = Value("", maybe=True) if e.keep else UNKNOWN
        return
    elif bare is Error or bare is UNMATCHED:
        e.encode(bare, NONE, "unnamed", scope)
        return
    else:
        raise UnsupportedError(f"{type(bare).__name__} of fields")
    scope.fields.update(inner.fields)
    scope.spreads.extend(inner.spreads)


def embed_branches(
    e: Encoder, node: Any, scope: Scope, allowed: frozenset[str], sets: list[str]
) -> None:
    e.branched = True
    data, known, kept = e.w.new("body"), e.w.new("known_here"), e.w.new("built")
    for header, case in tests(e, node, scope):
        names: list[str] = []
        inner_sets: list[str] = []
        with e.w.block(header), e.output(isolated=True):
            if case is UNMATCHED:
                e.w.line("raise Mismatch")
                continue
            struct_ = unnamed(case)
            inner = Scope(scope, struct_, source=scope.source, allowed=allowed, index=scope.index)
            if isinstance(struct_, Struct):
                members(e, struct_, inner, names, inner_sets)
            elif struct_ is not Pass:
                around = scope.copy()
                embed(e, case, around, names, inner_sets)
                inner.fields = {k: v for k, v in around.fields.items() if k in allowed}
                inner.spreads = around.spreads[len(scope.spreads) :]
            e.w.line(f"{data} = {e.joined().source}")
            bound = e.w.bind("fields", frozenset(names), key=frozenset(names))
            e.w.line(f"{known} = {' | '.join([bound, *inner_sets])}")
            e.kept(kept, Value("", scope=inner))
    e.part(data)
    sets.append(known)
    if e.keep:
        scope.spreads.append((node, kept))


def resolve(e: Encoder, node: Any, scope: Scope) -> Any:
    if isinstance(node, Switch | IfThenElse):
        chosen = certain(e, node, scope)
        return node if chosen is None else resolve(e, unnamed(chosen), scope)
    return node


def certain(e: Encoder, node: Any, scope: Scope) -> Any:
    """The case of a Switch or If whose key is known when the code is made, or None."""
    parameter = node.keyfunc if isinstance(node, Switch) else node.condfunc
    try:
        key = translate(parameter, scope)
    except UnsupportedError:
        return None
    if not key.known:
        return None
    if isinstance(node, IfThenElse):
        return node.thensubcon if key.constant else node.elsesubcon
    if key.constant not in node.cases and e.strict and node.default is Pass:
        return UNMATCHED
    return node.cases.get(key.constant, node.default)


def sequence(e: Encoder, node: Any, value: Value, hint: str, scope: Scope) -> Value:
    if value.known:
        raise UnsupportedError("a Sequence of nothing")
    if any(isinstance(unnamed(member), StopIf) for member in node.subcons):
        raise UnsupportedError("StopIf")
    inner = Scope(scope, node, index=scope.index)
    names = [e.w.new(f"{hint}_{index}") for index in range(len(node.subcons))]
    e.w.line(f"{', '.join([*names, '*_'])} = {value.source}")
    builts: list[Value] = []
    for name, member in zip(names, node.subcons, strict=True):
        built = e.encode(member, Value(name), hint, inner)
        if member.name:
            inner.fields[member.name] = built
        builts.append(built)
    if not e.keep:
        return UNKNOWN
    return Value(f"ListContainer([{', '.join(map(e.whole, builts))}])")


def focused(e: Encoder, node: Any, value: Value, hint: str, scope: Scope) -> Value:
    if not isinstance(node.parsebuildfrom, str):
        raise UnsupportedError("FocusedSeq of a varying member")
    inner = Scope(scope, node, index=scope.index)
    source = Value(e.variable(value, hint))
    inner.fields[node.parsebuildfrom] = source
    path = [*e.path]
    built = UNKNOWN
    for member in node.subcons:
        selected = member.name == node.parsebuildfrom
        child = member.subcon if isinstance(member, Renamed) else member
        result = e.encode(child, source if selected else NONE, member.name or hint, inner)
        if member.name:
            inner.fields[member.name] = result
        if selected:
            built = result
    e.path = path
    return built


def tests(e: Encoder, node: Any, scope: Scope) -> list[tuple[str, Any]]:
    """The headers and nodes of the branches of a Switch or an If."""
    if isinstance(node, IfThenElse):
        condition = e.evaluate(node.condfunc, scope)
        return [(f"if {condition.source}:", node.thensubcon), ("else:", node.elsesubcon)]
    key = e.evaluate(node.keyfunc, scope)
    default = UNMATCHED if e.strict and node.default is Pass else node.default
    if not node.cases:
        return [("if True:", default)]
    tests = switch_tests(e.w, node, key, e.w.new)
    headers = [f"{'el' if index else ''}if {test}:" for index, (test, _) in enumerate(tests)]
    cases = [case for _, case in tests]
    return [*zip(headers, cases, strict=True), ("else:", default)]


def alternatives(e: Encoder, node: Any, value: Value, hint: str, scope: Scope) -> Value:
    chosen = certain(e, node, scope)
    if chosen is not None:
        return e.encode(chosen, value, hint, scope)
    if not value.known:
        value = Value(e.variable(value, hint))
    data, kept = e.w.new(f"{hint}_bytes"), e.w.new(f"{hint}_built")
    choices, index = tests(e, node, scope), scope.index
    for header, case in choices:
        scope.index = index
        with e.w.block(header), e.output(isolated=True):
            built = e.encode(case, value, hint, scope)
            e.w.line(f"{data} = {e.joined().source}")
            e.kept(kept, built)
    e.part(data)
    scope.index = index
    if all(returns_value(case) for _, case in choices):
        return value
    return Value(kept) if e.keep else UNKNOWN


def select(e: Encoder, node: Any, value: Value, hint: str, scope: Scope) -> Value:
    if len(node.subcons) != 2 or node.subcons[1] is not Pass:
        raise UnsupportedError("Select")
    if not value.known:
        value = Value(e.variable(value, hint))
    data = e.w.new(f"{hint}_bytes")
    if uses_context(node.subcons[0], set()):
        raise UnsupportedError("Optional of what depends on other fields")
    with e.w.block("try:"), e.output(isolated=True):
        e.encode(node.subcons[0], value, hint, scope)
        e.w.line(f"{data} = {e.joined().source}")
    e.w.line("except ExplicitError:")
    e.w.line("    raise")
    e.w.line("except Exception:")
    e.w.line(f"    {data} = b''")
    e.part(data)
    return value


def returns_value(node: Any) -> bool:
    """Whether building ``node`` gives back what it was given."""
    bare = unnamed(node)
    if bare is Pass or struct_code(bare) is not None or bare in (VarInt, ZigZag):
        return True
    return isinstance(bare, BytesInteger | BitsInteger | Enum | FlagsEnum | StringEncoded)
