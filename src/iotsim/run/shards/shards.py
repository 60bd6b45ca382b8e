"""A crew of several processes, each with a queue of the interface and a shard of all fleets.

The workers are forked first of all (`process.fork_workers`), while this process is still small and single.
Each has a control socket, by which it gets its queue, is asked, and answers, and each pair has a
socket for the packets that one reads and the other owns. Expectations are judged by every worker for
its own devices, and merged; those about the gateway's process are judged here.

The end of a run has three steps for all workers, each begun when all have done the one before: to
judge, to leave the queues unread, and to finish. So nothing that one hands over comes too late for
the other, and every packet that was read has been counted.

A worker that dies ends the run with an error. What it had written is on disk, and is kept.

An expectation that pools its devices (``all``) is decided at the end only, while a single process
would see at once that, say, too many messages came: no worker knows what the others have seen. The
verdict is the same; a run until everything is settled just lasts longer.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec
import trio

from iotsim.clock import real_s
from iotsim.errors import IotsimError
from iotsim.events import Note
from iotsim.expect.judge import Judge
from iotsim.expect.report import Findings, merge
from iotsim.expect.slots import FleetView
from iotsim.results.merge import merge_captures, merge_events
from iotsim.run.crew import report_northbound
from iotsim.run.shards.process import WorkerProcess, ending_of
from iotsim.simulation.commands import encode_command
from iotsim.simulation.counters import Counters, Progress, add_counters, add_progress
from iotsim.simulation.journal import Journal, Recording
from iotsim.simulation.shard import Shard
from iotsim.simulation.timers import Timers
from iotsim.testbed import channel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from iotsim.expect.spec import ExpectSpec
    from iotsim.scenario.model import Scenario
    from iotsim.simulation.commands import Command
    from iotsim.testbed.bed import Testbed

TICK_S = 0.1
MOST_TIMERS = 64
ANSWER_TIMEOUT_S = 60.0
"""Longer than any worker takes that is alive: it may have a million devices to judge."""


class Shards:
    """See `iotsim.run.crew.Crew`."""

    def __init__(
        self,
        scenario: Scenario,
        workers: Sequence[WorkerProcess],
        testbed: Testbed,
        *,
        clock: Callable[[], float],
        zero: float,
        wall_time: float,
        drop_privileges: bool,
        recording: Recording,
        live: bool = False,
    ) -> None:
        parties = Shard(0, len(workers)).parties
        self.journal = Journal(first=parties, step=parties)
        self.settled = trio.Event()
        self.heard = trio.Event()
        self.broken = trio.Event()
        self.errors: list[str] = []
        self._specs = scenario.expectations
        views = {
            spec.name: FleetView(spec.name, spec.count, owned=range(0)) for spec in scenario.fleets
        }
        self.judge = Judge(scenario.expectations, views, scenario.tolerance)
        self._workers = workers
        self._testbed = testbed
        self._clock = clock
        self._told: set[int] = set()
        self._judged = False
        self._timers = Timers()
        self._timer_set = trio.Event()
        self._timers.on_earliest = lambda _due: self._timer_set.set()
        self.call_at = self._timers.call_at
        self.on_held: Callable[[str, float], object] = lambda _name, _t: None
        self._doing = trio.Lock()
        """One command at a time: an answer does not say whose it is."""
        self._refusal = ""
        self._start = {
            "op": "start",
            "zero": zero,
            "wall_time": wall_time,
            "interface": testbed.interface,
            "offload": testbed.offload,
            "mtu": scenario.link.mtu,
            "drop_privileges": drop_privileges,
            "recording": recording,
            "live": live,
        }

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """IotsimError if a worker could not even start, by a user's fault."""
        async with trio.open_nursery() as nursery:
            for worker, fd in zip(self._workers, self._testbed.fds, strict=True):
                worker.request((fd,), **self._start)
                nursery.start_soon(self._listen, worker)
            await self._wait_for("started", self._workers)
            if self._refusal:
                raise IotsimError(self._refusal)
            nursery.start_soon(self._keep_time)
            task_status.started()
            while True:
                await trio.sleep(real_s(TICK_S))
                self.judge.advance(self._clock())
                await self._tell_decisions()
                self.journal.flush()

    def boot(self, now: float) -> None:
        for worker in self._workers:
            worker.request(op="boot", t=now)

    def northbound(self, service: str, fields: Mapping[str, Any], now: float) -> None:
        report_northbound(self.journal, self.judge, service, fields, now)

    async def do(self, command: Command) -> None:
        async with self._doing:
            refusals = await self._ask("done", op="do", command=encode_command(command))
        for refusal in filter(None, refusals):
            raise IotsimError(refusal)

    def do_now(self, command: Command) -> bool:
        return False

    def happened(self, name: str, t: float) -> None:
        self.judge.happened(name, t)
        for worker in self._workers:
            worker.request(op="happened", name=name, t=t)

    async def _keep_time(self) -> None:
        """Fire the timers of `call_at`."""
        while True:
            self._timer_set = trio.Event()
            with trio.move_on_after(max(0.0, self._timers.next_due() - self._clock())):
                await self._timer_set.wait()
            self._timers.fire(self._clock(), MOST_TIMERS)

    def ready(self, now: float) -> None:
        self.judge.gateway_ready(now)
        for worker in self._workers:
            worker.request(op="ready", t=now)

    def wake(self) -> None:
        pass  # the next tick is near

    async def conclude(self, now: float, look: Callable[[], object]) -> Findings:
        self._judged = True
        # What one hands over while it drains, another has to take: so they drain twice.
        for _ in range(2):
            await self._ask("drained", op="drain")
        for worker in self._workers:
            if drained := worker.answers.get("drained"):
                worker.counters = msgspec.convert(drained, Counters)
        look()
        exports = await self._ask("judged", op="judge", t=now)
        return merge([self.judge.export(now), *exports])

    async def finish(self) -> None:
        async with trio.open_nursery() as nursery:
            for worker in self._workers:
                if not worker.dead:
                    nursery.start_soon(self._listen, worker)
            await self._ask("sealed", op="seal")
            await self._ask("finished", op="finish")
            nursery.cancel_scope.cancel()
        for worker in self._workers:
            if "finished" in worker.answers:
                worker.counters = msgspec.convert(worker.answers["finished"], Counters)

    def counters(self) -> Counters:
        own = Counters(counts={"events": self.journal.event_count})
        return add_counters([own, *(worker.counters for worker in self._workers)])

    def progress(self) -> Progress:
        parts = [worker.progress for worker in self._workers]
        return add_progress(parts, self.judge.standings(), self._verdicts())

    def put_together(self, folder: Path) -> list[str]:
        notes = []
        events = [folder / "events.jsonl", *sorted(folder.glob("events.shard*.jsonl"))]
        notes += _merge_files(events, merge_events)
        captures = [folder / "capture.pcapng", *sorted(folder.glob("capture.shard*.pcapng"))]
        if captures[0].exists():
            header = captures[0].read_bytes()  # of the run's own file, which has no packets
            notes += _merge_files(
                captures, lambda files: itertools.chain([header], merge_captures(files))
            )
        return notes

    # --- inside -------------------------------------------------------------------------------

    async def _ask(self, answer: str, **request: Any) -> list[Any]:
        """Send `request` to all workers that live; the content of their `answer`."""
        asked = [worker for worker in self._workers if not worker.dead]
        for worker in asked:
            worker.answers.pop(answer, None)
            worker.request(**request)
        await self._wait_for(answer, asked)
        return [worker.answers[answer] for worker in asked if answer in worker.answers]

    async def _wait_for(self, answer: str, workers: Iterable[WorkerProcess]) -> None:
        """Wait until each of `workers` has given `answer`, or never will."""
        with trio.move_on_after(real_s(ANSWER_TIMEOUT_S)):
            for worker in workers:
                while answer not in worker.answers and not worker.dead:
                    await worker.news.wait()
        for worker in workers:
            if answer not in worker.answers and not worker.dead:
                self._lose(worker, f"has not answered for {ANSWER_TIMEOUT_S:.0f} s")
                os.kill(worker.pid, signal.SIGKILL)

    async def _listen(self, worker: WorkerProcess) -> None:
        """Take what `worker` reports, until it ends."""
        while True:
            try:
                message = channel.receive(worker.control)
            except BlockingIOError:
                await trio.lowlevel.wait_readable(worker.control)
                continue
            if message is None:
                break
            self._take(worker, message)
        if "finished" not in worker.answers:
            self._lose(worker, await ending_of(worker))

    def _take(self, worker: WorkerProcess, message: channel.Message) -> None:
        content: Any = None
        for fd in message.fds:
            with os.fdopen(fd, "rb") as file:
                file.seek(0)
                content = msgspec.msgpack.decode(file.read())
        match message.values["event"]:
            case "progress":
                worker.progress = msgspec.convert(content, Progress)
                if worker.progress.heard_at is not None:
                    self.heard.set()
                if None not in self._verdicts():
                    self.settled.set()
            case "counters":
                worker.counters = msgspec.convert(content, Counters)
            case "refused":
                if "started" not in worker.answers:
                    self._refusal = content
                self._lose(worker, f"gave up: {content}")
            case "crashed":
                self._lose(worker, f"crashed: {content.splitlines()[-1]}", content)
            case answer:
                worker.answers[answer] = content
                worker.tell()

    def _lose(self, worker: WorkerProcess, how: str, details: str = "") -> None:
        """`worker` is of no use any more; there is nothing to wait for."""
        if not worker.dead:
            worker.dead = True
            error = f"{worker} {how}"
            self.errors.append(error)
            self.journal.emit(Note(self._clock(), f"{error}\n{details}" if details else error))
        worker.tell()
        self.broken.set()

    def _verdicts(self) -> list[bool | None]:
        own = self.judge.verdicts()
        parts = [worker.progress.verdicts for worker in self._workers]
        if not all(parts):
            return own if not self._specs else [None] * len(own)
        return [
            own[number]
            if spec.kind == "gateway" or spec.service
            else combine(spec, [part[number] for part in parts])
            for number, spec in enumerate(self._specs)
        ]

    async def _tell_decisions(self) -> None:
        """Report what all shards together have decided by now."""
        verdicts = self._verdicts()
        if None not in verdicts:
            self.settled.set()
        decided = {number for number, verdict in enumerate(verdicts) if verdict is not None}
        if self._judged or decided <= self._told:
            return
        exports = await self._ask("looked", op="look")
        if not self._judged and len(exports) == len(self._workers):
            outcomes = merge([self.judge.snapshot(), *exports]).outcomes
            news = [outcomes[number] for number in sorted(decided - self._told)]
            self._told |= decided
            for decision in self.judge.tell(news, self._clock()):
                self.journal.emit(decision)
                if decision.outcome.passed:
                    self.on_held(decision.outcome.name, self._clock())


def combine(spec: ExpectSpec, verdicts: Sequence[bool | None]) -> bool | None:
    """The verdict of all shards, from each one's; None while more may come."""
    if spec.quantifier == "all":
        return None  # of a pool, a part decides nothing
    decisive = spec.quantifier == "any"
    if decisive in verdicts:
        return decisive
    return None if None in verdicts else not decisive


def _merge_files(
    parts: Sequence[Path], merged: Callable[[Sequence[BinaryIO]], Iterator[bytes]]
) -> list[str]:
    """Put what `merged` makes of `parts` in the place of the first, and remove the others.

    If that cannot be done, since the disk is full, say, the parts stay; what went wrong, in words.
    """
    if len(parts) == 1:
        return []
    target = parts[0].with_name(f".{parts[0].name}.new")
    try:
        with contextlib.ExitStack() as stack:
            files = [stack.enter_context(part.open("rb")) for part in parts]
            out = stack.enter_context(target.open("wb"))
            out.writelines(merged(files))
    except OSError as error:
        target.unlink(missing_ok=True)
        names = ", ".join(part.name for part in parts)
        return [f"{names} could not be put together: {error.strerror}"]
    target.replace(parts[0])
    for part in parts[1:]:
        part.unlink()
    return []
