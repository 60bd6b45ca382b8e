"""The lives of a gateway, in virtual time: what starts and ends them, and what is held against it."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from iotsim.errors import ScenarioError
from iotsim.events import (
    GatewayExited,
    GatewayPaused,
    GatewayReady,
    GatewayResumed,
    GatewayStarted,
    Note,
)
from iotsim.run.run import RunOptions, open_run
from iotsim.scenario import load_text
from iotsim.testbed.process import ExitStatus
from iotsim.testbed.proctable import Usage

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.testing import MockClock

    from iotsim.events import Event
    from iotsim.link.memory import MemoryLink
    from iotsim.results.result import RunResult

    OnAFakeMachine = Callable[[Any], MemoryLink]

SCENARIO = """
[scenario]
duration = "30s"
until = "{until}"
[gateway]
command = ["gateway"]
{gateway}
[devices.meter]
address = "10.77.1.1"
protocol = "sensornet"
rules = [{{ when = {{ kind = "READ" }}, reply = {{ kind = "REPORT", value = 1 }} }}]
{rest}
[[expect]]
name = "{name}"
gateway = {{ {expect} }}
"""


def steps(*acts: tuple[str, str]) -> str:
    return "".join(f'[[step]]\nat = "{at}"\ngateway = "{action}"\n' for at, action in acts)


async def lived(
    script: Any,
    on_a_fake_machine: OnAFakeMachine,
    *acts: tuple[str, str],
    gateway: str = "",
    expect: str = "running = true",
    until: str = "settled",
    name: str = "it",
    rest: str = "",
) -> tuple[RunResult, list[Event]]:
    """What a run comes to in which these steps are done."""
    on_a_fake_machine(script)
    rest += steps(*acts)
    text = SCENARIO.format(gateway=gateway, rest=rest, expect=expect, until=until, name=name)
    events: list[Event] = []
    async with open_run(
        load_text(text, Path("it.toml"), default_seed=1),
        RunOptions(files=False, watch=(events.extend,)),
    ) as run:
        await run.wait()
    return run.result, events


def tale(events: list[Event]) -> list[tuple[str, float, int]]:
    """What befell it: kind, time, life (0 where the event does not say)."""
    kinds = (GatewayStarted, GatewayReady, GatewayPaused, GatewayResumed, GatewayExited)
    told = [event for event in events if isinstance(event, kinds)]
    return [
        (type(event).__name__[7:].lower(), round(event.t, 1), getattr(event, "life", 0))
        for event in told
    ]


def notes(events: list[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, Note)]


async def test_steps_make_lives_of_it_and_none_of_their_ends_is_a_failure(
    script: Any, autojump_clock: MockClock, on_a_fake_machine: OnAFakeMachine
) -> None:
    acts = (("2s", "kill"), ("3s", "start"), ("5s", "stop"), ("6s", "start"), ("8s", "restart"))
    result, events = await lived(script, on_a_fake_machine, *acts)
    assert tale(events) == [
        ("started", 0.0, 1),
        ("ready", 0.0, 1),
        ("exited", 2.0, 1),
        ("started", 3.0, 2),
        ("ready", 3.0, 2),
        ("exited", 5.0, 2),
        ("started", 6.0, 3),
        ("ready", 6.0, 3),
        ("exited", 8.0, 3),
        ("started", 8.0, 4),
        ("ready", 8.0, 4),
        ("exited", 30.0, 4),
    ]
    assert result.verdict == "passed"
    assert result.gateway is not None
    told = [(life.by, life.signal, life.crashed) for life in result.gateway.lives]
    asked = [("kill", "SIGKILL"), ("stop", "SIGTERM"), ("stop", "SIGTERM"), ("end", "SIGTERM")]
    assert told == [(by, name, False) for by, name in asked]


async def test_steps_of_one_moment_are_done_in_their_order(
    script: Any, autojump_clock: MockClock, on_a_fake_machine: OnAFakeMachine
) -> None:
    """As those are that have become late together; the order of tasks would be drawn at random."""
    acts = [("2s", "kill"), ("2s", "start")] * 15
    result, events = await lived(script, on_a_fake_machine, *acts)
    assert [kind for kind, _, _ in tale(events)].count("started") == 16
    assert result.verdict == "passed"


async def test_readiness_is_awaited_anew_and_windows_that_began_go_on(
    script: Any, autojump_clock: MockClock, on_a_fake_machine: OnAFakeMachine
) -> None:
    script.lines = [(1.0, "listening")]
    script.lives = [type(script)(lines=[(4.0, "listening")])]
    result, events = await lived(
        script,
        on_a_fake_machine,
        ("3s", "restart"),
        gateway='ready = { log = "listening" }',
        rest='[[expect]]\ndevice = "meter"\nreceives = { kind = "READ" }\nwithin = "9s"\n',
    )
    ready = [event.t for event in events if isinstance(event, GatewayReady)]
    assert ready == [pytest.approx(1.0), pytest.approx(7.0)]
    assert result.expectations[0].t == pytest.approx(10.0)  # 9 s after it was ready first


async def test_pausing_is_done_to_all_of_it_and_stopping_is_not_hindered(
    script: Any, autojump_clock: MockClock, on_a_fake_machine: OnAFakeMachine
) -> None:
    acts = (("1s", "pause"), ("2s", "resume"), ("3s", "pause"))
    result, events = await lived(script, on_a_fake_machine, *acts)
    told = [("paused", 1.0), ("resumed", 2.0), ("paused", 3.0)]
    assert [(kind, t) for kind, t, _ in tale(events)][2:5] == told
    assert script.processes[0].done == ["pause", "resume", "pause", "stop"]
    assert result.verdict == "passed"


# --- what is held against it ------------------------------------------------------------------


@pytest.mark.parametrize("exits_at", [1.0, 4.0])
async def test_a_crash_by_itself_fails_the_run_whatever_steps_did_before_and_after(
    script: Any, autojump_clock: MockClock, on_a_fake_machine: OnAFakeMachine, exits_at: float
) -> None:
    """Before the step that kills it, or in the life after that."""
    crashing = {"exits_at": 1.0, "status": ExitStatus(None, signal.SIGSEGV)}
    if exits_at == 1.0:
        vars(script).update(crashing)
        script.lives = [type(script)()]
    else:
        script.lives = [type(script)(**crashing), type(script)()]
    acts = (("2s", "kill"), ("3s", "start"), ("6s", "restart"))
    result, events = await lived(script, on_a_fake_machine, *acts)
    assert (result.verdict, result.reason) == ("failed", "the gateway crashed: SIGSEGV")
    assert result.gateway is not None
    assert (result.gateway.crashed, result.gateway.signal) == (True, "SIGSEGV")
    assert [life.crashed for life in result.gateway.lives].count(True) == 1
    assert result.expectations[0].actual == "it was ended by SIGSEGV"
    starts = [t for kind, t, _ in tale(events) if kind == "started"]
    assert starts == [0.0, 3.0, 6.0]  # the run has waited for the steps that were to come


async def test_an_end_with_the_run_is_none_by_itself(
    script: Any, autojump_clock: MockClock, on_a_fake_machine: OnAFakeMachine
) -> None:
    script.exits_at, script.status = 30.0 - 1e-9, ExitStatus(1, None)
    result, _ = await lived(script, on_a_fake_machine)
    assert result.verdict == "failed"  # it had crashed before it was asked to end


async def test_running_is_not_judged_while_a_step_holds_it_down(
    script: Any, autojump_clock: MockClock, on_a_fake_machine: OnAFakeMachine
) -> None:
    result, _ = await lived(script, on_a_fake_machine, ("2s", "stop"))
    assert result.verdict == "passed"
    assert result.gateway is not None
    assert [life.by for life in result.gateway.lives] == ["stop"]


@pytest.mark.parametrize("expect", ["running = false", "exit = 0"])
async def test_what_a_step_ended_has_not_ended_by_itself(
    script: Any, autojump_clock: MockClock, on_a_fake_machine: OnAFakeMachine, expect: str
) -> None:
    result, _ = await lived(script, on_a_fake_machine, ("2s", "stop"), expect=expect)
    assert result.verdict == "failed"
    assert result.expectations[0].actual == "a step ended it: stop (t=2.000 s)"


async def test_who_ignores_a_signal_is_told_of(
    script: Any, autojump_clock: MockClock, on_a_fake_machine: OnAFakeMachine
) -> None:
    script.stubborn = True
    acts = (("2s", "stop"), ("6s", "start"))
    result, events = await lived(script, on_a_fake_machine, *acts)
    told = "The gateway went on for 2 s after SIGTERM, and was killed then."
    assert told in notes(events)
    assert (result.verdict, result.notes.count(told)) == ("passed", 1)


@pytest.mark.parametrize("acts", [(), (("2s", "stop"),), (("2s", "restart"),)])
async def test_a_fault_is_a_crash_also_of_who_was_asked_to_end(
    script: Any,
    autojump_clock: MockClock,
    on_a_fake_machine: OnAFakeMachine,
    acts: tuple[tuple[str, str], ...],
) -> None:
    script.fault = signal.SIGSEGV
    result, _ = await lived(script, on_a_fake_machine, *acts)
    assert result.verdict == "failed"
    assert result.reason.startswith("the gateway crashed: SIGSEGV, when it was asked to end")
    assert "The gateway was asked to end by SIGTERM, and ended by SIGSEGV." in result.notes


async def test_who_is_never_ready_is_told_of(
    script: Any, autojump_clock: MockClock, on_a_fake_machine: OnAFakeMachine
) -> None:
    result, _ = await lived(script, on_a_fake_machine, gateway='ready = { log = "^hello" }')
    told = "The gateway was never ready: it printed no line that matches '^hello'."
    assert (result.verdict, told in result.notes) == ("passed", True)


# --- when it is started -----------------------------------------------------------------------


async def test_a_step_may_be_the_first_to_start_it(
    script: Any, autojump_clock: MockClock, on_a_fake_machine: OnAFakeMachine
) -> None:
    result, events = await lived(
        script,
        on_a_fake_machine,
        ("5s", "start"),
        rest='[[expect]]\ndevice = "meter"\nreceives = { kind = "READ" }\nwithin = "9s"\n',
    )
    assert tale(events)[:2] == [("started", 5.0, 1), ("ready", 5.0, 1)]
    assert result.expectations[0].t == pytest.approx(14.0)


async def test_a_run_without_a_step_that_starts_it_again_ends_with_it(
    script: Any, autojump_clock: MockClock, on_a_fake_machine: OnAFakeMachine
) -> None:
    script.exits_at = 2.0
    result, _ = await lived(script, on_a_fake_machine, until="gateway_exit", expect="exit = 0")
    assert result.duration_s == pytest.approx(2.05, abs=0.1)
    script.processes.clear()
    script.lives = [type(script)(exits_at=1.0)]
    result, events = await lived(
        script, on_a_fake_machine, ("9s", "start"), until="gateway_exit", expect="exit = 0"
    )
    assert len([event for event in events if isinstance(event, GatewayStarted)]) == 1  # at 9 s
    assert result.duration_s == pytest.approx(11.05, abs=0.1)


@pytest.mark.parametrize(
    ("restart", "starts"),
    [
        ('"never"', [0.0]),
        ('"on-crash"', [0.0]),
        ('"always"', [0.0, 4.0, 8.0, 12.0, 16.0, 20.0, 24.0, 28.0]),
        ('{ policy = "always", delay = "2s", times = 2 }', [0.0, 5.0, 10.0]),
    ],
)
async def test_its_policy_starts_it_again(
    script: Any,
    autojump_clock: MockClock,
    on_a_fake_machine: OnAFakeMachine,
    restart: str,
    starts: list[float],
) -> None:
    """It exits with 0 after three seconds, and the delay is one unless said otherwise."""
    script.exits_at = 3.0
    result, events = await lived(
        script,
        on_a_fake_machine,
        gateway=f"restart = {restart}",
        expect="exit = 0",
        until="duration",
    )
    assert [t for kind, t, _ in tale(events) if kind == "started"] == starts
    assert result.verdict == "passed"


async def test_a_policy_does_not_hide_a_crash(
    script: Any, autojump_clock: MockClock, on_a_fake_machine: OnAFakeMachine
) -> None:
    script.exits_at, script.status = 3.0, ExitStatus(3, None)
    script.lines = [(2.0, "all is lost")]
    script.lives = [type(script)(lines=[(1.0, "all is well")])]
    result, events = await lived(
        script, on_a_fake_machine, gateway='restart = "on-crash"', until="duration"
    )
    assert [kind for kind, _, _ in tale(events)].count("started") == 2
    assert (result.verdict, result.duration_s) == ("failed", pytest.approx(30.0))
    assert result.reason == "the gateway crashed: exit status 3"
    assert result.gateway is not None
    assert result.gateway.last_lines == ["all is lost"]


async def test_a_policy_holds_after_kill_and_not_after_stop(
    script: Any, autojump_clock: MockClock, on_a_fake_machine: OnAFakeMachine
) -> None:
    acts = (("2s", "kill"), ("6s", "stop"))
    result, events = await lived(script, on_a_fake_machine, *acts, gateway='restart = "on-crash"')
    assert tale(events) == [
        ("started", 0.0, 1),
        ("ready", 0.0, 1),
        ("exited", 2.0, 1),
        ("started", 3.0, 2),
        ("ready", 3.0, 2),
        ("exited", 6.0, 2),
    ]
    assert result.verdict == "passed"


async def test_a_step_may_be_earlier_than_the_policy(
    script: Any, autojump_clock: MockClock, on_a_fake_machine: OnAFakeMachine
) -> None:
    policy = 'restart = { policy = "on-crash", delay = "5s" }'
    acts = (("2s", "kill"), ("3s", "start"))
    _, events = await lived(script, on_a_fake_machine, *acts, gateway=policy)
    assert [t for kind, t, _ in tale(events) if kind == "started"] == [0.0, 3.0]
    script.processes.clear()
    acts = (("2s", "kill"), ("3s", "stop"))
    _, events = await lived(script, on_a_fake_machine, *acts, gateway=policy)
    assert [t for kind, t, _ in tale(events) if kind == "started"] == [0.0]


# --- what makes no sense ----------------------------------------------------------------------


async def test_to_start_what_runs_is_an_error_of_the_scenario(
    script: Any, autojump_clock: MockClock, on_a_fake_machine: OnAFakeMachine
) -> None:
    result, _ = await lived(script, on_a_fake_machine, ("1s", "restart"), ("2s", "start"))
    assert result.verdict == "error"
    assert 'gateway = "start": it is running since 1 s into the run' in result.reason


async def test_to_start_what_has_exited_by_itself_is_none(
    script: Any, autojump_clock: MockClock, on_a_fake_machine: OnAFakeMachine
) -> None:
    script.exits_at = 1.0
    script.lives = [type(script)()]
    acts = (("0.1s", "restart"), ("2s", "start"), ("3s", "stop"))
    script.lives = [type(script)(exits_at=0.5), type(script)()]
    result, events = await lived(script, on_a_fake_machine, *acts, expect="exit = 0")
    assert [t for kind, t, _ in tale(events) if kind == "started"] == [0.0, 0.1, 2.0]
    assert result.verdict == "passed"


@pytest.mark.parametrize("action", ["stop", "kill", "pause", "resume"])
async def test_a_step_that_finds_nobody_since_it_has_exited_says_so(
    script: Any, autojump_clock: MockClock, on_a_fake_machine: OnAFakeMachine, action: str
) -> None:
    """The gateway did that, so that the file is not to blame."""
    script.exits_at = 1.0
    acts = (("0.5s", "pause"), ("2s", action)) if action == "resume" else (("2s", action),)
    result, events = await lived(
        script, on_a_fake_machine, *acts, expect="exit = 0", until="duration"
    )
    assert f'gateway = "{action}" found nothing to do: it is not running.' in notes(events)
    assert result.verdict == "passed"


async def test_a_test_may_do_the_same_as_steps(
    script: Any, autojump_clock: MockClock, on_a_fake_machine: OnAFakeMachine
) -> None:
    on_a_fake_machine(script)
    text = SCENARIO.format(gateway="", rest="", expect="running = true", until="settled", name="it")
    async with open_run(
        load_text(text, Path("it.toml"), default_seed=1), RunOptions(files=False)
    ) as run:
        await trio.sleep(1)
        await run.gateway_do("stop")
        assert run.gateway is not None
        assert run.gateway.state == "down"
        with pytest.raises(ScenarioError, match="it is down since 'stop', 1 s into the run"):
            await run.gateway_do("kill")
        await run.gateway_do("start")
        await trio.testing.wait_all_tasks_blocked()
        assert run.gateway.state == "ready"
        with pytest.raises(ScenarioError, match="it is not paused"):
            await run.gateway_do("resume")
    assert run.result.verdict == "passed"


# --- what it uses -----------------------------------------------------------------------------


async def test_what_it_uses_is_judged_at_once_and_told_in_the_result(
    script: Any, autojump_clock: MockClock, on_a_fake_machine: OnAFakeMachine
) -> None:
    script.usage = lambda t: Usage(1, 2, 0, 0.1 * t, fds=40 if 5 < t < 5.15 else 7)
    result, _ = await lived(script, on_a_fake_machine, expect="fds = { max = 39 }")
    [outcome] = result.expectations
    assert (result.verdict, outcome.actual) == ("failed", "it had 40 file descriptors")
    assert outcome.t == pytest.approx(5.1, abs=0.1)
    assert result.gateway is not None
    figures = result.gateway.figures
    assert figures is not None
    assert (figures.fds, figures.threads, figures.memory) == (40, 2, None)
    assert figures.cpu == pytest.approx(0.1, abs=0.01)


async def test_nothing_is_measured_unless_somebody_asks(
    script: Any, autojump_clock: MockClock, on_a_fake_machine: OnAFakeMachine
) -> None:
    script.usage = None  # nobody calls it
    result, _ = await lived(script, on_a_fake_machine)
    assert result.gateway is not None
    assert result.gateway.figures is None


@pytest.mark.parametrize(
    ("usage", "reason"),
    [
        (None, "/proc does not show the gateway's processes here"),
        (Usage(1, 1), "its file descriptors could not be measured"),
    ],
)
async def test_what_could_not_be_measured_neither_holds_nor_fails(
    script: Any,
    autojump_clock: MockClock,
    on_a_fake_machine: OnAFakeMachine,
    usage: Usage | None,
    reason: str,
) -> None:
    script.usage = lambda _t: usage
    result, _ = await lived(script, on_a_fake_machine, expect="fds = { max = 40 }")
    assert result.verdict == "inconclusive"
    assert result.expectations[0].inconclusive == reason


async def test_a_report_in_its_last_words_is_heard(
    script: Any, autojump_clock: MockClock, on_a_fake_machine: OnAFakeMachine
) -> None:
    """LeakSanitizer looks for leaks at the exit, which is when all else is judged."""
    report = "==7==ERROR: LeakSanitizer: detected memory leaks"
    script.last_words = report
    result, _ = await lived(script, on_a_fake_machine, expect="sanitizer = false")
    assert result.verdict == "failed"
    assert result.expectations[0].actual == f"it printed {report}"
