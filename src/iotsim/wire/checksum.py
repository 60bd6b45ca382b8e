"""The Internet checksum (RFC 1071) by arithmetic on one large integer.

The ones' complement sum of 16-bit words is the value of the bytes, taken as one big-endian number,
modulo 65535: each word's weight is a power of 2**16, which is 1 modulo 65535. So a sum over any
length costs one conversion and one division in C, and an address of any width adds as it is.

The residue 0 stands for both zeros of ones' complement. A sum over words that are not all zero is
never +0 but 0xffff, which is how the functions below tell the two apart.
"""

from __future__ import annotations


def word_sum(data: bytes) -> int:
    """The sum of `data`'s 16-bit words modulo 65535; an odd last byte is padded with zero."""
    value = int.from_bytes(data, "big")
    return (value << 8 if len(data) & 1 else value) % 65535


def checksum(data: bytes, initial: int = 0) -> int:
    """The checksum of `data`, with `initial` (a pseudo-header's sum) added in."""
    value = int.from_bytes(data, "big")
    if len(data) & 1:
        value <<= 8
    value += initial
    return -value % 65535 if value else 65535


def is_correct(data: bytes, initial: int = 0) -> bool:
    """Whether `data`, its checksum field included, sums up to 0xffff."""
    value = int.from_bytes(data, "big")
    if len(data) & 1:
        value <<= 8
    value += initial
    return value % 65535 == 0 and value != 0


def pseudo_header_sum(source: int, destination: int, protocol: int, length: int) -> int:
    """The sum of the pseudo-header of either family (RFC 768, RFC 8200 section 8.1), unfolded."""
    return source + destination + protocol + length
