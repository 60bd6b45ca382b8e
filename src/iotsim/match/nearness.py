"""Which of several things that do not match comes nearest: the one that differs in the fewest fields; among
equals the one that has the field at all, then the one whose number is the closest."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iotsim.match.matcher import Mismatch

NUMBER = re.compile(r"(?<![\w.])-?[0-9]+(?:\.[0-9]+)?")

Rank: TypeAlias = "tuple[float, ...]"
"""How near something came, for comparison: less is nearer."""
EXACT: Rank = (0, 0, 0.0)
FAR: Rank = (math.inf, 0, 0.0)


def rank(mismatches: Sequence[Mismatch]) -> Rank:
    """How near what has these `mismatches` came."""
    absent = sum(mismatch.actual == "absent" for mismatch in mismatches)
    return len(mismatches), absent, sum(map(_gap, mismatches))


def _gap(mismatch: Mismatch) -> float:
    """How far a number is from the nearest that was expected; infinity where there are no numbers."""
    try:
        actual = float(mismatch.actual)
    except ValueError:
        return math.inf
    gaps = [abs(actual - float(number)) for number in NUMBER.findall(mismatch.expected)]
    return min((gap for gap in gaps if gap == gap), default=math.inf)
