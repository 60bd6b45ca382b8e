"""Semtech's UDP packet forwarder (Lora-net packet_forwarder, PROTOCOL.TXT 1.4), with LoRaWAN nodes behind it.

A device is a concentrator. Its gateway, the one under test, is a network server or what stands before one.
On the wire are PUSH_DATA, PULL_DATA, PULL_RESP and their acknowledgments, version 2: a header whose token is
big-endian, and JSON. Behind the concentrator are nodes, LoRaWAN 1.0.4 end devices of class A (TS001-1.0.4) in
EU868 (RP002-1.0.4): they join or are personalized, send, listen, and obey. LoRaWAN's numbers are
little-endian on the air. Rules and expectations see what nodes say and hear, decrypted.

Covered: both sockets, tokens, keep-alive, statistics, and each error of a downlink that needs no beacon;
OTAA with DevNonce and JoinNonce, CFList and back-off (TS001, sections 6.2 and 7); frames with their counters,
MIC and encryption (4.3, 4.4); both receive windows; repetitions (4.3.1.3); ADR with its back-off (4.3.1.1);
MAC commands (5).

Not there: classes B and C with their multicast and beacons, LoRaWAN 1.1, other regions, LR-FHSS, the duty
cycles of regional law, collisions of uplinks, and nodes that several concentrators hear.

`message`      datagrams, and their schema
`application`  the messages above
`model`        what a scenario says
`follower`     which datagram acknowledges which
`forwarder`    the session: sockets, clock, air
`node`         a node: joining, sending, hearing
`link`         an activation: keys, counters, frames
`mac`          what the network may set
`commands`     MAC commands
`frame`        LoRaWAN's frames
`region`       EU868
`crypto`       AES
"""

from __future__ import annotations

from iotsim import Protocol

from .application import APPLICATION
from .follower import SemtechFollower
from .forwarder import Forwarder
from .message import MESSAGE
from .model import Model

PROTOCOL = Protocol(
    name="semtech",
    message=MESSAGE,
    port=1700,
    echo=["node", "number"],
    summary="{kind} {token}{node} {txpk_ack.error}{number} {port} {data}",
    description="Semtech's UDP packet forwarder: LoRaWAN concentrators, with nodes behind them",
    session=Forwarder,
    application=APPLICATION,
    model=Model,
    follower=SemtechFollower,
)


def _hex(head: str, body: str = "") -> str:
    return head + body.encode().hex()


LORA_PACKET = bytes.fromhex("40f17dbe4900020001954378762b11ff0d")
EXAMPLE = "H3P3N2i9qc4yt7rK7ldqoeCVJGBybzPY5h1Dd7P7p8v"
EUI = "b827ebfffe010203"
VECTORS = [
    # What pamoja-gateway 0.2.0 has encoded; the radio frame is the example of lora-packet.
    (f"02 7a01 02 {EUI}", {"kind": "PULL_DATA", "token": 0x7A01, "eui": EUI.upper()}),
    ("02 7a01 04", {"kind": "PULL_ACK", "token": 0x7A01}),
    ("02 1234 01", {"kind": "PUSH_ACK", "token": 0x1234}),
    (
        _hex(
            f"02 1234 00 {EUI}",
            '{"rxpk":[{"chan":0,"codr":"4/5","data":"QPF9vkkAAgABlUN4disR/w0=","datr":"SF9BW125",'
            '"freq":868.1,"lsnr":-3.2,"modu":"LORA","rfch":0,"rssi":-97,"size":17,"stat":1,'
            '"tmst":3512348611}],"stat":{"ackr":100.0,"dwnb":0,"rxfw":1,"rxnb":2,"rxok":1,"txnb":0}}',
        ),
        {
            "kind": "PUSH_DATA",
            "token": 0x1234,
            "eui": EUI.upper(),
            "rxpk": [
                {
                    "chan": 0,
                    "codr": "4/5",
                    "data": LORA_PACKET,
                    "datr": "SF9BW125",
                    "freq": 868.1,
                    "lsnr": -3.2,
                    "modu": "LORA",
                    "rfch": 0,
                    "rssi": -97,
                    "size": 17,
                    "stat": 1,
                    "tmst": 3512348611,
                    "frame": {
                        "mtype": "UNCONFIRMED_DATA_UP",
                        "dev_addr": "49BE7DF1",
                        "adr": False,
                        "adr_ack_req": False,
                        "ack": False,
                        "fcnt": 2,
                        "commands": [],
                        "port": 1,
                        "payload": bytes.fromhex("95437876"),
                        "mic": bytes.fromhex("2b11ff0d"),
                    },
                }
            ],
            "stat": {"ackr": 100.0, "dwnb": 0, "rxfw": 1, "rxnb": 2, "rxok": 1, "txnb": 0},
        },
    ),
    (
        _hex(
            "02 00ab 03",
            '{"txpk":{"codr":"4/5","data":"YPF9vkkgAQCqu8zd","datr":"SF9BW125","freq":868.1,'
            '"imme":false,"ipol":true,"modu":"LORA","powe":14,"rfch":0,"size":12,"tmst":3513348611}}',
        ),
        {
            "kind": "PULL_RESP",
            "token": 0xAB,
            "txpk": {
                "codr": "4/5",
                "data": bytes.fromhex("60f17dbe49200100aabbccdd"),
                "datr": "SF9BW125",
                "freq": 868.1,
                "imme": False,
                "ipol": True,
                "modu": "LORA",
                "powe": 14,
                "rfch": 0,
                "size": 12,
                "tmst": 3513348611,
            },
        },
    ),
    (
        _hex(f"02 00ab 05 {EUI}", '{"txpk_ack":{"error":"TOO_LATE"}}'),
        {
            "kind": "TX_ACK",
            "token": 0xAB,
            "eui": EUI.upper(),
            "txpk_ack": {"error": "TOO_LATE"},
        },
    ),
    (
        _hex(f"02 00ab 05 {EUI}", '{"txpk_ack":{"error":"NONE"}}'),
        {"kind": "TX_ACK", "token": 0xAB, "txpk_ack": {"error": "NONE"}},
        {"decodes_only": True},
    ),
    (
        f"02 00ab 05 {EUI}",
        {"kind": "TX_ACK", "token": 0xAB, "eui": EUI.upper(), "txpk_ack": {"error": "NONE"}},
    ),
    # The examples of PROTOCOL.TXT, sections 4 and 6. Their base64 has no padding.
    (
        _hex(
            f"02 0001 00 {EUI}",
            """{"rxpk":[
            {"time":"2013-03-31T16:21:17.528002Z","tmst":3512348611,"chan":2,"rfch":0,
            "freq":866.349812,"stat":1,"modu":"LORA","datr":"SF7BW125","codr":"4/6","rssi":-35,
            "lsnr":5.1,"size":32,"data":"-DS4CGaDCdG+48eJNM3Vai-zDpsR71Pn9CPA9uCON84"},
            {"time":"2013-03-31T16:21:17.530974Z","tmst":3512348514,"chan":9,"rfch":1,"freq":869.1,
            "stat":1,"modu":"FSK","datr":50000,"rssi":-75,"size":16,
            "data":"VEVTVF9QQUNLRVRfMTIzNA=="}]}""",
        ),
        {
            "kind": "PUSH_DATA",
            "rxpk": [
                {"freq": 866.349812, "datr": "SF7BW125", "rssi": -35, "lsnr": 5.1},
                {"modu": "FSK", "datr": 50000, "data": b"TEST_PACKET_1234"},
            ],
        },
        {"decodes_only": True},
    ),
    (
        _hex(
            f"02 0001 00 {EUI}",
            '{"stat":{"time":"2014-01-12 08:59:28 GMT","lati":46.24,"long":3.2523,"alti":145,'
            '"rxnb":2,"rxok":2,"rxfw":2,"ackr":100.0,"dwnb":2,"txnb":2}}',
        ),
        {
            "kind": "PUSH_DATA",
            "token": 1,
            "eui": EUI.upper(),
            "stat": {
                "time": "2014-01-12 08:59:28 GMT",
                "lati": 46.24,
                "long": 3.2523,
                "alti": 145,
                "rxnb": 2,
                "rxok": 2,
                "rxfw": 2,
                "ackr": 100.0,
                "dwnb": 2,
                "txnb": 2,
            },
        },
    ),
    (
        _hex(
            "02 0001 03",
            f"""{{"txpk":{{"imme":true,"freq":864.123456,"rfch":0,"powe":14,"modu":"LORA",
            "datr":"SF11BW125","codr":"4/6","ipol":false,"size":32,"data":"{EXAMPLE}"}}}}""",
        ),
        {
            "kind": "PULL_RESP",
            "txpk": {"imme": True, "freq": 864.123456, "powe": 14, "datr": "SF11BW125", "size": 32},
        },
        {"decodes_only": True},
    ),
    (
        _hex(
            "02 0001 03",
            f"""{{"txpk":{{"imme":true,"freq":861.3,"rfch":0,"powe":12,"modu":"FSK","datr":50000,
            "fdev":3000,"size":32,"data":"{EXAMPLE}"}}}}""",
        ),
        {"kind": "PULL_RESP", "txpk": {"imme": True, "modu": "FSK", "datr": 50000, "fdev": 3000}},
        {"decodes_only": True},
    ),
]
