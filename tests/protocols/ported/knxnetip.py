"""KNXnet/IP: discovery, tunnelling and routing of group telegrams (KNX 3.8, EN ISO 22510)."""

import construct as cs
from construct import this

from iotsim import Protocol


class HostAdapter(cs.Adapter):
    def _decode(self, obj, context, path):
        return ".".join(str(byte) for byte in obj)

    def _encode(self, obj, context, path):
        return bytes(int(part) for part in obj.split("."))


class GroupOrDevice(cs.Adapter):
    """1/2/3 for a group, 1.2.3 for a device: a bit of the control field tells."""

    def _decode(self, obj, context, path):
        if context.control.group:
            return f"{obj >> 11}/{obj >> 8 & 7}/{obj & 255}"
        return f"{obj >> 12}.{obj >> 8 & 15}.{obj & 255}"

    def _encode(self, obj, context, path):
        if context.control.group:
            main, middle, sub = map(int, obj.split("/"))
            return main << 11 | middle << 8 | sub
        area, line, device = map(int, obj.split("."))
        return area << 12 | line << 8 | device


class Float16(cs.Adapter):
    """Datapoint type 9: a sign, 4 bits of exponent, 11 of mantissa, in hundredths."""

    def _decode(self, obj, context, path):
        mantissa = (obj & 0x7FF) - (obj >> 15 << 11)
        return (mantissa << (obj >> 11 & 15)) / 100

    def _encode(self, obj, context, path):
        mantissa, exponent = round(obj * 100), 0
        while not -2048 <= mantissa <= 2047:
            mantissa, exponent = mantissa >> 1, exponent + 1
        return (mantissa < 0) << 15 | exponent << 11 | mantissa & 0x7FF


DEVICE = cs.ExprAdapter(
    cs.Int16ub,
    lambda obj, ctx: f"{obj >> 12}.{obj >> 8 & 15}.{obj & 255}",
    lambda obj, ctx: sum(int(n) << s for n, s in zip(obj.split("."), (12, 8, 0), strict=True)),
)
ENDPOINT = cs.Prefixed(
    cs.Int8ub,
    cs.Struct(
        "transport" / cs.Default(cs.Enum(cs.Int8ub, UDP=1, TCP=2), "UDP"),
        "host" / HostAdapter(cs.Bytes(4)),
        "port" / cs.Int16ub,
    ),
    includelength=True,
)
FRAME = cs.Struct(
    "message" / cs.Enum(cs.Int8ub, L_DATA_REQ=0x11, L_DATA_CON=0x2E, L_DATA_IND=0x29),
    "additional" / cs.Default(cs.Prefixed(cs.Int8ub, cs.GreedyBytes), b""),
    "control"
    / cs.BitStruct(
        "standard" / cs.Default(cs.Flag, True),
        cs.Padding(1),
        "once" / cs.Default(cs.Flag, True),
        "broadcast" / cs.Default(cs.Flag, True),
        "priority"
        / cs.Default(cs.Enum(cs.BitsInteger(2), SYSTEM=0, URGENT=2, NORMAL=1, LOW=3), "LOW"),
        "acknowledge" / cs.Default(cs.Flag, False),
        "error" / cs.Default(cs.Flag, False),
        "group" / cs.Default(cs.Flag, True),
        "hops" / cs.Default(cs.BitsInteger(3), 6),
        "format" / cs.Default(cs.BitsInteger(4), 0),
    ),
    "source" / cs.Default(DEVICE, "0.0.0"),
    "destination" / GroupOrDevice(cs.Int16ub),
    "length" / cs.Rebuild(cs.Int8ub, lambda ctx: 1 if ctx.value is None else 3),
    "service"
    / cs.BitStruct(
        "transport" / cs.Default(cs.BitsInteger(6), 0),
        "application" / cs.Enum(cs.BitsInteger(4), READ=0, RESPONSE=1, WRITE=2),
        "small" / cs.Default(cs.BitsInteger(6), 0),
    ),
    "value" / cs.If(this.length == 3, Float16(cs.Int16ub)),
)
TUNNEL = cs.Struct(
    cs.Const(4, cs.Int8ub),
    "channel" / cs.Int8ub,
    "sequence" / cs.Int8ub,
    "status" / cs.Default(cs.Int8ub, 0),
)
BODIES = {
    "SEARCH_REQUEST": cs.Struct("discovery" / ENDPOINT),
    "CONNECT_REQUEST": cs.Struct(
        "control_endpoint" / ENDPOINT,
        "data_endpoint" / ENDPOINT,
        "information" / cs.Prefixed(cs.Int8ub, cs.GreedyRange(cs.Int8ub), includelength=True),
    ),
    "CONNECT_RESPONSE": cs.Struct(
        "channel" / cs.Int8ub,
        "status" / cs.Enum(cs.Int8ub, NO_ERROR=0, NO_MORE_CONNECTIONS=0x24),
        "rest"
        / cs.If(
            this.status == "NO_ERROR",
            cs.Struct(
                "data_endpoint" / ENDPOINT,
                cs.Const(b"\x04\x04"),
                "individual_address" / DEVICE,
            ),
        ),
    ),
    "TUNNELLING_REQUEST": cs.Struct("connection" / TUNNEL, "frame" / FRAME),
    "TUNNELLING_ACK": cs.Struct("connection" / TUNNEL),
    "ROUTING_INDICATION": cs.Struct("frame" / FRAME),
}
HEADER = 6


def total(ctx):
    """Header and body; on parse the field is only read."""
    return HEADER + len(BODIES[str(ctx.service)].build(ctx.body))


MESSAGE = cs.Struct(
    "header_size" / cs.Const(HEADER, cs.Int8ub),
    "version" / cs.Const(0x10, cs.Int8ub),
    "service"
    / cs.Enum(
        cs.Int16ub,
        SEARCH_REQUEST=0x0201,
        CONNECT_REQUEST=0x0205,
        CONNECT_RESPONSE=0x0206,
        TUNNELLING_REQUEST=0x0420,
        TUNNELLING_ACK=0x0421,
        ROUTING_INDICATION=0x0530,
    ),
    "total_length" / cs.Rebuild(cs.Int16ub, total),
    "body" / cs.Switch(this.service, BODIES),
)

PROTOCOL = Protocol(name="knxnetip", message=MESSAGE, port=3671, summary="{service}")

VECTORS = [
    (
        "06 10 0201 000e 08 01 c0a80102 e57b",
        {
            "service": "SEARCH_REQUEST",
            "body": {"discovery": {"host": "192.168.1.2", "port": 58747}},
        },
    ),
    (
        "06 10 0205 001a 08 01 c0a80102 e57b 08 01 c0a80102 e57c 04 04 02 00",
        {
            "service": "CONNECT_REQUEST",
            "body": {
                "control_endpoint": {"host": "192.168.1.2", "port": 58747},
                "data_endpoint": {"host": "192.168.1.2", "port": 58748},
                "information": [4, 2, 0],
            },
        },
    ),
    (
        "06 10 0206 0014 15 00 08 01 0a4d0101 0e57 04 04 11ff",
        {
            "service": "CONNECT_RESPONSE",
            "body": {
                "channel": 21,
                "status": "NO_ERROR",
                "rest": {
                    "data_endpoint": {"host": "10.77.1.1", "port": 3671},
                    "individual_address": "1.1.255",
                },
            },
        },
    ),
    (
        "06 10 0206 0008 00 24",
        {
            "service": "CONNECT_RESPONSE",
            "body": {"channel": 0, "status": "NO_MORE_CONNECTIONS", "rest": None},
        },
    ),
    (
        "06 10 0420 0017 04 15 07 00 29 00 bc e0 1103 0a03 03 00 80 0c1a",
        {
            "service": "TUNNELLING_REQUEST",
            "body": {
                "connection": {"channel": 21, "sequence": 7},
                "frame": {
                    "message": "L_DATA_IND",
                    "source": "1.1.3",
                    "destination": "1/2/3",
                    "service": {"application": "WRITE"},
                    "value": 21.0,
                },
            },
        },
    ),
    (
        "06 10 0421 000a 04 15 07 00",
        {"service": "TUNNELLING_ACK", "body": {"connection": {"channel": 21, "sequence": 7}}},
    ),
    (
        "06 10 0530 0011 29 00 bc 60 0000 1105 01 00 00",
        {
            "service": "ROUTING_INDICATION",
            "body": {
                "frame": {
                    "message": "L_DATA_IND",
                    "control": {"group": False},
                    "destination": "1.1.5",
                    "service": {"application": "READ"},
                    "value": None,
                },
            },
        },
    ),
]
