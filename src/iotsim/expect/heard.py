"""What devices heard (or sent), kept so that a failure can say what came instead.

For each device of a fleet a byte counts, up to `MOST`, what it heard, whoever waited for what; of the
first messages copies are kept, as long as somebody waits for that device. Besides, each expectation
keeps of its own what it was asked about and did not match (`Samples`). Copies are compared with what
was expected only when there is a failure to explain: so a message that the index of subscriptions
passes by costs next to nothing, and is still there to be shown. All stores are bounded. Which message is
the nearest, `iotsim.match.nearness` says.
"""

from __future__ import annotations

import marshal
import math
from collections import Counter
from functools import cached_property
from itertools import filterfalse
from typing import TYPE_CHECKING, Any, NamedTuple

from iotsim.errors import DecodeError, IotsimError
from iotsim.expect import text
from iotsim.match.nearness import FAR, Rank, rank

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from iotsim.expect.slots import Table
    from iotsim.match import DeviceView, Mismatch

MOST = 255
"""Beyond this it is not counted: "more than 254 messages"."""
SAMPLES_EACH = 8
COUNTED_ONLY = MOST - SAMPLES_EACH
MOST_SAMPLES = 8192
MOST_REASONS = 16
"""At most this many different reasons why datagrams could not be decoded are kept."""
REASON_CHARACTERS = 200


class AsItWas:
    """A device with the state that it had, for expressions (a `DeviceView`).

    `remember`: whether its state may be asked for.
    """

    __slots__ = ("_device", "asked", "state")

    def __init__(self, device: DeviceView, *, remember: bool = True) -> None:
        self._device = device
        self.state = dict(device.state) if remember else {}
        self.asked = device.asked

    @property
    def index(self) -> int:
        return self._device.index

    @property
    def name(self) -> str:
        return self._device.name

    @property
    def address(self) -> str:
        return self._device.address

    def signal(self, name: str, t: float) -> float:
        return self._device.signal(name, t)


class Sample(NamedTuple):
    t: float
    message: Mapping[str, Any] | None
    """None: it could not be decoded."""
    device: AsItWas


class Kept(NamedTuple):
    """A sample as it is kept, which takes a quarter of its memory: few are ever looked at."""

    t: float
    device: DeviceView
    packed: bytes | tuple[Any, ...]
    """The message, the state of the device, and what it was asked: as they are, if they cannot be packed."""

    @classmethod
    def of(cls, t: float, message: Mapping[str, Any] | None, device: DeviceView) -> Kept:
        # A behavior may make its answer of the request itself.
        copy = None if message is None else dict(message)
        what: Any = copy, dict(device.state), device.asked
        try:
            return cls(t, device, marshal.dumps(what))
        except ValueError:
            return cls(t, device, what)

    @property
    def sample(self) -> Sample:
        packed = self.packed
        message, state, asked = packed if isinstance(packed, tuple) else marshal.loads(packed)
        device = AsItWas(self.device, remember=False)
        device.state, device.asked = state, asked
        return Sample(self.t, message, device)


class Samples:
    """The first `SAMPLES_EACH` messages for each of some keys, `MOST_SAMPLES` in all."""

    def __init__(self) -> None:
        self._kept: dict[int, tuple[Kept, ...]] = {}
        self._count = 0

    def add(
        self, key: int, device: DeviceView, message: Mapping[str, Any] | None, t: float
    ) -> None:
        if self._count >= MOST_SAMPLES:
            return
        kept = self._kept.get(key, ())
        if len(kept) < SAMPLES_EACH:
            self._kept[key] = (*kept, Kept.of(t, message, device))
            self._count += 1

    def of(self, key: int) -> Sequence[Sample]:
        return [kept.sample for kept in self._kept.get(key, ())]

    def keys(self) -> Collection[int]:
        return self._kept.keys()

    def forget(self, key: int) -> None:
        self._count -= len(self._kept.pop(key, ()))

    @property
    def full(self) -> bool:
        return self._count >= MOST_SAMPLES


class Amount(NamedTuple):
    """How much was heard. ``more``: there were more messages, which nobody counted."""

    messages: int = 0
    undecodable: int = 0
    """Datagrams that are not among the messages."""
    reason: str = ""
    """Why they could not be decoded: the commonest reason."""
    more: bool = False

    def __add__(self, other: object) -> Amount:
        if not isinstance(other, Amount):
            return NotImplemented
        return Amount(
            self.messages + other.messages,
            self.undecodable + other.undecodable,
            self.reason or other.reason,
            self.more or other.more,
        )

    def text(self, verb: str) -> str:
        """``heard 2 messages``, with `verb` "heard"."""
        if not self.messages and not self.undecodable:
            return f"{verb} nothing in that time"
        parts = []
        if self.messages:
            least = self.messages - 1 if self.more else self.messages
            parts.append(("more than " if self.more else "") + text.plural(least, "message"))
        if self.undecodable:
            datagrams = text.plural(self.undecodable, "datagram")
            parts.append(f"{datagrams} that could not be decoded ({self.reason})")
        return f"{verb} {' and '.join(parts)}"


class Heard:
    """What the `devices` devices of one fleet heard."""

    def __init__(self, devices: int) -> None:
        self._devices = devices
        self.waiting: Sequence[tuple[bytearray, Table]] = ()
        """The states of all who may have to tell of it, and how devices lead to them."""
        self.samples = Samples()
        self.undecodable = 0
        """Datagrams of all devices that were no messages."""
        self.reasons: Counter[str] = Counter()
        self._spoilt: dict[int, Counter[str]] = {}
        self._refused = 0
        """How many messages found no room since devices that nobody waits for were last looked for."""
        self._patience = SAMPLES_EACH
        """How many may, before they are looked for again: that takes milliseconds."""

    @cached_property
    def room(self) -> bytearray:
        """How many more messages of each device are counted. Whoever has one for a device that has
        room takes one away, and calls `keep` if it was above `COUNTED_ONLY`.
        """
        return bytearray([MOST]) * self._devices

    def keep(self, device: DeviceView, message: Mapping[str, Any], t: float) -> None:
        """`message` is one of the first that `device` has heard."""
        if self._awaited(device.index):
            if self.samples.full:
                self._make_room()
            self.samples.add(device.index, device, message, t)

    def note_undecodable(self, index: int, error: Exception | str) -> None:
        """A datagram for the device was no message."""
        reason = text.clip(str(error), REASON_CHARACTERS)
        where = (error.path if isinstance(error, DecodeError) else "") or reason
        self.undecodable += 1
        if where in self.reasons or len(self.reasons) < MOST_REASONS:
            self.reasons[where] += 1
        if index in self._spoilt or len(self._spoilt) < MOST_SAMPLES:
            reasons = self._spoilt.setdefault(index, Counter())
            if reason not in reasons and len(reasons) >= MOST_REASONS:
                reason = next(iter(reasons))
            reasons[reason] += 1

    def amount(self, indexes: Iterable[int], before: bytes | None = None) -> Amount:
        """What these devices together heard, since they had the `room` that is given."""
        messages, more, reasons = 0, False, Counter[str]()
        for index in indexes:
            messages += (MOST if before is None else before[index]) - self.room[index]
            more = more or not self.room[index]
            reasons.update(self._spoilt.get(index, ()))
        commonest = reasons.most_common(1)
        return Amount(messages, reasons.total(), commonest[0][0] if commonest else "", more)

    def _awaited(self, index: int) -> bool:
        return any(not state[table[index]] for state, table in self.waiting)

    def _make_room(self) -> None:
        """Forget devices that nobody waits for any more. They are looked for now and then, the more seldom
        the fewer there were."""
        self._refused += 1
        if self._refused < self._patience:
            return
        self._refused = 0
        going = [*filterfalse(self._awaited, self.samples.keys())]
        for index in going:
            self.samples.forget(index)
        found_many = len(going) > MOST_SAMPLES // 8
        self._patience = SAMPLES_EACH if found_many else min(2 * self._patience, MOST_SAMPLES)


class Near(NamedTuple):
    """What came nearest, when, and in what it differed. Less is nearer, then earlier."""

    rank: Rank = FAR
    t: float = math.inf
    text: str = ""


def nearest(samples: Iterable[Sample], explain: Callable[..., Sequence[Mismatch]]) -> Near:
    """The nearest of `samples` that do not match, by what the matcher's `explain` says of each."""
    best = Near()
    for sample in samples:
        try:
            mismatches = explain(sample.message, sample.device, sample.t)
        except IotsimError as error:
            found = Near((1 << 20, 0, 0.0), sample.t, text.at(str(error), sample.t))
        else:
            if not mismatches:
                continue
            why = text.at(text.mismatch_text(mismatches), sample.t)
            found = Near(rank(mismatches), sample.t, why)
        best = min(best, found)
    return best
