"""Field paths: the dotted names of a message's fields, looked up in a schema."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Collection

    from iotsim.protocol.fields import Field, Schema

MOST_KNOWN = 1000
"""Among more names than these the nearest is not sought: each is held against the given one."""

INDEX = re.compile(r"\[([0-9]+)\]")

Steps: TypeAlias = "tuple[str | int, ...]"


def nearest(name: str, known: Collection[str]) -> str:
    """A hint with the name in `known` that `name` was probably meant to be, or ""."""
    found = meant(name, known)
    return f"did you mean '{found}'?" if found else ""


def meant(name: str, known: Collection[str]) -> str:
    """The name in `known` that `name` was probably meant to be, or ""."""
    if len(known) > MOST_KNOWN:
        return ""
    return next(iter(difflib.get_close_matches(name[:100], sorted(known), 1)), "")


def dotted(steps: Steps) -> str:
    return ".".join(map(str, steps))


def indexed(key: str) -> str:
    """A key of a match as a path: an index in brackets is a step as any other."""
    return INDEX.sub(r".\1", key)


def split(path: str) -> tuple[str | int, ...]:
    """The steps of a path; those that are numbers are indexes."""
    return tuple(
        int(step) if step.isascii() and step.isdigit() and len(step) < 10 else step
        for step in path.split(".")
    )


def find_field(schema: Schema, path: str) -> Field | None:
    """The field `path` of `schema`, or None; numbers in it are indexes of arrays."""
    return schema.find(path.replace(".-", "."))  # an index from the end is an index


def field_hint(schema: Schema, path: str) -> str:
    suggestion = schema.nearest(path)
    return f"did you mean '{suggestion.replace('[]', '[0]')}'?" if suggestion else ""
