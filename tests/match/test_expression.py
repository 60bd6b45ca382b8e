from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from iotsim.errors import ExpressionError
from iotsim.match import Names, compile_expression


class FakeDevice:
    index = 3
    name = "meter[3]"
    address = "10.77.1.4"

    def __init__(self, **state: Any) -> None:
        self.state = state

    def signal(self, name: str, t: float) -> float:
        return {"temperature": 20.5, "load": 0.25}[name] + t


MESSAGE = {
    "kind": "READ",
    "value": 2,
    "data": b"\x0a\xff",
    "header": {"seq": 7, "flags": None},
    "points": [{"value": 1.5}, {"value": 2.5}],
}
NAMES = Names(("temperature", "load"))


def value_of(text: str, t: float = 0.0, **state: Any) -> Any:
    return compile_expression(text, NAMES).evaluate(MESSAGE, FakeDevice(**state), t)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * 3", 7),
        ("-2 ** 2", -4),
        ("7 // 2 + 7 % 2", 4),
        ("1 << 4 | 3", 19),
        ("~5 & 0xff", 250),
        ("temperature", 20.5),
        ("round(temperature * 10)", 205),
        ("msg.value + 1", 3),
        ("msg.header.seq", 7),
        ("msg.points[1].value", 2.5),
        ("msg['header']['seq']", 7),
        ("msg.points[state.n].value", 2.5),
        ("msg.data[0]", 10),
        ("msg.data[1:]", b"\xff"),
        ("hex(msg.data)", "0aff"),
        ("hex(255)", "0xff"),
        ("str(msg.data)", "0aff"),
        ("int('ff', 16)", 255),
        ("len(msg.points)", 2),
        ("min(3, 1, 2) + max([4, 5])", 6),
        ("abs(-1.5)", 1.5),
        ("float('2.5')", 2.5),
        ("device.index * 2", 6),
        ("device.name + '@' + device.address", "meter[3]@10.77.1.4"),
        ("state.n", 1),
        ("'n' in state and 'x' not in state", True),
        ("'kind' in msg", True),
        ("msg.kind in ('READ', 'WRITE')", True),
        ("1 < msg.value <= 2 < 3", True),
        ("'hot' if temperature > 20 else 'cold'", "hot"),
        ("not state.n or state.n == 1", True),
        ("[1, 2, 'x']", [1, 2, "x"]),
        ("[10, 20][state.n]", 20),
        ("'ab' * 3", "ababab"),
        ("  1  ", 1),
    ],
)
def test_values(text: str, value: Any) -> None:
    assert value_of(text, n=1) == value


def test_time_reaches_signals() -> None:
    assert value_of("t", 2.0) == 2.0
    assert value_of("temperature + load", 1.0) == pytest.approx(22.75)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "invalid syntax"),
        ("1 +", "invalid syntax"),
        ("(1", "never closed"),
        ("temprature", "unknown name 'temprature'"),
        ("msg", "'msg' alone is no value"),
        ("state", "'state' alone is no value"),
        ("min", "'min' is a function"),
        ("__import__('os')", "'__import__' is no function here"),
        ("open('x')", "'open' is no function here"),
        ("().__class__", "only msg, request, state and device have attributes"),
        ("'a'.join", "only msg, request, state and device have attributes"),
        ("msg.__class__", "private"),
        ("state._x", "private"),
        ("device.state", "a device has no 'state'"),
        ("device.fleet.spec", "only msg, request, state and device"),
        ("msg.value.bit_length()", "only functions can be called"),
        ("lambda: 1", "lambda is not allowed"),
        ("[x for x in (1, 2)]", "a comprehension is not allowed"),
        ("{x for x in (1, 2)}", "a comprehension is not allowed"),
        ("(x := 1)", "':=' is not allowed"),
        ("f'{t}'", "an f-string is not allowed"),
        ("{1: 2}", "a dictionary is not allowed"),
        ("{1}", "a set is not allowed"),
        ("[*msg.points]", r"'\*' is not allowed"),
        ("await t", "await is not allowed"),
        ("1 is 1", "'is'|\"is\""),
        ("t is None", "'is' is not allowed"),
        ("1j", "the literal 1j"),
        ("...", "the literal Ellipsis"),
        ("1 @ 2", "the operator @"),
        ("min(1, key=2)", "no keyword arguments"),
        ("len()", "takes 1 arguments, not 0"),
        ("round(1, 2, 3)", "takes 1 to 2 arguments"),
        ("'\\d'", "invalid escape"),
        ("1; 2", "invalid syntax"),
        ("x = 1", "invalid syntax|cannot assign"),
        ("1[0]", "'int' object is not subscriptable"),
        ("1\x00", "zero byte"),
        ("-" * 900 + "1", "nested too deeply"),
        ("(" * 300 + "1" + ")" * 300, "too many nested|nested too deeply"),
        ("+".join("1" * 480), "nested too deeply"),
        ("msg" + ".a" * 100, "nested too deeply"),
        ("1" * 2000, "longer than 1000"),
        ("1/0", "division by zero"),
        ("9" * 300 + ".0 ** 2", "out of range"),
    ],
)
def test_what_does_not_compile(text: str, said: str) -> None:
    with pytest.raises(ExpressionError, match=said):
        compile_expression(text, NAMES)


def test_names_that_were_probably_meant() -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_expression("temprature + 1", NAMES)
    assert caught.value.hint == "did you mean 'temperature'?"


def test_without_a_message_there_is_no_msg() -> None:
    with pytest.raises(ExpressionError, match="there is no message here"):
        compile_expression("msg.value", has_message=False)
    assert compile_expression("t + 1", has_message=False).evaluate(None, FakeDevice(), 1) == 2


@pytest.mark.parametrize(
    "text",
    [
        "2 ** state.big",
        "state.word * 10 ** 9",
        "10 ** 9 * state.word",
        "[0] * 10 ** 9",
        "1 << state.big",
        "round(5, -state.big)",
        "'%999999999d' % state.n",
        "state.long + state.long",
        "state.n - -state.huge * state.huge",
        "state.huge + state.huge",
        "[msg.points]",
        "[[state.n]]",
    ],
)
def test_results_are_bounded(text: str) -> None:
    began = time.monotonic()
    with pytest.raises(ExpressionError):
        value_of(text, big=10**9, word="ab", n=1, long="x" * 40_000, huge=(1 << 4096) - 1)
    assert time.monotonic() - began < 1


def test_a_result_fed_back_stays_bounded() -> None:
    for text, start in (("state.x + state.x", "a"), ("state.x * state.x", 3), ("[state.x]", 1)):
        expression = compile_expression(text)
        device = FakeDevice(x=start)

        def feed(device: FakeDevice = device, expression: Any = expression) -> None:
            for _ in range(100):
                device.state["x"] = expression.evaluate({}, device, 0.0)

        with pytest.raises(ExpressionError, match=r"too l|cannot hold"):
            feed()


@pytest.mark.parametrize(
    ("text", "reason", "absent"),
    [
        ("msg.nope + 1", "the message has no field 'nope'", "nope"),
        ("msg.header.nope", "the message has no field 'header.nope'", "header.nope"),
        ("msg.value.deep", "the message has no field 'value.deep'", "value.deep"),
        ("msg.header.flags + 1", "the message has no field 'header.flags'", "header.flags"),
        ("msg.points[9].value", "the message has no field 'points.9'", "points.9"),
        ("state.nope", "the state has no 'nope'", ""),
        ("msg.kind + 1", "can only concatenate str|unsupported operand", ""),
        ("str(t) + 1", "can only concatenate str", ""),
        ("1 / (t - t)", "division by zero", ""),
    ],
)
def test_failures_name_what_is_missing(text: str, reason: str, absent: str) -> None:
    with pytest.raises(ExpressionError, match=reason) as caught:
        value_of(text)
    assert caught.value.absent == absent
    assert caught.value.text == text


def test_constants_and_fields_are_known() -> None:
    assert compile_expression("1 + 2").constant
    assert not compile_expression("t").constant
    assert compile_expression("msg.a.b + msg.c + state.d").fields == ("a.b", "c")
    first = compile_expression("[1]")
    assert first.evaluate(None, FakeDevice(), 0) is not first.evaluate(None, FakeDevice(), 0)


WORDS = [
    *("msg", "state", "device", "t", "temperature", ".value", ".index", "__class__", "._x"),
    *("(", ")", "[", "]", "{", "}", ",", ":", "**", "*", "<<", "+", "-", "%", "in", "not", "is"),
    *("lambda", "for", "if", "else", "1", "10**9", "'a'", "b'x'", "len", "str", "open", "eval"),
    *("__import__", "'os'", ".system", "print", "yield", "await", ":=", "=", "\n", "9" * 30, "1e9"),
]


@settings(max_examples=150)
@given(st.text(max_size=40) | st.lists(st.sampled_from(WORDS), max_size=14).map(" ".join))
@example("__import__('os').system('x')")
def test_any_text_is_an_expression_or_an_error(text: str) -> None:
    try:
        expression = compile_expression(text, NAMES)
        expression.evaluate(MESSAGE, FakeDevice(n=1), 1.0)
    except ExpressionError as error:
        assert str(error)  # noqa: PT017


def test_state_that_is_not_there_is_an_error_where_it_is_known_what_there_is() -> None:
    known = Names(state={"reads", "level"})
    assert compile_expression("state.reads + 1", known).evaluate(None, FakeDevice(reads=1), 0) == 2
    assert compile_expression("'seen' in state", known).evaluate(None, FakeDevice(), 0) is False
    for text in ("state.raeds", "1 + state['raeds']", "state.raeds[0].x", "[state.raeds]"):
        with pytest.raises(ExpressionError, match="the state has no 'raeds'") as caught:
            compile_expression(text, known)
        assert caught.value.hint == "did you mean 'reads'?"
    assert compile_expression("state.raeds", Names()).constant is False


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("msg.kind ==", 12),
        ("mgs.kind == 1", 1),
        ("msg.kind = 1", 10),
        ('"é" == foo', 8),
        ("1 + (2\n + bar)", 11),
        ("'\x85' + bar", 7),
        ("msg.a == 1 and len(1, 2)", 16),
        ("[x for x in msg.a]", 1),
        ("1 + msg._x", 5),
    ],
)
def test_what_is_wrong_has_a_place(text: str, column: int) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_expression(text)
    assert caught.value.column == column
