"""Messages that a scenario writes down, held against the protocol's schema and compiled."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from iotsim.device.spec import MessageTemplate
from iotsim.errors import ExpressionError
from iotsim.match import Expression, Names, compile_expression
from iotsim.match.fieldpath import field_hint, find_field
from iotsim.match.literal import LiteralError, literal, render
from iotsim.match.operators import holds_expression
from iotsim.match.usual import of_text
from iotsim.protocol.samples import texts_seen, types_seen
from iotsim.scenario.trial import Trial
from iotsim.units import parse_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from iotsim.device.spec import ServiceSpec
    from iotsim.protocol.device import Device
    from iotsim.protocol.fields import Field, Schema
    from iotsim.scenario.problems import Problems
    from iotsim.scenario.toml import Keys

STRUCTURED = ("struct", "flags")
RAW = "raw"
"""In the place of a message's fields, where the protocol has none of this name: its bytes."""
MOST_ELEMENTS = 65_536
INDEXED = re.compile(r"\[|(?:^|\.)-?[0-9]+(?:\.|$)")
"""In a key: it names an element of an array."""
REQUEST = re.compile(r"\brequest\b")


def names_request(table: Mapping[str, Any]) -> bool:
    """Whether an expression in `table` may name the ``request`` that a message answers; its name is none."""
    return any(REQUEST.search(str(value)) for key, value in table.items() if key != "name")


def formula(
    text: str,
    names: Names,
    keys: Keys,
    problems: Problems,
    *,
    has_message: bool,
    schema: Schema | None,
) -> Expression | None:
    """The expression `text`, without its ``=``; None if it is none."""
    try:
        return compile_expression(text, names, has_message=has_message, schema=schema)
    except ExpressionError as error:
        problems.add(keys, str(error), error.hint)
        return None


def value_or_formula(
    value: Any,
    names: Names,
    keys: Keys,
    problems: Problems,
    *,
    has_message: bool,
    schema: Schema | None,
    field: Field | None = None,
) -> Any:
    """A literal as `field` carries it, or an Expression. A constant expression is a literal.

    A list or table of unknown elements may have expressions in it, at any depth.
    """
    if isinstance(value, (list, dict)) and _is_free(field) and holds_expression(value):

        def inner(item: Any, key: str | int) -> Any:
            return value_or_formula(
                item, names, (*keys, key), problems, has_message=has_message, schema=schema
            )

        if isinstance(value, dict):
            return {key: inner(item, key) for key, item in value.items()}
        return [inner(item, number) for number, item in enumerate(value)]
    if isinstance(value, str) and value.startswith("="):
        expression = formula(
            value[1:], names, keys, problems, has_message=has_message, schema=schema
        )
        if expression is None or not expression.constant:
            return expression
        value = expression.evaluate(None, None, 0.0)  # type: ignore[arg-type]
    try:
        return literal(value, field)
    except LiteralError as error:
        problems.add(keys, str(error), error.hint)
        return None


def _is_free(field: Field | None) -> bool:
    """Whether nothing is known of the values of `field`."""
    return field is None or field.kind == "any"


def known_fields(when: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    """The fields of a message that matches `when` whose values that tells: they are literals."""
    known: dict[str, Any] = {}
    for path, value in _leaves(when):
        field = find_field(schema, path)
        if field is None or isinstance(value, (dict, list)) or INDEXED.search(path):
            continue
        if field.kind == "any":
            continue  # its value may be another that is written so
        if isinstance(value, str) and value.startswith("="):
            continue
        try:
            plain = literal(value, field)
        except LiteralError:
            continue  # it is told of elsewhere
        *outer, last = path.split(".")
        inside: Any = known
        for name in outer:
            inside = inside.setdefault(name, {}) if isinstance(inside, dict) else None
        if isinstance(inside, dict):
            inside[last] = plain
    return known


def _leaves(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _within(table: Any, keys: Keys, path: str) -> Keys:
    """The keys that lead to the field at `path`, as far as `table`, which is at `keys`, has it."""
    while path:
        step, _, rest = path.partition(".")
        if isinstance(table, list) and step.isdigit() and int(step) < len(table):
            table, keys, path = table[int(step)], (*keys, int(step)), rest
            continue
        names = table if isinstance(table, dict) else ()
        name = next((key for key in names if f"{path}.".startswith(f"{key}.")), None)
        if name is None:
            break
        table, keys, path = table[name], (*keys, name), path[len(name) + 1 :]
    return keys


class TemplateBuilder:
    """Builds the messages of one rule, and tries whether they can be encoded.

    `has_message` tells that there is a request to take from; `request` is what is known of it, the
    rule's ``when``. `device` is one that sends them, if one is known (see `Trial`).
    """

    def __init__(
        self,
        service: ServiceSpec,
        names: Names,
        problems: Problems,
        *,
        has_message: bool,
        request: Mapping[str, Any] | None = None,
        device: Device | None = None,
    ) -> None:
        protocol = service.protocol
        self.schema = protocol.said_schema
        self.asked = protocol.delivered_schema
        self.trial = Trial(service, device)
        vectors = service.vectors if protocol.application is None else ()
        self.seen = types_seen(self.schema, vectors)
        self.texts = texts_seen(self.schema, vectors)
        self.request = request or {}
        self.name = protocol.name
        self.given = set(protocol.echo) if has_message else set()
        self.names = names
        self.problems = problems
        self.has_message = has_message

    def build_all(self, tables: Sequence[Any], keys: Keys, raw: Any) -> tuple[MessageTemplate, ...]:
        """A template for each of `tables`; `raw` tells whether the file has a list of them."""
        return tuple(
            self.build(table, (*keys, number) if isinstance(raw, list) else keys)
            for number, table in enumerate(tables)
        )

    def build(self, table: Mapping[str, Any], keys: Keys) -> MessageTemplate:
        given = table.get(RAW)
        # Bytes come from commands, which are data already.
        if isinstance(given, (str, bytes)) and find_field(self.schema, RAW) is None:
            return self._raw(table, keys)
        fields: dict[str, Any] = {}
        before = len(self.problems)
        self._fill(fields, table, "", keys)
        for path, field in self.schema.fields.items():
            plain = "." not in path and "[" not in path
            needed = plain and field.required and not field.optional and path not in fields
            if needed and path not in self.given:
                self.problems.add(keys, f"the field '{path}' of {self.name} is missing")
        if len(self.problems) == before:
            request = known_fields(self.request, self.asked) if self.has_message else None
            for fault in self.trial.faults(fields, request):
                self.problems.add(_within(table, keys, fault.path), fault.message)
        return MessageTemplate(fields)

    def _raw(self, table: Mapping[str, Any], keys: Keys) -> MessageTemplate:
        """Bytes in the place of a message."""
        for key in table:
            if key != RAW:
                message = "'raw' is all of a datagram, so that it has no fields"
                self.problems.add((*keys, key), message, of_key=True)
        value, here = table[RAW], (*keys, RAW)
        if isinstance(value, str) and value.startswith("="):
            value = value_or_formula(
                value,
                self.names,
                here,
                self.problems,
                has_message=self.has_message,
                schema=self.asked,
            )
        elif isinstance(value, str):
            text, value = value, None  # None is told
            with self.problems.at(*here):
                value = parse_bytes(text)
        if not isinstance(value, (Expression, bytes, type(None))):
            self.problems.add(here, "must be bytes such as 'hex:0a ff', or an expression for them")
        return MessageTemplate({RAW: value}, raw=True)

    def _fill(
        self, fields: dict[str, Any], table: Mapping[str, Any], prefix: str, keys: Keys
    ) -> None:
        for key, value in table.items():
            here = (*keys, key)
            path = f"{prefix}.{key}" if prefix else key
            number_as_name = self.schema.free and key.lstrip("-").isdigit()
            if INDEXED.search(key) and path not in self.schema.fields and not number_as_name:
                array = re.split(r"[.\[]", path)[0]
                message = "a message has an array as a whole"
                self.problems.add(here, message, f"write {array[:80]} = [...]", of_key=True)
                continue
            field = find_field(self.schema, path)
            if field is None:
                hint = field_hint(self.schema, path)
                self.problems.add(here, f"unknown field '{path[:100]}'", hint, of_key=True)
                continue
            *outer, last = key.split(".")
            inside: Any = fields
            for name in outer:
                inside = inside.setdefault(name, {}) if isinstance(inside, dict) else None
            if not isinstance(inside, dict) or last in inside:
                self.problems.add(here, f"'{path}' is given twice", of_key=True)
                continue
            inside[last] = self._value(value, field, path, here)

    def _value(self, value: Any, field: Field | None, path: str, keys: Keys) -> Any:
        known = field is not None and (field.kind in STRUCTURED or field.mixed)
        if isinstance(value, dict) and known:
            inner: dict[str, Any] = {}
            self._fill(inner, value, path, keys)
            return inner
        if isinstance(value, list) and field is not None and field.kind == "array":
            if len(value) > MOST_ELEMENTS:
                self.problems.add(keys, f"more than {MOST_ELEMENTS} elements")
                return None
            element = find_field(self.schema, f"{path}[]")
            return [
                self._value(item, element, f"{path}[]", (*keys, number))
                for number, item in enumerate(value)
            ]
        if isinstance(value, dict) and (field is None or field.kind not in ("any", "none")):
            kind = "no structure" if field is None else f"of the kind {field.kind}"
            self.problems.add(keys, f"{render(value)}, but '{path}' is {kind}")
            return None
        built = value_or_formula(
            value,
            self.names,
            keys,
            self.problems,
            has_message=self.has_message,
            schema=self.asked,
            field=field,
        )
        return self._as_seen(built, path)

    def _as_seen(self, value: Any, path: str) -> Any:
        """`value`, its texts made the times, addresses and so on that vectors have there.

        Where vectors have texts as well, those are made none of a kind that these might be written as.
        """
        if isinstance(value, dict):
            return {name: self._as_seen(item, f"{path}.{name}") for name, item in value.items()}
        if isinstance(value, list):
            return [self._as_seen(item, f"{path}[]") for item in value]
        types = self.seen.get(path, frozenset())
        if not isinstance(value, str):
            return value
        for kind in sorted(types - {str}, key=lambda kind: kind.__name__):
            read = of_text(value, kind)
            texts = self.texts.get(path, ())
            if read is not None and all(of_text(text, kind) is None for text in texts):
                return read
        return value
