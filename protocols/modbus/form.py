"""How values stand in registers: types of one or more of them, orders of words and bytes."""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .model import InputRegister

CODES = {
    "uint16": "H",
    "int16": "h",
    "uint32": "I",
    "int32": "i",
    "uint64": "Q",
    "int64": "q",
    "float32": "f",
    "float64": "d",
}
"""Of the module `struct`."""

Order = Literal["big", "little"]


class Form:
    """How values of a type stand in registers.

    ``pack`` makes the registers of a value. A number beyond its type is the nearest that there is, or
    OverflowError without `clip`; ValueError if it is no number, or no text, at all. ``unpack`` makes a value
    of as many registers; ValueError if they hold none.
    """

    def __init__(self, register: InputRegister, word_order: Order, byte_order: Order) -> None:
        self.type = register.type
        self.size = register.size
        self.scale = register.scale
        order = register.byte_order or byte_order
        self.plain = self.type == "uint16" and self.scale == 1 and order == "big"
        """Whether a register holds the value as it is."""
        self._reversed = (register.word_order or word_order) == "little" and self.type != "string"
        self._words = struct.Struct(f"{'>' if order == 'big' else '<'}{self.size}H")
        self._value = struct.Struct(">" + CODES.get(self.type, ""))
        signed = self.type.startswith("int")
        bits = 16 * self.size - signed
        self.low, self.high = -(1 << bits) if signed else 0, (1 << bits) - 1
        self._pack: Callable[[Any, bool], bytes] = self._integer
        if self.type == "string":
            self._pack = self._string
        elif self.type.startswith("float"):
            self._pack = self._float

    def pack(self, value: Any, clip: bool = True) -> tuple[int, ...]:
        words = self._words.unpack(self._pack(value, clip))
        return words[::-1] if self._reversed else words

    def unpack(self, words: Sequence[int]) -> Any:
        data = self._words.pack(*(words[::-1] if self._reversed else words))
        if self.type == "string":
            return data.rstrip(b"\0").decode()  # a UnicodeDecodeError is a ValueError
        (value,) = self._value.unpack(data)
        # 15 digits are as many as a float can tell: 3 tenths are 0.3
        return value if self.scale == 1 else float(f"{value * self.scale:.15g}")

    def _number(self, value: Any) -> Any:
        if not isinstance(value, (int, float)):
            raise ValueError(f"must be a number, not {value!r:.80}")
        return value if self.scale == 1 else value / self.scale

    def _integer(self, value: Any, clip: bool) -> bytes:
        number = self._number(value)
        if number != number:
            raise ValueError("must be a number, not nan")
        if not self.low <= number <= self.high:
            if not clip:
                raise OverflowError
            number = self.low if number < 0 else self.high
        return self._value.pack(round(number))

    def _float(self, value: Any, clip: bool) -> bytes:
        try:
            return self._value.pack(float(self._number(value)))
        except OverflowError:
            if not clip:
                raise
            return self._value.pack(math.inf if value > 0 else -math.inf)

    def _string(self, value: Any, clip: bool) -> bytes:
        if not isinstance(value, str):
            raise ValueError(f"must be a text, not {value!r:.80}")
        data = value.encode()
        if len(data) > 2 * self.size:
            if not clip:
                raise OverflowError
            data = data[: 2 * self.size].decode(errors="ignore").encode()
        return data.ljust(2 * self.size, b"\0")
