"""``[scenario]``: what concerns the run as a whole."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, BeforeValidator, Field

from iotsim.scenario.schema import Duration, Model, Text, check, written
from iotsim.units import parse_duration

if TYPE_CHECKING:
    from iotsim.scenario.loading import Loading
    from iotsim.scenario.model import Scenario


PROGRAM = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}")


def _programs(value: Any) -> Any:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise ValueError('must be a list of names of programs, such as ["ping"]')
    for name in value:
        if not PROGRAM.fullmatch(name):
            raise ValueError(
                f"{name[:100]!r} is not the name of a program on the PATH, such as 'ping'"
            )
    return value


MOST_TAGS = 1000
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/+-]{0,99}")
OPERATORS = ("and", "or", "not")
"""Words that stand between tags where runs are chosen by them."""


def _tags(value: Any) -> Any:
    tags = [value] if isinstance(value, str) else value
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise ValueError("must be a word, or a list of words")
    for tag in tags:
        if not TAG.fullmatch(tag):
            raise ValueError(
                f"{tag[:100]!r} is no tag: letters, digits, and . : / + - _ behind the first"
            )
        if tag in OPERATORS:
            raise ValueError(
                f"{tag!r} is no tag: it stands between tags, as in 'smoke and not slow'"
            )
    return tags


ONE_TAG = {"type": "string", "pattern": f"^(?:{TAG.pattern})$"}
TAGS = written(_tags, anyOf=[ONE_TAG, {"type": "array", "items": ONE_TAG}])


PROGRAMS = written(
    _programs, type="array", items={"type": "string", "pattern": f"^(?:{PROGRAM.pattern})$"}
)


def _name(value: str) -> str:
    if "\0" in value:
        raise ValueError("contains a zero byte, which no program can be given")
    if value and not value.strip():
        raise ValueError("contains nothing that anybody can see or click on")
    return value


class ScenarioTable(Model):
    format: Literal[1] = 1
    name: Annotated[Text, AfterValidator(_name)] = ""
    description: Text = ""
    duration: Annotated[Duration, Field(gt=0)] = 60.0
    until: Literal["settled", "quiet", "gateway_exit", "duration"] | None = None
    quiet: Annotated[Duration, Field(gt=0)] = 2.0
    seed: Annotated[int, Field(ge=0, lt=1 << 64)] | None = None
    tags: Annotated[list[str], Field(max_length=MOST_TAGS), BeforeValidator(TAGS)] = []
    requires: Annotated[list[str], Field(max_length=100), BeforeValidator(PROGRAMS)] = []
    speed: Annotated[float, Field(ge=0.001, le=10_000, allow_inf_nan=False)] = 1.0
    tolerance: Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)] = 1.0
    limit: Annotated[Duration, Field(gt=0)] | None = None


class Head(NamedTuple):
    """What a scenario is called, "" where it has no name, and the seconds of its own limit, None without."""

    name: str = ""
    limit_s: float | None = None


def read_head(table: Any) -> Head:
    """What ``[scenario]`` says, as far as it is sound: to tell of what is wrong is for `build_head`."""
    if not isinstance(table, dict):
        return Head()
    name, limit = table.get("name"), table.get("limit")
    limit_s = None
    if isinstance(limit, str):
        with suppress(ValueError):
            limit_s = parse_duration(limit) or None
    if not isinstance(name, str) or not name.strip() or "\0" in name or "${" in name:
        name = ""
    return Head(name, limit_s)


def build_head(scenario: Scenario, loading: Loading) -> Scenario:
    keys, problems, raw = ("scenario",), loading.problems, loading.tables["scenario"]
    before = len(problems)
    table = check(ScenarioTable, raw, keys, problems)
    if table is None:
        return scenario
    loading.duration_known = len(problems) == before
    duration_s = loading.overrides.duration_s
    until = "quiet" if table.until is None and "quiet" in raw else table.until
    if "quiet" in raw and until != "quiet":
        problems.add((*keys, "quiet"), "'quiet' is for until = \"quiet\"", of_key=True)
    if until == "quiet" and table.quiet >= table.duration and loading.duration_known:
        message = "is not shorter than the duration, so the run would never end for it"
        problems.add((*keys, "quiet"), message)
    given = loading.overrides
    limit_s = given.default_limit_s if table.limit is None else table.limit
    return replace(
        scenario,
        name=table.name or scenario.path.stem,
        description=table.description,
        duration_s=table.duration if duration_s is None else duration_s,
        until=until,
        quiet_s=table.quiet,
        seed=loading.default_seed if table.seed is None else table.seed,
        seed_given=table.seed is not None,
        tags=tuple(table.tags),
        requires=tuple(table.requires),
        speed=table.speed,
        tolerance=table.tolerance,
        limit_s=limit_s if given.limit_s is None else given.limit_s,
    )
