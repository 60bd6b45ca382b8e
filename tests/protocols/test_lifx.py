"""LIFX LAN: a bulb, by the vendor's description of headers and messages."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotsim import ScenarioError
from iotsim.protocol.registry import load_protocol
from iotsim.testing import Transcript

LOADED = load_protocol("lifx")
CODEC = LOADED.protocol.codec
GREEN = {"hue": 120, "saturation": 1, "brightness": 0.5, "kelvin": 3500}
KINDS = CODEC.decode(CODEC.encode({"type": "GET_SERVICE"})).keys()


def bulb(model: dict[str, Any] | None = None, **rest: Any) -> Transcript:
    return Transcript("lifx", model=model or {}, **rest)


def ask(device: Transcript, kind: str, **fields: Any) -> dict[str, Any]:
    """The fields of the answer, without its header."""
    (answer,) = device.receive({"type": kind, **fields})
    return {name: value for name, value in answer.items() if name not in KINDS}


def color(device: Transcript) -> tuple[float, ...]:
    state = ask(device, "GET_COLOR")
    return tuple(round(state[name], 2) for name in GREEN)


# -- header -----------------------------------------------------------------------------------------


def test_a_bulb_is_found_by_broadcast() -> None:
    """Communicating with a device: discovery"""
    device = bulb()
    for at in ("10.77.255.255", "255.255.255.255", "10.77.1.1"):
        device.receive(type="GET_SERVICE", tagged=True, source=7, sequence=200, at=at)
    assert device.lines() == 3 * ["0.000 <- GET_SERVICE ", "0.000 -> STATE_SERVICE 56700"]
    for answer in device.sent:
        assert (answer["source"], answer["sequence"]) == (7, 200)
        assert answer["target"].hex().startswith("d073d5")
        assert answer["service"] == "UDP"
        assert not answer["tagged"]


def test_the_service_has_the_port_of_the_scenario() -> None:
    device = bulb(port=1234)
    assert ask(device, "GET_SERVICE")["port"] == 1234


def test_targets_are_each_devices_own_and_stay() -> None:
    device = bulb()
    (before,) = device.receive(type="GET_SERVICE")
    device.reboot()
    (after,) = device.receive(type="GET_SERVICE")
    assert before["target"] == after["target"]


def test_a_bulb_takes_what_is_for_it_or_for_all() -> None:
    """Header: target"""
    device = bulb()
    own = device.receive(type="GET_SERVICE")[0]["target"]
    assert len(device.receive(type="GET_POWER", target=own)) == 1
    assert len(device.receive(type="GET_POWER", target=bytes(6), tagged=True)) == 1
    assert device.receive(type="GET_POWER", target=own[:-1] + b"\xff", ack_required=True) == []
    assert device.lines()[-1] == "0.000 <- GET_POWER  [wire]"


@pytest.mark.parametrize(
    ("asked", "ack", "res", "answered"),
    [
        ("GET_POWER", False, False, ["STATE_POWER"]),
        ("GET_POWER", True, False, ["ACKNOWLEDGEMENT", "STATE_POWER"]),
        ("SET_POWER", False, False, []),
        ("SET_POWER", True, False, ["ACKNOWLEDGEMENT"]),
        ("SET_POWER", False, True, ["STATE_POWER"]),
        ("SET_POWER", True, True, ["ACKNOWLEDGEMENT", "STATE_POWER"]),
    ],
)
def test_acknowledgements_and_responses(
    asked: str, ack: bool, res: bool, answered: list[str]
) -> None:
    """Communicating with a device: the five scenarios"""
    device = bulb()
    fields = {"level": 0} if asked == "SET_POWER" else {}
    header = {"source": 9, "sequence": 255, "ack_required": ack, "res_required": res}
    answers = device.receive({"type": asked, **header, **fields})
    assert [answer["type"] for answer in answers] == answered
    assert all((a["source"], a["sequence"]) == (9, 255) for a in answers)
    assert all(a["target"] != bytes(6) for a in answers)


def test_acknowledgements_are_on_the_wire_alone() -> None:
    device = bulb()
    device.receive(type="SET_POWER", level=0, ack_required=True, res_required=True)
    assert device.lines() == [
        "0.000 <- SET_POWER 0",
        "0.000 -> ACKNOWLEDGEMENT  [wire]",
        "0.000 -> STATE_POWER 65535",
    ]


# -- messages ---------------------------------------------------------------------------------------


def test_power() -> None:
    device = bulb({"power": "=state.on"}, state={"on": False})
    assert ask(device, "GET_POWER") == {"level": 0}
    device.receive(type="SET_POWER", level=1)
    assert ask(device, "GET_LIGHT_POWER") == {"level": 65535}
    assert device.device.state["on"] is True
    assert ask(device, "SET_LIGHT_POWER", level=0, duration=500, res_required=True) == {
        "level": 65535
    }
    assert ask(device, "GET_POWER") == {"level": 0}


def test_label() -> None:
    device = bulb()
    assert ask(device, "GET_LABEL") == {"label": "device[0]"}
    device.receive(type="SET_LABEL", label="Küche")
    assert ask(device, "GET_LABEL") == {"label": "Küche"}
    assert ask(device, "GET_COLOR")["label"] == "Küche"
    assert ask(bulb({"label": 20 * "ü"}), "GET_LABEL") == {"label": 16 * "ü"}


@pytest.mark.parametrize("model", [{}, {"label": "=state.label"}])
def test_a_label_that_was_cut_within_a_character_is_kept_as_it_is(model: dict[str, Any]) -> None:
    device = bulb(model, state={"label": "x"})
    cut = ("x" + 16 * "ü").encode()[:32]
    (ack,) = device.receive(type="SET_LABEL", label=cut, ack_required=True)
    assert ack["type"] == "ACKNOWLEDGEMENT"
    assert ask(device, "GET_LABEL") == {"label": cut}
    place = {"group": bytes(16), "label": cut, "updated_at": 1}
    assert ask(device, "SET_GROUP", res_required=True, **place)["label"] != cut
    assert ask(device, "GET_GROUP") == place


def test_color() -> None:
    device = bulb({"color": {"hue": 300, "kelvin": 2700}})
    assert color(device) == (300, 0, 1, 2700)
    before = ask(device, "SET_COLOR", **GREEN, duration=1000, res_required=True)
    assert (round(before["hue"]), before["power"]) == (300, 65535)
    assert color(device) == (120, 1, 0.5, 3500)


def test_color_is_read_from_expressions_and_written_to_state() -> None:
    model = {"color": {"hue": "=t * 100", "brightness": "=state.level"}}
    device = bulb(model, state={"level": 0.25})
    device.wait(2)
    assert color(device) == (200, 0, 0.25, 3500)
    device.receive(type="SET_COLOR", **GREEN)
    assert color(device) == (200, 1, 0.5, 3500)
    assert device.device.state["level"] == pytest.approx(0.5, abs=1e-4)
    device.wait(2)
    assert color(device)[0] == 0  # 400 degrees are beyond what there is: 360, which is 0


def test_a_waveform_leaves_the_color_unless_it_is_transient() -> None:
    wave = {"period": 1000, "cycles": 5.0, "waveform": "PULSE"}
    device = bulb({"color": {"hue": 300}})
    device.receive(type="SET_WAVEFORM", transient=True, **GREEN, **wave)
    assert color(device) == (300, 0, 1, 3500)
    device.receive(type="SET_WAVEFORM_OPTIONAL", set_hue=True, set_kelvin=True, **GREEN, **wave)
    assert color(device) == (120, 0, 1, 3500)
    answer = ask(device, "SET_WAVEFORM", res_required=True, **GREEN, **wave)
    assert round(answer["hue"]) == 120
    assert color(device) == (120, 1, 0.5, 3500)


@pytest.mark.parametrize("place", ["group", "location"])
def test_groups_and_locations(place: str) -> None:
    one, other = bulb({place: "Lounge"}, wall_time=5.0), bulb({place: "Attic"})
    get, put = f"GET_{place.upper()}", f"SET_{place.upper()}"
    lounge = ask(one, get)
    assert (lounge["label"], lounge["updated_at"]) == ("Lounge", 5_000_000_000)
    assert ask(bulb({place: "Lounge"}), get)[place] == lounge[place] != ask(other, get)[place]
    moved = {place: bytes(range(16)), "label": "Hall", "updated_at": 1 << 60}
    assert ask(one, put, **moved, res_required=True) == lounge
    assert ask(one, get) == moved
    one.reboot()
    assert ask(one, get)["label"] == "Lounge"


def test_versions_and_times() -> None:
    device = bulb({"product": 97}, wall_time=1_800_000_000.0)
    device.wait(3)
    assert ask(device, "GET_VERSION") == {"vendor": 1, "product": 97}
    info = ask(device, "GET_INFO")
    assert info == {"time": 1_800_000_003 * 10**9, "uptime": 3 * 10**9, "downtime": 0}
    assert ask(device, "GET_HOST_FIRMWARE").keys() == {"build", "version_minor", "version_major"}
    assert ask(device, "GET_WIFI_FIRMWARE").keys() == {"build", "version_minor", "version_major"}
    assert ask(device, "GET_WIFI_INFO")["signal"] == pytest.approx(1e-5)


def test_echo() -> None:
    echoing = bytes(range(64))
    assert ask(bulb(), "ECHO_REQUEST", echoing=echoing) == {"echoing": echoing}


def test_what_a_bulb_does_not_know() -> None:
    """StateUnhandled"""
    device = bulb()
    assert ask(device, 502, data=b"123") == {"unhandled_type": 502}  # type: ignore[arg-type]
    header = bytes.fromhex("2400 0014") + bytes(28) + bytes.fromhex("7800 0000")
    device.receive(header)
    assert device.sent[-1]["unhandled_type"] == 120


@pytest.mark.parametrize("kind", ["STATE_POWER", "ACKNOWLEDGEMENT", "STATE_UNHANDLED"])
def test_what_other_bulbs_say_is_not_answered(kind: str) -> None:
    """So that no two can be made to answer each other for ever."""
    fields = {"STATE_POWER": {"level": 0}, "STATE_UNHANDLED": {"unhandled_type": 502}}
    device = bulb()
    assert device.receive({"type": kind, **fields.get(kind, {})}, peer="10.77.0.1:56700") == []


# -- rules ------------------------------------------------------------------------------------------


def test_rules_answer_first_with_the_header_of_the_bulb() -> None:
    rule = {"when": {"type": "GET_POWER"}, "reply": {"type": "STATE_POWER", "level": 7}}
    device = bulb(rules=[rule])
    ack, state = device.receive(type="GET_POWER", source=4, sequence=5, ack_required=True)
    assert (ack["type"], state["level"]) == ("ACKNOWLEDGEMENT", 7)
    assert state["target"] == ack["target"]
    assert (state["source"], state["sequence"]) == (4, 5)


def test_an_acknowledgement_does_not_wait_for_an_answer() -> None:
    reply = {"type": "STATE_POWER", "level": 7}
    device = bulb(rules=[{"when": {"type": "GET_POWER"}, "reply": reply, "delay": "2s"}])
    assert [m["type"] for m in device.receive(type="GET_POWER", ack_required=True)] == [
        "ACKNOWLEDGEMENT"
    ]
    device.wait(3)
    assert [m["type"] for m in device.sent] == ["ACKNOWLEDGEMENT", "STATE_POWER"]


def test_what_is_dropped_is_not_acknowledged() -> None:
    device = bulb(rules=[{"when": {"type": "SET_POWER"}, "drop": True}])
    assert device.receive(type="SET_POWER", level=0, ack_required=True) == []
    assert ask(device, "GET_POWER") == {"level": 65535}


# -- mistakes, and hostile datagrams ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ({"power": 1}, "power is true or false"),
        ({"color": {"hue": 361}}, "hue is a number from 0 to 360"),
        ({"color": {"kelvin": "warm"}}, "kelvin is a number from 1500 to 9000"),
        ({"product": 0}, "greater than or equal to 1"),
    ],
)
def test_mistakes_are_told(model: dict[str, Any], reason: str) -> None:
    with pytest.raises(ScenarioError, match=reason):
        bulb(model)


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"\x24",
        bytes.fromhex("2400 0114") + bytes(28) + bytes.fromhex("0200 0000"),  # another protocol
        bytes.fromhex("2400 0004") + bytes(28) + bytes.fromhex("0200 0000"),  # not addressable
        bytes.fromhex("2500 0014") + bytes(28) + bytes.fromhex("0200 0000"),  # a size that lies
        bytes.fromhex("2600 0014") + bytes(28) + bytes.fromhex("1500 0000"),  # no level
    ],
)
def test_what_is_no_message(datagram: bytes) -> None:
    device = bulb()
    device.receive(datagram)
    assert "undecodable" in device.lines()[0]
    assert device.datagrams == []


BULB = bulb({"label": "=state.label"}, state={"label": "x"})
HEADER = bytes.fromhex("0014") + bytes(28)
TYPES = [2, 14, 16, 20, 21, 24, 48, 49, 52, 58, 101, 102, 103, 117, 119, 502]


@given(st.sampled_from(TYPES), st.integers(0, 3), st.binary(max_size=80))
def test_any_payload(kind: int, flags: int, payload: bytes) -> None:
    size = 36 + len(payload)
    head = HEADER[:20] + bytes([flags]) + HEADER[21:]
    data = size.to_bytes(2, "little") + head + kind.to_bytes(2, "little") + b"\0\0" + payload
    before = len(BULB.datagrams)
    BULB.receive(data)
    assert len(BULB.datagrams) - before <= 2
    assert not any("failed" in line for line in BULB.lines())


@given(st.binary(max_size=120))
def test_any_bytes(data: bytes) -> None:
    before = len(BULB.datagrams)
    BULB.receive(data)
    assert len(BULB.datagrams) == before or len(data) >= 36
    assert not any("failed" in line for line in BULB.lines())
