"""MQTT-SN 1.2 (MQTT For Sensor Networks, Stanford-Clark and Truong, 2013), over UDP. Numbers are big-endian.

A device is a client of a gateway, or a gateway with a small broker between its clients. Rules and expectations
see publications and subscriptions by the names of topics; the session does the rest: it finds a gateway,
connects with its will, registers topics, acknowledges, repeats, keeps alive, sleeps and wakes, and begins
anew when the gateway is lost.

`message`    types, layouts, the schema (section 5)
`topics`     names, wildcards, short and predefined topics
`line`       one side of a conversation: repetition, QoS 0 to 2 (sections 6.6, 6.7, 6.13)
`directory`  gateways that are known, and the search for one (section 6.1)
`client`     a device as client (sections 6.2 to 6.14)
`broker`     what a gateway keeps
`gateway`    a device as gateway
`session`    which of both a device is
`model`      what a scenario says of a device

Also understood are messages behind a forwarder (section 5.4.27): a gateway answers them by the same way, a
client has none. Not there: a connection of the gateway to an MQTT broker, and a client as forwarder.
"""

from __future__ import annotations

from iotsim import Protocol

from .message import APPLICATION, MESSAGE
from .model import Model
from .session import MqttSn

PROTOCOL = Protocol(
    name="mqttsn",
    message=MESSAGE,
    application=APPLICATION,
    port=1883,
    summary="{kind} {client_id} {topic} {topic_id} {data} {return_code}",
    description="MQTT-SN 1.2, as client and as gateway",
    session=MqttSn,
    model=Model,
    groups=["225.1.1.1", "ff1e:feed:caca:dead::feed"],
)

VECTORS = [
    (
        "0b 04 04 01 003c 6e6f646530",
        {"kind": "CONNECT", "clean_session": True, "duration": 60, "client_id": "node0"},
    ),
]
