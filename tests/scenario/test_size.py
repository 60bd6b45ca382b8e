"""Files that are large, deep, or no text at all: a bounded word, and never a crash."""

from __future__ import annotations

import difflib
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from iotsim.errors import ScenarioError
from iotsim.scenario import load_scenario, load_text
from iotsim.scenario.problems import MOST_PROBLEMS
from iotsim.scenario.toml import TomlError, read_toml

if TYPE_CHECKING:
    from collections.abc import Callable

FLEET = '[devices.meter]\naddress = "10.77.1.1"\nprotocol = "sensornet"\n'
DEEP = "[" * 100_000
MOST_CHARACTERS = 20_000
"""Of all that is told of one file."""


def told(text: str) -> list[str]:
    with pytest.raises(ScenarioError) as caught:
        load_text(text, Path("/nowhere/test.toml"))
    assert len(str(caught.value)) < MOST_CHARACTERS
    return [str(problem).removeprefix("/nowhere/test.toml:") for problem in caught.value.problems]


@pytest.mark.parametrize(
    "text",
    [
        f"x = 1 #\ry = {DEEP}",
        f"# c\ry = {DEEP}\n",
        f'y = [ # "c\r{DEEP}',
        f'x = """a"""" # " """\ny = {DEEP} # """\n',
        f"x = '''a'''' # ' '''\ny = {DEEP} # '''\n",
        f"y = {DEEP}",
        "y = " + "{a=" * 50_000,
        ".".join("a" * 50_000) + " = 1",
        "[" + ".".join("a" * 50_000) + "]",
        "\n".join(f"[{'.'.join('a' * 30)}.b{n}]\nx = {'[' * 20}" for n in range(100)),
    ],
    ids=lambda text: repr(text[:20]),
)
def test_what_is_deep_is_refused_and_crashes_nothing(text: str, tmp_path: Path) -> None:
    """In a process of its own, since it is a segmentation fault that this is about."""
    (tmp_path / "deep.toml").write_bytes(text.encode())
    done = subprocess.run(
        [sys.executable, "-P", "-m", "iotsim", "check", "deep.toml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done
    assert "deep.toml" in done.stdout
    assert len(done.stdout + done.stderr) < 500


def test_a_lone_carriage_return_is_no_end_of_a_line() -> None:
    assert told("[scenario]\nname = 'a' # b\rduration = '1s'") == [
        "2: a carriage return without a line feed after it"
    ]
    assert load_text("[scenario]\r\nname = 'a'\r\n", Path("x.toml")).name == "a"


@pytest.mark.parametrize("quotes", ['"', "'"])
@pytest.mark.parametrize("inner", range(3))
def test_quotes_at_the_end_of_a_long_text_belong_to_it(quotes: str, inner: int) -> None:
    text = f"x = {quotes * 3}a{quotes * inner}{quotes * 3}\n"
    assert read_toml(text).value == {"x": "a" + quotes * inner}
    with pytest.raises(TomlError, match="deep"):
        read_toml(text + f"y = {DEEP}")


MANY = {
    "unknown keys": lambda n: "[scenario]\n" + "".join(f"nam{i} = 1\n" for i in range(n)),
    "unknown tables": lambda n: "".join(f"[devicez{i}]\n" for i in range(n)),
    "unknown signals": lambda n: (
        FLEET
        + "[devices.meter.signals]\n"
        + "".join(f's{i} = {{ kind = "sin" }}\n' for i in range(n))
    ),
    "unknown fields": lambda n: (
        FLEET
        + "[[devices.meter.rules]]\nwhen = { "
        + ", ".join(f"f{i} = 1" for i in range(n))
        + ' }\nreply = { kind = "ACK" }\n'
    ),
    "rules": lambda n: FLEET + "".join(f"[[devices.meter.rules]]\nwhe = {i}\n" for i in range(n)),
    "fleets": lambda n: "".join(f'[devices.m{i}]\nadress = "10.77.1.1"\n' for i in range(n)),
    "expectations": lambda n: "".join(f"[[expect]]\nnme = {i}\n" for i in range(n)),
    "expressions": lambda n: (
        FLEET
        + '[[devices.meter.rules]]\nwhen = { kind = "READ" }\n'
        + "".join(f'set.a{i} = "=state.b{i}"\n' for i in range(n))
    ),
}


@pytest.mark.parametrize("many", MANY.values(), ids=MANY)
def test_what_is_told_of_many_problems_is_bounded(many: Callable[[int], str]) -> None:
    assert len(told(many(3000))) <= MOST_PROBLEMS + 1


@pytest.mark.parametrize("name", ["unknown keys", "unknown tables", "unknown signals", "fleets"])
def test_the_nearest_names_are_sought_only_for_what_is_told(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    many, calls = MANY[name], 0
    original = difflib.get_close_matches

    def count(*arguments: object, **options: object) -> list[str]:
        nonlocal calls
        calls += 1
        return original(*arguments, **options)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(difflib, "get_close_matches", count)
    told(many(3000))
    few, calls = calls, 0
    told(many(6000))
    assert calls <= few + 2  # however many there are


def test_how_many_more_problems_there_are_is_told() -> None:
    assert told(MANY["unknown keys"](1000))[-1].endswith("and 900 more problems")


def test_a_csv_with_very_many_columns_is_told_briefly(tmp_path: Path) -> None:
    columns = [f"column{number}" for number in range(50_000)]
    (tmp_path / "wide.csv").write_text(",".join(columns) + "\n" + ",".join("1" for _ in columns))
    (tmp_path / "x.toml").write_text(
        '[devices.meter]\naddress = "10.77.1.1"\nprotocol = "sensornet"\ndata = "wide.csv"\n'
        '[devices.meter.signals]\nlevel = { kind = "csv", file = "wide.csv", column = "colum" }\n'
        '[[devices.meter.rules]]\nwhen = { kind = "READ" }\n'
        'reply = { kind = "REPORT", value = "=state.colum" }\n'
    )
    with pytest.raises(ScenarioError) as caught:
        load_scenario(tmp_path / "x.toml")
    assert len(str(caught.value)) < 3000


@pytest.mark.parametrize("name", ["fifo", "folder", "/dev/zero", "absent"])
@pytest.mark.parametrize("place", ["scenario", "data", "signal", "protocol"])
def test_what_is_no_file_is_refused_and_hangs_nothing(
    name: str, place: str, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    path = tmp_path / name
    if place == "scenario":
        with pytest.raises(ScenarioError):
            load_scenario(path)
        return
    text = {
        "data": f'protocol = "sensornet"\ndata = "{path}"\n',
        "signal": f'protocol = "sensornet"\nsignals.a = {{ kind = "csv", file = "{path}" }}\n',
        "protocol": f'protocol = "{path}"\n',
    }[place]
    problems = told('[devices.meter]\naddress = "10.77.1.1"\n' + text)
    assert problems
    assert all(problem[0].isdigit() for problem in problems)  # with a line


@pytest.mark.parametrize(
    "text",
    [
        FLEET.replace("sensornet", "sensornet\\u0000"),
        FLEET + 'behavior = "a\\u0000.py:X"\n',
        FLEET + 'data = "a\\u0000.csv"\n',
        FLEET + 'signals.a = { kind = "csv", file = "a\\u0000.csv" }\n',
        FLEET + '[[devices.meter.rules]]\nwhere = "=1\\u0000"\nreply = { kind = "ACK" }\n',
        FLEET + '[[devices.meter.rules]]\nset = { a = "=state.\\u0000" }\n',
        FLEET + '[[expect]]\neach = "meter\\u0000"\nreceives = { kind = "READ" }\nwithin = "1s"\n',
        FLEET + '[[expect]]\neach = "meter"\nreceives = { kind = "=1\\u0000" }\nwithin = "1s"\n',
        '[gateway]\ncommand = ["a\\u0000b"]\n',
        '[gateway]\ncommand = ["a"]\ncwd = "a\\u0000"\n',
        '[gateway]\ncommand = ["a", "${devices.\\u0000.first}"]\n',
        '[scenario]\nrequires = ["pi\\u0000ng"]\n',
        '[link]\nname = "t\\u0000un"\n',
    ],
)
def test_a_nul_is_a_clear_error(text: str) -> None:
    assert told(text)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b'[scenario]\nname = "\xff"\n', "2: not a text in UTF-8"),
        (b"\xff\xfe[\0s\0", "UTF-8"),
        (b'[scenario]\nname = "' + b"x" * 4_000_000 + b'"\n', "10000 characters"),
        (b"[scenario]\ntags = [" + b"1," * 500_000 + b"]\n", "list of texts"),
        (b"x" * (5 << 20), "larger than"),
        (b"[scenario]\nseed = " + b"9" * 100_000 + b"\n", ""),
        (b"\0" * 1000, ""),
    ],
)
def test_odd_bytes_are_a_clear_error(data: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.toml"
    path.write_bytes(data)
    with pytest.raises(ScenarioError) as caught:
        load_scenario(path)
    assert words in str(caught.value)
    assert len(str(caught.value)) < 500
