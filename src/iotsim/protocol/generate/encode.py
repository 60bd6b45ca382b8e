"""What encodes each kind of node: the handlers of `iotsim.protocol.generate.writing.Encoder`."""

from __future__ import annotations

import re
import struct
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from iotsim.protocol import nodes as n
from iotsim.protocol.checksums import INLINE
from iotsim.protocol.generate.decode import flags_scope, if_tests, switch_tests
from iotsim.protocol.generate.expressions import certain
from iotsim.protocol.generate.reading import BIT_CODES
from iotsim.protocol.generate.source import (
    NONE,
    UNKNOWN,
    Scope,
    UnsupportedError,
    Value,
    copied,
    literal,
    plain,
)
from iotsim.protocol.generate.writing import IGNORES_VALUE, Encoder, Slot
from iotsim.protocol.values import is_alike

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotsim.protocol.generate.writing import Handler

# -- the message ------------------------------------------------------------------------------------


def write_message(e: Encoder, message: n.Node) -> None:
    """Write the whole of encode: its last line returns the bytes, and the message if it is told."""
    if isinstance(message, n.Struct):
        scope = Scope(None, source="message")
        struct_ = _Struct(e, message, scope)
        wire = struct_.members()
        if not e.bare:
            struct_.refuse_unknown()
        elif e.required & e.omitted:
            raise UnsupportedError("a name that is there twice")
    elif e.bare:
        raise UnsupportedError("a message of which no field is known")
    else:
        wire = e.encode(message, Value("message"), "value", Scope(top=True)).wire
    if e.told and wire is None:
        raise UnsupportedError("what the wire carries is not known")
    result = e.joined().source
    e.w.line(f"return {result}, {wire}" if e.told else f"return {result}")


# -- single values ----------------------------------------------------------------------------------


def _number(e: Encoder, node: n.Number, value: Value, hint: str, scope: Scope) -> Value:
    assert node.size is not None
    e.push(node.code, node.size, value, node.order)
    return Value(value.source, value.known, value.constant, wire=_number_wire(e, node, value))


def _number_wire(e: Encoder, node: n.Number, value: Value) -> str | None:
    if not e.told:
        return None
    form = (node.order or ">") + node.code
    if value.known:
        try:
            return repr(struct.unpack(form, struct.pack(form, value.constant))[0])
        except struct.error:
            return None
    if node.code == "?":
        return f"(True if {value.source} else False)"
    if node.code not in "efd":
        return e.exactly(value, "int")
    pack = e.w.bind("pack", struct.Struct(form).pack, f"Struct({form!r}).pack", form)
    unpack = e.w.bind("unpack", struct.Struct(form).unpack, f"Struct({form!r}).unpack", form)
    return f"{unpack}({pack}({value.source}))[0]"


def _integer(e: Encoder, node: n.Integer, value: Value, hint: str, scope: Scope) -> Value:
    assert node.size is not None
    order: Literal["little", "big"] = "little" if node.little else "big"
    if value.known:
        if not isinstance(value.constant, int):
            raise UnsupportedError("a constant that is no integer")
        try:
            e.push_bytes(int(value.constant).to_bytes(node.size, order, signed=node.signed))
        except OverflowError as error:
            raise UnsupportedError(str(error)) from error
        return literal(int(value.constant))
    source = e.variable(value, hint)
    signed = ", signed=True" if node.signed else ""
    packed = Value(f"{source}.to_bytes({node.size}, {order!r}{signed})")
    e.push(f"{node.size}s", node.size, Value(e.variable(packed, f"{hint}_bytes")))
    return Value(source, wire=e.exactly(Value(source), "int"))


def _varint(e: Encoder, node: n.VarInteger, value: Value, hint: str, scope: Scope) -> Value:
    function = "zigzag_bytes" if node.zigzag else "varint_bytes"
    e.part(e.variable(Value(f"{function}({value.source})"), f"{hint}_bytes"))
    return Value(value.source, value.known, value.constant, wire=e.exactly(value, "int"))


def _bits(e: Encoder, node: n.Bits, value: Value, hint: str, scope: Scope) -> Value:
    count = node.size
    assert count is not None
    assert e.terms is not None
    if node.flag:
        if value.known:
            e.terms.append((literal(1 if value.constant else 0), 1))
            return Value(value.source, True, value.constant, wire=repr(bool(value.constant)))
        e.terms.append((Value(f"(1 if {value.source} else 0)"), 1))
        return Value(value.source, wire=f"(True if {value.source} else False)")
    low, high = (
        (-(1 << (count - 1)), (1 << (count - 1)) - 1) if node.signed else (0, (1 << count) - 1)
    )
    mask = (1 << count) - 1
    if value.known:
        if not isinstance(value.constant, int) or not low <= value.constant <= high:
            raise UnsupportedError("a constant that does not fit")
        e.terms.append((literal(int(value.constant) & mask), count))
        return literal(int(value.constant))
    source = e.variable(value, hint)
    e.refuse_if(f"not {low} <= {source} <= {high}")
    # A float passes the comparison, but none of what is done with the bits then.
    e.terms.append((Value(f"({source} & {mask})" if node.signed else source), count))
    return Value(source, wire=e.exactly(Value(source), "int"))


def _data(e: Encoder, node: n.Data, value: Value, hint: str, scope: Scope) -> Value:
    length = None if node.length is None else e.evaluate(node.length, scope)
    if value.known and isinstance(value.constant, bytes):
        if length is None or (length.known and len(value.constant) == length.constant):
            e.push_bytes(value.constant)
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
        e.part(source)
    return Value(source, scalar=True, wire=source)


def _text(e: Encoder, node: n.Text, value: Value, hint: str, scope: Scope) -> Value:
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
    if wire is not None:
        wire = f"{wire}.decode({node.encoding!r})"
    return Value(source, scalar=True, wire=wire)


def _names(e: Encoder, node: n.Names, value: Value, hint: str, scope: Scope) -> Value:
    if node.kind == "flags":
        number = _flags_number(e, node, value, hint)
    elif node.kind == "mapping":
        table = {plain(key): plain(item) for key, item in node.encoded.items()}
        bound = e.w.bind("numbers", table, key=id(node))
        number = Value(e.variable(Value(f"{bound}[{value.source}]"), f"{hint}_number"))
    else:
        number = _enum_number(e, node, value, hint)
    wire = e.encode(node.inner, number, hint, scope).wire
    if wire is not None:
        wire = _names_wire(e, node, value, wire)
    if node.kind == "flags" and not value.known:
        return Value(value.source, scope=flags_scope(node, value.source), murky=True, wire=wire)
    return Value(value.source, value.known, value.constant, value.scope, wire=wire)


def _names_wire(e: Encoder, node: n.Names, value: Value, number: str) -> str | None:
    """What a number becomes again."""
    if node.kind == "flags":
        flags = ((flag, mask) for flag, mask in node.encoded.items() if not flag.startswith("_"))
        return (
            f"{{{', '.join(f'{flag!r}: ({number} & {mask}) == {mask}' for flag, mask in flags)}}}"
        )
    if node.kind == "mapping":
        return None
    if value.known:
        constant = node.encoded.get(value.constant, value.constant)
        return repr(node.decoded.get(constant, constant))
    return f"{e.w.bind('names', node.decoded, key=('told', id(node)))}.get({number}, {number})"


def _enum_number(e: Encoder, node: n.Names, value: Value, hint: str) -> Value:
    if value.known:
        if isinstance(value.constant, int):
            return value
        if value.constant not in node.encoded:
            raise UnsupportedError(f"{value.constant!r} is no name")
        return literal(node.encoded[value.constant])
    bound = e.w.bind("numbers", node.encoded, key=id(node))
    return Value(
        e.variable(Value(f"{bound}.get({value.source}, {value.source})"), f"{hint}_number")
    )


def _flags_number(e: Encoder, node: n.Names, value: Value, hint: str) -> Value:
    bound = e.w.bind("flags", node.encoded, key=id(node))
    return Value(e.variable(Value(f"flags_value({bound}, {value.source})"), f"{hint}_number"))


def _const(e: Encoder, node: n.Const, value: Value, hint: str, scope: Scope) -> Value:
    constant = literal(node.value)
    if not (value.known and value.constant is None):
        e.refuse_if(f"{value.source} is not None and {value.source} != {constant.source}")
    built = e.encode(node.inner, constant, hint, scope)
    return Value(constant.source, True, constant.constant, wire=built.wire)


def _default(e: Encoder, node: n.Default, value: Value, hint: str, scope: Scope) -> Value:
    if value.known and value.constant is None:
        return e.encode(node.inner, _default_value(e, node, hint, scope), hint, scope)
    source = e.variable(value, hint)
    with e.w.block(f"if {source} is None:"):
        e.w.line(f"{source} = {_default_value(e, node, hint, scope).source}")
    return e.encode(node.inner, Value(source), hint, scope)


def _default_value(e: Encoder, node: n.Default, hint: str, scope: Scope) -> Value:
    if not callable(node.value):
        try:
            return literal(node.value)
        except UnsupportedError:
            return Value(e.w.bind("default", node.value))
    result = e.evaluate(node.value, scope)
    return result if result.known else Value(e.variable(result, hint))


def _rebuilt(e: Encoder, node: n.Rebuilt, value: Value, hint: str, scope: Scope) -> Value:
    if not callable(node.value):
        return e.encode(node.inner, literal(node.value), hint, scope)
    result = e.evaluate(node.value, scope)
    if not result.known:
        result = Value(e.variable(result, hint))
    return e.encode(node.inner, result, hint, scope)


def _computed(e: Encoder, node: n.Computed, value: Value, hint: str, scope: Scope) -> Value:
    if not callable(node.value):
        try:
            return literal(node.value)
        except UnsupportedError:
            return Value(e.w.bind("constant", node.value))
    result = e.evaluate(node.value, scope)
    # What it is computed of is what was given, which the wire may carry as something else.
    return result if result.known else Value(e.variable(result, hint))


def _adapted(e: Encoder, node: n.Adapted, value: Value, hint: str, scope: Scope) -> Value:
    source = e.variable(value, hint)
    inner = e.variable(Value(e.call(node.encode, source + node.more, "adapter")), f"{hint}_encoded")
    e.encode(node.inner, Value(inner), hint, scope)
    # A list may have been a tuple, which the adapter knows; of that, expressions would be wrong.
    own = e.call(node.decode, inner + node.more, "adapter")
    return Value(f"({own} if {source}.__class__ is list else {source})")


def _native(e: Encoder, node: n.Native, value: Value, hint: str, scope: Scope) -> Value:
    source = e.variable(value, hint)
    if node.names and e.strict:
        known = e.w.bind(
            "known", frozenset(node.names).issuperset, f"{set(node.names)!r}.issuperset"
        )
        e.w.line(f"if {source}.__class__ is dict and not {known}({source}): raise Unusual")
    data = e.variable(Value(e.call(node.encode, source, "encode")), f"{hint}_bytes")
    e.w.line(f"if {data}.__class__ is not bytes: raise Unusual")
    e.part(data)
    return Value(source)


def _derived(e: Encoder, node: n.Derived, value: Value, hint: str, scope: Scope) -> Value:
    return Value(e.variable(value, hint))


def _coded(e: Encoder, node: n.Coded, value: Value, hint: str, scope: Scope) -> Value:
    source, data = e.variable(value, hint), e.w.new(f"{hint}_bytes")
    e.w.line(f"{data} = {e.w.bind('encode', node.encode, node.wire, id(node))}({source})")
    e.bytes.add(data)
    e.encode(node.inner, Value(data), hint, scope)
    wire = f"{e.w.bind('decode', node.decode, node.wire, id(node))}({data})" if e.told else None
    return Value(source, wire=wire)


def _check(e: Encoder, node: n.Check, value: Value, hint: str, scope: Scope) -> Value:
    e.refuse_if(f"not ({e.evaluate(node.test, scope).source})")
    return NONE


def _nothing(e: Encoder, node: n.Nothing, value: Value, hint: str, scope: Scope) -> Value:
    return Value(value.source, value.known, value.constant, wire="None")


def _fail(e: Encoder, node: n.Fail, value: Value, hint: str, scope: Scope) -> Value:
    e.w.line("raise ExplicitError")
    return NONE


def _tell(e: Encoder, node: n.Tell, value: Value, hint: str, scope: Scope) -> Value:
    # Inside other data it is counted from there when encoding, from the message's start when decoding.
    offset = replace(e.tell(), wire=None)
    return offset if offset.known else replace(offset, source=e.variable(offset, hint))


# -- groups -----------------------------------------------------------------------------------------


class _Struct:
    """A struct that is built from the mapping ``scope.source``."""

    def __init__(self, e: Encoder, node: n.Struct, scope: Scope) -> None:
        self.e = e
        self.node = node
        self.scope = scope
        self.names: list[str] = []
        """The names that the struct has."""
        self.sets: list[str] = []
        """Variables with frozensets of further names."""
        unlike = (m for m in node.members if not is_alike(m.node))
        scope.unlike |= frozenset(name for m in unlike for name in m.flat or (m.name,))
        if node.flat:
            for member in node.members:
                if isinstance(member.node, n.Default) and not callable(member.node.value):
                    with suppress(UnsupportedError):
                        scope.defaults[member.name] = literal(member.node.value)

    def members(self) -> str | None:
        """Encode them; what the wire shows of them."""
        e, node, scope = self.e, self.node, self.scope
        start = e.out.fixed, len(e.out.varying)
        slots: list[Slot] = []
        shown: list[str] | None = [] if e.told else None
        for index, member in enumerate(node.members):
            if member.name:
                self.names.append(member.name)
            if isinstance(member.node, n.Checksum) and any(not slot.source for slot in slots):
                sizes = [rest.node.size for rest in node.members[index:]]
                if None in sizes:
                    raise UnsupportedError("a Length with a varying size after the Checksum")
                e.resolve_slots(slots, start, sum(size for size in sizes if size is not None))
            if isinstance(member.node, n.Length) and node.flat:
                slots.append(_length(e, member.node))
                if member.name:
                    scope.fields[member.name] = UNKNOWN
                if shown is not None:
                    shown.append(f"{member.name!r}: {_LENGTH.format(len(slots) - 1)}")
                continue
            if member.flat:
                wire = self._embed(member)
            else:
                e.path.append(member.name)
                value = e.fetch(member, scope)
                if member.name in scope.fields:
                    # While it is built, construct has what is given for it, not the one before.
                    ignored = isinstance(member.node, IGNORES_VALUE)
                    scope.fields[member.name] = UNKNOWN if ignored else value
                if member.kept and e.swallows:
                    raise UnsupportedError("a private member of an alternative")
                hint = member.name or "unnamed"
                if isinstance(member.node, n.Switch | n.If):
                    built = _alternatives(e, member.node, value, hint, scope, member=True)
                else:
                    built = e.encode(member.node, value, hint, scope)
                e.path.pop()
                wire = None if built.wire is None else f"{member.name!r}: {built.wire}"
                if member.name:
                    scope.fields[member.name] = built
                if not e.shown(member):
                    wire = ""
            if shown is not None:
                if wire is None:
                    raise UnsupportedError("what the wire carries is not known")
                shown += [wire] if wire else []
        e.resolve_slots([slot for slot in slots if not slot.source], start, 0)
        if shown is None:
            return None
        for number, slot in enumerate(slots):
            shown = [entry.replace(_LENGTH.format(number), slot.source) for entry in shown]
        return f"{{{', '.join(shown)}}}"

    def _embed(self, member: n.Member) -> str | None:
        """An unnamed member of a FlatStruct, built from the same mapping."""
        e, scope = self.e, self.scope
        node = _decided(e, member.node, scope)
        if node is None:
            e.w.line(e.refusal())
            return ""
        if isinstance(node, n.Nothing):
            return ""
        inner = Scope(scope, source=scope.source, allowed=frozenset(member.flat))
        if isinstance(node, n.Struct):
            struct_ = _Struct(e, node, inner)
            wire = struct_.members()
        elif isinstance(node, n.BitWord) and isinstance(node.inner, n.Struct):
            struct_ = _Struct(e, node.inner, inner)
            wire = _in_word(e, node, struct_.members)
        elif isinstance(node, n.Switch | n.If):
            return self._embed_branches(node, member)
        elif isinstance(node, n.Fail):
            e.encode(node, NONE, "unnamed", scope)
            return ""
        elif isinstance(node, n.Native):
            return self._embed_native(node, member)
        else:
            raise UnsupportedError(f"{type(node).__name__} of fields")
        self.names += struct_.names
        self.sets += struct_.sets
        scope.fields.update(inner.fields)
        return None if wire is None else wire[1:-1]

    def _embed_native(self, node: n.Native, member: n.Member) -> str | None:
        e, scope = self.e, self.scope
        names = e.w.bind("own", frozenset(member.flat), repr(set(member.flat)), member.flat)
        own = f"{{name: value for name, value in {scope.source}.items() if name in {names}}}"
        e.encode(node, Value(e.variable(Value(own), "own")), "unnamed", scope)
        self.names += member.flat
        for name in member.flat:
            scope.fields[name] = UNKNOWN
        return None

    def _embed_branches(self, node: n.Switch | n.If, member: n.Member) -> str | None:
        e = self.e
        e.branched = True
        data, known, told = e.w.new("body"), e.w.new("known_here"), e.w.new("told")
        for header, case in _tests(e, node, self.scope):
            with e.w.block(header), e.output(isolated=True):
                if case is None:
                    e.w.line(e.refusal())
                    continue
                only = n.Struct(origin=case.origin, members=[replace(member, node=case)])
                branch = _Struct(e, only, copied(self.scope))
                wire = branch.members()
                if e.told:
                    e.w.line(f"{told} = {wire}")
                e.w.line(f"{data} = {e.joined().source}")
                bound = e.w.bind("fields", frozenset(branch.names), key=frozenset(branch.names))
                e.w.line(f"{known} = {' | '.join([bound, *branch.sets])}")
        e.part(data)
        self.sets.append(known)
        for name in member.flat:
            self.scope.fields[name] = UNKNOWN
        return f"**{told}"

    def require_dict(self) -> None:
        """Where nothing is taken from the mapping, see that it is one."""
        members = self.node.members
        taken = (m for m in members if m.name and not isinstance(m.node, IGNORES_VALUE))
        if self.scope.source is not None and not any(taken):
            self.e.refuse_if(f"not isinstance({self.scope.source}, Mapping)")

    def refuse_unknown(self) -> None:
        e, source = self.e, self.scope.source
        if source is None or not e.strict:
            return
        names = frozenset(self.names)
        if self.sets:
            known = " | ".join([e.w.bind("fields", names, key=names), *self.sets])
            e.w.line(f"if not ({known}).issuperset({source}): {e.refusal()}")
            return
        bound = e.w.bind("known", names.issuperset, f"{set(names)!r}.issuperset", names)
        e.w.line(f"if not {bound}({source}): {e.refusal()}")


_LENGTH = "\0{}\0"
"""Stands in source for a length that is not known yet."""


def _length(e: Encoder, node: n.Length) -> Slot:
    number = node.inner
    if not isinstance(number, n.Number) or number.size is None:
        raise UnsupportedError("a Length that is no plain integer")
    slot = Slot(node, 0, 0)
    e.push(number.code, number.size, UNKNOWN, number.order, slot)
    slot.fixed, slot.varying = e.out.fixed, len(e.out.varying)
    return slot


def _struct(e: Encoder, node: n.Struct, value: Value, hint: str, scope: Scope) -> Value:
    if value.known and value.constant is None:
        inner = Scope(scope)
    else:
        source = e.variable(value, hint)
        e.w.line(f"if {source} is None: {source} = {{}}")
        inner = Scope(scope, source=source)
    struct_ = _Struct(e, node, inner)
    struct_.require_dict()
    if node.flat:
        wire = struct_.members()
        struct_.refuse_unknown()
    else:
        # Before anything that might be taken for a failed alternative.
        struct_.names = [member.name for member in node.members if member.name]
        struct_.refuse_unknown()
        wire = struct_.members()
    return Value("", scope=inner, wire=wire)


def _decided(e: Encoder, node: n.Node, scope: Scope) -> n.Node | None:
    """The case of a Switch or If where it is certain, else ``node``; None if there is no such case."""
    while isinstance(node, n.Switch | n.If):
        chosen = certain(node, scope)
        if chosen is None:
            return None if e.strict else n.Nothing(origin=node.origin, size=0)
        if chosen is node:
            break
        node = chosen
    return node


def _tests(e: Encoder, node: n.Switch | n.If, scope: Scope) -> list[tuple[str, n.Node | None]]:
    """The headers and nodes of the branches of a Switch or an If."""
    if isinstance(node, n.If):
        return list(if_tests(node, lambda parameter: e.evaluate(parameter, scope)))
    key = e.evaluate(node.key, scope)
    default = node.default
    if default is None and not e.strict:
        default = n.Nothing(origin=node.origin, size=0)
    tests: list[tuple[str, n.Node | None]] = [
        (f"{'el' if index else ''}if {test}:", case)
        for index, (test, case) in enumerate(switch_tests(e.w, node, key))
    ]
    return [*tests, ("else:" if tests else "if True:", default)]


def _alternatives(
    e: Encoder,
    node: n.Switch | n.If,
    value: Value,
    hint: str,
    scope: Scope,
    member: bool = False,
) -> Value:
    """``member``: it stands in a struct, where None is a value that is missing."""
    chosen = _decided(e, node, scope)
    if chosen is None:
        e.w.line(e.refusal())
        return NONE
    if chosen is not node:
        if member and chosen.given and not value.known:
            e.w.line(f"if {value.source} is None: raise Unusual")
        return e.encode(chosen, value, hint, scope)
    if not value.known:
        value = Value(e.variable(value, hint))
    data, told, same = e.w.new(f"{hint}_bytes"), e.w.new(f"{hint}_told"), True
    for header, case in _tests(e, node, scope):
        with e.w.block(header), e.output(isolated=True):
            if case is None:
                e.w.line(e.refusal())
                continue
            if member and case.given:
                if value.known and value.constant is None:
                    e.w.line("raise Unusual")
                    continue
                e.w.line(f"if {value.source} is None: raise Unusual")
            built = e.encode(case, value, hint, copied(scope))
            if e.told:
                if built.wire is None:
                    raise UnsupportedError("what the wire carries is not known")
                e.w.line(f"{told} = {built.wire}")
            e.w.line(f"{data} = {e.joined().source}")
            same &= built.source == value.source and not built.known
    e.part(data)
    return Value(value.source if same else "", wire=told if e.told else None)


def _select(e: Encoder, node: n.Select, value: Value, hint: str, scope: Scope) -> Value:
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
            e.swallows += 1
            with e.w.block("try:"), e.output(isolated=True):
                one = value
                if not value.known:
                    # What is done with an alternative's own variable does not concern the next.
                    one = Value(e.w.new(hint))
                    e.w.line(f"{one.source} = {value.source}")
                e.encode(choice, one, hint, nowhere)
                e.w.line(f"{data} = {e.joined().source}")
                e.w.line("break")
            e.swallows -= 1
            e.w.line("except ExplicitError:")
            e.w.line("    raise")
            e.w.line("except Exception:")
            e.w.line("    pass")
        else:
            e.w.line("raise Mismatch")
    e.part(data)
    return value


def _sequence(e: Encoder, node: n.Sequence, value: Value, hint: str, scope: Scope) -> Value:
    names = [e.w.new(f"{hint}_{index}") for index in range(len(node.members))]
    if value.known and value.constant is None:
        given = [NONE] * len(names)
    else:
        source = e.variable(value, hint)
        e.w.line(f"if {source} is None: {source} = (None,) * {len(names)}")
        e.w.line(f"{', '.join([*names, '*_'])} = {source}")
        given = [Value(name) for name in names]
    inner = Scope(scope)
    told: list[str | None] = []
    for one, member in zip(given, node.members, strict=True):
        if member.name:
            inner.fields[member.name] = one
        built = e.encode(member.node, one, hint, inner)
        told.append(built.wire)
        if member.name:
            inner.fields[member.name] = built
    wire = None if None in told else f"[{', '.join(str(source) for source in told)}]"
    return Value("", wire=wire)


def _focused(e: Encoder, node: n.Focused, value: Value, hint: str, scope: Scope) -> Value:
    source = Value(e.variable(value, hint))
    inner = Scope(scope, {node.selected: source})
    for member in node.members:
        selected = member.name == node.selected
        given = source if selected else NONE
        built = e.encode(member.node, given, member.name or hint, inner)
        if member.name:
            inner.fields[member.name] = built
    return inner.fields[node.selected]


def _repeat(e: Encoder, node: n.Repeat, value: Value, hint: str, scope: Scope) -> Value:
    if value.known:
        raise UnsupportedError("an array of nothing")
    source = e.variable(value, hint)
    if node.count is not None:
        e.refuse_if(f"len({source}) != {e.evaluate(node.count, scope).source}")
    data, element = e.w.new(f"{hint}_bytes"), node.inner
    if isinstance(element, n.Number) and node.count is not None and not e.told:
        form = f"f'{element.order or '>'}{{len({source})}}{element.code}'"
        e.w.line(f"{data} = pack({form}, *{source})")
        e.part(data)
        return Value(source)
    parts, told = e.w.new(f"{hint}_parts"), e.w.new(f"{hint}_told")
    item = e.w.new(re.sub(r"s\Z", "", hint))
    e.w.line(f"{parts} = []")
    if e.told:
        e.w.line(f"{told} = []")
    with e.w.block(f"for {item} in {source}:"), e.output(isolated=True):
        built = e.encode(element, Value(item), hint, copied(scope))
        e.w.line(f"{parts}.append({e.joined().source})")
        if e.told:
            if built.wire is None:
                raise UnsupportedError("what the wire carries is not known")
            e.w.line(f"{told}.append({built.wire})")
    e.w.line(f"{data} = b''.join({parts})")
    e.part(data)
    plain_elements = isinstance(element, n.Number | n.Integer | n.VarInteger | n.Names)
    known = e.told and node.count is not None
    return Value(source if plain_elements else "", wire=told if known else None)


# -- data within data -------------------------------------------------------------------------------


def _prefixed(e: Encoder, node: n.Prefixed, value: Value, hint: str, scope: Scope) -> Value:
    inner, built = e.inside(node.inner, value, hint, scope)
    data = e.variable(inner, f"{hint}_bytes")
    length = f"len({data})" + (f" + {node.length.size}" if node.inclusive else "")
    e.encode(node.length, Value(length), "length", scope)
    e.part(data)
    return built


def _window(e: Encoder, node: n.Window, value: Value, hint: str, scope: Scope) -> Value:
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
    padded = e.variable(Value(f"{data}.ljust({length.source}, {pattern!r})"), f"{hint}_bytes")
    if length.known:
        e.push(f"{length.constant:d}s", length.constant, Value(padded))
    else:
        e.part(padded)


def _terminated(e: Encoder, node: n.Terminated, value: Value, hint: str, scope: Scope) -> Value:
    built = e.encode(node.inner, value, hint, scope)
    e.push_bytes(node.term)
    return replace(built, wire=None)


def _stripped(e: Encoder, node: n.Stripped, value: Value, hint: str, scope: Scope) -> Value:
    built = e.encode(node.inner, value, hint, scope)
    wire = built.wire
    all_data = wire is not None and isinstance(node.inner, n.Data)
    wire = f"{wire}.rstrip({node.pad!r})" if all_data else None
    return replace(built, wire=wire)


def _padded(e: Encoder, node: n.Padded, value: Value, hint: str, scope: Scope) -> Value:
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
    _fill(e, inner, length, node.pattern, hint)
    return _if_fixed(node.inner, built)


def _aligned(e: Encoder, node: n.Aligned, value: Value, hint: str, scope: Scope) -> Value:
    inner, built = e.inside(node.inner, value, hint, scope, isolated=True)
    data = e.variable(inner, f"{hint}_bytes")
    padding = f"{node.pattern!r} * (-len({data}) % {node.modulus})"
    e.part(e.variable(Value(f"{data} + {padding}"), f"{hint}_bytes"))
    return _if_fixed(node.inner, built)


def _if_fixed(node: n.Node, built: Value) -> Value:
    """``built``, of which the wire shows the same unless the node would take the padding, too."""
    return built if node.size is not None else replace(built, wire=None)


def _bit_word(e: Encoder, node: n.BitWord, value: Value, hint: str, scope: Scope) -> Value:
    built: Value = _in_word(e, node, lambda: e.encode(node.inner, value, hint, scope))
    return built


def _in_word(e: Encoder, node: n.BitWord, write: Callable[[], Any]) -> Any:
    """What ``write`` gives; the bits that it put are added as one number."""
    size = node.size
    assert size is not None
    terms: list[tuple[Value, int]] = []
    e.terms = terms
    built = write()
    e.terms = None
    left, constant = 8 * size, 0
    sources: list[str] = []
    for value, count in terms:
        left -= count
        if value.known:
            constant |= int(value.constant) << left
        else:
            sources.append(f"{value.source} << {left}" if left else value.source)
    if constant or not sources:
        sources.append(str(constant))
    word = literal(constant) if sources == [str(constant)] else Value(" | ".join(sources))
    if size in BIT_CODES:
        e.push(BIT_CODES[size], size, word, ">" if size > 1 else "")
    else:
        packed = e.variable(Value(f"({word.source}).to_bytes({size}, 'big')"), "bits")
        e.push(f"{size}s", size, Value(packed))
    return built


def _raw_copy(e: Encoder, node: n.RawCopy, value: Value, hint: str, scope: Scope) -> Value:
    source = e.variable(value, hint)
    data, built = e.w.new(f"{hint}_data"), e.w.new(f"{hint}_value")
    if not node.inner.given:
        e.w.line(f"if {source} is None: {source} = {{'value': None}}")
    e.w.line(f"if {source}.__class__ is not dict: raise Unusual")
    with e.w.block(f"if 'data' in {source}:"):
        e.w.line(f"{data} = {source}['data']")
        e.w.line(f"if {data}.__class__ is not bytes: raise Unusual")
    with e.w.block("else:"), e.output(isolated=True):
        e.w.line(f"{built} = {source}['value']")
        e.encode(node.inner, Value(built), hint, scope)
        e.w.line(f"{data} = {e.joined().source}")
    if node.size is None:
        e.part(data)
    else:
        e.w.line(f"if len({data}) != {node.size}: raise Unusual")
        e.push(f"{node.size}s", node.size, Value(data))
    fields = {"data": Value(data, scalar=True)}
    fields |= dict.fromkeys(("value", "offset1", "offset2", "length"), UNKNOWN)
    return Value("", scope=Scope(None, fields))


# -- computed from bytes ----------------------------------------------------------------------------


def _checksum(e: Encoder, node: n.Checksum, value: Value, hint: str, scope: Scope) -> Value:
    if e.out.isolated:
        raise UnsupportedError("a Checksum whose bytes are not all here")
    start = e.evaluate(node.start, scope)
    head = e.settle("head")
    if not start.known:
        e.refuse_if(f"not 0 <= {start.source} <= len({head})")
    elif not isinstance(start.constant, int) or start.constant < 0:
        raise UnsupportedError("a start before the message")
    elif start.constant:
        e.refuse_if(f"len({head}) < {start.constant}")
    covered = head if start.source == "0" else f"{head}[{start.source}:]"
    function: Any = node.function
    inline = INLINE.get(function)
    call = inline.format(covered) if inline else e.call(node.function, covered, "checksum")
    result = e.variable(Value(call), hint)
    built = e.encode(node.inner, Value(result), hint, scope)
    return Value(result, scalar=True, wire=built.wire)


def _hashed(e: Encoder, node: n.Hashed, value: Value, hint: str, scope: Scope) -> Value:
    over = e.evaluate(node.over, scope)
    result = e.variable(Value(e.call(node.function, over.source, "hash")), hint)
    built = e.encode(node.inner, Value(result), hint, scope)
    return Value(result, wire=built.wire)


def _opaque(e: Encoder, node: n.Opaque, value: Value, hint: str, scope: Scope) -> Value:
    if not node.closed or e.terms is not None:
        raise UnsupportedError(node.reason)
    e.notes.setdefault(".".join(filter(None, e.path)) or "(message)", node.reason)
    native = e.w.bind("native", e.native(node), repr(node.origin), id(node))
    built, data = e.w.new(f"{hint}_built"), e.w.new(f"{hint}_bytes")
    e.w.line(f"{built}, {data} = build({native}, {value.source})")
    e.part(data)
    return Value(built)


HANDLERS: dict[type, Handler] = {
    n.Number: _number,
    n.Integer: _integer,
    n.VarInteger: _varint,
    n.Bits: _bits,
    n.Data: _data,
    n.Text: _text,
    n.Names: _names,
    n.Const: _const,
    n.Default: _default,
    n.Rebuilt: _rebuilt,
    n.Computed: _computed,
    n.Adapted: _adapted,
    n.Native: _native,
    n.Derived: _derived,
    n.Coded: _coded,
    n.Check: _check,
    n.Nothing: _nothing,
    n.Fail: _fail,
    n.End: _nothing,
    n.Tell: _tell,
    n.Struct: _struct,
    n.Sequence: _sequence,
    n.Focused: _focused,
    n.Switch: _alternatives,
    n.If: _alternatives,
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
    n.Opaque: _opaque,
}
