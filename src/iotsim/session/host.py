"""What a session stands on: `Host`, what the simulation does for it; and whom it has to do with, its device
and its peers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

from iotsim.wire.address import format_endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from iotsim.session.conversation import Ticket
    from iotsim.session.session import Session

Message: TypeAlias = dict[str, Any]


class Peer(NamedTuple):
    """Whom a message comes from or goes to, and at which of the device's own ends.

    ``address`` is an integer, as everywhere in iotsim. ``group`` is the multicast group or broadcast
    address that was asked, 0 for a message to the device alone; ``simulated`` tells that a message has come
    from another device of the run.
    """

    address: int
    port: int
    local: int
    local_port: int
    group: int = 0
    simulated: bool = False

    @property
    def endpoint(self) -> tuple[int, int]:
        """Its address and port."""
        return self.address, self.port

    def at(self, local_port: int) -> Peer:
        """The same other side, at another port of the device's (`Session.open_port`)."""
        return self._replace(local_port=local_port)

    def __str__(self) -> str:
        return format_endpoint(self.address, self.port)


class DeviceView(Protocol):
    """What a session sees of its device."""

    @property
    def index(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def address(self) -> str: ...
    @property
    def state(self) -> dict[str, Any]: ...
    @property
    def data(self) -> Mapping[str, Any]: ...
    @property
    def booted_at(self) -> float: ...
    @property
    def reboots(self) -> int: ...
    def signal(self, name: str, t: float) -> float: ...


class Timer(Protocol):
    """A call to come."""

    def cancel(self) -> None:
        """Never make it; nothing happens if it was made already."""


class Host(Protocol):
    """What the simulation does for the sessions of a service; see `Session` for what each is."""

    now: float
    wall_time: float
    key: int

    def deliver(
        self,
        session: Session,
        message: Message,
        peer: Peer,
        exchange: Any,
        request: Message | None = None,
    ) -> str: ...
    def observe(self, session: Session, message: Message, peer: Peer) -> None: ...
    def expect(self, session: Session, ticket: Ticket, peer: Peer) -> None: ...
    def evaluate(self, session: Session, message: Message, peer: Peer) -> Message | None: ...
    def transmit(
        self,
        session: Session,
        message: Mapping[str, Any],
        peer: Peer,
        says: Mapping[str, Any] | None,
        outside: bool,
    ) -> bytes: ...
    def resend(self, session: Session, datagram: bytes, peer: Peer) -> None: ...
    def unsaid(self, session: Session, datagram: bytes, peer: Peer) -> Message | None: ...
    def call_later(
        self,
        session: Session,
        delay: float,
        function: Callable[..., object],
        arguments: tuple[Any, ...],
    ) -> Timer: ...
    def open_port(self, session: Session) -> int: ...
    def close_port(self, session: Session, port: int) -> None: ...
    def gateway(self, session: Session) -> Peer | None: ...
    def peer(self, session: Session, address: int, port: int) -> Peer | None: ...
    def note(self, session: Session, text: str) -> None: ...
    def reboot(self, session: Session) -> None: ...
