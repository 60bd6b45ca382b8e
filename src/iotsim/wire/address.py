"""IP addresses as integers.

Inside iotsim an address is an ``int``: arithmetic over pools of a million addresses costs nothing,
and a comparison is one instruction. Values below 2**32 are IPv4, all others IPv6. The two never
collide: of the IPv6 block ::/96 only :: and ::1 are in use (RFC 4291, section 2.5), and neither
may appear as the address of a host behind a link.
"""

from __future__ import annotations

import functools
import ipaddress

IPV4_END = 1 << 32


def is_ipv4(address: int) -> bool:
    return address < IPV4_END


def parse_address(text: str) -> int:
    """The address that `text` names; ValueError if it names none."""
    return int(ipaddress.ip_address(text))


@functools.lru_cache(maxsize=4096)
def format_address(address: int) -> str:
    """`address` as text: dotted for IPv4, RFC 5952 for IPv6."""
    if address < IPV4_END:
        return f"{address >> 24}.{address >> 16 & 255}.{address >> 8 & 255}.{address & 255}"
    return str(ipaddress.IPv6Address(address))


@functools.lru_cache(maxsize=4096)
def format_endpoint(address: int, port: int) -> str:
    """``10.77.0.1:5600`` or ``[fd77::1]:5600``."""
    text = format_address(address)
    return f"{text}:{port}" if address < IPV4_END else f"[{text}]:{port}"


def format_block(first: int, count: int) -> str:
    """``10.77.1.1-10.77.1.14``, or the address alone where there is but one."""
    if count == 1:
        return format_address(first)
    return f"{format_address(first)}-{format_address(first + count - 1)}"


def covering_prefix(first: int, count: int) -> str:
    """The smallest prefix that holds `count` addresses from `first` on, as text."""
    bits = 32 if first < IPV4_END else 128
    host = (first ^ (first + count - 1)).bit_length()
    return f"{format_address(first >> host << host)}/{bits - host}"
