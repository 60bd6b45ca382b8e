"""``[[expect]]``: who, what message, and how often or when."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from iotsim.expect.kinds import KINDS
from iotsim.expect.northbound import services_of
from iotsim.expect.spec import ExpectSpec, Layer
from iotsim.scenario.chains import Chains, DeliveredTable, LatencyTable, PartTable
from iotsim.scenario.gateway_expectations import GatewayExpectTable, gateway_expectation
from iotsim.scenario.horizon import horizon_of
from iotsim.scenario.looks import Looks, Subject
from iotsim.scenario.messages import names_request
from iotsim.scenario.order import check_order, check_windows
from iotsim.scenario.schema import (
    Duration,
    Holds,
    Match,
    Model,
    Table,
    Text,
    Texts,
    check,
    misspelled,
)
from iotsim.scenario.scopes import READY, tell_reserved
from iotsim.scenario.selectors import Selectors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from iotsim.expect.spec import LatencyExpectation, Look
    from iotsim.scenario.loading import Loading
    from iotsim.scenario.model import Scenario
    from iotsim.scenario.toml import Keys

CHAINS = ("sequence", "latency", "delivered")
"""The kinds that are about several messages, and say themselves about which."""
QUANTIFIERS = ("each", "any", "all", "none", "device")
MOST_EXPECTATIONS = 10_000


def is_list(value: Any) -> Any:
    if not isinstance(value, list):
        raise ValueError("must be a list of tables, such as [{ receives = {} }, { sends = {} }]")
    return value


class CountTable(Model):
    min: Annotated[int, Field(ge=0, le=1 << 53)] | None = None
    max: Annotated[int, Field(ge=0, le=1 << 53)] | None = None


class ExpectTable(Model):
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
    northbound: Text | None = None
    sequence: (
        Annotated[list[Any], BeforeValidator(is_list), Holds(PartTable, several=True)] | None
    ) = None
    latency: Annotated[Table, Holds(LatencyTable)] | None = None
    delivered: Annotated[Table, Holds(DeliveredTable)] | None = None
    after: Annotated[Text, Field(min_length=1)] | None = None
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
        if built.name == READY:
            tell_reserved(("expect", number, "name"), problems)
        if built.name in names:
            message = f"there is an expectation '{built.name[:100]}' already"
            problems.add(("expect", number, "name"), message)
        names.add(built.name)
        expectations.append(built)
    check_order(expectations, loading, several=builder.queues != 1)
    return replace(scenario, expectations=tuple(expectations))


class ExpectBuilder:
    """Builds the expectations of one scenario."""

    def __init__(self, scenario: Scenario, loading: Loading) -> None:
        self.fleets = {fleet.name: fleet for fleet in scenario.fleets}
        self.selectors = Selectors(scenario, loading)
        self.gateway = scenario.gateway
        self.queues = scenario.link.queues
        self.looks = Looks(scenario, loading)
        self.horizon = horizon_of(scenario, loading)
        self.problems = loading.problems

    def build(self, raw: Any, keys: Keys) -> ExpectSpec | None:
        table = check(ExpectTable, raw, keys, self.problems)
        if table is None:
            return None
        name = table.name or f"expectation {int(keys[-1]) + 1}"
        place = self.problems.where(keys)
        if "gateway" in raw:
            built = gateway_expectation(table, raw, self.gateway, keys, self.horizon, self.problems)
            if built is None:
                return None
            built = replace(built, name=name, severity=table.severity, place=place)
            self._check_windows(built, keys)
            return built
        return self._messages(table, raw, name, place, keys)

    def _messages(
        self, table: ExpectTable, raw: Mapping[str, Any], name: str, place: str, keys: Keys
    ) -> ExpectSpec | None:
        kind: Any = self._kind(raw, keys)
        quantifier, subject = self._subject(table, raw, keys)
        if kind in CHAINS:
            for key in ("receives", "sends"):
                if key in raw:
                    message = f"'{kind}' says itself of which messages"
                    self.problems.add((*keys, key), message, of_key=True)
            direction: str | None = ""
        elif subject.service:
            direction = self._one_of(raw, ("receives",), keys, "says of which messages")
        else:
            direction = self._one_of(raw, ("receives", "sends"), keys, "says of which messages")
        if kind is None or quantifier is None or direction is None:
            return None
        if table.per is not None and kind != "count":
            self.problems.add((*keys, "per"), "'per' is for 'count'", of_key=True)
        least, most = self._count(table.count, (*keys, "count"))
        if not subject.devices:
            return None
        built = ExpectSpec(
            name=name,
            kind=kind,
            quantifier=quantifier,  # type: ignore[arg-type]
            devices=subject.devices,
            layer=table.layer,
            within_s=table.within,
            count_min=least,
            count_max=most,
            per_s=table.per,
            after=table.after or "",
            asks=names_request(raw),
            severity=table.severity,
            place=place,
        )
        if kind in CHAINS:
            return self._chain(built, table, subject, keys)
        look = self.looks.look(
            subject,
            direction,  # type: ignore[arg-type]
            table.layer,
            getattr(table, direction),
            (*keys, direction),
        )
        always = None
        if table.always is not None:
            inner = (*keys, "always")
            always = self.looks.match(table.always, subject, direction, table.layer, inner)
            if look.matcher.undecodable:
                self.problems.add(inner, "what cannot be decoded has no fields")
            if not table.always:
                message = "asks nothing: name a field that every message must have"
                self.problems.add(inner, message)
        built = replace(built, direction=look.direction, matcher=look.matcher, always=always)
        self._check_windows(built, keys)
        self._check_queues(built, keys)
        return built

    def _kind(self, raw: Mapping[str, Any], keys: Keys) -> str | None:
        # With a sequence, it is when that must be over.
        given = [key for key in raw if key != "within"] if "sequence" in raw else raw
        return self._one_of(dict.fromkeys(given), tuple(KINDS), keys, "says what is expected")

    def _subject(
        self, table: ExpectTable, raw: Mapping[str, Any], keys: Keys
    ) -> tuple[str | None, Subject]:
        """The quantifier, and whose messages are meant."""
        if table.northbound is None:
            quantifier = self._one_of(raw, QUANTIFIERS, keys, "says of which devices")
            if quantifier is None:
                return None, Subject(())
            named = getattr(table, quantifier) or []
            devices = self.selectors.find(named, (*keys, quantifier))
            if quantifier == "device" and sum(len(one.indexes) for one in devices) > 1:
                self.problems.add(
                    (*keys, "device"), "names more than one device", "write each, any, all or none"
                )
            return quantifier, Subject(devices)
        service = self.looks.service(table.northbound, (*keys, "northbound"))
        for key in (*QUANTIFIERS, "sends", "layer"):
            if key in raw:
                message = "an expectation of a northbound service says nothing about devices"
                self.problems.add((*keys, key), message, of_key=True)
        if "delivered" in raw:
            message = "'delivered' names the service itself, and needs a quantifier over devices"
            self.problems.add((*keys, "delivered"), message, of_key=True)
            return None, Subject(())
        return "device", Subject(self.looks.of_service(service) if service else (), service)

    def _chain(
        self, built: ExpectSpec, table: ExpectTable, subject: Subject, keys: Keys
    ) -> ExpectSpec | None:
        """A sequence, a latency, or what is delivered."""
        chains, kind = Chains(self.looks, subject, table.layer), built.kind
        inner = (*keys, kind)
        if built.quantifier == "none" and kind != "sequence":
            message = f"'none' would want '{kind}' to be broken by every device: write 'each'"
            self.problems.add((*keys, "none"), message, of_key=True)
        first: Look | None = None
        if kind == "sequence":
            built = replace(built, parts=chains.sequence(table.sequence or [], inner))
            first = built.parts[0].look if built.parts else None
        elif kind == "latency":
            latency = chains.latency(table.latency, inner)
            built = replace(built, latency=latency, asks=built.asks or _needs_exchange(latency))
            first = None if latency is None else latency.start
        else:
            delivered = chains.delivered(table.delivered, inner)
            built = replace(built, delivered=delivered)
            first = None if delivered is None else delivered.sent
        if first is None:
            return None
        built = replace(built, direction=first.direction, matcher=first.matcher, layer=first.layer)
        self._check_windows(built, keys)
        self._check_queues(built, keys)
        return built

    def _check_queues(self, spec: ExpectSpec, keys: Keys) -> None:
        """With several queues, each process sees a part of the devices, and one of them the services."""
        if self.queues == 1 or spec.service:
            return
        if spec.quantifier == "all" and not KINDS[spec.kind].pools:
            message = (
                f"with several queues, each process sees some of the devices only, and what they see "
                f"cannot be put together to one '{spec.kind}'"
            )
            self.problems.add((*keys, "all"), message, "write queues = 1 in [link]", of_key=True)
        if services_of(spec):
            message = (
                "with several queues, no process sees both devices and a northbound service, "
                "so that these cannot be compared"
            )
            self.problems.add(
                (*keys, spec.kind), message, "write queues = 1 in [link]", of_key=True
            )

    def _check_windows(self, spec: ExpectSpec, keys: Keys) -> None:
        """A window that cannot be over before the run is decides nothing. When those with an ``after`` begin
        is known later: see `iotsim.scenario.order`."""
        if spec.after:
            return
        pooled = spec.quantifier == "all"
        begins = max(
            (
                self.horizon.boots(self.fleets[selection.fleet], selection.indexes[-1]).high_s
                for selection in (() if pooled or spec.service else spec.devices)
            ),
            default=0.0,
        )
        begins = max(begins, self.horizon.ready_s)
        check_windows(spec, keys, begins, self.horizon, self.problems)

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


def _needs_exchange(latency: LatencyExpectation | None) -> bool:
    """Whether it helps to know which message answers which."""
    return (
        latency is not None
        and (latency.start.direction, latency.stop.direction) == ("receives", "sends")
        and not latency.stop.service
    )
