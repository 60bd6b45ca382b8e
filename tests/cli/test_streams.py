"""Nobody who reads what we print, or does not, decides what a command comes to."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from iotsim.cli.streams import Outlet, is_heard
from iotsim.cli.terminal import SafeStream

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import CommandLine

WRONG = "[scenario]\nduration = 1\n"
RIGHT = '[scenario]\nname = "☃ ü"\n\n[link]\nkind = "memory"\n'
COMMANDS = {
    "check wrong.toml": 2,
    "protocols show sensornet": 0,
    "decode sensornet 00": 2,
    "run right.toml": 5,
}
REDIRECTIONS = (">/dev/full", ">&-", ">/dev/full 2>/dev/full", ">&- 2>&- <&-")


def statuses(iotsim: CommandLine, endings: tuple[str, ...], **environment: str) -> dict[str, int]:
    """Each of `COMMANDS`, with each of `endings`, and how it ended."""
    iotsim.write("wrong.toml", WRONG)
    iotsim.write("right.toml", RIGHT)
    started = {
        f"{words} {ending}": subprocess.Popen(
            ["bash", "-c", f"{sys.executable} -m iotsim {words} {ending}"],
            cwd=iotsim.folder,
            env={**iotsim.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for words in COMMANDS
        for ending in endings
    }
    ended = {}
    for line, process in started.items():
        output, _ = process.communicate(timeout=60)
        assert "Traceback" not in output, output
        assert "fault of iotsim" not in output, output
        ended[line] = process.returncode
    return ended


def expected(endings: tuple[str, ...]) -> dict[str, int]:
    return {f"{words} {end}": status for words, status in COMMANDS.items() for end in endings}


@pytest.mark.parametrize("ending", REDIRECTIONS)
def test_output_that_cannot_be_written_decides_nothing(iotsim: CommandLine, ending: str) -> None:
    assert statuses(iotsim, (ending,)) == expected((ending,))


def test_a_reader_that_has_gone_decides_nothing(iotsim: CommandLine) -> None:
    ending = "| true; exit ${PIPESTATUS[0]}"
    assert statuses(iotsim, (ending,)) == expected((ending,))


@pytest.mark.parametrize(
    "environment", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0"}], ids=str
)
def test_a_locale_without_the_characters_decides_nothing(
    iotsim: CommandLine, environment: dict[str, str]
) -> None:
    assert statuses(iotsim, ("",), **environment) == expected(("",))


def test_what_is_missing_from_the_output_is_told() -> None:
    line = f"{sys.executable} -m iotsim protocols list >/dev/full"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True)
    assert done.stderr == "iotsim: standard output is not whole: No space left on device\n"


def test_a_full_disk_is_told_once_and_a_reader_that_has_gone_is_not() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    outlet = Outlet(full)
    assert outlet.write(b"one") == 3
    assert outlet.write(b"four") == 4
    assert outlet.error == "No space left on device"
    outlet.close()
    os.close(full)
    ours, theirs = os.pipe()
    os.close(ours)
    outlet = Outlet(theirs)
    assert outlet.write(b"one") == 3
    assert outlet.error == ""
    outlet.close()
    os.close(theirs)


def test_a_pipe_that_somebody_made_non_blocking_gets_everything() -> None:
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    data = bytes(range(256)) * 4096  # more than a pipe takes at once
    outlet = Outlet(theirs)

    def write() -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[outlet.write(rest) :]
        outlet.close()
        os.close(theirs)

    writer = threading.Thread(target=write)
    writer.start()
    with os.fdopen(ours, "rb") as reader:
        assert reader.read() == data
    writer.join()


def test_a_program_that_something_ends_has_no_verdict(iotsim: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "named").mkdir()
    (tmp_path / "named" / "cyclopts.py").write_text("raise SystemExit(0)")
    iotsim.environment["PYTHONPATH"] = str(tmp_path / "named")
    done = iotsim("check", "quickstart")
    assert done.status == 2
    assert done.text == "iotsim: something called exit(0) before there was a verdict\n"


def test_the_current_folder_holds_no_modules_of_ours(iotsim: CommandLine) -> None:
    for name in ("queue", "cyclopts", "msgspec"):
        iotsim.write(f"{name}.py", "raise SystemExit(0)")
    assert iotsim("run", iotsim.write("right.toml", RIGHT), "--duration", "1s").status == 5


def test_whether_anybody_hears_what_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = os.pipe()
    outlet = Outlet(theirs)
    stream = io.TextIOWrapper(io.BufferedWriter(outlet))
    monkeypatch.setattr("sys.stdout", SafeStream(stream))
    assert is_heard()
    os.close(ours)
    stream.write("lost")
    stream.flush()
    assert not is_heard()
    monkeypatch.setattr("sys.stdout", io.StringIO())  # whose it may be
    assert is_heard()
    stream.close()
    os.close(theirs)
