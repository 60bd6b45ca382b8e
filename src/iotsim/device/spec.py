"""What a scenario says about devices: plain data, made once when it is loaded.

These records are the face between the scenario's loader, which fills them, and the rest of this
package, which compiles them. Nothing in them changes during a run. All times are seconds.

A **signal** is a kind and its parameters. `SIGNAL_PARAMETERS` says for each kind which parameters
there are: the loader checks names and types by it, turns durations into seconds, and puts the
default where nothing was given, so that ``SignalSpec.parameters`` holds every parameter of the
kind by name. The types:

=============  ===========================================  ======================================
type           written as                                   in ``SignalSpec.parameters``
=============  ===========================================  ======================================
``number``     an integer or a float, finite                float
``positive``   the same, above 0                            float
``deviation``  the same, 0 or above                         float
``share``      ``"30%"`` or a number from 0 to 1            float
``duration``   ``"1h"``, above 0                            float, seconds
``phase``      a duration (0 allowed), or ``"random"``      float, seconds, or ``"random"``
``numbers``    a list of numbers, at least one              tuple of float
``boolean``    ``true`` or ``false``                        bool
``text``       a string                                     str
``file``       a path, relative to the scenario             str, as written
=============  ===========================================  ======================================

A parameter that is not required and has the default None may be absent, and is then None. A signal
of the kind ``csv`` has its points in ``SignalSpec.points``: the loader reads the file and hands its
text to `iotsim.device.signals.read_points`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from iotsim.impair.fault import Sleep
    from iotsim.match import Expression, Matcher
    from iotsim.protocol.definition import Protocol
    from iotsim.protocol.registry import Vector
    from iotsim.units import DurationRange

_EMPTY: Final[Mapping[str, Any]] = MappingProxyType({})


class Parameter(NamedTuple):
    """One parameter of a signal kind; ``type`` is one of the table above."""

    type: str
    required: bool = False
    default: Any = None
    doc: str = ""


_COMMON: Final[Mapping[str, Parameter]] = {
    "noise": Parameter("deviation", default=0.0, doc="standard deviation of what is added anew"),
    "spread": Parameter("deviation", default=0.0, doc="each device is off by its own ± this much"),
}
_PHASE: Final = Parameter("phase", default=0.0, doc="how far into its course it starts")

SIGNAL_PARAMETERS: Final[Mapping[str, Mapping[str, Parameter]]] = {
    "constant": {
        "value": Parameter("number", required=True),
        **_COMMON,
    },
    "sine": {
        "mean": Parameter("number", default=0.0),
        "amplitude": Parameter("number", default=1.0),
        "period": Parameter("duration", required=True),
        "phase": _PHASE,
        **_COMMON,
    },
    "ramp": {
        "start": Parameter("number", default=0.0),
        "stop": Parameter("number", required=True),
        "period": Parameter("duration", required=True, doc="the time from start to stop"),
        "repeat": Parameter("boolean", default=False, doc="begin again, or stay at stop"),
        "phase": _PHASE,
        **_COMMON,
    },
    "square": {
        "low": Parameter("number", default=0.0),
        "high": Parameter("number", default=1.0),
        "period": Parameter("duration", required=True),
        "duty": Parameter("share", default=0.5, doc="the share of a period that is high"),
        "phase": _PHASE,
        **_COMMON,
    },
    "random_walk": {
        "start": Parameter("number", default=0.0),
        "step": Parameter("deviation", default=1.0, doc="standard deviation of one step"),
        "every": Parameter("duration", default=1.0, doc="the time between steps"),
        "min": Parameter("number", doc="the walk is reflected here"),
        "max": Parameter("number", doc="and here"),
        **_COMMON,
    },
    "noise": {
        "mean": Parameter("number", default=0.0),
        "deviation": Parameter("deviation", default=1.0),
        "every": Parameter("duration", doc="how long a value holds; default: no time at all"),
        "spread": _COMMON["spread"],
    },
    "steps": {
        "values": Parameter("numbers", required=True),
        "every": Parameter("duration", required=True, doc="how long each value holds"),
        "repeat": Parameter("boolean", default=True, doc="begin again, or stay at the last"),
        "phase": _PHASE,
        **_COMMON,
    },
    "csv": {
        "file": Parameter("file", required=True),
        "time": Parameter("text", default="t", doc="the column of times, in seconds"),
        "column": Parameter("text", default="value"),
        "interpolate": Parameter("boolean", default=False, doc="straight lines, or steps"),
        "repeat": Parameter("boolean", default=False, doc="begin again, or stay at the last"),
        "phase": _PHASE,
        **_COMMON,
    },
}


@dataclass(frozen=True, eq=False)
class SignalSpec:
    """A signal: ``parameters`` has every parameter of the kind (see above)."""

    kind: str
    parameters: Mapping[str, Any]
    points: tuple[tuple[float, float], ...] = ()
    """For ``csv``: (seconds, value), in the order of time."""


@dataclass(frozen=True, eq=False)
class MessageTemplate:
    """A message with expressions in it. Dotted keys are folded into nested dicts already; an
    `Expression` may stand for any value, also inside nested dicts and lists. With ``raw`` it is no message:
    the only field, of that name, has the bytes of a datagram."""

    fields: Mapping[str, Any]
    raw: bool = False


@dataclass(frozen=True, eq=False)
class RuleSpec:
    """A rule: it either answers (``when``, ``where``, ``reply``) or, where it has ``send``, speaks
    by itself.

    ``when`` None matches every message. ``after``: before this time (since the start of the run,
    or the device's boot) the rule is as if it were not there. ``times``: for each device, how often
    it applies. ``drop``: the message is swallowed. ``unanswered``: it is about requests of the device's
    that nobody answers, and not about messages. ``asks``: it may name the request that a message answers.
    For ``send``: once, or ``every``; ``jitter`` is the most that a sending is late, in seconds; ``to`` is
    ``"gateway"`` or ``"address:port"``.
    """

    name: str = ""
    when: Matcher | None = None
    where: Expression | None = None
    reply: tuple[MessageTemplate, ...] = ()
    delay: DurationRange | None = None
    set: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)
    every: DurationRange | None = None
    jitter: float = 0.0
    send: tuple[MessageTemplate, ...] = ()
    to: str = "gateway"
    after: float | None = None
    times: int | None = None
    drop: bool = False
    unanswered: bool = False
    asks: bool = False
    service: int = 0
    """The index into ``FleetSpec.services``."""
    place: str = ""
    """``file:line`` of its table, and as `path` the keys that lead there."""
    path: str = ""


@dataclass(frozen=True, eq=False)
class ServiceSpec:
    """A protocol that every device of a fleet speaks, at a UDP port; `vectors` are its file's, and `model`
    is what the scenario says of the protocol's model: an instance of its class, if it has one."""

    protocol: Protocol
    port: int
    vectors: tuple[Vector, ...] = ()
    model: Any = None


@dataclass(frozen=True)
class AddressBlock:
    """``count`` addresses, one after the other, from ``first`` on."""

    first: int
    count: int


@dataclass(frozen=True)
class BehaviorSpec:
    """A class in a Python file; ``place`` is where the scenario names it (``file:line``)."""

    file: Path
    class_name: str
    place: str = ""


@dataclass(frozen=True)
class NetworkSpec:
    """How the hosts of a fleet behave below their protocols.

    ``mac`` is that of device 0 on an Ethernet, the others' follow; 0 derives them from the seed.
    ``hops`` are the addresses of simulated routers before the devices, the nearest to the link
    first; ``path_mtu`` is what the way behind the first of them carries, 0 for as much as the link.
    ``groups`` are multicast groups. Devices that are ``silent`` refuse nothing: a closed port stays
    without an answer. With ``dhcp`` they get their IPv4 addresses from a server.
    """

    mac: int = 0
    hops: tuple[int, ...] = ()
    path_mtu: int = 0
    groups: tuple[int, ...] = ()
    silent: bool = False
    dhcp: bool = False


@dataclass(frozen=True, eq=False)
class FleetSpec:
    """A fleet: the devices of one template.

    Every block has ``count`` addresses: device i has the i-th of each. ``data`` is empty or has a row
    for each device, whose columns are merged into its ``state``. Device i boots ``ramp_s * i /
    count`` seconds after the gateway is ready, or after the start of the run with
    ``boot_with_run``, and its own ``boot_delay`` later. With ``power`` it sleeps, and from each boot on is
    awake first.
    """

    name: str
    count: int
    blocks: tuple[AddressBlock, ...] = ()
    services: tuple[ServiceSpec, ...] = ()
    signals: Mapping[str, SignalSpec] = field(default_factory=lambda: _EMPTY)
    state: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)
    rules: tuple[RuleSpec, ...] = ()
    behavior: BehaviorSpec | None = None
    data: tuple[Mapping[str, Any], ...] = ()
    boot_delay: DurationRange | None = None
    ramp_s: float = 0.0
    boot_with_run: bool = False
    network: NetworkSpec = NetworkSpec()
    power: Sleep | None = None
