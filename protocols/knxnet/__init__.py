"""KNXnet/IP (ISO 22510; KNX system specifications 3/8/1 to 3/8/5), cEMI (3/6/3), and datapoint types (3/7/2).
All numbers are big-endian. Sections are those of the KNX specifications.

A device is a KNX IP interface, and has group objects. It is found and described (3/8/2), tunnels on the link
layer (3/8/4), routes (3/8/5), and is read by device management (3/8/3). Rules and behaviors see telegrams for
groups: GROUP_VALUE_READ, GROUP_VALUE_RESPONSE and GROUP_VALUE_WRITE, with values as their datapoint types have
them. The session does the rest: connections, sequence numbers, acknowledgments, repetitions, flow control.

`message`     frames (3/8/1), and the telegrams above
`cemi`        what frames carry: addresses, telegrams, properties (3/6/3)
`datapoint`   values in telegrams (3/7/2)
`model`       what a scenario says of a device
`server`      `Knxnet`, the session
`channel`     connections (3/8/2, section 5)
`routing`     telegrams to the multicast group (3/8/5)
`properties`  interface objects (3/7/3)

Not there: TCP, KNX IP Secure, bus monitor and raw tunnels, tunnelling features, remote configuration, the
object server, and management over the bus (a device's own individual address is not connected to).
"""

from __future__ import annotations

from iotsim import Protocol

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
    model=Model,
    groups=[GROUP],
)

VECTORS = [
    (
        "0610 0207 0010 15 00 0801 c0a8c80c c3b4",
        {
            "service": "CONNECTIONSTATE_REQUEST",
            "channel": 21,
            "control": {"address": "192.168.200.12", "port": 50100},
        },
    ),
    (
        "0610 0420 0015 04 01 17 00 11 00 bc e0 0000 0902 01 00 80",
        {
            "service": "TUNNELLING_REQUEST",
            "channel": 1,
            "sequence": 0x17,
            "cemi": {
                "code": "L_DATA_REQ",
                "destination": "1/1/2",
                "source": "0.0.0",
                "apci": "GROUP_VALUE_WRITE",
            },
        },
    ),
    (
        "0610 0205 001a 0801 c0a8c80c c3b4 0801 c0a8c80c c3b4 04 04 02 00",
        {
            "service": "CONNECT_REQUEST",
            "control": {"address": "192.168.200.12", "port": 50100},
            "data_endpoint": {"address": "192.168.200.12", "port": 50100},
            "cri": {"connection_type": "TUNNEL_CONNECTION"},
        },
    ),
]
