from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iotsim.device import DROPPED, NO_REPLY, NO_RULE, Fleet, Reply
from iotsim.errors import ExpressionError, ScenarioError


def ask(fleet: Fleet, message: dict[str, Any], index: int = 0, now: float = 0.0) -> Any:
    return fleet.responders[0](fleet.device(index), message, now)


READ = {"kind": "READ", "seq": 7}


def test_a_reply_takes_echoed_fields_from_the_request(build: Any) -> None:
    fleet = build.fleet([{"when": {"kind": "READ"}, "reply": {"kind": "REPORT", "value": 1.5}}])
    assert ask(fleet, READ) == {"kind": "REPORT", "value": 1.5, "seq": 7}
    assert ask(fleet, {"kind": "READ"}) == {"kind": "REPORT", "value": 1.5}
    assert ask(fleet, {"kind": "ACK"}) is NO_RULE


def test_the_template_wins_over_the_echo(build: Any) -> None:
    fleet = build.fleet([{"reply": {"seq": 99}}])
    assert ask(fleet, READ) == {"seq": 99}


def test_echoed_fields_may_be_nested(build: Any) -> None:
    fleet = build.fleet([{"reply": {"head": {"code": 2}}}], echo=["head.id", "head.code", "x.y"])
    request = {"head": {"id": 5, "code": 1}, "x": 3}
    assert ask(fleet, request) == {"head": {"code": 2, "id": 5}}
    assert ask(build.fleet([{"reply": {}}], echo=["a.b"]), {"a": {"b": 1}}) == {"a": {"b": 1}}


def test_expressions_see_message_state_signals_device_and_time(build: Any) -> None:
    reply = {
        "a": "=msg.seq + 1",
        "b": ["=state.n", {"c": "=temperature"}],
        "d": "=device.name",
        "e": "=device.address",
        "f": "=t",
        "g": b"\x00\xff",
        "h": 2.5,
    }
    fleet = build.fleet(
        [{"reply": reply}],
        state={"n": 4},
        signals={"temperature": build.signal("constant", value=20.0)},
    )
    assert ask(fleet, READ, index=3, now=9.0) == {
        "a": 8,
        "b": [4, {"c": 20.0}],
        "d": "meter[3]",
        "e": "10.77.1.4",
        "f": 9.0,
        "g": b"\x00\xff",
        "h": 2.5,
        "seq": 7,
    }


def test_the_first_rule_that_matches_decides(build: Any) -> None:
    fleet = build.fleet(
        [
            {"when": {"kind": "READ"}, "where": "=msg.seq > 5", "reply": {"rule": 1}},
            {"when": {"kind": "READ"}, "reply": {"rule": 2}},
            {"reply": {"rule": 3}},
        ],
        echo=(),
    )
    assert ask(fleet, {"kind": "READ", "seq": 9}) == {"rule": 1}
    assert ask(fleet, {"kind": "READ", "seq": 1}) == {"rule": 2}
    assert ask(fleet, {"kind": "OTHER"}) == {"rule": 3}


def test_a_condition_on_an_absent_field_does_not_hold(build: Any) -> None:
    fleet = build.fleet([{"where": "=msg.value > 5", "reply": {}}])
    assert ask(fleet, READ) is NO_RULE


def test_an_expression_that_fails_raises(build: Any) -> None:
    fleet = build.fleet([{"reply": {"value": "=1 / state.n"}}], state={"n": 0})
    with pytest.raises(ExpressionError, match="division by zero"):
        ask(fleet, READ)


def test_state_is_set_before_the_reply_and_all_at_once(build: Any) -> None:
    fleet = build.fleet(
        [
            {
                "set": {"a": "=state.b", "b": "=state.a", "n": "=state.n + 1"},
                "reply": {"n": "=state.n"},
            }
        ],
        state={"a": 1, "b": 2, "n": 0},
        echo=(),
    )
    assert ask(fleet, READ) == {"n": 1}
    assert ask(fleet, READ) == {"n": 2}
    assert fleet.device(0).state == {"a": 1, "b": 2, "n": 2}
    assert fleet.device(1).state == {"a": 1, "b": 2, "n": 0}


def test_a_rule_may_answer_nothing_or_swallow(build: Any) -> None:
    fleet = build.fleet(
        [{"when": {"kind": "SET"}, "set": {"x": 1}}, {"when": {"kind": "READ"}, "drop": True}]
    )
    assert ask(fleet, {"kind": "SET"}) is NO_REPLY
    assert fleet.device(0).state == {"x": 1}
    assert ask(fleet, READ) is DROPPED


def test_times_counts_for_each_device(build: Any) -> None:
    fleet = build.fleet(
        [{"when": {"kind": "READ"}, "times": 2, "drop": True}, {"reply": {"ok": 1}}], echo=()
    )
    assert ask(fleet, {"kind": "OTHER"}) == {"ok": 1}
    assert [ask(fleet, READ) for _ in range(3)] == [DROPPED, DROPPED, {"ok": 1}]
    assert ask(fleet, READ, index=1) is DROPPED


def test_after_counts_from_the_boot_of_the_device(build: Any) -> None:
    rules = [{"after": 5.0, "reply": {}}]
    assert ask(build.fleet(rules), {}, now=4.9) is NO_RULE
    assert ask(build.fleet(rules), {}, now=5.0) == {}
    later = build.fleet(rules, ramp_s=10.0)  # meter[5] boots at 5 s
    assert ask(later, {}, index=5, now=9.9) is NO_RULE
    assert ask(later, {}, index=5, now=10.0) == {}


def test_several_replies_and_delays(build: Any) -> None:
    several = build.fleet([{"reply": [{"a": 1}, {"a": 2}]}])
    assert ask(several, READ) == [
        Reply(0.0, {"a": 1, "seq": 7}, "rule"),
        Reply(0.0, {"a": 2, "seq": 7}, "rule"),
    ]
    fixed = build.fleet([{"reply": {"a": 1}, "delay": 0.25}], echo=())
    assert ask(fixed, READ) == [Reply(0.25, {"a": 1}, "rule")]


def test_delays_are_drawn_from_the_devices_own_stream(build: Any) -> None:
    def delays(index: int, *, seed: int = 1, count: int = 10, others: int = 0) -> list[float]:
        fleet = build.fleet([{"reply": [{}, {}], "delay": (0.005, 0.02)}], count=count, seed=seed)
        found = []
        for _ in range(20):
            for other in range(others):
                ask(fleet, READ, index=other)
            first, second = ask(fleet, READ, index=index)
            assert first.delay_s == second.delay_s
            found.append(first.delay_s)
        return found

    assert all(0.005 <= delay < 0.02 for delay in delays(3))
    assert len(set(delays(3))) == 20
    assert delays(3) == delays(3, count=99, others=3)
    assert delays(3) != delays(4)
    assert delays(3) != delays(3, seed=2)


def test_each_service_has_its_own_rules(build: Any) -> None:
    fleet = build.fleet(
        [{"reply": {"s": 0}}, {"service": 1, "reply": {"s": 1}}], services=2, echo=()
    )
    device = fleet.device(0)
    assert [respond(device, {}, 0.0) for respond in fleet.responders] == [{"s": 0}, {"s": 1}]


def test_replies_share_nothing(build: Any) -> None:
    fleet = build.fleet([{"reply": {"list": [1, 2], "nested": {"a": {}}}, "set": {"s": [1]}}])
    first = ask(fleet, READ)
    first["list"].append(3)
    first["nested"]["a"]["b"] = 1
    fleet.device(0).state["s"].append(2)
    assert ask(fleet, READ) == {"list": [1, 2], "nested": {"a": {}}, "seq": 7}
    assert fleet.device(0).state == {"s": [1]}


@settings(max_examples=60, deadline=None)
@given(
    fields=st.dictionaries(
        st.text(max_size=8),
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers()
            | st.floats(allow_nan=False)
            | st.text()
            | st.binary(),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.text(max_size=5), inner, max_size=3)
            ),
            max_leaves=8,
        ),
        max_size=5,
    )
)
def test_any_constant_message_is_built_as_it_stands(fields: dict[str, Any]) -> None:
    from iotsim.device.rules import compile_responder
    from iotsim.device.spec import FleetSpec, MessageTemplate, RuleSpec

    rule = RuleSpec(reply=(MessageTemplate(fields),))
    device = Fleet(FleetSpec("m", 1), 1).device(0)
    assert compile_responder([rule])(device, {}, 0.0) == fields


def test_messages_nested_too_deeply_are_refused(build: Any) -> None:
    fields: dict[str, Any] = {}
    for _ in range(200):
        fields = {"a": fields}
    with pytest.raises(ScenarioError, match="nested too deeply"):
        build.fleet([{"reply": fields}])


# Against a naive reference: rules as data, interpreted one after the other.

VALUES = st.integers(0, 2)
RULES = st.fixed_dictionaries(
    {},
    optional={
        "when": st.fixed_dictionaries({}, optional={"a": VALUES, "b": VALUES}),
        "where": st.tuples(st.sampled_from(["msg.a", "state.n", "t"]), VALUES),
        "times": st.integers(0, 3),
        "after": st.sampled_from([1.0, 4.0]),
        "drop": st.just(True),
        "reply": st.lists(
            st.dictionaries(st.sampled_from("ab"), VALUES | st.just("=state.n")),
            min_size=1,
            max_size=2,
        ),
        "set": st.just({"n": "=state.n + msg.a"}),
        "delay": st.just(0.5),
    },
)
MESSAGES = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.fixed_dictionaries({"a": VALUES}, optional={"b": VALUES, "seq": VALUES}),
    ),
    max_size=12,
)


class Reference:
    """What the documentation says, with no regard to speed."""

    def __init__(self, rules: list[dict[str, Any]]) -> None:
        self.rules = rules
        self.state = [{"n": 0}, {"n": 0}]
        self.used: dict[tuple[int, int], int] = {}

    def applies(self, number: int, index: int, message: dict[str, Any], now: float) -> bool:
        rule = self.rules[number]
        if now < rule.get("after", 0.0):
            return False
        if "times" in rule and self.used.get((number, index), 0) >= rule["times"]:
            return False
        for name, value in rule.get("when", {}).items():
            if name not in message or message[name] != value:
                return False
        if "where" in rule:
            name, least = rule["where"]
            values = {"msg.a": message["a"], "state.n": self.state[index]["n"], "t": now}
            return bool(values[name] >= least)
        return True

    def react(self, index: int, message: dict[str, Any], now: float) -> Any:
        for number, rule in enumerate(self.rules):
            if not self.applies(number, index, message, now):
                continue
            self.used[number, index] = self.used.get((number, index), 0) + 1
            state = self.state[index]
            if "set" in rule:
                state["n"] += message["a"]
            if "drop" in rule:
                return DROPPED
            replies = []
            for template in rule.get("reply", []):
                reply = {k: state["n"] if v == "=state.n" else v for k, v in template.items()}
                if "seq" in message:
                    reply.setdefault("seq", message["seq"])
                replies.append(reply)
            if not replies:
                return NO_REPLY
            if len(replies) == 1 and "delay" not in rule:
                return replies[0]
            return [Reply(rule.get("delay", 0.0), reply, "rule") for reply in replies]
        return NO_RULE


@settings(max_examples=150, deadline=None)
@given(rules=st.lists(RULES, max_size=4), messages=MESSAGES)
def test_compiled_rules_agree_with_the_reference(
    build: Any, rules: list[dict[str, Any]], messages: list[tuple[int, dict[str, Any]]]
) -> None:
    written = [
        {**rule, "where": f"={rule['where'][0]} >= {rule['where'][1]}"} if "where" in rule else rule
        for rule in rules
    ]
    fleet = build.fleet(written, count=2, state={"n": 0})
    reference = Reference(rules)
    for now, (index, message) in enumerate(messages):
        expected = reference.react(index, message, float(now))
        assert ask(fleet, message, index, float(now)) == expected
        assert fleet.device(index).state == reference.state[index]
