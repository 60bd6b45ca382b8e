"""``iotsim compare`` as users call it: what it prints, and its exit codes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.results.compare.made import leave, received, sent

from iotsim.cli.app import run_command_line

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = "x\x1b[2J\x9b1m\r\u202eevil\u2028"


def compare(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str, str]:
    """The exit code, and what is printed."""
    code = run_command_line(["compare", *map(str, words)])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def answers(took: float, count: int = 60) -> list[dict[str, Any]]:
    events = []
    for number in range(1, 2 * count + 1, 2):
        events.append(received(float(number), "meter[0]", number, kind="READ"))
        at = number + took * (1 + number % 7 / 100)
        events.append(sent(at, "meter[0]", number + 1, number, kind="REPORT", quality="GOOD"))
    return events


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    """Two runs, the second slower, of a newer protocol, and failed."""
    slower = [*answers(0.2), sent(200.0, kind="REPORT", quality="STALE", tamper=True)]
    return (
        leave(tmp_path / "before", answers(0.1), counters={"outcome.answered": 60}),
        leave(
            tmp_path / "after",
            slower,
            verdict="failed",
            expectations=[("it holds", "failed"), ("it is quick", "passed")],
            counters={"outcome.dropped.no-service": 4, "outcome.answered": 60},
        ),
    )


def test_alike(capsys: pytest.CaptureFixture[str], runs: tuple[Path, Path]) -> None:
    code, out, _ = compare(capsys, runs[0], runs[0])
    assert code == 0
    assert out.splitlines()[-1] == "NOTHING WORSE"


def test_what_is_worse_is_told_first(
    capsys: pytest.CaptureFixture[str], runs: tuple[Path, Path]
) -> None:
    code, out, _ = compare(capsys, *runs, "--threshold", "answer.p50=20%")
    assert code == 1
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "worse verdict: passed -> failed" in lines
    assert "worse it holds: passed -> failed" in lines
    assert any(line.startswith("worse answer.p50 (threshold answer.p50=20%): ") for line in lines)
    assert "new it is quick: not there -> passed" in lines
    assert "never seen before: p: REPORT sent with tamper" in lines
    assert "never seen before: p: REPORT sent with quality = STALE" in lines
    assert any(line.startswith("outcome.dropped.no-service 0 4 +4") for line in lines)
    assert any(line.startswith("slower 1 device: meter[0] (answer ") for line in lines)
    assert lines[-1] == "WORSE 3 worse"


def test_as_data(capsys: pytest.CaptureFixture[str], runs: tuple[Path, Path]) -> None:
    code, out, _ = compare(capsys, *runs, "--json", "--threshold", "rate=50%")
    data = json.loads(out)
    assert code == 1
    assert (data["format"], data["state"]) == (1, "worse")
    (one,) = data["scenarios"]
    assert one["comparison"]["after"]["verdict"] == "failed"
    assert one["comparison"]["thresholds"][0]["state"] == "held"


def test_what_cannot_be_told_has_an_exit_code_of_its_own(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    one = leave(tmp_path / "a", answers(0.1, 5))
    other = leave(tmp_path / "b", answers(0.2, 5))
    code, out, _ = compare(capsys, one, other, "--threshold", "answer.p50=20%")
    assert code == 4
    assert "too few times to tell: 5 and 5, and it takes 8" in out
    assert out.splitlines()[-1] == "CANNOT BE TOLD  1 cannot be told"


def test_of_a_suite_what_is_worse_is_told_and_the_rest_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for suite, names in (("a", "xyz"), ("b", "xyw")):
        for name in names:
            verdict = "failed" if (suite, name) == ("b", "y") else "passed"
            leave(tmp_path / suite / name, path=f"{name}.toml", scenario=name, verdict=verdict)
    code, out, _ = compare(capsys, tmp_path / "a", tmp_path / "b")
    assert code == 1
    gone = "it passed, and is not there any more"
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert lines[:4] == ["ok x", "worse y", f"worse z: {gone}", "new w"]
    assert "worse verdict: passed -> failed" in lines
    assert lines[-1] == "WORSE 2 worse"


def test_results_may_be_named_by_their_scenario(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    leave(tmp_path / "results" / "meters" / "1", verdict="passed")
    leave(tmp_path / "other", verdict="failed")
    assert compare(capsys, "meters.toml", "other")[0] == 1
    assert compare(capsys, "last", "results/meters")[0] == 0


def test_wrong_input(capsys: pytest.CaptureFixture[str], runs: tuple[Path, Path]) -> None:
    code, _, err = compare(capsys, runs[0], runs[1] / "nothing")
    assert (code, "no results of" in err) == (2, True)
    code, _, err = compare(capsys, *runs, "--threshold", "rat=5%", "--threshold", "rate=x")
    assert (code, len(err.splitlines())) == (2, 2)
    assert "did you mean rate?" in err
    code, _, err = compare(capsys, *runs, "--threshold", "gateway.memory=5%")
    assert (code, "no run has such a figure" in err) == (2, True)


@pytest.mark.parametrize("columns", [60, 80, 132, 200])
def test_no_line_is_wider_than_the_terminal(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    runs: tuple[Path, Path],
    columns: int,
) -> None:
    for module in ("table", "compared"):
        monkeypatch.setattr(f"iotsim.cli.{module}.terminal_columns", lambda: columns)
    _, out, _ = compare(capsys, *runs, "--threshold", "answer.p50=20%")
    # A folder's name has no space to break at, and is to be copied.
    lines = [line for line in out.splitlines() if str(runs[0].parent) not in line]
    assert max(map(len, lines)) <= columns
    assert "WORSE" in lines[-1]


@pytest.mark.parametrize("mode", [[], ["--json"]])
def test_hostile_texts_give_no_orders(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, mode: list[str]
) -> None:
    events = [received(1.0, HOSTILE, kind=HOSTILE, **{HOSTILE: HOSTILE, "q": "GOOD"})]
    hostile = leave(
        tmp_path / "b",
        events,
        scenario=HOSTILE,
        parameters={HOSTILE: HOSTILE},
        expectations=[(HOSTILE, "failed")],
        counters={HOSTILE: 5},
        fleets={HOSTILE: {"count": 3}},
        versions={HOSTILE: HOSTILE},
        verdict=HOSTILE,
        started=HOSTILE,
    )
    _, out, err = compare(capsys, leave(tmp_path / "a"), hostile, *mode)
    assert out
    for text in (out, err):
        assert all(c.isprintable() or c == "\n" for c in text), ascii(text)
    if mode:
        assert json.loads(out)["scenarios"][0]["comparison"]["after"]["scenario"] == HOSTILE


def test_results_of_somebody_elses_do_no_harm(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    one = leave(tmp_path / "a")
    other = tmp_path / "b"
    other.mkdir()
    for text in ("", "null", "[]", '{"format": 1}', "{" * 5000, "\x00\xff"):
        (other / "result.json").write_text(text)
        code, _, err = compare(capsys, one, other)
        assert code == 2, text
        assert "Traceback" not in err
