"""Randomness that can be repeated: one independent stream per name.

Every consumer names what it draws for, (seed, "meter", 3, "delay"), and gets a stream that no other
consumer shares. So adding a device, or a draw elsewhere, changes nobody else's numbers.

A million devices with a `random.Random` each would cost 2.5 GB. So where there may be many, a draw is
a hash without state: a Weyl sequence in both the index and the counter (multiples of two odd constants,
modulo 2**64), scrambled by two rounds of xor-shift and multiply, as the finalizer of MurmurHash3 does it.
The n-th number of device i needs neither memory nor the numbers before it, and no device shares a number
with another. Many numbers of one device cost a quarter each if they are drawn at once.

Normal deviates come from a table of 4096 quantiles of the normal distribution. They end at ± 3.67
standard deviations; what is simulated here has no use for rarer ones.
"""

from __future__ import annotations

import functools
import hashlib
import random
import struct
from statistics import NormalDist
from typing import Final

MASK: Final = (1 << 64) - 1
INDEX: Final = 0x9E3779B97F4A7C15
COUNTER: Final = 0xD1342543DE82EF95
FIRST: Final = 0xFF51AFD7ED558CCD
SECOND: Final = 0xC4CEB9FE1A85EC53

_QUANTILES: Final = 4096
NORMAL: Final = tuple(
    NormalDist().inv_cdf((position + 0.5) / _QUANTILES) for position in range(_QUANTILES)
)


def key(seed: int, *names: str | int) -> int:
    """A 64-bit key for `names` under `seed`; equal only for equal names, in practice."""
    text = "\x1f".join([str(seed), *map(str, names)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def stream(seed: int, *names: str | int) -> random.Random:
    """An independent stream of random numbers for `names` under `seed`."""
    return random.Random(key(seed, *names))


def draw(stream_key: int, index: int, counter: int) -> int:
    """64 random bits: number `counter` of device `index`, in the stream that `stream_key` names."""
    value = (stream_key + index * INDEX + counter * COUNTER) & MASK
    value = ((value ^ value >> 32) * FIRST) & MASK
    value = ((value ^ value >> 29) * SECOND) & MASK
    return value ^ value >> 32


def unit(stream_key: int, index: int, counter: int = 0) -> float:
    """Uniform in [0, 1)."""
    # As `draw` does, in place: there are several for each datagram of a bad network.
    value = (stream_key + index * INDEX + counter * COUNTER) & MASK
    value = ((value ^ value >> 32) * FIRST) & MASK
    value = ((value ^ value >> 29) * SECOND) & MASK
    return ((value ^ value >> 32) >> 11) * 2.0**-53


def normal(stream_key: int, index: int, counter: int = 0) -> float:
    """Of the standard normal distribution: mean 0, standard deviation 1.

    Only 12 bits are needed, and those at the top are good after one round of scrambling.
    """
    value = (stream_key + index * INDEX + counter * COUNTER) & MASK
    return NORMAL[((value ^ value >> 32) * FIRST & MASK) >> 52]


class _Lanes:
    """`size` numbers of 64 bits in one large one, each with 64 bits of room above it: what is done to the
    large one is done to all of them, for a fraction of the price."""

    def __init__(self, size: int) -> None:
        self.ones = sum(1 << 128 * lane for lane in range(size))
        self.mask = self.ones * MASK
        self.steps = sum((lane * COUNTER & MASK) << 128 * lane for lane in range(size))
        self._bytes = 16 * size
        self._unpack = struct.Struct("<" + "Q8x" * size).unpack

    def first_round(self, stream_key: int, index: int, counter: int) -> int:
        mask, base = self.mask, (stream_key + index * INDEX + counter * COUNTER) & MASK
        values = (base * self.ones + self.steps) & mask
        return (values ^ (values >> 32 & mask)) * FIRST & mask

    def each(self, values: int) -> tuple[int, ...]:
        return self._unpack(values.to_bytes(self._bytes, "little"))


_lanes = functools.cache(_Lanes)


def units53(stream_key: int, index: int, counter: int, size: int) -> tuple[int, ...]:
    """What `unit` draws for `size` counters, from `counter` on, times 2**53."""
    lanes = _lanes(size)
    values, mask = lanes.first_round(stream_key, index, counter), lanes.mask
    values = (values ^ (values >> 29 & mask)) * SECOND & mask
    return lanes.each((values ^ (values >> 32 & mask)) >> 11 & mask)


def normals(stream_key: int, index: int, counter: int, size: int) -> list[float]:
    """What `normal` draws for `size` counters, from `counter` on."""
    lanes = _lanes(size)
    values = lanes.first_round(stream_key, index, counter)
    return [NORMAL[value >> 52] for value in lanes.each(values)]
