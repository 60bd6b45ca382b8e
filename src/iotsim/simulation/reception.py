"""Reception: the faults that a message meets where a device takes it.

It is past the network then, and past a session if there is one, and would be the rules' next: it is dealt
with later, answered by an error, or is the device's end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from iotsim.impair import fault as f

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Mapping, Sequence

    from iotsim.device.fleet import Fleet, SimDevice
    from iotsim.impair import Scope
    from iotsim.scenario.faults import FaultEntry


class Met(NamedTuple):
    """What befalls a message: it is dealt with `delay_s` later, answered with `reply`, or has the device
    reboot. ``impaired`` are the names of the faults, ``fate`` is what they do, for people."""

    impaired: str
    fate: str
    delay_s: float = 0.0
    reply: Mapping[str, Any] | None = None
    reboot: f.Reboot | None = None


class Reception:
    """The faults of the devices of one service, in the order of the file, each with its scope."""

    def __init__(
        self,
        faults: Sequence[tuple[Scope, FaultEntry]],
        seed: int,
        fleet: Fleet,
        fates: Callable[[str], Counter[str]],
    ) -> None:
        """`fates` gives what counts the fates of an entry, by its name."""
        self._faults = [
            (scope, one.entry.name, one.spec, _delays(one, seed, fleet)) for scope, one in faults
        ]
        self._fates = fates

    def meet(
        self, device: SimDevice, message: Mapping[str, Any], now: float, errors: Any
    ) -> Met | None:
        """What befalls `message`; None if nothing does. `errors` are the protocol's."""
        names: list[str] = []
        fates: list[str] = []
        delay_s, reply, reboot = 0.0, None, None
        for scope, name, spec, delays in self._faults:
            refusal = None
            if isinstance(spec, f.Refuse):
                if reply is None and errors is not None:
                    refusal = errors.reply(spec.error, message)
                if refusal is None:
                    continue  # what has no such answer is not counted, either
            if not scope.hits(device, message, now):
                continue
            fate = spec.word
            if refusal is not None and isinstance(spec, f.Refuse):
                reply, fate = refusal, f"answered by {spec.error}"
            elif delays is not None:
                delay_s += delays.draw(device.index)
            elif isinstance(spec, f.Reboot):
                reboot = spec
            names.append(name)
            fates.append(fate)
            self._fates(name)[fate] += 1
            if reboot is not None:
                break
        if not names:
            return None
        return Met(", ".join(names), ", ".join(fates), delay_s, reply, reboot)


def _delays(fault: FaultEntry, seed: int, fleet: Fleet) -> f.Delays | None:
    if not isinstance(fault.spec, f.Slow):
        return None
    return f.Delays(fault.spec, seed, fault.entry.identity, fleet.spec.name)
