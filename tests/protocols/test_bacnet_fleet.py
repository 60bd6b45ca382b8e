"""BACnet/IP: many devices, which find each other and are found (clause 16.10)."""

from __future__ import annotations

from collections import Counter

import pytest
import trio

from iotsim.events import Received, Sent
from iotsim.protocol.registry import load_protocol
from iotsim.testing import simulated
from iotsim.testing.frames import datagram_frame
from iotsim.wire.address import parse_address

CODEC = load_protocol("bacnet").protocol.codec
SCENE = """
[devices.unit]
count = 20
address = "10.77.1.1"
protocol = "bacnet"

[devices.unit.model]
instance = "=1000 + device.index"
i_am = "{i_am}"
objects = {{ "analog-input,1" = 20.0 }}

{more}
"""
DISCOVERER = """
[devices.discoverer]
address = "10.77.2.1"
protocol = "bacnet"
model = { instance = 1 }

[[devices.discoverer.rules]]
after = "1s"
to = "10.77.255.255:47808"
send = { function = "ORIGINAL_BROADCAST_NPDU", service = "WHO_IS" }
"""
BROADCAST = "10.77.255.255:47808"


@pytest.mark.parametrize(
    "asked", [{"service": "WHO_IS"}, {"service": "WHO_HAS", "object": "analog-input,1"}]
)
async def test_what_all_answer_to_the_gateway_is_not_heard_by_all(
    asked: dict[str, str], autojump_clock: object
) -> None:
    """Of n devices each would hear n - 1 others."""
    async with simulated(SCENE.format(i_am="broadcast", more="")) as gateway:
        payload = CODEC.encode({"function": "ORIGINAL_BROADCAST_NPDU", **asked})
        ends = [(parse_address(each), 47808) for each in ("10.77.0.1", "10.77.255.255")]
        gateway.link.send_nowait(datagram_frame(ends[0], ends[1], payload))
        await trio.sleep(1)
        arrived = [each.message for each in gateway.take()]
        assert {each["function"] for each in arrived if each} == {"ORIGINAL_BROADCAST_NPDU"}
        assert len({each["device"] for each in arrived if each}) == 20
        sent = [each.peer for each in gateway.events if isinstance(each, Sent)]
        received = [each.peer for each in gateway.events if isinstance(each, Received)]
        assert sent == [BROADCAST] * 20
        assert len(received) == 20


async def test_what_is_answered_to_a_device_is_heard_by_all(autojump_clock: object) -> None:
    async with simulated(SCENE.format(i_am="broadcast", more=DISCOVERER)) as gateway:
        await trio.sleep(2)
        heard = Counter(
            each.device
            for each in gateway.events
            if isinstance(each, Received) and each.message["service"] == "I_AM"
        )
        assert (heard["discoverer[0]"], heard["unit[0]"], len(heard)) == (20, 19, 21)


async def test_an_i_am_may_be_for_who_has_asked_alone(autojump_clock: object) -> None:
    async with simulated(SCENE.format(i_am="unicast", more=DISCOVERER)) as gateway:
        await trio.sleep(2)
        received = [each for each in gateway.events if isinstance(each, Received)]
        heard = [each for each in received if each.message["service"] == "I_AM"]
        assert [each.device for each in heard] == ["discoverer[0]"] * 20
        assert {each.message["function"] for each in heard} == {"ORIGINAL_UNICAST_NPDU"}
