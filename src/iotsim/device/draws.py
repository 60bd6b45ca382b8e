"""Randomness without state: numbers by arithmetic from (key, device index, counter).

A million devices with a `random.Random` each would cost 2.5 GB. Here a draw is a hash: a Weyl
sequence in both the index and the counter (multiples of two odd constants, modulo 2**64), scrambled
by two rounds of xor-shift and multiply, as the finalizer of MurmurHash3 does it. So the n-th number
of device i needs neither memory nor the numbers before it, and no device shares a number with
another.

Normal deviates come from a table of 4096 quantiles of the normal distribution. They end at ± 3.67
standard deviations; what is simulated here has no use for rarer ones.
"""

from __future__ import annotations

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


def draw(key: int, index: int, counter: int) -> int:
    """64 random bits: number `counter` of device `index`, in the stream that `key` names."""
    value = (key + index * INDEX + counter * COUNTER) & MASK
    value = ((value ^ value >> 32) * FIRST) & MASK
    value = ((value ^ value >> 29) * SECOND) & MASK
    return value ^ value >> 32


def unit(key: int, index: int, counter: int = 0) -> float:
    """Uniform in [0, 1)."""
    return (draw(key, index, counter) >> 11) * 2.0**-53


def normal(key: int, index: int, counter: int = 0) -> float:
    """Of the standard normal distribution: mean 0, standard deviation 1.

    Only 12 bits are needed, and those at the top are good after one round of scrambling.
    """
    value = (key + index * INDEX + counter * COUNTER) & MASK
    return NORMAL[((value ^ value >> 32) * FIRST & MASK) >> 52]
