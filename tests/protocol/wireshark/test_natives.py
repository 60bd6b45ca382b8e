"""Natives that say what they do in Lua: messages that no golden vector has, and mutations of these."""

from pathlib import Path
from random import Random
from typing import Any

import pytest
from tests.protocol.law.fuzz import mutated_bytes
from tests.protocol.wireshark.shown import Case, Sent, differences, tshark

from iotsim.protocol.registry import load_protocol
from iotsim.protocol.wireshark import dissector

pytestmark = pytest.mark.needs("tshark")

MUTATIONS = 60
VALUES: list[tuple[str, Any]] = [
    *(("COUNTER64", 2**power - 1) for power in (0, 1, 31, 32, 53, 54, 63, 64)),
    ("INTEGER", -(2**31)),
    ("INTEGER", 2**31 - 1),
    ("TIMETICKS", 2**32 - 1),
    ("OCTETS", ""),
    ("OCTETS", "ü" * 200),
    ("OCTETS", b"\xff\x00"),
    ("OPAQUE", b"\x9f\x78\x04\x42\xf6\x00\x00"),
    ("OID", "2.999.4294967295.0"),
    ("IPADDRESS", "10.1.2.255"),
    ("NULL", None),
    ("END_OF_MIB_VIEW", None),
]
MESSAGES: dict[str, list[dict[str, Any]]] = {
    "coap": [
        {
            "code": "PUT",
            "path": "/a/b%2Fc/%25",
            "query": ["x=1", "y"],
            "block1": {"number": 70, "more": True, "size": 64},
            "if_none_match": True,
            "options": [{"number": 65000, "value": b"z" * 300}],
            "payload": b"\x00\xff",
        },
    ],
    "modbus": [
        {"function": "WRITE_MULTIPLE_COILS", "address": 1, "count": 10, "bits": [True, False] * 5}
    ],
    "sntp": [
        {
            "mode": "CLIENT",
            "extensions": [{"type": 0x204, "value": b"x" * 12}, {"type": 2, "value": b"y" * 28}],
            "mac": b"\0\0\0\1" + b"m" * 16,
        }
    ],
    "snmp": [
        {
            "pdu": "RESPONSE",
            "community": "b\xfc\xdf",
            "request_id": -5,
            "error": "TOO_BIG",
            "index": 3,
            "bindings": [{"oid": "1.3.6.1", "type": kind, "value": value}],
        }
        for kind, value in VALUES
    ]
    + [
        {
            "version": 1,
            "pdu": "TRAP",
            "enterprise": "1.3.6.1.4.1.9",
            "agent_addr": "10.0.0.1",
            "generic_trap": "LINK_UP",
            "time_stamp": 2**32 - 1,
        },
        {"pdu": "GETBULK", "non_repeaters": 1, "max_repetitions": 20},
    ],
}


def test_messages_with_natives(tmp_path: Path) -> None:
    rng = Random("natives")
    cases = []
    for name, messages in MESSAGES.items():
        protocol = load_protocol(name).protocol
        assert dissector(protocol).missing == {}
        sent = []
        for message in messages:
            data = protocol.codec.encode(message)
            sent += [data, *(mutated_bytes(rng, data) for _ in range(MUTATIONS))]
        cases.append(Case(protocol, [Sent(data) for data in sent if data]))
    for case, shown in zip(cases, tshark(tmp_path, cases), strict=True):
        found, count = differences(case, shown)
        assert found == []
        assert count > len(case.datagrams) / 2


def test_all_headers_of_bacnet_are_shown(tmp_path: Path) -> None:
    loaded = load_protocol("bacnet")
    made = dissector(loaded.protocol)
    case = Case(loaded.protocol, [Sent(vector.data) for vector in loaded.vectors])
    (shown,) = tshark(tmp_path, [case])
    compared = 0
    for vector, one in zip(loaded.vectors, shown, strict=True):
        message = loaded.protocol.codec.decode(vector.data)
        for path, names in made.abbreviations.items():
            if message.get(path) is not None and path != "parameters":
                assert any(one.fields[name] for name in names), (path, vector.data.hex())
                compared += 1
    assert compared > 5 * len(shown)
