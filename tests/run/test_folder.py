from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from iotsim.errors import IotsimError, MachineError
from iotsim.results.result import RunResult, decode_result
from iotsim.run.folder import ResultsFolder, open_results, slug

BLANK = RunResult(scenario="x", path="x.toml", seed=1)
PASSED = RunResult(scenario="x", path="x.toml", seed=1, verdict="passed")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Gateway polls every meter", "gateway-polls-every-meter"),
        ("../../etc/passwd", "etc-passwd"),
        ("", "scenario"),
        ("ütf ☃", "tf"),
        ("x" * 500, "x" * 60),
    ],
)
def test_slug(name: str, expected: str) -> None:
    assert slug(name) == expected


def test_two_runs_of_one_second_have_folders_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folders = set()
    for _ in range(3):
        with open_results("same", None) as results:
            folders.add(results.path)
    assert len(folders) == 3
    assert all(folder.is_dir() and folder.parent == tmp_path / "results/same" for folder in folders)


def unusable(tmp_path: Path) -> dict[str, Path]:
    (tmp_path / "file").write_text("mine")
    closed = Path("/proc/self/no/such")
    return {
        "a file": tmp_path / "file",
        "below a file": tmp_path / "file" / "below",
        "not to be made": closed,
        "no name": Path("with\0zero"),
    }


@pytest.mark.parametrize("kind", ["a file", "below a file", "not to be made", "no name"])
def test_a_folder_that_cannot_be_had_is_an_error_and_no_reason_to_skip(
    tmp_path: Path, kind: str
) -> None:
    with (
        pytest.raises(IotsimError, match=r"cannot be used: .*--out DIR") as raised,
        open_results("x", unusable(tmp_path)[kind]),
    ):
        pass
    assert not isinstance(raised.value, MachineError)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_that_may_not_be_written_to_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(IotsimError, match="may not be written"), open_results("x", tmp_path):
        pass


def test_the_files_of_an_earlier_run_go_and_nothing_else(tmp_path: Path) -> None:
    ours = [
        *("result.json", "junit.xml", "gateway.log", "events.jsonl", "capture.pcapng"),
        *("events.shard3.jsonl", "capture.12.pcapng", "events.shard0.7.jsonl"),
        *(".result.json.new", ".report.html.0a1b2c3d.new"),
    ]
    theirs = ["mine.txt", "events.mine.jsonl", "work/db", "result.json.bak"]
    for name in (*ours, *theirs):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("old")
    with open_results("x", tmp_path) as results:
        assert results.path == tmp_path
        left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
        assert left == set(theirs)


def test_links_in_the_place_of_files_go_and_what_they_lead_to_stays(tmp_path: Path) -> None:
    precious, folder = tmp_path / "precious", tmp_path / "out"
    precious.mkdir()
    (precious / "file").write_text("precious")
    folder.mkdir()
    names = ("result.json", "events.jsonl", ".result.json.new", ".result.json.0a1b2c3d.new")
    for name in names:
        (folder / name).symlink_to(precious / "file")
    (folder / "work").symlink_to(precious)
    (folder / "capture.pcapng").symlink_to("/dev/zero")
    os.mkfifo(folder / "junit.xml")
    with open_results("x", folder) as results:
        assert [one.name for one in folder.iterdir()] == ["work"]
        results.write(BLANK)
        assert results.make_folder() == folder / "work_2"
    assert (precious / "file").read_text() == "precious"


def test_a_folder_in_the_place_of_a_file_is_refused_and_nothing_goes(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl" / "mine").mkdir(parents=True)
    (tmp_path / "result.json").write_text("mine")
    with (
        pytest.raises(IotsimError, match=r"events\.jsonl is a folder"),
        open_results("x", tmp_path),
    ):
        pass
    assert {one.name for one in tmp_path.iterdir()} == {"events.jsonl", "result.json"}


@pytest.mark.parametrize("found", ["deep", "pipe", "endless"])
def test_no_result_of_an_earlier_run_stops_the_next(tmp_path: Path, found: str) -> None:
    result = tmp_path / "result.json"
    if found == "deep":
        result.write_bytes(b'{"scenario":' + b"[" * 100_000)
    elif found == "pipe":
        os.mkfifo(result)
    else:
        result.symlink_to("/dev/zero")
    with open_results("x", tmp_path):
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("free", [0, 8 << 10, 80 << 10, 2 << 20, 5 << 20, 1 << 40])
def test_the_room_that_is_held_leaves_most_of_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int
) -> None:
    known = os.statvfs(tmp_path)
    disk = SimpleNamespace(f_bavail=free // known.f_frsize, f_frsize=known.f_frsize)
    monkeypatch.setattr(os, "statvfs", lambda _: disk)
    results = ResultsFolder(tmp_path)
    results.hold_room()
    assert results._room is not None
    held = os.fstat(results._room.fileno()).st_size
    results.free_room()
    assert held <= free / 4
    assert held >= min(free / 16, 4 << 20) or free < 64 << 10
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("there", ["nothing", "a folder", "a link"])
def test_a_folder_that_was_moved_away_gets_no_results_and_nor_does_what_is_there_now(
    tmp_path: Path, there: str
) -> None:
    folder, moved = tmp_path / "out", tmp_path / "moved"
    other = tmp_path / "other"
    other.mkdir()
    with open_results("x", folder) as results:
        results.write(BLANK)
        folder.rename(moved)
        if there == "a folder":
            folder.mkdir()
        elif there == "a link":
            folder.symlink_to(other)
        results.write(PASSED)
        assert "result.json is not written" in results.trouble
    assert not folder.exists() or list(folder.iterdir()) == []
    assert decode_result((moved / "result.json").read_bytes()).verdict == "running"


def test_a_folder_belongs_to_one_run_at_a_time(tmp_path: Path) -> None:
    with open_results("x", tmp_path) as results:
        results.write(PASSED)
        before = (tmp_path / "result.json").read_bytes()
        with pytest.raises(IotsimError, match="in use"), open_results("x", tmp_path):
            pass
        assert (tmp_path / "result.json").read_bytes() == before
        assert not list(tmp_path.glob(".*"))
    with open_results("x", tmp_path):
        pass


def test_a_run_that_was_killed_keeps_nobody_out(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, sys; from iotsim.run.folder import open_results\n"
        "with open_results('x', pathlib.Path(sys.argv[1])): os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert killed.returncode == -9
    with open_results("x", tmp_path):
        assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_open_is_taken_as_it_is(tmp_path: Path) -> None:
    with open_results("x", tmp_path) as outer:
        outer.write(PASSED)
        with open_results("x", outer) as inner:
            assert inner is outer
        assert (tmp_path / "result.json").exists()


@pytest.mark.parametrize("last", [BLANK, PASSED], ids=["killed", "ended"])
def test_the_working_folder_of_an_earlier_run_is_replaced(tmp_path: Path, last: RunResult) -> None:
    for _ in range(3):
        with open_results("x", tmp_path) as results:
            results.write(BLANK)
            work = results.make_folder()
            assert work == tmp_path / "work"
            assert list(work.iterdir()) == []
            (work / "db").write_text("the gateway's")
            if last is PASSED:
                results.write(last)
        assert decode_result((tmp_path / "result.json").read_bytes()).files == ["work/"]
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["work"]


def test_a_working_folder_of_somebody_else_stays(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "mine.txt").write_text("mine")
    for _ in range(3):
        with open_results("x", tmp_path) as results:
            results.write(BLANK)
            assert results.make_folder() == tmp_path / "work_2"
    assert (tmp_path / "work" / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize("name", ["../mine/", "/", ".", "mine/", "work/../../mine/", "work_x/"])
def test_only_a_working_folder_is_removed_whatever_a_result_says(tmp_path: Path, name: str) -> None:
    out, mine = tmp_path / "out", tmp_path / "mine"
    for folder in (out / "mine", out / "work_x", mine):
        folder.mkdir(parents=True)
        (folder / "mine.txt").write_text("mine")
    with open_results("x", out) as results:
        results.write(RunResult(scenario="x", path="x", seed=1, files=[name, "work/"]))
    (out / "work").symlink_to(mine)
    with open_results("x", out):
        pass
    assert len(list(tmp_path.rglob("mine.txt"))) == 3


def test_a_working_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    results = ResultsFolder(tmp_path / "gone")
    with pytest.raises(IotsimError, match="cannot be used: No such file"):
        results.make_folder()


@pytest.mark.needs("root")  # to mount a small disk
def test_on_a_full_disk_there_is_room_for_the_results(tmp_path: Path) -> None:
    """In a mount namespace of its own: fill the disk while a run has its folder open."""
    code = """
import errno, sys
from pathlib import Path
from iotsim.results.result import RunResult
from iotsim.run.folder import open_results
out = Path(sys.argv[1], "out")
with open_results("x", out) as results:
    results.write(RunResult(scenario="x", path="x", seed=1))
    with (out / "events.jsonl").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError as error:
            assert error.errno == errno.ENOSPC, error
    notes = ["long" * 1000] * 20
    results.write(RunResult(scenario="x", path="x", seed=1, verdict="failed", notes=notes))
    print(results.trouble)
print((out / "result.json").stat().st_size > 80_000, b"failed" in (out / "junit.xml").read_bytes())
"""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = f'mount -t tmpfs -o size=2m tmpfs {disk}; exec "$@"'
    words = ["unshare", "--mount", "sh", "-ec", mounted, "sh", sys.executable, "-c", code, disk]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("\nTrue True\n", "")


def test_results_that_cannot_be_written_are_told_and_raise_nothing(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with open_results("x", out) as results:
        shutil.rmtree(out)
        results.write(PASSED)
    assert results.result is not None
    assert results.result.verdict == "passed"
    assert results.trouble == f"{out}/result.json is not written: No such file or directory"


def test_as_much_room_is_held_as_the_disk_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is nearly full, and whose room is taken until the results are written."""
    free, asked = 300 << 10, []

    def allocate(_fd: int, _offset: int, size: int) -> None:
        asked.append(size)
        if size > free:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", allocate)
    with open_results("x", tmp_path / "out") as results:
        assert asked == [4 << 20, 1 << 20, 256 << 10]
        assert list(results.path.iterdir()) == []  # it has no name that anybody could trip over
        results.write(PASSED)
        assert decode_result((results.path / "result.json").read_bytes()) == PASSED


def test_a_thousandth_run_of_a_second_is_told_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("iotsim.run.folder.time.strftime", lambda _form: "now")
    parent = tmp_path / "results" / "same"
    for name in ("now", *(f"now_{number}" for number in range(2, 1000))):
        (parent / name).mkdir(parents=True)
    with (
        pytest.raises(IotsimError, match=r"999 results of this second in .*: use --out DIR"),
        open_results("same", None),
    ):
        pass


def test_a_file_system_that_cannot_lock_keeps_nobody_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_lock(_fd: int, _how: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("iotsim.run.folder.fcntl.flock", no_lock)
    with open_results("x", tmp_path) as results:
        results.write(PASSED)
    assert decode_result((tmp_path / "result.json").read_bytes()) == PASSED
