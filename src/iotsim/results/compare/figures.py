"""The figures of two runs side by side, and whether the change of one is sure.

A change of a percentile is sure if the intervals of both runs are apart (see `spread`), and if it is not
smaller than the simulator itself was late in either run. What was counted is as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from iotsim.results.compare.profile import TIMES
from iotsim.results.compare.spread import CONFIDENCE, PERCENTILES, least_count
from iotsim.results.result import RUNNING
from iotsim.units import format_duration, format_size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iotsim.results.compare.profile import Profile, Times
    from iotsim.results.compare.spread import Percentile

SECONDS, BYTES, PER_SECOND, SHARE, COUNT = "s", "bytes", "1/s", "share", "count"
GATEWAY_UNITS = {
    "memory": BYTES,
    "cpu": SHARE,
    "fds": COUNT,
    "threads": COUNT,
    "children": COUNT,
    "crashes": COUNT,
    "starts": COUNT,
}
LARGEST = 1e100
LEAST_MESSAGES = 30
"""Of fewer the rate says little: one more or less, and it is another."""
TOO_FEW = "too few times to tell"
NOT_MEASURED = "it was not measured in both runs"


class Figure(msgspec.Struct, omit_defaults=True):
    """A figure of two runs, None where a run has it not.

    ``unit``: "s", "bytes", "1/s", "share" or "count". ``counts``: of percentiles, of how many times they are.
    ``doubt``: why a change is not sure; "" if it is, or where there is none.
    """

    name: str
    unit: str
    before: float | None
    after: float | None
    counts: tuple[int, int] | None = None
    doubt: str = ""

    def __post_init__(self) -> None:
        # Forged results may hold numbers with which floats cannot be reckoned.
        self.before, self.after = _bounded(self.before), _bounded(self.after)

    @property
    def change(self) -> float | None:
        """By how much it has changed, None if that cannot be said."""
        return None if self.before is None or self.after is None else self.after - self.before

    @property
    def relative(self) -> float | None:
        """The same as a share of what it was; None also if that was 0."""
        change = self.change
        return None if change is None or not self.before else change / self.before


def _bounded(number: float | None) -> float | None:
    return None if number is None else max(-LARGEST, min(number, LARGEST))


def figures_of(before: Profile, after: Profile) -> list[Figure]:
    """All figures of two runs, in the order in which they are told."""
    told = [Figure("duration", SECONDS, before.duration_s, after.duration_s)]
    lag = max(before.lag_s, after.lag_s)
    for name in TIMES:
        told += _times(name, getattr(before, name), getattr(after, name), lag)
    told += _rates(before, after)
    told += (
        Figure(f"gateway.{name}", unit, before.gateway.get(name), after.gateway.get(name))
        for name, unit in GATEWAY_UNITS.items()
        if name in before.gateway or name in after.gateway
    )
    told += _northbound(before, after)
    told.append(Figure("lag", SECONDS, before.lag_s, after.lag_s))
    told += _counters(before, after)
    return told


def _counters(before: Profile, after: Profile) -> Iterator[Figure]:
    def count(run: Profile, name: str) -> int | None:
        # What is 0 is not among the counters, and of a run that has not ended there are none.
        return None if run.verdict == RUNNING else run.counters.get(name, 0)

    for name in sorted(before.counters.keys() | after.counters.keys()):
        yield Figure(f"counter.{name}", COUNT, count(before, name), count(after, name))


def _times(name: str, before: Times, after: Times, lag_s: float) -> Iterator[Figure]:
    if not before.count and not after.count:
        return
    for percentile, share in PERCENTILES.items():
        old, new = before.percentiles.get(percentile), after.percentiles.get(percentile)
        counts = before.count, after.count
        yield Figure(
            f"{name}.{percentile}",
            SECONDS,
            None if old is None else old.value,
            None if new is None else new.value,
            counts,
            _doubt(old, new, counts, share, lag_s),
        )


def _doubt(
    old: Percentile | None,
    new: Percentile | None,
    counts: tuple[int, int],
    share: float,
    lag_s: float,
) -> str:
    if old is None or new is None:
        return NOT_MEASURED
    if old.value == new.value:
        return ""
    if old.low is None or old.high is None or new.low is None or new.high is None:
        needed = least_count(share, CONFIDENCE)
        return f"{TOO_FEW}: {counts[0]} and {counts[1]}, and it takes {needed}"
    if old.low <= new.high and new.low <= old.high:
        return "within what differs by chance"
    if abs(new.value - old.value) <= lag_s:
        return f"not more than the simulator itself was late: up to {format_duration(lag_s)}"
    return ""


def _rates(before: Profile, after: Profile) -> Iterator[Figure]:
    def rate(profile: Profile, count: int) -> float | None:
        known = profile.counts_messages and profile.duration_s > 0
        return count / profile.duration_s if known else None

    for name, old, new in (
        ("rate", before.received + before.sent, after.received + after.sent),
        ("rate.received", before.received, after.received),
        ("rate.sent", before.sent, after.sent),
    ):
        few = min(old, new) < LEAST_MESSAGES and old != new
        doubt = (
            f"there were only {old} and {new} messages" if few and before.counts_messages else ""
        )
        yield Figure(name, PER_SECOND, rate(before, old), rate(after, new), doubt=doubt)


def _northbound(before: Profile, after: Profile) -> Iterator[Figure]:
    names = sorted(before.northbound.keys() | after.northbound.keys())
    if not names:
        return

    def count(run: Profile, name: str) -> int | None:
        told = run.northbound.get(name, 0) if name else sum(run.northbound.values())
        return None if run.cut else told

    yield Figure("northbound", COUNT, count(before, ""), count(after, ""))
    for name in names:
        yield Figure(f"northbound.{name}", COUNT, count(before, name), count(after, name))


def value_text(value: float | None, unit: str) -> str:
    """A figure for people."""
    if value is None:
        return "-"
    if unit == SECONDS:
        return format_duration(float(f"{value:.3g}"))
    if unit == BYTES:
        return format_size(int(value))
    if unit == SHARE:
        return f"{100 * value:.3g}%"
    if unit == PER_SECOND:
        return f"{value:.4g}/s"
    return f"{value:.15g}"


def change_text(figure: Figure) -> str:
    """How a figure has changed, for people: ``+14%``, ``new``."""
    relative = figure.relative
    if figure.before is None or figure.after is None:
        return "gone" if figure.after is None else "new"
    if figure.before == figure.after:
        return "="
    if relative is None:
        return f"+{value_text(figure.after, figure.unit)}"
    if relative > 9:
        return f"x{figure.after / figure.before:.3g}"
    return f"{100 * relative:+.3g}%"
