"""Services that take datagrams: UDP, and syslog, which comes over TCP as well."""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import trio

from iotsim.northbound.content import content_fields
from iotsim.northbound.rules import Answer, RuleError, Rules
from iotsim.northbound.syslog import Framing, syslog_fields
from iotsim.run.northbound.http import MOST_CONNECTIONS, READ_BYTES, endpoint_text
from iotsim.run.northbound.service import Service, let_others_run, recover_from

if TYPE_CHECKING:
    from iotsim.northbound.spec import NorthboundSpec
    from iotsim.run.northbound.service import Surroundings

LARGEST_DATAGRAM = 65536
RECEIVE_BUFFER = 4 << 20
MOST_HELD = 2 * RECEIVE_BUFFER // 512
"""No buffer holds more datagrams: the kernel doubles its size, and counts each as 768 bytes at least."""
AT_A_TIME = 200
"""At most this many datagrams are taken before others have their turn."""
MOST_WAITING = 10_000
"""Answers that wait for their delay; one beyond them is not sent, and counted."""
SO_MEMINFO = 55
SK_MEMINFO = struct.Struct("9I")
SK_MEMINFO_DROPS = 8


class DatagramService(Service):
    """Takes datagrams at its port, and hands each to `take`."""

    def __init__(self, spec: NorthboundSpec, surroundings: Surroundings) -> None:
        super().__init__(spec, surroundings)
        self._sockets: list[socket.socket] = []
        self._lost: dict[socket.socket, int] = {}
        """What the kernel has dropped so far because we did not take it in time."""

    async def live(self, task_status: trio.TaskStatus[None]) -> None:
        try:
            async with trio.open_nursery() as nursery:
                await self.open(nursery)
                task_status.started()
        finally:
            self.note_lost()
            for sock in self._sockets:
                sock.close()
            self._sockets.clear()
            self._lost.clear()

    async def open(self, nursery: trio.Nursery) -> None:
        """Begin to serve in `nursery`."""
        for sock in await self.listen("udp"):
            with suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            self._sockets.append(sock)
            nursery.start_soon(self._receive, sock, nursery)

    async def drain(self) -> None:
        for sock in self._sockets:
            if sock.type == socket.SOCK_DGRAM:
                # Not until there is none: somebody may send faster than they are taken.
                for _ in range(MOST_HELD):
                    if not self._take_one(sock, None):
                        break

    def take(self, data: bytes, peer: Any) -> Answer | None:
        """Report what came from `peer`; the answer to it, if there is one."""
        raise NotImplementedError

    async def _receive(self, sock: socket.socket, nursery: trio.Nursery) -> None:
        while True:
            await trio.lowlevel.wait_readable(sock)
            try:
                for _ in range(AT_A_TIME):
                    if not self._take_one(sock, nursery):
                        break
            except OSError as error:
                await recover_from(error)
            await trio.lowlevel.checkpoint()

    def _take_one(self, sock: socket.socket, nursery: trio.Nursery | None) -> bool:
        """Take a datagram if there is one; it is answered in `nursery`, or not any more."""
        try:
            data, peer = sock.recvfrom(LARGEST_DATAGRAM)
        except BlockingIOError:
            return False
        except ConnectionRefusedError:
            return True  # what an answer of ours has met with
        self.count("datagrams")
        answer = self.take(data, peer)
        if answer is not None and answer.body is not None and nursery is not None:
            if len(nursery.child_tasks) > MOST_WAITING:
                self.count("answers_dropped")
            elif answer.delay_s:
                nursery.start_soon(self._send_later, sock, answer, peer)
            else:
                self._send(sock, answer.body, peer)
        return True

    async def _send_later(self, sock: socket.socket, answer: Answer, peer: Any) -> None:
        await trio.sleep(answer.delay_s)
        self._send(sock, answer.body or b"", peer)

    def _send(self, sock: socket.socket, data: bytes, peer: Any) -> None:
        try:
            sock.sendto(data, peer)
        except OSError:
            self.count("answers_dropped")

    def note_lost(self) -> None:
        for sock in self._sockets:
            if sock.type == socket.SOCK_DGRAM:
                with suppress(OSError):
                    info = sock.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, SK_MEMINFO.size)
                    lost = SK_MEMINFO.unpack(info)[SK_MEMINFO_DROPS]
                    self.count("lost", lost - self._lost.get(sock, 0))
                    self._lost[sock] = lost


class UdpService(DatagramService):
    """Answers by its rules; without one it says nothing."""

    def __init__(self, spec: NorthboundSpec, surroundings: Surroundings) -> None:
        super().__init__(spec, surroundings)
        self._rules = Rules(spec, surroundings.seed, Answer(body=None))

    def take(self, data: bytes, peer: Any) -> Answer | None:
        fields = {**content_fields(data, "payload"), "peer": endpoint_text(peer)}
        try:
            return self._rules.answer(fields, self.run.clock())
        except RuleError as error:
            self.run.fail(str(error))
            return None
        finally:
            self.run.report(self.spec, fields)


class SyslogService(DatagramService):
    """Takes syslog over UDP and TCP, and answers nothing."""

    async def open(self, nursery: trio.Nursery) -> None:
        await super().open(nursery)
        for listener in await self.listen("listener"):
            self._sockets.append(listener)
            nursery.start_soon(self._accept, listener, nursery)

    async def drain(self) -> None:
        await super().drain()
        await let_others_run()

    def take(self, data: bytes, peer: Any) -> Answer | None:
        self._report(data, endpoint_text(peer))
        return None

    def _report(self, data: bytes, peer: str) -> None:
        self.run.report(self.spec, {**syslog_fields(data[: self.spec.largest]), "peer": peer})

    async def _accept(self, plain: socket.socket, nursery: trio.Nursery) -> None:
        listener = trio.socket.from_stdlib_socket(plain)
        while True:
            try:
                connection, peer = await listener.accept()
            except OSError as error:
                await recover_from(error)
                continue
            self.count("connections")
            if len(nursery.child_tasks) > MOST_CONNECTIONS:
                self.count("connections_refused")
                connection.close()
            else:
                nursery.start_soon(self._read, connection, endpoint_text(peer))

    async def _read(self, connection: trio.socket.SocketType, peer: str) -> None:
        framing = Framing(self.spec.largest)
        with connection:
            data = b"first"
            while data and not framing.broken:
                try:
                    data = await connection.recv(READ_BYTES)
                except OSError:
                    data = b""
                for message in framing.receive(data):
                    self._report(message, peer)
        if framing.broken:
            self.count("refused")
            self.run.report(self.spec, {"error": framing.broken, "peer": peer})
