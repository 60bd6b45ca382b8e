"""The name server of ``[link] hosts``, at the address that the gateway's /etc/resolv.conf names."""

from __future__ import annotations

import struct
from contextlib import suppress
from typing import TYPE_CHECKING

import trio

from iotsim.clock import real_s
from iotsim.northbound.names import NameServer
from iotsim.run.northbound.service import ServiceError, recover_from
from iotsim.testbed.names import NAMESERVER

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping, Sequence

    from iotsim.testbed.bed import Testbed

PORT = 53
LARGEST_QUERY = 4096
MOST_CONNECTIONS = 100
IDLE_S = 10.0


class Resolver:
    """Answers queries for `names`, over UDP and TCP; ``server`` knows what else was asked for."""

    def __init__(self, names: Mapping[str, Sequence[str]]) -> None:
        self.server = NameServer(names)

    async def live(self, testbed: Testbed, *, task_status: trio.TaskStatus[None]) -> None:
        """Serve until cancelled. ServiceError if it cannot listen."""
        try:
            datagrams = await testbed.open_socket("udp", NAMESERVER, PORT)
            listener = await testbed.open_socket("listener", NAMESERVER, PORT)
        except OSError as error:
            reason = f"the name server cannot listen at {NAMESERVER}:{PORT}: {error.strerror}"
            raise ServiceError(reason) from error
        with datagrams, listener:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._receive, datagrams)
                nursery.start_soon(self._accept, trio.socket.from_stdlib_socket(listener), nursery)
                task_status.started()

    async def _receive(self, sock: socket.socket) -> None:
        while True:
            await trio.lowlevel.wait_readable(sock)
            with suppress(OSError):
                query, peer = sock.recvfrom(LARGEST_QUERY)
                answer = self.server.answer(query)
                if answer is not None:
                    sock.sendto(answer, peer)
            await trio.lowlevel.checkpoint()

    async def _accept(self, listener: trio.socket.SocketType, nursery: trio.Nursery) -> None:
        while True:
            try:
                connection, _ = await listener.accept()
            except OSError as error:
                await recover_from(error)
                continue
            if len(nursery.child_tasks) > MOST_CONNECTIONS:
                connection.close()
            else:
                nursery.start_soon(self._serve, connection)

    async def _serve(self, connection: trio.socket.SocketType) -> None:
        """Answer the queries of a connection, each with its length before it (RFC 1035, 4.2.2)."""
        stream = trio.SocketStream(connection)
        held = b""
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError), connection:
            while True:
                with trio.move_on_after(real_s(IDLE_S)) as patience:
                    data = await stream.receive_some(LARGEST_QUERY)
                if patience.cancelled_caught or not data:
                    return
                held += data
                while len(held) >= 2 and len(held) >= 2 + (
                    length := struct.unpack("!H", held[:2])[0]
                ):
                    answer = self.server.answer(held[2 : 2 + length])
                    held = held[2 + length :]
                    if answer is not None:
                        await stream.send_all(struct.pack("!H", len(answer)) + answer)
