"""``gateway``: what is expected of the gateway's own process, its output and its end."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from iotsim.expect import text
from iotsim.expect.lapses import Ground, Grounds

if TYPE_CHECKING:
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
        self.error = ""
        self._deadline = math.inf
        self._missing = {"stdout_contains"} if self.asked.stdout_contains else set()
        if self.asked.stdout_regex is not None:
            self._missing.add("stdout_regex")
        self._exited: str = ""
        self._ready_at = 0.0
        self._broken_on = Grounds()

    def ready(self, t: float) -> None:
        self._ready_at = t
        if self.window_s is not None and self._missing:
            self._deadline = t + self.window_s

    def output(self, line: str, t: float) -> None:
        """The gateway printed `line`."""
        if self.closed:
            return
        line = line[:LINE_CHARACTERS]
        asked = self.asked
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
        if self.closed:
            return
        self._exited = f"it was ended by {signal}" if signal else f"it exited with status {status}"
        right = not signal and status == self.asked.exit
        if self.asked.running or (self.asked.exit is not None and not right):
            self._fail(t, self._exited)
        self._check(t)

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
        if self._missing:
            self._fail(None, self._unseen(), Ground(0.0, now))
        elif (asked.running is False or asked.exit is not None) and not self._exited:
            self._fail(None, "it was still running at the end", Ground(0.0, now))
        else:
            self.verdict = self.closed = True

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
        }

    def _check(self, t: float) -> None:
        """Whether everything is settled before the end: ``running`` and ``not`` never are."""
        asked = self.asked
        if self.closed or self._missing or asked.running or asked.stdout_not is not None:
            return
        if (asked.exit is not None or asked.running is False) and not self._exited:
            return
        self.verdict = self.closed = True
        self.decided_at = t

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
