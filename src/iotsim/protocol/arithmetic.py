"""What a function does with a number, if that is nothing but arithmetic.

The function is called once, with a `Term` in the place of all numbers. What arithmetic makes of a term is
another one. Whatever could tell one number from another (a comparison, its text, its truth) ends the attempt,
since the function may then do something else with another number. So what comes out is true of all numbers.
"""

from __future__ import annotations

import operator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    Operand: TypeAlias = "Term | int | float"

SAMPLES = {True: (0, 1, 2, 255), False: (0.0, 1.0, -0.5)}


class _Unsure(BaseException):
    """Not for the function to catch, as it may catch whatever else is wrong with a value."""


class Term:
    """A number: the one that a function is given, or what ``operation`` makes of ``operands``.

    ``operation`` is one of the module `operator`, or ``round``, or None for what is given. ``whole`` tells
    whether it is an integer.
    """

    __slots__ = ("operands", "operation", "whole")
    __hash__ = None  # type: ignore[assignment]

    def __init__(
        self,
        whole: bool,
        operation: Callable[..., Any] | None = None,
        operands: tuple[Operand, ...] = (),
    ) -> None:
        self.whole = whole
        self.operation = operation
        self.operands = operands

    def __neg__(self) -> Term:
        return Term(self.whole, operator.neg, (self,))

    def __abs__(self) -> Term:
        return Term(self.whole, abs, (self,))

    def __round__(self, digits: int | None = None) -> Term:
        if digits is None:
            return Term(True, round, (self,))
        return Term(self.whole, round, (self, digits))

    def _refuse(self, *_: object) -> NoReturn:
        raise _Unsure

    __bool__ = __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse
    __str__ = __repr__ = __format__ = __getattr__ = _refuse


def trace(function: Callable[..., Any], *more: Any, whole: bool) -> Term | None:
    """What `function` does with its first argument, any integer or else any float; None if that is not sure.

    `more` are its other arguments.
    """
    try:
        found = function(Term(whole), *more)
    except (Exception, _Unsure):
        return None
    if type(found) is not Term:
        return None
    for sample in SAMPLES[whole]:  # by its class a function may tell a term from a number
        with suppress(Exception):  # that is an error of the message that has this number
            if type(function(sample, *more)) is not (int if found.whole else float):
                return None
    return found


def _operation(sign: Callable[[Any, Any], Any], *, turned: bool) -> Callable[[Term, Any], Term]:
    def method(self: Term, other: Any) -> Term:
        if not isinstance(other, Term | int | float):
            raise _Unsure
        both_whole = self.whole and (other.whole if type(other) is Term else isinstance(other, int))
        if sign in OF_INTEGERS and not both_whole:
            raise _Unsure
        operands = (other, self) if turned else (self, other)
        return Term(both_whole and sign is not operator.truediv, sign, operands)

    return method


OF_NUMBERS = (
    *(operator.add, operator.sub, operator.mul),
    *(operator.truediv, operator.floordiv, operator.mod),
)
OF_INTEGERS = (operator.and_, operator.or_, operator.xor, operator.lshift, operator.rshift)
for _sign in OF_NUMBERS + OF_INTEGERS:
    _name = _sign.__name__.strip("_")
    setattr(Term, f"__{_name}__", _operation(_sign, turned=False))
    setattr(Term, f"__r{_name}__", _operation(_sign, turned=True))
