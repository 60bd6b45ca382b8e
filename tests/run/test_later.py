"""What is written later says what it would have said at once, whatever the protocol."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.local import of_local_socket

from iotsim.events import Untold
from iotsim.link.memory import MemoryLink
from iotsim.run import record as records
from iotsim.run.files import NO_THREAD, Writer
from iotsim.run.folder import ResultsFolder
from iotsim.run.record import Record
from iotsim.run.scribe import Scribe
from iotsim.scenario import load_text
from iotsim.simulation import journal, telling
from iotsim.simulation.exchange import service
from iotsim.simulation.simulation import Simulation
from iotsim.testing.frames import datagram_frame
from iotsim.wire.address import parse_address

if TYPE_CHECKING:
    from collections.abc import Iterable

FAMILIES = {"IPv4": ("10.77.0.1", "10.77.1.1"), "IPv6": ("fd77::1", "fd77::1:1")}
"""The addresses of the gateway and of the first device."""
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
SENSORNET: list[dict[str, Any] | bytes] = [
    {"kind": "READ", "device": 1, "seq": 1, "point": 0},
    {"kind": "READ", "device": 1, "seq": 2, "point": 3},
    b"\0\1\2",
    {"kind": "READ", "device": 1, "seq": 3, "point": 0},
]
MODELS = {
    "sensornet": """
[[devices.d.rules]]
when = { point = 0 }
reply = { kind = "REPORT", value = 1.25 }
""",
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
ASKED = {"coap": COAP, "snmp": SNMP, "modbus": MODBUS, "sensornet": SENSORNET}
DISTURBANCES = {
    "delay": '[[impair]]\ndelay = "1ms..30ms"\n',
    "loss": "[[impair]]\nloss = 0.4\n",
    "all": '[[impair]]\nloss = 0.1\ndelay = "5ms"\nduplicate = 0.3\ncorrupt = 0.2\nreorder = 0.2\n',
    "rate": '[[impair]]\nrate = "20kbit/s"\n',
    "by number": '[[impair]]\ndelay = "3ms"\nevery = 2\n',
    "one device": '[[impair]]\ndelay = "3ms"\ndevices = "d[1]"\n',
    "two": '[[impair]]\ndelay = "3ms"\n[[impair]]\nname = "lost"\nloss = 0.3\n',
    "slow": '[[fault]]\nslow = "5ms"\n',
    "slow and doubled": '[[fault]]\nslow = "5ms"\n[[impair]]\nduplicate = 1.0\n',
    "mute": "[[fault]]\nmute = true\nfirst = 3\n",
    "reboot": "[[fault]]\nreboot = true\nevery = 2\n",
}
"""Ends of a scenario."""


def record_of(
    folder: Path,
    protocol: str,
    expect: str,
    family: str = "IPv4",
    *,
    later: bool,
    more: str = "",
    local: bool = False,
) -> tuple[bytes, bytes]:
    """Events and capture of a run in which two devices are asked all that is in `ASKED`; `more` is at the
    end of its scenario. `local`: packets are as those of a socket of this machine."""
    folder.mkdir()
    gateway, first = FAMILIES[family]
    text = (
        f'[devices.d]\ncount = 2\naddress = "{first}"\nprotocol = "{protocol}"\n{MODELS[protocol]}'
        f'[[expect]]\neach = "d"\n{expect} = {{}}\nwithin = "5s"\n{more}'
    )
    scenario = load_text(text, Path("later.toml"), default_seed=1)
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
            to = parse_address(first) + turn, service.port
            frame = datagram_frame((parse_address(gateway), 40000), to, payload)
            theirs.send_nowait(of_local_socket(frame) if local else frame)
            while simulation.pump.turn():
                pass
    while simulation.pump.timers.next_due() < now + 0.2:
        now = max(now, simulation.pump.timers.next_due())
        simulation.pump.turn()
    simulation.journal.flush()
    assert record.close() == []
    return (folder / "events.jsonl").read_bytes(), (folder / "capture.pcapng").read_bytes()


def in_brief(monkeypatch: pytest.MonkeyPatch) -> list[Untold]:
    """What is made of each brief event from now on, as that is done."""
    made: list[Untold] = []
    in_full = journal._in_full

    def noting(*arguments: Any) -> Untold:
        made.append(in_full(*arguments))
        return made[-1]

    monkeypatch.setattr(journal, "_in_full", noting)
    return made


@pytest.mark.parametrize("local", [False, True], ids=["", "local"])
@pytest.mark.parametrize("expect", ["receives", "sends"])
@pytest.mark.parametrize("protocol", ASKED)
def test_it_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: str, expect: str, local: bool
) -> None:
    monkeypatch.setattr(records, "may_have_scribe", lambda: True)
    in_full = in_brief(monkeypatch)
    at_once = record_of(tmp_path / "at-once", protocol, expect, later=False, local=local)
    later = record_of(tmp_path / "later", protocol, expect, later=True, local=local)
    assert later == at_once
    assert at_once[0].count(b'"sent"') >= len(ASKED[protocol])
    # Of what a session is given, only what its shortcut answers is told in brief.
    assert bool(in_full) == (local and (expect == "receives" or protocol == "sensornet"))


@pytest.mark.parametrize("more", DISTURBANCES.values(), ids=DISTURBANCES)
@pytest.mark.parametrize("expect", ["receives", "sends"])
@pytest.mark.parametrize("protocol", ["coap", "modbus", "sensornet"])
def test_what_is_impaired_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: str, expect: str, more: str
) -> None:
    monkeypatch.setattr(records, "may_have_scribe", lambda: True)
    made: list[Untold] = []

    def make(*values: Any) -> Untold:
        made.append(Untold(*values))
        return made[-1]

    for module in (service, telling):
        monkeypatch.setattr(module, "Untold", make)
    at_once = record_of(tmp_path / "at-once", protocol, expect, later=False, more=more)
    assert not made
    assert record_of(tmp_path / "later", protocol, expect, later=True, more=more) == at_once
    assert b'"impaired"' in at_once[0]
    assert any(one.message is None for one in made)
    sent = [one for one in made if one.message is not None]
    # What an expectation looks at is told at once; with CoAP, acknowledgements are not looked at.
    may_leave = "mute" not in more and (expect == "receives" or protocol == "coap")
    assert bool(sent) == may_leave


@pytest.mark.parametrize("protocol", ASKED)
def test_what_comes_by_ipv6_is_put_off_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    monkeypatch.setattr(records, "may_have_scribe", lambda: True)
    at_once = record_of(tmp_path / "at-once", protocol, "receives", "IPv6", later=False)
    pieces: list[bytes] = []
    append = Scribe.append

    def noting(self: Scribe, piece: bytes, numbers: Iterable[int]) -> None:
        pieces.append(piece)
        append(self, piece, numbers)

    monkeypatch.setattr(Scribe, "append", noting)
    assert record_of(tmp_path / "later", protocol, "receives", "IPv6", later=True) == at_once
    assert b"[fd77::1]:40000" in at_once[0]
    assert pieces
    assert not [piece for piece in pieces if piece.startswith(b"{")], "none was encoded before"
