"""What happens in a run, told line by line as it happens: decisions, steps, faults, the gateway's output."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from rich.console import Group
from rich.text import Text

from iotsim import events as e
from iotsim.cli.page import Page
from iotsim.expect.text import plural
from iotsim.safetext import safe_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from iotsim.cli.console import SafeConsole

WHAT_CELLS = 8
OUTPUT = "|"
MOST_A_SECOND = 200
"""At most this many lines are shown of what may come in any number: showing one takes 0.1 ms, in which
nothing is simulated."""
UNCOUNTED = (e.GatewayOutput, e.DeviceRebooted, e.DeviceFailed, e.SessionFailed, e.NoRule)
"""What comes in any number."""
STYLES = {"held": "green", "failed": "red", "in doubt": "yellow", "late": "yellow", "error": "red"}


class Narrator:
    """An event sink that prints to `console` what `describe` says, from `begin` until `end`."""

    def __init__(self, console: SafeConsole) -> None:
        self._console = console
        self._begun = False
        self._early: list[e.Event] = []
        self._told: dict[int, str] = {}
        """By its number, what was told of an expectation."""
        self._second = -1
        self._shown = 0
        """How many of those that are bounded were shown in this second."""
        self._left_out = 0

    def begin(self) -> None:
        """What was to be printed first has been."""
        self._begun = True
        early, self._early = self._early, []
        self(early)

    def end(self) -> None:
        """Nothing comes any more."""
        self._print(self._lines_left_out())

    def __call__(self, batch: Sequence[e.Event]) -> None:
        found = [event for event in batch if type(event) in DESCRIPTIONS]
        if not self._begun:
            self._early += found
            return
        lines: list[Text] = []
        page = Page(self._console, lines.append)
        for event in found:
            if isinstance(event, UNCOUNTED):
                if self._is_too_much(event):
                    continue
                lines += self._lines_left_out()
            elif isinstance(event, e.ExpectationDecided) and not self._is_news(event):
                continue
            what, text = describe(event)
            when = f"  {event.t:8.3f} s  "
            head = Text.assemble((when, "dim"), (f"{what:<{WHAT_CELLS}} ", STYLES.get(what, "")))
            page.hang(head, text, "dim" if what == OUTPUT else "")
        self._print(lines)

    def _print(self, lines: Sequence[Text]) -> None:
        if lines:  # all at once, as each printing redraws what is live below
            self._console.print(Group(*lines))

    def _is_too_much(self, event: e.Event) -> bool:
        second = int(event.t)
        if second != self._second:
            self._second, self._shown = second, 0
        self._shown += 1
        self._left_out += self._shown > MOST_A_SECOND
        return self._shown > MOST_A_SECOND

    def _lines_left_out(self) -> list[Text]:
        count, self._left_out = self._left_out, 0
        if not count:
            return []
        told = f"and {plural(count, 'more line')}: events.jsonl has all"
        return [Text(f"{'':14}{told}", "dim")]

    def _is_news(self, event: e.ExpectationDecided) -> bool:
        """More may be known of it at the end: only what changes its verdict is news."""
        number, state = event.outcome.number, _state(event.outcome)
        told, self._told[number] = self._told.get(number), state
        return told != state


def describe(event: e.Event) -> tuple[str, str]:
    """What kind of thing `event` is, in a word, and what happened, as one line."""
    what, text = DESCRIPTIONS[type(event)](event)
    return what, safe_line(text)


def _state(outcome: e.Outcome) -> str:
    if outcome.error:
        return "error"
    if outcome.inconclusive:
        return "in doubt"
    return "held" if outcome.passed else "failed"


def _decided(event: e.ExpectationDecided) -> tuple[str, str]:
    outcome = event.outcome
    why = outcome.error or outcome.inconclusive or outcome.actual
    return _state(outcome), f"{outcome.name}: {why}" if why else outcome.name


def _exited(event: e.GatewayExited) -> tuple[str, str]:
    how = f"ended by {event.signal}" if event.signal else f"exited with status {event.status}"
    asked = {"stop": ", as a step asked", "kill": ", killed by a step", "end": ", with the run"}
    return "gateway", how + asked.get(event.by, "") + (", a crash" if event.crashed else "")


def _no_rule(event: e.NoRule) -> tuple[str, str]:
    one = event.unmatched
    return "no rule", f"{one.device}: {one.kind or one.protocol}; {one.nearest or 'there is none'}"


def _fault(event: e.FaultChanged) -> tuple[str, str]:
    state = "begins" if event.begun else "is over"
    return "fault", f"{event.name} {state}: {event.fault}, {event.devices}"


DESCRIPTIONS: dict[type[e.Event], Callable[..., tuple[str, str]]] = {
    e.LinkUp: lambda x: ("link", f"{' '.join(dict.fromkeys((x.kind, x.name)))}, MTU {x.mtu}"),
    e.GatewayStarted: lambda x: ("gateway", f"started, process {x.pid}: {shlex.join(x.command)}"),
    e.GatewayReady: lambda x: ("gateway", f"ready: {x.how}"),
    e.GatewayOutput: lambda x: (OUTPUT, x.line.expandtabs()),
    e.GatewayPaused: lambda _: ("gateway", "paused"),
    e.GatewayResumed: lambda _: ("gateway", "resumed"),
    e.GatewayExited: _exited,
    e.ExpectationDecided: _decided,
    e.StepDone: lambda x: ("step", x.name),
    e.CommandDone: lambda x: ("command", ", ".join(f"{k}={v}" for k, v in x.command.items())),
    e.FaultChanged: _fault,
    e.DeviceRebooted: lambda x: ("reboot", x.device),
    e.DeviceFailed: lambda x: ("error", f"{x.device} has stopped: {x.error}"),
    e.SessionFailed: lambda x: ("error", f"{x.device}: its session failed: {x.error}"),
    e.NoRule: _no_rule,
    e.SimulatorLag: lambda x: ("late", f"{1000 * x.lag_s:.0f} ms: {x.what}"),
    e.Note: lambda x: ("note", x.text),
}
"""By kind of event: a word, and a text. What is not here, such as each message, is not told."""
