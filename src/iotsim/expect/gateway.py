"""``gateway``: what is expected of the gateway's own process, its output and its end."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from iotsim.expect import text
from iotsim.expect.bounds import bounds_of
from iotsim.expect.lapses import Ground, Grounds
from iotsim.expect.sanitizer import Report, is_report
from iotsim.expect.standing import Standing

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotsim.expect.figures import GatewaySample
    from iotsim.expect.spec import ExpectSpec
    from iotsim.expect.watcher import Export

LINE_CHARACTERS = 4096
"""Only so much of a line of output is searched: a gateway may print anything."""


class GatewayWatcher:
    """One expectation of kind gateway. Every condition in it must hold."""

    def __init__(self, spec: ExpectSpec, tolerance: float) -> None:
        assert spec.gateway is not None
        self.spec = spec
        self.asked = spec.gateway
        self.window_s = None if spec.within_s is None else spec.within_s * tolerance
        self.verdict: bool | None = None
        self.decided_at: float | None = None
        self.closed = False
        self.why = ""
        self._report: Report | None = None
        """What a sanitizer prints, which has broken it."""
        self.error = ""
        self.waiting = bool(spec.after)
        """What it comes after has not come."""
        self.followed: Callable[[float], object] | None = None
        """Called at once when it holds: others come after it."""
        self._deadline = math.inf
        self._missing = {"stdout_contains"} if self.asked.stdout_contains else set()
        if self.asked.stdout_regex is not None:
            self._missing.add("stdout_regex")
        self._exited: str = ""
        self._ready_at = 0.0
        self._broken_on = Grounds()
        self._ended_by = ""
        """How a step has ended it, if one has."""
        self._bounds = bounds_of(self.asked, tolerance)
        self._unmeasured = ""

    def ready(self, t: float) -> None:
        self._ready_at = t
        if self.window_s is not None and self._missing:
            self._deadline = t + self.window_s

    def begin(self, t: float) -> None:
        """What it comes after has come, at `t`."""
        self.waiting = False
        self.ready(t)

    def output(self, line: str, t: float) -> None:
        """The gateway printed `line`."""
        self._go_on(line)
        if self.closed or self.waiting:
            return
        line = line[:LINE_CHARACTERS]
        asked = self.asked
        self._read_report(line, t)
        if asked.stdout_not is not None and asked.stdout_not.search(line):
            self._fail(t, f"it printed {text.value_text(line)}")
        if asked.stdout_contains and asked.stdout_contains in line:
            self._missing.discard("stdout_contains")
        if asked.stdout_regex is not None and asked.stdout_regex.search(line):
            self._missing.discard("stdout_regex")
        if not self._missing:
            self._deadline = math.inf
        self._check(t)

    def exited(self, status: int | None, signal: str, t: float) -> None:
        """The gateway ended by itself: with `status`, or killed by a signal of this name."""
        if self.closed or self.waiting:
            return
        self._exited = f"it was ended by {signal}" if signal else f"it exited with status {status}"
        right = not signal and status == self.asked.exit
        if self.asked.running or (self.asked.exit is not None and not right):
            self._fail(t, self._exited)
        self._check(t)

    def ended_by(self, how: str, t: float) -> None:
        """A step has ended it, by `how`: "stop" or "kill"."""
        self._ended_by = text.at(f"a step ended it: {how}", t)

    def measured(self, sample: GatewaySample | None, t: float) -> None:
        """What it uses; None: that cannot be measured on this machine."""
        if self.closed or self.waiting or not self._bounds:
            return
        if sample is None:
            self._unmeasured = "/proc does not show the gateway's processes here"
            return
        for bound in self._bounds:
            if why := bound.take(sample, t):
                self._fail(t, why)

    def last_words(self, line: str, t: float) -> None:
        """It printed `line` while it was being stopped, when all is judged: it may report only then."""
        self._go_on(line)
        if self.asked.no_report and self.verdict:
            self.closed = False
            self._read_report(line[:LINE_CHARACTERS], t)
            self.closed = True

    def standing(self) -> Standing:
        """How far it is now."""
        keeps = not self._missing and (self.asked.exit is None and self.asked.running is not False)
        return Standing(
            self.verdict,
            keeps=keeps,
            due=None if math.isinf(self._deadline) else self._deadline,
            after=self.spec.after if self.waiting else "",
        )

    def deadline(self) -> float:
        return math.inf if self.closed else self._deadline

    def advance(self, now: float) -> None:
        if not self.closed and now >= self._deadline:
            ground = Ground(self._ready_at, self._deadline, self.window_s)
            self._fail(self._deadline, self._unseen(), ground)

    def finish(self, now: float) -> None:
        if self.closed:
            return
        asked = self.asked
        if self.waiting:
            self._fail(None, text.never_began(self.spec.after), Ground(0.0, now))
        elif self._missing:
            self._fail(None, self._unseen(), Ground(0.0, now))
        elif (asked.running is False or asked.exit is not None) and not self._exited:
            why = self._ended_by or "it was still running at the end"
            self._fail(None, why, Ground(0.0, now))
        else:
            self._finish_bounds()
            self.closed = True
            self.verdict = self.verdict is not False and not self._unmeasured

    def expectation(self) -> str:
        asked = self.asked
        parts: list[str] = []
        if asked.running is not None:
            parts.append("keeps running" if asked.running else "ends by itself")
        if asked.exit is not None:
            parts.append(f"exits with status {asked.exit}")
        if asked.stdout_contains:
            parts.append(f"prints {text.value_text(asked.stdout_contains)}")
        if asked.stdout_regex is not None:
            parts.append(f"prints a line that matches {asked.stdout_regex.pattern!r}")
        if asked.stdout_not is not None:
            parts.append(f"prints no line that matches {asked.stdout_not.pattern!r}")
        if asked.no_report:
            parts.append("prints no report of a sanitizer")
        parts += [bound.expectation() for bound in self._bounds]
        limit = "" if self.window_s is None else f", within {text.seconds(self.window_s)}"
        return f"the gateway {' and '.join(parts)}{limit}"

    def export(self) -> Export:
        return {
            "name": self.spec.name,
            "kind": self.spec.kind,
            "severity": self.spec.severity,
            "place": self.spec.place,
            "expected": self.expectation(),
            "failed": self.verdict is False,
            "decided_at": self.decided_at,
            "text": self.why,
            "broken_on": self._broken_on.export(),
            "unmeasured": self._unmeasured if self.closed and not self.why else "",
            "figures": ", ".join(filter(None, (bound.figure() for bound in self._bounds))),
        }

    def _read_report(self, line: str, t: float) -> None:
        if self.asked.no_report and is_report(line):
            self._report = Report(line)
            self._fail(t, f"it printed {self._report}")

    def _go_on(self, line: str) -> None:
        """The report may go on with `line`."""
        if self._report is not None:
            self._report.take(line[:LINE_CHARACTERS])
            self.why = f"it printed {self._report}"

    def _finish_bounds(self) -> None:
        """What the whole time shows; what cannot be told of a bound leaves it open."""
        for bound in self._bounds:
            broken, unknown = bound.finish()
            if broken:
                self._fail(None, broken)
            elif unknown:
                self._unmeasured = self._unmeasured or unknown

    def _check(self, t: float) -> None:
        """Whether everything is settled before the end: what must not come, and what it uses, never is."""
        asked = self.asked
        if self.closed or self._missing or asked.running or asked.stdout_not is not None:
            return
        if asked.no_report or self._bounds:
            return
        if (asked.exit is not None or asked.running is False) and not self._exited:
            return
        self.verdict = self.closed = True
        self.decided_at = t
        if self.followed is not None:
            self.followed(t)

    def _fail(self, t: float | None, why: str, on: Ground | None = None) -> None:
        """`on` is what decided that; None: it is proved."""
        if not self.closed:
            self._broken_on.add(on)
            self.verdict = False
            self.closed = True
            self.decided_at = t
            self.why = why

    def _unseen(self) -> str:
        missing: list[Any] = []
        if "stdout_contains" in self._missing:
            missing.append(text.value_text(self.asked.stdout_contains))
        if "stdout_regex" in self._missing and self.asked.stdout_regex is not None:
            missing.append(f"a line that matches {self.asked.stdout_regex.pattern!r}")
        ended = f" ({self._exited})" if self._exited else ""
        return f"it did not print {' and '.join(missing)}{ended}"
