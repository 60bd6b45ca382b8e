"""Decoding structs, and choosing between alternatives."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from construct import IfThenElse, Pass, StopIf, Struct, Switch, Transformed

from iotsim.protocol.flat import FlatStruct, flat_names
from iotsim.protocol.generate.decode_bits import bits
from iotsim.protocol.generate.decoder import Decoder, Position
from iotsim.protocol.generate.expressions import translate
from iotsim.protocol.generate.nodes import (
    UNMATCHED,
    hidden,
    static_size,
    switch_tests,
)
from iotsim.protocol.generate.source import Scope, UnsupportedError, Value
from iotsim.protocol.tree import unnamed
from iotsim.protocol.verified import Length


def struct_(d: Decoder, node: Any, hint: str, scope: Scope | None) -> Value:
    inner = Scope(scope, node, index=scope.index if scope else None)
    entries = members(d, node, inner)
    name = d.variable(hint)
    d.after(f"{name} = {{{', '.join(entries)}}}")
    return Value(name, scope=inner)


def members(d: Decoder, node: Any, scope: Scope) -> list[str]:
    """Read the members of a struct; the entries of a dict display."""
    if any(isinstance(unnamed(member), StopIf) for member in node.subcons):
        raise UnsupportedError("StopIf")
    flat = isinstance(node, FlatStruct)
    entries: list[str] = []
    lengths: list[tuple[Length, str, Position]] = []
    start = d.place.position
    for member in node.subcons:
        if flat and not member.name and flat_names(member):
            embed(d, member, scope, entries)
            continue
        if member.name in d.known and scope.parent is None:
            value = skip(d, member)
        else:
            value = d.decode(member, "unnamed", scope)
        bare = unnamed(member)
        if isinstance(bare, Length) and flat:
            lengths.append((bare, value.source, d.place.position))
        if member.name:
            scope.fields[member.name] = value
            if not hidden(member):
                entries.append(f"{member.name!r}: {value.source}")
    for length, source, after in lengths:
        check_length(d, length, source, start, after)
    return entries


def skip(d: Decoder, member: Any) -> Value:
    """A field whose value is known already."""
    size = static_size(member)
    assert size is not None
    d.take(f"{size}x", size, None)
    return d.known[member.name]


def check_length(d: Decoder, length: Length, source: str, start: Position, after: Position) -> None:
    end = d.place.position
    begin = after if length.of == "rest" else start
    if begin.base == end.base:
        expected = str(end.offset - begin.offset + length.adjust)
    else:
        expected = f"{end} - {begin.offset - length.adjust}"
        if begin.base:
            expected = f"{end} - ({begin}) + {length.adjust}"
    d.refuse_if(f"{source} != {expected}")


def embed(d: Decoder, member: Any, scope: Scope, entries: list[str]) -> None:
    """An unnamed member of a FlatStruct, whose fields become entries."""
    bare = resolve(d, unnamed(member), scope)
    if bare is Pass:
        return
    if isinstance(bare, Struct):
        inner = Scope(scope, bare, index=scope.index)
        added = members(d, bare, inner)
    elif isinstance(bare, Transformed) and isinstance(unnamed(bare.subcon), Struct):
        inner, added = bits(d, bare, scope)
    else:
        d.embedded = True
        try:
            value = d.decode(bare, "fields", scope)
        finally:
            d.embedded = False
        d.flush()
        for name in flat_names(member):
            scope.fields[name] = Value(f"{value.source}[{name!r}]", maybe=True)
        scope.spreads.append((bare, value.source))
        entries.append(f"**({value.source} or {{}})")
        return
    entries.extend(added)
    scope.fields.update(inner.fields)


def resolve(d: Decoder, node: Any, scope: Scope) -> Any:
    """The case of a Switch or If that is certain, where it is; else ``node``."""
    if isinstance(node, Switch | IfThenElse):
        chosen = certain(d, node, scope)
        return node if chosen is None else resolve(d, unnamed(chosen), scope)
    return node


def certain(d: Decoder, node: Any, scope: Scope) -> Any:
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
    if key.constant not in node.cases and d.strict and node.default is Pass:
        return UNMATCHED
    return node.cases.get(key.constant, node.default)


def sequence(d: Decoder, node: Any, hint: str, scope: Scope) -> Value:
    inner = Scope(scope, node, index=scope.index)
    if any(isinstance(unnamed(member), StopIf) for member in node.subcons):
        raise UnsupportedError("StopIf")
    values = []
    for index, member in enumerate(node.subcons):
        value = d.decode(member, f"{hint}_{index}", inner)
        values.append(value.source)
        if member.name:
            inner.fields[member.name] = value
    name = d.variable(hint)
    d.after(f"{name} = [{', '.join(values)}]")
    return Value(name)


def focused(d: Decoder, node: Any, hint: str, scope: Scope) -> Value:
    if not isinstance(node.parsebuildfrom, str):
        raise UnsupportedError("FocusedSeq of a varying member")
    inner = Scope(scope, node, index=scope.index)
    found: Value | None = None
    path = [*d.path]
    for member in node.subcons:
        selected = member.name == node.parsebuildfrom
        value = d.decode(
            unnamed(member),
            hint if selected else member.name or "unnamed",
            inner,
        )
        if member.name:
            inner.fields[member.name] = value
        if selected:
            found = value
    d.path = path
    if found is None:
        raise UnsupportedError("FocusedSeq of no member")
    return found


def branches(d: Decoder, name: str, tests: list[tuple[str, Any]], hint: str, scope: Scope) -> Value:
    """``name`` from the first node whose header (``if x:``, ``else:``) holds. Flushed."""
    place, index = replace(d.place), scope.index
    ends: list[Position] = []
    marks: list[tuple[int, int]] = []
    for header, node in tests:
        d.place, scope.index = replace(place), index
        with d.w.block(header):
            if node is UNMATCHED:
                d.w.line("raise Mismatch")
                continue
            value = d.decode(node, hint, scope)
            d.flush()
            if value.source != name:
                d.w.line(f"{name} = {value.source}")
            ends.append(d.place.position)
            marks.append((len(d.w.lines), d.w.depth))
    d.place, scope.index = place, index
    meet(d, ends, marks)
    return Value(name)


def meet(d: Decoder, ends: list[Position], marks: list[tuple[int, int]]) -> None:
    """The position after alternatives that ended at ``ends``."""
    if all(end == ends[0] for end in ends):
        d.place.position = ends[0]
        return
    position = d.variable("p")
    for end, (line, depth) in reversed(list(zip(ends, marks, strict=True))):
        d.w.lines.insert(line, "    " * depth + f"{position} = {end}")
    d.place.position = Position(position)


def if_then_else(d: Decoder, node: Any, hint: str, scope: Scope) -> Value:
    chosen = certain(d, node, scope)
    if chosen is not None:
        return d.decode(chosen, hint, scope)
    condition = d.evaluate(node.condfunc, scope)
    d.flush()
    tests = [(f"if {condition.source}:", node.thensubcon), ("else:", node.elsesubcon)]
    return branches(d, d.variable(hint), tests, hint, scope)


def switch(d: Decoder, node: Any, hint: str, scope: Scope) -> Value:
    chosen = certain(d, node, scope)
    if chosen is not None:
        return d.decode(chosen, hint, scope)
    key = d.evaluate(node.keyfunc, scope)
    d.flush()
    default = UNMATCHED if d.strict and node.default is Pass else node.default
    if not node.cases:
        return d.decode(default, hint, scope)
    tests = [
        (f"{'el' if index else ''}if {test}:", case)
        for index, (test, case) in enumerate(switch_tests(d.w, node, key, d.variable))
    ]
    return branches(d, d.variable(hint), [*tests, ("else:", default)], hint, scope)


def select(d: Decoder, node: Any, hint: str, scope: Scope) -> Value:
    d.flush()
    name = d.variable(hint)
    place, index = replace(d.place), scope.index
    ends: list[Position] = []
    marks: list[tuple[int, int]] = []
    depth = d.w.depth
    for choice in node.subcons:
        d.place = replace(place)
        if choice is Pass:
            d.w.line(f"{name} = None")
            ends.append(d.place.position)
            marks.append((len(d.w.lines), d.w.depth))
            break
        with d.w.block("try:"):
            value = d.decode(choice, hint, scope)
            d.flush()
            d.w.line(f"{name} = {value.source}")
            ends.append(d.place.position)
            marks.append((len(d.w.lines), d.w.depth))
        d.w.line("except ExplicitError:")
        d.w.line("    raise")
        d.w.line("except Exception:")
        d.w.depth += 1
    else:
        d.w.line("raise Mismatch")
    d.w.depth = depth
    d.place, scope.index = place, index
    meet(d, ends, marks)
    return Value(name)
