"""``[devices.NAME]``: templates, addresses, protocols, state, data, and the fleet made of them.

Addresses come first (`FleetPlan`), since placeholders in the rest of the file show them; the rest
is built when those are filled in.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, WithJsonSchema

from iotsim.device.spec import BehaviorSpec, FleetSpec, RuleSpec, ServiceSpec
from iotsim.errors import ProtocolError
from iotsim.match import Names
from iotsim.match.literal import LiteralError, literal
from iotsim.match.operators import holds_expression
from iotsim.protocol.registry import load_protocol
from iotsim.scenario.addresses import check_overlaps, check_reach, plan_blocks, relocate
from iotsim.scenario.csvdata import FileError
from iotsim.scenario.horizon import horizon_of
from iotsim.scenario.messages import TemplateBuilder
from iotsim.scenario.models import build_models, check_models
from iotsim.scenario.network import build_network, check_network, in_groups
from iotsim.scenario.rules import STATE_NAME, RuleBuilder, RuleTable, check_destination
from iotsim.scenario.schema import (
    Duration,
    Holds,
    Messages,
    Model,
    Port,
    Range,
    Table,
    Tables,
    Text,
    Texts,
    check,
)
from iotsim.scenario.signals import build_signals, signals_schema
from iotsim.scenario.sleep import SleepTable, build_sleep
from iotsim.scenario.templates import inherit
from iotsim.scenario.trial import device_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iotsim.protocol.device import Device
    from iotsim.scenario.csvdata import Rows
    from iotsim.scenario.horizon import Horizon
    from iotsim.scenario.loading import Loading
    from iotsim.scenario.model import LinkSpec, Scenario
    from iotsim.scenario.problems import Problems
    from iotsim.scenario.toml import Keys

FLEET_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}", re.ASCII)
_BEHAVIOR = re.compile(r"(?P<file>.+\.py):(?P<name>[A-Za-z_]\w*)", re.ASCII)
MOST_SERVICES = 64
MOST_FLEETS = 1000
LEAST_LOOPBACK_PORT = 1024


class BootTable(Model):
    delay: Range | None = None
    ramp: Duration = 0.0
    announce: Messages | None = None
    to: Text = "gateway"
    with_: Annotated[Literal["gateway", "run"], Field(alias="with")] = "gateway"


class ProtocolTable(Model):
    name: Text
    port: Port | None = None


class DeviceTable(Model):
    count: Annotated[int, Field(ge=1, le=1 << 24)] | None = None
    address: Texts | None = None
    extends: Text | None = None
    protocol: Annotated[Any, Holds(ProtocolTable, {"type": "string"}, several=True)] = None
    port: Port | None = None
    signals: Annotated[Table, WithJsonSchema(signals_schema())] = {}
    state: Table = {}
    model: Table = {}
    rules: Annotated[Tables, Holds(RuleTable, several=True)] = []
    behavior: Text | None = None
    data: Text | None = None
    boot: Annotated[Table, Holds(BootTable)] | None = None
    mac: Text | None = None
    hops: Texts = []
    path_mtu: Annotated[int, Field(ge=68, le=65535)] | None = None
    groups: Texts = []
    silent: bool = False
    dhcp: bool = False
    power: Annotated[Table, Holds(SleepTable)] | None = None


@dataclass(frozen=True)
class FleetPlan:
    """What is known of a fleet before placeholders are filled in."""

    name: str
    table: DeviceTable
    spec: FleetSpec
    """Name, count, blocks, services and data."""
    sound: bool
    """Whether nothing is wrong so far. Else the count, at least, is in doubt."""
    speaks: bool
    """Whether all its protocols could be had. Else it is not known what its messages are."""


def plan_fleets(scenario: Scenario, loading: Loading) -> Scenario:
    """The fleets as far as others need them: counts, addresses on the link, and services."""
    problems, tables = loading.problems, loading.tables["devices"]
    if len(tables) > MOST_FLEETS:
        problems.add(("devices",), f"more than {MOST_FLEETS} fleets")
        tables = {}
    tables = loading.tables["devices"] = inherit(tables, problems)
    plans = [
        plan for name, table in tables.items() if (plan := _plan(name, table, loading)) is not None
    ]
    loading.plans = _placed(plans, scenario.link, problems, check=loading.link_sound)
    if loading.link_sound:
        check_network(scenario.link, [plan.spec for plan in loading.plans], problems)
    if scenario.link.kind != "loopback":  # which has no groups
        loading.plans = [replace(plan, spec=in_groups(plan.spec)) for plan in loading.plans]
    return replace(scenario, fleets=tuple(plan.spec for plan in loading.plans))


def build_fleets(scenario: Scenario, loading: Loading) -> Scenario:
    tables = loading.tables["devices"]
    horizon = horizon_of(scenario, loading)
    fleets = (_build(plan, tables[plan.name], horizon, loading) for plan in loading.plans)
    return replace(scenario, fleets=tuple(fleets))


def _placed(
    plans: list[FleetPlan], link: LinkSpec, problems: Problems, *, check: bool
) -> list[FleetPlan]:
    """The plans with addresses that are right for `link`, which is to `check`."""
    blocks = []
    for plan in plans:
        listed = len(plan.spec.blocks) > 1
        for number, block in enumerate(plan.spec.blocks):
            keys: Keys = ("devices", plan.name, "address")
            blocks.append((block, (*keys, number) if listed else keys, plan.name))
    check_overlaps(blocks, problems)
    if link.kind != "loopback":
        for block, keys, _ in blocks if check else ():
            check_reach(link, block, keys, problems)
        return plans
    for plan in plans:
        for service in plan.spec.services:
            if service.port < LEAST_LOOPBACK_PORT:
                message = f"port {service.port}: the loopback link has none below 1024"
                problems.add(("devices", plan.name, "protocol"), message)
    try:
        moved = relocate([plan.spec for plan in plans])
    except ValueError as error:
        problems.add(("devices",), str(error))
        return plans
    return [replace(plan, spec=spec) for plan, spec in zip(plans, moved, strict=True)]


def _plan(name: str, raw: Any, loading: Loading) -> FleetPlan | None:
    """Check the table and plan its addresses; None if it is no table for devices."""
    problems = loading.problems
    keys: Keys = ("devices", name)
    before = len(problems)
    if not FLEET_NAME.fullmatch(name):
        problems.add(
            keys,
            f"'{name[:100]}' is no name for devices",
            "letters, digits, _ and -, beginning with a letter",
            of_key=True,
        )
        return None
    table = check(DeviceTable, raw, keys, problems)
    if table is None:
        return None
    data = _data(table.data, (*keys, "data"), loading)
    count = table.count
    if count is None and data:
        count = len(data)
    if "address" not in raw and not table.dhcp:
        problems.add(keys, "the key 'address' is missing")
    count, blocks = plan_blocks(table.address or [], count, (*keys, "address"), problems)
    if data and len(data) < count:
        problems.add((*keys, "data"), f"has {len(data)} rows for {count} devices")
    sound = len(problems) == before
    before = len(problems)
    services = _services(table, keys, loading)
    spec = FleetSpec(
        name=name,
        count=count,
        blocks=blocks,
        services=services,
        data=data[:count],
        network=build_network(table, count, blocks, keys, problems),
    )
    return FleetPlan(name, table, spec, sound, speaks=len(problems) == before)


def _build(plan: FleetPlan, raw: Any, horizon: Horizon, loading: Loading) -> FleetSpec:
    """The whole fleet; `raw` is its table with placeholders filled in."""
    problems = loading.problems
    keys: Keys = ("devices", plan.name)
    table = check(DeviceTable, raw, keys, problems) or plan.table
    spec = replace(
        plan.spec,
        signals=build_signals(table.signals, (*keys, "signals"), loading),
        state=_state(table.state, plan.spec, (*keys, "state"), problems),
        behavior=_behavior(table.behavior, plan, (*keys, "behavior"), problems),
    )
    if table.power is not None:
        spec = replace(spec, power=build_sleep(table.power, (*keys, "power"), problems))
    boot = None
    if table.boot is not None:
        boot = check(BootTable, table.boot, (*keys, "boot"), problems)
    if boot is not None:
        spec = replace(
            spec, boot_delay=boot.delay, ramp_s=boot.ramp, boot_with_run=boot.with_ == "run"
        )
        if late := horizon.moment(horizon.boots(spec, spec.count - 1).high_s):
            message = f"the last of these would boot too late: {late}"
            problems.add((*keys, "boot"), message, horizon.hint)
            spec = replace(spec, boot_delay=None, ramp_s=0.0)
    if not plan.speaks:
        return spec
    state_known = plan.sound and table.behavior is None
    names = expression_names(spec) if state_known else Names(spec.signals)
    boot_s = horizon.boots(spec, 0).low_s
    setting = (*table.rules, *loading.tables.get("step", ()))
    unsure = {name for one in setting if isinstance(one, dict) for name in _set_by(one)}
    sure = partial(device_of, spec, unsure if state_known else None)
    device = sure(0)
    services = build_models(table.model, spec.services, names, (*keys, "model"), problems)
    check_models(services, spec.count, sure, (*keys, "model"), problems)
    spec = replace(spec, services=services)
    builder = RuleBuilder(spec.services, names, horizon, boot_s, problems, device)
    rules = []
    if boot is not None:
        announcement = _announcement(
            boot, table.boot, spec, names, device, (*keys, "boot"), problems
        )
        rules = [] if announcement is None else [announcement]
    for number, rule in enumerate(table.rules):
        built = builder.build(rule, (*keys, "rules", number))
        if built is not None:
            rules.append(built)
            loading.rule_keys[built] = (*keys, "rules", number)
    return replace(spec, rules=tuple(rules))


def expression_names(fleet: FleetSpec) -> Names:
    """What expressions can name of devices that have no problem: a behavior may add to the state."""
    if fleet.behavior is not None:
        return Names(fleet.signals)
    columns = fleet.data[0] if fleet.data else ()
    return Names(fleet.signals, {*fleet.state, *columns})


def _set_by(one: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the table of a rule or a step, which may be wrong, sets."""
    table = one.get("set")
    return table if isinstance(table, dict) else {}


def _announcement(
    boot: BootTable,
    raw: Any,
    spec: FleetSpec,
    names: Names,
    device: Device,
    keys: Keys,
    problems: Problems,
) -> RuleSpec | None:
    """What a device sends as soon as it has booted, as a rule."""
    if boot.announce is None:
        if "to" in raw and "announce" not in raw:
            problems.add((*keys, "to"), "'to' is for 'announce'", of_key=True)
        return None
    if not spec.services:
        problems.add((*keys, "announce"), "these devices have no protocol, so they send nothing")
        return None
    with problems.at(*keys, "to"):
        check_destination(boot.to)
    builder = TemplateBuilder(spec.services[0], names, problems, has_message=False, device=device)
    messages = builder.build_all(boot.announce, (*keys, "announce"), raw["announce"])
    place = problems.where((*keys, "announce"))
    return RuleSpec(name="announcement", send=messages, to=boot.to, after=0.0, place=place)


def _services(table: DeviceTable, keys: Keys, loading: Loading) -> tuple[ServiceSpec, ...]:
    problems = loading.problems
    here = (*keys, "protocol")
    listed = isinstance(table.protocol, list)
    entries = table.protocol if listed else [table.protocol]
    if table.protocol is None:
        if table.port is not None:
            problems.add((*keys, "port"), "'port' is of no use without 'protocol'", of_key=True)
        return ()
    if not entries or len(entries) > MOST_SERVICES:
        problems.add(here, f"must name 1 to {MOST_SERVICES} protocols")
        return ()
    if listed and table.port is not None:
        problems.add(
            (*keys, "port"),
            "several protocols cannot share one port",
            'write protocol = [{ name = "...", port = ... }, ...]',
            of_key=True,
        )
    services: list[ServiceSpec] = []
    for number, entry in enumerate(entries):
        place = (*here, number) if listed else here
        service = _service(entry, None if listed else table.port, place, loading)
        if service is None:
            continue
        if any(service.port == other.port for other in services):
            problems.add(
                place, f"port {service.port} is taken by another protocol of these devices"
            )
        services.append(service)
    return tuple(services)


def _service(entry: Any, port: int | None, keys: Keys, loading: Loading) -> ServiceSpec | None:
    problems = loading.problems
    if isinstance(entry, dict):
        table = check(ProtocolTable, entry, keys, problems)
        if table is None:
            return None
        if table.port is not None and port is not None:
            problems.add((*keys, "port"), "'port' stands beside 'protocol', too", of_key=True)
        name, port, keys = table.name, table.port or port, (*keys, "name")
    elif isinstance(entry, str):
        name = entry
    else:
        problems.add(keys, "must be the name of a protocol, or { name = ..., port = ... }")
        return None
    try:
        found = load_protocol(name[:200], [problems.folder_at(keys), *loading.overrides.protocols])
    except ProtocolError as error:
        problems.add(keys, str(error))
        return None
    return ServiceSpec(found.protocol, port or found.protocol.port, found.vectors)


def _state(
    table: Mapping[str, Any], spec: FleetSpec, keys: Keys, problems: Problems
) -> Mapping[str, Any]:
    state: dict[str, Any] = {}
    for name, value in table.items():
        here = (*keys, name)
        if not STATE_NAME.fullmatch(name):
            problems.add(here, f"'{name[:100]}' is no name for state", of_key=True)
        elif holds_expression(value):
            problems.add(here, "state begins with literals", "an expression can stand in 'set'")
        elif spec.data and name in spec.data[0]:
            problems.add(here, f"'{name}' is a column of the data file, too", of_key=True)
        else:
            state[name] = None
            try:
                state[name] = literal(value, None)
            except LiteralError as error:
                problems.add(here, str(error), error.hint)
    return MappingProxyType(state)


def _data(name: str | None, keys: Keys, loading: Loading) -> Rows:
    if name is None:
        return ()
    path = loading.problems.folder_at(keys) / name
    try:
        rows = loading.files.rows(path)
    except FileError as error:
        loading.problems.add_file(keys, name, path, error)
        return ()
    if not rows:
        loading.problems.add(keys, f"{name[:200]}: has no rows under its header")
    return rows


def _behavior(
    text: str | None, plan: FleetPlan, keys: Keys, problems: Problems
) -> BehaviorSpec | None:
    """Where the behavior's class is; its file is not opened."""
    if text is None:
        return None
    match = _BEHAVIOR.fullmatch(text)
    if match is None:
        problems.add(keys, f"'{text[:100]}' names no class in a file", "write 'meter.py:Meter'")
        return None
    if plan.speaks and not plan.spec.services:
        problems.add(keys, "these devices have no protocol, so a behavior could say nothing")
    path = problems.folder_at(keys) / match["file"]
    try:
        found = path.is_file()
    except (OSError, ValueError):
        found = False  # too long, in a folder that is closed to us, or with a zero byte in it
    if not found:
        problems.add(keys, f"{match['file'][:200]}: there is no such file")
        return None
    return BehaviorSpec(path, match["name"], problems.where(keys))
