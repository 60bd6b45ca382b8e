"""`BytesParameter`: bytes that a construct needs beside those of its own: a key, a nonce."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from construct import ConstructError
from construct.expr import ExprMixin

from iotsim.protocol.device import DeviceError, DeviceExpression
from iotsim.protocol.native import FunctionError, call

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

Parameter: TypeAlias = "bytes | Callable[[Any], bytes]"
"""Bytes, or an expression or a function that gives them, of the context in which the field stands."""


class ParameterError(ConstructError):
    """What the message has in the place of a key or a nonce cannot be one."""


class BytesParameter:
    """``what`` is called "an AES key", say; ``sizes`` are those that it may have, () if any.

    Raises ValueError if ``value`` is constant, and wrong. Errors do not show the bytes themselves.
    """

    def __init__(
        self, what: str, value: Parameter, sizes: Collection[int] = (), sizes_in_words: str = ""
    ) -> None:
        self.what = what
        self.value = value
        self.sizes = sizes
        self.sizes_in_words = sizes_in_words
        if not callable(value) and (problem := self.wrong(value)):
            raise ValueError(problem)

    def wrong(self, found: Any) -> str:
        """What is wrong with ``found``, "" if nothing is."""
        if not isinstance(found, bytes | bytearray):
            return f"{self.what} is {type(found).__name__}, and no bytes"
        if self.sizes and len(found) not in self.sizes:
            return f"{self.what} has {self.sizes_in_words}, not {len(found)}"
        return ""

    def find(self, context: Any, path: str) -> bytes:
        """The bytes, in ``context``. Whose fault wrong ones are depends on where they come from: raises
        DeviceError for the device's, ParameterError for the message's, FunctionError for a function's."""
        if not callable(self.value):
            return self.value
        found: Any = call(self.value, context, path=path)
        if not (problem := self.wrong(found)):
            return bytes(found)
        if isinstance(self.value, DeviceExpression):
            hint = " (write 'hex:...')" if isinstance(found, str) else ""
            raise DeviceError(f"{self.value}: {problem}{hint}", path)
        error = ParameterError if isinstance(self.value, ExprMixin) else FunctionError
        raise error(problem, path)
