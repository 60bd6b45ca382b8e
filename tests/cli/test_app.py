"""The command as a whole: help, mistakes, and what it takes to start."""

from __future__ import annotations

import subprocess
import sys

import pytest

from iotsim import __version__
from iotsim.cli import app
from iotsim.cli.app import run_command_line
from iotsim.errors import MachineError, Problem, ScenarioError

COMMANDS = ("run", "check", "exec", "doctor", "link", "init", "protocols", "decode")
SUBCOMMANDS = (("protocols", "list"), ("protocols", "show"), ("protocols", "check"))


@pytest.mark.parametrize("words", [(), *((name,) for name in COMMANDS), *SUBCOMMANDS], ids=str)
def test_help(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line([*words, "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("Usage: iotsim " + " ".join(words))


def test_the_help_of_all_names_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line([]) == 0
    text = capsys.readouterr().out
    for name in COMMANDS:
        assert f"│ {name} " in text


def test_the_help_of_run_names_every_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    run_command_line(["run", "--help"])
    text = capsys.readouterr().out
    for code in ("0 passed", "1 failed", "2 error", "3 skipped", "4 inconclusive", "5 empty"):
        assert code in " ".join(text.split())


def test_help_fills_its_lines_and_tells_no_default_that_is_none(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    for words in (("run",), ("show",), ("link", "create"), ("explain",), ("protocols", "show")):
        run_command_line([*words, "--help"])
        text = capsys.readouterr().out
        assert "``" not in text
        assert not any(f"[default: {none}]" in text for none in ("False", "None", "0"))
    run_command_line(["show", "--help"])
    lines = capsys.readouterr().out.splitlines()
    (first,) = (number for number, line in enumerate(lines) if " --around " in line)
    told = [line.strip("│ ") for line in lines[first : first + 2]]
    assert all(len(line) > 60 for line in told), told  # wherever they end in the source


@pytest.mark.parametrize("name", ["run", "exec"])
def test_the_usage_shows_where_a_command_of_the_users_stands(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line([name, "--help"]) == 0
    usage = capsys.readouterr().out.splitlines()[0]
    assert usage.startswith(f"Usage: iotsim {name} ")
    assert "-- COMMAND" in usage
    run_command_line([name, "--help"])
    assert "MISPLACED" not in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["--version"]) == 0
    assert capsys.readouterr().out.strip() == __version__


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["frobnicate"], 'Unknown command "frobnicate"'),
        (["run", "--sed", "1"], "--seed"),
        (["run", "--seed", "many", "quickstart"], "--seed"),
        (["run", "--link", "carrier-pigeon", "quickstart"], "loopback"),
        (["run", "--jobs", "0", "quickstart"], "--jobs 0: a number from 1 to 9999, or auto"),
        (["run", "--jobs", "few", "quickstart"], "--jobs few: a number from 1 to 9999, or auto"),
        (["run", "--duration", "soon", "quickstart"], "--duration"),
        (["run", "--set", "novalue", "quickstart"], "'novalue' is not NAME=VALUE"),
        (["run", "nosuch"], "nosuch: there is no such scenario (bundled: "),
        (["exec"], "write it behind `--`"),
        (["decode"], "NAME"),
        (["protocols", "show", "nosuch"], "there is no protocol 'nosuch'"),
    ],
    ids=" ".join,
)
def test_wrong_use_is_told_in_words(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line(words) == 2
    captured = capsys.readouterr()
    assert told in " ".join((captured.out + captured.err).replace("│", " ").split())
    assert "Traceback" not in captured.out + captured.err


def test_no_scenario_at_all_is_empty(tmp_path: object, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("run", "check"):
        assert run_command_line([command]) == 5
        assert run_command_line([command, str(tmp_path)]) == 5
        assert "no scenario found" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (MachineError("no TUN", "modprobe tun"), 3, "iotsim: no TUN\n  fix: modprobe tun\n"),
        (
            ScenarioError([Problem("is no good", "x.toml", 3, 7, "link.mtu")]),
            2,
            "iotsim: x.toml:3:7: link.mtu: is no good\n",
        ),
        (KeyboardInterrupt(), 130, ""),
    ],
    ids=["machine", "scenario", "interrupt"],
)
def test_what_commands_raise(
    error: BaseException,
    code: int,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fails(*_: object, **__: object) -> int:
        raise error

    monkeypatch.setattr(app, "app", fails)
    assert run_command_line(["run"]) == code
    assert capsys.readouterr().err == told


def test_a_fault_of_our_own_is_shown_whole_and_never_blamed_on_the_gateway(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: object, **__: object) -> int:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(app, "app", fails)
    assert run_command_line(["run"]) == 2
    told = capsys.readouterr().err
    assert "Traceback" in told
    assert "ZeroDivisionError: a bug" in told
    assert "a fault of iotsim itself" in told


def test_help_needs_none_of_the_heavy_packages() -> None:
    code = (
        "import sys; from iotsim.cli.app import run_command_line; run_command_line(['--help']); "
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stderr.split())
    assert "cyclopts" in loaded
    assert not loaded & {
        "trio",
        "construct",
        "pydantic",
        "pyroute2",
        "msgspec",
        "iotsim.run",
        "iotsim.simulation",
    }
