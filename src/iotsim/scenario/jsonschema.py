"""The scenario format as a JSON Schema, for editors: made from the models that scenarios are checked with.

Shapes, bounds, choices and defaults are those of the models; what a key means is the text beside it in the
tables of the format's reference (docs/scenario.md), so that neither is written twice. It is draft-07,
which is what editors of TOML take: Taplo, and with it Even Better TOML.

It says what the form of a file tells. What hangs on other files, on the fields of protocols, or on several
places at once is for ``iotsim check``. In doubt the schema lets something stand.
"""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic.json_schema import GenerateJsonSchema

from iotsim.expect.text import seconds
from iotsim.scenario.schema import WRITTEN
from iotsim.scenario.sections import SECTIONS
from iotsim.scenario.sources import EXTENDS, INCLUDE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import core_schema

    from iotsim.scenario.schema import Model

DRAFT = "http://json-schema.org/draft-07/schema#"
DEFINITIONS = "#/definitions/"
PLACEHOLDER = r"\$\{"
IS_PLACEHOLDER = r"^\$\{[^{}]+\}$"
_NO_SCHEMA = ("title", "default", "gt", "ge", "lt", "le")
"""What pydantic adds that tells nobody anything: its titles, and bounds of what is no number as written."""
_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_HEADING = re.compile(r"(#{2,6})\s+(.*)")
_KEYS = re.compile(r"`([A-Za-z_][\w.]*)`")
_EXAMPLES = re.compile(r"`([A-Za-z_][\w.]*)")
_CODE = re.compile(r"`([^`]+)`")
_WORDS = re.compile(r"[A-Za-z_]\w*")
_LINK = re.compile(r"\[([^\]]+)\]\([^)]*\)")
_CELL = re.compile(r"(?<!\\)\|")


_VALUE: dict[str, Any] = {"type": ["string", "number", "boolean", "array", "object"]}
COMPOSITION: dict[str, Any] = {
    EXTENDS: {"type": "string", "description": "the base: a file that this one is merged into"},
    INCLUDE: {
        "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
        "description": "files that are merged into the base, before this one",
    },
    "parameters": {
        "type": "object",
        "description": "what ${NAME} stands for, unless the matrix or --set says otherwise",
        "properties": {"env": {"type": "object", "additionalProperties": _VALUE}},
        "additionalProperties": _VALUE,
    },
    "matrix": {
        "type": "object",
        "description": "values of parameters: the scenario runs once for each combination",
        "additionalProperties": {"type": "array", "minItems": 1, "items": _VALUE},
    },
}
"""The keys and tables that are settled before the sections are."""


class Row(NamedTuple):
    """What a table of the reference says of a key; `line` is where."""

    meaning: str
    default: str
    line: int


Reference = dict[str, dict[str, Row]]
"""Name of a section, as in `SECTIONS` or ``rules``, -> dotted key -> what is said of it."""


def read_reference(text: str) -> Reference:
    """The tables of keys in the reference of the format.

    They stand below a heading that names their section (``### `[link]` ``, or one of `HEADINGS`). The
    first column has the keys, as code: one, or several of which the same is said. A key of a table in a
    table has a row of its own, with a dotted name, such as `boot.delay` (or `sequence[].after`, of each of
    several), or a section of its own; or it is named, as code, in the row of the outer one. All sections
    with such a table have an entry.
    """
    found: Reference = {}
    sections: tuple[str, ...] = ()
    level = 0  # of the heading that named them: what stands below deeper ones is theirs, too
    in_table = False
    for number, line in enumerate(text.splitlines(), start=1):
        is_head, in_table = not in_table, line.startswith("|")
        heading = _HEADING.match(line)
        if heading is not None:
            depth = len(heading[1])
            named = _sections_of(heading[2])
            if named or depth <= level:
                sections, level = named, depth
        elif in_table and not is_head:
            cells = [cell.strip() for cell in _CELL.split(line.strip()[1:-1])]
            meaning, default, *_ = (*map(_plain, cells[1:]), "", "")
            for section in sections:
                for name in _keys_in(cells[0].replace("[]", "")):
                    rows = found.setdefault(section, {})
                    rows.setdefault(name, Row(meaning, default, number))
    return found


HEADINGS = {"Expectations": ("expect",), "For whom, which, and when": ("impair", "fault")}
"""Headings that name no table, and the sections whose keys are told of below."""


def _sections_of(heading: str) -> tuple[str, ...]:
    if heading in HEADINGS:
        return HEADINGS[heading]
    name = re.fullmatch(r"`\[{1,2}([\w.]+)\]{1,2}`", heading.strip())
    if name is None:
        return ()
    return (".".join(part for part in name[1].split(".") if part != "NAME"),)


def _keys_in(cell: str) -> list[str]:
    """The keys that a cell names: ``a``, ``a.b`` or, by an example of it, ``a = 3``."""
    return _KEYS.findall(cell) or _EXAMPLES.findall(cell)[:1] if cell.startswith("`") else []


def said_of(reference: Reference, section: str, key: str) -> Row | None:
    """What the reference says of a key: its own row, or which keys it has, or the row of an outer one which
    names it, or that of the same key of the section itself, if something is said of the outer one."""
    rows = reference.get(section, {})
    if key in rows:
        return rows[key]
    inside = [name.removeprefix(f"{key}.") for name in rows if name.startswith(f"{key}.")]
    if inside:
        return Row(f"a table with {', '.join(f'`{name}`' for name in inside)}", "", 0)
    outer, _, last = key.rpartition(".")
    while outer:
        row = rows.get(outer)
        if row is not None:
            named = any(last in _WORDS.findall(code) for code in _CODE.findall(row.meaning))
            return row if named else rows.get(last)
        outer = outer.rpartition(".")[0]
    return None


def _plain(cell: str) -> str:
    return _LINK.sub(r"\1", cell).replace(r"\|", "|")


class _Generator(GenerateJsonSchema):
    """Says how values are written, where pydantic says what they become."""

    def function_before_schema(
        self, schema: core_schema.BeforeValidatorFunctionSchema
    ) -> JsonSchemaValue:
        validate: Any = schema["function"]["function"]
        known = WRITTEN.get(validate)
        return {} if known is None else dict(known)


def json_schema(reference: Reference) -> dict[str, Any]:
    """The schema of the format. `reference` is what `read_reference` has found."""
    definitions: dict[str, Any] = {}
    properties = copy.deepcopy(COMPOSITION)
    for section in SECTIONS.values():
        if section.supported and section.name not in properties:
            inside: dict[str, Any] = {"type": "object"}
            if section.table is not None:
                inside = _Tables(definitions).add(section.table)
            properties[section.name] = _in_form(section.form, inside)
    schema = {
        "$schema": DRAFT,
        "title": "iotsim scenario",
        "description": "What is simulated, who talks to it, and what must come of it.",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "definitions": definitions,
    }
    for place in places(schema, reference):
        row = said_of(reference, place.section, place.key)
        if row is not None:
            default = f"\n\nDefault: {row.default}" if row.default else ""
            place.schema.setdefault("description", row.meaning + default)
    return schema


def _in_form(form: str, inside: dict[str, Any]) -> dict[str, Any]:
    if form == "list":
        return {"type": "array", "items": inside}
    if form == "tables by name":
        return {"type": "object", "additionalProperties": inside}
    return inside


class _Tables:
    """Makes of pydantic's schema of a model the schema of a TOML table: one definition for each model."""

    def __init__(self, definitions: dict[str, Any], *, placeholders: bool = True) -> None:
        self.definitions = definitions
        self._placeholders = placeholders

    def add(self, model: type[Model]) -> dict[str, Any]:
        """How to refer to `model`, which is defined then, with all that it holds."""
        made = model.model_json_schema(
            schema_generator=_Generator, ref_template=DEFINITIONS + "{model}"
        )
        for inner in made.pop("$defs", {}).values():
            self._define(inner)
        return self._define(made)

    def _define(self, schema: dict[str, Any]) -> dict[str, Any]:
        name = schema["title"]
        if name not in self.definitions:
            table = self.definitions[name] = {"type": "object", "additionalProperties": False}
            table["properties"] = {
                key: self._property(value) for key, value in schema["properties"].items()
            }
            if "required" in schema:
                table["required"] = schema["required"]
        return {"$ref": DEFINITIONS + name}

    def _property(self, schema: dict[str, Any]) -> dict[str, Any]:
        default = schema.get("default")
        made = self._value(schema)
        if "$ref" in made:  # beside which draft-07 reads nothing
            made = {"allOf": [made]}
        if isinstance(default, float) and made.get("type") == "string":
            default = seconds(default).replace(" ", "")
        if isinstance(default, (str, int, float)) and default != "":
            made["default"] = default
        return made

    def _value(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        """`schema` as TOML has it, which knows no null; and with placeholders in the place of values."""
        if schema.get("type") == "object" and "properties" in schema and "title" in schema:
            return self._define(dict(schema))
        made = {key: value for key, value in schema.items() if key not in _NO_SCHEMA}
        if "anyOf" in made:
            ways = [self._value(way) for way in made.pop("anyOf") if way.get("type") != "null"]
            return {**made, "anyOf": ways} if len(ways) > 1 else {**made, **ways[0]}
        for key in ("items", "additionalProperties"):
            if isinstance(made.get(key), dict):
                made[key] = self._value(made[key])
        if "properties" in made:
            made["properties"] = {k: self._value(v) for k, v in made["properties"].items()}
        if "const" in made:
            made["enum"] = [made.pop("const")]
        return _with_placeholders(made) if self._placeholders else made


def _with_placeholders(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of what is no table where a text may have placeholders in it, or be one."""
    kind = schema.get("type")
    if "enum" in schema:
        return {"anyOf": [schema, {"type": "string", "pattern": IS_PLACEHOLDER}]}
    if kind in ("integer", "number", "boolean"):
        return {**schema, "type": [kind, "string"], "pattern": IS_PLACEHOLDER}
    if kind == "string" and "pattern" in schema:
        schema = {**schema, "pattern": f"{schema['pattern']}|{PLACEHOLDER}"}
    return {key: value for key, value in schema.items() if key not in _BOUNDS}


def written_schema(model: type[Model], definitions: dict[str, Any]) -> dict[str, Any]:
    """How to refer to the schema of `model`, which `definitions` gets, with those of all that it holds; none
    has placeholders."""
    return _Tables(definitions, placeholders=False).add(model)


class Place(NamedTuple):
    """A key of the format: its `schema` stands in the table that the reference calls `section`, where it is
    called `key`."""

    section: str
    key: str
    schema: dict[str, Any]


def places(schema: Mapping[str, Any], reference: Reference) -> Iterator[Place]:
    """All keys of all tables. Those of a table in a table have dotted names, but where the reference has a
    section for it. What is a section of its own is not looked into where it stands in another."""
    definitions = schema["definitions"]
    owners = {
        title: section
        for section, holder in schema["properties"].items()
        for title in _titles(holder)
    }

    def inside(holder: Any, section: str, prefix: str, within: tuple[str, ...]) -> Iterator[Place]:
        for title in _titles(holder):
            if title in within or (within and title in owners):
                continue
            for key, value in definitions[title]["properties"].items():
                yield Place(section, prefix + key, value)
                apart = f"{section}.{key}" in reference
                place = (f"{section}.{key}", "") if apart else (section, f"{prefix}{key}.")
                yield from inside(value, *place, (*within, title))

    for section, holder in schema["properties"].items():
        yield from inside(holder, section, "", ())


def _titles(holder: Any) -> Iterator[str]:
    return (name.removeprefix(DEFINITIONS) for name in dict.fromkeys(references(holder)))


def references(schema: Any) -> Iterator[str]:
    """What `schema` refers to, without looking into it."""
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"]
        for value in schema.values():
            yield from references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from references(value)
