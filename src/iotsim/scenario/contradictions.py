"""Expectations that cannot hold together: one wants what another forbids."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iotsim.match.implied import implies

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iotsim.expect.spec import ExpectSpec
    from iotsim.scenario.loading import Loading
    from iotsim.scenario.toml import Keys

MOST_LISTED = 1000
MOST_PAIRS = 20_000
"""At most this many pairs of expectations are compared."""


def look_at_contradictions(expectations: list[tuple[Keys, ExpectSpec]], loading: Loading) -> None:
    """What one expectation wants, another must not forbid."""
    wanting = [(keys, spec, least) for keys, spec in expectations if (least := _wants(spec))]
    limits = [(spec, most) for _, spec in expectations if (most := _allows(spec)) is not None]
    for keys, spec, least in wanting[: MOST_PAIRS // max(len(limits), 1)]:
        for other, most in limits:
            if least > most and _is_about(spec, other):
                so_many = "none of them" if most == 0 else f"no more than {most}"
                message = f"it cannot hold together with '{other.name}', which allows {so_many}"
                loading.problems.add(keys, message)
                break


def _wants(spec: ExpectSpec) -> int:
    """How many messages to each of its devices the expectation wants at least; 0 if that is not said."""
    if spec.quantifier not in ("each", "device") or spec.severity != "error":
        return 0
    if spec.kind == "within":
        return 1
    return (spec.count_min or 0) if spec.kind == "count" and spec.per_s is None else 0


def _allows(spec: ExpectSpec) -> int | None:
    """How many messages to each of its devices the expectation allows at most; None if that is not said."""
    if getattr(spec, "after", "") or spec.severity != "error" or spec.matcher is None:
        return None
    if spec.kind == "never" and spec.quantifier in ("each", "device", "all"):
        return 0
    if spec.kind == "within" and spec.quantifier == "none":
        return None  # it may come later
    if spec.kind == "count" and spec.per_s is None and spec.quantifier in ("each", "device", "all"):
        return spec.count_max
    return None


def _is_about(spec: ExpectSpec, other: ExpectSpec) -> bool:
    """Whether all messages of `spec`, to at least one device, are messages of `other`."""
    assert spec.matcher is not None
    assert other.matcher is not None
    if (spec.direction, spec.layer) != (other.direction, other.layer):
        return False
    if spec.matcher.undecodable or other.matcher.undecodable:
        return spec.matcher.undecodable and other.matcher.undecodable and _share(spec, other)
    return _share(spec, other) and implies(spec.matcher.conditions, other.matcher)


def _share(spec: ExpectSpec, other: ExpectSpec) -> bool:
    """Whether both select some device."""
    return any(
        one.fleet == two.fleet and _meet(one.indexes, two.indexes)
        for one in spec.devices
        for two in other.devices
    )


def _meet(one: Sequence[int], other: Sequence[int]) -> bool:
    if isinstance(one, range) and isinstance(other, range) and one.step == other.step == 1:
        return max(one.start, other.start) < min(one.stop, other.stop)
    shorter, longer = sorted((one, other), key=len)
    if len(shorter) > MOST_LISTED:
        return False  # perhaps they do
    if isinstance(longer, range):
        return any(index in longer for index in shorter)
    return len(longer) <= MOST_LISTED and not set(longer).isdisjoint(shorter)
