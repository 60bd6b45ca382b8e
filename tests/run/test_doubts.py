"""What there is to doubt about a run, told to people."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from iotsim.run.doubts import Doubts


@pytest.mark.parametrize(("lost_by_services", "lost_by_gateway"), [(0, 9), (2, 7), (9, 0), (12, 0)])
def test_what_services_of_ours_have_lost_is_not_the_gateways_loss(
    lost_by_services: int, lost_by_gateway: int
) -> None:
    errors = {"UdpRcvbufErrors": 1, "UdpNoPorts": 0}
    testbed = SimpleNamespace(interface="", gateway_udp_errors=lambda: dict(errors))
    counters = SimpleNamespace(counts=Counter[str](), notes=[], idle=[])
    crew: Any = SimpleNamespace(counters=lambda: counters)
    scenario: Any = SimpleNamespace(fleets=(), impairments=(), faults=(), pace=1.0)
    doubts = Doubts(scenario, crew, SimpleNamespace(testbed=testbed))  # type: ignore[arg-type]
    doubts.lost_northbound = lambda: lost_by_services
    errors["UdpRcvbufErrors"] += 9  # of the whole network, in which services have their sockets
    assert doubts.counters()["gateway.UdpRcvbufErrors"] == lost_by_gateway
    told = f"it lost {lost_by_gateway} datagrams there" in " ".join(doubts.notes())
    assert told == (lost_by_gateway > 0)
