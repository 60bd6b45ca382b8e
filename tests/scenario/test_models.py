"""``[devices.NAME.model]``: held against what the protocol declares, with line and key path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import Field
from tests.session.helpers import write_protocol

from iotsim import Table
from iotsim.errors import ScenarioError
from iotsim.protocol.registry import load_protocol
from iotsim.scenario import load_text
from iotsim.session.outline import model_keys
from iotsim.testing import Transcript

if TYPE_CHECKING:
    from pathlib import Path

SESSION = """
from typing import Annotated, Literal
from pydantic import Field


class Channel(Table):
    value: Value
    unit: Literal["C", "F"] = "C"
    interface: str = Field("", alias="if")
    every: Duration | None = None


class Model(Table):
    name: Value = Field("none", validate_default=True)
    retry: Duration = 5.0
    level: Annotated[int, Field(ge=0, le=7)] = 0
    channels: dict[str, Channel] = {}


class Talk(Session):
    def respond(self, message, peer):
        channel = self.model.channels[str(message["number"])]
        if message["kind"] == "PUT":
            self.write(channel.value, message["data"][0])
        return {"kind": "ACK", "data": bytes([int(self.read(channel.value))])}
"""
SCENARIO = """
[scenario]
name = "models"
duration = "5s"

[devices.d]
count = 2
address = "10.77.1.1"
protocol = "talk"
signals = { temperature = { kind = "constant", value = 20 } }
state = { fan = 3 }
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_protocol(tmp_path, SESSION)
    return tmp_path


def told(folder: Path, model: str) -> list[str]:
    """The problems of a scenario with this model, whose first line is the 13th of the file."""
    try:
        load_text(f"{SCENARIO}\n{model}", folder / "s.toml")
    except ScenarioError as error:
        return [str(problem).removeprefix(f"{folder}/s.toml:") for problem in error.problems]
    return []


MISTAKES = {
    "retries = 1": "14:1: devices.d.model.retries: unknown key (did you mean 'retry'?)",
    "retry = 5": "14:9: devices.d.model.retry: 5 has no unit; write '5s' or '5ms'",
    "level = 8": "14:9: devices.d.model.level: must be less than or equal to 7",
    "level = '1'": "14:9: devices.d.model.level: must be an integer",
    "channels.1.valu = 1": "14:12: devices.d.model.channels.1.valu: unknown key (did you mean",
    "channels.1.unit = 'C'": "14:12: devices.d.model.channels.1: the key 'value' is missing",
    "channels.1 = { value = 1, unit = 'K' }": "14:34: devices.d.model.channels.1.unit: must be 'C'",
    "name = '=temprature'": "14:8: devices.d.model.name: unknown name 'temprature', in",
    "name = '=state.fun'": "14:8: devices.d.model.name: ",
    "name = '=msg.number'": "14:8: devices.d.model.name: ",
    "name = '=1 +'": "14:8: devices.d.model.name: ",
    "name = 'hex:0'": "14:8: devices.d.model.name: ",
}


@pytest.mark.parametrize(("line", "problem"), MISTAKES.items())
def test_what_is_wrong_is_told_with_its_place(folder: Path, line: str, problem: str) -> None:
    found = told(folder, f"[devices.d.model]\n{line}")
    assert any(one.startswith(problem) for one in found), found


def test_a_protocol_without_a_model_has_none(folder: Path) -> None:
    text = SCENARIO.replace('"talk"', '"sensornet"')
    with pytest.raises(ScenarioError, match="the protocol sensornet has no model"):
        load_text(f"{text}\n[devices.d.model]\nx = 1", folder / "s.toml")


def test_with_several_protocols_each_has_a_table(folder: Path) -> None:
    text = SCENARIO.replace('"talk"', '["talk", "sensornet"]')
    scenario = load_text(f"{text}\n[devices.d.model.talk]\nlevel = 2", folder / "s.toml")
    assert [service.model and service.model.level for service in scenario.fleets[0].services] == [
        2,
        None,
    ]
    with pytest.raises(ScenarioError, match="with several protocols, a model has a table for each"):
        load_text(f"{text}\n[devices.d.model]\nlevel = 2", folder / "s.toml")


def test_values_are_each_devices_own_or_the_states_or_read_only(folder: Path) -> None:
    channels = {
        "1": {"value": 7},
        "2": {"value": "=state.fan"},
        "3": {"value": "=temperature + 1", "every": "2s"},
    }
    device = Transcript(
        "talk",
        folder=folder,
        may_fail=True,
        model={"channels": channels},
        state={"fan": 3},
        signals={"temperature": {"kind": "constant", "value": 20}},
    )

    def ask(number: int) -> int:
        return int(device.receive(kind="GET", number=number)[0]["data"][0])

    assert [ask(1), ask(2), ask(3)] == [7, 3, 21]
    device.receive(kind="PUT", number=1, data=b"\x09")
    device.receive(kind="PUT", number=2, data=b"\x08")
    assert [ask(1), ask(2), device.device.state["fan"]] == [9, 8, 8]
    device.reboot()
    assert [ask(1), ask(2)] == [7, 3]
    device.receive(kind="PUT", number=3, data=b"\x01")
    assert "the value of an expression cannot be written" in device.lines()[-1]


PLAIN_SESSION = """
class Part(Table):
    size: Value = 3


class Model(Table):
    battery: Value = 100
    wide: Value = "=state.fan + 1"
    raw: Value = "hex:0aff"
    other: Value | None = 7
    without: Value | None = None
    several: list[Value] = [1, "=state.fan"]
    part: Part = Part()
    named: dict[int, Value] = {5: 5}


class Talk(Session):
    def respond(self, message, peer):
        model = self.model
        cells = [model.battery, model.wide, model.other, *model.several, model.part.size]
        numbers = [self.read(cell) for cell in (*cells, model.named[5])]
        self.write(model.battery, 50)
        assert model.without is None
        return {"kind": "ACK", "data": bytes(numbers) + self.read(model.raw)}
"""


def test_a_plain_default_of_a_value_is_one(tmp_path: Path) -> None:
    write_protocol(tmp_path, PLAIN_SESSION)
    device = Transcript("talk", folder=tmp_path, state={"fan": 3})
    said = [bytes(device.receive(kind="GET")[0]["data"]) for _ in range(2)]
    assert [list(one) for one in said] == [
        [100, 4, 7, 1, 3, 3, 5, 10, 255],
        [50, 4, 7, 1, 3, 3, 5, 10, 255],
    ]
    model = load_protocol("talk", [tmp_path]).protocol.model
    assert model is not None
    shown = {row.path: row.default for row in model_keys(model)}
    assert (shown["battery"], shown["wide"], shown["other"]) == ("100", '"=state.fan + 1"', "7")


def test_a_plain_default_that_cannot_be_is_told(tmp_path: Path) -> None:
    write_protocol(tmp_path, PLAIN_SESSION.replace("state.fan + 1", "nothing"))
    assert any("devices.d.model.wide: unknown name 'nothing'" in one for one in told(tmp_path, ""))


BYTES_SESSION = """
class Model(Table):
    key: bytes = b"abc"
    either: bytes | int = 0
    keys: list[bytes] = []
    named: dict[int, bytes] = {}
    text: str = ""


class Talk(Session):
    def respond(self, message, peer):
        model = self.model
        data = [model.key, *model.keys, *model.named.values(), model.text.encode()]
        return {"kind": "ACK", "data": b"|".join(data)}
"""


def test_bytes_are_written_as_everywhere(tmp_path: Path) -> None:
    write_protocol(tmp_path, BYTES_SESSION)

    def data(model: dict[str, Any]) -> Any:
        return Transcript("talk", folder=tmp_path, model=model).receive(kind="GET")[0]["data"]

    assert data({}) == b"abc|"
    whole = {"keys": ["hex:01", "hex:02"], "named": {"7": "hex:03"}, "text": "hex:04"}
    assert data({"key": "hex:0a ff", **whole}) == b"\x0a\xff|\x01|\x02|\x03|hex:04"
    model = load_protocol("talk", [tmp_path]).protocol.model
    assert model is not None
    (key, *_) = model_keys(model)
    assert (key.type, key.default) == ("bytes, as 'hex:0aff'", '"hex:616263"')


@pytest.mark.parametrize(
    ("line", "place"),
    [
        ("key = 'abc'", "14:7: devices.d.model.key: "),
        ("key = 'hex:0'", "14:7: devices.d.model.key: "),
        ("key = 5", "14:7: devices.d.model.key: "),
        ("keys = ['x']", "14:9: devices.d.model.keys[0]: "),
    ],
)
def test_what_is_no_bytes_is_told(tmp_path: Path, line: str, place: str) -> None:
    write_protocol(tmp_path, BYTES_SESSION)
    told_of = told(tmp_path, f"[devices.d.model]\n{line}")
    assert told_of == [f"{place}must be bytes such as 'hex:0a ff'"]


FILE_SESSION = """
from pydantic import field_validator
from iotsim import File


class Model(Table):
    table: File | None = None

    @field_validator("table")
    @classmethod
    def _check(cls, file):
        for number, line in enumerate(file.text.splitlines(), 1):
            if not line.isdigit():
                raise file.error(number, f"{line!r} is no number")
        return file


class Talk(Session):
    def respond(self, message, peer):
        return {"kind": "ACK", "data": self.model.table.data}
"""


@pytest.fixture
def filed(tmp_path: Path) -> Path:
    write_protocol(tmp_path, FILE_SESSION)
    (tmp_path / "good.txt").write_text("1\n22\n")
    (tmp_path / "bad.txt").write_text("1\ntwo\n")
    (tmp_path / "latin.txt").write_bytes(b"1\n\xe4\n")
    with (tmp_path / "large.txt").open("wb") as file:
        file.truncate((32 << 20) + 1)
    return tmp_path


def test_a_model_has_what_is_in_a_file_beside_the_scenario(filed: Path) -> None:
    device = Transcript("talk", folder=filed, model={"table": "good.txt"})
    assert device.receive(kind="GET")[0]["data"] == b"1\n22\n"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("'none.txt'", "14:9: devices.d.model.table: none.txt: there is no such file"),
        ("'.'", "14:9: devices.d.model.table: .: this is no file"),
        ("'large.txt'", "14:9: devices.d.model.table: large.txt: larger than 33554432 bytes"),
        ("'latin.txt'", "14:9: devices.d.model.table: latin.txt:2: no text in UTF-8"),
        ("'bad.txt'", "14:9: devices.d.model.table: bad.txt:2: 'two' is no number"),
        ("7", "14:9: devices.d.model.table: must be the name of a file"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(filed: Path, name: str, expected: str) -> None:
    assert told(filed, f"[devices.d.model]\ntable = {name}") == [expected]


def test_the_keys_of_a_model_say_that_one_is_a_file(filed: Path) -> None:
    model = load_protocol("talk", [filed]).protocol.model
    assert model is not None
    assert [(row.path, row.type) for row in model_keys(model)] == [("table", "the name of a file")]


def test_a_default_that_is_made_is_shown_as_one_that_stands_there() -> None:
    class Made(Table):
        number: int = Field(default_factory=lambda: 7)
        names: dict[str, int] = Field(default_factory=dict)

    assert [row.default for row in model_keys(Made)] == ["7", ""]
