"""DHCP clients, one per host of a pool that gets its addresses from a server (RFC 2131, 4.4). ::

    INIT --discover--> SELECTING --offer, request--> REQUESTING --ack--> BOUND
     ^                     |                             |                 | half of the lease
     |<--- no answer ------+<--- no answer, nak ---------+                 v
     |                                                               RENEWING (asks its server)
     |                                                                     | seven eighths
     |                                                                     v
     +<------------------- lease over, nak ----------------------- REBINDING (asks anyone)

A device has no address before it is bound, and loses it with the lease. Retransmissions wait 4, 8,
16, 32 and 64 seconds, each give or take one (section 4.1). Replies are asked for by broadcast, for
nobody answers ARP for an address that is not configured yet.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from iotsim.net.outcome import ANSWERED, consumed, dropped
from iotsim.net.packet import read_ipv4
from iotsim.rng import key, unit
from iotsim.wire import dhcp, ethernet, ipv4, udp, virtio
from iotsim.wire.dhcp import DhcpMessage

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotsim.net.address_table import HostPool
    from iotsim.net.ethernet import EthernetStack

FIRST_RETRANSMISSION_S = 4.0
LONGEST_RETRANSMISSION_S = 64.0
REQUEST_ATTEMPTS = 4
RESTART_S = 10.0
ABSENCE_CHECK_S = 1.0
"""How soon after its return a client that was absent goes on at the latest."""
SHORTEST_RENEWAL_S = 60.0
SHORTEST_LEASE_S = 10.0
_PARAMETERS = bytes([dhcp.SUBNET_MASK, dhcp.ROUTER, dhcp.LEASE_TIME, dhcp.SERVER_IDENTIFIER])


class State(Enum):
    INIT = auto()
    SELECTING = auto()
    REQUESTING = auto()
    BOUND = auto()
    RENEWING = auto()
    REBINDING = auto()


@dataclass(slots=True)
class _Client:
    pool: HostPool
    index: int
    mac: int
    state: State = State.INIT
    due: float = 0.0
    timer: int = 0
    attempts: int = 0
    draws: int = 0
    transaction: int = 0
    begun: float = 0.0
    address: int = 0
    server: int = 0
    rebind_at: float = 0.0
    expires: float = 0.0


class DhcpClients:
    """The clients of all pools. `on_lease` is called with (pool, index, address) when a host gets an
    address, and with address 0 when it loses it."""

    def __init__(
        self, stack: EthernetStack, on_lease: Callable[[HostPool, int, int], object] | None
    ) -> None:
        self._stack = stack
        self._on_lease = on_lease
        self._key = key(stack.seed, "dhcp")
        self._clients: dict[int, _Client] = {}
        self._timers: list[tuple[float, int, int]] = []
        self._last_timer = 0

    @property
    def active(self) -> bool:
        """Whether there is any client."""
        return bool(self._clients)

    def start(
        self, pool: HostPool, count: int, first_mac: int, now: float, spacing_s: float
    ) -> None:
        """Begin to look for addresses, one device after the other."""
        for index in range(count):
            client = _Client(pool, index, first_mac + index)
            self._clients[client.mac] = client
            self._schedule(client, now + index * spacing_s)

    def state(self, mac: int) -> State | None:
        client = self._clients.get(mac)
        return client.state if client else None

    def receive(self, data: bytes, now: float, *, trusted: bool) -> str:
        """A packet to the clients' port; `data` begins with its IP header."""
        packet = read_ipv4(data, trusted=trusted)
        header = udp.parse_udp(packet.payload)
        payload = packet.payload[: header.length]
        if not trusted:
            udp.verify_udp(packet.source, packet.destination, payload)
        message = dhcp.parse_dhcp(payload[udp.HEADER_LENGTH :])
        client = self._clients.get(message.mac)
        if client is None:
            return consumed("dhcp-for-others")
        if self._is_absent(client, now):
            return dropped("host-absent")
        if message.operation != dhcp.REPLY or message.transaction != client.transaction:
            return dropped("dhcp-unexpected")
        if message.type == dhcp.OFFER and client.state is State.SELECTING:
            return self._accept(client, message, now)
        asked = client.state in (State.REQUESTING, State.RENEWING, State.REBINDING)
        if message.type == dhcp.ACK and asked:
            return self._bind(client, message, now)
        if message.type == dhcp.NAK and asked:
            self._lose(client)
            self._schedule(client, now)
            return consumed("dhcp-nak")
        return dropped("dhcp-unexpected")

    def next_due(self) -> float | None:
        return self._timers[0][0] if self._timers else None

    def pop_due(self, now: float) -> None:
        """Send again what was not answered, renew what is half over."""
        while self._timers and self._timers[0][0] <= now:
            _, timer, mac = heapq.heappop(self._timers)
            client = self._clients[mac]
            if client.timer == timer:
                self._expire(client, now)

    def _is_absent(self, client: _Client, now: float) -> bool:
        return self._stack.ip.table.is_absent(client.pool, client.index, now)

    def _expire(self, client: _Client, now: float) -> None:
        if self._is_absent(client, now):
            self._schedule(client, now + ABSENCE_CHECK_S)
            return
        given_up = client.state is State.REQUESTING and client.attempts >= REQUEST_ATTEMPTS
        if client.state is State.INIT or given_up:
            self._begin(client, State.SELECTING, now)
        elif client.state is State.BOUND:
            self._begin(client, State.RENEWING, now)
        elif client.state is State.RENEWING and now >= client.rebind_at:
            self._begin(client, State.REBINDING, now)
        elif client.state is State.REBINDING and now >= client.expires:
            self._lose(client)
            self._begin(client, State.SELECTING, now)
        self._ask(client, now)

    def _begin(self, client: _Client, state: State, now: float) -> None:
        client.state = state
        client.attempts = 0
        client.begun = now
        client.transaction = int(self._draw(client) * (1 << 32))

    def _ask(self, client: _Client, now: float) -> None:
        """Send what the state asks for, and set the timer for the next time."""
        client.attempts += 1
        options = {
            dhcp.MESSAGE_TYPE: bytes([dhcp.ASK]),
            dhcp.CLIENT_IDENTIFIER: b"\1" + client.mac.to_bytes(6, "big"),
        }
        if client.state is State.SELECTING:
            options[dhcp.MESSAGE_TYPE] = bytes([dhcp.DISCOVER])
        elif client.state is State.REQUESTING:
            options[dhcp.REQUESTED_ADDRESS] = client.address.to_bytes(4, "big")
            options[dhcp.SERVER_IDENTIFIER] = client.server.to_bytes(4, "big")
        options[dhcp.PARAMETER_LIST] = _PARAMETERS
        self._send(client, options, now)
        if client.state is State.RENEWING:
            self._schedule(client, now + _half_of(client.rebind_at - now))
        elif client.state is State.REBINDING:
            self._schedule(client, now + _half_of(client.expires - now))
        else:
            wait = FIRST_RETRANSMISSION_S * 2 ** min(client.attempts - 1, 4)
            jitter = 2 * self._draw(client) - 1
            self._schedule(client, now + min(wait, LONGEST_RETRANSMISSION_S) + jitter)

    def _send(self, client: _Client, options: dict[int, bytes], now: float) -> None:
        held = client.state in (State.RENEWING, State.REBINDING)
        message = dhcp.build_dhcp(
            DhcpMessage(
                dhcp.REQUEST,
                client.transaction,
                client.mac,
                options,
                seconds=min(int(now - client.begun), 65535),
                flags=0 if held else dhcp.BROADCAST_FLAG,
                client=client.address if held else 0,
            )
        )
        source = client.address if held else 0
        to_server = client.state is State.RENEWING
        destination = client.server if to_server else ipv4.LIMITED_BROADCAST
        ports = dhcp.CLIENT_PORT, dhcp.SERVER_PORT
        segment = udp.build_udp(source, destination, *ports, message)
        packet = ipv4.build_ipv4(source, destination, ipv4.UDP, segment)
        if to_server:
            self._stack.send_packet(virtio.PLAIN + packet)
        else:
            self._stack.send_ethernet(ethernet.BROADCAST, client.mac, ethernet.IPV4, packet)

    def _accept(self, client: _Client, message: DhcpMessage, now: float) -> str:
        server = message.number(dhcp.SERVER_IDENTIFIER)
        if not ipv4.is_unicast(message.yours) or not ipv4.is_unicast(server):
            return dropped("dhcp-address")
        client.address = message.yours
        client.server = server
        client.state = State.REQUESTING
        client.attempts = 0
        self._ask(client, now)
        return ANSWERED

    def _bind(self, client: _Client, message: DhcpMessage, now: float) -> str:
        held = client.state is not State.REQUESTING
        lease_s = max(float(message.number(dhcp.LEASE_TIME)), SHORTEST_LEASE_S)
        if message.yours != client.address:
            return dropped("dhcp-address")
        if not held:
            try:
                self._stack.attach_one(client.address, client.pool, client.index)
            except ValueError:
                # Somebody of ours has it by declaration.
                self._decline(client, now)
                return dropped("dhcp-address")
        renew_s = message.number(dhcp.RENEWAL_TIME) or lease_s / 2
        rebind_s = message.number(dhcp.REBINDING_TIME) or lease_s * 7 / 8
        client.state = State.BOUND
        client.expires = now + lease_s
        client.rebind_at = now + min(rebind_s, lease_s)
        self._schedule(client, min(now + renew_s, client.rebind_at))
        self._stack.learn_network(
            client.address, message.number(dhcp.SUBNET_MASK), message.number(dhcp.ROUTER)
        )
        if not held and self._on_lease is not None:
            self._on_lease(client.pool, client.index, client.address)
        return consumed("dhcp-ack")

    def _decline(self, client: _Client, now: float) -> None:
        options = {
            dhcp.MESSAGE_TYPE: bytes([dhcp.DECLINE]),
            dhcp.CLIENT_IDENTIFIER: b"\1" + client.mac.to_bytes(6, "big"),
            dhcp.REQUESTED_ADDRESS: client.address.to_bytes(4, "big"),
            dhcp.SERVER_IDENTIFIER: client.server.to_bytes(4, "big"),
        }
        self._send(client, options, now)
        client.state = State.INIT
        client.address = 0
        self._schedule(client, now + RESTART_S)

    def _lose(self, client: _Client) -> None:
        """Go without an address, if there was one."""
        if client.state in (State.RENEWING, State.REBINDING):
            self._stack.detach_one(client.address)
            if self._on_lease is not None:
                self._on_lease(client.pool, client.index, 0)
        client.state = State.INIT
        client.address = 0

    def _schedule(self, client: _Client, due: float) -> None:
        self._last_timer += 1
        client.due = due
        client.timer = self._last_timer
        heapq.heappush(self._timers, (due, client.timer, client.mac))

    def _draw(self, client: _Client) -> float:
        client.draws += 1
        return unit(self._key, client.mac, client.draws)


def _half_of(rest_s: float) -> float:
    """When to ask again: half of what is left, but not more often than each minute, and at the end
    at the latest (RFC 2131, section 4.4.5)."""
    return min(max(rest_s / 2, SHORTEST_RENEWAL_S), max(rest_s, 0.0))
