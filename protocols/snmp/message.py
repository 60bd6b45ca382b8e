"""Messages of SNMP v1 (RFC 1157) and v2c (RFC 1901, RFC 3416): their schema.

Each is a SEQUENCE of version, community and PDU.
"""

from __future__ import annotations

from pathlib import Path

from construct import (
    Adapter,
    Default,
    Enum,
    GreedyBytes,
    GreedyRange,
    GreedyString,
    Int8ub,
    Int32sb,
    Int32ub,
    Struct,
    Switch,
    this,
)

from iotsim import FlatStruct, Native

from .ber import TYPES
from .reading import parts_of_message, read_message
from .vocabulary import ERRORS, GENERIC_TRAPS, PDUS
from .writing import tell_message, write_message


class Octets(Adapter):  # type: ignore[type-arg]
    """What a value may be: a number, a text, bytes, or nothing. It only declares the field."""


_REQUEST_ID = "request_id" / Default(Int32sb, 0)
_STATUS = (
    "error" / Default(Enum(Int32sb, **ERRORS), "NO_ERROR"),
    "index" / Default(Int32sb, 0) * "which binding the error is of, from 1",
)
_BINDING = Struct(
    "oid" / GreedyString("ascii"),
    "type" / Default(Enum(Int8ub, **TYPES), "NULL") * "where none is said, that of the value",
    "value" / Default(Octets(GreedyBytes), None),
)
MESSAGE = Native(
    read_message,
    write_message,
    tell=tell_message,
    plain=True,
    symmetric=True,
    parts=parts_of_message,
    lua=Path(__file__).with_name("message.lua"),
    like=FlatStruct(
        "version" / Default(Int8ub, 2) * "1, or 2 for v2c",
        "community" / Default(GreedyString("latin-1"), "public"),
        "pdu" / Enum(Int8ub, **PDUS),
        Switch(
            this.pdu,
            {
                "GETBULK": FlatStruct(
                    _REQUEST_ID,
                    "non_repeaters" / Default(Int32sb, 0),
                    "max_repetitions" / Default(Int32sb, 0),
                ),
                "TRAP": FlatStruct(
                    _REQUEST_ID,
                    *_STATUS,
                    "enterprise" / Default(GreedyString("ascii"), "0.0") * "in v1",
                    "agent_addr" / Default(GreedyString("ascii"), "0.0.0.0") * "in v1",
                    "generic_trap"
                    / Default(Enum(Int32sb, **GENERIC_TRAPS), "ENTERPRISE_SPECIFIC")
                    * "in v1",
                    "specific_trap" / Default(Int32sb, 0) * "in v1",
                    "time_stamp" / Default(Int32ub, 0) * "in v1, in 1/100 s since boot",
                ),
            },
            default=FlatStruct(_REQUEST_ID, *_STATUS),
        ),
        "bindings" / Default(GreedyRange(_BINDING), []),
    ),
)
