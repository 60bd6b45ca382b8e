"""What has happened in a run so far, and how a test waits for more of it."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

import trio

from iotsim.errors import ExpressionError, Problem, ScenarioError
from iotsim.events import GatewayOutput, Northbound, Received, RunEnded, Sent, Undecodable
from iotsim.expect.heard import AsItWas, Sample, nearest
from iotsim.expect.text import clip, moment, plural
from iotsim.match import compile_match
from iotsim.match.pattern import Pattern, PatternError
from iotsim.scenario.loading import Loading, Overrides
from iotsim.scenario.looks import Looks, Subject
from iotsim.scenario.problems import Problems
from iotsim.scenario.selectors import SelectorError, select

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from iotsim.device import Fleet
    from iotsim.events import Event
    from iotsim.expect.spec import Direction, Layer
    from iotsim.scenario.model import Scenario

MOST_EVENTS = 500_000
"""So many events are kept, the last ones."""
LINE_CHARACTERS = 200


class NotSeen(AssertionError):  # noqa: N818
    """What a test has waited for did not come in time; the text says what came nearest."""


class Inconclusive(NotSeen):
    """It did not come, and the simulator itself may be to blame."""


class Wanted(Protocol):
    """What a test looks for among events. ``text`` says what, for people."""

    text: str

    def matches(self, event: Event) -> bool: ...

    def missed(self, events: Sequence[Event]) -> str:
        """What there was instead of it, for people."""
        ...


class Seen:
    """The events of a run as they come; as many of the last as `MOST_EVENTS`."""

    def __init__(self) -> None:
        self.flush: Callable[[], object] = lambda: None
        """Called before anybody looks, to have what has just happened."""
        self.ended: RunEnded | None = None
        self._kept: deque[Event] = deque(maxlen=MOST_EVENTS)
        self._count = 0
        self._news = trio.Event()
        self._returned: set[int] = set()
        """The numbers of those that somebody has waited for and got."""

    def take(self, events: Sequence[Event]) -> None:
        """An event sink."""
        self._kept.extend(events)
        self._count += len(events)
        for event in events:
            if isinstance(event, RunEnded):
                self.ended = event
        news, self._news = self._news, trio.Event()
        news.set()

    def all(self) -> list[Event]:
        self.flush()
        return list(self._kept)

    def find(self, wanted: Wanted) -> list[Event]:
        """All that are `wanted`, in order."""
        return [event for event in self.all() if wanted.matches(event)]

    async def wait(self, wanted: Wanted, *, since: Event | float | None, timeout_s: float) -> Event:
        """The first that is `wanted` and that nobody has been given before; TooSlowError after so long.

        It came after the event `since`, or at that time of the run or later; None: at any time.
        """
        with trio.fail_after(timeout_s):
            begin = self._first_after(since)
            while True:
                for number, event in self._from(begin):
                    if isinstance(since, (int, float)) and event.t < since:
                        continue
                    if number not in self._returned and wanted.matches(event):
                        self._returned.add(number)
                        return event
                begin = self._count
                if self.ended is not None:
                    raise trio.TooSlowError
                await self._news.wait()

    def split(self, since: Event | float | None) -> tuple[list[Event], list[Event]]:
        """What came before `since`, which may be an event that is in neither, and what after."""
        events = self.all()
        if isinstance(since, (int, float)):
            return [e for e in events if e.t < since], [e for e in events if e.t >= since]
        place = next((n for n, event in enumerate(events) if event is since), None)
        return ([], events) if place is None else (events[:place], events[place + 1 :])

    async def news(self) -> None:
        """Wait until something happens."""
        await self._news.wait()

    def _first_after(self, since: Event | float | None) -> int:
        self.flush()
        first = self._count - len(self._kept)
        if since is None or isinstance(since, (int, float)):
            return first
        for number, event in self._from(first):
            if event is since:
                return number + 1
        return first

    def _from(self, number: int) -> Iterator[tuple[int, Event]]:
        """The events from this number on, each with its own."""
        first = self._count - len(self._kept)
        begin = max(number, first)
        return enumerate(list(islice(self._kept, begin - first, None)), begin)


def told_of(wanted: Wanted, seen: Seen, since: Event | float | None) -> str:
    """What there was instead of what was `wanted`, from `since` on, and whether it had come before that."""
    before, events = seen.split(since)
    told = wanted.missed(events)
    if since is None:
        return told
    begin = since if isinstance(since, (int, float)) else since.t
    early = [event.t for event in before if wanted.matches(event)]
    if early:
        which = "one" if len(early) == 1 else f"the last of {len(early)}"
        told += f"; {which} came at {moment(early[-1])}, before `since`"
    return f"since {moment(begin)}: {told}"


class Looking:
    """Makes what tests look for in runs of `scenario`, whose fleets are `fleets`."""

    def __init__(self, scenario: Scenario, fleets: Mapping[str, Fleet]) -> None:
        self._scenario = scenario
        self._fleets = fleets
        loading = Loading(Problems(scenario.path.name), Overrides(), scenario.seed)
        loading.tables["devices"] = {}
        self._looks = Looks(scenario, loading)
        self._counts = {spec.name: spec.count for spec in scenario.fleets}

    def messages(
        self, devices: str, direction: Direction, match: Mapping[str, Any], layer: Layer
    ) -> Messages:
        """The messages that these devices receive, or send, and that match. ScenarioError tells what is
        wrong with the match, as `check` would."""
        try:
            selection = select(devices, self._counts, self._scenario.seed)
        except SelectorError as error:
            raise ScenarioError([Problem(str(error), hint=error.hint)]) from None
        except ValueError as error:
            raise ScenarioError([Problem(str(error))]) from None
        subject = Subject((selection,))
        matcher = compile_match(
            match,
            self._looks.schema(subject, direction, layer, None),
            self._looks.names(subject, direction, layer),
        )
        fleet = self._fleets[selection.fleet]
        return Messages(devices, direction, matcher, layer, fleet, selection.indexes)

    def northbound(self, service: str, match: Mapping[str, Any]) -> Arrivals:
        """What a northbound service receives that matches."""
        if service not in self._scenario.northbound:
            known = ", ".join(self._scenario.northbound) or "none"
            raise ScenarioError(
                [
                    Problem(
                        f"there is no northbound service {service!r:.100}", hint=f"there is {known}"
                    )
                ]
            )
        schema = self._looks.northbound_schema(service)
        matcher = compile_match(match, schema, undecodable_allowed=False)
        return Arrivals(service, matcher)


class Messages:
    """Messages of some devices of a fleet, on one layer. A `Wanted`."""

    def __init__(
        self,
        selector: str,
        direction: Direction,
        matcher: Any,
        layer: Layer,
        fleet: Fleet,
        indexes: Any,
    ) -> None:
        self.text = f"{selector} {direction} {matcher.text}"
        self._kind: type[Event] = Received if direction == "receives" else Sent
        self._sent = direction == "sends"
        self._verb = "received" if direction == "receives" else "sent"
        self._matcher = matcher
        self._layers = ("", layer)
        self._fleet = fleet
        self._prefix = f"{fleet.spec.name}["
        self._names = None
        if len(indexes) < fleet.spec.count:
            self._names = frozenset(f"{self._prefix}{index}]" for index in indexes)

    def matches(self, event: Event) -> bool:
        if self._matcher.undecodable:
            return (
                isinstance(event, Undecodable) and event.sent is self._sent and self._is_ours(event)
            )
        if not self._concerns(event):
            return False
        try:
            return bool(self._matcher.matches(event.message, self._device(event), event.t))  # type: ignore[attr-defined]
        except ExpressionError:
            return False

    def missed(self, events: Sequence[Event]) -> str:
        ours = [event for event in events if self._concerns(event)]
        broken = sum(
            isinstance(e, Undecodable) and e.sent is self._sent and self._is_ours(e) for e in events
        )
        if not ours and not broken:
            return f"nothing was {self._verb} by them at all"
        told = f"{plural(len(ours), 'message')}"
        if broken:
            told += f" and {plural(broken, 'undecodable datagram')}"
        told = f"{told} {'was' if len(ours) + broken == 1 else 'were'} {self._verb}"
        if self._matcher.undecodable:
            return told
        samples = ((event, self._sample(event)) for event in ours)
        best = min(
            ((nearest([sample], self._matcher.explain), event) for event, sample in samples),
            key=lambda pair: pair[0],
            default=None,
        )
        if best is None or not best[0].text:
            return told
        return f"{told}; nearest: {best[1].device}: {best[0].text}"  # type: ignore[attr-defined]

    def _concerns(self, event: Event) -> bool:
        return (
            isinstance(event, self._kind)
            and event.layer in self._layers  # type: ignore[attr-defined]
            and self._is_ours(event)
        )

    def _is_ours(self, event: Any) -> bool:
        if self._names is None:
            return bool(event.device.startswith(self._prefix))
        return event.device in self._names

    def _device(self, event: Any) -> Any:
        return self._fleet.device(int(event.device[len(self._prefix) : -1]))

    def _sample(self, event: Any) -> Sample:
        return Sample(event.t, event.message, AsItWas(self._device(event)))


class Arrivals:
    """What a northbound service receives. A `Wanted`."""

    def __init__(self, service: str, matcher: Any) -> None:
        self.text = f"northbound {service} receives {matcher.text}"
        self._service = service
        self._matcher = matcher

    def matches(self, event: Event) -> bool:
        if not isinstance(event, Northbound) or event.service != self._service:
            return False
        try:
            return bool(self._matcher.matches(event.fields, NOBODY, event.t))
        except ExpressionError:
            return False

    def missed(self, events: Sequence[Event]) -> str:
        ours = [e for e in events if isinstance(e, Northbound) and e.service == self._service]
        if not ours:
            return "it has received nothing"
        near = nearest((Sample(e.t, e.fields, NOBODY) for e in ours), self._matcher.explain)
        told = f"it has received {plural(len(ours), 'message')}"
        return f"{told}; nearest: {near.text}" if near.text else told


class Lines:
    """Lines that the gateway prints in which a regular expression is found. A `Wanted`."""

    def __init__(self, pattern: str) -> None:
        self.text = f"the gateway prints a line that matches {pattern!r}"
        try:
            self._search = Pattern(pattern).search
        except PatternError as error:
            raise ScenarioError([Problem(str(error), hint=error.hint)]) from None

    def matches(self, event: Event) -> bool:
        return isinstance(event, GatewayOutput) and self._search(event.line)

    def missed(self, events: Sequence[Event]) -> str:
        lines = [event for event in events if isinstance(event, GatewayOutput)]
        if not lines:
            return "it has printed nothing"
        last = lines[-1]
        shown = clip(last.line, LINE_CHARACTERS)
        return (
            f"it has printed {plural(len(lines), 'line')}, the last: {shown!r} ({moment(last.t)})"
        )


class _Nobody:
    """In the place of a device, where there is none."""

    index = 0
    name = address = ""
    state: dict[str, Any] = {}  # noqa: RUF012
    asked = None

    def signal(self, name: str, t: float) -> float:
        raise KeyError(name)


NOBODY: Any = _Nobody()
