"""What is written later says what it would have said at once, whatever the protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from iotsim.link.memory import MemoryLink
from iotsim.run import record as records
from iotsim.run.files import NO_THREAD, Writer
from iotsim.run.folder import ResultsFolder
from iotsim.run.record import Record
from iotsim.scenario import load_text
from iotsim.simulation.simulation import Simulation
from iotsim.testing.frames import datagram_frame
from iotsim.wire.address import parse_address

if TYPE_CHECKING:
    from pathlib import Path

GATEWAY = parse_address("10.77.0.1"), 40000
COAP: list[dict[str, Any] | bytes] = [
    {"type": "CON", "code": "GET", "message_id": 1, "token": b"\1", "path": "/temp"},
    {"type": "CON", "code": "GET", "message_id": 1, "token": b"\1", "path": "/temp"},
    {"type": "NON", "code": "GET", "message_id": 2, "token": b"", "path": "/temp"},
    {"type": "CON", "code": "GET", "message_id": 3, "token": b"\3", "path": "/none"},
    {"type": "CON", "code": "GET", "message_id": 4, "token": b"\4", "path": "/temp", "observe": 0},
    {"type": "CON", "code": "EMPTY", "message_id": 5},
    {"type": "RST", "code": "EMPTY", "message_id": 9},
    b"\x41\x01\0\6",
]
BINDING = {"oid": "1.3.6.1.2.1.25.3.5.1.1.1", "type": "NULL", "value": None}
SNMP: list[dict[str, Any] | bytes] = [
    {"version": 2, "community": "public", "pdu": pdu, "request_id": number, "bindings": [BINDING]}
    for number, pdu in enumerate(("GET", "GETNEXT", "GET"), 1)
]
MODBUS: list[dict[str, Any] | bytes] = [
    {"transaction": n, "unit": 1, "function": function, "address": address, "count": 2}
    for n, (function, address) in enumerate(
        [("READ_HOLDING_REGISTERS", 10), ("READ_HOLDING_REGISTERS", 99), ("READ_COILS", 1)]
    )
]
MODELS = {
    "coap": """
[devices.d.model.resources]
"/temp" = { value = 20, format = "text/plain", observe = "1s" }
""",
    "snmp": """
[devices.d.model.objects]
"1.3.6.1.2.1.25.3.5.1.1.1" = { type = "INTEGER", value = 7 }
""",
    "modbus": """
[devices.d.model.unit.1]
holding = { 10 = { value = 1.5, type = "float32" } }
""",
}
ASKED = {"coap": COAP, "snmp": SNMP, "modbus": MODBUS}


def record_of(folder: Path, protocol: str, expect: str, *, later: bool) -> tuple[bytes, bytes]:
    """Events and capture of a run in which two devices are asked all that is in `ASKED`."""
    folder.mkdir()
    text = (
        f'[devices.d]\ncount = 2\naddress = "10.77.1.1"\nprotocol = "{protocol}"\n{MODELS[protocol]}'
        f'[[expect]]\neach = "d"\n{expect} = {{}}\nwithin = "5s"\n'
    )
    scenario = load_text(text, folder / "later.toml", default_seed=1)
    ours, theirs = MemoryLink.pair(scenario.link.mtu)
    now = 0.0
    simulation = Simulation(scenario, ours, seed=1, clock=lambda: now, wall_time=1.7e9)
    record = Record(
        ResultsFolder(folder), scenario, simulation.journal, Writer(NO_THREAD), wall_time=1.7e9,
        interface="memory", fleets=simulation.fleets.values(), may_fork=later,
    )  # fmt: skip
    simulation.start()
    simulation.boot(now)
    simulation.journal.flush()
    if later:
        record.have_scribe()
        assert record.scribe is not None
    service = scenario.fleets[0].services[0]
    for turn in range(2):
        for message in ASKED[protocol]:
            now += 0.01
            encode = service.protocol.codec.encode
            payload = message if isinstance(message, bytes) else encode(message)
            to = parse_address("10.77.1.1") + turn, service.port
            theirs.send_nowait(datagram_frame(GATEWAY, to, payload))
            while simulation.pump.turn():
                pass
    simulation.journal.flush()
    assert record.close() == []
    return (folder / "events.jsonl").read_bytes(), (folder / "capture.pcapng").read_bytes()


@pytest.mark.parametrize("expect", ["receives", "sends"])
@pytest.mark.parametrize("protocol", ASKED)
def test_it_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: str, expect: str
) -> None:
    monkeypatch.setattr(records, "may_have_scribe", lambda: True)
    at_once = record_of(tmp_path / "at-once", protocol, expect, later=False)
    assert record_of(tmp_path / "later", protocol, expect, later=True) == at_once
    assert at_once[0].count(b'"sent"') >= len(ASKED[protocol])
