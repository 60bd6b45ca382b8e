"""Protocols whose codec is another for each device, or for each direction; in virtual time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from iotsim.errors import ScenarioError
from iotsim.events import DeviceFailed, Received, Sent, Undecodable
from iotsim.protocol.device import StandIn
from iotsim.protocol.registry import load_protocol
from iotsim.scenario import load_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trio.testing import MockClock

KEYED = """
from construct import Bytes, Int8ub, Struct, this
from iotsim import Encrypted, Protocol, this_device

PROTOCOL = Protocol(
    name="keyed",
    message=Struct(
        "nonce" / Bytes(12),
        "level" / Encrypted(Int8ub, mode="GCM", key=this_device.state.key, nonce=this.nonce),
    ),
    port=7100,
    echo=["nonce"],
)
"""
REGISTERS = """
from construct import Const, Int8ub, Int16ub, PrefixedArray, Struct
from iotsim import Protocol

PROTOCOL = Protocol(
    name="registers",
    message=Struct("function" / Const(3, Int8ub), "address" / Int8ub, "count" / Int8ub),
    answer=Struct("function" / Const(3, Int8ub), "registers" / PrefixedArray(Int8ub, Int16ub)),
    port=7200,
    error_reply=lambda error, data: {"registers": []},
)
"""
METERS = """
[scenario]
duration = "1m"

[devices.meter]
count = 2
address = "10.77.1.1"
protocol = "keyed"
{keys}
[[devices.meter.rules]]
reply = {{ level = "=msg.level + device.index" }}
{more}
"""
KEYS = [bytes([n]) * 16 for n in (1, 2)]
DATA = "key\nhex:" + "\nhex:".join(key.hex() for key in KEYS) + "\n"
NONCE = bytes(range(12))


@pytest.fixture
def keyed(tmp_path: Path) -> Callable[..., str]:
    (tmp_path / "protocols").mkdir()
    (tmp_path / "protocols/keyed.py").write_text(KEYED)
    (tmp_path / "protocols/registers.py").write_text(REGISTERS)
    (tmp_path / "keys.csv").write_text(DATA)

    def scenario(keys: str, more: str = "") -> str:
        return METERS.format(keys=keys, more=more)

    return scenario


@pytest.mark.parametrize("source", ["state", "data"])
async def test_each_device_has_its_key(
    keyed: Callable[..., str],
    simulated: Callable[..., Any],
    tmp_path: Path,
    autojump_clock: MockClock,
    source: str,
) -> None:
    text = KEYED.replace("this_device.state", f"this_device.{source}")
    (tmp_path / "protocols/keyed.py").write_text(text)
    expect = '[[expect]]\neach = "meter"\nsends = { level = { min = 5 } }\nwithin = "10s"'
    async with simulated(keyed('data = "keys.csv"', expect)) as gateway:
        for name in ("meter[0]", "meter[1]"):
            gateway.send(name, {"nonce": NONCE, "level": 7})
        arrivals = [await gateway.receive() for _ in range(2)]
        await gateway.settled()
    codec = load_protocol("keyed", [tmp_path]).protocol.codec
    for index, arrival in enumerate(arrivals):
        assert arrival.message == {"nonce": NONCE, "level": 7 + index}
        device = StandIn(state={"key": KEYS[index]}, data={"key": KEYS[index]})
        assert codec.decode(arrival.payload, device) == arrival.message
    sent = [event.message for event in gateway.events if isinstance(event, Sent)]
    assert [message["level"] for message in sent] == [7, 8]
    assert gateway.run.result.verdict == "passed"


async def test_what_is_encrypted_for_another_is_no_message(
    keyed: Callable[..., str],
    simulated: Callable[..., Any],
    autojump_clock: MockClock,
    tmp_path: Path,
) -> None:
    async with simulated(keyed('data = "keys.csv"')) as gateway:
        codec = load_protocol("keyed", [tmp_path]).protocol.codec
        data = codec.encode({"nonce": NONCE, "level": 1}, StandIn(state={"key": KEYS[1]}))
        gateway.send("meter[0]", data)
        gateway.send("meter[1]", data)
        assert (await gateway.receive()).device == "meter[1]"
    (refused,) = [event for event in gateway.events if isinstance(event, Undecodable)]
    assert (refused.device, refused.path, refused.offset) == ("meter[0]", "level", 12)
    assert refused.reason.startswith("wrong tag")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("", "cannot be encoded: meter[0] has no 'key' in its state"),
        ('state = { key = "hex:0011" }', "an AES key has 16, 24 or 32 bytes, not 2"),
        ('state = { key = "open sesame" }', "an AES key is str, and no bytes"),
    ],
)
def test_a_device_without_a_key_is_told_before_the_run(
    keyed: Callable[..., str], tmp_path: Path, keys: str, message: str
) -> None:
    with pytest.raises(ScenarioError) as caught:
        load_text(keyed(keys), tmp_path / "scenario.toml")
    (problem,) = caught.value.problems
    assert message in str(problem)
    assert problem.path.startswith("devices.meter.rules[0].reply")


@pytest.mark.parametrize(
    "more",
    [
        'set = { key = "hex:00112233445566778899aabbccddeeff" }',
        '[devices.x]\naddress = "10.77.2.1"\n[devices.meter.boot]\ndelay = "1s"',
    ],
)
def test_a_key_that_may_come_in_the_run_is_not_told_of(
    keyed: Callable[..., str], tmp_path: Path, more: str
) -> None:
    keys = 'state = { key = "" }' if more.startswith("set") else 'behavior = "meter.py:Meter"'
    (tmp_path / "meter.py").write_text("from iotsim import Device\nclass Meter(Device): pass\n")
    load_text(keyed(keys, more), tmp_path / "scenario.toml")


async def test_a_device_that_lacks_its_key_in_the_run_fails(
    keyed: Callable[..., str],
    simulated: Callable[..., Any],
    autojump_clock: MockClock,
    tmp_path: Path,
) -> None:
    """No datagram is to blame, and an expectation that something never comes would hold."""
    (tmp_path / "meter.py").write_text("from iotsim import Device\nclass Meter(Device): pass\n")
    async with simulated(keyed('behavior = "meter.py:Meter"')) as gateway:
        gateway.send("meter[0]", bytes(40))
        assert gateway.take() == []
        await gateway.settled()
    (failed,) = [event for event in gateway.events if isinstance(event, DeviceFailed)]
    assert failed.device == "meter[0]"
    assert "meter[0] has no 'key' in its state" in failed.error
    assert gateway.run.result.verdict == "error"


ANSWERS = """
[scenario]
duration = "1m"
[devices.plc]
count = 1
address = "10.77.1.1"
protocol = "registers"
[[devices.plc.rules]]
when = { count = 2 }
reply = { registers = [1, "=msg.address"] }
[[expect]]
each = "plc"
receives = { address = 9 }
within = "10s"
[[expect]]
each = "plc"
sends = { registers = [1, 9] }
within = "10s"
"""


async def test_the_same_bytes_mean_something_else_in_an_answer(
    keyed: Callable[..., str], simulated: Callable[..., Any], autojump_clock: MockClock
) -> None:
    async with simulated(ANSWERS) as gateway:
        gateway.send("plc[0]", {"address": 9, "count": 2})
        arrival = await gateway.receive()
        assert arrival.message == {"function": 3, "registers": [1, 9]}
        assert arrival.payload == b"\x03\x02\x00\x01\x00\x09"
        gateway.send("plc[0]", b"noise")
        assert (await gateway.receive()).message == {"function": 3, "registers": []}
        await gateway.settled()
    received = [event.message for event in gateway.events if isinstance(event, Received)]
    sent = [event.message for event in gateway.events if isinstance(event, Sent)]
    assert received == [{"function": 3, "address": 9, "count": 2}]
    assert sent == [{"function": 3, "registers": [1, 9]}, {"function": 3, "registers": []}]
    assert gateway.run.result.verdict == "passed"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("reply = { registers = [1, ", "reply = { count = 1, registers = [1, ", "field 'count'"),
        ("when = { count = 2 }", "when = { registers = [] }", "field 'registers'"),
        ("=msg.address", "=msg.registers", "the message has no field 'registers'"),
        ("receives = { address = 9 }", "receives = { registers = [] }", "field 'registers'"),
        ("sends = { registers = [1, 9] }", "sends = { address = 1 }", "field 'address'"),
        ('[1, "=msg.address"]', "[1, 70000]", "does not fit 'registers[]'"),
    ],
)
def test_each_direction_is_held_against_its_schema(
    keyed: Callable[..., str], tmp_path: Path, old: str, new: str, message: str
) -> None:
    with pytest.raises(ScenarioError) as caught:
        load_text(ANSWERS.replace(old, new), tmp_path / "scenario.toml")
    assert message in str(caught.value)
