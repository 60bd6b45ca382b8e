"""`Follower`: what messages are to each other, as somebody sees it who hears all of them.

A `Session` takes part in conversations; a follower reads those of others, in a capture or on a link, and
says of each message in a few words what it is: an answer, a repetition, a part of something. People read
that beside the message.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeAlias

from iotsim.session.recent import Recent
from iotsim.units import format_duration
from iotsim.wire import ipv4, ipv6
from iotsim.wire.address import is_ipv4

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

Message: TypeAlias = dict[str, Any]
Endpoint: TypeAlias = tuple[int, int]
"""An address, as an integer, and a port."""
Way: TypeAlias = tuple[Endpoint, Endpoint]
MOST = 1 << 16
"""So many messages are remembered at a time."""
ANYBODY: Endpoint = (0, 0)
"""Stands for who is asked by multicast or broadcast."""
NO_KEY = ()
LONGEST_KEY = 64


class Mark(NamedTuple):
    """What is kept of a datagram: the number that people know it by, its time, and a hash of its bytes."""

    number: int
    time: float
    hash: int

    def __str__(self) -> str:
        return f"#{self.number}"


class Seen(NamedTuple):
    """A datagram between two others.

    ``number`` is that of its frame, ``time`` in seconds since the capture began. ``from_device`` tells that
    its source is the device's end.
    """

    number: int
    time: float
    source: Endpoint
    destination: Endpoint
    from_device: bool
    datagram: bytes

    @property
    def mark(self) -> Mark:
        return Mark(self.number, self.time, hash(self.datagram))

    @property
    def way(self) -> Way:
        """From where to where. `ANYBODY` stands for groups, and for what looks like a network's broadcast
        address."""
        return self.source, ANYBODY if is_group(self.destination[0]) else self.destination

    @property
    def ways_back(self) -> tuple[Way, Way]:
        """The ways of what it may answer: to who sends it, or to anybody."""
        return (self.destination, self.source), (self.destination, ANYBODY)

    @property
    def client(self) -> Endpoint:
        """The end that is not the device's."""
        return self.destination if self.from_device else self.source

    def is_again(self, earlier: Mark) -> bool:
        """Whether it has the bytes of an earlier one."""
        return hash(self.datagram) == earlier.hash

    def after(self, earlier: Mark) -> str:
        """``#3 after 12 ms``"""
        return f"{earlier} after {format_duration(round(self.time - earlier.time, 6))}"


class Said(NamedTuple):
    """A message that was followed, and whether it answered another."""

    mark: Mark
    is_answer: bool


class Follower:
    """The base class of followers, and one that serves by itself: it pairs messages by their ``echo`` fields.

    What has the same values in these, in the other direction, is an answer; the same bytes in the same
    direction are a repetition. Where a protocol has no such fields, what a device sends answers the last
    that it was sent, once; and what is sent again before there is an answer is a repetition.

    There is one for a capture, which is given the protocol's ``echo``. What it keeps is bounded: it stands in
    `Recent`.
    """

    lifetime: ClassVar[float] = 60.0
    """In seconds: so long it is known what was said."""

    def __init__(self, echo: Sequence[str] = ()) -> None:
        self._echo = tuple(path.split(".") for path in echo)
        self._said: Recent[tuple[Way, Hashable], Said] = Recent(self.lifetime, MOST)

    # -- what a protocol overrides --------------------------------------------------------------------

    def follow(self, message: Message, seen: Seen) -> list[str]:
        """What `message` is in its conversation: any number of short texts."""
        key = self.key(message)
        if key is None:
            return []
        before = self._said.get((seen.way, key), seen.time)
        if before is not None and seen.is_again(before.mark):
            return [f"repeats {before.mark}"]
        is_answer = self.is_answer(message, seen)
        asked = None if is_answer is False else self._asked(seen, key)
        if key == NO_KEY and seen.from_device:
            self._said.pop((seen.ways_back[0], key))  # the next is no answer to it
        else:
            said = Said(seen.mark, is_answer or asked is not None)
            self._said.renew((seen.way, key), said, seen.time)
        return [] if asked is None else [self.answers(message, seen, asked)]

    def key(self, message: Message) -> Hashable | None:
        """What a message has in common with its answer; None if it has none, and is none. By default its
        ``echo`` fields, all of which it must have."""
        values = []
        for path in self._echo:
            value: Any = message
            for name in path:
                value = value.get(name) if isinstance(value, dict) else None
            if value is None:
                return None
            values.append(value if isinstance(value, int) else _in_short(value))
        return tuple(values)

    def is_answer(self, message: Message, seen: Seen) -> bool | None:
        """Whether a message answers another; None if that shows by there being one. By default what a device
        sends does, where there are no ``echo`` fields."""
        return None if self._echo else seen.from_device

    def answers(self, message: Message, seen: Seen, asked: Mark) -> str:
        """What is said of the answer to `asked`."""
        return f"answers {seen.after(asked)}"

    def device_end(self, source: Endpoint, destination: Endpoint, time: float) -> Endpoint | None:
        """Which end of a datagram is the device's, where neither has a port of the protocol's: for
        conversations that go on at another port than they began at. None, the default: it belongs to none
        of these."""
        return None

    # ---------------------------------------------------------------------------------------------------

    def _asked(self, seen: Seen, key: Hashable) -> Mark | None:
        """What an answer with this key answers."""
        for way in seen.ways_back:
            said = self._said.get((way, key), seen.time)
            if said is not None and not said.is_answer:
                return said.mark
        return None


def _in_short(value: Any) -> Hashable:
    """What stands for a value in little memory: so many are remembered."""
    text = value if isinstance(value, str | bytes) else repr(value)
    return text if len(text) <= LONGEST_KEY else hash(text)


def is_group(address: int) -> bool:
    """Whether `address` is one of many hosts. Without a prefix, a broadcast address is known by its looks."""
    if is_ipv4(address):
        return ipv4.is_multicast(address) or address & 0xFF == 0xFF
    return ipv6.is_multicast(address)
