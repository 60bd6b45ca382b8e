"""The sections of a scenario: a row of `SECTIONS` for each top-level table.

A new section is a file with its schema and its builder, a row here, and a field of
`iotsim.scenario.model.Scenario` for what it becomes. A new key of a section is a field of the
schema in the section's file. What the format has and this version does not is here, too, or in
``later`` of a schema: it is refused by name, so that nothing is ignored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from iotsim.scenario.expectations import ExpectTable, build_expectations
from iotsim.scenario.faults import build_faults
from iotsim.scenario.faulttable import FaultTable
from iotsim.scenario.fleets import DeviceTable, build_fleets, plan_fleets
from iotsim.scenario.gateway import GatewayTable, build_gateway
from iotsim.scenario.head import ScenarioTable, build_head
from iotsim.scenario.impairments import ImpairTable, build_impairments
from iotsim.scenario.link import LinkTable, build_link
from iotsim.scenario.northbound import ServiceTable, build_northbound, plan_northbound
from iotsim.scenario.results import ResultsTable, build_results
from iotsim.scenario.steps import StepTable, build_steps

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotsim.scenario.loading import Loading
    from iotsim.scenario.model import Scenario
    from iotsim.scenario.placeholders import Scope
    from iotsim.scenario.schema import Model
    from iotsim.scenario.toml import Keys

Form: TypeAlias = Literal["table", "tables by name", "list"]
"""``[scenario]``, ``[devices.NAME]``, ``[[expect]]``."""

Builder: TypeAlias = "Callable[[Scenario, Loading], Scenario]"
"""Adds to the scenario, as far as it is made, what ``Loading.tables`` has for a section. What is
wrong goes to ``Loading.problems``, and something plausible to the scenario."""


class Section(NamedTuple):
    """A top-level table.

    `plan` is called first, whether or not the file has the section: addresses come of it. `build`
    is called once placeholders that show addresses are filled in, if the file has it. What `composes`
    has neither: it is dealt with before (`iotsim.scenario.parameters`). Any other section
    with neither is not supported yet. The sections are planned and built in the order of the rows.
    """

    name: str
    form: Form = "table"
    plan: Builder | None = None
    build: Builder | None = None
    scope: Scope = "parameters"
    table: type[Model] | None = None
    """The schema of one table; None where its keys are the user's."""
    inner_scopes: dict[str, Scope] = {}
    """Of keys of ``[name.NAME]``, where it is not `scope`."""
    composes: bool = False

    @property
    def supported(self) -> bool:
        return self.plan is not None or self.build is not None or self.composes


SECTIONS = {
    section.name: section
    for section in (
        Section("scenario", plan=build_head, table=ScenarioTable),
        Section("link", plan=build_link, table=LinkTable),
        Section(
            "northbound",
            "tables by name",
            plan=plan_northbound,
            build=build_northbound,
            table=ServiceTable,
            inner_scopes={"rules": "addresses", "command": "run", "env": "run"},
        ),
        Section("gateway", build=build_gateway, scope="run", table=GatewayTable),
        Section(
            "devices",
            "tables by name",
            plan=plan_fleets,
            build=build_fleets,
            table=DeviceTable,
            inner_scopes={"rules": "addresses", "state": "addresses", "boot": "addresses"},
        ),
        Section("results", build=build_results, table=ResultsTable),
        Section("expect", "list", build=build_expectations, scope="addresses", table=ExpectTable),
        Section("impair", "list", build=build_impairments, scope="addresses", table=ImpairTable),
        Section("fault", "list", build=build_faults, scope="addresses", table=FaultTable),
        Section("step", "list", build=build_steps, scope="addresses", table=StepTable),
        Section("parameters", composes=True),
        Section("matrix", composes=True),
    )
}


def scope_at(keys: Keys) -> Scope:
    """Which placeholders can stand at `keys`."""
    section = SECTIONS.get(str(keys[0])) if keys else None
    if section is None:
        return "parameters"
    inner = keys[2] if len(keys) > 2 else None
    return section.inner_scopes.get(str(inner), section.scope)
