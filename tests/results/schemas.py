"""The schemas that come with iotsim, for tests that hold what runs leave to them."""

from __future__ import annotations

import functools
import json
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import jsonschema

from iotsim.results.formats import EVENTS_FILE

if TYPE_CHECKING:
    from pathlib import Path

OF_EACH_KIND = 300
"""So many lines of a kind are held to the schema, which takes long for each."""


@functools.cache
def validator(name: str) -> jsonschema.Draft202012Validator:
    """The judge of the schema in the file of this name."""
    schema = json.loads(files("iotsim.results").joinpath(name).read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def check_events(path: Path) -> set[str]:
    """The kinds of events in a file of a run that has ended. ValidationError for a line that the schema has
    not; the first must be that of the start, with the version."""
    judge = validator(EVENTS_FILE)
    seen: dict[str, int] = {}
    with path.open("rb") as lines:
        for number, line in enumerate(lines):
            event: Any = json.loads(line)
            kind = event["event"]
            seen[kind] = seen.get(kind, 0) + 1
            if number == 0:
                assert (kind, event["format"] > 0) == ("run-started", True)
            if seen[kind] <= OF_EACH_KIND:
                # That of its kind alone, which says what is wrong, and is tried at once.
                judge.evolve(schema=_of_kind(kind)).validate(event)
    return set(seen)


@functools.cache
def _of_kind(kind: str) -> dict[str, Any]:
    schema = validator(EVENTS_FILE).schema
    if kind not in schema["$defs"]:
        raise jsonschema.ValidationError(f"there is no kind {kind!r}")
    return {"$ref": f"#/$defs/{kind}", "$defs": schema["$defs"]}
