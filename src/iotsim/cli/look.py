"""A look at a run while it goes on, and the lines that show it.

All of it is counted anyway, or was asked for by `RunOptions.live`. Lines are never wider than asked for:
what does not fit in one goes on in the next, and of a name that is longer than a line its middle is left
out (the report at the end has it whole).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.text import Text

from iotsim.cli.console import IN_ASCII
from iotsim.cli.figures import number, span
from iotsim.cli.page import flow
from iotsim.cli.standings import standing_lines
from iotsim.safetext import safe_line
from iotsim.simulation.answertimes import percentile
from iotsim.simulation.counters import Progress

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from iotsim.run.run import Run
    from iotsim.simulation.census import Census

RATE_S = 2.0
"""Rates and latencies are those of so long a time before."""
LEAST_RATE_S = 0.5
LEAST_LAG_S = 0.02


@dataclass(frozen=True)
class Look:
    """What there is to see at the moment `t`, in seconds of the run.

    ``gateway`` is its state, "" where there is none of ours; ``lost``, how many packets the kernel dropped
    before they could be read; ``ends``, when the run ends at the latest, None if only by a signal.
    """

    t: float
    progress: Progress
    names: Sequence[str] = ()
    gateway: str = ""
    lost: int = 0
    ends: float | None = None


def look_at(run: Run) -> Look:
    """What there is to see of `run` now."""
    scenario = run.scenario
    return Look(
        t=run.clock(),
        progress=run.crew.progress(),
        names=[safe_line(spec.name) for spec in scenario.expectations],
        gateway=run.gateway.state if run.gateway is not None else "",
        lost=run.doubts.lost,
        ends=None if run.options.serve else scenario.duration_s,
    )


@dataclass
class Trend:
    """How it goes, from one look to the next: rates in packets a second, and how long answers took lately."""

    in_rate: float = 0.0
    out_rate: float = 0.0
    answer_times: Mapping[int, int] = field(default_factory=dict)
    _looks: deque[Look] = field(default_factory=deque)

    def add(self, look: Look) -> Trend:
        """Take `look`, which is later than all before it."""
        looks = self._looks
        looks.append(look)
        while len(looks) > 2 and looks[1].t <= look.t - RATE_S:
            looks.popleft()
        before, now = looks[0], look
        # From the start on, nothing was before: so the first looks have a rate, too.
        then, since = (before.progress, before.t) if len(looks) > 1 else (Progress(), 0.0)
        span_s = max(now.t - since, LEAST_RATE_S)
        self.in_rate = (now.progress.received - then.received) / span_s
        self.out_rate = (now.progress.sent - then.sent) / span_s
        self.answer_times = {
            number: count - then.answer_times.get(number, 0)
            for number, count in now.progress.answer_times.items()
            if count > then.answer_times.get(number, 0)
        }
        return self


# --- lines ------------------------------------------------------------------------------------


def live_lines(
    look: Look, trend: Trend, columns: int, rows: int, *, signs: bool = True
) -> list[Text]:
    """The lines that show a look in a terminal of this size. `signs`: whether its encoding has more than
    ASCII."""
    lines = [
        Text(line)
        for parts in (run_parts(look), traffic_parts(look, trend), device_parts(look))
        for line in flow(parts, columns, signs=signs)
    ]
    room = rows - len(lines) - 1
    standings = look.progress.standings
    lines += standing_lines(look.names, standings, look.t, columns, room, signs=signs)
    if not signs:
        for line in lines:
            line.plain = line.plain.translate(IN_ASCII)
    return lines


def brief(look: Look, trend: Trend | None = None) -> str:
    """The same as one line without an end, for a log."""
    progress = look.progress
    received = f"{_packets(progress.received)} in"
    if trend is not None and trend.in_rate >= 1:
        received += f" ({number(trend.in_rate)}/s)"
    parts = [f"{look.t:.1f} s", received, f"{number(progress.answered)} answered"]
    if progress.pending:
        parts.append(f"{number(progress.pending)} pending")
    parts += [*_trouble_parts(look), *_verdict_parts(progress.verdicts)]
    if look.gateway:
        parts.append(f"gateway {look.gateway}")
    return " · ".join(parts)


def short(look: Look) -> str:
    """The same in a few words, the weightiest first: of one run among several."""
    verdicts = look.progress.verdicts
    counts = {"failed": False, "held": True, "pending": None}
    told = [f"{n} {word}" for word, verdict in counts.items() if (n := verdicts.count(verdict))]
    parts = [", ".join(told)] if told else []
    if look.gateway and look.gateway != "ready":
        parts.append(f"gateway {look.gateway}")
    return " · ".join([*parts, f"{_packets(look.progress.received)} in", *_trouble_parts(look)])


def run_parts(look: Look) -> list[str]:
    """Where the run is, its gateway, and its expectations."""
    parts = [f"{look.t:.1f} s" if look.ends is None else f"{look.t:.1f} of {look.ends:g} s"]
    if look.gateway:
        parts.append(f"gateway {look.gateway}")
    return [*parts, *_verdict_parts(look.progress.verdicts)]


def traffic_parts(look: Look, trend: Trend) -> list[str]:
    """What passes, how fast, and what is wrong with it."""
    progress = look.progress
    parts = [
        f"{_packets(progress.received)} in ({number(trend.in_rate)}/s)",
        f"{number(progress.sent)} out ({number(trend.out_rate)}/s)",
    ]
    if trend.answer_times:
        p50, p99 = (percentile(trend.answer_times, percent) for percent in (50, 99))
        parts.append(f"answers p50 {span(p50 or 0.0)}, p99 {span(p99 or 0.0)}")
    if progress.pending:
        parts.append(f"{number(progress.pending)} pending")
    return [*parts, *_trouble_parts(look)]


def device_parts(look: Look) -> list[str]:
    """The devices by state."""
    census = look.progress.census
    if census is None:
        return []
    counts = {
        "active": census.active,
        "idle": census.idle,
        "away": census.away,
        "waiting to boot": census.waiting,
        "failed": census.failed,
    }
    about = "about " if census.sampled else ""
    shown = [f"{about}{number(count)} {state}" for state, count in counts.items() if count]
    if len(shown) == 1:
        state = next(state for state, count in counts.items() if count)
        return [f"{_devices(census)} {state}"]
    return [_devices(census), *shown] if shown else []


def _packets(count: int) -> str:
    return "1 packet" if count == 1 else f"{number(count)} packets"


def _devices(census: Census) -> str:
    total = census.active + census.idle + census.away + census.waiting + census.failed
    return "1 device" if total == 1 else f"{number(total)} devices"


def _verdict_parts(verdicts: Sequence[bool | None]) -> list[str]:
    counts = {"held": True, "failed": False, "pending": None}
    parts = [
        f"{count} {word}" for word, verdict in counts.items() if (count := verdicts.count(verdict))
    ]
    if not parts:
        return []
    noun = "expectation" if len(verdicts) == 1 else "expectations"
    return [f"{noun}: {', '.join(parts)}"]


def _trouble_parts(look: Look) -> list[str]:
    progress, parts = look.progress, []
    if progress.dropped:
        parts.append(f"{number(progress.dropped)} dropped")
    if look.lost:
        parts.append(f"{number(look.lost)} lost")
    if progress.lag >= LEAST_LAG_S:
        parts.append(f"lag {span(progress.lag)}")
    return parts
