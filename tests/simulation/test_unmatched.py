"""Messages to which no rule applies are counted by kind, and the first of each is explained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iotsim.events import NoRule, Unmatched
from iotsim.simulation.counters import Counters, add_counters
from iotsim.simulation.unmatched import MOST_KINDS, OTHERS

if TYPE_CHECKING:
    from collections.abc import Callable

METERS = """
[devices.meter]
count = 3
address = "10.77.1.1"
protocol = "sensornet"

[[devices.meter.rules]]
name = "the seventh"
when = { kind = "READ", point = 7 }
reply = { kind = "REPORT", value = 1 }

[devices.dumb]
address = "10.77.2.1"
protocol = "sensornet"
"""
READ = {"kind": "READ", "device": 1, "seq": 1, "point": 3}
ACK = {"kind": "ACK", "device": 1, "seq": 1}


async def test_they_are_counted_by_kind_and_the_first_is_explained(
    simulated: Callable[..., Any], autojump_clock: object
) -> None:
    async with simulated(METERS) as gateway:
        for device in ("meter[1]", "meter[0]", "meter[1]"):
            gateway.send(device, READ)
        gateway.send("meter[2]", {**READ, "point": 7})
        gateway.send("meter[2]", ACK)
        gateway.send("dumb[0]", READ)
        await gateway.receive(1.0)
        unmatched = gateway.simulation.counters().unmatched
        events = [event for event in gateway.events if isinstance(event, NoRule)]
    found = {(one.fleet, one.kind): (one.count, one.device) for one in unmatched}
    assert found == {
        ("meter", "kind=READ"): (3, "meter[1]"),
        ("meter", "kind=ACK"): (1, "meter[2]"),
        ("dumb", "kind=READ"): (1, "dumb[0]"),
    }
    read, _, dumb = unmatched
    assert "'the seventh' (" in read.nearest
    assert read.nearest.endswith("scenario.toml:7): point is 3 instead of 7")
    assert dumb.nearest == ""
    assert [event.unmatched.count for event in events] == [1, 1, 1]
    result = gateway.run.result
    assert [one.count for one in result.unmatched] == [3, 1, 1]


async def test_kinds_are_bounded(simulated: Callable[..., Any], autojump_clock: object) -> None:
    text = METERS.replace('kind = "READ", point = 7', "point = 7")
    async with simulated(text) as gateway:
        for point in range(100, 100 + MOST_KINDS + 5):
            gateway.send("meter[0]", {**READ, "point": point})
        gateway.send("meter[0]", {**READ, "point": 7})
        await gateway.receive(1.0)
        unmatched = gateway.simulation.counters().unmatched
    assert len(unmatched) == MOST_KINDS + 1
    assert (unmatched[-1].kind, unmatched[-1].count) == (OTHERS, 5)


async def test_what_a_session_answers_is_answered(
    simulated: Callable[..., Any], autojump_clock: object
) -> None:
    text = """
        [devices.sensor]
        address = "10.77.1.1"
        protocol = "coap"
    """
    async with simulated(text) as gateway:
        gateway.send("sensor[0]", {"type": "CON", "code": "GET", "message_id": 1, "path": "/x"})
        arrival = await gateway.receive(1.0)
        assert arrival.message["code"] == "NOT_FOUND"
        assert gateway.simulation.counters().unmatched == []


def test_shards_add_up() -> None:
    def one(count: int, t: float, device: str, kind: str = "kind=READ") -> Unmatched:
        return Unmatched(
            fleet="meter", protocol="sensornet", kind=kind, count=count, t=t, device=device
        )

    parts = [
        Counters(unmatched=[one(2, 1.0, "meter[0]")]),
        Counters(unmatched=[one(3, 0.5, "meter[1]"), one(1, 9.0, "meter[1]", "kind=ACK")]),
    ]
    assert add_counters(parts).unmatched == [
        one(5, 0.5, "meter[1]"),
        one(1, 9.0, "meter[1]", "kind=ACK"),
    ]
