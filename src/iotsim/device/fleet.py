"""Fleets and their devices.

A fleet of a million devices is a million empty slots and some arithmetic: a device's name, address,
readings, phase and boot time follow from its index. The object of a device is made when it first
receives or sends, and its state when something first looks at it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from iotsim.device.epoch import Epoch
from iotsim.device.reaction import no_rule
from iotsim.device.rules import compile_responder
from iotsim.device.schedule import Schedule
from iotsim.device.signals import compile_signal
from iotsim.errors import Problem, ScenarioError
from iotsim.rng import key, unit
from iotsim.wire.address import format_address

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from iotsim.device.behavior import Device
    from iotsim.device.reaction import Responder
    from iotsim.device.schedule import Endpoint
    from iotsim.device.signals import Signal
    from iotsim.device.spec import FleetSpec
    from iotsim.device.trouble import Trouble

MOST_NAMES = 1 << 14
"""So many names of the devices of a fleet are kept, which takes some 2 MB; those of others are made anew."""


class Names(dict[int, str]):
    """The names of a fleet's devices, by index, made as they are looked up."""

    def __init__(self, fleet: str) -> None:
        super().__init__()
        self._fleet = fleet

    def __missing__(self, index: int) -> str:
        name = f"{self._fleet}[{index}]"
        if len(self) < MOST_NAMES:
            self[index] = name
        return name


class SimDevice:
    """One simulated device, as rules and expressions see it. Made by `Fleet.device` alone.

    ``peer`` is who last spoke to it, ``failed`` tells that a rule or behavior of it raised, and
    ``behavior`` is the instance of the user's class, if there is one and it was needed already: these
    are the simulation's to set. ``received`` counts the messages that reached its rules.
    """

    __slots__ = (
        "_epoch",
        "_state",
        "behavior",
        "failed",
        "fleet",
        "index",
        "peer",
        "received",
    )
    has_clock = False
    """Whether it has one of its own, which may be off."""

    def __init__(self, fleet: Fleet, index: int) -> None:
        self.fleet = fleet
        self.index = index
        self._state: dict[str, Any] | None = None
        self.peer: Endpoint | None = None
        self.failed = False
        self.behavior: Device | None = None
        self.received = 0
        self._epoch: Epoch | None = None

    @property
    def leased(self) -> int:
        """The IPv4 address that a DHCP server gave it, 0 for none."""
        return self.fleet.leases.get(self.index, 0)

    @property
    def epoch(self) -> Epoch:
        """Its life since its last boot."""
        epoch = self._epoch
        if epoch is None:
            epoch = self._epoch = Epoch()
        return epoch

    @property
    def booted_at(self) -> float:
        """When it last booted, or will first; infinity while that is not known."""
        epoch = self._epoch
        if epoch is None or epoch.booted_at is None:
            return self.fleet.boots_at(self.index)
        return epoch.booted_at

    @property
    def reboots(self) -> int:
        """How often it has begun anew: what was set to happen later looks whether that is still the same."""
        epoch = self._epoch
        return 0 if epoch is None else epoch.reboots

    def reboot(self, now: float) -> None:
        """Begin anew: state, uses of rules, behavior and peer are lost, and what was to come of it.

        The draws of its random streams go on, so that what it does next is not what it did first. A
        device that has failed stays so.
        """
        if self._epoch is not None:
            self._epoch.end()
        self._epoch = Epoch(now, self.reboots + 1)
        self._state = self.behavior = self.peer = None

    @property
    def name(self) -> str:
        """As in scenarios: ``meter[3]``."""
        return self.fleet.name_of(self.index)

    @property
    def address(self) -> str:
        """The device's first address, as text; "" if it has none."""
        if self.leased:
            return format_address(self.leased)
        blocks = self.fleet.spec.blocks
        return format_address(blocks[0].first + self.index) if blocks else ""

    @property
    def asked(self) -> Mapping[str, Any] | None:
        """The request that a message answers, while rules look at that message."""
        return self.fleet.asked

    @property
    def data(self) -> Mapping[str, Any]:
        """Its row of the data file; empty if there is none."""
        rows = self.fleet.spec.data
        return rows[self.index] if rows else {}

    @property
    def state(self) -> dict[str, Any]:
        """What the device remembers: a dict of its own."""
        state = self._state
        if state is None:
            state = self._state = self.fleet.initial_state(self.index)
        return state

    def signal(self, name: str, t: float) -> float:
        """The reading of the signal `name` at `t`; KeyError if there is no such signal."""
        return self.fleet.signals[name](self.index, t)

    def __repr__(self) -> str:
        return f"<SimDevice {self.name}>"


class Fleet:
    """The devices of one template, compiled.

    ``devices[index]`` is None until `device` has made it: the way of a packet looks there first.
    ``responders[service]`` answers messages (see `iotsim.device.reaction`); ``unanswered[service]`` is given
    what nobody has answered, and None if no rule cares. ``schedules`` are the unsolicited sendings,
    ``signals`` the functions behind the names. ``origin`` is the time from which boots count, infinity while
    it is not known. ``boots_later`` tells whether any device boots after that, and is not there before.
    Errors in the specification raise ScenarioError.

    `kind` is the class of its devices; where those have clocks of their own, rules go ``by_clock``.
    """

    def __init__(self, spec: FleetSpec, seed: int, kind: type[SimDevice] = SimDevice) -> None:
        if 0 < len(spec.data) < spec.count:
            raise ScenarioError(
                [Problem(f"data has {len(spec.data)} rows for {spec.count} devices of {spec.name}")]
            )
        self.spec = spec
        self.seed = seed
        self.by_clock = kind.has_clock
        self._kind = kind
        self.name_of: Callable[[int], str] = Names(spec.name).__getitem__
        """The name of the device at an index, as in scenarios: each event has one in it."""
        self.devices: list[SimDevice | None] = [None] * spec.count
        self.created = 0
        self.newcomers: list[int] | None = None
        """The indexes of devices that were made since somebody has looked, if somebody does."""
        self.boots_later = bool(spec.ramp_s) or (
            spec.boot_delay is not None and spec.boot_delay.high_s > 0
        )
        self.origin = 0.0
        self.leases: dict[int, int] = {}
        """The IPv4 addresses that DHCP servers gave, by device."""
        self.troubles: Sequence[tuple[int, Collection[int], Trouble]] = []
        """What is wrong with which devices, in an order that stands first (`iotsim.device.trouble`)."""
        self._boot_key = key(seed, spec.name, "boot")
        self.signals: dict[str, Signal] = {}
        self._given: dict[str, dict[int, Given]] = {}
        """By signal, the values that devices were given in its place."""
        for name, signal in spec.signals.items():
            try:
                self.signals[name] = compile_signal(signal, seed, spec.name, "signal", name)
            except ValueError as error:
                path = f"devices.{spec.name}.signals.{name}"
                raise ScenarioError([Problem(str(error), path=path)]) from None
        self.responders: list[Responder] = []
        self.unanswered: list[Responder | None] = []
        self.asked: Mapping[str, Any] | None = None
        self.answered: tuple[SimDevice | None, int, str] = None, 0, ""
        """Who has last answered at once by a rule that is not plain (`explain.is_plain`), to which message of
        its, and the rule."""
        self.compile_responders([no_rule] * len(spec.services))
        self.schedules = self._compile_schedules()

    def compile_responders(self, otherwise: list[Responder]) -> None:
        """Compile the rules of each service anew; what no rule takes goes `otherwise`."""
        self.responders, self.unanswered = [], []
        for number, service in enumerate(self.spec.services):
            stream = key(self.seed, self.spec.name, "delay", number)
            rules = [one for one in self.spec.rules if one.service == number and not one.send]
            about_messages = [rule for rule in rules if not rule.unanswered]
            about_silence = [rule for rule in rules if rule.unanswered]
            self.responders.append(
                compile_responder(
                    about_messages,
                    service.protocol.echo,
                    key=stream,
                    otherwise=otherwise[number],
                    by_clock=self.by_clock,
                )
            )
            cares = about_silence or any(rule.asks for rule in rules)
            silence = None
            if cares:
                silence = compile_responder(about_silence, key=stream, by_clock=self.by_clock)
            self.unanswered.append(silence)

    def _compile_schedules(self) -> tuple[Schedule, ...]:
        schedules = []
        for number, rule in enumerate(self.spec.rules):
            if not rule.send:
                continue
            stream = key(self.seed, self.spec.name, "schedule", number)
            try:
                schedules.append(Schedule(rule, key=stream, by_clock=self.by_clock))
            except ValueError as error:
                path = f"devices.{self.spec.name}.rules[{number}]"
                raise ScenarioError([Problem(str(error), path=path)]) from None
        return tuple(schedules)

    def __len__(self) -> int:
        return self.spec.count

    def device(self, index: int) -> SimDevice:
        """Device number `index`, made if it was not there yet; IndexError if there is none."""
        if index < 0:
            raise IndexError(f"{self.spec.name} has no device {index}")
        device = self.devices[index]
        if device is None:
            device = self.devices[index] = self._kind(self, index)
            self.created += 1
            if self.newcomers is not None:
                self.newcomers.append(index)
        return device

    def initial_state(self, index: int) -> dict[str, Any]:
        """The state that device `index` starts with: the template's, then its row of data."""
        state = {name: _fresh(value) for name, value in self.spec.state.items()}
        if self.spec.data:
            state.update(self.spec.data[index])
        return state

    def set_signal(
        self, name: str, indexes: Iterable[int], value: float, since: float = 0.0
    ) -> None:
        """Let the signal `name` of these devices be `value` from `since` on, which is not before what they
        were given last; KeyError if there is none."""
        given = self._given.get(name)
        if given is None:
            given = self._given[name] = {}
            self.signals[name] = _overridden(self.signals[name], given)
        for index in indexes:
            given[index] = Given(since, float(value), given.get(index))

    def boots_at(self, index: int) -> float:
        """When device `index` boots first, in seconds of the run."""
        spec = self.spec
        at = self.origin + spec.ramp_s * index / spec.count
        if spec.boot_delay is not None:
            low, high = spec.boot_delay.low_s, spec.boot_delay.high_s
            at += low + (high - low) * unit(self._boot_key, index)
        return at

    def booted_by(self) -> float:
        """When the last device has booted for the first time."""
        delay = self.spec.boot_delay
        return self.origin + self.spec.ramp_s + (0.0 if delay is None else delay.high_s)

    def __repr__(self) -> str:
        return f"<Fleet {self.spec.name}, {self.spec.count} devices>"


class Given(NamedTuple):
    """A value that a signal has from a time on, and what it had before."""

    since: float
    value: float
    before: Given | None


def _overridden(signal: Signal, given: Mapping[int, Given]) -> Signal:
    """`signal`, but for the devices that are `given` a value."""

    def reading(index: int, t: float) -> float:
        last = given.get(index)
        while last is not None and t < last.since:
            last = last.before
        return signal(index, t) if last is None else last.value

    return reading


def _fresh(value: Any) -> Any:
    """A copy of `value` that may be changed."""
    if isinstance(value, Mapping):
        return {name: _fresh(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_fresh(item) for item in value]
    return value
