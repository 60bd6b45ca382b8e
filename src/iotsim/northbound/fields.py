"""The fields of what services receive: what rules, expectations and their editors may name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iotsim.errors import ExpressionError
from iotsim.protocol.field import Field
from iotsim.protocol.fields import Schema

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iotsim.northbound.spec import Kind

CONTENT = {"json": "any", "payload": "payload"}
PEER = {"peer": "string", "error": "string"}
FIELDS: dict[Kind, dict[str, str] | None] = {
    "http": {
        "method": "string",
        "path": "string",
        "query": "any",
        "headers": "any",
        "json": "any",
        "body": "payload",
        "status": "int",
        **PEER,
    },
    "mqtt": {"topic": "string", **CONTENT, "qos": "int", "retain": "bool"},
    "udp": {**CONTENT, **PEER},
    "syslog": {
        "facility": "enum",
        "severity": "enum",
        "message": "payload",
        "json": "any",
        **dict.fromkeys(("time", "host", "app", "pid", "msgid"), "string"),
        "data": "any",
        "format": "string",
        **PEER,
    },
    "command": None,
}
"""Kind of service -> its fields with their kinds (see `iotsim.protocol.field`); None: whatever there is."""

FACILITIES = (
    *(
        "kern",
        "user",
        "mail",
        "daemon",
        "auth",
        "syslog",
        "lpr",
        "news",
        "uucp",
        "cron",
        "authpriv",
    ),
    *("ftp", "ntp", "audit", "alert", "clock"),
    *(f"local{number}" for number in range(8)),
)
SEVERITIES = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
"""The names of RFC 5424, section 6.2.1, by number."""
NAMED = {"facility": FACILITIES, "severity": SEVERITIES}


class ServiceSchema(Schema):
    """The fields of what a service of `kind` receives. Each may be absent."""

    def __init__(self, kind: Kind) -> None:
        fields = FIELDS[kind]
        self.free = fields is None
        self.fields = {
            path: Field(path, what, optional=True, odd=what == "payload", names=_names(path))
            for path, what in (fields or {}).items()
        }
        self.odd_fields = None


def _names(path: str) -> Mapping[str, int]:
    return {name: number for number, name in enumerate(NAMED.get(path, ()))}


SCHEMAS: dict[Kind, ServiceSchema] = {kind: ServiceSchema(kind) for kind in FIELDS}


class ServiceView:
    """What expressions see in place of a device, where a service is meant: nothing but its name."""

    index = -1
    address = ""
    asked: Mapping[str, Any] | None = None

    def __init__(self, name: str) -> None:
        self.name = name
        self.state: dict[str, Any] = {}

    def signal(self, name: str, t: float) -> float:
        """ExpressionError: it has none."""
        raise ExpressionError("a northbound service has no signals", name)
