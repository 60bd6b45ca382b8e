from typing import Any

import pytest
from construct import len_, list_, max_, obj_, this

from iotsim.protocol.generate.expressions import evaluate
from iotsim.protocol.generate.source import Scope, UnsupportedError, Value, literal

INNER = Scope(fields={"n": Value("inner_n"), "list": Value("items")})
OUTER = Scope(fields={"a": Value("a_"), "k": literal(3), "s": Value("", scope=INNER)})
INNER.parent = OUTER
BUILDING = Scope(source="message", fields={"done": Value("done")}, allowed=frozenset({"later"}))


@pytest.mark.parametrize(
    ("expression", "scope", "source"),
    [
        (7, OUTER, "7"),
        (this.a, OUTER, "a_"),
        (this.s.n, OUTER, "inner_n"),
        (this._.a, INNER, "a_"),
        (this.list[0].x, INNER, "items[0]['x']"),
        (this.a + 1, OUTER, "(a_ + 1)"),
        (2 * this.a - this.s.n // 3, OUTER, "((2 * a_) - (inner_n // 3))"),
        (-this.a, OUTER, "(-a_)"),
        (~(this.a == "X"), OUTER, "(not (a_ == 'X'))"),
        ((this.a > 1) & (this.a <= 5), OUTER, "((a_ > 1) & (a_ <= 5))"),
        (len_(this.s.list), OUTER, "len(items)"),
        (max_(this.s.list), OUTER, "max(items)"),
        (this.done, BUILDING, "done"),
        (this.later, BUILDING, "message['later']"),
    ],
)
def test_source(expression: Any, scope: Scope, source: str) -> None:
    assert evaluate(expression, scope).source == source


def test_what_is_known_is_computed_at_once() -> None:
    value = evaluate((this.k + 1) * 2 == 8, OUTER)
    assert (value.known, value.constant) == (True, True)


@pytest.mark.parametrize(
    "expression",
    [
        lambda context: 1,
        this.nope,
        this._._.a,
        this._io,
        this.s,
        obj_.a,
        list_[0],
        len_,
        this.k / 0,
        float("nan"),
    ],
)
def test_what_cannot_be_translated(expression: Any) -> None:
    with pytest.raises(UnsupportedError):
        evaluate(expression, OUTER)


def test_a_field_that_is_not_allowed_is_not_looked_up() -> None:
    with pytest.raises(UnsupportedError):
        evaluate(this.other, BUILDING)
