"""The table of addresses: who has which. It has blocks of consecutive addresses, found by arithmetic.

A block costs the same for ten addresses and for a million, of either family. Hosts can be absent, one
by one: an absent host answers nothing, as if its machine were off, and its addresses stay its own. And
hosts can move, one by one, to another address or to other ports: what they have left is nobody's.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, TypeAlias

from iotsim.wire.address import IPV4_END, format_address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from iotsim.net.datagram import Datagram


class PortHandler(Protocol):
    """A UDP service of a pool, called for each datagram; the return value is the outcome."""

    def __call__(self, datagram: Datagram, payload: bytes, /) -> str: ...


class HostPool(Protocol):
    """The hosts that share ports and blocks of addresses: a fleet.

    The stack keeps the dictionary itself, so entries may come and go, but it must stay the same
    object for as long as it is attached. `missed` are those who are told, by port, of datagrams to hosts that
    are absent.
    """

    @property
    def ports(self) -> dict[int, PortHandler]: ...

    @property
    def missed(self) -> Mapping[int, PortHandler]: ...


Absence: TypeAlias = "Callable[[int, float], bool]"
"""Whether the host of this index, in its pool, is absent at this time."""


@dataclass(slots=True, eq=False)
class Block:
    """Hosts with consecutive addresses, from `first` to just before `end`.

    The first of them is host `start` of `pool`. `hops` are the addresses of the simulated
    routers before them, the nearest to the link first. `path_mtu` is what the way behind the first
    of those carries, 0 for as much as the link. Hosts that are `silent` refuse nothing: no port
    unreachable, no reset. `absence` is the pool's, None while all of its hosts are there. `moved` counts
    the hosts that are not to be found here, or not as the others; of one that has moved, `missed` is in place
    of the pool's.
    """

    first: int
    end: int
    pool: HostPool
    ports: Mapping[int, PortHandler]
    hops: tuple[int, ...] = ()
    path_mtu: int = 0
    silent: bool = False
    start: int = 0
    absence: Absence | None = None
    moved: int = 0
    missed: Mapping[int, PortHandler] | None = None

    def index(self, address: int) -> int:
        """Which host of its pool has `address`."""
        return address - self.first + self.start

    def is_absent(self, address: int, now: float) -> bool:
        """Whether the host at `address` is."""
        return self.absence is not None and self.absence(self.index(address), now)


class AddressTable:
    """The blocks of addresses behind a link, sorted; they never overlap."""

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._blocks: dict[int, Block] = {}
        self._absences: dict[int, Absence] = {}
        """By the identity of the pool."""
        self._moved: dict[int, Block | None] = {}
        """What is at an address in place of what its block says: nothing, or a host that has moved."""

    def add(
        self,
        first: int,
        count: int,
        pool: HostPool,
        *,
        hops: tuple[int, ...] = (),
        path_mtu: int = 0,
        silent: bool = False,
        start: int = 0,
    ) -> Block:
        """Claim `count` addresses; ValueError if they are not free, or of two families."""
        last = first + count - 1
        if any(first <= address <= last for address in self._moved):
            raise ValueError(
                f"a host that has moved is among {count} from {format_address(first)} on"
            )
        if count < 1 or first < 1 or last >= 1 << 128 or (first < IPV4_END <= last):
            raise ValueError(f"{count} addresses from {format_address(first)} on are no range")
        position = bisect_right(self._firsts, last)
        if position:
            before = self._blocks[self._firsts[position - 1]]
            if before.end > first:
                raise ValueError(
                    f"{format_address(first)}-{format_address(last)} overlaps "
                    f"{format_address(before.first)}-{format_address(before.end - 1)}"
                )
        block = Block(first, first + count, pool, pool.ports, hops, path_mtu, silent, start)
        block.absence = self._absences.get(id(pool))
        insort(self._firsts, first)
        self._blocks[first] = block
        return block

    def remove(self, first: int) -> None:
        """Give up the block that begins at `first`; KeyError if there is none."""
        del self._blocks[first]
        self._firsts.remove(first)

    def move(
        self,
        pool: HostPool,
        index: int,
        old: int,
        new: int,
        ports: Mapping[int, PortHandler],
        missed: Mapping[int, PortHandler] | None = None,
    ) -> None:
        """Let host `index` of `pool` leave the address `old` for `new`, where it has these `ports`, and these
        are told of what is `missed`, in place of the pool's; both addresses may be the same. ValueError if
        `old` is not its own, or `new` is taken."""
        block = self._find_block(old)
        if (
            block is None
            or block.pool is not pool
            or block.index(old) != index
            or old in self._moved
        ):
            raise ValueError(f"{format_address(old)} is not the host's")
        if new != old and self.find(new) is not None:
            raise ValueError(f"{format_address(new)} is taken")
        if (new < IPV4_END) != (old < IPV4_END):
            raise ValueError(f"{format_address(new)} is of the other family")
        block.moved += 1
        self._moved[old] = None
        self._moved[new] = replace(
            block, first=new, end=new + 1, ports=ports, missed=missed, start=index, moved=1
        )

    def move_back(self, old: int, new: int) -> None:
        """Take back a `move`; KeyError if there was none."""
        del self._moved[new]
        self._moved.pop(old, None)
        block = self._find_block(old)
        if block is not None:
            block.moved -= 1

    def set_absence(self, pool: HostPool, absence: Absence | None) -> None:
        """Let `absence` say which hosts of `pool` are absent; None: all are there."""
        if absence is None:
            self._absences.pop(id(pool), None)
        else:
            self._absences[id(pool)] = absence
        for block in (*self, *filter(None, self._moved.values())):
            if block.pool is pool:
                block.absence = absence

    def is_absent(self, pool: HostPool, index: int, now: float) -> bool:
        """Whether host `index` of `pool` is absent, whatever addresses it has."""
        absence = self._absences.get(id(pool))
        return absence is not None and absence(index, now)

    def find(self, address: int) -> Block | None:
        """The block that holds `address`."""
        if self._moved and address in self._moved:
            return self._moved[address]
        return self._find_block(address)

    def _find_block(self, address: int) -> Block | None:
        """The same, as if no host had moved."""
        position = bisect_right(self._firsts, address)
        if position:
            block = self._blocks[self._firsts[position - 1]]
            if address < block.end:
                return block
        return None

    def __iter__(self) -> Iterator[Block]:
        return (self._blocks[first] for first in self._firsts)
