"""``latency``: the time from one message to the next that is due to it, and percentiles of that.

For each device, each `start` is paired with the next `stop`: where the protocol has that, with the next one
that repeats its echo fields, or belongs to the same exchange, else with the next of all. So one `stop` may be
due to several that were not answered yet. A `start` without a `stop` fails the expectation, unless the run
ended before the largest of the bounds was over; and where there was no pair at all, nothing was shown.

A percentile is that of the nearest rank: of n times, p99 is the one at place ceil(0.99 n) from below. Whether
it is within its bound follows from how many times are longer than the bound, which is all that is counted:
so verdicts are exact, and also those of several judges together, in some bytes per device however many
pairs there are. Only to tell how large a percentile was are times rounded, to 1 %.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter, deque
from typing import TYPE_CHECKING, Any

from iotsim.expect import text
from iotsim.expect.join import AsSent
from iotsim.expect.lapses import Ground
from iotsim.expect.standing import Standing
from iotsim.expect.subscription import Subscription, Topic, topic_of, values_of
from iotsim.expect.watcher import BROKEN, HELD, Watcher
from iotsim.match import compile_match

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping, Sequence

    from iotsim.expect.slots import FleetView
    from iotsim.expect.spec import ExpectSpec
    from iotsim.expect.watcher import Export
    from iotsim.match import DeviceView

EPSILON_S = 1e-9
PERCENTILES = {"p50": 50, "p90": 90, "p95": 95, "p99": 99}
MOST_OPEN = 1 << 20
"""At most this many starts wait for their stop; one more breaks the expectation."""
MOST_TOLD = 4096
"""The distribution of times is kept for at most this many devices."""
STEP = math.log(1.01)
LEAST_S = 1e-6
ANY = object()
"""The key of a message that has none: it belongs to whatever comes."""
EVERYTHING = compile_match({})


class Open:
    """A `start` whose `stop` has not come, until it is `paired`. ``message`` and ``device`` only where these
    are compared."""

    __slots__ = ("device", "key", "message", "paired", "slot", "t")

    def __init__(self, t: float, slot: int, key: Hashable) -> None:
        self.t = t
        self.slot = slot
        self.key = key
        self.message: Mapping[str, Any] | None = None
        self.device: AsSent | None = None
        self.paired = False


class Latency(Watcher):
    keeps = True

    def __init__(self, spec: ExpectSpec, fleets: Mapping[str, FleetView], tolerance: float) -> None:
        super().__init__(spec, fleets, tolerance)
        assert spec.latency is not None
        self.asked = spec.latency
        self.bounds = {name: bound * tolerance for name, bound in spec.latency.bounds.items()}
        self.patience_s = self.bounds.get("max", max(self.bounds.values()))
        """A `start` that is younger at the end was not given the time."""
        self.most_s = self.bounds.get("max", math.inf)
        self._pairs = array("Q", bytes(8 * self.count))
        self._sums = array("d", bytes(8 * self.count))
        self._longest = array("d", bytes(8 * self.count))
        self._over = {name: array("Q", bytes(8 * self.count)) for name in self.bounds}
        self._missing = array("Q", bytes(8 * self.count))
        self._times: dict[int, Counter[int]] = {}
        self._open: dict[str, dict[Hashable, list[Open]]] = {}
        """By device, then by key."""
        self._open_count = 0
        self._broken_at_end = 0
        self._order: deque[Open] = deque()
        """Those that were opened, in that order; only where there is a maximum."""
        self._stop_is_north = spec.latency.stop.service not in ("", spec.service)
        start, stop = topic_of(spec.latency.start), topic_of(spec.latency.stop)
        # What is in the same direction is no answer.
        self._keyed = start.direction != stop.direction and not self._stop_is_north
        self._exchanges = self._keyed and start == stop._replace(direction="receives")
        """Whether it is known which `start` a `stop` answers, where that shows by no field."""
        self.subscriptions = self._subscriptions(start, stop)

    def _subscriptions(self, start: Topic, stop: Topic) -> list[Subscription]:
        begins, ends = self.asked.start.matcher, self.asked.stop.matcher
        kept = self.subscribe(missed=True).missed
        if self._stop_is_north:
            service = self.asked.stop.service
            return [
                Subscription(start, begins, self._started, missed=kept),
                Subscription(
                    Topic("receives"), EVERYTHING, self._came_up, gate=self.gate(), service=service
                ),
            ]
        if start == stop and not begins.undecodable:
            values = values_of([begins, ends])
            return [Subscription(start, EVERYTHING, self._either, missed=kept, values=values)]
        if start == stop:
            return [Subscription(start, begins, self._either, missed=kept)]
        return [
            Subscription(start, begins, self._started, missed=kept),
            Subscription(stop, ends, self._stopped),
        ]

    # --- what comes ---------------------------------------------------------------------------

    def _either(self, slot: int, message: Any, device: DeviceView, t: float) -> None:
        """A message that may be both: the stop of one before it, and a start."""
        start, stop = self.asked.start.matcher, self.asked.stop.matcher
        if stop.undecodable or stop.matches(message, device, t):
            self._stopped(slot, message, device, t)
        if not self.state[slot] and (start.undecodable or start.matches(message, device, t)):
            self._started(slot, message, device, t)

    def _started(self, slot: int, message: Any, device: DeviceView, t: float) -> None:
        if self._open_count >= MOST_OPEN:
            self.fail(slot, t, f"more than {MOST_OPEN} had to wait for what is due to them")
            return
        one = Open(t, slot, self._key(message, device, message))
        if self._exchanges:
            one.message = message  # as long as it is there, no other has its id
        elif self._stop_is_north:
            match = self.asked.match
            one.message = dict(message or {})
            one.device = AsSent(device, remember=match is not None and match.uses_state)
        self._open.setdefault(device.name, {}).setdefault(one.key, []).append(one)
        self._open_count += 1
        if self.most_s < math.inf:
            self._order.append(one)
            self.alarm(t + self.most_s)

    def _stopped(self, slot: int, message: Any, device: DeviceView, t: float) -> None:
        waiting = self._open.get(device.name)
        if not waiting:
            return
        key = self._key(message, device, device.asked)
        for one in [*waiting] if key is ANY else [key, ANY]:
            for opened in waiting.pop(one, ()):
                self._open_count -= 1
                self._pair(opened, t)

    def _came_up(self, _slot: int, fields: Any, _view: DeviceView, t: float) -> None:
        """The service was sent something: whose is it?"""
        stop, match = self.asked.stop.matcher, self.asked.match
        for waiting in self._open.values():
            for key in [*waiting]:
                kept = []
                for one in waiting[key]:
                    assert one.device is not None
                    if (
                        not self.state[one.slot]
                        and stop.matches(fields, one.device, t)
                        and (match is None or match.holds(one.message, one.device, one.t, fields))
                    ):
                        self._open_count -= 1
                        self._pair(one, t)
                    else:
                        kept.append(one)
                if kept:
                    waiting[key] = kept
                else:
                    del waiting[key]

    def _key(self, message: Any, device: DeviceView, asked: Any) -> Hashable:
        """What pairs a message; `ANY` where there is nothing. `asked`: the message that it answers, which
        may be itself."""
        if not self._keyed or message is None:
            return ANY
        find = self.asked.keys.get(device.name.partition("[")[0])
        if find is not None:
            found = find(message)
            return ANY if found is None else found
        return id(asked) if self._exchanges and asked is not None else ANY

    def _pair(self, one: Open, t: float) -> None:
        slot, took = one.slot, t - one.t
        one.paired = True
        while self._order and self._order[0].paired:
            self._order.popleft()
        if self.state[slot]:
            return
        self._pairs[slot] += 1
        self._sums[slot] += took
        self._longest[slot] = max(self._longest[slot], took)
        for name, bound in self.bounds.items():
            if took > bound + EPSILON_S:
                self._over[name][slot] += 1
        if slot in self._times or len(self._times) < MOST_TOLD:
            self._times.setdefault(slot, Counter())[_rounded(took)] += 1
        if took > self.most_s + EPSILON_S and not self.undecided_pool:
            late = text.seconds(round(took - self.most_s, 6))
            said = f"one took {text.seconds(round(took, 6))}: {late} too late"
            self.fail(slot, t, said, Ground(one.t, t, took - self.most_s))

    # --- time ---------------------------------------------------------------------------------

    def reached(self) -> Standing:
        if self.count != 1:
            return super().reached()
        return Standing(unit="time", held=self._pairs[0], broken=self.broken)

    def deadline(self) -> float:
        if self.closed or self.waiting or not self._order:
            self._due = math.inf
            return math.inf
        self._due = math.nextafter(self._order[0].t + self.most_s + EPSILON_S, math.inf)
        return self._due

    def advance(self, now: float) -> None:
        while self._order and self._order[0].t + self.most_s + EPSILON_S < now:
            one = self._order.popleft()
            if not (one.paired or self.state[one.slot] or self.undecided_pool):
                bound, due = text.seconds(self.most_s), one.t + self.most_s
                ground = Ground(one.t, due, self.most_s)
                self.fail(one.slot, due, f"{self._lonely(one)} within {bound}", ground)

    def settle_pending(self, now: float) -> None:
        before = self.broken
        lonely: dict[int, Open] = {}
        for one in self._still_open():
            if one.t + self.patience_s + EPSILON_S < now:
                self._missing[one.slot] += 1
                lonely.setdefault(one.slot, one)
        for slot in range(self.count):
            if self.state[slot]:
                continue
            why = judge_pairs([self._figures(slot)])
            if why:
                self.state[slot] = BROKEN
                self.broken += 1
                self._broken_on.add(Ground(self.began, now, excess_of(self._figures(slot))))
                if self._pairs[slot] or self._missing[slot]:
                    if slot in lonely:
                        why = f"{why}; {self._lonely(lonely[slot])}"
                    self.note(slot, why)
            else:
                self.state[slot] = HELD
                self.held += 1
        self._broken_at_end = self.broken - before

    def _still_open(self) -> Iterator[Open]:
        for waiting in self._open.values():
            for some in waiting.values():
                yield from some

    def _lonely(self, one: Open) -> str:
        return f"after that of t={one.t:.3f} s, none came that {self.asked.stop.text}"

    # --- what is told -------------------------------------------------------------------------

    def _figures(self, slot: int) -> Export:
        return {
            "pairs": self._pairs[slot],
            "sum": self._sums[slot],
            "longest": self._longest[slot],
            "missing": self._missing[slot],
            "bounds": self.bounds,
            "over": {name: over[slot] for name, over in self._over.items()},
            "times": [*self._times.get(slot, Counter()).items()],
        }

    def pool(self) -> Export:
        if not self.count:
            return {**_NOTHING, "bounds": self.bounds}
        # What the pairs of a part are worth alone says nothing of those of all.
        broken = self.broken > self._broken_at_end
        return {**self._figures(0), "broken": self._notes[0].text if broken else ""}

    def expectation(self) -> str:
        bounds = ", ".join(f"{text.seconds(bound)} ({name})" for name, bound in self.bounds.items())
        return f"takes at most {bounds} from '{self.asked.start.text}' to '{self.asked.stop.text}'"


_NOTHING: Export = {
    "pairs": 0,
    "sum": 0.0,
    "longest": 0.0,
    "missing": 0,
    "over": {},
    "times": [],
    "broken": "",
}


def judge_pairs(figures: Sequence[Mapping[str, Any]]) -> str:
    """Why the pairs of one device, or of the parts of a pool together, break the expectation; "" if they
    do not."""
    pairs = sum(one["pairs"] for one in figures)
    missing = sum(one["missing"] for one in figures)
    if not pairs:
        alone = f": {text.plural(missing, 'message')} had no other after it" if missing else ""
        return f"there was no pair of messages{alone}"
    wrong = []
    if missing:
        wrong.append(f"{missing} of {pairs + missing} had no other after it")
    times = Counter[int]()
    for one in figures:
        times.update(dict(map(tuple, one["times"])))
    longest = max(one["longest"] for one in figures)
    for name, bound in figures[0]["bounds"].items():
        over = sum(one["over"].get(name, 0) for one in figures)
        mean = sum(one["sum"] for one in figures) / pairs
        told = f"{name} was "
        if name == "max" and over:
            told += text.seconds(round(longest, 6))
        elif name == "mean" and mean > bound + EPSILON_S:
            told += text.seconds(round(mean, 6))
        elif name in PERCENTILES and pairs - over < rank(name, pairs):
            told += f"about {text.seconds(_percentile(times, name, longest))}"
        else:
            continue
        wrong.append(f"{told} instead of at most {text.seconds(bound)}")
    if not wrong:
        return ""
    return f"{', '.join(wrong)} (of {text.plural(pairs, 'pair')}, max {text.seconds(round(longest, 6))})"


def excess_of(figures: Mapping[str, Any]) -> float:
    """By how much the bounds that the pairs of one device exceed are exceeded at least, in seconds."""
    pairs: int = figures["pairs"]
    bounds: Mapping[str, float] = figures["bounds"]
    if not pairs or figures["missing"]:
        return min(bounds.values())
    told = {"max": figures["longest"], "mean": figures["sum"] / pairs}
    times = Counter(dict(figures["times"]))
    for name in PERCENTILES:
        told[name] = _percentile(times, name, figures["longest"])
    return min(
        (told[name] - bound for name, bound in bounds.items() if told[name] > bound), default=0.0
    )


def rank(name: str, pairs: int) -> int:
    """The place of a percentile among so many times, from 1."""
    return -(-PERCENTILES[name] * pairs // 100)


def _percentile(times: Counter[int], name: str, longest: float) -> float:
    """A percentile of rounded times; of those that were kept."""
    place = rank(name, times.total())
    for bucket, count in sorted(times.items()):
        place -= count
        if place <= 0:
            return min(float(f"{LEAST_S * math.exp(bucket * STEP):.2g}"), longest)
    return longest


def _rounded(took: float) -> int:
    return round(math.log(max(took, LEAST_S) / LEAST_S) / STEP)
