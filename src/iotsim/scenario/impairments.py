"""``[[impair]]``: what the network does to datagrams."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from iotsim.impair import DIRECTIONS, Bursts, Delay, ImpairSpec, Shape
from iotsim.impair.impairment import DEFAULT_QUEUE
from iotsim.scenario.schema import (
    RANGE_PATTERN,
    Duration,
    Holds,
    Model,
    check,
    from_text,
    misspelled,
    written,
)
from iotsim.scenario.scopes import ScopeTable, tell_twice
from iotsim.units import parse_duration_range, parse_rate, parse_share

if TYPE_CHECKING:
    from iotsim.impair import Direction, EntrySpec
    from iotsim.scenario.loading import Loading
    from iotsim.scenario.model import Scenario
    from iotsim.scenario.problems import Problems
    from iotsim.scenario.scopes import ScopeBuilder
    from iotsim.scenario.toml import Keys

MOST_IMPAIRMENTS = 1000
EFFECTS = ("loss", "delay", "duplicate", "reorder", "corrupt", "rate", "mtu")


def _share(value: Any) -> float:
    if isinstance(value, str):
        return parse_share(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise ValueError("must be a share such as '10%', or a number from 0 to 1")
    return float(value)


SHARE = {"anyOf": [{"type": "string"}, {"type": "number", "minimum": 0, "maximum": 1}]}
Share = Annotated[float, BeforeValidator(written(_share, **SHARE))]
Rate = Annotated[float, BeforeValidator(from_text(parse_rate, "'9600bit/s' or '2Mbit/s'"))]


class BurstsTable(Model):
    enter: Share
    leave: Share
    bad: Share = 1.0
    good: Share = 0.0


class DelayTable(Model):
    mean: Duration
    deviation: Duration = 0.0
    distribution: Shape = "uniform"


class ImpairTable(ScopeTable):
    direction: Literal["to_device", "from_device", "both"] = "both"
    loss: Annotated[Any, Holds(BurstsTable, SHARE)] = None
    delay: Annotated[Any, Holds(DelayTable, {"type": "string", "pattern": RANGE_PATTERN})] = None
    jitter: Annotated[Duration, Field(gt=0)] | None = None
    duplicate: Share = 0.0
    reorder: Share = 0.0
    corrupt: Share = 0.0
    rate: Annotated[Rate, Field(gt=0)] | None = None
    queue: Annotated[int, Field(ge=0, le=1 << 20)] = DEFAULT_QUEUE
    mtu: Annotated[int, Field(ge=28, le=65535)] | None = None


@dataclass(frozen=True)
class ImpairEntry:
    """An impairment with what it is for."""

    entry: EntrySpec
    spec: ImpairSpec
    directions: tuple[Direction, ...]


def build_impairments(scenario: Scenario, loading: Loading) -> Scenario:
    tables = loading.tables["impair"]
    if len(tables) > MOST_IMPAIRMENTS:
        loading.problems.add(("impair",), f"more than {MOST_IMPAIRMENTS} impairments")
        return scenario
    builder = loading.scopes(scenario)
    built = [
        entry
        for number, raw in enumerate(tables)
        if (entry := build_impairment(raw, ("impair", number), builder, loading.problems))
    ]
    tell_twice([one.entry.name for one in built], "impair", loading.problems)
    return replace(scenario, impairments=(*scenario.impairments, *built))


def build_impairment(
    raw: Any, keys: Keys, builder: ScopeBuilder, problems: Problems, step: str = ""
) -> ImpairEntry | None:
    """The impairment that the table `raw` says; `step` is the one that brings it, if one does."""
    table = check(ImpairTable, raw, keys, problems)
    if table is None:
        return None
    if not any(name in raw for name in EFFECTS) and not misspelled(raw, ImpairTable, EFFECTS):
        problems.add(keys, f"it does nothing: give it one of {', '.join(EFFECTS)}")
    spec = ImpairSpec(
        loss=_loss(table.loss, (*keys, "loss"), problems),
        delay=_delay(table, keys, problems),
        duplicate=table.duplicate,
        reorder=table.reorder,
        corrupt=table.corrupt,
        rate=table.rate or 0.0,
        queue=table.queue,
        mtu=table.mtu or 0,
    )
    if table.reorder and table.delay is None:
        problems.add(
            (*keys, "reorder"), "without 'delay' there is nothing to overtake", of_key=True
        )
    if "queue" in raw and table.rate is None:
        problems.add((*keys, "queue"), "'queue' is for 'rate'", of_key=True)
    directions = DIRECTIONS if table.direction == "both" else (table.direction,)
    entry = builder.build(table, raw, keys, kind="impairment", directions=directions, step=step)
    return ImpairEntry(entry, spec, directions)


def _loss(value: Any, keys: Keys, problems: Problems) -> float | Bursts:
    if value is None:
        return 0.0
    if isinstance(value, dict):
        table = check(BurstsTable, value, keys, problems)
        if table is None:
            return 0.0
        if table.enter and not table.leave:
            problems.add((*keys, "leave"), "the line would turn bad and stay so for ever")
        return Bursts(table.enter, table.leave, table.bad, table.good)
    try:
        return _share(value)
    except ValueError as error:
        problems.add(keys, str(error))
        return 0.0


def _delay(table: ImpairTable, keys: Keys, problems: Problems) -> Delay | None:
    here = (*keys, "delay")
    if table.delay is None:
        if table.jitter is not None:
            problems.add((*keys, "jitter"), "'jitter' is for 'delay'", of_key=True)
        return None
    if isinstance(table.delay, dict):
        given = check(DelayTable, table.delay, here, problems)
        built = None if given is None else Delay(given.mean, given.deviation, given.distribution)
        plain = False
    elif not isinstance(table.delay, str):
        message = "must be a time such as '20ms', a range '20ms..80ms', or a table"
        problems.add(here, message, 'write { mean = "50ms", deviation = "10ms" }')
        return None
    else:
        built, plain = None, True
        with problems.at(*here):
            low, high = parse_duration_range(table.delay)
            built, plain = Delay((low + high) / 2, (high - low) / 2), low == high
    if table.jitter is not None and built is not None:
        if not plain:
            problems.add((*keys, "jitter"), "the delay has its own spread already", of_key=True)
        built = built._replace(deviation_s=table.jitter)
    return built
