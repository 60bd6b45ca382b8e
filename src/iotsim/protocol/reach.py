"""Reach: how far out of a node its functions look, a pass over nodes.

construct gives every function a context, in which it may look up anything. A node whose functions look at
nothing outside of it can be left to construct alone, in the middle of what is generated (`nodes.Opaque`).
"""

from __future__ import annotations

import math
from typing import Any

from iotsim.protocol import nodes as n
from iotsim.protocol.functions import is_expression, paths

_OUTSIDE = frozenset({"_root", "_io", "_index", "_params", "_subcons", "_sizing"})
_FAR = n.Tell | n.End | n.RawCopy | n.Checksum | n.Hashed | n.Native | n.Derived
"""What depends on its place in the stream, or on bytes around it."""


def reach(node: n.Node) -> float:
    """How many contexts around ``node`` it may look up names in.

    0 if it depends on nothing but its own bytes, or value; infinite if on what is in no context's names.
    """
    if isinstance(node, n.Opaque):
        return node.reach
    if isinstance(node, _FAR):
        return math.inf
    own = [parameter for parameter in _parameters(node) if callable(parameter)]
    found = [*map(reach_of_function, own), *map(reach, n.children(node))]
    return max(found, default=0) - isinstance(node, n.Group)


def _parameters(node: n.Node) -> list[Any]:
    if isinstance(node, n.If):
        return [condition for condition, _ in node.branches]
    # The functions of an adapted node look at nothing but their value.
    return [] if isinstance(node, n.Adapted | n.Coded) else list(vars(node).values())


def reach_of_function(parameter: Any) -> float:
    """As `reach`, of a function or an expression that is a parameter of a node in one context."""
    return (
        max(map(_reach_of_path, paths(parameter)), default=0)
        if is_expression(parameter)
        else math.inf
    )


def _reach_of_path(steps: list[Any]) -> float:
    ups = 0
    while ups < len(steps) and steps[ups] == "_":
        ups += 1
    return math.inf if ups == len(steps) or steps[ups] in _OUTSIDE else ups + 1
