"""Field names in a schema's expressions: the fields on which the shape of a message may depend.

Switch, If, arrays and computed lengths have functions of the fields around them, ``this.kind`` or a
lambda. Which names these may look up is read off the expression, or off the function's code. That
is on the safe side: a name that is found may have nothing to do with the shape.
"""

from __future__ import annotations

import re
from types import FunctionType
from typing import TYPE_CHECKING, Any

from construct import Construct, LazyBound
from construct.expr import ExprMixin

from iotsim.protocol.functions import looked_up
from iotsim.protocol.verified import Checksum

if TYPE_CHECKING:
    from collections.abc import Iterator

_ITEM = re.compile(r"\['(\w+)'\]")


def mentioned(message: Construct[Any, Any]) -> frozenset[str] | None:
    """The names that expressions in `message` may look up; None if that cannot be known."""
    names: set[str] = set()
    seen: set[int] = set()
    waiting: list[Any] = [message]
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, LazyBound):
            return None  # the schema contains itself
        if isinstance(value, ExprMixin):
            names.update(_ITEM.findall(repr(value)))
        elif isinstance(value, FunctionType):
            names.update(looked_up(value.__code__))
            waiting += _reached(value)
        elif isinstance(value, Construct):
            # The function of a checksum is given bytes, and no fields.
            left_out = ("function",) if isinstance(value, Checksum) else ()
            waiting += [inner for name, inner in vars(value).items() if name not in left_out]
        elif isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list | tuple):
            waiting += value
    return frozenset(names)


def _reached(function: FunctionType) -> Iterator[Any]:
    """The functions and expressions that `function` may call."""
    for cell in function.__closure__ or ():
        try:
            inner = cell.cell_contents
        except ValueError:
            continue  # not set yet
        if isinstance(inner, FunctionType | ExprMixin):
            yield inner
    for name in looked_up(function.__code__):
        inner = function.__globals__.get(name)
        if isinstance(inner, FunctionType):
            yield inner
