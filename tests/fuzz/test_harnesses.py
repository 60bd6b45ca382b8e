"""The harnesses of the fuzzer without the fuzzer: their seeds, and inputs that once failed."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
HARNESSES = sorted(path.stem for path in HERE.glob("fuzz_*.py"))
LEAST_SEEDS = {"fuzz_protocols": 5, "fuzz_scenarios": 10}


@pytest.mark.parametrize("name", HARNESSES)
def test_seeds_and_failures_of_the_past(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HERE))
    harness = importlib.import_module(name)
    seeds = list(harness.seeds())
    assert len(seeds) >= LEAST_SEEDS.get(name, 100)
    for seed in seeds:
        harness.target(seed)
    for path in sorted((HERE / "failures").glob(f"{name}-*")):
        harness.target(path.read_bytes())
    assert "atheris" not in sys.modules
