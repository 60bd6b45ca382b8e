"""Raw bytes that rules and steps have devices say in the place of messages."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
import trio
from tests.session.helpers import write_protocol

from iotsim.errors import ScenarioError
from iotsim.events import DeviceFailed, Sent, Undecodable
from iotsim.simulation.commands import Send

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trio.testing import MockClock

METERS = """
[scenario]
name = "meters"
[gateway]
port = 40000
[devices.meter]
count = 2
address = "10.77.1.1"
protocol = "sensornet"
[[devices.meter.rules]]
when = { kind = "READ", point = 1 }
reply = { raw = "hex:de ad" }
[[devices.meter.rules]]
when = { kind = "READ", point = 2 }
reply = [{ kind = "ACK" }, { raw = "=state.kept" }]
delay = "1s"
[[devices.meter.rules]]
when = { kind = "READ" }
reply = { kind = "REPORT", value = 1, status = {} }
[devices.meter.state]
kept = "hex:534e0101 0009 00000007 0001 00 ea02"
"""
READ = {"kind": "READ", "device": 7, "seq": 1}


async def test_a_rule_replies_bytes_as_they_are(
    autojump_clock: MockClock, simulated: Callable[..., Any]
) -> None:
    text = (
        METERS
        + """
    [[expect]]
    name = "garbled"
    device = "meter[0]"
    sends = { undecodable = true }
    within = "1s"
    """
    )
    async with simulated(text) as gateway:
        gateway.send("meter[0]", {**READ, "point": 1})
        await trio.sleep(0.1)
        assert [one.payload for one in gateway.take()] == [b"\xde\xad"]
        [garbled] = [event for event in gateway.events if isinstance(event, Undecodable)]
        assert (garbled.sent, garbled.data, garbled.device) == (True, "dead", "meter[0]")
        gateway.send("meter[0]", READ)
        await trio.sleep(0.1)
        assert [one.message["kind"] for one in gateway.take()] == ["REPORT"]
        assert gateway.simulation.pump.outcomes == {"answered": 2}
    assert gateway.run.result.verdict == "passed"


async def test_raw_bytes_that_are_a_message_are_told_as_such(
    autojump_clock: MockClock, simulated: Callable[..., Any]
) -> None:
    async with simulated(METERS) as gateway:
        gateway.send("meter[0]", {**READ, "point": 2})
        await trio.sleep(2)
        ack, raw = gateway.take()
        assert ack.message["kind"] == "ACK"
        assert raw.payload == bytes.fromhex("534e0101000900000007000100ea02")
        sent = [event.message["kind"] for event in gateway.events if isinstance(event, Sent)]
        assert sent == ["ACK", "READ"]


async def test_a_device_sends_bytes_by_itself_by_a_rule_a_step_and_a_command(
    autojump_clock: MockClock, simulated: Callable[..., Any]
) -> None:
    text = (
        METERS
        + """
    [[devices.meter.rules]]
    send = { raw = "hex:01" }
    after = "1s"
    [[step]]
    at = "2s"
    devices = "meter[1]"
    send = { raw = "hex:02" }
    """
    )
    async with simulated(text) as gateway:
        await trio.sleep(1.5)
        assert [one.payload for one in gateway.take()] == [b"\1", b"\1"]
        await trio.sleep(1)
        assert [(one.device, one.payload) for one in gateway.take()] == [("meter[1]", b"\2")]
        await gateway.run.do(Send(devices="meter[0]", send={"raw": b"\3"}))
        await trio.sleep(0.1)
        assert [one.payload for one in gateway.take()] == [b"\3"]


async def test_only_what_a_command_says_is_raw(
    autojump_clock: MockClock, simulated: Callable[..., Any]
) -> None:
    plain = METERS[: METERS.index("[[devices")]
    async with simulated(plain) as gateway:
        await gateway.run.do(Send(devices="meter[0]", send={"raw": b"\3"}))
        await gateway.run.do(Send(devices="meter[0]", send={"kind": "ACK", "device": 1, "seq": 1}))
        await trio.sleep(0.1)
        raw, ack = gateway.take()
        assert (raw.payload, ack.message["kind"]) == (b"\3", "ACK")


async def test_what_is_no_bytes_stops_the_device(
    autojump_clock: MockClock, simulated: Callable[..., Any]
) -> None:
    text = METERS.replace('"=state.kept"', '"=device.name"')
    async with simulated(text) as gateway:
        gateway.send("meter[0]", {**READ, "point": 2})
        await trio.sleep(2)
        [failed] = [event for event in gateway.events if isinstance(event, DeviceFailed)]
        assert re.fullmatch(
            r"rules\[1\] \(.*:13\): TypeError: 'raw' must be bytes, not 'meter\[0\]'", failed.error
        )


@pytest.mark.parametrize("raw", ["='x' * 3", "=3"])
async def test_a_constant_that_is_no_bytes_is_refused(
    autojump_clock: MockClock, simulated: Callable[..., Any], raw: str
) -> None:
    text = METERS.replace('"hex:de ad"', json.dumps(raw))
    with pytest.raises(
        ScenarioError, match=r":12:17: .*rules\[0\]\.reply\.raw: must be bytes such as"
    ):
        async with simulated(text):
            pass


REPLY = 'when = { kind = "READ" }\nreply = { kind = "REPORT", value = "=state.kept" }'
FAILING = {
    "send": (
        'every = "1s"\nsend = { kind = "REPORT", device = 1, seq = 1, value = "=state.kept" }'
    ),
    "reply": REPLY,
    "set": 'when = { kind = "READ" }\nset = { kept = "=1 / (msg.seq - 1)" }',
    "where": 'where = "1 / (msg.seq - 1) > 0"\nreply = { kind = "ACK" }',
    "reply with a set": f"{REPLY}\nset = {{ kept = '=state.kept' }}",
    "reply with where": f'{REPLY}\nwhere = "msg.seq"',
    "reply so often": f"{REPLY}\ntimes = 2",
    "reply after": f'{REPLY}\nafter = "1ms"',
    "delayed reply": f'{REPLY}\ndelay = "10ms"',
    "second reply": REPLY.replace("reply = ", 'reply = [{ kind = "ACK" }, ') + "]",
}


@pytest.mark.parametrize("what", FAILING)
async def test_a_device_that_fails_by_a_rule_names_it_and_its_place(
    autojump_clock: MockClock, simulated: Callable[..., Any], what: str
) -> None:
    before = '[[devices.meter.rules]]\nwhen = { kind = "ACK" }\ndrop = true\n'
    rule = f'[[devices.meter.rules]]\nname = "it"\n{FAILING[what]}\n'
    head, tail = METERS[: METERS.index("[[devices")], METERS[METERS.index("[devices.meter.state") :]
    async with simulated(head + before + rule + tail) as gateway:
        await trio.sleep(0.01)
        gateway.send("meter[0]", {**READ, "point": 2})
        await trio.sleep(2)
        failed = next(event for event in gateway.events if isinstance(event, DeviceFailed))
        assert re.match(r"rules\[1\] 'it' \([^ ]+:13\): ", failed.error)


@pytest.mark.parametrize("more", ["", "set = { n = '=state.n' }", 'delay = "10ms"', "times = 1"])
@pytest.mark.parametrize("session", [False, True])
async def test_so_does_one_that_has_a_session(
    autojump_clock: MockClock,
    simulated: Callable[..., Any],
    tmp_path: Path,
    session: bool,
    more: str,
) -> None:
    write_protocol(tmp_path, "class Talk(Session):\n    pass\n" if session else "Talk = None\n")
    rule = "when = { kind = 'GET' }\nreply = { kind = 'PUT', number = '=state.n' }\n" + more
    fleet = "[devices.meter]\naddress = '10.77.1.1'\nprotocol = 'talk'\nstate = { n = 'x' }\n"
    async with simulated(f"{fleet}[[devices.meter.rules]]\nname = 'it'\n{rule}\n") as gateway:
        gateway.send("meter[0]", {"kind": "GET"})
        await trio.sleep(1)
        [failed] = [event for event in gateway.events if isinstance(event, DeviceFailed)]
    assert re.match(r"rules\[0\] 'it' \([^ ]+:5\): .*number", failed.error)


async def test_all_replies_of_a_list_are_sent(
    autojump_clock: MockClock, simulated: Callable[..., Any]
) -> None:
    text = METERS.replace('delay = "1s"', "")
    async with simulated(text) as gateway:
        gateway.send("meter[0]", {**READ, "point": 2})
        await trio.sleep(1)
        sent = [event.message["kind"] for event in gateway.events if isinstance(event, Sent)]

    assert sent == ["ACK", "READ"]


async def test_a_field_that_is_called_raw_is_a_field(
    autojump_clock: MockClock, simulated: Callable[..., Any], tmp_path: Any
) -> None:
    (tmp_path / "toy.py").write_text(
        "from construct import Int8ub, Struct\n"
        "from iotsim import Protocol\n"
        'PROTOCOL = Protocol(name="toy", message=Struct("raw" / Int8ub), port=7000)\n'
    )
    text = """
    [scenario]
    name = "toys"
    [devices.toy]
    address = "10.77.1.1"
    protocol = "toy"
    [[devices.toy.rules]]
    reply = { raw = "=msg.raw + 1" }
    """
    async with simulated(text) as gateway:
        gateway.send("toy[0]", {"raw": 1})
        await trio.sleep(0.1)
        assert [one.payload for one in gateway.take()] == [b"\2"]


async def test_raw_bytes_pass_a_session(
    autojump_clock: MockClock, simulated: Callable[..., Any]
) -> None:
    text = """
    [scenario]
    name = "coap"
    [devices.node]
    address = "10.77.1.1"
    protocol = "coap"
    [[devices.node.rules]]
    when = { path = "/raw" }
    reply = { raw = "hex:ff ff" }
    [[devices.node.rules]]
    when = { path = "/late" }
    reply = { raw = "hex:60 45 00 02" }
    delay = "1s"
    """
    async with simulated(text) as gateway:
        request = {"code": "GET", "message_id": 1, "path": "/raw"}
        gateway.send("node[0]", request)
        await trio.sleep(0.01)
        assert [one.payload for one in gateway.take()] == [b"\xff\xff"]
        gateway.send("node[0]", {**request, "message_id": 2, "path": "/late"})
        await trio.sleep(5)
        payloads = [one.payload for one in gateway.take()]
        assert bytes.fromhex("60450002") in payloads
