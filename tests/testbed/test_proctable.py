"""What a tree of real processes uses, against what they say of themselves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
from tests import processes

from iotsim.testbed import proctable
from iotsim.testbed.gauge import Gauge
from iotsim.testbed.proctable import (
    BECOMING_S,
    Process,
    Usage,
    descendants,
    read_process,
    read_processes,
    usage_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

FDS = """
import json, os, time
keep = [open("/dev/null") for _ in range(17)]
print(json.dumps(len(os.listdir("/proc/self/fd")) - 1), flush=True)  # without the one of listdir
time.sleep(60)
"""
THREADS = """
import threading, time
for _ in range(4):
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
print("null", flush=True)
time.sleep(60)
"""
CHILDREN = """
import os, subprocess, time
subprocess.Popen(["sleep", "60"])
dead = subprocess.Popen(["true"])
os.waitid(os.P_PID, dead.pid, os.WEXITED | os.WNOWAIT)  # and nobody waits for it
print("null", flush=True)
time.sleep(60)
"""
MEMORY = """
import mmap, os, time
shared = mmap.mmap(-1, 64 << 20)  # MAP_SHARED
for _ in range(64):
    shared.write(b"x" * (1 << 20))
if os.fork() == 0:
    shared.seek(0)
    while shared.read(1 << 20): pass
    print("null", flush=True)
    time.sleep(60)
time.sleep(60)
"""
BUSY = """
import json, subprocess, sys, time
burn = "import time\\nwhile time.process_time() < 0.4: pass"
subprocess.run([sys.executable, "-ISc", burn])
while time.process_time() < 0.3: pass
print("null", flush=True)
time.sleep(60)
"""


@contextmanager
def tree(code: str) -> Iterator[tuple[list[Process], Any]]:
    """The processes that `code` makes, once it has printed a line of JSON, and that line."""
    words = [sys.executable, "-ISc", code]
    with processes.started(words, stdout=subprocess.PIPE) as process:
        try:
            said = json.loads(process.stdout.readline())
            own = read_process(process.pid)
            assert own is not None
            yield [own, *descendants(read_processes(), process.pid)], said
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock is so late that nobody is young enough to become another program."""
    now = proctable._since_boot()
    monkeypatch.setattr(proctable, "_since_boot", lambda: now + 60)


def test_descriptors_are_counted() -> None:
    with tree(FDS) as (found, said):
        assert usage_of(found, fds=True, memory=False).fds == said


def test_threads_are_counted() -> None:
    with tree(THREADS) as (found, _):
        usage = usage_of(found, fds=False, memory=False)
        assert (usage.threads, usage.processes, usage.children) == (5, 1, 0)
        assert (usage.fds, usage.resident) == (None, None)  # nobody asked


def test_a_dead_child_that_nobody_has_waited_for_is_a_child() -> None:
    with tree(CHILDREN) as (found, _):
        usage = usage_of(found, fds=True, memory=True)
        assert (usage.processes, usage.children) == (2, 2)


def test_memory_that_two_share_counts_once(later: None) -> None:
    with tree(MEMORY) as (found, _):
        usage = usage_of(found, fds=True, memory=True)
        assert usage.processes == 2
        assert usage.resident is not None
        assert usage.proportional is not None
        assert usage.peak is not None
        assert usage.resident > 120 << 20
        assert 64 << 20 < usage.proportional < 100 << 20
        assert usage.peak < 100 << 20


def test_who_has_just_been_copied_counts_for_nothing_but_its_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with tree(MEMORY) as (found, _):
        born = max(one.started_s for one in found)
        for age, counted in ((BECOMING_S / 2, 1), (2 * BECOMING_S, 2)):
            monkeypatch.setattr(proctable, "_since_boot", lambda now=born + age: now)
            usage = usage_of(found, fds=True, memory=True)
            assert (usage.processes, usage.children) == (counted, counted - 1)


def test_time_is_that_of_all_also_of_those_that_have_ended() -> None:
    with tree(BUSY) as (found, _):
        assert usage_of(found, fds=False, memory=False).cpu_s == pytest.approx(0.72, abs=0.15)


SHARES = """
import os, time
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
def burn():
    while time.monotonic() < end: pass
end = time.monotonic() + 0.8
pid = os.fork()
burn()
if pid == 0:
    os._exit(0)
print("null", flush=True)
time.sleep(60)
"""


def test_who_shares_a_processor_has_waited_for_it() -> None:
    """Two of them, each for half of the time or longer."""
    gauge = Gauge(waits=True)
    with tree(SHARES) as (found, _):
        waited = gauge.measure(lambda: found, None).waited_s
    assert waited is not None
    assert waited > 0.3


def test_who_has_gone_uses_nothing() -> None:
    with tree(FDS) as (found, _):
        os.kill(found[0].pid, signal.SIGKILL)
    assert usage_of(found, fds=True, memory=True) == Usage(
        fds=0, resident=0, proportional=0, peak=0
    )
    assert read_process(found[0].pid) is None
