"""What devices with sessions have sent is told alike by them, and by who writes it down."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.local import of_local_socket

from iotsim.events import Event, PacketRecord
from iotsim.link.memory import MemoryLink
from iotsim.scenario import load_text
from iotsim.simulation.simulation import Simulation
from iotsim.testing.frames import datagram_frame
from iotsim.wire.address import parse_address

if TYPE_CHECKING:
    from collections.abc import Sequence

COAP = """
[devices.node]
address = "10.77.1.1"
protocol = "coap"

[devices.node.model]
block_size = 16

[devices.node.model.resources]
"/temp" = { value = 21.5, observe = "1s" }
"/tag" = { value = { a = 1 }, format = "application/json", etag = true, max_age = 5 }
"/long" = { value = "more than goes into a block" }

[[devices.node.rules]]
when = { path = "/odd" }
reply = { code = "CONTENT", payload = "hex:00ff", query = ["a", "b"] }
"""
MODBUS = """
[devices.node]
address = "10.77.1.1"
protocol = "modbus"

[devices.node.model.unit.1]
holding = { 10 = { value = 21.5, type = "float32" } }
"""
RAW = (
    COAP
    + """
[[devices.node.rules]]
when = { path = "/raw" }
reply = { raw = "hex:dead" }
"""
)
READ = {"function": "READ_HOLDING_REGISTERS", "unit": 1, "count": 2}
REQUESTS: dict[str, list[dict[str, Any]]] = {
    COAP: [
        {"code": "GET", "path": "/temp"},
        {"code": "GET", "path": "/temp", "type": "NON", "token": b"abc"},
        {"code": "GET", "path": "/temp", "observe": 0, "token": b"o"},
        {"code": "GET", "path": "/tag"},
        {"code": "GET", "path": "/long"},
        {"code": "GET", "path": "/odd"},
        {"code": "GET", "path": "/none"},
        {"code": "PUT", "path": "/temp", "payload": "1"},
        {"code": "EMPTY"},
        {"code": "GET", "path": "/temp"},
    ],
    MODBUS: [{**READ, "address": 10}, {**READ, "address": 11}, {**READ, "address": 10}],
}
REQUESTS[RAW] = [*REQUESTS[COAP], {"code": "GET", "path": "/raw"}, {"code": "GET", "path": "/temp"}]
NUMBERS = {COAP: "message_id", RAW: "message_id", MODBUS: "transaction"}


def events_of(scenario: str, leave: bool, more: str = "") -> tuple[list[bytes], int]:
    """All events, in JSON, and how many of them were left untold, of two rounds of requests; `more` is at the
    end of the scenario."""
    ours, theirs = MemoryLink.pair(1500)
    clock = [0.0]
    loaded = load_text(scenario + more, Path("x.toml"), default_seed=1)
    simulation = Simulation(loaded, ours, seed=1, clock=lambda: clock[0], wall_time=0.0)
    journal, told, left = simulation.journal, [], 0

    def take(events: Sequence[Any], packets: Sequence[PacketRecord]) -> None:
        nonlocal left
        left += sum(not isinstance(event, Event) for event in events)
        told.extend(map(msgspec.json.encode, journal.told(events, packets)))

    journal.add_batch_sink(take)
    simulation.start()
    simulation.boot(0.0)
    assert not leave or journal.leave_telling(brief=True)
    service = loaded.fleets[0].services[0]
    gateway, device = (
        (parse_address("10.77.0.1"), 40000),
        (parse_address("10.77.1.1"), service.port),
    )
    for round_ in range(2):
        for number, request in enumerate(REQUESTS[scenario]):
            clock[0] += 0.3
            message = {**request, NUMBERS[scenario]: 100 * round_ + number}
            payload = service.protocol.codec.encode(message)
            theirs.send_nowait(of_local_socket(datagram_frame(gateway, device, payload)))
            while simulation.pump.turn():
                pass
    journal.flush()
    return told, left


@pytest.mark.parametrize("scenario", [COAP, RAW, MODBUS], ids=["coap", "raw", "modbus"])
def test_what_is_left_untold_is_told_the_same(scenario: str) -> None:
    at_once, none = events_of(scenario, leave=False)
    later, some = events_of(scenario, leave=True)
    assert later == at_once
    assert none == 0
    messages = [one for one in at_once if msgspec.json.decode(one)["event"] in ("sent", "received")]
    assert len(REQUESTS[scenario]) <= some <= len(messages)


@pytest.mark.parametrize("leave", [False, True])
def test_what_nothing_befalls_is_told_as_if_nothing_could(leave: bool) -> None:
    impaired = "\n[[impair]]\nloss = 0.0\n"
    alone, _ = events_of(COAP, leave)
    assert events_of(COAP, leave, impaired)[0] == alone
    assert any(b'"layer":"application"' in one for one in alone)
