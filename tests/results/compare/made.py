"""Runs as tests of comparisons want them, without running anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from iotsim.events import Outcome
from iotsim.results.compare.profile import profile_of
from iotsim.results.result import RunResult, encode_result

if TYPE_CHECKING:
    from pathlib import Path

    from iotsim.results.compare.profile import Profile

PEER = "10.77.0.1:40000"
PASSED = {"expectations": [("it holds", "passed")], "verdict": "passed"}


def outcome(name: str, state: str = "passed", number: int = 0) -> Outcome:
    return Outcome(
        name=name,
        kind="within",
        passed=state == "passed",
        severity="warning" if state == "warning" else "error",
        expected="a",
        actual="b",
        inconclusive="late" if state == "inconclusive" else "",
        error="x" if state == "error" else "",
        number=number,
    )


def result(**fields: Any) -> RunResult:
    """A result that passed with one expectation, but for `fields`. ``expectations``: (name, state)."""
    given = {**PASSED, **fields}
    given["expectations"] = [
        outcome(name, state, number) for number, (name, state) in enumerate(given["expectations"])
    ]
    base = {
        "scenario": "Meters",
        "path": "meters.toml",
        "seed": 7,
        "duration_s": 10.0,
        "fleets": {"meter": {"count": 3}},
        "counters": {"link.received": 2},
        "lag": {"loop": 0.0},
    }
    return RunResult(**{**base, **given})


def received(t: float, device: str = "meter[0]", number: int = 0, **fields: Any) -> dict[str, Any]:
    return {
        "event": "received",
        "t": t,
        "id": number,
        "device": device,
        "peer": fields.pop("peer", PEER),
        "protocol": "p",
        "layer": fields.pop("layer", ""),
        "message": fields,
    }


def sent(
    t: float, device: str = "meter[0]", number: int = 0, to: int = 0, **fields: Any
) -> dict[str, Any]:
    return {**received(t, device, number, **fields), "event": "sent", "in_reply_to": to}


def lines_of(events: list[dict[str, Any]]) -> list[bytes]:
    return [msgspec.json.encode(event) + b"\n" for event in events]


def profile(events: list[dict[str, Any]] | None = None, **fields: Any) -> Profile:
    if events is None:
        events = [received(1.0, kind="READ"), sent(1.5, kind="REPORT")]
    return profile_of(result(**fields), lines_of(events))


def leave(folder: Path, events: list[dict[str, Any]] | None = None, **fields: Any) -> Path:
    """A results folder with these events and that result; the folder."""
    if events is None:
        events = [received(1.0, kind="READ"), sent(1.5, kind="REPORT")]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "result.json").write_bytes(encode_result(result(**fields)))
    (folder / "events.jsonl").write_bytes(b"".join(lines_of(events)))
    return folder
