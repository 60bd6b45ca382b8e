"""Signals: what a device measures, as a pure function of the device and the time.

A signal is compiled once for a fleet, to a function of (device index, seconds since the start of
the run). It keeps nothing: no task updates it, a million of them cost nothing, and the same seed
gives the same readings, whenever and however often they are asked for.

Most kinds have a **course**, a function of time alone, which the options common to all kinds then
make individual: ``phase`` moves a device along the course, ``spread`` adds an offset of its own,
``noise`` adds a new deviate at each microsecond.

The random walk W has no course, and its value at step n seems to need all the steps before it. It
does not: it is built top down (Lévy's construction). W at the powers of two is a sum of normal
deviates, W(2m) = W(m) + √m·g. Between two known points l and r, W at the middle is their mean plus
√((r-l)/4)·g. Each whole number has one deviate g, a hash of it, so that any W(n) takes about
log2(n) draws and is the same whatever was asked before. ``min`` and ``max`` reflect the walk.
"""

from __future__ import annotations

import csv
import io
import math
from bisect import bisect_right
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from iotsim.rng import COUNTER, FIRST, INDEX, MASK, NORMAL, draw, normal, unit
from iotsim.rng import key as stream_key

if TYPE_CHECKING:
    from iotsim.device.spec import SignalSpec

Signal: TypeAlias = Callable[[int, float], float]
"""(device index, seconds since the start of the run) -> value."""
Course: TypeAlias = Callable[[float], float]

# Counters of a signal's stream that cannot be a time: those of phase and spread.
_PHASE, _SPREAD, _POWERS = -1, -2, -3
# What a time is rounded to where it is hashed, and so the shortest period.
_LEAST_S: Final = 1e-6
# The standard deviations of a walk of 2**i steps, and of its middle when both ends are known.
_ROOTS: Final = tuple(math.sqrt(2.0**i) for i in range(128))
_HALF_ROOTS: Final = tuple(math.sqrt(2.0**i / 2.0) for i in range(128))


def compile_signal(spec: SignalSpec, seed: int, *names: str | int) -> Signal:
    """The function of `spec`; `names` (the fleet's, the signal's) tell its randomness from others'.

    ValueError if the parameters contradict each other.
    """
    parameters = spec.parameters
    key = stream_key(seed, *names)
    for name in ("period", "every"):
        if (parameters.get(name) or 1.0) < _LEAST_S:
            raise ValueError(f"{name} is below a microsecond")
    if spec.kind == "noise":
        signal = _noise(parameters, key)
    elif spec.kind == "random_walk":
        signal = _random_walk(parameters, key)
    elif spec.kind == "csv":
        signal = _shifted(*_csv(parameters, spec.points), parameters["phase"], key)
    else:
        signal = _shifted(*_COURSES[spec.kind](parameters), parameters.get("phase", 0.0), key)
    if parameters.get("spread"):
        signal = _spread(signal, parameters["spread"], key)
    if parameters.get("noise"):
        signal = _noisy(signal, parameters["noise"], key)
    return signal


def read_points(text: str, time: str, column: str) -> tuple[tuple[float, float], ...]:
    """The points (seconds, value) in the CSV `text`, whose first row names the columns.

    ValueError, naming the line, if a column is missing, a cell is no finite number, or the times
    do not rise.
    """
    reader = csv.DictReader(io.StringIO(text, newline=""))
    points: list[tuple[float, float]] = []
    try:
        columns = reader.fieldnames or ()
        for name in (time, column):
            if name not in columns:
                known = ", ".join(column[:40] for column in columns[:20]) or "none"
                more = ", ..." if len(columns) > 20 else ""
                raise ValueError(f"no column '{name[:100]}': there are {known}{more}")
        for row in reader:
            try:
                point = (float(row[time] or ""), float(row[column] or ""))
            except ValueError:
                raise ValueError(
                    f"line {reader.line_num}: {time} and {column} must be numbers, "
                    f"not {_cell(row[time])} and {_cell(row[column])}"
                ) from None
            if not all(map(math.isfinite, point)):
                raise ValueError(f"line {reader.line_num}: {point} is not finite")
            if points and point[0] <= points[-1][0]:
                raise ValueError(
                    f"line {reader.line_num}: the time {point[0]:g} does not come after "
                    f"{points[-1][0]:g}"
                )
            points.append(point)
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num}: {error}") from None
    if not points:
        raise ValueError("no rows below the names of the columns")
    return tuple(points)


def _cell(text: str | None) -> str:
    return "nothing" if text is None else repr(text[:100])


# Courses: each gives the function of time and its length, the range of a random phase.


def _constant(p: Mapping[str, Any]) -> tuple[Course, float]:
    value: float = p["value"]
    return lambda t: value, 0.0


def _sine(p: Mapping[str, Any]) -> tuple[Course, float]:
    mean, amplitude, omega = p["mean"], p["amplitude"], math.tau / p["period"]
    sin = math.sin
    return lambda t: mean + amplitude * sin(t * omega), p["period"]


def _ramp(p: Mapping[str, Any]) -> tuple[Course, float]:
    start, stop, period = p["start"], p["stop"], p["period"]
    slope = (stop - start) / period
    if p["repeat"]:
        return lambda t: start + slope * (t % period), period
    return lambda t: start + slope * t if t < period else stop, period


def _square(p: Mapping[str, Any]) -> tuple[Course, float]:
    low, high, period = p["low"], p["high"], p["period"]
    until = p["duty"] * period
    return lambda t: high if t % period < until else low, period


def _steps(p: Mapping[str, Any]) -> tuple[Course, float]:
    values, every = p["values"], p["every"]
    count, last = len(values), len(values) - 1
    if p["repeat"]:
        return lambda t: values[int(t // every) % count], every * count
    return lambda t: values[min(int(t // every), last)], every * count


def _csv(p: Mapping[str, Any], points: tuple[tuple[float, float], ...]) -> tuple[Course, float]:
    if not points:
        raise ValueError("a csv signal needs at least one point")
    times = [t for t, _ in points]
    values = [value for _, value in points]
    end = times[-1]
    if p["repeat"] and end <= 0:
        raise ValueError("with repeat, the last time must be above 0: there it begins again")

    def held(t: float) -> float:
        return values[max(bisect_right(times, t) - 1, 0)]

    def interpolated(t: float) -> float:
        right = bisect_right(times, t)
        if right == 0 or right == len(times):
            return values[max(right - 1, 0)]
        left = right - 1
        share = (t - times[left]) / (times[right] - times[left])
        return values[left] + share * (values[right] - values[left])

    course = interpolated if p["interpolate"] else held
    return (lambda t: course(t % end)) if p["repeat"] else course, max(end, 0.0)


_COURSES: Final[Mapping[str, Callable[[Mapping[str, Any]], tuple[Course, float]]]] = {
    "constant": _constant,
    "sine": _sine,
    "ramp": _ramp,
    "square": _square,
    "steps": _steps,
}


def _shifted(course: Course, length: float, phase: float | str, key: int) -> Signal:
    if phase == "random":
        return lambda index, t: course(t + length * unit(key, index, _PHASE))
    if phase:
        offset = float(phase)
        return lambda index, t: course(t + offset)
    return lambda index, t: course(t)


def _spread(signal: Signal, spread: float, key: int) -> Signal:
    return lambda index, t: signal(index, t) + spread * (2.0 * unit(key, index, _SPREAD) - 1.0)


def _noisy(signal: Signal, noise: float, key: int) -> Signal:
    # The same as `normal`, written out: this is on the way of most readings.
    def noisy(index: int, t: float) -> float:
        value = (key + index * INDEX + int(t * 1e6) * COUNTER) & MASK
        deviate = NORMAL[((value ^ value >> 32) * FIRST & MASK) >> 52]
        return signal(index, t) + noise * deviate

    return noisy


def _noise(p: Mapping[str, Any], key: int) -> Signal:
    mean, deviation, every = p["mean"], p["deviation"], p.get("every") or 1e-6
    return lambda index, t: mean + deviation * normal(key, index, int(t / every))


def _random_walk(p: Mapping[str, Any], key: int) -> Signal:
    start: float = p["start"]
    step: float = p["step"]
    every: float = p["every"]
    low: float = -math.inf if p.get("min") is None else p["min"]
    high: float = math.inf if p.get("max") is None else p["max"]
    if low >= high:
        raise ValueError(f"min {low:g} is not below max {high:g}")

    def walk(index: int, t: float) -> float:
        return start + step * _walk(key, index, int(t // every))

    if low == -math.inf and high == math.inf:
        return walk
    if high == math.inf:
        return lambda index, t: low + abs(walk(index, t) - low)
    if low == -math.inf:
        return lambda index, t: high - abs(walk(index, t) - high)
    span = high - low

    def reflected(index: int, t: float) -> float:
        # Folded into [low, high] as a strip of paper is: up for one span, down for the next.
        offset = (walk(index, t) - low) % (2.0 * span)
        return low + (offset if offset < span else 2.0 * span - offset)

    return reflected


def _walk(key: int, index: int, n: int) -> float:
    """A walk of standard normal steps after `n` of them; see the top of the module."""
    if n <= 0:
        return 0.0
    # The deviates of the powers of two are few: a draw of 64 bits is cut into five.
    left, level, below, above, bits = 1, 0, 0.0, 0.0, 0
    while True:
        if level % 5 == 0:
            bits = draw(key, index, _POWERS - level)
        below, above = above, above + _ROOTS[max(level - 1, 0)] * NORMAL[bits & 4095]
        if left > n:
            break
        bits >>= 12
        left *= 2
        level += 1
    left //= 2
    # In what follows, [left, left + 2**level] has the ends below and above, and n in it.
    level -= 1
    key += index * INDEX
    while n != left:
        level -= 1
        middle = left + (1 << level)
        value = (key + middle * COUNTER) & MASK
        deviate = NORMAL[((value ^ value >> 32) * FIRST & MASK) >> 52]
        between = (below + above) / 2.0 + _HALF_ROOTS[level] * deviate
        if n < middle:
            above = between
        else:
            left, below = middle, between
    return below
