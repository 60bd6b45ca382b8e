"""A process that encodes and writes for a run: what it leaves is what the run would have left."""

from __future__ import annotations

import ctypes
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from struct import unpack_from
from typing import TYPE_CHECKING, Any

import pytest
from tests.run.flood import BATCH, Flood

from iotsim.events import Sent
from iotsim.run import record, scribe
from iotsim.run.files import NO_THREAD, AppendFile, Writer
from iotsim.run.scribe import Busy, Scribe, cores

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iotsim.events import Event

PR_SET_CHILD_SUBREAPER = 36
ROOT = Path(__file__).parents[2]
DEADLINE_S = 60.0


@pytest.fixture(autouse=True)
def _a_core_to_spare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "may_have_scribe", lambda: True)


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
    assert run.close() == []


def test_it_leaves_the_same_bytes_as_the_run_itself(tmp_path: Path) -> None:
    flood(tmp_path / "alone", with_scribe=False)
    flood(tmp_path / "scribed", with_scribe=True)
    for name in ("events.jsonl", "capture.pcapng"):
        alone = (tmp_path / "alone" / name).read_bytes()
        assert (tmp_path / "scribed" / name).read_bytes() == alone
    assert packets_of(tmp_path / "scribed") == 2 * 30 * BATCH


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
    sent = [event for event in later if isinstance(event, Sent)]
    in_file = [event for event in events_of(tmp_path) if event["event"] == "sent"][3:]
    assert [dict(event.message) for event in sent] == [event["message"] for event in in_file]
    assert [event.device for event in sent] == [event["device"] for event in in_file]


@pytest.mark.parametrize("seed", range(6))
def test_what_a_killed_run_has_recorded_is_there_up_to_the_last_second(
    tmp_path: Path, subreaper: None, seed: int
) -> None:
    command = [sys.executable, "-m", "tests.run.flood", str(tmp_path)]
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
    assert events[-1]["t"] >= far - 1.0


def test_a_run_whose_scribe_is_killed_goes_on_by_itself_and_says_what_is_lost(
    tmp_path: Path,
) -> None:
    t = 0.0
    run = Flood(tmp_path, lambda: t, scribe=True)
    run.record.have_scribe()
    for turn in range(60):
        t = turn / 100
        run.ask()
        if turn == 30:
            assert run.record.scribe is not None
            os.kill(run.record.scribe.pid, signal.SIGKILL)
    losses = run.close()
    ids = [event["id"] for event in events_of(tmp_path) if event["event"] in ("received", "sent")]
    assert ids[0] == 1
    assert ids[-1] == 2 * 60 * BATCH, "what came later is there"
    assert ids == sorted(ids)
    missing = 2 * 60 * BATCH - len(ids)
    lost = [loss for loss in losses if "events.jsonl" in loss]
    assert bool(missing) <= bool(lost), "nothing is lost without a word"
    assert all("killed" in loss for loss in losses)
    packets_of(tmp_path)


def test_a_full_disk_is_counted_and_named(tmp_path: Path) -> None:
    full, good = AppendFile(Path("/dev/full"), Writer(NO_THREAD)), tmp_path / "good"
    file = AppendFile(good, Writer(NO_THREAD))
    files = [full, file]
    by = Scribe(files, lambda number, piece: files[number].write_now(piece))
    for _ in range(10):
        by.append(0, b"x" * 100)
        by.append(1, b"y" * 100)
    by.close()
    full.close()
    file.close()
    assert full.lost_appends == 10
    assert "No space left" in full.losses()[0]
    assert file.losses() == []
    assert good.read_bytes() == b"y" * 1000


def test_the_run_does_not_wait_for_a_scribe_that_is_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scribe, "PATIENCE_S", DEADLINE_S)
    file = AppendFile(tmp_path / "file", Writer(NO_THREAD))
    by = Scribe([file], lambda _, piece: file.write_now(piece))
    os.kill(by.pid, signal.SIGSTOP)
    for number in range(400):
        by.append(0, b"%10d" % number * 1000)
        by.write_on()
    assert by.push(), "more than the pipe has room for is still here"
    os.kill(by.pid, signal.SIGCONT)
    by.close()
    file.close()
    written = (tmp_path / "file").read_bytes()
    assert written == b"".join(b"%10d" % number * 1000 for number in range(400))


def test_the_run_waits_once_its_records_are_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scribe, "PATIENCE_S", 0.0)
    file = AppendFile(tmp_path / "file", Writer(NO_THREAD))
    by = Scribe([file], lambda _, piece: file.write_now(piece))
    for _ in range(100):
        by.append(0, bytes(100_000))
        assert not by.push(), "all is in the pipe or written"
    by.close()
    file.close()
    assert (tmp_path / "file").stat().st_size == 10_000_000


def test_it_holds_nothing_open_that_others_wait_for(tmp_path: Path) -> None:
    file = AppendFile(tmp_path / "file", Writer(NO_THREAD))
    ends, begins = os.pipe()
    by = Scribe([file], lambda _, piece: file.write_now(piece))
    by.append(0, b"x")
    os.close(begins)
    assert os.read(ends, 1) == b"", "its end of a pipe of the run's is closed"
    os.close(ends)
    by.close()
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
    ("limit", "count"), [("max 100000", 4), ("150000 100000", 1), ("50000 100000", 1), ("x", 4)]
)
def test_cores_are_those_that_the_process_may_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, count: int
) -> None:
    (tmp_path / "cpu.max").write_text(limit)
    monkeypatch.setattr(scribe, "CPU_LIMIT", tmp_path / "cpu.max")
    monkeypatch.setattr(scribe.os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    assert cores() == count
