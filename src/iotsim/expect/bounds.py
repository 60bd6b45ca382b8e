"""Bounds of what the gateway may use: each is told every sample, and says when it is broken.

A bound that no sample has spoken of neither holds nor is broken: it says why that is not known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from iotsim.expect.figures import CpuShare, Growth, Peak
from iotsim.units import format_size

if TYPE_CHECKING:
    from iotsim.expect.figures import GatewaySample
    from iotsim.expect.spec import GatewayExpectation

NOUNS = {
    "fds": ("file descriptor", "file descriptors"),
    "threads": ("thread", "threads"),
    "children": ("child process", "child processes"),
}
UNSEEN = "could not be measured"


class Told(NamedTuple):
    """What a bound comes to: how it is ``broken``, or why that is ``unknown``; it holds if both are empty."""

    broken: str = ""
    unknown: str = ""


class BoundWatch(Protocol):
    """One bound."""

    def take(self, sample: GatewaySample, t: float) -> str:
        """How `sample`, taken at `t` of the run, breaks it; "" if it does not."""

    def finish(self) -> Told:
        """What all samples together say."""

    def expectation(self) -> str:
        """What is asked: ``never has more than 40 file descriptors``."""

    def figure(self) -> str:
        """What was measured: ``at most 12 file descriptors``; "" if nothing was."""


def amount(name: str, value: int) -> str:
    """``200 MB``, or ``40 file descriptors``."""
    if name == "memory":
        return format_size(value)
    return f"{value} {NOUNS[name][value != 1]}"


class MostBound:
    """Never more than `limit`."""

    def __init__(self, name: str, limit: int) -> None:
        self._name = name
        self._limit = limit
        self._peak = Peak(name)

    def take(self, sample: GatewaySample, t: float) -> str:
        self._peak.take(sample)
        value = self._peak.value
        if value is None or value <= self._limit:
            return ""
        return f"it had {amount(self._name, value)}{' of memory' if self._name == 'memory' else ''}"

    def finish(self) -> Told:
        if self._peak.value is None:
            return Told(unknown=f"its {_what(self._name)} {UNSEEN}")
        return Told()

    def expectation(self) -> str:
        what = " of memory" if self._name == "memory" else ""
        return f"never has more than {amount(self._name, self._limit)}{what}"

    def figure(self) -> str:
        value = self._peak.value
        return "" if value is None else f"at most {amount(self._name, value)}"


class GrowthBound:
    """What there is at the end is not more than `limit` above what there was after the warm-up."""

    def __init__(self, name: str, limit: int, warmup_s: float) -> None:
        self._name = name
        self._limit = limit
        self._growth = Growth(name, warmup_s)

    def take(self, sample: GatewaySample, t: float) -> str:
        self._growth.take(sample, t)
        return ""

    def finish(self) -> Told:
        grown = self._growth.grown()
        if grown is None:
            short = "it was not ready for long enough to tell"
            return Told(unknown=f"whether its {_what(self._name)} grew {UNSEEN}: {short}")
        if grown.growth <= self._limit:
            return Told()
        write = format_size if self._name == "memory" else str
        by, before, after = map(write, (grown.growth, grown.before, grown.after))
        return Told(f"its {_what(self._name)} grew by {by}, from {before} to {after}")

    def expectation(self) -> str:
        if not self._limit:
            return f"does not grow in {_what(self._name)}"
        return f"does not grow by more than {amount(self._name, self._limit)}"

    def figure(self) -> str:
        grown = self._growth.grown()
        if grown is None:
            return ""
        what = _what(self._name)
        if grown.growth <= 0:
            return f"no growth in {what}"
        write = format_size if self._name == "memory" else str
        return f"{what} grew by {write(grown.growth)}"


class CpuBound:
    """Of one core, not more than the share `limit` from ready to the end.

    On a busy machine a gateway that would use more may not get it. So it holds only if that is so of
    what it used together with what it waited for.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._share = CpuShare()

    def take(self, sample: GatewaySample, t: float) -> str:
        self._share.take(sample)
        return ""

    def finish(self) -> Told:
        share = self._share.share()
        if share is None:
            short = "it was not ready for long enough to tell"
            return Told(unknown=f"its use of the processor {UNSEEN}: {short}")
        if share > self._limit:
            return Told(f"it used {share:.1%} of a core")
        waited = self._share.waited()
        used = f"it used {share:.1%} of a core"
        if waited is None:
            return Told(unknown=f"{used}, and whether it had to wait for more {UNSEEN}")
        if share + waited > self._limit:
            return Told(
                unknown=f"{used}, and would have used more: it had to wait for one for {waited:.1%}"
            )
        return Told()

    def expectation(self) -> str:
        return f"uses at most {100 * self._limit:.4g}% of a core"

    def figure(self) -> str:
        share = self._share.share()
        return "" if share is None else f"{share:.1%} of a core"


def _what(name: str) -> str:
    return "memory" if name == "memory" else NOUNS[name][1]


def bounds_of(asked: GatewayExpectation, tolerance: float) -> list[BoundWatch]:
    """The bounds that `asked` sets."""
    found: list[BoundWatch] = []
    for name in ("fds", "memory", "threads", "children"):
        bound = getattr(asked, name)
        if bound is None:
            continue
        if bound.max is not None:
            found.append(MostBound(name, bound.max))
        if bound.growth is not None:
            found.append(GrowthBound(name, bound.growth, bound.warmup_s * tolerance))
    if asked.cpu_max is not None:
        found.append(CpuBound(asked.cpu_max))
    return found
