"""``this`` expressions as Python source."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

from construct.expr import BinExpr, FuncPath, Path, UniExpr

from iotsim.protocol.generate.source import Scope, UnsupportedError, Value, literal

if TYPE_CHECKING:
    from collections.abc import Callable

_BINARY: dict[Callable[..., Any], str] = {
    operator.add: "+",
    operator.sub: "-",
    operator.mul: "*",
    operator.truediv: "/",
    operator.floordiv: "//",
    operator.mod: "%",
    operator.pow: "**",
    operator.xor: "^",
    operator.lshift: "<<",
    operator.rshift: ">>",
    operator.and_: "&",
    operator.or_: "|",
    operator.gt: ">",
    operator.ge: ">=",
    operator.lt: "<",
    operator.le: "<=",
    operator.eq: "==",
    operator.ne: "!=",
}
_UNARY: dict[Callable[..., Any], str] = {
    operator.not_: "not ",
    operator.neg: "-",
    operator.pos: "+",
}
_FUNCTIONS = {len: "len", sum: "sum", min: "min", max: "max", abs: "abs"}


def is_expression(parameter: Any) -> bool:
    return isinstance(parameter, Path | BinExpr | UniExpr | FuncPath)


def translate(expression: Any, scope: Scope) -> Value:
    """A ``this`` expression, or a constant, as source; UnsupportedError if that cannot be."""
    if isinstance(expression, Path):
        return _path(expression, scope)
    parts: Any = expression
    if isinstance(expression, BinExpr):
        left, right = translate(parts.lhs, scope), translate(parts.rhs, scope)
        sign = _BINARY.get(parts.op)
        if sign is None:
            raise UnsupportedError(f"the operator of {expression!r}")
        if left.known and right.known:
            return _fold(parts.op, left.constant, right.constant)
        return Value(f"({left.source} {sign} {right.source})")
    if isinstance(expression, UniExpr):
        operand = translate(parts.operand, scope)
        sign = _UNARY.get(parts.op)
        if sign is None:
            raise UnsupportedError(f"the operator of {expression!r}")
        return (
            _fold(parts.op, operand.constant)
            if operand.known
            else Value(f"({sign}{operand.source})")
        )
    if isinstance(expression, FuncPath):
        function: Any = vars(expression)["_FuncPath__func"]
        operand_expression = vars(expression)["_FuncPath__operand"]
        if operand_expression is None or function not in _FUNCTIONS:
            raise UnsupportedError(f"the function of {expression!r}")
        operand = translate(operand_expression, scope)
        return Value(f"{_FUNCTIONS[function]}({operand.source})")
    if callable(expression):
        raise UnsupportedError("a lambda")
    return literal(expression)


def _fold(function: Callable[..., Any], *constants: Any) -> Value:
    try:
        return literal(function(*constants))
    except Exception as error:
        raise UnsupportedError(f"an expression that fails: {error}") from error


def steps(expression: Any) -> list[Any]:
    """``["a", "b"]`` of ``this.a.b``; UnsupportedError if it does not begin at ``this``."""
    found: list[Any] = []
    state = vars(expression)
    while state["_Path__parent"] is not None:
        found.insert(0, state["_Path__field"])
        state = vars(state["_Path__parent"])
    if state["_Path__name"] != "this":
        raise UnsupportedError(f"{expression!r} is not of this")
    return found


def _path(expression: Any, scope: Scope) -> Value:
    here: Scope | None = scope
    value = Value("")
    for step in steps(expression):
        if here is None:
            if isinstance(step, str) and step.startswith("_"):
                raise UnsupportedError(repr(expression))
            value = Value(f"{value.source}[{step!r}]")
        elif step == "_":
            here = here.parent
            if here is None:
                raise UnsupportedError(f"{expression!r} is above the message")
        elif step == "_root":
            while here.parent is not None and here.parent.node is not None:
                here = here.parent
        elif not isinstance(step, str) or step in _CONTEXT:
            raise UnsupportedError(repr(expression))
        else:
            value = here.lookup(step)
            here = value.scope
    if here is not None and not value.source:
        raise UnsupportedError(f"{expression!r} is a struct as a whole")
    return value


_CONTEXT = {"_params", "_parsing", "_building", "_sizing", "_subcons", "_io", "_index"}
