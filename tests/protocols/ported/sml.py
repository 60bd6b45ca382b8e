"""Readings of an electricity meter in the smart message language (BSI TR-03109-1, annex IVb), as datagrams.

A value is a tag and what the tag says; lists hold values again. All of it stands between two escape
sequences, filled up to a multiple of four bytes.
"""

from construct import (
    BitsInteger,
    BitStruct,
    Bytes,
    BytesInteger,
    Checksum,
    Const,
    Enum,
    Flag,
    Int8ub,
    Int16ul,
    LazyBound,
    Padding,
    RawCopy,
    Rebuild,
    Struct,
    Switch,
    Tell,
    this,
)

from iotsim import Protocol


def crc16_x25(data):
    """CRC-16/X-25, as ISO/IEC 13239 has it."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x8408 if crc & 1 else 0)
    return crc ^ 0xFFFF


def fill(ctx):
    return -ctx._end % 4


VALUE = Struct(
    "tag"
    / BitStruct(
        Padding(1),
        "type" / Enum(BitsInteger(3), octets=0, boolean=4, signed=5, unsigned=6, list=7),
        "length" / BitsInteger(4),
    ),
    "value"
    / Switch(
        this.tag.type,
        {
            "octets": Bytes(this.tag.length - 1),
            "boolean": Flag,
            "signed": BytesInteger(this.tag.length - 1, signed=True),
            "unsigned": BytesInteger(this.tag.length - 1),
            "list": LazyBound(lambda: VALUE)[this.tag.length],
        },
    ),
)
FILE = Struct(
    "frame"
    / RawCopy(
        Struct(
            Const(bytes.fromhex("1b1b1b1b01010101")),
            "message" / VALUE,
            "_end" / Tell,
            Padding(fill),
            Const(bytes.fromhex("1b1b1b1b1a")),
            "fill" / Rebuild(Int8ub, fill),
        )
    ),
    "crc" / Checksum(Int16ul, crc16_x25, this.frame.data),
)

PROTOCOL = Protocol(name="sml", message=FILE, port=7259, summary="{frame.value.message.tag.type}")


def tagged(kind, value, size=None):
    """A value with its tag; `size` bytes of it, or as many as it has."""
    length = len(value) + (kind == "octets") if size is None else size + 1
    return {"tag": {"type": kind, "length": length}, "value": value}


VECTORS = [
    (
        "1b1b1b1b01010101 73 07 0100010800ff 52ff 65 000186a3 00 1b1b1b1b1a 01 cba7",
        {
            "frame": {
                "value": {
                    "message": tagged(
                        "list",
                        [
                            tagged("octets", bytes.fromhex("0100010800ff")),
                            tagged("signed", -1, 1),
                            tagged("unsigned", 100003, 4),
                        ],
                    )
                }
            }
        },
    ),
    (
        "1b1b1b1b01010101 72 71 4201 01 000000 1b1b1b1b1a 03 6a68",
        {
            "frame": {
                "value": {
                    "message": tagged(
                        "list",
                        [tagged("list", [tagged("boolean", True, 1)]), tagged("octets", b"")],
                    )
                }
            }
        },
    ),
]
