"""Addresses of links and fleets: pools are arithmetic, so a million devices cost what one does."""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from typing import TYPE_CHECKING

from iotsim.device.spec import AddressBlock
from iotsim.units import AddressRange, parse_addresses, parse_interface, parse_ip
from iotsim.wire.address import format_address, is_ipv4

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iotsim.device.spec import FleetSpec
    from iotsim.scenario.model import LinkSpec
    from iotsim.scenario.problems import Problems
    from iotsim.scenario.toml import Keys

MOST_DEVICES = 1 << 24
LOOPBACK_FIRST = int(ipaddress.IPv4Address("127.77.0.1"))
LOOPBACK_LAST = int(ipaddress.IPv4Address("127.255.255.254"))
LOOPBACK_GATEWAY = (int(ipaddress.IPv4Address("127.0.0.1")), 8)


def check_unicast(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    """ValueError if no host behind a link can have `address`."""
    kinds = {
        "a multicast": address.is_multicast,
        "a loopback": address.is_loopback,
        "the unspecified": address.is_unspecified,
        "a reserved": address.version == 4 and address.is_reserved,
    }
    for kind, holds in kinds.items():
        if holds:
            raise ValueError(f"{address} is {kind} address, which no host here can have")


def gateway_side(text: str) -> tuple[int, int]:
    """The link's own (address, prefix length) out of ``10.77.0.1/16``."""
    address, length = parse_interface(text)
    check_unicast(address)
    side = int(address), length
    if not length:
        raise ValueError(
            "a link cannot have a prefix of 0 bits: it would hold every address there is"
        )
    if length == address.max_prefixlen:
        raise ValueError(f"a prefix of {length} bits has no room for devices")
    _check_can_be_host(side[0], side)
    return side


def reserved_addresses(side: tuple[int, int]) -> dict[int, str]:
    """The addresses in the prefix of `side` that no host can have, and what they are.

    They are IPv4's network and broadcast addresses (RFC 1122, section 3.2.1.3) and IPv6's subnet-router
    anycast address (RFC 4291, section 2.6.1). Where a prefix has but two addresses, hosts have them both
    (RFC 3021, RFC 6164).
    """
    address, length = side
    bits = 32 if is_ipv4(address) else 128
    size = 1 << (bits - length)
    first = address & -size
    prefix = _prefix(side)
    if size <= 2:
        return {}
    if bits == 128:
        return {first: f"the routers' anycast address of {prefix}"}
    return {
        first: f"the address of the network {prefix} itself",
        first + size - 1: f"the broadcast address of {prefix}",
    }


def _prefix(side: tuple[int, int]) -> str:
    """The prefix of `side`, as text."""
    address, length = side
    size = 1 << ((32 if is_ipv4(address) else 128) - length)
    return f"{format_address(address & -size)}/{length}"


def _check_can_be_host(address: int, side: tuple[int, int]) -> None:
    what = reserved_addresses(side).get(address)
    if what:
        raise ValueError(f"{format_address(address)} is {what}")


def default_router(side: tuple[int, int]) -> int:
    """The last address of the prefix that a host can have and the gateway does not.

    0 for a prefix that has one address besides the gateway's, which a device needs more.
    """
    address, length = side
    size = 1 << ((32 if is_ipv4(address) else 128) - length)
    reserved = reserved_addresses(side)
    if size - len(reserved) <= 2:
        return 0
    last = (address & -size) + size - 1
    while last in reserved or last == address:
        last -= 1
    return last


def router_address(text: str, side: tuple[int, int] | None, *, may_be_gateway: bool) -> int:
    """The router's address that a scenario names, in the prefix of the gateway's `side`."""
    address = host_address(text)
    if side is None or not within(address, side):
        raise ValueError(f"{text} lies outside of the link's prefix")
    _check_can_be_host(address, side)
    if address == side[0] and not may_be_gateway:
        raise ValueError(f"{text} is the gateway's own address")
    return address


def within(address: int, side: tuple[int, int] | None) -> bool:
    """Whether `address` lies in the prefix of `side`."""
    if side is None or is_ipv4(address) != is_ipv4(side[0]):
        return False
    bits = 32 if is_ipv4(address) else 128
    return (address ^ side[0]) >> (bits - side[1]) == 0


def plan_blocks(
    entries: Sequence[str], count: int | None, keys: Keys, problems: Problems
) -> tuple[int, tuple[AddressBlock, ...]]:
    """The count of a fleet, and one block of addresses for each entry of its ``address``.

    Without `count`, it is the size of the smallest entry that has an end, else 1.
    """
    pools: list[tuple[Keys, AddressRange]] = []
    for place, entry in _places(entries, keys):
        with problems.at(*place):
            pool = parse_addresses(entry)
            check_unicast(_ip(pool.first))
            if pool.count is not None:
                check_unicast(_ip(pool.first + pool.count - 1))
            pools.append((place, pool))
    sizes = [pool.count for _, pool in pools if pool.count is not None]
    wanted = count if count is not None else min(sizes, default=1)
    if wanted > MOST_DEVICES:
        if count is None:
            hint = "add count = N"
            problems.add(
                keys, f"room for {wanted} devices, but a fleet has {MOST_DEVICES} at most", hint
            )
        return 0, ()
    blocks = []
    for place, pool in pools:
        if pool.count is not None and wanted > pool.count:
            problems.add(place, f"{wanted} devices do not fit into {pool.count} addresses")
            continue
        end = (1 << 32) if is_ipv4(pool.first) else (1 << 128)
        if pool.first + wanted > end:
            problems.add(place, f"{wanted} devices from here on end beyond the last address")
            continue
        blocks.append(AddressBlock(pool.first, wanted))
    return wanted, tuple(blocks)


def _places(entries: Sequence[str], keys: Keys) -> list[tuple[Keys, str]]:
    if len(entries) == 1:
        return [(keys, entries[0])]
    return [((*keys, number), entry) for number, entry in enumerate(entries)]


def _ip(address: int) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.IPv4Address(address) if is_ipv4(address) else ipaddress.IPv6Address(address)


def check_reach(link: LinkSpec, block: AddressBlock, keys: Keys, problems: Problems) -> None:
    """A block must lie within the link's prefix, clear of what is not for devices there."""
    first, last = block.first, block.first + block.count - 1
    side = link.address4 if is_ipv4(first) else link.address6
    version = "IPv4" if is_ipv4(first) else "IPv6"
    if side is None:
        problems.add(keys, f"the link has no {version} address", "see address in [link]")
        return
    prefix = _prefix(side)
    for address in (first, last):
        if not within(address, side):
            problems.add(
                keys,
                f"{format_address(address)} lies outside of the link's {prefix}",
                "widen the prefix of address in [link], or choose other addresses",
            )
            return
    router = link.router if is_ipv4(first) else link.router6
    taken = {
        router: ("the router's address", "choose another as router in [link]"),
        side[0]: ("the gateway's own address", ""),
        **{address: (what, "") for address, what in reserved_addresses(side).items()},
    }
    for address, (what, hint) in taken.items():
        if first <= address <= last:
            message = f"{format_address(address)} is {what}, so no device can have it"
            problems.add(keys, message, hint)


def check_overlaps(blocks: Sequence[tuple[AddressBlock, Keys, str]], problems: Problems) -> None:
    """No two of `blocks`, each with its place and the name of its fleet, may share an address."""
    ordered = sorted(blocks, key=lambda one: one[0].first)
    reached: tuple[AddressBlock, Keys, str] | None = None
    for current in ordered:
        block, keys, _ = current
        if reached is not None:
            end = reached[0].first + reached[0].count - 1
            if block.first <= end:
                low, high = format_address(block.first), min(end, block.first + block.count - 1)
                shared = low if high == block.first else f"{low}-{format_address(high)}"
                problems.add(keys, f"{shared} belongs to '{reached[2]}' already")
            if block.first + block.count - 1 <= end:
                continue
        reached = current


def relocate(fleets: Sequence[FleetSpec]) -> tuple[FleetSpec, ...]:
    """`fleets` on the loopback link: moved into 127/8, one after the other, from 127.77.0.1 on.

    A fleet keeps one block for each of its IPv4 entries, and at least one: IPv6 is left out.
    ValueError if they do not fit.
    """
    moved = []
    first = LOOPBACK_FIRST
    for fleet in fleets:
        entries = max(1, sum(is_ipv4(block.first) for block in fleet.blocks))
        blocks = []
        for _ in range(entries):
            blocks.append(AddressBlock(first, fleet.count))
            first += fleet.count
        moved.append(replace(fleet, blocks=tuple(blocks)))
    if first - 1 > LOOPBACK_LAST:
        raise ValueError(
            f"the loopback link has room for {LOOPBACK_LAST - LOOPBACK_FIRST + 1} addresses, "
            f"not for {first - LOOPBACK_FIRST}"
        )
    return tuple(moved)


def host_address(text: str) -> int:
    """One address that a host can have."""
    address = parse_ip(text)
    check_unicast(address)
    return int(address)
