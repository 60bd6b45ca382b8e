"""`iotsim.testing`: whole runs with the test as their gateway, in virtual time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio

from iotsim.events import DeviceRebooted, ExpectationDecided, Received, RunEnded, RunStarted, Sent
from iotsim.results.fold import fold
from iotsim.testing import run_virtually, simulated

if TYPE_CHECKING:
    from trio.testing import MockClock

    from iotsim.results.result import RunResult

QUICKSTART = Path(__file__).parents[1] / "scenarios/quickstart.toml"
METERS = """
[scenario]
name = "meters"
duration = "1h"
[link]
address = ["10.77.0.1/16", "fd77::1/64"]
[devices.meter]
count = 3
address = ["10.77.1.1", "fd77::1:1"]
protocol = "sensornet"
state = { level = 1 }
[[devices.meter.rules]]
when = { kind = "READ" }
reply = { kind = "REPORT", value = "=state.level" }
[[expect]]
name = "polled"
each = "meter"
receives = { kind = "READ" }
within = "10s"
"""
READ = {"kind": "READ", "device": 7, "seq": 1}


async def poll_all() -> RunResult:
    async with simulated(QUICKSTART) as gateway:
        for index in range(14):
            gateway.send(f"meter[{index}]", {**READ, "device": index})
            arrival = await gateway.receive(timeout_s=1.0)
            assert arrival.device == f"meter[{index}]"
        await gateway.settled()
    return gateway.run.result


def test_the_bundled_quickstart_passes_with_a_test_as_its_gateway() -> None:
    result = run_virtually(poll_all)
    verdicts = {outcome.name: outcome.passed for outcome in result.expectations}
    assert verdicts["every meter is polled"]
    assert result.started == "2000-01-01T00:00:00.000+00:00"


@pytest.mark.parametrize("device", ["meter[2]", "10.77.1.3", "fd77::1:3"])
async def test_a_device_is_named_or_addressed(autojump_clock: MockClock, device: str) -> None:
    async with simulated(METERS) as gateway:
        gateway.send(device, READ, port=1234)
        arrival = await gateway.receive()
        assert (arrival.device, arrival.port) == ("meter[2]", 1234)
        assert arrival.message is not None
        assert arrival.message["value"] == 1
        assert gateway.take() == []


async def test_what_nobody_is_called_is_refused(autojump_clock: MockClock) -> None:
    async with simulated(METERS) as gateway:
        for device in ("meter[3]", "pump[0]", "10.77.1.4", "meter[x]"):
            with pytest.raises(ValueError, match=r"no device|appear"):
                gateway.send(device, READ)
        with pytest.raises(ValueError, match="speak no mqtt"):
            gateway.send("meter[0]", READ, protocol="mqtt")


async def test_waiting_for_what_does_not_come_ends(autojump_clock: MockClock) -> None:
    async with simulated(METERS) as gateway:
        with pytest.raises(trio.TooSlowError):
            await gateway.receive(timeout_s=5.0)


async def test_the_result_of_a_run_is_a_fold_over_its_events(autojump_clock: MockClock) -> None:
    async with simulated(METERS) as gateway:
        gateway.send("meter[0]", READ)
        gateway.send("meter[1]", b"noise")
        await gateway.settled()
    result = gateway.run.result
    assert result.verdict == "failed"
    assert fold(gateway.events) == result
    assert isinstance(gateway.events[0], RunStarted)
    assert isinstance(gateway.events[-1], RunEnded)
    [decided] = [event for event in gateway.events if isinstance(event, ExpectationDecided)]
    assert decided.outcome == result.expectations[0]


async def test_messages_have_numbers_and_replies_say_what_they_answer(
    autojump_clock: MockClock,
) -> None:
    async with simulated(METERS + "\n") as gateway:
        for index in (0, 1, 2):
            gateway.send(f"meter[{index}]", READ)
        await trio.sleep(1)
    received = {e.device: e.id for e in gateway.events if isinstance(e, Received)}
    sent = {e.device: e for e in gateway.events if isinstance(e, Sent)}
    assert {device: event.in_reply_to for device, event in sent.items()} == received
    ids = [*received.values(), *(event.id for event in sent.values())]
    assert len(set(ids)) == 6
    assert min(ids) > 0
    # The message is what the wire carries: with what the protocol adds, and what it computes.
    assert {"version", "unit", "status", "crc"} <= sent["meter[0]"].message.keys()


async def test_an_error_in_the_block_ends_the_run(autojump_clock: MockClock) -> None:
    async def break_off() -> None:
        async with simulated(METERS):
            await trio.sleep(1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await break_off()


async def test_a_block_that_ends_early_ends_the_run(autojump_clock: MockClock) -> None:
    async with simulated(METERS) as gateway:
        await trio.sleep(2)
    assert gateway.run.result.duration_s == pytest.approx(2.0)
    assert gateway.run.result.verdict == "failed"
    assert not [event for event in gateway.events if isinstance(event, DeviceRebooted)]
