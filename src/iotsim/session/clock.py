"""Sessions of devices whose clock may be off: what the device believes the time to be is in what it says,
and not in when it does what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from iotsim.session.session import Session

if TYPE_CHECKING:
    from iotsim.session.model import Cell


class _ByClock(Session):
    """``device`` has ``clock(t)``, what it shows at `t`, and ``by_clock(t)``, both what expressions are
    given then: see `iotsim.device.trouble.TroubledDevice`."""

    __slots__ = ()

    @property
    def wall_time(self) -> float:
        device: Any = self.device
        return self._host.wall_time + cast("float", device.clock(self._host.now))

    def read(self, cell: Cell) -> Any:
        if cell.evaluate is None:
            return super().read(cell)
        device: Any = self.device
        return cell.evaluate(*device.by_clock(self.now))


def by_clock(session: type[Session]) -> type[Session]:
    """`session`, by the clock of its device."""
    return type(session.__name__, (_ByClock, session), {"__slots__": ()})
