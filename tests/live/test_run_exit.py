"""However a run ends, it leaves nothing behind but its results, and those up to the last second."""

from __future__ import annotations

import json
import math
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import subprocess

    from tests.conftest import CommandLine, Done

pytestmark = pytest.mark.needs("tun")

background = pytest.mark.background

HIDING_GATEWAY = '''
"""Ignores every polite signal, detaches two children, and polls from each process for ever."""
import binascii, os, signal, socket, struct, time

for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
    signal.signal(number, signal.SIG_IGN)
for _ in range(2):
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        break
body = b"SN" + struct.pack("!BBHIHB", 1, 1, 9, 7, 1, 0)
read = body + struct.pack("!H", binascii.crc_hqx(body, 0xFFFF))
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
while True:
    sock.sendto(read, ("10.77.1.1", 5600))
    sock.recv(99)
    time.sleep(0.02)
'''
END_S = 10.0
TICKS = os.sysconf("SC_CLK_TCK")


def hiding(iotsim: CommandLine, queues: int = 1) -> tuple[Path, str]:
    """A scenario that goes on until it is ended, and a word in the command line of its gateway."""
    iotsim.write("hiding.py", HIDING_GATEWAY)
    token = f"token-{random.Random(str(iotsim.folder)).getrandbits(64)}"
    command = f'command = ["{sys.executable}", "-IS", "hiding.py", "{token}"]'
    scenario = iotsim.meters(gateway=command, link=f"queues = {queues}", until="duration")
    (iotsim.folder / "tmp").mkdir()
    iotsim.environment["TMPDIR"] = str(iotsim.folder / "tmp")
    return scenario, token


def processes_of(words: set[str]) -> list[str]:
    """Command lines that carry one of `words`, of processes that are not yet dead."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if words & set(line):
            found.append(f"{folder.name}: {' '.join(line)}")
    return found


def namespaces(began_by: float = math.inf) -> dict[str, str]:
    """Every namespace of a process that began by then, in seconds of uptime, and one such process."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[19]) / TICKS > began_by:
            continue
        for kind in ("net", "pid", "user", "mnt"):
            try:
                found[str((folder / "ns" / kind).readlink())] = folder.name
            except OSError:
                continue
    return found


def namespaces_of(words: set[str]) -> set[str]:
    """The namespaces of processes that carry one of `words`, without our own."""
    pids = [line.partition(":")[0] for line in processes_of(words)]
    theirs = {name for name, pid in namespaces().items() if pid in pids}
    for pid in pids:
        for kind in ("net", "pid", "user", "mnt"):
            try:
                theirs.add(str(Path(f"/proc/{pid}/ns/{kind}").readlink()))
            except OSError:
                continue
    own = {str(Path(f"/proc/self/ns/{kind}").readlink()) for kind in ("net", "pid", "user", "mnt")}
    return theirs - own


def check_nothing_is_left(iotsim: CommandLine, words: set[str], made: set[str]) -> None:
    deadline = time.monotonic() + END_S
    # What begins from now on may be in a namespace that has the number of one that is no more.
    ended = time.clock_gettime(time.CLOCK_BOOTTIME)
    while left := [*processes_of(words), *(made & namespaces(ended).keys())]:
        assert time.monotonic() < deadline, left
        time.sleep(0.02)
    assert list((iotsim.folder / "tmp").iterdir()) == []
    for path in iotsim.out.glob("*"):
        assert not path.name.startswith("."), path


def end_at(iotsim: CommandLine, run: subprocess.Popen[str], delay_s: float | None) -> None:
    """Wait for `delay_s`, or until the gateway has been heard."""
    if delay_s is None:
        iotsim.wait_for(
            lambda: any(
                b'"received"' in path.read_bytes() for path in iotsim.out.glob("events*.jsonl")
            ),
            "an event",
            run,
        )
        time.sleep(0.6)
    else:
        time.sleep(delay_s)
    assert run.poll() is None


def events_in(iotsim: CommandLine) -> list[dict[str, Any]]:
    """The events on disk, in the file of the run and in those of its workers, if it has any."""
    events = []
    for path in iotsim.out.glob("events*.jsonl"):
        *lines, rest = path.read_text().split("\n")
        assert not rest, "a batch of events is written whole"
        events += [json.loads(line) for line in lines]
    return events


def age_of_last_event(events: list[dict[str, Any]], killed_at: float) -> float:
    """By how much the last event on disk is older than `killed_at`, in seconds."""
    started = next(event["wall_time"] for event in events if event["event"] == "run-started")
    last: float = max(event["t"] for event in events)
    return killed_at - started - last


def killed(iotsim: CommandLine, attempt: int) -> None:
    # From the first import to the traffic's steady flow; the last waits for that flow.
    delay = None if attempt == KILLS - 1 else random.Random(attempt).uniform(0.3, 2.0)
    # Half of them are simulated by several processes.
    scenario, token = hiding(iotsim, queues=1 + attempt % 2)
    mounts = Path("/proc/self/mountinfo").read_text()
    words = {token, str(iotsim.out)}
    interfaces = set(Path("/sys/class/net").iterdir())
    run = iotsim.start("run", scenario, "--out", iotsim.out)
    end_at(iotsim, run, delay)
    made = namespaces_of(words)
    killed_at = time.time()
    run.kill()
    run.wait()
    check_nothing_is_left(iotsim, words, made)
    assert set(Path("/sys/class/net").iterdir()) == interfaces
    assert Path("/proc/self/mountinfo").read_text() == mounts
    events = events_in(iotsim)
    # Of several processes, each writes by itself: the run's own first events may come later.
    if {"run-started", "received"} <= {event["event"] for event in events}:
        assert age_of_last_event(events, killed_at) < 1.0
        assert json.loads((iotsim.out / "result.json").read_text())["verdict"] == "running"
        check_it_can_be_told_of(iotsim)
    else:
        assert delay is not None


def check_it_can_be_told_of(iotsim: CommandLine) -> None:
    """What a killed run has left is shown, and documents are made of it, that say what it is."""
    shown = iotsim("show", iotsim.out, "--kind", "received")
    assert shown.status == 0, shown.text
    assert shown.text.splitlines()[-1].endswith("it is still running, or was killed")
    made = iotsim("report", iotsim.out)
    assert made.status == 0, made.text
    assert "not ok 1 - run" in (iotsim.out / "results.tap").read_text()
    assert "or was killed" in (iotsim.out / "junit.xml").read_text()
    assert len((iotsim.out / "devices.csv").read_text().splitlines()) > 1
    assert json.loads((iotsim.out / "result.json").read_text())["verdict"] == "running"


KILLS = 6


@background(job=killed)
@pytest.mark.parametrize("attempt", range(KILLS))
def test_sigkill_at_any_moment_leaves_nothing_and_loses_no_second(attempt: int, done: None) -> None:
    pass


def interrupted(iotsim: CommandLine, number: int) -> Done:
    gateway = 'command = ["python3", "-ISu", "again.py"]'
    iotsim.write("again.py", GATEWAY_WITH_MANNERS)
    (iotsim.folder / "tmp").mkdir()
    iotsim.environment["TMPDIR"] = str(iotsim.folder / "tmp")
    words = {str(iotsim.out), "again.py"}
    scenario = iotsim.meters(gateway=gateway, until="duration")
    # Whoever runs the tests may have SIGHUP ignored, as by nohup.
    heeding = ["env", "--default-signal=HUP"]
    command = iotsim.words("run", scenario, "--out", iotsim.out)
    run = iotsim.start_other([*heeding, *command])
    end_at(iotsim, run, None)
    made = namespaces_of(words)
    assert made
    for _ in range(3):  # as people do who are impatient
        run.send_signal(number)
        time.sleep(0.005)
    done = iotsim.finish(run)
    check_nothing_is_left(iotsim, words, made)
    return done


GATEWAY_WITH_MANNERS = HIDING_GATEWAY.replace(
    "signal.signal(number, signal.SIG_IGN)",
    "signal.signal(number, lambda *_: (print('good-bye'), os._exit(0)))",
).replace("range(2)", "range(0)")


@background(job=interrupted)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_run_in_order(number: signal.Signals, done: Done) -> None:
    assert done.status == 128 + number, done.text
    assert "Traceback" not in done.text
    assert f"interrupted by {number.name}" in done.text
    assert done.result["verdict"] == "error"
    assert done.result["reason"] == f"interrupted by {number.name}"
    assert done.log.endswith("good-bye\n")
    assert done.events[-1]["event"] == "run-ended"
    counters = done.result["counters"]
    assert counters["packets.received"] == counters["interface.to_devices"]


IN_A_TERMINAL = """
import fcntl, os, signal, sys, termios
signal.signal(signal.SIGHUP, getattr(signal, sys.argv[1]))
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[2], sys.argv[2:])
"""
TELLS_SIGNALS = """
trap 'echo hangup' HUP
trap 'echo good-bye; exit 0' TERM
echo up
while :; do sleep 0.05; done
"""
IS_UP = """
[[expect]]
name = "up"
gateway = { running = true, stdout = "up" }
"""


def hung_up(iotsim: CommandLine, disposition: str, queues: int) -> Done:
    """The terminal is closed as soon as the gateway is up, of a run of 3 s."""
    iotsim.write("tells.sh", TELLS_SIGNALS)
    (iotsim.folder / "tmp").mkdir()
    iotsim.environment["TMPDIR"] = str(iotsim.folder / "tmp")
    gateway = 'command = ["sh", "tells.sh"]'
    link = f"queues = {queues}"
    scenario = iotsim.meters(gateway=gateway, expect=IS_UP, link=link, until="duration")
    ours, theirs = os.openpty()
    words = iotsim.words("run", scenario, "--out", iotsim.out, "--duration", "3s", "--quiet")
    shim = [sys.executable, "-ISc", IN_A_TERMINAL, disposition]
    run = iotsim.start_other([*shim, *words], stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    log = iotsim.out / "gateway.log"
    iotsim.wait_for(lambda: log.exists() and b"up" in log.read_bytes(), "the gateway", run)
    made = namespaces_of({str(iotsim.out)})
    os.close(ours)
    done = iotsim.finish(run)
    check_nothing_is_left(iotsim, {str(iotsim.out), "tells.sh"}, made)
    return done


def told_by(done: Done) -> list[str]:
    """Some shells tell, too, that the `sleep` they waited for was terminated."""
    return [line for line in done.log.splitlines() if line != "Terminated"]


@background(job=hung_up)
@pytest.mark.parametrize(("disposition", "queues"), [("SIG_DFL", 1), ("SIG_DFL", 2)])
def test_closing_the_terminal_ends_the_run_in_order(
    disposition: str, queues: int, done: Done
) -> None:
    assert done.status == 128 + signal.SIGHUP
    assert done.result["verdict"] == "error"
    assert done.result["reason"] == "interrupted by SIGHUP"
    assert done.result["errors"] == []  # no worker died of it
    assert told_by(done) == ["up", "good-bye"]  # the gateway was asked to stop as ever
    assert done.events[-1]["event"] == "run-ended"


@background(job=hung_up)
@pytest.mark.parametrize(("disposition", "queues"), [("SIG_IGN", 1), ("SIG_IGN", 2)])
def test_with_nohup_a_run_goes_on_without_its_terminal(
    disposition: str, queues: int, done: Done
) -> None:
    assert (done.status, done.result["verdict"]) == (0, "passed")
    assert done.result["duration_s"] > 2.9
    assert told_by(done) == ["up", "good-bye"]


def early(iotsim: CommandLine) -> Done:
    """Interrupted as soon as there is a results folder: in the midst of setting up."""
    scenario, token = hiding(iotsim)
    run = iotsim.start("run", scenario, "--out", iotsim.out)
    iotsim.wait_for(iotsim.out.exists, "the results folder", run)
    run.send_signal(signal.SIGINT)
    done = iotsim.finish(run)
    check_nothing_is_left(iotsim, {token, str(iotsim.out)}, set())
    return done


@background(job=early)
def test_ctrl_c_during_set_up(done: Done) -> None:
    assert done.status == 130, done.text
    assert "Traceback" not in done.text
    if (done.out / "result.json").exists():  # else it came before there was anything to tell
        assert done.result["verdict"] == "error"
        assert done.result["reason"] == "interrupted by SIGINT"
