"""``sequence``, ``latency`` and ``delivered``: what is expected of messages that belong together."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from iotsim.errors import ExpressionError
from iotsim.expect.join import Join
from iotsim.expect.pairing import echo_key
from iotsim.expect.spec import (
    DeliveredExpectation,
    DeviceSelection,
    LatencyExpectation,
    Layer,
    Look,
    Part,
)
from iotsim.scenario.schema import Duration, Holds, Match, Model, Table, Text, check, from_text
from iotsim.units import parse_duration_range, parse_tolerance

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from iotsim.scenario.looks import Looks, Subject
    from iotsim.scenario.toml import Keys

MOST_PARTS = 1000
Times = Annotated[int, Field(ge=0, le=1 << 53)]
PositiveDuration = Annotated[Duration, Field(gt=0)]
BOUNDS = ("p50", "p90", "p95", "p99", "max", "mean")


def _gap(written: str) -> Any:
    if ".." in written:
        return parse_duration_range(written)
    tolerance = parse_tolerance(written)
    if not tolerance.relative and not tolerance.absolute_s:
        raise ValueError(
            f"'{written[:40]}' is never met to the microsecond: write '{written[:40]} ± 10%', "
            f"or a range such as '0s..{written[:40]}'"
        )
    return tolerance


Gap = Annotated[Any, BeforeValidator(from_text(_gap, "'2s ± 10%' or '0s..100ms'"))]


class LookTable(Model):
    receives: Match | None = None
    sends: Match | None = None
    northbound: Text | None = None
    layer: Layer | None = None


class PartTable(LookTable):
    after: Gap = None


class LatencyTable(Model):
    from_: Annotated[Table, Field(alias="from"), Holds(LookTable)]
    to: Annotated[Table, Holds(LookTable)]
    match: Text | None = None
    p50: PositiveDuration | None = None
    p90: PositiveDuration | None = None
    p95: PositiveDuration | None = None
    p99: PositiveDuration | None = None
    max: PositiveDuration | None = None
    mean: PositiveDuration | None = None


class DeliveredTable(Model):
    sent: Match
    northbound: Text
    match: Text
    layer: Layer | None = None
    exactly: Times | None = None
    min: Times | None = None
    max: Times | None = None
    within: PositiveDuration | None = None
    ordered: bool = False


class Chains:
    """Builds these three, of a `subject`'s messages, of which those are meant that `layer` says unless a
    part says otherwise."""

    def __init__(self, looks: Looks, subject: Subject, layer: Layer) -> None:
        self.looks = looks
        self.problems = looks.problems
        self.subject = subject
        self.layer = layer

    def sequence(self, tables: Sequence[Any], keys: Keys) -> tuple[Part, ...]:
        if len(tables) < 2:
            self.problems.add(keys, "a sequence has two parts at least")
        if len(tables) > MOST_PARTS:
            self.problems.add(keys, f"a sequence has at most {MOST_PARTS} parts")
            return ()
        parts = []
        for number, raw in enumerate(tables):
            here = (*keys, number)
            table = check(PartTable, raw, here, self.problems)
            if table is None:
                continue
            if table.after is not None and not number:
                message = "'after' is counted from the part before, and the first has none"
                self.problems.add((*here, "after"), message, of_key=True)
            look = self._look(table, raw, here)
            if look is not None:
                parts.append(Part(look, table.after if number else None))
        return tuple(parts) if len(parts) == len(tables) > 1 else ()

    def latency(self, raw: Any, keys: Keys) -> LatencyExpectation | None:
        table = check(LatencyTable, raw, keys, self.problems)
        if table is None:
            return None
        start = self._part(table.from_, (*keys, "from"))
        stop = self._part(table.to, (*keys, "to"))
        given = {name: getattr(table, name) for name in BOUNDS}
        bounds = {name: bound for name, bound in given.items() if bound is not None}
        if not bounds:
            self.problems.add(keys, f"asks nothing: give it one of {', '.join(BOUNDS)}")
        if start is None or stop is None or not bounds:
            return None
        if start.service and start.service != self.subject.service:
            message = "only 'to' can be northbound, where the expectation is about devices"
            self.problems.add((*keys, "from", "northbound"), message, of_key=True)
            return None
        join = None
        comes_up = stop.service != self.subject.service
        if table.match is not None and not comes_up:
            message = "'match' is for a 'to' that is northbound"
            self.problems.add((*keys, "match"), message, of_key=True)
        elif table.match is not None:
            join = self._join(table.match, start, stop.service, (*keys, "match"))
        return LatencyExpectation(start, stop, bounds, self._echoes(), join)

    @property
    def _devices(self) -> Sequence[DeviceSelection]:
        return () if self.subject.service else self.subject.devices

    def _echoes(self) -> dict[str, Callable[[Mapping[str, Any]], Hashable | None]]:
        """By fleet, of those whose protocol has that: what a message and its answer have in common."""
        fleets = [self.looks.fleets[one.fleet] for one in self._devices]
        return {
            fleet.name: key
            for fleet in fleets
            if len(fleet.services) == 1
            and (key := echo_key(fleet.services[0].protocol.echo)) is not None
        }

    def delivered(self, raw: Any, keys: Keys) -> DeliveredExpectation | None:
        table = check(DeliveredTable, raw, keys, self.problems)
        if table is None:
            return None
        sent = self.looks.look(
            self.subject, "sends", table.layer or self.layer, table.sent, (*keys, "sent")
        )
        if sent.matcher.undecodable:
            message = "what cannot be decoded has no fields that could come up"
            self.problems.add((*keys, "sent"), message)
        service = self.looks.service(table.northbound, (*keys, "northbound"))
        minimum, maximum = self._times(table, keys)
        if minimum and table.within is None:
            message = "'within' is missing: how long may it take until a message has come up?"
            self.problems.add(keys, message)
        join = self._join(table.match, sent, service, (*keys, "match")) if service else None
        if join is None:
            return None
        return DeliveredExpectation(
            sent,
            service,
            join,
            minimum,
            maximum,
            table.within,
            table.ordered,
            answered=self.looks.services[service].kind == "http",
            numbered=frozenset(self._echoes()),
        )

    def _times(self, table: DeliveredTable, keys: Keys) -> tuple[int, int | None]:
        """How often at least and at most; once at least, where nothing is said."""
        if table.exactly is not None:
            for name in ("min", "max"):
                if getattr(table, name) is not None:
                    message = f"'exactly' says all: it leaves no room for '{name}'"
                    self.problems.add((*keys, name), message, of_key=True)
            return table.exactly, table.exactly
        least = table.min
        if least is None:
            least = 1 if table.max is None else 0
        if table.max is not None and least > table.max:
            self.problems.add((*keys, "min"), "min is greater than max")
        if not least and table.max is None:
            self.problems.add((*keys, "min"), "asks nothing: at least 0 always come")
        return least, table.max

    def _part(self, raw: Any, keys: Keys) -> Look | None:
        table = check(LookTable, raw, keys, self.problems)
        return None if table is None else self._look(table, raw, keys)

    def _look(self, table: LookTable, raw: Any, keys: Keys) -> Look | None:
        """The messages that a part is about."""
        given = [name for name in ("receives", "sends") if name in raw]
        if len(given) != 1:
            message = (
                "'receives' and 'sends' are two parts" if given else "needs 'receives' or 'sends'"
            )
            if given or not table.northbound:
                self.problems.add(keys, message)
                return None
        direction: Literal["receives", "sends"] = "sends" if "sends" in given else "receives"
        layer = table.layer or self.layer
        service = self.subject.service
        if table.northbound is not None:
            service = self.looks.service(table.northbound, (*keys, "northbound"))
            if not service:
                return None
        spec = table.sends if direction == "sends" else table.receives
        if not service:
            return self.looks.look(self.subject, direction, layer, spec, (*keys, direction))
        for name in ("sends", "layer"):
            if name in raw:
                message = "a northbound service only receives, on one layer"
                self.problems.add((*keys, name), message, of_key=True)
        # Expressions may name what is known of the devices that it is about.
        meant = replace(self.subject, service=service)
        return self.looks.look(meant, "receives", "application", spec, (*keys, "receives"))

    def _join(self, written: str, sent: Look, service: str, keys: Keys) -> Join | None:
        if not written.startswith("="):
            hint = 'as in match = "=north.json.value == msg.value"'
            self.problems.add(keys, "must be an expression, which begins with '='", hint)
            return None
        names = self.looks.names(self.subject, sent.direction, sent.layer)
        schema = self.looks.schema(self.subject, sent.direction, sent.layer, None)
        north = self.looks.northbound_schema(service)
        try:
            join = Join(written[1:], names._replace(north=north), schema)
        except ExpressionError as error:
            self.problems.add(keys, str(error), error.hint)
            return None
        if not join.uses_north or not join.uses_own:
            missing = "msg" if join.uses_north else "north"
            hint = 'as in match = "=north.json.value == msg.value"'
            self.problems.add(keys, f"compares nothing: there is no '{missing}' in it", hint)
            return None
        return join
