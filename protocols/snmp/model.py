"""What a scenario says of a device: ``[devices.NAME.model]``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from iotsim import Duration, File, Table, Value

from .ber import RANGES, normal_oid
from .mib import SYS_OBJECT_ID, SYS_UP_TIME, UPTIME, Mib, Variable, as_kind
from .recording import read_recording
from .writing import type_of

LARGEST_DATAGRAM = 65_507
MOST_INTERFACES = 1000
Kind = Literal[
    "INTEGER", "OCTETS", "NULL", "OID", "IPADDRESS", "COUNTER32", "GAUGE32", "TIMETICKS", "OPAQUE",
    "COUNTER64",
]  # fmt: skip
Oid = Annotated[str, AfterValidator(normal_oid)]


class Object(Table):
    """A variable of the device's; a value alone stands for ``{ value = … }``."""

    type: Kind | None = Field(None, description="by default, INTEGER of a number, else OCTETS")
    value: Value
    writable: bool = False

    @model_validator(mode="before")
    @classmethod
    def _from_value(cls, given: Any) -> Any:
        return given if isinstance(given, dict) else {"value": given}

    @model_validator(mode="after")
    def _check(self) -> Object:
        cell = self.value
        if self.writable and not cell.writable:
            raise ValueError(f"'={cell.text}' cannot be written: a literal can, and '=state.NAME'")
        if cell.evaluate is None:
            kind = self.type or type_of(cell.literal)
            if kind in RANGES and as_kind(cell.literal, kind) != cell.literal:
                low, high = RANGES[kind]
                raise ValueError(f"{cell.literal!r:.100} is no {kind}, which is {low} to {high}")
            as_kind(cell.literal, kind)
        return self


class Model(Table):
    read_community: str = Field("public", description="answers all but SET")
    write_community: str = Field("private", description="answers all")
    objects: dict[Oid, Object] = Field({}, description="by object identifier")
    recording: File | None = Field(None, description="a .snmprec, or the output of snmpwalk -On")
    interfaces: Annotated[int, Field(ge=0, le=MOST_INTERFACES)] = Field(
        1, description="rows of ifTable, where there is no recording"
    )
    max_message_size: Annotated[int, Field(ge=484, le=LARGEST_DATAGRAM)] = 1472
    inform_timeout: Duration = Field(
        15.0, description="then it is sent again, and waits twice as long"
    )
    inform_retries: Annotated[int, Field(ge=0, le=255)] = 3
    _mib: Mib

    @model_validator(mode="before")
    @classmethod
    def _add_standard_groups(cls, given: Any) -> Any:
        """Without a recording, a device has the groups of `system_group` and `interface_row`."""
        if not isinstance(given, dict) or "recording" in given:
            return given
        count, objects = given.get("interfaces", 1), given.get("objects", {})
        known = type(count) is int and 0 <= count <= MOST_INTERFACES and isinstance(objects, dict)
        if not known:
            return given  # which is told
        rows = (interface_row(number) for number in range(1, count + 1))
        standard = system_group(count) | {oid: one for row in rows for oid, one in row.items()}
        return {**given, "objects": {**standard, **objects}}

    @model_validator(mode="after")
    def _make_mib(self) -> Model:
        variables = {} if self.recording is None else read_recording(self.recording)
        if self.recording is None or SYS_UP_TIME in variables:
            variables[SYS_UP_TIME] = Variable(SYS_UP_TIME, "TIMETICKS", UPTIME)
        for oid, one in self.objects.items():
            constant = one.value.evaluate is None and not one.writable
            if constant:
                kind = one.type or type_of(one.value.literal)
                value = as_kind(one.value.literal, kind)
                variables[oid] = Variable(oid, kind, value)
            else:
                variables[oid] = Variable(oid, one.type, None, one.value, one.writable)
        self._mib = Mib(variables)
        return self

    @property
    def mib(self) -> Mib:
        return self._mib


def system_group(interfaces: int) -> dict[str, Any]:
    """The system group (RFC 3418), but for sysUpTime, and ifNumber."""
    return {
        "1.3.6.1.2.1.1.1.0": "simulated device",
        SYS_OBJECT_ID: {"type": "OID", "value": "0.0"},
        "1.3.6.1.2.1.1.4.0": {"value": "", "writable": True},
        "1.3.6.1.2.1.1.5.0": {"type": "OCTETS", "value": "=device.name"},
        "1.3.6.1.2.1.1.6.0": {"value": "", "writable": True},
        "1.3.6.1.2.1.1.7.0": 72,
        "1.3.6.1.2.1.2.1.0": interfaces,
    }


def interface_row(number: int) -> dict[str, Any]:
    """A row of ifTable and of ifXTable (RFC 2863): a port of 1 Gbit/s with traffic."""
    pace = f"(1 + (device.index + {number}) % 7)"
    received, sent = f"t * 1250 * {pace}", f"t * 800 * {pace}"
    columns: dict[str, Any] = {
        "2.2.1.1": number,
        "2.2.1.2": f"eth{number - 1}",
        "2.2.1.3": 6,  # ethernetCsmacd
        "2.2.1.4": 1500,
        "2.2.1.5": {"type": "GAUGE32", "value": 1_000_000_000},
        "2.2.1.6": "",
        "2.2.1.7": 1,
        "2.2.1.8": 1,
        "2.2.1.9": {"type": "TIMETICKS", "value": 0},
        "2.2.1.10": {"type": "COUNTER32", "value": f"={received}"},
        "2.2.1.11": {"type": "COUNTER32", "value": f"={received} / 500"},
        "2.2.1.13": {"type": "COUNTER32", "value": 0},
        "2.2.1.14": {"type": "COUNTER32", "value": 0},
        "2.2.1.15": {"type": "COUNTER32", "value": 0},
        "2.2.1.16": {"type": "COUNTER32", "value": f"={sent}"},
        "2.2.1.17": {"type": "COUNTER32", "value": f"={sent} / 400"},
        "2.2.1.19": {"type": "COUNTER32", "value": 0},
        "2.2.1.20": {"type": "COUNTER32", "value": 0},
        "31.1.1.1.1": f"eth{number - 1}",
        "31.1.1.1.6": {"type": "COUNTER64", "value": f"={received}"},
        "31.1.1.1.10": {"type": "COUNTER64", "value": f"={sent}"},
        "31.1.1.1.15": {"type": "GAUGE32", "value": 1000},
    }
    return {f"1.3.6.1.2.1.{column}.{number}": value for column, value in columns.items()}
