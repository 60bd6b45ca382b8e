"""Which messages an expectation is about, and the matchers that say so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from iotsim.expect.northbound import fleet_of
from iotsim.expect.spec import DeviceSelection, Look
from iotsim.match import Names, compile_match
from iotsim.match.fieldpath import meant, nearest
from iotsim.northbound.fields import SCHEMAS
from iotsim.scenario.fleets import expression_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iotsim.device.spec import FleetSpec
    from iotsim.expect.spec import Direction, Layer
    from iotsim.match import Matcher
    from iotsim.protocol.definition import Protocol
    from iotsim.protocol.fields import Field as SchemaField
    from iotsim.protocol.fields import Schema
    from iotsim.scenario.loading import Loading
    from iotsim.scenario.model import Scenario
    from iotsim.scenario.toml import Keys


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


@dataclass(frozen=True)
class Subject:
    """Whose messages are meant: devices, or a northbound service."""

    devices: tuple[DeviceSelection, ...]
    service: str = ""


class Looks:
    """Builds what one scenario says of messages."""

    def __init__(self, scenario: Scenario, loading: Loading) -> None:
        self.fleets = {fleet.name: fleet for fleet in scenario.fleets}
        self.services = scenario.northbound
        self.problems = loading.problems
        self.doubtful = loading.doubtful
        self.mute = loading.mute

    def service(self, name: str, keys: Keys) -> str:
        """`name` if there is such a northbound service; else, once that is told, the one that was probably
        meant, so that the rest is looked at as well, or ""."""
        if name in self.services:
            return name
        hint = nearest(name, self.services) or "write [northbound.NAME]"
        self.problems.add(keys, f"there is no northbound service '{name[:100]}'", hint)
        return meant(name, self.services)

    def of_service(self, service: str) -> tuple[DeviceSelection, ...]:
        """What stands for the devices, where it is about a service."""
        return (DeviceSelection(fleet_of(service), range(1)),)

    def look(
        self, subject: Subject, direction: Direction, layer: Layer, spec: Any, keys: Keys
    ) -> Look:
        """The messages of `subject` that match `spec`, which stands at `keys`."""
        matcher = self.match(spec or {}, subject, direction, layer, keys, undecodable=True)
        if direction == "sends":
            self._check_senders(subject.devices, keys)
        return Look(matcher, direction, layer, subject.service)

    def match(
        self,
        spec: Any,
        subject: Subject,
        direction: str,
        layer: str,
        keys: Keys,
        *,
        undecodable: bool = False,
    ) -> Matcher:
        def report(inner: Keys, message: str, hint: str) -> None:
            of_key = message.startswith("unknown")
            self.problems.add(keys + inner, message, hint, of_key=of_key)

        return compile_match(
            spec,
            self.schema(subject, direction, layer, keys),
            self.names(subject, direction, layer),
            undecodable_allowed=undecodable and not subject.service,
            report=report,
        )

    def schema(self, subject: Subject, direction: str, layer: str, keys: Keys | None) -> Any:
        """Of the messages that are looked at; None if their fields are not known."""
        if subject.service:
            return self.northbound_schema(subject.service)
        fleets = [self.fleets[selection.fleet] for selection in subject.devices]
        protocols = [service.protocol for fleet in fleets for service in fleet.services]
        if any(fleet.name in self.mute for fleet in fleets):
            return None
        if not protocols:
            if fleets and keys is not None:
                self.problems.add(keys, "these devices have no protocol, so they have no messages")
            return None
        found = (schema_of(one, direction, layer) for one in protocols)
        schemas = {id(schema): schema for schema in found}
        first, *others = schemas.values()
        return JointSchema([first, *others]) if others else first

    def northbound_schema(self, service: str) -> Any:
        """Of what a service is sent; None if there is no such service."""
        spec = self.services.get(service)
        return None if spec is None else SCHEMAS[spec.kind]

    def names(
        self, subject: Subject, direction: str = "receives", layer: str = "application"
    ) -> Names:
        """What expressions can name: what all of the devices have."""
        fleets = [
            self.fleets[selection.fleet]
            for selection in subject.devices
            if selection.fleet in self.fleets
        ]
        names = [expression_names(fleet) for fleet in fleets]
        signals = set.intersection(*(set(one.signals) for one in names)) if names else set()
        states = [set(one.state) for one in names if one.state is not None]
        known = states and not any(fleet.name in self.doubtful for fleet in fleets)
        request = None
        if direction == "sends" and not subject.service:
            request = self.schema(subject, "receives", layer, None)
        return Names(signals, set.intersection(*states) if known else None, request)

    def _check_senders(self, devices: Sequence[DeviceSelection], keys: Keys) -> None:
        """Of devices that never send, nothing can be expected: not even that they do not."""
        for selection in devices:
            fleet = self.fleets[selection.fleet]
            if self._never_sends(fleet):
                message = (
                    f"'{fleet.name}' never sends: it has neither a reply, 'send', nor behavior"
                )
                self.problems.add(keys, message)

    def _never_sends(self, fleet: FleetSpec) -> bool:
        sends = any(rule.reply or rule.send for rule in fleet.rules)
        known = fleet.name not in self.mute and fleet.behavior is None and fleet.services
        talks = any(service.protocol.session is not None for service in fleet.services)
        return bool(known and not sends and not talks)


def schema_of(protocol: Protocol, direction: str, layer: str) -> Schema:
    if layer == "wire":
        return protocol.schema if direction == "receives" else protocol.answer_schema
    return protocol.delivered_schema if direction == "receives" else protocol.said_schema
