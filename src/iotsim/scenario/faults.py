"""``[[fault]]``: what is wrong with devices themselves."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from iotsim.device.spec import AddressBlock
from iotsim.impair import fault as f
from iotsim.match.fieldpath import indexed
from iotsim.scenario.addresses import check_reach
from iotsim.scenario.faulttable import (
    KINDS,
    OF_MESSAGES,
    OF_TIME,
    FaultTable,
    RebindTable,
    RebootTable,
    SkewTable,
)
from iotsim.scenario.fleets import LEAST_LOOPBACK_PORT
from iotsim.scenario.malforming import MalformBuilder
from iotsim.scenario.problems import nearest
from iotsim.scenario.schema import (
    check,
    misspelled,
)
from iotsim.scenario.scopes import tell_twice
from iotsim.scenario.sleep import build_sleep
from iotsim.units import parse_ip
from iotsim.wire.address import format_address, is_ipv4, parse_address

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from iotsim.device.spec import FleetSpec, ServiceSpec
    from iotsim.impair import Direction, EntrySpec, Test
    from iotsim.protocol.definition import Protocol
    from iotsim.protocol.malform import Malformer
    from iotsim.scenario.loading import Loading
    from iotsim.scenario.model import Scenario
    from iotsim.scenario.problems import Problems
    from iotsim.scenario.scopes import Layer, ScopeBuilder
    from iotsim.scenario.toml import Keys

MOST_FAULTS = 1000
MOST_COPIES = 10_000


@dataclass(frozen=True)
class FaultEntry:
    """A fault with what it is for. ``on_message`` tells that a message brings it on; else it lasts while the
    entry is in force, or, as a reboot, happens when that begins. ``malformers`` are those of the protocols
    of which it malforms messages, by (fleet, number of the service)."""

    entry: EntrySpec
    spec: f.FaultSpec
    on_message: bool = False
    malformers: Mapping[tuple[str, int], Malformer] = field(default_factory=dict)


def build_faults(scenario: Scenario, loading: Loading) -> Scenario:
    tables = loading.tables["fault"]
    if len(tables) > MOST_FAULTS:
        loading.problems.add(("fault",), f"more than {MOST_FAULTS} faults")
        return scenario
    builder = FaultBuilder(scenario, loading)
    built = [
        fault
        for number, raw in enumerate(tables)
        if (fault := builder.build(raw, ("fault", number))) is not None
    ]
    tell_twice([one.entry.name for one in built], "fault", loading.problems)
    _tell_floods(built, loading.problems)
    return replace(scenario, faults=(*scenario.faults, *built))


def _tell_floods(faults: Sequence[FaultEntry], problems: Problems) -> None:
    """Repeats of repeats must come to an end."""
    copies: Counter[str] = Counter()
    for number, one in enumerate(faults):
        if isinstance(one.spec, f.Repeat):
            for fleet in one.entry.devices:
                copies[fleet] = (copies[fleet] or 1) * (one.spec.times + 1)
                if copies[fleet] > MOST_COPIES:
                    message = (
                        f"with those before it a message of '{fleet}' leaves {copies[fleet]} times"
                    )
                    problems.add(("fault", number, "repeat"), message)
                    return


class FaultBuilder:
    """Builds the faults of a scenario, whose fleets are known."""

    def __init__(self, scenario: Scenario, loading: Loading) -> None:
        self.scopes: ScopeBuilder = loading.scopes(scenario)
        self.problems: Problems = loading.problems
        self.link = scenario.link
        self.fleets = {fleet.name: fleet for fleet in scenario.fleets}
        self.mute = loading.mute

    def build(self, raw: Any, keys: Keys, step: str = "") -> FaultEntry | None:
        """The fault that the table `raw` says; `step` is the one that brings it, if one does."""
        table = check(FaultTable, raw, keys, self.problems)
        if table is None:
            return None
        given = [kind for kind in KINDS if kind in raw]
        if not given:
            if not misspelled(raw, FaultTable, KINDS):
                self.problems.add(keys, f"it does nothing: give it one of {', '.join(KINDS)}")
            return None
        for kind in given[1:]:
            message = f"'{given[0]}' is there already: a fault is of one kind"
            self.problems.add((*keys, kind), message, "write another [[fault]]", of_key=True)
        kind = given[0]
        spec = self._spec(table, kind, keys)
        if spec is None:
            return None
        on_message = self._check_keys(table, raw, kind, spec, keys, step=step)
        directions: tuple[Direction, ...] = ()
        layer = _as_it_goes
        if isinstance(spec, f.Said):
            directions = ("from_device",)
        elif isinstance(spec, f.Slow | f.Refuse) or on_message:
            directions, layer = ("to_device",), _layer_of(spec)
        entry = self.scopes.build(
            table, raw, keys, kind="fault", directions=directions, layer=layer, step=step
        )
        if isinstance(spec, f.Offline | f.Sleep):
            # Whatever it would say.
            ways: dict[tuple[str, int, Direction], Test | None] = {
                (fleet.name, number, "from_device"): None
                for fleet in self.fleets_of(entry)
                for number in range(len(fleet.services))
            }
            entry = replace(entry, tests=MappingProxyType(ways))
        return self._fitted(FaultEntry(entry, spec, on_message), keys)

    def _check_keys(
        self,
        table: FaultTable,
        raw: Mapping[str, Any],
        kind: str,
        spec: f.FaultSpec,
        keys: Keys,
        *,
        step: str,
    ) -> bool:
        """Tell of keys that are none of this kind's; whether a message brings the fault on."""
        add = self.problems.add
        about_messages = [key for key in OF_MESSAGES if key in raw]
        if isinstance(spec, f.Condition):
            for key in about_messages:
                hint = "at, for, between and after say when"
                add((*keys, key), f"'{kind}' is about no messages", hint, of_key=True)
            return False
        if not isinstance(spec, f.Reboot):
            return isinstance(spec, f.Taken)
        if about_messages:
            return True
        if table.for_ is not None:
            hint = "write reboot = { down = ... }"
            add((*keys, "for"), "a reboot is over when the device is up again", hint, of_key=True)
        if not step and not any(key in raw for key in OF_TIME):
            add(keys, "it does not say when: give it 'at', 'after' or 'when'")
        return False

    # -- kinds -----------------------------------------------------------------------------------

    def _spec(self, table: FaultTable, kind: str, keys: Keys) -> f.FaultSpec | None:
        here = (*keys, kind)
        value = getattr(table, kind)
        if value is None:
            return None  # it is wrong, which is told
        match kind:
            case "offline":
                return f.Offline()
            case "mute":
                return f.Mute()
            case "reboot":
                return self._reboot(value, here)
            case "freeze":
                return self._freeze(value, here)
            case "stale":
                return f.StaleSignals(value)
            case "clock_skew":
                return self._clock_skew(value, here)
            case "slow":
                return f.Slow(value)
            case "repeat":
                return f.Repeat(value)
            case "truncate":
                return f.Truncate(value)
            case "extra":
                return f.Extra(value)
            case "raw":
                return f.Raw(value)
            case "malform":
                return self._malform(value, here)
            case "error":
                return f.Refuse(value)
            case "rebind":
                return self._rebind(value, here)
        return build_sleep(value, here, self.problems)

    def _reboot(self, value: Any, keys: Keys) -> f.Reboot | None:
        if value is True:
            return f.Reboot()
        if not isinstance(value, dict):
            self.problems.add(keys, 'must be true, or a table such as { down = "2s" }')
            return None
        table = check(RebootTable, value, keys, self.problems)
        return None if table is None else f.Reboot(table.down)

    def _freeze(self, value: Any, keys: Keys) -> f.Freeze | None:
        if value is True:
            return f.Freeze()
        names = value if isinstance(value, list) else [value]
        if not names or not all(isinstance(name, str) for name in names):
            self.problems.add(keys, 'must be true, or names of signals such as ["temperature"]')
            return None
        return f.Freeze(tuple(names))

    def _clock_skew(self, value: Any, keys: Keys) -> f.ClockSkew | None:
        table = check(SkewTable, value, keys, self.problems)
        if table is None:
            return None
        if not (value.keys() & {"offset", "drift"}):
            self.problems.add(keys, "it does nothing: give it 'offset' or 'drift'")
        return f.ClockSkew(table.offset, table.drift)

    def _rebind(self, value: Any, keys: Keys) -> f.Rebind | None:
        table = check(RebindTable, value, keys, self.problems)
        if table is None:
            return None
        if table.address is None and table.port is None:
            self.problems.add(keys, "it does nothing: give it 'address' or 'port'")
        addresses = []
        for text in table.address or ():
            with self.problems.at(*keys, "address"):
                parse_ip(text)
                addresses.append(parse_address(text))
        if len({is_ipv4(address) for address in addresses}) < len(addresses):
            self.problems.add((*keys, "address"), "names two addresses of the same version of IP")
            return None
        return f.Rebind(tuple(addresses), table.port or 0)

    def _malform(self, value: Mapping[str, Any], keys: Keys) -> f.Malform | None:
        if not value:
            self.problems.add(keys, "it does nothing: name fields, and what they shall be")
            return None
        return f.Malform({indexed(path): item for path, item in _leaves(value)})

    # -- what they must fit ------------------------------------------------------------------------

    def _fitted(self, fault: FaultEntry, keys: Keys) -> FaultEntry | None:
        """`fault`, with what it needs of the fleets that it is for."""
        spec = fault.spec
        if isinstance(spec, f.Freeze):
            self._check_signals(fault.entry, spec, (*keys, "freeze"))
        elif isinstance(spec, f.Refuse):
            return self._with_errors(fault, spec, (*keys, "error"))
        elif isinstance(spec, f.Rebind):
            self._check_places(fault.entry, spec, (*keys, "rebind"))
        elif isinstance(spec, f.Malform):
            return MalformBuilder(self, fault, (*keys, "malform")).build(spec)
        return fault

    def fleets_of(self, entry: EntrySpec) -> Iterator[FleetSpec]:
        return (self.fleets[name] for name in entry.devices)

    def services_of(
        self, entry: EntrySpec, direction: Direction
    ) -> Iterator[tuple[FleetSpec, int, ServiceSpec]]:
        """The services that an entry is for in a direction."""
        for name, number, way in entry.tests:
            if way == direction:
                fleet = self.fleets[name]
                yield fleet, number, fleet.services[number]

    def _check_signals(self, entry: EntrySpec, spec: f.Freeze, keys: Keys) -> None:
        fleets = list(self.fleets_of(entry))
        known = {signal for fleet in fleets for signal in fleet.signals}
        for number, name in enumerate(spec.names or ()):
            if fleets and name not in known:
                self.problems.add(
                    (*keys, number), f"there is no signal '{name[:100]}'", nearest(name, known)
                )

    def _with_errors(self, fault: FaultEntry, spec: f.Refuse, keys: Keys) -> FaultEntry:
        """For those services whose protocol has the error; one at least must."""
        tests = dict(fault.entry.tests)
        asked: dict[str, None] = {}
        known: dict[str, None] = {}
        for fleet, number, service in self.services_of(fault.entry, "to_device"):
            errors = service.protocol.errors
            asked[service.protocol.name] = None
            if errors is None or spec.error not in errors.names:
                del tests[fleet.name, number, "to_device"]
                known |= dict.fromkeys(errors.names if errors is not None else ())
        if asked and not tests:
            names = " and ".join(asked)
            if known:
                hint = nearest(spec.error, known)
                hint = hint if hint.startswith("did") else f"it has {', '.join(known)}"
                self.problems.add(keys, f"{names} has no error '{spec.error[:100]}'", hint)
            else:
                hint = "a rule can answer what it likes; a protocol's file declares them by errors"
                self.problems.add(keys, f"{names} declares no error replies", hint)
        return replace(fault, entry=replace(fault.entry, tests=tests))

    def _check_places(self, entry: EntrySpec, spec: f.Rebind, keys: Keys) -> None:
        """Where devices move to there must be nobody."""
        add = self.problems.add
        count = sum(len(indexes) for indexes in entry.devices.values())
        if len(entry.devices) > 1:
            add(keys, "it is for devices of several fleets", "write a [[fault]] for each")
            return
        for fleet in self.fleets_of(entry):
            services = [service.port for service in fleet.services]
            here = (*keys, "port")
            if spec.port and len(services) != 1:
                add(here, f"'{fleet.name}' has {len(services)} protocols, and one port is given")
            elif spec.port in services:
                add(here, f"port {spec.port} is where '{fleet.name}' is already")
            elif self.link.kind == "loopback" and 0 < spec.port < LEAST_LOOPBACK_PORT:
                add(here, "the loopback link has no ports below 1024")
            here = (*keys, "address")
            if not spec.addresses:
                continue
            if fleet.network.dhcp or self.link.kind == "loopback":
                why = "gets its addresses by DHCP" if fleet.network.dhcp else "is on loopback"
                add(here, f"'{fleet.name}' {why}, so that it cannot be given another")
                continue
            for address in spec.addresses:
                self._check_free(AddressBlock(address, count), fleet, here)

    def _check_free(self, block: AddressBlock, fleet: FleetSpec, keys: Keys) -> None:
        add, first = self.problems.add, format_address(block.first)
        if not any(is_ipv4(own.first) == is_ipv4(block.first) for own in fleet.blocks):
            add(keys, f"'{fleet.name}' has no address of the version of IP of {first}")
            return
        for other in self.fleets.values():
            for taken in other.blocks:
                if (
                    block.first < taken.first + taken.count
                    and taken.first < block.first + block.count
                ):
                    add(keys, f"{first} and what follows is an address of '{other.name}' already")
                    return
        check_reach(self.link, block, keys, self.problems)


def _leaves(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The fields of a table, by dotted paths: TOML makes tables of dotted keys."""
    for key, value in table.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _as_it_goes(_protocol: Protocol) -> Layer:
    return "either"


def _layer_of(spec: f.FaultSpec) -> Any:
    """Which messages those are that a device takes: for an error, those that it can be the answer to."""

    def layer(protocol: Protocol) -> Layer:
        errors = protocol.errors
        wire = isinstance(spec, f.Refuse) and errors is not None and errors.on_wire
        return "wire" if wire else "spoken"

    return layer
