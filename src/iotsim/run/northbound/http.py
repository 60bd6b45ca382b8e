"""An HTTP/1.1 service, over TCP or TLS."""

from __future__ import annotations

import resource
import socket
import ssl
import struct
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING, Any

import trio

from iotsim.clock import real_s
from iotsim.northbound.http import HttpConnection, Refusal, Request
from iotsim.northbound.rules import UNANSWERED, Answer, RuleError, Rules
from iotsim.run.northbound.service import Service, let_others_run, recover_from

if TYPE_CHECKING:
    from iotsim.northbound.spec import NorthboundSpec
    from iotsim.run.northbound.service import Surroundings

READ_BYTES = 65536
MOST_CONNECTIONS = 1000
"""Open at a time; one beyond them is closed at once, and counted."""
SPARE_DESCRIPTORS = 300
"""This many of the process's descriptors are not for connections."""
MOST_HELD = 64 << 20
"""Bytes of requests that are not whole yet, of all connections."""
HANDSHAKE_S = 10.0
LINGER_S = 1.0
LINGER_BYTES = 8 << 20
TICK_S = 0.02
TCP_ESTABLISHED, TCP_CLOSE_WAIT = 1, 8
"""The states of a connection whose other end takes what is sent (linux/tcp_states.h)."""
NO_LINGER = struct.pack("ii", 1, 0)
BROKEN = (trio.BrokenResourceError, trio.ClosedResourceError, OSError, ssl.SSLError)


class HttpService(Service):
    """Answers by its rules, and reports each request once it is answered, or will not be.

    A request has the ``status`` of its answer only if that was taken: the whole of it has left, and the
    connection is still up then. Else it is `UNANSWERED`.
    """

    def __init__(self, spec: NorthboundSpec, surroundings: Surroundings) -> None:
        super().__init__(spec, surroundings)
        self._rules = Rules(spec, surroundings.seed, Answer())
        self._context = surroundings.files.contexts.get(spec.name)
        self._answering: dict[int, trio.CancelScope] = {}
        self._numbers = count()
        self._held = 0
        self._open = 0
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self._most = max(10, min(MOST_CONNECTIONS, limit - SPARE_DESCRIPTORS))

    async def live(self, task_status: trio.TaskStatus[None]) -> None:
        listeners = await self.listen("listener")
        try:
            async with trio.open_nursery() as nursery:
                for listener in listeners:
                    nursery.start_soon(self._accept, listener, nursery)
                task_status.started()
        finally:
            for listener in listeners:
                listener.close()

    async def drain(self) -> None:
        """A request that still waits for its answer has come: it is reported as one without, and gets none.

        Each is cut by its own task, which alone knows whether the answer has just left.
        """
        await let_others_run()
        answering = dict(self._answering)
        for scope in answering.values():
            scope.cancel()
        while answering.keys() & self._answering.keys():
            await trio.lowlevel.checkpoint()

    # --- connections --------------------------------------------------------------------------

    async def _accept(self, plain: socket.socket, nursery: trio.Nursery) -> None:
        listener = trio.socket.from_stdlib_socket(plain)
        while True:
            try:
                connection, peer = await listener.accept()
            except OSError as error:
                self.count("accept_failed")
                await recover_from(error)
                continue
            self.count("connections")
            if self._open >= self._most:
                self.count("connections_refused")
                connection.close()
                continue
            self._open += 1
            nursery.start_soon(self._serve, connection, endpoint_text(peer))

    async def _serve(self, connection: trio.socket.SocketType, peer: str) -> None:
        tcp = trio.SocketStream(connection)
        stream: trio.abc.Stream = tcp
        cut = True
        try:
            if self._context is not None:
                secure = trio.SSLStream(tcp, self._context, server_side=True, https_compatible=True)
                if not await self._shake_hands(secure, peer):
                    return
                stream = secure
            await self._talk(stream, tcp, peer)
            cut = False
        except BROKEN:
            self.count("connections_broken")
        finally:
            self._open -= 1
            if cut:
                with suppress(OSError):
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
                connection.close()
            else:
                with suppress(*BROKEN), trio.move_on_after(real_s(LINGER_S)):
                    await stream.aclose()

    async def _shake_hands(self, stream: trio.SSLStream[trio.SocketStream], peer: str) -> bool:
        reason = f"no TLS handshake within {HANDSHAKE_S:g} s"
        try:
            with trio.move_on_after(real_s(HANDSHAKE_S)):
                await stream.do_handshake()
                return True
        except BROKEN as error:
            cause = error.__cause__ or error
            reason = f"the TLS handshake failed: {getattr(cause, 'reason', None) or cause}"
        self.count("handshakes_failed")
        self._report({"error": reason, "peer": peer, "status": UNANSWERED})
        return False

    async def _talk(self, stream: trio.abc.Stream, tcp: trio.SocketStream, peer: str) -> None:
        http = HttpConnection(self.spec.largest)
        held = 0
        try:
            while True:
                got = http.next()
                if http.to_send:
                    data, http.to_send = http.to_send, b""
                    await stream.send_all(data)
                if got is None and self._held + http.held - held > MOST_HELD:
                    got = http.refuse(503, f"more than {MOST_HELD} bytes of unfinished requests")
                self._held += http.held - held
                held = http.held
                if got is not None:
                    await self._answer(http, got, stream, tcp, peer)
                    if isinstance(got, Refusal):
                        await self._linger(stream)
                        return
                elif not http.ended:
                    http.receive(bytes(await stream.receive_some(READ_BYTES)))
                if http.ended:
                    return
        finally:
            self._held -= held

    async def _answer(
        self,
        http: HttpConnection,
        got: Request | Refusal,
        stream: trio.abc.Stream,
        tcp: trio.SocketStream,
        peer: str,
    ) -> None:
        fields: dict[str, Any] = {**got.fields, "peer": peer}
        self.count("requests" if isinstance(got, Request) else "requests_refused")
        answer = self._decide(got, fields)
        if answer.body is None:
            self.count("unanswered")
            self._report({**fields, "status": UNANSWERED})
            while await stream.receive_some(READ_BYTES):
                pass
            http.ended = True
            return
        status: object = UNANSWERED
        number = next(self._numbers)
        try:
            with trio.CancelScope() as self._answering[number]:
                if answer.delay_s:
                    await trio.sleep(answer.delay_s)
                data = http.answer(answer, self.run.unix_time())
                await _send(stream, data[: answer.cut], answer.byte_s)
                if (answer.cut is None or answer.cut >= len(data)) and _is_up(tcp):
                    status = answer.status
        finally:
            scope = self._answering.pop(number)
            self._report({**fields, "status": status})
        if scope.cancelled_caught:
            raise trio.BrokenResourceError("the service is being stopped")
        if answer.cut is not None:
            self.count("cut")
            http.ended = True
            if answer.cut == 0:
                raise trio.BrokenResourceError("cut by a rule")

    def _decide(self, got: Request | Refusal, fields: dict[str, Any]) -> Answer:
        if isinstance(got, Refusal):
            return Answer(got.status, body=f"{got.reason}\n".encode(), media_type="text/plain")
        try:
            return self._rules.answer(fields, self.run.clock())
        except RuleError as error:
            self.run.fail(str(error))
            return Answer(500)

    def _report(self, fields: dict[str, Any]) -> None:
        self.run.report(self.spec, fields)

    async def _linger(self, stream: trio.abc.Stream) -> None:
        """Take what a client still sends that was refused: else its kernel forgets our answer."""
        with trio.move_on_after(real_s(LINGER_S)):
            if isinstance(stream, trio.SocketStream):
                await stream.send_eof()
            taken = 0
            while taken < LINGER_BYTES and (data := await stream.receive_some(READ_BYTES)):
                taken += len(data)


async def _send(stream: trio.abc.Stream, data: bytes, byte_s: float) -> None:
    """Send `data`, each byte of which takes `byte_s`."""
    if not byte_s:
        await stream.send_all(data)
        return
    step = max(1, int(TICK_S / byte_s))
    due = trio.current_time()
    for begin in range(0, len(data), step):
        part = data[begin : begin + step]
        due += len(part) * byte_s
        await trio.sleep_until(due)
        await stream.send_all(part)


def _is_up(tcp: trio.SocketStream) -> bool:
    """Whether the other end of a connection has not refused what was sent last."""
    state = tcp.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)
    return isinstance(state, bytes) and state[0] in (TCP_ESTABLISHED, TCP_CLOSE_WAIT)


def endpoint_text(peer: Any) -> str:
    """``127.0.0.1:40000`` of what a socket calls its peer."""
    host, port = peer[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
