"""Pieces of Lua: texts, numbers, tables, and Python's expressions."""

from __future__ import annotations

import operator
import re
from typing import TYPE_CHECKING, Any

from construct.expr import BinExpr, FuncPath, Path, UniExpr

from iotsim.protocol.arithmetic import Term
from iotsim.protocol.functions import Position, Simple, is_expression, steps
from iotsim.protocol.generate.source import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable

LARGEST = 1 << 53
"""Numbers below are exact in all versions of Lua."""
_PRINTABLE = re.compile(rb"[^ -~]|[\"\\]")
_INFIX = {operator.add: "+", operator.sub: "-", operator.mul: "*", operator.pow: "^"}
_CALLS = {
    operator.truediv: "divided",
    operator.floordiv: "floored",
    operator.mod: "modulo",
    operator.xor: "bxor",
    operator.and_: "band",
    operator.or_: "bor",
    operator.lshift: "left",
    operator.rshift: "right",
    operator.eq: "equal",
    operator.lt: "less",
}
_TURNED = {
    operator.ne: "not equal({0}, {1})",
    operator.gt: "less({1}, {0})",
    operator.ge: "not less({0}, {1})",
    operator.le: "not less({1}, {0})",
}
_UNARY = {operator.not_: "not truth({})", operator.neg: "-num({})", operator.pos: "num({})"}
_FUNCTIONS = {
    len: "size({})",
    sum: 'of_list({}, "sum")',
    min: 'of_list({}, "min")',
    max: 'of_list({}, "max")',
    abs: "math.abs(num({}))",
}


def quoted(value: str | bytes) -> str:
    """A text of Lua's, which is bytes; all that is no printable ASCII is escaped."""
    data = value.encode("utf-8", "replace") if isinstance(value, str) else value
    return '"' + _PRINTABLE.sub(lambda found: b"\\%03d" % ord(found[0]), data).decode() + '"'


def comment(text: str) -> str:
    """`text` in a line of comment."""
    return "-- " + " ".join(re.sub(r"[^ -~]", "?", text).split())


def constant(value: Any) -> str:
    """A constant of Python's; UnsupportedError if Lua has nothing like it."""
    if value is None:
        return "NONE"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        if not abs(value) <= LARGEST:
            raise UnsupportedError(f"the number {value}")
        shown = int.__repr__(value) if isinstance(value, int) else float.__repr__(value)
        return f"({shown})" if value < 0 else shown
    if isinstance(value, str):
        return quoted(str.__str__(value))
    if isinstance(value, bytes | bytearray):
        return quoted(bytes(value))
    raise UnsupportedError(f"the constant {value!r}")


def expression(parameter: Any) -> str:
    """A constant or an expression over ``this``; UnsupportedError if it is neither."""
    if isinstance(parameter, Simple):
        parameter = parameter.expression
    if not is_expression(parameter):
        if callable(parameter):
            raise UnsupportedError("a function of the user's")
        return constant(parameter)
    parts: Any = parameter
    if isinstance(parameter, Path):
        return _path(parameter)
    if isinstance(parameter, Position):
        return "c.at"
    if isinstance(parameter, BinExpr):
        return binary(parts.op, expression(parts.lhs), expression(parts.rhs))
    if isinstance(parameter, UniExpr) and parts.op in _UNARY:
        return f"({_UNARY[parts.op].format(expression(parts.operand))})"
    if isinstance(parameter, FuncPath):
        function = vars(parameter)["_FuncPath__func"]
        operand = vars(parameter)["_FuncPath__operand"]
        if operand is not None and function in _FUNCTIONS:
            return _FUNCTIONS[function].format(expression(operand))
    raise UnsupportedError(f"the expression {parameter!r}")


def function(parameter: Any) -> str:
    """A function of the fields around, ``this``, and the cursor, ``c``."""
    found = expression(parameter)
    if not is_expression(parameter):
        return f"constant({found})"
    return f"function(this, c) return {found} end"


def binary(sign: Callable[..., Any], left: str, right: str) -> str:
    """Two operands, with one of Python's operators between them."""
    if sign in _INFIX:
        return f"(num({left}) {_INFIX[sign]} num({right}))"
    if sign in _CALLS:
        return f"{_CALLS[sign]}({left}, {right})"
    if sign in _TURNED:
        return f"({_TURNED[sign].format(left, right)})"
    raise UnsupportedError(f"the operator {sign.__name__}")


def _path(path: Any) -> str:
    if vars(path)["_Path__name"] != "this":
        raise UnsupportedError(f"{path!r} is not of this")
    found = steps(path)
    if not found or not _CONTEXT.isdisjoint(found):
        raise UnsupportedError(repr(path))
    return f"at(this, {', '.join(map(constant, found))})"


_CONTEXT = {"intvalue", "_params", "_parsing", "_building", "_sizing", "_subcons", "_io", "_index"}
"""Steps of a path that are no fields."""


def arithmetic(operand: Term | float, given: str) -> str:
    """What a function does with a number, which the code calls `given`."""
    if not isinstance(operand, Term):
        return constant(operand)
    if operand.operation is None:
        return given
    if operand.operation is round:
        digits = operand.operands[1] if len(operand.operands) > 1 else 0
        if not isinstance(digits, int) or digits < 0:
            raise UnsupportedError("round")
        return f"rounded({arithmetic(operand.operands[0], given)}, {digits})"
    sides = [arithmetic(one, given) for one in operand.operands]
    if operand.operation is operator.neg:
        return f"(-num({sides[0]}))"
    if operand.operation is abs:
        return _FUNCTIONS[abs].format(sides[0])
    return binary(operand.operation, *sides)
