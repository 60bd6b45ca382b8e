"""Nodes by LoRaWAN 1.0.4 (TS001): joining, windows, counters, repetitions, and what rules make of them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from tests.protocols.semtech import (
    APP_KEY,
    KEYS,
    RX2,
    Concentrator,
    data_down,
    join_accept,
    plain,
)

from iotsim.errors import ScenarioError
from iotsim.protocols.semtech.crypto import mic
from iotsim.testing import Transcript

ACK = 0x20
PENDING = 0x10


# -- joining (section 6.2) ------------------------------------------------------------------------------


def test_a_join() -> None:
    c = Concentrator(join_eui="0102030405060708")
    request = c.next_packet()
    assert request["frame"] | {"mic": b""} == {
        "mtype": "JOIN_REQUEST",
        "join_eui": "0102030405060708",
        "dev_eui": "70B3D57ED0000001",
        "dev_nonce": 0,
        "mic": b"",
    }
    assert mic(APP_KEY, request["data"][:-4]) == request["frame"]["mic"]
    data, keys = join_accept(0)
    assert c.downlink(data, request, 5.0) == "NONE"
    c.wait(4.9)
    assert not c.said("JOIN_ACCEPT")
    c.wait(0.5)
    assert c.said("JOIN_ACCEPT") == [
        {
            "kind": "JOIN_ACCEPT",
            "node": "meter",
            "number": 0,
            "dev_eui": "70B3D57ED0000001",
            "dev_addr": "26011BDA",
            "join_nonce": 1,
            "net_id": 0x13,
            "rx_delay": 1,
            "window": 1,
            "frequency": request["freq"],
            "data_rate": "SF7BW125",
        }
    ]
    uplink = c.next_packet()
    assert (uplink["frame"]["fcnt"], plain(keys, uplink)) == (0, b"7")


def test_a_join_accept_in_rx2() -> None:
    c = Concentrator()
    request = c.next_packet()
    data, keys = join_accept(0)
    assert c.downlink(data, request, 6.0, **RX2) == "NONE"
    c.wait(8)
    assert c.said("JOIN_ACCEPT")[0]["window"] == 2
    assert plain(keys, c.next_packet()) == b"7"


def test_a_join_is_not_asked_for_again_while_the_accept_is_on_the_air() -> None:
    """It lasts for 1.8 s from RX2 on, beyond the earliest time of another request."""
    for seed in range(8):
        c = Concentrator(seed=seed)
        request = c.next_packet()
        data, keys = join_accept(0, frequencies=(867.1,))
        c.downlink(data, request, 6.0, **RX2)
        c.wait(7)
        assert not c.packets()
        assert plain(keys, c.next_packet()) == b"7"


@pytest.mark.parametrize(
    "wrong",
    [
        {"delay": 5.1},
        {"delay": 4.9},
        {"delay": 1.0},
        {"delay": 6.0},
        {"freq": 869.525},
        {"datr": "SF8BW125"},
        {"ipol": False},
        {"ipol": None},
    ],
)
def test_a_join_accept_that_is_not_heard(wrong: dict[str, Any]) -> None:
    c = Concentrator()
    request = c.next_packet()
    data, _ = join_accept(0)
    assert c.downlink(data, request, **{"delay": 5.0, **wrong}) == "NONE"
    c.wait(8)
    assert not c.said("JOIN_ACCEPT")
    assert c.next_packet()["frame"]["dev_nonce"] == 1


def test_a_join_accept_by_another_key() -> None:
    c = Concentrator()
    data, _ = join_accept(0, app_key=bytes(16))
    c.downlink(data, c.next_packet(), 5.0)
    c.wait(8)
    assert not c.said("JOIN_ACCEPT")


def test_a_join_is_asked_for_again() -> None:
    """Section 7: 1 % of the time in the first hour, 0.1 % in the next ten, then 0.01 %."""
    c = Concentrator(uplink={"data_rate": "SF12BW125"}, model={"keep_alive": "1h"})
    on_air = 1.482752
    c.wait(12 * 3600)
    lines = [line for line in c.lines() if "JOIN_REQUEST" in line]
    asked = [float(line.split()[0]) for line in lines]
    pauses = [after - before for before, after in pairwise(asked)]
    for at, pause in zip(asked, pauses, strict=False):
        share = 0.01 if at < 3600 else 0.001 if at < 11 * 3600 else 0.0001
        assert on_air / share <= pause <= 1.5 * on_air / share
    assert len(set(pauses)) == len(pauses)  # by chance
    nonces = [one["frame"]["dev_nonce"] for one in c.packets()]
    assert nonces == list(range(len(asked)))


def test_a_join_nonce_does_not_come_again() -> None:
    """Section 6.2.6: it has to be greater than the last."""
    c = Concentrator()
    c.join(join_nonce=5)
    c.say(kind="JOIN_REQUEST")
    for nonce, taken in ((5, False), (4, False), (6, True)):
        request = next(
            p for p in iter(c.next_packet, None) if p["frame"]["mtype"] == "JOIN_REQUEST"
        )
        data, _ = join_accept(request["frame"]["dev_nonce"], join_nonce=nonce)
        c.downlink(data, request, 5.0)
        c.wait(5.5)
        assert (len(c.said("JOIN_ACCEPT")) == 2) is taken


def test_a_node_keeps_its_nonce_over_a_reboot() -> None:
    """Section 6.2.5: a DevNonce is never used again."""
    c = Concentrator()
    nonces = [c.next_packet()["frame"]["dev_nonce"] for _ in range(3)]
    assert nonces == [0, 1, 2]
    c.reboot()
    after = c.next_packet()["frame"]["dev_nonce"]
    assert after > 2
    assert c.next_packet()["frame"]["dev_nonce"] == after + 1


def test_what_a_join_accept_sets() -> None:
    """RX1DROffset, RX2DataRate, RXDelay, and channels by CFList (RP002, section 2.4.4)."""
    c = Concentrator(uplink={"every": "10s"})
    listed = (867.1, 867.3, 867.5, 867.7, 867.9)
    keys = c.join(settings=0x23, delay=3, frequencies=listed)
    used = set()
    for _ in range(60):
        packet = c.next_packet()
        used.add(packet["freq"])
    assert used == {868.1, 868.3, 868.5, *listed}
    data = data_down(keys, 0, port=1, payload=b"rx1")
    assert c.downlink(data, packet, 3.0, datr="SF9BW125") == "NONE"
    c.wait(3.5)
    assert c.said("DOWNLINK")[-1]["window"] == 1
    packet = c.next_packet()
    data = data_down(keys, 1, port=1, payload=b"rx2")
    assert c.downlink(data, packet, 4.0, freq=869.525, datr="SF9BW125") == "NONE"
    c.wait(4.5)
    assert c.said("DOWNLINK")[-1]["window"] == 2


def test_settings_that_cannot_be() -> None:
    """An RX1DROffset of 7 and the data rate 9 are none of EU868's: the defaults stay."""
    c = Concentrator()
    keys = c.join(settings=0x79)
    packet = c.next_packet()
    c.downlink(data_down(keys, 0, port=1, payload=b"rx2"), packet, 2.0, **RX2)
    c.wait(4)
    packet = c.next_packet()
    c.downlink(data_down(keys, 1, port=1, payload=b"rx1"), packet)
    c.wait(3)
    assert [one["data"] for one in c.said("DOWNLINK")] == ["rx2", "rx1"]


def test_a_list_of_channels_that_cannot_be() -> None:
    c = Concentrator(uplink={"every": "10s"})
    c.join(frequencies=(915.0, 0, 867.5))
    assert {c.next_packet()["freq"] for _ in range(40)} == {868.1, 868.3, 868.5, 867.5}


def test_each_node_has_its_own_eui() -> None:
    c = Concentrator(count=5, uplink=None)
    c.wait(2)
    euis = [packet["frame"]["dev_eui"] for packet in c.packets()]
    assert sorted(euis) == [f"70B3D57ED000000{n}" for n in range(1, 6)]


def test_keys_and_euis_may_be_expressions() -> None:
    key, eui = "=state.key", "=0x70B3D57ED0000000 + state.level"
    c = Concentrator(app_key=key, dev_eui=eui, state={"level": 7, "key": APP_KEY.hex()})
    c.join()
    assert c.said("JOIN_ACCEPT")[0]["dev_eui"] == "70B3D57ED0000007"


def test_a_key_that_is_none() -> None:
    short = {"level": 7, "key": "short"}
    with pytest.raises(ScenarioError, match="a key has 16 bytes"):
        Concentrator(app_key="=state.key", state=short)
    rules = [{"after": "1h", "set": {"key": "other"}}]  # so that it is known in a run alone
    c = Concentrator(app_key="=state.key", state=short, rules=rules, may_fail=True)
    c.wait(3)
    assert "a key has 16 bytes" in str(c)


def test_tmst_tells_whose_join_accept_it_is() -> None:
    c = Concentrator(count=3, uplink=None, start="60s")
    requests = [c.next_packet() for _ in range(3)]
    third = requests[2]
    data, _ = join_accept(0)
    c.downlink(data, third, 5.0)
    c.wait(6)
    (accept,) = c.said("JOIN_ACCEPT")
    assert accept["dev_eui"] == third["frame"]["dev_eui"]


# -- personalized (section 6.3) --------------------------------------------------------------------------


def test_a_personalized_node_is_slow_at_first() -> None:
    """Section 4.3.1.1: with the ADR bit set it begins with the lowest data rate."""
    packet = Concentrator(abp=True).next_packet()
    assert (packet["datr"], packet["frame"]["fcnt"]) == ("SF12BW125", 0)
    assert plain(KEYS, packet) == b"7"
    assert Concentrator(abp=True, adr=False).next_packet()["datr"] == "SF7BW125"
    fast = Concentrator(abp=True, uplink={"data_rate": "SF9BW125"})
    assert fast.next_packet()["datr"] == "SF9BW125"


def test_fsk() -> None:
    c = Concentrator(abp=True, adr=False, uplink={"data_rate": 7})
    packet = c.next_packet()
    assert (packet["modu"], packet["datr"]) == ("FSK", 50000)
    assert "lsnr" not in packet
    data = data_down(KEYS, 0, port=3, payload=b"x")
    assert c.downlink(data, packet, modu="FSK", datr=50000, codr=None) == "NONE"
    c.wait(1.5)
    assert c.said("DOWNLINK")[0]["data_rate"] == 50000


def test_its_counter_goes_on_over_a_reboot() -> None:
    c = Concentrator(abp=True, uplink={"every": "2s", "data_rate": 5})
    c.wait(60)
    last = c.packets()[-1]["frame"]["fcnt"]
    c.reboot()
    assert c.next_packet()["frame"]["fcnt"] > last


# -- upwards --------------------------------------------------------------------------------------------


def fast(**more: Any) -> Concentrator:
    """A personalized node, which is fast from the beginning."""
    uplink = {"data_rate": "SF7BW125", **more.pop("uplink", {})}
    return Concentrator(abp=True, uplink=uplink, **more)


def test_uplinks() -> None:
    c = fast(uplink={"every": "30s"})
    packets = [c.next_packet() for _ in range(4)]
    assert [one["frame"]["fcnt"] for one in packets] == [0, 1, 2, 3]
    gaps = {b["tmst"] - a["tmst"] for a, b in pairwise(packets)}
    assert all(abs(gap - 30_000_000) <= 1 for gap in gaps)
    assert {"port": 2, "data": "7", "fcnt": 3, "confirmed": False, "adr": True}.items() <= c.said(
        "UPLINK"
    )[-1].items()


def test_payloads() -> None:
    for payload, data in (
        ("hex:00ff80", b"\x00\xff\x80"),
        ("text", b"text"),
        ("=state.level * 3", b"21"),
        ("=device.name", b"device[0]"),
        ("", b""),
    ):
        c = fast(uplink={"payload": payload})
        assert plain(KEYS, c.next_packet()) == data


def test_a_confirmed_uplink_is_repeated() -> None:
    """Section 4.3.1.3: NbTrans times, the same frame, RETRANSMIT_TIMEOUT after RX2."""
    c = fast(uplink={"confirmed": True}, nb_trans=3)
    c.wait(59)
    packets = c.packets()
    assert len(packets) == 3
    assert len({one["data"] for one in packets}) == 1
    assert packets[0]["frame"]["mtype"] == "CONFIRMED_DATA_UP"
    gaps = [b["tmst"] - a["tmst"] for a, b in pairwise(packets)]
    assert all(3e6 <= gap <= 5e6 for gap in gaps)
    assert len(c.said("UPLINK")) == 1
    assert c.next_packet()["frame"]["fcnt"] == 1


@pytest.mark.parametrize("confirmed", [True, False])
def test_whatever_is_heard_ends_repetitions(confirmed: bool) -> None:
    c = fast(uplink={"confirmed": confirmed}, nb_trans=5)
    packet = c.next_packet()
    c.downlink(data_down(KEYS, 0), packet)
    c.wait(50)
    assert not c.packets()


def test_once_is_the_default() -> None:
    c = fast(uplink={"confirmed": True})
    c.wait(59)
    assert len(c.packets()) == 1


def test_adr_back_off() -> None:
    """Section 4.3.1.1: the request after 64 uplinks, then power, data rate, and channels every 32."""
    c = fast(uplink={"every": "3s"})
    packet = c.next_packet()
    adr = {"command": "LINK_ADR_REQ", "data_rate": 1, "tx_power": 7, "ch_mask": 4, "nb_trans": 2}
    c.downlink(data_down(KEYS, 0, adr), packet)
    heard: dict[int, dict[str, Any]] = {}
    while len(heard) < 170:
        packet = c.next_packet()
        heard.setdefault(packet["frame"]["fcnt"], packet)
    asks = [fcnt for fcnt, one in heard.items() if one["frame"]["adr_ack_req"]]
    assert asks == list(range(64, 171))
    rates = {fcnt: one["datr"] for fcnt, one in heard.items()}
    assert (rates[1], rates[127], rates[128], rates[170]) == (
        "SF11BW125", "SF11BW125", "SF12BW125", "SF12BW125",
    )  # fmt: skip
    weak = [one["rssi"] for fcnt, one in heard.items() if fcnt < 96]
    strong = [one["rssi"] for fcnt, one in heard.items() if fcnt >= 96]
    assert sum(strong) / len(strong) - sum(weak) / len(weak) == pytest.approx(14, abs=1)
    assert {one["freq"] for fcnt, one in heard.items() if fcnt < 160} == {868.5}
    c.wait(200)
    after = c.packets()
    assert {one["freq"] for one in after} == {868.1, 868.3, 868.5}
    c.downlink(data_down(KEYS, 1), c.next_packet())
    c.wait(2)
    assert not c.next_packet()["frame"]["adr_ack_req"]


def test_without_adr_nothing_is_asked() -> None:
    c = fast(uplink={"every": "3s"}, adr=False)
    c.wait(300)
    frames = [one["frame"] for one in c.packets()]
    assert len(frames) > 90
    assert not any(frame["adr"] or frame["adr_ack_req"] for frame in frames)


def test_who_is_too_weak_is_not_heard() -> None:
    """A LoRa demodulator hears SF7 down to -7.5 dB, SF12 to -20 dB; the floor is at -117 dBm."""
    weak = fast(rssi=-128.0)
    weak.wait(600)
    assert not weak.packets()
    slow = Concentrator(abp=True, rssi=-128.0)
    packet = slow.next_packet()
    assert -13 <= packet["lsnr"] <= -9
    assert packet["rssi"] in range(-130, -125)


def test_a_level_may_be_an_expression() -> None:
    c = fast(rssi="=-70 - state.level")
    assert c.next_packet()["rssi"] in range(-79, -74)


# -- downwards ------------------------------------------------------------------------------------------


def test_a_downlink() -> None:
    c = fast()
    packet = c.next_packet()
    data = data_down(KEYS, 0, {"command": "LINK_CHECK_ANS", "margin": 20, "gw_cnt": 1},
                     port=3, payload=b"on", control=0x80)  # fmt: skip
    c.downlink(data, packet)
    c.wait(2)
    assert c.said("DOWNLINK") == [
        {
            "kind": "DOWNLINK",
            "node": "meter",
            "number": 0,
            "dev_eui": "70B3D57ED0000001",
            "dev_addr": "26011BDA",
            "port": 3,
            "data": "on",
            "fcnt": 0,
            "confirmed": False,
            "ack": False,
            "adr": True,
            "pending": False,
            "commands": [{"command": "LINK_CHECK_ANS", "margin": 20, "gw_cnt": 1}],
            "window": 1,
            "frequency": packet["freq"],
            "data_rate": "SF7BW125",
        }
    ]


@pytest.mark.parametrize(
    ("wrong", "heard"),
    [
        ({}, True),
        ({"delay": 1.003}, True),
        ({"delay": 0.997}, True),
        ({"delay": 1.01}, False),
        ({"delay": 0.99}, False),
        ({"delay": 2.0}, False),
        ({"freq": 868.2}, False),
        ({"datr": "SF8BW125"}, False),
        ({"datr": "SF7BW250"}, False),
        ({"ipol": False}, False),
        ({"delay": 2.0, **RX2}, True),
        ({"delay": 2.05, **RX2}, True),
        ({"delay": 2.2, **RX2}, False),
        ({"delay": 1.0, **RX2}, False),
        ({"delay": 2.0, **RX2, "datr": "SF7BW125"}, False),
    ],
)
def test_windows(wrong: dict[str, Any], heard: bool) -> None:
    """Section 3.3."""
    c = fast()
    data = data_down(KEYS, 0, port=3, payload=b"x")
    assert c.downlink(data, c.next_packet(), **{"delay": 1.0, **wrong}) == "NONE"
    c.wait(5)
    assert bool(c.said("DOWNLINK")) is heard


def test_after_rx1_there_is_no_rx2() -> None:
    c = fast()
    packet = c.next_packet()
    c.downlink(data_down(KEYS, 0, port=3, payload=b"1"), packet)
    c.downlink(data_down(KEYS, 1, port=3, payload=b"2"), packet, 2.0, **RX2)
    c.wait(5)
    assert [one["data"] for one in c.said("DOWNLINK")] == ["1"]


def test_a_frame_for_another_does_not_close_it() -> None:
    c = fast()
    packet = c.next_packet()
    c.downlink(data_down(KEYS._replace(dev_addr=7), 0, port=3, payload=b"1"), packet)
    c.downlink(data_down(KEYS, 0, port=3, payload=b"2"), packet, 2.0, **RX2)
    c.wait(5)
    assert [one["data"] for one in c.said("DOWNLINK")] == ["2"]


def test_replays() -> None:
    """Section 4.3.1.5: a counter that is not beyond the last."""
    c = fast()
    for fcnt, taken in ((5, True), (5, False), (4, False), (0, False), (6, True), (70, True)):
        c.downlink(data_down(KEYS, fcnt, port=3, payload=b"x"), c.next_packet())
        before = len(c.said("DOWNLINK"))
        c.wait(3)
        assert (len(c.said("DOWNLINK")) > before) is taken, fcnt


@pytest.mark.parametrize("at", [0, 1, 5, 6, 8, 9, -1])
def test_a_changed_frame(at: int) -> None:
    c = fast()
    data = bytearray(data_down(KEYS, 0, port=3, payload=b"x"))
    data[at] ^= 4
    c.downlink(bytes(data), c.next_packet())
    c.wait(3)
    assert not c.said("DOWNLINK")


def test_commands_both_ways_at_once_are_none() -> None:
    """Section 4.3.1.6: FOpts beside port 0."""
    c = fast()
    status = {"command": "DEV_STATUS_REQ"}
    c.downlink(data_down(KEYS, 0, status, port=0, payload=b"\x06"), c.next_packet())
    c.wait(3)
    assert not c.said("DOWNLINK")
    assert c.next_packet()["frame"]["commands"] == []


def test_a_confirmed_downlink_is_acknowledged_at_once() -> None:
    c = fast()
    c.downlink(data_down(KEYS, 0, port=3, payload=b"x", confirmed=True), c.next_packet())
    c.wait(3)
    (answer,) = c.packets()
    assert answer["frame"]["ack"]
    assert "port" not in answer["frame"]
    assert not c.next_packet()["frame"]["ack"]


def test_more_to_come() -> None:
    """Section 4.3.1.4: FPending asks for an uplink, after which the rest comes."""
    c = fast()
    c.downlink(data_down(KEYS, 0, port=3, payload=b"1", control=PENDING), c.next_packet())
    c.wait(1.3)
    (asking,) = c.packets()
    c.downlink(data_down(KEYS, 1, port=3, payload=b"2"), asking)
    c.wait(3)
    assert [one["data"] for one in c.said("DOWNLINK")] == ["1", "2"]
    assert not c.packets()


# -- rules ----------------------------------------------------------------------------------------------


def test_a_rule_answers() -> None:
    rule = {
        "when": {"kind": "DOWNLINK", "port": 3},
        "reply": {"port": 4, "data": "='got ' + msg.data"},
    }
    c = fast(count=3, rules=[rule], start="60s")
    packets = [c.next_packet() for _ in range(3)]
    keys = KEYS._replace(dev_addr=int(packets[1]["frame"]["dev_addr"], 16))
    c = fast(count=3, rules=[rule], start="60s")
    c.next_packet()
    c.downlink(data_down(keys, 0, port=3, payload=b"it"), c.next_packet())
    c.wait(3)
    answer = next(one for one in c.packets() if one["frame"].get("port") == 4)
    assert plain(keys, answer) == b"got it"


def test_a_rule_speaks() -> None:
    c = Concentrator(abp=True, count=3, uplink=None)
    c.wait(5)
    assert not c.packets()
    c.say(node="meter", number=2, port=9, data=21.5, confirmed=True)
    packet = c.next_packet()
    assert packet["frame"]["mtype"] == "CONFIRMED_DATA_UP"
    assert plain(KEYS._replace(dev_addr=0x26011BDC), packet) == b"21.5"
    c.say(number=1, commands=[{"command": "LINK_CHECK_REQ"}, {"command": "DEVICE_TIME_REQ"}])
    packet = c.next_packet()
    assert packet["frame"]["commands"] == [
        {"command": "LINK_CHECK_REQ"},
        {"command": "DEVICE_TIME_REQ"},
    ]
    assert "port" not in packet["frame"]


def test_what_is_said_waits_for_the_join() -> None:
    c = Concentrator(uplink=None)
    c.say(data="early")
    keys = c.join()
    packet = c.next_packet()
    assert (packet["frame"]["port"], plain(keys, packet)) == (1, b"early")


def test_too_many_are_left_out() -> None:
    c = Concentrator(uplink=None)
    for number in range(20):
        c.say(data=number)
    assert str(c).count("leaves out another") == 4
    keys = c.join()
    c.wait(120)
    assert [plain(keys, one) for one in c.packets()] == [str(n).encode() for n in range(16)]


def test_what_is_too_long_for_the_data_rate() -> None:
    c = Concentrator(abp=True)
    c.say(data="x" * 60)
    c.wait(10)
    assert "meter 0 cannot send: data: 60 bytes, where there are at most 51" in str(c)


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        ({"node": "metre", "data": "x"}, "there is no 'metre': meter"),
        ({"number": 1, "data": "x"}, "there are 1, from 0"),
        ({"kind": "DOWNLINK", "data": "x"}, "a node says UPLINK, or JOIN_REQUEST"),
        ({"port": 225, "data": "x"}, "port"),
        ({"data": "x" * 243}, "more than 242 bytes"),
        ({"commands": [{"command": "LINK_CHECK"}]}, "there is no MAC command 'LINK_CHECK'"),
        ({"commands": [{"command": "LINK_CHECK_REQ", "margin": 1}]}, "has no field 'margin'"),
        ({"payload": "x"}, "unknown field 'payload'"),
    ],
)
def test_what_no_node_says(message: dict[str, Any], complaint: str) -> None:
    rule = {"every": "5s", "send": message}
    with pytest.raises(ScenarioError) as caught:
        Concentrator(rules=[rule])
    assert complaint in str(caught.value)


def test_which_node_is_to_be_said() -> None:
    nodes = {name: {"dev_eui": "1", "app_key": APP_KEY} for name in ("a", "b")}
    with pytest.raises(ScenarioError, match="which of a, b"):
        Transcript("semtech", model={"nodes": nodes}, rules=[{"every": "5s", "send": {"data": 1}}])


def test_a_personalized_node_does_not_join() -> None:
    with pytest.raises(ScenarioError, match="such nodes do not join"):
        fast(rules=[{"every": "5s", "send": {"kind": "JOIN_REQUEST"}}])


UNANSWERED = {"when": {"unanswered": True}, "set": {"level": 99}}


def test_a_rule_learns_that_nothing_acknowledges() -> None:
    send = {"after": "4s", "every": "1s", "times": 1, "send": {"data": "x", "confirmed": True}}
    c = fast(rules=[send, UNANSWERED], nb_trans=2)
    c.wait(4)
    assert c.device.state["level"] == 7
    c.wait(20)
    assert c.device.state["level"] == 99


def test_a_rule_sees_what_is_acknowledged() -> None:
    send = {"after": "4s", "every": "1s", "times": 1, "send": {"data": "x", "confirmed": True}}
    taken = {"when": {"kind": "DOWNLINK", "ack": True}, "set": {"level": "=request.data"}}
    c = fast(rules=[send, taken, UNANSWERED])
    c.next_packet()
    c.downlink(data_down(KEYS, 0, control=ACK), c.next_packet())
    c.wait(30)
    assert c.device.state["level"] == "x"


def test_an_unconfirmed_uplink_need_not_be_answered() -> None:
    send = {"after": "4s", "every": "1s", "times": 1, "send": {"data": "x"}}
    c = fast(rules=[send, UNANSWERED])
    c.wait(60)
    assert c.device.state["level"] == 7


def test_what_nobody_hears_was_not_said() -> None:
    """The frame is repeated, and said once one of them is heard."""
    c = fast(rssi="=-140 if t < 4 else -80", nb_trans=3, uplink={"confirmed": True})
    c.wait(3)
    assert not c.said("UPLINK")
    c.wait(20)
    assert len(c.said("UPLINK")) == 1
    assert {one["frame"]["fcnt"] for one in c.packets()} == {0}
