"""A whole run: machine, files, nursery, judgement, results.

`open_run` is the run itself: a context manager whose block drives it, watches it, or just waits for its
end. `run_scenario` is around that what a process needs: an event loop, signals, the garbage collector,
and processes that must be made before all these.

The order of its end is what makes a verdict trustworthy. First what the link still holds is drained
and everything is judged, as of one moment. Then the gateway is stopped while its devices still answer,
so that it can say good-bye. Then the pump stops, the rest is drained and counted against the kernel's
own counters. Last the results are written, which until then said "running".
"""

from __future__ import annotations

import math
import signal
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import trio

from iotsim.clock import ScaledClock, current_speed, real_s
from iotsim.errors import IotsimError, Problem, ScenarioError
from iotsim.events import CommandDone, Note
from iotsim.expect.report import Findings
from iotsim.results.fold import result_of
from iotsim.results.verdict import Decision, Verdict, decide
from iotsim.run.collector import settled_memory
from iotsim.run.crew import Alone, Crew
from iotsim.run.doubts import Doubts
from iotsim.run.ending import the_end
from iotsim.run.failure import sole_cause
from iotsim.run.files import NO_THREAD, PATIENCE_S, Writer
from iotsim.run.gateway import Gateway
from iotsim.run.limit import GRACE_S, LIMIT_SIGNAL, stop_counting, what_it_does
from iotsim.run.northbound.opening import Inbox, open_services
from iotsim.run.preparation import Preparation, RunOptions, prepared
from iotsim.run.record import Record
from iotsim.run.report import RunReport, link_up, only_decided, run_ended, run_started
from iotsim.run.shards.shards import Shards
from iotsim.run.signals import ending_signals, ignore_endings, take_rest
from iotsim.run.site import Site, open_site
from iotsim.run.steps import Steps
from iotsim.scenario.model import CA_FILE
from iotsim.scenario.scopes import READY
from iotsim.simulation.commands import (
    ActOnGateway,
    ActOnNorthbound,
    encode_command,
)
from iotsim.simulation.simulation import Simulation
from iotsim.testbed.privileges import drop_privileges
from iotsim.testbed.timescale import Reach

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping

    from iotsim.device.fleet import Fleet
    from iotsim.events import Event, RunEnded, RunStarted
    from iotsim.link.base import Link
    from iotsim.northbound.rules import Answer
    from iotsim.results.result import RunResult
    from iotsim.run.gateway import GatewayAction
    from iotsim.run.launch import Launch
    from iotsim.run.northbound.northbound import Injected, Northbound
    from iotsim.scenario.model import Scenario
    from iotsim.simulation.commands import Command

WATCH_INTERVAL_S = 1.0
LAST_SAMPLE_S = 1.0
"""How long a last look at what the gateway uses may take."""
EPOCH_OF_VIRTUAL_TIME = 946_684_800.0
"""2000-01-01: a run in virtual time has no date, and is the same every time."""


def run_scenario(
    scenario: Scenario,
    options: RunOptions,
    progress: Callable[[Run], Awaitable[None]] | None = None,
) -> RunReport:
    """Run `scenario` to its end. MachineError if this machine cannot; the results say so too.

    `progress` is started with the run and cancelled at its end; it shows what it likes.
    """
    # The testbed's helper makes the namespaces while the event loop and the fleets are being made here.
    with prepared(scenario, options) as preparation, settled_memory():
        clock: trio.abc.Clock | None = None
        if scenario.pace != 1:
            clock = ScaledClock(scenario.pace)
        if scenario.link.kind == "memory":
            # Here, since it imports pytest where that is installed, which takes 0.2 s.
            from trio.testing import MockClock

            clock = MockClock(autojump_threshold=0)
        return trio.run(_run_to_its_end, scenario, options, preparation, progress, clock=clock)


async def _run_to_its_end(
    scenario: Scenario,
    options: RunOptions,
    preparation: Preparation,
    progress: Callable[[Run], Awaitable[None]] | None,
) -> RunReport:
    run = Run(scenario, options, preparation)
    # Until the very end: a second Ctrl-C must not spoil what the first one has asked for.
    with trio.open_signal_receiver(*ending_signals(), LIMIT_SIGNAL) as received:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_heed_signals, received, run)
            async with run.opened(), trio.open_nursery() as watchers:
                if progress is not None:
                    watchers.start_soon(progress, run)
                await run.wait()
                watchers.cancel_scope.cancel()
            nursery.cancel_scope.cancel()
        stop_counting()
        if run.stopped_by is not None:
            await take_rest(received)
    if run.stopped_by is not None and options.own_process:
        ignore_endings()
    return RunReport(run.result, preparation.folder, run.stopped_by)


async def _heed_signals(received: AsyncIterator[int], run: Run) -> None:
    give_up = math.inf
    async for number in received:
        if number != LIMIT_SIGNAL:
            run.stop(signal.Signals(number))
        elif not run.beyond_limit:
            run.stop_at_limit()
            give_up = time.monotonic() + GRACE_S
        elif time.monotonic() > give_up:
            raise IotsimError(f"{run.beyond_limit}; it did not end {GRACE_S:g} s after that")


@asynccontextmanager
async def open_run(
    scenario: Scenario, options: RunOptions | None = None, *, link: Link | None = None
) -> AsyncIterator[Run]:
    """A run of `scenario` in this event loop, which goes on while the block does, and ends with it.

    With `link` it is over that one, whatever the scenario says, and nobody is started as the gateway: it
    may be one end of a `MemoryLink.pair`, with the gateway in the block at the other, and a virtual
    clock. After the block the run has its ``result``. MachineError if this machine
    cannot; whatever breaks the run cancels the block.
    """
    options = options or RunOptions()
    if link is not None:
        scenario = scenario.over(link.kind)
    with prepared(scenario, options, fork=False) as preparation:
        run = Run(scenario, options, preparation, link)
        async with run.opened():
            yield run


@dataclass
class Run:
    """One run, while it goes on: what whoever drives or watches it may look at.

    ``clock`` gives the seconds since its start, which was at the Unix time ``wall_time``. ``over`` is
    set once everything is judged; ``result`` is there after that.
    """

    scenario: Scenario
    options: RunOptions
    preparation: Preparation
    link: Link | None = None

    gateway: Gateway | None = field(default=None, init=False)
    stopped_by: signal.Signals | None = field(default=None, init=False)
    beyond_limit: str = field(default="", init=False)
    """What it was doing at its limit; "" if it has not come to that."""
    wall_time: float = field(default=EPOCH_OF_VIRTUAL_TIME, init=False)
    over: trio.Event = field(default_factory=trio.Event, init=False)
    result: RunResult = field(init=False)
    site: Site = field(init=False)
    crew: Crew = field(init=False)
    northbound: Northbound | Injected | None = field(default=None, init=False)
    doubts: Doubts = field(init=False)
    clock: Callable[[], float] = field(init=False)
    steps: Steps = field(init=False)
    _stop: trio.Event = field(default_factory=trio.Event, init=False)
    _reach: Reach | None = field(default=None, init=False)
    _record: Record | None = field(default=None, init=False)

    @property
    def virtual(self) -> bool:
        """Whether time may be virtual: nobody outside of the process takes part."""
        return self.site.link.kind == "memory"

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """The run goes on while the block does; see `open_run`."""
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(self._go)
                yield
                self.stop()
        except BaseExceptionGroup as group:
            raise sole_cause(group) from None

    async def wait(self) -> None:
        """Wait until the run has come to its end by itself, as the scenario's ``until`` says."""
        await self.over.wait()

    def stop(self, by: signal.Signals | None = None) -> None:
        """End the run now, as if its time had come; nothing happens when it has."""
        if not self.over.is_set():
            self.stopped_by = by or self.stopped_by
            self._stop.set()

    def stop_at_limit(self) -> None:
        """End the run now, since it takes longer than it may. IotsimError if it has not come to live."""
        limit_s = self.scenario.limit_s or 0.0
        self.beyond_limit = f"ended at its limit of {limit_s:g} s: it was {what_it_does(self)}"
        if not hasattr(self, "crew"):  # nobody would heed it yet
            raise IotsimError(self.beyond_limit)
        self._stop.set()

    async def do(self, command: Command) -> None:
        """Carry out `command`. ScenarioError or another IotsimError if that cannot be done."""
        if isinstance(command, ActOnGateway):
            await self.gateway_do(command.gateway)
        elif isinstance(command, ActOnNorthbound):
            await self.northbound_do(command.service, command.action)
        else:
            await self.crew.do(command)
            return
        self._emit(CommandDone(self.clock(), encode_command(command)))

    async def gateway_do(self, action: GatewayAction) -> None:
        """Start, stop, kill, restart, pause or resume the gateway, and wait until that is done.

        That it is ready again, nobody waits for. ScenarioError if there is none of ours, or `action`
        makes no sense now: see `Gateway.do`.
        """
        if self.gateway is None:
            raise ScenarioError([Problem("there is no process to act on: no gateway was started")])
        await self.gateway.do(action)

    async def northbound_do(self, name: str, action: str) -> None:
        """``stop`` or ``start`` the northbound service `name`; returns when that is done.

        What it refuses and cuts meanwhile, and what it keeps, is told in docs/scenario.md. IotsimError if
        there is no such service, or it does not start again.
        """
        if self.northbound is None:
            raise IotsimError(f"there is no northbound service {name!r}")
        await self.northbound.do(name, action)

    async def receive(self, name: str, fields: Mapping[str, Any]) -> Answer:
        """On a memory link: let the northbound service `name` receive something; see `Injected.receive`."""
        if self.northbound is None or not hasattr(self.northbound, "receive"):
            raise IotsimError("only on a memory link does the program tell what services receive")
        return await self.northbound.receive(name, fields)

    # --- living -------------------------------------------------------------------------------

    async def _go(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Set everything up, live, and write the results."""
        preparation, options = self.preparation, self.options
        async with open_site(
            self.scenario, preparation.plan, preparation.helper, self.link
        ) as self.site:
            if options.drop_privileges:
                drop_privileges(preparation.folder, *self.scenario.folders)
            inbox = Inbox(self)
            async with open_services(self, inbox) as self.northbound:
                ended = await self._run_and_tell(inbox, task_status)
        # Only when the gateway, the interface and the namespaces are gone has the run ended.
        if self._record is not None:
            self._record.finish(ended, self.result)

    async def _run_and_tell(self, inbox: Inbox, task_status: trio.TaskStatus[None]) -> RunEnded:
        """Go through the run, and write down what comes of it; its last event."""
        preparation, options = self.preparation, self.options
        self._start_clock()
        self.crew = self._make_crew()
        self.steps = Steps(
            self.scenario.steps, self.crew, do=self.do, emit=self._emit, clock=self.clock
        )
        self.doubts = Doubts(self.scenario, self.crew, self.site)
        if self.northbound is not None:
            self.doubts.lost_northbound = self.northbound.lost
        journal = self.crew.journal
        for sink in options.watch:
            journal.add_event_sink(sink)
        started = run_started(self.scenario, options, self.wall_time)
        self.result = result_of(started, [])
        try:
            findings, ended_at = await self._live_on_record(started, inbox, task_status)
        except BaseException:
            if self._record is not None:
                self._record.close()  # before somebody reads what may not be written yet
            raise
        self.doubts.look(self.clock())
        journal.flush()
        notes = list(findings.notes)
        if self._record is not None:
            notes += self._record.close()
            notes += self.crew.put_together(preparation.folder)
        names = [] if self._record is None else self._record.names
        if names and preparation.northbound is not None and preparation.northbound.contexts:
            names.append(CA_FILE)
        names += [name for name in self.options.document_files if name not in names]
        ended = run_ended(self, self._decide(findings), notes, ended_at, names)
        journal.emit(ended)
        journal.flush()
        self.result = result_of(started, findings.outcomes, ended)
        return ended

    async def _live_on_record(
        self, started: RunStarted, inbox: Inbox, task_status: trio.TaskStatus[None]
    ) -> tuple[Findings, float]:
        """As `_live`, of which all is written down."""
        journal = self.crew.journal
        with Writer(NO_THREAD if self.virtual else PATIENCE_S) as writer:
            self._record = self._make_record(writer)
            if self._record is not None:
                self.preparation.results.write(self.result)
            journal.emit(started)
            journal.emit(link_up(self.scenario, self.site.link))
            for note in self.site.notes:
                journal.emit(Note(0.0, note))
            try:
                return await self._live(inbox, task_status)
            finally:
                journal.flush()

    async def _live(
        self, inbox: Inbox, task_status: trio.TaskStatus[None]
    ) -> tuple[Findings, float]:
        """From the first packet to the last; what was judged, and as of when."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self.crew.run)
            nursery.start_soon(self._watch)
            inbox.open()
            task_status.started()
            async with trio.open_nursery() as gateway_nursery:
                self.steps.start(gateway_nursery)
                if not (self._stop.is_set() or self.crew.broken.is_set()):
                    await self._begin(gateway_nursery)
                await the_end(self, self._stop)
                if self.northbound is not None:
                    await self.northbound.drain()
                ended_at = self.clock()
                findings = await self._judge(ended_at)
                self.over.set()
                self.steps.over = True
                gateway_nursery.cancel_scope.cancel()
            if self.northbound is not None:
                await self.northbound.close()
            findings = self._hear_out(findings)
            nursery.cancel_scope.cancel()
        await self.crew.finish()
        return findings, ended_at

    async def _begin(self, nursery: trio.Nursery) -> None:
        """Start the gateway, if there is one of ours, and let devices boot and windows begin.

        Both do so once the gateway is ready. Where somebody else is the gateway, devices boot at once,
        and windows begin when it is first heard; on a memory link, where it is part of the program that
        has opened the run, they begin at once, too.
        """
        if self.preparation.launch is not None:
            await self._start_gateway(self.preparation.launch, nursery)
            return
        self.crew.boot(self.clock())
        if self.virtual:
            self._ready(self.clock())
        else:
            nursery.start_soon(self._await_somebody)

    async def _await_somebody(self) -> None:
        await self.crew.heard.wait()
        heard_at = self.crew.progress().heard_at
        self._ready(self.clock() if heard_at is None else heard_at)

    def _ready(self, now: float) -> None:
        """The gateway is ready: windows of expectations begin, and what comes after that."""
        self.crew.ready(now)
        self.steps.happened(READY, now)

    async def _start_gateway(self, launch: Launch, nursery: trio.Nursery) -> None:
        testbed = self.site.testbed
        assert testbed is not None
        self.gateway = gateway = Gateway(
            self.scenario,
            launch,
            emit=self._emit,
            clock=self.clock,
            log=_forget if self._record is None else self._record.log.append,
            judge=self.crew.judge,
            wake=self.crew.wake,
        )
        await nursery.start(gateway.run, testbed)
        if self.preparation.time_scale is not None:
            self._reach = Reach(testbed.init_pid, lambda text: self._emit(Note(self.clock(), text)))
        nursery.start_soon(self._await_ready, gateway)

    def _emit(self, event: Event) -> None:
        """Report an event of the run's own, soon."""
        self.crew.journal.emit(event)
        self.crew.wake()

    async def _await_ready(self, gateway: Gateway) -> None:
        """Once it is ready for the first time, devices boot, and windows begin."""
        await gateway.ready.wait()
        now = self.clock()
        self.crew.boot(now)
        self._ready(now)

    async def _watch(self) -> None:
        """Once a second, read the kernel's counters: what it dropped, nobody else will tell."""
        while True:
            await trio.sleep(real_s(WATCH_INTERVAL_S))
            self.doubts.look(self.clock())
            if self._reach is not None:
                self._reach.look()
            if self.crew.journal.events:
                self.crew.wake()

    # --- results ------------------------------------------------------------------------------

    async def _judge(self, now: float) -> Findings:
        """Judge everything as of `now`, and tell what is new of it."""
        if self.gateway is not None:
            with trio.move_on_after(real_s(LAST_SAMPLE_S)):
                await self.gateway.measure()
        verdicts = self.crew.progress().verdicts
        findings = await self.crew.conclude(now, lambda: self.doubts.look(now))
        if self.beyond_limit or (self.stopped_by is not None and not self.options.serve):
            findings = only_decided(findings, verdicts)
        for decision in self.crew.judge.tell(findings.outcomes, now):
            self.crew.journal.emit(decision)
        return findings

    def _hear_out(self, findings: Findings) -> Findings:
        """`findings` with what the gateway has reported while it was being stopped."""
        if self.gateway is None:
            return findings
        last = {outcome.number: outcome for outcome in self.crew.judge.gateway_outcomes()}
        outcomes = [last.get(outcome.number, outcome) for outcome in findings.outcomes]
        for decision in self.crew.judge.tell(outcomes, self.clock()):
            self.crew.journal.emit(decision)
        return Findings(outcomes, findings.notes)

    def _decide(self, findings: Findings) -> Decision:
        if self.beyond_limit:
            return Decision(Verdict.ERROR, self.beyond_limit)
        if self.stopped_by is not None and not self.options.serve:
            return Decision(Verdict.ERROR, f"interrupted by {self.stopped_by.name}")
        return decide(
            findings.outcomes,
            errors=self.doubts.errors(),
            crash=self.gateway.crash if self.gateway is not None else "",
            served=self.options.serve,
        )

    def _start_clock(self) -> None:
        if self.virtual:
            start = trio.current_time()
            self.clock = lambda: trio.current_time() - start
            return
        pace = self.scenario.pace
        if current_speed() != pace:
            raise IotsimError(
                f"at speed {pace:g} the clock of the event loop has to be "
                f"iotsim.clock.ScaledClock({pace:g}), as in run_scenario"
            )
        self.wall_time = time.time()
        counter = time.perf_counter
        self._zero = zero = counter()
        if self.preparation.time_scale is not None:
            self.preparation.time_scale.begin()
        self.clock = (
            (lambda: counter() - zero) if pace == 1 else (lambda: (counter() - zero) * pace)
        )

    def _make_crew(self) -> Crew:
        scenario, site = self.scenario, self.site
        if not self.preparation.workers:
            simulation = Simulation(
                scenario,
                site.link,
                seed=scenario.seed,
                clock=self.clock,
                recording=self.options.recording,
                rescue=self.preparation.rescue,
                wall_time=self.wall_time,
                live=self.options.live,
            )
            return Alone(simulation)
        assert site.testbed is not None
        return Shards(
            scenario,
            self.preparation.workers,
            site.testbed,
            clock=self.clock,
            zero=self._zero,
            wall_time=self.wall_time,
            drop_privileges=self.options.drop_privileges,
            recording=self.options.recording,
            live=self.options.live,
        )

    def _fleets(self) -> Iterable[Fleet]:
        """Those that are simulated in this process."""
        return self.crew.simulation.fleets.values() if isinstance(self.crew, Alone) else ()

    def _make_record(self, writer: Writer) -> Record | None:
        if not self.options.files:
            return None
        return Record(
            self.preparation.results,
            self.scenario,
            self.crew.journal,
            writer,
            wall_time=self.wall_time,
            interface=self.site.link.name,
            capture=self.options.recording.packets,
            fleets=self._fleets(),
            may_fork=self.options.own_process and not self.virtual and not self.preparation.workers,
        )


def _forget(_output: bytes) -> None:
    pass


__all__ = ["Run", "RunOptions", "open_run", "run_scenario"]
