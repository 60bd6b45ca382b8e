"""A whole run: machine, files, nursery, judgement, results.

The order of its end is what makes a verdict trustworthy. First what the link still holds is drained
and everything is judged, as of one moment. Then the gateway is stopped while its devices still answer,
so that it can say good-bye. Then the pump stops, the rest is drained and counted against the kernel's
own counters. Last the results are written, which until then said "running".
"""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from iotsim.errors import IotsimError
from iotsim.events import RunEnded
from iotsim.expect.report import Findings
from iotsim.results.result import (
    RUNNING,
    RunResult,
)
from iotsim.results.verdict import Decision, Verdict, decide
from iotsim.run.collector import settle_memory
from iotsim.run.crew import Alone, Crew
from iotsim.run.doubts import Accounts
from iotsim.run.failure import sole_cause, with_lesser_way, write_failure
from iotsim.run.files import NO_THREAD, PATIENCE_S, Writer
from iotsim.run.folder import make_results_folder, make_work_folder
from iotsim.run.gateway import Gateway, gateway_environment, locate
from iotsim.run.record import Record
from iotsim.run.report import RunReport, announce, make_result, only_decided
from iotsim.run.shards.shards import Shards, WorkerProcess, dismiss_workers, fork_workers
from iotsim.run.site import Site, make_plan, open_site, queue_count, spawn_helper
from iotsim.simulation.journal import EVERYTHING, Recording
from iotsim.simulation.simulation import Simulation
from iotsim.testbed.privileges import drop_privileges

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from iotsim.events import Event
    from iotsim.scenario.model import Scenario
    from iotsim.testbed.bed import Helper
    from iotsim.testbed.plan import TestbedPlan

WATCH_INTERVAL_S = 1.0
LAST_WORDS_S = 0.05
"""After the gateway's exit, for what it sent last to arrive and be answered."""
NO_FINDINGS = Findings([], [])
EPOCH_OF_VIRTUAL_TIME = 946_684_800.0
"""2000-01-01: a run in virtual time has no date, and is the same every time."""


@dataclass(frozen=True)
class RunOptions:
    """How to run, apart from what the scenario says.

    ``drop_privileges``: give up, for good and for the whole process, what only the set-up needed.
    ``words`` are the options of the command line that repeat the run. ``progress`` is started with
    the run and cancelled at its end; it shows what it likes.
    """

    out: Path | None = None
    serve: bool = False
    drop_privileges: bool = False
    recording: Recording = EVERYTHING
    words: tuple[str, ...] = ()
    gateway_given: bool = False
    progress: Callable[[Run], Awaitable[None]] | None = None


def run_scenario(scenario: Scenario, options: RunOptions) -> RunReport:
    """Run `scenario` to its end. MachineError if this machine cannot; the results say so too."""
    folder = make_results_folder(scenario.path.stem, options.out)
    helper = None
    workers: list[WorkerProcess] = []
    try:
        queues = queue_count(scenario)
        if queues > 1:
            workers = fork_workers(scenario, folder, queues)
        plan = make_plan(scenario, folder)
        # It makes the namespaces while the event loop and the fleets are being made here.
        helper = None if plan is None else spawn_helper(plan)
        virtual = scenario.link.kind == "memory"
        clock = None
        if virtual:
            # Here, since it imports pytest where that is installed, which takes 0.2 s.
            from trio.testing import MockClock

            clock = MockClock(autojump_threshold=0)
        return trio.run(
            Run(scenario, options, folder, workers, virtual=virtual).run, plan, helper, clock=clock
        )
    except BaseException as error:
        cause = with_lesser_way(sole_cause(error), scenario)
        write_failure(folder, scenario, cause)
        if isinstance(cause, (IotsimError, KeyboardInterrupt)):
            raise cause from None
        raise
    finally:
        if helper is not None:
            helper.close()
        dismiss_workers(workers)


class Run:
    """One run, while it goes on: what a progress display may look at."""

    crew: Crew
    site: Site
    clock: Callable[[], float]

    def __init__(
        self,
        scenario: Scenario,
        options: RunOptions,
        folder: Path,
        workers: Sequence[WorkerProcess] = (),
        *,
        virtual: bool,
    ) -> None:
        self.scenario = scenario
        self.options = options
        self.folder = folder
        self.virtual = virtual
        self._workers = workers
        self.gateway: Gateway | None = None
        self.stopped_by: signal.Signals | None = None
        self.over = False
        self.wall_time = EPOCH_OF_VIRTUAL_TIME
        self._stop = trio.Event()

    async def run(self, plan: TestbedPlan | None, helper: Helper | None) -> RunReport:
        """Set everything up, live, and write the results."""
        # Until the very end: a second Ctrl-C must not spoil what the first one has asked for.
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as received:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._heed_signals, received)
                report = await self._run(plan, helper)
                nursery.cancel_scope.cancel()
        return report

    async def _run(self, plan: TestbedPlan | None, helper: Helper | None) -> RunReport:
        async with open_site(self.scenario, plan, helper) as self.site:
            if self.options.drop_privileges:
                drop_privileges(self.folder)
            self._start_clock()
            self.crew = self._make_crew()
            self.accounts = Accounts(self.scenario, self.crew, self.site)
            with Writer(NO_THREAD if self.virtual else PATIENCE_S) as writer:
                self.record = Record(
                    self.folder,
                    self.scenario,
                    self.crew.journal,
                    writer,
                    wall_time=self.wall_time,
                    interface=self.site.link.name,
                    capture=self.options.recording.packets,
                )
                self.record.replace_result(make_result(self, NO_FINDINGS, RUNNING))
                announce(self)
                settle_memory()
                try:
                    findings, ended_at = await self._live()
                    result = self._conclude(findings, ended_at)
                finally:
                    self.crew.journal.flush()
            self.record.close()
            result.notes += self.crew.put_together(self.folder)
        result.notes += self.record.losses()
        # Only when the gateway, the interface and the namespaces are gone has the run ended.
        self.record.replace_result(result)
        return RunReport(result, self.folder, self.stopped_by)

    def stop(self, by: signal.Signals) -> None:
        """End the run now, as if its time had come; nothing happens when it has."""
        if not self.over:
            self.stopped_by = by
            self._stop.set()

    # --- living -------------------------------------------------------------------------------

    async def _live(self) -> tuple[Findings, float]:
        """From the first packet to the last; what was judged, and as of when."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self.crew.run)
            nursery.start_soon(self._watch)
            if self.options.progress is not None:
                nursery.start_soon(self.options.progress, self)
            async with trio.open_nursery() as gateway_nursery:
                if not (self._stop.is_set() or self.crew.broken.is_set()):
                    await self._start_gateway(gateway_nursery)
                await self._wait_for_the_end()
                ended_at = self.clock()
                verdicts = self.crew.progress().verdicts
                findings = await self.crew.conclude(ended_at)
                if self.stopped_by is not None and not self.options.serve:
                    findings = only_decided(findings, verdicts)
                for decision in self.crew.judge.tell(findings.outcomes, self.clock()):
                    self.crew.journal.emit(decision)
                self.over = True
                gateway_nursery.cancel_scope.cancel()
            nursery.cancel_scope.cancel()
        await self.crew.finish()
        return findings, ended_at

    async def _start_gateway(self, nursery: trio.Nursery) -> None:
        """Start the gateway, if there is one, and let the windows of expectations begin with it."""
        spec, testbed = self.scenario.gateway, self.site.testbed
        if spec is None or not spec.command or testbed is None:
            self.crew.ready(self.clock())
            return

        def emit(event: Event) -> None:
            self.crew.journal.emit(event)
            self.crew.wake()

        self.gateway = gateway = Gateway(
            spec,
            emit=emit,
            clock=self.clock,
            log=self.record.log,
            on_line=self.crew.judge.gateway_output,
        )
        if spec.cwd is None:
            work = make_work_folder(self.folder)
        else:
            work = self.scenario.folder / self.scenario.expand(spec.cwd, self.folder)
        env = {name: self.scenario.expand(text, self.folder) for name, text in spec.env.items()}
        beside = [self.scenario.folder, self.scenario.folder.parent]
        if self.options.gateway_given:
            beside.insert(0, Path.cwd())
        command = [locate(self.scenario.expand(word, self.folder), beside) for word in spec.command]
        await nursery.start(
            gateway.run, testbed, command, gateway_environment(env, self.folder), work
        )
        nursery.start_soon(self._follow_gateway, gateway)

    async def _follow_gateway(self, gateway: Gateway) -> None:
        """Pass on to the judge that the gateway is ready, and that it has exited by itself."""
        async with trio.open_nursery() as nursery:

            async def ready() -> None:
                await gateway.ready.wait()
                self.crew.ready(self.clock())

            nursery.start_soon(ready)
            await gateway.exited.wait()
            nursery.cancel_scope.cancel()
        if not self.over and gateway.status is not None:
            status = gateway.status
            self.crew.judge.gateway_exited(status.status, gateway.signal_name, self.clock())
            self.crew.wake()

    async def _wait_for_the_end(self) -> None:
        """Wait for what the scenario's ``until`` says, its duration at the longest, or a signal."""
        scenario = self.scenario
        duration = trio.CancelScope()
        if not self.options.serve:
            duration.deadline = trio.current_time() + scenario.duration_s * scenario.tolerance
        async with trio.open_nursery() as nursery:

            async def end_after(event: trio.Event, grace_s: float = 0.0) -> None:
                await event.wait()
                await trio.sleep(grace_s)
                nursery.cancel_scope.cancel()

            nursery.start_soon(end_after, self._stop)
            nursery.start_soon(end_after, self.crew.broken)
            if not self.options.serve:
                if scenario.until == "settled":
                    nursery.start_soon(end_after, self.crew.settled)
                if scenario.until in ("settled", "gateway_exit") and self.gateway is not None:
                    nursery.start_soon(end_after, self.gateway.exited, LAST_WORDS_S)
            with duration:
                await trio.sleep_forever()
            nursery.cancel_scope.cancel()

    async def _heed_signals(self, received: AsyncIterator[int]) -> None:
        async for number in received:
            self.stop(signal.Signals(number))

    async def _watch(self) -> None:
        """Once a second, read the kernel's counters: what it dropped, nobody else will tell."""
        while True:
            await trio.sleep(WATCH_INTERVAL_S)
            self.accounts.look(self.clock())
            if self.crew.journal.events:
                self.crew.wake()

    # --- results ------------------------------------------------------------------------------

    def _start_clock(self) -> None:
        start = trio.current_time()
        if self.virtual:
            self.clock = lambda: trio.current_time() - start
            return
        self.wall_time = time.time()
        counter = time.perf_counter
        self._zero = zero = counter()
        self.clock = lambda: counter() - zero

    def _make_crew(self) -> Crew:
        scenario, site = self.scenario, self.site
        if not self._workers:
            simulation = Simulation(
                scenario,
                site.link,
                seed=scenario.seed,
                clock=self.clock,
                recording=self.options.recording,
            )
            return Alone(simulation)
        assert site.testbed is not None
        return Shards(
            scenario,
            self._workers,
            site.testbed,
            clock=self.clock,
            zero=self._zero,
            wall_time=self.wall_time,
            drop_privileges=self.options.drop_privileges,
            recording=self.options.recording,
        )

    def _conclude(self, findings: Findings, ended_at: float) -> RunResult:
        """Decide, and put the last events on their way to disk."""
        accounts = self.accounts
        accounts.look(self.clock())
        crash = self.gateway.crash if self.gateway is not None else ""
        decision = decide(
            findings.outcomes,
            errors=accounts.errors(),
            crash=crash,
            doubts=accounts.doubts(findings.outcomes),
            served=self.options.serve,
        )
        if self.stopped_by is not None and not self.options.serve:
            decision = Decision(Verdict.ERROR, f"interrupted by {self.stopped_by.name}")
        journal = self.crew.journal
        journal.flush()
        result = make_result(self, findings, decision.verdict, decision.reason, ended_at)
        journal.emit(RunEnded(self.clock(), result.verdict, result.counters))
        journal.flush()
        return result
