"""Radio frames of LoRaWAN 1.0.4 (section 4): joins, and data with MAC commands. Payloads stay encrypted."""

import construct as cs
from construct import this

from iotsim import Protocol


class Eui(cs.Adapter):
    """Hexadecimal digits of bytes that travel last first."""

    def _decode(self, obj, context, path):
        return bytes(reversed(obj)).hex()

    def _encode(self, obj, context, path):
        return bytes.fromhex(obj)[::-1]


def uplink(ctx):
    return str(ctx._root.header.type).endswith("UP")


def has_port(ctx):
    """Whether more is left than the code that ends the frame."""
    if ctx._building:
        return ctx.get("port") is not None
    here = ctx._io.tell()
    end = ctx._io.seek(0, 2)
    ctx._io.seek(here)
    return end - here > 4


class Remaining(cs.Adapter):
    """All bytes but the last four, which are given back."""

    def _decode(self, obj, context, path):
        context._io.seek(-4, 1)
        return obj[:-4]

    def _encode(self, obj, context, path):
        return obj


SIX_BITS = cs.BitsInteger(6, signed=True)
COMMAND = cs.Struct(
    "id" / cs.Enum(cs.Int8ub, LINK_CHECK=2, LINK_ADR=3, DEVICE_STATUS=6, DEVICE_TIME=13),
    "arguments"
    / cs.Switch(
        lambda ctx: (uplink(ctx), str(ctx.id)),
        {
            (True, "LINK_ADR"): cs.BitStruct(
                cs.Padding(5), "power" / cs.Flag, "rate" / cs.Flag, "channels" / cs.Flag
            ),
            (True, "DEVICE_STATUS"): cs.Struct(
                "battery" / cs.Int8ub,
                "margin" / cs.Bitwise(cs.FocusedSeq("db", cs.Padding(2), "db" / SIX_BITS)),
            ),
            (False, "LINK_CHECK"): cs.Struct("margin" / cs.Int8ub, "gateways" / cs.Int8ub),
            (True, "LINK_CHECK"): cs.Pass,
            (False, "DEVICE_STATUS"): cs.Pass,
        },
        default=cs.GreedyBytes,
    ),
)
DATA = cs.Struct(
    "address" / Eui(cs.Bytes(4)),
    "control"
    / cs.BitStruct(
        "adr" / cs.Default(cs.Flag, False),
        "adr_request" / cs.Default(cs.Flag, False),
        "ack" / cs.Default(cs.Flag, False),
        "pending" / cs.Default(cs.Flag, False),
        "options_length" / cs.Default(cs.BitsInteger(4), 0),
    ),
    "counter" / cs.Int16ul,
    "options" / cs.Default(cs.FixedSized(this.control.options_length, cs.GreedyRange(COMMAND)), []),
    "port" / cs.If(has_port, cs.Int8ub),
    "payload" / cs.If(this.port != None, Remaining(cs.GreedyBytes)),  # noqa: E711
)
JOIN = cs.Struct("join_eui" / Eui(cs.Bytes(8)), "dev_eui" / Eui(cs.Bytes(8)), "nonce" / cs.Int16ul)
FRAME = cs.Struct(
    "header"
    / cs.BitStruct(
        "type"
        / cs.Enum(
            cs.BitsInteger(3),
            JOIN_REQUEST=0,
            JOIN_ACCEPT=1,
            UNCONFIRMED_UP=2,
            UNCONFIRMED_DOWN=3,
            CONFIRMED_UP=4,
            CONFIRMED_DOWN=5,
            PROPRIETARY=7,
        ),
        cs.Padding(3),
        "major" / cs.Default(cs.BitsInteger(2), 0),
    ),
    "body"
    / cs.Switch(
        this.header.type,
        {
            "JOIN_REQUEST": JOIN,
            **dict.fromkeys(
                ("UNCONFIRMED_UP", "UNCONFIRMED_DOWN", "CONFIRMED_UP", "CONFIRMED_DOWN"), DATA
            ),
        },
        default=cs.Struct("encrypted" / Remaining(cs.GreedyBytes)),
    ),
    "mic" / cs.Hex(cs.Bytes(4)),
)

PROTOCOL = Protocol(name="lorawan", message=FRAME, port=1700, summary="{header.type}")

VECTORS = [
    (
        "40 f17dbe49 00 0200 01 95437876 2b11ff0d",
        {
            "header": {"type": "UNCONFIRMED_UP"},
            "body": {
                "address": "49be7df1",
                "counter": 2,
                "port": 1,
                "payload": bytes.fromhex("95437876"),
            },
            "mic": bytes.fromhex("2b11ff0d"),
        },
    ),
    (
        "00 dc0000d07ed5b370 1e6fedf57ceeaf00 5cf1 3b47d65a",
        {
            "header": {"type": "JOIN_REQUEST"},
            "body": {
                "join_eui": "70b3d57ed00000dc",
                "dev_eui": "00afee7cf5ed6f1e",
                "nonce": 0xF15C,
            },
            "mic": bytes.fromhex("3b47d65a"),
        },
    ),
    (
        "20 0102030405060708090a0b0c aabbccdd",
        {
            "header": {"type": "JOIN_ACCEPT"},
            "body": {"encrypted": bytes.fromhex("0102030405060708090a0b0c")},
            "mic": bytes.fromhex("aabbccdd"),
        },
    ),
    (
        "80 f17dbe49 26 0300 03 05 06 ff3b 02 aabbccdd",
        {
            "header": {"type": "CONFIRMED_UP"},
            "body": {
                "address": "49be7df1",
                "control": {"ack": True, "options_length": 6},
                "counter": 3,
                "options": [
                    {
                        "id": "LINK_ADR",
                        "arguments": {"power": True, "rate": False, "channels": True},
                    },
                    {"id": "DEVICE_STATUS", "arguments": {"battery": 255, "margin": -5}},
                    {"id": "LINK_CHECK", "arguments": None},
                ],
                "port": None,
                "payload": None,
            },
            "mic": bytes.fromhex("aabbccdd"),
        },
    ),
    (
        "60 f17dbe49 03 0400 02 0a 01 aabbccdd",
        {
            "header": {"type": "UNCONFIRMED_DOWN"},
            "body": {
                "address": "49be7df1",
                "control": {"options_length": 3},
                "counter": 4,
                "options": [{"id": "LINK_CHECK", "arguments": {"margin": 10, "gateways": 1}}],
                "port": None,
                "payload": None,
            },
            "mic": bytes.fromhex("aabbccdd"),
        },
    ),
]
