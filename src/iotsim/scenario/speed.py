"""``speed``: what a run whose clock goes faster asks of the scenario."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from iotsim.units import Tolerance

if TYPE_CHECKING:
    from iotsim.expect.spec import Part
    from iotsim.scenario.loading import Loading
    from iotsim.scenario.model import Scenario


def at_speed(scenario: Scenario, loading: Loading) -> Scenario:
    """`scenario` as it is judged at its speed.

    The floor of tolerances in percent is what cannot be told from noise, and noise comes in real time.
    Somebody else's gateway keeps to that, too, whatever the scenario says: so there must be one of ours.
    """
    if scenario.pace == 1:
        return scenario
    if scenario.gateway is None or not scenario.gateway.command:
        message = "makes the gateway's clock run faster, too, so the run has to start the gateway"
        hint = "give its 'command' in [gateway]"
        loading.problems.add(("scenario", "speed"), message, hint, of_key=True)
    expectations = tuple(
        replace(spec, parts=tuple(_scaled(part, scenario.pace) for part in spec.parts))
        for spec in scenario.expectations
    )
    return replace(scenario, expectations=expectations)


def _scaled(part: Part, pace: float) -> Part:
    after = part.after
    if not isinstance(after, Tolerance) or not after.relative:
        return part
    return replace(part, after=after._replace(absolute_s=after.absolute_s * max(pace, 1.0)))
