"""Schemas as public projects write them, in ``ported/``: the law holds for them, and all is within reach.

Each is a protocol file with golden vectors, made by hand from the format's description. ``site.toml`` has a
device of each, with rules and expectations as people would write them.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import keyword
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from iotsim import DecodeError
from iotsim.errors import ExpressionError, ScenarioError
from iotsim.match import Names, compile_expression, compile_match
from iotsim.protocol.codec import Codec
from iotsim.protocol.examine import check
from iotsim.protocol.interpreted import normalize
from iotsim.protocol.registry import LoadedProtocol, load_protocol
from iotsim.scenario import load_scenario, load_text
from iotsim.testing import simulated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trio.testing import MockClock

FOLDER = Path(__file__).parent / "ported"
NAMES = sorted(path.stem for path in FOLDER.glob("*.py"))
REFUSED = "refused"


class Case(NamedTuple):
    """A golden vector: the bytes, the message that they decode to, and the bytes that this is sent as."""

    loaded: LoadedProtocol
    data: bytes
    message: dict[str, Any]
    written: bytes


def load(name: str) -> LoadedProtocol:
    return load_protocol(name, [FOLDER])


def cases() -> list[Any]:
    found = []
    for name in NAMES:
        loaded = load(name)
        for index, vector in enumerate(loaded.vectors):
            message = loaded.protocol.codec.decode(vector.data)
            written = vector.data
            if vector.decodes_only:
                written = loaded.protocol.message.build(loaded.protocol.message.parse(vector.data))
            case = Case(loaded, vector.data, message, written)
            found.append(pytest.param(case, id=f"{name}-{index}"))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_its_file_is_right(name: str) -> None:
    assert check(load(name)) == []


# ------------------------------------------------------------------------------ the law


def outcome(function: Callable[[Any], Any], argument: Any) -> Any:
    try:
        return function(argument)
    except Exception:
        return REFUSED


def damaged(data: bytes) -> Iterator[bytes]:
    """`data`, what is left of it when it is cut, and with each byte changed."""
    yield data
    yield data + b"\x00"
    for place in range(len(data)):
        yield data[:place]
        for bits in (0x01, 0x80, 0xFF):
            yield data[:place] + bytes([data[place] ^ bits]) + data[place + 1 :]


@pytest.mark.parametrize("name", NAMES)
def test_bytes_and_values_are_those_of_construct(name: str) -> None:
    loaded = load(name)
    schema = loaded.protocol.message
    codec = Codec(schema, strict=False)
    for data in (data for vector in loaded.vectors for data in damaged(vector.data)):
        parsed = outcome(schema.parse, data)
        expected = parsed if parsed is REFUSED else normalize(parsed)
        message = outcome(codec.decode, data)
        assert repr(message) == repr(expected), data.hex()
        if parsed is not REFUSED:
            built = outcome(schema.build, parsed)
            assert outcome(codec.encode, message) == built, data.hex()


@pytest.mark.parametrize("name", NAMES)
def test_a_strict_protocol_refuses_more_and_changes_nothing(name: str) -> None:
    loaded = load(name)
    strict, lenient = loaded.protocol.codec, Codec(loaded.protocol.message, strict=False)
    for data in (data for vector in loaded.vectors for data in damaged(vector.data)):
        message = outcome(strict.decode, data)
        if message is not REFUSED:
            assert repr(message) == repr(lenient.decode(data)), data.hex()
        elif outcome(lenient.decode, data) is not REFUSED:
            with pytest.raises(DecodeError, match=r"left over|there is no case for"):
                strict.decode(data)


# ------------------------------------------------------------------------------ within reach


class Place(NamedTuple):
    """A value in a message: its path as a match writes it, as an expression does, and its steps."""

    key: str
    expression: str
    steps: tuple[str | int, ...]
    value: Any


def places(value: Any, key: str = "", expression: str = "msg", steps: Any = ()) -> Iterator[Place]:
    """All that is in a message, at any depth; what is not there is left out."""
    if steps and value is not None:
        yield Place(key, expression, steps, value)
    if isinstance(value, dict):
        for name, inner in value.items():
            below = f"{key}.{name}" if key else name
            # A name that is a word of Python's is written as a subscript.
            taken = keyword.iskeyword(name)
            attribute = f'{expression}["{name}"]' if taken else f"{expression}.{name}"
            yield from places(inner, below, attribute, (*steps, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from places(inner, f"{key}[{index}]", f"{expression}[{index}]", (*steps, index))


def literal(value: Any) -> Any:
    """`value` as a scenario writes it, by its usual text where it has no literal of its own."""
    if isinstance(value, dict):
        return {name: literal(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [literal(inner) for inner in value]
    if value is None:
        return "=None"
    if isinstance(value, bytes):
        return "hex:" + value.hex()
    if isinstance(value, dt.datetime):
        return value.isoformat()
    if isinstance(value, ipaddress.IPv4Address | ipaddress.IPv6Address):
        return str(value)
    assert isinstance(value, str | bool | int | float)
    return value


def conditions(place: Place) -> Iterator[tuple[Any, bool]]:
    """What a match may ask of a value, and whether the value is so."""
    value = place.value
    yield {"exists": True}, True
    yield {"exists": False}, False
    yield f"={place.expression}", True
    if not isinstance(value, dict):
        yield literal(value), True
        yield {"not": literal(value)}, False
        yield {"any": [literal(value), literal(value)]}, True
    if isinstance(value, int | float) and not isinstance(value, bool):
        yield {"min": value, "max": value}, True
        yield {"min": f"={place.expression}", "max": f"={place.expression} - 1"}, False
    if isinstance(value, list):
        yield {"every": {"exists": True}}, True
        for element in value:
            if not isinstance(element, dict) or element:
                yield {"some": some(element)}, True


def some(element: Any) -> Any:
    """What is asked of one element of a list: the fields of a table, a list in a list by its own."""
    if isinstance(element, dict):
        return {name: some(inner) for name, inner in element.items() if inner is not None}
    return {"some": some(element[0])} if isinstance(element, list) and element else literal(element)


class Device:
    """What expressions see of a device."""

    index = 0
    name = "device[0]"
    address = "10.77.1.1"
    state: dict[str, Any] = {}  # noqa: RUF012

    def signal(self, name: str, t: float) -> float:
        raise AssertionError(name)


@pytest.mark.parametrize("case", cases())
def test_every_value_is_matched_and_compared(case: Case) -> None:
    schema = case.loaded.protocol.schema
    for place in places(case.message):
        for condition, expected in conditions(place):
            matcher = compile_match({place.key: condition}, schema, Names())
            told = f"{place.key} = {condition!r}"
            assert matcher.matches(case.message, Device(), 0.0) is expected, told
            assert (matcher.explain(case.message, Device(), 0.0) == []) is expected, told


@pytest.mark.parametrize("case", cases())
def test_every_value_is_used_in_expressions(case: Case) -> None:
    schema = case.loaded.protocol.schema
    for place in places(case.message):
        expression = compile_expression(place.expression, Names(), schema=schema)
        assert expression.evaluate(case.message, Device(), 0.0) == place.value, place.key


UNKNOWN = {
    # what an adapter may give, too
    "dns": {"answers[].data"},
    "speedwire": {"parts[].content", "parts[].content.values[].value"},
    # what construct's NamedTuple gives, and a LazyBound in itself
    "goodwe": {"data.firmware"},
    "sml": {"frame.value.message.value[].value[]", "frame.value.message.value[].value[].tag"},
}
"""Fields below which any name may be right."""


@pytest.mark.parametrize("case", cases())
def test_a_name_that_is_misspelled_is_found(case: Case) -> None:
    name, schema = case.loaded.protocol.name, case.loaded.protocol.schema
    for place in places(case.message):
        above = re.sub(r"\[\d+\]", "[]", place.key).rpartition(".")[0]
        if not isinstance(place.steps[-1], str) or above in UNKNOWN.get(name, ()):
            continue
        with pytest.raises(ScenarioError, match=rf"unknown field '\S*\b{place.steps[-1]}x'"):
            compile_match({f"{place.key}x": {"exists": True}}, schema, Names())
        expression = re.sub(r'("\]|)$', r"x\1", place.expression, count=1)
        with pytest.raises(ExpressionError, match="the message has no field"):
            compile_expression(expression, Names(), schema=schema)


SCENARIO = """
[scenario]
duration = "10s"
[devices.device]
address = "10.77.1.1"
protocol = "{name}"
[[devices.device.rules]]
reply = {reply}
"""


def toml(value: Any) -> str:
    """`value` as TOML: tables in a line."""
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{quoted(name)} = {toml(v)}' for name, v in value.items())} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    return quoted(value) if isinstance(value, str) else str(value).lower()


def quoted(text: str) -> str:
    escaped = "".join(c if c.isprintable() and c not in '\\"' else f"\\u{ord(c):04x}" for c in text)
    return f'"{escaped}"'


def asked_for(value: Any, expression: str = "msg") -> Any:
    """A message as a rule's reply, each of its values an expression that takes it from the request."""
    if isinstance(value, dict):
        return {name: asked_for(inner, f'{expression}["{name}"]') for name, inner in value.items()}
    if isinstance(value, list):
        return [asked_for(inner, f"{expression}[{i}]") for i, inner in enumerate(value)]
    return f"={expression}"


@pytest.mark.parametrize("written", [literal, asked_for])
@pytest.mark.parametrize("case", cases())
async def test_every_value_is_sent(
    case: Case, written: Callable[[Any], Any], tmp_path: Path, autojump_clock: MockClock
) -> None:
    name = case.loaded.protocol.name
    text = SCENARIO.format(name=name, reply=toml(written(case.message)))
    async with simulated(load_text(text, FOLDER / "reply.toml")) as gateway:
        gateway.send("device[0]", case.data)
        arrival = await gateway.receive(timeout_s=1.0)
    assert arrival.payload == case.written


@pytest.mark.parametrize("case", cases())
def test_a_name_that_is_misspelled_is_found_in_a_reply(case: Case) -> None:
    name = case.loaded.protocol.name
    reply = literal(case.message)
    for place in places(case.message):
        if not isinstance(place.steps[-1], str) or any(isinstance(s, int) for s in place.steps):
            continue
        owner = reply
        for step in place.steps[:-1]:
            owner = owner[step]
        owner[f"{place.steps[-1]}x"] = 1
        text = SCENARIO.format(name=name, reply=toml(reply))
        with pytest.raises(ScenarioError, match=f"{place.steps[-1]}x"):
            load_text(text, FOLDER / "reply.toml")
        del owner[f"{place.steps[-1]}x"]


async def test_a_site_with_a_device_of_each(autojump_clock: MockClock) -> None:
    scenario = load_scenario(FOLDER / "site.toml")
    assert sorted(fleet.services[0].protocol.name for fleet in scenario.fleets) == NAMES
    async with simulated(scenario) as gateway:
        for fleet in scenario.fleets:
            for vector in fleet.services[0].vectors:
                gateway.send(f"{fleet.name}[0]", vector.data)
        await gateway.settled()
    outcomes = gateway.run.result.expectations
    assert [outcome.name for outcome in outcomes if not outcome.passed] == []
