"""What a scenario expects, as plain data: filled by the scenario, judged by `iotsim.expect.judge`.

=========  ====================================================================================
kind       fields that it uses, besides name, severity and place
=========  ====================================================================================
within     quantifier, devices, direction, matcher, within_s
never      quantifier, devices, direction, matcher
always     quantifier, devices, direction, matcher, always
count      quantifier, devices, direction, matcher, count_min and count_max (one at least), per_s
sequence   quantifier, devices, parts, and within_s (optional) as a limit for the last part
latency    quantifier, devices, latency
delivered  quantifier, devices, delivered
gateway    gateway, and within_s (optional) as a limit for ``stdout_contains`` / ``stdout_regex``
=========  ====================================================================================
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from iotsim.expect.join import Join
    from iotsim.match import Matcher
    from iotsim.match.pattern import Pattern
    from iotsim.units import DurationRange, Tolerance

    PairKey: TypeAlias = Callable[[Mapping[str, Any]], Hashable | None]

Quantifier: TypeAlias = Literal["each", "any", "all", "none", "device"]
Direction: TypeAlias = Literal["receives", "sends"]
Layer: TypeAlias = Literal["application", "wire"]
Kind: TypeAlias = Literal[
    "within", "never", "always", "count", "sequence", "latency", "delivered", "gateway"
]
Severity: TypeAlias = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class DeviceSelection:
    """Devices of one fleet. ``indexes`` is resolved (no open ends) and holds no index twice."""

    fleet: str
    indexes: range | tuple[int, ...]


NORTHBOUND = "northbound "
"""What the fleet of a northbound service is called, with its name behind: it has one device, which is the
service. No fleet of a scenario has a space in its name."""


@dataclass(frozen=True, slots=True)
class Look:
    """Which messages are meant: of the devices, or with a `service` what that is sent.

    `text` is the match as it was written, for people.
    """

    matcher: Matcher
    direction: Direction = "receives"
    layer: Layer = "application"
    service: str = ""

    @property
    def text(self) -> str:
        verb = f"{self.service} receives" if self.service else self.direction
        return f"{verb} {self.matcher.text}"


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a sequence; `after` is how long after the part before it, None for whenever."""

    look: Look
    after: Tolerance | DurationRange | None = None


@dataclass(frozen=True, slots=True)
class LatencyExpectation:
    """The time from a `start` to the next `stop`, of the same device.

    ``bounds``: of p50, p90, p95, p99, max and mean those that are asked, in seconds. ``keys``: for each
    fleet what a message has in common with the one that it answers, where its protocol has that.
    ``match``: what a northbound `stop` must have in common with its `start`.
    """

    start: Look
    stop: Look
    bounds: Mapping[str, float]
    keys: Mapping[str, PairKey] = field(default_factory=dict)
    match: Join | None = None


@dataclass(frozen=True, slots=True)
class DeliveredExpectation:
    """How often each message that is `sent` has to come up at the service `northbound`, and when.

    `minimum` times at least and `maximum` times at most, within `within_s` after it was sent; with `ordered`,
    in the order in which they were sent. With `answered`, only requests whose ``status`` is 2xx count.
    ``numbered`` are the fleets whose protocol numbers its messages, so that a message that is the same in all
    fields is a repetition.
    """

    sent: Look
    northbound: str
    match: Join
    minimum: int = 1
    maximum: int | None = None
    within_s: float | None = None
    ordered: bool = False
    answered: bool = True
    numbered: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Bound:
    """How much there may be of something at any time, and by how much it may grow; None: as it likes.

    `warmup_s` is the time after ready in which growth is none; it is scaled by the tolerance.
    """

    max: int | None = None
    growth: int | None = None
    warmup_s: float = 0.0


@dataclass(frozen=True, slots=True)
class GatewayExpectation:
    """What is expected of the gateway's process; None, False and an empty text mean: not asked.

    ``running``: True, it has not exited by itself at the end; False, it has. ``exit``: it exits by
    itself with this status. ``stdout_contains`` (literal text) and ``stdout_regex`` must be found
    in some line of its output, ``stdout_not`` in none. ``no_report``: no line is a report of a sanitizer.
    The others are bounds of what it uses with all that it has started: file descriptors, bytes of memory,
    threads, processes below the first, and of one core the share from ready to the end.
    """

    running: bool | None = None
    exit: int | None = None
    stdout_contains: str = ""
    stdout_regex: Pattern | None = None
    stdout_not: Pattern | None = None
    no_report: bool = False
    fds: Bound | None = None
    memory: Bound | None = None
    threads: Bound | None = None
    children: Bound | None = None
    cpu_max: float | None = None

    @property
    def figures(self) -> bool:
        """Whether it has to be measured."""
        bounds = (self.fds, self.memory, self.threads, self.children, self.cpu_max)
        return any(bound is not None for bound in bounds)


@dataclass(frozen=True, slots=True)
class ExpectSpec:
    """One ``[[expect]]`` table. Times are seconds, not yet scaled by the scenario's tolerance."""

    name: str
    kind: Kind
    quantifier: Quantifier = "each"
    devices: tuple[DeviceSelection, ...] = ()
    direction: Direction = "receives"
    matcher: Matcher | None = None
    layer: Layer = "application"
    """Of protocols with sessions: what reached the device, or the datagrams below."""
    within_s: float | None = None
    count_min: int | None = None
    count_max: int | None = None
    per_s: float | None = None
    always: Matcher | None = None
    parts: tuple[Part, ...] = ()
    latency: LatencyExpectation | None = None
    delivered: DeliveredExpectation | None = None
    gateway: GatewayExpectation | None = None
    after: str = ""
    """The step or the expectation after which messages count, and windows begin; "" for the gateway being
    ready."""
    asks: bool = False
    """An expression of it names the ``request`` that a message answers."""
    severity: Severity = "error"
    place: str = ""
    """``file:line`` of the table."""

    @property
    def service(self) -> str:
        """The northbound service that it is about, "" where it is about devices."""
        fleet = self.devices[0].fleet if self.devices else ""
        return fleet.removeprefix(NORTHBOUND) if fleet.startswith(NORTHBOUND) else ""
