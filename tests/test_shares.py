"""Which tests a worker of pytest-xdist takes together."""

from __future__ import annotations

import pytest
from tests.shares import share_of


@pytest.mark.parametrize(
    ("nodeid", "share"),
    [
        ("tests/wire/test_udp.py::test_a", "tests/wire/test_udp.py"),
        ("tests/wire/test_udp.py::test_a[/test_run_]", "tests/wire/test_udp.py"),
        ("tests/run/test_run.py::test_a", "tests/run/test_run.py"),
        ("tests/live/test_run_coap.py::test_a", "tests/live/test_run_"),
        ("tests/live/test_run_snmp.py::TestA::test_b[::]", "tests/live/test_run_"),
    ],
)
def test_files_are_shares_and_those_with_runs_are_one(nodeid: str, share: str) -> None:
    assert share_of(nodeid) == share
