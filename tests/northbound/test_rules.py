"""Which rule answers, and with what."""

from __future__ import annotations

from typing import Any

import pytest

from iotsim.match import Names, compile_expression, compile_match
from iotsim.northbound.fields import SCHEMAS
from iotsim.northbound.rules import Answer, RuleError, Rules
from iotsim.northbound.spec import AnswerRule, NorthboundSpec, ReplySpec
from iotsim.units import DurationRange

NAMES = Names(state=())
UNASKED = Answer(204)


def rules(*specs: AnswerRule, seed: int = 1) -> Rules:
    return Rules(NorthboundSpec("cloud", "http", rules=specs), seed, UNASKED)


def when(**fields: Any) -> Any:
    return compile_match(fields, SCHEMAS["http"], NAMES)


def formula(text: str) -> Any:
    return compile_expression(text, NAMES, schema=SCHEMAS["http"])


def statuses(made: Rules, count: int, **fields: Any) -> list[int]:
    return [made.answer({"method": "GET", "path": "/", **fields}, 0.0).status for _ in range(count)]


def test_the_first_that_matches_answers() -> None:
    made = rules(
        AnswerRule(when=when(method="POST"), reply=ReplySpec(201)),
        AnswerRule(when=when(path={"regex": "^/a"}), reply=ReplySpec(404)),
        AnswerRule(where=formula("msg.path == '/b'"), reply=ReplySpec(409)),
    )
    assert statuses(made, 1, method="POST", path="/a") == [201]
    assert statuses(made, 1, path="/a") == [404]
    assert statuses(made, 1, path="/b") == [409]
    assert statuses(made, 1, path="/c") == [204]


@pytest.mark.parametrize(
    ("counts", "hit"),
    [
        ({"first": 2}, "xx........"),
        ({"skip": 3}, "...xxxxxxx"),
        ({"every": 3}, "..x..x..x."),
        ({"skip": 1, "every": 3}, "...x..x..x"),
        ({"skip": 1, "every": 2, "first": 2}, "..x.x....."),
    ],
)
def test_counts_are_skip_then_every_then_first(counts: dict[str, int], hit: str) -> None:
    made = rules(AnswerRule(reply=ReplySpec(503), **counts))  # type: ignore[arg-type]
    assert statuses(made, len(hit)) == [503 if one == "x" else 204 for one in hit]


def test_what_a_rule_does_not_match_it_does_not_count() -> None:
    made = rules(AnswerRule(when=when(method="POST"), reply=ReplySpec(503), first=1))
    assert statuses(made, 3) == [204] * 3
    assert statuses(made, 2, method="POST") == [503, 204]


def test_what_a_rule_does_not_hit_goes_on_to_the_next() -> None:
    made = rules(AnswerRule(reply=ReplySpec(503), first=1), AnswerRule(reply=ReplySpec(202)))
    assert statuses(made, 3) == [503, 202, 202]


def test_an_absent_field_does_not_match() -> None:
    made = rules(
        AnswerRule(where=formula("msg.json.value > 3"), reply=ReplySpec(400)),
        AnswerRule(when=when(json={"value": {"min": 1}}), reply=ReplySpec(401)),
    )
    assert statuses(made, 1) == [204]
    assert statuses(made, 1, json={"value": 5}) == [400]
    assert statuses(made, 1, json={"value": 2}) == [401]
    assert statuses(made, 1, json=[1]) == [204]


def test_an_answer_is_made_of_the_request() -> None:
    reply = ReplySpec(
        status=formula("200 + msg.json.n"),
        headers={"x-path": formula("msg.path"), "x": "y"},
        content={"n": [formula("msg.json.n"), 2], "raw": b"\x0a"},
        is_json=True,
    )
    made = rules(AnswerRule(name="mirror", reply=reply))
    answer = made.answer({"path": "/p", "json": {"n": 7}}, 0.0)
    assert answer == Answer(
        207, (("x-path", "/p"), ("x", "y")), b'{"n":[7,2],"raw":"hex:0a"}', "application/json",
        rule="mirror",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("content", "body", "media_type"),
    [
        ("ä", "ä".encode(), "text/plain; charset=utf-8"),
        (b"\xff", b"\xff", "application/octet-stream"),
        (None, b"", ""),
        (5, b"5", "text/plain; charset=utf-8"),
        (True, b"true", "text/plain; charset=utf-8"),
    ],
)
def test_bodies_have_their_media_types(content: Any, body: bytes, media_type: str) -> None:
    answer = rules(AnswerRule(reply=ReplySpec(content=content))).answer({}, 0.0)
    assert (answer.body, answer.media_type) == (body, media_type)


def test_delays_are_drawn_from_a_stream_of_their_own() -> None:
    spec = AnswerRule(delay=DurationRange(1.0, 2.0))

    def delays(*specs: AnswerRule, seed: int = 1) -> list[float]:
        made = rules(*specs, seed=seed)
        return [made.answer({"method": "GET"}, 0.0).delay_s for _ in range(5)]

    drawn = delays(spec)
    assert all(1.0 <= one < 2.0 for one in drawn)
    assert len(set(drawn)) == 5
    assert drawn == delays(spec)
    assert drawn != delays(spec, seed=2)


def test_dropped_is_no_answer_at_all() -> None:
    assert rules(AnswerRule(drop=True)).answer({}, 0.0).body is None


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (ReplySpec(status=formula("msg.json.n")), "99 is no status from 200 to 599"),
        (ReplySpec(content=formula("msg.json.x")), "no field 'json.x'"),
        (ReplySpec(headers={"a": formula("msg.body")}), "control characters"),
    ],
)
def test_an_expression_that_fails_names_its_rule(reply: ReplySpec, reason: str) -> None:
    made = rules(AnswerRule(name="odd", reply=reply, place="s.toml:7"))
    with pytest.raises(RuleError) as caught:
        made.answer({"json": {"n": 99}, "body": "a\nb"}, 0.0)
    assert str(caught.value).startswith("northbound.cloud: odd (s.toml:7): ")
    assert reason in str(caught.value)
