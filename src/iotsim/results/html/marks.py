"""What happened at a moment, or for a while, for the time axis."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from iotsim.events import (
    CommandDone,
    DeviceFailed,
    DeviceRebooted,
    ExpectationDecided,
    FaultChanged,
    GatewayExited,
    GatewayPaused,
    GatewayReady,
    GatewayResumed,
    GatewayStarted,
    LinkUp,
    Note,
    RunEnded,
    SessionFailed,
    SimulatorLag,
    StepDone,
)
from iotsim.results.html.index import EARLIEST, LATEST
from iotsim.results.html.table import seconds, shown, shown_value
from iotsim.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iotsim.events import Event, Outcome
    from iotsim.results.html.index import Index

MOST_MARKS = 2000
MOST_OF_A_KIND = 400
CHARACTERS = 300
OF_A_STEP_S = 0.01
"""A command that comes so soon before a step was done is the step's."""


class Marks:
    """Marks, made of events in their order; ``left`` counts, by kind, those that were too many."""

    def __init__(self) -> None:
        self.marks: list[dict[str, Any]] = []
        self.left: Counter[str] = Counter()
        self._counts: Counter[str] = Counter()
        self._open: dict[tuple[str, str], dict[str, Any]] = {}

    def add(self, t: float, what: str, text: str, **more: Any) -> dict[str, Any]:
        """Put down a mark, as long as there is room; it."""
        mark = {"t": seconds(t), "what": what, "text": shown(text, CHARACTERS), **more}
        if self._counts[what] < MOST_OF_A_KIND and len(self.marks) < MOST_MARKS:
            self._counts[what] += 1
            self.marks.append(mark)
        else:
            self.left[what] += 1
        return mark

    def begin(self, key: tuple[str, str], t: float, text: str) -> None:
        """Something goes on until `end`; what was going on by that key is over."""
        self.end(key, t)
        self._open[key] = self.add(t, key[0], text, until=None)

    def end(self, key: tuple[str, str], t: float) -> None:
        if (mark := self._open.pop(key, None)) is not None:
            mark["until"] = seconds(t)

    def take(self, t: float, event: Event) -> None:
        """Put down what `event` is, if it is one for the axis."""
        match event:
            case LinkUp():
                self.add(t, "link-up", f"{event.kind} {event.name} {' '.join(event.addresses[:8])}")
            case GatewayStarted():
                self.begin(
                    ("gateway-started", str(event.life)),
                    t,
                    f"life {event.life}, process {event.pid}: {' '.join(event.command[:64])}",
                )
            case GatewayReady():
                self.add(t, "gateway-ready", event.how)
            case GatewayExited():
                self.end(("gateway-started", str(event.life)), t)
                self.end(("gateway-paused", ""), t)
                self.add(t, "gateway-exited", _exit(event), **_bad(event.crashed))
            case GatewayPaused():
                self.begin(("gateway-paused", ""), t, "all of its processes stand")
            case GatewayResumed():
                self.end(("gateway-paused", ""), t)
            case FaultChanged():
                self._fault(t, event)
            case StepDone():
                self._drop_commands(t)
                self.add(t, "step", event.name)
            case CommandDone():
                told = shown_value(event.command)
                self.add(t, "command", ", ".join(f"{key}={told[key]}" for key in told))
            case ExpectationDecided():
                outcome = event.outcome
                text = f"{outcome.name}: {outcome.actual}"
                bad = not outcome.passed and outcome.severity != "warning"
                self.add(t, "expectation", text, number=outcome.number, **_bad(bad))
            case DeviceFailed():
                self.add(t, "device-failed", f"{event.device}: {event.error}", bad=True)
            case SessionFailed():
                self.add(t, "session-failed", f"{event.device}: {event.error}", bad=True)
            case DeviceRebooted():
                self.add(t, "device-rebooted", event.device)
            case SimulatorLag():
                self.add(t, "lag", f"{event.what}: {format_duration(max(0.0, event.lag_s))}")
            case Note():
                self.add(t, "note", event.text)
            case RunEnded():
                bad = event.verdict not in ("passed", "empty", "skipped", "inconclusive")
                self.add(t, "run-ended", f"{event.verdict}: {event.reason}", **_bad(bad))

    def _drop_commands(self, t: float) -> None:
        """Forget the commands that a step at `t` has just given: it says what they do."""
        while self.marks and self.marks[-1]["what"] == "command":
            if self.marks[-1]["t"] < t - OF_A_STEP_S:
                break
            self._counts["command"] -= 1
            del self.marks[-1]

    def _fault(self, t: float, event: FaultChanged) -> None:
        key, text = (
            ("fault", f"{event.name} {event.devices}"),
            f"{event.name}: {event.fault} of {event.devices}",
        )
        if not event.begun:
            self.end(key, t)
        elif event.fault == "reboot":
            self.add(t, "fault", text)
        else:
            self.begin(key, t, text)


def _bad(bad: bool) -> Mapping[str, bool]:
    return {"bad": True} if bad else {}


def _exit(event: GatewayExited) -> str:
    how = f"by {event.signal}" if event.signal else f"with status {event.status}"
    why = {"": "by itself", "end": "at the end of the run"}.get(event.by, f"told to {event.by}")
    return f"life {event.life} {how}, {why}{': a crash' if event.crashed else ''}"


def decided_at(outcome: Outcome, end: float) -> float:
    """When `outcome` was decided; at the `end` where it does not say, or says what cannot be."""
    return possible(outcome.t, end)


def possible(t: float | None, end: float) -> float:
    """A time that an outcome tells; the `end` where it tells none, or one that cannot be."""
    return t if t is not None and EARLIEST <= t <= LATEST else end


def marks_of(index: Index) -> dict[str, Any]:
    """The document's ``marks`` and ``marks_left_out``. Of each expectation, only its last outcome counts."""
    marks = Marks()
    last = {
        event.outcome.number: place
        for place, (_, event) in enumerate(index.rare)
        if isinstance(event, ExpectationDecided)
    }
    for place, (t, event) in enumerate(index.rare):
        if isinstance(event, ExpectationDecided):
            if last[event.outcome.number] != place:
                continue
            t = decided_at(event.outcome, t)
        marks.take(t, event)
    left = marks.left + index.rare_left
    ordered = sorted(marks.marks, key=lambda mark: mark["t"])
    return {"marks": ordered, "marks_left_out": dict(sorted(left.items()))}
