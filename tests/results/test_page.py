"""docs/results.md says all that there is, and no more."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from docs import reference
from iotsim.events import FORMAT, Event, Outcome, Unmatched
from iotsim.impair import fault, impairment
from iotsim.impair.fate import DELAYED
from iotsim.results.devices import COLUMNS
from iotsim.results.formats import kinds
from iotsim.results.result import GatewayResult, RunResult
from iotsim.results.suite import SuiteResult, SuiteRun
from iotsim.results.verdict import EXIT_CODES
from iotsim.run.documents import DOCUMENTS
from iotsim.simulation.exchange import AWAY
from iotsim.simulation.ways import TOO_MANY

PAGE = (Path(__file__).parents[2] / "docs/results.md").read_text()


CELL = re.compile(r"(?<!\\)\|")


def rows(heading: str, level: str = "##") -> list[list[str]]:
    """The cells of the first table below `heading`, without its head."""
    section = PAGE.split(f"\n{level} {heading}\n", 1)[1].split("\n#", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in CELL.split(line[1:-1])] for line in lines[2:]]


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_every_kind_of_event_is_listed_in_the_order_of_the_records() -> None:
    assert [names(kind)[0] for kind, _ in rows("The kinds", "###")] == list(kinds())


def test_every_field_of_every_event_is_told_of() -> None:
    for tag, kind in kinds().items():
        told = [names(field)[0] for field, _, _ in rows(tag, "###")]
        assert told == [name for name in kind.__struct_fields__ if name != "t"]


def test_whatever_may_befall_a_message_is_named() -> None:
    """The words that are in the code, each in a constant of its module."""
    told = {
        field.replace("`", ""): text
        for tag in ("received", "sent", "not-sent")
        for field, _, text in rows(tag, "###")
        if field in ("`fate`", "`impaired`", "`reason`")
        for field in [f"{tag} {field}"]
    }
    words = [
        value
        for module in (fault, impairment)
        for name, value in vars(module).items()
        if name.isupper() and isinstance(value, str)
    ]
    assert {"lost", "down", "a duplicate", "malformed"} < set(words)
    for word in (*words, DELAYED, TOO_MANY, AWAY[1]):
        assert any(f'"{word}"' in text for text in told.values()), word
    assert f'"{AWAY[0]}"' in told["received impaired"]


def test_every_field_of_what_events_and_the_result_hold_is_told_of() -> None:
    for record in (Unmatched, RunResult, Outcome, GatewayResult, SuiteResult, SuiteRun):
        told = [names(field)[0] for field, _, _ in rows(record.__name__, "###")]
        assert told == list(record.__struct_fields__)


def test_what_is_made_from_the_records_is_what_they_say_today() -> None:
    assert reference.page(PAGE) == PAGE, "call docs/reference.py"


def test_every_event_says_what_it_is() -> None:
    for kind in Event.__subclasses__():
        assert kind.__doc__
        assert kind.__doc__ != Event.__doc__


def test_the_version_on_the_page_is_that_of_the_format() -> None:
    assert f"`format`, {FORMAT} today" in PAGE


def test_every_verdict_is_listed() -> None:
    table = rows("Verdicts and exit codes")
    assert {names(verdict)[0]: int(code) for verdict, code, _ in table} == EXIT_CODES


def test_every_document_is_listed_with_what_it_is() -> None:
    told = [
        (*names(name), *names(file), what)
        for name, file, what in rows("Documents for other programs")
    ]
    assert told == [(name, one.file, one.what) for name, one in DOCUMENTS.items()]


def test_every_column_of_the_devices_is_listed_with_what_it_is() -> None:
    told = {name.strip("`"): what for name, what in rows("devices.csv", "###")}
    assert told == {name: what.replace("|", r"\|") for name, what in COLUMNS.items()}


def test_every_option_of_show_is_listed() -> None:
    from iotsim.cli.show import show

    told = {
        word for option, _ in rows("Look into a run") for word in re.findall("--([a-z]+)", option)
    }
    parameters = inspect.signature(show).parameters
    assert told == {name.rstrip("_") for name in parameters if name != "results"}
