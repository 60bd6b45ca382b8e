"""Behaviors that ask and listen: `request`, `receive` and `later`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
from tests.session.helpers import write_protocol

from iotsim.events import DeviceFailed, Note
from iotsim.simulation.commands import Reboot
from iotsim.testing import simulated

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SCENARIO = """
[scenario]
name = "asking"
duration = "1h"

[link]
address = "10.77.0.1/16"

[gateway]
port = 9000

[devices.d]
count = 2
address = "10.77.1.1"
protocol = "{protocol}"
behavior = "b.py:B"

[[devices.d.rules]]
when = {{ kind = "{kind}" }}
reply = {{ kind = "ACK" }}
"""


@pytest.fixture
def scenario(tmp_path: Path) -> Callable[..., Path]:
    def write(behavior: str, protocol: str = "sensornet", kind: str = "COMMAND") -> Path:
        head = "from iotsim import Device, Unanswered, on\n\n\nclass B(Device):\n"
        (tmp_path / "b.py").write_text(head + behavior)
        text = SCENARIO.format(protocol=protocol, kind=kind)
        (tmp_path / "s.toml").write_text(text)
        return tmp_path / "s.toml"

    return write


def notes(gateway: Any) -> list[str]:
    return [event.text for event in gateway.events if isinstance(event, Note)]


REQUEST = """
    async def run(self):
        if self.index == 0:
            try:
                answer = await self.request({"kind": "READ", "device": 1, "seq": 7}, timeout="5s")
                self.log(f"{answer['kind']} {answer['value']} at {self.now:.0f}")
            except Unanswered as error:
                self.log(f"{error.reason} at {self.now:.0f}")
"""


async def test_an_answer_is_what_repeats_the_fields_that_the_protocol_echoes(
    scenario: Callable[..., Path], autojump_clock: object
) -> None:
    async with simulated(scenario(REQUEST)) as gateway:
        asked = await gateway.receive(1.0)
        assert asked.port == 9000
        await trio.sleep(2)
        # Others, also those with another number, are not it.
        for device, seq in (("d[0]", 6), ("d[1]", 7), ("d[0]", 7), ("d[0]", 7)):
            message = {"kind": "REPORT", "device": 1, "seq": seq, "value": seq}
            gateway.send(device, message, port=9000)
        await trio.sleep(2)
    assert notes(gateway) == ["d[0]: REPORT 7.0 at 2"]
    outcomes = gateway.simulation.counters().counts
    assert outcomes["outcome.consumed.awaited"] == 1
    assert outcomes["outcome.consumed.no-rule"] == 3


async def test_somebody_else_does_not_answer(
    scenario: Callable[..., Path], autojump_clock: object
) -> None:
    async with simulated(scenario(REQUEST)) as gateway:
        await gateway.receive(1.0)
        gateway.send("d[0]", {"kind": "REPORT", "device": 1, "seq": 7, "value": 1}, port=9001)
        await trio.sleep(6)
    assert notes(gateway) == ["d[0]: timeout at 5"]


async def test_what_a_behavior_listens_for_goes_to_no_rule(
    scenario: Callable[..., Path], autojump_clock: object
) -> None:
    behavior = """
    async def run(self):
        heard = await self.receive(kind="COMMAND", argument={"min": 5})
        self.log(f"{self.name} heard {heard['argument']}")
        try:
            await self.receive({"kind": "READ"}, within="3s")
        except Unanswered:
            self.log(f"nothing more at {self.now:.0f}")
"""
    async with simulated(scenario(behavior)) as gateway:
        await trio.sleep(1)
        for argument in (1, 9, 9):
            command = {"kind": "COMMAND", "device": 1, "seq": argument, "code": 1}
            gateway.send("d[0]", {**command, "argument": argument})
        await trio.sleep(5)
        answers = [arrival.message["seq"] for arrival in gateway.take()]
    assert answers == [1, 9]
    assert notes(gateway) == ["d[0]: d[0] heard 9", "d[0]: nothing more at 4"]


async def test_who_waits_in_vain_leaves_nothing_behind(
    scenario: Callable[..., Path], autojump_clock: object
) -> None:
    behavior = """
    async def run(self):
        await self.receive(kind="COMMAND")
"""
    async with simulated(scenario(behavior)) as gateway:
        service = gateway.simulation._services["d"][0]
        assert service._respond == service._listeners.otherwise or service._listeners
        await trio.sleep(1)
        gateway.simulation.do(Reboot("d[0]"))
        await trio.sleep(1)
        assert len(service._listeners._by_device[0]) == 1
        for device in ("d[0]", "d[1]"):
            gateway.send(
                device, {"kind": "COMMAND", "device": 1, "seq": 1, "code": 2, "argument": 0}
            )
        await trio.sleep(1)
        assert not service._listeners
        assert service._respond is service._listeners.otherwise


async def test_later_is_not_after_a_reboot(
    scenario: Callable[..., Path], autojump_clock: object
) -> None:
    behavior = """
    async def run(self):
        self.later("2s", self.log, "later")
        if self.index == 1:
            self.later("1s", lambda: 1 / 0)
"""
    async with simulated(scenario(behavior)) as gateway:
        await trio.sleep(1.5)
        gateway.simulation.do(Reboot("d[0]"))
        await trio.sleep(3)
    assert notes(gateway) == ["d[0]: later"]
    (failed,) = [event for event in gateway.events if isinstance(event, DeviceFailed)]
    assert (failed.device, failed.t) == ("d[1]", 1.0)
    assert "ZeroDivisionError" in failed.error


async def test_a_session_says_what_answers_a_behaviors_request(
    scenario: Callable[..., Path], tmp_path: Path, autojump_clock: object
) -> None:
    write_protocol(
        tmp_path,
        """
class Talk(Session):
    def submit(self, message, peer, ticket):
        self.send(message, peer)
        self.ticket = ticket
        self.call_later(10, ticket.give_up, "refused")

    def receive(self, message, peer):
        if message["kind"] == "ACK" and self.ticket:
            self.answered(message, peer, self.ticket)
        else:
            self.deliver(message, peer)
""",
    )
    behavior = """
    async def run(self):
        try:
            answer = await self.request({"kind": "GET", "number": 1}, timeout="60s")
            self.log(answer["number"])
        except Unanswered as error:
            self.log(f"{error.reason} at {self.now:.0f}")
"""
    async with simulated(scenario(behavior, "talk", "GET")) as gateway:
        await trio.sleep(1)
        gateway.send("d[0]", {"kind": "ACK", "number": 33})
        await trio.sleep(20)
    assert notes(gateway) == ["d[0]: 33", "d[1]: refused at 10"]
