"""Services of a run on a memory link, in virtual time: the test tells what they receive."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio

from iotsim.errors import IotsimError
from iotsim.events import Northbound
from iotsim.link.memory import MemoryLink
from iotsim.run.run import RunOptions, open_run
from iotsim.scenario.load import load_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iotsim.events import Event

SCENARIO = """
[scenario]
until = "duration"
[devices.meter]
address = "10.77.1.1"
[northbound.cloud]
kind = "http"
tls = true
[[northbound.cloud.rules]]
reply = { status = 503 }
first = 1
delay = "2s"
[northbound.broker]
kind = "mqtt"
"""


async def test_what_they_receive_are_events_with_virtual_times(autojump_clock: Any) -> None:
    events: list[Event] = []

    def watch(batch: Sequence[Event]) -> None:
        events.extend(batch)

    scenario = load_text(SCENARIO, Path("/nowhere/n.toml"))
    ours, _theirs = MemoryLink.pair()
    async with open_run(scenario, RunOptions(files=False, watch=[watch]), link=ours) as run:
        first = await run.receive("cloud", {"method": "POST", "path": "/r", "json": {"n": 1}})
        second = await run.receive("cloud", {"method": "POST", "path": "/r", "json": {"n": 1}})
        await run.receive("broker", {"topic": "a", "payload": b"\xff", "qos": 1, "retain": False})
        await run.northbound_do("cloud", "stop")
        with pytest.raises(ConnectionRefusedError):
            await run.receive("cloud", {"method": "GET"})
        await run.northbound_do("cloud", "start")
        with pytest.raises(IotsimError, match="no northbound service"):
            await run.northbound_do("clod", "start")
        await trio.sleep(1)
    assert (first.status, second.status) == (503, 200)
    found = [(e.t, e.service, e.fields) for e in events if isinstance(e, Northbound)]
    body = {"method": "POST", "path": "/r", "json": {"n": 1}}
    assert found == [
        (2.0, "cloud", {**body, "status": 503}),
        (2.0, "cloud", {**body, "status": 200}),
        (2.0, "broker", {"topic": "a", "payload": "hex:ff", "qos": 1, "retain": False}),
    ]


async def test_a_run_without_services_has_none(autojump_clock: Any) -> None:
    scenario = load_text('[devices.meter]\naddress = "10.77.1.1"', Path("/nowhere/n.toml"))
    ours, _theirs = MemoryLink.pair()
    async with open_run(scenario, RunOptions(files=False), link=ours) as run:
        with pytest.raises(IotsimError, match="no northbound service 'cloud'"):
            await run.northbound_do("cloud", "stop")
        with pytest.raises(IotsimError, match="only on a memory link"):
            await run.receive("cloud", {})
