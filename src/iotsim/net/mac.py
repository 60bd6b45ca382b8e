"""MAC addresses, derived or given, of a million devices, without a table.

A derived address is locally administered: 22 bits of it come from the seed, so that two simulations
on one segment do not meet, and the low 24 are the device's number. So it can be read backwards, and
the hosts of a pool have consecutive addresses, as their IP addresses are. The modified EUI-64
(RFC 4291, appendix A), which link-local addresses are made of, keeps the low 24 bits in place.
"""

from __future__ import annotations

from iotsim.rng import key
from iotsim.wire.ethernet import BROADCAST, GROUP_BIT, LOCAL_BIT, format_mac
from iotsim.wire.ipv6 import LINK_LOCAL

NUMBERS = 1 << 24
"""How many devices one seed has derived addresses for."""


def derived_mac(seed: int, number: int) -> int:
    """The address of device `number`; ValueError if there are too many."""
    if not 0 <= number < NUMBERS:
        raise ValueError(f"device number {number}: MAC addresses are derived for {NUMBERS} devices")
    return _prefix(seed) | number


def derived_number(seed: int, mac: int) -> int:
    """The number of the device with the derived address `mac`; -1 if it is no such address."""
    return mac & (NUMBERS - 1) if mac & -NUMBERS == _prefix(seed) else -1


def link_local(mac: int) -> int:
    """The link-local IPv6 address of the host with `mac`."""
    universal = mac ^ LOCAL_BIT
    return LINK_LOCAL | (universal >> 24) << 40 | 0xFFFE << 24 | mac & 0xFFFFFF


def check_block(first: int, count: int) -> None:
    """ValueError unless `count` hosts can have the addresses from `first` on.

    They have to agree on all but the low 24 bits, or their link-local addresses are no block.
    """
    last = first + count - 1
    if not 0 < first <= last < BROADCAST or first & GROUP_BIT or first >> 24 != last >> 24:
        raise ValueError(f"{count} hosts cannot have the MAC addresses from {format_mac(first)} on")


def _prefix(seed: int) -> int:
    bits = key(seed, "mac") & 0x3FFFFF
    return (bits >> 16) << 42 | LOCAL_BIT | (bits & 0xFFFF) << 24
