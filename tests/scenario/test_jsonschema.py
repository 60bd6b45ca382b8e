"""The JSON Schema of scenarios: against scenarios, right and wrong, and against the format's reference."""

from __future__ import annotations

import json
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from tests.clients import CLIENTS

from iotsim.cli.app import run_command_line
from iotsim.scenario.jsonschema import json_schema, places, read_reference, references, said_of
from iotsim.scenario.schema import Model
from iotsim.scenario.sections import SECTIONS

REPOSITORY = Path(__file__).resolve().parents[2]
SCENARIOS = sorted((REPOSITORY / "scenarios").rglob("*.toml"))
REFERENCE = read_reference((REPOSITORY / "docs" / "scenario.md").read_text())
SCHEMA = json_schema(REFERENCE)
TAPLO = CLIENTS["taplo"]

OF_ANY_KEYS = {
    *("always", "receives", "sends", "sent", "when"),
    *("announce", "reply", "send"),
    *("env", "headers", "hosts", "json", "malform", "model"),
    *("northbound", "set", "signal", "state"),
}
"""Keys of tables that hold names of the user's, or fields of a protocol. Whatever else is a table is to be
said by `Holds(Model)` in its own model, so that editors know its keys."""

WRONG = {
    "an unknown table": ("[device.meter]", "device"),
    "a list where there is a table": ("[[scenario]]", "scenario"),
    "a table where there is a list": ("[expect]", "expect"),
    "an unknown key": ("[scenario]\nduraton = '5s'", "duraton"),
    "a time without a unit": ("[scenario]\nduration = '5'", "duration"),
    "a time that is a number": ("[scenario]\nduration = 5", "duration"),
    "no unit of time": ("[scenario]\nduration = '5 lightyears'", "duration"),
    "a number that is too small": ("[devices.meter]\ncount = 0", "count"),
    "a number that is too large": ("[devices.meter]\nport = 65536", "port"),
    "a text for a number": ("[devices.meter]\ncount = 'many'", "count"),
    "no choice": ("[scenario]\nuntil = 'tomorrow'", "until"),
    "true is no number": ("[link]\nmtu = true", "mtu"),
    "no list of texts": ("[devices.meter]\naddress = [1]", "address"),
    "an empty command": ("[gateway]\ncommand = []", "command"),
    "an unknown key of ready": ("[gateway]\nready = { logs = 'x' }", "logs"),
    "an unknown key of boot": ("[devices.meter.boot]\nramps = '1s'", "ramps"),
    "an unknown key of a rule": ("[[devices.meter.rules]]\nreplay = {}", "replay"),
    "a range that is none": ("[[devices.meter.rules]]\ndelay = '5ms...9ms'", "delay"),
    "no kind of signal": ("[devices.meter.signals]\nx = { kind = 'sinus' }", "x"),
    "a parameter of another signal": (
        "[devices.meter.signals]\nx = { kind = 'constant', value = 1, period = '1s' }", "x"
    ),
    "a protocol without a name": ("[devices.meter]\nprotocol = { port = 1 }", "protocol"),
    "a count that is none": ("[[expect]]\ncount = 'three'", "count"),
    "an unknown key of count": ("[[expect]]\ncount = { minimum = 3 }", "count"),
    "never is always true": ("[[expect]]\nnever = false", "never"),
    "an unknown key of stdout": ("[[expect]]\ngateway = { stdout = { has = 'x' } }", "stdout"),
}  # fmt: skip


def name_of(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


@pytest.fixture(scope="module")
def judge() -> jsonschema.Draft7Validator:
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    return jsonschema.Draft7Validator(SCHEMA)


@pytest.mark.parametrize("path", SCENARIOS, ids=name_of)
def test_every_bundled_scenario_is_right(path: Path, judge: jsonschema.Draft7Validator) -> None:
    found = [str(error) for error in judge.iter_errors(tomllib.loads(path.read_text()))]
    assert not found


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_refused(name: str, judge: jsonschema.Draft7Validator) -> None:
    text, where = WRONG[name]
    found = list(judge.iter_errors(tomllib.loads(text)))
    assert found
    assert any(where in map(str, error.path) or where in error.message for error in found)


def test_placeholders_may_stand_for_values(judge: jsonschema.Draft7Validator) -> None:
    text = """
        [scenario]
        duration = "${seconds}s"
        until = "${until}"
        [link]
        mtu = "${mtu}"
        [devices.meter]
        count = "${n}"
        silent = "${silent}"
    """
    assert not list(judge.iter_errors(tomllib.loads(text)))


def test_what_the_schema_refuses_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It lets things stand that `check` refuses, and never the other way round."""
    for number, (text, _) in enumerate(WRONG.values()):
        file = tmp_path / f"{number}.toml"
        file.write_text(text)
        assert run_command_line(["check", str(file)]) == 2
    capsys.readouterr()


@pytest.mark.parametrize("section", SECTIONS)
def test_every_section_has_a_schema(section: str) -> None:
    row = SECTIONS[section]
    if row.supported and row.form != "table":
        assert row.table is not None, f"{section}: give its row of SECTIONS its model, `table=`"


def test_every_key_is_in_the_reference_and_every_key_there_exists() -> None:
    known = {(place.section, place.key) for place in places(SCHEMA, REFERENCE)}
    told = {(section, key) for section, rows in REFERENCE.items() for key in rows}
    missing = [
        f"docs/scenario.md has no row for `{key}` of {at}"
        for at, key in known
        if said_of(REFERENCE, at, key) is None
    ]
    unknown = [
        f"docs/scenario.md:{REFERENCE[at][key].line}: there is no `{key}` in {at}"
        for at, key in told - known
    ]
    assert sorted(missing + unknown) == []


def test_every_key_tells_what_it_means() -> None:
    silent = [place for place in places(SCHEMA, REFERENCE) if not place.schema.get("description")]
    assert [f"{place.section}.{place.key}" for place in silent] == []


def test_every_table_says_which_keys_it_has() -> None:
    def is_free(schema: Any) -> bool:
        if isinstance(schema, list):
            return any(map(is_free, schema))
        if not isinstance(schema, dict):
            return False
        if schema.get("type") == "object" and not isinstance(
            schema.get("additionalProperties"), dict
        ):
            return "properties" not in schema
        return any(is_free(schema.get(key)) for key in ("anyOf", "allOf", "items"))

    found = [place for place in places(SCHEMA, REFERENCE) if is_free(place.schema)]
    known = [place for place in found if place.key.rpartition(".")[2] in OF_ANY_KEYS]
    assert [f"{place.section}.{place.key}" for place in found if place not in known] == []


def test_every_model_of_a_section_is_in_the_schema() -> None:
    """A model that is not there is of a table in a table: say `Holds(Model)` where that stands."""
    import iotsim.scenario.sections  # noqa: F401  # all models are there then

    def final(model: type[Model]) -> set[str]:
        below = [one for one in model.__subclasses__() if one.__module__.startswith("iotsim.")]
        below = [one for one in below if one.__module__ != "iotsim.scenario.project"]
        return set().union(*map(final, below)) if below else {model.__name__}

    assert final(Model) - SCHEMA["definitions"].keys() == set()


def test_all_that_is_referred_to_is_there() -> None:
    names = {f"#/definitions/{name}" for name in SCHEMA["definitions"]}
    assert set(references(SCHEMA)) <= names


def test_the_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == SCHEMA


@pytest.mark.needs("taplo")
def test_taplo_takes_it_and_agrees(tmp_path: Path) -> None:
    """Taplo is what editors ask."""
    (tmp_path / "iotsim.schema.json").write_text(json.dumps(SCHEMA))

    def lint(text: str) -> subprocess.CompletedProcess[str]:
        file = tmp_path / "it.toml"
        file.write_text(f"#:schema ./iotsim.schema.json\n{text}")
        words = [TAPLO.folder / "bin" / "taplo", "lint", "--no-auto-config", str(file)]
        return subprocess.run(
            words, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )

    for path in SCENARIOS:
        done = lint(path.read_text())
        assert done.returncode == 0, f"{path}: {done.stderr}"
    for name, (text, where) in WRONG.items():
        done = lint(text)
        assert done.returncode, name
        assert where in done.stderr, (name, done.stderr)
