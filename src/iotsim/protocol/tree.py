"""The tree of constructs that a schema is: a node without its name, and the nodes below it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from construct import Compiled, Construct, Renamed

if TYPE_CHECKING:
    from collections.abc import Iterator


def unnamed(node: Any) -> Any:
    """`node` without its names, docs and hooks, and as it was before ``compile()``."""
    while isinstance(node, Renamed | Compiled):
        node = node.subcon if isinstance(node, Renamed) else node.defersubcon
    return node


def children(node: Any) -> Iterator[Any]:
    """The constructs directly below `node`, whatever its class calls them."""
    for value in vars(node).values():
        if isinstance(value, dict):
            values = list(value.values())
        else:
            values = value if isinstance(value, list) else [value]
        yield from (child for child in values if isinstance(child, Construct))
