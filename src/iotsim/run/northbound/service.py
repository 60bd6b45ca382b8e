"""What all services have in common: their sockets, their life, and whom they report to."""

from __future__ import annotations

import errno
from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import trio

from iotsim.clock import real_s
from iotsim.errors import IotsimError, MachineError
from iotsim.units import format_duration

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from iotsim.northbound.spec import NorthboundSpec
    from iotsim.run.northbound.files import NorthboundFiles
    from iotsim.testbed.bed import Testbed
    from iotsim.testbed.sockets import SocketKind

START_TIMEOUT_S = 15.0
TURNS = 20
NO_IPV6 = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)


class ServiceError(IotsimError):
    """A service cannot be started, or has ended by itself: not the gateway's fault."""


class PlaceTakenError(MachineError):
    """A service cannot listen where it is to: on this machine that is somebody else's."""

    of_link = False


@dataclass
class Surroundings:
    """What the run is to its services.

    `private`: in a network of the run's own. ``report(spec, fields)`` is to be called once for whatever a
    service received; ``fail(text)`` when one has ended, or an expression of its rules has failed. ``expand``
    fills in placeholders. ``counters`` go into the results. ``unix_time`` is the date.
    """

    testbed: Testbed
    files: NorthboundFiles
    seed: int
    clock: Callable[[], float]
    unix_time: Callable[[], float]
    report: Callable[[NorthboundSpec, dict[str, Any]], None]
    fail: Callable[[str], None]
    tolerance: float = 1.0
    private: bool = True
    expand: Callable[[str], str] = str
    counters: Counter[str] = field(default_factory=Counter)


class Service(ABC):
    """A service of the run. It can be stopped and started again, and keeps its port and its counts."""

    def __init__(self, spec: NorthboundSpec, surroundings: Surroundings) -> None:
        self.spec = spec
        self.run = surroundings
        self._scope: trio.CancelScope | None = None
        self._ended = trio.Event()

    @property
    def running(self) -> bool:
        return self._scope is not None

    async def start(self, nursery: trio.Nursery) -> None:
        """Start it in `nursery`; when this returns, it can be reached. ServiceError if it cannot be.

        Nothing happens where it runs.
        """
        if self._scope is None:
            self._ended = trio.Event()
            timeout_s = START_TIMEOUT_S * self.run.tolerance
            with trio.move_on_after(real_s(timeout_s)) as patience:
                await nursery.start(self._live)
            if patience.cancelled_caught:
                place = f" ({self.spec.place})" if self.spec.place else ""
                raise ServiceError(
                    f"{self.title}{place} was not ready in time: in {format_duration(timeout_s)} "
                    f"nothing listened at port {self.spec.port}"
                )

    async def stop(self) -> None:
        """Refuse connections from now on, and cut those that are open; nothing where it is stopped."""
        if self._scope is not None:
            await self.drain()
            self._scope.cancel()
            await self._ended.wait()

    @abstractmethod
    async def drain(self) -> None:
        """Report what has come already."""

    def note_lost(self) -> None:  # noqa: B027 - most lose nothing
        """Count as ``lost`` what was sent to it and dropped on the way."""

    @property
    def title(self) -> str:
        return f"northbound.{self.spec.name}"

    @abstractmethod
    async def live(self, task_status: trio.TaskStatus[None]) -> None:
        """Serve until cancelled; started once it can be reached."""

    def count(self, what: str, number: int = 1) -> None:
        if number:
            self.run.counters[f"{self.title}.{what}"] += number

    async def listen(self, kind: SocketKind) -> list[socket.socket]:
        """A socket at each of its addresses; at least at the first one."""
        sockets: list[socket.socket] = []
        for address in self.spec.addresses:
            try:
                sockets.append(await self.run.testbed.open_socket(kind, address, self.spec.port))
            except OSError as error:
                if sockets and error.errno in NO_IPV6:
                    continue
                for sock in sockets:
                    sock.close()
                raise self._refusal(address, error) from error
        return sockets

    def _refusal(self, address: str, error: OSError) -> IotsimError:
        where = f"[{address}]" if ":" in address else address
        text = f"{self.title} cannot listen at {where}:{self.spec.port}: {error.strerror}"
        if self.run.private or error.errno not in (errno.EACCES, errno.EADDRINUSE):
            return ServiceError(text)
        if error.errno == errno.EACCES:
            return PlaceTakenError(text, "give it a port from 1024 on by 'listen', or run as root")
        return PlaceTakenError(text, "end the other program, or give it another port by 'listen'")

    async def _live(self, *, task_status: trio.TaskStatus[None]) -> None:
        try:
            with trio.CancelScope() as self._scope:
                await self.live(task_status)
        finally:
            self._scope = None
            self._ended.set()


async def let_others_run() -> None:
    """Each turn of the loop handles what the sockets have got: give them several."""
    for _ in range(TURNS):
        await trio.lowlevel.checkpoint()


async def recover_from(error: OSError) -> None:
    """Wait a little after a socket could not be taken or read, for want of descriptors or memory."""
    if error.errno not in (errno.ECONNABORTED, errno.EINTR, errno.ECONNREFUSED):
        await trio.sleep(real_s(0.05))
