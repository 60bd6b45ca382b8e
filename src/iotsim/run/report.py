"""What a run says of itself: at its start as events, at its end as results."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from iotsim.events import LinkUp, Note, RunStarted
from iotsim.expect.report import Findings
from iotsim.results.result import (
    RunResult,
    counted,
    repeat_command,
    utc_text,
)
from iotsim.wire.address import format_address

if TYPE_CHECKING:
    import signal
    from collections.abc import Sequence
    from pathlib import Path

    from iotsim.run.run import Run


class RunReport(NamedTuple):
    """``stopped_by`` is the signal that ended the run before its time, None if none did."""

    result: RunResult
    folder: Path
    stopped_by: signal.Signals | None


def announce(run: Run) -> None:
    """Report what is about to be simulated, and over which link."""
    emit, accounts = run.crew.journal.emit, run.accounts
    scenario, link = run.scenario, run.site.link
    emit(
        RunStarted(
            0.0,
            scenario.name,
            scenario.seed,
            run.wall_time,
            accounts.versions,
            accounts.fleets,
        )
    )
    addresses = [
        f"{format_address(address)}/{length}"
        for address, length in filter(None, (scenario.link.address4, scenario.link.address6))
    ]
    emit(LinkUp(0.0, link.kind, link.name, addresses, link.mtu))
    for note in run.site.notes:
        emit(Note(0.0, note))


def only_decided(findings: Findings, verdicts: Sequence[bool | None]) -> Findings:
    """`findings` of a run that was interrupted: what was still open then is no failure."""
    pairs = zip(findings.outcomes, verdicts, strict=True)
    outcomes = [outcome for outcome, verdict in pairs if verdict is not None]
    undecided = verdicts.count(None)
    notes = (
        [f"{undecided} of {len(verdicts)} expectations were not decided yet."] if undecided else []
    )
    return Findings(outcomes, notes)


def make_result(
    run: Run, findings: Findings, verdict: str, reason: str = "", ended_at: float = 0.0
) -> RunResult:
    """The result of `run` as it is now."""
    scenario, accounts, options = run.scenario, run.accounts, run.options
    command = scenario.gateway.command if scenario.gateway else ()
    # Whoever starts the gateway is told at the start what the link is like.
    site_notes = run.site.notes if run.gateway is not None else ()
    return RunResult(
        scenario=scenario.name,
        path=str(scenario.path),
        verdict=verdict,
        reason=reason,
        seed=scenario.seed,
        started=utc_text(run.wall_time),
        duration_s=ended_at,
        repeat=repeat_command(
            str(scenario.path),
            scenario.seed,
            options=options.words,
            gateway=command if options.gateway_given else (),
        ),
        link=scenario.link.kind,
        tolerance=scenario.tolerance,
        expectations=findings.outcomes,
        notes=[*findings.notes, *site_notes, *accounts.notes()],
        errors=accounts.errors(),
        gateway=None if run.gateway is None else run.gateway.result(),
        fleets=accounts.fleets,
        counters=counted(accounts.counters()),
        lag=accounts.lag(),
        versions=accounts.versions,
        files=run.record.names,
    )
