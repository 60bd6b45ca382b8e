"""CoAP's shortcut changes nothing but the time that an answer takes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.local import of_local_socket

from iotsim.link.memory import MemoryLink
from iotsim.protocol.registry import load_protocol
from iotsim.protocols.coap.shortcut import answer
from iotsim.scenario import load_text
from iotsim.simulation.simulation import Simulation
from iotsim.testing.frames import datagram_frame
from iotsim.wire.address import parse_address

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iotsim.events import PacketRecord

PROTOCOL = load_protocol("coap").protocol
GATEWAY, DEVICE = parse_address("10.77.0.1"), parse_address("10.77.1.1")
SCENARIO = """
[devices.node]
count = 2
address = "10.77.1.1"
protocol = "coap"
state = { n = 1 }
signals = { wave = { kind = "sine", mean = 20, amplitude = 5, period = "1s" } }

[devices.node.model]
block_size = 16

[devices.node.model.resources]
"/number" = { value = 21.5, observe = "1s", methods = ["GET", "PUT"] }
"/text" = { value = "a bit", max_age = 5 }
"/umlaut" = { value = "äöüäöüäöü", format = "text/plain" }
"/empty" = { value = "" }
"/bytes" = { value = "hex:00ff", format = "application/octet-stream" }
"/json" = { value = { a = 1 }, format = "application/json" }
"/cbor" = { value = { a = 1 }, format = "application/cbor", formats = { "text/plain" = "b" } }
"/unnamed" = { value = 1, format = 65000, max_age = 0 }
"/tag" = { value = 1, etag = true }
"/signal" = { value = "=wave" }
"/time" = { value = "=t" }
"/large" = { value = "=10 ** (device.index * 24)" }
"/wrong" = { value = "=1 / (state.n - 1)" }
"/nothing" = { methods = ["GET", "PUT"] }
"/written" = { value = 1, methods = ["PUT"] }
"""
EXPECTATIONS = {
    "none": "",
    "receives": '[[expect]]\neach = "node"\nreceives = { code = "GET" }\nwithin = "1s"\n',
    "sends": '[[expect]]\neach = "node"\nsends = { code = "CONTENT" }\nalways = { type = "ACK" }\n',
}
PATHS = [
    *("number", "text", "umlaut", "empty", "bytes", "json", "cbor", "tag", "signal", "time"),
    *("unnamed", "large", "nothing", "written", "absent", ".well-known/core"),
]


def optional(**fields: Any) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional={k: st.just(v) for k, v in fields.items()})


requests = st.builds(
    lambda head, path, more: head | {"path": f"/{path}"} | more,
    st.fixed_dictionaries(
        {
            "type": st.sampled_from(["CON", "CON", "CON", "NON"]),
            "code": st.sampled_from(["GET", "GET", "GET", "GET", "PUT", "FETCH"]),
            "message_id": st.integers(0, 9),
            "token": st.binary(max_size=8),
        }
    ),
    st.sampled_from(PATHS),
    st.one_of(
        st.just({}),
        optional(observe=0, accept="text/plain", no_response=2, payload="7", uri_host="x"),
    ),
)


OWN: Any = object()


def outcome_of(
    asked: Sequence[tuple[int, dict[str, Any]]],
    expect: str,
    *,
    leave: bool,
    wrong: bool = False,
    shortcut: Any = OWN,
) -> tuple[list[bytes], list[bytes], dict[str, int]]:
    """The events and frames of a run in which these devices are asked this, and how frames were counted;
    `shortcut` is in the place of the protocol's own."""
    ours, theirs = MemoryLink.pair(1500)
    now = 0.0
    text = SCENARIO + EXPECTATIONS[expect]
    if not wrong:
        text = text.replace('"/wrong"', '"/right"').replace("1 / (state.n - 1)", "1")
    scenario = load_text(text, Path("x.toml"), default_seed=1)
    protocol = scenario.fleets[0].services[0].protocol
    with pytest.MonkeyPatch.context() as patched:
        if shortcut is not OWN:
            patched.setitem(protocol.__dict__, "shortcut", shortcut)
        simulation = Simulation(scenario, ours, seed=1, clock=lambda: now, wall_time=0.0)
    journal, told = simulation.journal, []
    frames: list[bytes] = []

    def take(events: Sequence[Any], packets: Sequence[PacketRecord]) -> None:
        told.extend(map(msgspec.json.encode, journal.told(events, packets)))

    journal.add_batch_sink(take)
    simulation.start()
    simulation.boot(0.0)
    assert not leave or journal.leave_telling(brief=True)
    for index, message in asked:
        now += 0.05
        to = DEVICE + index, scenario.fleets[0].services[0].port
        theirs.send_nowait(
            of_local_socket(datagram_frame((GATEWAY, 40000), to, PROTOCOL.codec.encode(message)))
        )
        while simulation.pump.turn():
            pass
        frames += theirs.receive_nowait(100)
    journal.flush()
    return told, frames, dict(simulation.pump.outcomes)


def compare(asked: Sequence[tuple[int, dict[str, Any]]], expect: str, **how: bool) -> None:
    assert outcome_of(asked, expect, **how) == outcome_of(asked, expect, shortcut=None, **how)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 1), requests), max_size=30),
    st.sampled_from(list(EXPECTATIONS)),
    st.booleans(),
)
def test_what_it_answers_is_what_the_session_would(
    asked: list[tuple[int, dict[str, Any]]], expect: str, leave: bool
) -> None:
    compare(asked, expect, leave=leave)


@pytest.mark.parametrize("leave", [False, True])
def test_a_value_that_cannot_be_had_stops_the_device_alike(leave: bool) -> None:
    get = {"type": "CON", "code": "GET", "token": b"t"}
    asked = [
        (index, {**get, "message_id": number, "path": path})
        for number, (index, path) in enumerate(
            [(0, "/time"), (0, "/wrong"), (0, "/time"), (1, "/time")]
        )
    ]
    compare(asked, "receives", leave=leave, wrong=True)
    told, frames, _ = outcome_of(asked, "receives", leave=leave, wrong=True)
    assert len(frames) == 2
    assert any(b'"device-failed"' in one for one in told)


def test_it_is_taken_where_it_can_be() -> None:
    answers: list[bytes | None] = []

    def noting(*arguments: Any) -> bytes | None:
        answers.append(answer(*arguments))
        return answers[-1]

    get = {"type": "CON", "code": "GET", "token": b"t", "message_id": 1, "path": "/number"}
    asked = [(0, get), (0, get), (0, {**get, "message_id": 2, "path": "/umlaut"}), (1, get)]
    _, frames, _ = outcome_of(asked, "none", leave=False, shortcut=noting)
    assert [one is not None for one in answers] == [True, False, False, True]
    assert frames[0] == frames[1]
    assert len(frames) == 4


def test_nobody_else_has_it() -> None:
    assert PROTOCOL.shortcut is not None
    assert load_protocol("lwm2m").protocol.shortcut is None
    assert load_protocol("modbus").protocol.shortcut is None
