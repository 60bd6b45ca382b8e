"""An impairment of the network: netem's vocabulary, for each device by itself.

What netem leaves open, or a device's own line makes different, is settled so. A datagram that is too long
vanishes first; else it may be lost; else a second one may leave with it. Each of them may then be corrupted,
waits for the line (`rate`), and takes its delay on the way behind it, unless it overtakes (`reorder`), which
is to skip that delay. Whether there is loss in bursts is drawn in the order of netem: by the state as it is,
which then changes.
"""

from __future__ import annotations

from array import array
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from iotsim.impair.fate import DELAYED, Copy
from iotsim.rng import draw, key, unit

if TYPE_CHECKING:
    from iotsim.impair.distribution import Delay
    from iotsim.impair.fate import Effect, Fate, Passage
    from iotsim.impair.scope import Direction

LOST = "lost"
TOO_LONG = "longer than the MTU"
QUEUE_FULL = "the queue was full"
DUPLICATE = "a duplicate"
CORRUPTED = "corrupted"
OVERTAKES = "overtakes"
DEFAULT_QUEUE = 1000
"""As netem's limit."""
COPY_COUNT = 1 << 40
"""Added to the count of a datagram for what its duplicate draws."""


class Bursts(NamedTuple):
    """Loss in bursts, as Gilbert and Elliott model it: shares of datagrams.

    In the good state `enter` of them turn the line bad, in the bad one `leave` turn it good; `good` and
    `bad` of them are lost in each.
    """

    enter: float
    leave: float
    bad: float = 1.0
    good: float = 0.0

    @property
    def mean(self) -> float:
        """The share that is lost in the long run."""
        turns = self.enter + self.leave
        badly = self.enter / turns if turns else 0.0
        return badly * self.bad + (1 - badly) * self.good


@dataclass(frozen=True)
class ImpairSpec:
    """What an impairment does. Shares are from 0 to 1, ``rate`` is in bits a second, 0 for no limit;
    ``queue`` are the packets that wait for the line, besides the one on it; ``mtu`` the longest IP packet
    that passes, 0 for any."""

    loss: float | Bursts = 0.0
    delay: Delay | None = None
    duplicate: float = 0.0
    reorder: float = 0.0
    corrupt: float = 0.0
    rate: float = 0.0
    queue: int = DEFAULT_QUEUE
    mtu: int = 0

    @property
    def loses_all(self) -> bool:
        """Whether nothing ever passes."""
        if isinstance(self.loss, Bursts):
            return min(self.loss.good, self.loss.bad) >= 1
        return self.loss >= 1


class Line:
    """The line of one device, which carries one packet at a time."""

    __slots__ = ("free_at", "starts")

    def __init__(self) -> None:
        self.free_at = 0.0
        self.starts: deque[float] = deque()
        """When those that wait begin to leave."""

    def wait(self, t: float, took_s: float, queue: int) -> float | None:
        """A packet comes at `t` whose sending takes `took_s` seconds: how long until the last of it has
        left; None if `queue` packets wait already."""
        starts = self.starts
        while starts and starts[0] <= t:
            starts.popleft()
        begin = max(t, self.free_at)
        if begin > t:
            if len(starts) >= queue:
                return None
            starts.append(begin)
        self.free_at = begin + took_s
        return self.free_at - t


class Impairment:
    """The ``effect`` of `spec` on what passes between one fleet, of `count` devices, and the gateway in one
    direction, for one run. It keeps what each device's line has come to."""

    def __init__(
        self,
        spec: ImpairSpec,
        seed: int,
        identity: str,
        fleet: str,
        count: int,
        direction: Direction,
    ) -> None:
        self.spec = spec

        def stream(purpose: str) -> int:
            return key(seed, "impair", identity, fleet, direction, purpose)

        self._loss, self._turn = stream("loss"), stream("turn")
        self._duplicate, self._reorder = stream("duplicate"), stream("reorder")
        self._corrupt = stream("corrupt")
        self._counts = array("Q", bytes(8 * count))
        """Per device, how many datagrams have come."""
        self._bad: set[int] = set()
        """The devices whose line is in the bad state."""
        self._lines: dict[int, Line] = {}
        self._delays = None if spec.delay is None else spec.delay.draws(stream("delay"))
        self.effect: Effect = self._simple() or self._whole

    def _simple(self) -> Effect | None:
        """The effect in few steps, where all that the entry does is to lose or to delay."""
        spec, counts, stream, delays = self.spec, self._counts, self._loss, self._delays
        if spec.mtu or spec.duplicate or spec.reorder or spec.corrupt or spec.rate:
            return None
        share = spec.loss
        if isinstance(share, Bursts):
            return None

        def lose_or_delay(passage: Passage) -> Fate:
            index = passage.device.index
            number = counts[index]
            counts[index] = number + 1
            if share and unit(stream, index, number) < share:
                return LOST
            return delays(index, number) or None if delays is not None else None

        return lose_or_delay

    def _whole(self, passage: Passage) -> Fate:
        spec, index = self.spec, passage.device.index
        number = self._counts[index]
        self._counts[index] = number + 1
        if spec.mtu and passage.size > spec.mtu:
            return TOO_LONG
        if spec.loss and self._is_lost(index, number):
            return LOST
        copy = self._copy(passage, index, number, "")
        if spec.duplicate and unit(self._duplicate, index, number) < spec.duplicate:
            second = self._copy(passage, index, number + COPY_COUNT, DUPLICATE)
            copies = tuple(one for one in (copy, second) if one is not None)
            return copies or QUEUE_FULL
        if copy is None:
            return QUEUE_FULL
        return None if not copy.fate else (copy,)

    def _is_lost(self, index: int, number: int) -> bool:
        loss = self.spec.loss
        if not isinstance(loss, Bursts):
            return unit(self._loss, index, number) < loss
        bad = index in self._bad
        turn = unit(self._turn, index, number)
        if bad and turn < loss.leave:
            self._bad.discard(index)
        elif not bad and turn < loss.enter:
            self._bad.add(index)
        return unit(self._loss, index, number) < (loss.bad if bad else loss.good)

    def _copy(self, passage: Passage, index: int, number: int, fate: str) -> Copy | None:
        """What goes on of it; None if the line's queue is full."""
        spec, flip, wait_s = self.spec, -1, 0.0
        words = [fate] if fate else []
        if spec.corrupt and unit(self._corrupt, index, number) < spec.corrupt:
            flip = draw(self._corrupt, index, ~number) >> 16
            words.append(CORRUPTED)
        if spec.rate:
            line = self._lines.get(index)
            if line is None:
                line = self._lines[index] = Line()
            waited = line.wait(passage.t, 8 * passage.size / spec.rate, spec.queue)
            if waited is None:
                return None
            wait_s = waited
        if spec.reorder and unit(self._reorder, index, number) < spec.reorder:
            words.append(OVERTAKES)
        elif self._delays is not None:
            wait_s += self._delays(index, number)
        if wait_s:
            words.append(DELAYED)
        return Copy(wait_s, None, flip, ", ".join(words))
