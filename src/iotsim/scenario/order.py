"""``after`` in expectations: what each comes after must be there, and be something that can come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iotsim.match.fieldpath import nearest
from iotsim.scenario.scopes import READY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iotsim.expect.spec import ExpectSpec
    from iotsim.scenario.loading import Loading
    from iotsim.scenario.toml import Keys


def check_order(specs: Sequence[ExpectSpec], loading: Loading, *, several: bool) -> None:
    """Hold the ``after`` of expectations against the names of steps and of each other.

    `several`: several processes judge, of which none knows what all of them together come to.
    """
    by_name = {spec.name: spec for spec in specs}
    steps = {READY, *step_names(loading)}
    places = {
        table["name"] if isinstance(table.get("name"), str) else f"expectation {number + 1}": number
        for number, table in enumerate(loading.tables["expect"])
        if isinstance(table, dict)
    }
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
        elif spec.name in _before(before, by_name):
            add(keys, "comes after itself")


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


def _before(spec: ExpectSpec, by_name: dict[str, ExpectSpec]) -> set[str]:
    """The names of `spec` and of all that it comes after."""
    found: set[str] = set()
    one: ExpectSpec | None = spec
    while one is not None and one.name not in found:
        found.add(one.name)
        one = by_name.get(one.after)
    return found
