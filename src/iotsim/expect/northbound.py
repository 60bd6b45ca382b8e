"""The gateway's other side: what services there are sent, as expectations see it.

A northbound service is a fleet of one device, whose messages are what it is sent, so that every kind of
expectation looks at it as at any other. What differs is who tells of it: `Judge.northbound`.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from iotsim.expect.spec import NORTHBOUND

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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
