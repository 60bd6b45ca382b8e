"""`live_run`: a whole run, of any scenario over any link, in the hands of a test.

::

    async with live_run("scenarios/lossy.toml") as sim:
        read = await sim.wait_for("meter[0]", receives={"kind": "READ"}, within="5s")
        await sim.device("meter[0]").set(level=5)

It is `iotsim.run.run.open_run` with what a test needs around it. The run begins with the block. At its end
it goes on to where it ends by itself, as the scenario's ``until`` says, and is judged; what does not hold
raises `RunFailed`, whose text explains it. A block that raises ends the run at once.
"""

from __future__ import annotations

import math
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import trio

from iotsim.errors import IotsimError, Problem, ScenarioError
from iotsim.events import ExpectationDecided
from iotsim.expect.lapses import Ground
from iotsim.link.memory import MemoryLink
from iotsim.results.verdict import Verdict
from iotsim.run.crew import Alone
from iotsim.run.ending import natural_end
from iotsim.run.run import RunOptions, open_run
from iotsim.safetext import safe_line
from iotsim.simulation.commands import (
    Begin,
    End,
    WriteNote,
)
from iotsim.testing.building import ScenarioSource, build
from iotsim.testing.explanation import explain
from iotsim.testing.parts import LiveDevices, LiveGateway, LiveService, in_seconds
from iotsim.testing.sockets import Socket, Sockets
from iotsim.testing.waiting import Inconclusive, Lines, Looking, NotSeen, Seen, Wanted, told_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path

    from iotsim.events import Event, Outcome
    from iotsim.expect.spec import Layer
    from iotsim.results.result import RunResult
    from iotsim.run.run import Run
    from iotsim.simulation.commands import Command
    from iotsim.simulation.simulation import Simulation
    from iotsim.testing.parts import Time

HELD, FAILED, OPEN = "held", "failed", "open"
ENDING = (trio.Cancelled, KeyboardInterrupt, SystemExit, GeneratorExit)
"""What lets nobody wait for the end of a run."""
TEST_SEED = 1
"""The seed of scenarios that name none: a test is to do the same every time."""


class RunFailed(AssertionError):  # noqa: N818
    """A run did not pass; ``verdict`` is what it came to, ``result`` all of it, and the text explains it."""

    def __init__(self, text: str, verdict: str, result: RunResult | None = None) -> None:
        self.verdict = verdict
        self.result = result
        super().__init__(text)


@dataclass(frozen=True)
class LiveOptions:
    """How to run. ``judge``: hold the run's expectations against it at the end of the block; without, it ends
    at once with the block, and what it came to is in ``result``. ``results``: the folder for what it leaves,
    None for nothing. ``repeat``: the command that repeats it."""

    judge: bool = True
    results: Path | None = None
    repeat: str = ""


@asynccontextmanager
async def live_run(
    source: ScenarioSource, options: LiveOptions | None = None, **building: Any
) -> AsyncIterator[LiveRun]:
    """A run of the scenario that `source` is (see `iotsim.testing.building.build`, which takes `building`).

    Over a memory link nobody is started as the gateway: the block has its sockets (`LiveRun.socket`), and in
    an event loop on `trio.testing.MockClock` time is virtual. MachineError if this machine cannot.
    """
    __tracebackhide__ = True
    options = options or LiveOptions()
    scenario = build(source, **{"default_seed": TEST_SEED, **building})
    if scenario.link.queues not in (0, 1):
        scenario = replace(scenario, link=replace(scenario.link, queues=1))
    ours = theirs = None
    if scenario.link.kind == "memory":
        ours, theirs = MemoryLink.pair(scenario.link.mtu)
    seen = Seen()
    run_options = RunOptions(
        out=options.results,
        files=options.results is not None,
        watch=(seen.take,),
        serve=True,
    )
    failed: BaseException | None = None
    async with open_run(scenario, run_options, link=ours) as run:
        sim = LiveRun(run, seen, theirs)
        async with trio.open_nursery() as nursery:
            if sim._sockets is not None:
                nursery.start_soon(sim._sockets.run)
            try:
                yield sim
                if options.judge and scenario.expectations:
                    await sim.finish()
            except ENDING:
                raise
            except BaseException as error:
                failed = error  # once the run has ended, so that its results are whole
            nursery.cancel_scope.cancel()
    if failed is not None:
        raise failed
    sim.verify(options)


class LiveRun:
    """A run that goes on. ``run`` is it itself, for whatever is not here."""

    def __init__(self, run: Run, seen: Seen, link: MemoryLink | None) -> None:
        self.run = run
        self._seen = seen
        seen.flush = run.crew.journal.flush
        self._looking = Looking(run.scenario, self._simulation.fleets)
        self._sockets: Sockets | None = None
        if link is not None:
            own = (run.scenario.link.address4, run.scenario.link.address6)
            four, six = (0 if side is None else side[0] for side in own)
            self._sockets = Sockets(link, (four, six))
        self._gateway = LiveGateway(self)

    # --- what there is to know ----------------------------------------------------------------

    @property
    def _simulation(self) -> Simulation:
        assert isinstance(self.run.crew, Alone)
        return self.run.crew.simulation

    @property
    def now(self) -> float:
        """Seconds since the start of the run."""
        return self.run.clock()

    @property
    def events(self) -> list[Event]:
        """All that has happened so far, in order; of very many, the last
        `iotsim.testing.waiting.MOST_EVENTS`."""
        return self._seen.all()

    @property
    def verdicts(self) -> dict[str, str]:
        """What has become of each expectation by now: "held", "failed", or "open"."""
        specs = self.run.scenario.expectations
        words = {True: HELD, False: FAILED, None: OPEN}
        verdicts = self.run.crew.progress().verdicts
        return {spec.name: words[one] for spec, one in zip(specs, verdicts, strict=True)}

    @property
    def result(self) -> RunResult:
        """What the run came to, after the block."""
        return self.run.result

    @property
    def folder(self) -> Path | None:
        """Where the run leaves its files, if it leaves any."""
        return self.run.preparation.folder if self.run.options.files else None

    def received(
        self, devices: str, match: Mapping[str, Any] | None = None, *, layer: Layer = "application"
    ) -> list[Event]:
        """What these devices have received so far that matches: `iotsim.events.Received`, in order."""
        return self._seen.find(self._looking.messages(devices, "receives", match or {}, layer))

    def sent(
        self, devices: str, match: Mapping[str, Any] | None = None, *, layer: Layer = "application"
    ) -> list[Event]:
        """The same of what they have sent: `iotsim.events.Sent`."""
        return self._seen.find(self._looking.messages(devices, "sends", match or {}, layer))

    # --- who takes part -----------------------------------------------------------------------

    def device(self, devices: str) -> LiveDevices:
        """The device, or the devices, that a selector names: "meter[3]", "meter[0:10]", "meter"."""
        return LiveDevices(self, devices)

    @property
    def gateway(self) -> LiveGateway:
        """The gateway's process."""
        return self._gateway

    def northbound(self, service: str) -> LiveService:
        """A service on the gateway's other side."""
        return LiveService(self, service)

    def socket(self, port: int = 0) -> Socket:
        """A UDP socket of the gateway's, on a memory link; `port` 0 is a free one."""
        if self._sockets is None:
            raise IotsimError(
                "sockets are at the end of a memory link: on this one, the kernel's own reach the devices"
            )
        return self._sockets.open(port)

    # --- what can be done ---------------------------------------------------------------------

    async def do(self, command: Command) -> None:
        """Carry out any command of `iotsim.simulation.commands`."""
        await self.run.do(command)

    async def begin(self, name: str, for_: Time | None = None) -> None:
        """Let the impairment or the fault of this name be in force from now on, or for a time."""
        await self.do(Begin(name, None if for_ is None else in_seconds(for_)))

    async def end(self, name: str) -> None:
        """Let it be in force no longer."""
        await self.do(End(name))

    @asynccontextmanager
    async def during(self, name: str) -> AsyncIterator[None]:
        """Let it be in force for the time of the block."""
        await self.begin(name)
        try:
            yield
        finally:
            with trio.CancelScope(shield=True):
                await self.end(name)

    async def note(self, text: str) -> None:
        """Put a text into the events."""
        await self.do(WriteNote(text))

    async def sleep(self, time: Time) -> None:
        """Let this much time of the run pass."""
        await trio.sleep(in_seconds(time))

    # --- what can be waited for ---------------------------------------------------------------

    async def wait_for(
        self,
        devices: str = "",
        *,
        receives: Mapping[str, Any] | None = None,
        sends: Mapping[str, Any] | None = None,
        northbound: str = "",
        output: str = "",
        within: Time = "5s",
        since: Event | Time | None = None,
        layer: Layer = "application",
    ) -> Any:
        """The next message that `devices` receive, or send, and that matches, as an event.

        Or the next that the service `northbound` receives, or line of the gateway's in which the regular
        expression `output` is found. What came before the call counts, from the start of the run or, if
        given, after the event, or from the time of the run, `since`; but nothing is returned twice, so that
        the next call waits for the next one. `within` counts from now. `NotSeen` says what came instead.
        """
        __tracebackhide__ = True
        given = [one for one in (receives, sends, output or None) if one is not None]
        if len(given) != 1:
            raise TypeError("give one of receives=, sends= and output=")
        wanted: Wanted
        if output:
            wanted = Lines(output)
        elif northbound:
            if devices or sends is not None:
                raise TypeError(
                    "a northbound service receives: give northbound= and receives= alone"
                )
            wanted = self._looking.northbound(northbound, receives or {})
        else:
            direction = "sends" if receives is None else "receives"
            match = sends if receives is None else receives
            wanted = self._looking.messages(devices, direction, match or {}, layer)  # type: ignore[arg-type]
        begun, window_s = self.now, in_seconds(within) * self.run.scenario.tolerance
        if isinstance(since, str):
            since = in_seconds(since)
        try:
            return await self._seen.wait(wanted, since=since, timeout_s=window_s)
        except trio.TooSlowError:
            error = self._not_seen(wanted, begun, window_s, since)
        raise error

    async def wait_held(self, *names: str, within: Time | None = None) -> None:
        """Wait until these expectations hold, or all of the scenario; RunFailed as soon as one does not."""
        __tracebackhide__ = True
        wanted = self._named(names)
        left_s = math.inf if within is None else in_seconds(within) * self.run.scenario.tolerance
        with trio.move_on_after(left_s):
            while True:
                verdicts = self.verdicts
                if all(verdicts[name] != OPEN for name in wanted) or self._seen.ended is not None:
                    break
                if any(verdicts[name] == FAILED for name in wanted):
                    break
                await self._seen.news()
        self.assert_held(*wanted)

    def assert_held(self, *names: str) -> None:
        """RunFailed unless these expectations hold by now, or all of the scenario."""
        __tracebackhide__ = True
        wanted, verdicts = self._named(names), self.verdicts
        wrong = [name for name in wanted if verdicts[name] != HELD]
        if not wrong:
            return
        outcomes = {
            event.outcome.name: event.outcome
            for event in self.events
            if isinstance(event, ExpectationDecided)
        }
        lines = []
        for name in wrong:
            outcome = outcomes.get(name)
            lines += [f"{name}: not decided yet"] if outcome is None else _told(outcome)
        raise RunFailed("\n".join(lines), Verdict.FAILED)

    async def finish(self) -> None:
        """Wait until the run ends by itself, as the scenario says, for its duration at the longest."""
        scenario = self.run.scenario
        left_s = scenario.duration_s * scenario.tolerance - self.now

        async with trio.open_nursery() as nursery:

            async def end_when_over() -> None:
                await self.run.over.wait()
                nursery.cancel_scope.cancel()

            nursery.start_soon(end_when_over)
            await natural_end(self.run, left_s)
            nursery.cancel_scope.cancel()

    # --- inside -------------------------------------------------------------------------------

    def verify(self, options: LiveOptions) -> None:
        """The run is over: RunFailed if it did not pass, and is to be judged."""
        __tracebackhide__ = True
        result = self.run.result
        judged = options.judge or result.verdict == Verdict.ERROR
        if judged and result.verdict != Verdict.PASSED:
            text = explain(result, self.folder, repeat=options.repeat)
            raise RunFailed(text, result.verdict, result)

    def _named(self, names: Sequence[str]) -> Sequence[str]:
        known = [spec.name for spec in self.run.scenario.expectations]
        for name in names:
            if name not in known:
                listed = ", ".join(known) or "none"
                raise ScenarioError(
                    [Problem(f"there is no expectation {name!r:.100}", hint=f"there is {listed}")]
                )
        return names or known

    def _not_seen(
        self, wanted: Wanted, begun: float, window_s: float, since: Event | float | None
    ) -> NotSeen:
        now = self.now
        lines = [f"{wanted.text}: not within {window_s:g} s (t={begun:.3f} s to t={now:.3f} s)"]
        lines.append(f"  {told_of(wanted, self._seen, since)}")
        ended = self._seen.ended
        if ended is not None:
            lines.append(f"  the run has ended: {ended.reason or ended.verdict}")
        gateway = self.run.gateway
        if gateway is not None and gateway.state in ("exited", "down", "returning", "waiting"):
            crash = gateway.crash or f"the gateway is not running ({gateway.state})"
            lines.append(f"  {crash}")
            lines += [f"    | {line}" for line in gateway.console.last_lines]
        doubt = self.run.crew.judge.lapses.doubt(Ground(begun, now, math.inf))
        text = "\n".join(safe_line(line) for line in lines)
        if doubt:
            return Inconclusive(f"inconclusive: {doubt}\n{text}")
        return NotSeen(text)


def _told(outcome: Outcome) -> list[str]:
    lines = [f"{outcome.name}:", f"  expected  {outcome.expected}", f"  actual    {outcome.actual}"]
    if outcome.inconclusive:
        lines.append(f"  in doubt  {outcome.inconclusive}")
    if outcome.nearest:
        lines.append(f"  nearest   {outcome.nearest}")
    return [safe_line(line) for line in lines]
