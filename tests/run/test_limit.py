"""A run that takes longer than it may: it is ended, in whatever it is, and says in what."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest

from iotsim.errors import IotsimError
from iotsim.results.verdict import Verdict
from iotsim.run import inside, limit
from iotsim.run.job import run_file
from iotsim.run.limit import LIMIT_SIGNAL, limited
from iotsim.run.run import RunOptions
from iotsim.scenario import Overrides

if TYPE_CHECKING:
    from pathlib import Path

# A signal that comes while a callback of the garbage collector runs, such as Hypothesis has one, is lost in
# there; the next one comes soon.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

LOOPBACK = """
[scenario]
duration = "60s"
limit = "4s"
[link]
kind = "loopback"
[devices.meter]
count = 3
address = "10.77.1.1"
protocol = [{ name = "sensornet", port = 48712 }]
[[expect]]
name = "every meter is read"
each = "meter"
receives = { kind = "READ" }
within = "50s"
[[expect]]
name = "nothing is rebooted"
each = "meter"
receives = { kind = "COMMAND" }
never = true
"""
HOUR = """
[link]
kind = "memory"
[scenario]
duration = "80000h"
until = "duration"
[gateway]
port = 9000
[devices.meter]
count = 3
address = "10.77.1.1"
protocol = "sensornet"
[[devices.meter.rules]]
every = "1s"
send = { kind = "REPORT", device = 1, seq = 1, value = 2 }
[[expect]]
name = "few reports"
all = "meter"
sends = { kind = "REPORT" }
count = { max = 1000000000 }
"""
SLOW_PROTOCOL = "import time\ntime.sleep(60)\n"


def run(path: Path, **given: float) -> tuple[str, str]:
    report = run_file(path, RunOptions(out=path.parent / "out"), Overrides(**given))  # type: ignore[arg-type]
    result = report.result
    assert result.verdict == Verdict.ERROR
    return result.reason, " ".join(result.notes)


def test_it_tells_what_it_was_waiting_for(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text(LOOPBACK)
    began = time.monotonic()
    reason, notes = run(path)
    waiting = "waiting for 2 of 2 expectations: 'every meter is read', 'nothing is rebooted'"
    assert reason == f"ended at its limit of 4 s: it was {waiting}"
    assert "2 of 2 expectations were not decided yet." in notes
    assert time.monotonic() - began < 30


def test_what_the_command_line_says_goes_before_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text(LOOPBACK)
    assert run(path, limit_s=0.5)[0].startswith("ended at its limit of 0.5 s")


def test_virtual_time_has_a_limit_in_real_time(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text(HOUR)
    reason, _ = run(path, default_limit_s=4.0)
    assert reason.startswith("ended at its limit of 4 s: it was waiting for 1 of 1 expectation")


def test_loading_is_a_part_of_it(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SLOW_PROTOCOL + "PROTOCOL = None\n")
    path = tmp_path / "a.toml"
    text = LOOPBACK.replace('[{ name = "sensornet", port = 48712 }]', '"slow"')
    path.write_text(text.replace('limit = "4s"\n', ""))
    reason, _ = run(path, default_limit_s=0.5)
    assert "slow.py:2: ended at its limit of 0.5 s: it was loading the scenario" in reason


@pytest.mark.parametrize(
    ("limit", "given", "told"),
    [
        ("0.5s", {}, "0.5 s"),
        ("${most}", {}, "0.5 s"),
        ("0.5s", {"default_limit_s": 40.0}, "0.5 s"),
        ("40s", {"limit_s": 0.5}, "0.5 s"),
    ],
)
def test_its_own_limit_is_in_force_before_protocols_are_imported(
    tmp_path: Path, limit: str, given: dict[str, float], told: str
) -> None:
    (tmp_path / "slow.py").write_text(SLOW_PROTOCOL + "PROTOCOL = None\n")
    path = tmp_path / "a.toml"
    text = LOOPBACK.replace('[{ name = "sensornet", port = 48712 }]', '"slow"')
    parameters = '[parameters]\nmost = "0.5s"\n' if "$" in limit else ""
    path.write_text(text.replace('"4s"', f'"{limit}"') + parameters)
    reason, _ = run(path, **given)
    assert f"ended at its limit of {told}: it was loading the scenario" in reason


def test_what_does_not_end_in_order_is_ended_by_a_second_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from iotsim.run import run as runs

    monkeypatch.setattr(limit, "GRACE_S", 0.3)
    monkeypatch.setattr(runs, "GRACE_S", 0.3)
    monkeypatch.setattr(runs.Run, "stop_at_limit", lambda run: setattr(run, "beyond_limit", "told"))
    path = tmp_path / "a.toml"
    path.write_text(LOOPBACK)
    assert run(path)[0] == "told; it did not end 0.3 s after that"


def test_afterwards_nothing_is_counted_any_more() -> None:
    before = signal.getsignal(LIMIT_SIGNAL)
    with limited(20.0):
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 0
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(LIMIT_SIGNAL) == before


def test_it_counts_from_the_start_whenever_it_is_set() -> None:
    with limited(None) as made:
        assert made is not None
        inside.tell("thinking")
        time.sleep(0.05)

        def think_on() -> None:
            made.set(0.01)
            time.sleep(20)

        with pytest.raises(IotsimError, match=r"limit of 0\.01 s: it was thinking"):
            think_on()
