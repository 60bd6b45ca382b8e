"""The gateway's policy, its steps, and what is expected of its process, as scenarios write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from iotsim.errors import ScenarioError
from iotsim.expect.spec import Bound, GatewayExpectation
from iotsim.scenario import Scenario, load_text
from iotsim.scenario.model import GatewaySpec, RestartSpec

PLACE = Path("/nowhere/test.toml")
HEAD = '[scenario]\nduration = "30s"\n[gateway]\ncommand = ["x"]\n'


def loaded(text: str) -> Scenario:
    return load_text(HEAD + text, PLACE)


def told(text: str) -> list[str]:
    """The problems of a text, without file and line."""
    with pytest.raises(ScenarioError) as caught:
        loaded(text)
    return [str(problem).split(": ", 1)[1] for problem in caught.value.problems]


def gateway_of(text: str) -> GatewaySpec:
    gateway = loaded(text).gateway
    assert gateway is not None
    return gateway


# --- restart ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("", RestartSpec("never", 1.0, None)),
        ('restart = "never"', RestartSpec("never", 1.0, None)),
        ('restart = "on-crash"', RestartSpec("on-crash", 1.0, None)),
        ('restart = { policy = "always" }', RestartSpec("always", 1.0, None)),
        (
            'restart = { policy = "on-crash", delay = "250ms", times = 3 }',
            RestartSpec("on-crash", 0.25, 3),
        ),
    ],
)
def test_a_policy(text: str, spec: RestartSpec) -> None:
    assert gateway_of(text).restart == spec


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("restart = true", "gateway.restart: must be a policy, or a table such as"),
        ('restart = "sometimes"', "gateway.restart: must be one of never, on-crash, always"),
        ('restart = { delay = "1s" }', "gateway.restart: the key 'policy' is missing"),
        ('restart = { policy = "often" }', "gateway.restart.policy: "),
        ('restart = { policy = "always", delay = "1ms" }', "gateway.restart.delay: "),
        ('restart = { policy = "always", delay = 1 }', "gateway.restart.delay: 1 has no unit"),
        ('restart = { policy = "always", times = 0 }', "gateway.restart.times: "),
        ('restart = { policy = "always", tries = 1 }', "gateway.restart.tries: unknown key"),
    ],
)
def test_no_policy(text: str, problem: str) -> None:
    [found] = told(text)
    assert found.startswith(problem)


def test_a_policy_needs_a_process() -> None:
    with pytest.raises(ScenarioError, match="'restart' is for a gateway with a 'command'"):
        load_text('[gateway]\nport = 5\nrestart = "always"\n', PLACE)


# --- steps ------------------------------------------------------------------------------------


def steps(*acts: str) -> str:
    """Steps such as "2s kill"; "a+1s start" is that long after the step a; "b=2s kill" has a name."""
    text = ""
    for act in acts:
        when, action = act.split()
        name, equals, when = when.rpartition("=")
        after, plus, delay = when.partition("+")
        text += "[[step]]\n"
        text += f'name = "{name}"\n' if equals else ""
        text += f'after = "{after}"\ndelay = "{delay}"\n' if plus else f'at = "{when}"\n'
        text += f'gateway = "{action}"\n'
    return text


ANSWERS = """
[devices.meter]
address = "10.77.1.1"
protocol = "sensornet"
rules = [{ when = { kind = "READ" }, reply = { kind = "REPORT", value = 1 } }]
[[expect]]
name = "read"
device = "meter"
receives = { kind = "READ" }
within = "5s"
"""


@pytest.mark.parametrize(
    ("acts", "waits", "starts_s"),
    [
        ((), False, 0.0),
        (("2s kill", "3s start"), False, 0.0),
        (("3s start",), True, 3.0),
        (("a=3s start", "a+2s kill"), True, 3.0),
        (
            ("3s start", "2s kill"),
            False,
            3.0,
        ),  # the kill comes first, whatever comes first in the file
        (("read+1s kill", "20s start"), False, 0.0),
        (("read+1s start",), True, 0.0),
    ],
)
def test_who_starts_it(acts: tuple[str, ...], waits: bool, starts_s: float) -> None:
    gateway = gateway_of(ANSWERS + steps(*acts))
    assert gateway.waits == waits
    assert not waits or gateway.starts_s == starts_s


@pytest.mark.parametrize(
    ("acts", "number", "problem"),
    [
        (("2s stop", "4s stop"), 1, "an earlier step has ended it"),
        (
            ("2s kill", "3s restart"),
            1,
            "an earlier step has ended it, and none has started it since",
        ),
        (("a=2s kill", "a+1s pause"), 1, "an earlier step has ended it"),
        (
            ("5s start", "8s pause", "9s pause"),
            2,
            'it is paused: an earlier step must be gateway = "resume"',
        ),
        (("5s pause", "6s start"), 1, "it is paused"),
        (("5s resume",), 0, "it is not paused"),
    ],
)
def test_steps_that_make_no_sense_whatever_it_does(
    acts: tuple[str, ...], number: int, problem: str
) -> None:
    [found] = told(steps(*acts))
    assert found.startswith(f"step[{number}].gateway: {problem}")


def test_a_step_that_is_repeated_is_looked_at_each_time() -> None:
    repeated = steps("2s kill") + 'repeat = { every = "5s", times = 2 }\n'
    [found] = told(repeated)
    assert found.startswith("step[0].gateway: an earlier step has ended it")
    again = steps("3s start") + 'repeat = { every = "5s", times = 2 }\n'
    assert loaded(repeated + again).steps


@pytest.mark.parametrize(
    "acts",
    [
        ("2s start",),  # it is started then
        ("2s restart", "4s start"),  # if it has exited by itself meanwhile
        ("2s stop", "3s start", "4s pause", "5s resume", "6s kill"),
        ("2s pause", "3s stop", "4s start"),
    ],
)
def test_steps_that_may_make_sense(acts: tuple[str, ...]) -> None:
    assert len(loaded(steps(*acts)).steps) == len(acts)


def test_its_policy_starts_it_after_a_kill() -> None:
    assert loaded('restart = "on-crash"\n' + steps("2s kill", "9s kill")).steps


def test_windows_begin_when_the_step_has_started_it() -> None:
    late = ANSWERS.replace('"5s"', '"29s"')
    assert loaded(late).expectations
    [found] = told(late + steps("3s start"))
    assert found.startswith("expect[0].within: 29 s that may begin 3 s into the run")


# --- what is expected of it -------------------------------------------------------------------


def asked(text: str) -> GatewayExpectation | None:
    [spec] = loaded(f"[[expect]]\ngateway = {text}\n").expectations
    return spec.gateway


def test_every_bound() -> None:
    text = """{ sanitizer = false, fds = { max = 40, growth = 0, warmup = "5s" }, threads = { max = 8 },
        memory = { max = "200MB", growth = "5MB" }, cpu = { max = "150%" }, children = { max = 0 } }"""
    assert asked(text.replace("\n", "")) == GatewayExpectation(
        no_report=True,
        fds=Bound(40, 0, 5.0),
        memory=Bound(200_000_000, 5_000_000, 1.0),
        threads=Bound(8),
        children=Bound(0),
        cpu_max=1.5,
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "{}",
            "expect[0].gateway: asks nothing: give it one of running, exit, stdout, sanitizer, fds",
        ),
        ("{ sanitizer = true }", "expect[0].gateway.sanitizer: write sanitizer = false"),
        ("{ fds = 40 }", "expect[0].gateway.fds: must be a table, such as { max = 40 }"),
        ("{ fds = {} }", "expect[0].gateway.fds: asks nothing: give it 'max' or 'growth'"),
        ("{ fds = { max = -1 } }", "expect[0].gateway.fds.max: "),
        ("{ fds = { most = 1 } }", "expect[0].gateway.fds.most: unknown key"),
        ('{ fds = { max = 1, warmup = "1s" } }', "expect[0].gateway.fds.warmup: 'warmup' is for"),
        (
            "{ memory = { max = 200 } }",
            "expect[0].gateway.memory.max: must be a text such as '200MB'",
        ),
        ('{ memory = { max = "200" } }', "expect[0].gateway.memory.max: '200' is no size"),
        ("{ cpu = {} }", "expect[0].gateway.cpu: the key 'max' is missing"),
        ("{ cpu = { max = 60 } }", "expect[0].gateway.cpu.max: must be a text such as '60%'"),
        ('{ cpu = { max = "60" } }', "expect[0].gateway.cpu.max: must be a share of one core"),
        ('{ cpu = { max = "0%" } }', "expect[0].gateway.cpu.max: must be more than 0%"),
        ('{ cpu = { growth = "1%" } }', "expect[0].gateway.cpu"),
        (
            '{ fds = { growth = 0, warmup = "29s" } }',
            "expect[0].gateway.fds.growth: cannot be told in so short a run: 31 s is longer than",
        ),
    ],
)
def test_no_bound(text: str, problem: str) -> None:
    found = told(f"[[expect]]\ngateway = {text}\n")
    assert found[0].startswith(problem)


def test_growth_needs_time_after_the_step_that_starts_it() -> None:
    text = '[[expect]]\ngateway = { fds = { growth = 0, warmup = "20s" } }\n'
    assert loaded(text).expectations
    [found] = told(text + steps("9s start"))
    assert found.startswith("expect[0].gateway.fds.growth: cannot be told in so short a run")


def test_what_uses_nothing_is_not_measured() -> None:
    spec = asked("{ running = true, sanitizer = false }")
    assert spec is not None
    assert not spec.figures
