"""The vocabulary of a run: everything that a run can report is one of these records.

Events are plain data, so that results can be built, and built again later, from them alone. They
are `msgspec.Struct`: as cheap to make as a tuple, and encoded as one JSON object per line, whose
``event`` key names the kind. An event sink is a callable that takes a batch of events in order.

Times ``t`` are seconds since the start of the run. Devices are named as in scenarios
(``meter[3]``), peers as ``address:port``. A direction is always the device's: it *received* what
the gateway sent.

Messages have numbers: ``id`` counts what was received and sent, from 1, and is unique in a run;
``in_reply_to`` is the ``id`` of what a message answers. Ids rise with time, but where several
processes simulate, each counts in steps of their number.

Packets are not among them: they are many and large, and only the capture wants them, so they go
as `PacketRecord` on a way of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

IN = 0
OUT = 1


PacketRecord: TypeAlias = tuple[float, int, bytes]
"""A packet at the link: (t, direction, frame). The direction is `IN` (to the devices) or `OUT`, the
frame as in `iotsim.link`. A plain tuple, since there are two for every request."""


FORMAT = 1
"""The version of ``events.jsonl``. A new kind of event, and a new field that has a default, leave it as it
is. It is raised when a kind or a field goes, is renamed, or comes to mean something else: another unit,
another type, another moment."""


class Event(msgspec.Struct, tag_field="event", omit_defaults=True, gc=False):
    """The base of all events."""

    t: float
    """When, in seconds since the start of the run."""


class RunStarted(Event, tag="run-started"):
    """What is about to be simulated: the first of all events."""

    scenario: str
    """The scenario's name."""
    path: str
    """Its file."""
    seed: int
    """The seed: with the same one, devices are the same and do the same."""
    wall_time: float
    """Unix time of t = 0."""
    link: str
    """The kind of link: tun, tap, loopback or memory."""
    tolerance: float
    """The factor of all windows of time."""
    repeat: str
    """The command that runs the same again."""
    versions: dict[str, str]
    """Of iotsim, of Python, of the kernel and of libraries, by name."""
    fleets: dict[str, dict[str, Any]]
    """By name of the fleet: ``count``, ``addresses`` (``first-last``, or one) and ``protocols``."""
    parameters: dict[str, str] = {}
    """Those of the matrix and of ``--set``, as ``--set`` takes them."""
    speed: float = 1.0
    """How many seconds of the run a real second has."""
    format: int = 0
    """The version of this format, 1 today; 0 or absent: from before it had one."""


class LinkUp(Event, tag="link-up"):
    """The link to the gateway is there."""

    kind: str
    """As ``link`` of `RunStarted`."""
    name: str
    """The interface's name."""
    addresses: list[str]
    """The gateway's side, with the length of the prefix."""
    mtu: int
    """The largest packet, in bytes."""


class GatewayStarted(Event, tag="gateway-started"):
    """The gateway's process runs."""

    pid: int
    """The number of its process."""
    command: list[str]
    """Its words."""
    life: int = 1
    """A gateway that is started again has several, counted from 1."""


class GatewayReady(Event, tag="gateway-ready"):
    """The gateway is ready. With its first life that is, windows of time begin to count."""

    how: str
    """What showed it, for people."""
    life: int = 1
    """As that of `GatewayStarted`."""


class GatewayOutput(Event, tag="gateway-output"):
    """The gateway printed a line."""

    line: str
    """It, without its end."""


class GatewayPaused(Event, tag="gateway-paused"):
    """All processes of the gateway stand, until it is resumed."""


class GatewayResumed(Event, tag="gateway-resumed"):
    """They go on."""


class GatewayExited(Event, tag="gateway-exited"):
    """The gateway's process is gone."""

    status: int | None
    """Its exit status; null if a signal ended it."""
    signal: str
    """The name of that signal, or ""."""
    crashed: bool
    """It ended by itself, and not as expected; or by a fault, such as SIGSEGV, when it was asked to."""
    by: str = ""
    """"stop" or "kill", if that was asked for; "end", with the run; "" by itself."""
    life: int = 1
    """As that of `GatewayStarted`."""


class Received(Event, tag="received"):
    """A device received and decoded a message."""

    id: int
    """The number of the message, from 1, unique in the run."""
    device: str
    """Who: ``fleet[index]``."""
    peer: str
    """From whom: ``address:port``."""
    protocol: str
    """The name of the protocol."""
    message: Mapping[str, Any]
    """Its fields, decoded."""
    layer: str = ""
    """Where the protocol has a session: "wire" for what a datagram carried that did not reach the device as
    it was (an acknowledgement, a duplicate, a part), "application" for what reached it and was in no
    datagram as it is; else ""."""
    impaired: str = ""
    """The names of the impairments and faults that befell it on its way to the device, with commas; "away" if
    none did, but the device was not there: not booted yet, off, asleep, or down."""
    fate: str = ""
    """What they did, for people, with commas: "delayed", "overtakes", "corrupted", "a duplicate"; of a fault
    the word by which scenarios call it ("slow", "reboot"), or "answered by" the name of an error. It was lost
    if it is "lost" (which it is to a device that was away), "longer than the MTU", "the queue was full" or
    "too many datagrams were held already". "" is the first of duplicates."""
    delay_s: float = 0.0
    """How long they held it, as far as that was known at once; what was not is an `Impaired`."""


class Sent(Event, tag="sent"):
    """A device sent a message."""

    id: int
    """The number of the message, from 1, unique in the run."""
    device: str
    """Who: ``fleet[index]``."""
    peer: str
    """To whom: ``address:port``."""
    protocol: str
    """The name of the protocol."""
    message: Mapping[str, Any]
    """What the wire carries: with the fields that the protocol adds and computes, and with numbers as they
    are rounded there."""
    in_reply_to: int = 0
    """The ``id`` of the message that it answers; 0 if it answers none."""
    layer: str = ""
    """As that of `Received`."""
    impaired: str = ""
    """The names of the impairments and faults that befell it on its way from the device, with commas; "power"
    if it had to wait until a device with ``power`` was awake."""
    fate: str = ""
    """As that of `Received`; besides "repeated", "truncated", "extra bytes", "raw bytes", "malformed", and
    "asleep" of what has waited for that to end. What was lost is a `NotSent`."""
    delay_s: float = 0.0
    """How long they held it."""


Befell: TypeAlias = tuple[str, str, float]
"""What befell a message: ``impaired``, ``fate`` and ``delay_s`` of its event."""
Remark: TypeAlias = str | tuple[str, Befell]
"""What there is to say of a packet: in words, or whose it is and what befell it."""


def note_what_befell(event: Received | Sent, befell: Befell) -> None:
    """Write `befell` into `event`."""
    event.impaired, event.fate, delay_s = befell
    if delay_s:  # else the very default stays, which is not written down
        event.delay_s = delay_s


class Untold(msgspec.Struct, array_like=True, gc=False):
    """A `Received` or `Sent` that is no event yet: whoever writes it down makes one of it, from its bytes.

    ``teller`` is the number of who knows how (`iotsim.simulation.journal`), ``index`` that of the device,
    ``peer`` an address (`iotsim.wire.address`), or its bytes where these are packed, and ``message`` what
    was encoded, if it was sent; else None. ``befell`` is what befell it, None for nothing.
    """

    t: float
    id: int
    teller: int
    index: int
    peer: int | bytes
    peer_port: int
    payload: bytes
    in_reply_to: int = 0
    message: Mapping[str, Any] | None = None
    layer: str = ""
    befell: Befell | None = None


Brief: TypeAlias = "tuple[int, int, int, int] | tuple[int, int, int, int, int, Mapping[str, Any]]"
"""What is `Untold`, and whose datagram is all of a packet: (place, id, teller, index) of a `Received`, and
(place, id, teller, index, in_reply_to, message) of a `Sent`. The packet is that at `place` among those handed
on with it (`iotsim.simulation.journal`). A plain tuple, since there are two for every request."""


class Impaired(Event, tag="impaired"):
    """A message that a device was to receive met with this only after it had been held for a while."""

    device: str
    """Whose it was to be."""
    impaired: str
    """As that of `Received`, but that it is never "away"."""
    fate: str
    """As that of `Received`."""
    delay_s: float = 0.0
    """As that of `Received`."""
    in_reply_to: int = 0
    """The ``id`` of that message; 0 if it has none."""


class Undecodable(Event, tag="undecodable"):
    """A datagram for a device was no message of its protocol, or one of its own was none any more."""

    id: int
    """The number of the message, from 1, unique in the run."""
    device: str
    """Whose it is: ``fleet[index]``."""
    peer: str
    """From or to whom: ``address:port``."""
    protocol: str
    """The name of the protocol."""
    reason: str
    """Why it is none, for people."""
    path: str
    """The field at which decoding stopped, dotted; "" for the message as a whole."""
    offset: int | None
    """How many bytes precede the trouble; null where that is not known."""
    data: str
    """The datagram, in hex."""
    sent: bool = False
    """It is one of the device's own, which a fault has garbled."""


class Unmatched(msgspec.Struct, kw_only=True):
    """Messages of one kind to one fleet to which no rule applied, and that nobody else answered."""

    fleet: str
    """The name of the fleet."""
    protocol: str
    """The name of the protocol."""
    kind: str
    """What they have in common, such as "kind=READ": the fields that the fleet's rules ask for first."""
    count: int
    """How many there were."""
    t: float
    """When the first came, in seconds of the run."""
    device: str
    """To whom the first came."""
    nearest: str = ""
    """The rule that came nearest to the first, and why it did not apply; "" where the fleet has no rules
    about messages."""


class NoRule(Event, tag="no-rule"):
    """No rule applied to a message, the first of its kind; how many there were is told at the end."""

    unmatched: Unmatched
    """Of which kind, and why."""


class NotSent(Event, tag="not-sent"):
    """A device meant to send and could not, or it has and that was lost."""

    device: str
    """Who: ``fleet[index]``."""
    reason: str
    """Why, for people: the fate, as that of `Sent`, if something befell it; that ends with how it was lost,
    as that of `Received`, or "mute", "offline", "down"."""
    in_reply_to: int = 0
    """The ``id`` of the message that it was to answer; 0 if none."""
    impaired: str = ""
    """The names of what befell it, if something did; "reboot" is a device that is down after one."""
    message: Mapping[str, Any] | None = None
    """What it was to say; null where that is not known."""


class PacketDropped(Event, tag="packet-dropped"):
    """A packet from the link, or from device to device, went nowhere; the first hundred of each reason."""

    reason: str
    """Why: a name, as ``counters`` of `RunEnded` have it."""
    data: str
    """Its first bytes in hex, 128 at most."""


class DeviceFailed(Event, tag="device-failed"):
    """A rule or behavior raised: this device has stopped, and the verdict is error."""

    device: str
    """Who: ``fleet[index]``."""
    error: str
    """What was raised, in a line."""
    traceback: str
    """Where, in lines of Python."""


class SessionFailed(Event, tag="session-failed"):
    """The session of a device's protocol raised; the device goes on with a new one, and the verdict is
    error."""

    device: str
    """Whose: ``fleet[index]``."""
    protocol: str
    """The name of the protocol."""
    error: str
    """What was raised, in a line."""
    traceback: str
    """Where, in lines of Python."""
    data: str = ""
    """The datagram that made it, if one did, in hex."""


class DeviceRebooted(Event, tag="device-rebooted"):
    """A device began anew, with the state of its template."""

    device: str
    """Who: ``fleet[index]``."""


class Northbound(Event, tag="northbound"):
    """A service of the gateway's other side received something. Of a request, ``t`` is when it got its
    answer."""

    id: int
    """The number of the message, from 1, unique in the run."""
    service: str
    """The name of the service."""
    fields: Mapping[str, Any]
    """What it received, by the names that its kind has. A request has the ``status`` of its answer, 0
    without one."""


class FaultChanged(Event, tag="fault"):
    """A fault of devices that lasts has begun, or is over. A reboot at a time only begins."""

    name: str
    """Its own name."""
    fault: str
    """Of which kind it is."""
    devices: str
    """Whom it is for, as a selector."""
    begun: bool
    """It has begun; else it is over."""


class StepDone(Event, tag="step"):
    """A step of the scenario was done."""

    name: str
    """The step's."""


class CommandDone(Event, tag="command"):
    """The run was told from outside to do something, and did."""

    command: dict[str, Any]
    """What, as data."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an expectation. All texts are one line, for people."""

    name: str
    """Its name."""
    kind: str
    """Of which kind it is, such as "within" or "count"."""
    passed: bool
    """It held."""
    severity: str
    """"error", or "warning", which fails nothing."""
    expected: str
    """What the scenario asked for."""
    actual: str
    """What was seen."""
    inconclusive: str = ""
    """Why that is neither held against the gateway nor taken for a success, since the simulator itself may
    be to blame; ``passed`` is then false."""
    nearest: str = ""
    """What came nearest to what was expected and the field that differed, or the message that should not
    have come."""
    devices: tuple[str, ...] = ()
    """The first devices that made it fail, at most 20."""
    details: tuple[str, ...] = ()
    """What each of these heard, in the same order."""
    total: int = 0
    """How many devices made it fail."""
    place: str = ""
    """``file:line`` of its table."""
    t: float | None = None
    """When it was decided, in seconds of the run; null where that was at the end only."""
    error: str = ""
    """How an expression of the expectation itself failed, which makes the scenario wrong; else ""."""
    number: int = 0
    """Its place among the scenario's expectations, from 0."""
    times: tuple[float | None, ...] = ()
    """When what made each of ``devices`` fail took place, in the same order: of a message that was lost,
    when it was sent; null where only ``t`` is known. Empty where that is so of all."""
    services: tuple[str, ...] = ()
    """The northbound services that it looks at, where it failed for devices."""

    def moment(self, place: int) -> float | None:
        """When to look for what the device at this place of ``devices`` heard; None: at the end."""
        own = self.times[place] if place < len(self.times) else None
        return self.t if own is None else own


class ExpectationDecided(Event, tag="expectation-decided"):
    """An expectation was decided, or, at the end of the run, more is known of one that was. For each
    ``outcome.number`` the last one counts."""

    outcome: Outcome
    """What became of it."""


class SimulatorLag(Event, tag="simulator-lag"):
    """The simulator was late by more than its stated bound, or lost packets."""

    lag_s: float
    """By how much."""
    what: str
    """At what, for people."""


class Note(Event, tag="note"):
    """Anything else worth knowing."""

    text: str
    """It, for people."""


class GatewayLife(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The gateway from one start to its end. What is 0, "", false or null is left out."""

    pid: int
    """The number of its process."""
    started: float
    """When, in seconds of the run."""
    ready: float | None = None
    """When it was ready; null where it did not come to that."""
    ended: float | None = None
    """When it was gone; null where it did not come to that."""
    status: int | None = None
    """As that of `GatewayExited`."""
    signal: str = ""
    """As that of `GatewayExited`."""
    by: str = ""
    """As that of `GatewayExited`."""
    crashed: bool = False
    """As that of `GatewayExited`."""


class GatewayFigures(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What the gateway used, with all that it started. Null is what nobody asked for, or could not be
    measured."""

    samples: int = 0
    """How many looks that rests on."""
    memory: int | None = None
    """Bytes, at most."""
    fds: int | None = None
    """Open file descriptors, at most."""
    threads: int | None = None
    """Threads, at most."""
    children: int | None = None
    """Processes besides the first, at most."""
    cpu: float | None = None
    """Of one core, from ready to the end, as a share."""


class GatewayResult(msgspec.Struct, kw_only=True):
    """The gateway, when all is over."""

    command: list[str]
    """Its words."""
    pid: int = 0
    """The number of its process: of its last life, or of the one in which it crashed."""
    status: int | None = None
    """As that of `GatewayExited`, of the same life."""
    signal: str = ""
    """As that of `GatewayExited`, of the same life."""
    crashed: bool = False
    """It ended by itself, and not as expected; or by a fault, such as SIGSEGV, when it was asked to."""
    last_lines: list[str] = []
    """The last lines that it printed."""
    lives: list[GatewayLife] = []
    """From each start to its end."""
    figures: GatewayFigures | None = None
    """What it used, if an expectation asked for one of them."""


class RunEnded(Event, tag="run-ended"):
    """What the run came to: the last of all events. With `RunStarted` and each `ExpectationDecided`, that
    is its result."""

    verdict: str
    """"passed", "failed", "error", "skipped", "inconclusive" or "empty"."""
    reason: str
    """Why, in a line; "" where the verdict says it all."""
    duration_s: float
    """Up to when everything was judged; ``t`` is later, when the gateway has been stopped, too."""
    notes: list[str]
    """What is true of the whole run, for people."""
    errors: list[str]
    """What was wrong with the scenario, a protocol or a behavior."""
    gateway: GatewayResult | None
    """The gateway; null where we started none."""
    counters: dict[str, int]
    """Packets by outcome, and everything that was dropped, by name."""
    lag: dict[str, float]
    """The simulator's own delays in seconds, by name."""
    files: list[str]
    """What the run left, besides ``result.json``."""
    unmatched: list[Unmatched] = []
    """Messages to which no rule applied, the commonest first."""


EventSink: TypeAlias = Callable[[Sequence[Event]], None]
BatchSink: TypeAlias = "Callable[[Sequence[Event | Untold | Brief], Sequence[PacketRecord]], None]"
PacketSink: TypeAlias = Callable[[Sequence[PacketRecord]], None]
