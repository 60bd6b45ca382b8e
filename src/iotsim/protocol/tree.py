"""The tree of constructs that a schema is: a node without its name, and the nodes below it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from construct import Construct, Renamed

if TYPE_CHECKING:
    from collections.abc import Iterator


def unnamed(node: Any) -> Any:
    """`node` without its names, docs and hooks: what construct's Renamed is around."""
    while isinstance(node, Renamed):
        node = node.subcon
    return node


def children(node: Any) -> Iterator[Any]:
    """The constructs directly below `node`, whatever its class calls them."""
    for value in vars(node).values():
        if isinstance(value, dict):
            values = list(value.values())
        else:
            values = value if isinstance(value, list) else [value]
        yield from (child for child in values if isinstance(child, Construct))


def every_node(node: Any) -> Iterator[Any]:
    """`node` and all constructs below it, each once."""
    seen: set[int] = set()
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if id(node) not in seen:
            seen.add(id(node))
            yield node
            waiting += children(node)


def has_hook(node: Any) -> bool:
    """Whether something in `node` calls a function of the user's when it was parsed."""
    return any(isinstance(one, Renamed) and one.parsed is not None for one in every_node(node))
