"""What a run says of itself: at its start and at its end, as events; its result is a fold over them."""

from __future__ import annotations

import platform
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from iotsim import __version__
from iotsim.events import FORMAT, LinkUp, RunEnded, RunStarted
from iotsim.expect.report import Findings
from iotsim.expect.text import moment, plural
from iotsim.results.result import RunResult, counted, repeat_command
from iotsim.results.verdict import Verdict
from iotsim.wire.address import format_address, format_block

IN_USE = re.compile(r"EADDRINUSE|address (is )?already in use", re.IGNORECASE)
PORTS_ARE_TAKEN = (
    "The gateway says that an address is in use: on the loopback link the devices' ports are taken at all "
    "addresses, also for the gateway. Give it another port there, or run it on a TUN interface."
)
UNMATCHED_NOTES = 3
"""At most this many kinds of messages to which no rule applied are told of."""

if TYPE_CHECKING:
    import signal
    from collections.abc import Sequence

    from iotsim.events import GatewayResult, Unmatched
    from iotsim.link.base import Link
    from iotsim.results.verdict import Decision
    from iotsim.run.preparation import RunOptions
    from iotsim.run.run import Run
    from iotsim.scenario.model import Scenario


class RunReport(NamedTuple):
    """``stopped_by`` is the signal that ended the run before its time, None if none did; ``error`` is what
    broke it, and has given it its verdict. ``trouble`` says which results could not be written."""

    result: RunResult
    folder: Path
    stopped_by: signal.Signals | None = None
    error: BaseException | None = None
    trouble: str = ""


@cache
def versions() -> dict[str, str]:
    """Of what a run depends on, by name."""
    return {
        "iotsim": __version__,
        "python": platform.python_version(),
        "kernel": platform.release(),
        **{name: _installed(name) for name in ("trio", "construct", "pyroute2")},
    }


def _installed(name: str) -> str:
    """The version of a package, out of the name of the folder that describes it where there is one
    (``trio-0.35.0.dist-info``): what reads such folders is 2 MiB of modules, for as long as the run lasts."""
    spec = find_spec(name)
    if spec is not None and spec.origin:
        there = [*Path(spec.origin).parent.parent.glob(f"{name}-*.dist-info")]
        if len(there) == 1:
            return there[0].stem[len(name) + 1 :]
    from importlib.metadata import version

    return version(name)


def run_started(scenario: Scenario, options: RunOptions, wall_time: float) -> RunStarted:
    """What is about to be simulated."""
    command = scenario.gateway.command if scenario.gateway else ()
    fleets: dict[str, dict[str, Any]] = {
        spec.name: {
            "count": spec.count,
            "addresses": [format_block(block.first, block.count) for block in spec.blocks],
            "protocols": [service.protocol.name for service in spec.services],
        }
        for spec in scenario.fleets
    }
    repeat = repeat_command(
        str(scenario.path),
        scenario.seed,
        options=options.words,
        parameters=scenario.parameters,
        gateway=command if options.gateway_given else (),
    )
    return RunStarted(
        t=0.0,
        scenario=scenario.name,
        path=str(scenario.path),
        seed=scenario.seed,
        wall_time=wall_time,
        link=scenario.link.kind,
        tolerance=scenario.tolerance,
        speed=scenario.pace,
        repeat=repeat,
        versions=versions(),
        fleets=fleets,
        parameters=dict(scenario.parameters),
        format=FORMAT,
    )


def link_up(scenario: Scenario, link: Link) -> LinkUp:
    """Over which link it is."""
    sides = filter(None, (scenario.link.address4, scenario.link.address6))
    addresses = [f"{format_address(address)}/{length}" for address, length in sides]
    return LinkUp(0.0, link.kind, link.name, addresses, link.mtu)


def run_ended(
    run: Run, decision: Decision, notes: Sequence[str], ended_at: float, files: list[str]
) -> RunEnded:
    """What `run` came to. `notes` are those of its findings and of its files."""
    # Whoever starts the gateway is told at the start what the link is like.
    site_notes = run.site.notes if run.gateway is not None else ()
    counters = run.doubts.counters()
    northbound_notes: list[str] = []
    if run.northbound is not None:
        counters |= run.northbound.counters()
        northbound_notes = run.northbound.notes()
    gateway_notes = [] if run.gateway is None else run.gateway.remarks()
    if run.gateway is not None and decision.verdict != Verdict.PASSED:
        gateway_notes += run.gateway.notes(heard=run.crew.heard.is_set())
        if run.scenario.link.kind == "loopback" and _lacks_a_port(run.gateway.result()):
            gateway_notes.append(PORTS_ARE_TAKEN)
    unmatched = run.crew.counters().unmatched
    unmatched = sorted(unmatched, key=lambda one: (-one.count, one.t, one.fleet, one.kind))
    unmatched_notes = [] if decision.verdict == Verdict.PASSED else describe_unmatched(unmatched)
    return RunEnded(
        t=run.clock(),
        verdict=decision.verdict,
        reason=decision.reason,
        duration_s=ended_at,
        notes=[
            *gateway_notes,
            *unmatched_notes,
            *notes,
            *northbound_notes,
            *site_notes,
            *run.doubts.notes(),
        ],
        errors=run.doubts.errors(),
        gateway=None if run.gateway is None else run.gateway.result(),
        counters=counted(counters),
        lag=run.doubts.lag(),
        files=files,
        unmatched=unmatched,
    )


def _lacks_a_port(gateway: GatewayResult) -> bool:
    """Whether the last that `gateway` has printed is about a port that another has."""
    return any(IN_USE.search(line) for line in gateway.last_lines)


def describe_unmatched(unmatched: Sequence[Unmatched]) -> list[str]:
    """What people should know of messages to which no rule applied."""
    notes = []
    for one in unmatched[:UNMATCHED_NOTES]:
        kind = f"with {one.kind}" if "=" in one.kind else one.kind
        what = f"{plural(one.count, 'message')} {kind}".rstrip()
        why = "no rule is about what these devices receive"
        if one.nearest:
            why = f"the nearest to that of {one.device} ({moment(one.t)}) is {one.nearest}"
        notes.append(f"No rule applied to {what} to {one.fleet}: {why}.")
    if len(unmatched) > UNMATCHED_NOTES:
        notes.append(
            f"No rule applied to messages of {len(unmatched) - UNMATCHED_NOTES} more kinds."
        )
    return notes


def only_decided(findings: Findings, verdicts: Sequence[bool | None]) -> Findings:
    """`findings` of a run that was interrupted: what was still open then is no failure."""
    pairs = zip(findings.outcomes, verdicts, strict=True)
    outcomes = [outcome for outcome, verdict in pairs if verdict is not None]
    undecided = verdicts.count(None)
    notes = (
        [f"{undecided} of {len(verdicts)} expectations were not decided yet."] if undecided else []
    )
    return Findings(outcomes, notes)
