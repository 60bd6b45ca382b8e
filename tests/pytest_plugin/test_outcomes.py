"""Tests that use `simulation`, as their users see them end: in pytest's reports, and by Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests import processes
from tests.pytest_plugin.conftest import scenario

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.pytest_plugin.conftest import Project, Session

TIMEOUT_S = 30.0
SENSORNET = Path(__file__).parents[2] / "protocols/sensornet.py"
METERS = '''
TEXT = """
[scenario]
name = "meters"
duration = "1m"
[link]
kind = "memory"
[devices.meter]
count = 2
address = "10.77.1.1"
protocol = "sensornet"
[[expect]]
name = "polled"
each = "meter"
receives = { kind = "READ" }
within = "10s"
"""
'''
TESTS = """
def test_verdict(simulation):
    with simulation(TEXT):
        pass

def test_block(simulation):
    with simulation(TEXT) as sim:
        assert sim.now == 1

def test_wait(simulation):
    with simulation(TEXT) as sim:
        sim.wait_for("meter[0]", receives={"kind": "READ"}, within="2s")

def test_mistake(simulation):
    with simulation(TEXT.replace("count", "cuont")):
        pass

def test_lacking(simulation):
    with simulation(TEXT, changes={"scenario": {"requires": ["no-such-program"]}}):
        pass

def test_doubtful(simulation):
    with simulation(TEXT) as sim:
        sim.run.crew.judge.lapses.late(0.1, 5.0)
        sim.wait_for("meter[0]", receives={"kind": "READ"}, within="2s")

def test_asyncio(simulation):
    import asyncio

    async def enter():
        async with simulation(TEXT):
            pass

    asyncio.run(enter())
"""
AWAITED = """
async def test_awaited_verdict(simulation, autojump_clock):
    async with simulation(TEXT):
        pass

async def test_awaited_wait(simulation, autojump_clock):
    async with simulation(TEXT) as sim:
        await sim.wait_for("meter[0]", receives={"kind": "READ"}, within="2s")

async def test_awaited_lacking(simulation):
    async with simulation(TEXT, changes={"scenario": {"requires": ["no-such-program"]}}):
        pass
"""


@pytest.fixture(scope="module")
def outcomes(make_project: Callable[[str], Project]) -> Session:
    project = make_project("outcomes")
    project.ini("trio_mode = true")
    project.write("test_meters.py", METERS + TESTS + AWAITED)
    return project("-v", "-rs")


@pytest.mark.parametrize("name", ["test_verdict", "test_awaited_verdict"])
def test_a_verdict_is_told_without_a_traceback(outcomes: Session, name: str) -> None:
    case = outcomes.cases[name]
    assert (case.state, case.message) == ("failure", "failed: polled: neither did")
    assert case.text.startswith("FAILED  meters (seed 1, 10.0 s)")
    assert f"repeat:  pytest test_meters.py::{name} --iotsim-seed 1" in case.text
    assert case.properties["verdict"] == "failed"
    assert case.properties["repeat"].startswith("pytest test_meters.py::")


@pytest.mark.parametrize("name", ["test_wait", "test_awaited_wait"])
def test_what_was_waited_for_is_told_at_the_line_of_the_test(outcomes: Session, name: str) -> None:
    case = outcomes.cases[name]
    assert "meter[0] receives kind READ: not within 2 s" in case.text
    assert ">" in case.text
    assert "sim.wait_for(" in case.text
    assert "results: " in case.text
    for ours in ("waiting.py", "blocking.py", "live.py", "trio/_core", "Exception Group"):
        assert f"{ours}:" not in case.text


def test_an_assertion_of_the_test_is_told_as_any(outcomes: Session) -> None:
    case = outcomes.cases["test_block"]
    assert "assert 0.0 == 1" in case.text
    assert "repeat:  pytest " in case.text


def test_a_mistake_of_the_scenario_has_its_line(outcomes: Session) -> None:
    case = outcomes.cases["test_mistake"]
    assert "(text):8:1: devices.meter.cuont: unknown key" in case.text
    assert "problems.py" not in case.text


def test_what_our_own_lateness_may_have_done_is_no_failure(outcomes: Session) -> None:
    case = outcomes.cases["test_doubtful"]
    assert case.state == "error"
    assert "inconclusive: the simulator itself was up to 4.9 s late" in case.text


@pytest.mark.parametrize("name", ["test_lacking", "test_awaited_lacking"])
def test_a_machine_that_lacks_something_skips_with_the_fix(outcomes: Session, name: str) -> None:
    case = outcomes.cases[name]
    assert case.state == "skipped"
    assert "no-such-program" in case.message
    assert "; fix: " in case.message


def test_where_it_is_wanted_that_is_an_error(project: Project) -> None:
    project.ini("trio_mode = true", "iotsim_strict = true", "iotsim_scenarios = scenarios")
    project.write("test_meters.py", METERS + TESTS + AWAITED)
    project.write("scenarios/lacking.toml", scenario("lacking", 'requires = ["no-such-program"]'))
    session = project("-q", "-k", "lacking")
    assert session.status == 1
    assert {name: case.state for name, case in session.cases.items()} == {
        "test_lacking": "error",
        "test_awaited_lacking": "error",
        "lacking": "error",
    }
    assert session.text.count("ERROR test_meters.py") == 2
    assert "this machine cannot run it: " in session.cases["lacking"].message
    assert "no-such-program" in session.cases["test_lacking"].message
    assert "Traceback" not in session.text


def test_another_event_loop_is_told_what_to_write(outcomes: Session) -> None:
    assert "write `with simulation(...)`" in outcomes.cases["test_asyncio"].text


def test_a_project_says_where_protocols_are(project: Project) -> None:
    project.ini()
    project.write("iotsim.toml", 'protocols = ["formats"]\n')
    project.write(
        "formats/ours.py", SENSORNET.read_text().replace('name="sensornet"', 'name="ours"')
    )
    project.write(
        "tests/test_ours.py",
        METERS
        + """
def test_ours(simulation):
    with simulation(TEXT.replace("sensornet", "ours"), judge=False) as sim:
        assert sim.device("meter[0]").encode({"kind": "READ", "device": 1, "seq": 1})
""",
    )
    session = project("-q")
    assert session.cases["test_ours"].state == "passed", session.text


def test_plain_tests_need_no_other_plugin(project: Project) -> None:
    project.ini()
    project.write("test_meters.py", METERS + TESTS)
    session = project("-q", "-p", "no:trio", "-p", "no:xdist", "-k", "verdict or wait or lacking")
    states = [session.cases[f"test_{name}"].state for name in ("verdict", "wait", "lacking")]
    assert states == ["failure", "failure", "skipped"], session.text


WAITS = """
def test_waits(simulation):
    text = TEXT.replace('"sensornet"', '"sensornet"\\nport = 5604')
    with simulation(text, link="loopback", gateway=["sleep", "{seconds}"], judge=False) as sim:
        sim.wait_for("meter[0]", receives={"kind": "READ"}, within="50s")
"""
RUNS = """
[scenario]
name = "waits"
duration = "50s"
until = "duration"
[link]
kind = "loopback"
[gateway]
command = ["sleep", "{seconds}"]
[devices.meter]
address = "10.77.1.1"
protocol = "sensornet"
port = 5604
[[expect]]
name = "polled"
each = "meter"
receives = { kind = "READ" }
never = true
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize(
    ("file", "text"), [("test_meters.py", METERS + WAITS), ("scenarios/waits.toml", RUNS)]
)
def test_nothing_is_left_of_a_session_that_is_ended(
    project: Project, file: str, text: str, number: int
) -> None:
    seconds = f"1000.{os.getpid()}{number}{len(file)}"  # by which to know it again
    project.ini("iotsim_scenarios = scenarios")
    (project.folder / "scenarios").mkdir()
    project.write(file, text.replace("{seconds}", seconds))
    started = processes.start(
        project.words("-q"),
        cwd=project.folder,
        env=project.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        wait(lambda: is_there(seconds), started)
        started.send_signal(number)
        told, _ = started.communicate(timeout=TIMEOUT_S)
    finally:
        processes.end(started)
    wait(lambda: not is_there(seconds))
    if number == signal.SIGINT:
        assert started.returncode == 2, told
        assert "KeyboardInterrupt" in told


def is_there(word: str) -> bool:
    """Whether a process has `word` on its command line."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if word.encode() in path.read_bytes().split(b"\0"):
                return True
    return False


def wait(condition: Callable[[], object], process: subprocess.Popen[str] | None = None) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        if process is not None and process.poll() is not None:
            raise AssertionError(process.communicate()[0])
        assert time.monotonic() < deadline
        time.sleep(0.02)
