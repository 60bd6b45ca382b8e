"""Functions of a schema: which are expressions at heart, and which look at nothing but their value.

construct takes a function of its context wherever it takes a constant: ``this.n + 1``, an expression that
can be read, or ``lambda c: c.n + 1``, of which one only knows that it may look at everything. Here a
function's byte code is asked. A lambda without branches, calls and names from elsewhere becomes the
expression that it is (`as_expression`); an adapter whose methods never touch their context can be called
without one (`by_value`). Whatever is not certain is left as it is.
"""

from __future__ import annotations

import dis
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any

from construct import (
    Adapter,
    ExprAdapter,
    ExprValidator,
    SymmetricAdapter,
    Validator,
    abs_,
    len_,
    max_,
    min_,
    sum_,
    this,
)
from construct.expr import BinExpr, ExprMixin, FuncPath, Path, UniExpr

from iotsim.protocol.device import DeviceExpression

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    AnyExprMixin = ExprMixin[Any]
else:
    AnyExprMixin = ExprMixin

_FUNCTIONS = {"len": len_, "sum": sum_, "min": min_, "max": max_, "abs": abs_}
_STRAIGHT = frozenset(
    (
        *("BINARY_OP", "BINARY_SUBSCR", "CACHE", "CALL", "COMPARE_OP", "LOAD_ATTR", "LOAD_CONST"),
        *("LOAD_FAST", "LOAD_FAST_BORROW", "LOAD_GLOBAL", "LOAD_METHOD", "LOAD_SMALL_INT", "NOP"),
        *("PRECALL", "PUSH_NULL", "RESUME", "RETURN_CONST", "RETURN_VALUE", "UNARY_NEGATIVE"),
    )
)
"""Instructions that only work out a value; those of Python 3.11 to 3.14."""


class Simple(AnyExprMixin):
    """A function of the context that is an expression at heart."""

    def __init__(self, expression: AnyExprMixin) -> None:
        self.expression = expression

    def __call__(self, obj: Any, *args: Any) -> Any:
        return self.expression(obj)  # type: ignore[operator]

    def __repr__(self) -> str:
        return repr(self.expression)


class Position(AnyExprMixin):
    """``c._io.tell()``: the offset in the stream."""

    def __call__(self, obj: Any, *args: Any) -> Any:
        return obj._io.tell()

    def __repr__(self) -> str:
        return "this._io.tell()"


class _Context:
    """What a function is given to see which expression it is."""

    def __getattr__(self, name: str) -> Any:
        return _Stream() if name == "_io" else getattr(this, name)

    def __getitem__(self, name: Any) -> Any:
        return self.__getattr__(name) if isinstance(name, str) else this[name]


class _Stream:
    def tell(self) -> Position:
        return Position()


def is_expression(parameter: Any) -> bool:
    """Whether `parameter` is made of ``this``, ``obj_``, ``len_`` and the like."""
    return isinstance(parameter, ExprMixin)


def is_function(parameter: Any) -> bool:
    """Whether `parameter` is code of the user's (or construct's), which may do anything."""
    return callable(parameter) and not is_expression(parameter)


def as_expression(parameter: Any) -> Any:
    """`parameter`, or the expression that it is if it is a simple function of the context."""
    if type(parameter) is not FunctionType or parameter.__code__.co_argcount != 1:
        return parameter
    code = parameter.__code__
    if code.co_freevars or code.co_cellvars or code.co_flags & 0x0C or parameter.__defaults__:
        return parameter
    for instruction in dis.get_instructions(code):
        name, text = instruction.opname, instruction.argrepr
        method = name == "LOAD_METHOD" or (name == "LOAD_ATTR" and "NULL" in text)
        if name not in _STRAIGHT or (method and instruction.argval != "tell"):
            return parameter
        if name == "LOAD_GLOBAL" and not _is_builtin(parameter, str(instruction.argval)):
            return parameter
    try:
        found = FunctionType(code, dict(_FUNCTIONS))(_Context())
    except Exception:
        return parameter
    if isinstance(found, ExprMixin):
        return Simple(found)
    return found if isinstance(found, int | str | bytes) else parameter


def _is_builtin(function: FunctionType, name: str) -> bool:
    return name in _FUNCTIONS and name not in function.__globals__


def ignores(function: Any, *positions: int) -> bool:
    """Whether `function` certainly never looks at its arguments at `positions`, nor calls itself in a
    way that would."""
    if isinstance(function, ExprMixin):
        return not any(
            root == "list_" or (root == "this" and 0 in positions) for root in _roots(function)
        )
    if isinstance(function, MethodType):
        function, positions = function.__func__, tuple(position + 1 for position in positions)
    if type(function) is not FunctionType:
        return False
    code = function.__code__
    if code.co_flags & 0x0C or code.co_argcount <= max(positions):
        return False
    names = {code.co_varnames[position] for position in positions}
    if names & {*code.co_cellvars} or "locals" in code.co_names:
        return False
    for instruction in dis.get_instructions(code):
        value = instruction.argval
        touched = value if isinstance(value, tuple) else (value,)
        if "FAST" in instruction.opname and not names.isdisjoint(touched):
            return False
    return True


def by_value(adapter: Any) -> tuple[Callable[..., Any], Callable[..., Any], tuple[Any, ...]] | None:
    """Both functions of an adapter, and what to call them with besides the value.

    None for an adapter that may look at its context, or do more than adapt.
    """
    kind = type(adapter)
    if any(getattr(kind, name, None) is not getattr(Adapter, name, None) for name in _METHODS):
        return None
    if isinstance(adapter, ExprAdapter):
        # Its methods are lambdas of construct's that pass the context on to the user's functions.
        decode, encode = _called_by(adapter, "_decode"), _called_by(adapter, "_encode")
        return (decode, encode, (None,)) if _alone(decode) and _alone(encode) else None
    if isinstance(adapter, ExprValidator):
        alone = _alone(_called_by(adapter, "_validate"))
    elif isinstance(adapter, Validator):
        alone = ignores(adapter._validate, 1, 2)
    else:
        alone = ignores(adapter._decode, 1, 2)
        alone &= isinstance(adapter, SymmetricAdapter) or ignores(adapter._encode, 1, 2)
    return (adapter._decode, adapter._encode, (None, "")) if alone else None


_METHODS = ("_parse", "_build", "_parsereport", "parse_stream", "build_stream")


def _called_by(adapter: Any, name: str) -> Any:
    """What the lambda calls that construct made for an adapter of functions."""
    cells = list(vars(adapter)[name].__closure__ or ())
    return cells[0].cell_contents if len(cells) == 1 else None


def _alone(function: Any) -> bool:
    return isinstance(function, BuiltinFunctionType) or ignores(function, 1)


def _leaves(expression: Any) -> Iterator[Any]:
    """What an expression is made of, without operators, functions and constants."""
    state = vars(expression) if isinstance(expression, ExprMixin) else {}
    if isinstance(expression, BinExpr):
        yield from _leaves(state["lhs"])
        yield from _leaves(state["rhs"])
    elif isinstance(expression, UniExpr):
        yield from _leaves(state["operand"])
    elif isinstance(expression, FuncPath):
        yield from _leaves(state["_FuncPath__operand"])
    elif isinstance(expression, Simple):
        yield from _leaves(expression.expression)
    elif isinstance(expression, ExprMixin):
        yield expression


def _roots(expression: Any) -> Iterator[str]:
    """The names at which the paths of an expression begin: "this", "obj_", "list_"."""
    for leaf in _leaves(expression):
        if isinstance(leaf, Path):
            yield vars(leaf)["_Path__name"]
        else:
            yield "this" if isinstance(leaf, Position | DeviceExpression) else "list_"


def paths(expression: Any) -> Iterator[list[Any]]:
    """The paths of an expression from ``this`` on: ["_", "n"] of ``this._.n``."""
    for leaf in _leaves(expression):
        if isinstance(leaf, Path):
            yield steps(leaf)
        elif isinstance(leaf, Position | DeviceExpression):
            yield ["_io" if isinstance(leaf, Position) else "_params"]


def steps(path: Path[Any]) -> list[Any]:
    """["a", "b"] of ``this.a.b``."""
    found: list[Any] = []
    state = vars(path)
    while state["_Path__parent"] is not None:
        found.insert(0, state["_Path__field"])
        state = vars(state["_Path__parent"])
    return found


def looked_up(code: CodeType) -> Iterator[str]:
    """Attributes, and texts that may be keys, of a function's code and of the code inside it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, str):
            yield constant
        elif isinstance(constant, CodeType):
            yield from looked_up(constant)
