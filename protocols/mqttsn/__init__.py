"""MQTT-SN 1.2 (MQTT For Sensor Networks, Stanford-Clark and Truong, 2013), over UDP. Numbers are big-endian.

A device is a client of a gateway, or a gateway with a small broker between its clients. Rules and
expectations see publications and subscriptions by the names of topics; the session does the rest: it finds
a gateway, connects with its will, registers topics, acknowledges, repeats, keeps alive, sleeps and wakes,
and begins anew when the gateway is lost.

`message`    messages in bytes (section 5)
`schema`     their fields, and those of messages above the session
`topics`     names, wildcards, short and predefined topics
`line`       one side of a conversation: repetition, QoS 0 to 2 (sections 6.6, 6.7, 6.13)
`directory`  gateways that are known, and the search for one (section 6.1)
`client`     a device as client (sections 6.2 to 6.14)
`broker`     what a gateway keeps
`gateway`    a device as gateway
`session`    which of both a device is
`model`      what a scenario says of a device
`errors`     what a device may refuse
`follower`   which message answers which

Also understood are messages behind a forwarder (section 5.4.27): a gateway answers them by the same way, a
client has none. Not there: a connection of the gateway to an MQTT broker, and a client as forwarder.
"""

from __future__ import annotations

from iotsim import Errors, Protocol

from .errors import NAMES, refuse
from .follower import MqttSnFollower
from .model import Model
from .schema import APPLICATION, MESSAGE
from .session import MqttSn

PROTOCOL = Protocol(
    name="mqttsn",
    message=MESSAGE,
    application=APPLICATION,
    port=1883,
    summary="{kind} {topic} {topic_id} {data}{return_code} {client_id}",
    description="MQTT-SN 1.2, as client and as gateway",
    session=MqttSn,
    errors=Errors(NAMES, refuse, on_wire=True),
    model=Model,
    groups=["225.1.1.1", "ff1e:feed:caca:dead::feed"],
    follower=MqttSnFollower,
)

VECTORS = [
    # As mqtt-sn-12, a client in Python, writes them: all types that it does, with all flags.
    ("03 01 02", {"kind": "SEARCHGW", "radius": 2}),
    (
        "0c 04 0c 01 003c 6e6f64652d31",
        {
            "kind": "CONNECT",
            "will": True,
            "clean_session": True,
            "duration": 60,
            "client_id": "node-1",
        },
    ),
    ("02 06", {"kind": "WILLTOPICREQ"}),
    (
        "0e 07 30 77696c6c2f6e6f64652d31",
        {"kind": "WILLTOPIC", "qos": 1, "retain": True, "will_topic": "will/node-1"},
    ),
    ("02 08", {"kind": "WILLMSGREQ"}),
    ("06 09 676f6e65", {"kind": "WILLMSG", "will_message": "gone"}),
    ("03 05 01", {"kind": "CONNACK", "return_code": "CONGESTION"}),
    ("09 0a 0000 0007 612f62", {"kind": "REGISTER", "message_id": 7, "topic": "a/b"}),
    ("07 0b 0005 0007 00", {"kind": "REGACK", "topic_id": 5, "message_id": 7}),
    (
        "0b 0c b0 0005 0008 32312e35",
        {
            "kind": "PUBLISH",
            "dup": True,
            "qos": 1,
            "retain": True,
            "topic_id": 5,
            "message_id": 8,
            "data": "21.5",
        },
    ),
    (
        "09 0c 62 6162 0000 00ff",
        {
            "kind": "PUBLISH",
            "qos": -1,
            "topic_id_type": "SHORT",
            "topic": "ab",
            "data": b"\x00\xff",
        },
    ),
    # With a length of three bytes (section 5.2.1).
    (
        "01 010d 0c 01 0003 0000" + "78" * 260,
        {"kind": "PUBLISH", "topic_id_type": "PREDEFINED", "topic_id": 3, "data": "x" * 260},
    ),
    (
        "07 0d 0005 0008 02",
        {"kind": "PUBACK", "topic_id": 5, "message_id": 8, "return_code": "INVALID_TOPIC_ID"},
    ),
    ("04 0f 0009", {"kind": "PUBREC", "message_id": 9}),
    ("04 10 0009", {"kind": "PUBREL", "message_id": 9}),
    ("04 0e 0009", {"kind": "PUBCOMP", "message_id": 9}),
    (
        "0a 12 40 000a 636d642f23",
        {"kind": "SUBSCRIBE", "qos": 2, "message_id": 10, "topic": "cmd/#"},
    ),
    (
        "07 12 21 000b 0003",
        {
            "kind": "SUBSCRIBE",
            "qos": 1,
            "message_id": 11,
            "topic_id_type": "PREDEFINED",
            "topic_id": 3,
        },
    ),
    ("08 13 40 0000 000a 00", {"kind": "SUBACK", "qos": 2, "message_id": 10}),
    ("0a 14 00 000c 636d642f23", {"kind": "UNSUBSCRIBE", "message_id": 12, "topic": "cmd/#"}),
    ("02 17", {"kind": "PINGRESP"}),
    ("04 18 012c", {"kind": "DISCONNECT", "duration": 300}),
    ("02 18", {"kind": "DISCONNECT"}),
    (
        "06 1a 10 772f32",
        {"kind": "WILLTOPICUPD", "retain": True, "will_topic": "w/2"},
    ),
    ("05 1c 627965", {"kind": "WILLMSGUPD", "will_message": "bye"}),
    # The others, by the layouts of section 5.4.
    ("05 00 01 0384", {"kind": "ADVERTISE", "gateway_id": 1, "duration": 900}),
    ("03 02 01", {"kind": "GWINFO", "gateway_id": 1}),
    (
        "07 02 01 0a4d0001",
        {"kind": "GWINFO", "gateway_id": 1, "gateway_address": bytes([10, 77, 0, 1])},
    ),
    ("02 07", {"kind": "WILLTOPIC"}),
    ("04 15 000c", {"kind": "UNSUBACK", "message_id": 12}),
    ("02 16", {"kind": "PINGREQ"}),
    ("08 16 6e6f64652d31", {"kind": "PINGREQ", "client_id": "node-1"}),
    ("02 1a", {"kind": "WILLTOPICUPD"}),
    ("03 1b 00", {"kind": "WILLTOPICRESP"}),
    ("03 1d 03", {"kind": "WILLMSGRESP", "return_code": "NOT_SUPPORTED"}),
    (
        "05 fe 01 abcd 02 16",
        {"kind": "ENCAPSULATED", "radius": 1, "node": b"\xab\xcd", "message": b"\x02\x16"},
    ),
    # Written in the long form though the short one would do, and with bits that mean nothing.
    ("01 0006 0f 0009", {"kind": "PUBREC", "message_id": 9}, {"decodes_only": True}),
    (
        "08 13 ff 0000 000a 00",
        {"kind": "SUBACK", "qos": -1, "message_id": 10},
        {"decodes_only": True},
    ),
]
