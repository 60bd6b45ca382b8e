"""A worker, in the process of the test: what it is asked by its control socket, and what it answers."""

from __future__ import annotations

import json
import os
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import trio

from iotsim.events import CommandDone
from iotsim.link.memory import MemoryLink
from iotsim.results.jsonl import decode_events
from iotsim.run.shards import worker as worker_module
from iotsim.run.shards.handover import Owners, ShardLink
from iotsim.run.shards.worker import Worker
from iotsim.scenario import load_text
from iotsim.simulation.commands import Reboot, encode_command
from iotsim.simulation.counters import Counters, Progress
from iotsim.simulation.journal import EVERYTHING
from iotsim.simulation.shard import Shard
from iotsim.testbed import channel
from iotsim.wire import ipv4, udp, virtio
from iotsim.wire.address import parse_address

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from iotsim.scenario.model import Scenario

METERS = """
[scenario]
name = "meters"
[devices.meter]
count = 6
address = "10.77.1.1"
protocol = "sensornet"
[[devices.meter.rules]]
when = { kind = "READ" }
reply = { kind = "REPORT", value = 1 }
[[expect]]
name = "polled"
each = "meter"
receives = { kind = "READ" }
within = "10s"
"""
GATEWAY = parse_address("10.77.0.1")


class QueueOfMemory(MemoryLink):
    """One end of a memory link with what a queue of an interface has besides: file descriptors."""

    fds: tuple[int, ...] = ()


class Parent:
    """The run's end of a worker's control socket."""

    def __init__(self, scenario: Scenario, folder: Path, shard: Shard) -> None:
        self.scenario = scenario
        self.control, self.theirs = channel.make_pair()
        self.control.setblocking(False)
        self.worker = Worker(scenario, folder, shard, self.theirs, {})
        self.queue, self.link = QueueOfMemory("tun0"), MemoryLink("gateway")
        self.queue.peer, self.link.peer = self.link, self.queue
        self.seen: list[str] = []

    def ask(self, op: str, **values: Any) -> None:
        channel.send(self.control, {"op": op, **values})

    async def answer(self, event: str) -> Any:
        """What the worker says of `event`, after whatever it reports unasked."""
        with trio.fail_after(5):
            while True:
                try:
                    message = channel.receive(self.control)
                except BlockingIOError:
                    await trio.lowlevel.wait_readable(self.control)
                    continue
                assert message is not None
                self.seen.append(message.values["event"])
                content = None
                for fd in message.fds:
                    with os.fdopen(fd, "rb") as file:
                        file.seek(0)
                        content = msgspec.msgpack.decode(file.read())
                if message.values["event"] == event:
                    return content

    def read(self, index: int) -> None:
        """The gateway polls one meter."""
        service = self.scenario.fleets[0].services[0]
        message = {"kind": "READ", "device": index, "seq": 1}
        payload = service.protocol.codec.encode(message)
        device = parse_address("10.77.1.1") + index
        segment = udp.build_udp(GATEWAY, device, 4000, service.port, payload)
        self.link.send_nowait(
            virtio.PLAIN + ipv4.build_ipv4(GATEWAY, device, udp.PROTOCOL, segment)
        )


@pytest.fixture
def parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Parent]:
    scenario = load_text(METERS, tmp_path / "meters.toml", default_seed=1)
    shard = Shard(0, 2)
    parent = Parent(scenario, tmp_path, shard)

    def make_link(self: Worker, start: channel.Message) -> ShardLink:
        blocks = [(block.first, block.count) for block in scenario.fleets[0].blocks]
        return ShardLink(parent.queue, Owners(blocks, (), 2, 0), shard, {})  # type: ignore[arg-type]

    monkeypatch.setattr(Worker, "_make_link", make_link)
    yield parent
    parent.control.close()
    parent.theirs.close()


async def test_a_worker_lives_as_long_as_it_is_asked_to(parent: Parent, tmp_path: Path) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(parent.worker.run)
        parent.ask(
            "start",
            drop_privileges=False,
            live=True,
            recording=EVERYTHING,
            zero=time.perf_counter(),
            wall_time=time.time(),
        )
        await parent.answer("started")
        parent.ask("boot", t=0.0)
        parent.ask("ready", t=0.0)
        for index in (0, 2):
            parent.read(index)
        progress = Progress(received=0)
        while progress.answered < 2:
            progress = msgspec.convert(await parent.answer("progress"), Progress)
        assert progress.verdicts == [None]
        assert progress.heard_at is not None
        parent.ask("look")
        assert (await parent.answer("looked"))["items"][0]["held"] == 2

        parent.ask("do", command=encode_command(Reboot("meter[0:2]")))
        assert await parent.answer("done") == ""
        parent.ask("do", command=encode_command(Reboot("pump")))
        assert "no devices called 'pump'" in await parent.answer("done")

        parent.read(4)
        parent.ask("drain")
        await parent.answer("drained")
        parent.ask("judge", t=1.0)
        export = await parent.answer("judged")
        assert export["gateway_heard"] is True
        assert export["items"][0]["held"] == 3  # of three, for the others are not its own
        parent.ask("seal")
        await parent.answer("sealed")
        parent.read(0)  # what comes now is left unread
        parent.ask("finish")
        counters = msgspec.convert(await parent.answer("finished"), Counters)
    assert counters.counts["packets.received"] == 3
    assert counters.counts["outcome.answered"] == 3
    with (tmp_path / "events.shard0.jsonl").open("rb") as lines:
        events = list(decode_events(lines))
    rebooted = [
        event.device
        for event in events
        if hasattr(event, "device") and "id" not in event.__struct_fields__
    ]
    assert rebooted == ["meter[0]"]
    assert [event for event in events if isinstance(event, CommandDone)]
    assert (tmp_path / "capture.shard0.pcapng").stat().st_size > 3 * 60


async def test_a_worker_ends_when_the_run_has_gone(parent: Parent) -> None:
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(parent.worker.run)
            parent.control.close()


async def test_a_worker_whose_run_goes_in_the_middle_still_writes_its_files(
    parent: Parent, tmp_path: Path
) -> None:
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:

            async def run() -> None:
                with pytest.raises(OSError, match=r"pipe|reset"):
                    await parent.worker.run()

            nursery.start_soon(run)
            parent.ask(
                "start",
                drop_privileges=False,
                live=False,
                recording=EVERYTHING,
                zero=time.perf_counter(),
                wall_time=time.time(),
            )
            await parent.answer("started")
            parent.read(0)
            while "progress" not in parent.seen:
                await parent.answer("progress")
            await trio.sleep(0.05)
            parent.control.close()
    lines = (tmp_path / "events.shard0.jsonl").read_text().splitlines()
    assert "received" in {json.loads(line)["event"] for line in lines}


def test_why_a_worker_gives_up_is_told(parent: Parent, monkeypatch: pytest.MonkeyPatch) -> None:
    statuses: list[int] = []
    monkeypatch.setattr(worker_module.os, "_exit", statuses.append)
    parent.worker._give_up("a device has kept all others waiting")
    message = channel.receive(parent.control)
    assert message is not None
    assert (message.values["event"], statuses) == ("refused", [1])
    os.close(message.fds[0])


def test_what_was_recorded_is_marked_where_an_expectation_has_failed() -> None:
    verdicts: list[bool | None] = [None, None, None]
    marks: list[list[bool | None]] = []
    judge: Any = SimpleNamespace(verdicts=lambda: verdicts)
    record: Any = SimpleNamespace(mark=lambda: marks.append(list(verdicts)))
    sink = worker_module._marking_failures(judge, record)
    for number, verdict in ((1, None), (1, True), (0, False), (0, False), (2, False)):
        verdicts[number] = verdict
        sink([])
    assert marks == [[False, True, None], [False, True, False]]
