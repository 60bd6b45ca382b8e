"""``[[step]]``: the timeline of a run, and what is done at each point of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from iotsim.device.schedule import Schedule
from iotsim.scenario.faults import FaultBuilder
from iotsim.scenario.faulttable import FaultTable
from iotsim.scenario.fleets import expression_names
from iotsim.scenario.gateway_steps import check_gateway_steps
from iotsim.scenario.horizon import NO_HORIZON
from iotsim.scenario.impairments import ImpairTable, build_impairment
from iotsim.scenario.problems import nearest
from iotsim.scenario.rules import RuleBuilder
from iotsim.scenario.schema import (
    Duration,
    Holds,
    Messages,
    Model,
    Table,
    Text,
    Texts,
    check,
    misspelled,
)
from iotsim.scenario.scopes import moments, tell_twice
from iotsim.scenario.selectors import Selectors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from iotsim.device.spec import FleetSpec
    from iotsim.scenario.faults import FaultEntry
    from iotsim.scenario.impairments import ImpairEntry
    from iotsim.scenario.loading import Loading
    from iotsim.scenario.model import Scenario
    from iotsim.scenario.problems import Problems
    from iotsim.scenario.toml import Keys

MOST_STEPS = 10_000
ACTIONS = ("gateway", "set", "send", "signal", "reboot", "impair", "fault", "northbound", "note")
OF_DEVICES = ("set", "send", "signal", "reboot")


class RepeatTable(Model):
    every: Annotated[Duration, Field(gt=0)]
    times: Annotated[int, Field(ge=1, le=1 << 31)] | None = None


class StepTable(Model):
    name: Text = ""
    at: Duration | None = None
    after: Text | None = None
    delay: Duration | None = None
    repeat: Annotated[Table, Holds(RepeatTable)] | None = None
    devices: Texts | None = None
    gateway: Literal["start", "stop", "kill", "restart", "pause", "resume"] | None = None
    set: Table | None = None
    send: Messages | None = None
    to: Text = "gateway"
    protocol: Text | None = None
    signal: Table | None = None
    reboot: Literal[True] | None = None
    impair: Annotated[Table, Holds(ImpairTable)] | None = None
    fault: Annotated[Table, Holds(FaultTable)] | None = None
    northbound: Table | None = None
    note: Text | None = None


@dataclass(frozen=True)
class StepSpec:
    """A step. It is done `at_s` seconds into the run, or `delay_s` after what is called `after`; then, if
    `every_s` is not 0, again and again, `times` times in all (None: until the end).

    ``commands`` are what is done, as `iotsim.simulation.commands` has them as data.
    """

    name: str
    place: str
    at_s: float | None
    after: str
    delay_s: float
    every_s: float = 0.0
    times: int | None = 1
    commands: tuple[Mapping[str, Any], ...] = ()


def build_steps(scenario: Scenario, loading: Loading) -> Scenario:
    problems, tables = loading.problems, loading.tables["step"]
    if len(tables) > MOST_STEPS:
        problems.add(("step",), f"more than {MOST_STEPS} steps")
        return scenario
    builder = StepBuilder(scenario, loading)
    built = (builder.build(raw, ("step", number)) for number, raw in enumerate(tables))
    steps = [step for step in built if step is not None]
    tell_twice([step.name for step in steps], "step", problems)
    if scenario.gateway is not None and len(steps) == len(tables):
        check_gateway_steps(steps, scenario.gateway, problems)
    return replace(
        scenario,
        steps=tuple(steps),
        impairments=(*scenario.impairments, *builder.impairments),
        faults=(*scenario.faults, *builder.faults),
    )


class StepBuilder:
    """Builds the steps of a scenario, whose fleets are known."""

    def __init__(self, scenario: Scenario, loading: Loading) -> None:
        self.loading = loading
        self.problems = loading.problems
        self.scopes = loading.scopes(scenario)
        self.gateway = scenario.gateway
        self.fleets = {fleet.name: fleet for fleet in scenario.fleets}
        self.selectors = Selectors(scenario, loading)
        self.known = set(moments(loading))
        self.impairments: list[ImpairEntry] = []
        self.faults: list[FaultEntry] = []
        self._fault_builder = FaultBuilder(scenario, loading)

    def build(self, raw: Any, keys: Keys) -> StepSpec | None:
        table = check(StepTable, raw, keys, self.problems)
        if table is None:
            return None
        name = table.name or f"step {int(keys[-1]) + 1}"
        given = [action for action in ACTIONS if action in raw]
        if not given and not misspelled(raw, StepTable, ACTIONS):
            self.problems.add(keys, f"it does nothing: give it one of {', '.join(ACTIONS)}")
        for action in given[1:]:
            message = f"'{given[0]}' is there already: a step does one thing"
            self.problems.add((*keys, action), message, "write another [[step]]", of_key=True)
        self._check_keys(table, raw, given, keys)
        at_s, after, delay_s = self._when(table, keys)
        every_s, times = self._repeat(table, keys)
        commands = self._commands(table, raw, given[0], name, keys) if given else ()
        place = self.problems.where(keys)
        return StepSpec(name, place, at_s, after, delay_s, every_s, times, tuple(commands))

    def _check_keys(
        self, table: StepTable, raw: Mapping[str, Any], given: Sequence[str], keys: Keys
    ) -> None:
        add = self.problems.add
        for key in ("to", "protocol"):
            if key in raw and "send" not in given:
                add((*keys, key), f"'{key}' is for 'send'", of_key=True)
        of_devices = [action for action in given if action in (*OF_DEVICES, "impair", "fault")]
        if table.devices is None and any(action in OF_DEVICES for action in of_devices):
            add(keys, "the key 'devices' is missing")
        elif table.devices is not None and given and not of_devices:
            add((*keys, "devices"), f"'{given[0]}' is about no devices", of_key=True)

    def _when(self, table: StepTable, keys: Keys) -> tuple[float | None, str, float]:
        add = self.problems.add
        if table.at is None and table.after is None:
            add(keys, "the key 'at' or 'after' is missing: it says when")
        if table.at is not None and table.after is not None:
            add((*keys, "after"), "'at' is there already", "write delay = ... with 'after'")
        if table.delay is not None and table.after is None:
            add((*keys, "delay"), "'delay' is for 'after'", of_key=True)
        if table.at is not None and (late := self.scopes.horizon.moment(table.at)):
            add((*keys, "at"), f"this step would never come: {late}", self.scopes.horizon.hint)
        if table.after is not None and table.after not in self.known:
            hint = nearest(table.after, self.known) or "give a step or an expectation this name"
            add((*keys, "after"), f"nothing is called '{table.after[:100]}'", hint)
        return table.at, table.after or "", table.delay or 0.0

    def _repeat(self, table: StepTable, keys: Keys) -> tuple[float, int | None]:
        if table.repeat is None:
            return 0.0, 1
        repeat = check(RepeatTable, table.repeat, (*keys, "repeat"), self.problems)
        return (0.0, 1) if repeat is None else (repeat.every, repeat.times)

    def _commands(
        self, table: StepTable, raw: Mapping[str, Any], action: str, name: str, keys: Keys
    ) -> Sequence[Mapping[str, Any]]:
        value, here = raw[action], (*keys, action)
        if action == "note":
            return [{"do": "note", "note": table.note}]
        if action == "gateway":
            if self.gateway is None or not self.gateway.command:
                message = "there is no process to act on: [gateway] has no 'command'"
                self.problems.add(here, message, of_key=True)
            return [{"do": "gateway", "gateway": table.gateway}]
        if action == "northbound":
            return self._northbound(table.northbound or {}, here)
        if action in ("impair", "fault"):
            self._disturb(action, table, value, name, here)
            return []
        commands = []
        for number, text in enumerate(table.devices or ()):
            listed = isinstance(raw.get("devices"), list)
            place = (*keys, "devices", number) if listed else (*keys, "devices")
            for selection in self.selectors.find_one(text, place):
                self._check_action(self.fleets[selection.fleet], table, raw, action, keys)
            command: dict[str, Any] = {"do": action, "devices": text}
            if action != "reboot":
                command[action] = value
            if action == "send":
                command |= {key: raw[key] for key in ("to", "protocol") if key in raw}
            commands.append(MappingProxyType(command))
        return commands

    def _check_action(
        self, fleet: FleetSpec, table: StepTable, raw: Mapping[str, Any], action: str, keys: Keys
    ) -> None:
        """What these devices are told to do they must be able to do."""
        if fleet.name in self.loading.mute:
            return
        if action == "signal":
            check_signals(table.signal or {}, fleet, (*keys, "signal"), self.problems)
        elif action in ("set", "send"):
            given = {key: raw[key] for key in (action, "to", "protocol") if key in raw}
            names = expression_names(fleet)
            builder = RuleBuilder(fleet.services, names, NO_HORIZON, 0.0, self.problems)
            before = len(self.problems)
            rule = builder.build(given, keys, asked=False)
            if rule is not None and len(self.problems) == before:
                Schedule(rule)

    def _disturb(self, action: str, table: StepTable, value: Any, name: str, keys: Keys) -> None:
        """An impairment or a fault that is in force from this step on."""
        raw = value if isinstance(value, dict) else {}
        if table.devices is not None:
            if "devices" in raw:
                message = "the step has 'devices' already"
                self.problems.add((*keys, "devices"), message, of_key=True)
            raw = {**raw, "devices": table.devices}
        if action == "fault":
            fault = self._fault_builder.build(raw, keys, step=name)
            self.faults += [] if fault is None else [fault]
            return
        built = build_impairment(raw, keys, self.scopes, self.problems, step=name)
        if built is not None:
            self.impairments.append(built)

    def _northbound(self, table: Mapping[str, Any], keys: Keys) -> Sequence[Mapping[str, Any]]:
        services = self.loading.tables.get("northbound", {})
        for name, action in table.items():
            if name not in services:
                hint = nearest(name, services)
                self.problems.add((*keys, name), "no northbound service", hint, of_key=True)
            elif action not in ("start", "stop"):
                self.problems.add((*keys, name), "must be 'start' or 'stop'")
        return [
            {"do": "northbound", "service": name, "action": action}
            for name, action in table.items()
        ]


def check_signals(
    table: Mapping[str, Any], fleet: FleetSpec, keys: Keys, problems: Problems
) -> None:
    """Signals are set to numbers, and only those that there are."""
    for name, value in table.items():
        if name not in fleet.signals:
            hint = nearest(name, fleet.signals)
            problems.add((*keys, name), f"'{fleet.name}' has no such signal", hint, of_key=True)
        elif isinstance(value, bool) or not isinstance(value, (int, float)):
            problems.add((*keys, name), "must be a number")
        elif not math.isfinite(value):
            problems.add((*keys, name), "must be finite")
