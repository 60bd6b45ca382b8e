"""KNXnet/IP (ISO 22510; KNX system specifications 3/8/1 to 3/8/5), cEMI (3/6/3), datapoint types (3/7/2).
All numbers are big-endian. Sections are those of the KNX specifications.

A device is a KNX IP interface, and has group objects. It is found and described (3/8/2), tunnels on the
link layer (3/8/4), routes (3/8/5), and is read by device management (3/8/3). Rules and behaviors see
telegrams for groups: GROUP_VALUE_READ, GROUP_VALUE_RESPONSE and GROUP_VALUE_WRITE, with values as their
datapoint types have them. The session does the rest: connections, sequence numbers, acknowledgments,
repetitions, flow control.

`message`     frames (3/8/1), and the telegrams above
`cemi`        what frames carry: addresses, telegrams, properties (3/6/3)
`datapoint`   values in telegrams (3/7/2)
`model`       what a scenario says of a device
`server`      `Knxnet`, the session
`group`       group objects (3/3/7, section 3.1)
`telegram`    what rules see, in cEMI
`discovery`   what a device tells of itself (3/8/2, section 4)
`channel`     connections (3/8/2, section 5)
`routing`     telegrams to the multicast group (3/8/5)
`properties`  interface objects (3/7/3)
`errors`      what a device may refuse
`follower`    which message answers which

Not there: TCP, KNX IP Secure, bus monitor and raw tunnels, tunnelling features, remote configuration, the
object server, and management over the bus (a device's own individual address is not connected to).
"""

from __future__ import annotations

from iotsim import Errors, Protocol

from .errors import NAMES, refuse
from .follower import KnxFollower
from .message import APPLICATION, MESSAGE
from .model import Model
from .routing import GROUP
from .server import Knxnet

PROTOCOL = Protocol(
    name="knxnet",
    message=MESSAGE,
    application=APPLICATION,
    port=3671,
    echo=["group"],
    summary="{service} {group}{channel} {value}{sequence} {status}{cemi.code}",
    description="KNXnet/IP: tunnels, routing, and group objects",
    session=Knxnet,
    errors=Errors(NAMES, refuse, on_wire=True),
    model=Model,
    groups=[GROUP],
    follower=KnxFollower,
)

_CLIENT = {"address": "192.168.200.12", "port": 50100}
VECTORS = [
    # With the endpoints and numbers of the examples in 3/8/2 and 3/8/4; xknx writes them so.
    ("0610 0201 000e 0801 c0a8c80c c3b4", {"service": "SEARCH_REQUEST", "discovery": _CLIENT}),
    (
        "0610 0207 0010 15 00 0801 c0a8c80c c3b4",
        {"service": "CONNECTIONSTATE_REQUEST", "channel": 21, "control": _CLIENT},
    ),
    (
        "0610 0209 0010 15 00 0801 c0a8c80c c3b4",
        {"service": "DISCONNECT_REQUEST", "channel": 21, "control": _CLIENT},
    ),
    (
        "0610 0205 001a 0801 c0a8c80c c3b4 0801 c0a8c80c c3b4 04 04 02 00",
        {
            "service": "CONNECT_REQUEST",
            "control": _CLIENT,
            "data_endpoint": _CLIENT,
            "cri": {"connection_type": "TUNNEL_CONNECTION"},
        },
    ),
    (
        "0610 0421 000a 04 15 17 00",
        {"service": "TUNNELLING_ACK", "channel": 21, "sequence": 23, "status": "E_NO_ERROR"},
    ),
    # Others as xknx writes them.
    (
        """
        0610 020b 0020 0801 c0a8c80c c3b4
        02 81 08 82 010203040506 04 83 04 02 04 04 01 07
        """,
        {
            "service": "SEARCH_REQUEST_EXTENDED",
            "discovery": _CLIENT,
            "parameters": [
                {"type": "SELECT_BY_PROGRAMMING_MODE"},
                {"type": "SELECT_BY_MAC_ADDRESS", "mac": b"\1\2\3\4\5\6"},
                {"type": "SELECT_BY_SERVICE", "family": "TUNNELLING", "version": 2},
                {
                    "type": "REQUEST_DIBS",
                    "mandatory": False,
                    "dibs": ["DEVICE_INFO", "TUNNELLING_INFO"],
                },
            ],
        },
    ),
    (
        """
        0610 0202 004a 0801 c0a8c80c c3b4
        36 01 02 00 1100 2342 112233445566 e000170c 010203040506
        47697261204b4e582f49502d526f75746572 000000000000000000000000
        06 02 02 01 04 02
        """,
        {
            "service": "SEARCH_RESPONSE",
            "control": _CLIENT,
            "dibs": [
                {
                    "type": "DEVICE_INFO",
                    "medium": "TP1",
                    "individual": "1.1.0",
                    "project": 0x2342,
                    "serial": bytes.fromhex("112233445566"),
                    "multicast": "224.0.23.12",
                    "mac": b"\1\2\3\4\5\6",
                    "name": "Gira KNX/IP-Router",
                },
                {
                    "type": "SUPP_SVC_FAMILIES",
                    "families": [
                        {"family": "CORE", "version": 1},
                        {"family": "TUNNELLING", "version": 2},
                    ],
                },
            ],
        },
    ),
    (
        "0610 0205 001c 0801 c0a8c80c c3b4 0801 c0a8c80c c3b4 06 04 02 00 1105",
        {
            "service": "CONNECT_REQUEST",
            "control": _CLIENT,
            "data_endpoint": _CLIENT,
            "cri": {"connection_type": "TUNNEL_CONNECTION", "individual": "1.1.5"},
        },
    ),
    (
        "0610 0206 0014 15 00 0801 c0a8c814 c3b4 04 04 1106",
        {
            "service": "CONNECT_RESPONSE",
            "channel": 21,
            "status": "E_NO_ERROR",
            "data_endpoint": {"address": "192.168.200.20", "port": 50100},
            "crd": {"connection_type": "TUNNEL_CONNECTION", "individual": "1.1.6"},
        },
    ),
    (
        "0610 0420 0017 04 01 02 00 29 00 bc e0 1105 0902 03 00 40 0c1a",
        {
            "service": "TUNNELLING_REQUEST",
            "channel": 1,
            "sequence": 2,
            "cemi": {
                "code": "L_DATA_IND",
                "source": "1.1.5",
                "destination": "1/1/2",
                "apci": "GROUP_VALUE_RESPONSE",
                "data": b"\x0c\x1a",
            },
        },
    ),
    (
        "0610 0530 0011 29 00 bc e0 1105 0902 01 00 00",
        {
            "service": "ROUTING_INDICATION",
            "cemi": {
                "code": "L_DATA_IND",
                "source": "1.1.5",
                "destination": "1/1/2",
                "apci": "GROUP_VALUE_READ",
            },
        },
    ),
    ("0610 0532 000c 06 00 0064 0000", {"service": "ROUTING_BUSY", "wait_time": 100}),
    ("0610 0531 000a 04 00 0005", {"service": "ROUTING_LOST_MESSAGE", "lost_messages": 5}),
    (
        "0610 0422 000c 04 01 02 00 07 00",
        {
            "service": "TUNNELLING_FEATURE_GET",
            "channel": 1,
            "sequence": 2,
            "feature": "MAX_APDU_LENGTH",
        },
    ),
    # A refused connection; what is not spoken.
    (
        "0610 0206 0008 00 24",
        {"service": "CONNECT_RESPONSE", "channel": 0, "status": "E_NO_MORE_CONNECTIONS"},
    ),
    ("0610 0954 0008 00 00", {"service": "SESSION_STATUS", "data": b"\0\0"}),
    # Device management: the individual address is read. A connection of the transport layer is opened.
    (
        "0610 0310 0011 04 01 00 00 fc 000b 01 34 1001",
        {
            "service": "DEVICE_CONFIGURATION_REQUEST",
            "channel": 1,
            "sequence": 0,
            "cemi": {
                "code": "M_PROP_READ_REQ",
                "object_type": 11,
                "property": 52,
                "count": 1,
                "start": 1,
            },
        },
    ),
    (
        "0610 0420 0014 04 01 00 00 11 00 b0 60 0000 1105 00 80",
        {
            "service": "TUNNELLING_REQUEST",
            "channel": 1,
            "sequence": 0,
            "cemi": {
                "code": "L_DATA_REQ",
                "priority": "SYSTEM",
                "address_type": "INDIVIDUAL",
                "destination": "1.1.5",
                "tpci": 32,
                "apci": None,
            },
        },
    ),
]
