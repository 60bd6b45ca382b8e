"""The neighbor cache: who on the link has which MAC address (RFC 4861, section 7; ARP alike).

One cache serves all simulated hosts: what one of them learns of the gateway, all know. ::

    (unknown) --packet to send--> INCOMPLETE --answer--> REACHABLE --30 s--> STALE
        ^                             |                      ^                  |
        |<------3 requests, 3 s-------+                      |            packet to send
        |                                                  answer               v
        |<------3 probes, 3 s------ PROBE <------5 s---------+---------------- DELAY

A request that somebody sends to us makes its sender known, as STALE. Packets that wait for an
answer are few per neighbor and in all; the oldest go first.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

REACHABLE_S = 30.0
RETRANSMIT_S = 1.0
DELAY_S = 5.0
ATTEMPTS = 3
WAITING_PER_NEIGHBOR = 256


class State(Enum):
    INCOMPLETE = auto()
    REACHABLE = auto()
    STALE = auto()
    DELAY = auto()
    PROBE = auto()


@dataclass(slots=True)
class _Neighbor:
    state: State
    mac: int = 0
    asker: int = 0
    """The address of ours that asks for it."""
    due: float = 0.0
    timer: int = 0
    """The number of the timer that is set for `due`; 0 for none."""
    attempts: int = 0
    waiting: list[bytes] = field(default_factory=list)


class NeighborCache:
    """`solicit` is called with (address, asker, MAC) to ask a neighbor, by unicast if the MAC is
    not 0; `deliver` with (packet, MAC) for each packet that has waited for the answer."""

    def __init__(
        self,
        solicit: Callable[[int, int, int], object],
        deliver: Callable[[bytes, int], object],
        counters: Counter[str],
        *,
        capacity: int = 1024,
        waiting_limit: int = 4096,
    ) -> None:
        self._solicit = solicit
        self._deliver = deliver
        self._counters = counters
        self._capacity = capacity
        self._waiting_limit = waiting_limit
        self._waiting = 0
        # The least recently used first.
        self._neighbors: dict[int, _Neighbor] = {}
        # (time, number, address). A timer that is no longer its neighbor's is skipped in its time.
        self._timers: list[tuple[float, int, int]] = []
        self._last_timer = 0

    def state(self, address: int) -> State | None:
        neighbor = self._neighbors.get(address)
        return neighbor.state if neighbor else None

    def mac(self, address: int) -> int:
        """The MAC of `address` as far as it is known, else 0."""
        neighbor = self._neighbors.get(address)
        return neighbor.mac if neighbor else 0

    def resolve(self, address: int, asker: int, packet: bytes, now: float) -> int:
        """The MAC to send `packet` to; 0 if it has to wait for the answer to a request."""
        neighbor = self._neighbors.pop(address, None)
        if neighbor is None:
            self._make_room()
            neighbor = _Neighbor(State.INCOMPLETE, asker=asker, attempts=1)
            self._neighbors[address] = neighbor
            self._keep(neighbor, packet)
            self._schedule(address, neighbor, now + RETRANSMIT_S)
            self._solicit(address, asker, 0)
            return 0
        self._neighbors[address] = neighbor
        if neighbor.state is State.INCOMPLETE:
            self._keep(neighbor, packet)
            return 0
        if neighbor.state is State.STALE:
            neighbor.state = State.DELAY
            neighbor.asker = asker
            self._schedule(address, neighbor, now + DELAY_S)
        return neighbor.mac

    def learn(
        self,
        address: int,
        mac: int,
        now: float,
        *,
        solicited: bool = False,
        override: bool = True,
        create: bool = False,
    ) -> None:
        """Take note that `address` has `mac`.

        `solicited` says that this answers a question, `override` that it replaces what we knew;
        `create` makes an entry also when nobody asked.
        """
        neighbor = self._neighbors.get(address)
        if neighbor is None:
            if not create:
                return
            self._make_room()
            self._neighbors[address] = _Neighbor(State.STALE, mac)
            return
        if neighbor.state is State.INCOMPLETE:
            neighbor.mac = mac
            waiting, neighbor.waiting = neighbor.waiting, []
            self._waiting -= len(waiting)
            self._settle(address, neighbor, now, reachable=solicited)
            for packet in waiting:
                self._deliver(packet, mac)
        elif mac == neighbor.mac:
            if solicited:
                self._settle(address, neighbor, now, reachable=True)
        elif override:
            neighbor.mac = mac
            self._settle(address, neighbor, now, reachable=solicited)
        elif neighbor.state is State.REACHABLE:
            self._settle(address, neighbor, now, reachable=False)

    def next_due(self) -> float | None:
        while self._timers:
            due, timer, address = self._timers[0]
            neighbor = self._neighbors.get(address)
            if neighbor is not None and neighbor.timer == timer:
                return due
            heapq.heappop(self._timers)
        return None

    def pop_due(self, now: float) -> None:
        """Ask again, probe, and forget who does not answer."""
        while self._timers and self._timers[0][0] <= now:
            _, timer, address = heapq.heappop(self._timers)
            neighbor = self._neighbors.get(address)
            if neighbor is not None and neighbor.timer == timer:
                neighbor.timer = 0
                self._expire(address, neighbor, now)

    def _expire(self, address: int, neighbor: _Neighbor, now: float) -> None:
        if neighbor.state is State.REACHABLE:
            self._settle(address, neighbor, now, reachable=False)
            return
        if neighbor.state is State.DELAY:
            neighbor.state = State.PROBE
            neighbor.attempts = 0
        if neighbor.attempts >= ATTEMPTS:
            del self._neighbors[address]
            self._give_up(neighbor)
            return
        neighbor.attempts += 1
        self._schedule(address, neighbor, now + RETRANSMIT_S)
        self._solicit(address, neighbor.asker, neighbor.mac)

    def _settle(self, address: int, neighbor: _Neighbor, now: float, *, reachable: bool) -> None:
        if reachable:
            neighbor.state = State.REACHABLE
            self._schedule(address, neighbor, now + REACHABLE_S)
        else:
            neighbor.state = State.STALE
            neighbor.timer = 0

    def _schedule(self, address: int, neighbor: _Neighbor, due: float) -> None:
        self._last_timer += 1
        neighbor.due = due
        neighbor.timer = self._last_timer
        heapq.heappush(self._timers, (due, neighbor.timer, address))
        if len(self._timers) > 4 * self._capacity:
            self._timers = [
                (known.due, known.timer, place)
                for place, known in self._neighbors.items()
                if known.timer
            ]
            heapq.heapify(self._timers)

    def _keep(self, neighbor: _Neighbor, packet: bytes) -> None:
        if len(neighbor.waiting) >= WAITING_PER_NEIGHBOR:
            neighbor.waiting.pop(0)
            self._counters["neighbor-queue-full"] += 1
        elif self._waiting >= self._waiting_limit:
            self._counters["neighbor-queue-full"] += 1
            return
        else:
            self._waiting += 1
        neighbor.waiting.append(packet)

    def _make_room(self) -> None:
        if len(self._neighbors) >= self._capacity:
            address = next(iter(self._neighbors))
            self._counters["neighbor-evicted"] += 1
            self._give_up(self._neighbors.pop(address))

    def _give_up(self, neighbor: _Neighbor) -> None:
        self._waiting -= len(neighbor.waiting)
        self._counters["neighbor-unreachable"] += len(neighbor.waiting)
