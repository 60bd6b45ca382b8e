"""When a run has come to its end by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from iotsim.clock import real_s
from iotsim.scenario.gateway_steps import starts_gateway

if TYPE_CHECKING:
    from iotsim.run.gateway import Gateway
    from iotsim.run.run import Run

LAST_WORDS_S = 0.05
"""After the gateway's exit, for what it sent last to arrive and be answered."""
LOOKS_WHILE_QUIET = 20
LEAST_LOOK_S = 0.02


async def the_end(run: Run, stop: trio.Event) -> None:
    """Wait for what the scenario's ``until`` says, its duration at the longest, or `stop`."""
    scenario = run.scenario
    async with trio.open_nursery() as nursery:

        async def end_after(event: trio.Event) -> None:
            await event.wait()
            nursery.cancel_scope.cancel()

        async def end_by_itself() -> None:
            await natural_end(run, scenario.duration_s * scenario.tolerance)
            nursery.cancel_scope.cancel()

        nursery.start_soon(end_after, stop)
        nursery.start_soon(end_after, run.crew.broken)
        if not run.options.serve:
            nursery.start_soon(end_by_itself)


async def natural_end(run: Run, duration_s: float) -> None:
    """Wait for what the scenario's ``until`` says, for `duration_s` at the longest."""
    scenario = run.scenario
    async with trio.open_nursery() as nursery:

        async def end_when_gone(gateway: Gateway) -> None:
            await _gone(run, gateway)
            nursery.cancel_scope.cancel()

        async def end_when_settled() -> None:
            await run.steps.settled()
            nursery.cancel_scope.cancel()

        async def end_when_quiet() -> None:
            await run.steps.settled()
            await _quiet(run)
            nursery.cancel_scope.cancel()

        if scenario.ends == "settled":
            nursery.start_soon(end_when_settled)
        if scenario.ends == "quiet":
            nursery.start_soon(end_when_quiet)
        if scenario.ends != "duration" and run.gateway is not None:
            nursery.start_soon(end_when_gone, run.gateway)
        await trio.sleep(max(0.0, duration_s))
        nursery.cancel_scope.cancel()


async def _gone(run: Run, gateway: Gateway) -> None:
    """Wait until `gateway` has exited by itself, and no step is to come that may start it again."""
    while True:
        await gateway.gone()
        while _awaits_step(run):
            await run.steps.stepped()
        await trio.sleep(real_s(LAST_WORDS_S))
        if gateway.state == "exited" and not _awaits_step(run):
            return


def _awaits_step(run: Run) -> bool:
    timeline = run.steps.timeline
    if timeline.open and run.scenario.ends != "gateway_exit":
        return True
    return any(starts_gateway(step) for step in timeline.missing())


async def _quiet(run: Run) -> None:
    """Wait until nothing has come for the scenario's while, and nothing is still to be answered."""
    quiet_s = run.scenario.quiet_s * run.scenario.tolerance
    received, since = -1, run.clock()
    while run.clock() < since + quiet_s:
        progress = run.crew.progress()
        if progress.pending or progress.received != received:
            received, since = progress.received, run.clock()
        least_s = real_s(LEAST_LOOK_S)
        await trio.sleep(min(quiet_s, max(quiet_s / LOOKS_WHILE_QUIET, least_s)))
