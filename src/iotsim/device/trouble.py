"""What a device senses while something is wrong with it: readings that stand still or are old, a clock
that is off.

Only the devices of fleets that a scenario has such faults for are `TroubledDevice`; the others pay
nothing. Each fault that is on is one record, and they work in the order of their list.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from iotsim.device.fleet import SimDevice

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


class Frozen(NamedTuple):
    """These signals (None: all) stay as they were at ``since``."""

    since: float
    names: Collection[str] | None = None


class Stale(NamedTuple):
    """All signals are those of ``age_s`` ago; before the run they were as at its start."""

    age_s: float


class Skewed(NamedTuple):
    """The clock is ``offset_s`` ahead since ``since``, and gains ``drift`` seconds a second more."""

    since: float
    offset_s: float = 0.0
    drift: float = 0.0


Trouble: TypeAlias = Frozen | Stale | Skewed


class TroubledDevice(SimDevice):
    """A device that may have ``troubles``: those that its fleet has for it."""

    __slots__ = ()
    has_clock = True

    @property
    def troubles(self) -> list[Trouble]:
        index = self.index
        return [trouble for _, indexes, trouble in self.fleet.troubles if index in indexes]

    def signal(self, name: str, t: float) -> float:
        for trouble in self.troubles:
            if isinstance(trouble, Stale):
                t = max(t - trouble.age_s, 0.0)
            elif isinstance(trouble, Frozen) and (trouble.names is None or name in trouble.names):
                t = trouble.since
        return super().signal(name, t)

    def clock(self, t: float) -> float:
        """What its clock shows at `t`, as seconds since the start of the run."""
        shown = t
        for trouble in self.troubles:
            if isinstance(trouble, Skewed):
                shown += trouble.offset_s + trouble.drift * (t - trouble.since)
        return shown

    def by_clock(self, t: float) -> tuple[Any, float]:
        """What expressions are given at `t`: the device as they see it, and the time that it believes it
        is. Its signals are still those of `t`."""
        shown = self.clock(t)
        return (self, t) if shown == t else (ByClock(self, t), shown)


class ByClock:
    """A device as expressions see it that are given its clock's time instead of `t`."""

    __slots__ = ("_device", "_t")

    def __init__(self, device: TroubledDevice, t: float) -> None:
        self._device = device
        self._t = t

    @property
    def index(self) -> int:
        return self._device.index

    @property
    def name(self) -> str:
        return self._device.name

    @property
    def address(self) -> str:
        return self._device.address

    @property
    def state(self) -> dict[str, Any]:
        return self._device.state

    @property
    def asked(self) -> Mapping[str, Any] | None:
        return self._device.asked

    def signal(self, name: str, _shown: float) -> float:
        return self._device.signal(name, self._t)
