"""Randomness that can be repeated: one independent stream per name.

Every consumer names what it draws for, (seed, "meter", 3, "delay"), and gets a stream that no other
consumer shares. So adding a device, or a draw elsewhere, changes nobody else's numbers.
"""

from __future__ import annotations

import hashlib
import random

MASK64 = (1 << 64) - 1


def key(seed: int, *names: str | int) -> int:
    """A 64-bit key for `names` under `seed`; equal only for equal names, in practice."""
    text = "\x1f".join([str(seed), *map(str, names)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def stream(seed: int, *names: str | int) -> random.Random:
    """An independent stream of random numbers for `names` under `seed`."""
    return random.Random(key(seed, *names))


def mix(value: int) -> int:
    """Scramble 64 bits (the finalizer of SplitMix64, Steele et al. 2014): cheap and stateless."""
    value = (value + 0x9E3779B97F4A7C15) & MASK64
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & MASK64
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & MASK64
    return value ^ (value >> 31)


def unit(stream_key: int, counter: int) -> float:
    """The `counter`-th number of a stateless stream, uniform in [0, 1)."""
    return (mix(stream_key ^ mix(counter & MASK64)) >> 11) * 2.0**-53
