from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iotsim.expect.spec import DeviceSelection
from iotsim.scenario.selectors import SelectorError, merged, select

COUNTS = {"meter": 20, "pump-2": 3}


@pytest.mark.parametrize(
    ("text", "fleet", "indexes"),
    [
        ("meter", "meter", range(20)),
        (" pump-2 ", "pump-2", range(3)),
        ("meter[3]", "meter", range(3, 4)),
        ("meter[-1]", "meter", range(19, 20)),
        ("meter[0:10]", "meter", range(10)),
        ("meter[ 15: ]", "meter", range(15, 20)),
        ("meter[:-18]", "meter", range(2)),
        ("meter[::2]", "meter", range(0, 20, 2)),
        ("meter[::-5]", "meter", range(4, 20, 5)),
        ("meter[5:500]", "meter", range(5, 20)),
    ],
)
def test_selectors(text: str, fleet: str, indexes: range) -> None:
    assert select(text, COUNTS, 1) == DeviceSelection(fleet, indexes)


def test_a_share_is_drawn_by_the_seed() -> None:
    first = select("meter 25%", COUNTS, 1)
    assert len(set(first.indexes)) == 5
    assert list(first.indexes) == sorted(first.indexes)
    assert select("meter 25%", COUNTS, 1) == first
    assert any(select("meter 25%", COUNTS, seed) != first for seed in range(2, 6))
    assert len(select("meter 0.1%", COUNTS, 1).indexes) == 1
    assert len(select("meter 100 %", COUNTS, 1).indexes) == 20


def test_selections_of_a_fleet_are_merged() -> None:
    chosen = [select(text, COUNTS, 1) for text in ("meter[0:3]", "pump-2", "meter[2:5]")]
    assert merged(chosen) == (
        DeviceSelection("meter", (0, 1, 2, 3, 4)),
        DeviceSelection("pump-2", range(3)),
    )


@settings(max_examples=100)
@given(st.text(alphabet="meter[]:-0123456789 %.", max_size=20).map("meter".__add__) | st.text())
def test_any_text_selects_or_is_refused(text: str) -> None:
    try:
        chosen = select(text, COUNTS, 1)
    except ValueError as error:
        assert str(error)  # noqa: PT017
        return
    assert 0 < len(chosen.indexes) == len(set(chosen.indexes))
    assert all(0 <= index < COUNTS[chosen.fleet] for index in chosen.indexes)


def test_the_nearest_fleet_is_named() -> None:
    with pytest.raises(SelectorError) as caught:
        select("metr", COUNTS, 1)
    assert caught.value.hint == "did you mean 'meter'?"
