"""What steps and expectations come ``after``: it must be something that can come, and early enough."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from iotsim.errors import ScenarioError
from iotsim.scenario import Overrides, load_text

PLACE = Path("/nowhere/test.toml")
HEAD = """
[scenario]
duration = "6s"
[devices.meter]
address = "10.77.1.1"
protocol = "sensornet"
"""
LASTS = "the run, which lasts 6 s at most"
WOULD_END = f"that may begin 4 s into the run would end 7 s into {LASTS} (...)"


def step(name: str, when: str) -> str:
    return f"[[step]]\nname = '{name}'\n{when}\nnote = 'x'\n"


def expect(name: str, rest: str, kind: str = "within = '1s'") -> str:
    return f"[[expect]]\nname = '{name}'\neach = 'meter'\nreceives = {{}}\n{kind}\n{rest}\n"


def told(text: str, head: str = HEAD, **overrides: float) -> list[str]:
    """The problems of a text, without lines and columns."""
    try:
        load_text(head + text, PLACE, overrides=Overrides(**overrides))  # type: ignore[arg-type]
    except ScenarioError as error:
        return [re.sub(r"^[^ ]+:\d+: ", "", str(problem)) for problem in error.problems]
    return []


AT_4 = step("a", "at = '4s'")
SEQUENCE = "sequence = [{ receives = {} }, { receives = {}, after = '3s..4s' }]"


@pytest.mark.parametrize(
    "text",
    [
        AT_4 + step("b", "after = 'a'\ndelay = '1s'") + expect("e", "after = 'a'", "never = true"),
        AT_4 + expect("e", "after = 'a'", "within = '2s'"),
        AT_4 + expect("e", "after = 'a'", "count = 1\nper = '2s'"),
        step("a", "after = 'e'") + expect("e", "") + expect("f", "after = 'a'", "within = '6s'"),
        expect("e", "after = 'ready'", "within = '6s'"),
    ],
)
def test_what_comes_early_enough(text: str) -> None:
    assert told(text) == []


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        (
            step("a", "after = 'e'") + expect("e", "after = 'a'"),
            [
                "step[0].after: it waits for itself, so it would never come",
                "expect[0].after: comes after itself",
            ],
        ),
        (
            step("a", "after = 'b'") + step("b", "after = 'e'") + expect("e", "after = 'b'"),
            [
                "step[1].after: it waits for itself, so it would never come",
                "expect[0].after: comes after itself",
            ],
        ),
        (
            AT_4 + step("b", "after = 'a'\ndelay = '6s'") + step("c", "after = 'b'"),
            [f"step[1].delay: this step would never come: 10 s is not within {LASTS} (...)"],
        ),
        (
            step("a", "after = 'ready'\ndelay = '8s'") + expect("e", "after = 'a'", "never = true"),
            [f"step[0].delay: this step would never come: 8 s is not within {LASTS} (...)"],
        ),
        (
            AT_4 + expect("e", "after = 'a'") + step("b", "after = 'e'\ndelay = '2s'"),
            [f"step[1].delay: this step would never come: 6 s is not within {LASTS} (...)"],
        ),
        (
            AT_4 + expect("e", "after = 'a'", "within = '3s'"),
            [f"expect[0].within: 3 s {WOULD_END}"],
        ),
        (
            AT_4 + expect("e", "after = 'a'", "count = { max = 1 }\nper = '3s'"),
            [f"expect[0].per: 3 s {WOULD_END}"],
        ),
        (
            AT_4 + f"[[expect]]\neach = 'meter'\nafter = 'a'\n{SEQUENCE}\n",
            [f"expect[0].sequence[1].after: 3 s {WOULD_END}"],
        ),
    ],
)
def test_what_could_never_be_decided_is_refused(text: str, problems: list[str]) -> None:
    found = [re.sub(r" \(see duration [^)]*\)", " (...)", one) for one in told(text)]
    assert sorted(found) == sorted(problems)


def test_when_the_gateway_is_ready_counts() -> None:
    ready = HEAD + '[gateway]\ncommand = ["x"]\nready = { delay = "2s" }\n'
    late = step("a", "after = 'ready'\ndelay = '5s'")
    assert told(late) == []
    assert len(told(late, ready)) == 1


def test_a_tolerance_makes_the_run_longer_and_windows_but_no_delays() -> None:
    text = AT_4 + step("b", "after = 'a'\ndelay = '6s'")
    assert len(told(text)) == 1
    assert told(text, tolerance=2.0) == []
    assert len(told(text + expect("e", "after = 'b'", "within = '2s'"), tolerance=2.0)) == 1


def test_a_step_and_an_expectation_have_names_of_their_own() -> None:
    (problem,) = told(step("a", "at = '1s'") + expect("a", ""))
    assert problem == (
        "step[0].name: an expectation has this name, too (/nowhere/test.toml:11): "
        "'after' could mean either"
    )


def test_a_long_chain_is_followed_once() -> None:
    steps = [step(f"s{number}", f"after = 's{number + 1}'") for number in range(3000)]
    assert told("".join(steps) + step("s3000", "at = '1s'")) == []
    circle = "".join(steps) + step("s3000", "after = 's0'")
    assert len(told(circle)) == 101
