"""Guards around the functions of a schema: what these raise is never taken for a failed alternative."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import construct as c

from iotsim.protocol.functions import is_function

if TYPE_CHECKING:
    from collections.abc import Callable


class UserCodeError(c.ExplicitError):
    """A function or an adapter of the user's raised ``cause``.

    ``declines``: it was an adapter, asked to encode a value that may be meant for another alternative.
    """

    def __init__(self, cause: Exception, declines: bool = False) -> None:
        super().__init__(f"{type(cause).__name__}: {cause}")
        self.cause = cause
        self.declines = declines and not isinstance(cause, NameError)


def guarded(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """``function`` of the user's, whose errors are never taken for a failed alternative.

    ``name`` is what the node calls it.
    """
    on_value = name in ("_encode", "_decode", "_validate")

    @functools.wraps(function, assigned=(), updated=())
    def call(*arguments: Any, **keywords: Any) -> Any:
        try:
            return function(*arguments, **keywords)
        except c.ConstructError:
            raise
        except Exception as error:
            if (own and not _is_from_user(error)) or _is_sizing(arguments):
                raise
            # An adapter's second argument is the context.
            building = name == "_build" or (
                on_value and len(arguments) > 1 and bool(arguments[1].get("_building"))
            )
            raise UserCodeError(error, declines=building) from error

    own = is_constructs(getattr(function, "__module__", ""))
    return call


def _is_sizing(arguments: tuple[Any, ...]) -> bool:
    """Whether a function is called for a size only, where construct knows what a missing field means.

    Its contexts have no stream then.
    """
    return any(isinstance(a, c.Container) and a.get("_io", a) is None for a in arguments)


def _is_from_user(error: Exception) -> bool:
    """Whether the user's code had a part in `error`, which came out of a function of construct's.

    A NameError, also a variable that has no value, is never construct's way of saying something.
    """
    if isinstance(error, NameError):
        return True
    trace = error.__traceback__
    while trace is not None:
        if not is_constructs(trace.tb_frame.f_globals.get("__name__")):
            return True
        trace = trace.tb_next
    return False


def is_constructs(module: str | None) -> bool:
    return str(module).partition(".")[0] in {"construct", "iotsim"}


def is_users(function: Any) -> bool:
    """Whether a function is the user's, or one that construct made around such."""
    if not is_constructs(getattr(function, "__module__", "")):
        return True
    cells = (cell.cell_contents for cell in getattr(function, "__closure__", None) or ())
    return any(is_function(inner) and is_users(inner) for inner in cells)
