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
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from iotsim.impair.ahead import Losses
from iotsim.impair.distribution import Delay
from iotsim.impair.fate import DELAYED, Copy
from iotsim.rng import draw, key, unit

if TYPE_CHECKING:
    from iotsim.impair.fate import Fate, Lot, Passage
    from iotsim.impair.scope import Direction

LOST = "lost"
TOO_LONG = "longer than the MTU"
QUEUE_FULL = "the queue was full"
DUPLICATE = "a duplicate"
CORRUPTED = "corrupted"
OVERTAKES = "overtakes"
NO_DELAY = Delay(0.0)
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
    """The `effect` of `spec` on what passes between one fleet, of `count` devices, and the gateway in one
    direction, for one run. It keeps what each device's line has come to.

    ``lot`` is the same for who has no passage yet, where the effect looks at nothing but whose datagram it
    is; else None.
    """

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
        """Per device, how many datagrams have come, or have had their delay drawn ahead."""
        self._bad: set[int] = set()
        """The devices whose line is in the bad state."""
        self._lines: dict[int, Line] = {}
        self._delays = None if spec.delay is None else spec.delay.draws(stream("delay"))
        self.lot: Lot | None = None
        if not (spec.mtu or spec.rate):
            self.lot = self._simple(stream("delay")) or partial(self._whole, size=0, t=0.0)

    def effect(self, passage: Passage) -> Fate:
        """What befalls the datagram that passes."""
        index = passage.device.index
        return self._whole(index, passage.size, passage.t) if self.lot is None else self.lot(index)

    def _simple(self, stream: int) -> Lot | None:
        """What is drawn where all that the entry does is to lose or to delay."""
        spec, counts, share = self.spec, self._counts, self.spec.loss
        if spec.duplicate or spec.reorder or spec.corrupt or isinstance(share, Bursts):
            return None
        losses = Losses(self._loss, share, len(counts))
        safe, lost = losses.safe, losses.lost
        delays = (spec.delay or NO_DELAY).draws_ahead(stream)
        kept, draw_more = delays.kept, delays.more

        def lose(index: int) -> Fate:
            counts[index] = (number := counts[index]) + 1
            return LOST if number >= safe[index] and lost(index, number) else None

        def delay(index: int) -> Fate:
            # Nobody else counts here, so that what is drawn ahead can be counted at once.
            numbers = kept.get(index)
            if numbers:
                return numbers.pop() or None
            delay_s = draw_more(index, number := counts[index])
            counts[index] = number + 1 + len(kept.get(index, ()))
            return delay_s or None

        def lose_or_delay(index: int) -> Fate:
            counts[index] = (number := counts[index]) + 1
            numbers = kept.get(index)
            delay_s = numbers.pop() if numbers else draw_more(index, number)
            return LOST if number >= safe[index] and lost(index, number) else delay_s or None

        if spec.delay is None:
            return lose
        if share:
            return lose_or_delay
        always = spec.delay.constant_s
        return delay if always is None else lambda _index: always or None

    def _whole(self, index: int, size: int, t: float) -> Fate:
        spec, number = self.spec, self._counts[index]
        self._counts[index] = number + 1
        if spec.mtu and size > spec.mtu:
            return TOO_LONG
        if spec.loss and self._is_lost(index, number):
            return LOST
        copy = self._copy(index, size, t, number, "")
        if spec.duplicate and unit(self._duplicate, index, number) < spec.duplicate:
            second = self._copy(index, size, t, number + COPY_COUNT, DUPLICATE)
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

    def _copy(self, index: int, size: int, t: float, number: int, fate: str) -> Copy | None:
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
            waited = line.wait(t, 8 * size / spec.rate, spec.queue)
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
