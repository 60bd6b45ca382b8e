"""Drawing ahead: devices that talk often have their next numbers drawn at once, which costs a fraction.

A draw depends on nothing but its number (`iotsim.rng`), so that nobody can tell when it was made. No more is
drawn for a device than it has drawn before: what goes to waste is never more than what was of use.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from iotsim.rng import unit, units53

if TYPE_CHECKING:
    from iotsim.impair.distribution import Draws, DrawsMany

LEAST, MOST = 8, 32
"""So many numbers are drawn at once: powers of two."""
MOST_DEVICES = 4096
"""For so many devices what was drawn ahead is kept, which takes some 4 MB; others' numbers are drawn one by
one."""
SCALE = 2.0**53


def _size(number: int) -> int:
    """How many may be drawn at once by who has drawn `number`."""
    return MOST if number >= MOST else 1 << number.bit_length() >> 1


class Ahead:
    """What `each` gives for every number of a device in turn, from 0 on; `many` gives as many of the same as
    it is asked for.

    ``kept`` has those that are next, by device, the last one first: to be popped. ``more`` gives the next one
    where there is none.
    """

    def __init__(self, each: Draws, many: DrawsMany) -> None:
        self.kept: dict[int, list[float]] = {}
        self._each = each
        self._many = many

    def more(self, index: int, number: int) -> float:
        kept, size = self.kept, _size(number)
        if size < LEAST or (len(kept) >= MOST_DEVICES and index not in kept):
            return self._each(index, number)
        kept[index] = numbers = self._many(index, number, size)
        numbers.reverse()
        return numbers.pop()


class Losses:
    """Which numbers of `devices` are lost, if `stream` lets `share` of them be; each is asked for in turn.

    ``safe`` has for each device up to which number it is known that nothing is lost; ``lost`` tells of a
    number from there on.
    """

    def __init__(self, stream: int, share: float, devices: int) -> None:
        self.safe = array("Q", bytes(8 * devices))
        self._stream = stream
        self._share = share
        self._longest = _size(int(0.5 / share)) if share else MOST
        """Of more than that, too many would be looked at again."""
        self.lost = self._look if self._longest >= LEAST else self._is_lost

    def _is_lost(self, index: int, number: int) -> bool:
        return unit(self._stream, index, number) < self._share

    def _look(self, index: int, number: int) -> bool:
        size = min(_size(number), self._longest)
        if size < LEAST:
            return self._is_lost(index, number)
        numbers, bound = units53(self._stream, index, number, size), self._share * SCALE
        if min(numbers) >= bound:
            self.safe[index] = number + size
            return False
        first = next(place for place, one in enumerate(numbers) if one < bound)
        self.safe[index] = number + first
        return not first
