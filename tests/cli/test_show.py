"""``iotsim show``: a past run, in a terminal."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from iotsim.cli.app import run_command_line
from iotsim.events import (
    Event,
    ExpectationDecided,
    GatewayOutput,
    GatewayReady,
    Northbound,
    Outcome,
    Received,
    RunEnded,
    RunStarted,
    Sent,
)
from iotsim.results.jsonl import EventEncoder

if TYPE_CHECKING:
    from collections.abc import Sequence

HOSTILE = "x\x1b[2J\x9b1m\x07\r\t\x7f\u202eevil"
STARTED = RunStarted(
    0.0,
    "polls",
    "polls.toml",
    7,
    0.0,
    "tun",
    1.0,
    "iotsim run polls.toml",
    {},
    {"meter": {"count": 2, "addresses": ["10.77.1.1-10.77.1.2"], "protocols": ["p"]}},
    format=1,
)
FAILED = Outcome(
    name="every meter is polled",
    kind="within",
    passed=False,
    severity="error",
    expected="a",
    actual="1 of 2 did not: meter[1]",
    devices=("meter[1]",),
    details=("heard nothing",),
    t=1.5,
)
HELD = Outcome(
    name="the first is",
    kind="within",
    passed=True,
    severity="error",
    expected="a",
    actual="b",
    number=1,
)
ENDED = RunEnded(3.0, "failed", "", 2.5, [], [], None, {}, {}, [])


def polled(number: int, t: float, device: str = "meter[0]") -> list[Event]:
    peer = "10.77.0.1:5600"
    return [
        Received(t, number, device, peer, "p", {"kind": "READ", "seq": number, "é": "\x7f\u202e"}),
        Sent(t + 0.1, number + 1, device, peer, "p", {"kind": "REPORT"}, number),
    ]


RUN: Sequence[Event] = (
    STARTED,
    GatewayReady(0.5, "started"),
    *polled(1, 1.0),
    *polled(3, 1.2, "meter[1]"),
    GatewayOutput(1.3, HOSTILE),
    ExpectationDecided(1.5, FAILED),
    *polled(5, 2.0, "meter[1]"),
    ExpectationDecided(2.5, HELD),
    ENDED,
)


@pytest.fixture(autouse=True)
def in_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(*RUN)


def write(*events: Event, folder: str = "results/polls/2026-01-01_00-00-00") -> None:
    Path(folder).mkdir(parents=True, exist_ok=True)
    Path(folder, "events.jsonl").write_bytes(EventEncoder().encode(events))


def show(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> list[str]:
    """The lines of standard output; none has a control character."""
    assert run_command_line(["show", *words]) == status, capsys.readouterr().err
    text = capsys.readouterr().out
    assert text.replace("\n", "").isprintable()
    return text.splitlines()


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert run_command_line(["show", *words]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    return said.err


@pytest.mark.parametrize("word", ["last", "polls", "polls.toml", "results/polls", "results"])
def test_a_run_may_be_named_in_several_ways(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    told = show(capsys, word)
    assert len(told) == len(RUN) + 1
    assert told[-1] == f"{len(RUN)} events of polls in results/polls/2026-01-01_00-00-00"


def test_without_a_name_it_is_the_last_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(show(capsys)) == len(RUN) + 1


def test_all_choices_together(capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "--device",
        "meter[1]",
        "--from",
        "1s",
        "--to",
        "1.9s",
        "--where",
        'msg.kind == "READ"',
    ]
    line, _ = show(capsys, "last", *words)
    assert "1.200000 s" in line
    assert "meter[1]" in line
    assert "kind=READ seq=3" in line
    (line, _) = show(capsys, "--kind", "sent,note", "--kind", "gateway-ready", "--from", "2050ms")
    assert line.endswith("#6 answers #5 after 100.000 ms")


def test_devices_are_selected_as_in_scenarios(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(show(capsys, "--device", "meter", "--kind", "received")) == 4
    assert len(show(capsys, "--device", "meter[0:1]", "--kind", "received")) == 2
    assert len(show(capsys, "--device", "meter[0]", "--device", "meter[-1]")) == 7


def test_an_equals_sign_may_stand_before_an_expression(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert len(show(capsys, "--where", "= msg.seq == 3")) == 2


def test_nothing_found_is_told_by_the_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    (told,) = show(capsys, "--kind", "step", status=5)
    assert told.startswith("0 events of polls")


def test_what_led_to_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    told = show(capsys, "--around", "POLLED")
    assert [line.split()[2:5] for line in told[:3]] == [
        ["+0.000000", "gateway-ready", "started"],
        ["+0.700000", "meter[1]", "received"],
        ["+0.100000", "meter[1]", "sent"],
    ]
    assert told[3] == (
        "    1.500000 s  ---  failed: every meter is polled: 1 of 2 did not: meter[1]"
    )
    assert [line.split()[0] for line in told[4:6]] == ["2.000000", "2.100000"]


def test_each_device_is_shown_around_what_it_has_lost(capsys: pytest.CaptureFixture[str]) -> None:
    outcome = msgspec.structs.replace(
        FAILED,
        kind="delivered",
        devices=("meter[0]", "meter[1]"),
        details=("1 of 9 lost: seq=100", "1 of 9 changed: seq=301"),
        times=(10.0, 30.1),
        services=("cloud",),
        t=90.0,
    )
    happened: list[Event] = [STARTED]
    for n in range(800):
        t = n / 10
        happened += polled(n, t, f"meter[{n % 2}]")
        happened += [Northbound(t, 5000 + n, "cloud", {"json": {"seq": n}})] * 5
        happened.append(Northbound(t, 9000 + n, "other", {}))
    write(*happened, ExpectationDecided(90.0, outcome), ENDED)
    told = show(capsys, "--around", "polled")
    text = "\n".join(told)
    assert " 10.000000 s  ---  " in text
    assert " 30.100000 s  ---  " in text
    assert "meter[1]: 1 of 9 changed: seq=301" in text
    lost = next(place for place, line in enumerate(told) if "---" in line)
    assert {line.split()[3] for line in told[:lost]} == {"meter[0]", "northbound"}
    assert any("kind=READ seq=100" in line for line in told[:lost])
    assert any("northbound" in line and "seq=101" in line for line in told[lost:])
    assert "other" not in text
    assert "seq=799" not in text
    assert "---  failed: every meter is polled" in told[-2]
    alone = show(capsys, "--around", "polled", "--device", "meter[1]")
    assert "meter[0]" not in "\n".join(alone[:-2])
    assert any("kind=READ seq=301" in line for line in alone)


def test_around_what_was_decided_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    told = show(capsys, "--around", "the first is", "--kind", "received")
    assert [line.split()[0] for line in told] == ["1.000000", "1.200000", "2.000000", "at", "3"]


def test_json_is_the_lines_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["show", "--json", "--where", "msg.seq == 3"]) == 0
    said = capsys.readouterr()
    assert said.out.isascii()
    (event,) = map(json.loads, said.out.splitlines())
    assert (event["id"], event["message"]["é"]) == (3, "\x7f\u202e")
    assert said.err == "1 event of polls in results/polls/2026-01-01_00-00-00\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nothing"], "no results of 'nothing'"),
        (["--device", "metr"], "--device: there are no devices called 'metr' (did you mean 'meter'?)"),
        (["--device", "meter[7]"], "there is no 'meter[7]'"),
        (["--device", "]"], "selects no devices"),
        (["--from", "3"], "--from: '3' has no unit"),
        (["--kind", "recieved"], "did you mean 'received'?"),
        (["--around", "x"], "there is no expectation 'x' (decided were: 'every meter is polled', "),
        (["--around", "the first or every"], "there is no expectation"),
        (["--around", "e"], "'e' may be any of"),
        (["--where", "msg.kind = 1"], "\n  msg.kind = 1\n           ^\n"),
        (["--where", "é == kind"], "unknown name 'é'"),
        (["--where", "1 == kind"], "fields of a message are msg.NAME\n  1 == kind\n       ^\n"),
        (["--where", "state.x == 1"], "events do not tell what is in the state of a device"),
        (["--where", HOSTILE], "\\x1b"),
        (["--where", "(" * 300], "--where: "),
        (["--where", ""], ""),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if words == ["--around", "e"]:
        write(STARTED, ExpectationDecided(1.5, FAILED), ExpectationDecided(1.5, _another()), ENDED)
    if words == ["--where", ""]:
        assert show(capsys, *words)
        return
    said = refused(capsys, *words)
    assert told in said
    assert said.replace("\n", "").isprintable()


def _another() -> Outcome:
    base: dict[str, Any] = {name: getattr(FAILED, name) for name in FAILED.__struct_fields__}
    return Outcome(**{**base, "name": "another", "number": 2})


def test_an_expression_that_fails_everywhere_is_an_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_command_line(["show", "--where", "msg.kind < 3"]) == 2
    assert "--where: it failed for 6 events: '<' not supported" in capsys.readouterr().err


def test_a_field_that_no_message_has_is_told_of(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["show", "--where", "msg.knd == 1"]) == 5
    assert "no message has a field 'knd'; there are: kind, seq, é" in capsys.readouterr().err


def test_a_run_that_was_killed_is_shown_and_told_as_such(
    capsys: pytest.CaptureFixture[str],
) -> None:
    write(*RUN[:6])
    path = Path("results/polls/2026-01-01_00-00-00/events.jsonl")
    path.write_bytes(path.read_bytes() + b'{"event":"received","t":9')
    told = show(capsys, "--device", "meter[0]")
    assert len(told) == 4
    assert told[-1] == "the run has not ended: it is still running, or was killed"


def test_hostile_names_of_everything(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = Outcome(
        name=HOSTILE, kind="w", passed=False, severity="error", expected="", actual=HOSTILE, t=1.0
    )
    started = RunStarted(
        0.0, HOSTILE, HOSTILE, 7, 0.0, "tun", 1.0, HOSTILE, {}, {HOSTILE: {"count": "x"}}
    )
    bad = Received(1.0, 1, HOSTILE, HOSTILE, HOSTILE, {HOSTILE: HOSTILE})
    write(started, bad, ExpectationDecided(1.0, hostile))
    assert "\\x1b[2J" in "".join(show(capsys))
    assert "\\x1b[2J" in "".join(show(capsys, "--around", "evil"))
    assert "\\x1b[2J" in refused(capsys, "--around", "nothing")
    assert "\\x1b[2J" in "".join(show(capsys, "--where", "msg.a == 1", status=5))


def test_a_reader_that_has_enough_ends_it() -> None:
    write(STARTED, *(event for number in range(1, 20_000, 2) for event in polled(number, 1.0)))
    command = f"{Path(sys.executable).parent / 'iotsim'} show | head -n 2"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, check=False
    )
    assert done.stdout.count(b"\n") == 2
    assert b"Traceback" not in done.stderr
