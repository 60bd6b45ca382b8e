"""What a scenario expects, as plain data: filled by the scenario, judged by `iotsim.expect.judge`.

=========  ====================================================================================
kind       fields that it uses, besides name, severity and place
=========  ====================================================================================
within     quantifier, devices, direction, matcher, within_s
never      quantifier, devices, direction, matcher
always     quantifier, devices, direction, matcher, always
count      quantifier, devices, direction, matcher, count_min and count_max (one at least), per_s
gateway    gateway, and within_s (optional) as a limit for ``stdout_contains`` / ``stdout_regex``
=========  ====================================================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from iotsim.match import Matcher
    from iotsim.match.pattern import Pattern

Quantifier: TypeAlias = Literal["each", "any", "all", "none", "device"]
Direction: TypeAlias = Literal["receives", "sends"]
Layer: TypeAlias = Literal["application", "wire"]
Kind: TypeAlias = Literal["within", "never", "always", "count", "gateway"]
Severity: TypeAlias = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class DeviceSelection:
    """Devices of one fleet. ``indexes`` is resolved (no open ends) and holds no index twice."""

    fleet: str
    indexes: range | tuple[int, ...]


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
    gateway: GatewayExpectation | None = None
    severity: Severity = "error"
    place: str = ""
    """``file:line`` of the table."""
