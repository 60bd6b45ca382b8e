"""Alternatives and repetitions: Switch and If, Select, arrays."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from iotsim.protocol import nodes as n
from iotsim.protocol.generate.reading import Decoder, Position, decode
from iotsim.protocol.generate.source import Scope, UnsupportedError, Value, copied
from iotsim.protocol.generate.writing import Encoder, encode
from iotsim.protocol.places import EMPTY_ELEMENTS

if TYPE_CHECKING:
    from collections.abc import Iterator

# -- alternatives -----------------------------------------------------------------------------------


@decode.register(n.Choice)
def decode_choice(node: n.Choice, d: Decoder, hint: str, scope: Scope) -> Value:
    chosen = d.decided(node, scope)
    if chosen is not node:
        return d.decode(chosen, hint, scope)
    alternatives = d.alternatives(node, scope)
    meeting = _Meeting(d, d.w.new(hint))
    for header, one in alternatives:
        with d.w.block(header):
            meeting.alternative(one, hint, scope)
    return meeting.meet()


@decode.register(n.Select)
def decode_select(node: n.Select, d: Decoder, hint: str, scope: Scope) -> Value:
    d.flush()
    meeting = _Meeting(d, d.w.new(hint))
    # A loop that runs once: alternatives inside each other would soon be too deep for Python.
    with d.w.block("while True:"):
        for choice in node.choices:
            if isinstance(choice, n.Nothing):
                meeting.alternative(choice, hint, scope)
                d.w.line("break")
                break
            with d.swallowing():
                meeting.alternative(choice, hint, scope)
                d.w.line("break")
            d.w.line("    pass")
        else:
            d.w.line("raise Mismatch")
    return meeting.meet()


class _Meeting:
    """Alternatives, of which one gives ``name``; they begin at one place, and end where each does."""

    def __init__(self, decoder: Decoder, name: str) -> None:
        self.d = decoder
        self.name = name
        self.place = replace(decoder.place)
        self.ends: list[tuple[Position, int, int]] = []
        self.plain = True
        self.murky = False

    def alternative(self, node: n.Node, hint: str, scope: Scope) -> None:
        """Read ``node``, whose names nobody outside of it sees."""
        d = self.d
        d.place = replace(self.place)
        value = d.decode(node, hint, copied(scope))
        d.flush()
        if isinstance(node, n.Fail):
            return
        if value.source != self.name:
            d.w.line(f"{self.name} = {value.source}")
        self.plain &= value.plain is None
        self.murky |= value.murky
        self.ends.append((d.place.position, len(d.w.lines), d.w.depth))

    def meet(self) -> Value:
        """The value, at the place that is after them all."""
        d = self.d
        d.place = replace(self.place)
        positions = {str(end) for end, _, _ in self.ends}
        if len(positions) == 1:
            d.place.position = self.ends[0][0]
        elif positions:
            position = d.w.new("p")
            for end, line, depth in reversed(self.ends):
                d.w.lines.insert(line, "    " * depth + f"{position} = {end}")
            d.place.position = Position(position)
        plain = None if self.plain else f"normalize({self.name})"
        return Value(self.name, plain=plain, murky=self.murky)


@encode.register(n.Choice)
def encode_choice(
    node: n.Choice, e: Encoder, value: Value, hint: str, scope: Scope, member: bool = False
) -> Value:
    """``member``: it stands in a struct, where None is a value that is missing."""
    chosen = e.decided(node, scope)
    if chosen is not node:
        if member and chosen.given and not value.known:
            e.w.line(f"if {value.source} is None: raise Unusual")
        return e.encode(chosen, value, hint, scope)
    if not value.known:
        value = Value(e.variable(value, hint))
    data, told, same = e.w.new(f"{hint}_bytes"), e.w.new(f"{hint}_told"), True
    for header, one in e.alternatives(node, scope):
        with e.branch(header):
            if isinstance(one, n.Fail):
                e.encode(one, value, hint, scope)
                continue
            if member and one.given:
                if value.known and value.constant is None:
                    e.w.line("raise Unusual")
                    continue
                e.w.line(f"if {value.source} is None: raise Unusual")
            with e.piece(data):
                built = e.encode(one, value, hint, copied(scope))
                e.keep_wire(told, built)
            same &= built.source == value.source and not built.known
    e.part(data)
    return Value(value.source if same else "", wire=told)


@encode.register(n.Select)
def encode_select(node: n.Select, e: Encoder, value: Value, hint: str, scope: Scope) -> Value:
    if not value.known:
        value = Value(e.variable(value, hint))
    data = e.w.new(f"{hint}_bytes")
    # construct builds an alternative in a context of its own, where names are others.
    nowhere = Scope(top=True, sealed=True)
    with e.w.block("while True:"):
        for choice in node.choices:
            if isinstance(choice, n.Nothing):
                e.w.line(f"{data} = b''")
                e.w.line("break")
                break
            with e.swallowing():
                one = value
                if not value.known:
                    # What is done with an alternative's own variable does not concern the next.
                    one = Value(e.w.let(hint, value.source))
                with e.piece(data):
                    e.encode(choice, one, hint, nowhere)
                e.w.line("break")
            e.w.line("    pass")
        else:
            e.w.line("raise Mismatch")
    e.part(data)
    return value


# -- repetitions ------------------------------------------------------------------------------------


@decode.register(n.Repeat)
def decode_repeat(node: n.Repeat, d: Decoder, hint: str, scope: Scope) -> Value:
    if node.count is None:
        return _decode_greedy(node, d, hint, scope)
    number, name, count = node.inner, d.w.new(hint), d.evaluate(node.count, scope)
    d.flush()
    many = d.w.let("count", count.source)
    d.refuse_if(f"not {many} >= 0")
    if isinstance(number, n.Number):
        start, form = d.place.position, d.w.new("form")
        d.move(f"{start} + {many}" + (f" * {number.size}" if number.size != 1 else ""))
        d.w.line(f"{form} = f'{number.order or '>'}{{{many}:d}}{number.code}'")
        d.w.line(f"{name} = list(unpack_from({form}, {d.place.data}, {start}))")
        return Value(name)
    index = d.w.new("index")
    with _loop(d, name, f"for {index} in range({many}):"):
        start = d.place.position
        value = _element(node, d, hint, scope)
        if d.place.position.base != start.base:
            same = f"{d.place.position} == {start}"
            d.w.line(f"if {index} >= {EMPTY_ELEMENTS} and {same}: raise Unusual")
        d.w.line(f"{name}.append({value.shown})")
    return Value(name, murky=value.odd)


def _decode_greedy(node: n.Repeat, d: Decoder, hint: str, scope: Scope) -> Value:
    d.flush()
    name = d.w.new(hint)
    with _loop(d, name, "while True:"):
        start = d.place.position
        with d.swallowing():
            value = _element(node, d, hint, scope)
            end = d.place.position
        d.w.line("    break")
        if end.base == start.base and end.offset <= start.offset:
            raise UnsupportedError("elements of no bytes")
        if end.base != start.base:
            d.w.line(f"if {end} == {start}: raise Unusual")
        d.w.line(f"{name}.append({value.shown})")
    return Value(name, murky=value.odd)


def _element(node: n.Repeat, d: Decoder, hint: str, scope: Scope) -> Value:
    value = d.decode(node.inner, _singular(hint), copied(scope))
    d.flush()
    return value


def _singular(hint: str) -> str:
    return re.sub(r"s\Z", "", hint)


@contextmanager
def _loop(d: Decoder, name: str, header: str) -> Iterator[None]:
    """A loop that fills a list; the position is a variable that it carries along."""
    d.w.line(f"{name} = []")
    d.move(str(d.place.position))
    position = d.place.position
    with d.w.block(header):
        yield
        if str(d.place.position) != str(position):
            d.w.line(f"{position} = {d.place.position}")
    d.place.position = position


@encode.register(n.Repeat)
def encode_repeat(node: n.Repeat, e: Encoder, value: Value, hint: str, scope: Scope) -> Value:
    if value.known:
        raise UnsupportedError("an array of nothing")
    source, element = e.variable(value, hint), node.inner
    if node.count is not None:
        e.refuse_if(f"len({source}) != {e.evaluate(node.count, scope).source}")
    data = e.w.new(f"{hint}_bytes")
    if isinstance(element, n.Number) and node.count is not None and not e.told:
        form = f"f'{element.order or '>'}{{len({source})}}{element.code}'"
        e.w.line(f"{data} = pack({form}, *{source})")
        e.part(data)
        return Value(source)
    parts, told, item = e.w.new(f"{hint}_parts"), e.w.new(f"{hint}_told"), e.w.new(_singular(hint))
    e.w.line(f"{parts} = []")
    if e.told:
        e.w.line(f"{told} = []")
    with e.w.block(f"for {item} in {source}:"), e.output(isolated=True):
        built = e.encode(element, Value(item), hint, copied(scope))
        e.w.line(f"{parts}.append({e.joined().source})")
        if e.told:
            e.go_on()  # with the next one
            e.w.line(f"{told}.append({e.wire_of(built)})")
    e.w.line(f"{data} = b''.join({parts})")
    e.part(data)
    plain_elements = isinstance(element, n.INTEGERS | n.Names)
    # Of how many there are without a count, the bytes that follow may tell something else.
    return Value(source if plain_elements else "", wire=told if node.count is not None else None)
