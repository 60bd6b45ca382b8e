"""What the gateway's processes use, as measured from outside, and what that comes to over a run.

A sample is a look at one moment; all of these take one after the other, in order. Nothing is said of what
no sample has shown: what could not be measured is None.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from iotsim.events import GatewayFigures

if TYPE_CHECKING:
    from collections.abc import Callable

WINDOW_S = 1.0
"""The first of a life, after its warm-up, and the last: between these something may have grown."""
FEWEST_SAMPLES = 3
"""In each of the two; so that what was open for a moment only is told from what stays open."""
LEAST_CPU_S = 0.5
"""Of a shorter time, a share of it says nothing."""


class GatewaySample(NamedTuple):
    """What the gateway, with all that it has started, uses at the moment ``at`` (seconds, steady).

    ``life`` counts its starts; ``stretch``, within a life, how often it has gone on after a pause.
    ``ready``: it is, and has not been told to end. Of memory there is ``resident``, the sum of the resident
    sets in bytes; ``proportional``, the same with what several processes share counted once; and ``peak``,
    the most that any one of them has had. ``waited_s`` is for how long its threads had to wait for a
    processor, which tells how much more they would have used. None is what was not asked for, or cannot
    be read.
    """

    life: int
    stretch: int
    at: float
    ready: bool
    processes: int
    threads: int
    children: int
    cpu_s: float
    fds: int | None = None
    resident: int | None = None
    proportional: int | None = None
    peak: int | None = None
    waited_s: float | None = None


Reading = tuple[int, ...]
"""What is compared, in one or several ways of counting: it has grown if it has in each."""


def _fds(sample: GatewaySample) -> Reading | None:
    return None if sample.fds is None else (sample.fds,)


def _memory(sample: GatewaySample) -> Reading | None:
    # A process that goes, or comes, changes what the others share.
    if sample.resident is None or sample.proportional is None:
        return None
    return sample.proportional, sample.resident


def _threads(sample: GatewaySample) -> Reading | None:
    return (sample.threads,)


def _children(sample: GatewaySample) -> Reading | None:
    return (sample.children,)


READINGS: dict[str, Callable[[GatewaySample], Reading | None]] = {
    "fds": _fds,
    "memory": _memory,
    "threads": _threads,
    "children": _children,
}


class Peak:
    """The most of one of `READINGS` in any sample: of memory from the start on, else once it is ready.

    Until then a launcher may be at work.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.value: int | None = None

    def take(self, sample: GatewaySample) -> None:
        reading = READINGS[self.name](sample)
        counts = sample.ready or self.name == "memory"
        if reading is None or not sample.processes or not counts:
            return
        value = reading[0]
        if self.name == "memory" and sample.peak is not None:
            value = max(value, sample.peak)
        self.value = value if self.value is None else max(self.value, value)


class Grown(NamedTuple):
    """By how much something has grown in a life, and from what to what."""

    growth: int
    before: int
    after: int


class Growth:
    """How much one of `READINGS` has grown from the warm-up of a life to its end, in any life.

    What is compared are the most of the first second after the warm-up, and the least of the last
    second: what comes and goes has not grown. `warmup_s` counts from when the life is ready, by the clock of
    the run; the seconds are real ones, in which samples are taken.
    """

    def __init__(self, name: str, warmup_s: float) -> None:
        self.name = name
        self.warmup_s = warmup_s
        self._read = READINGS[name]
        self._lives: dict[int, _LifeGrowth] = {}

    def take(self, sample: GatewaySample, t: float) -> None:
        """`t` is when it was taken, by the clock of the run."""
        reading = self._read(sample)
        if reading is None or not sample.ready or not sample.processes:
            return
        life = self._lives.setdefault(sample.life, _LifeGrowth(t + self.warmup_s))
        if t >= life.warm_at:
            life.take(sample.at, reading)

    def grown(self) -> Grown | None:
        """The worst life's; None if none was long enough to tell."""
        found = filter(None, (life.grown() for life in self._lives.values()))
        return max(found, default=None)


class _LifeGrowth:
    def __init__(self, warm_at: float) -> None:
        self.warm_at = warm_at
        """By the clock of the run."""
        self._begin: float | None = None
        self._before: list[Reading] = []
        self._last: deque[tuple[float, Reading]] = deque()

    def take(self, at: float, reading: Reading) -> None:
        if self._begin is None:
            self._begin = at
        if at <= self._begin + WINDOW_S:
            self._before.append(reading)
            return
        self._last.append((at, reading))
        while self._last[0][0] < at - WINDOW_S:
            self._last.popleft()

    def grown(self) -> Grown | None:
        after = [reading for _, reading in self._last]
        if min(len(self._before), len(after)) < FEWEST_SAMPLES:
            return None
        most_before = map(max, zip(*self._before, strict=True))
        least_after = map(min, zip(*after, strict=True))
        pairs = zip(most_before, least_after, strict=True)
        return min(Grown(now - then, then, now) for then, now in pairs)


class CpuShare:
    """Of one core, the share that was used from ready to the end, in all lives and stretches."""

    def __init__(self) -> None:
        self._stretches: dict[tuple[int, int], tuple[GatewaySample, GatewaySample]] = {}

    def take(self, sample: GatewaySample) -> None:
        if sample.ready:
            stretch = sample.life, sample.stretch
            first, _ = self._stretches.get(stretch, (sample, sample))
            self._stretches[stretch] = first, sample

    def share(self) -> float | None:
        """None if it was too short to tell."""
        used_s = sum(last.cpu_s - first.cpu_s for first, last in self._stretches.values())
        wall_s = self._wall_s()
        return None if wall_s < LEAST_CPU_S else used_s / wall_s

    def waited(self) -> float | None:
        """The share of the time for which threads had to wait for a processor, all of them together."""
        waited_s = 0.0
        for first, last in self._stretches.values():
            if first.waited_s is None or last.waited_s is None:
                return None
            waited_s += last.waited_s - first.waited_s
        wall_s = self._wall_s()
        return None if wall_s < LEAST_CPU_S else waited_s / wall_s

    def _wall_s(self) -> float:
        return sum(last.at - first.at for first, last in self._stretches.values())


class FigureLog:
    """All figures of a run, for its result."""

    def __init__(self) -> None:
        self._peaks = [Peak(name) for name in READINGS]
        self._cpu = CpuShare()
        self._samples = 0

    def take(self, sample: GatewaySample) -> None:
        self._samples += 1
        self._cpu.take(sample)
        for peak in self._peaks:
            peak.take(sample)

    def result(self) -> GatewayFigures:
        peaks = {peak.name: peak.value for peak in self._peaks}
        share = self._cpu.share()
        cpu = None if share is None else round(share, 4)
        return GatewayFigures(samples=self._samples, cpu=cpu, **peaks)
