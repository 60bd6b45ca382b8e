"""The keys of ``[devices.NAME]`` that say how the hosts behave below their protocols."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from iotsim.device.spec import NetworkSpec
from iotsim.net.mac import check_block
from iotsim.scenario.addresses import check_unicast, reserved_addresses, within
from iotsim.units import parse_ip
from iotsim.wire.address import format_address, is_ipv4
from iotsim.wire.ethernet import parse_mac

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from ipaddress import IPv4Address, IPv6Address

    from iotsim.device.spec import AddressBlock, FleetSpec
    from iotsim.scenario.fleets import DeviceTable
    from iotsim.scenario.model import LinkSpec
    from iotsim.scenario.problems import Problems
    from iotsim.scenario.toml import Keys

MOST_HOPS = 30
"""As far as traceroute looks."""
MOST_GROUPS = 64
MOST_LEASES = 1 << 16
"""Each client of DHCP has a state of its own."""
LEAST_MTU6 = 1280  # RFC 8200, section 5
ALL_HOSTS = ("224.0.0.1", "ff02::1")


def build_network(
    table: DeviceTable, count: int, blocks: Sequence[AddressBlock], keys: Keys, problems: Problems
) -> NetworkSpec:
    """What `table` says; what depends on the link is for `check_network`."""
    mac = 0
    if table.mac is not None:
        with problems.at(*keys, "mac"):
            mac = parse_mac(table.mac)
            check_block(mac, max(count, 1))
    hops = _addresses(table.hops, MOST_HOPS, check_unicast, (*keys, "hops"), problems)
    groups = _addresses(table.groups, MOST_GROUPS, _check_group, (*keys, "groups"), problems)
    if table.path_mtu is not None:
        six = any(not is_ipv4(block.first) for block in blocks)
        if six and table.path_mtu < LEAST_MTU6:
            message = f"IPv6 needs {LEAST_MTU6} bytes at least"
            problems.add((*keys, "path_mtu"), message)
    if table.dhcp:
        here = (*keys, "dhcp")
        if any(is_ipv4(block.first) for block in blocks):
            message = "the server gives IPv4 addresses, so 'address' has none"
            problems.add(here, message, of_key=True)
        if count > MOST_LEASES:
            problems.add(here, f"for {MOST_LEASES} devices at most")
    return NetworkSpec(
        mac=mac,
        hops=hops,
        path_mtu=table.path_mtu or 0,
        groups=groups,
        silent=table.silent,
        dhcp=table.dhcp,
    )


def _addresses(
    texts: Sequence[str],
    most: int,
    check: Callable[[IPv4Address | IPv6Address], None],
    keys: Keys,
    problems: Problems,
) -> tuple[int, ...]:
    if len(texts) > most:
        problems.add(keys, f"more than {most}")
        return ()
    found: list[int] = []
    for number, text in enumerate(texts):
        with problems.at(*keys, *([number] if len(texts) > 1 else [])):
            address = parse_ip(text)
            check(address)
            if int(address) in found:
                raise ValueError(f"{address} is there twice")
            found.append(int(address))
    return tuple(found)


def _check_group(address: IPv4Address | IPv6Address) -> None:
    if not address.is_multicast:
        raise ValueError(f"{address} is not a multicast address")
    if str(address) in ALL_HOSTS:
        raise ValueError(f"every device is in {address} by itself")


def in_groups(fleet: FleetSpec) -> FleetSpec:
    """`fleet`, also in the groups that its protocols name, of the families that it has addresses of."""
    named = [parse_ip(text) for service in fleet.services for text in service.protocol.groups]
    families = {is_ipv4(block.first) for block in fleet.blocks} or {True}  # of a DHCP server
    joined = (int(group) for group in named if (group.version == 4) in families)
    groups = tuple(dict.fromkeys((*fleet.network.groups, *joined)))
    return replace(fleet, network=replace(fleet.network, groups=groups))


def check_network(link: LinkSpec, fleets: Sequence[FleetSpec], problems: Problems) -> None:
    """What `fleets` say must be possible on `link`."""
    macs: list[tuple[int, int, str]] = []
    for fleet in fleets:
        network = fleet.network
        keys: Keys = ("devices", fleet.name)
        if link.kind != "tap":
            for key, given in (("mac", network.mac), ("dhcp", network.dhcp)):
                if given:
                    problems.add((*keys, key), f"'{key}' is for a tap link", of_key=True)
        elif network.hops:
            message = "on a tap link devices are on the gateway's own segment, without hops"
            problems.add((*keys, "hops"), message, of_key=True)
        if link.kind == "loopback":
            for key, present in (
                ("hops", bool(network.hops)),
                ("path_mtu", bool(network.path_mtu)),
                ("groups", bool(network.groups)),
            ):
                if present:
                    message = f"the loopback link has no '{key}': take a tun link"
                    problems.add((*keys, key), message, of_key=True)
        if network.path_mtu > link.mtu:
            problems.add((*keys, "path_mtu"), f"more than the link's mtu, {link.mtu}")
        for number, hop in enumerate(network.hops):
            place: Keys = (*keys, "hops", number) if len(network.hops) > 1 else (*keys, "hops")
            taken = _holder(hop, link, fleets)
            if taken:
                problems.add(place, f"{format_address(hop)} is {taken}")
        if network.mac:
            end = network.mac + fleet.count
            for first, other_end, name in macs:
                if network.mac < other_end and first < end:
                    problems.add((*keys, "mac"), f"'{name}' has some of these addresses already")
            macs.append((network.mac, end, fleet.name))


def _holder(address: int, link: LinkSpec, fleets: Sequence[FleetSpec]) -> str:
    """Whose address a router cannot have, in words; "" if it is free."""
    if (link.address4 and address == link.address4[0]) or (
        link.address6 and address == link.address6[0]
    ):
        return "the gateway's own address"
    for side in (link.address4, link.address6):
        if side is not None and within(address, side):
            reserved = reserved_addresses(side)
            if address in reserved:
                return reserved[address]
    for fleet in fleets:
        for block in fleet.blocks:
            if block.first <= address < block.first + block.count:
                return f"an address of '{fleet.name}'"
    return ""
