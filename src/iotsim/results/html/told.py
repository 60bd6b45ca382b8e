"""The head of the document: what the run came to, and its expectations with what belongs to each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from iotsim.results.html.choice import Focus
from iotsim.results.html.fleet import FAILED, IN_DOUBT, WARNING
from iotsim.results.html.marks import decided_at, possible
from iotsim.results.html.table import seconds, shown, shown_value
from iotsim.results.summary import GROUPS_SHOWN, alike_of, state_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iotsim.events import Outcome
    from iotsim.results.html.fleet import Roster
    from iotsim.results.html.index import Index
    from iotsim.results.result import RunResult

MOST_EXPECTATIONS = 2000
MOST_EXPLAINED = 200
"""At most this many that did not pass are shown with their devices and messages."""
MOST_NOTES = 200
MOST_COUNTERS = 2000
MOST_UNMATCHED = 200
_STATES = {"failed": FAILED, "error": FAILED, "inconclusive": IN_DOUBT, "warning": WARNING}


class Explained:
    """An expectation, and what is to be shown of it: ``focuses``, of the first groups and of all devices."""

    def __init__(self, outcome: Outcome, roster: Roster, end: float, *, detailed: bool) -> None:
        self.outcome = outcome
        self.state = state_of(outcome)
        self.t = decided_at(outcome, end)
        self.groups: list[tuple[str, list[str], str, float | None]] = []
        """Label, devices, text, and when what made the first of them fail took place; None: at the end."""
        self.around = self.t
        """When what made it fail took place."""
        self.focuses: list[Focus] = []
        if self.state == "passed" or not detailed:
            return
        nearest = outcome.nearest.partition(": ")[0]
        for devices, text in alike_of(outcome):
            label = "nearest" if nearest in devices else "also" if nearest else "device"
            own = outcome.moment(outcome.devices.index(devices[0]))
            t = None if own is None else possible(own, end)
            self.groups.append((label, devices, text, t))
        self.groups.sort(key=lambda group: group[0] != "nearest")
        shown_groups = self.groups[:GROUPS_SHOWN]
        self.focuses = [
            Focus(roster.known(devices[0]), end if t is None else t)
            for _, devices, _, t in shown_groups
        ]
        if self.groups:
            self.around = self.focuses[0].t
        self.focuses.append(Focus(None, self.around))

    def told(self, around: Sequence[list[int]], output: list[int]) -> dict[str, Any]:
        """An entry of the document's ``expectations``. `around`: the rows of each focus; `output`: of the
        gateway's around that time."""
        outcome = self.outcome
        texts = ("name", "kind", "severity", "expected", "actual", "inconclusive", "nearest")
        *own, everybody = around or [[]]
        own += [[]] * (len(self.groups) - len(own))
        return {
            "number": outcome.number,
            **{name: shown(getattr(outcome, name)) for name in (*texts, "error", "place")},
            "state": self.state,
            "t": None if outcome.t is None else seconds(self.t),
            "total": outcome.total,
            "devices": list(map(shown, outcome.devices[:20])) if self.state != "passed" else [],
            "groups": [
                {
                    "label": label,
                    "devices": list(map(shown, devices)),
                    "text": shown(text),
                    "shown": shown(devices[0]) if place < GROUPS_SHOWN else "",
                    "t": None if t is None else seconds(t),
                    "rows": rows,
                }
                for place, ((label, devices, text, t), rows) in enumerate(
                    zip(self.groups, own, strict=True)
                )
            ],
            "rows": everybody,
            "output": output,
        }


def explained(outcomes: Sequence[Outcome], roster: Roster, end: float) -> list[Explained]:
    """`outcomes`, those that did not pass in detail as long as they are not too many."""
    found = []
    detailed = 0
    for outcome in outcomes[:MOST_EXPECTATIONS]:
        found.append(Explained(outcome, roster, end, detailed=detailed < MOST_EXPLAINED))
        detailed += found[-1].state != "passed"
    return found


def blamed(expectations: Sequence[Explained]) -> dict[str, int]:
    """The devices that expectations have named, with the worst state that this gives them."""
    states: dict[str, int] = {}
    for one in expectations:
        if one.state != "passed":
            state = _STATES[one.state]
            for device in one.outcome.devices:
                states[device] = min(state, states.get(device, state))
    return states


def run_told(result: RunResult, index: Index) -> dict[str, Any]:
    """The document's ``run``."""
    texts = ("scenario", "path", "verdict", "reason", "repeat", "started", "link")
    started = index.started
    return {
        **{name: shown(getattr(result, name)) for name in texts},
        "seed": shown_value(result.seed),
        "duration_s": seconds(result.duration_s) or seconds(index.end),
        "wall_time": None if started is None else started.wall_time,
        "tolerance": result.tolerance,
        "speed": result.speed,
        "parameters": shown_value(result.parameters),
        "versions": shown_value(result.versions),
        "notes": _some(result.notes),
        "errors": _some(result.errors),
        "files": list(map(shown, result.files[:MOST_NOTES])),
        "ended": index.ended is not None or result.verdict != "running",
        "lines": index.lines,
        "unreadable": index.unreadable,
        "absurd_times": index.absurd,
    }


def _some(texts: Sequence[str]) -> list[str]:
    told = list(map(shown, texts[:MOST_NOTES]))
    if len(texts) > MOST_NOTES:
        told.append(f"and {len(texts) - MOST_NOTES} more")
    return told


def rest_told(result: RunResult) -> dict[str, Any]:
    """What the document has of the gateway, and of what was counted."""
    gateway = None if result.gateway is None else shown_value(msgspec.to_builtins(result.gateway))
    if gateway is not None:
        gateway.setdefault("lives", [])
        gateway.setdefault("figures", None)
    counters = dict(list(result.counters.items())[:MOST_COUNTERS])
    return {
        "gateway": gateway,
        "counters": {shown(name): shown_value(count) for name, count in counters.items()},
        "lag": shown_value(result.lag),
        "unmatched": [
            shown_value(msgspec.to_builtins(one)) for one in result.unmatched[:MOST_UNMATCHED]
        ],
    }
