"""Whatever a scenario, a file of its own, a gateway or a datagram holds: no terminal takes orders from it.

Each case is run by the command itself, with hostile text at one place where text comes from. What is
printed may show it, escaped; of control characters it has newlines alone.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import unicodedata
from typing import TYPE_CHECKING

import pytest
from rich.text import Text

from iotsim.cli.app import run_command_line
from iotsim.cli.console import SafeConsole

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = "x\x1b[2J\x9b1m\x07\b\r\t\x7f\u202eevil\u2066\u200b\u2028\ufeff\U000e0041"
TOML = "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in HOSTILE)
"""The same inside a basic string, or a quoted key, of TOML."""
NEWLINE = r"\n/etc/passwd: ok, 1 devices, 1 expectations"

BASE = """
[scenario]
name = "plain"
duration = "1s"
[link]
kind = "memory"
[gateway]
port = 7001
[devices.meter]
count = 2
address = "10.77.1.1"
protocol = "hostile"
"""
RULE = "[[devices.meter.rules]]\n"
EXPECT = '[[expect]]\nname = "some"\n'

WRONG = {
    "a key": '"{0}" = 1\n' + BASE,
    "a table": BASE + '["{0}"]\na = 1\n',
    "the name of a fleet": BASE + '[devices."{0}"]\naddress = "10.77.2.1"\nprotocol = "hostile"\n',
    "an address": BASE.replace("10.77.1.1", "{0}"),
    "a protocol": BASE.replace('"hostile"', '"{0}"'),
    "the name of a state": BASE + 'state."{0}" = 1\n',
    "the name of a signal": BASE + 'signals."{0}" = 1\n',
    "the kind of a signal": BASE + 'signals.a.kind = "{0}"\n',
    "a field": BASE + RULE + 'when = {{ "{0}" = 1 }}\nreply = {{ kind = "A" }}\n',
    "the name of a value": BASE + RULE + 'when = {{ kind = "{0}" }}\nreply = {{ kind = "A" }}\n',
    "an operator": BASE + RULE + 'when = {{ n = {{ "{0}" = 1 }} }}\nreply = {{ kind = "A" }}\n',
    "a regex": BASE + RULE + 'when = {{ text = {{ regex = "({0}" }} }}\nreply = {{ kind = "A" }}\n',
    "an expression": BASE + RULE + 'when = {{ n = "={0}" }}\nreply = {{ kind = "A" }}\n',
    "a state in an expression": BASE + RULE + 'reply = {{ kind = "A", n = "=state.n{0}" }}\n',
    "a delay": BASE + RULE + 'reply = {{ kind = "A" }}\ndelay = "{0}"\n',
    "a destination": BASE + RULE + 'every = "1s"\nsend = {{ kind = "A" }}\nto = "{0}"\n',
    "a selector": BASE + EXPECT + 'each = "{0}"\nreceives = {{ kind = "A" }}\n',
    "a placeholder": BASE.replace("plain", "${{{0}}}"),
    "a placeholder of devices": BASE.replace("plain", "${{devices.{0}.first}}"),
    "bytes": BASE + RULE + 'reply = {{ kind = "A", data = "hex:{0}" }}\n',
    "a duration": BASE.replace("1s", "{0}"),
    "a mac": BASE + 'mac = "{0}"\n',
    "a file of data": BASE + 'data = "{0}.csv"\n',
    "a column": BASE + 'data = "columns.csv"\n',
    "a cell": BASE
    + 'data = "cells.csv"\nsignals.a = {{ kind = "constant", value = "=row.a" }}\n',
    "a behavior": BASE + 'behavior = "{0}.py:Meter"\n',
    "a link": BASE.replace('"memory"', '"{0}"'),
    "an interface": BASE.replace('kind = "memory"', 'name = "{0}"'),
    "what a gateway prints": BASE + EXPECT + 'gateway = {{ stdout = {{ regex = "({0}" }} }}\n',
    "a signal to stop": BASE.replace("port = 7001", 'command = ["true"]\nstop_signal = "{0}"'),
    "no TOML": BASE + '"{0}',
    "raw": BASE + f'name = {HOSTILE.replace("{", "{{")}\n',
}  # fmt: skip

PROTOCOL = """
from construct import Bytes, Enum, GreedyBytes, Int8ub, PascalString, Struct
from iotsim import Protocol

PROTOCOL = Protocol(
    name="hostile",
    message=Struct(
        "kind" / Enum(Int8ub, A=1, B=2) * HOSTILE,
        "n" / Int8ub,
        "text" / PascalString(Int8ub, "utf8"),
        HOSTILE / GreedyBytes,
    ),
    port=7000,
    description="a protocol\\n" + HOSTILE,
    summary="{kind} {text}",
)
VECTORS = [("01 02 00", {"kind": "A", "n": 3, "text": HOSTILE})]
"""

BEHAVIOR = """
from iotsim import Device, on

class Meter(Device):
    def __init__(self):
        print("printed", HOSTILE)

    @on(kind="A")
    def a(self, message):
        raise ValueError(HOSTILE)

    async def run(self):
        self.log(HOSTILE)
        raise ValueError(HOSTILE)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "protocols").mkdir()
    text = f"HOSTILE = {HOSTILE!r}\n"
    (tmp_path / "protocols" / "hostile.py").write_text(text + PROTOCOL)
    (tmp_path / "meter.py").write_text(text + BEHAVIOR)
    (tmp_path / "columns.csv").write_text(
        f"a,{HOSTILE.replace(chr(13), '')},{HOSTILE[0:3]}\n1,2,3\n"
    )
    cell = HOSTILE.replace("\r", "").replace("\u2028", "")
    (tmp_path / "cells.csv").write_text(f"a\n{cell}\n{cell}\n")
    return tmp_path


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = run_command_line(words)
    captured = capsys.readouterr()
    assert_safe(captured.out + captured.err)
    return code, captured.out + captured.err


def run_alone(*words: str) -> tuple[int, str]:
    """The same of a run that begins, which gives up privileges of the whole process."""
    command = [sys.executable, "-P", "-m", "iotsim", "run", *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert_safe(done.stdout)
    return done.returncode, done.stdout


def assert_safe(text: str) -> None:
    unsafe = ("Cc", "Cf", "Cs", "Zl", "Zp")
    assert not any(c != "\n" and unicodedata.category(c) in unsafe for c in text), text


@pytest.mark.parametrize("what", WRONG)
def test_check_and_run(what: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, hostile in enumerate((TOML, f"y{NEWLINE}")):
        scenario = folder / f"{number}.toml"
        scenario.write_text(WRONG[what].format(hostile), errors="surrogateescape")
        code, text = printed(capsys, "check", str(scenario))
        assert code == 2
        assert "\n/etc/passwd" not in text
        code, text = printed(capsys, "run", str(scenario), "--out", str(folder / "out"))
        assert code == 2
        assert "\n/etc/passwd" not in text


def test_a_run(folder: Path) -> None:
    (folder / "run.toml").write_text(
        (BASE + 'behavior = "meter.py:Meter"\n').replace("plain", TOML)
        + f'[[expect]]\nname = "{TOML}"\neach = "meter"\nwithin = "1s"\n'
        + 'receives = { kind = "A" }\n'
        + f'[[expect]]\nname = "never {TOML}"\neach = "meter"\nnever = true\n'
        + f'receives = {{ text = "{TOML}" }}\n'
    )
    code, text = run_alone("run.toml", "--out", "out")
    assert code == 2
    assert r"x\x1b[2J\x9b1m" in text
    assert "printed x" in text


def test_the_words_of_a_gateway(folder: Path) -> None:
    (folder / "gateway.py").write_text(f"print({HOSTILE!r})\nraise SystemExit(3)\n")
    (folder / "run.toml").write_text(
        BASE.replace('"memory"', '"loopback"').replace(
            "port = 7001", f'command = ["{sys.executable}", "gateway.py", "{TOML}"]'
        )
        + EXPECT
        + 'each = "meter"\nreceives = { kind = "A" }\nwithin = "1s"\n'
    )
    code, text = run_alone("run.toml", "--out", "out")
    assert code == 1
    assert "    | x" in text
    assert r"evil\u2066" in text


def test_colors_are_the_consoles_own() -> None:
    file = io.StringIO()
    console = SafeConsole(file=file, force_terminal=True, color_system="standard")
    console.print(Text(HOSTILE, style="bold"), HOSTILE)
    assert_safe(re.sub(r"\x1b\[[01]m", "", file.getvalue()))
    assert file.getvalue().startswith("\x1b[1mx\\x1b[2J")


@pytest.mark.parametrize(
    "words",
    [
        ("protocols", "list"),
        ("protocols", "show", "hostile"),
        ("protocols", "show", "hostile", "--codec"),
        ("protocols", "check", "hostile"),
        ("protocols", "check", HOSTILE),
        ("decode", "hostile", "01 02 " + f"{len(HOSTILE.encode()):02x}" + HOSTILE.encode().hex() + "ff"),
        ("decode", "hostile", "01 02 ff" + HOSTILE.encode().hex()),
        ("decode", "hostile", HOSTILE),
        ("decode", HOSTILE, "00"),
        ("run", HOSTILE),
        ("run", "--seed", HOSTILE),
        ("run", "--jobs", HOSTILE, "quickstart"),
        ("run", "--set", HOSTILE, "quickstart"),
        ("run", "--duration", HOSTILE, "quickstart"),
        ("run", "--link", "memory", "--capture-filter", HOSTILE, "quickstart"),
        ("check", HOSTILE, "\udcff"),
        ("exec", HOSTILE, "--", "true"),
        ("init", HOSTILE),
        ("link", "create", HOSTILE, "--owner", "root", "--address", HOSTILE),
        (HOSTILE,),
        ("run", "--" + HOSTILE),
    ],
)  # fmt: skip
def test_every_other_command(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    _, text = printed(capsys, *words)
    assert text


def test_a_fault_of_our_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError(HOSTILE)

    monkeypatch.setattr("iotsim.protocol.registry.load_protocol", fail)
    code, text = printed(capsys, "decode", "hostile", "00")
    assert code == 2
    assert "ZeroDivisionError: x" in text
