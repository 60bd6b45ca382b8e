"""Rules, compiled: the ordered rules of one service of a fleet become one Python function.

For each message the function tries the rules in order. A rule applies if its time has come
(``after``), it is not used up for this device (``times``), the message matches (``when``) and the
condition holds (``where``), looked at in this order. The first that applies decides, then:

1. ``set`` is evaluated, all of it on the state as it was, and then stored;
2. the replies are built from the new state;
3. ``delay`` is drawn, from the device's own stream: its n-th message has the same delay in each run
   with this seed, whatever other devices do. All replies of the rule wait for the same delay.

Everything happens when the message arrives; only the sending is postponed. What is written for
``when = { kind = "READ" }``, ``reply = { kind = "REPORT", value = "=temperature" }`` and
``delay = "5ms..20ms"`` is::

    def respond(device, message, now):
        device.received += 1
        if matches1(message, device, now):
            reply0 = {'kind': 'REPORT', 'value': expression2(message, device, now)}
            if 'seq' in message: reply0['seq'] = message['seq']
            delay = 0.005 + 0.015 * unit4(3519..., device.index, device.received)
            return [Reply5(delay, reply0)]
        return otherwise6(device, message, now)

Matching is done by the matcher's own compiled function.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from iotsim.device.explain import is_plain, rule_text
from iotsim.device.reaction import DROPPED, NO_REPLY, Reply, Responder, no_rule
from iotsim.device.template import Source, value_source, write_message
from iotsim.errors import ExpressionError
from iotsim.rng import unit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from iotsim.device.spec import RuleSpec
    from iotsim.match import DeviceView, Expression


def compile_responder(
    rules: Sequence[RuleSpec],
    echo: Sequence[str] = (),
    *,
    key: int = 0,
    otherwise: Responder = no_rule,
    by_clock: bool = False,
) -> Responder:
    """The responder for `rules`, which all belong to one service and have no ``send``.

    `echo` are the fields that replies take from the request. `key` is the stream of the delays.
    Messages to which no rule applies go to `otherwise`. `by_clock` is as in `Source`.
    """
    source = Source("def respond(device, message, now):", by_clock=by_clock)
    source.line(1, "device.received += 1")
    for rule in rules:
        source.mark(rule_text(rule))
        _write_rule(source, rule, echo, key)
    source.mark("")
    source.line(1, f"return {source.refer('otherwise', otherwise)}(device, message, now)")
    return cast("Responder", source.compile("respond", "<rules>"))


def _write_rule(
    source: Source,
    rule: RuleSpec,
    echo: Sequence[str],
    key: int,
) -> None:
    conditions = []
    if rule.after:
        conditions.append(f"now >= device.booted_at + {rule.after!r}")
    used = ""
    if rule.times is not None:
        used = uses_source(source, rule)
        conditions.append(f"{used} < {rule.times!r}")
    if rule.when is not None:
        conditions.append(f"{source.refer('matches', rule.when.matches)}{source.evaluated}")
    if rule.where is not None:
        conditions.append(where_source(source, rule.where))
    source.line(1, f"if {' and '.join(conditions) or 'True'}:")
    if used:
        source.line(2, f"{used} += 1")
    write_set(source, 2, rule)
    if rule.drop:
        source.line(2, f"return {source.refer('outcome', DROPPED)}")
    elif not rule.reply:
        source.line(2, f"return {source.refer('outcome', NO_REPLY)}")
    else:
        _write_replies(source, rule, echo, key)


def where_source(source: Source, where: Expression) -> str:
    """A Python expression for whether `where` holds; it does not if the message lacks a field."""
    evaluate = where.evaluate

    def holds(message: Mapping[str, Any] | None, device: DeviceView, now: float) -> Any:
        try:
            return evaluate(message, device, now)
        except ExpressionError as error:
            if error.absent:
                return False
            raise

    return f"{source.refer('holds', holds)}{source.evaluated}"


def uses_source(source: Source, rule: RuleSpec) -> str:
    """A Python expression for how often the device has used `rule` since its boot."""
    return f"device.epoch.uses[{source.refer('rule', rule)}]"


def write_set(source: Source, indent: int, rule: RuleSpec) -> None:
    """Write the lines that evaluate ``set`` and then store it."""
    for number, value in enumerate(rule.set.values()):
        source.line(indent, f"value{number} = {value_source(source, value)}")
    if rule.set:
        source.line(indent, "state = device.state")
    for number, name in enumerate(rule.set):
        source.line(indent, f"state[{name!r}] = value{number}")


def _write_replies(source: Source, rule: RuleSpec, echo: Sequence[str], key: int) -> None:
    names = [f"reply{number}" for number in range(len(rule.reply))]
    for name, template in zip(names, rule.reply, strict=True):
        write_message(source, 2, name, template, echo)
    delay = "0.0"
    if rule.delay is not None:
        low, span = float(rule.delay.low_s), rule.delay.high_s - rule.delay.low_s
        delay = repr(low)
        if span:
            draw = f"{source.refer('unit', unit)}({key!r}, device.index, device.received)"
            source.line(2, f"delay = {low!r} + {span!r} * {draw}")
            delay = "delay"
    who = rule_text(rule)
    if delay == "0.0" and len(names) == 1:
        if not is_plain(rule):
            source.line(2, f"device.fleet.answered = device, device.received, {who!r}")
        source.line(2, f"return {names[0]}")
    else:
        reply = source.refer("Reply", Reply)
        replies = ", ".join(f"{reply}({delay}, {name}, {who!r})" for name in names)
        source.line(2, f"return [{replies}]")
