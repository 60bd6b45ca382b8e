"""`Node`: a piece of a random schema, as source with a hole for each part, and a way to make a value.

What a member may refer to is known from the `Env` in which it is drawn: names and kinds, by depth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import construct as c
from tests.protocol.law.source import load

Value = Callable[["Node", Random, Any], Any]


@dataclass(frozen=True)
class Node:
    form: str
    parts: tuple[Node, ...] = ()
    value: Value = lambda node, rng, scope: None
    name: str | None = None
    """Of a member: ``form`` is its source without the name."""
    kind: str = "any"
    needless: bool = False
    """It is built without a value as well."""

    @property
    def source(self) -> str:
        parts = [part.source for part in self.parts]
        text = self.form.replace("{*}", ", ".join(parts))
        for part in parts:
            text = text.replace("{}", part, 1)
        return f"{self.name!r} / {text}" if self.name else text

    @property
    def many(self) -> bool:
        return "{*}" in self.form

    def make(self, rng: Random, scope: Any) -> Any:
        """A plain value, given those of the fields before it."""
        return self.value(self, rng, scope)

    def size(self) -> int:
        return 1 + sum(part.size() for part in self.parts)


def evaluated(source: str, scope: Any, default: Any = 1) -> Any:
    """What an expression of the schema gives for the fields that were made so far."""
    try:
        return c.core.evaluate(load(source), scope)
    except Exception:
        return default


def inner(scope: Any) -> Any:
    made = c.Container(
        _=scope, _parsing=False, _building=True, _sizing=False, _index=None, _params=None
    )
    made["_root"] = scope.get("_root") or made
    return made


def top() -> Any:
    return c.Container(_parsing=False, _building=True, _sizing=False, _params=None)


def struct_value(node: Node, rng: Random, scope: Any) -> Any:
    scope = inner(scope)
    made: dict[str, Any] = {}
    for part in node.parts:
        if part.name is None:
            if part.kind == "flat":
                value = part.make(rng, scope)
                if isinstance(value, dict):
                    made.update(value)
                    scope.update(value)
            continue
        value = part.make(rng, scope)
        scope[part.name] = value
        if not part.needless or (value is not None and rng.random() < 0.4):
            made[part.name] = value
    return made


def sequence_value(node: Node, rng: Random, scope: Any) -> Any:
    scope = inner(scope)
    made = []
    for part in node.parts:
        value = part.make(rng, scope)
        made.append(value)
        if part.name:
            scope[part.name] = value
    return made


def same_value(node: Node, rng: Random, scope: Any) -> Any:
    return node.parts[-1].make(rng, scope)


def some(*values: Any) -> Value:
    return lambda node, rng, scope: rng.choice(values)


def between(low: int, high: int) -> Value:
    def value(node: Node, rng: Random, scope: Any) -> int:
        if rng.random() < 0.6:
            return max(low, min(high, rng.randint(0, 3)))
        return rng.choice([low, high, rng.randint(low, high)])

    return value


@dataclass
class Env:
    """The names of the structs around, innermost first: name -> kind."""

    levels: list[dict[str, str]] = field(default_factory=list)

    def entered(self) -> Env:
        return Env([{}, *self.levels])

    def note(self, name: str, kind: str) -> None:
        if self.levels:
            self.levels[0][name] = kind

    def refer(self, rng: Random, *kinds: str) -> tuple[str, str] | None:
        """The path of a name, with or without ``_root``, and its kind."""
        found = [
            [(depth, name, kind) for name, kind in names.items() if not kinds or kind in kinds]
            for depth, names in enumerate(self.levels)
        ]
        found = [level for level in found if level]
        if not found:
            return None
        depth, name, kind = rng.choice(rng.choice(found))
        if depth == len(self.levels) - 1 and rng.random() < 0.3:
            return f"_root.{name}", kind
        return "_." * depth + name, kind
