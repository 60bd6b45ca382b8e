"""A simulation over a memory link, with the test as its gateway."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from iotsim.scenario import load_text
from iotsim.testing import simulated as simulated_run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from iotsim.testing import Gateway


@pytest.fixture
def simulated(tmp_path: Path) -> Callable[..., Any]:
    """``async with simulated(toml) as gateway``, whose files are looked for in the test's folder.

    For virtual time a test asks for ``autojump_clock`` besides: pytest-trio looks for it there.
    """

    @asynccontextmanager
    async def simulate(text: str, seed: int = 1) -> AsyncIterator[Gateway]:
        scenario = load_text(text, tmp_path / "scenario.toml", default_seed=seed)
        async with simulated_run(scenario) as gateway:
            yield gateway

    return simulate
