"""What the builders of a scenario's sections share while one file is loaded."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from iotsim.scenario.csvdata import DataFiles
from iotsim.scenario.scopes import ScopeBuilder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from iotsim.device.spec import RuleSpec
    from iotsim.scenario.fleets import FleetPlan
    from iotsim.scenario.head import Head
    from iotsim.scenario.model import Scenario
    from iotsim.scenario.problems import Problems
    from iotsim.scenario.toml import Keys


@dataclass(frozen=True)
class Overrides:
    """What the command line says instead of the file; None leaves the file's word.

    `parameters` are those of ``--set NAME=VALUE``. `environment` is where ``${env.NAME}`` is looked up.
    `default_tolerance` and `default_limit_s` are for a file that says nothing of these. `protocols` are
    folders in which protocols are looked for that do not stand beside the scenario.
    """

    link: str | None = None
    gateway_command: tuple[str, ...] | None = None
    seed: int | None = None
    tolerance: float | None = None
    duration_s: float | None = None
    limit_s: float | None = None
    default_tolerance: float | None = None
    default_limit_s: float | None = None
    protocols: tuple[Path, ...] = ()
    parameters: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)


@dataclass
class Loading:
    """A file that is being loaded.

    `tables` has each section's name and what the file says there, in the right form: placeholders
    are filled in as far as they are known. `plans` are the fleets between planning and building.
    `head_known` is told what the file is called, and its own limit, before any code of others runs.
    """

    problems: Problems
    overrides: Overrides
    default_seed: int
    tables: dict[str, Any] = field(default_factory=dict)
    files: DataFiles = field(default_factory=DataFiles)
    duration_known: bool = True
    link_sound: bool = True
    """Whether nothing is wrong with the link. Else nothing is said of what does not fit it."""
    plans: list[FleetPlan] = field(default_factory=list)
    rule_keys: dict[RuleSpec, Keys] = field(default_factory=dict)
    """Where each rule stands, but for announcements."""
    head_known: Callable[[Head], object] | None = None
    _scopes: ScopeBuilder | None = None

    def scopes(self, scenario: Scenario) -> ScopeBuilder:
        """What builds the scopes of all entries of `scenario`, whose fleets are built."""
        if self._scopes is None:
            self._scopes = ScopeBuilder(scenario, self)
        return self._scopes

    @property
    def doubtful(self) -> set[str]:
        """The fleets of which it is not known how many devices they have."""
        return set(self.tables["devices"]) - {plan.name for plan in self.plans if plan.sound}

    @property
    def mute(self) -> set[str]:
        """The fleets of which it is not known what their messages are."""
        return {plan.name for plan in self.plans if not plan.speaks}
