"""What `iotsim check` finds in scenarios that load without a problem."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from iotsim.cli.files import find_scenarios
from iotsim.errors import Problem, ScenarioError
from iotsim.scenario import each_scenario, load_text

if TYPE_CHECKING:
    from collections.abc import Callable

REPOSITORY = Path(__file__).resolve().parents[2]
METERS = """[scenario]
duration = "10s"
[devices.meter]
count = 3
address = "10.77.1.1"
protocol = "sensornet"
"""
ANSWERS = """
[[devices.meter.rules]]
when = { kind = "READ" }
reply = { kind = "REPORT", value = 20 }
"""


@pytest.fixture
def look(tmp_path: Path) -> Callable[..., list[str]]:
    """The warnings about a scenario, without the name of its file."""

    def look(text: str, base: str = METERS) -> list[str]:
        found: list[Problem] = []
        load_text(base + text, tmp_path / "it.toml", warn=found.append)
        return [str(problem).partition("it.toml:")[2] for problem in found]

    return look


def test_nothing_is_suspicious_about_bundled_scenarios() -> None:
    found: list[Problem] = []
    for path in find_scenarios([str(REPOSITORY / "scenarios")]).files:
        assert [*each_scenario(path, warn=found.append)]
    assert found == []


def test_a_shadowed_rule_is_told_with_its_place(look: Callable[..., list[str]]) -> None:
    (found,) = look(
        ANSWERS
        + '[[devices.meter.rules]]\nname = "three"\nwhen = { kind = "READ", point = 3 }\ndrop = true\n'
    )
    assert found.startswith(
        "11:1: devices.meter.rules[1]: warning: this rule never applies: rules[0] ("
    )
    assert found.endswith("it.toml:8) always applies before it")


def test_what_replaces_a_rule_of_a_template_is_meant(look: Callable[..., list[str]]) -> None:
    assert not look(
        ANSWERS
        + '[devices.mute]\nextends = "meter"\naddress = "10.77.2.1"\n'
        + "[[devices.mute.rules]]\ndrop = true\n"
    )


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            '[[devices.meter.rules]]\nwhere = "1 > 2"\ndrop = true\n',
            "devices.meter.rules[0].where: warning: this rule never applies: it does not hold",
        ),
        (
            (""
             "[[devices.meter.rules]]\nwhen = { unanswered = true }\nset = { lost = 1 }\n"
            "[devices.meter.state]\nlost = 0\n"),
            "devices.meter.rules[0].when: warning: this rule never applies: 'meter' asks nothing",
        ),
        (
            '[[devices.meter.rules]]\nreply = { kind = "ACK" }\ndelay = "11s"\n',
            "devices.meter.rules[0].delay: warning: no such reply would leave: 11 s is not within",
        ),
        (
            ('[[devices.meter.rules]]\nsend = { kind = "ACK", device = 1, seq = 1 }\n'
            'every = "6s"\ntimes = 3\n'),
            "devices.meter.rules[0].times: warning: so often it cannot send: the last time",
        ),
        (
            ANSWERS
            + '[[expect]]\neach = "meter"\nsends = { kind = "ACK" }\nwithin = "5s"\n',
            "expect[0].sends: warning: this cannot come to be: no rule of 'meter' sends such",
        ),
        (
            ANSWERS
            + '[[expect]]\neach = "meter"\nsends = { kind = "REPORT", value = { min = 21 } }\n'
            'count = { min = 2 }\n',
            "expect[0].sends: warning: this cannot come to be",
        ),
        (
            ANSWERS
            + '[[expect]]\neach = "meter"\nsends = { kind = "ACK" }\nnever = true\n',
            "expect[0].sends: warning: this holds whatever happens",
        ),
        (
            ('[[devices.meter.rules]]\nsend = { kind = "ACK", device = 1, seq = 1 }\nafter = "6s"\n'
            '[[expect]]\neach = "meter"\nsends = { kind = "ACK" }\nwithin = "5s"\n'),
            "expect[0].within: warning: this cannot come to be: the first such message is sent after 6 s",
        ),
        (
            ('[[devices.meter.rules]]\nsend = { kind = "ACK", device = 1, seq = 1 }\nevery = "3s"\n'
            '[[expect]]\neach = "meter"\nsends = { kind = "ACK" }\ncount = { min = 5 }\n'),
            "expect[0].count: warning: this cannot come to be: at most 4 such messages are sent",
        ),
        (
            '[[devices.meter.rules]]\nwhen = { kind = "READ", status.alarm = true }\ndrop = true\n',
            ("devices.meter.rules[0].when: warning: this rule never applies: no message whose kind is"
            " READ has 'status.alarm' (it is in REPORT, READINGS)"),
        ),
        (
            '[[expect]]\neach = "meter"\nreceives = { kind = "READ", code = "REBOOT" }\nwithin = "5s"\n',
            "expect[0].receives: warning: this cannot come to be: no message whose kind is READ has 'code'",
        ),
        (
            '[[expect]]\neach = "meter"\nreceives = { kind = "READ", code = "REBOOT" }\nnever = true\n',
            "expect[0].receives: warning: this holds whatever happens: no message whose kind is READ",
        ),
        (
            ANSWERS
            + '[[expect]]\neach = "meter"\nsequence = [{ sends = { kind = "ACK" } }, { sends = {} }]\n',
            "expect[0].sequence: warning: this cannot come to be: no rule of 'meter' sends such",
        ),
        (
            '[[impair]]\nloss = "10%"\nbetween = ["1s", "2s"]\n[devices.meter.boot]\ndelay = "3s"\n',
            "impair[0]: warning: it hits nobody: it is over before the first of its devices boots",
        ),
    ],
)  # fmt: skip
def test_what_is_suspicious(look: Callable[..., list[str]], text: str, found: str) -> None:
    (warning,) = look(text)
    assert found in warning


@pytest.mark.parametrize(
    "text",
    [
        ANSWERS
        + '[[expect]]\neach = "meter"\nsends = { kind = "REPORT", value = 20 }\nwithin = "5s"\n',
        ANSWERS + '[[expect]]\neach = "meter"\nsends = { seq = 7, value = 20.0 }\nwithin = "5s"\n',
        ANSWERS.replace("20", '"=t"')
        + '[[expect]]\neach = "meter"\nsends = { value = 99 }\nwithin = "5s"\n',
        ANSWERS + '[[expect]]\neach = "meter"\nsends = { kind = 2 }\nwithin = "5s"\n',
        ANSWERS + '[[expect]]\nnone = "meter"\nsends = { kind = "REPORT" }\nwithin = "5s"\n',
        (
            '[[devices.meter.rules]]\nwhen = { kind = { not = "READ" }, code = { not = "REBOOT" } }\n'
            "drop = true\n"
        ),
        (
            '[[expect]]\neach = "meter"\nreceives = { kind = { any = ["READ", "COMMAND"] }, code = 1 }\n'
            "never = true\n"
        ),
        (
            '[[expect]]\neach = "meter"\nreceives = { kind = "READ", code = { exists = false } }\n'
            'within = "5s"\n'
        ),
        ANSWERS + '[[expect]]\nany = "meter"\nsends = { error = "BUSY" }\nwithin = "5s"\n',
        ANSWERS + '[[expect]]\nany = "meter"\nsends = { kind = "ERROR" }\nwithin = "5s"\n',
        (
            '[[devices.meter.rules]]\nsend = { kind = "ACK", device = 1, seq = 1 }\nevery = "2s"\n'
            '[[expect]]\neach = "meter"\nsends = { kind = "ACK" }\ncount = { min = 4 }\n'
        ),
        ANSWERS
        + '[[step]]\nat = "1s"\ndevices = "meter"\nsend = { kind = "ACK", device = 1, seq = 1 }\n'
        '[[expect]]\neach = "meter"\nsends = { kind = "ACK" }\nwithin = "5s"\n',
    ],
)
def test_what_is_not(look: Callable[..., list[str]], text: str) -> None:
    assert look(text) == []


def test_what_an_adapter_rounds_is_not_taken_for_what_a_rule_has_written(
    look: Callable[..., list[str]], tmp_path: Path
) -> None:
    (tmp_path / "tenths_of_volts.py").write_text(
        "from construct import ExprAdapter, Int16ub, Struct\n"
        "from iotsim import Protocol\n"
        "VOLTS = ExprAdapter(Int16ub, lambda raw, _: raw / 10, lambda value, _: round(value * 10))\n"
        "PROTOCOL = Protocol(name='tenths_of_volts', message=Struct('volts' / VOLTS), port=7100)\n"
        "VECTORS = [('00c8', {'volts': 20.0})]\n"
    )
    base = METERS.replace('"sensornet"', '"tenths_of_volts"')
    rule = "[[devices.meter.rules]]\nwhen = {}\nreply = { volts = 20.04 }\n"
    wish = '[[expect]]\neach = "meter"\nsends = { volts = 20 }\nwithin = "5s"\n'
    assert look(rule + wish, base) == []


READS = '[[expect]]\nname = "read"\neach = "meter"\nreceives = { kind = "READ", point = 3 }\n'


@pytest.mark.parametrize(
    "text",
    [
        READS + 'within = "5s"\n[[expect]]\nname = "not"\neach = "meter[1]"\n'
        'receives = { kind = "READ" }\nnever = true\n',
        READS + 'count = 3\n[[expect]]\nname = "not"\nall = "meter"\nreceives = {}\ncount = { max = 2 }\n',
        READS + 'count = { min = 1 }\n[[expect]]\nname = "not"\neach = "meter"\n'
        'receives = { point = { min = 2 } }\nnever = true\n',
    ],
)  # fmt: skip
def test_expectations_that_contradict_each_other(look: Callable[..., list[str]], text: str) -> None:
    with pytest.raises(ScenarioError) as error:
        look(text)
    (problem,) = error.value.problems
    assert "it cannot hold together with 'not', which allows n" in problem.message
    assert (problem.line, problem.path) == (7, "expect[0]")


@pytest.mark.parametrize(
    "other",
    [
        'each = "meter[1]"\nreceives = { kind = "READ", point = 4 }\nnever = true',
        'each = "meter"\nreceives = { kind = "READ" }\nnever = true\nseverity = "warning"',
        'each = "meter"\nreceives = { kind = "READ" }\ncount = { max = 1 }',
        'any = "meter"\nreceives = { kind = "READ" }\nnever = true',
        'each = "meter"\nreceives = { kind = "READ" }\ncount = { max = 0 }\nper = "1s"',
    ],
)
def test_expectations_that_go_together(look: Callable[..., list[str]], other: str) -> None:
    look(f'{READS}within = "5s"\n[[expect]]\nname = "not"\n{other}\n')


def test_nothing_comes_after_what_holds_only_at_the_end(look: Callable[..., list[str]]) -> None:
    with pytest.raises(ScenarioError, match="'never' holds only at the end of the run") as error:
        look(
            '[[expect]]\nname = "never"\neach = "meter"\nreceives = {}\nnever = true\n'
            '[[step]]\nafter = "never"\nnote = "it came"\n'
        )
    assert error.value.problems[0].path == "step[0].after"


def test_loading_for_a_run_does_not_look_so_closely(tmp_path: Path) -> None:
    text = (
        f'{METERS}{READS}within = "5s"\n[[expect]]\neach = "meter"\nreceives = {{}}\nnever = true\n'
    )
    load_text(text, tmp_path / "it.toml")


def test_very_many_rules_and_expectations_take_little_time(look: Callable[..., list[str]]) -> None:
    rules = "".join(
        f'[[devices.meter.rules]]\nwhen = {{ kind = {{ any = ["READ", "ACK"] }}, seq = {number} }}\n'
        'reply = { kind = "REPORT", value = 1 }\n'
        for number in range(500)
    )
    expectations = "".join(
        f'[[expect]]\neach = "meter"\nsends = {{ kind = "REPORT", seq = {number} }}\nwithin = "5s"\n'
        for number in range(200)
    )
    begin = time.process_time()
    text = METERS.replace("count = 3", "count = 60_000") + rules + expectations
    load_text(text, Path("it.toml"))
    loaded = time.process_time()
    load_text(text, Path("it.toml"), warn=lambda _: None)
    assert time.process_time() - loaded < 3 * (loaded - begin) + 5


def test_warnings_are_bounded(look: Callable[..., list[str]]) -> None:
    rule: Any = "[[devices.meter.rules]]\ndrop = true\n"
    assert len(look(rule * 300)) == 100
