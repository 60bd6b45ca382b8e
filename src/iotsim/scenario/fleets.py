"""``[devices.NAME]``: templates, addresses, protocols, state, data, and the fleet made of them.

Addresses come first (`FleetPlan`), since placeholders in the rest of the file show them; the rest
is built when those are filled in.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from iotsim.device.spec import BehaviorSpec, FleetSpec, RuleSpec, ServiceSpec
from iotsim.errors import ProtocolError
from iotsim.match.literal import LiteralError, literal
from iotsim.protocol.registry import load_protocol
from iotsim.scenario.addresses import plan_runs
from iotsim.scenario.csvdata import FileError, read_rows, read_text
from iotsim.scenario.messages import TemplateBuilder
from iotsim.scenario.network import build_network
from iotsim.scenario.rules import STATE_NAME, RuleBuilder, check_destination
from iotsim.scenario.schema import BootTable, DeviceTable, ProtocolTable, check
from iotsim.scenario.signals import build_signals

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from iotsim.scenario.problems import Problems
    from iotsim.scenario.toml import Keys

FLEET_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}", re.ASCII)
_BEHAVIOR = re.compile(r"(?P<file>.+\.py):(?P<name>[A-Za-z_]\w*)", re.ASCII)
MOST_SERVICES = 64


@dataclass(frozen=True)
class FleetPlan:
    """What is known of a fleet before placeholders are filled in."""

    name: str
    raw: Mapping[str, Any]
    table: DeviceTable
    spec: FleetSpec
    """Name, count, runs, services and data."""
    sound: bool
    """Whether nothing is wrong so far. Else the count, at least, is in doubt."""
    speaks: bool
    """Whether all its protocols could be had. Else it is not known what its messages are."""


def plan_fleet(
    name: str, raw: Mapping[str, Any], folder: Path, problems: Problems
) -> FleetPlan | None:
    """Check the table and plan its addresses; None if it is no table for devices."""
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
    data = _data(table.data, folder, (*keys, "data"), problems)
    count = table.count
    if count is None and data:
        count = len(data)
    if "address" not in raw and not table.dhcp:
        problems.add(keys, "the key 'address' is missing")
    count, runs = plan_runs(table.address or [], count, (*keys, "address"), problems)
    if data and len(data) < count:
        problems.add((*keys, "data"), f"has {len(data)} rows for {count} devices")
    sound = len(problems) == before
    before = len(problems)
    services = _services(table, folder, keys, problems)
    spec = FleetSpec(
        name=name,
        count=count,
        runs=runs,
        services=services,
        data=data[:count],
        network=build_network(table, count, runs, keys, problems),
    )
    return FleetPlan(name, raw, table, spec, sound, speaks=len(problems) == before)


def build_fleet(plan: FleetPlan, raw: Any, folder: Path, problems: Problems) -> FleetSpec:
    """The whole fleet; `raw` is its table with placeholders filled in."""
    keys: Keys = ("devices", plan.name)
    table = plan.table if raw is plan.raw else check(DeviceTable, raw, keys, problems) or plan.table
    spec = plan.spec
    signals = build_signals(table.signals, folder, (*keys, "signals"), problems)
    builder = RuleBuilder(spec.services, signals, problems)
    rules = []
    for number, rule in enumerate(table.rules if plan.speaks else ()):
        built = builder.build(rule, (*keys, "rules", number))
        if built is not None:
            rules.append(built)
    delay, ramp, announcement = None, 0.0, None
    if table.boot is not None:
        boot_keys = (*keys, "boot")
        boot = check(BootTable, table.boot, boot_keys, problems)
        if boot is not None and plan.speaks:
            delay, ramp = boot.delay, boot.ramp
            announcement = _announcement(boot, table.boot, spec, signals, boot_keys, problems)
    return replace(
        spec,
        signals=signals,
        state=_state(table.state, spec, (*keys, "state"), problems),
        rules=tuple(rules) if announcement is None else (announcement, *rules),
        behavior=_behavior(table.behavior, plan, folder, (*keys, "behavior"), problems),
        boot_delay=delay,
        ramp_s=ramp,
    )


def _announcement(
    boot: BootTable,
    raw: Mapping[str, Any],
    spec: FleetSpec,
    signals: Mapping[str, Any],
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
    builder = TemplateBuilder(spec.services[0].protocol, signals, problems, has_message=False)
    messages = builder.build_all(boot.announce, (*keys, "announce"), raw["announce"])
    return RuleSpec(name="announcement", send=messages, to=boot.to, after=0.0)


def _services(
    table: DeviceTable, folder: Path, keys: Keys, problems: Problems
) -> tuple[ServiceSpec, ...]:
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
        service = _service(entry, None if listed else table.port, folder, place, problems)
        if service is None:
            continue
        if any(service.port == other.port for other in services):
            problems.add(
                place, f"port {service.port} is taken by another protocol of these devices"
            )
        services.append(service)
    return tuple(services)


def _service(
    entry: Any, port: int | None, folder: Path, keys: Keys, problems: Problems
) -> ServiceSpec | None:
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
        protocol = load_protocol(name[:200], [folder]).protocol
    except ProtocolError as error:
        problems.add(keys, str(error))
        return None
    return ServiceSpec(protocol, port or protocol.port)


def _state(
    table: Mapping[str, Any], spec: FleetSpec, keys: Keys, problems: Problems
) -> Mapping[str, Any]:
    state = {}
    for name, value in table.items():
        here = (*keys, name)
        if not STATE_NAME.fullmatch(name):
            problems.add(here, f"'{name[:100]}' is no name for state", of_key=True)
        elif isinstance(value, str) and value.startswith("="):
            problems.add(here, "state begins with literals", "an expression can stand in 'set'")
        elif spec.data and name in spec.data[0]:
            problems.add(here, f"'{name}' is a column of the data file, too", of_key=True)
        else:
            try:
                state[name] = literal(value, None)
            except LiteralError as error:
                problems.add(here, str(error), error.hint)
    return MappingProxyType(state)


def _data(
    name: str | None, folder: Path, keys: Keys, problems: Problems
) -> tuple[Mapping[str, Any], ...]:
    if name is None:
        return ()
    path = folder / name
    try:
        rows = read_rows(read_text(path))
    except FileError as error:
        if error.line:
            problems.add_in(str(path), error.line, str(error))
        else:
            problems.add(keys, f"{name}: {error}")
        return ()
    if not rows:
        problems.add(keys, f"{name}: has no rows under its header")
    return tuple(map(MappingProxyType, rows))


def _behavior(
    text: str | None, plan: FleetPlan, folder: Path, keys: Keys, problems: Problems
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
    path = folder / match["file"]
    try:
        found = path.is_file()
    except ValueError:
        found = False  # a zero byte in its name
    if not found:
        problems.add(keys, f"{match['file'][:200]}: there is no such file")
        return None
    return BehaviorSpec(path, match["name"], problems.where(keys))


def inherit(devices: Mapping[str, Any], problems: Problems) -> dict[str, Any]:
    """The tables of ``devices`` with ``extends`` resolved.

    An heir has all keys of its template and may replace each; signals, state and boot are merged by
    name, and its own rules come before the template's. What a template lacks an address for is no
    fleet, and is left out.
    """
    resolved: dict[str, Any] = {}
    templates: set[str] = set()
    for name in devices:
        _resolve(name, devices, resolved, templates, (), problems)
    return {
        name: table
        for name, table in resolved.items()
        if not (
            name in templates
            and isinstance(table, dict)
            and "address" not in table
            and "dhcp" not in table
        )
    }


MERGED = ("signals", "state", "boot")
MOST_HEIRS = 32


def _resolve(
    name: str,
    devices: Mapping[str, Any],
    resolved: dict[str, Any],
    templates: set[str],
    heirs: tuple[str, ...],
    problems: Problems,
) -> Any:
    if name in resolved:
        return resolved[name]
    table = devices[name]
    base_name = table.get("extends") if isinstance(table, dict) else None
    if not isinstance(base_name, str):
        resolved[name] = table
        return table
    place = ("devices", name, "extends")
    if base_name in (*heirs, name) or len(heirs) >= MOST_HEIRS:
        problems.add(place, "extends itself" if base_name in (*heirs, name) else "too many heirs")
        resolved[name] = {key: value for key, value in table.items() if key != "extends"}
        return resolved[name]
    if base_name not in devices:
        problems.add(place, f"there is no template '{base_name[:100]}'")
        resolved[name] = {key: value for key, value in table.items() if key != "extends"}
        return resolved[name]
    templates.add(base_name)
    base = _resolve(base_name, devices, resolved, templates, (*heirs, name), problems)
    resolved[name] = _merge(name, table, base_name, base, problems)
    return resolved[name]


def _merge(
    name: str, table: dict[str, Any], base_name: str, base: Any, problems: Problems
) -> dict[str, Any]:
    merged = {key: value for key, value in table.items() if key != "extends"}
    if not isinstance(base, dict):
        return merged
    mine: Keys = ("devices", name)
    theirs: Keys = ("devices", base_name)
    for key, value in base.items():
        own = merged.get(key)
        if key not in merged:
            merged[key] = value
            problems.inherited[(*mine, key)] = problems.origin((*theirs, key))
        elif key in MERGED and isinstance(own, dict) and isinstance(value, dict):
            merged[key] = {**value, **own}
            for inner in value.keys() - own.keys():
                problems.inherited[(*mine, key, inner)] = problems.origin((*theirs, key, inner))
        elif key == "rules" and isinstance(own, list) and isinstance(value, list):
            merged[key] = own + value
            for number in range(len(value)):
                here = (*mine, key, len(own) + number)
                problems.inherited[here] = problems.origin((*theirs, key, number))
    return merged
