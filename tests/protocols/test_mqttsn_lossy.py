"""Clients and a gateway over a network that loses and repeats, in order: what each QoS promises holds
(MQTT 3.1.1, section 4.3)."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
import trio
from tests.protocols.mqttsn import Client, Device, Gateway

from iotsim.events import Sent
from iotsim.scenario import load_text
from iotsim.testing import simulated
from iotsim.testing.frames import datagram_frame
from iotsim.units import parse_endpoint
from iotsim.wire import virtio
from iotsim.wire.address import format_endpoint

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

STEP_S = 0.2
MODEL = {"retry": "1s", "retries": 30, "keep_alive": "600s"}


class Network:
    """Two clients and a gateway, each by itself in its own time, and the datagrams between them."""

    def __init__(self, seed: int, loss: float) -> None:
        self.chance = random.Random(seed)
        self.loss = loss
        self.gateway = Tapped(Gateway, {**MODEL, "clients": 4})
        self.clients = {
            f"10.77.0.{number}:1883": Tapped(
                Client, {**MODEL, "client": f"c{number}", "subscribe": [{"topic": "#", "qos": 2}]}
            )
            for number in (2, 3)
        }

    def wait(self, seconds: float) -> None:
        for _ in range(round(seconds / STEP_S)):
            for place, client in self.clients.items():
                for _, data in client.take():
                    self.carry(data, place, self.gateway)
            for to, data in self.gateway.take():
                if to in self.clients:
                    self.carry(data, "10.77.0.1:40000", self.clients[to])
            for one in (self.gateway, *self.clients.values()):
                one.device.wait(STEP_S)

    def carry(self, data: bytes, source: str, to: Tapped) -> None:
        copies = 0 if self.chance.random() < self.loss else 1 + (self.chance.random() < self.loss)
        for _ in range(copies):
            to.hold(data, source, 1)


class Tapped:
    """A device, what it has sent with where to, and what is on its way to it."""

    def __init__(self, make: type[Device], model: dict[str, Any]) -> None:
        self.sent: list[tuple[str, bytes]] = []

        class Tap(make):  # type: ignore[valid-type,misc]
            def _keep(tap, frame: bytes) -> None:  # noqa: N805
                packet = virtio.complete_checksum(frame)
                to = int.from_bytes(packet[16:20], "big"), int.from_bytes(packet[22:24], "big")
                self.sent.append((format_endpoint(*to), packet[28:]))

        self.held: list[tuple[int, str, bytes]] = []
        self.device: Device = Tap(model)

    def take(self) -> list[tuple[str, bytes]]:
        for number, (steps, source, data) in enumerate(self.held):
            self.held[number] = steps - 1, source, data
            if steps <= 0:
                to = parse_endpoint("10.77.1.1:1883")
                self.device._link.send_nowait(datagram_frame(parse_endpoint(source), to, data))
        self.held = [one for one in self.held if one[0] >= 0]
        sent, self.sent = self.sent, []
        return sent

    def hold(self, data: bytes, source: str, steps: int) -> None:
        self.held.append((steps, source, data))

    def heard(self, qos: int) -> Counter[str]:
        return Counter(
            one["data"]
            for one in self.device.heard
            if one["kind"] == "PUBLISH" and one["qos"] == qos
        )


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("loss", [0.0, 0.3])
def test_each_quality_of_service_holds_what_it_promises(loss: float, seed: int) -> None:
    network = Network(seed, loss)
    network.wait(5)
    wanted: dict[int, set[str]] = {0: set(), 1: set(), 2: set()}
    for number in range(12):
        for place, client in network.clients.items():
            qos = number % 3
            data = f"{place} {number}"
            topic = ("ab", "data/long", f"data/{number}")[number % 2 + (number > 6)]
            client.device.say(kind="PUBLISH", topic=topic, data=data, qos=qos)
            wanted[qos].add(data)
        network.wait(1)
    everybody = network.gateway, *network.clients.values()
    for _ in range(40):
        network.wait(5)
        if all(set(one.heard(qos)) >= wanted[qos] for one in everybody for qos in (1, 2)):
            break
    network.wait(10)  # for what comes twice
    for one in everybody:
        assert one.device.failures == []
        assert one.device.notes == []
        assert set(one.heard(1)) == wanted[1]
        assert one.heard(2) == Counter(wanted[2])  # once each
        if not loss:
            assert one.heard(0) == Counter(wanted[0])


NETWORK = """
[scenario]
duration = "1h"

[gateway]
port = 40000

[devices.hub]
count = 1
address = "10.77.1.1"
protocol = "mqttsn"
[devices.hub.model]
role = "gateway"
gateway_id = 5

[devices.sensor]
count = 20
address = "10.77.2.1"
protocol = "mqttsn"
[devices.sensor.model]
gateway = "search"
subscribe = ["all"]

[[devices.sensor.rules]]
after = "2m"
send = { kind = "PUBLISH", topic = "=device.name + '/value'", data = "=str(device.index)", qos = 1 }

[[devices.hub.rules]]
after = "5m"
send = { kind = "PUBLISH", topic = "all", data = "hello", qos = 1 }

[[expect]]
name = "each finds the hub and is acknowledged"
each = "sensor"
receives = { kind = "PUBACK", return_code = "ACCEPTED" }
within = "4m"

[[expect]]
name = "each is told"
each = "sensor"
receives = { kind = "PUBLISH", topic = "all", data = "hello" }
within = "6m"
"""


async def test_a_fleet_finds_its_gateway(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Section 6.1, among simulated devices."""
    async with simulated(load_text(NETWORK, tmp_path / "n.toml", default_seed=1)) as gateway:
        await trio.sleep(400)
    assert gateway.run.result is not None
    assert gateway.run.result.verdict == "passed"
    sent = Counter(
        event.message["kind"]
        for event in gateway.events
        if isinstance(event, Sent) and event.layer == "wire" and event.device != "hub[0]"
    )
    assert sent["CONNECT"] == 20
    assert sent["SEARCHGW"] == 0  # the hub has advertised itself sooner
