"""Times, shares, bytes and address sets as they are written in scenarios, as typed values.

==============  =====================================  ===============================
what            written                                value
==============  =====================================  ===============================
duration        ``20ms`` ``1.5s`` ``1h30m``            seconds, as a float
duration range  ``20ms`` ``5ms..20ms``                 `DurationRange`
tolerance       ``2s`` ``2s ± 10%`` ``2s +- 50ms``     `Tolerance`
share           ``30%``                                a float from 0 to 1
size            ``100MB`` ``1.5GB``                    bytes, as an integer
bytes           ``hex:0a ff``                          bytes
addresses       ``10.77.1.1`` ``a-b`` ``10.77.1.0/24`` `AddressRange`
endpoint        ``10.77.0.1:5600`` ``[fd77::1]:5600``  address and UDP port, as integers
==============  =====================================  ===============================

Every function raises ValueError, with a text that says what would have been right.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

UNITS = {
    "us": 1e-6,
    "µs": 1e-6,  # MICRO SIGN
    "μs": 1e-6,  # GREEK SMALL LETTER MU
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "min": 60.0,
    "h": 3600.0,
    "d": 86400.0,
}
SIZE_UNITS = {"kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
RATE_UNITS = {"bit/s": 1.0, "kbit/s": 1e3, "Mbit/s": 1e6, "Gbit/s": 1e9}
LONGEST_S = 10 * 365 * 86400.0
PERCENT_FLOOR_S = 0.020
"""The least that a tolerance in percent allows: less could not be told from scheduling noise."""

LONGEST_TEXT = 200
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([a-zµμ]+)", re.ASCII | re.IGNORECASE)
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]+)", re.ASCII)
_RATE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]+/s)", re.ASCII)
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?", re.ASCII)
_TOLERANCE = re.compile(r"\s*(?:±|\+/?-)\s*")


class DurationRange(NamedTuple):
    """A time between `low_s` and `high_s`, in seconds; both alike for a fixed time."""

    low_s: float
    high_s: float


class Tolerance(NamedTuple):
    """A time that may be off by ``relative * value_s`` or `absolute_s`, whichever is larger."""

    value_s: float
    relative: float
    absolute_s: float

    def bounds(self, scale: float = 1.0) -> tuple[float, float]:
        """The least and the greatest time that is still within tolerance; `scale` widens both."""
        slack = max(self.relative * self.value_s, self.absolute_s) * scale
        return max(0.0, self.value_s - slack), self.value_s + slack


@dataclass(frozen=True, slots=True)
class AddressRange:
    """Consecutive IP addresses: `count` of them from `first` on; None where there is no end."""

    first: int
    count: int | None


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")


def _checked(text: str, what: str) -> str:
    if len(text) > LONGEST_TEXT:
        raise ValueError(f"{_shown(text)} is too long for {what}")
    return text.strip()


def parse_duration(text: str) -> float:
    """Seconds of a duration such as ``20ms`` or ``1h30m``."""
    stripped = _checked(text, "a duration")
    total = 0.0
    end = 0
    previous = float("inf")
    for part in _PART.finditer(stripped):
        if part.start() != end and stripped[end : part.start()].strip():
            break
        unit = UNITS.get(part[2])
        if unit is None:
            raise ValueError(
                f"unknown unit {_shown(part[2])} in {_shown(text)}; units are us, ms, s, m, h, d"
            )
        if unit >= previous:
            raise ValueError(f"units in {_shown(text)} must go from large to small, as in '1h30m'")
        previous = unit
        total += float(part[1]) * unit
        end = part.end()
    if not end or stripped[end:].strip():
        if _NUMBER.fullmatch(stripped):
            raise ValueError(f"{_shown(text)} has no unit; write '{stripped}s' or '{stripped}ms'")
        raise ValueError(f"{_shown(text)} is no duration; write '20ms', '1.5s' or '1h30m'")
    if total > LONGEST_S:
        raise ValueError(f"{_shown(text)} is longer than ten years")
    return total


def format_duration(seconds: float) -> str:
    """A span of time for people: ``5 s``, ``250 ms``, ``1.5 s``."""
    if 0 < seconds < 1:
        return f"{seconds * 1000:.4g} ms"
    return f"{seconds:.6g} s"


def parse_duration_range(text: str) -> DurationRange:
    """A fixed duration, or a range ``low..high``."""
    low, dots, high = text.partition("..")
    if not dots:
        fixed = parse_duration(text)
        return DurationRange(fixed, fixed)
    parsed = DurationRange(parse_duration(low), parse_duration(high))
    if parsed.low_s > parsed.high_s:
        raise ValueError(f"{_shown(text)} ends before it starts")
    return parsed


def parse_tolerance(text: str) -> Tolerance:
    """A duration with how far it may be off: ``2s ± 10%``, ``2s +- 50ms``, or none."""
    parts = _TOLERANCE.split(text, maxsplit=1)
    value = parse_duration(parts[0])
    if len(parts) == 1:
        return Tolerance(value, 0.0, 0.0)
    if parts[1].rstrip().endswith("%"):
        return Tolerance(value, parse_share(parts[1]), PERCENT_FLOOR_S)
    return Tolerance(value, 0.0, parse_duration(parts[1]))


def parse_share(text: str) -> float:
    """A share such as ``30%``, as a number from 0 to 1."""
    stripped = _checked(text, "a share")
    number = stripped.removesuffix("%").rstrip()
    if number == stripped or not _NUMBER.fullmatch(number):
        raise ValueError(f"{_shown(text)} is no share; write a percentage such as '30%'")
    percent = float(number)
    if percent > 100:
        raise ValueError(f"{_shown(text)} is more than 100%")
    return percent / 100


def parse_size(text: str) -> int:
    """The bytes of a size such as ``100MB``, in decimal units."""
    match = _SIZE.fullmatch(_checked(text, "a size").strip())
    if match is None:
        raise ValueError(f"{_shown(text)} is no size; write '100MB' or '1.5GB'")
    unit = SIZE_UNITS.get(match[2])
    if unit is None:
        raise ValueError(
            f"unknown unit {_shown(match[2])} in {_shown(text)}; units are {', '.join(SIZE_UNITS)}"
        )
    return int(float(match[1]) * unit)


def parse_rate(text: str) -> float:
    """The bits a second of a rate such as ``9600bit/s`` or ``2Mbit/s``, in decimal units."""
    match = _RATE.fullmatch(_checked(text, "a rate").strip())
    if match is None or match[2] not in RATE_UNITS:
        units = ", ".join(RATE_UNITS)
        raise ValueError(f"{_shown(text)} is no rate; write '9600bit/s' (units are {units})")
    return float(match[1]) * RATE_UNITS[match[2]]


def format_size(size: int) -> str:
    """``1.2 GB`` of a number of bytes."""
    for name, unit in reversed(SIZE_UNITS.items()):
        if size >= unit:
            return f"{size / unit:.3g} {name}"
    return f"{size} bytes"


def parse_bytes(text: str) -> bytes:
    """The bytes of ``hex:0a ff``; white space between bytes does not count."""
    if not text.startswith("hex:"):
        raise ValueError(f"{_shown(text)} is not bytes; write them as 'hex:0a ff'")
    try:
        return bytes.fromhex(text[4:])
    except ValueError:
        raise ValueError(f"{_shown(text)} is not pairs of hexadecimal digits") from None


def bytes_as_text(value: Any) -> Any:
    """`value` with all bytes in it, in lists and tables too, as `parse_bytes` reads them."""
    if isinstance(value, dict):
        return {name: bytes_as_text(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [bytes_as_text(item) for item in value]
    return f"hex:{value.hex()}" if isinstance(value, bytes) else value


def parse_ip(text: str) -> Address:
    """One IP address, without prefix or zone.

    The IPv4-compatible block of IPv6, ``::/96``, is refused: it is not for hosts (RFC 4291, section
    2.5).
    """
    stripped = _checked(text, "an address")
    try:
        address = ipaddress.ip_address(stripped)
    except ValueError:
        raise ValueError(f"{_shown(text)} is no IP address") from None
    if "%" in stripped:
        raise ValueError(f"{_shown(text)} has a zone; leave out what follows '%'")
    if address.version == 6 and int(address) < 1 << 32:
        raise ValueError(f"{_shown(text)} is not an address for hosts")
    return address


def parse_addresses(text: str) -> AddressRange:
    """The addresses that `text` stands for.

    - one address: it and those that follow, without end (`AddressRange.count` is None);
    - ``first-last``: both included;
    - a prefix: the addresses in it that hosts may have. Not among them are, of IPv4, the first and
      the last (the network's and the broadcast address) unless the prefix is a /31 (RFC 3021) or
      /32; of IPv6, the first (the routers' anycast address; RFC 4291, section 2.6.1) unless it is
      a /127 (RFC 6164) or /128.
    """
    stripped = _checked(text, "addresses")
    first, dash, last = stripped.partition("-")
    if dash:
        low, high = parse_ip(first), parse_ip(last)
        if low.version != high.version:
            raise ValueError(f"{_shown(text)} mixes IPv4 and IPv6")
        if int(high) < int(low):
            raise ValueError(f"{_shown(text)} ends before it starts")
        return AddressRange(int(low), int(high) - int(low) + 1)
    if "/" not in stripped:
        return AddressRange(int(parse_ip(stripped)), None)
    address, length = parse_interface(stripped)
    bits = 32 if address.version == 4 else 128
    size = 1 << (bits - length)
    base = int(address)
    if base & (size - 1):
        network = ipaddress.ip_network((base & ~(size - 1), length))
        raise ValueError(
            f"{_shown(text)} has bits set behind its prefix; write {network}, or a range"
        )
    if size <= 2:
        return AddressRange(base, size)
    return AddressRange(base + 1, size - (2 if address.version == 4 else 1))


def parse_interface(text: str) -> tuple[Address, int]:
    """An address with the length of its prefix, ``10.77.0.1/16``."""
    address_text, slash, length_text = _checked(text, "an address").partition("/")
    if not slash:
        raise ValueError(f"{_shown(text)} needs the length of its prefix, as in '10.77.0.1/16'")
    bits = 32 if ":" not in address_text else 128
    if not re.fullmatch("[0-9]{1,3}", length_text) or int(length_text) > bits:
        raise ValueError(f"{_shown(text)}: a prefix is 0 to {bits} bits long")
    if address_text.strip() == "::":
        raise ValueError(f"{_shown(text)} is not an address for hosts")
    return parse_ip(address_text), int(length_text)


def parse_endpoint(text: str) -> tuple[int, int]:
    """An address and a UDP port: ``10.77.0.1:5600`` or ``[fd77::1]:5600``."""
    host, _, port = _checked(text, "an address with a port").rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    numbered = re.fullmatch("[0-9]{1,5}", port) is not None and 0 < int(port) < 65536
    if not numbered or not host or bracketed != (":" in host):
        raise ValueError(
            f"{_shown(text)} is no address with a port; write '10.77.0.9:5600' or '[fd77::9]:5600'"
        )
    return int(parse_ip(host[1:-1] if bracketed else host)), int(port)
