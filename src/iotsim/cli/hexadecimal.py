"""Datagrams in hex, as the command line takes them."""

from __future__ import annotations

import re

LARGEST_DATAGRAM = 65_535 - 8
"""In bytes: what the length field of a UDP header leaves for the payload."""
MOST_HEX = 1 << 20
"""Characters that are read, spaces included."""
DIGITS = re.compile(r"[0-9a-fA-F]+")
NO_HEX = re.compile(r"[^0-9a-fA-F\s:]")


def parse_hex(text: str) -> bytes:
    """The bytes of `text`; ValueError says what is wrong with it."""
    if len(text) >= MOST_HEX:
        raise ValueError(f"it has more than {MOST_HEX} characters")
    text = text.strip().removeprefix("0x")
    wrong = NO_HEX.search(text)
    if wrong is not None:
        raise ValueError(f"it has {wrong[0]!r}")
    digits = "".join(DIGITS.findall(text))
    if len(digits) % 2:
        raise ValueError(f"it has an odd number of digits, {len(digits)}")
    if len(digits) > 2 * LARGEST_DATAGRAM:
        raise ValueError(f"{len(digits) // 2} bytes are more than UDP carries, {LARGEST_DATAGRAM}")
    return bytes.fromhex(digits)
