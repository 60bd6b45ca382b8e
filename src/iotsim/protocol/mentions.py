"""What a schema looks up: the fields on which the shape of a message may depend, and the device.

Switch, If, arrays and computed lengths have functions of the fields around them, ``this.kind`` or a
lambda. Which names these may look up is read off the expression, or off the function's code. That
is on the safe side: a name that is found may have nothing to do with the shape.
"""

from __future__ import annotations

import re
from contextlib import suppress
from functools import partial
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any

from construct import Construct, LazyBound
from construct.expr import ExprMixin

from iotsim.protocol.functions import looked_up
from iotsim.protocol.parameter import BytesParameter

if TYPE_CHECKING:
    from collections.abc import Iterator

_ITEM = re.compile(r"\['(\w+)'\]")


def mentioned(message: Construct[Any, Any]) -> frozenset[str] | None:
    """The names that expressions in `message` may look up; None if that cannot be known."""
    names: set[str] = set()
    for code in _code(message, shaping=True):
        if isinstance(code, LazyBound):
            return None  # the schema contains itself
        names.update(_names(code))
    return frozenset(names)


def needs_device(message: Construct[Any, Any]) -> bool:
    """Whether an expression or a function in `message` looks at the device."""
    return any(
        "_params" in _names(code) or "this_device" in repr(code)
        for code in _code(message, shaping=False)
        if not isinstance(code, LazyBound)
    )


def _names(code: Any) -> set[str]:
    if isinstance(code, FunctionType):
        return set(looked_up(code.__code__))
    return set(_ITEM.findall(repr(code)))


def _code(message: Construct[Any, Any], *, shaping: bool) -> Iterator[Any]:
    """The expressions and functions in a schema, those that they may call, and every LazyBound.

    ``shaping``: without those that do not decide which fields a message has.
    """
    seen: set[int] = set()
    kept: list[Any] = []  # so that what is made here keeps its id
    waiting: list[Any] = [message]
    while waiting:
        value = _bare(waiting.pop())
        # A LazyBound may make a new construct each time, with a new one of its kind inside.
        function = _bare(value.subconfunc) if isinstance(value, LazyBound) else value
        identity = id(function.__code__ if isinstance(function, FunctionType) else function)
        if identity in seen:
            continue
        seen.add(identity)
        kept.append(value)
        if isinstance(value, LazyBound):
            yield value
            with suppress(
                Exception
            ):  # the user's function, which may not be meant to be called yet
                waiting.append(value.subconfunc())
        elif isinstance(value, ExprMixin):
            yield value
        elif isinstance(value, FunctionType):
            yield value
            waiting += _called(value)
        elif isinstance(value, Construct):
            left_out = getattr(type(value), "shapeless", ()) if shaping else ()
            waiting += [inner for name, inner in vars(value).items() if name not in left_out]
        elif isinstance(value, BytesParameter):
            waiting.append(value.value)
        elif isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list | tuple):
            waiting += value


def _bare(value: Any) -> Any:
    """`value`, or the function that it is a method or a partial of."""
    while isinstance(value, MethodType | partial):
        value = value.__func__ if isinstance(value, MethodType) else value.func
    return value


def _called(function: FunctionType) -> Iterator[Any]:
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
        if isinstance(inner, FunctionType | ExprMixin):
            yield inner
