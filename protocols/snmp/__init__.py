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
`vocabulary` the names of messages
`reading`    messages in
`writing`    messages out
`message`    their schema
`mib`        the variables of a device
`model`      what a scenario says of them
`recording`  what was recorded of a real device
`agent`      the session
`follower`   which message answers which
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iotsim import Errors, Protocol

from .agent import ERRORS_V1, Agent, failure
from .follower import SnmpFollower
from .message import MESSAGE
from .model import Model
from .vocabulary import ERRORS

if TYPE_CHECKING:
    from collections.abc import Mapping


def refuse(name: str, request: Mapping[str, Any]) -> dict[str, Any] | None:
    """The bindings come back, and the first is to blame. What v1 has not is what it has in its place."""
    if request["pdu"] not in ("GET", "GETNEXT", "GETBULK", "SET"):
        return None
    if request["version"] == 1 and ERRORS[name] > ERRORS["GEN_ERR"]:
        name = ERRORS_V1.get(name, "GEN_ERR")
    whole = name in ("TOO_BIG", "AUTHORIZATION_ERROR") or not request["bindings"]
    return failure(dict(request), name, 0 if whole else 1)


PROTOCOL = Protocol(
    name="snmp",
    message=MESSAGE,
    port=161,
    echo=["version", "community", "request_id"],
    summary="v{version} {pdu} {request_id} {error} {bindings}",
    description="SNMP v1 and v2c: a device as an agent, with traps and informs",
    session=Agent,
    errors=Errors([name for name in ERRORS if name != "NO_ERROR"], refuse),
    model=Model,
    follower=SnmpFollower,
)

SYS_DESCR, SYS_LOCATION = "1.3.6.1.2.1.1.1.0", "1.3.6.1.2.1.1.6.0"
UP_TIME = {"oid": "1.3.6.1.2.1.1.3.0", "type": "TIMETICKS", "value": 4711}
PORT_7 = {"oid": "1.3.6.1.2.1.2.2.1.1.7", "type": "INTEGER", "value": 7}


def trap_oid(number: int) -> dict[str, str]:
    """snmpTrapOID.0, one of the standard's (RFC 3418)."""
    return {
        "oid": "1.3.6.1.6.3.1.1.4.1.0",
        "type": "OID",
        "value": f"1.3.6.1.6.3.1.1.5.{number}",
    }


VECTORS = [
    # What net-snmp 5.9.3 has sent: requests and notifications its programs, responses its snmpd.
    (
        """
        3029 020100 0406 7075626c6963 a01c 0204339fb941 020100 020100
        300e 300c 0608 2b06010201010100 0500
        """,
        {
            "version": 1,
            "community": "public",
            "pdu": "GET",
            "request_id": 0x339FB941,
            "error": "NO_ERROR",
            "index": 0,
            "bindings": [{"oid": SYS_DESCR, "type": "NULL", "value": None}],
        },
    ),
    (
        """
        3031 020100 0406 7075626c6963 a224 0204339fb941 020100 020100
        3016 3014 0608 2b06010201010100 0408 6120646576696365
        """,
        {
            "version": 1,
            "pdu": "RESPONSE",
            "request_id": 0x339FB941,
            "bindings": [{"oid": SYS_DESCR, "type": "OCTETS", "value": "a device"}],
        },
    ),
    (
        """
        3029 020100 0406 7075626c6963 a21c 020469c7d26a 020102 020101
        300e 300c 0608 2b06010201016300 0500
        """,
        {
            "version": 1,
            "pdu": "RESPONSE",
            "request_id": 0x69C7D26A,
            "error": "NO_SUCH_NAME",
            "index": 1,
            "bindings": [{"oid": "1.3.6.1.2.1.1.99.0"}],
        },
    ),
    (
        "3028 020101 0406 7075626c6963 a11b 02042ebc8200 020100 020100 300d 300b 0607 2b060102010102 0500",
        {
            "version": 2,
            "pdu": "GETNEXT",
            "request_id": 0x2EBC8200,
            "bindings": [{"oid": "1.3.6.1.2.1.1.2"}],
        },
    ),
    (
        """
        3030 020101 0406 7075626c6963 a223 02042ebc8200 020100 020100
        3015 3013 0608 2b06010201010200 0607 2b06010401ce0f
        """,
        {
            "version": 2,
            "pdu": "RESPONSE",
            "request_id": 0x2EBC8200,
            "bindings": [
                {"oid": "1.3.6.1.2.1.1.2.0", "type": "OID", "value": "1.3.6.1.4.1.9999"},
            ],
        },
    ),
    (
        """
        3047 020101 0406 7075626c6963 a53a 020472ddf5c6 020101 020102
        302c 300b 0607 2b060102010102 0500 300d 0609 2b06010201020201 0a 0500
        300e 060a 2b060102011f01010106 0500
        """,
        {
            "version": 2,
            "pdu": "GETBULK",
            "request_id": 0x72DDF5C6,
            "non_repeaters": 1,
            "max_repetitions": 2,
            "bindings": [
                {"oid": "1.3.6.1.2.1.1.2"},
                {"oid": "1.3.6.1.2.1.2.2.1.10"},
                {"oid": "1.3.6.1.2.1.31.1.1.1.6"},
            ],
        },
    ),
    (
        """
        307a 020101 0406 7075626c6963 a26d 020472ddf5c6 020100 020100
        305f 3013 0608 2b06010201010200 0607 2b06010401ce0f
        3011 060a 2b060102010202010a01 4103 292a2c 3012 060b 2b060102011f0101010601 4603 292a2c
        300f 060a 2b060102010202010a02 4101 00 3010 060b 2b060102011f0101010602 4601 00
        """,
        {
            "version": 2,
            "pdu": "RESPONSE",
            "request_id": 0x72DDF5C6,
            "bindings": [
                {"oid": "1.3.6.1.2.1.1.2.0", "type": "OID", "value": "1.3.6.1.4.1.9999"},
                {"oid": "1.3.6.1.2.1.2.2.1.10.1", "type": "COUNTER32", "value": 2697772},
                {"oid": "1.3.6.1.2.1.31.1.1.1.6.1", "type": "COUNTER64", "value": 2697772},
                {"oid": "1.3.6.1.2.1.2.2.1.10.2", "type": "COUNTER32", "value": 0},
                {"oid": "1.3.6.1.2.1.31.1.1.1.6.2", "type": "COUNTER64", "value": 0},
            ],
        },
    ),
    (
        """
        302f 020101 0407 70726976617465 a321 020323d85f 020100 020100
        3014 3012 0608 2b06010201010600 0406 63656c6c6172
        """,
        {
            "version": 2,
            "community": "private",
            "pdu": "SET",
            "request_id": 0x23D85F,
            "bindings": [{"oid": SYS_LOCATION, "type": "OCTETS", "value": "cellar"}],
        },
    ),
    (
        """
        3040 020101 0406 7075626c6963 a233 020443ad0328 020100 020100
        3025 3015 060d 2b06010201041401017f000001 4004 7f000001 300c 0608 2b06010201014d00 8000
        """,
        {
            "version": 2,
            "pdu": "RESPONSE",
            "request_id": 0x43AD0328,
            "bindings": [
                {
                    "oid": "1.3.6.1.2.1.4.20.1.1.127.0.0.1",
                    "type": "IPADDRESS",
                    "value": "127.0.0.1",
                },
                {"oid": "1.3.6.1.2.1.1.77.0", "type": "NO_SUCH_OBJECT"},
            ],
        },
    ),
    (
        """
        3040 020100 0406 7075626c6963 a433 060b 2b06010401bf0802030001 4004 0a4d0101 020106 020111
        4302 1267 3014 3012 060b 2b06010401bf0802030201 0203 01e240
        """,
        {
            "version": 1,
            "pdu": "TRAP",
            "enterprise": "1.3.6.1.4.1.8072.2.3.0.1",
            "agent_addr": "10.77.1.1",
            "generic_trap": "ENTERPRISE_SPECIFIC",
            "specific_trap": 17,
            "time_stamp": 4711,
            "bindings": [
                {"oid": "1.3.6.1.4.1.8072.2.3.2.1", "type": "INTEGER", "value": 123456},
            ],
        },
    ),
    (
        """
        3055 020101 0406 7075626c6963 a748 02041aa5274a 020100 020100
        303a 300e 0608 2b06010201010300 4302 1267
        3017 060a 2b060106030101040100 0609 2b0601060301010503
        300f 060a 2b060102010202010107 0201 07
        """,
        {
            "version": 2,
            "pdu": "TRAP",
            "request_id": 0x1AA5274A,
            "bindings": [UP_TIME, trap_oid(3), PORT_7],
        },
    ),
    (
        """
        3055 020101 0406 7075626c6963 a648 0204313e9924 020100 020100
        303a 300e 0608 2b06010201010300 4302 1267
        3017 060a 2b060106030101040100 0609 2b0601060301010504
        300f 060a 2b060102010202010107 0201 07
        """,
        {
            "version": 2,
            "pdu": "INFORM",
            "request_id": 0x313E9924,
            "bindings": [UP_TIME, trap_oid(4), PORT_7],
        },
    ),
    # Lengths and numbers of more octets than they need (RFC 3417, section 8, and X.690, section 8.1.3.5).
    (
        """
        3082002d 020101 0406 7075626c6963 a0811f 020400000007 02020000 020100
        3082000e 300c 0608 2b06010201010100 0500
        """,
        {"pdu": "GET", "request_id": 7, "bindings": [{"oid": SYS_DESCR}]},
        {"decodes_only": True},
    ),
]
