"""A process that encodes and writes for a run: what it leaves is what the run would have left."""

from __future__ import annotations

import ctypes
import json
import math
import os
import random
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from struct import unpack_from
from typing import TYPE_CHECKING, Any

import pytest
from tests.run.flood import BATCH, Flood

from iotsim.events import Received, Sent
from iotsim.run import record, scribe
from iotsim.run.backlog import BYTES
from iotsim.run.files import NO_THREAD, AppendFile, Writer
from iotsim.run.scribe import Busy, Scribe, backlog_bytes
from iotsim.testbed import cgroup

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iotsim.events import Event

PR_SET_CHILD_SUBREAPER = 36
ROOT = Path(__file__).parents[2]
DEADLINE_S = 60.0
SIZE = 1 << 20


@pytest.fixture(autouse=True)
def _may_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "may_have_scribe", lambda: True)


@pytest.fixture(params=[True, False], ids=["at once", "later"])
def at_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the scribe has a core to itself."""
    spare = bool(request.param)
    monkeypatch.setattr(record, "has_core_to_spare", lambda: spare)
    return spare


@pytest.fixture
def subreaper() -> Iterator[None]:
    """What a child leaves behind becomes a child of this process, so that it can be waited for."""
    prctl = ctypes.CDLL(None).prctl
    assert prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    yield
    prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def events_of(folder: Path) -> list[dict[str, Any]]:
    data = (folder / "events.jsonl").read_bytes()
    assert data.endswith(b"\n"), "the last line is whole"
    return [json.loads(line) for line in data.splitlines()]


def packets_of(folder: Path) -> int:
    """How many packets are in the capture, all of whose blocks are whole."""
    data = (folder / "capture.pcapng").read_bytes()
    at = count = 0
    while at < len(data):
        kind, length = unpack_from("<II", data, at)
        assert unpack_from("<I", data, at + length - 4) == (length,)
        count += kind == 6
        at += length
    assert at == len(data)
    return count


def flood(folder: Path, *, with_scribe: bool) -> None:
    folder.mkdir()
    t = 0.0
    run = Flood(folder, lambda: t, scribe=with_scribe)
    for turn in range(30):
        t = turn / 100
        run.ask()
        if with_scribe and turn == 3:
            run.record.have_scribe()
        if turn > 20:
            run.simulation.journal.write_some()
    assert run.close() == []


@pytest.mark.usefixtures("at_once")
def test_it_leaves_the_same_bytes_as_the_run_itself(tmp_path: Path) -> None:
    flood(tmp_path / "alone", with_scribe=False)
    flood(tmp_path / "scribed", with_scribe=True)
    for name in ("events.jsonl", "capture.pcapng"):
        alone = (tmp_path / "alone" / name).read_bytes()
        assert (tmp_path / "scribed" / name).read_bytes() == alone
    assert packets_of(tmp_path / "scribed") == 2 * 30 * BATCH


@pytest.mark.usefixtures("at_once")
def test_what_a_message_answers_and_carries_is_told_as_ever(tmp_path: Path) -> None:
    flood(tmp_path / "scribed", with_scribe=True)
    answers = [event for event in events_of(tmp_path / "scribed") if event["event"] == "sent"]
    last = answers[-1]
    assert last["in_reply_to"] == last["id"] - 1
    assert last["device"] == "meter[19]"
    assert last["message"]["value"] == 19.5
    assert last["message"]["unit"] == "NONE", "as the other side reads it, with defaults"


def test_who_wants_whole_events_gets_them(tmp_path: Path) -> None:
    before: list[Event] = []
    run = Flood(tmp_path, lambda: 0.0, scribe=True)
    run.simulation.journal.add_event_sink(before.extend)
    run.record.have_scribe()
    run.ask(3)
    assert run.close() == []
    assert [event["event"] for event in events_of(tmp_path)].count("sent") == 3
    assert [type(event) for event in before].count(Sent) == 3


def test_who_comes_when_messages_are_left_to_a_scribe_gets_whole_events_too(tmp_path: Path) -> None:
    later: list[Event] = []
    run = Flood(tmp_path, lambda: 0.0, scribe=True)
    run.record.have_scribe()
    run.ask(3)
    run.simulation.journal.add_event_sink(later.extend)
    run.ask(3)
    assert run.close() == []
    messages = [event for event in later if isinstance(event, Received | Sent)]
    in_file = [event for event in events_of(tmp_path) if event["event"] in ("received", "sent")][6:]
    assert [dict(event.message) for event in messages] == [event["message"] for event in in_file]
    assert [event.device for event in messages] == [event["device"] for event in in_file]
    assert {event.peer for event in messages} == {"10.77.0.1:40000"}


@pytest.mark.parametrize("cores", [1, 3])
@pytest.mark.parametrize("seed", range(4))
def test_what_a_killed_run_has_recorded_is_all_there(
    tmp_path: Path, subreaper: None, seed: int, cores: int
) -> None:
    command = [sys.executable, "-m", "tests.run.flood", str(tmp_path), str(cores)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        pid = int(run.stdout.readline())
        run_for = random.Random(seed).uniform(0.05, 1.0)
        began = time.monotonic()
        while time.monotonic() - began < run_for:
            assert run.poll() is None
            time.sleep(0.01)
        run.send_signal(signal.SIGKILL)
        run.wait(DEADLINE_S)
        _, status = os.waitpid(pid, 0)
    assert status == 0, "it ended by itself, when all was written"
    events = [event for event in events_of(tmp_path) if event["event"] in ("received", "sent")]
    assert [event["id"] for event in events] == list(range(1, len(events) + 1))
    assert abs(packets_of(tmp_path) - len(events)) <= 2 * BATCH, "but for the turn that was cut off"
    far = float((tmp_path / "far").read_text())
    assert events[-1]["t"] >= far - 0.1, "what was recorded when it said that is there"


HOLDER = """
import os, sys, time
from pathlib import Path
from tests.run.flood import Flood

run = Flood(Path(sys.argv[1]), time.monotonic, scribe=True)
run.ask()
run.record.have_scribe()
run.ask()
print(run.record.scribe.pid, flush=True)
if os.fork() == 0:
    time.sleep(600)
os.write(1, b"forked\\n")
time.sleep(600)
"""


def test_who_has_inherited_the_pipe_of_a_killed_run_keeps_nothing_from_being_written(
    tmp_path: Path, subreaper: None
) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as run:
        assert run.stdout is not None
        pid = int(run.stdout.readline())
        assert run.stdout.readline() == "forked\n"
        try:
            run.send_signal(signal.SIGKILL)
            run.wait(DEADLINE_S)
            began = time.monotonic()
            _, status = os.waitpid(pid, 0)
            assert time.monotonic() - began < DEADLINE_S
        finally:
            os.killpg(run.pid, signal.SIGKILL)  # the one that has inherited it
    assert status == 0
    assert packets_of(tmp_path) == 4 * BATCH


def test_a_run_whose_scribe_is_killed_goes_on_by_itself_and_nothing_is_lost(
    tmp_path: Path, at_once: bool
) -> None:
    t = 0.0
    run = Flood(tmp_path, lambda: t, scribe=True)
    run.record.have_scribe()
    scribe = run.record.scribe
    assert scribe is not None
    pid = scribe.pid
    for turn in range(60):
        t = turn / 100
        run.ask()
        if turn == 30:
            os.kill(pid, signal.SIGKILL)
    assert run.close() == []
    assert scribe.pid == 0
    ids = [event["id"] for event in events_of(tmp_path) if event["event"] in ("received", "sent")]
    assert ids == list(range(1, 2 * 60 * BATCH + 1))
    assert packets_of(tmp_path) == 2 * 60 * BATCH


@pytest.mark.parametrize("at_once", [True, False])
def test_a_full_disk_is_counted_and_named(tmp_path: Path, at_once: bool) -> None:
    full, good = AppendFile(Path("/dev/full"), Writer(NO_THREAD)), tmp_path / "good"
    file = AppendFile(good, Writer(NO_THREAD))
    files = [full, file]

    def write(piece: bytes) -> None:
        for one in files:
            one.write_now(piece)

    by = Scribe(files, write, at_once=at_once)
    for _ in range(10):
        by.append(b"y" * 100, [0])
        by.write_some()
    by.close()
    full.close()
    file.close()
    assert full.lost_appends == 10
    assert "No space left" in full.losses()[0]
    assert file.losses() == []
    assert good.read_bytes() == b"y" * 1000


def appending(file: AppendFile, *, at_once: bool, size: int = SIZE) -> Scribe:
    return Scribe([file], file.write_now, at_once=at_once, size=size)


def test_the_run_does_not_wait_for_a_scribe_that_is_late(tmp_path: Path) -> None:
    file = AppendFile(tmp_path / "file", Writer(NO_THREAD))
    by = appending(file, at_once=True, size=8 << 20)
    os.kill(by.pid, signal.SIGSTOP)
    for number in range(400):
        by.append(b"%10d" % number * 1000, [0])
        by.write_on()
    assert file.path.stat().st_size == 0
    os.kill(by.pid, signal.SIGCONT)
    by.close()
    file.close()
    written = (tmp_path / "file").read_bytes()
    assert written == b"".join(b"%10d" % number * 1000 for number in range(400))


def test_the_run_waits_for_a_scribe_that_gets_on(tmp_path: Path) -> None:
    file = AppendFile(tmp_path / "file", Writer(NO_THREAD))
    by = appending(file, at_once=True)
    for _ in range(100):
        by.append(bytes(100_000), [0])
    by.close()
    file.close()
    assert file.losses() == []
    assert (tmp_path / "file").stat().st_size == 10_000_000


def test_a_disk_that_takes_nothing_is_waited_for_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scribe, "STALLED_S", 0.05)
    file = AppendFile(tmp_path / "file", Writer(NO_THREAD))
    by = appending(file, at_once=True)
    os.kill(by.pid, signal.SIGSTOP)
    slept: list[float] = []
    sleep = time.sleep
    monkeypatch.setattr(scribe.time, "sleep", lambda s: slept.append(s) or sleep(s))
    for _ in range(2):
        by.append(bytes(SIZE // 2 - 8), [0])
    waited: list[bool] = []
    for _ in range(20):
        before = len(slept)
        by.append(bytes(100), [0])
        waited.append(len(slept) > before)
    assert waited == [True] + [False] * 19
    os.kill(by.pid, signal.SIGCONT)
    by.close()
    file.close()
    assert file.lost_appends == 20
    assert file.path.stat().st_size == SIZE - 16


def test_without_a_core_for_it_the_run_writes_when_it_has_time(tmp_path: Path) -> None:
    file = AppendFile(tmp_path / "file", Writer(NO_THREAD))
    by = appending(file, at_once=False)
    by.append(b"one,", [0])
    by.append(b"two,", [0])
    assert by.write_on(), "something waits"
    assert file.size == 0
    assert by.write_some()
    assert file.path.read_bytes() == b"one,"
    assert by.write_some()
    assert not by.write_some(), "there is no more"
    assert not by.write_on()
    by.append(b"three", [0])
    by.close()
    file.close()
    assert file.path.read_bytes() == b"one,two,three"


def test_what_is_oldest_is_written_where_there_is_no_more_room(tmp_path: Path) -> None:
    file = AppendFile(tmp_path / "file", Writer(NO_THREAD))
    by = appending(file, at_once=False)
    for _ in range(100):
        by.append(bytes(100_000), [0])
    assert file.size + SIZE > 9_000_000
    by.close()
    file.close()
    assert file.losses() == []
    assert file.path.stat().st_size == 10_000_000


def test_a_disk_that_is_slow_is_left_to_the_child(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = AppendFile(tmp_path / "file", Writer(NO_THREAD))
    by = appending(file, at_once=False)
    for word in (b"one,", b"two,", b"three"):
        by.append(word, [0])
    ticks = iter([0.0, 1.0])
    monkeypatch.setattr(scribe.time, "perf_counter", lambda: next(ticks))
    waits = iter([1, 2])
    monkeypatch.setattr(scribe, "waits", lambda: next(waits))
    assert by.write_some()
    assert not by.write_some(), "it is for the child now"
    monkeypatch.setattr(scribe, "TOGETHER_S", 0.0)
    by.write_on()
    deadline = time.monotonic() + DEADLINE_S
    while file.path.stat().st_size < len(b"one,two,three"):
        assert time.monotonic() < deadline
        time.sleep(0.001)
    by.close()
    file.close()
    assert file.path.read_bytes() == b"one,two,three"


@pytest.mark.usefixtures("at_once")
def test_what_is_too_large_together_is_put_off_in_parts(tmp_path: Path) -> None:
    for folder, with_scribe in ((tmp_path / "alone", False), (tmp_path / "scribed", True)):
        folder.mkdir()
        run = Flood(folder, lambda: 0.0, scribe=with_scribe)
        if with_scribe:
            run.record.have_scribe()
            assert run.record.scribe is not None
            run.record.scribe.largest = 300
        run.ask_with_remarks(10)
        assert run.close() == []
    for name in ("events.jsonl", "capture.pcapng"):
        alone = (tmp_path / "alone" / name).read_bytes()
        assert (tmp_path / "scribed" / name).read_bytes() == alone


@pytest.mark.usefixtures("at_once")
def test_a_remark_that_is_no_text_is_in_the_capture_all_the_same(tmp_path: Path) -> None:
    run = Flood(tmp_path, lambda: 0.0, scribe=True)
    run.record.have_scribe()
    run.ask_with_remarks(2, "no text: \udc80")
    assert run.close() == []
    assert packets_of(tmp_path) == 4
    assert b"no text: " in (tmp_path / "capture.pcapng").read_bytes()


def test_it_holds_nothing_open_that_others_wait_for(tmp_path: Path) -> None:
    file = AppendFile(tmp_path / "file", Writer(NO_THREAD))
    ends, begins = os.pipe()
    by = Scribe([file], file.write_now, at_once=True)
    by.append(b"x", [0])
    os.close(begins)
    assert os.read(ends, 1) == b"", "its end of a pipe of the run's is closed"
    os.close(ends)
    by.close()
    file.close()


def test_it_ends_with_the_run_whatever_else_that_has_forked(tmp_path: Path, at_once: bool) -> None:
    file = AppendFile(tmp_path / "file", Writer(NO_THREAD))
    by = appending(file, at_once=at_once)
    ends, begins = os.pipe()
    other = os.fork()
    if other == 0:  # it has the end of the scribe's pipe open, too
        os.close(begins)
        select.select([ends], [], [], DEADLINE_S)
        os._exit(0)
    by.append(b"one", [0])
    began = time.monotonic()
    by.close()
    assert time.monotonic() - began < DEADLINE_S / 2
    os.close(begins)
    os.close(ends)
    os.waitpid(other, 0)
    assert file.path.read_bytes() == b"one"
    file.close()


def test_it_is_waited_for_where_nobody_is_told_of_ended_children(tmp_path: Path) -> None:
    file = AppendFile(tmp_path / "file", Writer(NO_THREAD))
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        by = appending(file, at_once=True)
        by.append(b"one", [0])
        by.close()
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert (file.size, file.path.read_bytes()) == (3, b"one")
    file.close()


@pytest.mark.parametrize(
    ("records", "passed_s", "worked_s", "is_busy"),
    [
        (10_000, 0.2, 0.19, True),
        (10_000, 0.2, 0.05, False),  # others have the core, or nothing is to be done
        (10_000, 5.0, 4.9, False),  # they are few for so long a time
        (1_000, 0.2, 0.19, False),
        (10_000, 0.01, 0.01, False),  # it may be over in a moment
    ],
)
def test_much_to_record_and_a_core_to_itself_is_busy(
    monkeypatch: pytest.MonkeyPatch, records: int, passed_s: float, worked_s: float, is_busy: bool
) -> None:
    now = worked = 0.0
    monkeypatch.setattr(scribe.time, "monotonic", lambda: now)
    monkeypatch.setattr(scribe.time, "thread_time", lambda: worked)
    busy = Busy()
    now, worked = passed_s, worked_s
    assert busy.now(records) == is_busy
    now, worked = now + 0.2, worked + 0.2
    assert busy.now(100_000), "what was before does not count"


@pytest.mark.parametrize(
    ("limit", "size"),
    [
        (math.inf, BYTES),
        (8589934592, BYTES),
        (268435456, 32 << 20),
        (33333333, 4165632),
        (4096, 1 << 20),
    ],
)
def test_no_more_may_wait_than_a_share_of_the_memory(
    monkeypatch: pytest.MonkeyPatch, limit: float, size: int
) -> None:
    monkeypatch.setattr(cgroup, "memory_bytes", lambda: limit)
    monkeypatch.setattr(os, "sysconf", lambda _name: 1 << 16)
    assert backlog_bytes() == size
