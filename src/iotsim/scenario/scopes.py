"""The scope of an entry, which ``[[impair]]`` and ``[[fault]]`` have in common: for whom, which messages, and
when."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field

from iotsim.errors import ExpressionError
from iotsim.impair import DIRECTIONS, EntrySpec
from iotsim.match import compile_expression, compile_match
from iotsim.scenario.fleets import expression_names
from iotsim.scenario.horizon import horizon_of
from iotsim.scenario.problems import nearest
from iotsim.scenario.schema import Duration, Match, Model, Text, Texts, written
from iotsim.scenario.selectors import Selectors
from iotsim.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from iotsim.device.spec import FleetSpec
    from iotsim.expect.spec import DeviceSelection
    from iotsim.impair import Direction, Test
    from iotsim.match import DeviceView, Expression, Matcher
    from iotsim.protocol.definition import Protocol
    from iotsim.protocol.fields import Schema
    from iotsim.scenario.loading import Loading
    from iotsim.scenario.model import Scenario
    from iotsim.scenario.problems import Problems
    from iotsim.scenario.toml import Keys

IDENTITY_BYTES = 8
READY = "ready"
"""What comes after this comes once the gateway is ready for the first time."""


def _between(value: Any) -> Any:
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError('must be two times, such as ["10s", "20s"]')
    for item in value:
        if not isinstance(item, str):
            raise ValueError("must be two texts with units, such as '10s'")
    begin, end = map(parse_duration, value)
    if begin >= end:
        raise ValueError("ends before it begins")
    return begin, end


class ScopeTable(Model):
    """The keys of an entry that say what it is for."""

    name: Text = ""
    devices: Texts | None = None
    when: Match | None = None
    where: Text | None = None
    skip: Annotated[int, Field(ge=0, le=1 << 53)] = 0
    every: Annotated[int, Field(ge=1, le=1 << 53)] = 1
    first: Annotated[int, Field(ge=1, le=1 << 53)] | None = None
    at: Duration | None = None
    for_: Annotated[Duration | None, Field(alias="for", gt=0)] = None
    between: Annotated[
        Any,
        BeforeValidator(
            written(_between, type="array", items={"type": "string"}, minItems=2, maxItems=2)
        ),
    ] = None
    after: Text | None = None


Layer: TypeAlias = Literal["wire", "spoken", "either"]
LAYERS: Mapping[Layer, Sequence[bool]] = {
    "wire": (False,),
    "spoken": (True,),
    "either": (False, True),
}
"""Which messages of a protocol an entry is about: those on the wire, those above its session, or, if the
fields are not there on the wire, those above; each tells whether it is above."""


def _on_wire(_protocol: Protocol) -> Layer:
    return "wire"


class ScopeBuilder:
    """Builds the scopes of all entries of a scenario, whose fleets are known.

    `known` are what entries can come after: the names of steps and expectations.
    """

    def __init__(self, scenario: Scenario, loading: Loading) -> None:
        self.fleets = {fleet.name: fleet for fleet in scenario.fleets}
        self.selectors = Selectors(scenario, loading)
        self.horizon = horizon_of(scenario, loading)
        self.problems = loading.problems
        self.mute = loading.mute
        self.known = set(moments(loading))
        self._alike: Counter[str] = Counter()

    def build(
        self,
        table: ScopeTable,
        raw: Mapping[str, Any],
        keys: Keys,
        *,
        kind: str,
        directions: Sequence[Direction] = DIRECTIONS,
        layer: Callable[[Protocol], Layer] = _on_wire,
        step: str = "",
    ) -> EntrySpec:
        """The scope that `table` says; what is wrong with it becomes problems.

        `kind` is what the entry is, for people. `layer` says which messages of a protocol its ``when`` and
        ``where`` are about. `step` is the step that brings the entry, if one does.
        """
        named = list(self.selectors.counts) if table.devices is None else table.devices
        selections = self.selectors.find(named, (*keys, "devices"))
        begin_s, end_s = self._times(table, keys, bound=bool(step))
        identity = self._identity(table, raw, kind)
        tests, spoken = self._tests(table, selections, directions, layer, keys)
        return EntrySpec(
            name=table.name or (step or f"{kind} {_number(keys)}"),
            identity=identity,
            place=self.problems.where(keys),
            order=self.problems.order(keys),
            devices=MappingProxyType({one.fleet: one.indexes for one in selections}),
            tests=MappingProxyType(tests),
            spoken=spoken,
            after=step or self._after(table.after, (*keys, "after")),
            begin_s=begin_s,
            end_s=end_s,
            skip=table.skip,
            every=table.every,
            first=table.first,
        )

    def _identity(self, table: ScopeTable, raw: Mapping[str, Any], kind: str) -> str:
        """What names the entry's streams: its name, else what it says, and which of those it is."""
        said = table.name
        if not said:
            text = json.dumps(raw, sort_keys=True, default=str).encode()
            said = hashlib.blake2b(text, digest_size=IDENTITY_BYTES).hexdigest()
        said = f"{kind} {said}"
        self._alike[said] += 1
        return f"{said} {self._alike[said]}"

    def _times(self, table: ScopeTable, keys: Keys, *, bound: bool) -> tuple[float, float]:
        """From when until when it is in force, from the run's start or from what it comes after."""
        add = self.problems.add
        if table.between is not None:
            for name, value in (("at", table.at), ("for", table.for_)):
                if value is not None:
                    add((*keys, name), "'between' is there already", of_key=True)
            begin_s, end_s = table.between
            key = "between"
        else:
            begin_s, key = table.at or 0.0, "at"
            end_s = math.inf if table.for_ is None else begin_s + table.for_
        if bound and table.after is not None:
            add((*keys, "after"), "it comes after its own step", of_key=True)
        if not bound and table.after is None and (late := self.horizon.moment(begin_s)):
            add((*keys, key), f"it would never be in force: {late}", self.horizon.hint)
        return begin_s, end_s

    def _after(self, name: str | None, keys: Keys) -> str:
        if name is not None and name not in self.known:
            hint = nearest(name, self.known) or "give a step or an expectation this name"
            self.problems.add(keys, f"nothing is called '{name[:100]}'", hint)
        return name or ""

    def _tests(
        self,
        table: ScopeTable,
        selections: Sequence[DeviceSelection],
        directions: Sequence[Direction],
        layer: Callable[[Protocol], Layer],
        keys: Keys,
    ) -> tuple[
        dict[tuple[str, int, Direction], Test | None], frozenset[tuple[str, int, Direction]]
    ]:
        """What messages must satisfy, wherever they have the fields for it; and where these are those above
        a session."""
        above: set[tuple[str, int, Direction]] = set()
        tests: dict[tuple[str, int, Direction], Test | None] = {}
        refused: list[Mapping[tuple[str | int, ...], tuple[str, str]]] = []
        ways = 0
        for fleet, number, direction in self._ways(selections, directions):
            ways += 1
            protocol = fleet.services[number].protocol
            for spoken in LAYERS[layer(protocol)]:
                schema = _schema_of(protocol, direction, spoken=spoken)
                test, found = _compile(table, schema, fleet)
                if found:
                    refused.append(found)
                    continue
                tests[fleet.name, number, direction] = test
                if spoken:
                    above.add((fleet.name, number, direction))
                break
        unknown = any(one.fleet in self.mute for one in selections)
        if directions and selections and not ways and not unknown:
            self.problems.add(keys, "these devices have no protocol, so they have no messages")
        if refused and not tests and not unknown:
            for inner, (message, hint) in min(refused, key=len).items():
                of_key = message.startswith("unknown")
                self.problems.add((*keys, *inner), message, hint, of_key=of_key)
        return tests, frozenset(above)

    def _ways(
        self, selections: Sequence[DeviceSelection], directions: Sequence[Direction]
    ) -> Iterator[tuple[FleetSpec, int, Direction]]:
        for one in selections:
            fleet = self.fleets[one.fleet]
            for number in range(len(fleet.services)):
                for direction in directions:
                    yield fleet, number, direction


def moments(loading: Loading) -> Iterator[str]:
    """What something can come after: that the gateway is ready, and the names of steps and expectations."""
    yield READY
    for section in ("step", "expect"):
        for table in loading.tables.get(section, ()):
            if isinstance(table, dict) and isinstance(name := table.get("name"), str) and name:
                yield name


def tell_twice(names: Sequence[str], section: str, problems: Problems) -> None:
    """Of the names of a section's entries, none may be there twice, or be taken."""
    for number, name in enumerate(names):
        if name == READY and section == "step":
            tell_reserved((section, number, "name"), problems)
        if name in names[:number]:
            problems.add((section, number, "name"), f"there is another called '{name[:100]}'")


def tell_reserved(keys: Keys, problems: Problems) -> None:
    """The name at `keys` has a meaning of its own."""
    problems.add(keys, f"'{READY}' is what comes when the gateway is ready: take another name")


def _number(keys: Keys) -> int:
    """Which one it is of its list, from 1."""
    return next((key + 1 for key in reversed(keys) if isinstance(key, int)), 1)


def _schema_of(
    protocol: Protocol, direction: Literal["to_device", "from_device"], *, spoken: bool
) -> Schema:
    if direction == "to_device":
        return protocol.delivered_schema if spoken else protocol.schema
    return protocol.said_schema if spoken else protocol.answer_schema


def _compile(
    table: ScopeTable, schema: Schema, fleet: FleetSpec
) -> tuple[Test | None, dict[tuple[str | int, ...], tuple[str, str]]]:
    """The test that a table says, of messages of one schema; and what is wrong with it, by keys."""
    names = expression_names(fleet)
    found: dict[tuple[str | int, ...], tuple[str, str]] = {}

    def report(inner: tuple[str | int, ...], message: str, hint: str) -> None:
        found["when", *inner] = message, hint

    matcher = where = None
    if table.when is not None:
        matcher = compile_match(table.when, schema, names, undecodable_allowed=False, report=report)
    if table.where is not None:
        text = table.where.removeprefix("=")
        try:
            where = compile_expression(text, names, has_message=True, schema=schema)
        except ExpressionError as error:
            found["where",] = str(error), error.hint
    return _test(matcher, where), found


def _test(matcher: Matcher | None, where: Expression | None) -> Test | None:
    if where is None:
        return None if matcher is None else matcher.matches
    evaluate = where.evaluate

    def test(message: Mapping[str, Any], device: DeviceView, t: float) -> bool:
        if matcher is not None and not matcher.matches(message, device, t):
            return False
        try:
            return bool(evaluate(message, device, t))
        except ExpressionError as error:
            if error.absent:
                return False
            raise

    return test
