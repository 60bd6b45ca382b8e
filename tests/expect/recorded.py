"""Verdicts over what was recorded of a whole run: the text of docs/scenario.md, as obvious as can be.

Nothing of `iotsim.expect` is in here. An expectation is a table as in a scenario, whose matches are
predicates, and whose times are seconds. Everything is looked at again and again, and in the order in which
it happened.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Predicate = Callable[["Event"], bool]


@dataclass(frozen=True)
class Event:
    """A message of a device, or with a `service` one that this was sent. `message` None: not decodable.

    `state` is the device's at that time, `request` what a message that is sent answers.
    """

    t: float
    device: int
    direction: str = "receives"
    message: dict[str, Any] | None = None
    state: dict[str, Any] = field(default_factory=dict)
    request: dict[str, Any] | None = None
    service: str = ""


@dataclass(frozen=True)
class Run:
    """What was recorded, when the gateway was ready, when it all ended, and when devices booted."""

    events: list[Event]
    ready: float
    end: float
    boots: Callable[[int], float]

    def since(self, number: int) -> Run:
        """As if only what came after the event of this number had been, windows beginning with it."""
        begin = self.events[number].t
        return Run(self.events[number + 1 :], begin, self.end, self.boots)


@dataclass(frozen=True)
class Look:
    """Messages of devices in a direction, or of a service, that `fits` says are meant."""

    fits: Predicate
    direction: str = "receives"
    service: str = ""

    def of(self, event: Event, devices: list[int]) -> bool:
        if event.service or self.service:
            return event.service == self.service and self.fits(event)
        there = event.device in devices and event.direction == self.direction
        return there and self.fits(event)


@dataclass(frozen=True)
class Table:
    """An expectation. `devices` is empty where it is about a service."""

    kind: str
    quantifier: str = "each"
    devices: tuple[int, ...] = ()
    look: Look | None = None
    within: float = math.inf
    least: int = 0
    most: float = math.inf
    per: float | None = None
    always: Predicate | None = None
    parts: tuple[tuple[Look, tuple[float, float]], ...] = ()
    """With what is asked of the time since the part before."""
    start: Look | None = None
    stop: Look | None = None
    bounds: tuple[tuple[str, float], ...] = ()
    match: Callable[[Event, Event], bool] | None = None
    """Of a message that was sent, and one that a service was sent."""
    echo: str = ""
    ordered: bool = False
    numbered: bool = False


def verdict(table: Table, run: Run) -> bool:
    if not table.devices:
        return holds(table, run, [])
    if table.quantifier == "all":
        return holds(table, run, [*table.devices])
    each = [holds(table, run, [device]) for device in table.devices]
    if table.quantifier == "none":
        return not any(each)
    return any(each) if table.quantifier == "any" else all(each)


def first_holds(table: Table, run: Run) -> int | None:
    """The number of the event with which `table` held, if it did; of kinds that can hold before the end."""
    for number, event in enumerate(run.events):
        so_far = Run(run.events[: number + 1], run.ready, event.t, run.boots)
        if verdict(table, so_far):
            return number
    return None


def holds(table: Table, run: Run, devices: list[int]) -> bool:
    """Whether it holds of `devices` together."""
    begin = run.ready
    if len(devices) == 1 and table.quantifier != "all":
        begin = max(begin, run.boots(devices[0]))
    judge = {
        "within": within,
        "never": never,
        "always": always,
        "count": count,
        "sequence": sequence,
        "latency": latency,
        "delivered": delivered,
    }
    return judge[table.kind](table, run, devices, begin)


def matching(table: Table, run: Run, devices: list[int]) -> list[Event]:
    assert table.look is not None
    return [event for event in run.events if table.look.of(event, devices)]


def within(table: Table, run: Run, devices: list[int], begin: float) -> bool:
    return any(event.t <= begin + table.within for event in matching(table, run, devices))


def never(table: Table, run: Run, devices: list[int], begin: float) -> bool:
    return not matching(table, run, devices)


def always(table: Table, run: Run, devices: list[int], begin: float) -> bool:
    assert table.always is not None
    return all(table.always(event) for event in matching(table, run, devices))


def count(table: Table, run: Run, devices: list[int], begin: float) -> bool:
    times = [event.t for event in matching(table, run, devices)]
    per = table.per
    if per is None:
        return table.least <= len(times) <= table.most
    if any(sum(t <= other < t + per for other in times) > table.most for t in times):
        return False
    # A minimum: complete windows, one after the other, that begin when the device is there.
    starts = [run.ready + n * per for n in range(100) if run.ready + n * per <= run.end]
    complete = [start for start in starts if start + per <= run.end]
    booted = begin if begin > run.ready else 0.0
    asked = [start for start in complete if booted <= start] or [starts[len(complete)]]
    return all(sum(start <= t < start + per for t in times) >= table.least for start in asked)


def sequence(table: Table, run: Run, devices: list[int], begin: float) -> bool:
    came: list[float] = []
    for event in run.events:
        if len(came) == len(table.parts):
            break
        look, (low, high) = table.parts[len(came)]
        if look.of(event, devices):
            if came and not low <= event.t - came[-1] <= high:
                return False
            came.append(event.t)
    return len(came) == len(table.parts) and came[-1] <= begin + table.within


def latency(table: Table, run: Run, devices: list[int], begin: float) -> bool:
    assert table.start is not None
    assert table.stop is not None
    bounds = dict(table.bounds)
    times = []
    for device in devices or [-1]:
        mine = [device] if devices else []
        for number, start in enumerate(run.events):
            if not table.start.of(start, mine):
                continue
            stops = [
                event.t
                for event in run.events[number + 1 :]
                if table.stop.of(event, mine) and belongs(table, start, event)
            ]
            if stops:
                times.append(stops[0] - start.t)
            elif start.t + bounds.get("max", max(bounds.values())) < run.end:
                return False
    if not times:
        return False
    times.sort()
    figures = {"max": times[-1], "mean": sum(times) / len(times)}
    for name in ("p50", "p90", "p95", "p99"):
        figures[name] = times[math.ceil(int(name[1:]) * len(times) / 100) - 1]
    return all(figures[name] <= bound for name, bound in bounds.items())


def belongs(table: Table, start: Event, stop: Event) -> bool:
    if table.match is not None:
        return table.match(start, stop)
    if start.direction == stop.direction or start.service or stop.service:
        return True
    if start.message is None or stop.message is None:
        return True
    if not table.echo:  # then what is answered is known of what is sent
        known = stop.direction == "sends" and stop.request is not None
        return not known or stop.request is start.message
    values = [(event.message or {}).get(table.echo) for event in (start, stop)]
    return None in values or values[0] == values[1]


def delivered(table: Table, run: Run, devices: list[int], begin: float) -> bool:
    assert table.start is not None
    assert table.stop is not None
    assert table.match is not None
    everybody = []
    for n, event in enumerate(run.events):
        if table.start.of(event, [*table.devices]) and not any(
            table.numbered
            and (one.device, one.message) == (event.device, event.message)
            and event.t <= one.t + table.within
            for one in (run.events[number] for number in everybody if event.message)
        ):
            everybody.append(n)
    sent = [n for n in everybody if table.start.of(run.events[n], devices)]
    ups = [n for n, event in enumerate(run.events) if table.stop.of(event, []) and answered(event)]

    def in_time(reading: int, up: int) -> bool:
        return run.events[up].t <= run.events[reading].t + table.within

    def suits(reading: int, up: int) -> bool:
        assert table.match is not None
        return reading < up and table.match(run.events[reading], run.events[up])

    def owner(up: int) -> int | None:
        """The last reading that is too late for, where it is in time for none of any device."""
        mine = [reading for reading in everybody if suits(reading, up)]
        return None if any(in_time(one, up) for one in mine) else max(mine, default=None)

    prompt = {one: [up for up in ups if suits(one, up) and in_time(one, up)] for one in sent}
    if any(
        len(found) + sum(owner(up) == one for up in ups) > table.most
        for one, found in prompt.items()
    ):
        return False
    due = [one for one in sent if run.events[one].t + table.within < run.end]
    if any(len(prompt[one]) < table.least for one in due):
        return False
    if table.least and not due and not any(len(prompt[one]) >= table.least for one in sent):
        return False
    firsts = [prompt[one][0] for one in sent if prompt[one]]
    return not table.ordered or firsts == sorted(firsts)


def answered(event: Event) -> bool:
    status = (event.message or {}).get("status", 200)
    return isinstance(status, int) and 200 <= status < 300
