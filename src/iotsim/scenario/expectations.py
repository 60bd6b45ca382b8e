"""``[[expect]]``: who, what message, and how often or when."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from iotsim.expect.kinds import KINDS
from iotsim.expect.spec import DeviceSelection, ExpectSpec, GatewayExpectation, Layer
from iotsim.match import Names, compile_match
from iotsim.scenario.fleets import expression_names
from iotsim.scenario.horizon import horizon_of
from iotsim.scenario.schema import (
    LONGEST_TEXT,
    Duration,
    Holds,
    Match,
    Model,
    Regex,
    Table,
    Text,
    Texts,
    check,
    misspelled,
)
from iotsim.scenario.selectors import SelectorError, listed, merged, select

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from iotsim.device.spec import FleetSpec
    from iotsim.match import Matcher
    from iotsim.match.pattern import Pattern
    from iotsim.protocol.definition import Protocol
    from iotsim.protocol.fields import Field as SchemaField
    from iotsim.protocol.fields import Schema
    from iotsim.scenario.loading import Loading
    from iotsim.scenario.model import Scenario
    from iotsim.scenario.toml import Keys

QUANTIFIERS = ("each", "any", "all", "none", "device")
MOST_EXPECTATIONS = 10_000
MOST_LISTED = 1 << 23
"""Devices of all expectations that are listed one by one: drawn for a share, or merged from parts."""


class CountTable(Model):
    min: Annotated[int, Field(ge=0, le=1 << 53)] | None = None
    max: Annotated[int, Field(ge=0, le=1 << 53)] | None = None


class StdoutTable(Model):
    contains: Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT)] | None = None
    regex: Regex = None
    not_: Annotated[Regex, Field(alias="not")] = None


class GatewayExpectTable(Model):
    running: bool | None = None
    exit: Annotated[int, Field(ge=0, le=255)] | None = None
    stdout: Annotated[Any, Holds(StdoutTable, {"type": "string"})] = None


class ExpectTable(Model):
    later = ("sequence", "latency", "delivered")

    name: Text = ""
    each: Texts | None = None
    any: Texts | None = None
    all: Texts | None = None
    none: Texts | None = None
    device: Texts | None = None
    receives: Match | None = None
    sends: Match | None = None
    layer: Layer = "application"
    within: Annotated[Duration, Field(gt=0)] | None = None
    never: Literal[True] | None = None
    always: Match | None = None
    count: Annotated[Any, Holds(CountTable, {"type": "integer", "minimum": 0})] = None
    per: Annotated[Duration, Field(gt=0)] | None = None
    gateway: Annotated[Table, Holds(GatewayExpectTable)] | None = None
    severity: Literal["error", "warning"] = "error"


def build_expectations(scenario: Scenario, loading: Loading) -> Scenario:
    problems = loading.problems
    tables = loading.tables["expect"]
    if len(tables) > MOST_EXPECTATIONS:
        problems.add(("expect",), f"more than {MOST_EXPECTATIONS} expectations")
        return scenario
    builder = ExpectBuilder(scenario, loading)
    names: set[str] = set()
    expectations = []
    for number, table in enumerate(tables):
        built = builder.build(table, ("expect", number))
        if built is None:
            continue
        if built.name in names:
            message = f"there is an expectation '{built.name[:100]}' already"
            problems.add(("expect", number, "name"), message)
        names.add(built.name)
        expectations.append(built)
    return replace(scenario, expectations=tuple(expectations))


class JointSchema:
    """The fields of several protocols; one that they differ about is of any kind."""

    def __init__(self, schemas: Sequence[Schema]) -> None:
        self.schemas = schemas
        self.fields = {path: field for schema in schemas for path, field in schema.fields.items()}

    def find(self, path: str) -> SchemaField | None:
        found = [field for schema in self.schemas if (field := schema.find(path)) is not None]
        if not found:
            return None
        first = found[0]
        alike = all(
            (field.kind, field.wire, field.names) == (first.kind, first.wire, first.names)
            for field in found
        )
        return first if alike else type(first)(path, "any", "different types")

    def nearest(self, name: str) -> str | None:
        return next((near for schema in self.schemas if (near := schema.nearest(name))), None)


def _schema_of(protocol: Protocol, direction: str, layer: str) -> Schema:
    if layer == "wire":
        return protocol.schema if direction == "receives" else protocol.answer_schema
    return protocol.delivered_schema if direction == "receives" else protocol.said_schema


class ExpectBuilder:
    """Builds the expectations of one scenario."""

    def __init__(self, scenario: Scenario, loading: Loading) -> None:
        self.fleets = {fleet.name: fleet for fleet in scenario.fleets}
        self.counts = {fleet.name: fleet.count for fleet in scenario.fleets}
        self.gateway = scenario.gateway
        self.seed = scenario.seed
        self.listed = 0
        self.horizon = horizon_of(scenario, loading)
        self.doubtful = loading.doubtful
        self.mute = loading.mute
        self.problems = loading.problems

    def build(self, raw: Any, keys: Keys) -> ExpectSpec | None:
        table = check(ExpectTable, raw, keys, self.problems)
        if table is None or any(key in raw for key in ExpectTable.later):
            return None
        name = table.name or f"expectation {int(keys[-1]) + 1}"
        place = self.problems.where(keys)
        if "gateway" in raw:
            return self._gateway(table, raw, name, place, keys)
        return self._messages(table, raw, name, place, keys)

    def _messages(
        self, table: ExpectTable, raw: Mapping[str, Any], name: str, place: str, keys: Keys
    ) -> ExpectSpec | None:
        quantifier = self._one_of(raw, QUANTIFIERS, keys, "says of which devices")
        direction = self._one_of(raw, ("receives", "sends"), keys, "says of which messages")
        kind: Any = self._one_of(raw, tuple(KINDS), keys, "says what is expected of them")
        if quantifier is None or direction is None or kind is None:
            return None
        devices = self._devices(getattr(table, quantifier) or [], (*keys, quantifier))
        if quantifier == "device" and sum(len(one.indexes) for one in devices) > 1:
            self.problems.add(
                (*keys, "device"), "names more than one device", "write each, any, all or none"
            )
        least, most = self._count(table.count, (*keys, "count"))
        if table.per is not None and kind != "count":
            self.problems.add((*keys, "per"), "'per' is for 'count'", of_key=True)
        spec = getattr(table, direction)
        schema = self._schema(devices, direction, table.layer, (*keys, direction))
        receives = direction == "receives"
        matcher = self._match(spec or {}, devices, schema, (*keys, direction), undecodable=receives)
        always = None
        if table.always is not None:
            always = self._match(table.always, devices, schema, (*keys, "always"))
            if matcher.undecodable:
                self.problems.add((*keys, "always"), "what cannot be decoded has no fields")
            if not table.always:
                message = "asks nothing: name a field that every message must have"
                self.problems.add((*keys, "always"), message)
        if not devices:
            return None
        if direction == "sends":
            self._check_senders(devices, (*keys, direction))
        built = ExpectSpec(
            name=name,
            kind=kind,
            quantifier=quantifier,  # type: ignore[arg-type]
            devices=devices,
            direction=direction,  # type: ignore[arg-type]
            matcher=matcher,
            layer=table.layer,
            within_s=table.within,
            count_min=least,
            count_max=most,
            per_s=table.per,
            always=always,
            severity=table.severity,
            place=place,
        )
        self._check_windows(built, keys)
        return built

    def _check_senders(self, devices: Sequence[DeviceSelection], keys: Keys) -> None:
        """Of devices that never send, nothing can be expected: not even that they do not."""
        for selection in devices:
            fleet = self.fleets[selection.fleet]
            sends = any(rule.reply or rule.send for rule in fleet.rules)
            known = fleet.name not in self.mute and fleet.behavior is None and fleet.services
            talks = any(service.protocol.session is not None for service in fleet.services)
            if known and not sends and not talks:
                message = (
                    f"'{fleet.name}' never sends: it has neither a reply, 'send', nor behavior"
                )
                self.problems.add(keys, message)

    def _check_windows(self, spec: ExpectSpec, keys: Keys) -> None:
        """A window that cannot be over before the run is decides nothing."""
        pooled = spec.quantifier == "all"
        begins = max(
            (
                self.horizon.boots(self.fleets[selection.fleet], selection.indexes[-1]).high_s
                for selection in (() if pooled else spec.devices)
            ),
            default=0.0,
        )
        begins = max(begins, self.horizon.ready_s)
        late = ""
        if spec.within_s is not None:
            keys, late = (*keys, "within"), self.horizon.window(spec.within_s, begins)
        elif spec.per_s is not None and spec.count_min:
            keys, late = (*keys, "per"), self.horizon.first_span(spec.per_s, begins)
        elif spec.per_s is not None:
            keys, late = (*keys, "per"), self.horizon.window(spec.per_s, self.horizon.ready_s)
        if late:
            self.problems.add(keys, late, self.horizon.hint)

    def _one_of(
        self, raw: Mapping[str, Any], names: Sequence[str], keys: Keys, purpose: str
    ) -> str | None:
        given = [name for name in names if name in raw]
        if len(given) == 1:
            return given[0]
        listed = ", ".join(names[:-1]) + f" or {names[-1]}"
        if not given and not misspelled(raw, ExpectTable, names):
            self.problems.add(keys, f"one of {listed} is missing: it {purpose}")
        for name in given[1:]:
            message = f"'{given[0]}' is there already: one of {listed} {purpose}"
            self.problems.add((*keys, name), message, of_key=True)
        return None

    def _devices(self, selectors: Sequence[str], keys: Keys) -> tuple[DeviceSelection, ...]:
        selections: list[DeviceSelection] = []
        for number, selector in enumerate(selectors):
            place = keys if len(selectors) == 1 else (*keys, number)
            if self.listed > MOST_LISTED:
                break
            try:
                selection = select(selector, self.counts, self.seed)
            except SelectorError as error:
                if error.fleet not in self.doubtful:
                    self.problems.add(place, str(error), error.hint)
            except ValueError as error:
                self.problems.add(place, str(error))
            else:
                selections.append(selection)
                drawn = not isinstance(selection.indexes, range)
                self.listed += len(selection.indexes) if drawn else 0
        self.listed += listed(selections)
        if self.listed > MOST_LISTED:
            message = f"more than {MOST_LISTED} devices in shares, and in lists of a fleet's parts"
            self.problems.add(keys, message)
            return ()
        return merged(selections)

    def _schema(
        self, devices: Sequence[DeviceSelection], direction: str, layer: str, keys: Keys
    ) -> Any:
        """Of the messages that are looked at; None if their fields are not known."""
        fleets = [self.fleets[selection.fleet] for selection in devices]
        protocols = [service.protocol for fleet in fleets for service in fleet.services]
        if any(fleet.name in self.mute for fleet in fleets):
            return None
        if not protocols:
            if fleets:
                self.problems.add(keys, "these devices have no protocol, so they have no messages")
            return None
        found = (_schema_of(one, direction, layer) for one in protocols)
        schemas = {id(schema): schema for schema in found}
        first, *others = schemas.values()
        return JointSchema([first, *others]) if others else first

    def _match(
        self,
        spec: Any,
        devices: Sequence[DeviceSelection],
        schema: Any,
        keys: Keys,
        *,
        undecodable: bool = False,
    ) -> Matcher:
        names = self._names([self.fleets[selection.fleet] for selection in devices])

        def report(inner: Keys, message: str, hint: str) -> None:
            of_key = message.startswith("unknown")
            self.problems.add(keys + inner, message, hint, of_key=of_key)

        return compile_match(spec, schema, names, undecodable_allowed=undecodable, report=report)

    def _names(self, fleets: Sequence[FleetSpec]) -> Names:
        """What expressions can name: what all of the devices have."""
        names = [expression_names(fleet) for fleet in fleets]
        signals = set.intersection(*(set(one.signals) for one in names)) if names else set()
        states = [set(one.state) for one in names if one.state is not None]
        known = states and not any(fleet.name in self.doubtful for fleet in fleets)
        return Names(signals, set.intersection(*states) if known else None)

    def _count(self, value: Any, keys: Keys) -> tuple[int | None, int | None]:
        if value is None:
            return None, None
        exact = isinstance(value, int) and not isinstance(value, bool)
        if not exact and not isinstance(value, dict):
            self.problems.add(keys, "must be a number, or a table such as { min = 1, max = 3 }")
            return None, None
        raw = {"min": value, "max": value} if exact else value
        table = check(CountTable, raw, keys, self.problems)
        if table is None:
            return None, None
        if not raw:
            self.problems.add(keys, "needs 'min' or 'max', or is a number itself")
        elif not table.min and table.max is None:
            self.problems.add(keys, "asks nothing: at least 0 always come")
        elif table.min is not None and table.max is not None and table.min > table.max:
            self.problems.add((*keys, "min"), "min is greater than max")
        return table.min, table.max

    def _gateway(
        self, table: ExpectTable, raw: Mapping[str, Any], name: str, place: str, keys: Keys
    ) -> ExpectSpec | None:
        for key in raw:
            if key not in ("name", "gateway", "within", "severity"):
                message = "an expectation of the gateway says nothing about devices"
                self.problems.add((*keys, key), message, of_key=True)
        inner = (*keys, "gateway")
        if self.gateway is None or not self.gateway.command:
            message = "there is no process to look at: [gateway] has no 'command'"
            self.problems.add(inner, message, of_key=True)
        if table.gateway is None:
            return None
        asked = check(GatewayExpectTable, table.gateway, inner, self.problems)
        if asked is None:
            return None
        if not table.gateway:
            self.problems.add(inner, "asks nothing: give it 'running', 'exit' or 'stdout'")
        if asked.running is True and asked.exit is not None:
            self.problems.add((*inner, "exit"), "what is running has not exited", of_key=True)
        self._check_exit(asked, (*inner, "exit"))
        contains, regex, without = self._stdout(asked.stdout, (*inner, "stdout"))
        if table.within is not None and not contains and regex is None:
            message = "'within' is for what 'stdout' must contain"
            self.problems.add((*keys, "within"), message, of_key=True)
        built = ExpectSpec(
            name=name,
            kind="gateway",
            within_s=table.within,
            gateway=GatewayExpectation(asked.running, asked.exit, contains, regex, without),
            severity=table.severity,
            place=place,
        )
        self._check_windows(built, keys)
        return built

    def _check_exit(self, asked: GatewayExpectTable, keys: Keys) -> None:
        """An exit that is not the one of ``[gateway]`` is a crash, which fails the run anyhow."""
        if asked.exit is None or self.gateway is None:
            return
        right = self.gateway.expect_exit or 0
        if asked.exit != right:
            message = f"with this status, the gateway has crashed: its 'expect_exit' is {right}"
            self.problems.add(keys, message, f"write expect_exit = {asked.exit} in [gateway]")

    def _stdout(self, value: Any, keys: Keys) -> tuple[str, Pattern | None, Pattern | None]:
        if value is None:
            return "", None, None
        raw = {"contains": value} if isinstance(value, str) else value
        table = check(StdoutTable, raw, keys, self.problems)
        if table is None:
            return "", None, None
        if not raw:
            self.problems.add(keys, "asks nothing: give it 'contains', 'regex' or 'not'")
        return table.contains or "", table.regex, table.not_
