"""The summary at the end of a run, as plain data: what a terminal shows, in which words and order.

Devices that failed alike are told of together, and of each such group the messages around the failure
are shown for one device; none is shown twice in a run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from iotsim.expect.text import alike, devices_text
from iotsim.safetext import safe_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from iotsim.events import Outcome
    from iotsim.results.context import ContextLine
    from iotsim.results.result import RunResult

GROUPS_SHOWN = 3
"""Of a failed expectation, so many groups of devices that failed alike."""
GATEWAY_LINES = 10


@dataclass(frozen=True, slots=True)
class Row:
    """One expectation. ``told``: of what held, how. ``facts``: (label, text) for each line that
    explains a failure.
    """

    name: str
    state: str
    """"passed", "failed", "inconclusive", "warning" or "error"."""
    told: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    context: tuple[tuple[str, tuple[ContextLine, ...]], ...] = ()
    """(device, lines): the messages around the failure."""


@dataclass(frozen=True, slots=True)
class Summary:
    verdict: str
    reason: str
    """"" where the rows tell it already."""
    title: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    """What is true of the whole run, and may be the cause of what failed: they come first."""
    gateway_lines: tuple[str, ...]
    """The last lines that the gateway printed, where it crashed."""
    repeat: str


class Group(NamedTuple):
    """Devices of which the same is to be told."""

    label: str
    devices: Sequence[str]
    text: str
    t: float | None
    """When what made the first of them fail took place; None: at the end."""

    def __str__(self) -> str:
        return f"{devices_text(self.devices, len(self.devices))}: {self.text}"


def moments_wanted(expectations: Sequence[Outcome]) -> dict[str, float | None]:
    """Of which devices `device_context` should tell, and when: those that `summarize` shows."""
    moments: dict[str, float | None] = {}
    for expectation in expectations:
        for group in groups_of(expectation):
            moments.setdefault(group.devices[0], group.t)
    return moments


def summarize(
    result: RunResult, context: Mapping[str, Sequence[ContextLine]] | None = None
) -> Summary:
    """The summary of `result`. `context`: what `device_context` found for `moments_wanted`."""
    crashed = result.gateway is not None and result.gateway.crashed
    lines = result.gateway.last_lines[-GATEWAY_LINES:] if result.gateway and crashed else []
    left = dict(context or {})
    rows = tuple(_row(expectation, left) for expectation in result.expectations)
    # That an expectation failed stands in its row.
    known = any(row.state in ("failed", "error") for row in rows)
    told = known and not crashed and result.verdict == "failed"
    return Summary(
        verdict=result.verdict,
        reason="" if told else safe_line(result.reason),
        title=f"{safe_line(result.scenario)} (seed {result.seed}, {result.duration_s:.1f} s)",
        rows=rows,
        notes=tuple(safe_line(note) for note in [*result.notes, *result.errors]),
        gateway_lines=tuple(safe_line(line.expandtabs()) for line in lines),
        repeat=safe_line(result.repeat) if result.verdict != "passed" else "",
    )


def state_of(expectation: Outcome) -> str:
    """What became of it: "passed", "failed", "inconclusive", "warning" or "error"."""
    if expectation.error:
        return "error"
    if expectation.passed:
        return "passed"
    if expectation.severity == "warning":
        return "warning"
    return "inconclusive" if expectation.inconclusive else "failed"


def _row(expectation: Outcome, context: dict[str, Sequence[ContextLine]]) -> Row:
    """`context` is of devices that no row has shown yet: the row takes its own out of it."""
    name = safe_line(expectation.name)
    if expectation.passed and not expectation.error:
        return Row(name, "passed", told=safe_line(expectation.actual))
    facts = [("expected", expectation.expected), ("actual", expectation.actual)]
    if expectation.error:
        facts.append(("error", expectation.error))
    if expectation.inconclusive:
        facts.append(("in doubt", expectation.inconclusive))
    groups = groups_of(expectation)
    if expectation.nearest and not (groups and groups[0].label == "nearest"):
        facts.append(("nearest", expectation.nearest))
    facts += [(group.label, str(group)) for group in groups]
    if expectation.place:
        facts.append(("stands in", expectation.place))
    around = [(group.devices[0], context.pop(group.devices[0], ())) for group in groups]
    return Row(
        name,
        state_of(expectation),
        facts=tuple((label, safe_line(text)) for label, text in facts),
        context=tuple((safe_line(device), tuple(lines)) for device, lines in around if lines),
    )


def alike_of(expectation: Outcome) -> list[tuple[list[str], str]]:
    """The devices that made it fail, those together of which the same is to be told, and that."""
    try:
        return alike(expectation.devices, expectation.details)
    except ValueError:  # details that no run of ours has told
        told = zip(expectation.devices, expectation.details, strict=False)
        return [([name], text) for name, text in told]


def groups_of(expectation: Outcome) -> list[Group]:
    """The first groups of devices that made `expectation` fail alike, the nearest first."""
    nearest = expectation.nearest.partition(": ")[0]
    groups = [
        Group(
            "nearest" if nearest in devices else "also" if nearest else "device",
            devices,
            text,
            expectation.moment(expectation.devices.index(devices[0])),
        )
        for devices, text in alike_of(expectation)
    ]
    groups.sort(key=lambda group: group.label != "nearest")
    return groups[:GROUPS_SHOWN]
