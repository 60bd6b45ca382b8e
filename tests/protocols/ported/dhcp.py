"""DHCP (RFC 2131, section 2) with some options of RFC 2132."""

from construct import (
    Adapter,
    BitStruct,
    Byte,
    Bytes,
    Const,
    Default,
    Enum,
    ExprAdapter,
    Flag,
    GreedyBytes,
    GreedyRange,
    Int8ub,
    Int16ub,
    Int32ub,
    Padded,
    PaddedString,
    Padding,
    PascalString,
    Pass,
    Prefixed,
    RepeatUntil,
    Struct,
    Switch,
    this,
)

from iotsim import Protocol

IPv4 = ExprAdapter(
    Byte[4],
    decoder=lambda obj, ctx: ".".join(map(str, obj)),
    encoder=lambda obj, ctx: [int(part) for part in obj.split(".")],
)


class HardwareAddress(Adapter):
    """As many bytes as the message says, with colons."""

    def _decode(self, obj, context, path):
        return obj[: context.hlen].hex(":")

    def _encode(self, obj, context, path):
        return bytes.fromhex(obj.replace(":", ""))[: context.hlen]


KIND = Enum(Int8ub, DISCOVER=1, OFFER=2, REQUEST=3, DECLINE=4, ACK=5, NAK=6, RELEASE=7, INFORM=8)
CODE = Enum(
    Int8ub,
    pad=0,
    subnet_mask=1,
    router=3,
    dns_server=6,
    host_name=12,
    requested_address=50,
    lease_time=51,
    message_type=53,
    server_identifier=54,
    parameter_list=55,
    client_identifier=61,
    end=255,
)
OPTION = Struct(
    "code" / CODE,
    "value"
    / Switch(
        this.code,
        {
            CODE.pad: Pass,
            CODE.end: Pass,
            CODE.subnet_mask: Prefixed(Int8ub, IPv4),
            CODE.router: Prefixed(Int8ub, GreedyRange(IPv4)),
            CODE.dns_server: Prefixed(Int8ub, GreedyRange(IPv4)),
            CODE.host_name: PascalString(Int8ub, "ascii"),
            CODE.requested_address: Prefixed(Int8ub, IPv4),
            CODE.lease_time: Prefixed(Int8ub, Int32ub),
            CODE.message_type: Prefixed(Int8ub, KIND),
            CODE.server_identifier: Prefixed(Int8ub, IPv4),
            CODE.parameter_list: Prefixed(Int8ub, GreedyRange(CODE)),
        },
        default=Prefixed(Int8ub, GreedyBytes),
    ),
)
MESSAGE = Struct(
    "op" / Enum(Int8ub, BOOTREQUEST=1, BOOTREPLY=2),
    "htype" / Default(Enum(Int8ub, ETHERNET=1), "ETHERNET"),
    "hlen" / Default(Int8ub, 6),
    "hops" / Default(Int8ub, 0),
    "xid" / Int32ub,
    "secs" / Default(Int16ub, 0),
    "flags" / BitStruct("broadcast" / Default(Flag, False), Padding(15)),
    "ciaddr" / Default(IPv4, "0.0.0.0"),
    "yiaddr" / Default(IPv4, "0.0.0.0"),
    "siaddr" / Default(IPv4, "0.0.0.0"),
    "giaddr" / Default(IPv4, "0.0.0.0"),
    "chaddr" / HardwareAddress(Padded(16, Bytes(this.hlen))),
    "sname" / Default(PaddedString(64, "ascii"), ""),
    "file" / Default(PaddedString(128, "ascii"), ""),
    Const(b"\x63\x82\x53\x63"),
    "options" / RepeatUntil(lambda option, options, ctx: option.code == CODE.end, OPTION),
    "padding" / Default(GreedyBytes, b""),
)

PROTOCOL = Protocol(
    name="dhcp",
    message=MESSAGE,
    port=67,
    echo=["xid", "chaddr", "flags.broadcast"],
    summary="{op} {xid:08x} {chaddr} {yiaddr}",
)

ZEROS = "00" * (64 + 128)
VECTORS = [
    (
        (
            "01 01 06 00 3903f326 0000 8000 00000000 00000000 00000000 00000000"
            f"00059e000001 00000000000000000000 {ZEROS} 63825363"
            "35 01 01 3d 07 0100059e000001 32 04 0a4d0105 37 03 010306 ff 0000"
        ),
        {
            "op": "BOOTREQUEST",
            "xid": 0x3903F326,
            "flags": {"broadcast": True},
            "chaddr": "00:05:9e:00:00:01",
            "options": [
                {"code": "message_type", "value": "DISCOVER"},
                {"code": "client_identifier", "value": bytes.fromhex("0100059e000001")},
                {"code": "requested_address", "value": "10.77.1.5"},
                {"code": "parameter_list", "value": ["subnet_mask", "router", "dns_server"]},
                {"code": "end", "value": None},
            ],
            "padding": b"\0\0",
        },
    ),
    (
        (
            "02 01 06 00 3903f326 0000 0000 00000000 0a4d0105 0a4d00fe 00000000"
            f"00059e000001 00000000000000000000 {ZEROS} 63825363"
            "35 01 02 36 04 0a4d00fe 33 04 00000e10 01 04 ffff0000 03 08 0a4d00fe 0a4d00fd"
            "0c 03 6c616d 00 ff"
        ),
        {
            "op": "BOOTREPLY",
            "xid": 0x3903F326,
            "flags": {"broadcast": False},
            "yiaddr": "10.77.1.5",
            "siaddr": "10.77.0.254",
            "chaddr": "00:05:9e:00:00:01",
            "options": [
                {"code": "message_type", "value": "OFFER"},
                {"code": "server_identifier", "value": "10.77.0.254"},
                {"code": "lease_time", "value": 3600},
                {"code": "subnet_mask", "value": "255.255.0.0"},
                {"code": "router", "value": ["10.77.0.254", "10.77.0.253"]},
                {"code": "host_name", "value": "lam"},
                {"code": "pad", "value": None},
                {"code": "end", "value": None},
            ],
        },
    ),
]
