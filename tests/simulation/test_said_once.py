"""What a device repeats in other bytes, or in parts, it says with the first copy that is not lost."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import trio

from iotsim.events import Sent
from iotsim.session import Peer
from iotsim.simulation.sessions.unsaid import Saying, Unsaid

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.testing import MockClock

    from iotsim.testing import Gateway

FATES = ['loss = "100%"', "corrupt = 1.0"]
SEMTECH = """
[gateway]
port = 1700
[devices.hub]
address = "10.77.1.1"
protocol = "semtech"
[devices.hub.model]
stat_interval = "1h"
[devices.hub.model.nodes.meter]
dev_eui = "70B3D57ED0000001"
start = "1s"
nb_trans = 4
uplink = { every = "1h", payload = "x", confirmed = true }
[devices.hub.model.nodes.meter.abp]
dev_addr = "26011BDA"
nwk_skey = "hex:00112233445566778899aabbccddeeff"
app_skey = "hex:00112233445566778899aabbccddeeff"
"""
BACNET = """
[gateway]
port = 47808
[devices.unit]
address = "10.77.1.1"
protocol = "bacnet"
model = { instance = 1000, objects = { "analog-input,1" = 20 } }
"""
READ_ALL = {
    "service": "READ_PROPERTY_MULTIPLE",
    "reads": [{"object": "device,1000", "properties": [{"property": "all"}]}],
    "segmented_response_accepted": True,
    "max_apdu": 206,
}


def impaired(lost: int, when: str, fate: str) -> str:
    if not lost:
        return ""
    return f"[[impair]]\ndirection = 'from_device'\nwhen = {when}\nfirst = {lost}\n{fate}\n"


def sent(gateway: Gateway, layer: str) -> list[Sent]:
    return [one for one in gateway.events if isinstance(one, Sent) and one.layer == layer]


@pytest.mark.parametrize("fate", FATES)
@pytest.mark.parametrize("lost", [0, 1, 3])
async def test_an_uplink_that_a_node_repeats(
    lost: int, fate: str, simulated: Callable[[str], Any], autojump_clock: MockClock
) -> None:
    text = SEMTECH + impaired(lost, '{ kind = "PUSH_DATA" }', fate)
    async with simulated(text) as gateway:
        await trio.sleep(60)
        told = sent(gateway, "application")
        pushed = [one for one in sent(gateway, "wire") if one.message["kind"] == "PUSH_DATA"]
    assert len(pushed) == 4 - lost
    (uplink,) = told
    assert uplink.message["kind"] == "UPLINK"
    assert uplink.t == pushed[0].t
    assert uplink.message["frequency"] == pushed[0].message["rxpk"][0]["freq"]


@pytest.mark.parametrize("fate", FATES)
@pytest.mark.parametrize("lost", [0, 1, 2])
async def test_a_response_in_segments(
    lost: int, fate: str, simulated: Callable[[str], Any], autojump_clock: MockClock
) -> None:
    last = '{ apdu = "COMPLEX_ACK", more_follows = false }'
    async with simulated(BACNET + impaired(lost, last, fate)) as gateway:
        gateway.send("unit[0]", READ_ALL, port=47808)
        for _ in range(20):
            await trio.sleep(0.1)
            for arrival in gateway.take():
                message = arrival.message
                if message is not None and message.get("more_follows"):
                    acknowledgment = {
                        "apdu": "SEGMENT_ACK",
                        "invoke_id": message["invoke_id"],
                        "sequence_number": message["sequence_number"],
                        "window": 1,
                        "server": False,
                    }
                    gateway.send("unit[0]", acknowledgment, port=47808)
        await trio.sleep(60)  # nobody acknowledges the last: it is repeated
        told = sent(gateway, "application")
        lasts = [one for one in sent(gateway, "wire") if one.message.get("more_follows") is False]
    assert len(lasts) == 4 - lost
    (said,) = told
    assert said.message["apdu"] == "COMPLEX_ACK"
    assert said.t == lasts[0].t


@pytest.mark.parametrize(("devices", "most"), [(1, 64), (10_000, 1 << 16), (100_000, 400_000)])
def test_what_a_fleet_never_repeats_is_not_kept_without_end(devices: int, most: int) -> None:
    unsaid, saying = Unsaid(devices), Saying(same=True, said={"kind": "REPORT"})
    count = most + most // 8
    for number in range(count):
        device, datagram = (
            SimpleNamespace(index=number % devices),
            SimpleNamespace(peer=1, peer_port=2),
        )
        transit: Any = SimpleNamespace(
            device=device, datagram=datagram, luggage=saying, payload=b"%d" % number
        )
        unsaid.note(transit)
    assert len(unsaid) <= most
    peer = Peer(1, 2, 3, 4)
    for number, known in ((0, None), (count - 1, saying), (count - 1, None)):
        asked: Any = SimpleNamespace(index=number % devices)
        assert unsaid.take(asked, b"%d" % number, peer) is known
