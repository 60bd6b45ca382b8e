"""What a protocol's vectors show of fields whose type its schema does not tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from iotsim.protocol.fields import Schema
    from iotsim.protocol.registry import Vector


def types_seen(schema: Schema, vectors: Sequence[Vector]) -> dict[str, frozenset[type]]:
    """The types of the values that fields of the kind any have in `vectors`, by path.

    A hint only: other messages may have others.
    """
    seen: dict[str, set[type]] = {}
    for path, value in _free_values(schema, vectors):
        seen.setdefault(path, set()).add(type(value))
    return {path: frozenset(types) for path, types in seen.items()}


def texts_seen(schema: Schema, vectors: Sequence[Vector]) -> dict[str, frozenset[str]]:
    """The texts that are values of these fields in `vectors`, likewise."""
    seen: dict[str, set[str]] = {}
    for path, value in _free_values(schema, vectors):
        if isinstance(value, str):
            seen.setdefault(path, set()).add(value)
    return {path: frozenset(texts) for path, texts in seen.items()}


def _free_values(schema: Schema, vectors: Sequence[Vector]) -> Iterator[tuple[str, Any]]:
    """The values of fields of the kind any, with their paths."""
    for vector in vectors:
        for path, value in _values(vector.fields, ""):
            field = schema.find(path)
            if field is not None and field.kind == "any":
                yield path, value


def _values(fields: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in fields.items():
        yield from _value(value, f"{prefix}{name}")


def _value(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    yield path, value
    if isinstance(value, dict):
        yield from _values(value, f"{path}.")
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _value(item, f"{path}[]")
