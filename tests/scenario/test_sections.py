"""A section is a row: what that makes of a file, and that nothing of the format is ignored."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from iotsim.errors import ScenarioError
from iotsim.scenario import load_text
from iotsim.scenario.fleets import DeviceTable
from iotsim.scenario.schema import Model, Text, check
from iotsim.scenario.sections import SECTIONS, Section

if TYPE_CHECKING:
    from iotsim.scenario import Scenario
    from iotsim.scenario.loading import Loading

PLACE = Path("/nowhere/test.toml")
FLEET = '[devices.meter]\naddress = "10.77.1.1"\n'


def told(text: str) -> list[str]:
    with pytest.raises(ScenarioError) as caught:
        load_text(text, PLACE)
    return [str(problem).removeprefix(f"{PLACE}:") for problem in caught.value.problems]


class WeatherTable(Model):
    later = ("wind",)

    sky: Text


def build_weather(scenario: Scenario, loading: Loading) -> Scenario:
    for number, raw in enumerate(loading.tables["weather"]):
        table = check(WeatherTable, raw, ("weather", number), loading.problems)
        if table is not None:
            scenario = replace(scenario, description=table.sky)
    return scenario


@pytest.fixture
def weather(monkeypatch: pytest.MonkeyPatch) -> None:
    row = Section("weather", "list", build=build_weather, scope="addresses")
    monkeypatch.setitem(SECTIONS, "weather", row)


@pytest.mark.usefixtures("weather")
def test_a_new_section_is_a_row() -> None:
    text = FLEET + "[[weather]]\nsky = 'over ${devices.meter.first}'\n"
    assert load_text(text, PLACE).description == "over 10.77.1.1"


@pytest.mark.usefixtures("weather")
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[weather]\nsky = 'x'", "1:1: weather: must be a list of tables (write [[weather]])"),
        ("[[wether]]", "1:3: wether: unknown table (did you mean 'weather'?)"),
        ("[[weather]]\nskye = 'x'", "2:1: weather[0].skye: unknown key (did you mean 'sky'?)"),
        (
            "[[weather]]\nsky = 'x'\nwind = 1",
            "3:1: weather[0].wind: part of the format, not supported by this version yet",
        ),
        ("[[weather]]\nsky = '${results}'", "'${results}' can only stand in [gateway]"),
    ],
)
def test_what_is_wrong_in_a_new_section_is_told_as_elsewhere(text: str, problem: str) -> None:
    assert problem in "\n".join(told(text))


def test_a_section_without_a_builder_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SECTIONS, "later", Section("later", "list"))
    assert told("[[later]]\nx = 1") == [
        "1:3: later: part of the format, not supported by this version yet"
    ]


def test_a_later_key_of_a_template_is_told_where_it_stands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(DeviceTable, "later", ("power",))
    text = "[devices.base]\npower = 1\n" + FLEET + 'extends = "base"\n'
    assert told(text) == [
        "2:1: devices.base.power: part of the format, not supported by this version yet"
    ]


def test_boot_counts_from_the_gateway_unless_it_goes_with_the_run() -> None:
    for boot, with_run in (
        ("", False),
        ("boot = { delay = '1s' }", False),
        ("boot = { with = 'gateway' }", False),
        ("boot = { with = 'run' }", True),
    ):
        (fleet,) = load_text(FLEET + boot, PLACE).fleets
        assert fleet.boot_with_run is with_run
    (problem,) = told(FLEET + "boot = { with = 'gatway' }")
    assert problem.endswith("boot.with: must be 'gateway' or 'run' (did you mean 'gateway'?)")


def test_a_run_can_last_until_it_is_quiet() -> None:
    scenario = load_text("[scenario]\nuntil = 'quiet'\n", PLACE)
    assert (scenario.until, scenario.quiet_s) == ("quiet", 2)
    scenario = load_text("[scenario]\nuntil = 'quiet'\nquiet = '500ms'", PLACE)
    assert scenario.quiet_s == 0.5
    assert load_text("[scenario]\nquiet = '1s'", PLACE).until == "quiet"
    assert told("[scenario]\nuntil = 'settled'\nquiet = '1s'") == [
        "3:1: scenario.quiet: 'quiet' is for until = \"quiet\""
    ]
    own = "[gateway]\ncommand = ['x']\n"
    assert (load_text("", PLACE).ends, load_text(own, PLACE).ends) == ("quiet", "settled")
    assert told("[scenario]\nuntil = 'quiet'\nquiet = '0s'") == [
        "3:9: scenario.quiet: must be greater than 0"
    ]
