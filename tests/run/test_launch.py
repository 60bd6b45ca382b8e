from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from iotsim.run.folder import ResultsFolder
from iotsim.run.launch import Launch, gateway_environment, locate, prepare_launch
from iotsim.scenario.load import load_scenario
from iotsim.testbed.bed import GatewayStartError
from iotsim.testbed.users import User

if TYPE_CHECKING:
    from iotsim.scenario.model import Scenario

SCENARIO = """
[gateway]
{gateway}

[devices.meter]
address = "10.77.1.1"
protocol = "sensornet"
"""


def scenario(folder: Path, gateway: str) -> Scenario:
    path = folder / "one.toml"
    path.write_text(SCENARIO.format(gateway=gateway))
    return load_scenario(path)


def test_files_of_a_command_are_found_beside_the_scenario(tmp_path: Path) -> None:
    beside = tmp_path / "beside"
    beside.mkdir()
    (beside / "gateway.py").write_text("")
    folders = [tmp_path, beside]
    assert locate("gateway.py", folders) == str(beside / "gateway.py")
    for word in ("python3", "--flag", "/bin/sh", "missing.py", "", "x" * 5000 + "/y"):
        assert locate(word, folders) == word


def test_links_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the interpreter of a virtual environment, which knows by its name where its modules are."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "python3.11").write_text("")
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").symlink_to(tmp_path / "real" / "python3.11")
    (tmp_path / "linked").symlink_to(tmp_path / ".venv" / "bin")
    monkeypatch.chdir(tmp_path)
    link = tmp_path / ".venv" / "bin" / "python"
    assert locate(".venv/bin/python", [tmp_path]) == str(link)
    assert locate("./.venv/bin/python", [Path()]) == str(link)
    # ".." leads out of what the link leads to, as for the kernel, and not out of where it stands.
    assert locate("linked/../bin/python", [Path()]) == str(tmp_path / "linked/../bin/python")


def test_the_environment_is_that_of_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/root")
    monkeypatch.setenv("KEPT", "1")
    user = User(1234, 1234, (1234,), "alice", "/home/alice")
    environment = gateway_environment({"LOGNAME": "given"}, tmp_path, user)
    assert environment["HOME"] == "/home/alice"
    assert (environment["USER"], environment["LOGNAME"]) == ("alice", "given")
    assert (environment["KEPT"], environment["IOTSIM_RESULTS"]) == ("1", str(tmp_path))
    assert gateway_environment({}, tmp_path)["HOME"] == "/root"


def test_a_user_that_there_is_not(tmp_path: Path) -> None:
    loaded = scenario(tmp_path, 'command = ["true"]\nuser = "no.such.user"')
    with pytest.raises(GatewayStartError, match=r"there is no user called no\.such\.user"):
        prepare_launch(loaded, ResultsFolder(tmp_path), gateway_given=False)


def test_a_gateway_of_somebody_else_needs_no_preparation(tmp_path: Path) -> None:
    assert (
        prepare_launch(scenario(tmp_path, ""), ResultsFolder(tmp_path), gateway_given=False) is None
    )
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("stdin", ["", 'stdin = "open"', 'stdin = "${results}/input"'])
def test_the_standard_streams(tmp_path: Path, stdin: str, terminal: bool) -> None:
    (tmp_path / "input").write_text("typed")
    text = f'command = ["true"]\nterminal = {str(terminal).lower()}\n{stdin}'
    launch = prepare_launch(scenario(tmp_path, text), ResultsFolder(tmp_path), gateway_given=False)
    assert launch is not None
    streams = launch.open_streams()
    assert os.isatty(streams.theirs[0]) == terminal
    assert len(streams.theirs) == (2 if stdin else 1)
    if "input" in stdin:
        assert os.read(streams.theirs[1], 99) == b"typed"
    elif stdin:
        assert os.isatty(streams.theirs[1]) == terminal
        os.set_blocking(streams.theirs[1], False)
        with pytest.raises(BlockingIOError):
            os.read(streams.theirs[1], 1)
    os.write(streams.theirs[0], b"printed\n")
    assert os.read(streams.output, 99) == b"printed\n"
    streams.close()


def test_an_input_that_cannot_be_opened(tmp_path: Path) -> None:
    launch = Launch(("true",), {}, tmp_path, stdin=tmp_path / "missing")
    with pytest.raises(GatewayStartError, match=r"its stdin, .*/missing: No such file"):
        launch.open_streams()


def test_the_working_folder_is_the_users_or_the_one_that_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[Path, int, int]] = []
    user = User(1234, 1235, (), "alice", "/home/alice")
    monkeypatch.setattr("iotsim.run.launch.rights.gateway_user", lambda *_, **__: user)
    monkeypatch.setattr("iotsim.run.launch.os.chown", lambda *to: given.append(to))
    results = tmp_path / "out"
    results.mkdir()
    loaded = scenario(tmp_path, 'command = ["true"]')
    launch = prepare_launch(loaded, ResultsFolder(results), gateway_given=False)
    assert launch is not None
    assert launch.cwd == results / "work"
    assert given == [(launch.cwd, 1234, 1235)]
    loaded = scenario(tmp_path, 'command = ["true"]\ncwd = "${results}"')
    launch = prepare_launch(loaded, ResultsFolder(results), gateway_given=False)
    assert launch is not None
    assert launch.cwd == results
    assert len(given) == 1  # what was there before stays whose it is


def test_a_command_of_the_command_line_is_looked_for_where_that_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    for folder in (tmp_path, here):
        (folder / "gateway.py").write_text("")
    loaded = scenario(tmp_path, 'command = ["python3", "gateway.py"]')
    for given, folder in ((True, here), (False, tmp_path)):
        launch = prepare_launch(loaded, ResultsFolder(tmp_path), gateway_given=given)
        assert launch is not None
        assert launch.command == ("python3", str(folder / "gateway.py"))
