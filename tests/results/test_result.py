from __future__ import annotations

import json
import shlex

import pytest

from iotsim.events import Outcome
from iotsim.results.result import (
    GatewayResult,
    RunResult,
    counted,
    decode_result,
    encode_result,
    repeat_command,
    title_of,
    utc_text,
)


def test_a_result_reads_back() -> None:
    outcome = Outcome(
        name="reads",
        kind="within",
        passed=False,
        severity="error",
        expected="a",
        actual="b",
        devices=("meter[1]",),
        details=("heard nothing in that time",),
        total=1,
        t=5.0,
    )
    result = RunResult(
        scenario="x",
        path="x.toml",
        seed=3,
        verdict="failed",
        expectations=[outcome],
        gateway=GatewayResult(command=["gw"], status=0),
        counters=counted({"answered": 3, "dropped.no-host": 0, "a": 1}),
    )
    assert decode_result(encode_result(result)) == result
    data = json.loads(encode_result(result))
    assert data["format"] == 1
    assert data["expectations"][0]["devices"] == ["meter[1]"]
    assert list(data["counters"]) == ["a", "answered"]


def test_a_result_begins_as_running() -> None:
    assert (
        json.loads(encode_result(RunResult(scenario="x", path="", seed=1)))["verdict"] == "running"
    )


def test_what_a_gateway_printed_may_be_no_text() -> None:
    gateway = GatewayResult(command=["gw"], last_lines=["\udcff"])
    data = encode_result(RunResult(scenario="x", path="", seed=1, gateway=gateway))
    assert json.loads(data)["gateway"]["last_lines"] == ["\\udcff"]


def test_what_is_no_result() -> None:
    for data in (b"", b"{}", b"[]", b'{"scenario": 1}'):
        with pytest.raises(ValueError):
            decode_result(data)


def test_how_to_repeat() -> None:
    line = repeat_command("a b.toml", 7, options=["--link", "memory"], gateway=["./gw", "--x=$1"])
    words = ["iotsim", "run", "a b.toml", "--link", "memory", "--seed", "7", "--", "./gw", "--x=$1"]
    assert shlex.split(line) == words
    assert repeat_command("x.toml", 1) == "iotsim run x.toml --seed 1"


@pytest.mark.parametrize("time", [1e300, -1e300, float("nan"), float("inf"), 1e12])
def test_a_time_that_is_no_date_is_not_told(time: float) -> None:
    assert utc_text(time) == ""


def test_times_are_utc() -> None:
    assert utc_text(1_700_000_000.25) == "2023-11-14T22:13:20.250+00:00"


@pytest.mark.parametrize(
    ("scenario", "parameters", "expected"),
    [
        ("polls", {}, "polls"),
        ("polls", {"loss": "20%", "count": "3"}, "polls [count=3, loss=20%]"),
        ("radio [loss=20%]", {"loss": "20%"}, "radio [loss=20%]"),
        ("radio [loss=20%, count=3]", {"loss": "20%", "count": "3"}, "radio [loss=20%, count=3]"),
        ("radio [loss=20%]", {"loss": "20%", "seed": "1"}, "radio [loss=20%] [seed=1]"),
        ("radio [loss=20%]", {"loss": "2"}, "radio [loss=20%] [loss=2]"),
        ("radio [who=meter[0]]", {"who": "meter[0]"}, "radio [who=meter[0]]"),
        (f"radio [a={'x' * 100}]", {"a": "x" * 200}, f"radio [a={'x' * 100}]"),
        ("radio ]", {"a": "1"}, "radio ] [a=1]"),
    ],
)
def test_each_parameter_is_told_once(
    scenario: str, parameters: dict[str, str], expected: str
) -> None:
    assert title_of(scenario, parameters) == expected
