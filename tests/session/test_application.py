"""Sessions whose messages above are others than those on the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from iotsim.errors import ProtocolError, ScenarioError
from iotsim.events import DeviceFailed
from iotsim.scenario import load_text
from iotsim.testing import Transcript, simulated

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

VALVE = '''
"""Valves that are told and tell percents; on the wire, a byte out of 255."""
from construct import Byte, Const, Default, Enum, Float64b, Struct

from iotsim import EncodeError, Protocol, Session, Table

MESSAGE = Struct("version" / Const(1, Byte), "code" / Enum(Byte, A=1, B=2), "raw" / Byte)
APPLICATION = Struct("service" / Enum(Byte, SET=1, STATE=2), "percent" / Default(Float64b, 0.0))


class Model(Table):
    most: float = 100.0


class Valve(Session):
    @classmethod
    def check(cls, message, model):
        if message["percent"] > model.most:
            raise EncodeError(f"a valve opens to {model.most}", "percent")

    def receive(self, message, peer):
        service = {"A": "SET", "B": "STATE"}[message["code"]]
        self.deliver({"service": service, "percent": message["raw"] / 2.55}, peer)

    def respond(self, message, peer):
        return {"service": "STATE"}

    def reply(self, message, exchange):
        self.check(message, self.model)
        code = {"SET": "A", "STATE": "B"}[message["service"]]
        raw = round(message.get("percent", 0) * 2.55)
        self.send({"code": code, "raw": raw}, exchange, says=message)

    def submit(self, message, peer, ticket):
        self.reply(message, peer)


PROTOCOL = Protocol(
    "valve", MESSAGE, 5000, summary="{code}{service} {raw}{percent}", session=Valve, model=Model,
    application=APPLICATION,
)
VECTORS = [("01 02 ff", {"code": "B", "raw": 255})]
'''
FLEET = """
[devices.valve]
address = "10.77.1.1"
count = 1
protocol = "valve"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "valve.py").write_text(VALVE)
    return tmp_path


def complaints(folder: Path, text: str) -> str:
    with pytest.raises(ScenarioError) as caught:
        load_text(FLEET + text, folder / "scenario.toml", default_seed=1)
    return str(caught.value)


def test_rules_see_messages_of_the_application(folder: Path) -> None:
    rule = {
        "when": {"service": "SET", "percent": {"max": 50}},
        "reply": {"service": "STATE", "percent": "=msg.percent / 2"},
    }
    valve = Transcript("valve", folder=folder, rules=[rule])
    assert valve.receive(code="A", raw=102) == [{"version": 1, "code": "B", "raw": 51}]
    assert valve.receive(code="A", raw=204)[0]["raw"] == 0  # out of its model, with the default
    assert valve.lines() == [
        "0.000 <- A 102 [wire]",
        "0.000 <- SET 40 [application]",
        "0.000 -> B 51 [wire]",
        "0.000 -> STATE 20 [application]",
        "0.000 <- A 204 [wire]",
        "0.000 <- SET 80 [application]",
        "0.000 -> B 0 [wire]",
        "0.000 -> STATE 0 [application]",
    ]


def test_a_behavior_has_them_too(folder: Path) -> None:
    (folder / "valves.py").write_text(
        """
from iotsim import Device, on

class Valve(Device):
    @on(service="SET")
    def set(self, request):
        return {"service": "STATE", "percent": request["percent"]}
"""
    )
    valve = Transcript("valve", folder=folder, behavior="valves.py:Valve")
    assert valve.receive(code="A", raw=51)[0]["raw"] == 51


def test_what_a_rule_says_is_held_against_it(folder: Path) -> None:
    text = """
[[devices.valve.rules]]
when = { code = "A" }
reply = { service = "STATUS", raw = 1 }
"""
    found = complaints(folder, text)
    assert "rules[0].when.code: unknown field 'code'" in found
    assert "rules[0].reply.raw: unknown field 'raw'" in found
    assert "rules[0].reply.service" in found


def test_a_session_may_know_more_than_the_schema(folder: Path) -> None:
    rule = """
[[devices.valve.rules]]
when = {{ service = "SET" }}
reply = {{ service = "STATE", percent = {} }}
[devices.valve.model]
most = 90.0
"""
    found = complaints(folder, rule.format("95"))
    assert "rules[0].reply.percent: cannot be encoded: a valve opens to 90.0" in found
    scenario = FLEET + rule.format('"=msg.percent * 9"')  # which may do
    assert load_text(scenario, folder / "scenario.toml", default_seed=1)
    valve = Transcript(
        "valve",
        folder=folder,
        may_fail=True,
        model={"most": 90.0},
        rules=[{"when": {}, "reply": {"service": "STATE", "percent": "=msg.percent * 9"}}],
    )
    valve.receive(code="A", raw=255)
    (failed,) = (event for event in valve.events if isinstance(event, DeviceFailed))
    assert "a valve opens to 90.0" in failed.error


async def test_expectations_see_the_layer_that_they_name(
    folder: Path, autojump_clock: MockClock
) -> None:
    scenario = """
[[devices.valve.rules]]
every = "1s"
send = { service = "STATE", percent = 20 }
to = "10.77.0.1:6000"

[[expect]]
name = "above"
each = "valve"
sends = { service = "STATE", percent = 20 }
within = "2s"

[[expect]]
name = "below"
each = "valve"
sends = { code = "B", raw = 51 }
layer = "wire"
within = "2s"
"""
    loaded = load_text(FLEET + scenario, folder / "scenario.toml", default_seed=1)
    async with simulated(loaded) as gateway:
        await trio.sleep(3)
    assert gateway.run.result is not None
    assert gateway.run.result.verdict == "passed"


@pytest.mark.parametrize("direction", ["receives", "sends"])
@pytest.mark.parametrize("layer", ["wire", "application"])
def test_expectations_are_held_against_the_layer_that_they_name(
    folder: Path, direction: str, layer: str
) -> None:
    field = "percent" if layer == "wire" else "raw"
    text = f"""
[[expect]]
each = "valve"
{direction} = {{ {field} = 1 }}
always = {{ {field} = 1 }}
layer = "{layer}"
"""
    found = complaints(folder, text)
    assert f"expect[0].{direction}.{field}: unknown field '{field}'" in found
    assert f"expect[0].always.{field}: unknown field '{field}'" in found


def test_it_needs_a_session() -> None:
    from construct import Byte, Struct

    from iotsim import Protocol

    with pytest.raises(ProtocolError, match="application is of no use without a session"):
        Protocol("x", Struct("a" / Byte), 5, application=Struct("b" / Byte))
    with pytest.raises(ProtocolError, match="application is no construct"):
        Protocol("x", Struct("a" / Byte), 5, application="b")  # type: ignore[arg-type]
