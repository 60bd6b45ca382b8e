"""The formats of ``events.jsonl`` and ``result.json`` as JSON Schemas, made from their records.

Types and defaults are those of the records, texts are their docstrings. ``events.schema.json`` and the like
beside this module are what came of it: they are what ``iotsim schema`` prints, and whoever changes a record
sees in them what changes for those who read files.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from iotsim import events
from iotsim.results import result, suite

if TYPE_CHECKING:
    from collections.abc import Iterator

DRAFT = "https://json-schema.org/draft/2020-12/schema"
EVENTS_FILE = "events.schema.json"
RESULT_FILE = "result.schema.json"
SUITE_FILE = "suite.schema.json"
_NAME = re.compile(r"`([A-Z]\w+)`")
_CODE = re.compile(r"``([^`]+)``")


class Told(NamedTuple):
    """A field of a record. ``type`` is in words of JSON: "number", "array of string", "string or null"."""

    name: str
    type: str
    meaning: str
    default: Any = msgspec.NODEFAULT


def kinds() -> dict[str, type[events.Event]]:
    """The kinds of events by what ``event`` says, in the order of their module."""
    return {str(kind.__struct_config__.tag): kind for kind in events.Event.__subclasses__()}


def events_schema() -> dict[str, Any]:
    """The schema of one line of ``events.jsonl``."""
    names = {kind.__name__: tag for tag, kind in kinds().items()}
    references, definitions = msgspec.json.schema_components(
        kinds().values(), ref_template="#/$defs/{name}"
    )
    named = {names.get(name, name): schema for name, schema in definitions.items()}
    return {
        "$schema": DRAFT,
        "title": f"A line of events.jsonl, version {events.FORMAT}",
        "description": "One event of a run of iotsim, whose kind is what 'event' says. A field that has "
        "a default may be absent. Later versions of iotsim may add kinds, and fields that have a default.",
        "anyOf": [{"$ref": _renamed(one["$ref"], names)} for one in references],
        "$defs": {name: _described(name, schema, names) for name, schema in named.items()},
    }


def result_schema() -> dict[str, Any]:
    """The schema of the ``result.json`` of a run."""
    return _whole(result.RunResult, f"result.json, version {result.FORMAT}")


def suite_schema() -> dict[str, Any]:
    """The schema of the ``result.json`` of a suite."""
    return _whole(suite.SuiteResult, f"result.json of a suite, version {suite.FORMAT}")


def _whole(record: type[msgspec.Struct], title: str) -> dict[str, Any]:
    """The schema of a document that is one record."""
    _, definitions = msgspec.json.schema_components([record], ref_template="#/$defs/{name}")
    name = record.__name__
    whole = _described(name, definitions.pop(name), {}, title=title)
    inner = {name: _described(name, schema, {}) for name, schema in definitions.items()}
    return {"$schema": DRAFT, **whole, "$defs": inner}


def fields_of(record: type[msgspec.Struct]) -> list[Told]:
    """The fields of a record, but for the time of events, in their order."""
    names = {kind.__name__: tag for tag, kind in kinds().items()}
    _, definitions = msgspec.json.schema_components([record], ref_template="#/$defs/{name}")
    properties = definitions[record.__name__]["properties"]
    meanings = _meanings(record)
    of_event = issubclass(record, events.Event)
    return [
        Told(
            name,
            type_text(properties[name]),
            plain(meanings[name], names),
            properties[name].get("default", msgspec.NODEFAULT),
        )
        for name in record.__struct_fields__
        if not (of_event and name == "t")
    ]


def said_of(record: type) -> str:
    """What the docstring of a record says, in one line."""
    return plain(inspect.getdoc(record) or "", {k.__name__: tag for tag, k in kinds().items()})


def type_text(schema: dict[str, Any]) -> str:
    """The type that a schema asks for, in a word or two."""
    if "anyOf" in schema:
        return " or ".join(map(type_text, schema["anyOf"]))
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    kind = str(schema.get("type", "anything"))
    if kind == "array" and "items" in schema:
        return f"array of {type_text(schema['items'])}"
    inner = schema.get("additionalProperties")
    if kind == "object" and inner and inner != {"type": "object"}:
        return f"object of {type_text(inner)}"
    return kind


def plain(text: str, names: dict[str, str]) -> str:
    """A docstring in one line, with `names` of events instead of those of their classes."""
    line = " ".join(text.split())
    return _NAME.sub(lambda match: f"``{names.get(match[1], match[1])}``", line)


def _renamed(reference: str, names: dict[str, str]) -> str:
    head, _, name = reference.rpartition("/")
    return f"{head}/{names.get(name, name)}"


def _described(
    name: str, schema: dict[str, Any], names: dict[str, str], *, title: str = ""
) -> dict[str, Any]:
    """The definition of one record, with the meaning of each field."""
    records = {kind.__name__: kind for kind in _records()}
    record = kinds().get(name) or records[name]
    meanings = _meanings(record)
    properties = {
        key: {"description": _unmarked(meanings[key], names), **value} if key in meanings else value
        for key, value in schema["properties"].items()
    }
    about = {"title": title or name, "description": _unmarked(inspect.getdoc(record) or "", names)}
    return {**about, **schema, **about, "properties": properties}


def _unmarked(text: str, names: dict[str, str]) -> str:
    return _CODE.sub(r"'\1'", plain(text, names))


def _records() -> Iterator[type[msgspec.Struct]]:
    for module in (events, result, suite):
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, msgspec.Struct):
                yield value


def _meanings(record: type) -> dict[str, str]:
    """Name of a field -> the docstring below it, of a class and of those that it is made from."""
    found: dict[str, str] = {}
    for base in reversed(record.__mro__):
        if not issubclass(base, msgspec.Struct) or base is msgspec.Struct:
            continue
        (body,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        assert isinstance(body, ast.ClassDef)
        for field, below in zip(body.body, body.body[1:], strict=False):
            is_field = isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
            if is_field and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
                found[field.target.id] = str(below.value.value)  # type: ignore[attr-defined]
    return found
