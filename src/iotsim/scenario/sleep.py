"""When devices sleep: ``{ every = "60s", awake = "2s" }``, by themselves or because of a fault."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from iotsim.impair.fault import Sleep
from iotsim.scenario.schema import Duration, Model, check

if TYPE_CHECKING:
    from iotsim.scenario.problems import Problems
    from iotsim.scenario.toml import Keys

LEAST_S = 0.001
Span = Annotated[Duration, Field(ge=LEAST_S)]


class SleepTable(Model):
    every: Span
    awake: Span


def build_sleep(value: Any, keys: Keys, problems: Problems) -> Sleep | None:
    """``{ every = "60s", awake = "2s" }``."""
    table = check(SleepTable, value, keys, problems)
    if table is None:
        return None
    if table.awake >= table.every:
        problems.add((*keys, "awake"), "it would never sleep: must be less than 'every'")
        return None
    return Sleep(table.every, table.awake)
