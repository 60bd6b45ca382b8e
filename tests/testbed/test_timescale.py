"""Programs whose clock runs faster: every way to wait, by the program's own clock and by ours."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from iotsim.errors import IotsimError, MachineError
from iotsim.testbed import timescale
from iotsim.testbed.timescale import INSTALL, SHARED, TimeScale, check_reach

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.needs("faketime", "cc")

SPEED = 60.0
WAIT_S = 6.0
WAITS_IN_PYTHON = """
import asyncio, queue, select, signal, socket, subprocess, threading, time

def wait(name, call):
    before = time.monotonic()
    call()
    print(name, f"{time.monotonic() - before:.3f}", flush=True)

sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("127.0.0.1", 0))
sock.settimeout(6)

def receive():
    try:
        sock.recv(9)
    except TimeoutError:
        pass

def take():
    try:
        queue.Queue().get(timeout=6)
    except queue.Empty:
        pass

wait("sleep", lambda: time.sleep(6))
wait("select", lambda: select.select([], [], [], 6))
wait("settimeout", receive)
wait("event", lambda: threading.Event().wait(6))
wait("queue", take)
wait("lock", lambda: (lock := threading.Lock()).acquire() and lock.acquire(timeout=6))
wait("asyncio", lambda: asyncio.run(asyncio.sleep(6)))
wait("a child's sleep", lambda: subprocess.run(["sleep", "6"]))
"""


@pytest.fixture(scope="module")
def scale() -> Iterator[TimeScale]:
    made = TimeScale(SPEED)
    yield made
    made.close()


def waits(scale: TimeScale, *words: str) -> tuple[dict[str, float], float]:
    """How long each wait took by the program's clock, and all of them by ours."""
    before = time.monotonic()
    done = subprocess.run(
        words,
        env=scale.environment(os.environ),
        stdout=subprocess.PIPE,
        text=True,
        timeout=120,
        check=True,
    )
    took = time.monotonic() - before
    rows = (line.rpartition(" ") for line in done.stdout.splitlines())
    return {name: float(seconds) for name, _, seconds in rows}, took


def is_in_time(waited: dict[str, float], took: float) -> None:
    """Nothing waited less than it should; in real time, each took little more than its share."""
    assert min(waited.values()) > WAIT_S - 0.01, waited
    # A busy machine may let any wait take longer, but not all of them; a wait in real time takes 360 s.
    assert sorted(waited.values())[len(waited) // 2] < WAIT_S + 3, waited
    assert max(waited.values()) < 200, waited
    assert took < sum(waited.values()) / SPEED + 20


def test_every_way_to_wait_in_c(scale: TimeScale, tmp_path: Path) -> None:
    program = tmp_path / "waits"
    source = Path(__file__).with_name("waits.c")
    subprocess.run(["cc", "-O1", "-o", program, source, "-lpthread"], check=True)
    waited, took = waits(scale, str(program))
    assert len(waited) == 25
    is_in_time(waited, took)


def test_every_way_to_wait_in_python(scale: TimeScale) -> None:
    waited, took = waits(scale, sys.executable, "-c", WAITS_IN_PYTHON)
    assert len(waited) == 8
    is_in_time(waited, took)


def test_a_short_wait_is_not_none(scale: TimeScale, tmp_path: Path) -> None:
    """20 ms are a third of a millisecond of real time, to which no wait is rounded down."""
    source = tmp_path / "short.c"
    source.write_text("""
        #include <poll.h>
        #include <stdio.h>
        #include <sys/epoll.h>
        #include <time.h>
        static double now(void) {
            struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec / 1e9;
        }
        int main(void) {
            struct epoll_event event;
            int epoll = epoll_create1(0);
            double begun = now();
            for (int i = 0; i < 50; i++) poll(0, 0, 20);
            printf("poll %.3f\\n", now() - begun);
            begun = now();
            for (int i = 0; i < 50; i++) epoll_wait(epoll, &event, 1, 20);
            printf("epoll %.3f\\n", now() - begun);
        }
    """)
    subprocess.run(["cc", "-o", tmp_path / "short", source], check=True)
    waited, _ = waits(scale, str(tmp_path / "short"))
    assert min(waited.values()) >= 1.0


def test_a_program_with_address_sanitizer_is_reached_and_watched(
    scale: TimeScale, tmp_path: Path
) -> None:
    source = tmp_path / "freed.c"
    source.write_text("""
        #include <stdio.h>
        #include <stdlib.h>
        #include <unistd.h>
        int main(int count, char **words) {
            char *volatile freed = malloc(8);
            sleep(6);
            puts("slept");
            fflush(stdout);
            free(freed);
            return freed[count];
        }
    """)
    subprocess.run(["cc", "-fsanitize=address", "-o", tmp_path / "freed", source], check=True)
    before = time.monotonic()
    done = subprocess.run(
        [tmp_path / "freed"],
        env=scale.environment(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "slept\n", done.stderr
    assert "heap-use-after-free" in done.stderr
    assert time.monotonic() - before < WAIT_S / 2


def date(scale: TimeScale, *words: str) -> float:
    return float(subprocess.check_output(words, env=scale.environment(os.environ), text=True))


def test_all_processes_agree_about_the_time_whenever_they_start(scale: TimeScale) -> None:
    start = time.time()
    begun = time.monotonic()
    scale.begin()
    told = []
    for words in (
        ["date", "+%s.%N"],
        ["sh", "-c", "date +%s.%N"],
        [sys.executable, "-c", "import time; print(time.time())"],
    ):
        low = time.monotonic() - begun
        told.append(date(scale, *words))
        high = time.monotonic() - begun
        assert start + SPEED * low - 0.1 < told[-1] < start + SPEED * high + 0.1
    assert told == sorted(told)


def test_processor_time_and_the_times_of_files_are_real(scale: TimeScale, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("")
    code = "import os, sys, time; print(time.process_time()); print(os.stat(sys.argv[1]).st_mtime)"
    printed = subprocess.check_output(
        [sys.executable, "-c", code, str(path)], env=scale.environment(os.environ), text=True
    )
    processor, modified = map(float, printed.split())
    assert 0 < processor < 5
    assert modified == pytest.approx(path.stat().st_mtime)


def test_slower_than_real_time() -> None:
    scale = TimeScale(0.5)
    try:
        before = time.monotonic()
        subprocess.run(["sleep", "0.2"], env=scale.environment(os.environ), check=True)
        assert time.monotonic() - before > 0.4
    finally:
        scale.close()


def test_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    scale = TimeScale(2)
    name = scale.environment({})["FAKETIME_SHARED"].split()[0].lstrip("/")
    folder = Path(scale.environment({})["LD_PRELOAD"].split()[0]).parent
    assert (SHARED / name).exists()
    assert (SHARED / name).stat().st_mode & 0o777 == 0o600
    scale.close()
    assert not [*SHARED.glob(f"*{name}")]
    assert not folder.exists()


def test_what_a_killed_run_has_left_is_removed_by_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    code = """
import os
from iotsim.testbed.timescale import TimeScale
print(TimeScale(2).environment({})["FAKETIME_SHARED"].split()[0], flush=True)
os.kill(os.getpid(), 9)
"""
    killed = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=False
    )
    name = killed.stdout.strip().lstrip("/")
    assert len([*SHARED.glob(f"*{name}")]) == 2
    alive = TimeScale(2)
    monkeypatch.setattr(timescale, "LEFT_OVER_S", -60.0)
    own = alive.environment({})["FAKETIME_SHARED"].split()[0].lstrip("/")
    TimeScale(2).close()
    assert not [*SHARED.glob(f"*{name}")]
    assert not [*Path(tempfile.gettempdir()).glob(f"{name}-*")]
    assert len([*SHARED.glob(f"*{own}")]) == 2
    alive.close()


def test_the_environment_of_the_gateway_stays(scale: TimeScale) -> None:
    env = scale.environment(
        {
            "LD_PRELOAD": "/own.so",
            "ASAN_OPTIONS": "verbosity=1",
            "A": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
    )
    assert env["LD_PRELOAD"].endswith(" /own.so")
    assert env["ASAN_OPTIONS"].endswith(":verbosity=1")  # what is later counts
    assert env["A"] == "1"
    assert "FAKETIME_DONT_FAKE_MONOTONIC" not in env
    assert (env["FAKETIME"], env["IOTSIM_SPEED"]) == ("+0 x60", "60")


def test_where_the_library_is_missing_the_fix_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timescale, "PLACES", ("/nowhere/{machine}",))
    with pytest.raises(MachineError) as caught:
        TimeScale(60)
    assert "libfaketime" in str(caught.value)
    assert INSTALL in str(caught.value) or caught.value.fix == INSTALL


def test_where_a_compiler_is_missing_the_fix_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timescale.shutil, "which", lambda _name: None)
    with pytest.raises(MachineError, match="compiler"):
        TimeScale(60)


def test_a_library_that_does_not_do_its_work_is_found_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    idle = tmp_path / "idle.so"
    source = tmp_path / "idle.c"
    source.write_text("int nothing;")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", idle, source], check=True)
    monkeypatch.setenv("IOTSIM_FAKETIME", str(idle))
    before = [*SHARED.glob(f"*{timescale.PREFIX}*")]
    with pytest.raises(MachineError, match="does not scale"):
        TimeScale(6000)
    assert [*SHARED.glob(f"*{timescale.PREFIX}*")] == before


def test_a_static_gateway_is_refused_with_the_reason(tmp_path: Path) -> None:
    source = tmp_path / "main.c"
    source.write_text("int main(void) { return 0; }")
    subprocess.run(["cc", "-static", "-o", tmp_path / "gw", source], check=True)
    with pytest.raises(IotsimError, match=r"at speed 60: .*/gw is statically linked"):
        check_reach(["./gw"], {}, tmp_path, 60)
    check_reach(["./gw.py"], {}, tmp_path, 60)
