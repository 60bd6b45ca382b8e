"""What no signal and no exception ends: the run ends all the same, and its results say why."""

from __future__ import annotations

import faulthandler
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from iotsim.run.guard import (
    ENDED,
    LOOKED,
    OFF_DUTY,
    STACK_SIGNAL,
    WAITING_STATES,
    _stand_guard,
    _state,
    _tell,
    guard,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SCENARIO = """
[scenario]
name = "stalls"
duration = "1s"
tolerance = 0.05
[link]
kind = "memory"
[gateway]
port = 7001
[devices.meter]
count = 2
address = "10.77.1.1"
protocol = "sensornet"
behavior = "meter.py:Meter"
[[expect]]
name = "is asked"
each = "meter"
receives = { kind = "READ" }
within = "1s"
"""
CATCHES_ALL = """
        while True:
            try:
                time.sleep(1)
            except:
                pass
"""
KEEPS_THE_LOCK = """
        sum(range(10 ** 13))
"""


@pytest.mark.parametrize(
    ("body", "status", "who"),
    [(CATCHES_ALL, 2, r"meter\[[01]\]: Meter\.run\(\)"), (KEEPS_THE_LOCK, -9, r"run\(\) at ")],
    ids=["catches all", "keeps the lock"],
)
def test_the_run_ends_in_time_and_says_why(
    body: str, status: int, who: str, tmp_path: Path
) -> None:
    (tmp_path / "run.toml").write_text(SCENARIO)
    (tmp_path / "meter.py").write_text(
        "import time\nfrom iotsim import Device\n\nclass Meter(Device):\n    async def run(self):"
        + body
    )
    command = [sys.executable, "-P", "-m", "iotsim", "run", "run.toml", "--out", "out"]
    began = time.monotonic()
    done = subprocess.run(
        command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, timeout=50, check=False
    )
    assert done.returncode == status
    assert time.monotonic() - began < 30
    (line,) = done.stderr.splitlines()
    assert re.match(rf"iotsim: error: {who}", line)
    assert "has kept all devices waiting for" in line
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert result["verdict"] == "error"
    assert result["reason"] in line
    assert "<error" in (tmp_path / "out" / "junit.xml").read_text()


# --- the guard, in the process of the test ----------------------------------------------------

BUSY = """
import faulthandler, sys
faulthandler.register({signal}, int(sys.argv[1]), all_threads=False)
print("ready", flush=True)
def crunch():
    sum(range(10 ** 13))
crunch()
"""
SILENCE_S = 0.15


class Run:
    """A process that some code in C keeps for itself, and its guard, which is a thread of the test."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "user.py"
        self.file.write_text(BUSY.format(signal=int(STACK_SIGNAL)))
        self.looks, self.told = os.pipe()
        self.stacks, stack = os.pipe()
        self.process = subprocess.Popen(
            [sys.executable, "-I", str(self.file), str(stack)],
            stdout=subprocess.PIPE,
            pass_fds=(stack,),
        )
        os.close(stack)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n"
        self.ends: list[tuple[str, bool]] = []
        """Why the run was ended, and whether it was still there to be seen then."""

    def guarded(self, *files: str) -> threading.Thread:
        def end(why: str) -> None:
            self.ends.append((why, self.process.poll() is None))

        guarding = threading.Thread(
            target=_stand_guard,
            args=(self.process.pid, self.looks, self.stacks, files, SILENCE_S, end),
        )
        guarding.start()
        return guarding

    def tell(self, what: bytes) -> None:
        os.write(self.told, what)

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
        for fd in (self.looks, self.told, self.stacks):
            os.close(fd)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    run = Run(tmp_path)
    yield run
    run.close()


def test_silence_in_the_users_code_ends_the_run_with_its_place(run: Run) -> None:
    guarding = run.guarded(str(run.file))
    run.tell(LOOKED)
    guarding.join(10)
    assert not guarding.is_alive()
    [(why, was_there)] = run.ends
    assert why.startswith(f"crunch() at {run.file}:6 has kept all devices waiting for")
    assert was_there  # the results were written before
    assert run.process.wait(5) == -signal.SIGKILL


@pytest.mark.parametrize("why", ["its own code", "off duty", "stopped", "looks come"])
def test_silence_for_any_other_reason_ends_nothing(run: Run, why: str) -> None:
    guarding = run.guarded("/elsewhere.py" if why == "its own code" else str(run.file))
    if why == "stopped":
        run.process.send_signal(signal.SIGSTOP)
        while _state(run.process.pid) not in WAITING_STATES:
            time.sleep(0.001)
    run.tell(OFF_DUTY if why == "off duty" else LOOKED)
    until = time.monotonic() + 3 * SILENCE_S
    while time.monotonic() < until:
        if why == "looks come":
            run.tell(LOOKED)
        time.sleep(SILENCE_S / 5)
    assert guarding.is_alive()
    run.tell(ENDED)
    guarding.join(5)
    assert not guarding.is_alive()
    assert run.ends == []
    assert run.process.poll() is None


def test_the_guard_goes_home_though_others_hold_the_runs_end_of_its_pipe(run: Run) -> None:
    guarding = run.guarded(str(run.file))
    with ExitStack() as stack:
        stack.callback(os.close, os.dup(run.told))  # as a process has that the user's code forked
        run.tell(LOOKED + ENDED)
        guarding.join(5)
        assert not guarding.is_alive()


def test_a_run_does_without_a_guard_that_has_been_killed_or_stopped() -> None:
    looks, told = os.pipe()
    os.set_blocking(told, False)
    held = fcntl.fcntl(told, fcntl.F_SETPIPE_SZ, 4096)
    for _ in range(2 * held):
        _tell(told, LOOKED)
    assert os.read(looks, 2 * held) == LOOKED * held
    os.close(looks)
    _tell(told, LOOKED)
    os.close(told)


def test_without_code_of_the_users_there_is_no_guard() -> None:
    with guard((), 1.0, fail=pytest.fail, begin=pytest.fail) as rescue:
        assert rescue is None


# From Python 3.12 on there is a warning where the tests have threads; the child does without.
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_the_guard_is_a_process_for_as_long_as_the_context_lasts() -> None:
    begun, beginning = os.pipe()

    def begin() -> None:
        os.write(beginning, f"{os.getpid()} {os.getppid()}".encode())

    with guard(("/user.py",), 1.0, fail=pytest.fail, begin=begin) as rescue:
        pid, parent = map(int, os.read(begun, 100).split())
        assert parent == os.getpid()
        assert _state(pid) not in WAITING_STATES
        assert rescue is not None
        rescue.looked(True)
        os.kill(pid, signal.SIGINT)  # the terminal sends that to all, and it is for the run
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    assert not faulthandler.unregister(STACK_SIGNAL)  # that has been done
    for fd in (begun, beginning):
        os.close(fd)
