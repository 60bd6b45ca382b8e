"""A fixed set of random schemas: the codec does what construct does with them."""

from __future__ import annotations

from tests.protocol.law.fuzz import fuzz


def test_random_schemas() -> None:
    tally = fuzz(0, 3000, lambda node, number, difference: None)
    assert not tally.differences, str(tally.differences[0])
