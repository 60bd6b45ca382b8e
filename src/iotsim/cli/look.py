"""A look at a run while it goes on, and the lines that show it.

All of it is counted anyway, or was asked for by `RunOptions.live`. Lines are never wider than asked for:
what does not fit in one goes on in the next, and of a name that is longer than a line its middle is left
out (the report at the end has it whole).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from rich.cells import cell_len
from rich.text import Text

from iotsim.cli.console import IN_ASCII
from iotsim.cli.page import flow, squeeze
from iotsim.expect.text import plural
from iotsim.safetext import safe_line
from iotsim.simulation.answertimes import percentile
from iotsim.simulation.counters import Progress

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from iotsim.expect.standing import Standing
    from iotsim.run.run import Run
    from iotsim.simulation.census import Census

RATE_S = 2.0
"""Rates and latencies are those of so long a time before."""
LEAST_RATE_S = 0.5
LEAST_LAG_S = 0.02
BAR_FROM_COLUMNS = 100
BAR_CELLS = 20
STATE_CELLS = 9
HEAD_CELLS = 2 + STATE_CELLS
GAP_CELLS = 2
NOUNS = {"device": "device", "message": "message", "part": "step", "time": "time"}
STYLES = {"held": "green", "failed": "red", "pending": "", "waiting": "dim"}


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
    ellipsis = "…" if signs else "..."
    lines = [
        Text(line)
        for parts in (run_parts(look), traffic_parts(look, trend), device_parts(look))
        for line in flow(parts, columns, signs=signs)
    ]
    lines += _expectation_lines(look, columns, rows - len(lines) - 1, ellipsis, signs)
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


def standing_text(standing: Standing, t: float) -> str:
    """How far an expectation is, in words; "" where there is nothing to tell but its state."""
    held, broken, total = standing.held, standing.broken, standing.total
    if standing.after:
        return f"after '{safe_line(standing.after)}'"
    text = ""
    if standing.unit == "time":
        text = f"{number(held)} times measured"
    elif standing.keeps and standing.unit == "message":
        text = f"{plural(held, 'message')}, at most {number(total)}"
    elif standing.keeps and standing.unit == "device" and broken:
        text = f"{number(broken)} of {number(total)} devices broke it"
    elif standing.keeps and standing.verdict is None:
        text = "holds so far"
    elif standing.unit and total > 1:
        text = f"{number(held)} of {number(total)} {NOUNS[standing.unit]}s"
        if broken:
            text += f", {number(broken)} failed"
    if standing.verdict is None and standing.due is not None and standing.due > t:
        left = f"{standing.due - t:.1f} s left"
        text = f"{text}, {left}" if text else left
    return text


def number(value: float) -> str:
    """``12,345``; ``1.23 M`` from a million on."""
    if value >= 1e6:
        return f"{value / 1e6:.2f} M"
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"


def span(seconds: float) -> str:
    """A span of time to two digits: ``310 µs``, ``12 ms``, ``1.2 s``."""
    value, unit = seconds, "s"
    for smaller in ("ms", "µs"):
        if value < 1:
            value, unit = value * 1e3, smaller
    rounded = float(f"{value:.2g}")
    return f"{rounded:.0f} {unit}" if rounded >= 10 else f"{rounded:g} {unit}"


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


def _state(standing: Standing) -> str:
    if standing.verdict is None:
        return "waiting" if standing.after else "pending"
    return "held" if standing.verdict else "failed"


def _expectation_lines(
    look: Look, columns: int, rows: int, ellipsis: str, signs: bool
) -> list[Text]:
    """The expectations, those first that failed, and then those that are open; the rest is counted."""
    pairs = list(zip(look.names, look.progress.standings, strict=False))
    ranks = {"failed": 0, "pending": 1, "waiting": 2, "held": 3}
    pairs.sort(key=lambda pair: ranks[_state(pair[1])])
    rows_of = [
        _Row(name, _state(one), _told(one, look.t, columns, signs=signs)) for name, one in pairs
    ]
    place = _place(rows_of, columns)
    blocks = [_row_lines(row, place, columns, ellipsis) for row in rows_of]
    lines: list[Text] = []
    for place, block in enumerate(blocks):
        last = place == len(blocks) - 1
        if len(lines) + len(block) > rows - (not last):
            states = [_state(standing) for _, standing in pairs[place:]]
            counts = (f"{states.count(s)} {s}" for s in ranks if s in states)
            more = f"  and {len(states)} more: {', '.join(counts)}"
            return [*lines, Text(squeeze(more, columns, ellipsis), "dim")] if rows > 0 else []
        lines += block
    return lines


class _Row(NamedTuple):
    name: str
    state: str
    told: str


def _told(standing: Standing, t: float, columns: int, *, signs: bool) -> str:
    """How far it is, with a bar where there is room for one."""
    text = standing_text(standing, t)
    counted = standing.total > 1 and not (standing.keeps or standing.after)
    if columns < BAR_FROM_COLUMNS or not counted or not text:
        return text
    return f"{_bar(standing.held / standing.total, signs=signs)}  {text}"


def _place(rows: Sequence[_Row], columns: int) -> int:
    """How many columns the names have, so that what is told of each begins at the same place."""
    room = columns - HEAD_CELLS
    ends = [
        cell_len(row.name)
        for row in rows
        if row.told and cell_len(row.name) + GAP_CELLS + cell_len(row.told) <= room
    ]
    longest = max((cell_len(row.told) for row in rows), default=0)
    return min(max(ends, default=0), max(0, room - GAP_CELLS - longest))


def _row_lines(row: _Row, place: int, columns: int, ellipsis: str) -> list[Text]:
    head = Text.assemble("  ", (f"{row.state:<{STATE_CELLS}}", STYLES[row.state]))
    room = max(1, columns - HEAD_CELLS)
    name = squeeze(row.name, room, ellipsis)
    if not row.told:
        return [Text.assemble(head, name)]
    gap = max(GAP_CELLS, place + GAP_CELLS - cell_len(name))
    if cell_len(name) + gap + cell_len(row.told) <= room:
        return [Text.assemble(head, name, " " * gap, (row.told, "dim"))]
    told = (squeeze(row.told, room, ellipsis), "dim")
    return [Text.assemble(head, name), Text.assemble(" " * HEAD_CELLS, told)]


def _bar(share: float, *, signs: bool) -> str:
    full = int(BAR_CELLS * min(1.0, share))
    done, rest = ("█", "░") if signs else ("#", ".")
    return done * full + rest * (BAR_CELLS - full)
