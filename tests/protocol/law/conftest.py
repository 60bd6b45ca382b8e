"""What the codec does not do yet: the tests of `failing.txt` are expected to fail, each of them."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent
FAILING = HERE / "failing.txt"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    expected = set(FAILING.read_text().splitlines())
    for item in items:
        if item.path.parent == HERE and item.nodeid.rpartition("law/")[2] in expected:
            item.add_marker(pytest.mark.xfail(strict=True, reason="see failing.txt"))
