"""What runs come to, one by one and together, and how one is repeated."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import CommandLine, Done

background = pytest.mark.background
needs_tun = pytest.mark.needs("tun")

MEMORY = 'kind = "memory"'
THERE = 'address = "10.77.0.1"\nport = 9000'
REPORTS = """
[devices.meter.signals]
level = { kind = "random_walk", start = 10, step = 1, every = "1s" }

[[devices.meter.rules]]
every = "1s"
jitter = "300ms"
send = { kind = "REPORT", device = "=device.index", seq = 1, value = "=level" }
"""
EACH_REPORTS = """
[[expect]]
name = "every meter reports"
each = "meter"
sends = { kind = "REPORT" }
within = "4s"
"""
NEVER_REPORTS = """
[[expect]]
name = "no meter reports"
each = "meter"
sends = { kind = "REPORT" }
never = true
"""


def memory(
    iotsim: CommandLine, name: str, rules: str = REPORTS, expect: str = "", until: str = "settled"
) -> Path:
    return iotsim.meters(
        name=name, link=MEMORY, gateway=THERE, rules=rules, expect=expect, until=until
    )


def empty(iotsim: CommandLine) -> Done:
    return iotsim.run(memory(iotsim, "empty.toml"), "--duration", "1h")


@background(job=empty)
def test_nothing_was_checked(done: Done) -> None:
    assert done.status == 5
    assert "EMPTY" in done.text
    assert done.result["reason"] == "the scenario has no expectations"


def raises(iotsim: CommandLine) -> Done:
    rules = REPORTS.replace('"=level"', '"=1 / (device.index - 1)"')
    return iotsim.run(memory(iotsim, "raises.toml", rules, EACH_REPORTS))


@background(job=raises)
def test_a_rule_that_raises_is_an_error_and_its_device_is_named(done: Done) -> None:
    assert done.status == 2
    assert "meter[1]" in done.result["reason"]
    (failed,) = done.events_of("device-failed")
    assert failed["device"] == "meter[1]"
    assert "division by zero" in failed["error"]
    assert "Traceback" in failed["traceback"]
    assert "Traceback" not in done.text
    # The others went on.
    assert {event["device"] for event in done.events_of("sent")} == {"meter[0]", "meter[2]"}


SLOW = """
import time
from iotsim import Device, on

class Slow(Device):
    @on(kind="READ")
    def read(self, request):
        time.sleep(0.3)
        return {"kind": "REPORT", "value": 1.0}
"""


def lags(iotsim: CommandLine) -> Done:
    iotsim.write("slow.py", SLOW)
    expect = """
    [[expect]]
    name = "told to do something"
    device = "meter[2]"
    receives = { kind = "COMMAND" }
    within = "15s"
    """
    command = 'command = ["python3", "-IS", "poller.py", "10.77.1.1", "10.77.1.2", "10.77.1.3"]'
    scenario = iotsim.meters(
        gateway=command, rules='behavior = "slow.py:Slow"', expect=expect, until="gateway_exit"
    )
    return iotsim.run(scenario)


@needs_tun
@background(job=lags)
def test_a_simulator_that_is_late_blames_nobody(done: Done) -> None:
    assert done.status == 4, done.text
    assert "INCONCLUSIVE" in done.text
    assert "ms late" in done.result["reason"]
    assert max(done.result["lag"].values()) > 0.25


def broken_behavior(iotsim: CommandLine) -> Done:
    iotsim.write("broken.py", "class Broken(Device): pass")
    return iotsim.run(memory(iotsim, "broken.toml", 'behavior = "broken.py:Broken"'))


@background(job=broken_behavior)
def test_a_behavior_that_cannot_be_loaded_is_an_error_in_a_line(done: Done) -> None:
    assert done.status == 2
    assert "NameError: name 'Device' is not defined" in done.text
    assert "broken.py" in done.text
    assert "Traceback" not in done.text
    assert done.result["verdict"] == "error"


def several(iotsim: CommandLine) -> Done:
    memory(iotsim, "all/passes.toml", expect=EACH_REPORTS)
    memory(iotsim, "all/deeper/fails.toml", expect=NEVER_REPORTS)
    memory(iotsim, "all/empty.toml")
    return iotsim.run("all", "--jobs", "2", "--seed", "7", "-q")


@background(job=several)
def test_several_come_to_the_gravest(done: Done) -> None:
    assert done.status == 1, done.text
    lines = done.text.splitlines()
    told = {tuple(line.split()[:2]) for line in lines}
    assert {("empty", "all/empty.toml"), ("failed", "all/deeper/fails.toml")} <= told
    assert lines[-1] == "3 of 3 scenarios: 1 passed, 1 failed, 1 empty"
    folders = {path.parent.name for path in done.out.rglob("result.json")}
    assert folders == {"passes", "deeper-fails", "empty", "out"}


def twice(iotsim: CommandLine) -> list[dict[str, bytes]]:
    scenario = memory(iotsim, "repeat.toml", expect=EACH_REPORTS + NEVER_REPORTS, until="duration")
    outs = []
    for name, seed in (("one", 7), ("two", 7), ("other", 8)):
        out = iotsim.folder / name
        status = iotsim("run", scenario, "--seed", str(seed), "--out", out).status
        assert status == 1
        files = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}
        # It says where the files of a run that failed are.
        files["junit.xml"] = files["junit.xml"].replace(f"[[ATTACHMENT|{name}/".encode(), b"[[")
        outs.append(files)
    return outs


@background(job=twice)
def test_the_same_seed_gives_the_same_run_to_the_byte(done: list[dict[str, bytes]]) -> None:
    one, two, other = done
    assert b'"sent"' in one["events.jsonl"]
    assert one.keys() == two.keys()
    assert [name for name in one if one[name] != two[name]] == []
    assert one["events.jsonl"] != other["events.jsonl"]
    assert one["capture.pcapng"] != other["capture.pcapng"]


def served(iotsim: CommandLine) -> Done:
    command = 'command = ["python3", "-IS", "poller.py", "10.77.1.1"]'
    scenario = iotsim.meters(gateway=command, expect="")
    run = iotsim.start("run", scenario, "--serve", "--out", iotsim.out)
    events = iotsim.out / "events.jsonl"
    # That the gateway has gone is no end either.
    iotsim.wait_for(
        lambda: events.exists() and b"gateway-exited" in events.read_bytes(),
        "the gateway's end",
        run,
    )
    run.send_signal(signal.SIGINT)
    return iotsim.finish(run)


@needs_tun
@background(job=served)
def test_serve_goes_on_until_interrupted_and_needs_no_expectation(done: Done) -> None:
    assert done.status == 0, done.text
    assert "PASSED" in done.text
    assert len(done.events_of("received")) == 1


def at_once(iotsim: CommandLine) -> list[Done]:
    command = 'command = ["python3", "-IS", "poller.py", "10.77.1.1", "10.77.1.2", "10.77.1.3"]'
    scenario = iotsim.meters(gateway=command)
    runs = [iotsim.start("run", scenario) for _ in range(2)]
    results = iotsim.folder / "results" / "meters"
    done = [iotsim.finish(run) for run in runs]
    return [
        type(each)(each.status, each.text, out)
        for each, out in zip(done, sorted(results.iterdir()), strict=True)
    ]


@needs_tun
@background(job=at_once)
def test_two_runs_at_once_do_not_meet(done: list[Done]) -> None:
    for each in done:
        assert each.status == 0, each.text
        assert each.result["verdict"] == "passed"
        assert len(each.events_of("received")) == 3


def suite_ended(iotsim: CommandLine, number: int) -> tuple[Done, list[str]]:
    """A suite of three, of which two run, that gets a signal; and what is left of it."""
    for name in ("a", "b", "c"):
        command = f'command = ["sh", "-c", "touch {iotsim.folder}/{name}.up; sleep 60"]'
        iotsim.meters(name=f"all/{name}.toml", gateway=command, until="duration")
    suite = iotsim.start("run", "all", "--jobs", "2", "--out", iotsim.out)
    up = [iotsim.folder / f"{name}.up" for name in ("a", "b")]
    iotsim.wait_for(lambda: all(path.exists() for path in up), "the gateways", suite)
    suite.send_signal(number)
    done = iotsim.finish(suite)
    results = [iotsim.out / name / "result.json" for name in ("a", "b")]
    # Of a suite that is killed, the runs hear by the death of who has forked them.
    by = "SIGTERM" if number == signal.SIGKILL else signal.Signals(number).name
    iotsim.wait_for(
        lambda: all(f'"interrupted by {by}"' in path.read_text() for path in results), "the runs"
    )
    return done, [path.name for path in iotsim.out.iterdir()]


def interrupted(iotsim: CommandLine) -> Done:
    """A suite in whose terminal somebody presses Ctrl-C, which all of its processes get."""
    for name in ("a", "b"):
        command = f'command = ["sh", "-c", "touch {iotsim.folder}/{name}.up; sleep 60"]'
        iotsim.meters(name=f"all/{name}.toml", gateway=command, until="duration")
    suite = iotsim.start("run", "all", "--jobs", "2", "--out", iotsim.out)
    up = [iotsim.folder / f"{name}.up" for name in ("a", "b")]
    iotsim.wait_for(lambda: all(path.exists() for path in up), "the gateways", suite)
    os.killpg(suite.pid, signal.SIGINT)
    return iotsim.finish(suite)


@needs_tun
@background(job=interrupted)
def test_ctrl_c_in_a_terminal_ends_all_runs_in_order(done: Done) -> None:
    assert done.status == 128 + signal.SIGINT, done.text
    assert "2 of 2 scenarios: 2 error" in done.text
    assert done.text.count("interrupted by SIGINT") >= 2
    assert done.result["reason"] == "ended by SIGINT"


@needs_tun
@background(job=suite_ended)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_runs_of_a_suite_end_with_it(
    number: signal.Signals, done: tuple[Done, list[str]]
) -> None:
    suite, folders = done
    assert suite.status == (-number if number == signal.SIGKILL else 128 + number)
    left = {"a", "b", "index.html", "junit.xml", "result.json"}
    assert set(folders) - {"runs.json"} == left
    if number != signal.SIGKILL:
        assert "2 of 3 scenarios: 2 error" in suite.text
