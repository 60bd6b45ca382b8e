"""``after`` in expectations and steps: what each comes after must be there, and be something that can come,
and early enough in the run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iotsim.match.fieldpath import nearest
from iotsim.scenario.horizon import horizon_of
from iotsim.scenario.scopes import READY
from iotsim.units import Tolerance

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from iotsim.expect.spec import ExpectSpec
    from iotsim.scenario.horizon import Horizon
    from iotsim.scenario.loading import Loading
    from iotsim.scenario.model import Scenario
    from iotsim.scenario.problems import Problems
    from iotsim.scenario.steps import StepSpec
    from iotsim.scenario.toml import Keys


def check_order(specs: Sequence[ExpectSpec], loading: Loading, *, several: bool) -> None:
    """Hold the ``after`` of expectations against the names of steps and of each other.

    `several`: several processes judge, of which none knows what all of them together come to.
    """
    by_name = {spec.name: spec for spec in specs}
    steps = {READY, *step_names(loading)}
    places = _numbers("expect", loading)
    for spec in specs:
        if not spec.after or spec.name not in places:
            continue
        keys: Keys = ("expect", places[spec.name], "after")
        add = loading.problems.add
        before = by_name.get(spec.after)
        if spec.after in steps:
            continue
        if before is None:
            if spec.after not in places:  # else that is wrong itself
                message = f"there is no step and no expectation '{spec.after[:100]}'"
                add(keys, message, nearest(spec.after, {*by_name, *steps}))
        elif not holds_early(before):
            message = (
                f"'{before.name[:100]}' cannot hold before the end of the run: nothing comes after"
            )
            add(keys, message)
        elif several:
            message = (
                "with several queues, no process knows when all devices together have done that"
            )
            add(keys, message, "write queues = 1 in [link], or name a step")


def step_names(loading: Loading) -> set[str]:
    """What the steps of the timeline are called."""
    tables: Any = loading.tables.get("step", ())
    return {
        table["name"]
        for table in tables
        if isinstance(table, dict) and isinstance(table.get("name"), str) and table["name"]
    }


def holds_early(spec: ExpectSpec) -> bool:
    """Whether it may hold before the run ends."""
    if spec.gateway is not None:
        asked = spec.gateway
        return not asked.running and asked.stdout_not is None
    if spec.kind == "within":
        return True
    if spec.kind == "sequence":
        return spec.quantifier != "none" or spec.within_s is not None
    counts = spec.kind == "count" and spec.count_max is None and spec.per_s is None
    return counts and spec.quantifier != "none"


def check_moments(scenario: Scenario, loading: Loading) -> None:
    """Hold steps and expectations against each other, and against the end of the run: nothing comes after
    itself, no step comes after the end, and windows are over by then."""
    add, horizon = loading.problems.add, horizon_of(scenario, loading)
    numbers, places = _numbers("step", loading), _numbers("expect", loading)
    expectations = {spec.name: spec for spec in scenario.expectations}
    waiting: dict[str, StepSpec | ExpectSpec] = {
        **expectations,
        **{step.name: step for step in scenario.steps},
    }
    earliest, circular = _earliest(waiting, horizon.ready_s)
    for step in scenario.steps:
        keys: Keys = ("step", numbers[step.name])
        if step.name in expectations:
            place = expectations[step.name].place
            message = f"an expectation has this name, too ({place}): 'after' could mean either"
            add((*keys, "name"), message)
        if step.name in circular:
            add((*keys, "after"), "it waits for itself, so it would never come")
            continue
        if not step.after or horizon.moment(earliest.get(step.after, 0.0)):  # which is told
            continue
        if late := horizon.moment(earliest[step.name]):
            add((*keys, "delay"), f"this step would never come: {late}", horizon.hint)
    for spec in scenario.expectations:
        if not spec.after or spec.name not in places:
            continue
        keys = ("expect", places[spec.name])
        begins_s = earliest.get(spec.after, 0.0)
        if spec.name in circular and waiting[spec.name] is spec:
            add((*keys, "after"), "comes after itself")
        elif not horizon.moment(begins_s):  # else that is told
            check_windows(spec, keys, begins_s, horizon, loading.problems)


def _earliest(
    waiting: Mapping[str, StepSpec | ExpectSpec], ready_s: float
) -> tuple[dict[str, float], set[str]]:
    """When each can come at the earliest, in seconds into the run, and which wait for themselves."""
    found = {READY: ready_s}
    circular: set[str] = set()
    for name in waiting:
        before: dict[str, None] = {}
        while name in waiting and name not in found and name not in before:
            before[name] = None
            name = waiting[name].after
        if name in before:
            listed = list(before)
            circular.update(listed[listed.index(name) :])
        t = found.get(name, 0.0)
        for one in reversed(before):
            t = found[one] = _begins(waiting[one], t)
    return found, circular


def _begins(one: StepSpec | ExpectSpec, after_s: float) -> float:
    """When a step is done, or an expectation holds at the earliest, after what comes at `after_s`."""
    at_s: float | None = getattr(one, "at_s", None)
    return after_s + getattr(one, "delay_s", 0.0) if at_s is None else at_s


def _numbers(section: str, loading: Loading) -> dict[str, int]:
    """The numbers of steps or expectations, by name."""
    kind = "expectation" if section == "expect" else section
    return {
        name
        if isinstance(name := table.get("name"), str) and name
        else f"{kind} {number + 1}": number
        for number, table in enumerate(loading.tables.get(section, ()))
        if isinstance(table, dict)
    }


def check_windows(
    spec: ExpectSpec, keys: Keys, begins_s: float, horizon: Horizon, problems: Problems
) -> None:
    """Tell of the windows of an expectation that may begin at `begins_s` and outlast the run."""
    for inner, window_s in _windows(spec):
        if late := horizon.window(window_s, begins_s):
            problems.add((*keys, *inner), late, horizon.hint)
    late = ""
    if spec.within_s is not None:
        keys, late = (*keys, "within"), horizon.window(spec.within_s, begins_s)
    elif spec.per_s is not None and spec.after:
        keys, late = (*keys, "per"), horizon.window(spec.per_s, begins_s)
    elif spec.per_s is not None and spec.count_min:
        keys, late = (*keys, "per"), horizon.first_span(spec.per_s, begins_s)
    elif spec.per_s is not None:
        keys, late = (*keys, "per"), horizon.window(spec.per_s, horizon.ready_s)
    if late:
        problems.add(keys, late, horizon.hint)


def _windows(spec: ExpectSpec) -> Iterator[tuple[Keys, float]]:
    """The times that a sequence, a latency, or a delivery has in it, with their keys."""
    least = 0.0
    for number, part in enumerate(spec.parts):
        if part.after is not None:
            least += part.after.bounds()[0] if isinstance(part.after, Tolerance) else part.after[0]
            yield ("sequence", number, "after"), least
    if spec.latency is not None:
        for name, bound in spec.latency.bounds.items():
            yield ("latency", name), bound
    if spec.delivered is not None and spec.delivered.within_s is not None:
        yield ("delivered", "within"), spec.delivered.within_s
