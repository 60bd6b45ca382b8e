"""Impairments between link and devices, in virtual time: what rules, expectations and events see of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio

from iotsim.errors import DecodeError
from iotsim.events import Impaired, NotSent, Received, RunStarted, Sent
from iotsim.results.jsonl import EventEncoder
from iotsim.scenario import load_text
from iotsim.simulation import transit
from iotsim.testing import run_virtually
from iotsim.testing import simulated as simulated_run

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.testing import MockClock

METERS = """
[scenario]
duration = "1h"
[link]
kind = "memory"
[gateway]
address = "10.77.0.1"
port = 5600
[devices.meter]
count = 4
address = "10.77.1.1"
protocol = "sensornet"
state = { seen = 0 }
[[devices.meter.rules]]
when = { kind = "READ" }
set = { seen = "=state.seen + 1" }
reply = { kind = "REPORT", value = "=state.seen" }
"""
COAP = """
[scenario]
duration = "1h"
[link]
kind = "memory"
[devices.sensor]
address = "10.77.1.1"
protocol = "coap"
[devices.sensor.model.resources]
"/t" = { value = "20.5" }
"""
READ = {"kind": "READ", "device": 1, "seq": 1}


def impaired(text: str, base: str = METERS) -> str:
    return f"{base}\n[[impair]]\n{text}\n"


def values(gateway: Any) -> list[float]:
    return [arrival.message["value"] for arrival in gateway.take()]


def verdicts(gateway: Any) -> dict[str, bool]:
    return {one.name: one.passed for one in gateway.run.result.expectations}


def of_kind(gateway: Any, kind: type) -> list[Any]:
    return [event for event in gateway.events if type(event) is kind]


EXPECT = """
[[expect]]
name = "asked"
device = "meter[0]"
receives = { kind = "READ" }
within = "1s"
[[expect]]
name = "answered"
device = "meter[0]"
sends = { kind = "REPORT" }
within = "1s"
"""


@pytest.mark.parametrize(("direction", "seen"), [("to_device", 0), ("from_device", 1)])
async def test_expectations_look_at_the_gateways_side(
    simulated: Callable[..., Any], autojump_clock: MockClock, direction: str, seen: int
) -> None:
    """A lost request was received, as the gateway has sent it; a lost answer was not sent. The device has
    been asked only by what has come to it."""
    text = impaired(f'loss = "100%"\nfirst = 5\ndirection = "{direction}"\nname = "gone"\n{EXPECT}')
    async with simulated(text) as gateway:
        gateway.send("meter[0]", READ)
        await trio.sleep(2)
        assert gateway.take() == []
        device = gateway.simulation.fleets["meter"].device(0)
        assert device.state["seen"] == seen
        assert gateway.simulation.pump.outcomes == {"consumed.impaired": 1}
        events = [
            (event.impaired, event.t) for event in gateway.events if hasattr(event, "impaired")
        ]
        assert ("gone", 0.0) in events
    assert verdicts(gateway) == {"asked": True, "answered": False}
    assert gateway.run.result.counters["impaired.gone.lost"] == 1


async def test_a_lost_answer_is_told_with_what_it_said(
    simulated: Callable[..., Any], autojump_clock: MockClock
) -> None:
    async with simulated(
        impaired('loss = "100%"\ndirection = "from_device"\nname = "gone"')
    ) as gateway:
        gateway.send("meter[0]", READ)
        await trio.sleep(1)
        (lost,) = of_kind(gateway, NotSent)
    assert (lost.device, lost.reason, lost.impaired, lost.in_reply_to) == (
        "meter[0]",
        "lost",
        "gone",
        1,
    )
    assert lost.message["value"] == 1


async def test_delays_add_up(simulated: Callable[..., Any], autojump_clock: MockClock) -> None:
    """100 ms there, 100 ms back, and 50 ms more on the way back by another entry."""
    text = impaired('delay = "100ms"') + '[[impair]]\ndirection = "from_device"\ndelay = "50ms"\n'
    async with simulated(text) as gateway:
        gateway.send("meter[0]", READ)
        assert gateway.simulation.pump.outcomes == {}
        await trio.sleep(0.2499)
        assert gateway.take() == []
        assert gateway.simulation.pump.outcomes["pending"] == 1
        await trio.sleep(0.0002)
        assert values(gateway) == [1]
        assert gateway.simulation.pump.outcomes == {"pending": 0, "answered": 1}
        (sent,) = of_kind(gateway, Sent)
        (received,) = of_kind(gateway, Received)
    assert sent.t == pytest.approx(0.25)
    assert (sent.impaired, sent.fate) == ("impairment 1, impairment 2", "delayed, delayed")
    assert sent.delay_s == pytest.approx(0.15)
    assert received.t == 0
    assert received.delay_s == pytest.approx(0.1)
    assert sent.in_reply_to == received.id


async def test_later_entries_hold_as_of_when_it_comes_to_them(
    simulated: Callable[..., Any], autojump_clock: MockClock
) -> None:
    """What is held for two seconds comes to the second entry when that is in force."""
    text = impaired('delay = "2s"\ndirection = "to_device"')
    text += '[[impair]]\nname = "late"\ndirection = "to_device"\nloss = "100%"\nat = "1s"\n'
    async with simulated(text) as gateway:
        gateway.send("meter[0]", READ)
        await trio.sleep(3)
        assert gateway.take() == []
        (event,) = of_kind(gateway, Impaired)
    assert (event.impaired, event.fate) == ("impairment 1, late", "delayed, lost")
    assert event.in_reply_to == 1
    assert event.t == pytest.approx(2.0)


async def test_copies_count_singly(
    simulated: Callable[..., Any], autojump_clock: MockClock
) -> None:
    """A doubled request is answered twice by a device that does not look; a doubled answer is sent twice."""
    async with simulated(impaired('duplicate = "100%"')) as gateway:
        gateway.send("meter[0]", READ)
        await trio.sleep(1)
        assert sorted(values(gateway)) == [1, 1, 2, 2]
        assert len(of_kind(gateway, Received)) == 1
        assert len(of_kind(gateway, Sent)) == 4


async def test_a_session_knows_a_duplicate(
    simulated: Callable[..., Any], autojump_clock: MockClock
) -> None:
    """CoAP answers both, and its resource is asked once (RFC 7252, section 4.5)."""
    text = impaired('duplicate = "100%"\ndirection = "to_device"', COAP)
    async with simulated(text) as gateway:
        request = {"type": "CON", "code": "GET", "message_id": 7, "token": b"a", "path": "/t"}
        gateway.send("sensor[0]", request)
        await trio.sleep(1)
        answers = gateway.take()
        device = gateway.simulation.fleets["sensor"].device(0)
        assert [answer.message["payload"] for answer in answers] == ["20.5"] * 2
        assert answers[0].payload == answers[1].payload
        assert device.received <= 1


async def test_a_session_above_a_slow_line(
    simulated: Callable[..., Any], autojump_clock: MockClock
) -> None:
    """What is told of a message above the session is told when it has come to the device."""
    text = impaired('delay = "1s"\ndirection = "to_device"', COAP)
    text += (
        '[[expect]]\nname = "asked"\neach = "sensor"\nreceives = { path = "/t" }\nwithin = "2s"\n'
    )
    async with simulated(text) as gateway:
        request = {"type": "CON", "code": "GET", "message_id": 7, "token": b"a", "path": "/t"}
        gateway.send("sensor[0]", request)
        await trio.sleep(1.5)
        assert len(gateway.take()) == 1
        told = [(event.layer, event.t) for event in of_kind(gateway, Received)]
        assert told == [("wire", 0.0), ("application", 1.0)]
    assert verdicts(gateway) == {"asked": True}


async def test_a_corrupt_datagram_is_nobodys(
    simulated: Callable[..., Any], autojump_clock: MockClock
) -> None:
    """To the device it is dropped by that one's stack; from it, a packet with a wrong checksum leaves."""
    text = impaired('corrupt = "100%"\ndirection = "from_device"' + EXPECT)
    async with simulated(text) as gateway:
        gateway.send("meter[0]", READ)
        await trio.sleep(1)
        assert gateway.simulation.link.statistics()["sent"] == 1
        (spoiled,) = of_kind(gateway, NotSent)
        assert spoiled.reason == "corrupted"
    assert verdicts(gateway) == {"asked": True, "answered": False}
    async with simulated(impaired('corrupt = "100%"\ndirection = "to_device"')) as gateway:
        gateway.send("meter[0]", READ)
        await trio.sleep(1)
        assert gateway.simulation.fleets["meter"].device(0).state["seen"] == 0


async def test_the_network_holds_a_bounded_number(
    simulated: Callable[..., Any], autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transit, "MANY_HELD", 2)
    monkeypatch.setattr(transit, "MOST_HELD", 3)
    async with simulated(impaired('delay = "1s"\ndirection = "to_device"')) as gateway:
        for _ in range(5):
            gateway.send("meter[0]", READ)
        await trio.sleep(2)
        assert values(gateway) == [1, 2, 3]
    assert gateway.run.result.counters["impaired.too many datagrams were held already"] == 2


@pytest.mark.parametrize("protocol", ["sensornet", "coap"])
def test_where_very_many_are_held_nothing_else_is_told(
    protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their messages are decoded again, and come to the same."""
    request = {"type": "CON", "code": "GET", "message_id": 7, "token": b"a", "path": "/t"}
    device, message, base = ("meter[0]", READ, METERS)
    if protocol == "coap":
        device, message, base = ("sensor[0]", request, COAP)

    async def run() -> list[bytes]:
        text = impaired('duplicate = "100%"', base) + '[[impair]]\ndelay = "1s"\n'
        async with simulated_run(load_text(text, Path("/nowhere/s.toml"))) as gateway:
            gateway.send(device, message)
            await trio.sleep(3)
            events = [one for one in gateway.events if isinstance(one, (Received, Sent, NotSent))]
            return [EventEncoder({}).encode([one]) for one in events]

    expected = run_virtually(run)
    assert len(expected) > 3
    monkeypatch.setattr(transit, "MANY_HELD", 0)
    assert run_virtually(run) == expected


def test_what_would_not_be_read_again_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A protocol may write what it does not read: that is no fault of what it says."""
    monkeypatch.setattr(transit, "MANY_HELD", 0)

    async def run() -> list[Any]:
        text = impaired('delay = "1s"\ndirection = "from_device"')
        async with simulated_run(load_text(text, Path("/nowhere/s.toml"))) as gateway:
            way = gateway.simulation._services["meter"][0]._outbound

            def refuse(_payload: bytes, _device: Any) -> Any:
                raise DecodeError("not for devices")

            way._decode = refuse
            gateway.send("meter[0]", READ)
            await trio.sleep(3)
            return [type(one) for one in gateway.events if hasattr(one, "device")]

    assert run_virtually(run) == [Received, Sent]


@pytest.mark.parametrize("entry", ['loss = "0.0001%"', 'delay = "1s"\nfirst = 1\nskip = 1000'])
async def test_what_no_entry_hits_is_sent_once_or_told_as_not_sent(
    simulated: Callable[..., Any], autojump_clock: MockClock, entry: str
) -> None:
    async with simulated(impaired(f'{entry}\ndirection = "from_device"')) as gateway:
        way = gateway.simulation._services["meter"][0]._outbound
        leave, tried = way._leave, []

        def refuse(_datagram: Any, payload: bytes) -> str:
            tried.append(payload)
            return "no way there"

        gateway.send("meter[0]", READ)
        await trio.sleep(1)
        assert values(gateway) == [1]
        way._leave = refuse
        gateway.send("meter[0]", READ)
        await trio.sleep(1)
        way._leave = leave
        assert len(tried) == 1
        (lost,) = of_kind(gateway, NotSent)
        assert (lost.reason, lost.impaired, lost.message["value"]) == ("no way there", "", 2)
        assert gateway.simulation.pump.outcomes == {"answered": 1, "consumed.not-sent": 1}


async def test_what_cannot_be_decoded_is_impaired_as_well(
    simulated: Callable[..., Any], autojump_clock: MockClock
) -> None:
    """But no entry that asks for fields is for it."""
    text = impaired('direction = "to_device"\nwhen = { kind = "READ" }\nloss = "100%"')
    async with simulated(text) as gateway:
        gateway.send("meter[0]", b"no message")
        await trio.sleep(1)
        assert gateway.simulation.pump.outcomes == {"dropped.undecodable": 1}
    async with simulated(impaired('direction = "to_device"\nloss = "100%"')) as gateway:
        gateway.send("meter[0]", b"no message")
        await trio.sleep(1)
        assert gateway.simulation.pump.outcomes == {"consumed.impaired": 1}


def logs(text: str) -> dict[str, list[bytes]]:
    """By device, its lines of the log, without the numbers that all devices share; "" has the whole log."""

    async def run() -> list[Any]:
        async with simulated_run(load_text(text, Path("/nowhere/scenario.toml"))) as gateway:
            for number in range(40):
                for index in (0, 1):
                    gateway.send(f"meter[{index}]", {**READ, "seq": number})
                await trio.sleep(0.05)
            await trio.sleep(5)
            return gateway.events

    encoder = EventEncoder({})
    events = [event for event in run_virtually(run) if not isinstance(event, RunStarted)]
    found = {"": [encoder.encode([event]) for event in events]}
    for event in events:
        for name in ("id", "in_reply_to"):
            if hasattr(event, name):
                setattr(event, name, 0)
        found.setdefault(getattr(event, "device", "others"), []).append(encoder.encode([event]))
    return found


LOSSY = """
[[impair]]
name = "lossy"
devices = "meter[0:2]"
loss = "20%"
delay = "20ms..300ms"
duplicate = "10%"
reorder = "5%"
"""


def test_the_same_seed_gives_the_same_log() -> None:
    first = logs(METERS + LOSSY)
    assert logs(METERS + LOSSY)[""] == first[""]
    assert first["meter[0]"] != first["meter[1]"]


def test_other_entries_devices_and_expectations_change_nothing() -> None:
    alone = logs(METERS + LOSSY)
    other = '[[impair]]\ndevices = "meter[1]"\nloss = "50%"\ndelay = "1s"\n'
    crowded = logs(METERS.replace("count = 4", "count = 400") + other + LOSSY + EXPECT)
    assert crowded["meter[0]"] == alone["meter[0]"]
    assert crowded["meter[1]"] != alone["meter[1]"]


async def test_steps_bring_impairments_and_set_signals(
    simulated: Callable[..., Any], autojump_clock: MockClock
) -> None:
    text = (
        METERS.replace('value = "=state.seen"', 'value = "=temperature"')
        + '[devices.meter.signals]\ntemperature = { kind = "constant", value = 20 }\n'
        + '[[step]]\nname = "hot"\nat = "1s"\ndevices = "meter[0]"\nsignal = { temperature = 80 }\n'
        + '[[step]]\nname = "cut"\nafter = "hot"\ndelay = "1s"\nimpair = { loss = "100%", for = "1s" }\n'
        + '[[step]]\nat = "5s"\ndevices = ["meter[0]", "meter[1]"]\nset = { seen = 70 }\n'
        + 'repeat = { every = "1s", times = 2 }\n'
    )
    async with simulated(text) as gateway:
        found = []
        for _ in range(4):
            await trio.sleep(0.5)
            gateway.send("meter[0]", READ)
            gateway.send("meter[1]", READ)
            await trio.sleep(0.5)
            found.append(values(gateway))
        assert found == [[20, 20], [80, 20], [], [80, 20]]
        await trio.sleep(3)
        assert [gateway.simulation.fleets["meter"].device(i).state["seen"] for i in (0, 1)] == [
            70,
            70,
        ]
        steps = [
            (event.name, event.t) for event in gateway.events if type(event).__name__ == "StepDone"
        ]
    assert steps == [("hot", 1.0), ("cut", 2.0), ("step 3", 5.0), ("step 3", 6.0)]


async def test_a_step_may_come_after_an_expectation(
    simulated: Callable[..., Any], autojump_clock: MockClock
) -> None:
    text = (
        METERS + EXPECT + '[[step]]\nname = "then"\nafter = "asked"\ndelay = "2s"\nnote = "well"\n'
    )
    async with simulated(text) as gateway:
        await trio.sleep(0.5)
        gateway.send("meter[0]", READ)
        await trio.sleep(4)
        steps = [
            (event.name, event.t) for event in gateway.events if type(event).__name__ == "StepDone"
        ]
    assert steps == [("then", pytest.approx(2.5, abs=0.01))]


async def test_what_comes_once_the_gateway_is_ready(
    simulated: Callable[..., Any], autojump_clock: MockClock
) -> None:
    text = impaired('loss = "100%"\nafter = "ready"\nat = "1s"')
    text += '[[step]]\nafter = "ready"\ndelay = "2s"\nnote = "well"\n'
    async with simulated(text) as gateway:
        found = []
        for _ in range(3):
            gateway.send("meter[0]", READ)
            await trio.sleep(0.9)
            found.append(len(gateway.take()))
        assert found == [1, 1, 0]
        names = [event.name for event in gateway.events if type(event).__name__ == "StepDone"]
    assert names == ["step 1"]


async def test_an_entry_that_was_for_nothing_is_told(
    simulated: Callable[..., Any], autojump_clock: MockClock
) -> None:
    text = impaired('name = "never"\nloss = "100%"\nwhen = { kind = "COMMAND" }')
    text += '[[impair]]\nname = "met"\nloss = "1%"\n'
    async with simulated(text) as gateway:
        gateway.send("meter[0]", READ)
        await trio.sleep(1)
    (note,) = [one for one in gateway.run.result.notes if "touched no message" in one]
    assert re.fullmatch(r"The impairment 'never' \(.*\.toml:[0-9]+\) touched no message\.", note)
