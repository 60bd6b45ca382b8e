"""Checksums as small devices use them: bytes in, an unsigned integer out.

The two that the standard library computes in C are taken from there; the others are short.
"""

from __future__ import annotations

import binascii
import zlib
from functools import reduce
from operator import xor


def crc16_ccitt(data: bytes) -> int:
    """CRC-16/CCITT-FALSE (also IBM-3740): polynomial 0x1021, initial value 0xFFFF, not reflected.

    Of ``b"123456789"`` it is 0x29B1.
    """
    return binascii.crc_hqx(data, 0xFFFF)


def _modbus_entry(index: int) -> int:
    for _ in range(8):
        index = index >> 1 ^ (0xA001 if index & 1 else 0)
    return index


_MODBUS = tuple(_modbus_entry(index) for index in range(256))


def crc16_modbus(data: bytes) -> int:
    """CRC-16/MODBUS: polynomial 0x8005, initial value 0xFFFF, reflected.

    Of ``b"123456789"`` it is 0x4B37. Modbus sends it low byte first: ``Int16ul``.
    (MODBUS over Serial Line V1.02, section 6.2.2.)
    """
    crc = 0xFFFF
    table = _MODBUS
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
    return crc


def crc32(data: bytes) -> int:
    """CRC-32 as in Ethernet, zip and PNG. Of ``b"123456789"`` it is 0xCBF43926."""
    return zlib.crc32(data)


def sum8(data: bytes) -> int:
    """The sum of all bytes, modulo 256."""
    return sum(data) & 0xFF


def xor8(data: bytes) -> int:
    """The exclusive or of all bytes (the "longitudinal redundancy check")."""
    return reduce(xor, data, 0)


INLINE = {crc16_ccitt: "crc_hqx({0}, 65535)", crc32: "zlib_crc32({0})"}
"""How generated code computes these, without a call in between."""
