"""Thresholds: which change of a figure is too large.

``FIGURE=LIMIT``, as ``latency.p95=20%``, ``rate=-10%``, ``gateway.memory=5MB``,
``counter.outcome.dropped.*=0``. A limit without a sign, or with ``+``, is about what rises, one with ``-``
about what falls, one with ``±`` or ``+-`` about both. With ``%`` it is a share of what the figure was before,
else as much as it may change, in the unit of the figure. ``*`` in a figure stands for any characters.
"""

from __future__ import annotations

import difflib
import math
import re
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from iotsim.results.compare.figures import (
    BYTES,
    COUNT,
    GATEWAY_UNITS,
    NOT_MEASURED,
    PER_SECOND,
    SECONDS,
    SHARE,
    value_text,
)
from iotsim.results.compare.profile import TIMES
from iotsim.results.compare.spread import PERCENTILES
from iotsim.units import parse_duration, parse_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from iotsim.results.compare.figures import Figure

FOUND_UNITS = {
    "devices.gone": COUNT,
    "devices.new": COUNT,
    "devices.silent": COUNT,
    "devices.slower": COUNT,
    "devices.quieter": COUNT,
    "protocol.new": COUNT,
    "protocol.gone": COUNT,
}
"""Figures of the comparison itself: before, each of them was 0."""
UNITS = {
    "duration": SECONDS,
    "lag": SECONDS,
    **{f"{times}.{percentile}": SECONDS for times in TIMES for percentile in PERCENTILES},
    "rate": PER_SECOND,
    "rate.received": PER_SECOND,
    "rate.sent": PER_SECOND,
    **{f"gateway.{name}": unit for name, unit in GATEWAY_UNITS.items()},
    "northbound": COUNT,
    **FOUND_UNITS,
}
"""The figures whose names are known beforehand."""
OPEN = ("counter.", "northbound.")
"""How the names of others begin, which are counts."""
LONGEST = 200
MOST_STARS = 3
_LIMIT = re.compile(r"(±|\+/?-|\+|-)?\s*([0-9]+(?:\.[0-9]+)?)\s*(%|[a-zA-Zµμ/]+)?", re.ASCII)
_EXAMPLES = "write FIGURE=LIMIT, as latency.p95=20%, rate=-10% or gateway.memory=5MB"


class Threshold(msgspec.Struct, frozen=True):
    """``text``: as it was written. ``limit`` is a share of what was before where it is ``relative``."""

    text: str
    figure: str
    limit: float
    relative: bool
    rise: bool
    fall: bool

    def is_about(self, name: str) -> bool:
        return _pattern(self.figure).fullmatch(name) is not None

    def is_exceeded(self, figure: Figure) -> bool:
        """Whether a figure, which both runs have, has changed by more."""
        change = figure.change
        assert change is not None
        assert figure.before is not None
        limit = self.limit * abs(figure.before) if self.relative else self.limit
        # What is written as 10 % and is just that is within.
        limit = math.nextafter(limit * (1 + 1e-9), math.inf)
        return (self.rise and change > limit) or (self.fall and -change > limit)


class Check(msgspec.Struct):
    """What became of a threshold for a figure: ``state`` is "held", "worse" or "unsure", and "absent" if
    no run has such a figure. ``why`` is for people, "" where it has held."""

    threshold: str
    figure: str
    state: str
    before: float | None = None
    after: float | None = None
    why: str = ""


def parse_threshold(text: str) -> Threshold:
    """The threshold that `text` states. ValueError, which says what would be right, if it states none."""
    shown = repr(text if len(text) <= 60 else text[:57] + "...")
    name, equals, limit = (part.strip() for part in text.partition("="))
    if not equals or len(text) > LONGEST:
        raise ValueError(f"{shown} is no threshold; {_EXAMPLES}")
    if name.count("*") > MOST_STARS:
        raise ValueError(f"{shown} has more than {MOST_STARS} '*'")
    unit = _unit_of(name, shown)
    match = _LIMIT.fullmatch(limit)
    if match is None:
        raise ValueError(f"{shown} has no limit such as 20%, -10% or ±5%; {_EXAMPLES}")
    sign, number, written = match.groups()
    relative = written == "%"
    if relative and name in FOUND_UNITS:
        raise ValueError(f"{shown}: there was none before, so write how many may be, as {name}=0")
    try:
        value = float(number) / 100 if relative else _absolute(number, written or "", unit)
    except ValueError as error:
        raise ValueError(f"{shown}: {error}") from None
    both = sign in ("±", "+-", "+/-")
    return Threshold(text, name, value, relative, sign != "-", both or sign == "-")


@lru_cache(64)
def _pattern(name: str) -> re.Pattern[str]:
    """What matches the figures that `name`, with its ``*``, stands for."""
    return re.compile(".*".join(map(re.escape, name.split("*"))), re.DOTALL)


def _unit_of(name: str, shown: str) -> str:
    units = {unit for known, unit in UNITS.items() if _pattern(name).fullmatch(known)}
    if name.startswith(OPEN) and name not in OPEN:
        units.add(COUNT)
    if not units:
        similar = difflib.get_close_matches(name, UNITS, n=1, cutoff=0.5)
        hint = f"did you mean {similar[0]}?" if similar else f"there are {', '.join(UNITS)}."
        raise ValueError(
            f"{shown}: there is no figure {name[:60]!r}; {hint} "
            "Counters are counter.NAME, northbound services northbound.NAME"
        )
    if len(units) > 1:
        return ""
    return units.pop()


def _absolute(number: str, written: str, unit: str) -> float:
    if not unit:
        raise ValueError("these figures have different units: only a limit in % goes for all")
    if unit == SECONDS:
        if not written:
            raise ValueError("it is a time: write 5ms, or a share such as 20%")
        return parse_duration(number + written)
    if unit == BYTES:
        if not written:
            raise ValueError("it is a size: write 5MB, or a share such as 20%")
        return float(parse_size(number + written))
    if written and not (unit == PER_SECOND and written == "/s"):
        raise ValueError(f"it has no unit {written!r}: write a number, or a share such as 20%")
    if unit == SHARE:
        raise ValueError("it is a share of a core: write how much more of it, such as 20%")
    return float(number)


def check(
    thresholds: Iterable[Threshold],
    figures: Sequence[Figure],
    *,
    heard: bool = True,
    ended: bool = True,
) -> list[Check]:
    """What becomes of `thresholds`. `heard`: it is known what was said in the later run, so that times it
    has not are of what did not happen any more. `ended`: both runs have, so that counters are known."""
    checks = []
    for threshold in thresholds:
        about = [figure for figure in figures if threshold.is_about(figure.name)]
        checks += [_check(threshold, figure, heard=heard) for figure in about]
        if not about and threshold.figure.startswith("counter.") and ended:
            # Those that are 0 are not told of.
            checks.append(Check(threshold.text, threshold.figure, "held", 0, 0))
        elif not about:
            why = "neither run has such a figure"
            checks.append(Check(threshold.text, threshold.figure, "absent", why=why))
    return checks


def _check(threshold: Threshold, figure: Figure, *, heard: bool) -> Check:
    told = Check(threshold.text, figure.name, "held", figure.before, figure.after)
    if figure.change is None:
        gone = figure.after is None and figure.counts is not None and heard
        told.state = "worse" if gone else "unsure"
        told.why = "there were none any more" if gone else NOT_MEASURED
    elif threshold.is_exceeded(figure):
        told.state = "unsure" if figure.doubt else "worse"
        values = [value_text(one, figure.unit) for one in (figure.before, figure.after)]
        told.why = " -> ".join(values) + (f"; {figure.doubt}" if figure.doubt else "")
    return told
