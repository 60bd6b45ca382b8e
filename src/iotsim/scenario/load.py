"""From a file to a `Scenario`.

The steps, each of which collects its problems and goes on as far as makes sense:

1. read the TOML, with the place of every key; put the caller's overrides in;
2. refuse what this version does not support; resolve ``extends``; fill in parameters;
3. check ``[scenario]`` and ``[link]``, plan the addresses of all fleets;
4. fill in the placeholders that show addresses;
5. build fleets, gateway and expectations.

Protocol files are imported in step 3: they are code, and say which fields there are. Behaviors are
not, but for `check_behaviors`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from iotsim.device.loader import load_behavior, match_handlers
from iotsim.errors import Problem, ScenarioError
from iotsim.scenario.addresses import check_overlaps, check_reach, relocate
from iotsim.scenario.csvdata import FileError, read_text
from iotsim.scenario.expectations import ExpectBuilder
from iotsim.scenario.fleets import build_fleet, inherit, plan_fleet
from iotsim.scenario.model import GatewaySpec, LinkSpec, Scenario
from iotsim.scenario.network import check_network
from iotsim.scenario.placeholders import fill_addresses, fill_parameters, placeholder_values
from iotsim.scenario.problems import Problems, nearest
from iotsim.scenario.schema import ScenarioTable, check
from iotsim.scenario.surroundings import build_gateway, build_link
from iotsim.scenario.toml import LARGEST_CHARACTERS, TomlError, read_toml
from iotsim.scenario.unsupported import MESSAGE, TABLES, without_unsupported

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from iotsim.scenario.fleets import FleetPlan
    from iotsim.scenario.toml import Keys

KNOWN_TABLES = ("scenario", "link", "gateway", "devices", "expect")
MOST_FLEETS = 1000
MOST_EXPECTATIONS = 10_000
LEAST_LOOPBACK_PORT = 1024
LIST_HEADER = re.compile(
    r"\s*\[\s*(expect|devices\.[\w-]+\.rules|step|fault|impair)\s*\]", re.ASCII
)
"""The header of a table, where there should be one of a list of tables."""


@dataclass(frozen=True)
class Overrides:
    """What the command line says instead of the file; None leaves the file's word.

    `parameters` are those of ``--set NAME=VALUE``.
    """

    link: str | None = None
    gateway_command: tuple[str, ...] | None = None
    seed: int | None = None
    tolerance: float | None = None
    duration_s: float | None = None
    parameters: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


def load_scenario(
    path: Path, *, overrides: Overrides | None = None, default_seed: int = 0
) -> Scenario:
    """The scenario in the file at `path`.

    `default_seed` is taken where neither the file nor `overrides` name one. ScenarioError tells all
    that is wrong, with places.
    """
    try:
        text = read_text(path, LARGEST_CHARACTERS)
    except FileError as error:
        raise ScenarioError([Problem(str(error), str(path), error.line)]) from None
    return load_text(text, path, overrides=overrides, default_seed=default_seed)


def load_text(
    text: str, path: Path, *, overrides: Overrides | None = None, default_seed: int = 0
) -> Scenario:
    """As `load_scenario`, of a `text` that stands (or would stand) at `path`."""
    problems = Problems(str(path))
    try:
        document = read_toml(text)
    except TomlError as error:
        raise ScenarioError([_no_toml(error, text, path)]) from None
    problems.document = document
    loader = _Loader(path, overrides or Overrides(), default_seed, problems)
    scenario = loader.load(document.value)
    problems.raise_any()
    assert scenario is not None, "a scenario without problems that cannot be loaded"
    return scenario


def _no_toml(error: TomlError, text: str, path: Path) -> Problem:
    message, hint = str(error), ""
    line = text.split("\n")[error.place.line - 1] if error.place.line else ""
    header = LIST_HEADER.match(line)
    if path.suffix.lower() not in (".toml", ""):
        message = f"this is no scenario, which would be a TOML file: {message}"
    elif header is not None and "duplicate key" in message:
        hint = f"write [[{header[1]}]] for each of several"
    return Problem(message, str(path), *error.place, hint=hint)


class _Loader:
    def __init__(
        self, path: Path, overrides: Overrides, default_seed: int, problems: Problems
    ) -> None:
        self.path = path
        self.folder = path.parent
        self.overrides = overrides
        self.default_seed = default_seed
        self.problems = problems
        self.refused: set[int] = set()
        """The numbers of expectations that have what is not supported."""

    def load(self, document: dict[str, Any]) -> Scenario | None:
        raw = self._shaped(document)
        raw = fill_parameters(raw, self.overrides.parameters, self.problems)
        table = check(ScenarioTable, raw["scenario"], ("scenario",), self.problems)
        before = len(self.problems)
        link = build_link(raw["link"], self.problems)
        link_sound = len(self.problems) == before
        plans = self._plans(raw["devices"])
        if table is None or link is None:
            return None
        if table.speed != 1:
            self.problems.add(("scenario", "speed"), MESSAGE)
        doubtful = raw["devices"].keys() - {plan.name for plan in plans if plan.sound}
        plans = self._placed(plans, link, check=link_sound)
        if link_sound:
            check_network(link, [plan.spec for plan in plans], self.problems)
        values = placeholder_values(link, [plan.spec for plan in plans])
        mute = {plan.name for plan in plans if not plan.speaks}
        unknown = doubtful | {f"{name}.port" for name in mute}
        raw = fill_addresses(raw, values, unknown, self.problems)
        fleets = tuple(
            build_fleet(plan, raw["devices"][plan.name], self.folder, self.problems)
            for plan in plans
        )
        gateway = self._gateway(raw["gateway"], link)
        seed, duration_s = table.seed, self.overrides.duration_s
        scenario = Scenario(
            path=self.path,
            name=table.name or self.path.stem,
            description=table.description,
            duration_s=table.duration if duration_s is None else duration_s,
            until=table.until,
            seed=self.default_seed if seed is None else seed,
            seed_given=seed is not None,
            tags=tuple(table.tags),
            speed=table.speed,
            tolerance=table.tolerance,
            link=link,
            gateway=gateway,
            fleets=fleets,
        )
        builder = ExpectBuilder(fleets, scenario.seed, self.problems, doubtful, mute)
        names: set[str] = set()
        expectations = []
        for number, expect in enumerate(raw["expect"]):
            if number in self.refused:
                continue
            built = builder.build(expect, ("expect", number))
            if built is None:
                continue
            if built.name in names:
                message = f"there is an expectation '{built.name[:100]}' already"
                self.problems.add(("expect", number, "name"), message)
            names.add(built.name)
            expectations.append(built)
        return replace(scenario, expectations=tuple(expectations))

    def _shaped(self, document: dict[str, Any]) -> dict[str, Any]:
        """The document with every table there, of the right shape, and supported."""
        problems = self.problems
        tables = without_unsupported(document, "", (), problems)
        for name in tables:
            if name not in KNOWN_TABLES:
                hint = nearest(name, [*KNOWN_TABLES, *TABLES])
                problems.add((name,), "unknown table", hint, of_key=True)
        raw: dict[str, Any] = {"gateway": None}
        for name in ("scenario", "link", "gateway", "devices"):
            value = tables.get(name, raw.get(name, {}))
            if value is not None and not isinstance(value, dict):
                problems.add((name,), "must be a table")
                value = {}
            raw[name] = value
        for name in ("link", "gateway"):
            if raw[name] is not None:
                raw[name] = without_unsupported(raw[name], name, (name,), problems)
        self._override(raw)
        raw["devices"] = self._devices(raw["devices"])
        raw["expect"] = self._expect(tables.get("expect", []))
        return raw

    def _override(self, raw: dict[str, Any]) -> None:
        """Put in what the command line says; it is checked as if the file said so."""
        given = self.overrides
        for table, key, value in (
            ("scenario", "seed", given.seed),
            ("scenario", "tolerance", given.tolerance),
            ("link", "kind", given.link),
            ("gateway", "command", given.gateway_command and list(given.gateway_command)),
        ):
            if value is not None:
                raw[table] = {**(raw[table] or {}), key: value}

    def _devices(self, tables: dict[str, Any]) -> dict[str, Any]:
        if len(tables) > MOST_FLEETS:
            self.problems.add(("devices",), f"more than {MOST_FLEETS} fleets")
            return {}
        supported = {
            name: without_unsupported(table, "devices", ("devices", name), self.problems)
            if isinstance(table, dict)
            else table
            for name, table in tables.items()
        }
        return inherit(supported, self.problems)

    def _expect(self, tables: Any) -> list[Any]:
        if not isinstance(tables, list):
            self.problems.add(("expect",), "must be a list of tables", "write [[expect]]")
            return []
        if len(tables) > MOST_EXPECTATIONS:
            self.problems.add(("expect",), f"more than {MOST_EXPECTATIONS} expectations")
            return []
        for number, table in enumerate(tables):
            if isinstance(table, dict):
                kept = without_unsupported(table, "expect", ("expect", number), self.problems)
                if len(kept) < len(table):
                    self.refused.add(number)
        return tables

    def _plans(self, tables: dict[str, Any]) -> list[FleetPlan]:
        plans = []
        for name, table in tables.items():
            plan = plan_fleet(name, table, self.folder, self.problems)
            if plan is not None:
                plans.append(plan)
        return plans

    def _placed(self, plans: list[FleetPlan], link: LinkSpec, *, check: bool) -> list[FleetPlan]:
        """The plans with addresses that are right for `link`, which is to `check`."""
        runs = []
        for plan in plans:
            listed = len(plan.spec.runs) > 1
            for number, run in enumerate(plan.spec.runs):
                keys: Keys = ("devices", plan.name, "address")
                runs.append((run, (*keys, number) if listed else keys, plan.name))
        check_overlaps(runs, self.problems)
        if link.kind != "loopback":
            for run, keys, _ in runs if check else ():
                check_reach(link, run, keys, self.problems)
            return plans
        for plan in plans:
            for service in plan.spec.services:
                if service.port < LEAST_LOOPBACK_PORT:
                    message = f"port {service.port}: the loopback link has none below 1024"
                    self.problems.add(("devices", plan.name, "protocol"), message)
        try:
            moved = relocate([plan.spec for plan in plans])
        except ValueError as error:
            self.problems.add(("devices",), str(error))
            return plans
        return [replace(plan, spec=spec) for plan, spec in zip(plans, moved, strict=True)]

    def _gateway(self, raw: Any, link: LinkSpec) -> GatewaySpec | None:
        gateway = None if raw is None else build_gateway(raw, self.problems)
        if gateway is not None and gateway.command and link.kind == "memory":
            message = "no gateway process can reach a memory link, which is inside of iotsim's own"
            self.problems.add(
                ("gateway", "command"), message, "use --link tun or loopback", of_key=True
            )
        if gateway is not None and link.kind == "loopback":
            return replace(gateway, address=None)  # there, it is the link's whatever it was
        return gateway


def check_behaviors(scenario: Scenario) -> None:
    """Import the behaviors of `scenario`: their code runs. ScenarioError tells what is wrong."""
    found: list[Problem] = []
    for fleet in scenario.fleets:
        if fleet.behavior is not None:
            try:
                match_handlers(load_behavior(fleet.behavior), fleet)
            except ScenarioError as error:
                found += error.problems
    if found:
        raise ScenarioError(found)
