"""Schedules: what devices send without being asked.

The times are arithmetic, so that a million devices that send once an hour cost nothing until they
do. With a fixed ``every``, the n-th sending of a device is due at::

    boot + after + phase + n * every + jitter * u(n)

with a ``phase`` of its own in [0, every), so that a fleet does not speak in unison, and a uniform
u(n) in [0, 1) of its own: the grid does not drift, whatever the jitter. With a range
(``every = "5s..10s"``) each gap is drawn from it. Without ``every`` there is one sending, at boot +
after.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, cast

from iotsim.device.explain import rule_text
from iotsim.device.rules import uses_source, where_source, write_set
from iotsim.device.template import Source, write_message
from iotsim.rng import unit
from iotsim.units import parse_endpoint

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotsim.device.fleet import SimDevice
    from iotsim.device.spec import RuleSpec

Endpoint: TypeAlias = tuple[int, int]
"""An address (`iotsim.wire.address`) and a UDP port."""

# Counters of a schedule's stream: the phase, and from 0 on the sendings.
_PHASE = -1


class Schedule:
    """The unsolicited sendings of one rule, for all devices of a fleet.

    ``rule_text`` is how the rule is called, and where it stands. ``to`` is None for the gateway. ``service``
    is the index of the service that sends. ``says_raw`` tells that it sends raw bytes.
    ``build(device, now)`` gives the messages to send now, none where the rule's ``where`` does not
    hold; it also does the rule's ``set``.
    """

    __slots__ = (
        "_after",
        "_gap",
        "_jitter",
        "_key",
        "_low",
        "_times",
        "build",
        "name",
        "rule_text",
        "says_raw",
        "service",
        "to",
    )

    def __init__(self, rule: RuleSpec, *, key: int = 0, by_clock: bool = False) -> None:
        """`key` names the stream of phases and gaps; `by_clock` is as in `iotsim.device.template.Source`."""
        self.name = rule.name
        self.rule_text = rule_text(rule)
        self.service = rule.service
        self.says_raw = any(template.raw for template in rule.send)
        self.to: Endpoint | None = None if rule.to == "gateway" else parse_endpoint(rule.to)
        self._key = key
        self._after = rule.after or 0.0
        self._jitter = rule.jitter
        # With a condition, what counts is how often it held: `build` sees to that.
        self._times = rule.times if rule.where is None else None
        self._low = self._gap = 0.0
        if rule.every is None:
            self._times = 1 if self._times is None else min(1, self._times)
        else:
            self._low = rule.every.low_s
            self._gap = rule.every.high_s - rule.every.low_s
            if self._low <= 0:
                raise ValueError("every must be above 0")
        self.build: Callable[[SimDevice, float], list[dict[str, Any]]] = _compile_build(
            rule, by_clock=by_clock
        )

    def first(self, index: int, boot: float = 0.0) -> float | None:
        """When device `index`, which booted at `boot`, sends for the first time; None if never."""
        if self._times == 0:
            return None
        return self._start(index, boot) + self._jitter * unit(self._key, index, 0)

    def next(self, index: int, n: int, t: float, boot: float = 0.0) -> float | None:
        """When the sending after number `n` (from 0, since the boot), which was due at `t`, is;
        None if never.

        It may lie before now, if the run is late: the caller decides what is skipped.
        """
        n += 1
        if self._times is not None and n >= self._times:
            return None
        draw = unit(self._key, index, n)
        if self._gap:
            return t + self._low + self._gap * draw
        return max(t, self._start(index, boot) + n * self._low + self._jitter * draw)

    def _start(self, index: int, boot: float) -> float:
        return boot + self._after + self._low * unit(self._key, index, _PHASE)


def _compile_build(
    rule: RuleSpec, *, by_clock: bool
) -> Callable[[SimDevice, float], list[dict[str, Any]]]:
    source = Source("def build(device, now):", by_clock=by_clock)
    source.line(1, "message = None")
    if rule.where is not None:
        condition = f"not {where_source(source, rule.where)}"
        if rule.times is None:
            source.line(1, f"if {condition}: return []")
        else:
            used = uses_source(source, rule)
            source.line(1, f"if {used} >= {rule.times!r} or {condition}: return []")
            source.line(1, f"{used} += 1")
    write_set(source, 1, rule)
    names = [f"message{number}" for number in range(len(rule.send))]
    for name, template in zip(names, rule.send, strict=True):
        write_message(source, 1, name, template)
    source.line(1, f"return [{', '.join(names)}]")
    return cast(
        "Callable[[SimDevice, float], list[dict[str, Any]]]", source.compile("build", "<schedule>")
    )
