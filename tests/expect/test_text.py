"""Times, messages and lists of devices, as people read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotsim.expect.text import (
    alike,
    arrivals_text,
    at,
    devices_text,
    last_text,
    message_text,
    seconds,
    value_text,
)


def names(*indexes: int, fleet: str = "meter") -> list[str]:
    return [f"{fleet}[{index}]" for index in indexes]


@pytest.mark.parametrize(
    ("devices", "total", "text"),
    [
        (names(3), 1, "meter[3]"),
        (names(3, 4), 2, "meter[3], meter[4]"),
        (names(*range(20)), 20, "meter[0:20]"),
        (names(*range(20)), 1000, "meter[0:20] and 980 more"),
        (names(0, 2, 3, 4, 9), 5, "meter[0], meter[2:5], meter[9]"),
        ([*names(1, 2, 3), *names(4, 5, 6, fleet="lamp")], 6, "meter[1:4], lamp[4:7]"),
        ([], 0, ""),
    ],
)
def test_devices_in_a_row_become_a_selector(devices: list[str], total: int, text: str) -> None:
    assert devices_text(devices, total) == text


@given(st.lists(st.integers(0, 40), unique=True, max_size=20).map(sorted))
def test_a_selector_names_the_devices_that_it_stands_for(indexes: list[int]) -> None:
    meant: list[int] = []
    for part in filter(None, devices_text(names(*indexes), len(indexes)).split(", ")):
        first, _, beyond = part[len("meter[") : -1].partition(":")
        meant += range(int(first), int(beyond or int(first) + 1))
    assert meant == indexes


def test_what_is_the_same_for_several_devices_is_told_once() -> None:
    nothing = "heard nothing in that time"
    assert alike(names(0, 1, 2), [nothing] * 3) == [(names(0, 1, 2), nothing)]


def test_times_that_differ_become_a_range() -> None:
    details = [at("the kind was READ", t) for t in (1.0, 3.0, 2.0)]
    assert alike(names(0, 1, 2), details) == [
        (names(0, 1, 2), "the kind was READ (t=1.000..3.000 s)")
    ]


def test_other_numbers_that_differ_are_the_first_devices() -> None:
    details = [at(f"seq was {seq}", 1.0) for seq in (7, 8)]
    assert alike(names(0, 1), details) == [
        (names(0, 1), "seq was 7 (t=1.000 s); the others alike"),
    ]


def test_what_differs_in_words_is_told_apart_in_the_order_of_devices() -> None:
    assert alike(names(0, 1, 2), ["a 1", "b", "a 1"]) == [(names(0, 2), "a 1"), (names(1), "b")]
    assert alike(names(0, 1), []) == []  # nothing is told of them


def test_how_many_came_and_when() -> None:
    first = [(float(t), f"seq={t}") for t in range(8)]
    assert arrivals_text(0, []) == ""
    assert arrivals_text(1, first[:1]) == "1 came: seq=0 (t=0.000 s)"
    assert arrivals_text(2, first[:2]) == "2 came: t=0.000 s, t=1.000 s; the first: seq=0"
    assert arrivals_text(99, first).endswith("t=5.000 s and 93 more; the first: seq=0")
    assert last_text("1 came", [], "seq=9") == "1 came: seq=9"
    assert (
        last_text("3 came", [1.0, 2.0], "seq=9") == "3 came: t=1.000 s, t=2.000 s, and last seq=9"
    )
    many = last_text("101 came", [1.0] * 8, "seq=9", earlier=100)
    assert many.endswith("t=1.000 s and 94 more, and last seq=9")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("READ", "READ"),
        ("", "''"),
        ("a\x1bb", r"'a\x1bb'"),
        (b"\x0a\xff", "hex:0aff"),
        (1.5, "1.5"),
        (True, "true"),
        (False, "false"),
        (3, "3"),
        (None, "None"),
        ([1, 2], "[1, 2]"),
        ({"quality": "GOOD", "alarm": False}, "{quality=GOOD alarm=false}"),
        ("x" * 100, "x" * 59 + "…"),
    ],
)
def test_values(value: object, text: str) -> None:
    assert value_text(value) == text


def test_a_deep_or_long_message_stays_short() -> None:
    deep: dict[str, object] = {}
    for _ in range(50):
        deep = {"a": deep}
    assert len(value_text(deep)) <= 60
    assert message_text({f"field{n}": n for n in range(100)}).endswith(" …")
    assert message_text({}) == "an empty message"
    assert message_text(None) == "what could not be decoded"


def test_seconds() -> None:
    assert [seconds(value) for value in (0, 0.25, 1.5, 5.0)] == ["0 s", "250 ms", "1.5 s", "5 s"]


def test_names_that_are_no_devices_are_listed_as_they_are() -> None:
    names = ["north.cloud", "north.cloud", "m[x]", "m[²]", "", "m[1]", "m[2]", "m[3]"]
    assert devices_text(names, 8) == "north.cloud, north.cloud, m[x], m[²], , m[1:4]"
