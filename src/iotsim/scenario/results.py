"""``[results]``: how much of what happened is kept."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from pydantic import BeforeValidator

from iotsim.scenario.model import ResultsSpec
from iotsim.scenario.schema import Model, check, from_text
from iotsim.units import format_size, parse_size

if TYPE_CHECKING:
    from iotsim.scenario.loading import Loading
    from iotsim.scenario.model import Scenario

LEAST_BOUND = 1_000_000
LARGEST_BOUND = 1 << 50


def _bound(text: str) -> int:
    size = parse_size(text)
    if not LEAST_BOUND <= size <= LARGEST_BOUND:
        raise ValueError(f"must be {format_size(LEAST_BOUND)} at least, and 1000 TB at most")
    return size


Bound = Annotated[int, BeforeValidator(from_text(_bound, "'100MB'"))]


class ResultsTable(Model):
    events: Bound | None = None
    capture: Bound | None = None


def build_results(scenario: Scenario, loading: Loading) -> Scenario:
    table = check(ResultsTable, loading.tables["results"], ("results",), loading.problems)
    if table is None:
        return scenario
    return replace(scenario, results=ResultsSpec(table.events, table.capture))
