"""The loader of scenarios: any text is loaded, or refused with a ScenarioError that has bounds.

A zero byte, which no TOML has, stands between a base and what extends it. Whatever files a text names are
looked for, and those of protocols, which are the bundled ones, are imported.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from driver import fuzz, instrumented

with instrumented():
    from iotsim.errors import ScenarioError
    from iotsim.scenario import load_text
    from iotsim.scenario.problems import LONGEST_HINT, LONGEST_MESSAGE, MOST_PROBLEMS
    from iotsim.scenario.toml import LONGEST_PATH

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iotsim.errors import Problem

PLACE = Path("/nowhere/test.toml")
LONGEST_LINE = 12 * (LONGEST_PATH + LONGEST_MESSAGE + LONGEST_HINT)  # each character an escape
SCENARIOS = Path(__file__).parents[2] / "scenarios"


def target(data: bytes) -> None:
    found: list[Problem] = []
    try:
        load_text(data.decode("utf-8", "replace"), PLACE, warn=found.append)
    except ScenarioError as error:
        problems = error.problems
    else:
        problems = found[:1]
    assert len(problems) <= MOST_PROBLEMS + 1
    assert len(found) <= MOST_PROBLEMS
    found.extend(problems)
    assert all(len(str(problem)) < LONGEST_LINE for problem in found)


def seeds() -> Iterator[bytes]:
    texts = [path.read_bytes() for path in sorted(SCENARIOS.rglob("*.toml"))]
    yield from texts
    for base, text in pairwise(texts):
        yield base + b"\0" + text


if __name__ == "__main__":
    fuzz(target)
