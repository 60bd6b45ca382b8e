"""A worker: the process that simulates one shard of all fleets, over one queue of the interface.

It is forked from the run's process before that has an event loop, threads, or a helper, so that it
has the loaded scenario already. The rest comes by its control socket: the queue, and then requests,
each of which has one answer. When that socket closes, the worker ends: nothing outlives the run.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
import traceback
from typing import TYPE_CHECKING, Any

import msgspec
import trio

from iotsim.engine.files import Writer
from iotsim.engine.handover import Owners, ShardLink
from iotsim.engine.journal import Recording
from iotsim.engine.memory import settle_memory
from iotsim.engine.record import Record
from iotsim.engine.simulation import Shard, Simulation
from iotsim.link.tun import TunLink
from iotsim.testbed import channel
from iotsim.testbed.privileges import drop_privileges

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping
    from pathlib import Path

    from iotsim.scenario.model import Scenario

REPORT_INTERVAL_S = 0.1


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
        # What the terminal sends is for the run's process to heed; it tells us when to end.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        trio.run(Worker(scenario, folder, shard, control, peers).run)
        status = 0
    except BrokenPipeError:
        pass  # the run's process has gone
    except BaseException:
        with contextlib.suppress(OSError):
            channel.send(control, {"event": "crashed", "traceback": traceback.format_exc()[-8000:]})
    finally:
        # Not the interpreter's way out, which would run what the parent has yet to run.
        os._exit(status)


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
        for peer in self._peers.values():
            peer.setblocking(False)
        start = await self._receive()
        if start is None:
            return
        if start.values["drop_privileges"]:
            drop_privileges(self._folder)
        recording = Recording(*start.values["recording"])
        zero: float = start.values["zero"]
        counter = time.perf_counter  # CLOCK_MONOTONIC, which all processes share
        link = self._make_link(start)
        self._simulation = simulation = Simulation(
            self._scenario,
            link,
            seed=self._scenario.seed,
            clock=lambda: counter() - zero,
            shard=self._shard,
            recording=recording,
        )
        with Writer(threaded=True) as writer:
            record = Record(
                self._folder,
                self._scenario,
                simulation.journal,
                writer,
                wall_time=start.values["wall_time"],
                interface=link.name,
                part=f"shard{self._shard.number}",
                capture=recording.packets,
            )
            settle_memory()
            try:
                await self._live()
            finally:
                simulation.journal.flush()
        record.close()
        link.close()
        # The books are closed only when everything they count is on disk.
        with contextlib.suppress(OSError):
            books = simulation.books()
            books.notes = record.losses()
            self._send("finished", books)

    async def _live(self) -> None:
        simulation = self._simulation
        async with trio.open_nursery() as nursery:
            await nursery.start(simulation.run)
            nursery.start_soon(self._report)
            while (message := await self._receive()) is not None:
                match message.values["op"]:
                    case "ready":
                        simulation.ready(message.values["t"])
                    case "drain":
                        simulation.drain()
                        self._send("drained")
                    case "judge":
                        heard = simulation.gateway_heard()
                        export = simulation.judge.export(message.values["t"], gateway_heard=heard)
                        self._send("judged", export)
                    case "finish":
                        break
            nursery.cancel_scope.cancel()
        simulation.drain()

    async def _report(self) -> None:
        """Tell how far we are, as long as the run goes on."""
        told: bytes = b""
        while True:
            progress = msgspec.json.encode(self._simulation.progress())
            if progress != told:
                told = progress
                with contextlib.suppress(BlockingIOError):  # it is busy: the next one will do
                    self._send("progress", self._simulation.progress())
            await trio.sleep(REPORT_INTERVAL_S)

    def _make_link(self, start: channel.Message) -> ShardLink:
        values = start.values
        link = TunLink(
            start.fds, name=values["interface"], mtu=values["mtu"], offload=values["offload"]
        )
        owners = Owners(
            [(run.first, run.count) for fleet in self._scenario.fleets for run in fleet.runs],
            self._scenario.link.broadcasts,
            self._shard.shards,
            self._shard.number,
        )
        return ShardLink(link, owners, self._shard, self._peers)

    async def _receive(self) -> channel.Message | None:
        while True:
            try:
                return channel.receive(self._control)
            except BlockingIOError:
                await trio.lowlevel.wait_readable(self._control)

    def _send(self, event: str, content: Any = None) -> None:
        """Report `event`; its content, of any size, travels in a memory file."""
        if content is None:
            channel.send(self._control, {"event": event})
            return
        memory = os.memfd_create("iotsim", os.MFD_CLOEXEC)
        try:
            os.write(memory, msgspec.msgpack.encode(content))
            channel.send(self._control, {"event": event}, (memory,))
        finally:
            os.close(memory)
