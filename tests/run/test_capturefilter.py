"""Which packets a limited capture keeps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iotsim.events import IN, OUT
from iotsim.run.capturefilter import addresses, make_filter
from iotsim.scenario import load_text
from iotsim.wire import arp, ethernet, icmpv6, ipv4, ipv6, ndp, udp, virtio
from iotsim.wire.address import parse_address

if TYPE_CHECKING:
    from iotsim.scenario.model import Scenario

METERS = """
[link]
kind = "{kind}"

[devices.meter]
count = 10
address = ["10.77.1.1", "fd77::1:1"]

[devices.pump]
count = 10
address = "10.77.2.1"
"""
GATEWAY = "10.77.0.1"


def scenario_on(kind: str) -> Scenario:
    return load_text(METERS.format(kind=kind), Path("capture.toml"), default_seed=1)


def datagram(source: str, destination: str) -> bytes:
    ends = parse_address(source), parse_address(destination)
    segment = udp.build_udp(*ends, 1, 2, b"x")
    build = ipv6.build_ipv6 if ":" in source else ipv4.build_ipv4
    return virtio.PLAIN + build(*ends, 17, segment)


@pytest.mark.parametrize(
    ("direction", "source", "destination", "kept"),
    [
        (IN, GATEWAY, "10.77.1.4", True),
        (OUT, "10.77.1.4", GATEWAY, True),
        (IN, "fd77::1", "fd77::1:4", True),
        (OUT, "fd77::1:5", "fd77::1", False),
        (IN, GATEWAY, "10.77.1.5", False),
        (IN, GATEWAY, "10.77.2.1", True),
        (IN, GATEWAY, "10.77.2.4", False),
        (IN, GATEWAY, "10.77.255.255", True),
        (IN, GATEWAY, "224.0.23.12", True),
        (OUT, "10.77.1.5", "224.0.0.22", False),
        (IN, "fd77::1", "ff05::fd", True),
    ],
)
def test_packets_of_the_chosen_devices_are_kept(
    direction: int, source: str, destination: str, *, kept: bool
) -> None:
    keep = make_filter(scenario_on("tun"), ["meter[3]", "pump[0:2]"])
    assert keep(direction, datagram(source, destination)) == kept


def ethernet_frame(ethertype: int, payload: bytes, tag: int | None = None) -> bytes:
    header = ethernet.EthernetHeader(ethernet.BROADCAST, 0x020000000001, ethertype, tag)
    return virtio.PLAIN + ethernet.build_ethernet(header) + payload


@pytest.mark.parametrize(("target", "kept"), [("10.77.1.4", True), ("10.77.1.5", False)])
def test_arp_about_the_chosen_devices_is_kept(target: str, *, kept: bool) -> None:
    keep = make_filter(scenario_on("tap"), ["meter[3]"])
    message = arp.ArpMessage(arp.REQUEST, 1, parse_address(GATEWAY), 0, parse_address(target))
    frame = ethernet_frame(ethernet.ARP, arp.build_arp(message))
    assert keep(IN, frame) == kept


@pytest.mark.parametrize(("target", "kept"), [("fd77::1:4", True), ("fd77::1:5", False)])
def test_neighbor_discovery_about_the_chosen_devices_is_kept(target: str, *, kept: bool) -> None:
    keep = make_filter(scenario_on("tap"), ["meter[3]"])
    address, gateway = parse_address(target), parse_address("fd77::1")
    group = ipv6.solicited_node(address)
    data = ndp.neighbor_data(address, ndp.SOURCE_LINK_ADDRESS, 1)
    kind = icmpv6.NEIGHBOR_SOLICITATION
    message = icmpv6.build_icmpv6(gateway, group, kind, 0, 0, data)
    packet = ipv6.build_ipv6(gateway, group, ipv6.ICMPV6, message, hop_limit=255)
    for tag in (None, 5):
        assert keep(IN, ethernet_frame(ethernet.IPV6, packet, tag)) == kept


def test_a_selector_that_selects_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="no devices called 'metre'"):
        make_filter(scenario_on("tun"), ["metre"])


@settings(max_examples=200)
@given(data=st.binary(max_size=120), has_ethernet=st.booleans())
def test_any_bytes_have_addresses_or_none(data: bytes, *, has_ethernet: bool) -> None:
    assert len(addresses(data, has_ethernet=has_ethernet)) in (0, 2)
