from __future__ import annotations

from ipaddress import ip_network

import pytest

from iotsim.testbed import network
from iotsim.testbed.plan import TestbedPlan
from iotsim.wire.address import parse_address

WANTED = [ip_network("10.77.0.0/16"), ip_network("fd77::/64")]


@pytest.mark.parametrize(
    ("existing", "conflict"),
    [
        ("0.0.0.0/0", False),
        ("::/0", False),
        ("10.78.0.0/16", False),
        ("10.77.5.0/24", True),
        ("10.77.0.0/16", True),
        ("10.0.0.0/8", True),
        ("fd77::/48", True),
        ("fd78::/48", False),
    ],
)
def test_routes_that_overlap(existing: str, conflict: bool) -> None:
    found = network.find_conflict(WANTED, [(ip_network(existing), "eth0")])
    assert (found is not None) is conflict
    if found:
        assert str(found[1]) == existing
        assert found[2] == "eth0"


def test_prefixes_that_a_plan_wants() -> None:
    plan = TestbedPlan(
        addresses=((parse_address("10.77.0.1"), 16), (parse_address("fd77::1"), 64)),
        routes=((parse_address("192.168.9.0"), 24),),
    )
    assert network.wanted_prefixes(plan) == [*WANTED, ip_network("192.168.9.0/24")]


def test_a_sysctl_that_cannot_be_set_is_a_note() -> None:
    note = network.write_sysctl("net/no/such/key", "1")
    assert note.startswith("net.no.such.key could not be set to 1")
