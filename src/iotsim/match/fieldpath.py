"""Fields of messages by dotted path, as scenarios name them, held against a schema."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Collection

    from iotsim.protocol import Field, Schema

Steps: TypeAlias = "tuple[str | int, ...]"


def nearest(name: str, known: Collection[str]) -> str:
    """A hint with the name in `known` that `name` was probably meant to be, or ""."""
    found = difflib.get_close_matches(name[:100], sorted(known), 1)
    return f"did you mean '{found[0]}'?" if found else ""


def dotted(steps: Steps) -> str:
    return ".".join(map(str, steps))


def find_field(schema: Schema, path: str) -> Field | None:
    """The field `path` of `schema`, or None.

    Below an array, steps that are numbers are its indexes; below flags, the step is a flag's name.
    What lies deeper than the schema describes is not checked: the enclosing field is returned.
    """
    fields = schema.fields
    found = fields.get(path)
    if found is not None:
        return found
    steps = path.split(".")
    names = [step for step in steps if not step.lstrip("-").isdigit()]
    if len(names) != len(steps):
        return fields.get(".".join(names)) if names else None
    parent = fields.get(".".join(steps[:-1])) if len(steps) > 1 else None
    if parent is not None and parent.kind == "flags" and steps[-1] in parent.names:
        return parent
    return None


def field_hint(schema: Schema, path: str) -> str:
    suggestion = schema.nearest(path)
    return f"did you mean '{suggestion}'?" if suggestion else ""
