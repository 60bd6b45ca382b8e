"""Which messages an entry is for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from iotsim.impair import EntrySpec, Scope

WAY = ("meter", 0, "to_device")
ENTRY = EntrySpec("e", "e", devices={"meter": range(10)}, tests={WAY: None})  # type: ignore[dict-item]


@dataclass
class Meter:
    index: int = 0


def scope(entry: EntrySpec, devices: int = 10) -> Scope:
    return Scope(
        entry, "meter", 0, "to_device",
        devices=devices, period=entry.period(), counts=entry.counts(devices),
    )  # fmt: skip


def hits(one: Scope, number: int, t: float = 0.0, index: int = 0) -> list[bool]:
    device: Any = Meter(index)
    return [one.hits(device, {}, t) for _ in range(number)]


def numbers(found: list[bool]) -> list[int]:
    return [number for number, hit in enumerate(found, 1) if hit]


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"first": 2}, [1, 2]),
        ({"every": 3}, [3, 6, 9, 12]),
        ({"skip": 5}, [*range(6, 13)]),
        ({"skip": 2, "every": 3}, [5, 8, 11]),
        ({"skip": 2, "every": 3, "first": 2}, [5, 8]),
    ],
)
def test_counting(counts: dict[str, int], expected: list[int]) -> None:
    assert numbers(hits(scope(replace(ENTRY, **counts)), 12)) == expected  # type: ignore[arg-type]


def test_each_device_is_counted_by_itself() -> None:
    one = scope(replace(ENTRY, first=1))
    assert hits(one, 2, index=3) == [True, False]
    assert hits(one, 2, index=4) == [True, False]


def test_only_what_matches_counts() -> None:
    def test(message: Any, device: Any, t: float) -> bool:
        return bool(message["kind"] == "READ")

    one = scope(replace(ENTRY, tests={WAY: test}, first=1))  # type: ignore[dict-item]
    device: Any = Meter()
    kinds = ["PING", "READ", "READ"]
    assert [one.hits(device, {"kind": kind}, 0.0) for kind in kinds] == [False, True, False]
    assert not one.hits(device, None, 0.0)


@pytest.mark.parametrize("indexes", [range(0, 10, 3), (0, 3, 6, 9)])
def test_devices(indexes: Any) -> None:
    one = scope(replace(ENTRY, devices={"meter": indexes}))
    assert [hits(one, 1, index=index)[0] for index in range(4)] == [True, False, False, True]


def test_a_period_has_a_beginning_and_an_end() -> None:
    one = scope(replace(ENTRY, begin_s=5.0, end_s=10.0))
    assert [hits(one, 1, t)[0] for t in (4.999, 5.0, 9.999, 10.0)] == [False, True, True, False]


def test_a_period_may_follow_something_that_happens_again() -> None:
    one = scope(replace(ENTRY, begin_s=1.0, end_s=2.0, after="crash"))
    assert not any(hits(one, 1, t)[0] for t in (0.0, 1.5, 1e9))
    one.period.start(10.0)
    assert [hits(one, 1, t)[0] for t in (10.5, 11.0, 12.0)] == [False, True, False]
    one.period.start(20.0)
    assert hits(one, 1, 21.5) == [True]


def test_what_comes_before_its_period_is_not_counted() -> None:
    one = scope(replace(ENTRY, begin_s=5.0, first=1))
    assert hits(one, 3, 1.0) == [False] * 3
    assert hits(one, 2, 6.0) == [True, False]
