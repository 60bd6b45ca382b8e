"""Field names in a schema's expressions: the fields on which the shape of a message may depend.

Switch, If, arrays and computed lengths have functions of the fields around them, ``this.kind`` or a
lambda. Which names these may look up is read off the expression, or off the function's code. That
is on the safe side: a name that is found may have nothing to do with the shape.
"""

from __future__ import annotations

import re
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

from construct import Construct, LazyBound
from construct.expr import ExprMixin

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
            names.update(_looked_up(value.__code__))
            waiting += _reached(value)
        elif isinstance(value, Construct):
            left_out = getattr(type(value), "shapeless", ())
            waiting += [inner for name, inner in vars(value).items() if name not in left_out]
        elif isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list | tuple):
            waiting += value
    return frozenset(names)


def _looked_up(code: CodeType) -> Iterator[str]:
    """Attributes, and texts that may be keys, of a function and of those inside it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, str):
            yield constant
        elif isinstance(constant, CodeType):
            yield from _looked_up(constant)


def _reached(function: FunctionType) -> Iterator[Any]:
    """The functions and expressions that `function` may call."""
    for cell in function.__closure__ or ():
        try:
            inner = cell.cell_contents
        except ValueError:
            continue  # not set yet
        if isinstance(inner, FunctionType | ExprMixin):
            yield inner
    for name in _looked_up(function.__code__):
        inner = function.__globals__.get(name)
        if isinstance(inner, FunctionType):
            yield inner
