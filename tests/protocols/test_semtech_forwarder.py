"""A packet forwarder by PROTOCOL.TXT: both sockets, tokens, statistics, and what becomes of downlinks."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.protocols.semtech import KEYS, RX2, Concentrator, data_down

from iotsim.errors import ScenarioError
from iotsim.events import Undecodable
from iotsim.protocol.registry import load_protocol
from iotsim.testing import Transcript

FRAME = data_down(KEYS, 0, port=3, payload=b"hello")
RAW = {"data": "AAECAw==", "freq": 868.1, "datr": "SF7BW125", "imme": True}


def silent(**model: Any) -> Concentrator:
    """A concentrator that hears a frame a minute."""
    return Concentrator(abp=True, uplink={"data_rate": "SF7BW125"}, model=model)


def test_it_pulls_and_tells_when_nobody_answers() -> None:
    """Section 5.2. There is no back-off: the route is to stay open."""
    forwarder = Transcript("semtech", model={"keep_alive": "5s", "eui": "0xAA555A0000000101"})
    forwarder.wait(20)
    pulls = [one for one in forwarder.sent if one["kind"] == "PULL_DATA"]
    assert [one["eui"] for one in pulls] == ["AA555A0000000101"] * 5
    assert len({one["token"] for one in pulls}) == 5
    assert forwarder.lines()[3] == "15.000 note: device[0]: 3 PULL_DATA were not acknowledged"
    assert str(forwarder).count("note") == 1
    forwarder.receive(kind="PULL_ACK", token=pulls[-1]["token"])
    forwarder.wait(20)
    assert str(forwarder).count("note") == 2


def test_an_acknowledgment_of_another_token_is_none() -> None:
    forwarder = Transcript("semtech", model={"keep_alive": "5s"})
    for _ in range(4):
        token = forwarder.sent[-1]["token"]
        forwarder.receive(kind="PULL_ACK", token=token ^ 1)
        forwarder.wait(5)
    assert "3 PULL_DATA were not acknowledged" in str(forwarder)


def test_statistics() -> None:
    """Section 4: what was counted since the report before."""
    c = silent(
        stat_interval="150s", location={"latitude": 46.24, "longitude": 3.25, "altitude": 145}
    )
    pushes = []
    for seconds in (30, 60):
        c.wait(seconds)
        (push,) = c.take()
        pushes.append(push)
    port = next(port for port, _ in c.datagrams if port != 1700)
    c.receive(kind="PUSH_ACK", token=pushes[1]["token"], port=port)
    c.receive(kind="PUSH_ACK", token=pushes[1]["token"], port=port)  # counts once
    assert c.downlink(FRAME, pushes[1]["rxpk"][0], 50.0) == "NONE"
    assert c.downlink(FRAME, pushes[1]["rxpk"][0], 50.0) == "COLLISION_PACKET"
    c.wait(60)
    report = c.take()[-1]["stat"]
    assert report == {
        "time": "2023-11-14 22:15:50 GMT",
        "lati": 46.24,
        "long": 3.25,
        "alti": 145,
        "rxnb": 3,
        "rxok": 3,
        "rxfw": 3,
        "dwnb": 2,
        "txnb": 1,
        "ackr": 33.3,
    }
    c.wait(150)
    assert c.take()[-1]["stat"] | {"time": ""} == {
        "time": "", "lati": 46.24, "long": 3.25, "alti": 145,
        "rxnb": 2, "rxok": 2, "rxfw": 2, "dwnb": 0, "txnb": 0, "ackr": 0.0,
    }  # fmt: skip


def test_a_packet() -> None:
    """Section 4: the fields of rxpk, with GPS time."""
    packet = silent().next_packet()
    assert packet["time"].startswith("2023-11-14T22:13:2")
    assert packet["time"].endswith("Z")
    # 2023-11-14T22:13:20Z is 1384035218 seconds of GPS time, 18 leap seconds ahead.
    assert packet["tmms"] == 1_384_035_218_000 + packet["tmst"] // 1000
    assert packet["freq"] in (868.1, 868.3, 868.5)
    assert packet["chan"] == (868.1, 868.3, 868.5).index(packet["freq"])
    assert (packet["stat"], packet["modu"], packet["codr"]) == (1, "LORA", "4/5")
    assert packet["size"] == len(packet["data"])
    assert -110 <= packet["rssi"] <= -55
    assert packet["frame"]["dev_addr"] == "26011BDA"


def test_on_the_wire_it_is_json() -> None:
    c = silent(gps=False)
    c.next_packet()
    _, payload = next(one for one in c.datagrams if one[1][3] == 0)
    assert payload[:1] == b"\x02"
    assert payload[4:12].hex() == "aa555a0000000000"
    (packet,) = json.loads(payload[12:])["rxpk"]
    assert list(packet) == [
        "tmst", "chan", "rfch", "freq", "stat", "modu", "datr", "codr", "lsnr", "rssi", "size", "data",
    ]  # fmt: skip
    assert isinstance(packet["data"], str)


def test_each_socket_hears_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A PULL_RESP to the socket of PUSH_DATA is not heard, nor is anything from elsewhere, nor would it be
    missed."""
    carried: list[Any] = []
    forwarder: Any = load_protocol("semtech").protocol.session
    receive = forwarder.receive

    def received(session: Any, message: Any, peer: Any) -> None:
        carried.append(session.carried(message, peer))
        receive(session, message, peer)

    monkeypatch.setattr(forwarder, "receive", received)
    c = silent()
    c.next_packet()
    up = c.datagrams[-1][0]
    assert up != 1700  # from which PULL_DATA comes
    txpk = {**RAW, "data": FRAME}
    assert not c.receive(kind="PULL_RESP", token=1, txpk=txpk, port=up)
    assert not c.receive(kind="PULL_RESP", token=1, txpk=txpk, peer="10.77.0.1:40001")
    assert not c.receive(kind="PULL_RESP", token=1, txpk=txpk, peer="10.77.0.9:40000")
    assert not c.receive(kind="TX_ACK", token=1, eui="AA555A0000000000")
    assert not c.receive(kind="PULL_DATA", token=1, eui="AA555A0000000000")
    assert carried == [[]] * 5
    assert c.receive(kind="PULL_RESP", token=1, txpk=txpk)[0]["kind"] == "TX_ACK"
    assert carried[5:] == [None]


def test_the_ports_of_the_server() -> None:
    c = silent(up_port=1701, down_port=1702)
    c.next_packet()
    assert "PULL_DATA" in c.lines()[0]
    assert "10.77.0.1:1702" in c.lines()[0]
    assert "10.77.0.1:1701 PUSH_DATA" in str(c)
    assert c.receive(kind="PULL_RESP", token=1, txpk={**RAW, "data": FRAME}, peer="10.77.0.1:1702")


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({}, "NONE"),
        ({"powe": 27}, "NONE"),
        ({"powe": -6, "freq": 863.0}, "NONE"),
        ({"powe": 15}, "TX_POWER"),
        ({"powe": 30}, "TX_POWER"),
        ({"freq": 862.9}, "TX_FREQ"),
        ({"freq": 915.0}, "TX_FREQ"),
        ({"freq": 915.0, "powe": 99}, "TX_FREQ"),
        ({"delay": 0.02}, "TOO_LATE"),
        ({"delay": -1.0}, "TOO_LATE"),
        ({"delay": -2000.0}, "TOO_LATE"),
        ({"delay": 510.0}, "NONE"),
        ({"delay": 513.0}, "TOO_EARLY"),
        ({"delay": 2000.0}, "TOO_EARLY"),
        ({"imme": True, "delay": -1.0}, "NONE"),
    ],
)
def test_what_a_downlink_asks_for(fields: dict[str, Any], error: str) -> None:
    """Section 6."""
    c = silent()
    packet = c.next_packet()
    # The packet came a moment ago.
    now = {"tmst": round(c.now * 1e6), "freq": packet["freq"], "datr": packet["datr"]}
    assert c.downlink(FRAME, now, **fields) == error


@pytest.mark.parametrize(
    ("after", "error"),
    [(0.0, "COLLISION_PACKET"), (0.05, "COLLISION_PACKET"), (-0.05, "COLLISION_PACKET"),
     (0.2, "NONE"), (-0.2, "NONE")],
)  # fmt: skip
def test_downlinks_do_not_overlap(after: float, error: str) -> None:
    c = silent()
    packet = c.next_packet()
    assert c.downlink(FRAME, packet, 5.0) == "NONE"
    assert c.downlink(FRAME, packet, 5.0 + after) == error


def test_those_at_once_are_one_after_the_other() -> None:
    c = silent()
    packet = c.next_packet()
    for _ in range(32):
        assert c.downlink(FRAME, packet, imme=True) == "NONE"
    assert c.downlink(FRAME, packet, imme=True) == "COLLISION_PACKET"  # the queue is full
    c.wait(20)
    assert c.downlink(FRAME, packet, imme=True) == "NONE"


def test_gps_time() -> None:
    c = silent()
    packet = c.next_packet()
    assert packet["frame"]["fcnt"] == 0
    assert c.downlink(FRAME, packet, tmst=None, tmms=packet["tmms"] + 1000) == "NONE"
    c.wait(1.2)
    assert c.said("DOWNLINK")[0]["data"] == "hello"
    assert c.downlink(FRAME, packet, tmst=None, tmms=packet["tmms"]) == "TOO_LATE"
    unlocked = silent(gps=False)
    packet = unlocked.next_packet()
    assert "tmms" not in packet
    assert unlocked.downlink(FRAME, packet, tmst=None, tmms=1) == "GPS_UNLOCKED"


def test_its_clock_wraps() -> None:
    """tmst has 32 bits: 71 minutes and 35 seconds."""
    c = silent()
    c.wait(4290)
    c.take()
    packets = [c.next_packet() for _ in range(2)]
    assert packets[0]["tmst"] < packets[1]["tmst"] < 130e6
    assert c.downlink(data_down(KEYS, 9, port=3, payload=b"late"), packets[-1]) == "NONE"
    c.wait(1.5)
    assert c.said("DOWNLINK")[-1]["data"] == "late"


HOSTILE: list[tuple[Any, str]] = [
    ([], "message"),
    ({}, "txpk"),
    ({"txpk": None}, "txpk"),
    ({"txpk": []}, "txpk"),
    ({"txpk": "x"}, "txpk"),
    *[
        ({"txpk": {name: value for name, value in RAW.items() if name != missing}}, path)
        for missing, path in (
            ("data", "txpk.data"), ("freq", "txpk.freq"), ("datr", "txpk.datr"), ("imme", "txpk"),
        )
    ],
    *[
        ({"txpk": {**RAW, name: value}}, f"txpk.{name}")
        for name, value in (
            ("data", 7), ("data", "!"), ("data", "A"), ("data", "A" * 600), ("data", "A" * 345),
            ("freq", "868.1"), ("freq", -1), ("freq", 1e300), ("freq", 10**400), ("freq", True),
            ("datr", 7), ("datr", []), ("datr", {}), ("datr", "SF13BW125"), ("datr", "SF7BW125\n"),
            ("tmst", -1), ("tmst", 1 << 32), ("tmst", 1.5), ("tmst", "1"), ("tmms", 1 << 63),
            ("tmms", 1e300), ("imme", 1), ("imme", "yes"), ("modu", "GMSK"), ("modu", []),
            ("codr", "4/9"), ("codr", 5), ("powe", "14"), ("powe", 1e9), ("powe", 13.5),
            ("prea", 65536), ("prea", -1), ("size", 3), ("size", 4.5), ("size", []), ("rfch", 1 << 70),
            ("ipol", 0), ("ncrc", "no"), ("fdev", -1),
        )
    ],
    *[
        ({"txpk": {**RAW, "modu": "FSK", "datr": rate}}, "txpk.datr")
        for rate in ("SF7BW125", 0, 1e300, 50_000.5, True, None)
    ],
]  # fmt: skip


@pytest.mark.parametrize(("body", "path"), HOSTILE)
def test_what_is_no_downlink(body: Any, path: str) -> None:
    """It is told, and not answered: the protocol has no error for it."""
    forwarder = Transcript("semtech")
    datagram = b"\x02\x00\x01\x03" + json.dumps(body).encode()
    assert not forwarder.receive(datagram)
    (event,) = (one for one in forwarder.events if isinstance(one, Undecodable))
    assert (event.path or "message") == path
    assert forwarder.receive(kind="PULL_RESP", txpk={**RAW, "data": FRAME})  # it goes on


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"{}garbage", b"\xff", b'{"txpk":' * 500, b"[" * 5000, b'{"txpk":{"freq":NaN}}',
     b'{"txpk":{"tmst":' + b"9" * 5000 + b"}}"],
)  # fmt: skip
def test_what_is_no_json(body: bytes) -> None:
    forwarder = Transcript("semtech")
    assert not forwarder.receive(b"\x02\x00\x01\x03" + body)
    assert sum(isinstance(one, Undecodable) for one in forwarder.events) == 1


def test_numbers_may_be_floats_and_other_fields_are_kept() -> None:
    c = silent()
    body = {"txpk": {**RAW, "imme": False, "tmst": 1e6, "powe": 14.0, "brd": 0, "ant": None}}
    (answer,) = c.receive(b"\x02\x00\x01\x03" + json.dumps(body).encode())
    assert answer["txpk_ack"] == {"error": "NONE"}
    c.wait(2)
    body = {"txpk": {**RAW, "modu": "FSK", "datr": 50000.0, "fdev": 25000}}
    (answer,) = c.receive(b"\x02\x00\x01\x03" + json.dumps(body).encode())
    assert answer["txpk_ack"] == {"error": "NONE"}


def test_a_concentrator_begins_anew() -> None:
    c = silent()
    c.next_packet()
    port = c.datagrams[-1][0]
    c.reboot()
    assert c.take("PULL_DATA")
    packet = c.next_packet()
    assert packet["tmst"] < 2e6  # its clock counts from there
    assert c.datagrams[-1][0] != port


@pytest.mark.parametrize(
    ("model", "complaint"),
    [
        ({"eui": "AA555A00000001010"}, "must be 16 hexadecimal digits"),
        ({"keep_alive": "0s"}, "'keep_alive' is at least 100ms"),
        ({"location": {"latitude": 91.0, "longitude": 0.0}}, "latitude"),
        ({"nodes": {"m": {"dev_eui": "1"}}}, "either 'app_key', with which nodes join, or 'abp'"),
        ({"nodes": {"m": {"dev_eui": "1", "app_key": "x"}}}, "a key has 16 bytes"),
        ({"nodes": {"m": {"dev_eui": "xyz", "app_key": b"k" * 16}}}, "must be 16 hexadecimal"),
        ({"nodes": {"m": {"dev_eui": "1", "app_key": b"k" * 16, "count": 0}}}, "count"),
        (
            {"nodes": {"m": {"dev_eui": "1", "app_key": b"k" * 16,
                             "uplink": {"every": "9s", "payload": "x", "data_rate": "SF6BW125"}}}},
            "EU868 has SF12BW125",
        ),
        (
            {"nodes": {"m": {"dev_eui": "1", "app_key": b"k" * 16,
                             "uplink": {"every": "9s", "payload": "x" * 52, "data_rate": 0}}}},
            "a payload of 52 bytes, where there are at most 51",
        ),
        (
            {"nodes": {"m": {"dev_eui": "1", "app_key": b"k" * 16,
                             "uplink": {"every": "500ms", "payload": "x"}}}},
            "'every' is at least 1s",
        ),
        (
            {"nodes": {"m": {"dev_eui": "1", "app_key": b"k" * 16,
                             "uplink": {"every": "9s", "payload": "x", "port": 224}}}},
            "port",
        ),
    ],
)  # fmt: skip
def test_models_that_cannot_be(model: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ScenarioError, match=complaint):
        Transcript("semtech", model=model)


def test_rx2_is_where_the_region_says() -> None:
    c = silent()
    packet = c.next_packet()
    assert c.downlink(FRAME, packet, 2.0, **RX2) == "NONE"
    c.wait(4)
    assert c.said("DOWNLINK")[0]["window"] == 2
