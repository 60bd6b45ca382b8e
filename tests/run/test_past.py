"""Results read back: `iotsim.run.past`, `iotsim.run.documents`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import junitparser
import msgspec
import pytest

from iotsim.errors import IotsimError
from iotsim.events import ExpectationDecided, Note, Outcome, RunEnded, RunStarted
from iotsim.results.jsonl import EventEncoder
from iotsim.results.result import decode_result
from iotsim.run.documents import DOCUMENTS, write_documents
from iotsim.run.past import PastRun

if TYPE_CHECKING:
    from pathlib import Path

STARTED = RunStarted(0.0, "a", "a.toml", 7, 0.0, "tun", 1.0, "iotsim run a.toml", {}, {})
HELD = Outcome(
    name="it is read",
    kind="within",
    passed=True,
    severity="error",
    expected="a",
    actual="b",
    number=0,
)
ENDED = RunEnded(3.0, "passed", "", 2.5, [], [], None, {}, {}, [])


def note(t: float) -> Note:
    return Note(t, f"at {t}")


def write(folder: Path, name: str, *events: Any) -> None:
    (folder / name).write_bytes(EventEncoder().encode(events))


def test_a_run_that_has_ended(tmp_path: Path) -> None:
    write(tmp_path, "events.jsonl", STARTED, ExpectationDecided(1.0, HELD), ENDED)
    past = PastRun(tmp_path)
    assert (past.result.verdict, past.result.duration_s) == ("passed", 2.5)
    assert past.result.expectations == [HELD]
    assert list(past.events()) == [STARTED, ExpectationDecided(1.0, HELD), ENDED]


def test_a_killed_run_tells_how_far_it_came(tmp_path: Path) -> None:
    write(tmp_path, "events.jsonl", STARTED, ExpectationDecided(1.0, HELD), note(2.0))
    with (tmp_path / "events.jsonl").open("ab") as file:
        file.write(b'{"event":"note","t":3.0,"te')
    result = PastRun(tmp_path).result
    assert (result.verdict, result.duration_s, result.expectations) == ("running", 2.0, [HELD])


def test_segments_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for number in (2, 10, 9):
        write(tmp_path, f"events.{number}.jsonl", note(number))
    write(tmp_path, "events.jsonl", note(11))
    assert [event.t for event in PastRun(tmp_path).events()] == [2, 9, 10, 11]


def test_files_of_several_processes_are_merged_by_time(tmp_path: Path) -> None:
    write(tmp_path, "events.jsonl", STARTED, note(4))
    write(tmp_path, "events.shard0.1.jsonl", note(1))
    write(tmp_path, "events.shard0.jsonl", note(5))
    write(tmp_path, "events.shard1.jsonl", note(2), note(3))
    assert [event.t for event in PastRun(tmp_path).events()] == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("name", "content"),
    [("nothing", b""), ("events.jsonl", b""), ("result.json", b"{"), ("events.jsonl", b"\xff\n[]")],
)
def test_what_tells_of_no_run_is_an_error(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(IotsimError, match=r"^no results in"):
        _ = PastRun(tmp_path).result
    with pytest.raises(IotsimError, match=r"^no results in .*: No such file"):
        PastRun(tmp_path / "elsewhere")


def test_documents_are_made_again(tmp_path: Path) -> None:
    write(tmp_path, "events.jsonl", STARTED, ExpectationDecided(1.0, HELD), ENDED)
    paths = write_documents(PastRun(tmp_path), ["result", "junit"])
    assert [path.name for path in paths] == ["result.json", "junit.xml"]
    assert decode_result(paths[0].read_bytes()) == PastRun(tmp_path).result
    (suite,) = junitparser.JUnitXml.fromfile(str(paths[1]))
    assert [case.name for case in suite][1:] == ["it is read"]


def test_what_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, "events.jsonl", STARTED)
    with pytest.raises(IotsimError, match="there is no document 'x'"):
        write_documents(PastRun(tmp_path), ["x"])
    with pytest.raises(IotsimError, match="is not written: No such file"):
        write_documents(PastRun(tmp_path), ["junit"], tmp_path / "elsewhere")


def test_what_a_run_had_said_at_its_start_counts_where_its_events_are_gone(tmp_path: Path) -> None:
    write(tmp_path, "events.jsonl", STARTED)
    write_documents(PastRun(tmp_path), ["result"])
    (tmp_path / "events.jsonl").unlink()
    assert PastRun(tmp_path).result.verdict == "running"
    assert msgspec.json.decode((tmp_path / "result.json").read_bytes())["seed"] == 7


def test_every_document_is_made_of_a_killed_run_too(tmp_path: Path) -> None:
    started = msgspec.structs.replace(
        STARTED, fleets={"meter": {"count": 1, "addresses": ["10.77.1.1"], "protocols": ["p"]}}
    )
    write(tmp_path, "events.jsonl", started, ExpectationDecided(1.0, HELD), note(2.0))
    written = write_documents(PastRun(tmp_path), tuple(DOCUMENTS))
    assert [path.name for path in written] == [one.file for one in DOCUMENTS.values()]
    assert all(path.stat().st_size for path in written)
    tap = (tmp_path / "results.tap").read_text()
    assert "not ok 1 - run" in tap
    assert "was killed" in tap
    assert "ok 2 - it is read" in tap
    assert "meter[0],meter,0,10.77.1.1,0,0" in (tmp_path / "devices.csv").read_text()
