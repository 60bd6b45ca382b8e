"""Expressions and usual texts at any depth of replies and state, from the file to the wire."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest

from iotsim.errors import ScenarioError
from iotsim.scenario import load_text
from iotsim.testing import simulated

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

PROTOCOL = """
import datetime as dt
import json

from construct import Bytes, ExprAdapter, GreedyBytes, Int8ub, Int32ub, Prefixed, Struct

from iotsim import Protocol

FREE = ExprAdapter(
    Prefixed(Int8ub, GreedyBytes),
    lambda data, _: json.loads(data),
    lambda value, _: json.dumps(value).encode(),
)
WHEN = ExprAdapter(
    Int32ub,
    lambda seconds, _: dt.datetime.fromtimestamp(seconds, dt.timezone.utc),
    lambda value, _: int(value.timestamp()),
)
PROTOCOL = Protocol("free", Struct("at" / WHEN, "payload" / FREE), port=7900)
MOMENT = dt.datetime(2026, 5, 1, 12, tzinfo=dt.timezone.utc)
VECTORS = [("69f49540 02 7b7d", {"at": MOMENT, "payload": {}})]
"""
SCENARIO = """
[scenario]
duration = "1m"
[devices.bulb]
address = "10.77.1.1"
protocol = "free"
state = { level = 3, seen = [] }
[[devices.bulb.rules]]
when = { at = "2026-05-01T14:00:00+02:00", payload.method = "get", "payload.ids" = { some = 2 } }
set = { seen = ["=msg.payload.ids[1]", "x"] }
reply = REPLY
[[expect]]
each = "bulb"
sends = { payload.params = { level = { min = 3 }, list = { some = { seen = { some = "x" } } } } }
within = "10s"
"""
REPLY = """{ at = "2026-05-02T00:00:00Z", payload = { params = { level = "=state.level", \
list = [{ seen = "=state.seen" }], text = "'=1'" } } }"""


def place(folder: Path, reply: str = REPLY) -> Path:
    (folder / "protocols").mkdir()
    (folder / "protocols/free.py").write_text(PROTOCOL)
    path = folder / "bulb.toml"
    path.write_text(SCENARIO.replace("REPLY", reply.replace("\"'=1'\"", "\"='=1'\"")))
    return path


async def test_what_is_free_is_reached_and_sent(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with simulated(place(tmp_path)) as gateway:
        moment = dt.datetime(2026, 5, 1, 12, tzinfo=dt.UTC)
        gateway.send("bulb[0]", {"at": moment, "payload": {"method": "get", "ids": [1, 2]}})
        arrival = await gateway.receive(timeout_s=1.0)
        assert arrival.message is not None
        assert arrival.message["at"].isoformat() == "2026-05-02T00:00:00+00:00"
        assert arrival.message["payload"] == {
            "params": {"level": 3, "list": [{"seen": [2, "x"]}], "text": "=1"}
        }
        await gateway.settled()
    assert [outcome.passed for outcome in gateway.run.result.expectations] == [True]


def test_an_expression_inside_a_first_value_of_state_is_refused(tmp_path: Path) -> None:
    path = place(tmp_path)
    text = path.read_text().replace("seen = []", 'seen = [{ a = ["=state.level"] }]')
    with pytest.raises(ScenarioError, match="state begins with literals"):
        load_text(text, path)


def test_a_range_of_a_free_field_is_no_value_that_a_reply_echoes(tmp_path: Path) -> None:
    path = place(tmp_path, "{ at = '2026-05-01' }")
    protocol = tmp_path / "protocols/free.py"
    protocol.write_text(protocol.read_text().replace("port=7900", 'port=7900, echo=["payload"]'))
    text = path.read_text().replace('payload.method = "get", "payload.ids"', "payload")
    assert load_text(text, path).fleets


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (
            '{ at = "2026-05-02", payload = { params = [{ level = "=state.levle" }] } }',
            "rules[0].reply.payload.params[0].level: the state has no 'levle'",
        ),
        (
            '{ at = "2026-05-02", payload = { params = "=1 +" } }',
            "rules[0].reply.payload.params: ",
        ),
        ('{ at = "tomorrow", payload = {} }', "rules[0].reply.at: cannot be encoded"),
    ],
)
def test_what_cannot_be_sent_is_refused(tmp_path: Path, reply: str, told: str) -> None:
    path = place(tmp_path, reply)
    with pytest.raises(ScenarioError) as caught:
        load_text(path.read_text(), path)
    assert told in str(caught.value.problems[0])


SEVERAL = """
import ipaddress

from construct import Bytes, Enum, ExprAdapter, Int8ub, PascalString, Struct, Switch, this

from iotsim import Protocol

ADDRESS = ExprAdapter(Bytes(4), lambda o, c: ipaddress.IPv4Address(o), lambda o, c: o.packed)
NAME = ExprAdapter(PascalString(Int8ub, "ascii"), lambda o, c: o, lambda o, c: o)
DATA = Switch(this.kind, {"A": ADDRESS, "NAME": NAME})
PROTOCOL = Protocol("several", Struct("kind" / Enum(Int8ub, A=1, NAME=2), "data" / DATA), port=7901)
VECTORS = [
    ("01 0a4d0101", {"kind": "A", "data": ipaddress.IPv4Address("10.77.1.1")}),
    ("02 02 6162", {"kind": "NAME", "data": "TEXT"}),
]
"""


@pytest.mark.parametrize(
    ("text", "reply", "told"),
    [
        ("ab", '{ kind = "A", data = "10.77.1.2" }', ""),
        ("ab", '{ kind = "NAME", data = "cd" }', ""),
        ("ab", '{ kind = "A", data = "cd" }', "cannot be encoded"),
        ("1.2.3.4", '{ kind = "NAME", data = "10.77.1.2" }', ""),
    ],
)
def test_a_text_where_vectors_show_addresses_and_texts(
    tmp_path: Path, text: str, reply: str, told: str
) -> None:
    path = place(tmp_path)
    (tmp_path / "protocols/several.py").write_text(SEVERAL.replace("TEXT", text))
    scenario = f"""
    [scenario]
    duration = "5s"
    [devices.bulb]
    address = "10.77.1.1"
    protocol = "several"
    [[devices.bulb.rules]]
    reply = {reply}
    """
    if told:
        with pytest.raises(ScenarioError, match=told):
            load_text(scenario, path)
    else:
        assert load_text(scenario, path).fleets
