from __future__ import annotations

from pathlib import Path

import pytest

from iotsim.errors import ScenarioError
from iotsim.scenario import load_text
from iotsim.scenario.model import ResultsSpec


def load(text: str) -> ResultsSpec:
    return load_text(text, Path("x.toml")).results


def test_by_default_everything_is_kept() -> None:
    assert load("") == load("[results]\n") == ResultsSpec(None, None)


def test_each_file_has_a_bound_of_its_own() -> None:
    assert load('[results]\nevents = "100MB"\n') == ResultsSpec(100_000_000, None)
    assert load('[results]\ncapture = "1.5GB"\n') == ResultsSpec(None, 1_500_000_000)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ('"999kB"', "must be 1 MB at least"),
        ('"2000TB"', "1000 TB at most"),
        ("100", "must be a text such as '100MB'"),
        ('"much"', "'much' is no size"),
    ],
)
def test_what_is_no_bound(value: str, said: str) -> None:
    with pytest.raises(ScenarioError, match=f"x.toml:2:.*: results.events: .*{said}"):
        load(f"[results]\nevents = {value}\n")
