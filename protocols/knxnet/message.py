"""The frames of KNXnet/IP (3/8/1 to 3/8/5) and of cEMI (3/6/3) in them, and the telegrams above."""

from __future__ import annotations

import ipaddress
from typing import Any

from construct import (
    BitsInteger,
    BitStruct,
    Bytes,
    Const,
    Default,
    Enum,
    Flag,
    GreedyBytes,
    GreedyRange,
    GreedyString,
    Int8ub,
    Int16ub,
    Optional,
    Padding,
    Prefixed,
    StreamError,
    Struct,
    Switch,
    this,
)

from iotsim import Cbor, EncodeError, FlatStruct, Length, Native, Text

from .cemi import CEMI, GROUP_ADDRESS, GROUP_SERVICES, INDIVIDUAL_ADDRESS, LUA, PRIORITY

SERVICES = {
    "SEARCH_REQUEST": 0x0201,
    "SEARCH_RESPONSE": 0x0202,
    "DESCRIPTION_REQUEST": 0x0203,
    "DESCRIPTION_RESPONSE": 0x0204,
    "CONNECT_REQUEST": 0x0205,
    "CONNECT_RESPONSE": 0x0206,
    "CONNECTIONSTATE_REQUEST": 0x0207,
    "CONNECTIONSTATE_RESPONSE": 0x0208,
    "DISCONNECT_REQUEST": 0x0209,
    "DISCONNECT_RESPONSE": 0x020A,
    "SEARCH_REQUEST_EXTENDED": 0x020B,
    "SEARCH_RESPONSE_EXTENDED": 0x020C,
    "DEVICE_CONFIGURATION_REQUEST": 0x0310,
    "DEVICE_CONFIGURATION_ACK": 0x0311,
    "TUNNELLING_REQUEST": 0x0420,
    "TUNNELLING_ACK": 0x0421,
    "TUNNELLING_FEATURE_GET": 0x0422,
    "TUNNELLING_FEATURE_RESPONSE": 0x0423,
    "TUNNELLING_FEATURE_SET": 0x0424,
    "TUNNELLING_FEATURE_INFO": 0x0425,
    "ROUTING_INDICATION": 0x0530,
    "ROUTING_LOST_MESSAGE": 0x0531,
    "ROUTING_BUSY": 0x0532,
    "ROUTING_SYSTEM_BROADCAST": 0x0533,
    "REMOTE_DIAGNOSTIC_REQUEST": 0x0740,
    "REMOTE_DIAGNOSTIC_RESPONSE": 0x0741,
    "REMOTE_BASIC_CONFIGURATION_REQUEST": 0x0742,
    "REMOTE_RESET_REQUEST": 0x0743,
    "SECURE_WRAPPER": 0x0950,
    "SESSION_REQUEST": 0x0951,
    "SESSION_RESPONSE": 0x0952,
    "SESSION_AUTHENTICATE": 0x0953,
    "SESSION_STATUS": 0x0954,
    "TIMER_NOTIFY": 0x0955,
}
STATUS = Enum(
    Int8ub,
    E_NO_ERROR=0x00,
    E_HOST_PROTOCOL_TYPE=0x01,
    E_VERSION_NOT_SUPPORTED=0x02,
    E_SEQUENCE_NUMBER=0x04,
    E_ERROR=0x0F,
    E_CONNECTION_ID=0x21,
    E_CONNECTION_TYPE=0x22,
    E_CONNECTION_OPTION=0x23,
    E_NO_MORE_CONNECTIONS=0x24,
    E_NO_MORE_UNIQUE_CONNECTIONS=0x25,
    E_DATA_CONNECTION=0x26,
    E_KNX_CONNECTION=0x27,
    E_AUTHORISATION_ERROR=0x28,
    E_TUNNELLING_LAYER=0x29,
    E_NO_TUNNELLING_ADDRESS=0x2D,
    E_CONNECTION_IN_USE=0x2E,
)
CONNECTION_TYPE = Enum(
    Int8ub,
    DEVICE_MGMT_CONNECTION=0x03,
    TUNNEL_CONNECTION=0x04,
    REMLOG_CONNECTION=0x06,
    REMCONF_CONNECTION=0x07,
    OBJSVR_CONNECTION=0x08,
)
LAYER = Enum(Int8ub, TUNNEL_LINKLAYER=0x02, TUNNEL_RAW=0x04, TUNNEL_BUSMONITOR=0x80)
FEATURE = Enum(
    Int8ub,
    SUPPORTED_EMI_TYPE=1,
    HOST_DEVICE_DESCRIPTOR_TYPE_0=2,
    BUS_CONNECTION_STATUS=3,
    KNX_MANUFACTURER_CODE=4,
    ACTIVE_EMI_TYPE=5,
    INDIVIDUAL_ADDRESS=6,
    MAX_APDU_LENGTH=7,
    INFO_SERVICE_ENABLE=8,
)


def read_ip(data: bytes, at: int) -> tuple[str, int]:
    four = data[at : at + 4]
    if len(four) < 4:
        raise StreamError("an IPv4 address has four bytes")
    return ".".join(map(str, four)), at + 4


def write_ip(value: Any) -> bytes:
    try:
        return ipaddress.IPv4Address(value).packed
    except ValueError:
        raise EncodeError(f"an IPv4 address, such as '10.0.0.1', not {value!r}") from None


IP_ADDRESS = Native(read_ip, write_ip, like=GreedyString("ascii"), lua=LUA / "ip_address.lua")


def hpai() -> Any:
    """Host protocol address information: an endpoint (3/8/2, section 8.6.2)."""
    return Struct(
        Const(8, Int8ub),
        "host_protocol" / Default(Enum(Int8ub, IPV4_UDP=1, IPV4_TCP=2), "IPV4_UDP"),
        "address" / IP_ADDRESS,
        "port" / Int16ub,
    )


# -- description information blocks (3/8/2, section 7.5.4) --------------------------------------------

DIB_TYPES = {
    "DEVICE_INFO": 0x01,
    "SUPP_SVC_FAMILIES": 0x02,
    "IP_CONFIG": 0x03,
    "IP_CUR_CONFIG": 0x04,
    "KNX_ADDRESSES": 0x05,
    "SECURED_SERVICE_FAMILIES": 0x06,
    "TUNNELLING_INFO": 0x07,
    "EXTENDED_DEVICE_INFO": 0x08,
    "MFR_DATA": 0xFE,
}
DIB_TYPE = Enum(Int8ub, **DIB_TYPES)
FAMILY = Enum(
    Int8ub,
    CORE=0x02,
    DEVICE_MANAGEMENT=0x03,
    TUNNELLING=0x04,
    ROUTING=0x05,
    REMOTE_LOGGING=0x06,
    REMOTE_CONFIGURATION_AND_DIAGNOSIS=0x07,
    OBJECT_SERVER=0x08,
    SECURITY=0x09,
)
FAMILIES = Struct("families" / GreedyRange(Struct("family" / FAMILY, "version" / Int8ub)))
MEDIUM = Enum(Int8ub, TP1=0x02, PL110=0x04, RF=0x10, IP=0x20)
DIB = Prefixed(
    Int8ub,
    FlatStruct(
        "type" / DIB_TYPE,
        Switch(
            this.type,
            {
                "DEVICE_INFO": FlatStruct(
                    "medium" / MEDIUM,
                    BitStruct(Padding(7), "programming_mode" / Default(Flag, False)),
                    "individual" / INDIVIDUAL_ADDRESS,
                    "project" / Default(Int16ub, 0),
                    "serial" / Bytes(6),
                    "multicast" / IP_ADDRESS,
                    "mac" / Bytes(6),
                    "name" / Text(30, "latin-1"),
                ),
                "SUPP_SVC_FAMILIES": FAMILIES,
                "IP_CONFIG": Struct(
                    "address" / IP_ADDRESS,
                    "mask" / IP_ADDRESS,
                    "gateway" / IP_ADDRESS,
                    "capabilities" / Int8ub,
                    "assignment" / Int8ub,
                ),
                "IP_CUR_CONFIG": Struct(
                    "address" / IP_ADDRESS,
                    "mask" / IP_ADDRESS,
                    "gateway" / IP_ADDRESS,
                    "dhcp_server" / IP_ADDRESS,
                    "assignment" / Int8ub,
                    Padding(1),
                ),
                "KNX_ADDRESSES": Struct("addresses" / GreedyRange(INDIVIDUAL_ADDRESS)),
                "SECURED_SERVICE_FAMILIES": FAMILIES,
                "TUNNELLING_INFO": Struct(
                    "max_apdu_length" / Int16ub,
                    "slots"
                    / GreedyRange(
                        FlatStruct(
                            "individual" / INDIVIDUAL_ADDRESS,
                            BitStruct(
                                Padding(13),
                                "usable" / Flag,
                                "authorised" / Flag,
                                "free" / Flag,
                            ),
                        )
                    ),
                ),
                "EXTENDED_DEVICE_INFO": Struct(
                    "medium_status" / Int8ub,
                    Padding(1),
                    "max_apdu_length" / Int16ub,
                    "device_descriptor" / Int16ub,
                ),
                "MFR_DATA": Struct("manufacturer" / Int16ub, "data" / GreedyBytes),
            },
            default=Struct("data" / GreedyBytes),
        ),
    ),
    includelength=True,
)
SRP = Prefixed(
    Int8ub,
    FlatStruct(
        BitStruct(
            "mandatory" / Default(Flag, True),
            "type"
            / Enum(
                BitsInteger(7),
                SELECT_BY_PROGRAMMING_MODE=1,
                SELECT_BY_MAC_ADDRESS=2,
                SELECT_BY_SERVICE=3,
                REQUEST_DIBS=4,
            ),
        ),
        Switch(
            this.type,
            {
                "SELECT_BY_PROGRAMMING_MODE": Struct(),
                "SELECT_BY_MAC_ADDRESS": Struct("mac" / Bytes(6)),
                "SELECT_BY_SERVICE": Struct("family" / FAMILY, "version" / Int8ub),
                "REQUEST_DIBS": Struct("dibs" / GreedyRange(DIB_TYPE)),
            },
            default=Struct("data" / GreedyBytes),
        ),
    ),
    includelength=True,
)
"""Search request parameters (3/8/2, section 7.5.6)."""

# -- connections --------------------------------------------------------------------------------------

CRI = Prefixed(
    Int8ub,
    FlatStruct(
        "connection_type" / CONNECTION_TYPE,
        Switch(
            this.connection_type,
            {
                "DEVICE_MGMT_CONNECTION": Struct(),
                "TUNNEL_CONNECTION": Struct(
                    "layer" / Default(LAYER, "TUNNEL_LINKLAYER"),
                    Padding(1),
                    "individual" / Optional(INDIVIDUAL_ADDRESS),
                ),
            },
            default=Struct("data" / GreedyBytes),
        ),
    ),
    includelength=True,
)
"""Connection request information (3/8/2, section 7.5.2); ``individual`` is that of an extended one."""
CRD = Prefixed(
    Int8ub,
    FlatStruct(
        "connection_type" / CONNECTION_TYPE,
        Switch(
            this.connection_type,
            {
                "DEVICE_MGMT_CONNECTION": Struct(),
                "TUNNEL_CONNECTION": Struct("individual" / INDIVIDUAL_ADDRESS),
            },
            default=Struct("data" / GreedyBytes),
        ),
    ),
    includelength=True,
)


def connection_header(last: Any) -> Any:
    """The header of what goes through a connection (3/8/4, section 4.3), which ends with `last`."""
    return FlatStruct(Const(4, Int8ub), "channel" / Int8ub, "sequence" / Int8ub, last)


def feature(*value: Any) -> Any:
    return FlatStruct(
        connection_header(Padding(1)),
        "feature" / FEATURE,
        "return_code" / Default(Int8ub, 0),
        *value,
    )


CONTROL = Struct("control" / hpai())
CHANNEL = Struct("channel" / Int8ub, Padding(1), "control" / hpai())
RESULT = Struct("channel" / Int8ub, "status" / STATUS)
ACK = connection_header("status" / Default(STATUS, "E_NO_ERROR"))
REQUEST = FlatStruct(connection_header(Padding(1)), "cemi" / CEMI)
ROUTED = Struct("cemi" / CEMI)
BODIES = {
    "SEARCH_REQUEST": Struct("discovery" / hpai()),
    "SEARCH_RESPONSE": Struct("control" / hpai(), "dibs" / GreedyRange(DIB)),
    "DESCRIPTION_REQUEST": CONTROL,
    "DESCRIPTION_RESPONSE": Struct("dibs" / GreedyRange(DIB)),
    "CONNECT_REQUEST": Struct("control" / hpai(), "data_endpoint" / hpai(), "cri" / CRI),
    "CONNECT_RESPONSE": FlatStruct(
        "channel" / Int8ub,
        "status" / STATUS,
        Switch(
            this.status,
            {"E_NO_ERROR": Struct("data_endpoint" / hpai(), "crd" / CRD)},
            default=Struct(),
        ),
    ),
    "CONNECTIONSTATE_REQUEST": CHANNEL,
    "CONNECTIONSTATE_RESPONSE": RESULT,
    "DISCONNECT_REQUEST": CHANNEL,
    "DISCONNECT_RESPONSE": RESULT,
    "SEARCH_REQUEST_EXTENDED": Struct("discovery" / hpai(), "parameters" / GreedyRange(SRP)),
    "SEARCH_RESPONSE_EXTENDED": Struct("control" / hpai(), "dibs" / GreedyRange(DIB)),
    "DEVICE_CONFIGURATION_REQUEST": REQUEST,
    "DEVICE_CONFIGURATION_ACK": ACK,
    "TUNNELLING_REQUEST": REQUEST,
    "TUNNELLING_ACK": ACK,
    "TUNNELLING_FEATURE_GET": feature(),
    "TUNNELLING_FEATURE_RESPONSE": feature("value" / GreedyBytes),
    "TUNNELLING_FEATURE_SET": feature("value" / GreedyBytes),
    "TUNNELLING_FEATURE_INFO": feature("value" / GreedyBytes),
    "ROUTING_INDICATION": ROUTED,
    "ROUTING_LOST_MESSAGE": Struct(
        Const(4, Int8ub), "device_state" / Default(Int8ub, 0), "lost_messages" / Int16ub
    ),
    "ROUTING_BUSY": Struct(
        Const(6, Int8ub),
        "device_state" / Default(Int8ub, 0),
        "wait_time" / Int16ub * "in milliseconds",
        "control_field" / Default(Int16ub, 0),
    ),
    "ROUTING_SYSTEM_BROADCAST": ROUTED,
}
MESSAGE = FlatStruct(
    Const(b"\x06\x10"),
    "service" / Enum(Int16ub, **SERVICES),
    "length" / Length(Int16ub, of="message"),
    Switch(this.service, BODIES, default=Struct("data" / GreedyBytes)),
)
"""A frame; the ``data`` of services that are not spoken (remote configuration, secure) is bytes."""
APPLICATION = Struct(
    "service" / Enum(Int8ub, **GROUP_SERVICES),
    "group" / GROUP_ADDRESS * "such as 1/2/3",
    "source" / Default(INDIVIDUAL_ADDRESS, "0.0.0") * "0.0.0 for the device's own",
    "priority" / Default(PRIORITY, "LOW"),
    "value" / Default(Cbor(), None) * "as the datapoint type of the group has it",
)
"""A telegram of the application layer (3/3/7, section 3.1)."""
