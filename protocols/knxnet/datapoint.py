"""Datapoint types (3/7/2): how values stand in telegrams.

A type has a main number, which says how it is laid out, and a subnumber, which says what it means, and
sometimes a range of its own: 9.001 is a temperature in two bytes. `datapoint` gives the `Form` of either, by
``"9"`` or ``"9.001"``; a subnumber without a row here has the range of its main number.

Values of up to six bits stand beside the APCI (3/3/7, section 3.1), all others in bytes of their own.
"""

from __future__ import annotations

import functools
import math
import struct
from typing import TYPE_CHECKING, Any, NamedTuple

from iotsim import DecodeError, EncodeError

if TYPE_CHECKING:
    from collections.abc import Callable

SMALL = 6


class Form(NamedTuple):
    """A form of values: ``write`` gives the number that its ``bits`` are, and ``read`` takes it; they raise
    EncodeError, and DecodeError, for what cannot be. ``nearest`` gives the value nearest to one that is
    beyond the range."""

    bits: int
    write: Callable[[Any], int]
    read: Callable[[int], Any]
    nearest: Callable[[Any], Any] = lambda value: value

    def pack(self, value: Any) -> tuple[int, bytes]:
        """The six bits beside the APCI, and the bytes after them."""
        number = self.write(value)
        return (number, b"") if self.bits <= SMALL else (0, number.to_bytes(self.bits // 8, "big"))

    def unpack(self, small: int, data: bytes) -> Any:
        if len(data) != (0 if self.bits <= SMALL else self.bits // 8):
            raise DecodeError(f"{len(data) or 'no'} bytes where it has {self.bits} bits")
        if self.bits <= SMALL:
            return self.read(small & ((1 << self.bits) - 1))
        return self.read(int.from_bytes(data, "big"))


def integer(value: Any, low: int, high: int, what: str = "it") -> int:
    """`value`, if it is a number within the bounds; else EncodeError."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or not low <= value <= high:
        raise EncodeError(f"{what} is a whole number from {low} to {high}, not {value!r}")
    return int(value)


def real(value: Any, low: float, high: float) -> float:
    if not isinstance(value, (int, float)) or not low <= value <= high:
        raise EncodeError(f"a number from {low:g} to {high:g}, not {value!r}")
    return value


def boolean() -> Form:
    return Form(1, lambda value: integer(value, 0, 1), bool, lambda value: bool(value))


def clamp(low: float, high: float) -> Callable[[Any], Any]:
    def nearest(value: Any) -> Any:
        if isinstance(value, int) or (isinstance(value, float) and not math.isnan(value)):
            return min(max(value, low), high)
        return value

    return nearest


def scaled(bits: int, low: int, high: int, unit: float = 1) -> Form:
    """An integer, two's complement if `low` is negative; each of its steps, of which `low` and `high` are
    numbers, is `unit`."""
    modulus = 1 << bits

    def write(value: Any) -> int:
        return round(real(value, low * unit, high * unit) / unit) % modulus

    def read(number: int) -> Any:
        if low < 0 and number >= modulus >> 1:
            number -= modulus
        if not low <= number <= high:
            raise DecodeError(f"{number} is beyond {low} to {high}")
        return number if unit == 1 else round(number * unit, 6)

    return Form(bits, write, read, clamp(low * unit, high * unit))


INVALID = 0x7FFF
"""Of a two-byte float: no value (3/7/2, section 3.10)."""
HALF_LOW, HALF_HIGH = -671088.64, 670433.28


def half(low: float = HALF_LOW, high: float = HALF_HIGH) -> Form:
    """A float of two bytes: 0.01 times a mantissa of 12 bits, times 2 to an exponent of four. None is the
    code for invalid data."""

    def write(value: Any) -> int:
        if value is None:
            return INVALID
        hundredths = real(value, low, high) * 100
        for exponent in range(16):
            mantissa = round(hundredths / (1 << exponent))
            if -2048 <= mantissa <= 2047 and not (mantissa == 2047 and exponent == 15):
                break
        return (mantissa < 0) << 15 | exponent << 11 | mantissa & 0x7FF

    def read(number: int) -> float | None:
        if number == INVALID:
            return None
        mantissa = number & 0x7FF
        if number >> 15:
            mantissa -= 2048
        value = round(mantissa * (1 << (number >> 11 & 15)) / 100, 2)
        if not low <= value <= high:
            raise DecodeError(f"{value} is beyond {low:g} to {high:g}")
        return value

    return Form(16, write, read, clamp(low, high))


def single() -> Form:
    """IEEE 754 of four bytes."""

    def write(value: Any) -> int:
        try:
            return int.from_bytes(struct.pack(">f", value), "big")
        except (struct.error, OverflowError):
            raise EncodeError(f"a number of 32 bits, not {value!r}") from None

    return Form(32, write, lambda number: struct.unpack(">f", number.to_bytes(4, "big"))[0])


def text(size: int, encoding: str) -> Form:
    """Characters, filled up with zeros."""

    def write(value: Any) -> int:
        try:
            found = value.encode(encoding)
        except (AttributeError, UnicodeEncodeError):
            raise EncodeError(f"a text in {encoding}, not {value!r}") from None
        if len(found) > size:
            raise EncodeError(f"at most {size} characters, not {value!r}")
        return int.from_bytes(found.ljust(size, b"\0"), "big")

    def read(number: int) -> str:
        try:
            return number.to_bytes(size, "big").split(b"\0")[0].decode(encoding)
        except UnicodeDecodeError:
            raise DecodeError(f"no text in {encoding}") from None

    def nearest(value: Any) -> Any:
        return value[:size] if isinstance(value, str) else value

    return Form(8 * size, write, read, nearest)


class Part(NamedTuple):
    """A part of a table: its place, counted from the lowest bit, its range, and what is added to the number
    on the wire. A flag is a truth value, and false by default."""

    name: str
    at: int
    bits: int
    low: int = 0
    high: int = 1
    offset: int = 0
    default: int | None = None

    @property
    def is_flag(self) -> bool:
        return self.bits == 1


def flags(first: int, *names: str) -> list[Part]:
    """Truth values at neighboring bits, from `first` downwards."""
    return [Part(name, first - index, 1, default=0) for index, name in enumerate(names)]


def table(bits: int, *parts: Part) -> Form:
    names = [part.name for part in parts]

    def write(value: Any) -> int:
        if not isinstance(value, dict) or not set(value) <= set(names):
            raise EncodeError(f"a table of {', '.join(names)}, not {value!r}")
        number = 0
        for part in parts:
            given = value.get(part.name, part.default)
            number |= (integer(given, part.low, part.high, part.name) - part.offset) << part.at
        return number

    def read(number: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for part in parts:
            value = (number >> part.at & ((1 << part.bits) - 1)) + part.offset
            if not part.low <= value <= part.high:
                raise DecodeError(f"{part.name} is {part.low} to {part.high}, not {value}")
            found[part.name] = bool(value) if part.is_flag else value
        return found

    return Form(bits, write, read)


def named(*names: str, **numbers: int) -> Form:
    """A byte whose values have names, from 0 on; one without a name is its number."""
    known = {**{name: number for number, name in enumerate(names)}, **numbers}
    shown = {number: name for name, number in known.items()}

    def write(value: Any) -> int:
        if isinstance(value, str):
            if value not in known:
                raise EncodeError(f"{value!r} is none of {', '.join(known)}")
            return known[value]
        return integer(value, 0, 255)

    return Form(8, write, lambda number: shown.get(number, number))


def status_with_mode() -> Form:
    """6.020: five bits, and which of three modes is active (section 3.7.2)."""
    modes = {0: 1, 1: 2, 2: 4}
    raw = table(8, *flags(7, "a", "b", "c", "d", "e"), Part("mode", 0, 3, 1, 4))

    def write(value: Any) -> int:
        mode = value.get("mode") if isinstance(value, dict) else None
        if mode not in modes:
            raise EncodeError(f"a table of a, b, c, d, e and mode, from 0 to 2, not {value!r}")
        return raw.write({**value, "mode": modes[mode]})

    def read(number: int) -> Any:
        found = raw.read(number)
        mode = {1: 0, 2: 1, 4: 2}.get(found["mode"])
        if mode is None:
            raise DecodeError(f"no mode is {found['mode']:03b}")
        return {**found, "mode": mode}

    return Form(8, write, read)


DATE_TIME = table(
    64,
    Part("year", 56, 8, 1900, 2155, 1900),
    Part("month", 48, 4, 1, 12),
    Part("day", 40, 5, 1, 31),
    Part("day_of_week", 37, 3, 0, 7, default=0),
    Part("hour", 32, 5, 0, 24),
    Part("minutes", 24, 6, 0, 59),
    Part("seconds", 16, 6, 0, 59),
    *flags(15, "fault", "working_day", "no_working_day", "no_year", "no_date"),
    *flags(10, "no_day_of_week", "no_time", "summer_time", "quality", "source_reliable"),
)
"""19.001 (section 3.20)."""
CODES = [
    Part(f"digit_{place}", 8 + 4 * (place - 1), 4, 0, 9, default=0) for place in range(6, 0, -1)
]
U8, U16, U32, V8, V16, V32 = 255, 65535, (1 << 32) - 1, 127, 32767, (1 << 31) - 1


def unsigned(bits: int) -> Form:
    return scaled(bits, 0, (1 << bits) - 1)


def signed(bits: int) -> Form:
    return scaled(bits, -1 << (bits - 1), (1 << (bits - 1)) - 1)


FORMS: dict[str, Form] = {
    "1": boolean(),
    "2": table(2, Part("control", 1, 1), Part("value", 0, 1)),
    "3": table(4, Part("control", 3, 1), Part("step", 0, 3, 0, 7)),
    "4": text(1, "latin-1"),
    "4.001": text(1, "ascii"),
    "5": unsigned(8),
    "5.001": scaled(8, 0, 255, 100 / 255),
    "5.003": scaled(8, 0, 255, 360 / 255),
    "5.006": scaled(8, 0, 254),
    "6": signed(8),
    "6.020": status_with_mode(),
    "7": unsigned(16),
    "7.003": scaled(16, 0, U16, 10),
    "7.004": scaled(16, 0, U16, 100),
    "8": signed(16),
    "8.003": scaled(16, -V16 - 1, V16, 10),
    "8.004": scaled(16, -V16 - 1, V16, 100),
    "8.010": scaled(16, -V16 - 1, V16, 0.01),
    "9": half(),
    "9.001": half(-273),
    "9.004": half(0),
    "9.005": half(0),
    "9.006": half(0),
    "9.007": half(0),
    "9.008": half(0),
    "9.027": half(-459.6),
    "9.028": half(0),
    "9.029": half(0),
    "9.030": half(0),
    "10": table(
        24,
        Part("day", 21, 3, 0, 7, default=0),
        Part("hour", 16, 5, 0, 23),
        Part("minutes", 8, 6, 0, 59),
        Part("seconds", 0, 6, 0, 59),
    ),
    "12": unsigned(32),
    "13": signed(32),
    "14": single(),
    "15": table(
        32,
        *CODES,
        *flags(7, "error", "permission", "read_right_to_left", "encrypted"),
        Part("index", 0, 4, 0, 15, default=0),
    ),
    "16": text(14, "latin-1"),
    "16.000": text(14, "ascii"),
    "17": scaled(8, 0, 63),
    "18": table(8, Part("learn", 7, 1, default=0), Part("scene", 0, 6, 0, 63)),
    "19": DATE_TIME,
    "20": unsigned(8),
    "20.102": named("AUTO", "COMFORT", "STANDBY", "ECONOMY", "BUILDING_PROTECTION"),
    "20.103": named("AUTO", "LEGIO_PROTECT", "NORMAL", "REDUCED", "OFF"),
    "20.105": named(
        *("AUTO", "HEAT", "MORNING_WARMUP", "COOL", "NIGHT_PURGE", "PRECOOL", "OFF", "TEST"),
        *("EMERGENCY_HEAT", "FAN_ONLY", "FREE_COOL", "ICE", "MAXIMUM_HEATING_MODE"),
        *("ECONOMIC_HEAT_COOL_MODE", "DEHUMIDIFICATION", "CALIBRATION_MODE"),
        *("EMERGENCY_COOL_MODE", "EMERGENCY_STEAM_MODE"),
        NODEM=20,
    ),
    "29": signed(64),
    "232": table(
        24,
        Part("red", 16, 8, 0, 255),
        Part("green", 8, 8, 0, 255),
        Part("blue", 0, 8, 0, 255),
    ),
}


def date() -> Form:
    """11.001: its years of two digits are 1990 to 2089 (section 3.12)."""
    raw = table(
        24, Part("day", 16, 5, 1, 31), Part("month", 8, 4, 1, 12), Part("year", 0, 7, 0, 99)
    )

    def write(value: Any) -> int:
        year = value.get("year") if isinstance(value, dict) else None
        if not isinstance(year, int) or not 1990 <= year <= 2089:
            raise EncodeError(f"a table of day, month, and year, from 1990 to 2089, not {value!r}")
        return raw.write({**value, "year": year % 100})

    def read(number: int) -> Any:
        found = raw.read(number)
        return {**found, "year": found["year"] + (1900 if found["year"] >= 90 else 2000)}

    return Form(24, write, read)


FORMS["11"] = date()


@functools.cache
def datapoint(name: str) -> Form:
    """The form of a type by its number, ``"9"`` or ``"9.001"``. ValueError if there is none."""
    main, dot, sub = name.partition(".")
    numbers = (main, sub) if dot else (main,)
    if not all(part.isascii() and part.isdecimal() and len(part) <= 5 for part in numbers):
        raise ValueError(f"a datapoint type is a number, such as '9' or '9.001', not {name[:20]!r}")
    form = FORMS.get(f"{int(main)}.{int(sub):03}") if dot else None
    form = form or FORMS.get(str(int(main)))
    if form is None:
        raise ValueError(f"no datapoint type {name} is known here")
    return form
