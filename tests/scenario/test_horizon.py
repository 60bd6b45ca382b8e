"""What lies beyond the end of a run is told when the file is loaded, with the figures."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotsim.device.fleet import Fleet
from iotsim.errors import ScenarioError
from iotsim.scenario import Overrides, Scenario, load_text
from iotsim.scenario.horizon import horizon_of
from iotsim.scenario.loading import Loading
from iotsim.scenario.problems import Problems

PLACE = Path("/nowhere/test.toml")


WITHIN = 'each = "meter"\nreceives = { kind = "READ" }\nwithin = "1s"'


def text(
    *, head: str = "", boot: str = "", rule: str = "", gateway: str = "", expect: str = WITHIN
) -> str:
    return f"""
[scenario]
duration = "10s"
{head}
{gateway}
[devices.meter]
count = 5
address = "10.77.1.1"
protocol = "sensornet"
boot = {{ {boot} }}
[[devices.meter.rules]]
reply = {{ kind = "ACK" }}
{rule}
[[expect]]
{expect}
"""


def within(window: str, of: str = 'each = "meter"') -> str:
    return f'{of}\nreceives = {{ kind = "READ" }}\nwithin = "{window}"'


def count(per: str, bounds: str, of: str = 'each = "meter"') -> str:
    return f'{of}\nreceives = {{ kind = "READ" }}\ncount = {bounds}\nper = "{per}"'


READY = '[gateway]\ncommand = ["x"]\nready = { delay = "4s" }\n'


def load(content: str, **overrides: Any) -> Scenario:
    return load_text(content, PLACE, overrides=Overrides(**overrides))


def told(content: str, **overrides: Any) -> str:
    """The one problem of a text, without its place."""
    with pytest.raises(ScenarioError) as caught:
        load(content, **overrides)
    (problem,) = caught.value.problems
    assert problem.line
    return re.sub(r"^[^ ]+:\d+: ", "", str(problem))


@pytest.mark.parametrize(
    "content",
    [
        text(expect=within("10s")),
        text(expect=within("6s"), boot='delay = "1s..4s"'),
        text(expect=within("9s", 'device = "meter[0]"'), boot='ramp = "5s"'),
        text(expect=within("9s", 'all = "meter"'), boot='ramp = "5s"'),
        text(expect=within("6s"), gateway=READY),
        text(expect=within("6s"), gateway=READY, boot='delay = "3s", with = "run"'),
        text(expect=within("6s"), head="tolerance = 2", boot='delay = "8s"'),
        text(expect=count("10s", "{ min = 1 }")),
        text(expect=count("5s", "{ min = 1 }"), boot='delay = "5s"'),
        text(expect=count("10s", "{ max = 1 }"), boot='delay = "5s"'),
        text(rule='after = "9s"'),
        text(rule='delay = "1h"'),
    ],
)
def test_what_fits_into_a_run(content: str) -> None:
    load(content)


LASTS = "the run, which lasts 10 s at most"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (text(expect=within("11s")), f"expect[0].within: 11 s is longer than {LASTS}"),
        (
            text(expect=within("11s"), head="tolerance = 2"),
            "expect[0].within: 22 s is longer than the run, which lasts 20 s at most, with a tolerance of 2",
        ),
        (
            text(expect=within("7s"), boot='delay = "1s..4s"'),
            f"expect[0].within: 7 s that may begin 4 s into the run would end 11 s into {LASTS}",
        ),
        (
            text(expect=within("7s", 'device = "meter[4]"'), boot='ramp = "5s"'),
            f"expect[0].within: 7 s that may begin 4 s into the run would end 11 s into {LASTS}",
        ),
        (
            text(expect=within("7s"), gateway=READY),
            f"expect[0].within: 7 s that may begin 4 s into the run would end 11 s into {LASTS}",
        ),
        (
            text(expect=within("5s"), gateway=READY, boot='delay = "2s"'),
            f"expect[0].within: 5 s that may begin 6 s into the run would end 11 s into {LASTS}",
        ),
        (
            text(expect=count("11s", "{ max = 1 }")),
            f"expect[0].per: 11 s is longer than {LASTS}",
        ),
        (
            text(expect=count("11s", "{ min = 1 }")),
            f"expect[0].per: 11 s is longer than {LASTS}",
        ),
        (  # the first window that a device sees from its boot on is the third
            text(expect=count("4s", "{ min = 1 }"), boot='delay = "5s"'),
            f"expect[0].per: 4 s that may begin 8 s into the run would end 12 s into {LASTS}",
        ),
        (
            text(
                expect='gateway = { stdout = "x" }\nwithin = "11s"', gateway=READY.replace("4", "0")
            ),
            f"expect[0].within: 11 s is longer than {LASTS}",
        ),
        (
            text(rule='after = "10s"'),
            f"devices.meter.rules[0].after: this rule would never apply: 10 s is not within {LASTS}",
        ),
        (
            text(rule='after = "5s"', boot='delay = "6s"', expect=within("4s")),
            f"devices.meter.rules[0].after: this rule would never apply: 11 s is not within {LASTS}",
        ),
        (
            text(boot='delay = "11s"', expect=within("1s", 'all = "meter"')),
            f"devices.meter.boot: the last of these would boot too late: 11 s is not within {LASTS}",
        ),
        (
            text(gateway=READY.replace("4s", "10s"), expect="gateway = { running = true }"),
            f"gateway.ready.delay: the gateway would never be ready: 10 s is not within {LASTS}",
        ),
        (
            text(head='until = "quiet"\nquiet = "10s"'),
            "scenario.quiet: is not shorter than the duration, so the run would never end for it",
        ),
    ],
)
def test_what_would_outlast_the_run(content: str, problem: str) -> None:
    assert told(content).removesuffix(" (see duration in [scenario])") == problem


def test_an_override_that_shortens_the_run_is_named() -> None:
    content = text(expect=within("5s"))
    assert told(content, duration_s=4.0) == (
        "expect[0].within: 5 s is longer than the run, which lasts 4 s at most, by --duration "
        "(give it a longer --duration)"
    )
    load(content, duration_s=5.0)
    content = text(expect=within("5s"), boot='delay = "5s"')
    load(content)
    assert told(content, tolerance=0.8) == (
        "expect[0].within: 4 s that may begin 5 s into the run would end 9 s into the run, "
        "which lasts 8 s at most, with a --tolerance of 0.8 (see duration in [scenario])"
    )


def test_nothing_is_said_of_windows_while_the_duration_is_not_known() -> None:
    assert "has no unit" in told(text(expect=within("11h")).replace('"10s"', '"10"'))


@given(
    ramp=st.floats(0, 100),
    low=st.floats(0, 50),
    more=st.floats(0, 50),
    index=st.integers(0, 6),
    seed=st.integers(0, 5),
)
def test_boots_are_those_of_the_simulated_fleet(
    ramp: float, low: float, more: float, index: int, seed: int
) -> None:
    boot = f"boot = {{ ramp = '{ramp:.3f}s', delay = '{low:.3f}s..{low + more:.3f}s' }}"
    content = f"[scenario]\nduration = '1h'\n[devices.d]\ncount = 7\naddress = '10.77.1.1'\n{boot}"
    scenario = load(content)
    loading = Loading(Problems(""), Overrides(), 0)
    boots = horizon_of(scenario, loading).boots(scenario.fleets[0], index)
    at = Fleet(scenario.fleets[0], seed).boots_at(index)
    assert boots.low_s - 1e-9 <= at <= boots.high_s + 1e-9
