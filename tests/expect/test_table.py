"""Every kind of expectation is known wherever kinds are listed."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from iotsim.expect.kinds import KINDS
from iotsim.expect.spec import Kind

ROOT = Path(__file__).parents[2]


def test_the_table_has_all_kinds_over_messages() -> None:
    assert {*KINDS, "gateway"} == set(
        get_args(Kind.__value__ if hasattr(Kind, "__value__") else Kind)
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("file", "written"),
    [
        ("docs/scenario.md", "`{} = "),
        ("tests/expect/test_recorded.py", '"{}"'),
        ("tests/expect/test_merge.py", '"{}"'),
    ],
)
def test_a_kind_is_documented_and_held_to_a_slow_look_and_to_several_judges(
    kind: str, file: str, written: str
) -> None:
    assert written.format(kind) in (ROOT / file).read_text()
