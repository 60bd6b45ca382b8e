"""Sockets at the gateway's end of a memory link: for a gateway that is written in Python.

They have the methods of ``socket.socket`` that a UDP gateway uses, so that such a gateway takes one in the
place of the other. Nothing but UDP is there: no name is resolved, no port is refused.
"""

from __future__ import annotations

import ipaddress
from collections import deque
from typing import TYPE_CHECKING, Self

import trio

from iotsim.testing.frames import datagram_frame, read_datagram
from iotsim.units import parse_duration
from iotsim.wire.address import IPV4_END, format_address, parse_address

if TYPE_CHECKING:
    from iotsim.link.memory import MemoryLink

FIRST_PORT = 49152
LAST_PORT = 65535
MOST_FRAMES = 1 << 16
MOST_WAITING = 10_000
"""So many datagrams wait in a socket; what comes then is lost, as in a kernel."""


class Sockets:
    """All sockets at one end of a link. ``addresses`` are its own, IPv4 and IPv6, 0 for none."""

    def __init__(self, link: MemoryLink, addresses: tuple[int, int]) -> None:
        self.addresses = addresses
        self._link = link
        self._open: dict[int, Socket] = {}

    async def run(self) -> None:
        """Hand out what comes, until cancelled."""
        while True:
            await self._link.wait_readable()
            self.take()

    def take(self) -> None:
        for frame in self._link.receive_nowait(MOST_FRAMES):
            found = read_datagram(frame)
            if found is not None:
                (source, source_port), port, payload = found
                socket = self._open.get(port)
                if socket is not None:
                    socket._arrived(payload, (format_address(source), source_port))

    def open(self, port: int = 0) -> Socket:
        """A socket at `port`, 0: at a free one. OSError if it is taken."""
        if not 0 <= port <= LAST_PORT:
            raise OverflowError("port must be 0-65535")
        if port in self._open:
            raise OSError(98, f"port {port} is in use")
        if not port:
            free = (one for one in range(FIRST_PORT, LAST_PORT + 1) if one not in self._open)
            port = next(free, 0)
            if not port:
                raise OSError(98, "all ports are in use")
        socket = self._open[port] = Socket(self, port)
        return socket

    def send(self, port: int, to: tuple[int, int], payload: bytes) -> None:
        source = self.addresses[to[0] >= IPV4_END]
        if not source:
            raise OSError(101, "the link has no address of this version of IP")
        self._link.send_nowait(datagram_frame((source, port), to, payload))

    def close(self, port: int) -> None:
        self._open.pop(port, None)


class Socket:
    """A UDP socket. Times are of the run: seconds, or a text such as "200ms"."""

    def __init__(self, sockets: Sockets, port: int) -> None:
        self.port = port
        self._sockets = sockets
        self._waiting: deque[tuple[bytes, tuple[str, int]]] = deque()
        self._news = trio.Event()
        self._timeout_s: float | None = None
        self._closed = False

    def getsockname(self) -> tuple[str, int]:
        one = next(filter(None, self._sockets.addresses))
        return format_address(one), self.port

    def settimeout(self, timeout: float | str | None) -> None:
        """How long `recvfrom` waits; None: for ever."""
        self._timeout_s = parse_duration(timeout) if isinstance(timeout, str) else timeout

    async def sendto(self, data: bytes, address: tuple[str, int]) -> int:
        self._check()
        host, port = address[:2]
        try:
            ipaddress.ip_address(host)
        except ValueError:
            raise OSError(-2, f"{host!r:.100} is no address of IP") from None
        if not 0 < port <= LAST_PORT:
            raise OverflowError("port must be 1-65535")
        self._sockets.send(self.port, (parse_address(host), port), bytes(data))
        await trio.lowlevel.checkpoint()
        return len(data)

    async def recvfrom(self, size: int = 65535) -> tuple[bytes, tuple[str, int]]:
        """The next datagram, cut to `size`, and who sent it. TimeoutError if none comes in time."""
        self._check()
        timeout_s = self._timeout_s
        with trio.move_on_after(float("inf") if timeout_s is None else timeout_s):
            while not self._waiting and not self._closed:
                self._news = trio.Event()
                await self._news.wait()
        self._check()
        if not self._waiting:
            raise TimeoutError("timed out")
        data, peer = self._waiting.popleft()
        return data[:size], peer

    async def recv(self, size: int = 65535) -> bytes:
        return (await self.recvfrom(size))[0]

    def close(self) -> None:
        self._closed = True
        self._sockets.close(self.port)
        self._news.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check(self) -> None:
        if self._closed:
            raise OSError(9, "the socket is closed")

    def _arrived(self, data: bytes, peer: tuple[str, int]) -> None:
        if len(self._waiting) < MOST_WAITING:
            self._waiting.append((data, peer))
            self._news.set()
