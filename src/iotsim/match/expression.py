"""The expression language: a subset of Python's, checked node by node and compiled.

Allowed are literals, arithmetic, comparison, ``and or not``, ``a if c else b``, lists, subscripts,
and calls of a few functions (`FUNCTIONS`). The names are::

    msg.FIELD[.FIELD…]   the message at hand
    state.NAME           what the device remembers
    NAME                 a signal of the device, at the present time
    device.index, device.name, device.address
    request.FIELD        what the message answers, or what the device has asked
    north.FIELD          a message on the gateway's other side, held against one of a device
    t                    seconds since the start of the run

An attribute of ``msg`` or ``state`` is translated to a look-up in a dictionary, one of ``device``
to one of the three above, and no other attribute exists: so no expression reaches into an object.
There is no assignment, no comprehension, no lambda and no call of anything else. Length of the
text, number of nodes and nesting are bounded (`iotsim.match.translate`), and so is the size of
every result (`iotsim.match.functions`).
"""

from __future__ import annotations

import ast
import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from iotsim.errors import ExpressionError
from iotsim.match.fieldpath import dotted
from iotsim.match.functions import FUNCTIONS, OPERATORS, doubles, make_list
from iotsim.match.translate import (
    MESSAGES,
    NOTHING_KNOWN,
    RESERVED_NAMES,
    Names,
    Translator,
    place,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from iotsim.match.fieldpath import Steps
    from iotsim.protocol.fields import Schema

__all__ = ["RESERVED_NAMES", "DeviceView", "Expression", "Names", "compile_expression"]

LONGEST_TEXT = 1000


class DeviceView(Protocol):
    """What expressions see of a device."""

    @property
    def index(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def address(self) -> str: ...
    @property
    def state(self) -> dict[str, Any]: ...
    @property
    def asked(self) -> Mapping[str, Any] | None: ...
    def signal(self, name: str, t: float) -> float: ...


Evaluate: TypeAlias = "Callable[[Mapping[str, Any] | None, DeviceView, float], Any]"


@dataclass(frozen=True, eq=False, slots=True)
class Expression:
    """A compiled expression.

    ``evaluate(msg, device, t)`` gives its value or raises ExpressionError. ``constant`` tells that
    it depends on nothing. ``fields`` are the message's fields that it reads, as dotted paths.
    """

    text: str
    evaluate: Evaluate
    constant: bool
    fields: tuple[str, ...]

    def __repr__(self) -> str:
        return f"<Expression ={self.text}>"


def compile_expression(
    text: str,
    names: Names = NOTHING_KNOWN,
    *,
    has_message: bool = True,
    schema: Schema | None = None,
) -> Expression:
    """Compile `text`, what stands behind ``=``; ExpressionError says what is wrong with it.

    `names` are those of the device's signals and state. Without `has_message` there is no ``msg``.
    With a `schema`, a field that it does not have is an error.
    """
    stripped = text.strip()
    if len(stripped) > LONGEST_TEXT:
        shown = stripped[:40] + "..."
        raise ExpressionError(f"longer than {LONGEST_TEXT} characters", shown)
    if "\0" in stripped:
        raise ExpressionError("it contains a zero byte", stripped)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            tree = ast.parse(stripped, mode="eval")
    except SyntaxError as error:
        at = f" at column {error.offset}" if error.offset else ""
        indexed = re.search(r"\b([A-Za-z_]\w*)\.([0-9]+)\b", stripped)
        hint = f"write {indexed[1]}[{indexed[2]}]" if indexed else ""
        # Without an offset it is what should follow that is missing.
        behind = error.offset - 1 if error.offset else len(stripped)
        column = place(stripped, error.lineno or 1, behind) + 1
        raise ExpressionError(f"{error.msg}{at}", stripped, hint=hint, column=column) from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise ExpressionError(str(error) or "nested too deeply", stripped) from None
    translator = Translator(stripped, names, has_message, schema)
    body, _ = translator.translate(tree.body, 0)
    evaluate = _function(body, stripped, translator.accesses)
    fields = dict.fromkeys(dotted(steps) for root, steps in translator.accesses if root == "msg")
    expression = Expression(stripped, evaluate, translator.constant, tuple(fields))
    if expression.constant:
        return _folded(expression)
    return expression


def _folded(expression: Expression) -> Expression:
    """The expression with its value computed already; one that fails is an error at once."""
    value = expression.evaluate(None, None, 0.0)  # type: ignore[arg-type]
    if isinstance(value, list):
        return expression  # each evaluation gives a list of its own
    return Expression(expression.text, lambda msg, device, t: value, True, ())


NAMESPACE: dict[str, Any] = {
    "__builtins__": {},
    "_list": make_list,
    "_doubles": doubles,
    **{"_" + name: function for name, (function, _, _) in FUNCTIONS.items()},
    **{"_" + name: function for name, function in OPERATORS.items()},
}


def _function(body: ast.expr, text: str, accesses: Sequence[tuple[str, Steps]]) -> Evaluate:
    arguments = ast.arguments(
        [], [ast.arg(name) for name in ("msg", "device", "t")], None, [], [], None, []
    )
    tree = ast.fix_missing_locations(ast.Expression(ast.Lambda(arguments, body)))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # what is sure to fail, such as 1[0]
            code = compile(tree, "<expression>", "eval")
    except SyntaxError as error:
        raise ExpressionError(error.msg, text) from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise ExpressionError(str(error) or "nested too deeply", text) from None
    compute: Evaluate = eval(code, dict(NAMESPACE))

    def evaluate(msg: Mapping[str, Any] | None, device: DeviceView, t: float) -> Any:
        try:
            return compute(msg, device, t)
        except Exception as error:
            raise _explained(error, text, accesses, msg, device) from error

    return evaluate


def _explained(
    error: Exception,
    text: str,
    accesses: Sequence[tuple[str, Steps]],
    msg: Mapping[str, Any] | None,
    device: DeviceView,
) -> ExpressionError:
    if isinstance(error, (LookupError, TypeError)):
        for root, steps in accesses:
            if root == "request" and device.asked is None:
                return ExpressionError("the message answers no request", text, absent="request")
            found = _absent(_ROOTS[root](msg, device), steps)
            if found:
                if root == "state":
                    return ExpressionError(f"the state has no '{found}'", text)
                what = MESSAGES[root]
                return ExpressionError(f"the {what} has no field '{found}'", text, absent=found)
    reason = str(error.args[-1]) if error.args else type(error).__name__
    return ExpressionError(reason, text)


_ROOTS: dict[str, Callable[[Any, Any], Any]] = {
    "msg": lambda msg, device: msg,
    "state": lambda msg, device: device.state,
    "request": lambda msg, device: device.asked,
    "north": lambda msg, device: device.north,
}


def _absent(value: Any, steps: Steps) -> str:
    """The part of the path `steps` from which on there is nothing in `value`, or ""."""
    for number, step in enumerate(steps, 1):
        try:
            value = value[step]
        except (LookupError, TypeError):
            value = None
        if value is None:
            return dotted(steps[:number])
    return ""
