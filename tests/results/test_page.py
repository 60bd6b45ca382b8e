"""docs/results.md says all that there is, and no more."""

from __future__ import annotations

import re
from pathlib import Path

from iotsim.events import Event, Outcome
from iotsim.results.result import GatewayResult, RunResult
from iotsim.results.verdict import EXIT_CODES

PAGE = (Path(__file__).parents[2] / "docs/results.md").read_text()


def rows(heading: str) -> list[list[str]]:
    """The cells of the first table below `heading`, without its head."""
    section = PAGE.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_every_event_and_field_is_listed() -> None:
    told = {names(event)[0]: names(fields) for event, fields, _ in rows("Events")}
    known = {
        str(kind.__struct_config__.tag): [name for name in kind.__struct_fields__ if name != "t"]
        for kind in Event.__subclasses__()
    }
    assert told == known


def test_every_verdict_is_listed() -> None:
    table = rows("Verdicts and exit codes")
    assert {names(verdict)[0]: int(code) for verdict, code, _ in table} == EXIT_CODES


def test_every_field_of_the_result_is_listed() -> None:
    table = {tuple(names(fields)): what for fields, what in rows("The fields of result.json")}
    told = [name for fields in table for name in fields]
    assert sorted(told) == sorted(RunResult.__struct_fields__)
    assert names(table["expectations",]) == list(Outcome.__struct_fields__)
    assert names(table["gateway",]) == list(GatewayResult.__struct_fields__)
