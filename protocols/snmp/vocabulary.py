"""The names of messages: of SNMP v1 (RFC 1157) and v2c (RFC 1901, RFC 3416), in one vocabulary."""

from __future__ import annotations

from typing import Any

Message = dict[str, Any]
Binding = dict[str, Any]

PDUS = {
    "GET": 0xA0,
    "GETNEXT": 0xA1,
    "RESPONSE": 0xA2,
    "SET": 0xA3,
    "GETBULK": 0xA5,
    "INFORM": 0xA6,
    "TRAP": 0xA7,
    "REPORT": 0xA8,
}
PDU_NAMES = {tag: name for name, tag in PDUS.items()}
TRAP_V1 = 0xA4
"""The Trap-PDU, which is of another form."""
PDUS_V1 = frozenset({0xA0, 0xA1, 0xA2, 0xA3, TRAP_V1})
ERRORS = {
    "NO_ERROR": 0,
    "TOO_BIG": 1,
    "NO_SUCH_NAME": 2,
    "BAD_VALUE": 3,
    "READ_ONLY": 4,
    "GEN_ERR": 5,
    "NO_ACCESS": 6,
    "WRONG_TYPE": 7,
    "WRONG_LENGTH": 8,
    "WRONG_ENCODING": 9,
    "WRONG_VALUE": 10,
    "NO_CREATION": 11,
    "INCONSISTENT_VALUE": 12,
    "RESOURCE_UNAVAILABLE": 13,
    "COMMIT_FAILED": 14,
    "UNDO_FAILED": 15,
    "AUTHORIZATION_ERROR": 16,
    "NOT_WRITABLE": 17,
    "INCONSISTENT_NAME": 18,
}
ERROR_NAMES = {number: name for name, number in ERRORS.items()}
GENERIC_TRAPS = {
    "COLD_START": 0,
    "WARM_START": 1,
    "LINK_DOWN": 2,
    "LINK_UP": 3,
    "AUTHENTICATION_FAILURE": 4,
    "EGP_NEIGHBOR_LOSS": 5,
    "ENTERPRISE_SPECIFIC": 6,
}
GENERIC_TRAP_NAMES = {number: name for name, number in GENERIC_TRAPS.items()}
NO_ERROR = bytes.fromhex("020100 020100")
"""Error and index of nearly all messages."""
