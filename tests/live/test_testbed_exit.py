"""Nothing stays behind, whatever happens to the simulator and however its gateway hides."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests import processes

from iotsim.testbed.runs import list_runs

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

pytestmark = pytest.mark.needs("tun")

SIMULATOR = """
import sys, trio
from iotsim.testbed.bed import open_testbed
from iotsim.testbed.plan import TestbedPlan

GATEWAY = '''
import os, signal, sys, time
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
    signal.signal(number, signal.SIG_IGN)
for _ in range(2):
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        break
time.sleep(600)
'''

async def main():
    token = sys.argv[1]
    plan = TestbedPlan(addresses=((0x0A4D0001, 16),), run_name=token, isolate=sys.argv[2])
    async with open_testbed(plan) as testbed:
        await testbed.start_gateway([sys.executable, "-I", "-S", "-c", GATEWAY, token], {})
        print("up", testbed.interface, flush=True)
        await trio.sleep_forever()

trio.run(main)
"""
END_S = 10.0


def processes_with(token: str) -> list[str]:
    """Command lines that carry `token`, of processes that are not yet dead."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if token.encode() in words.split(b"\0"):
            found.append(words.decode(errors="replace"))
    return found


def network_of(pid: int | str) -> str:
    return str(Path(f"/proc/{pid}/ns/net").readlink())


def namespaces_with(names: set[str]) -> set[str]:
    """Which of the namespaces `names` a process or a mount still holds."""
    held = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            held.add(network_of(folder.name))
        except OSError:
            continue
    return held & names


def wait_until_gone(token: str) -> None:
    deadline = time.monotonic() + END_S
    while left := processes_with(token):
        assert time.monotonic() < deadline, left
        time.sleep(0.02)


def wait_until_released(names: set[str]) -> None:
    """The kernel gives a free number to the next namespace, maybe one of a test beside this one, so
    that a name which is held again may be another's; but not for long."""
    deadline = time.monotonic() + END_S
    while held := namespaces_with(names):
        assert time.monotonic() < deadline, held
        time.sleep(0.02)


def kill_after(delay_s: float | None, token: str, isolate: str = "private") -> set[str]:
    """SIGKILL the simulator after a delay, or once it is up; the namespaces that it had made."""
    with simulator_of(token, isolate) as simulator:
        if delay_s is None:
            assert simulator.stdout.readline().startswith(b"up iotsim")
        else:
            time.sleep(delay_s)
        made = {network_of(run.init_pid) for run in list_runs() if run.name == token}
        simulator.kill()
    return made - {network_of("self")}


def simulator_of(token: str, isolate: str = "private") -> AbstractContextManager[Any]:
    words = [sys.executable, "-c", SIMULATOR, token, isolate]
    return processes.started(words, stdout=subprocess.PIPE)


@pytest.mark.parametrize("attempt", range(6))
def test_sigkill_at_any_moment_leaves_nothing(attempt: int) -> None:
    token = f"kill-{os.getpid()}-{attempt}"
    mounts = Path("/proc/self/mountinfo").read_text()
    # From before the helper starts until after the gateway has; the last waits for the gateway.
    delay = None if attempt == 5 else random.Random(attempt).uniform(0.1, 0.7)
    made = kill_after(delay, token)
    assert made or delay is not None
    wait_until_gone(token)
    wait_until_released(made)
    assert Path("/proc/self/mountinfo").read_text() == mounts


def test_an_ended_helper_is_enough_to_end_all() -> None:
    """The simulator's death is noticed by init alone, without the helper that forked it."""
    token = f"helper-{os.getpid()}"
    with simulator_of(token) as simulator:
        assert simulator.stdout.readline()
        (run,) = (run for run in list_runs() if run.name == token)
        status = Path(f"/proc/{run.init_pid}/status").read_text()
        helper = int(status.partition("PPid:")[2].split()[0])
        os.kill(helper, 9)
        simulator.kill()
    wait_until_gone(token)
