"""Encoding a mapping as a struct: which of its keys are taken, and which refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from construct import Check, Computed, Rebuild

from iotsim.protocol.generate.source import NONE, Scope, UnsupportedError, Value
from iotsim.protocol.tree import unnamed
from iotsim.protocol.verified import Checksum, Length

if TYPE_CHECKING:
    from iotsim.protocol.generate.encoder import Encoder

IGNORES_VALUE: tuple[Any, ...] = (Computed, Rebuild, Checksum, Length, Check)
"""Nodes to which it is all the same what they are given."""


def require_dict(e: Encoder, node: Any, source: str | None) -> None:
    """Where nothing is taken from a struct's value, see that it is one that can be."""
    taken = (m for m in node.subcons if m.name and not isinstance(unnamed(m), IGNORES_VALUE))
    if source is not None and not any(taken):
        e.refuse_if(f"not isinstance({source}, Mapping)")


def refuse_unknown(e: Encoder, source: str | None, names: list[str], sets: list[str]) -> None:
    if source is None or not e.strict:
        return
    if sets:
        # `sets` are variables: frozensets of the names that a branch knows.
        known = " | ".join([e.w.bind("fields", frozenset(names), key=frozenset(names)), *sets])
        e.refuse_if(f"not ({known}).issuperset({source})")
        return
    known_names = frozenset(names)
    bound = e.w.bind("known", known_names.issuperset, f"{set(names)!r}.issuperset", known_names)
    e.refuse_if(f"not {bound}({source})")


def fetch(e: Encoder, member: Any, scope: Scope) -> Value:
    """The value that is given for a member."""
    name, source = member.name, scope.source
    bare = unnamed(member)
    if scope.parent is None and name in e.known:
        e.required.add(name)
        return e.known[name]
    if not name or isinstance(bare, IGNORES_VALUE):
        return NONE
    if source is None:
        if not member.flagbuildnone:
            raise UnsupportedError(f"{name} is needed and not given")
        return NONE
    if e.bare and at_root(e, scope) and member.flagbuildnone:
        return NONE
    variable = e.w.new(name)
    if member.flagbuildnone:
        e.w.line(f"{variable} = {source}.get({name!r})")
    else:
        e.w.line(f"{variable} = {source}[{name!r}]")
        if at_root(e, scope):
            e.required.add(name)
    return Value(variable)


def at_root(e: Encoder, scope: Scope) -> bool:
    return scope.source == "message"
