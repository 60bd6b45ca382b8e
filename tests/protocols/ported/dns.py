"""DNS messages (RFC 1035, section 4), with the addresses of RFC 3596 and the services of RFC 2782.

Names are texts. Compressed ones are understood and never written.
"""

import ipaddress

from construct import (
    Adapter,
    BitsInteger,
    BitStruct,
    Default,
    Enum,
    Flag,
    GreedyBytes,
    GreedyRange,
    IfThenElse,
    Int8ub,
    Int16ub,
    Int32ub,
    LazyBound,
    PascalString,
    Peek,
    Pointer,
    Prefixed,
    Rebuild,
    RepeatUntil,
    Struct,
    Switch,
    len_,
    this,
)

from iotsim import Protocol

LABEL = Struct(
    "length" / Peek(Int8ub),
    "text"
    / IfThenElse(
        this.length >= 0xC0,
        Struct(
            "offset" / Int16ub,
            "name" / Pointer(this.offset & 0x3FFF, LazyBound(lambda: NAME), stream=this._root._io),
        ),
        PascalString(Int8ub, "ascii"),
    ),
)


class NameAdapter(Adapter):
    """Labels up to an empty one, or to a pointer, as a name with dots."""

    def _decode(self, obj, context, path):
        *labels, last = (label.text for label in obj)
        return ".".join([*labels, last.name] if last else labels)

    def _encode(self, obj, context, path):
        labels = obj.split(".") if obj else []
        return [{"length": len(label), "text": label} for label in [*labels, ""]]


NAME = NameAdapter(
    RepeatUntil(lambda label, labels, ctx: label["length"] == 0 or label["length"] >= 0xC0, LABEL)
)


class AddressAdapter(Adapter):
    def _decode(self, obj, context, path):
        return ipaddress.ip_address(obj)

    def _encode(self, obj, context, path):
        return obj.packed


TYPE = Enum(Int16ub, A=1, NS=2, CNAME=5, SOA=6, PTR=12, MX=15, TXT=16, AAAA=28, SRV=33, ANY=255)
CLASS = Enum(Int16ub, IN=1, ANY=255)

QUESTION = Struct("name" / NAME, "type" / TYPE, "class" / Default(CLASS, "IN"))
RECORD = Struct(
    "name" / NAME,
    "type" / TYPE,
    "class" / Default(CLASS, "IN"),
    "ttl" / Int32ub,
    "data"
    / Prefixed(
        Int16ub,
        Switch(
            this.type,
            {
                "A": AddressAdapter(GreedyBytes),
                "AAAA": AddressAdapter(GreedyBytes),
                "NS": NAME,
                "CNAME": NAME,
                "PTR": NAME,
                "MX": Struct("preference" / Int16ub, "exchange" / NAME),
                "TXT": GreedyRange(PascalString(Int8ub, "utf8")),
                "SRV": Struct(
                    "priority" / Int16ub, "weight" / Int16ub, "port" / Int16ub, "target" / NAME
                ),
            },
            default=GreedyBytes,
        ),
    ),
)
MESSAGE = Struct(
    "id" / Int16ub,
    "flags"
    / BitStruct(
        "response" / Default(Flag, False),
        "opcode" / Default(Enum(BitsInteger(4), QUERY=0, STATUS=2, NOTIFY=4, UPDATE=5), "QUERY"),
        "authoritative" / Default(Flag, False),
        "truncated" / Default(Flag, False),
        "recursion_desired" / Default(Flag, False),
        "recursion_available" / Default(Flag, False),
        "z" / Default(BitsInteger(3), 0),
        "rcode"
        / Default(
            Enum(BitsInteger(4), NOERROR=0, FORMERR=1, SERVFAIL=2, NXDOMAIN=3, NOTIMP=4, REFUSED=5),
            "NOERROR",
        ),
    ),
    "question_count" / Rebuild(Int16ub, len_(this.questions)),
    "answer_count" / Rebuild(Int16ub, len_(this.answers)),
    "authority_count" / Rebuild(Int16ub, len_(this.authorities)),
    "additional_count" / Rebuild(Int16ub, len_(this.additionals)),
    "questions" / QUESTION[this.question_count],
    "answers" / RECORD[this.answer_count],
    "authorities" / RECORD[this.authority_count],
    "additionals" / RECORD[this.additional_count],
)

PROTOCOL = Protocol(
    name="dns", message=MESSAGE, port=53, echo=["id", "questions"], summary="{id} {flags.rcode}"
)

VECTORS = [
    (
        "1234 0100 0001 0000 0000 0000 03 777777 07 6578616d706c65 03 636f6d 00 0001 0001",
        {
            "id": 0x1234,
            "flags": {"recursion_desired": True},
            "questions": [{"name": "www.example.com", "type": "A"}],
            "answers": [],
            "authorities": [],
            "additionals": [],
        },
    ),
    (
        (
            "1234 8580 0000 0002 0000 0001 016100 0001 0001 0000003c 0004 c0000201"
            "016100 001c 0001 0000003c 0010 20010db8000000000000000000000001"
            "00 0029 1000 00000000 0000"
        ),
        {
            "id": 0x1234,
            "flags": {
                "response": True,
                "authoritative": True,
                "recursion_desired": True,
                "recursion_available": True,
            },
            "questions": [],
            "answers": [
                {"name": "a", "type": "A", "ttl": 60, "data": ipaddress.ip_address("192.0.2.1")},
                {
                    "name": "a",
                    "type": "AAAA",
                    "ttl": 60,
                    "data": ipaddress.ip_address("2001:db8::1"),
                },
            ],
            "authorities": [],
            "additionals": [{"name": "", "type": 41, "class": 4096, "ttl": 0, "data": b""}],
        },
    ),
    (
        (
            "0007 8400 0000 0003 0000 0000"
            "055f6970706c 045f746370 00 0021 0001 00000078 000b 0001 0002 0277 036d6170 00"
            "03636f6d00 000f 0001 00000e10 0007 000a 03 6d7831 00"
            "03636f6d00 0010 0001 00000e10 000a 03 613d31 05 623d32c3bc"
        ),
        {
            "id": 7,
            "flags": {"response": True, "authoritative": True},
            "questions": [],
            "answers": [
                {
                    "name": "_ippl._tcp",
                    "type": "SRV",
                    "ttl": 120,
                    "data": {"priority": 1, "weight": 2, "port": 631, "target": "map"},
                },
                {
                    "name": "com",
                    "type": "MX",
                    "ttl": 3600,
                    "data": {"preference": 10, "exchange": "mx1"},
                },
                {"name": "com", "type": "TXT", "ttl": 3600, "data": ["a=1", "b=2ü"]},
            ],
            "authorities": [],
            "additionals": [],
        },
    ),
    (
        (
            "0001 8180 0001 0002 0000 0000 03 777777 07 6578616d706c65 03 636f6d 00 0001 0001"
            "c00c 0005 0001 0000003c 0006 03 637332 c010"
            "c02d 0001 0001 0000003c 0004 c0000201"
        ),
        {
            "id": 1,
            "questions": [{"name": "www.example.com", "type": "A"}],
            "answers": [
                {"name": "www.example.com", "type": "CNAME", "ttl": 60, "data": "cs2.example.com"},
                {
                    "name": "cs2.example.com",
                    "type": "A",
                    "ttl": 60,
                    "data": ipaddress.ip_address("192.0.2.1"),
                },
            ],
            "authorities": [],
            "additionals": [],
        },
        {"decodes_only": True},
    ),
]
