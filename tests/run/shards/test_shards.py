"""Several processes simulate what one would, and whatever becomes of one of them is told."""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from iotsim.errors import IotsimError
from iotsim.events import IN, ExpectationDecided, Note, Received
from iotsim.expect.judge import Judge
from iotsim.expect.slots import FleetView
from iotsim.expect.spec import ExpectSpec
from iotsim.expect.watcher import quantified
from iotsim.results.jsonl import EventEncoder
from iotsim.results.pcapng import LINKTYPE_RAW, PcapngWriter
from iotsim.run.failure import sole_cause
from iotsim.run.shards import process, shards
from iotsim.run.shards.handover import Owners, ShardLink
from iotsim.run.shards.process import WorkerProcess, dismiss_workers, fork_workers, make_peers
from iotsim.run.shards.shards import TICK_S, Shards, combine
from iotsim.scenario import load_text
from iotsim.simulation.commands import Reboot
from iotsim.simulation.counters import Counters, Progress
from iotsim.simulation.journal import EVERYTHING
from iotsim.simulation.shard import Shard
from iotsim.simulation.simulation import Simulation
from iotsim.testbed import channel
from iotsim.wire import icmpv6, ipv4, ipv6, udp, virtio
from iotsim.wire.address import parse_address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from trio.testing import MockClock

    from iotsim.events import Event, PacketRecord
    from iotsim.scenario.model import Scenario

# --- the parts of fleets and of verdicts ------------------------------------------------------


@given(st.integers(1, 5), st.integers(0, 40))
def test_each_device_is_in_one_shard(count: int, devices: int) -> None:
    owned = [Shard(number, count).owned(devices) for number in range(count)]
    assert sorted(index for part in owned for index in part) == list(range(devices))
    assert max(map(len, owned)) - min(map(len, owned)) <= 1


def verdict_so_far(quantifier: str, devices: list[str]) -> bool | None:
    """What a judge of these devices says."""
    held, broken = devices.count("held"), devices.count("broken")
    decided = held > 0 if quantifier in ("any", "none") else broken > 0
    if decided or held + broken == len(devices):
        return quantified(quantifier, held, broken)
    return None


@given(
    st.sampled_from(["each", "device", "any", "none"]),
    st.lists(st.lists(st.sampled_from(["pending", "held", "broken"]), max_size=3), max_size=4),
)
def test_shards_decide_what_one_judge_would(quantifier: Any, parts: list[list[str]]) -> None:
    spec = ExpectSpec(name="x", kind="within", quantifier=quantifier)
    together = combine(spec, [verdict_so_far(quantifier, part) for part in parts])
    assert together == verdict_so_far(quantifier, [state for part in parts for state in part])


def test_a_pool_is_decided_at_the_end_only() -> None:
    spec = ExpectSpec(name="x", kind="within", quantifier="all")
    assert combine(spec, [True, True]) is None
    assert combine(spec, [False, None]) is None


# --- simulations that share a link ------------------------------------------------------------

SCENARIO = """
[scenario]
duration = "10s"
[link]
queues = 2
[devices.meter]
count = 5
address = ["10.77.1.1", "fd77::1:1"]
protocol = "sensornet"
state = { reads = 0 }
groups = ["224.0.1.187", "ff02::fd"]
[[devices.meter.rules]]
when = { kind = "READ" }
set = { reads = "=state.reads + 1" }
reply = { kind = "REPORT", value = "=state.reads" }
"""
ONE_METER = """
[[expect]]
name = "one meter is read"
each = "meter[0]"
receives = { kind = "READ" }
within = "10s"
"""
GATEWAY, GATEWAY6 = parse_address("10.77.0.1"), parse_address("fd77::1")


class Queue:
    """A queue of an interface: frames `waiting` to be read, and those `sent`."""

    kind, name, mtu = "tun", "test0", 1500

    def __init__(self) -> None:
        self.fds = (os.eventfd(0),)
        self.waiting: list[bytes] = []
        self.sent: list[bytes] = []

    def receive_nowait(self, limit: int) -> list[bytes]:
        taken, self.waiting = self.waiting[:limit], self.waiting[limit:]
        return taken

    def send_nowait(self, frame: bytes) -> bool:
        self.sent.append(frame)
        return True

    def send_all(self, frames: Sequence[bytes]) -> int:
        self.sent.extend(frames)
        return 0

    def statistics(self) -> dict[str, int]:
        return {"sent": len(self.sent), "send_dropped": 0}

    def close(self) -> None:
        os.close(self.fds[0])


class Pair:
    """Two simulations, each of a half of the devices, with a queue each."""

    def __init__(self, scenario: Scenario) -> None:
        self.now = 0.0
        self.codec = scenario.fleets[0].services[0].protocol.codec
        self.queues = (Queue(), Queue())
        self.simulations: list[Simulation] = []
        self._peers = make_peers()
        blocks = [(block.first, block.count) for fleet in scenario.fleets for block in fleet.blocks]
        for number in range(2):
            shard = Shard(number, 2)
            owners = Owners(blocks, scenario.link.broadcasts, 2, number)
            queue: Any = self.queues[number]
            link = ShardLink(queue, owners, shard, {1 - number: self._peers[number]})
            simulation = Simulation(scenario, link, seed=1, clock=lambda: self.now, shard=shard)
            link.connect(simulation)
            simulation.ready(0.0)
            self.simulations.append(simulation)

    def ask(self, destination: str, queue: int) -> list[tuple[int, float]]:
        """The answers to a READ that comes by `queue`: the device's place, and the value."""
        address = parse_address(destination)
        payload = self.codec.encode({"kind": "READ", "device": 7, "seq": 1})
        build, source = (
            (ipv6.build_ipv6, GATEWAY6) if ":" in destination else (ipv4.build_ipv4, GATEWAY)
        )
        packet = build(
            source, address, udp.PROTOCOL, udp.build_udp(source, address, 4000, 5600, payload)
        )
        return sorted(map(self._answer, self.give(packet, queue)))

    def give(self, packet: bytes, queue: int) -> list[bytes]:
        """Let `packet` come by `queue`; what is sent then."""
        for each in self.queues:
            each.sent.clear()
        self.queues[queue].waiting.append(virtio.PLAIN + packet)
        self.turn()
        return self.queues[0].sent + self.queues[1].sent

    def turn(self) -> None:
        for simulation in self.simulations * 2:
            simulation.pump.turn()

    def _answer(self, frame: bytes) -> tuple[int, float]:
        packet = virtio.complete_checksum(frame)
        source, payload = (packet[8:24], packet[48:]) if packet[0] >> 4 == 6 else (
            packet[12:16],
            packet[28:],
        )  # fmt: skip
        return source[-1], self.codec.decode(payload)["value"]

    def total(self, name: str) -> int:
        return sum(simulation.counters().counts.get(name, 0) for simulation in self.simulations)

    def close(self) -> None:
        for simulation, queue, peer in zip(self.simulations, self.queues, self._peers, strict=True):
            link: Any = simulation.link
            link._epoll.close()
            queue.close()
            peer.close()


@pytest.fixture
def pair_of(tmp_path: Path) -> Iterator[Callable[[str], Pair]]:
    made: list[Pair] = []

    def make(text: str) -> Pair:
        made.append(Pair(load_text(text, tmp_path / "scenario.toml", default_seed=1)))
        return made[-1]

    yield make
    for pair in made:
        pair.close()


def test_a_device_has_one_state_whichever_queue_is_used(pair_of: Callable[[str], Pair]) -> None:
    pair = pair_of(SCENARIO)
    for host in (1, 2):
        values = [pair.ask(f"10.77.1.{host}", queue) for queue in (0, 1, 1, 0)]
        assert values == [[(host, 1.0)], [(host, 2.0)], [(host, 3.0)], [(host, 4.0)]]
    # And whichever of its addresses.
    assert pair.ask("fd77::1:2", 0) == [(2, 5.0)]
    assert [sum(device is not None for device in s.fleets["meter"].devices)
            for s in pair.simulations] == [1, 1]  # fmt: skip
    assert pair.total("packets.received") == pair.total("outcome.answered") == 9


@pytest.mark.parametrize("queue", [0, 1])
@pytest.mark.parametrize("group", ["224.0.1.187", "ff02::fd", "10.77.255.255"])
def test_a_group_hears_a_datagram_once(
    pair_of: Callable[[str], Pair], group: str, queue: int
) -> None:
    pair = pair_of(SCENARIO)
    everybody = range(1, 6)
    assert pair.ask(group, queue) == [(host, 1.0) for host in everybody]
    assert pair.ask(group, 1 - queue) == [(host, 2.0) for host in everybody]
    assert pair.total("packets.received") == pair.total("outcome.answered") == 2
    assert pair.total("packets.recorded") == 0  # not flushed yet
    recorded = [len(s.journal.packets) for s in pair.simulations]
    assert sum(recorded) == 2 + 2 * len(everybody)


SPEAKS = """
[devices.hub]
count = 2
address = "10.77.2.1"
protocol = "sensornet"
[[devices.hub.rules]]
after = "1s"
to = "{}:5600"
send = {{ kind = "READ", device = 7, seq = 1 }}
"""


@pytest.mark.parametrize(
    ("to", "meters", "copied"),
    [("10.77.1.2", [1], 0), ("10.77.1.1", [0], 0), ("224.0.1.187", [0, 1, 2, 3, 4], 2)],
)
def test_devices_hear_those_of_another_process(
    pair_of: Callable[[str], Pair], to: str, meters: list[int], copied: int
) -> None:
    pair = pair_of(SCENARIO + SPEAKS.format(to))
    for simulation in pair.simulations:
        simulation.boot(0.0)
    for pair.now in (1.0, 1.002, 1.004, 1.006):
        pair.turn()
    heard = Counter(
        event.device
        for simulation in pair.simulations
        for event in simulation.journal.events
        if isinstance(event, Received)
    )
    answers = {f"hub[{number}]": len(meters) for number in range(2)}
    assert heard == {**{f"meter[{number}]": 2 for number in meters}, **answers}
    assert pair.total("between_devices.packets") == 2 + 2 * len(meters)
    assert pair.total("between_devices.outcome.answered") == 2
    assert pair.total("between_devices.outcome.consumed.no-rule") == 2 * len(meters)
    assert pair.total("link.copied") == copied
    assert pair.total("packets.received") == 0
    assert len(pair.queues[0].sent + pair.queues[1].sent) == copied


def test_a_ping_to_all_hosts_is_answered_once_by_each(pair_of: Callable[[str], Pair]) -> None:
    pair = pair_of(SCENARIO)
    everybody = parse_address("ff02::1")
    echo = icmpv6.build_icmpv6(GATEWAY6, everybody, icmpv6.ECHO_REQUEST, 0, 1, b"ping")
    packet = ipv6.build_ipv6(GATEWAY6, everybody, icmpv6.PROTOCOL, echo)
    sources = [frame[10 + 8 : 10 + 24][-1] for frame in pair.give(packet, 1)]
    assert sorted(sources) == [1, 2, 3, 4, 5]
    assert pair.total("packets.received") == 1


def test_delayed_answers_of_a_group_leave_nothing_pending(pair_of: Callable[[str], Pair]) -> None:
    pair = pair_of(SCENARIO + 'delay = "1s"\n')
    assert pair.ask("10.77.1.1", 0) == []
    assert pair.ask("224.0.1.187", 0) == []
    assert pair.total("outcome.pending") == 2
    pair.now = 1.5
    pair.turn()
    assert len(pair.queues[0].sent + pair.queues[1].sent) == 6
    assert pair.total("outcome.pending") == 0
    assert pair.total("outcome.answered") == pair.total("packets.received") == 2


def test_devices_of_others_do_not_keep_a_run_from_being_settled(
    pair_of: Callable[[str], Pair],
) -> None:
    pair = pair_of(SCENARIO + ONE_METER)
    verdicts = [simulation.progress().verdicts for simulation in pair.simulations]
    assert verdicts == [[None], [True]]
    pair.ask("10.77.1.1", 1)
    assert [s.progress().verdicts for s in pair.simulations] == [[True], [True]]


# --- the processes ----------------------------------------------------------------------------


class Partner:
    """A process that stands for a worker, and the worker's end of its control socket."""

    def __init__(self, number: int) -> None:
        ours, self.sock = channel.make_pair()
        ours.setblocking(False)
        self.process = subprocess.Popen([sys.executable, "-ISc", "input()"], stdin=subprocess.PIPE)
        self.worker = WorkerProcess(number, self.process.pid, ours)

    def report(self, event: str, content: Any = None) -> None:
        memory = os.memfd_create("test")
        os.write(memory, msgspec.msgpack.encode(content))
        channel.send(self.sock, {"event": event}, (memory,))
        os.close(memory)

    def request(self) -> Any:
        message = channel.receive(self.sock)
        assert message is not None
        for fd in message.fds:
            os.close(fd)
        return message.values

    def die(self, number: int) -> None:
        self.process.send_signal(number)
        self.sock.close()

    def leave(self) -> None:
        """Let it end by itself, for the run to see how."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        self.process.stdin.close()
        os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOWAIT)

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
        self.sock.close()
        self.worker.control.close()


@pytest.fixture
def partners() -> Iterator[list[Partner]]:
    made = [Partner(number) for number in range(2)]
    yield made
    for partner in made:
        partner.close()


@pytest.fixture
def crew(partners: list[Partner], tmp_path: Path) -> Iterator[Shards]:
    scenario = load_text(SCENARIO + ONE_METER, tmp_path / "scenario.toml", default_seed=1)
    with Path(os.devnull).open() as null:
        testbed: Any = SimpleNamespace(fds=[null.fileno()] * 2, interface="test0", offload=True)
        yield Shards(
            scenario,
            [partner.worker for partner in partners],
            testbed,
            clock=lambda: 1.0,
            zero=0.0,
            wall_time=0.0,
            drop_privileges=False,
            recording=EVERYTHING,
        )


async def test_it_has_started_when_all_workers_have(crew: Shards, partners: list[Partner]) -> None:
    async with trio.open_nursery() as nursery:
        started = trio.Event()

        async def start() -> None:
            await nursery.start(crew.run)
            started.set()

        nursery.start_soon(start)
        await trio.testing.wait_all_tasks_blocked()
        assert partners[0].request()["op"] == "start"
        partners[0].report("started")
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert not started.is_set()
        partners[1].report("started")
        await started.wait()
        nursery.cancel_scope.cancel()


async def test_what_is_wrong_with_a_users_file_is_told_as_such(
    crew: Shards, partners: list[Partner]
) -> None:
    for partner in partners:
        partner.report("refused", "meter.py: no class Meter")
    with pytest.raises(ExceptionGroup) as raised:
        async with trio.open_nursery() as nursery:
            await nursery.start(crew.run)
    cause = sole_cause(raised.value)
    assert isinstance(cause, IotsimError)
    assert str(cause) == "meter.py: no class Meter"


async def start(crew: Shards, partners: list[Partner], nursery: trio.Nursery) -> None:
    for partner in partners:
        partner.report("started")
    await nursery.start(crew.run)


async def test_a_worker_that_is_killed_breaks_the_run(
    crew: Shards, partners: list[Partner]
) -> None:
    async with trio.open_nursery() as nursery:
        await start(crew, partners, nursery)
        partners[1].report("counters", Counters(counts={"packets.received": 5}))
        await trio.testing.wait_all_tasks_blocked(0.01)
        partners[1].die(signal.SIGKILL)
        with trio.fail_after(5):
            await crew.broken.wait()
            # The other one is still asked.
            nursery.start_soon(partial(crew._ask, "drained", op="drain"))
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert [partners[0].request()["op"] for _ in range(2)] == ["start", "drain"]
        nursery.cancel_scope.cancel()
    told = f"worker 1 (process {partners[1].process.pid}) was ended by SIGKILL"
    assert crew.errors == [told]
    assert [event.text for event in crew.journal.events if isinstance(event, Note)] == [told]
    # What it had counted is not forgotten.
    assert crew.counters().counts["packets.received"] == 5


async def test_a_crash_is_an_error_with_its_traceback_in_the_events(
    crew: Shards, partners: list[Partner]
) -> None:
    async with trio.open_nursery() as nursery:
        await start(crew, partners, nursery)
        partners[0].report("crashed", "Traceback\n  some line\nValueError: oh")
        with trio.fail_after(5):
            await crew.broken.wait()
        nursery.cancel_scope.cancel()
    [error] = crew.errors
    assert error.endswith(" crashed: ValueError: oh")
    [note] = [event for event in crew.journal.events if isinstance(event, Note)]
    assert "some line" in note.text


async def test_a_worker_that_never_answers_is_ended(
    autojump_clock: MockClock, crew: Shards, partners: list[Partner]
) -> None:
    partners[0].report("started")
    async with trio.open_nursery() as nursery:
        await nursery.start(crew.run)
        nursery.cancel_scope.cancel()
    assert "worker 1" in crew.errors[0]
    assert "has not answered for 60 s" in crew.errors[0]
    assert partners[1].process.wait() == -signal.SIGKILL


async def serve(
    partner: Partner,
    crew: Shards,
    *,
    heard: Sequence[int] = (),
    unknown: str = "",
    seen: list[str] | None = None,
) -> None:
    """Answer as a worker whose devices of these numbers were read at t = 0.5 s, and to which the device
    `unknown` is; what it is asked, and its number, are added to `seen`."""
    number = partner.worker.number
    judge = Judge(crew._specs, {"meter": FleetView("meter", 5, Shard(number, 2).owned(5))})
    judge.gateway_ready(0.0)
    for index in heard:
        device: Any = SimpleNamespace(index=index, name=f"meter[{index}]", state={})
        for observe in judge.observers("meter", "receives"):
            observe(device, {"kind": "READ"}, 0.5)
    progress = Progress(received=2 + number, verdicts=judge.verdicts())
    partner.report("started")
    partner.report("progress", progress)
    answers = {
        "look": lambda: ("looked", judge.snapshot()),
        "drain": lambda: ("drained", None),
        "judge": lambda: ("judged", judge.export(1.0)),
        "seal": lambda: ("sealed", None),
        "finish": lambda: ("finished", Counters(counts={"packets.received": 2 + number})),
    }
    while True:
        await trio.lowlevel.wait_readable(partner.sock)
        request = partner.request()
        op = request["op"]
        if seen is not None:
            seen.append(f"{op} {number}")
        if op == "do":
            refused = unknown and unknown in str(request["command"])
            partner.report("done", f"no {unknown} here" if refused else "")
        if op in answers:
            event, content = answers[op]()
            partner.report(event, content)
            progress.verdicts = judge.verdicts()
            partner.report("progress", progress)


async def test_all_workers_are_told_when_devices_boot_and_windows_begin(
    crew: Shards, partners: list[Partner]
) -> None:
    async with trio.open_nursery() as nursery:
        await start(crew, partners, nursery)
        crew.boot(0.5)
        crew.ready(0.75)
        for partner in partners:
            told = [partner.request() for _ in range(3)][1:]
            assert told == [{"op": "boot", "t": 0.5}, {"op": "ready", "t": 0.75}]
        nursery.cancel_scope.cancel()


async def test_a_command_is_done_when_no_worker_refuses_it(
    crew: Shards, partners: list[Partner]
) -> None:
    async with trio.open_nursery() as nursery:
        seen: list[str] = []
        nursery.start_soon(partial(serve, partners[0], crew, seen=seen))
        nursery.start_soon(partial(serve, partners[1], crew, seen=seen))
        await nursery.start(crew.run)
        await crew.do(Reboot("meter[3]"))
        # Whose device it is, is for them to know.
        assert {"do 0", "do 1"} <= set(seen)
        nursery.cancel_scope.cancel()


async def test_what_one_worker_refuses_is_refused(crew: Shards, partners: list[Partner]) -> None:
    ends: list[str] = []

    async def do(target: str) -> None:
        try:
            await crew.do(Reboot(target))
        except IotsimError as error:
            ends.append(f"{target}: {error}")
        else:
            ends.append(f"{target}: done")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve, partners[0], crew)
        nursery.start_soon(partial(serve, partners[1], crew, unknown="pump"))
        await nursery.start(crew.run)
        async with trio.open_nursery() as at_once:
            for target in ("pump", "meter[1]", "pump", "meter[2]"):
                at_once.start_soon(do, target)
        nursery.cancel_scope.cancel()
    refused = "pump: no pump here"
    assert sorted(ends) == ["meter[1]: done", "meter[2]: done", refused, refused]


async def test_no_worker_finishes_before_all_read_no_more(
    crew: Shards, partners: list[Partner]
) -> None:
    seen: list[str] = []
    async with trio.open_nursery() as nursery:
        for partner in partners:
            nursery.start_soon(partial(serve, partner, crew, seen=seen))
        async with trio.open_nursery() as living:
            await living.start(crew.run)
            await crew.conclude(1.0, lambda: None)
            living.cancel_scope.cancel()
        seen.clear()
        with trio.fail_after(5):
            await crew.finish()
        nursery.cancel_scope.cancel()
    assert sorted(seen[:2]) == ["seal 0", "seal 1"]
    assert sorted(seen[2:]) == ["finish 0", "finish 1"]
    assert crew.counters().counts["packets.received"] == 5
    assert crew.errors == []


@pytest.mark.parametrize(
    ("ends", "how"), [(True, "ended with status 0"), (False, "does not listen any more")]
)
async def test_a_worker_that_goes_before_its_time_breaks_the_run(
    autojump_clock: MockClock, crew: Shards, partners: list[Partner], ends: bool, how: str
) -> None:
    async with trio.open_nursery() as nursery:
        await start(crew, partners, nursery)
        if ends:
            partners[0].leave()
        partners[0].sock.close()
        await crew.broken.wait()
        nursery.cancel_scope.cancel()
    assert crew.errors == [f"worker 0 (process {partners[0].process.pid}) {how}"]


async def test_verdicts_of_all_shards_make_decisions(crew: Shards, partners: list[Partner]) -> None:
    events: list[Event] = []
    told = trio.Event()
    crew.journal.add_event_sink(events.extend)
    crew.journal.add_event_sink(lambda _: told.set())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(serve, partners[0], crew, heard=[0]))
        partners[1].report("started")
        await nursery.start(crew.run)
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert crew.progress().received == 2
        assert not crew.settled.is_set()
        nursery.start_soon(serve, partners[1], crew)
        with trio.fail_after(5):
            await crew.settled.wait()
            await told.wait()
        assert crew.progress().received == 5
        nursery.cancel_scope.cancel()
    [decided] = events
    assert isinstance(decided, ExpectationDecided)
    outcome = decided.outcome
    assert (outcome.name, outcome.passed, outcome.t) == ("one meter is read", True, 0.5)


async def test_what_only_the_end_decides_is_told_by_the_end_alone(
    crew: Shards, partners: list[Partner]
) -> None:
    async with trio.open_nursery() as nursery:
        for partner in partners:
            nursery.start_soon(serve, partner, crew)
        await nursery.start(crew.run)
        with trio.fail_after(5):
            findings = await crew.conclude(1.0, lambda: None)
        await trio.sleep(3 * TICK_S)
        assert crew.progress().verdicts == [False]
        assert crew.journal.event_count == 0
        [decided] = crew.judge.tell(findings.outcomes, 1.0)
        assert not decided.outcome.passed
        assert crew.judge.tell(findings.outcomes, 1.0) == []
        nursery.cancel_scope.cancel()


# From Python 3.12 on there is a warning where the tests have threads; the workers do without.
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_workers_are_there_until_they_are_dismissed(tmp_path: Path) -> None:
    scenario = load_text(SCENARIO, tmp_path / "scenario.toml", default_seed=1)
    held = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    workers = fork_workers(scenario, tmp_path, 3)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == held
    assert [worker.number for worker in workers] == [0, 1, 2]
    assert all(os.waitpid(worker.pid, os.WNOHANG) == (0, 0) for worker in workers)
    # One of them is asked for what it cannot do, and says so before it ends.
    workers[1].request(op="start")
    select.select([workers[1].control], [], [], 10)
    message = channel.receive(workers[1].control)
    assert message is not None
    assert message.values == {"event": "crashed"}
    for fd in message.fds:
        with os.fdopen(fd, "rb") as file:
            file.seek(0)
            assert "KeyError" in msgspec.msgpack.decode(file.read())
    began = time.monotonic()
    dismiss_workers(workers)
    assert time.monotonic() - began < process.DISMISSAL_TIMEOUT_S
    for worker in workers:
        with pytest.raises(ChildProcessError):
            os.waitpid(worker.pid, os.WNOHANG)


def test_a_worker_that_is_stuck_is_killed(
    partners: list[Partner], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "DISMISSAL_TIMEOUT_S", 0.05)
    assert partners[0].process.stdin is not None
    partners[0].process.stdin.close()  # this one ends by itself
    began = time.monotonic()
    dismiss_workers([partner.worker for partner in partners])
    assert time.monotonic() - began < 5
    for partner in partners:
        with pytest.raises(ChildProcessError):
            os.waitpid(partner.process.pid, os.WNOHANG)


# --- the files --------------------------------------------------------------------------------


def write_parts(folder: Path) -> None:
    for name, times in (("events", [0.0, 4.0]), ("events.shard0", [1.0]), ("events.shard1", [2.0])):
        encoded = EventEncoder().encode([Note(t, name) for t in times])
        (folder / f"{name}.jsonl").write_bytes(encoded)


def test_events_are_put_together(crew: Shards, tmp_path: Path) -> None:
    write_parts(tmp_path)
    # Its last words were cut off.
    with (tmp_path / "events.shard1.jsonl").open("ab") as file:
        file.write(b'{"event":"no')
    assert crew.put_together(tmp_path) == []
    lines = (tmp_path / "events.jsonl").read_text().splitlines()
    assert [json.loads(line)["t"] for line in lines] == [0.0, 1.0, 2.0, 4.0]
    assert [path.name for path in tmp_path.iterdir()] == ["events.jsonl"]


def test_packets_are_put_together(crew: Shards, tmp_path: Path) -> None:
    packets = [(t, IN, virtio.PLAIN + b"\x45" + bytes(19)) for t in (1.0, 2.0, 3.0)]
    parts: dict[str, list[PacketRecord]] = {
        "capture": [],
        "capture.shard0": packets[::2],
        "capture.shard1": packets[1:2],
    }
    for name, records in parts.items():
        writer = PcapngWriter(LINKTYPE_RAW)
        content = writer.header() + (writer.encode(records) if records else b"")
        (tmp_path / f"{name}.pcapng").write_bytes(content)
    assert crew.put_together(tmp_path) == []
    writer = PcapngWriter(LINKTYPE_RAW)
    assert (tmp_path / "capture.pcapng").read_bytes() == writer.header() + writer.encode(packets)
    assert [path.name for path in tmp_path.iterdir()] == ["capture.pcapng"]


def test_a_full_disk_leaves_the_parts(
    crew: Shards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_parts(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def fail(_parts: object) -> Iterator[bytes]:
        yield b"x"
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shards, "merge_events", fail)
    names = "events.jsonl, events.shard0.jsonl, events.shard1.jsonl"
    assert crew.put_together(tmp_path) == [
        f"{names} could not be put together: No space left on device"
    ]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_control_socket_tells_what_came_before_its_end() -> None:
    ours, theirs = channel.make_pair()
    channel.send(ours, {"op": "never read"})
    channel.send(theirs, {"event": "crashed"})
    theirs.close()
    message = channel.receive(ours)
    assert message is not None
    assert message.values == {"event": "crashed"}
    assert channel.receive(ours) is None
    ours.close()


def test_a_worker_that_is_busy_misses_no_request_however_many_there_are() -> None:
    ours, theirs = channel.make_pair()
    ours.setblocking(False)
    worker = WorkerProcess(0, 0, ours)
    seen: list[int] = []

    def work() -> None:
        time.sleep(0.05)  # until there is no room any more
        while (message := channel.receive(theirs)) is not None:
            seen.append(message.values["number"])

    busy = threading.Thread(target=work)
    busy.start()
    for number in range(2000):
        worker.request(op="happened", number=number)
    ours.close()
    busy.join()
    theirs.close()
    assert seen == list(range(2000))


def test_a_worker_that_takes_no_request_for_long_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "ROOM_TIMEOUT_S", 0.01)
    ours, theirs = channel.make_pair()
    ours.setblocking(False)
    worker = WorkerProcess(0, 0, ours)
    for _ in range(2000):
        worker.request(op="happened")
    assert channel.receive(ours) is None
    ours.close()
    theirs.close()


def test_a_worker_that_a_real_time_signal_has_ended_is_told_of() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    child.send_signal(signal.SIGRTMIN + 6)
    pidfd = os.pidfd_open(child.pid)
    try:
        assert select.select([pidfd], [], [], 20)[0]
        assert process.exit_status(pidfd) == f"was ended by signal {signal.SIGRTMIN + 6}"
    finally:
        os.close(pidfd)
        child.wait()
