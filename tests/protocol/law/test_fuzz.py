"""A fixed set of random schemas: the codec does what construct does with them."""

from __future__ import annotations

import pytest

from tests.protocol.law.fuzz import fuzz


@pytest.mark.xfail(reason="see fuzz.py")
def test_random_schemas() -> None:
    tally = fuzz(0, 3000, lambda node, number, difference: None)
    assert not tally.differences, str(tally.differences[0])
