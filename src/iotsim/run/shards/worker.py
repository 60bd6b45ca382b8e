"""A worker: the process that simulates one shard of all fleets, over one queue of the interface.

It is forked from the run's process before that has an event loop, threads, or a helper, so that it
has the loaded scenario already. The rest comes by its control socket: the queue, and then requests.

=========  =================================================================  ============
request    what the worker does                                               its answer
=========  =================================================================  ============
start      takes its queue, makes its simulation, and lets it live            started
boot       lets devices boot that do not boot with the run                    none
ready      lets the windows of expectations begin                             none
do         carries out a command; its answer has why not, or ""               done
drain      handles what its queue and the other workers' sockets hold;        drained
           its answer has the counters
look       its answer has the judge's export of what is decided so far       looked
judge      decides what is open; its answer has the judge's export            judged
seal       drains, and reads its queue no more                                sealed
finish     takes what others have handed over, closes its files, and ends;    finished
           its answer has the counters
=========  =================================================================  ============

Unasked it reports its progress and its counters now and then, and at last why it gives up: refused (for
what is wrong with a file of the user's) or crashed. When the control socket closes, the worker ends;
should it be stuck then, a signal ends it. Nothing outlives the run.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
import traceback
from typing import TYPE_CHECKING, Any, Final, NoReturn

import msgspec
import trio

from iotsim.clock import ScaledClock, real_s
from iotsim.errors import IotsimError
from iotsim.link.tun import TunLink
from iotsim.run.collector import settled_memory
from iotsim.run.failure import sole_cause
from iotsim.run.files import Writer
from iotsim.run.folder import ResultsFolder
from iotsim.run.record import Record
from iotsim.run.shards.handover import Owners, ShardLink
from iotsim.simulation.commands import decode_command
from iotsim.simulation.journal import Recording
from iotsim.simulation.rebinding import moved_addresses
from iotsim.simulation.simulation import Simulation
from iotsim.simulation.watchdog import Rescue
from iotsim.testbed import channel, linux
from iotsim.testbed.privileges import drop_privileges

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping
    from pathlib import Path

    from iotsim.events import EventSink
    from iotsim.expect.judge import Judge
    from iotsim.scenario.model import Scenario
    from iotsim.simulation.counters import Progress
    from iotsim.simulation.shard import Shard

HELD_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Those that the run's process holds back while it forks, so that a worker begins in peace."""
REPORT_INTERVAL_S = 0.1
COUNTERS_INTERVAL_S = 1.0
LAST_WORDS_S = 10
"""After the end of the run's process, what is on its way to disk may take this long."""
TRACEBACK_CHARACTERS = 8000


def work(
    scenario: Scenario,
    folder: Path,
    shard: Shard,
    control: socket.socket,
    peers: Mapping[int, socket.socket],
) -> None:
    """The life of a forked worker; never returns."""
    status = 1
    try:
        _heed_signals()
        clock = None if scenario.pace == 1 else ScaledClock(scenario.pace)
        trio.run(Worker(scenario, folder, shard, control, peers).run, clock=clock)
        status = 0
    except BaseException as error:
        cause = sole_cause(error)
        with contextlib.suppress(OSError):  # else the run's process has gone
            if isinstance(cause, IotsimError):
                _report(control, "refused", str(cause))
            else:
                text = "".join(traceback.format_exception(cause))
                _report(control, "crashed", text[-TRACEBACK_CHARACTERS:])
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
        # Not the interpreter's way out, which would run what the parent has yet to run.
        os._exit(status)


def _heed_signals() -> None:
    """Be ended by the run's process alone, and not outlive it."""

    def end_soon(_number: int, _frame: object) -> None:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(LAST_WORDS_S)

    # What the terminal sends is for the run's process to heed; it tells us when to end.
    for number in HELD_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_SIGNALS)
    signal.signal(signal.SIGALRM, end_soon)
    linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGALRM)


def _report(control: socket.socket, event: str, content: Any = None) -> None:
    """Send `event`; its content, of any size, travels in a memory file."""
    if content is None:
        channel.send(control, {"event": event})
        return
    with os.fdopen(os.memfd_create("iotsim", os.MFD_CLOEXEC), "wb") as memory:
        memory.write(msgspec.msgpack.encode(content))
        memory.flush()
        channel.send(control, {"event": event}, (memory.fileno(),))


class Worker:
    def __init__(
        self,
        scenario: Scenario,
        folder: Path,
        shard: Shard,
        control: socket.socket,
        peers: Mapping[int, socket.socket],
    ) -> None:
        self._scenario = scenario
        self._folder = folder
        self._shard = shard
        self._control = control
        self._peers = peers
        self._simulation: Simulation

    async def run(self) -> None:
        """Serve until told to finish, or until the control socket closes."""
        self._control.setblocking(False)
        start = await self._receive()
        if start is None:
            return
        if start.values["drop_privileges"]:
            drop_privileges(self._folder, *self._scenario.folders)
        recording = Recording(*start.values["recording"])
        zero: float = start.values["zero"]
        counter = time.perf_counter  # CLOCK_MONOTONIC, which all processes share
        pace = self._scenario.pace
        link = self._make_link(start)
        self._simulation = simulation = Simulation(
            self._scenario,
            link,
            seed=self._scenario.seed,
            clock=(lambda: counter() - zero) if pace == 1 else (lambda: (counter() - zero) * pace),
            shard=self._shard,
            recording=recording,
            rescue=Rescue(self._give_up, lambda _on_duty: None),
            wall_time=start.values["wall_time"],
            live=start.values["live"],
        )
        with Writer() as writer:
            record = Record(
                ResultsFolder(self._folder),
                self._scenario,
                simulation.journal,
                writer,
                wall_time=start.values["wall_time"],
                interface=link.name,
                part=f"shard{self._shard.number}",
                capture=recording.packets,
                fleets=simulation.fleets.values(),
            )
            if record.has_bounds:
                simulation.journal.add_event_sink(_marking_failures(simulation.judge, record))
            with settled_memory():
                try:
                    await self._live(link)
                finally:
                    simulation.journal.flush()
        losses = record.close()
        link.close()
        # They are told only when everything they count is on disk.
        counters = simulation.counters()
        counters.notes = losses
        await self._send("finished", counters)

    async def _live(self, link: ShardLink) -> None:
        simulation = self._simulation
        link.connect(simulation)
        async with trio.open_nursery() as nursery:
            await nursery.start(simulation.run)
            await self._send("started")
            nursery.start_soon(self._report_progress)
            nursery.start_soon(self._report_counters)
            while (message := await self._receive()) is not None:
                match message.values["op"]:
                    case "boot":
                        simulation.boot(message.values["t"])
                    case "ready":
                        simulation.ready(message.values["t"])
                    case "happened":
                        simulation.happened(message.values["name"], message.values["t"])
                    case "do":
                        await self._send("done", _carry_out(simulation, message.values["command"]))
                    case "drain":
                        simulation.drain()
                        await self._send("drained", simulation.counters())
                    case "look":
                        await self._send("looked", simulation.judge.snapshot())
                    case "judge":
                        heard = simulation.heard.is_set()
                        export = simulation.judge.export(message.values["t"], gateway_heard=heard)
                        await self._send("judged", export)
                    case "seal":
                        simulation.drain()
                        link.seal()
                        await self._send("sealed")
                    case "finish":
                        break
            nursery.cancel_scope.cancel()
        simulation.drain()

    def _give_up(self, why: str) -> NoReturn:
        self._control.setblocking(True)
        _report(self._control, "refused", why)
        os._exit(1)

    async def _report_progress(self) -> None:
        """Tell how far we are, as often as that changes."""
        told: Progress | None = None
        while True:
            progress = self._simulation.progress()
            if progress != told:
                told = progress
                await self._send("progress", progress)
            await trio.sleep(real_s(REPORT_INTERVAL_S))

    async def _report_counters(self) -> None:
        while True:
            await trio.sleep(real_s(COUNTERS_INTERVAL_S))
            await self._send("counters", self._simulation.counters())

    def _make_link(self, start: channel.Message) -> ShardLink:
        values = start.values
        link = TunLink(
            start.fds, name=values["interface"], mtu=values["mtu"], offload=values["offload"]
        )
        owners = Owners(
            [
                (block.first, block.count)
                for fleet in self._scenario.fleets
                for block in fleet.blocks
            ],
            self._scenario.link.broadcasts,
            self._shard.shards,
            self._shard.number,
            moved_addresses(self._scenario.faults),
        )
        return ShardLink(link, owners, self._shard, self._peers)

    async def _receive(self) -> channel.Message | None:
        while True:
            try:
                return channel.receive(self._control)
            except BlockingIOError:
                await trio.lowlevel.wait_readable(self._control)

    async def _send(self, event: str, content: Any = None) -> None:
        while True:
            try:
                _report(self._control, event, content)
            except BlockingIOError:
                await trio.lowlevel.wait_writable(self._control)
            else:
                return


def _carry_out(simulation: Simulation, command: Any) -> str:
    """Do `command`; why that cannot be done, or ""."""
    try:
        simulation.do(decode_command(command))
    except IotsimError as error:
        return str(error)
    return ""


def _marking_failures(judge: Judge, record: Record) -> EventSink:
    """What marks in `record` where an expectation has failed: of decisions, only the run's process has
    events, and too late for that."""
    failed = 0

    def mark(_events: object) -> None:
        nonlocal failed
        before, failed = failed, judge.verdicts().count(False)
        if failed > before:
            record.mark()

    return mark
