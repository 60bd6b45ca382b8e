"""A fixed set of random schemas, through the codec and through construct."""

from __future__ import annotations

from tests.protocol.law.fuzz import fuzz


def test_random_schemas() -> None:
    tally = fuzz(0, 8000, lambda node, number, difference: None)
    assert not tally.differences, str(tally.differences[0])
    assert tally.accepted > tally.comparisons * 0.4
    assert tally.refused < tally.schemas * 0.02
