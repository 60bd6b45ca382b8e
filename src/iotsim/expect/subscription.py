"""Who wants to be told of which messages, and the index that finds them.

A watcher declares what it subscribes to: a topic (whose messages, of which layer, and whether they
could be decoded) and a matcher. An `Audience` is made of all subscriptions to one topic of one fleet.
It gives out a live list of observers, each called with every message: where a single expectation is
left, its own; else one that looks up a field's value, and calls only those whose matcher asks for that
value or does not compare the field. So dozens of expectations cost about what one costs.

The field is the one that leaves the fewest to be called, by what the matchers say they require
(`iotsim.match.Matcher.equalities`). What is skipped is still heard: see `iotsim.expect.heard`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, cast

from iotsim.errors import IotsimError
from iotsim.expect.heard import COUNTED_ONLY, Heard

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from iotsim.expect.slots import Table
    from iotsim.expect.spec import Direction, Layer, Look
    from iotsim.expect.watcher import Watcher
    from iotsim.match import DeviceView, Matcher

Message: TypeAlias = "Mapping[str, Any]"
Observer: TypeAlias = Callable[["DeviceView", Any, float], None]
"""(device, message, t); what could not be decoded has the message None."""
Take: TypeAlias = "Callable[[int, Any, DeviceView, float], None]"
"""(slot, message, device, t)."""


class Topic(NamedTuple):
    """What can be subscribed to: `event` "undecodable" are datagrams that are no message, and "lost" are
    messages that never reached a device's session, which might have handed them up."""

    direction: Direction
    event: Literal["message", "undecodable", "lost"] = "message"
    layer: Layer = "application"


@dataclass(frozen=True, slots=True)
class Subscription:
    """A watcher is told, by `matched`, of messages that match, for devices that are still pending.

    With `unless`, only of those that do not match that as well, as what cannot be decoded never does.
    `missed` is told of messages of the right kind that did not match after all; with it, what devices
    hear is kept for a failure to tell of. `values`, where the matcher requires nothing by itself: of a
    field the values of which it must have one, or `matched` has no use for the message. `gate` stands in
    for the watcher's state, a byte for each slot and one for devices that have none: where it is not 0,
    nothing is told. With `service`, it is about what that is sent, which has the slot 0.
    """

    topic: Topic
    matcher: Matcher
    matched: Take
    unless: Matcher | None = None
    missed: Take | None = None
    values: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    gate: bytearray | None = None
    service: str = ""

    @property
    def required(self) -> Mapping[str, Sequence[Any]]:
        """Fields, of each the values of which a message must have one to be of use."""
        return self.values or {name: (one,) for name, one in self.matcher.equalities.items()}


OBSERVER = """
def observe(device, msg, t):
    slot = table[device.index]
    if state[slot]:
        return
    try:
        if {test}:
            matched(slot, msg, device, t)
        {otherwise}
    except IotsimError as error:
        trouble(error, slot, msg, device, t)
"""
"""The code of the matcher stands in an observer, which spares every message a call."""
DISPATCH = """
def observe(device, msg, t):
    try:
        found = look_up(msg.get(field), others)
    except TypeError:
        found = everybody
    found(device, msg, t)
"""
"""A value that has no hash may yet equal one that has, as a bytearray does bytes."""
NOTE_ONLY = """
def observe(device, msg, t):
"""
NOTE = """
    left = room[device.index]
    if left:
        room[device.index] = left - 1
        if left > COUNTED_ONLY:
            keep(device, msg, t)
"""


@dataclass(slots=True)
class _Entry:
    """A subscription of `watcher`; `table` leads to its slots. What is compiled for it is kept: whenever
    another watcher has seen enough, an audience arranges those that are left anew."""

    watcher: Watcher
    subscription: Subscription
    table: Table
    _made: dict[str, Observer] = field(default_factory=dict)

    def observer(self, known: str = "", heard: Heard | None = None) -> Observer:
        """Whom to call with messages, whose field `known` is right for the matcher.

        It also lets `heard` note them, if that is given.
        """
        if heard is not None:
            return self._compile(known, heard)
        if known not in self._made:
            self._made[known] = self._compile(known, None)
        return self._made[known]

    def _compile(self, known: str, heard: Heard | None) -> Observer:
        subscription, watcher = self.subscription, self.watcher
        matcher = subscription.matcher
        tests = []
        if not matcher.undecodable:
            tests.append(matcher.source_besides(known) if known else matcher.source)
        namespace = {
            **matcher.namespace,
            "IotsimError": IotsimError,
            "table": self.table,
            "state": watcher.state if subscription.gate is None else subscription.gate,
            "trouble": watcher.trouble,
            "matched": subscription.matched,
            "missed": subscription.missed,
        }
        if subscription.unless is not None and not matcher.undecodable:
            namespace["broken"] = subscription.unless.negation()
            tests.append("broken(msg, device, t)")
        code = OBSERVER.format(
            test=" and ".join(filter(None, tests)) or "True", otherwise=self._otherwise(known)
        )
        return _generate(code, namespace, heard)

    def _otherwise(self, known: str) -> str:
        """What to do with a message that does not match: only those of the right kind are `missed`."""
        matcher = self.subscription.matcher
        if self.subscription.missed is None or matcher.undecodable:
            return ""
        first = next((c.code for c in matcher.conditions if c.field in matcher.equalities), "")
        test = f"elif {first}" if first and not known else "else"
        return f"{test}: missed(slot, msg, device, t)"


class Audience:
    """All that one fleet has of subscriptions to one topic; its devices are `devices` in number."""

    def __init__(self, devices: int) -> None:
        self.observers: list[Observer] = []
        """Whom to call with each message. The list is the same one for the whole run."""
        self.heard = Heard(devices)
        self._entries: list[_Entry] = []
        self._stale = False

    def add(self, watcher: Watcher, subscription: Subscription, table: Table) -> None:
        """`table` leads to the slots of `watcher`. `refresh` comes after the last one."""
        self._entries.append(_Entry(watcher, subscription, table))
        # Who waits for another to be decided looks first: only what comes later is for it.
        self._entries.sort(key=lambda entry: -entry.watcher.rank)
        self._stale = True

    def refresh(self) -> None:
        """Leave out watchers that have seen enough. Not while an observer is being called."""
        if not self._stale and not any(entry.watcher.closed for entry in self._entries):
            return
        self._stale = False
        self._entries = entries = [entry for entry in self._entries if not entry.watcher.closed]
        keeping = [entry for entry in entries if entry.subscription.missed is not None]
        self.heard.waiting = [(entry.watcher.state, entry.table) for entry in keeping]
        heard = self.heard if keeping else None
        if len(entries) == 1:
            self.observers[:] = [entries[0].observer(heard=heard)]
        elif field := _index_field(entries):
            self.observers[:] = [self._dispatcher(field, heard)]
        else:
            self.observers[:] = [entry.observer() for entry in entries]
            if heard:
                self.observers.append(_generate(NOTE_ONLY, {}, heard))

    def _dispatcher(self, field: str, heard: Heard | None) -> Observer:
        """Calls those that ask for the value of `field`, and those that do not compare it."""
        always: list[Observer] = []
        requiring = [entry.subscription.required.get(field, ()) for entry in self._entries]
        found: dict[Any, list[Observer]] = {value: [] for values in requiring for value in values}
        for entry, values in zip(self._entries, requiring, strict=True):
            known = field if field in entry.subscription.matcher.equalities else ""
            observer = entry.observer(known if values else "")
            for value in values:
                found[value].append(observer)
            if not values:
                for observers in (*found.values(), always):
                    observers.append(observer)
        namespace = {
            "look_up": {value: _each(observers) for value, observers in found.items()}.get,
            "field": field,
            "others": _each(always),
            "everybody": _each([entry.observer() for entry in self._entries]),
        }
        return _generate(DISPATCH, namespace, heard)


class OnBothLayers(Collection[Observer]):
    """The observers of a message that is on both layers: of two live lists what each has."""

    def __init__(self, *lists: Collection[Observer]) -> None:
        self._lists = lists

    def __iter__(self) -> Iterator[Observer]:
        return chain(*self._lists)

    def __len__(self) -> int:
        return sum(map(len, self._lists))

    def __contains__(self, observer: object) -> bool:
        return any(observer in one for one in self._lists)


def _generate(code: str, namespace: dict[str, Any], heard: Heard | None) -> Observer:
    """The function `observe` of `code`, which ends by letting `heard` note the message."""
    if heard is not None:
        code += NOTE
        namespace |= {"room": heard.room, "keep": heard.keep, "COUNTED_ONLY": COUNTED_ONLY}
    exec(compile(code, "<expect>", "exec"), namespace)
    return cast("Observer", namespace["observe"])


def _each(observers: Sequence[Observer]) -> Observer:
    """Calls all of `observers`."""
    if len(observers) == 1:
        return observers[0]

    def observe(device: DeviceView, message: Message, t: float) -> None:
        for observe in observers:
            observe(device, message, t)

    return observe


def _index_field(entries: Sequence[_Entry]) -> str:
    """The field to look up, so that the fewest of `entries` are called; "" where none is compared."""
    required = [entry.subscription.required for entry in entries]
    fields = dict.fromkeys(chain.from_iterable(required))

    def called(field: str) -> float:
        """How many of the entries a message concerns, if all values are as frequent."""
        comparing = [one[field] for one in required if field in one]
        asked = [value for values in comparing for value in values]
        return len(entries) - len(comparing) + len(asked) / len(set(asked))

    return min(fields, key=called, default="")


def topic_of(look: Look) -> Topic:
    """What has to be subscribed to, to see the messages that are meant."""
    if look.matcher.undecodable:
        return Topic(look.direction, "undecodable")
    return Topic(look.direction, layer=look.layer)


def values_of(matchers: Sequence[Matcher]) -> dict[str, tuple[Any, ...]]:
    """Of the fields that all of `matchers` require, the values one of which each of them asks for."""
    required = [matcher.equalities for matcher in matchers]
    shared = [name for name in required[0] if all(name in one for one in required)]
    return {name: tuple(dict.fromkeys(one[name] for one in required)) for name in shared}
