"""The gateway's other side: what services there are sent, as expectations see it.

A northbound service is a fleet of one device, whose messages are what it is sent, so that every kind of
expectation looks at it as at any other. What differs is who tells of it: `Judge.northbound`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from iotsim.expect.spec import NORTHBOUND
from iotsim.protocol.field import Field

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from iotsim.expect.spec import ExpectSpec
    from iotsim.expect.subscription import Observer
    from iotsim.match import DeviceView


class ServiceView:
    """A northbound service as a `DeviceView`: it has a name, and neither state nor signals."""

    __slots__ = ("name",)
    index = 0
    address = ""
    asked: Mapping[str, Any] | None = None

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def state(self) -> dict[str, Any]:
        return {}

    def signal(self, name: str, t: float) -> float:
        raise KeyError(name)


class Listening(Collection["Observer"]):
    """Whom to call with what a service is sent: of a live list of observers, one that calls all.

    They see the service in the place of a device, whatever they are given for one. Empty as long as nobody
    wants to know.
    """

    def __init__(self, service: str, observers: list[Observer]) -> None:
        self._view = ServiceView(service)
        self._observers = observers

    def _tell(self, _view: DeviceView | None, fields: Mapping[str, Any], t: float) -> None:
        for observe in self._observers:
            observe(self._view, fields, t)

    def __iter__(self) -> Iterator[Observer]:
        if self._observers:
            yield self._tell

    def __len__(self) -> int:
        return min(1, len(self._observers))

    def __contains__(self, observer: object) -> bool:
        return bool(self._observers) and observer == self._tell


FIELDS = {
    "http": ("method", "path", "query", "headers", "json", "body", "status"),
    "mqtt": ("topic", "payload", "qos", "retain", "json"),
    "udp": ("payload", "json"),
    "syslog": ("facility", "severity", "message"),
}
"""What messages have, by kind of service. Those of a service of the user's own have whatever it says."""


class NorthboundSchema:
    """The fields of a kind of service, each of the type that its value tells (a `protocol.Schema`)."""

    def __init__(self, names: Sequence[str]) -> None:
        self.fields = {name: Field(name, "any", optional=True) for name in names}
        self.free = False

    @staticmethod
    def of(kind: str) -> NorthboundSchema | None:
        """That of the services of this kind; None where it is not known."""
        return NorthboundSchema(FIELDS[kind]) if kind in FIELDS else None

    def find(self, path: str) -> Field | None:
        first = re.split(r"[.\[]", path, maxsplit=1)[0]
        return Field(path, "any", optional=True) if first in self.fields else None

    def nearest(self, name: str) -> str | None:
        return next(iter(difflib.get_close_matches(name, self.fields, n=1, cutoff=0.5)), None)


def fleet_of(service: str) -> str:
    """What the fleet is called whose device is `service`."""
    return NORTHBOUND + service


def services_of(spec: ExpectSpec) -> set[str]:
    """The services whose messages an expectation looks at."""
    found = {spec.devices[0].fleet.removeprefix(NORTHBOUND)} if spec.service else set()
    looks = [part.look for part in spec.parts]
    if spec.latency is not None:
        looks += [spec.latency.start, spec.latency.stop]
    if spec.delivered is not None:
        found.add(spec.delivered.northbound)
    return found | {look.service for look in looks if look.service}
