"""The schemas of what a run leaves: they are in the package, and what is written is right by them."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import msgspec
import pytest
from tests.results.schemas import check_events, validator

from docs import reference
from iotsim import events
from iotsim.results import result, suite
from iotsim.results.formats import EVENTS_FILE, RESULT_FILE, SUITE_FILE, fields_of, kinds
from iotsim.results.jsonl import EventEncoder, decode_events
from iotsim.results.result import RunResult, encode_result

if TYPE_CHECKING:
    from collections.abc import Mapping

HOSTILE = "\x1b[2J\u202e</script>]]>'\"=1+1\ud800\n"
UNMATCHED = events.Unmatched(fleet="m", protocol="p", kind="", count=2, t=1.0, device="m[0]")
OUTCOME = events.Outcome(
    name=HOSTILE,
    kind="within",
    passed=False,
    severity="error",
    expected="a",
    actual="b",
    devices=("m[0]",),
    details=(HOSTILE,),
    t=2.5,
)
LIFE = events.GatewayLife(pid=3, started=0.25, ended=2.0, status=1)
GATEWAY = events.GatewayResult(
    command=["gw", HOSTILE], lives=[LIFE], figures=events.GatewayFigures(samples=1, cpu=0.5)
)
VALUES: Mapping[str, Any] = {
    "float": 1.5,
    "int": 7,
    "str": HOSTILE,
    "bool": True,
    "int | None": None,
    "list[str]": ["a", HOSTILE],
    "dict[str, str]": {"a": HOSTILE},
    "dict[str, int]": {"a": 1},
    "dict[str, float]": {"a": 0.5},
    "dict[str, Any]": {"a": [1, {"b": None}]},
    "dict[str, dict[str, Any]]": {"m": {"count": 2, "addresses": ["10.0.0.1-10.0.0.2"]}},
    "Mapping[str, Any]": {"kind": "READ", "data": b"\x01", "deep": {"x": [1.5, HOSTILE]}},
    "Mapping[str, Any] | None": None,
    "Unmatched": UNMATCHED,
    "list[Unmatched]": [UNMATCHED],
    "Outcome": OUTCOME,
    "GatewayResult | None": GATEWAY,
}


@pytest.fixture(scope="module")
def judge() -> jsonschema.Draft202012Validator:
    return validator(EVENTS_FILE)


def filled(kind: type[events.Event]) -> events.Event:
    """An event with a value in each field."""
    fields = {}
    for base in reversed(kind.__mro__):
        fields.update(
            {k: VALUES[text] for k, text in vars(base).get("__annotations__", {}).items()}
        )
    return kind(**fields)


def test_the_schemas_in_the_package_are_those_of_the_records() -> None:
    for name, text in reference.schemas().items():
        assert files("iotsim.results").joinpath(name).read_text("utf-8") == text, (
            "call docs/reference.py"
        )


@pytest.mark.parametrize("kind", kinds().values(), ids=kinds())
def test_a_line_of_each_kind_is_right_by_the_schema(
    kind: type[events.Event], judge: jsonschema.Draft202012Validator
) -> None:
    (line,) = EventEncoder().encode([filled(kind)]).splitlines()
    judge.validate(json.loads(line))
    assert [type(event) for event in decode_events([line])] == [kind]


def test_a_line_with_defaults_alone_is_right_too(judge: jsonschema.Draft202012Validator) -> None:
    message = events.Received(1.0, 1, "m[0]", "10.0.0.1:5", "p", {})
    (line,) = EventEncoder().encode([message]).splitlines()
    assert b"fate" not in line
    judge.validate(json.loads(line))


@pytest.mark.parametrize(
    "wrong",
    [
        {"event": "received", "t": 1.0},
        {"event": "no-such-kind", "t": 1.0},
        {"event": "note", "t": "1", "text": "x"},
        {"event": "note", "text": "x"},
        {"event": "expectation-decided", "t": 1.0, "outcome": {"name": "x"}},
        [],
    ],
)
def test_what_is_no_event_is_wrong_by_it(
    wrong: Any, judge: jsonschema.Draft202012Validator
) -> None:
    with pytest.raises(jsonschema.ValidationError):
        judge.validate(wrong)


def test_a_field_that_came_later_is_no_mistake(judge: jsonschema.Draft202012Validator) -> None:
    judge.validate({"event": "note", "t": 1.0, "text": "x", "of_tomorrow": 1})


def test_every_field_has_a_description() -> None:
    for name in (EVENTS_FILE, RESULT_FILE, SUITE_FILE):
        schema = validator(name).schema
        for record in [*schema["$defs"].values(), *([schema] if name != EVENTS_FILE else [])]:
            assert record["description"]
            for key, field in record.get("properties", {}).items():
                assert key == "event" or field["description"], (record["title"], key)


def test_no_description_speaks_of_classes() -> None:
    text = files("iotsim.results").joinpath(EVENTS_FILE).read_text("utf-8")
    assert not [kind.__name__ for kind in kinds().values() if f"'{kind.__name__}'" in text]


def test_a_result_is_right_by_its_schema() -> None:
    made = RunResult(
        scenario=HOSTILE,
        path="x",
        seed=1,
        expectations=[OUTCOME],
        gateway=GATEWAY,
        unmatched=[UNMATCHED],
        fleets=VALUES["dict[str, dict[str, Any]]"],
    )
    judge = validator(RESULT_FILE)
    judge.validate(json.loads(encode_result(made)))
    judge.validate(json.loads(encode_result(RunResult(scenario="x", path="", seed=1))))
    with pytest.raises(jsonschema.ValidationError):
        judge.validate({"format": 1, "verdict": "passed"})


def test_the_result_of_a_suite_is_right_by_its_schema() -> None:
    made = suite.SuiteResult(
        format=suite.FORMAT,
        kind="suite",
        verdict="failed",
        started="",
        seconds=1.5,
        jobs=2,
        counts={"failed": 1},
        runs=[suite.SuiteRun(name=HOSTILE, scenario="x", path="\udcff.toml", verdict="failed")],
    )
    encoded = suite.encode_suite(made)
    validator(SUITE_FILE).validate(json.loads(encoded))
    assert suite.decode_suite(encoded).runs[0].path == "\\udcff.toml"
    with pytest.raises(jsonschema.ValidationError):
        validator(RESULT_FILE).validate(json.loads(encoded))


def test_a_file_of_every_kind_is_right(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(EventEncoder().encode([filled(kind) for kind in kinds().values()]))
    assert check_events(file) == set(kinds())
    file.write_bytes(file.read_bytes() + b'{"event":"note","t":1}\n')
    with pytest.raises(jsonschema.ValidationError):
        check_events(file)


def test_what_was_written_before_there_was_a_version_is_read() -> None:
    started = json.loads(EventEncoder().encode([filled(events.RunStarted)]))
    del started["format"]
    (event,) = decode_events([json.dumps(started).encode()])
    assert isinstance(event, events.RunStarted)
    assert event.format == 0


def test_types_are_told_in_the_words_of_json() -> None:
    told = {field.name: field.type for field in fields_of(events.Undecodable)}
    assert (told["offset"], told["sent"], told["data"]) == ("integer or null", "boolean", "string")


def test_within_a_version_what_there_was_stays_and_what_is_new_may_be_absent() -> None:
    """formats-1.json is version 1 as it was first: field -> type, and whether it is always there. What is
    asked for here has been promised to those who read files; a change of it raises the version."""
    promised = json.loads((Path(__file__).parent / "formats-1.json").read_text())
    assert (events.FORMAT, result.FORMAT, suite.FORMAT) == (1, 1, 1)
    records = [record for part in reference.PARTS.values() for record in part]
    for record in records:
        now = {told.name: told for told in fields_of(record)}
        before = promised[record.__struct_config__.tag or record.__name__]
        for name, (kind, required) in before.items():
            assert now[name].type == kind, (record, name)
            assert (now[name].default is msgspec.NODEFAULT) == required, (record, name)
        added = [told for name, told in now.items() if name not in before]
        assert all(told.default is not msgspec.NODEFAULT for told in added), record
