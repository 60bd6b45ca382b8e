"""Whole simulations over a memory link, in virtual time: hours pass in milliseconds."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from iotsim.events import DeviceFailed, NotSent, Received, Sent, Undecodable
from iotsim.link.memory import MemoryLink
from iotsim.scenario import load_text
from iotsim.simulation.simulation import Simulation
from iotsim.wire import ipv4, udp, virtio
from iotsim.wire.address import parse_address

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trio.testing import MockClock

METERS = """
[scenario]
name = "meters"
[devices.meter]
count = 3
address = "10.77.1.1"
protocol = "sensornet"
[devices.meter.signals]
temperature = { kind = "ramp", start = 10, stop = 20, period = "100s" }
[[devices.meter.rules]]
when = { kind = "READ" }
reply = { kind = "REPORT", value = "=temperature + device.index" }
"""
READ = {"kind": "READ", "device": 7, "seq": 1}


async def test_a_read_is_answered_from_the_address_that_was_asked(
    autojump_clock: MockClock, simulated: Callable[..., Any]
) -> None:
    async with simulated(METERS) as gateway:
        await trio.sleep(50)
        gateway.send("10.77.1.2", READ)
        await trio.sleep(0.001)
        [(source, _, message, _)] = gateway.take()
        assert source == "meter[1]"
        assert (message["kind"], message["device"], message["seq"]) == ("REPORT", 7, 1)
        assert abs(message["value"] - 16) < 1e-4  # half-way up the ramp, and one for the index
        assert gateway.simulation.pump.outcomes == {"answered": 1}


async def test_a_delayed_reply_is_pending_until_it_is_sent(
    autojump_clock: MockClock, simulated: Callable[..., Any]
) -> None:
    async with simulated(METERS + 'delay = "3h"\n') as gateway:
        gateway.send("10.77.1.1", READ)
        await trio.sleep(3 * 3600 - 1)
        outcomes = gateway.simulation.pump.outcomes
        assert gateway.take() == []
        assert outcomes.by_category()["pending"] == 1
        await trio.sleep(2)
        assert len(gateway.take()) == 1
        assert outcomes.by_category() == {"answered": 1, "pending": 0, "consumed": 0, "dropped": 0}


async def test_several_replies_keep_their_order(
    autojump_clock: MockClock, simulated: Callable[..., Any]
) -> None:
    text = METERS.replace(
        'reply = { kind = "REPORT", value = "=temperature + device.index" }',
        'reply = [{ kind = "ACK" }, { kind = "REPORT", value = 1 }]\ndelay = "20ms"',
    )
    async with simulated(text) as gateway:
        gateway.send("10.77.1.1", READ)
        await trio.sleep(1)
        assert [arrival.message["kind"] for arrival in gateway.take()] == ["ACK", "REPORT"]
        assert gateway.simulation.pump.outcomes["answered"] == 1


async def test_a_message_without_a_rule_is_consumed_for_that_reason(
    autojump_clock: MockClock, simulated: Callable[..., Any]
) -> None:
    async with simulated(METERS) as gateway:
        gateway.send("10.77.1.1", {"kind": "ACK", "device": 1, "seq": 2})
        await trio.sleep(1)
        assert gateway.take() == []
        assert gateway.simulation.pump.outcomes == {"consumed.no-rule": 1}


async def test_undecodable_bytes_are_an_event_and_are_answered_as_the_protocol_says(
    autojump_clock: MockClock, simulated: Callable[..., Any]
) -> None:
    async with simulated(METERS) as gateway:
        damaged = bytearray(gateway.run.scenario.fleets[0].services[0].protocol.codec.encode(READ))
        damaged[-1] ^= 1
        gateway.send("10.77.1.1", bytes(damaged))
        gateway.send("10.77.1.1", b"noise")
        await trio.sleep(0.01)
        [(_, _, reply, _)] = gateway.take()
        assert (reply["kind"], reply["error"]) == ("ERROR", "BAD_CRC")
        events = [e for e in gateway.events if isinstance(e, Undecodable)]
        assert [event.path for event in events][:1] == ["crc"]
        assert len(events) == 2
        assert gateway.simulation.pump.outcomes == {"answered": 1, "dropped.undecodable": 1}


async def test_a_rule_that_raises_stops_its_device_alone(
    autojump_clock: MockClock, simulated: Callable[..., Any]
) -> None:
    text = METERS.replace('"=temperature + device.index"', '"=1 / (device.index - 1)"')
    async with simulated(text) as gateway:
        for _ in range(2):
            for last in (1, 2, 3):
                gateway.send(f"10.77.1.{last}", READ)
        await trio.sleep(0.01)
        assert [arrival.device for arrival in gateway.take()] == ["meter[0]", "meter[2]"] * 2
        failures = [e for e in gateway.events if isinstance(e, DeviceFailed)]
        assert [event.device for event in failures] == ["meter[1]"]
        assert "ZeroDivision" in failures[0].traceback or "division" in failures[0].error
        assert gateway.simulation.failed_devices == ["meter[1]"]
        why = gateway.simulation.counters().first_failure
        assert why.startswith("meter[1]: rules[0] (")
        assert why.endswith("/scenario.toml:10): division by zero, in '=1 / (device.index - 1)'")


async def test_what_is_sent_is_judged_as_the_wire_carries_it(
    autojump_clock: MockClock, simulated: Callable[..., Any]
) -> None:
    text = (
        METERS.replace('"=temperature + device.index"', '"=20.1 + 0 * t"')
        + """
[[expect]]
each = "meter"
sends = { version = 1, unit = "NONE", status.alarm = false, value = 20.1, crc = { exists = true } }
within = "5s"
"""
    )
    async with simulated(text) as gateway:
        for last in (1, 2, 3):
            gateway.send(f"10.77.1.{last}", READ)
        await trio.sleep(0.01)
        assert gateway.simulation.judge.verdicts() == [True]


async def test_unsolicited_sendings_come_in_time(
    autojump_clock: MockClock, simulated: Callable[..., Any]
) -> None:
    text = (
        METERS
        + """
[[devices.meter.rules]]
every = "60s"
send = { kind = "REPORT", device = 1, seq = 0, value = 1 }
to = "10.77.0.1:40000"
"""
    )
    async with simulated(text) as gateway:
        await trio.sleep(3600)
        sources = [arrival.device for arrival in gateway.take()]
        assert {source: sources.count(source) for source in sources} == {
            "meter[0]": 60,
            "meter[1]": 60,
            "meter[2]": 60,
        }


async def test_who_has_nobody_to_send_to_says_so(
    autojump_clock: MockClock, simulated: Callable[..., Any]
) -> None:
    text = (
        METERS
        + """
[[devices.meter.rules]]
after = "1s"
send = { kind = "REPORT", device = 1, seq = 0, value = 1 }
"""
    )
    async with simulated(text) as gateway:
        await trio.sleep(2)
        assert gateway.take() == []
        lost = [e for e in gateway.events if isinstance(e, NotSent)]
        assert len(lost) == 3


async def test_a_behavior_that_waits(
    autojump_clock: MockClock, simulated: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "meter.py").write_text(
        """
from iotsim import Device, on

class Meter(Device):
    async def run(self):
        async for tick in self.every("10s"):
            if tick == 3 and self.index == 0:
                raise RuntimeError("worn out")
            await self.send({"kind": "REPORT", "device": self.index, "seq": tick, "value": 0})

    @on(kind="COMMAND")
    def command(self, request):
        return {"kind": "ACK"}
"""
    )
    text = METERS.replace(
        'protocol = "sensornet"', 'protocol = "sensornet"\nbehavior = "meter.py:Meter"'
    )
    async with simulated(text) as gateway:
        for last in (1, 2, 3):
            gateway.send(
                f"10.77.1.{last}", {"kind": "COMMAND", "device": 1, "seq": 9, "code": "IDENTIFY"}
            )
        await trio.sleep(0.001)
        acknowledged = [(d, m["kind"], m["seq"]) for d, _, m, _ in gateway.take()]
        assert sorted(acknowledged) == [(f"meter[{index}]", "ACK", 9) for index in range(3)]
        await trio.sleep(100)
        sources = [arrival.device for arrival in gateway.take()]
        assert (sources.count("meter[0]"), sources.count("meter[1]")) == (3, 10)
        assert gateway.simulation.failed_devices == ["meter[0]"]


async def test_the_same_seed_gives_the_same_events(
    autojump_clock: MockClock, simulated: Callable[..., Any]
) -> None:
    async def record(seed: int) -> list[tuple[float, str, Any]]:
        async with simulated(METERS + 'delay = "5ms..2s"\n', seed=seed) as gateway:
            for number in range(30):
                gateway.send(f"10.77.1.{number % 3 + 1}", {**READ, "seq": number})
                await trio.sleep(0.3)
            await trio.sleep(3)
            return [
                (round(event.t, 9), event.device, event.message["seq"])
                for event in gateway.events
                if isinstance(event, Received | Sent)
            ]

    assert await record(5) == await record(5)
    assert await record(5) != await record(6)


async def test_settled_is_set_once_all_is_decided(
    autojump_clock: MockClock, simulated: Callable[..., Any]
) -> None:
    text = (
        METERS
        + """
[[expect]]
name = "polled"
each = "meter"
receives = { kind = "READ" }
within = "10s"
"""
    )
    async with simulated(text) as gateway:
        simulation = gateway.simulation
        for last in (1, 2, 3):
            assert not simulation.settled.is_set()
            gateway.send(f"10.77.1.{last}", READ)
            await trio.sleep(1)
        assert simulation.settled.is_set()
        assert [outcome.passed for outcome in simulation.judge.finish(3.0).outcomes] == [True]


async def test_time_alone_settles_what_did_not_come(
    autojump_clock: MockClock, simulated: Callable[..., Any]
) -> None:
    text = (
        METERS
        + """
[[expect]]
name = "polled"
each = "meter"
receives = { kind = "READ" }
within = "10s"
"""
    )
    async with simulated(text) as gateway:
        await gateway.simulation.settled.wait()
        assert abs(gateway.simulation.clock() - 10) < 0.1


FRAMES = st.lists(
    st.one_of(
        st.binary(max_size=120),
        st.binary(max_size=80).map(lambda data: virtio.PLAIN + b"\x45" + data),
        st.binary(min_size=60, max_size=60).map(lambda data: bytes([1, 0]) + bytes(8) + data),
    ),
    max_size=40,
)


@given(frames=FRAMES)
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
async def test_any_bytes_on_the_link_are_counted_and_harm_nothing(
    autojump_clock: MockClock, simulated: Callable[..., Any], frames: list[bytes]
) -> None:
    async with simulated(METERS) as gateway:
        for frame in frames:
            gateway.link.send_nowait(frame)
        gateway.send("10.77.1.1", READ)
        await trio.sleep(1)
        pump = gateway.simulation.pump
        assert pump.frames_received == len(frames) + 1
        assert sum(pump.outcomes.values()) == pump.frames_received
        assert sum(pump.outcomes.by_category().values()) == pump.frames_received
        assert pump.outcomes["answered"] >= 1


def test_what_comes_faster_than_it_can_be_handled_is_counted_as_lost(tmp_path: Path) -> None:
    """A simulator that needs a millisecond for whatever it does, and half a second to drain its link."""
    scenario = load_text(METERS, tmp_path / "scenario.toml", default_seed=1)
    payload = scenario.fleets[0].services[0].protocol.codec.encode(READ)
    source, meter = parse_address("10.77.0.1"), parse_address("10.77.1.1")
    segment = udp.build_udp(source, meter, 4000, 5600, payload)
    frame = virtio.PLAIN + ipv4.build_ipv4(source, meter, udp.PROTOCOL, segment)
    ticks = itertools.count()
    link, gateway = MemoryLink.pair()
    simulation = Simulation(scenario, link, seed=1, clock=lambda: next(ticks) / 1000)
    for _ in range(5000):
        assert gateway.send_nowait(frame)
    simulation.drain()
    counters = simulation.counters()
    answered = counters.counts["outcome.answered"]
    assert answered > 0
    assert counters.lost == counters.counts["outcome.dropped.too-late"] == 5000 - answered
    assert counters.counts["packets.received"] == 5000
    assert link.receive_nowait(1) == []
    # Some more would have been no loss.
    gateway.send_nowait(frame)
    simulation.drain()
    assert simulation.counters().lost == counters.lost


async def test_a_late_run_leaves_sendings_out_and_says_how_many(
    autojump_clock: MockClock, simulated: Callable[..., Any]
) -> None:
    text = (
        METERS.replace("count = 3", "count = 1")
        + """
[[devices.meter.rules]]
every = "10s"
send = { kind = "REPORT", device = 1, seq = 0, value = 1 }
to = "10.77.0.1:40000"
"""
    )
    async with simulated(text) as gateway:
        await trio.sleep(15)
        assert len(gateway.take()) == 2  # so it sends in the first half of each ten seconds
        autojump_clock.jump(30)  # as a process that is stopped meanwhile
        await trio.sleep(0.001)
        assert len(gateway.take()) == 1  # and no burst
        await trio.sleep(10)  # the next one comes in its time, as if nothing had been
        assert len(gateway.take()) == 1
        assert gateway.simulation.counters().counts["sendings.skipped"] == 2
