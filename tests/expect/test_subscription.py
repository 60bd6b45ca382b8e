"""The index finds whom a message concerns, whatever its fields hold."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.expect.transcript import READ, FakeDevice, Transcript, expectation

from iotsim.errors import ExpressionError
from iotsim.expect.judge import Judge
from iotsim.expect.slots import FleetView
from iotsim.expect.subscription import _generate
from iotsim.match import compile_match

KINDS = [f"KIND{n}" for n in range(50)]


def test_dozens_of_expectations_on_a_fleet_have_one_observer() -> None:
    run = Transcript(*(expectation("never", match={"kind": kind}) for kind in KINDS))
    assert len(run.judge.observers("meter", "receives")) == 1
    run.hear(1, 1.0, {"kind": "KIND7"})
    broken = [o.name for o in run.judge.finish(9.0).outcomes if not o.passed]
    assert len(broken) == 1
    assert run.judge.verdicts().index(False) == 7


def test_who_has_seen_enough_is_not_called_any_more_and_the_list_stays_the_same() -> None:
    names = [
        expectation("within", within_s=5.0, quantifier="any", match={"kind": kind})
        for kind in KINDS
    ]
    run = Transcript(*names)
    observers = run.judge.observers("meter", "receives")
    for kind in KINDS:
        assert len(observers) == 1
        run.hear(0, 1.0, {"kind": kind})
        run.judge.advance(1.0)
    assert observers == []
    assert run.judge.observers("meter", "receives") is observers


def test_what_was_compiled_for_those_that_are_left_is_not_compiled_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compiled: list[str] = []

    def generate(code: str, *rest: Any) -> Any:
        compiled.append(code)
        return _generate(code, *rest)

    monkeypatch.setattr("iotsim.expect.subscription._generate", generate)
    run = Transcript(
        *(expectation("within", within_s=5.0, quantifier="any", match={"kind": k}) for k in KINDS)
    )
    for kind in KINDS:
        run.hear(0, 1.0, {"kind": kind})
        assert run.judge.settled == (kind == KINDS[-1])
    assert len(compiled) < 4 * len(KINDS)


def test_nothing_that_is_expected_is_passed_by() -> None:
    for match, message in (
        ({"data": "hex:0aff"}, {"data": bytearray(b"\x0a\xff")}),  # equal, and without a hash
        ({"on": True}, {"on": 1}),
        ({"level": 1}, {"level": 1.0}),
        ({"level": 0}, {"level": -0.0}),
        ({"header.seq": 3}, {"header": {"seq": 3}}),
        ({"level": {"any": [1, 2]}}, {"level": 2}),
        ({"tags": [1, 2]}, {"tags": [1, 2]}),
        ({}, {"kind": ["no", "hash"]}),
    ):
        others = [expectation("never", match={field: "other"}) for field in ("data", "on", "kind")]
        run = Transcript(expectation("never", match=match), *others, *others)
        run.hear(0, 1.0, message)
        assert run.judge.verdicts()[0] is False, match
        assert set(run.judge.verdicts()[1:]) == {None}, match


def test_a_message_that_lacks_the_field_is_for_those_that_do_not_ask_for_it() -> None:
    run = Transcript(
        expectation("never", match={"kind": "READ"}),
        expectation("never", match={"kind": "ACK"}),
        expectation("never", match={"level": {"min": 3}}),
    )
    run.hear(0, 1.0, {"level": 4})
    assert run.judge.verdicts() == [None, None, False]


@pytest.mark.parametrize("others", [0, 5])
def test_an_expression_fails_alone_as_among_others(others: int) -> None:
    """The index must neither hide an error of an expression nor cause one."""
    first = expectation("never", match={"seq": "=1 // msg.n", "kind": "READ"})
    then = expectation("never", match={"kind": "READ", "seq": "=1 // msg.n"})
    more = [expectation("never", match={"kind": kind}) for kind in KINDS[:others]]
    for spec, errs in ((first, True), (then, False)):
        run = Transcript(spec, *more)
        run.hear(0, 1.0, {"kind": "ACK", "seq": 1, "n": 0})
        run.hear(0, 1.0, {"kind": "READ", "seq": 1})  # it lacks n: no error
        assert bool(run.judge.finish(9.0).outcomes[0].error) is errs


def test_an_expression_that_fails_is_told_as_a_near_miss() -> None:
    run = Transcript(
        expectation("within", within_s=5.0, match={"kind": "READ", "seq": "=1 // msg.n"})
    )
    run.hear(0, 1.0, {"kind": "READ", "seq": 1, "n": 0})
    outcome = run.end()
    assert "zero" in outcome.error
    assert "seq was an error" in outcome.nearest


def test_what_is_undecodable_goes_to_all_that_ask_for_it() -> None:
    specs = [
        expectation("never", match={"undecodable": True}),
        expectation("within", within_s=5.0, quantifier="any", match={"undecodable": True}),
        expectation("always", match={"undecodable": True}, always=compile_match({"version": 1})),
        expectation("never"),
    ]
    run = Transcript(*specs)
    run.judge.undecodable(FakeDevice(0), 1.0, "the checksum is wrong")
    assert run.judge.verdicts() == [False, True, False, None]


def test_an_observer_leaves_errors_of_others_alone() -> None:
    class Odd(dict[str, Any]):
        def get(self, key: str, default: Any = None) -> Any:
            raise ZeroDivisionError

    run = Transcript(expectation("never"))
    with pytest.raises(ZeroDivisionError):
        run.hear(0, 1.0, Odd())


@given(st.lists(st.sampled_from(KINDS[:5]), max_size=30), st.integers(1, 5))
def test_each_message_counts_once_for_each_that_asks(kinds: list[str], watched: int) -> None:
    specs = [
        expectation("count", count_max=100, match={"kind": kind}, quantifier="all")
        for kind in KINDS[:watched] * 2
    ]
    judge = Judge(specs, {"meter": FleetView("meter", 3)})
    for n, kind in enumerate(kinds):
        for observe in judge.observers("meter", "receives"):
            observe(FakeDevice(n % 3), {"kind": kind}, 1.0)
    counted = [item["pool"]["count"] for item in judge.export(9.0)["items"]]
    assert counted == [kinds.count(kind) for kind in KINDS[:watched] * 2]


def test_what_a_matcher_requires() -> None:
    match = {"kind": "READ", "seq": {"min": 3}, "n": 3, "a.b": 4, "x": "=msg.n", "late": 5}
    matcher = compile_match(match)
    assert matcher.equalities == {
        "kind": "READ",
        "n": 3,
    }  # what follows an expression may not count
    assert compile_match({"data": "hex:0aff", "nan": float("nan"), "on": True}).equalities == {
        "data": b"\x0a\xff",
        "on": True,
    }
    assert compile_match({"undecodable": True}).equalities == {}
    assert compile_match(READ).source_besides("kind") == ""
    assert "'n'" not in matcher.source_besides("n")


def test_the_negation_of_a_matcher() -> None:
    device = FakeDevice(0)
    negation = compile_match({"seq": "=msg.n + 1"}).negation()
    assert not negation({"seq": 3, "n": 2}, device, 0.0)
    assert negation({"seq": 3, "n": 3}, device, 0.0)
    assert negation({"seq": 3}, device, 0.0)  # it lacks a field, so it does not match
    with pytest.raises(ExpressionError):
        compile_match({"seq": "=1 // 0 + msg.n"}).negation()({"seq": 3, "n": 1}, device, 0.0)
