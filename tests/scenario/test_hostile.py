"""Files made to hurt: each is refused, with bounded text, in time and memory that grow with it."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from iotsim.device.loader import load_behavior
from iotsim.device.spec import BehaviorSpec
from iotsim.errors import ProtocolError, ScenarioError
from iotsim.protocol.registry import load_file
from iotsim.scenario import csvdata, load_scenario, load_text
from iotsim.scenario.problems import MOST_PROBLEMS
from iotsim.scenario.toml import TomlError, read_toml
from iotsim.testing import run_virtually, simulated

if TYPE_CHECKING:
    from iotsim.scenario import Scenario

PLACE = Path("/nowhere/test.toml")
FLEET = '[devices.meter]\naddress = "10.77.1.1"\nprotocol = "sensornet"\n'
MILLIONS = """\
[link]
address = "10.255.255.1/8"
[devices.meter]
address = "10.0.0.1"
count = 16_000_000
protocol = "sensornet"
"""
LONGEST_LINE = 3000
PATIENCE_S = 20.0
"""Even a machine that is busy with other things needs less, unless the time grows with a square."""


def told(text: str, place: Path = PLACE) -> list[str]:
    with pytest.raises(ScenarioError) as caught:
        load_text(text, place)
    return [str(problem).removeprefix(f"{place}:") for problem in caught.value.problems]


def lines(count: int, line: str) -> str:
    """`line` so often, with its number in place of N."""
    return "".join(line.replace("N", str(number)) for number in range(count))


@pytest.mark.parametrize(
    "text",
    [
        "[scenario]\n" + lines(100_000, "nameN = 1\n"),
        lines(100_000, "[scenarioN]\n"),
        lines(50_000, "[aN.b]\n"),
        FLEET + "[devices.meter.signals]\n" + lines(100_000, "tN = 1\n"),
        FLEET + lines(9000, "[[devices.meter.rules]]\nwhen = { kiND = 1 }\ndrop = true\n"),
        FLEET
        + "[devices.meter.signals]\n"
        + lines(900, "levelN = { kind = 'noise' }\n")
        + lines(9000, "[[devices.meter.rules]]\nwhere = 'leevlN'\ndrop = true\n"),
        lines(900, "[devices.meterN]\naddress = '10.77.1.1'\n")
        + "[[expect]]\nreceives = {}\nnever = true\neach = ["
        + lines(9000, "'metreN',")
        + "]\n",
        lines(9000, "[[expect]]\nname = 'N'\n"),
        "[scenario]\ntags = [" + lines(100_000, "'${xN}',") + "]\n",
        FLEET
        + "[devices.meter.state]\n"
        + lines(50_000, "aN = 1\n")
        + "[[devices.meter.rules]]\n[devices.meter.rules.set]\n"
        + lines(500, "bN = 1\n"),
        FLEET + "state = {" + lines(100_000, "'a N' = 1, ").removesuffix(", ") + "}\n",
    ],
    ids=lambda text: text[:20] + text[-20:],
)
def test_a_file_that_is_wrong_many_times_is_told_in_few_lines_soon(text: str) -> None:
    began = time.monotonic()
    found = told(text)
    assert time.monotonic() - began < PATIENCE_S
    assert len(found) == MOST_PROBLEMS + 1
    assert found[-1].endswith(f"and more: these are the first {MOST_PROBLEMS}")
    assert max(map(len, found)) < LONGEST_LINE


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[scenario]\nname = '" + "x" * 1_000_000 + "'", "at most 10000 characters"),
        ("[scenario]\n" + "x" * 1_000_000 + " = 1", "a word of more than 1000 characters"),
        ("[scenario]\n'" + "x" * 1_000_000 + "' = 1", "unknown key"),
        ("[scenario]\nseed = " + "9" * 1000, "scenario.seed: must be less than"),
        ("[scenario]\nseed = " + "9" * 4_000_000, "a word of more than 1000 characters"),
        ("[scenario]\nseed = 0x" + "f" * 4_000_000, "a word of more than 1000 characters"),
        ("[scenario]\nduration = " + "9" * 1000, "scenario.duration: "),
        ("[scenario]\ntolerance = 1e999999", "scenario.tolerance: must be finite"),
        (FLEET + "groups = [" + "1," * 200_000 + "]", "must be a text or a list of texts"),
        ("a = [" + "1," * 1_000_000 + "]", "more than 250000 values and tables"),
        ("a = [" + "{}," * 300_000 + "]", "more than 250000 values and tables"),
        (lines(150_000, "[[a]]\na = 1\n"), "more than 250000 values and tables"),
        (lines(50_000, "aN" + ".b" * 30 + " = 1\n"), "more than 250000 values and tables"),
        (FLEET + "count = " + "9" * 1000, "devices.meter.count: must be less than"),
        (
            FLEET
            + "[[devices.meter.rules]]\nreply = { kind = 'REPORT', value = "
            + "9" * 1000
            + "}",
            "devices.meter.rules[0].reply.value: ",
        ),
        (FLEET + "state = { a = 1979-05-27T07:32:00Z }", "is no value of a message"),
        (
            "[devices.a]\n"
            + lines(30, "[[devices.a.rules]]\ndrop = true\n")
            + lines(900, "[devices.bN]\nextends = 'a'\naddress = '10.77.1.1'\n"),
            "more than 20000 rules in all",
        ),
        (
            "[devices.a.state]\n"
            + lines(100_000, "aN = 1\n")
            + lines(900, "[devices.bN]\nextends = 'a'\nstate.x = 1\naddress = '10.77.1.1'\n"),
            "more than 250000 values in all, those of templates counted in each heir",
        ),
        (
            "[devices.a]\n"
            + lines(50, "[[devices.a.rules]]\nname = '" + "x" * 9000 + "'\ndrop = true\n")
            + lines(900, "[devices.bN]\nextends = 'a'\naddress = '10.77.1.1'\n"),
            "more than 250000 values in all, those of templates counted in each heir",
        ),
        (
            MILLIONS + "[[expect]]\nreceives = {}\nnever = true\neach = 'meter 50%'\n",
            "a share of 8000000 devices: at most 4194304 are drawn",
        ),
        (
            MILLIONS
            + "[[expect]]\nreceives = {}\nnever = true\neach = ["
            + "'meter[1:]', 'meter[:9]'," * 1000
            + "]",
            "more than 8388608 devices in shares, and in lists of a fleet's parts",
        ),
        (
            "[devices.a]\ncount = 8000\naddress = '10.77.1.1'\nstate.x = ["
            + "'${devices.a.addresses}'," * 10_000
            + "]",
            "placeholders would fill in more than",
        ),
    ],
    ids=lambda text: text[:40],
)
def test_what_is_too_large(text: str, problem: str) -> None:
    found = told(text)
    assert problem in found[0]
    assert max(map(len, found)) < LONGEST_LINE


@pytest.mark.parametrize(
    "text",
    [
        FLEET + 'behavior = "a\\u0000.py:A"\n',
        FLEET + 'data = "a\\u0000.csv"\n',
        FLEET + 'protocol = "sensor\\u0000net"\n'.replace("protocol", "extends"),
        FLEET + 'signals = { a = { kind = "csv", file = "\\u0000" } }\n',
        FLEET + '[[devices.meter.rules]]\nwhere = "1 \\u0000"\ndrop = true\n',
        FLEET + '[[devices.meter.rules]]\nset = { a = "=\\u0000" }\n',
        FLEET + '[[devices.meter.rules]]\nprotocol = "\\u0000"\ndrop = true\n',
        '[gateway]\ncommand = ["a\\u0000b"]\n',
        '[gateway]\ncommand = ["a"]\ncwd = "\\u0000"\n',
        '[gateway]\ncommand = ["a"]\nenv = { "a\\u0000" = "b" }\n',
        '[link]\nname = "a\\u0000"\n',
        '[link]\naddress = "10.77.0.1\\u0000/16"\n',
        '[devices.a]\naddress = "10.77.0.9"\nprotocol = "\\u0000"\n',
        FLEET + 'behavior = "' + "a" * 5000 + '.py:A"\n',
        FLEET + 'data = "' + "a" * 5000 + '.csv"\n',
    ],
)
def test_zero_bytes_and_names_too_long_are_told(text: str) -> None:
    (problem,) = told(text)
    assert problem[0].isdigit(), "it has a place"


def test_files_that_cost_the_most(tmp_path: Path) -> None:
    """In a process of its own, since some of these have ended it by a segmentation fault."""
    costly = {
        "equals": "=" * 4_000_000,
        "spaced": "= " * 2_000_000,
        "empty": "[x]\n" + "=\n" * 2_000_000,
        "digits": "x = " + "9" * 4_000_000,
        "fraction": "x = 0." + "9" * 4_000_000,
        "text": "x = '" + "x" * 4_000_000 + "'",
        "elements": "x = [" + "1," * 1_000_000 + "]",
        "texts": "x = [" + '"",' * 1_000_000 + "]",
        "arrays": "x = [" + "[]," * 1_000_000 + "]",
        "tables": "[[x]]\n" * 600_000,
        "headers": lines(100_000, "[x.aN]\n"),
        "dotted": lines(100_000, "aN.b.c = 1\n"),
        "parameters": "[scenario]\ntags = [" + lines(200_000, "'${aN}',") + "]",
        "one": "[scenario]\ntags = [" + "'${a}'," * 200_000 + "]",
        "comments": "#\n" * 2_000_000 + "x = 1",
        "zeros": "\0" * 4_000_000,
    }
    for name, text in costly.items():
        (tmp_path / f"{name}.toml").write_text(text)
    files = [f"{name}.toml" for name in costly]
    limits = f"ulimit -v {1 << 20} -t 60; exec"  # KiB of addresses; seconds of processor time
    done = subprocess.run(
        ["bash", "-c", f'{limits} "$@"', "bash", sys.executable, "-m", "iotsim", "check", *files],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (2, ""), done
    told_of = [line.partition(".toml:")[0] for line in done.stdout.splitlines()]
    assert list(dict.fromkeys(told_of)) == list(costly)
    assert len(done.stdout) < 100_000


# --- the reader -------------------------------------------------------------------------------

DEEP = [
    *("[" * 60_000, "{a=" * 60_000, "[\n" * 60_000, "[#\n" * 60_000, "[{a=" * 30_000),
    *(".a" * 200_000, "a." * 200_000, '."a"' * 100_000, " . a" * 100_000, ".." * 100_000),
    *("=" * 60_000, "= \t" * 60_000, "[}" * 60_000, "[ }," * 60_000, "={]" * 60_000),
]
PIECES = [
    *('"', "'", '"""', "'''", "#", "\\", '\\"', "\n", "\r", "\r\n", "[", "]", "{", "}", "=", ","),
    *(".", " ", "\t", "a", "1", "é", "\0", "\x0b", "''", '""', "a.b", "x = ", "[[", "]]", "\u2028"),
]


def read_many(seed: int, count: int) -> None:
    """Read texts that hide deep nesting behind what may look like a string or a comment."""
    draw = random.Random(seed)
    for _ in range(count):
        head, tail = ("".join(draw.choices(PIECES, k=draw.randrange(length))) for length in (12, 6))
        text = head + draw.choice(DEEP) + tail
        try:
            read_toml(text)
        except TomlError as error:
            assert str(error)  # noqa: PT017


def test_no_text_crashes_the_reader() -> None:
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); "
    code += "from test_hostile import read_many; read_many(1, 150)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.returncode, done.stderr[-500:])


@pytest.mark.parametrize("text", ["# \rx = " + "[" * 100_000, "x = 1\r", "x = '''\r'''"])
def test_a_carriage_return_alone_is_refused(text: str) -> None:
    with pytest.raises(TomlError, match="a carriage return that does not belong to the end"):
        read_toml(text)


@pytest.mark.parametrize(
    "text",
    [
        'a = "' + "[." * 100 + '"',
        "a = '" + "{" * 100 + "'",
        'a = """' + '[["" \\""" ' * 90 + '"""',
        'a = """' + "[" * 90 + '"""""',
        "a = '''" + "['' " * 90 + "'''''",
        "# it's " + "[" * 100 + "\na = 1",
        '"' + "a." * 100 + '" = 1',
        "a = 1 # \"\nb = '" + "[" * 100 + "'",
    ],
)
def test_texts_and_comments_can_have_any_brackets(text: str) -> None:
    assert len(read_toml(text + "\r\n").value) >= 1


def test_forms_of_files(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    text = '[scenario]\nname = "é"\n'
    for content in (
        text.encode(),
        b"\xef\xbb\xbf" + text.encode(),
        text.replace("\n", "\r\n").encode(),
    ):
        path.write_bytes(content)
        assert load_scenario(path).name == "é"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b'[scenario]\nname = "\xff"\n', ":2: not a text in UTF-8"),
        ('[scenario]\nname = "a"\n'.encode("utf-16"), ":1: not a text in UTF-8"),
        (b"[scenario]\rname = 'a'\r", ":1:11: a carriage return"),
        (b"x" * (5 << 20), ": larger than 4194304 bytes"),
    ],
)
def test_what_is_no_text(content: bytes, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(content)
    with pytest.raises(ScenarioError) as caught:
        load_scenario(path)
    assert str(caught.value).startswith(f"{path}{problem}")


def test_what_is_no_file(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    for path, problem in (
        (tmp_path, "this is no file"),
        (Path("/dev/zero"), "this is no file"),
        (pipe, "this is no file"),
        (loop, "cannot be read: Too many levels of symbolic links"),
        (tmp_path / ("a" * 5000), "cannot be read: File name too long"),
        (tmp_path / "a\0b", "there is no such file"),
    ):
        with pytest.raises(ScenarioError, match=problem):
            load_scenario(path)
        if "\0" in path.name:
            continue
        signal = f"signals = {{ a = {{ kind = 'csv', file = '{path}' }} }}\n"
        for key in (f"data = '{path}'\n", signal):
            assert re.search(problem, told(FLEET + key)[0])


def test_what_is_no_file_of_code(tmp_path: Path) -> None:
    """Pipes and devices in place of protocols and behaviors: nothing waits for them."""
    (tmp_path / "protocols").mkdir()
    os.mkfifo(tmp_path / "protocols" / "pipe.py")
    os.mkfifo(tmp_path / "meter.py")
    (tmp_path / "protocols" / "endless.py").symlink_to("/dev/zero")
    (tmp_path / "protocols" / "huge.py").write_bytes(b"#" * (5 << 20))
    place = tmp_path / "a.toml"
    for name, problem in (
        ("pipe", "there is no protocol 'pipe'"),
        ("endless", "there is no protocol 'endless'"),
        ("meter", "there is no protocol 'meter'"),
        ("huge", "huge.py: larger than 4194304 bytes"),
    ):
        assert problem in told(FLEET.replace("sensornet", name), place)[0]
    assert "there is no such file" in told(FLEET + 'behavior = "meter.py:Meter"', place)[0]
    for path in (tmp_path / "meter.py", Path("/dev/zero"), tmp_path):
        with pytest.raises(ProtocolError, match="this is no file"):
            load_file(path)
        behavior = BehaviorSpec(path, "Meter", "a.toml:4")
        with pytest.raises(ScenarioError, match="this is no file"), load_behavior(behavior):
            pass


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (",".join(f"c{n}" for n in range(100_000)), "more than 1000 columns"),
        (",".join(["c"] * 900), "the column 'c' is there twice"),
        ("x" * 100_000 + "\n1", "is no name for a column"),
        ("a,b\n" + "1," * 50_000, "50001 cells under 2 columns"),
        ("a\n" + "1" * 200_000, "field larger than field limit"),
        ('a\n"', "unexpected end of data"),
        ("a\n" + "\0", "has no rows"),
        ("a\nhex:" + "0g" * 50_000, ""),
        ("", "the file is empty"),
        ("a\r\n1e999", "is too large"),
    ],
)
def test_data_files(content: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(content)
    try:
        load_text(FLEET + 'data = "rows.csv"', tmp_path / "a.toml")
    except ScenarioError as error:
        assert problem in str(error)  # noqa: PT017
        assert len(str(error)) < LONGEST_LINE  # noqa: PT017
    else:
        assert problem == "has no rows"


def test_data_files_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.csv").write_text("t,value\n" + lines(1000, "N,1\n"))
    read, paths = csvdata.read_text, []

    def note(path: Path) -> str:
        paths.append(path)
        return read(path)

    monkeypatch.setattr(csvdata, "read_text", note)
    signals = lines(100, "sN = { kind = 'csv', file = 'a.csv' }\n")
    heirs = lines(9, "[devices.dN]\nextends = 'meter'\naddress = '10.77.1N.1'\n")
    text = FLEET + "count = 3\ndata = 'a.csv'\n[devices.meter.signals]\n" + signals + heirs
    first, *others = load_text(text, tmp_path / "a.toml").fleets
    assert paths == [tmp_path / "a.csv"] * 2  # as rows, and as points
    assert [row["t"] for row in first.data] == [0, 1, 2]
    assert all(other.signals["s1"].points is first.signals["s1"].points for other in others)


@pytest.mark.parametrize(
    ("limit", "most", "problem"),
    [
        ("MOST_ROWS", 99, "a.csv: more than 99 rows"),
        ("MOST_CELLS", 300, "b.csv: more than 300 cells, with those of data files before"),
    ],
)
def test_data_files_are_bounded_in_all(
    limit: str, most: int, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.csv").write_text("t,value\n" + lines(100, "N,1\n"))
    monkeypatch.setattr(csvdata, limit, most)
    found = told(
        FLEET + "data = 'a.csv'\nsignals.x = { kind = 'csv', file = 'b.csv' }\n",
        tmp_path / "a.toml",
    )
    assert found[0].endswith(problem)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (",".join(f"c{n}" for n in range(100_000)), "no column 't': there are c0, c1, c2"),
        ("x" * 200_000, "field larger than field limit"),
        ("t,value\n" + "x" * 100_000 + ",1", "t and value must be numbers"),
        ("t,value\n0,1\n0,1", "does not come after"),
        ("t,value\n0,inf", "is not finite"),
        ("", "no column 't': there are none"),
    ],
)
def test_files_of_points(content: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "points.csv").write_text(content)
    signal = 'signals = { a = { kind = "csv", file = "points.csv" } }'
    (found,) = told(FLEET + signal, tmp_path / "a.toml")
    assert problem in found
    assert len(found) < LONGEST_LINE


# --- files that are nearly right ---------------------------------------------------------------

SOUND = """\
[scenario]
name = "x"
duration = "10s"
[link]
kind = "tun"
address = ["10.77.0.1/16", "fd77::1/64"]
[gateway]
command = ["gw", "${devices.meter.range}"]
ready = { delay = "1s" }
[devices.meter]
count = 3
address = "10.77.1.1"
protocol = "sensornet"
state = { reads = 0 }
boot = { delay = "1s..2s", ramp = "1s" }
[devices.meter.signals]
level = { kind = "sine", period = "1s" }
[devices.heir]
extends = "meter"
address = "10.77.2.1"
[[devices.meter.rules]]
when = { kind = "READ", seq = { min = 1, max = 9 } }
where = "state.reads < 3 and msg.point == 0"
set = { reads = "=state.reads + 1" }
reply = { kind = "REPORT", value = "=level", status.alarm = true }
[[expect]]
each = "meter[0:2]"
receives = { kind = "READ" }
within = "3s"
[[expect]]
all = ["meter", "heir 50%"]
sends = { kind = "REPORT" }
count = { min = 1, max = 2 }
per = "1s"
"""
VALUES = [
    *(
        "-1",
        "0",
        "1e400",
        "nan",
        "true",
        '""',
        '"="',
        '"=state"',
        '"${x}"',
        '"${devices.heir.first}"',
    ),
    *(
        "[]",
        "{}",
        "[[]]",
        "{ min = 1 }",
        '"5s"',
        '"-5s"',
        '"1s..0s"',
        '"meter[9]"',
        '"heir"',
        '"\\u0000"',
    ),
    *('"fd77::9"', '"0.0.0.0/0"', '"::/0"', "1979-05-27", "07:32:00", '{ regex = "(" }', '"100%"'),
    *("9999999999999999999999", '"\\u001b[31m"', '"' + "a" * 300 + '"', "[1, [2, [3]]]"),
]


def mutations(seed: int, count: int) -> list[str]:
    """`SOUND` with values, keys, lines and tables exchanged, left out and said twice."""
    draw = random.Random(seed)
    whole = SOUND.splitlines()
    texts = []
    for _ in range(count):
        text = list(whole)
        for _ in range(draw.randrange(1, 4)):
            at = draw.randrange(len(text))
            key, equals, _ = text[at].partition(" = ")
            match draw.randrange(6):
                case 0:
                    text[at] = f"{key}{equals}{draw.choice(VALUES)}"
                case 1:
                    del text[at]
                case 2:
                    text.insert(at, draw.choice(whole))
                case 3:
                    other = draw.choice(whole).partition(" = ")
                    text[at] = f"{other[0]}{equals}{text[at].partition(' = ')[2]}"
                case 4:
                    place = draw.randrange(len(text[at]) + 1)
                    text[at] = text[at][:place] + draw.choice(PIECES) + text[at][place:]
                case 5:
                    text[at] = (
                        f"{draw.choice(whole).partition(' = ')[0]}{equals}{draw.choice(VALUES)}"
                    )
        texts.append("\n".join(text))
    return texts


def problems_of(text: str) -> list[str]:
    try:
        load_text(text, PLACE)
    except ScenarioError as error:
        return [str(problem) for problem in error.problems]
    return []


def test_files_that_are_nearly_right_are_loaded_or_refused() -> None:
    load_text(SOUND, PLACE)
    refused = [found for text in mutations(1, 600) if (found := problems_of(text))]
    assert 10 < len(refused) < 590
    assert max(len(problem) for found in refused for problem in found) < LONGEST_LINE


async def polled(scenario: Scenario) -> str:
    """The verdict of a run in which the first device of each fleet hears something."""
    async with simulated(scenario) as gateway:
        for fleet in (fleet for fleet in scenario.fleets if fleet.services):
            gateway.send(f"{fleet.name}[0]", {"kind": "READ", "device": 1, "seq": 1})
            gateway.send(f"{fleet.name}[0]", b"no message")
        await gateway.settled()
    return gateway.run.result.verdict


def test_what_is_sound_runs() -> None:
    sound = [text for text in mutations(2, 1500) if not problems_of(text)]
    assert len(set(sound)) > 15
    for text in set(sound):
        assert run_virtually(polled, load_text(text, PLACE).over("memory")) in ("passed", "failed")
