"""Devices that speak JSON, CBOR and text, in virtual time: WiZ lights, and a protocol for each construct."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trio.testing import MockClock

LIGHTS = """
[scenario]
duration = "1m"

[devices.light]
count = 2
address = "10.77.1.1"
protocol = "wiz"
state = { on = false, dimming = 100, listening = false }

[[devices.light.rules]]
when = { method = "getPilot" }
reply = { env = "pro", result = { state = "=state.on", dimming = "=state.dimming" } }

[[devices.light.rules]]
when = { method = "setPilot", params.dimming = { min = 10, max = 100 } }
set = { on = "=msg.params.state if 'state' in msg.params else state.on", dimming = "=msg.params.dimming" }
reply = { env = "pro", result.success = true }

[[devices.light.rules]]
when = { method = "registration" }
set = { listening = "=msg.params.register" }
reply = { env = "pro", result = { success = true } }

[[devices.light.rules]]
reply = { env = "pro", error = { code = -32601, message = "Method not found" } }

[[devices.light.rules]]
every = "5s"
where = "=state.listening"
to = "10.77.0.1:38900"
send = { method = "syncPilot", params = { _n = "=device.index", list = [{ on = "=state.on" }] } }

[[expect]]
each = "light"
receives = { method = "setPilot", params = { dimming = { min = 40, max = 60 } } }
within = "30s"

[[expect]]
each = "light"
sends = { method = "syncPilot", "params.list" = { some = { on = true } } }
within = "50s"
"""


async def test_lights_in_json(simulated: Callable[..., Any], autojump_clock: MockClock) -> None:
    async with simulated(LIGHTS) as gateway:
        for device in ("light[0]", "light[1]"):

            async def ask(message: dict[str, Any], device: str = device) -> dict[str, Any]:
                gateway.send(device, message)
                answer: dict[str, Any] = (await gateway.receive()).message
                return answer

            assert await ask({"method": "getPilot", "id": 7}) == {
                "env": "pro",
                "result": {"state": False, "dimming": 100},
                "method": "getPilot",
                "id": 7,
            }
            assert (await ask({"method": "fly"}))["error"]["code"] == -32601
            params = {"state": True, "dimming": 50}
            done = await ask({"method": "setPilot", "params": params})
            assert done == {"env": "pro", "result": {"success": True}, "method": "setPilot"}
            assert (await ask({"method": "setPilot", "params": {"dimming": 5}}))["error"]
            assert (await ask({"method": "getPilot"}))["result"] == {"state": True, "dimming": 50}
            await ask({"method": "registration", "params": {"register": True}})
        await gateway.settled()
    assert gateway.run.result.verdict == "passed"


async def test_what_is_no_json_has_its_answer(
    simulated: Callable[..., Any], autojump_clock: MockClock
) -> None:
    async with simulated(LIGHTS) as gateway:
        gateway.send("light[0]", b'{"method":')
        answer = (await gateway.receive()).message
        assert answer == {"env": "pro", "error": {"code": -32700, "message": "Parse error"}}


BEHAVIOR = """
from iotsim import Device, on

class Light(Device):
    @on({"method": "setPilot", "params.state": {"exists": True}})
    def switch(self, request):
        self.send_nowait({"method": "syncPilot", "params": request["params"]}, "10.77.0.1:38900")
        return {"result": {"success": True, "none": None}}
"""
BEHAVING = """
[scenario]
duration = "5s"
[devices.light]
address = "10.77.1.1"
protocol = "wiz"
behavior = "light.py:Light"
"""


async def test_behaviors_of_free_messages(
    tmp_path: Path, simulated: Callable[..., Any], autojump_clock: MockClock
) -> None:
    (tmp_path / "light.py").write_text(BEHAVIOR)
    async with simulated(BEHAVING) as gateway:
        gateway.send("light[0]", {"method": "setPilot", "params": {}})
        gateway.send("light[0]", {"method": "setPilot", "params": {"state": True, "_n": [1]}})
        pushed, answer = await gateway.receive(), await gateway.receive()
    assert pushed.port == 38900
    assert pushed.payload == b'{"method":"syncPilot","params":{"state":true,"_n":[1]}}'
    assert answer.payload == b'{"result":{"success":true,"none":null},"method":"setPilot"}'


BODIES = """
from construct import Int8ub, Struct
from iotsim import Cbor, Payload, Protocol

PROTOCOL = Protocol("bodies", Struct("id" / Int8ub, "body" / {body}), port=7900, echo=["id"])
"""
BODY = """
[scenario]
duration = "1m"
[devices.bulb]
address = "10.77.1.1"
protocol = "bodies"
[devices.bulb.signals]
temperature = {{ kind = "constant", value = 20.5 }}
[[devices.bulb.rules]]
when = {when}
reply = {{ body = {reply} }}
[[expect]]
each = "bulb"
sends = {sends}
within = "10s"
"""


@pytest.mark.parametrize(
    ("body", "when", "asked", "reply", "sends", "sent"),
    [
        (
            "Cbor()",
            "{ body.1 = { min = 3 }, body.at = { 'tag(1)' = { exists = true } } }",
            "a2 01 03 626174 c1 00",
            "{ -2 = '=device.name', 2 = '=temperature', at = { 'tag(1)' = '=msg.body.at[\"tag(1)\"]' } }",
            "{ body.2 = { min = 20, max = 21 }, body.at = { 'tag(1)' = 0 } }",
            "a3 21 6762756c625b305d 02 f94d20 626174 c1 00",
        ),
        (
            "Payload()",
            "{ body = { min = 19 } }",
            "3139",
            "'=temperature'",
            "{ body = 20.5 }",
            "32302e35",
        ),
    ],
)
async def test_bodies_in_cbor_and_in_text(
    tmp_path: Path,
    simulated: Callable[..., Any],
    autojump_clock: MockClock,
    body: str,
    when: str,
    asked: str,
    reply: str,
    sends: str,
    sent: str,
) -> None:
    (tmp_path / "protocols").mkdir()
    (tmp_path / "protocols/bodies.py").write_text(BODIES.format(body=body))
    scenario = BODY.format(when=when, reply=reply, sends=sends)
    async with simulated(scenario) as gateway:
        gateway.send("bulb[0]", b"\x07" + bytes.fromhex(asked))
        assert (await gateway.receive()).payload == b"\x07" + bytes.fromhex(sent)
        await gateway.settled()
    assert gateway.run.result.verdict == "passed"
