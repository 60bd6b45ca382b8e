"""A fixed part of the comparison; ``python -m tests.protocol.conformance`` makes all of it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from tests.protocol.conformance import archive, recording
from tests.protocol.conformance.cases import own_cases
from tests.protocol.conformance.comparison import SURROUNDINGS, Tally, compare_all, silence

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.protocol.conformance.recording import Case
    from tests.protocol.conformance.surroundings import Surrounding


def rotated(cases: list[Case], each: int) -> Iterator[tuple[Case, Surrounding]]:
    """Each case in as many surroundings, by and by in all of them."""
    for number, case in enumerate(cases):
        for step in range(each):
            yield case, SURROUNDINGS[(number * each + step) % len(SURROUNDINGS)]


def disagreements(cases: list[Case], each: int) -> tuple[Tally, dict[str, int]]:
    tally = Tally()
    with silence():
        compare_all(rotated(cases, each), tally)
    return tally, dict(Counter(found.case.name for found in tally.disagreements))


def test_both_engines_agree_on_constructs_of_our_own() -> None:
    tally, found = disagreements(own_cases(), each=4)
    assert found == {}
    assert tally.values > 3000


def test_both_engines_agree_on_the_constructs_of_constructs_own_tests() -> None:
    try:
        suite = recording.record()
    except archive.UnreachableError as error:
        pytest.skip(f"needs the source archive of construct {archive.VERSION}: {error}")
    assert not suite.failed
    tally, found = disagreements(suite.cases[::2], each=1)
    assert found == {}
    assert len(tally.constructs) > 350
