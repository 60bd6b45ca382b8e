"""What never reached a session whose messages above are others than those on the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
from tests.session.test_application import VALVE

from iotsim.events import Note
from iotsim.expect.losses import TOO_MANY, Losses

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from trio.testing import MockClock

    from iotsim.testing import Gateway

MQTTSN = """
[gateway]
port = 40000
[devices.node]
address = "10.77.1.1"
protocol = "mqttsn"
model = { topics = { alarm = 1, other = 2 }, keep_alive = "60s" }
"""
LWM2M = """
[gateway]
port = 40000
[devices.meter]
address = "10.77.1.1"
protocol = "lwm2m"
model = { endpoint = "e", objects = { 3311 = { 0 = { 5850 = false } } } }
"""
LOSS = "\n[[impair]]\ndirection = 'to_device'\nskip = {skip}\nfirst = {lost}\nloss = '100%'\n"


def never(device: str, receives: str, more: str = "never = true") -> str:
    return f'\n[[expect]]\neach = "{device}"\nreceives = {receives}\n{more}\n'


def doubts(gateway: Gateway) -> Sequence[tuple[bool, bool]]:
    outcomes = gateway.simulation.judge.finish(100.0).outcomes
    return [(one.passed, bool(one.inconclusive)) for one in outcomes]


PASSED, DOUBTFUL, FAILED = (True, False), (False, True), (False, False)


def publish(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "kind": "PUBLISH",
        "topic_id_type": "PREDEFINED",
        "topic_id": number,
        "qos": 1,
        "message_id": 5,
        "data": b"!",
        **fields,
    }


@pytest.mark.parametrize("repeated", [False, True])
async def test_a_publication_that_is_lost_leaves_in_doubt_what_it_would_have_broken_alone(
    repeated: bool, simulated: Callable[[str], Any], autojump_clock: MockClock
) -> None:
    text = MQTTSN + LOSS.format(skip=1, lost=2)
    text += never("node", '{ kind = "PUBLISH", topic = "alarm" }')
    text += never("node", '{ kind = "PUBLISH", topic = "alarm" }', "count = { max = 0 }")
    text += never("node", '{ kind = "PUBLISH", topic = "alarm" }', "count = { max = 1 }")
    text += never("node", '{ kind = "PUBLISH", topic = "other" }')
    text += never("node", '{ kind = "PUBLISH" }', 'always = { data = "!" }')
    async with simulated(text) as gateway:
        await trio.sleep(3)
        gateway.send("node[0]", {"kind": "CONNACK"})
        await trio.sleep(0.1)
        gateway.send("node[0]", publish(1))
        gateway.send("node[0]", {"kind": "PINGREQ"})
        await trio.sleep(0.1)
        if repeated:
            gateway.send("node[0]", publish(1, dup=True))
            await trio.sleep(0.1)
        found = doubts(gateway)
    alarm = FAILED if repeated else DOUBTFUL
    assert found == [alarm, alarm, PASSED, PASSED, PASSED]


async def test_an_answer_that_is_lost_leaves_nothing_else_in_doubt(
    simulated: Callable[[str], Any], autojump_clock: MockClock
) -> None:
    text = MQTTSN + LOSS.format(skip=0, lost=1)
    text += never("node", '{ kind = "PUBLISH" }')
    text += never("node", '{ kind = "CONNACK", return_code = "CONGESTION" }')
    async with simulated(text) as gateway:
        await trio.sleep(3)
        gateway.send("node[0]", {"kind": "CONNACK", "return_code": "CONGESTION"})
        await trio.sleep(0.1)
        assert doubts(gateway) == [PASSED, DOUBTFUL]


@pytest.mark.parametrize("why", ["lost", "away"])
async def test_an_operation_that_a_device_never_had(
    why: str, simulated: Callable[[str], Any], autojump_clock: MockClock
) -> None:
    away = "\n[[fault]]\noffline = true\nat = '3s'\n"
    text = LWM2M + (LOSS.format(skip=1, lost=9) if why == "lost" else away)
    text += never("meter", '{ operation = "WRITE" }')
    text += never("meter", '{ operation = "EXECUTE" }')
    text += never("meter", '{ operation = "WRITE", path = "/3311/0/5850", value = true }')
    async with simulated(text) as gateway:
        await trio.sleep(2)
        (registration, *_) = gateway.take()
        asked = registration.message
        header = {"type": "ACK", "message_id": asked["message_id"], "token": asked["token"]}
        gateway.send("meter[0]", {**header, "code": "CREATED", "location_path": ["rd", "1"]})
        await trio.sleep(2)
        write = {"code": "PUT", "path": "/3311/0/5850", "payload": "1", "message_id": 7}
        gateway.send("meter[0]", {"type": "CON", "token": b"t", **write})
        gateway.send("meter[0]", {"type": "CON", "token": b"u", "code": "EMPTY", "message_id": 8})
        await trio.sleep(0.1)
        assert doubts(gateway) == [DOUBTFUL, PASSED, DOUBTFUL]


@pytest.mark.parametrize(("kind", "found"), [("ACK", PASSED), ("CON", DOUBTFUL)])
async def test_what_a_device_would_not_have_heeded_breaks_nothing(
    kind: str,
    found: tuple[bool, bool],
    simulated: Callable[[str], Any],
    autojump_clock: MockClock,
) -> None:
    text = LWM2M + LOSS.format(skip=2, lost=9)
    text += '\n[[step]]\nname = "later"\nat = "5s"\nnote = "now"\n'
    text += never("meter", '{ operation = "WRITE" }', 'never = true\nafter = "later"')
    async with simulated(text) as gateway:
        await trio.sleep(2)
        (registration, *_) = gateway.take()
        asked = registration.message
        header = {"type": "ACK", "message_id": asked["message_id"], "token": asked["token"]}
        gateway.send("meter[0]", {**header, "code": "CREATED", "location_path": ["rd", "1"]})
        await trio.sleep(2)
        write = {"code": "PUT", "path": "/3311/0/5850", "payload": "1", "token": b"t"}
        block = {"block1": {"number": 0, "more": True, "size": 16}, "payload": "1" * 16}
        gateway.send("meter[0]", {**write, "type": "CON", "message_id": 7})
        await trio.sleep(2)
        gateway.send("meter[0]", {**write, "type": "CON", "message_id": 7})
        gateway.send("meter[0]", {**write, **block, "type": kind, "message_id": 8})
        await trio.sleep(0.1)
        assert doubts(gateway) == [found]


VALVES = '\n[devices.valve]\naddress = "10.77.1.1"\ncount = 2\nprotocol = "valve"\n'


@pytest.mark.parametrize("repeated", ["no", "other bytes", "yes"])
@pytest.mark.parametrize("late", ["", "\n[[impair]]\ndirection = 'to_device'\ndelay = '10ms'\n"])
async def test_where_nobody_knows_the_very_datagram_has_to_come_again(
    repeated: str,
    late: str,
    simulated: Callable[[str], Any],
    tmp_path: Path,
    autojump_clock: MockClock,
) -> None:
    (tmp_path / "valve.py").write_text(VALVE)
    text = VALVES + LOSS.format(skip=0, lost=1) + late
    text += never("valve", '{ service = "STATE" }')
    text += (
        never("valve", '{ service = "STATE" }', 'never = true\nlayer = "wire"')
        .replace("service", "code")
        .replace("STATE", "B")
    )
    text += never("valve", '{ service = "STATE" }', "count = { max = 1 }")
    text += '\n[[expect]]\nany = "valve"\nreceives = { service = "STATE" }\nnever = true\n'
    async with simulated(text) as gateway:
        gateway.send("valve[0]", {"code": "A", "raw": 1})
        await trio.sleep(0.1)
        if repeated != "no":
            gateway.send("valve[0]", {"code": "A", "raw": 1 if repeated == "yes" else 2})
            await trio.sleep(0.1)
        found = doubts(gateway)
        (doubt, *_) = gateway.simulation.judge.finish(100.0).outcomes
    assert found == [PASSED if repeated == "yes" else DOUBTFUL, PASSED, PASSED, PASSED]
    if repeated != "yes":
        assert "what might have broken it was lost" in doubt.inconclusive
        assert "valve[0]" in doubt.inconclusive


async def test_a_window_that_begins_later_does_not_doubt_what_was_lost_before(
    simulated: Callable[[str], Any], tmp_path: Path, autojump_clock: MockClock
) -> None:
    (tmp_path / "valve.py").write_text(VALVE)
    text = VALVES + LOSS.format(skip=0, lost=1)
    text += '\n[[step]]\nname = "later"\nat = "1s"\nnote = "now"\n'
    text += never("valve", '{ service = "STATE" }', 'never = true\nafter = "later"')
    async with simulated(text) as gateway:
        gateway.send("valve[0]", {"code": "A", "raw": 1})
        await trio.sleep(2)
        assert doubts(gateway) == [PASSED]


async def test_no_more_than_so_much_is_remembered_of_a_device_and_none_is_forgotten(
    simulated: Callable[[str], Any], tmp_path: Path, autojump_clock: MockClock
) -> None:
    (tmp_path / "valve.py").write_text(VALVE)
    text = VALVES + LOSS.format(skip=0, lost=200) + never("valve", '{ service = "STATE" }')
    async with simulated(text) as gateway:
        for _ in range(2):
            for raw in range(200):
                gateway.send("valve[0]", {"code": "A", "raw": raw})
            await trio.sleep(0.1)
        assert doubts(gateway) == [DOUBTFUL]


async def test_what_was_lost_again_once_a_window_has_begun_is_doubted(
    simulated: Callable[[str], Any], tmp_path: Path, autojump_clock: MockClock
) -> None:
    (tmp_path / "valve.py").write_text(VALVE)
    text = VALVES + LOSS.format(skip=0, lost=2)
    text += '\n[[step]]\nname = "later"\nat = "1s"\nnote = "now"\n'
    text += never("valve", '{ service = "STATE" }', 'never = true\nafter = "later"')
    async with simulated(text) as gateway:
        for _ in range(2):
            gateway.send("valve[0]", {"code": "A", "raw": 1})
            await trio.sleep(2)
        assert doubts(gateway) == [DOUBTFUL]


def test_of_all_devices_together_no_more_than_so_much_is_remembered_either(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("iotsim.expect.losses.MOST_IN_ALL", 2)
    losses = Losses()
    for index in range(3):
        losses.lost(index, (1, 2, b"datagram"), float(index))
    losses.lost(2, (1, 2, b"another"), 3.0)
    for index in range(3):
        losses.came(index, (1, 2, b"datagram"))
    assert losses == {2: {TOO_MANY: (2.0, 3.0)}}
    losses.lost(0, (1, 2, b"datagram"), 4.0)
    losses.came(0, (1, 2, b"datagram"))
    assert list(losses.within(0.0, 9.0)) == [(2, 2.0)]


TICKING = "\n    def __init__(self):\n        self.call_later(0.5, self.tick)\n{carried}"
TICK = "\n    def tick(self):\n        self.log('tick')\n\n    def receive("
CARRIED = "\n    def carried(self, message, peer):\n        self.open_port()\n        return []\n"


@pytest.mark.parametrize("carried", ["", CARRIED])
async def test_a_session_that_is_only_asked_does_nothing_by_itself(
    carried: str,
    simulated: Callable[[str], Any],
    tmp_path: Path,
    autojump_clock: MockClock,
) -> None:
    valve = VALVE.replace(
        "\n    @classmethod", TICKING.format(carried=carried) + "\n    @classmethod", 1
    )
    (tmp_path / "valve.py").write_text(valve.replace("\n    def receive(", TICK, 1))
    text = VALVES + LOSS.format(skip=0, lost=1) + never("valve", '{ service = "STATE" }')
    async with simulated(text) as gateway:
        gateway.send("valve[0]", {"code": "A", "raw": 1})
        await trio.sleep(1)
        notes = [one.text for one in gateway.events if isinstance(one, Note)]
        assert notes == []
        gateway.send("valve[0]", {"code": "A", "raw": 1})
        await trio.sleep(1)
        notes = [one.text for one in gateway.events if isinstance(one, Note)]
    assert notes == ["valve[0]: tick"]
