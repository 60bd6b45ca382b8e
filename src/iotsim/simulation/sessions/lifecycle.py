"""The lifecycle of sessions: one is made when a device first needs it, or boots; it ends when the device
reboots; if it fails, it is reported, and the device goes on with a new one.

Here is also what a session sees besides messages: timers, ports of its own, addresses.
"""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from iotsim.errors import ExpressionError
from iotsim.events import Note, SessionFailed
from iotsim.net.outcome import dropped
from iotsim.rng import key
from iotsim.session import Peer, Session
from iotsim.session.clock import by_clock
from iotsim.simulation.exchange import Service
from iotsim.simulation.ports import OpenPorts
from iotsim.simulation.telling import EVENT_DATA_BYTES
from iotsim.simulation.watchdog import FAULTS, Stalled, fault_in_one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotsim.device.fleet import Fleet, SimDevice
    from iotsim.session.host import Host, Timer
    from iotsim.simulation.runtime import SimulationRuntime

BROKEN = dropped("session-failed")
PROTOCOL_MODULES = ("iotsim.protocols.", "iotsim_user_")
RESTART_S = 1.0
"""After this long, what a device does by itself begins anew if its session has failed."""


class SessionLifecycle(Service):
    """A service with sessions, as far as these begin and end.

    `wall_time` is the Unix time of the start of the run; ``now`` is the run's time, as sessions have it;
    ``has_run``: its devices do something by themselves.
    """

    def __init__(
        self,
        fleet: Fleet,
        index: int,
        *,
        runtime: SimulationRuntime,
        wall_time: float,
        **rest: Any,
    ) -> None:
        super().__init__(fleet, index, **rest)
        self._class: type[Session] = self.protocol.session or Session
        if fleet.by_clock:
            self._class = by_clock(self._class)
        self.has_run = self._class.run is not Session.run
        self._model = fleet.spec.services[index].model
        self._runtime = runtime
        self.wall_time = wall_time
        self.now = 0.0
        self.key = key(fleet.seed, fleet.spec.name, "session", index)
        self.ports = OpenPorts({}, self.receive)
        self._call = self._fire  # bound once, and not for each timer
        self._sessions: list[Session | None] = [None] * fleet.spec.count
        self._drawn: dict[int, int] = {}
        """How many numbers a device had drawn before its session ended: it does not draw them again."""
        self._blamed: set[int] = set()
        """The devices of which a session has failed."""

    def _session(self, device: SimDevice) -> Session:
        """The session of `device`, made if there is none."""
        session = self._sessions[device.index]
        if session is None:
            draws = self._drawn.pop(device.index, 0)
            host = cast("Host", self)  # which the subclass is
            session = self._class._made_for(host, device, self._model, draws)
            self._sessions[device.index] = session
        return session

    def boot(self, device: SimDevice, reboots: int) -> None:
        """`device` begins to do what it does by itself."""
        if device.failed or device.reboots != reboots:
            return
        self.now = self._clock()
        try:
            session = self._session(device)
            session.start(session.run())
        except FAULTS as error:
            self._broken(device, error)

    def restart(self, device: SimDevice) -> None:
        self._end(device)

    def _end(self, device: SimDevice) -> None:
        session, self._sessions[device.index] = self._sessions[device.index], None
        if session is not None:
            session._close()
            self._drawn[device.index] = session._draws
            self.ports.close_all(device.index)

    def _broken(self, device: SimDevice, error: BaseException, payload: bytes = b"") -> None:
        """The session of `device` has raised `error`: report it, and let the device go on with a new one.

        What the scenario is to blame for, an expression of a model that fails, stops the device as in a
        rule; so does code that never comes to an end.
        """
        if isinstance(error, ExpressionError | Stalled):
            self.fail(device, error)
            return
        self._end(device)
        why = f"the session of {self._name} failed: {fault_in_one_line(error)}{_place_of(error)}"
        details = "".join(traceback.format_exception(error))
        data = payload[:EVENT_DATA_BYTES].hex()
        self._emit(SessionFailed(self._clock(), device.name, self._name, why, details, data))
        if device.index not in self._blamed:
            self._blamed.add(device.index)
            self._on_failure(device, why)
        if self.has_run:
            due = self._clock() + RESTART_S
            self._pump.timers.call_at(due, self.boot, device, device.reboots)

    # -- what a session sees besides messages, as of `iotsim.session.host.Host` -------------------

    def call_later(
        self,
        session: Session,
        delay: float,
        function: Callable[..., object],
        arguments: tuple[Any, ...],
    ) -> Timer:
        return self._pump.timers.call_at(self.now + delay, self._call, session, function, arguments)

    def _fire(
        self, session: Session, function: Callable[..., object], arguments: tuple[Any, ...]
    ) -> None:
        device: Any = session.device
        if session._closed or device.failed:
            return
        self.now = self._clock()
        try:
            function(*arguments)
        except FAULTS as error:
            self._broken(device, error)

    def open_port(self, session: Session) -> int:
        return self.ports.open(session.device.index, session.bits)

    def close_port(self, session: Session, port: int) -> None:
        self.ports.close(session.device.index, port)

    def gateway(self, session: Session) -> Peer | None:
        device: Any = session.device
        to = self._runtime.declared_gateway(device) or device.peer
        return None if to is None else self.peer(session, *to)

    def peer(self, session: Session, address: int, port: int) -> Peer | None:
        device: Any = session.device
        local = self._runtime.address_for(device, (address, port))
        return None if local is None else Peer(address, port, local, self.port)

    def reboot(self, session: Session) -> None:
        device: Any = session.device
        self._runtime.reboot(device)

    def note(self, session: Session, text: str) -> None:
        self._emit(Note(self.now, f"{session.device.name}: {text}"))


def _place_of(error: BaseException) -> str:
    """Where in a protocol's file something was raised, as far as that is known."""
    place = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        if frame.f_globals.get("__name__", "").startswith(PROTOCOL_MODULES):
            place = f" ({Path(frame.f_code.co_filename).name}:{line})"
    return place
