"""The summary at the end of a run: plain data, and plain text made of it.

`Summary` is what a terminal shows; `render` is for terminals without colors, and the order and the
words for those with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from iotsim.results.verdict import Verdict
from iotsim.safetext import safe_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from iotsim.events import Outcome
    from iotsim.results.context import ContextLine
    from iotsim.results.result import RunResult

DEVICES_WITH_CONTEXT = 3
"""For so many devices of a failed expectation the messages around the failure are shown."""
GATEWAY_LINES = 10


@dataclass(frozen=True, slots=True)
class Row:
    """One expectation. ``facts``: (label, text) for each line that explains a failure."""

    name: str
    state: str
    """"passed", "failed", "warning" or "error"."""
    facts: tuple[tuple[str, str], ...] = ()
    context: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """(device, lines): the messages around the failure."""


@dataclass(frozen=True, slots=True)
class Summary:
    verdict: str
    reason: str
    title: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    gateway_lines: tuple[str, ...]
    """The last lines that the gateway printed, where it crashed."""
    repeat: str


def moments_wanted(expectations: Sequence[Outcome]) -> dict[str, float | None]:
    """Of which devices `device_context` should tell, and when: those that `summarize` shows."""
    moments: dict[str, float | None] = {}
    for expectation in expectations:
        if not expectation.passed:
            for device in expectation.devices[:DEVICES_WITH_CONTEXT]:
                moments.setdefault(device, expectation.t)
    return moments


def summarize(
    result: RunResult, context: Mapping[str, Sequence[ContextLine]] | None = None
) -> Summary:
    """The summary of `result`. `context`: what `device_context` found for `moments_wanted`."""
    crashed = result.gateway is not None and result.gateway.crashed
    lines = result.gateway.last_lines[-GATEWAY_LINES:] if result.gateway and crashed else []
    return Summary(
        verdict=result.verdict,
        reason=safe_line(result.reason),
        title=f"{safe_line(result.scenario)} (seed {result.seed}, {result.duration_s:.1f} s)",
        rows=tuple(_row(expectation, context or {}) for expectation in result.expectations),
        notes=tuple(safe_line(note) for note in [*result.notes, *result.errors]),
        gateway_lines=tuple(safe_line(line.expandtabs()) for line in lines),
        repeat=safe_line(result.repeat),
    )


def _row(expectation: Outcome, context: Mapping[str, Sequence[ContextLine]]) -> Row:
    name = safe_line(expectation.name)
    if expectation.passed and not expectation.error:
        return Row(name, "passed")
    facts = [("expected", expectation.expected), ("actual", expectation.actual)]
    if expectation.error:
        facts.append(("error", expectation.error))
    if expectation.nearest:
        facts.append(("nearest", expectation.nearest))
    told = expectation.nearest.partition(": ")[0]
    others = [
        f"{device}: {detail}"
        for device, detail in zip(expectation.devices, expectation.details, strict=False)
        if device != told
    ][:DEVICES_WITH_CONTEXT]
    facts += [("also" if expectation.nearest else "device", other) for other in others]
    if expectation.place:
        facts.append(("stands in", expectation.place))
    around = tuple(
        (safe_line(device), tuple(str(line) for line in context[device]))
        for device in expectation.devices[:DEVICES_WITH_CONTEXT]
        if context.get(device)
    )
    state = "failed"
    if expectation.error:
        state = "error"
    elif expectation.severity == "warning":
        state = "warning"
    return Row(
        name, state, tuple((label, safe_line(text)) for label, text in facts), context=around
    )


def render(summary: Summary) -> str:
    """`summary` as text, ended by a newline."""
    lines: list[str] = []
    for row in summary.rows:
        lines.append(f"  {row.state:<8} {row.name}")
        lines += [f"             {label:<10} {text}" for label, text in row.facts]
        for device, events in row.context:
            lines.append(f"             around {device}")
            lines += [f"               {event}" for event in events]
    lines += [f"  {note}" for note in summary.notes]
    if summary.gateway_lines:
        lines.append("  the gateway's last lines")
        lines += [f"    | {line}" for line in summary.gateway_lines]
    lines.append(f"{summary.verdict.upper()}: {summary.title}")
    # That an expectation failed stands above already.
    told = any(row.facts and summary.reason.startswith(row.name + ": ") for row in summary.rows)
    if summary.reason and not told:
        lines.append(f"  {summary.reason}")
    if summary.repeat and summary.verdict != Verdict.PASSED:
        lines.append(f"  repeat: {summary.repeat}")
    return "\n".join(lines) + "\n"
