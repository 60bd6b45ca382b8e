"""What decodes each kind of node: the handlers of `iotsim.protocol.generate.reading.Decoder`."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from iotsim.protocol import nodes as n
from iotsim.protocol.checksums import INLINE
from iotsim.protocol.generate.expressions import certain
from iotsim.protocol.generate.reading import BIT_CODES, Decoder, Meeting, Position, Word
from iotsim.protocol.generate.source import (
    NONE,
    PLAIN,
    Scope,
    UnsupportedError,
    Value,
    Writer,
    copied,
    literal,
    plain,
)
from iotsim.protocol.traced import EMPTY_ELEMENTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotsim.protocol.generate.reading import Handler

# -- the message ------------------------------------------------------------------------------------


def write_message(d: Decoder, message: n.Node) -> None:
    """Write the whole of decode: its last line returns the message."""
    if isinstance(message, n.Struct):
        shown, _ = _members(d, message, Scope(None))
        result = _display(shown)
    else:
        value = d.decode(message, "value", Scope(top=True))
        d.flush()
        d.w.line(f"if {value.source}.__class__ is not dict: raise Mismatch")
        result = value.shown
    exact = d.flush(exact=d.strict)
    end = d.place.position
    if d.strict and not exact and str(end) != "len(data)":
        d.w.line(f"if len(data) != {end}: raise Mismatch")
    d.w.line(f"return {result}")


def _display(shown: list[tuple[str, str]]) -> str:
    entries = (f"{name!r}: {source}" if name else f"**({source} or {{}})" for name, source in shown)
    return f"{{{', '.join(entries)}}}"


# -- single values ----------------------------------------------------------------------------------


def _number(d: Decoder, node: n.Number, hint: str, scope: Scope) -> Value:
    name = d.w.new(hint)
    assert node.size is not None
    d.take(node.code, node.size, name, node.order)
    return Value(name, scalar=node.code not in "efd")


def _integer(d: Decoder, node: n.Integer, hint: str, scope: Scope) -> Value:
    name = d.w.new(hint)
    assert node.size is not None
    d.take(f"{node.size}s", node.size, name)
    order = "little" if node.little else "big"
    signed = ", signed=True" if node.signed else ""
    d.after(f"{name} = int.from_bytes({name}, {order!r}{signed})")
    return Value(name, scalar=True)


def _varint(d: Decoder, node: n.VarInteger, hint: str, scope: Scope) -> Value:
    d.flush()
    name, end = d.w.new(hint), d.w.new("p")
    read = "read_zigzag" if node.zigzag else "read_varint"
    d.w.line(f"{name}, {end} = {read}({d.place.data}, {d.place.position})")
    d.place.position = Position(end)
    return Value(name, scalar=True)


def _bits(d: Decoder, node: n.Bits, hint: str, scope: Scope) -> Value:
    name, source = d.w.new(hint), _bit_field(d, node)
    if node.flag:
        d.after(f"{name} = ({source}) != 0")
    else:
        d.after(f"{name} = {source}")
        if node.signed:
            assert node.size is not None
            sign = 1 << (node.size - 1)
            d.after(f"{name} = ({name} ^ {sign}) - {sign}")
    return Value(name, scalar=True)


def _bit_field(d: Decoder, node: n.Node) -> str:
    """Source of the next bits of the word."""
    word, count = d.word, node.size
    assert word is not None
    assert count is not None
    word.left -= count
    source = f"{word.name} >> {word.left}" if word.left else word.name
    if word.left + count == word.width:
        return source
    mask = (1 << count) - 1
    return f"({source}) & {mask}" if word.left else f"{source} & {mask}"


def _data(d: Decoder, node: n.Data, hint: str, scope: Scope) -> Value:
    if node.length is None:
        d.flush()
        name, start = d.w.new(hint), str(d.place.position)
        d.w.line(f"{name} = {d.place.data}" + ("" if start == "0" else f"[{start}:]"))
        d.place.position = Position(f"len({d.place.data})")
    elif node.size is not None:
        name = d.w.new(hint)
        d.take(f"{node.size}s", node.size, name)
    else:
        name = d.slice(d.evaluate(node.length, scope).source, hint)
    return Value(name, scalar=True)


def _text(d: Decoder, node: n.Text, hint: str, scope: Scope) -> Value:
    name = d.decode(node.inner, hint, scope).source
    d.after(f"{name} = {name}.decode({node.encoding!r})")
    return Value(name, scalar=True)


def _names(d: Decoder, node: n.Names, hint: str, scope: Scope) -> Value:
    value = d.decode(node.inner, hint, scope)
    name = value.source
    if node.kind == "flags":
        flags = ((flag, mask) for flag, mask in node.encoded.items() if not flag.startswith("_"))
        items = ", ".join(f"{flag!r}: ({name} & {mask}) == {mask}" for flag, mask in flags)
        d.after(f"{name} = {{{items}}}")
        return Value(name, scope=flags_scope(node, name), murky=True)
    if node.kind == "mapping":
        names = {plain(number): item for number, item in node.decoded.items()}
        d.after(f"{name} = {d.w.bind('names', names, key=id(node))}[{name}]")
        if all(type(item) in PLAIN for item in names.values()):
            return Value(name, scalar=True)
        return Value(name, plain=f"normalize({name})")
    values = _how_many(node.inner)
    if values is not None:
        row = tuple(node.decoded.get(number, number) for number in range(values))
        bound = d.w.bind("names", row, f"{node.decoded!r}, by index", id(node))
        d.after(f"{name} = {bound}[{name}]")
    else:
        bound = d.w.bind("names", node.decoded, key=id(node))
        d.after(f"{name} = {bound}.get({name}, {name})")
    return Value(name, scalar=True)


def flags_scope(node: n.Names, name: str) -> Scope:
    """The flags in the variable ``name``. construct's own value of them all has one more member."""
    return Scope(None, {flag: Value(f"{name}[{flag!r}]", scalar=True) for flag in node.encoded})


def _how_many(node: n.Node) -> int | None:
    """The number of values that a small unsigned integer can have."""
    if isinstance(node, n.Number):
        return 256 if node.code == "B" else None
    if isinstance(node, n.Bits) and not node.signed and node.size is not None and node.size <= 8:
        return 1 << node.size
    return None


def _const(d: Decoder, node: n.Const, hint: str, scope: Scope) -> Value:
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


def _inner(d: Decoder, node: Any, hint: str, scope: Scope) -> Value:
    return d.decode(node.inner, hint, scope)


def _computed(d: Decoder, node: n.Computed, hint: str, scope: Scope) -> Value:
    if type(node.value) in PLAIN and node.value == node.value:
        return literal(node.value)
    if not callable(node.value):
        bound = d.w.bind("constant", node.value)
        return Value(bound, plain=f"normalize({bound})")
    value = d.evaluate(node.value, scope)
    if value.known:
        return value
    name = d.w.new(hint)
    d.w.line(f"{name} = {value.source}")
    return Value(name, plain=None if value.plain is None else f"normalize({name})")


def _adapted(d: Decoder, node: n.Adapted, hint: str, scope: Scope) -> Value:
    value = d.decode(node.inner, hint, scope)
    name = d.w.new(hint)
    d.after(f"{name} = {d.call(node.decode, value.source + node.more, 'adapter')}")
    return Value(name, plain=f"{name} if {name}.__class__ in PLAIN else normalize({name})")


def _native(d: Decoder, node: n.Native, hint: str, scope: Scope) -> Value:
    d.flush()
    start, data = d.place.position, d.place.data
    name, end = d.w.new(hint), d.w.new("p")
    read = d.w.bind("decode", node.decode)
    if d.swallows:
        d.w.line(f"{name}, {end} = read_native({read}, {data}, {start})")
    else:
        d.w.line(f"{name}, {end} = {read}({data}, {start})")
        d.refuse_if(f"not {start} <= {end} <= len({data})")
    d.place.position = Position(end)
    return Value(name, plain=f"{name} if {name}.__class__ in PLAIN else normalize({name})")


def _derived(d: Decoder, node: n.Derived, hint: str, scope: Scope) -> Value:
    if d.swallows:
        raise UnsupportedError("a Derived of an alternative")
    value = d.evaluate(node.value, scope)
    name = d.w.new(hint)
    d.w.line(f"{name} = {value.source}")
    return Value(name, plain=f"{name} if {name}.__class__ in PLAIN else normalize({name})")


def _coded(d: Decoder, node: n.Coded, hint: str, scope: Scope) -> Value:
    value = d.decode(node.inner, hint, scope)
    name = d.w.new(hint)
    decode = d.w.bind("decode", node.decode, f"{node.wire}", id(node))
    d.after(f"{name} = {decode}({value.source})")
    return Value(name, scalar=node.kind == "string")


def _check(d: Decoder, node: n.Check, hint: str, scope: Scope) -> Value:
    d.refuse_if(f"not ({d.evaluate(node.test, scope).source})")
    return NONE


def _nothing(d: Decoder, node: n.Nothing, hint: str, scope: Scope) -> Value:
    return NONE


def _fail(d: Decoder, node: n.Fail, hint: str, scope: Scope) -> Value:
    d.flush()
    d.w.line("raise ExplicitError")
    return NONE


def _end(d: Decoder, node: n.End, hint: str, scope: Scope) -> Value:
    d.refuse_if(f"len({d.place.data}) > {d.place.position}")
    return NONE


def _tell(d: Decoder, node: n.Tell, hint: str, scope: Scope) -> Value:
    offset = d.tell()
    if offset.known:
        return offset
    name = d.w.new(hint)
    d.after(f"{name} = {offset.source}")
    return Value(name, scalar=True)


# -- groups -----------------------------------------------------------------------------------------


def _struct(d: Decoder, node: n.Struct, hint: str, scope: Scope) -> Value:
    inner = Scope(scope)
    shown, odd = _members(d, node, inner)
    name = d.w.new(hint)
    d.after(f"{name} = {_display(shown)}")
    return Value(name, scope=inner, murky=odd)


def _members(
    d: Decoder, node: n.Struct, scope: Scope, embedded: bool = False
) -> tuple[list[tuple[str, str]], bool]:
    """Read the members of a struct: those that are shown, by name, and whether any is odd.

    Without a name is one whose dict, or None, gives its entries.
    """
    shown: list[tuple[str, str]] = []
    lengths: list[tuple[n.Length, str, Position]] = []
    odd = False
    start = d.place.position
    for member in node.members:
        if member.flat:
            added, one_odd = _embed(d, member, scope)
            shown += added
            odd |= one_odd
            continue
        if member.name:
            d.path.append(member.name)
        if member.name in d.known and scope.parent is None:
            value = d.known[member.name]
            assert member.node.size is not None
            d.take(f"{member.node.size}x", member.node.size, None)
        else:
            value = d.decode(member.node, member.name or "unnamed", scope)
        if isinstance(member.node, n.Length) and node.flat:
            lengths.append((member.node, value.source, d.place.position))
        if member.name:
            d.path.pop()
            scope.fields[member.name] = value
            if d.shown(member):
                shown.append((member.name, value.shown))
                odd |= value.odd
    for length, source, after in lengths:
        _check_length(d, length, source, start, after)
    return shown, odd


def _check_length(
    d: Decoder, length: n.Length, source: str, start: Position, after: Position
) -> None:
    end = d.place.position
    begin = after if length.rest else start
    if begin.base == end.base:
        expected = str(end.offset - begin.offset + length.adjust)
    elif begin.base:
        expected = f"{end} - ({begin}) + {length.adjust}"
    else:
        expected = f"{end} - {begin.offset - length.adjust}"
    d.refuse_if(f"{source} != {expected}")


def _embed(d: Decoder, member: n.Member, scope: Scope) -> tuple[list[tuple[str, str]], bool]:
    """An unnamed member of a FlatStruct, whose fields become those of the struct."""
    node = _decided(d, member.node, scope)
    if node is None:
        d.flush()
        d.w.line(d.refusal())
        return [], False
    if isinstance(node, n.Nothing):
        return [], False
    inner = Scope(scope)
    if isinstance(node, n.Struct):
        shown, odd = _members(d, node, inner)
    elif isinstance(node, n.BitWord) and isinstance(node.inner, n.Struct):
        shown, odd = _in_word(d, node, lambda struct: _members(d, struct, inner))
    else:
        value = d.decode(node, "fields", scope)
        d.flush()
        for name in member.flat:
            found = f"{value.source}[{name!r}]"
            scope.fields[name] = Value("" if value.odd else found, scope=None)
        return [("", value.shown)], value.odd
    scope.fields.update(inner.fields)
    return shown, odd


def _decided(d: Decoder, node: n.Node, scope: Scope) -> n.Node | None:
    """The case of a Switch or If where it is certain, else ``node``; None if there is no such case."""
    while isinstance(node, n.Switch | n.If):
        chosen = certain(node, scope)
        if chosen is not node or chosen is None:
            if chosen is None and not d.strict:
                return n.Nothing(origin=node.origin, size=0)
            if chosen is None:
                return None
            node = chosen
            continue
        break
    return node


def _switch(d: Decoder, node: n.Switch, hint: str, scope: Scope) -> Value:
    chosen = _decided(d, node, scope)
    if chosen is None:
        d.flush()
        d.w.line(d.refusal())
        return NONE
    if chosen is not node:
        return d.decode(chosen, hint, scope)
    key = d.evaluate(node.key, scope)
    d.flush()
    default = node.default
    if default is None and not d.strict:
        default = n.Nothing(origin=node.origin, size=0)
    tests: list[tuple[str, n.Node | None]] = [
        (f"{'el' if index else ''}if {test}:", case)
        for index, (test, case) in enumerate(switch_tests(d.w, node, key))
    ]
    tests.append(("else:" if tests else "if True:", default))
    return d.branches(d.w.new(hint), tests, hint, scope)


def switch_tests(w: Writer, node: n.Switch, key: Value) -> list[tuple[str, n.Node]]:
    """The condition of each case, as source. Writes a line if the key has to be looked up."""
    cases = list(node.cases.items())
    try:
        constants = [literal(constant).source for constant, _ in cases]
    except UnsupportedError:
        constants = []
    if key.scalar and len(cases) <= 8 and constants:
        sources = zip(constants, cases, strict=True)
        return [(f"{key.source} == {source}", case) for source, (_, case) in sources]
    if not cases:
        return []
    # A dict finds equal keys as construct does, and refuses those without a hash.
    index = {constant: number for number, (constant, _) in enumerate(cases)}
    case_ = w.new("case")
    w.line(f"{case_} = {w.bind('cases', index, key=id(node))}.get({key.source}, -1)")
    return [(f"{case_} == {number}", case) for number, (_, case) in enumerate(cases)]


def _if(d: Decoder, node: n.If, hint: str, scope: Scope) -> Value:
    chosen = _decided(d, node, scope)
    if chosen is not None and chosen is not node:
        return d.decode(chosen, hint, scope)
    tests = if_tests(node, lambda parameter: d.evaluate(parameter, scope))
    d.flush()
    return d.branches(d.w.new(hint), list(tests), hint, scope)


def if_tests(node: n.If, evaluate: Callable[[Any], Value]) -> list[tuple[str, n.Node]]:
    """The header of each branch."""
    tests = []
    for index, (parameter, branch) in enumerate(node.branches):
        last = index == len(node.branches) - 1
        condition = "" if last else evaluate(parameter).source
        tests.append(("else:" if last else f"{'el' if index else ''}if {condition}:", branch))
    return tests


def _sequence(d: Decoder, node: n.Sequence, hint: str, scope: Scope) -> Value:
    inner, shown, odd = Scope(scope), [], False
    for index, member in enumerate(node.members):
        value = d.decode(member.node, f"{hint}_{index}", inner)
        shown.append(value.shown)
        odd |= value.odd
        if member.name:
            inner.fields[member.name] = value
    name = d.w.new(hint)
    d.after(f"{name} = [{', '.join(shown)}]")
    return Value(name, murky=odd)


def _focused(d: Decoder, node: n.Focused, hint: str, scope: Scope) -> Value:
    inner = Scope(scope)
    for member in node.members:
        selected = member.name == node.selected
        value = d.decode(member.node, hint if selected else member.name or "unnamed", inner)
        if member.name:
            inner.fields[member.name] = value
    return inner.fields[node.selected]


def _select(d: Decoder, node: n.Select, hint: str, scope: Scope) -> Value:
    d.flush()
    name = d.w.new(hint)
    meeting = Meeting(d, name)
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


def _repeat(d: Decoder, node: n.Repeat, hint: str, scope: Scope) -> Value:
    element = node.inner
    if node.count is None:
        return _greedy(d, node, hint, scope)
    count = d.evaluate(node.count, scope)
    d.flush()
    name, number = d.w.new(hint), d.w.new("count")
    d.w.line(f"{number} = {count.source}")
    d.refuse_if(f"not {number} >= 0")
    if isinstance(element, n.Number):
        start, form = d.place.position, d.w.new("form")
        d.move(f"{start} + {number}" + (f" * {element.size}" if element.size != 1 else ""))
        d.w.line(f"{form} = f'{element.order or '>'}{{{number}:d}}{element.code}'")
        d.w.line(f"{name} = list(unpack_from({form}, {d.place.data}, {start}))")
        return Value(name)
    index = d.w.new("index")
    with _Loop(d, name, f"for {index} in range({number}):") as loop:
        start = d.place.position
        value = loop.element(element, hint, scope)
        if d.place.position.base != start.base:
            same = f"{d.place.position} == {start}"
            d.w.line(f"if {index} >= {EMPTY_ELEMENTS} and {same}: raise Unusual")
        loop.add(value)
    return Value(name, murky=value.odd)


def _greedy(d: Decoder, node: n.Repeat, hint: str, scope: Scope) -> Value:
    d.flush()
    name = d.w.new(hint)
    with _Loop(d, name, "while True:") as loop:
        start = d.place.position
        with d.swallowing():
            value = loop.element(node.inner, hint, scope)
            end = d.place.position
        d.w.line("    break")
        if end.base == start.base and end.offset <= start.offset:
            raise UnsupportedError("elements of no bytes")
        if end.base != start.base:
            d.w.line(f"if {end} == {start}: raise Unusual")
        loop.add(value)
    return Value(name, murky=value.odd)


class _Loop:
    """A loop that fills a list; the position is a variable that it carries along."""

    def __init__(self, decoder: Decoder, name: str, header: str) -> None:
        self.d, self.name, self.header = decoder, name, header

    def __enter__(self) -> Self:
        d = self.d
        d.w.line(f"{self.name} = []")
        self.position = d.w.new("p")
        d.w.line(f"{self.position} = {d.place.position}")
        d.place.position = Position(self.position)
        d.w.line(self.header)
        d.w.depth += 1
        return self

    def element(self, node: n.Node, hint: str, scope: Scope) -> Value:
        one = re.sub(r"s\Z", "", hint)
        value = self.d.decode(node, one, copied(scope))
        self.d.flush()
        return value

    def add(self, value: Value) -> None:
        self.d.w.line(f"{self.name}.append({value.shown})")

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        d = self.d
        if kind is None and str(d.place.position) != self.position:
            d.w.line(f"{self.position} = {d.place.position}")
        d.w.depth -= 1
        d.place.position = Position(self.position)


# -- data within data -------------------------------------------------------------------------------


def _all_data(node: n.Node) -> bool:
    return isinstance(node, n.Data) and node.length is None


def _in_chunk(
    d: Decoder, node: n.Node, chunk: str, start: Position, hint: str, scope: Scope
) -> Value:
    """What ``node`` reads from the variable ``chunk``, which began at ``start``."""
    if _all_data(node):
        return Value(chunk, scalar=True)
    within = replace(scope, outside=True)
    return d.inside(chunk, start, lambda: d.decode(node, hint, within))


def _prefixed(d: Decoder, node: n.Prefixed, hint: str, scope: Scope) -> Value:
    length = d.decode(node.length, "length", scope)
    d.flush()
    source = f"{length.source} - {node.length.size}" if node.inclusive else length.source
    start = d.place.position
    return _in_chunk(d, node.inner, d.slice(source, hint), start, hint, scope)


def _window(d: Decoder, node: n.Window, hint: str, scope: Scope) -> Value:
    inner = node.inner
    if node.size is not None and isinstance(inner, n.Stripped) and _all_data(inner.inner):
        name = d.w.new(hint)
        d.take(f"{node.size}s", node.size, name)
        d.after(f"{name} = {name}.rstrip({inner.pad!r})")
        return Value(name, scalar=True)
    length = d.evaluate(node.length, scope)
    d.flush()
    start = d.place.position
    return _in_chunk(d, inner, d.slice(length.source, hint), start, hint, scope)


def _terminated(d: Decoder, node: n.Terminated, hint: str, scope: Scope) -> Value:
    d.flush()
    start, data = d.place.position, d.place.data
    end, chunk = d.w.new("end"), d.w.new(hint)
    d.w.line(f"{end} = {data}.index({node.term!r}, {start})")
    d.w.line(f"{chunk} = {data}[{start}:{end}]")
    value = _in_chunk(d, node.inner, chunk, start, hint, scope)
    d.place.position = Position(end, 1)
    return value


def _stripped(d: Decoder, node: n.Stripped, hint: str, scope: Scope) -> Value:
    d.flush()
    start, data, chunk = d.place.position, d.place.data, d.w.new(hint)
    d.w.line(f"{chunk} = {data}[{start}:].rstrip({node.pad!r})")
    value = _in_chunk(d, node.inner, chunk, start, hint, scope)
    d.place.position = Position(f"len({data})")
    return value


def _padded(d: Decoder, node: n.Padded, hint: str, scope: Scope) -> Value:
    size = node.size
    if d.word is not None:
        _bit_field(d, node)
        return NONE
    if size is not None and isinstance(node.inner, n.Nothing):
        d.take(f"{size}x", size, None)
        return NONE
    stop = ""
    if size is None:
        stop, length = d.w.new("p"), d.evaluate(node.length, scope).source
        d.refuse_if(f"not {length} >= 0")
        d.w.line(f"{stop} = {d.place.position} + {length}")
    start = d.place.position
    value = d.decode(node.inner, hint, scope)
    end = d.place.position
    if size is not None and end.base == start.base:
        pad = size - (end.offset - start.offset)
        if pad < 0:
            raise UnsupportedError("a length that is too short")
        d.take(f"{pad}x", pad, None)
        return value
    d.flush()
    if not stop:
        stop = d.w.new("p")
        d.w.line(f"{stop} = {start} + {size}")
    d.w.line(f"if not {end} <= {stop} <= len({d.place.data}): raise Mismatch")
    d.place.position = Position(stop)
    return value


def _aligned(d: Decoder, node: n.Aligned, hint: str, scope: Scope) -> Value:
    start = d.place.position
    value = d.decode(node.inner, hint, scope)
    end = d.place.position
    if end.base == start.base:
        pad = -(end.offset - start.offset) % node.modulus
        d.take(f"{pad}x", pad, None)
        return value
    d.flush()
    stop = d.w.new("p")
    d.w.line(f"{stop} = {end} + -({end} - ({start})) % {node.modulus}")
    d.w.line(f"if {stop} > len({d.place.data}): raise Mismatch")
    d.place.position = Position(stop)
    return value


def _bit_word(d: Decoder, node: n.BitWord, hint: str, scope: Scope) -> Value:
    value: Value = _in_word(d, node, lambda inner: d.decode(inner, hint, scope))
    return value


def _in_word(d: Decoder, node: n.BitWord, read: Callable[[Any], Any]) -> Any:
    """What ``read`` makes of the node inside, from the bits of one number."""
    size = node.size
    assert size is not None
    name = d.w.new("bits")
    if size in BIT_CODES:
        d.take(BIT_CODES[size], size, name, ">" if size > 1 else "")
    else:
        d.take(f"{size}s", size, name)
        d.after(f"{name} = int.from_bytes({name}, 'big')")
    d.word = Word(name, 8 * size, 8 * size)
    found = read(node.inner)
    d.word = None
    return found


def _raw_copy(d: Decoder, node: n.RawCopy, hint: str, scope: Scope) -> Value:
    start, data = d.place.position, d.place.data
    value = d.decode(node.inner, f"{hint}_value", scope)
    d.flush()
    end, raw, name = d.place.position, d.w.new(f"{hint}_data"), d.w.new(hint)
    d.w.line(f"{raw} = {data}[{start}:{end}]")
    offsets = [f"{d.place.origin} + {here}" for here in (start, end)]
    offsets = [source.removeprefix("0 + ") for source in offsets]
    first, last = (Value(d.w.new(f"{hint}_offset")) for _ in offsets)
    d.w.line(f"{first.source}, {last.source} = {', '.join(offsets)}")
    entries = {
        "data": raw,
        "value": value.shown,
        "offset1": first.source,
        "offset2": last.source,
        "length": f"{last.source} - {first.source}",
    }
    d.w.line(f"{name} = {_display(list(entries.items()))}")
    fields = {"data": Value(raw, scalar=True), "value": value, "offset1": first, "offset2": last}
    inner = Scope(None, {**fields, "length": Value(f"({last.source} - {first.source})")})
    return Value(name, scope=inner, murky=value.odd)


# -- computed from bytes ----------------------------------------------------------------------------


def _checksum(d: Decoder, node: n.Checksum, hint: str, scope: Scope) -> Value:
    start = d.evaluate(node.start, scope)
    position, data = d.place.position, d.place.data
    if not start.known:
        d.refuse_if(f"not 0 <= {start.source} <= {position}")
    elif not isinstance(start.constant, int) or start.constant < 0:
        raise UnsupportedError("a start before the message")
    elif start.constant and (position.base or start.constant > position.offset):
        d.refuse_if(f"not {start.constant} <= {position}")
    first = "" if start.source == "0" else start.source
    covered = f"{data}[{first}:{position}]"
    value = d.decode(node.inner, hint, scope)
    function: Any = node.function
    inline = INLINE.get(function)
    call = inline.format(covered) if inline else d.call(node.function, covered, "checksum")
    d.refuse_if(f"{value.source} != {call}")
    return value


def _hashed(d: Decoder, node: n.Hashed, hint: str, scope: Scope) -> Value:
    value = d.decode(node.inner, hint, scope)
    over = d.evaluate(node.over, scope)
    d.flush()
    d.w.line(f"if {value.source} != {d.call(node.function, over.source, 'hash')}: raise Mismatch")
    return value


def _opaque(d: Decoder, node: n.Opaque, hint: str, scope: Scope) -> Value:
    if not node.closed or d.word is not None:
        raise UnsupportedError(node.reason)
    d.notes.setdefault(".".join(d.path) or "(message)", node.reason)
    d.flush()
    name, end = d.w.new(hint), d.w.new("p")
    native = d.w.bind("native", d.native(node), repr(node.origin), id(node))
    d.w.line(f"{name}, {end} = parse({native}, {d.place.data}, {d.place.position})")
    d.place.position = Position(end)
    return Value(name, plain=f"normalize({name})")


HANDLERS: dict[type, Handler] = {
    n.Number: _number,
    n.Integer: _integer,
    n.VarInteger: _varint,
    n.Bits: _bits,
    n.Data: _data,
    n.Text: _text,
    n.Names: _names,
    n.Const: _const,
    n.Default: _inner,
    n.Rebuilt: _inner,
    n.Computed: _computed,
    n.Adapted: _adapted,
    n.Native: _native,
    n.Derived: _derived,
    n.Coded: _coded,
    n.Check: _check,
    n.Nothing: _nothing,
    n.Fail: _fail,
    n.End: _end,
    n.Tell: _tell,
    n.Struct: _struct,
    n.Sequence: _sequence,
    n.Focused: _focused,
    n.Switch: _switch,
    n.If: _if,
    n.Select: _select,
    n.Repeat: _repeat,
    n.Prefixed: _prefixed,
    n.Window: _window,
    n.Padded: _padded,
    n.Aligned: _aligned,
    n.Terminated: _terminated,
    n.Stripped: _stripped,
    n.BitWord: _bit_word,
    n.RawCopy: _raw_copy,
    n.Checksum: _checksum,
    n.Hashed: _hashed,
    n.Length: _inner,
    n.Opaque: _opaque,
}
