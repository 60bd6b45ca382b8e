"""Device faults: what is wrong with a device itself, as plain records, and what some make of its datagrams.

There are three sorts. A *condition* lasts: the device is away, its readings stand still, its clock is off.
What is done to each datagram that it *says* is an effect as an impairment's. And what it *takes* for a
message may be dealt with late, refused, or be its end.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from iotsim.impair.fate import Copy
from iotsim.match import Expression
from iotsim.rng import key, unit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from iotsim.impair.fate import Fate, Passage
    from iotsim.protocol.malform import Malformer
    from iotsim.units import DurationRange

MUTE = "mute"
OFFLINE = "offline"
DOWN = "down"
ASLEEP = "asleep"
REPEATED = "repeated"
TRUNCATED = "truncated"
EXTRA = "extra bytes"
RAW = "raw bytes"
MALFORMED = "malformed"

# -- conditions -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Offline:
    """Its addresses are gone, and what it would send is lost."""

    word = OFFLINE


@dataclass(frozen=True)
class Sleep:
    """It is awake for the first ``awake_s`` of each ``every_s``, and else away; what it would send then
    leaves when it wakes up."""

    every_s: float
    awake_s: float
    word = "sleep"

    def asleep_for(self, since_s: float) -> float:
        """How long it will sleep on, `since_s` after it began; 0 if it is awake."""
        passed = since_s % self.every_s
        return 0.0 if passed < self.awake_s else self.every_s - passed


@dataclass(frozen=True)
class Freeze:
    """These signals (None: all) keep the values of the beginning."""

    names: tuple[str, ...] | None = None
    word = "freeze"


@dataclass(frozen=True)
class StaleSignals:
    """Its signals are those of so long ago."""

    age_s: float
    word = "stale"


@dataclass(frozen=True)
class ClockSkew:
    """Its clock is ahead by ``offset_s``, and by ``drift`` seconds a second more."""

    offset_s: float = 0.0
    drift: float = 0.0
    word = "clock_skew"


@dataclass(frozen=True)
class Rebind:
    """It is at other addresses or another port. ``addresses`` are those of the first device that the fault
    is for; the others' follow. ``port`` 0 leaves that as it is."""

    addresses: tuple[int, ...] = ()
    port: int = 0
    word = "rebind"


# -- what it takes for messages ---------------------------------------------------------------------


@dataclass(frozen=True)
class Reboot:
    """It begins anew, after having been away for ``down_s`` seconds."""

    down_s: float = 0.0
    word = "reboot"


@dataclass(frozen=True)
class Slow:
    """It deals with messages so much later."""

    delay: DurationRange
    word = "slow"


@dataclass(frozen=True)
class Refuse:
    """It answers with the error of this name of its protocol."""

    error: str
    word = "error"


# -- what it says -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Mute:
    """Nothing that it says leaves."""

    word = MUTE

    def __call__(self, passage: Passage) -> Fate:
        return MUTE


@dataclass(frozen=True)
class Repeat:
    """Each datagram leaves again, `times` times."""

    times: int
    word = "repeat"

    def __call__(self, passage: Passage) -> Fate:
        return (Copy(), *(Copy(fate=REPEATED) for _ in range(self.times)))


@dataclass(frozen=True)
class Truncate:
    """So many bytes are missing at the end, down to none at all."""

    size: int
    word = "truncate"

    def __call__(self, passage: Passage) -> Fate:
        payload = passage.payload
        return (Copy(payload=payload[: max(len(payload) - self.size, 0)], fate=TRUNCATED),)


@dataclass(frozen=True)
class Extra:
    """More bytes follow the last one."""

    data: bytes
    word = "extra"

    def __call__(self, passage: Passage) -> Fate:
        return (Copy(payload=passage.payload + self.data, fate=EXTRA),)


@dataclass(frozen=True)
class Raw:
    """These bytes leave in the place of each datagram."""

    data: bytes
    word = "raw"

    def __call__(self, passage: Passage) -> Fate:
        return (Copy(payload=self.data, fate=RAW),)


@dataclass(frozen=True)
class Malform:
    """Fields have other values, by dotted path: literals, expressions over the message as it was made, or
    `WRONG`."""

    values: Mapping[str, Any] = field(default_factory=dict)
    word = "malform"

    def fits(self, passage: Passage) -> bool:
        """Whether a message has all of the fields."""
        message = passage.message
        return message is not None and all(_has(message, path) for path in self.values)

    def effect(
        self, malformer: Malformer, failed: Callable[[Any, Exception], object]
    ) -> Callable[[Passage], Fate]:
        """Its effect on messages of one schema. `failed` is told what an expression raises, or a value that
        no bytes are for, with the device; nothing leaves then."""

        def effect(passage: Passage) -> Fate:
            message, device = passage.message, cast("Any", passage.device)
            if message is None:
                return None
            try:
                values = {
                    path: value.evaluate(message, device, passage.t)
                    if isinstance(value, Expression)
                    else value
                    for path, value in self.values.items()
                }
                if passage.malformed:
                    values = {**passage.malformed, **values}
                payload = malformer.encode(message, values, device)
            except Exception as error:
                failed(device, error)
                return str(error).splitlines()[0]
            passage.malformed = values
            return (Copy(payload=payload, fate=MALFORMED),)

        return effect


def _has(message: Any, path: str) -> bool:
    for step in path.split("."):
        if isinstance(message, list):
            if not step.isdigit() or int(step) >= len(message):
                return False
            message = message[int(step)]
        elif isinstance(message, dict) and step in message:
            message = message[step]
        else:
            return False
    return True


Said: TypeAlias = Mute | Repeat | Truncate | Extra | Raw | Malform
Taken: TypeAlias = Reboot | Slow | Refuse
Condition: TypeAlias = Offline | Sleep | Freeze | StaleSignals | ClockSkew | Rebind
FaultSpec: TypeAlias = Said | Taken | Condition


class Delays:
    """What `Slow` draws for the devices of one fleet, in one run: each device from its own stream."""

    def __init__(self, spec: Slow, seed: int, identity: str, fleet: str) -> None:
        self._low = spec.delay.low_s
        self._span = spec.delay.high_s - spec.delay.low_s
        self._key = key(seed, "fault", identity, fleet, "slow")
        self._drawn: dict[int, int] = {}

    def draw(self, index: int) -> float:
        number = self._drawn.get(index, 0)
        self._drawn[index] = number + 1
        if not self._span:
            return self._low
        return self._low + self._span * unit(self._key, index, number)
