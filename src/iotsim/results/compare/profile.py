"""A run as figures: all that two runs are compared by, in bounded memory however long the run was.

A profile is made of a result and of the lines of ``events.jsonl``, which are read once. Three sorts of times
are in it:

- ``latency``: from a message that a device sends by itself to the next that it receives from that peer: how
  long the gateway takes;
- ``answer``: from a request to the device's answer: what the scenario and the simulator make of it;
- ``interval``: from one message of the gateway to a device to its next: how it keeps its rounds.

Where a protocol has a session, these are about what devices hear and say, and counts of messages about what
passes the link.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from iotsim.results.compare.spread import DEVICE_CONFIDENCE, Percentile, Spread
from iotsim.results.compare.vocabulary import Vocabulary, Words

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from iotsim.events import GatewayFigures, Outcome
    from iotsim.results.result import RunResult

FORMAT = 1
TIMES = ("latency", "answer", "interval")
MOST_DEVICES = 100_000
"""At most this many devices are told apart; those after them are only counted."""
MOST_SERVICES = 1000
MOST_OPEN = 1 << 16
"""At most this many requests wait for their answers; beyond that, the oldest are given up."""
MEDIAN = {"p50": 0.5}
_CUT = re.compile(r"events\.\S*jsonl is held to ")
"""The note of a run whose events were held to a bound, and have exceeded it."""


class Times(msgspec.Struct, omit_defaults=True):
    """How many there were, and their percentiles."""

    count: int = 0
    percentiles: dict[str, Percentile] = {}


class DeviceProfile(msgspec.Struct, omit_defaults=True):
    """A device: how many messages it received and sent, and its medians of `latency` and `answer`."""

    received: int = 0
    sent: int = 0
    latency: Percentile | None = None
    answer: Percentile | None = None


class Profile(msgspec.Struct, kw_only=True, omit_defaults=True):
    """See the top of this page. Times are seconds."""

    scenario: str
    path: str = ""
    parameters: dict[str, str] = {}
    verdict: str = ""
    reason: str = ""
    seed: int = 0
    started: str = ""
    duration_s: float = 0.0
    link: str = ""
    tolerance: float = 1.0
    speed: float = 1.0
    versions: dict[str, str] = {}
    fleets: dict[str, int] = {}
    """How many devices each fleet has."""
    expectations: dict[str, str] = {}
    """Name -> "passed", "failed", "warning", "inconclusive" or "error"."""
    received: int = 0
    """Messages to devices."""
    sent: int = 0
    """Messages from devices."""
    latency: Times = msgspec.field(default_factory=Times)
    answer: Times = msgspec.field(default_factory=Times)
    interval: Times = msgspec.field(default_factory=Times)
    counters: dict[str, int] = {}
    northbound: dict[str, int] = {}
    gateway: dict[str, float] = {}
    """Its figures that were measured, and ``crashes`` and ``starts``."""
    lag_s: float = 0.0
    """How late the simulator was at worst."""
    messages: bool = True
    """Whether the run has left its messages; without, only what its result tells is known."""
    cut: bool = False
    """Events were dropped, since their file was held to a bound: what was counted in them is too little."""
    vocabulary: Words = {}
    vocabulary_whole: bool = True
    """Whether nothing was left out of it because there was too much."""
    devices: dict[str, DeviceProfile] = {}
    devices_told: bool = True
    """Whether ``devices`` are there, as far as there are any."""
    devices_left_out: int = 0

    @property
    def counts_messages(self) -> bool:
        """Whether it is known how many messages there were."""
        return self.messages and not self.cut


class _Bare(msgspec.Struct, gc=False):
    """Of a line of events what counts here, but for its message."""

    event: str
    t: float
    id: int = 0
    device: str = ""
    peer: str = ""
    protocol: str = ""
    layer: str = ""
    in_reply_to: int = 0
    service: str = ""
    lag_s: float = 0.0


class _Line(_Bare, gc=False):
    message: dict[str, Any] | None = None


class _Device:
    """What is followed of a device while the events go by."""

    __slots__ = ("answer", "heard_at", "latency", "received", "said_at", "sent")

    def __init__(self) -> None:
        self.received = self.sent = 0
        self.heard_at: float | None = None
        self.said_at: tuple[str, float] | None = None
        """To whom and when it said something by itself, of which nothing has come yet."""
        self.latency: Spread | None = None
        self.answer: Spread | None = None


class _Reader:
    """Takes the events of a run in, one by one; without `messages`, not what was said."""

    def __init__(self, *, messages: bool = True) -> None:
        self._kind: type[_Bare] = _Line if messages else _Bare
        self.devices: dict[str, _Device] = {}
        self.left_out = 0
        self.received = self.sent = 0
        self.times = {name: Spread() for name in TIMES}
        self.northbound: dict[str, int] = {}
        self.vocabulary = Vocabulary()
        self.undecodable = 0
        self.lag_s = 0.0
        self._open: dict[int, float] = {}
        """When each request came that has not been answered."""

    def read(self, lines: Iterable[bytes]) -> None:
        decode = msgspec.json.Decoder(self._kind).decode
        for raw in lines:
            try:
                line = decode(raw)
            except (msgspec.MsgspecError, ValueError, RecursionError):
                continue  # cut off, or no event of ours
            kind = line.event
            if kind == "received":
                self._take_received(line)
            elif kind == "sent":
                self._take_sent(line)
            elif kind == "undecodable":
                self.undecodable += 1
            elif kind == "simulator-lag":
                self.lag_s = max(self.lag_s, line.lag_s)
            elif kind == "northbound" and (
                line.service in self.northbound or len(self.northbound) < MOST_SERVICES
            ):
                self.northbound[line.service] = self.northbound.get(line.service, 0) + 1

    def _device(self, name: str) -> _Device:
        device = self.devices.get(name)
        if device is None:
            device = _Device()
            if len(self.devices) < MOST_DEVICES:
                self.devices[name] = device
            else:
                self.left_out += 1
        return device

    def _take_received(self, line: _Bare) -> None:
        device = self._device(line.device)
        if line.__class__ is _Line and line.message is not None:
            self.vocabulary.add(line.protocol, "received", line.message)
        if line.layer != "application":
            self.received += 1
            device.received += 1
        if line.layer == "wire":
            return
        t = line.t
        if device.heard_at is not None:
            self.times["interval"].add(t - device.heard_at)
        device.heard_at = t
        said = device.said_at
        if said is not None and said[0] == line.peer:
            device.said_at = None
            self.times["latency"].add(t - said[1])
            if device.latency is None:
                device.latency = Spread()
            device.latency.add(t - said[1])
        if line.id:
            self._open[line.id] = t
            if len(self._open) > MOST_OPEN:
                del self._open[next(iter(self._open))]

    def _take_sent(self, line: _Bare) -> None:
        device = self._device(line.device)
        if line.__class__ is _Line and line.message is not None:
            self.vocabulary.add(line.protocol, "sent", line.message)
        if line.layer != "application":
            self.sent += 1
            device.sent += 1
        if line.layer == "wire":
            return
        if not line.in_reply_to:
            if device.said_at is None or device.said_at[0] != line.peer:
                device.said_at = line.peer, line.t
            return
        asked_at = self._open.pop(line.in_reply_to, None)
        if asked_at is not None:
            self.times["answer"].add(line.t - asked_at)
            if device.answer is None:
                device.answer = Spread()
            device.answer.add(line.t - asked_at)


def profile_of(result: RunResult, lines: Iterable[bytes]) -> Profile:
    """The profile of a run that came to `result`, and left these `lines` of events."""
    reader = _Reader()
    reader.read(lines)
    times = {name: Times(one.count, one.percentiles()) for name, one in reader.times.items()}
    seen = {name: _device_profile(device) for name, device in sorted(reader.devices.items())}
    return Profile(
        scenario=result.scenario,
        path=result.path,
        parameters=result.parameters,
        verdict=result.verdict,
        reason=result.reason,
        seed=result.seed,
        started=result.started,
        duration_s=result.duration_s,
        link=result.link,
        tolerance=result.tolerance,
        speed=result.speed,
        versions=result.versions,
        fleets=_fleet_counts(result),
        expectations=expectation_states(result.expectations),
        received=reader.received,
        sent=reader.sent,
        latency=times["latency"],
        answer=times["answer"],
        interval=times["interval"],
        counters=result.counters,
        northbound=dict(sorted(reader.northbound.items())),
        gateway=_gateway_figures(result),
        # Of a run that was killed, only its events know.
        lag_s=max([*result.lag.values(), reader.lag_s]),
        messages=bool(reader.received or reader.sent or reader.undecodable)
        or not any(result.counters.get(name) for name in ("link.received", "link.sent")),
        cut=any(_CUT.match(note) for note in result.notes),
        vocabulary=reader.vocabulary.words(),
        vocabulary_whole=reader.vocabulary.whole,
        devices=seen,
        devices_left_out=reader.left_out,
    )


def times_of(lines: Iterable[bytes]) -> dict[str, Spread]:
    """The times of a run that left these `lines` of events, by the names of `TIMES`."""
    reader = _Reader(messages=False)
    reader.read(lines)
    return reader.times


def _device_profile(device: _Device) -> DeviceProfile:
    medians = [
        None if one is None else one.percentiles(MEDIAN, DEVICE_CONFIDENCE).get("p50")
        for one in (device.latency, device.answer)
    ]
    return DeviceProfile(device.received, device.sent, *medians)


def _fleet_counts(result: RunResult) -> dict[str, int]:
    counts = {name: fleet.get("count") for name, fleet in sorted(result.fleets.items())}
    return {name: count for name, count in counts.items() if count.__class__ is int}


def _gateway_figures(result: RunResult) -> dict[str, float]:
    gateway = result.gateway
    if gateway is None:
        return {}
    figures: dict[str, float] = {"starts": len(gateway.lives)} if gateway.lives else {}
    figures["crashes"] = sum(life.crashed for life in gateway.lives) or int(gateway.crashed)
    measured: GatewayFigures | None = gateway.figures
    if measured is not None:
        for name in ("memory", "cpu", "fds", "threads", "children"):
            value = getattr(measured, name)
            if value is not None:
                figures[name] = value
    return figures


def expectation_states(outcomes: Sequence[Outcome]) -> dict[str, str]:
    """What became of each expectation, by name. Of several of one name, those after the first have a
    number."""
    states: dict[str, str] = {}
    for outcome in outcomes:
        name, number = outcome.name, 1
        while name in states:
            number += 1
            name = f"{outcome.name} ({number})"
        states[name] = state_of(outcome)
    return states


def state_of(outcome: Outcome) -> str:
    """What became of an expectation, in one word."""
    if outcome.error:
        return "error"
    if outcome.passed:
        return "passed"
    if outcome.severity == "warning":
        return "warning"
    return "inconclusive" if outcome.inconclusive else "failed"
