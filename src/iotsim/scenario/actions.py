"""Actions: what devices do because they are told to, and not by a rule of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iotsim.device.schedule import Schedule
from iotsim.scenario.fleets import expression_names
from iotsim.scenario.horizon import NO_HORIZON
from iotsim.scenario.problems import Problems
from iotsim.scenario.rules import RuleBuilder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iotsim.device.spec import FleetSpec


def build_action(spec: FleetSpec, table: Mapping[str, Any], *, by_clock: bool = False) -> Schedule:
    """The action that `table` says, for devices of `spec`: ``build`` of it does it once.

    `table` has ``set``, or ``send`` with ``to`` and ``protocol``, or both, as a rule would have them.
    `by_clock` is the fleet's. ScenarioError if these devices cannot do it.
    """
    problems = Problems("command")
    builder = RuleBuilder(spec.services, expression_names(spec), NO_HORIZON, 0.0, problems)
    rule = builder.build(table, (), asked=False)
    problems.raise_any()
    assert rule is not None  # else there was a problem
    return Schedule(rule, by_clock=by_clock)
