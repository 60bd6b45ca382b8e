"""Scenarios of protocols with JSON, CBOR and text: what `check` says of their messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from iotsim.errors import ScenarioError
from iotsim.scenario import load_text

if TYPE_CHECKING:
    from pathlib import Path

PROTOCOL = """
from construct import Int8ub, Prefixed, Int16ub, Struct
from iotsim import Cbor, Json, Payload, Protocol, Text

PROTOCOL = Protocol("bodies", {message}, port=7900, echo={echo})
"""
STRUCT = """Struct(
    "id" / Int8ub, "json" / Prefixed(Int16ub, Json()), "name" / Text(4, "gbk"), "body" / {body}
)"""
SCENARIO = """
[scenario]
duration = "1m"
[devices.bulb]
address = "10.77.1.1"
protocol = "bodies"
state = {{ level = 3 }}
[[devices.bulb.rules]]
reply = {reply}
"""


def load(folder: Path, reply: str, *, message: str, echo: str = '["id"]') -> None:
    (folder / "protocols").mkdir()
    (folder / "protocols/bodies.py").write_text(PROTOCOL.format(message=message, echo=echo))
    load_text(SCENARIO.format(reply=reply), folder / "scenario.toml")


PLAIN = '{ json = {}, name = "x", body = BODY }'


@pytest.mark.parametrize(
    ("body", "reply"),
    [
        ("Cbor()", PLAIN.replace("BODY", "{ 1 = 2, a = 'hex:0aff' }")),
        ("Cbor()", PLAIN.replace("BODY", "{ at = { 'tag(1)' = '=int(t)' }, '-2' = [1, '=t'] }")),
        ("Payload()", PLAIN.replace("BODY", "21.5")),
        ("Payload()", PLAIN.replace("BODY", "'=state.level'")),
        ("Payload()", PLAIN.replace("BODY", "'hex:0aff'")),
        ("Json()", PLAIN.replace("BODY", "[1, { a = '=state.level', _b = [] }]")),
        ("Json()", '{ json.a.b = "=t", name = "温度", body = true }'),
        ("Json()", '{ json = [], name = "x", body = "=None" }'),
    ],
)
def test_messages_that_can_be_sent(tmp_path: Path, body: str, reply: str) -> None:
    load(tmp_path, reply, message=STRUCT.format(body=body))


@pytest.mark.parametrize(
    ("body", "reply", "reason"),
    [
        (
            "Json()",
            PLAIN.replace("BODY", "{ a = [1, 'hex:0aff'] }"),
            r"reply\.body\.a\[1\].*JSON has no bytes",
        ),
        ("Json()", '{ json = { a = nan }, name = "x", body = 1 }', "JSON has no nan"),
        ("Json()", '{ json = {}, name = "温度计", body = 1 }', "takes 6 bytes, of 4"),
        ("Json()", "{ json = {}, name = 1, body = 1 }", "'name' is a text"),
        ("Json()", "{ json = {}, body = 1 }", "'name' of bodies is missing"),
        ("Cbor()", PLAIN.replace("BODY", "{ a = { 'tag(1)' = 1, b = 2 } }"), "stands alone"),
        ("Payload()", PLAIN.replace("BODY", "{ a = 1 }"), "'body' is of the kind payload"),
        ("Payload()", PLAIN.replace("BODY", "[1]"), "'body' is a text or bytes"),
    ],
)
def test_messages_that_cannot_be_sent(tmp_path: Path, body: str, reply: str, reason: str) -> None:
    with pytest.raises(ScenarioError, match=reason):
        load(tmp_path, reply, message=STRUCT.format(body=body))


@pytest.mark.parametrize(
    ("message", "reply"),
    [
        ("Json()", '{ result = { list = [{ a = "=state.level" }], "b.c" = 1 }, "x.y" = 2 }'),
        ("Cbor()", '{ 1 = { 2 = "=state.level" }, a.3 = 4, hash = "hex:0aff" }'),
    ],
)
def test_a_message_that_is_free_as_a_whole(tmp_path: Path, message: str, reply: str) -> None:
    load(tmp_path, reply, message=message, echo='["id", "params.token"]')


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ('{ result.a = "hex:00" }', r"reply\.result\.a.*JSON has no bytes"),
        ('{ "list[0]" = 1 }', "has an array as a whole"),
    ],
)
def test_what_a_free_message_cannot_carry(tmp_path: Path, reply: str, reason: str) -> None:
    with pytest.raises(ScenarioError, match=reason):
        load(tmp_path, reply, message="Json()")
