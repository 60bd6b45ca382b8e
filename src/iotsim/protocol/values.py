"""Values of messages: as construct has them, and as messages show them.

A message is made of dict, list, str, int, float, bool, bytes and None, and of whatever else an adapter of
the schema gives (a datetime, say). `normalize` makes that of what construct parsed; `restorer` turns it
back before construct builds it, so that functions of the schema see their own kind of values both ways.
"""

from __future__ import annotations

import enum
from collections import namedtuple
from collections.abc import Mapping
from functools import partial
from types import FunctionType
from typing import TYPE_CHECKING, Any, TypeAlias

from construct import Container, LazyContainer, ListContainer, NamedTuple, Struct
from construct.core import EnumInteger, EnumIntegerString
from construct.lib.hex import HexDisplayedDict, HexDumpDisplayedDict

from iotsim.protocol import nodes as n

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from collections.abc import Set as AbstractSet

PLAIN = frozenset({int, str, float, bytes, bool, type(None)})
_OWN: Any = (Container, LazyContainer, HexDisplayedDict, HexDumpDisplayedDict)


def normalize(value: Any, kept: AbstractSet[str] = frozenset()) -> Any:
    """``value`` as construct parsed it, in plain types: dict, list, str, int, bytes, ...

    Names of construct's containers that begin with an underscore are private to the schema, as its own
    ``_io``, but for those in ``kept``. A named tuple becomes a dict, another one a list; what is lazy is
    parsed now.
    """
    kind = type(value)
    if kind in PLAIN:
        return value
    if (kind is dict or kind is list) and is_plain(value):
        return value
    if kind is ListContainer or kind is list:
        return [inner if type(inner) in PLAIN else normalize(inner, kept) for inner in value]
    if kind is dict or kind is Container or isinstance(value, Mapping):
        own = kind is not dict and (kind is Container or isinstance(value, _OWN))
        shown = {}
        for name, inner in value.items():
            name = str(name)
            if name[:1] != "_" or name in kept or not (own or _is_stream(name, inner)):
                shown[name] = inner if type(inner) in PLAIN else normalize(inner, kept)
        return shown
    if isinstance(value, list | tuple):
        names = getattr(value, "_fields", None)
        if names is not None:
            return {name: normalize(getattr(value, name), kept) for name in names}
        return [normalize(inner, kept) for inner in value]
    if isinstance(value, enum.Enum):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if isinstance(value, FunctionType) and value.__qualname__.startswith("Lazy."):
        return normalize(value(), kept)
    return value


def _is_stream(name: str, value: Any) -> bool:
    """Whether it is what an adapter has copied out of a Container with all the rest."""
    return name == "_io" and hasattr(value, "read")


def is_plain(value: Any) -> bool:
    """Whether it is a dict or a list with nothing in it but what `normalize` leaves as it is: nearly always,
    where an adapter or a native construct has made it."""
    if value.__class__ is dict:
        for name in value:
            if name.__class__ is not str:
                return False
        value = value.values()
    elif value.__class__ is not list:
        return False
    for inner in value:  # noqa: SIM110  # all() costs more
        if inner.__class__ not in PLAIN and not is_plain(inner):
            return False
    return True


Restore: TypeAlias = "Callable[[Any], Any]"


def restorer(node: n.Node | None, guess: bool = False) -> Restore:
    """A function that gives a plain value for ``node`` as construct itself would have parsed it.

    Which of several nodes an If or a Switch takes is known only when it is built (`branch_restorers`);
    ``guess``: take the first for which the value has the right shape.
    """
    if isinstance(node, n.Wrapper):
        return restorer(node.inner, guess)
    if isinstance(node, n.Names):
        return _named(node)
    if isinstance(node, n.Focused):
        return restorer(next(m.node for m in node.members if m.name == node.selected), guess)
    if isinstance(node, n.Struct) or (isinstance(node, n.Opaque) and node.members):
        return partial(_container, _members(node.members, guess))
    if isinstance(node, n.Sequence):
        return partial(_each, [restorer(member.node, guess) for member in node.members])
    if isinstance(node, n.RawCopy):
        return partial(_container, {"value": restorer(node.inner, guess)})
    if isinstance(node, n.Choice) and guess:
        return _alternatives(node)
    if isinstance(node, n.Repeat):
        return partial(_list, restorer(node.inner, guess))
    if isinstance(node, n.Adapted):
        return partial(_adapted, node)
    if isinstance(node, n.Native | n.Coded):
        return _same
    if isinstance(node, n.Derived):
        return restorer(node.like, guess)
    if isinstance(node, n.Opaque):
        if node.inner is not None and node.inner.origin is node.origin:
            return restorer(node.inner, guess)  # it is left to construct for a hook, or a StopIf
        if isinstance(node.origin, NamedTuple):
            named: Any = node.origin
            return partial(_named_tuple, named, restorer(node.inner, guess))
        if node.inner is not None and node.shows:
            inner = restorer(node.inner, guess)
            return inner if node.shows == "same" else partial(_list, inner)
    return _whatever


def is_alike(node: n.Node | None) -> bool:
    """Whether items and operators of a plain value for ``node`` are those of construct's own."""
    if isinstance(node, n.Names):
        return node.kind == "enum"
    if isinstance(node, n.Group):
        return all(is_alike(member.node) for member in node.members)
    if isinstance(node, n.Wrapper | n.Repeat | n.RawCopy | n.Choice | n.Select):
        return all(map(is_alike, n.children(node)))
    return not isinstance(node, n.Adapted | n.Opaque)


def branch_restorers(node: n.Node) -> dict[int, Restore]:
    """A `restorer` for each branch and alternative below ``node``, by the id of its construct.

    Which of them is taken is known only when it is built, so that `restorer` leaves their values alone.
    """
    found: dict[int, Restore] = {}
    for one in below(node):
        if isinstance(one, n.Choice | n.Select):
            for branch in n.children(one):
                restore = restorer(branch)
                if restore is not _whatever:
                    found[id(branch.origin)] = restore
    return found


def _alternatives(node: n.Node) -> Restore:
    """A function for what one of several nodes has parsed: the first that may have, by the value's shape.

    A table may be a struct's that has all the names, a list any list's. What else there is in place of
    these, or of single values, is told by making more of the value than a plain one.
    """
    structs: list[tuple[frozenset[str], Restore]] = []
    lists: list[Restore] = []
    others: list[Restore] = []
    for choice in _choices(node):
        if isinstance(choice, n.Struct):
            inner = _members(choice.members, True)
            structs.append((frozenset(inner), partial(_container, inner)))
        elif isinstance(choice, n.Repeat | n.Sequence):
            lists.append(restorer(choice, guess=True))
        elif (restore := restorer(choice, guess=True)) is not _whatever:
            others.append(restore)
    return partial(_chosen, structs, lists, others) if structs or lists or others else _whatever


def _choices(node: n.Node) -> list[n.Node]:
    """The nodes that `node` chooses from, also where a choice is one itself, each once."""
    found: dict[int, n.Node] = {}
    seen: set[int] = set()
    waiting = [node]
    while waiting:
        node = waiting.pop()
        while isinstance(node, n.Wrapper):
            node = node.inner
        if not isinstance(node, n.Choice):
            found[id(node)] = node
        elif id(node) not in seen:
            seen.add(id(node))
            waiting += [*n.children(node)][::-1]
    return [*found.values()]


def _chosen(
    structs: list[tuple[frozenset[str], Restore]],
    lists: list[Restore],
    others: list[Restore],
    value: Any,
) -> Any:
    if isinstance(value, Mapping):
        for names, restore in structs:
            if names >= value.keys():
                return restore(value)
    elif isinstance(value, list) and lists:
        return lists[0](value)
    held = _whatever(value)
    made = (restore(value) for restore in others)
    return next((own for own in made if own.__class__ is not held.__class__), held)


def _members(members: Iterable[n.Member], guess: bool) -> dict[str, Restore]:
    """The functions for what a struct holds, also for what its unnamed structs give it."""
    found: dict[str, Restore] = {}
    for member in members:
        if member.name:
            found[member.name] = restorer(member.node, guess)
        elif member.flat:
            found |= _flat_members(member.node, guess)
    return found


def _flat_members(node: n.Node | None, guess: bool) -> dict[str, Restore]:
    if isinstance(node, n.Struct) or (isinstance(node, n.Opaque) and node.members):
        return _members(node.members, guess)
    return _flat_members(node.inner, guess) if isinstance(node, n.Wrapper | n.Opaque) else {}


def _same(value: Any) -> Any:
    return value


def _whatever(value: Any) -> Any:
    """A value that is the same for construct, or of which nothing is known."""
    if value.__class__ in PLAIN:
        return value
    if isinstance(value, Mapping):
        return Container({name: _whatever(inner) for name, inner in value.items()})
    if isinstance(value, list):
        return ListContainer(map(_whatever, value))
    return value


def _container(inner: Mapping[str, Restore], value: Any) -> Any:
    if not isinstance(value, Mapping):
        return _whatever(value)
    restored: Container[Any] = Container()
    for name, held in value.items():
        restore = inner.get(name, _whatever)
        restored[name] = held if restore is _whatever and held.__class__ in PLAIN else restore(held)
    return restored


def _named(node: n.Names) -> Restore:
    if node.kind == "enum":
        return partial(_name, node.origin)
    if node.kind == "flags":
        return _flags
    changed = [(normalize(value), value) for value in node.encoded if type(value) not in PLAIN]
    return partial(_mapped, changed) if changed else _whatever


def _mapped(changed: list[tuple[Any, Any]], value: Any) -> Any:
    return next((own for plain, own in changed if plain == value), _whatever(value))


def _flags(value: Any) -> Any:
    return Container({"_flagsenum": True, **value}) if isinstance(value, Mapping) else value


def _each(inner: list[Restore], value: Any) -> Any:
    if not isinstance(value, list):
        return _whatever(value)
    functions = [*inner, *([_whatever] * len(value))]
    return ListContainer(function(held) for function, held in zip(functions, value, strict=False))


def _list(inner: Restore, value: Any) -> Any:
    return ListContainer(map(inner, value)) if isinstance(value, list) else _whatever(value)


def _adapted(node: n.Adapted, value: Any) -> Any:
    """A list may have been a tuple, a table a named one: what the adapter makes of it and back is its own
    kind of value."""
    held = _whatever(value)
    if isinstance(value, list):
        return _own(node.origin, value) or held
    if isinstance(value, Mapping):
        own = _own(node.origin, held) or _own(node.origin, _as_named_tuple(value))
        return own if hasattr(own, "_fields") else held
    return held


def _own(adapter: Any, value: Any) -> Any:
    """What the adapter makes of `value` and back; None if it takes no such value, as encoding will say."""
    try:
        return adapter._decode(adapter._encode(value, None, ""), None, "")
    except Exception:  # the user's
        return None


def _as_named_tuple(value: Mapping[str, Any]) -> Any:
    """A named tuple with the items of `value`, or None if they cannot be its."""
    try:
        return namedtuple("Values", value)(**value)  # noqa: PYI024  # its fields are not known before
    except ValueError:
        return None


def _named_tuple(named: Any, inner: Restore, value: Any) -> Any:
    names = named.factory._fields
    listed = isinstance(value, list) and not isinstance(named.subcon, Struct)
    if listed and len(value) == len(names):
        return named.factory(*inner(value))
    if not isinstance(value, Mapping) or set(value) != set(names):
        return _whatever(value)
    if isinstance(named.subcon, Struct):
        return named.factory(**inner(value))
    return named.factory(*inner([value[name] for name in names]))


def _name(enum_: Any, value: Any) -> Any:
    if isinstance(value, str):
        known = value in enum_.encmapping
        return EnumIntegerString.new(enum_.encmapping[value], value) if known else value
    if isinstance(value, int) and not isinstance(value, bool):
        return EnumInteger(value)
    return _whatever(value)


def kept_names(node: n.Node) -> frozenset[str]:
    """The private names of members that building must be given: messages show them, too."""
    return frozenset(
        member.name for one in below(node) for member in getattr(one, "members", ()) if member.kept
    )


def below(node: n.Node) -> Iterator[n.Node]:
    """``node`` and all nodes below it, each once."""
    seen: set[int] = set()
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if id(node) not in seen:
            seen.add(id(node))
            yield node
            waiting += n.children(node)
