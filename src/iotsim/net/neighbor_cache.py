"""The neighbor cache: who on the link has which MAC address (RFC 4861, section 7; ARP alike).

One cache serves all simulated hosts: what one of them learns of the gateway, all know. ::

    (unknown) --packet to send--> INCOMPLETE --answer--> REACHABLE --30 s--> STALE
        ^                             |                      ^                  |
        |<------3 requests, 3 s-------+                      |            packet to send
        |                                                  answer               v
        |<------3 probes, 3 s------ PROBE <------5 s---------+---------------- DELAY

A request that somebody sends to us makes its sender known, as STALE. Packets that wait for an
answer are few per neighbor and in all; of those for one neighbor the oldest go first. Whoever sent a
packet that waits is told when it has left, or why it never will.
"""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING

from iotsim.net.datagram import Waiting
from iotsim.wire.address import IPV4_END, format_address

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

    from iotsim.net.datagram import Sending

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
    waiting: deque[tuple[bytes, Waiting]] = field(default_factory=deque)


class NeighborCache:
    """Who has which MAC address, and what waits to be sent to those that do not answer yet.

    `solicit` is called with (address, asker, MAC) to ask a neighbor, by unicast if the MAC is not 0;
    `deliver` with (packet, MAC) for each packet, once that is known. It returns what has become of
    the packet, as a link does.
    """

    def __init__(
        self,
        solicit: Callable[[int, int, int], object],
        deliver: Callable[[bytes, int], Sending],
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

    def send(self, address: int, asker: int, packet: bytes, now: float) -> Sending:
        """Send `packet`, of our address `asker`, to the neighbor at `address`: at once, or when it
        has answered."""
        neighbor = self._neighbors.pop(address, None)
        if neighbor is None:
            self._make_room()
            neighbor = _Neighbor(State.INCOMPLETE, asker=asker, attempts=1)
            self._neighbors[address] = neighbor
            self._schedule(address, neighbor, now + RETRANSMIT_S)
            self._solicit(address, asker, 0)
            return self._keep(address, neighbor, packet)
        self._neighbors[address] = neighbor
        if neighbor.state is State.INCOMPLETE:
            return self._keep(address, neighbor, packet)
        if neighbor.state is State.STALE:
            neighbor.state = State.DELAY
            neighbor.asker = asker
            self._schedule(address, neighbor, now + DELAY_S)
        return self._deliver(packet, neighbor.mac)

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
            waiting, neighbor.waiting = neighbor.waiting, deque()
            self._waiting -= len(waiting)
            self._settle(address, neighbor, now, reachable=solicited)
            for packet, sender in waiting:
                why_not = self._deliver(packet, mac)
                sender.told(why_not if isinstance(why_not, str) else "")
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
            how = "ARP" if address < IPV4_END else "neighbor discovery"
            self._give_up(neighbor, f"nobody answers {how} for {format_address(address)}")
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

    def _keep(self, address: int, neighbor: _Neighbor, packet: bytes) -> Sending:
        full = f"too many packets wait for an answer of {format_address(address)}"
        if len(neighbor.waiting) >= WAITING_PER_NEIGHBOR:
            self._counters["neighbor-queue-full"] += 1
            _, oldest = neighbor.waiting.popleft()
            oldest.told(full)
        elif self._waiting >= self._waiting_limit:
            self._counters["neighbor-queue-full"] += 1
            return full
        else:
            self._waiting += 1
        sender = Waiting()
        neighbor.waiting.append((packet, sender))
        return sender

    def _make_room(self) -> None:
        if len(self._neighbors) >= self._capacity:
            address = next(iter(self._neighbors))
            self._counters["neighbor-evicted"] += 1
            self._give_up(self._neighbors.pop(address), "too many neighbors are being asked for")

    def _give_up(self, neighbor: _Neighbor, reason: str) -> None:
        self._waiting -= len(neighbor.waiting)
        self._counters["neighbor-unreachable"] += len(neighbor.waiting)
        for _, sender in neighbor.waiting:
            sender.told(reason)
