"""SNMP v1 and v2c (RFC 1157, RFC 1901, RFC 3416): a device as an agent, with traps and informs of its own.

All is BER (X.690) as RFC 3417, section 8, bounds it: numbers big-endian, lengths definite, simple types
primitive. Refused are lengths that lie, octets that are left over, numbers out of their type's range (RFC
2578, section 7.1), and in a v1 message what only v2c has: GETBULK, INFORM, COUNTER64, exceptions (RFC 3584,
section 4).

One vocabulary for both: ``version`` is 1, or 2 for v2c. TRAP is the Trap-PDU of RFC 1157, section 4.1.6, in
version 1, and the SNMPv2-Trap-PDU of RFC 3416, section 4.2.6, in version 2. An OCTET STRING is a text where
it is UTF-8 without control characters, else bytes; a community is a text of one octet a character (Latin-1).

A device answers GET, GETNEXT, GETBULK and SET out of its model (RFC 3416, section 4.2), with errors in v1 as
RFC 3584, section 4.4, has them. A wrong community is not answered. An INFORM is repeated until it is
acknowledged.

Not there: SNMPv3, the trap authenticationFailure, proxies, and the types NsapAddress and UInteger32, which
are obsolete since RFC 1902.

`ber`        values
`message`    messages, and their schema
`mib`        the variables of a device
`model`      what a scenario says of them
`recording`  what was recorded of a real device
`agent`      the session
"""

from __future__ import annotations

from iotsim import Protocol

from .agent import Agent
from .message import MESSAGE
from .model import Model

PROTOCOL = Protocol(
    name="snmp",
    message=MESSAGE,
    port=161,
    echo=["version", "community", "request_id"],
    summary="v{version} {pdu} {request_id} {error} {bindings}",
    description="SNMP v1 and v2c: a device as an agent, with traps and informs",
    session=Agent,
    model=Model,
)

VECTORS = [
    # snmpget -v2c -c public D sysDescr.0
    (
        "302902010104067075626c6963a01c02044a8b3c1d020100020100300e300c06082b060102010101000500",
        {
            "version": 2,
            "community": "public",
            "pdu": "GET",
            "request_id": 0x4A8B3C1D,
            "error": "NO_ERROR",
            "index": 0,
            "bindings": [{"oid": "1.3.6.1.2.1.1.1.0", "type": "NULL", "value": None}],
        },
    ),
]
