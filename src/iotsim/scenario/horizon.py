"""The horizon of a run: what a scenario puts beyond the run's end can never come to be.

A window that is not over when the run ends proves nothing, neither for a gateway nor against it; a
rule, or a device, that would begin then is as good as not there. So both are problems of the file,
or of what the command line put in place of its duration, and not of the gateway.

Windows count from when the gateway is ready, and for a device that boots later from its boot. When
the gateway will be ready is known only if the scenario says so by a delay, or by the time of the step
that starts it. A tolerance scales windows and duration, not boots and delays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from iotsim.expect.text import seconds
from iotsim.units import DurationRange

if TYPE_CHECKING:
    from iotsim.device.spec import FleetSpec
    from iotsim.scenario.loading import Loading
    from iotsim.scenario.model import Scenario


@dataclass(frozen=True)
class Horizon:
    """How long a run lasts at most, and how to say so; all times with the tolerance in them.

    `ready_s` is when the gateway is ready, as far as that is known.
    """

    end_s: float
    tolerance: float
    ready_s: float
    text: str
    hint: str
    pace: float = 1.0
    """How many seconds of the run a real second has."""

    def boots(self, fleet: FleetSpec, index: int) -> DurationRange:
        """When a device boots."""
        start_s = 0.0 if fleet.boot_with_run else self.ready_s
        start_s += fleet.ramp_s * index / max(fleet.count, 1)
        delay = fleet.boot_delay or DurationRange(0.0, 0.0)
        return DurationRange(start_s + delay.low_s, start_s + delay.high_s)

    def window(self, length_s: float, begin_s: float) -> str:
        """Why a window that begins at `begin_s` cannot be complete, or ""."""
        return self._beyond(length_s * self.tolerance, begin_s)

    def first_span(self, length_s: float, begin_s: float) -> str:
        """The same of the first of consecutive windows that does not begin before `begin_s`."""
        scaled_s = length_s * self.tolerance
        spans = math.ceil((begin_s - self.ready_s) / scaled_s - 1e-9)
        return self._beyond(scaled_s, self.ready_s + spans * scaled_s)

    def moment(self, t: float) -> str:
        """Why what begins at `t` can never come to be, or ""."""
        return f"{seconds(t)} is not within {self.text}" if t >= self.end_s else ""

    def _beyond(self, length_s: float, begin_s: float) -> str:
        end_s = begin_s + length_s
        if end_s <= self.end_s * (1 + 1e-9):
            return ""
        if not begin_s:
            return f"{seconds(length_s)} is longer than {self.text}"
        return (
            f"{seconds(length_s)} that may begin {seconds(round(begin_s, 3))} into the run "
            f"would end {seconds(round(end_s, 3))} into {self.text}"
        )


def horizon_of(scenario: Scenario, loading: Loading) -> Horizon:
    """The horizon of a scenario whose ``[scenario]`` and ``[gateway]`` are known."""
    end_s = scenario.duration_s * scenario.tolerance if loading.duration_known else math.inf
    text = f"the run, which lasts {seconds(end_s)} at most"
    overrides = loading.overrides
    hint = "see duration in [scenario]"
    if overrides.duration_s is not None:
        text, hint = f"{text}, by --duration", "give it a longer --duration"
    if scenario.tolerance != 1:
        given = "" if overrides.tolerance is None else "--"
        text += f", with a {given}tolerance of {scenario.tolerance:g}"
    gateway = scenario.gateway
    ready_s = 0.0
    if gateway is not None:
        ready_s = gateway.starts_s
        if gateway.ready is not None and gateway.ready.delay_s is not None:
            ready_s += gateway.ready.delay_s
    return Horizon(end_s, scenario.tolerance, ready_s, text, hint, scenario.pace)


NO_HORIZON = Horizon(math.inf, 1.0, 0.0, "", "")
"""Of what may last for ever."""
