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


Untold: TypeAlias = tuple[int, float, int, int, int, int, int, bytes, Mapping[str, Any]]
"""A `Sent` whose message has not been told yet: (teller, t, id, device's index, peer's address and port,
in_reply_to, payload, what was encoded). The teller is a number; see `iotsim.simulation.journal`."""


class Event(msgspec.Struct, tag_field="event", omit_defaults=True, gc=False):
    """The base of all events."""

    t: float


class RunStarted(Event, tag="run-started"):
    scenario: str
    path: str
    seed: int
    wall_time: float
    """Unix time of t = 0."""
    link: str
    tolerance: float
    repeat: str
    """The command that runs the same again."""
    versions: dict[str, str]
    fleets: dict[str, dict[str, Any]]
    """Fleet name -> {"count": …, "addresses": ["first-last", …], "protocols": […]}."""
    parameters: dict[str, str] = {}
    """Those of the matrix and of ``--set``, as ``--set`` takes them."""
    speed: float = 1.0
    """How many seconds of the run a real second has."""


class LinkUp(Event, tag="link-up"):
    kind: str
    name: str
    addresses: list[str]
    mtu: int


class GatewayStarted(Event, tag="gateway-started"):
    """``life``: a gateway that is started again has several, counted from 1."""

    pid: int
    command: list[str]
    life: int = 1


class GatewayReady(Event, tag="gateway-ready"):
    how: str
    life: int = 1


class GatewayOutput(Event, tag="gateway-output"):
    line: str


class GatewayPaused(Event, tag="gateway-paused"):
    """All of its processes stand, until it is resumed."""


class GatewayResumed(Event, tag="gateway-resumed"):
    """They go on."""


class GatewayExited(Event, tag="gateway-exited"):
    """``by``: "stop" or "kill", if that was asked for; "end", with the run; "" by itself."""

    status: int | None
    signal: str
    crashed: bool
    by: str = ""
    life: int = 1


class Received(Event, tag="received"):
    """A device received and decoded a message.

    Where its protocol has a session, ``layer`` is "wire" for what a datagram carried that did not reach the
    device as it was (an acknowledgement, a duplicate, a part), and "application" for what reached it and
    was in no datagram as it is.

    ``impaired`` are the names of the impairments and faults that befell it on its way to the device, ``fate``
    what they did (it may be lost), and ``delay_s`` how long they held it, as far as that was known at once;
    what was not is an `Impaired`.
    """

    id: int
    device: str
    peer: str
    protocol: str
    message: Mapping[str, Any]
    layer: str = ""
    impaired: str = ""
    fate: str = ""
    delay_s: float = 0.0


class Sent(Event, tag="sent"):
    """A device sent a message. ``message`` is what the wire carries: with the fields that the protocol
    adds and computes, and with numbers as they are rounded there. ``layer`` is as that of `Received`, and
    so are ``impaired``, ``fate`` and ``delay_s``, of all that befell it on its way from the device."""

    id: int
    device: str
    peer: str
    protocol: str
    message: Mapping[str, Any]
    in_reply_to: int = 0
    layer: str = ""
    impaired: str = ""
    fate: str = ""
    delay_s: float = 0.0


class Impaired(Event, tag="impaired"):
    """A message that a device was to receive met with this only after it had been held for a while.
    ``in_reply_to`` is its number, 0 if it has none; the rest is as that of `Received`."""

    device: str
    impaired: str
    fate: str
    delay_s: float = 0.0
    in_reply_to: int = 0


class Undecodable(Event, tag="undecodable"):
    """A datagram for a device was no message of its protocol, or, if ``sent``, one of the device's own was
    none any more: a fault has garbled it. ``data`` is hex."""

    id: int
    device: str
    peer: str
    protocol: str
    reason: str
    path: str
    offset: int | None
    data: str
    sent: bool = False


class Unmatched(msgspec.Struct, kw_only=True):
    """Messages of one kind to one fleet to which no rule applied, and that nobody else answered.

    ``kind`` is what they have in common, such as "kind=READ": the fields that the fleet's rules ask for
    first. ``count``: how many there were. ``t`` and ``device``: when the first came, and to whom.
    ``nearest``: the rule that came nearest to that one, and why it did not apply; "" where the fleet has no
    rules about messages.
    """

    fleet: str
    protocol: str
    kind: str
    count: int
    t: float
    device: str
    nearest: str = ""


class NoRule(Event, tag="no-rule"):
    """No rule applied to a message, the first of its kind; how many there were is told at the end."""

    unmatched: Unmatched


class NotSent(Event, tag="not-sent"):
    """A device meant to send and could not, or it has and that was lost; ``reason`` says why. ``impaired``
    are the names of what befell ``message``, if something did."""

    device: str
    reason: str
    in_reply_to: int = 0
    impaired: str = ""
    message: Mapping[str, Any] | None = None


class PacketDropped(Event, tag="packet-dropped"):
    """A packet from the link, or of one device to another, went nowhere. ``data`` is hex, of at most its
    first 128 bytes."""

    reason: str
    data: str


class DeviceFailed(Event, tag="device-failed"):
    """A rule or behavior raised: this device has stopped."""

    device: str
    error: str
    traceback: str


class SessionFailed(Event, tag="session-failed"):
    """The session of a device's protocol raised; the device goes on with a new one. ``data`` is the
    datagram that made it, if one did, as hex."""

    device: str
    protocol: str
    error: str
    traceback: str
    data: str = ""


class DeviceRebooted(Event, tag="device-rebooted"):
    """A device began anew, with the state of its template."""

    device: str


class Northbound(Event, tag="northbound"):
    """A service of the gateway's other side received something. ``fields`` is what, by the names that its
    kind has. A request has the ``status`` of its answer, 0 without one, and ``t`` is when it got it."""

    id: int
    service: str
    fields: Mapping[str, Any]


class FaultChanged(Event, tag="fault"):
    """A fault of devices that lasts has begun, or is over. ``name`` is its own, ``fault`` of which kind it
    is, ``devices`` whom it is for; ``begun`` tells which of both it is."""

    name: str
    fault: str
    devices: str
    begun: bool


class StepDone(Event, tag="step"):
    """A step of the scenario was done."""

    name: str


class CommandDone(Event, tag="command"):
    """The run was told from outside to do something, and did. ``command`` is it as data."""

    command: dict[str, Any]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an expectation. All texts are one line, for people.

    ``number``: its place among the scenario's expectations, from 0. ``expected``: what the scenario
    asked for. ``actual``: what was seen. ``inconclusive``: why that is neither held against the
    gateway nor taken for a success, since the simulator itself may be to blame; ``passed`` is then
    false. ``nearest``: what came nearest to what was expected and the
    field that differed, or the message that should not have come. ``devices``: the first devices that
    made it fail, of ``total``; ``details``: what each of these heard, in the same order. ``place``:
    ``file:line`` of its table. ``t``: when it was decided, seconds of the run; None where that was at
    the end only. ``error``: an expression of the expectation itself failed, which makes the scenario
    wrong.
    """

    name: str
    kind: str
    passed: bool
    severity: str
    expected: str
    actual: str
    inconclusive: str = ""
    nearest: str = ""
    devices: tuple[str, ...] = ()
    details: tuple[str, ...] = ()
    total: int = 0
    place: str = ""
    t: float | None = None
    error: str = ""
    number: int = 0


class ExpectationDecided(Event, tag="expectation-decided"):
    """An expectation was decided, or, at the end of the run, more is known of one that was.

    For each ``outcome.number`` the last one counts.
    """

    outcome: Outcome


class SimulatorLag(Event, tag="simulator-lag"):
    """The simulator was late by more than its stated bound."""

    lag_s: float
    what: str


class Note(Event, tag="note"):
    text: str


class GatewayLife(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The gateway from one start to its end.

    Times are seconds of the run, None where it did not come to that. ``by`` is that of `GatewayExited`.
    """

    pid: int
    started: float
    ready: float | None = None
    ended: float | None = None
    status: int | None = None
    signal: str = ""
    by: str = ""
    crashed: bool = False


class GatewayFigures(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What the gateway used, with all that it started: at most, in ``memory`` (bytes), ``fds``, ``threads``
    and ``children``; and ``cpu``, of one core, from ready to the end, as a share. None is what nobody
    asked for, or could not be measured. ``samples`` are how many looks that rests on."""

    samples: int = 0
    memory: int | None = None
    fds: int | None = None
    threads: int | None = None
    children: int | None = None
    cpu: float | None = None


class GatewayResult(msgspec.Struct, kw_only=True):
    """The gateway, when all is over.

    ``pid``, ``status`` and ``signal`` are of its last life, or of the one in which it ``crashed``; ``lives``
    are all of them. ``figures`` are there if an expectation asked for one of them.
    """

    command: list[str]
    pid: int = 0
    status: int | None = None
    signal: str = ""
    crashed: bool = False
    last_lines: list[str] = []
    lives: list[GatewayLife] = []
    figures: GatewayFigures | None = None


class RunEnded(Event, tag="run-ended"):
    """What the run came to. With `RunStarted` and each `ExpectationDecided`, that is its result."""

    verdict: str
    reason: str
    duration_s: float
    """Up to when everything was judged; ``t`` is later, when the gateway has been stopped, too."""
    notes: list[str]
    errors: list[str]
    gateway: GatewayResult | None
    counters: dict[str, int]
    """Packets by outcome, and everything that was dropped, by name."""
    lag: dict[str, float]
    """The simulator's own delays in seconds, by name."""
    files: list[str]
    """What the run left, besides ``result.json``."""
    unmatched: list[Unmatched] = []
    """Messages to which no rule applied, the commonest first."""


EventSink: TypeAlias = Callable[[Sequence[Event]], None]
PacketSink: TypeAlias = Callable[[Sequence[PacketRecord]], None]
