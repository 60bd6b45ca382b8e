"""`Transcript`: a device by itself, and what it hears and says, as text that people can read.

::

    clock = Transcript("sntp", model={"stratum": 3})
    clock.receive(mode="CLIENT", transmit=7)
    assert clock.lines() == [
        "0.000 <- CLIENT version=4 stratum=0 leap=NONE",
        "0.000 -> SERVER version=4 stratum=3 leap=NONE",
    ]

The device is one of a real simulation, down to its packets, but time stands still until `wait` is called:
nothing waits for an event loop. A behavior's handlers answer; its ``run`` needs a loop, and is not there.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iotsim.events import (
    DeviceFailed,
    Note,
    NotSent,
    Received,
    Sent,
    SessionFailed,
    Undecodable,
)
from iotsim.link.memory import MemoryLink
from iotsim.scenario import load_text
from iotsim.simulation.commands import Reboot, Send
from iotsim.simulation.simulation import Simulation
from iotsim.testing.frames import datagram_frame, read_datagram
from iotsim.units import parse_endpoint
from iotsim.wire.address import parse_address

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from iotsim.device.fleet import SimDevice
    from iotsim.events import Event

DEVICE = "device[0]"
PEER = "10.77.0.1:40000"
"""The other side, unless a test says otherwise."""
SCENARIO = """
[scenario]
name = "transcript"
duration = "1000h"

[link]
address = ["10.77.0.1/16", "fd77::1/64"]

[gateway]
port = 40000

[devices]
device = { device }
"""
MOST_FRAMES = 1 << 16


class Transcript:
    """One device that speaks `protocol`. `table` are the keys of its ``[devices.NAME]``: ``model``,
    ``rules``, ``state`` and so on, `faults` are tables of ``[[fault]]``. In `folder` files are
    looked for, and a protocol that is not bundled.

    It is ``device[0]`` at ``10.77.1.1`` and ``fd77::1:1``, and takes `PEER` for the gateway. Raises
    ScenarioError as a scenario would. Where the device fails, or its session, whatever let it go on raises
    AssertionError with the traceback, unless it `may_fail`.
    """

    def __init__(
        self,
        protocol: str,
        *,
        seed: int = 1,
        folder: Path | str = ".",
        wall_time: float = 0.0,
        may_fail: bool = False,
        faults: Sequence[Mapping[str, Any]] = (),
        **table: Any,
    ) -> None:
        self._now = 0.0
        self._may_fail = may_fail
        device = {
            "count": 1,
            "address": ["10.77.1.1", "fd77::1:1"],
            "protocol": protocol,
            **table,
        }
        text = f"fault = {_toml(list(faults))}\n" if faults else ""
        text += SCENARIO.replace("{ device }", _toml(device))
        scenario = load_text(text, Path(folder) / "transcript.toml", default_seed=seed)
        ours, self._link = MemoryLink.pair(scenario.link.mtu)
        self.simulation = Simulation(
            scenario, ours, seed=seed, clock=lambda: self._now, wall_time=wall_time
        )
        self._events: list[Event] = []
        self._failed: DeviceFailed | SessionFailed | None = None
        self._sent: list[Mapping[str, Any]] = []
        self.simulation.journal.add_event_sink(self._note)
        service = scenario.fleets[0].services[0]
        self._protocol, self._port = service.protocol, service.port
        self.datagrams: list[tuple[int, bytes]] = []
        """What the device has sent, in order: from which port, and the payload."""
        self.simulation.start()
        self.simulation.boot(0.0)
        self._turn()

    @property
    def device(self) -> SimDevice:
        return self.simulation.fleets["device"].device(0)

    @property
    def now(self) -> float:
        """Seconds since the start."""
        return self._now

    @property
    def events(self) -> list[Event]:
        """All events so far, in order."""
        self.simulation.journal.flush()
        return self._events

    @property
    def sent(self) -> list[Mapping[str, Any]]:
        """The messages that were sent in datagrams, in order."""
        self.simulation.journal.flush()
        return self._sent

    def receive(
        self,
        message: Mapping[str, Any] | bytes | None = None,
        /,
        *,
        peer: str = PEER,
        at: str = "",
        port: int = 0,
        **fields: Any,
    ) -> list[Mapping[str, Any]]:
        """A datagram comes from `peer`: a message, of `fields`, or bytes. What is sent at once is returned.

        `at` is the address that it is sent to, for one of a group; else it is the device's own. `port` is
        the device's, if it is not the protocol's.
        """
        if isinstance(message, bytes):
            payload = message
        else:
            payload = self._protocol.codec.encode({**(message or {}), **fields}, self.device)
        source = parse_endpoint(peer)
        own = "10.77.1.1" if source[0] < 1 << 32 else "fd77::1:1"
        to = parse_address(at or own), port or self._port
        before = len(self.sent)
        self._link.send_nowait(datagram_frame(source, to, payload))
        self._turn()
        return self.sent[before:]

    def say(
        self, message: Mapping[str, Any] | None = None, /, *, to: str = "", **fields: Any
    ) -> None:
        """The device says something by itself, as by a rule with ``send``."""
        said = {**(message or {}), **fields}
        self.simulation.do(Send(DEVICE, said, to=to or "gateway"))
        self._turn()

    def reboot(self) -> None:
        """The device begins anew."""
        self.simulation.do(Reboot(DEVICE))
        self._turn()

    def wait(self, seconds: float) -> None:
        """Let time pass, with all that happens meanwhile."""
        until = self._now + seconds
        while (due := self.simulation.pump.timers.next_due()) <= until:
            self._now = max(self._now, due)
            self._turn()
        self._now = until
        self._turn()

    def lines(self) -> list[str]:
        """What was heard and said, a line each: time, direction, the protocol's summary of the message.

        What was on the wire alone is marked ``[wire]``, what was only above it ``[application]``.
        """
        shown = (self._line(event) for event in self.events)
        return [line for line in shown if line]

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def _turn(self) -> None:
        while self.simulation.pump.turn():
            pass
        for frame in self._link.receive_nowait(MOST_FRAMES):
            self._keep(frame)
        self.simulation.journal.flush()
        failed, self._failed = self._failed, None
        if failed is not None and not self._may_fail:
            raise AssertionError(f"{failed.error}\n{failed.traceback}")

    def _note(self, events: Sequence[Event]) -> None:
        self._events += events
        for event in events:
            if isinstance(event, Sent) and event.layer != "application":
                self._sent.append(event.message)
            elif isinstance(event, DeviceFailed | SessionFailed):
                self._failed = self._failed or event

    def _keep(self, frame: bytes) -> None:
        found = read_datagram(frame)
        if found is not None:
            (_, port), _, payload = found
            self.datagrams.append((port, payload))

    def _line(self, event: Event) -> str:
        what = ""
        if isinstance(event, (Received, Sent)):
            arrow = "<-" if isinstance(event, Received) else "->"
            peer = "" if event.peer == PEER else f" {event.peer}"
            layer = f" [{event.layer}]" if event.layer else ""
            what = f"{arrow}{peer} {self._protocol.summarize(event.message)}{layer}"
        elif isinstance(event, Undecodable):
            what = f"<- undecodable: {event.path or 'message'}: {event.reason}"
        elif isinstance(event, NotSent):
            what = f"not sent: {event.reason}"
        elif isinstance(event, (DeviceFailed, SessionFailed)):
            what = f"failed: {event.error}"
        elif isinstance(event, Note):
            what = f"note: {event.text}"
        return f"{event.t:.3f} {what}" if what else ""


def _toml(value: Any) -> str:
    """A value as TOML has it, tables inline."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else str(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, bytes):
        return f'"hex:{value.hex()}"'
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, dict):
        entries = (f"{json.dumps(str(name))} = {_toml(item)}" for name, item in value.items())
        return f"{{ {', '.join(entries)} }}"
    return json.dumps(str(value))
