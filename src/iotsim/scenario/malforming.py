"""``malform`` of a fault, held against the messages of the protocols that it is for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from iotsim.errors import EncodeError
from iotsim.impair import fault as f
from iotsim.match import Expression
from iotsim.match.fieldpath import field_hint, find_field
from iotsim.match.literal import LiteralError, literal
from iotsim.protocol.anyvalue import WRONG
from iotsim.protocol.malform import Malformer, malformer
from iotsim.scenario.faulttable import parse_payload
from iotsim.scenario.fleets import expression_names
from iotsim.scenario.messages import formula

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iotsim.device.spec import FleetSpec, ServiceSpec
    from iotsim.protocol.definition import Protocol
    from iotsim.scenario.faults import FaultBuilder, FaultEntry
    from iotsim.scenario.toml import Keys


class MalformBuilder:
    """Holds what a fault malforms against the messages of the protocols that it is for."""

    def __init__(self, builder: FaultBuilder, fault: FaultEntry, keys: Keys) -> None:
        self.builder = builder
        self.problems = builder.problems
        self.fault = fault
        self.keys = keys

    def build(self, spec: f.Malform) -> FaultEntry | None:
        fault, tests = self.fault, dict(self.fault.entry.tests)
        malformers: dict[tuple[str, int], Malformer] = {}
        values: dict[str, Any] = {}
        missing: list[tuple[FleetSpec, Protocol, list[str]]] = []
        for fleet, number, service in self.builder.services_of(fault.entry, "from_device"):
            schema = service.protocol.answer_schema
            lacks = [path for path in spec.values if find_field(schema, path) is None]
            if lacks:
                missing.append((fleet, service.protocol, lacks))
                del tests[fleet.name, number, "from_device"]
                continue
            made = malformer(service.protocol)
            malformers[fleet.name, number] = made
            for path, value in spec.values.items():
                values[path] = self._value(path, value, fleet, service.protocol)
            self._try(made, values, service)
        if missing and not tests:
            self._tell_missing(spec, *min(missing, key=lambda one: len(one[2])))
        return replace(
            fault,
            entry=replace(fault.entry, tests=tests),
            spec=f.Malform(values),
            malformers=malformers,
        )

    def _tell_missing(
        self, spec: f.Malform, fleet: FleetSpec, protocol: Protocol, lacks: list[str]
    ) -> None:
        """Tell of the fields that the nearest protocol lacks, and of what is wrong with the others."""
        for path, value in spec.values.items():
            if path not in lacks:
                self._value(path, value, fleet, protocol)
                continue
            hint = field_hint(protocol.answer_schema, path)
            message = f"unknown field '{path[:100]}' of {protocol.name}"
            self.problems.add((*self.keys, path), message, hint, of_key=True)

    def _value(self, path: str, value: Any, fleet: FleetSpec, protocol: Protocol) -> Any:
        here = (*self.keys, path)
        schema = protocol.answer_schema
        if isinstance(value, str) and value.startswith("="):
            return formula(
                value[1:],
                expression_names(fleet),
                here,
                self.problems,
                has_message=True,
                schema=schema,
            )
        field = find_field(schema, path)
        kind = None if field is None else field.kind
        if value == "wrong" and kind not in ("string", "any"):
            return WRONG
        if isinstance(value, str) and value.startswith("hex:"):
            try:
                return parse_payload(value)
            except ValueError as error:
                self.problems.add(here, str(error))
        if isinstance(value, dict):
            self.problems.add(here, "must be a value, not a table")
            return None
        if isinstance(value, list):
            try:
                return literal(value, field)
            except LiteralError as error:
                self.problems.add(here, str(error), error.hint)
        return value

    def _try(self, made: Malformer, values: Mapping[str, Any], service: ServiceSpec) -> None:
        """Of the messages that are known of the protocol, one at least must be able to carry the values."""
        plain = {p: v for p, v in values.items() if not isinstance(v, Expression) and v is not None}
        if len(plain) < len(values) or service.protocol.answer_codec.needs_device:
            return
        error: EncodeError | None = None
        for vector in service.vectors:
            if service.protocol.answer is not None and not vector.answer:
                continue
            try:
                whole = service.protocol.answer_codec.tell(vector.fields)[1]
                made.encode(whole, plain)
            except EncodeError as failed:
                if "no such field" not in failed.reason:
                    error = error or failed
            except Exception:  # of the user's code, which a vector shows elsewhere
                return
            else:
                return
        if error is not None:
            keys = (*self.keys, error.path) if error.path in values else self.keys
            self.problems.add(keys, f"cannot be written: {error.reason}")
