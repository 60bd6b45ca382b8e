"""The Semtech UDP packet forwarder (Lora-net packet_forwarder, PROTOCOL.TXT 1.4, version 2), with LoRaWAN nodes.

A device is a concentrator. Its gateway, the one under test, is a network server or what stands before one. On
the wire are PUSH_DATA, PULL_DATA, PULL_RESP and their acknowledgments: a header with the token big-endian, and
JSON (`message`). Behind the concentrator are nodes, LoRaWAN 1.0.4 end devices of class A (TS001-1.0.4) in EU868
(RP002-1.0.4): they join or are personalized, send, listen, and obey. Rules and expectations see what nodes say
and hear, decrypted (`application`); LoRaWAN's numbers are little-endian on the air.

Covered: both sockets, tokens, keep-alive, statistics, and each error of a downlink that needs no beacon;
OTAA with DevNonce and JoinNonce, CFList and back-off (TS001, sections 6.2 and 7); frames with their counters,
MIC and encryption (4.3, 4.4); both receive windows; repetitions (4.3.1.3); ADR with its back-off (4.3.1.1);
MAC commands (5).

Not there: classes B and C with their multicast and beacons, LoRaWAN 1.1, other regions, LR-FHSS, the duty
cycles of regional law, collisions of uplinks, and nodes that several concentrators hear.

`message`      datagrams, and their schema
`application`  the messages above
`model`        what a scenario says
`forwarder`    the session: sockets, clock, air
`node`         a node: joining, sending, hearing
`mac`          what the network may set
`commands`     MAC commands
`frame`        LoRaWAN's frames
`region`       EU868
`crypto`       AES
"""

from __future__ import annotations

from iotsim import Protocol

from .application import APPLICATION
from .forwarder import Forwarder
from .message import MESSAGE
from .model import Model

PROTOCOL = Protocol(
    name="semtech",
    message=MESSAGE,
    port=1700,
    echo=[],
    summary="{kind} {node} {number} {port} {data} {token}{txpk_ack.error}",
    description="Semtech's UDP packet forwarder: LoRaWAN concentrators, with nodes behind them",
    session=Forwarder,
    application=APPLICATION,
    model=Model,
)

VECTORS = [
    ("02 0007 02 aa555a0000000001", {"kind": "PULL_DATA", "token": 7, "eui": "AA555A0000000001"}),
    ("02 0007 04", {"kind": "PULL_ACK", "token": 7}),
    ("02 abcd 01", {"kind": "PUSH_ACK", "token": 0xABCD}),
]
