"""Which rule answers what a service receives, and with what.

The rules are tried in their order. One matches by its ``when`` and ``where``; it counts what matches, and
hits by its counts (``skip``, then ``every``, then ``first``). The first to hit answers. The counts are the
service's for the whole run, also where it is stopped meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from iotsim.errors import ExpressionError
from iotsim.match import Expression
from iotsim.northbound.content import to_bytes, to_json
from iotsim.northbound.fields import ServiceView
from iotsim.rng import key, unit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iotsim.northbound.spec import AnswerRule, NorthboundSpec, ReplySpec

STATUSES = range(200, 600)
UNANSWERED = 0
"""The status of a request that got no answer, or not the whole of it."""


class Answer(NamedTuple):
    """An answer, to be sent after `delay_s`; see `ReplySpec`. `body` None is no answer at all."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = b""
    media_type: str = ""
    cut: int | None = None
    byte_s: float = 0.0
    delay_s: float = 0.0
    rule: str = ""


class RuleError(Exception):
    """An expression of a rule failed: the scenario is wrong. The text names rule, place and reason."""


class Rules:
    """The rules of one service, and how often each has matched and hit.

    `unasked` is the answer where no rule has one.
    """

    def __init__(self, spec: NorthboundSpec, seed: int, unasked: Answer) -> None:
        self._rules = spec.rules
        self._unasked = unasked
        self._key = key(seed, "northbound", spec.name)
        self._view = ServiceView(spec.name)
        self._matched = [0] * len(spec.rules)
        self._hit = [0] * len(spec.rules)

    def answer(self, fields: Mapping[str, Any], t: float) -> Answer:
        """The answer to what came with these `fields`. RuleError if an expression fails."""
        for number, rule in enumerate(self._rules):
            try:
                if self._hits(number, rule, fields, t):
                    return self._made(number, rule, fields, t)
            except ExpressionError as error:
                name = rule.name or f"rule {number}"
                place = f" ({rule.place})" if rule.place else ""
                text = f"northbound.{self._view.name}: {name}{place}: {error}"
                raise RuleError(text) from error
        return self._unasked

    def _hits(self, number: int, rule: AnswerRule, fields: Mapping[str, Any], t: float) -> bool:
        if rule.when is not None and not rule.when.matches(fields, self._view, t):
            return False
        if rule.where is not None:
            try:
                if not rule.where.evaluate(fields, self._view, t):
                    return False
            except ExpressionError as error:
                if error.absent:
                    return False
                raise
        self._matched[number] += 1
        behind = self._matched[number] - rule.skip
        if behind <= 0 or behind % rule.every:
            return False
        if rule.first is not None and self._hit[number] >= rule.first:
            return False
        self._hit[number] += 1
        return True

    def _made(self, number: int, rule: AnswerRule, fields: Mapping[str, Any], t: float) -> Answer:
        name = rule.name or f"rule {number}"
        if rule.drop:
            return Answer(body=None, rule=name)
        delay_s = 0.0
        if rule.delay is not None:
            low_s, high_s = rule.delay.low_s, rule.delay.high_s
            delay_s = low_s + (high_s - low_s) * unit(self._key, number, self._hit[number])
        made = self._reply(rule.reply, fields, t)
        return made._replace(delay_s=delay_s, rule=name)

    def _reply(self, spec: ReplySpec, fields: Mapping[str, Any], t: float) -> Answer:
        def value(given: Any) -> Any:
            if isinstance(given, Expression):
                return given.evaluate(fields, self._view, t)
            if isinstance(given, dict):
                return {name: value(item) for name, item in given.items()}
            return [value(item) for item in given] if isinstance(given, list) else given

        status = value(spec.status)
        if isinstance(status, bool) or not isinstance(status, int) or status not in STATUSES:
            raise ExpressionError(f"{status!r} is no status from 200 to 599", "status")
        headers = tuple((name, header_text(value(text))) for name, text in spec.headers.items())
        content = value(spec.content)
        media_type = ""
        if spec.is_json:
            media_type = "application/json"
            try:
                body = to_json(content)
            except ValueError as error:
                raise ExpressionError(str(error), "json") from None
        else:
            body = to_bytes(content)
            if isinstance(content, bytes):
                media_type = "application/octet-stream"
            elif content is not None:
                media_type = "text/plain; charset=utf-8"
        return Answer(status, headers, body, media_type, spec.cut, spec.byte_s)


def header_text(value: Any) -> str:
    """A value of a header field as a text; ExpressionError if it cannot be one (RFC 9110, 5.5)."""
    text = to_bytes(value).decode("latin-1")
    if any((character < " " and character != "\t") or character == "\x7f" for character in text):
        raise ExpressionError("a header has control characters in it", text[:100])
    return text.strip(" \t")
