"""Models of the bundled protocols: a value of any type is taken, or is a problem with its key path."""

from __future__ import annotations

import copy
import datetime as dt
import math
from typing import TYPE_CHECKING, Any, get_args, get_origin

import pytest

from iotsim.device.spec import ServiceSpec
from iotsim.errors import ScenarioError
from iotsim.match import Names
from iotsim.protocol.registry import is_bundled, list_protocols, load_protocol
from iotsim.scenario import load_text
from iotsim.scenario.models import build_models
from iotsim.scenario.problems import Problems
from iotsim.scenario.toml import path_text
from iotsim.session.outline import model_keys

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pydantic import BaseModel

    from iotsim.scenario.toml import Keys

KEY = "44024241ed4ce9a68c6a8bc055233fd3"
UPLINK = {"every": "8s", "payload": "x"}
UPLINK_OF_A_LIST = f"""\
nodes.n.dev_eui = "1"
nodes.n.app_key = "{KEY}"
nodes.n.uplink = {{ every = "8s", payload = ["x"] }}
"""
MODELS: dict[str, dict[str, Any]] = {
    "bacnet": {
        "instance": 1,
        "objects": {
            "analog-input,1": {"value": 20, "properties": {"description": "x"}},
            "multi-state-value,1": {"value": 1, "states": ["a"]},
            "characterstring-value,1": "x",
        },
        "foreign": {"bbmd": "10.77.1.2:47808"},
    },
    "coap": {"resources": {"/a": {"value": 1, "formats": {"text/plain": "1"}}}},
    "knxnet": {
        "groups": {"1/2/3": {"dpt": "9.001", "value": 20}, "1/2/4": {"dpt": "16", "value": "x"}}
    },
    "lifx": {"color": {}},
    "lwm2m": {
        "resources": {"/a": {"value": 1}},
        "objects": {"3303": {"0": {"5700": 20.5, "5701": "Cel", "6000": {"0": 1}}}},
    },
    "modbus": {
        "unit": {
            "1": {
                "coils": {"0": True},
                "discrete_inputs": {"0": {"value": True}},
                "holding": {
                    "10": {"value": 5, "type": "float32"},
                    "20": {"value": "x", "type": "string", "length": 2},
                },
                "input": {"0": 5},
                "identification": {
                    "vendor_name": "a",
                    "product_code": "b",
                    "major_minor_revision": "c",
                    "private": {"128": "x"},
                },
            }
        }
    },
    "mqttsn": {
        "subscribe": ["cmd/led", {"topic": "x"}],
        "topics": {"a": 1},
        "will": {"topic": "status"},
    },
    "semtech": {
        "location": {"latitude": 46.2, "longitude": 3.2},
        "nodes": {
            "meter": {
                "dev_eui": "70B3D57ED0000001",
                "abp": {"dev_addr": "26011BDA", "nwk_skey": KEY, "app_skey": KEY},
                "uplink": UPLINK,
            },
            "valve": {"dev_eui": "70B3D57ED0000005", "app_key": KEY, "uplink": dict(UPLINK)},
        },
    },
    "snmp": {
        "objects": {"1.3.6.1.4.1.9999.1.0": {"value": 1}, "1.3.6.1.4.1.9999.2.0": {"value": "x"}}
    },
    "sntp": {"keys": {"1": "x"}},
    "tftp": {"files": {"a": {"text": "x"}}},
}
"""By protocol, one that has each of its tables."""
ODD: tuple[Any, ...] = (
    {"min": 5},
    {},
    ["a"],
    [],
    1.5,
    -1,
    10**400,
    math.nan,
    math.inf,
    True,
    "",
    "x",
    dt.date(2020, 1, 1),
)
"""Values that most keys do not take."""


def with_models() -> list[str]:
    bundled = [name for name, path in list_protocols() if path is not None and is_bundled(path)]
    return [name for name in bundled if load_protocol(name).protocol.model is not None]


def places(value: Any, annotation: Any, keys: Keys = ()) -> Iterator[Keys]:
    """The keys of all that is in a model, and of all that could be in its tables."""
    if keys:
        yield keys
    inside: dict[str | int, Any] = {}
    if get_origin(annotation) is dict:
        inside = dict.fromkeys(value or (), get_args(annotation)[1])
    elif isinstance(value, dict):
        inside = dict.fromkeys(value, None)
        for table in tables(annotation):
            for name, field in table.model_fields.items():
                inside[field.alias or name] = field.annotation
    elif isinstance(value, list):
        inside = dict.fromkeys(range(len(value)), None)
    for key, inner in inside.items():
        known = isinstance(value, list) or key in value
        yield from places(value[key] if known else None, inner, (*keys, key))


def tables(annotation: Any) -> Iterator[type[BaseModel]]:
    """The tables that `annotation` allows for."""
    if hasattr(annotation, "model_fields"):
        yield annotation
    elif get_origin(annotation) not in (dict, list):
        for one in get_args(annotation):
            yield from tables(one)


def replaced(table: Any, keys: Keys, value: Any) -> Any:
    """A copy of `table` with this value at `keys`."""
    copied = inner = copy.deepcopy(table)
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    return copied


def told(service: ServiceSpec, model: dict[str, Any]) -> list[str]:
    """The key paths of all that is wrong with a model."""
    problems = Problems("test.toml")
    build_models(model, [service], Names(), ("model",), problems)
    try:
        problems.raise_any()
    except ScenarioError as error:
        return [problem.path for problem in error.problems]
    return []


@pytest.mark.parametrize("name", with_models())
def test_a_value_of_any_type_is_taken_or_told_with_its_key(name: str) -> None:
    service, model = ServiceSpec(load_protocol(name).protocol, 9000), MODELS[name]
    declared: Any = service.protocol.model
    assert told(service, model) == []
    found = set(places(model, declared))
    assert {keys[-1] for keys in found} >= {
        row.path.rpartition(".")[2].removesuffix("[]") for row in model_keys(declared)
    }
    refused = 0
    for keys in found:
        around = {path_text(("model", *keys[:length])) for length in range(len(keys) + 1)}
        here = path_text(("model", *keys))
        for value in ODD:
            paths = told(service, replaced(model, keys, value))
            refused += bool(paths)
            assert all(one in around or one.startswith(here) for one in paths), (keys, value)
    assert refused > len(found)


@pytest.mark.parametrize(
    ("protocol", "model", "problem"),
    [
        (
            "bacnet",
            'instance = 1\nobjects."analog-input,1" = { value = 1, units = { min = 5 } }',
            "6:49: devices.d.model.objects.'analog-input,1'.units: must be a text or an integer",
        ),
        (
            "bacnet",
            'instance = 1\nobjects."analog-input,1" = { value = 1, units = -1 }',
            "6:49: devices.d.model.objects.'analog-input,1'.units: there is no -1 here",
        ),
        (
            "coap",
            'resources."/a" = { value = 1, format = 1.5 }',
            "5:40: devices.d.model.resources.'/a'.format: must be a text or an integer",
        ),
        (
            "semtech",
            UPLINK_OF_A_LIST,
            "7:44: devices.d.model.nodes.n.uplink.payload: must be a text, a number or bytes, not list",
        ),
        (
            "lwm2m",
            "objects.3303.0 = { 5700 = { x = 2 } }",
            "5:29: devices.d.model.objects.3303.0.5700.x: an id is a number from 0 to 65534, not 'x'",
        ),
    ],
)
def test_it_is_told_with_its_place_and_what_may_stand_there(
    tmp_path: Path, protocol: str, model: str, problem: str
) -> None:
    text = (
        f"[devices.d]\naddress = '10.77.1.1'\nprotocol = '{protocol}'\n[devices.d.model]\n{model}"
    )
    with pytest.raises(ScenarioError) as caught:
        load_text(text, tmp_path / "s.toml")
    assert [str(one).partition("s.toml:")[2] for one in caught.value.problems] == [problem]


LONG = "[devices.a-fleet-of-20-letter]\naddress = '10.77.1.1'\ncount = 12\n"
SHORT = "[devices.d]\naddress = '10.77.1.1'\ncount = 3\n"
NODE = "nodes.n = { app_key = '" + KEY + "', dev_eui = '=device.name' }"
MODES = "objects.1.0 = { 7 = '=state.mode' }"


@pytest.mark.parametrize(
    ("head", "protocol", "more", "model", "problem"),
    [
        (LONG, "mqttsn", "", "", "[10]: client: 'a-fleet-of-20-letter[10]' is no client id"),
        (LONG, "mqttsn", "", "client = '=device.name + 3 * str(device.index)'", None),
        (LONG, "mqttsn", "", "client = '=str(device.index)'", ""),
        (LONG, "mqttsn", "", "role = 'gateway'", ""),
        (SHORT, "mqttsn", "", "", ""),
        (
            SHORT,
            "mqttsn",
            "state.id = ''",
            "client = '=state.id'",
            "d[0]: client: '' is no client id",
        ),
        (SHORT, "lwm2m", "state.mode = 'T'", MODES, "d[0]: /1/0/7: 'T' cannot be"),
        (SHORT, "lwm2m", "state.mode = 'UQ'", MODES, ""),
        (SHORT, "lwm2m", "state.mode = 5", MODES, "d[0]: /1/0/7: "),
        (SHORT, "lwm2m", "", "objects.3.0 = { 16 = '=3 * device.name' }", "d[0]: /3/0/16: "),
        # What only a run can tell is left to that.
        (SHORT, "lwm2m", "", "objects.1.0 = { 7 = \"='T' if t > 9 else 'U'\" }", ""),
        (SHORT, "lwm2m", "", "objects.1.0 = { 7 = \"='T' if t else 'U'\" }", ""),
        (SHORT, "lwm2m", "", "objects.1.0 = { 1 = '=str(t)' }", ""),
        (SHORT, "mqttsn", "", "client = \"='c' + str(t)\"", ""),
        (
            SHORT,
            "lwm2m",
            "state.mode = 'T'\nrules = [{ after = '1s', set.mode = 'U' }]",
            MODES,
            "",
        ),
        (SHORT, "semtech", "", "eui = '=device.name'", "d[0]: eui: must be 16 hexadecimal digits"),
        (SHORT, "semtech", "", NODE, "d[0]: nodes.n.dev_eui: must be 16 hexadecimal digits"),
        (
            SHORT,
            "knxnet",
            "",
            "individual = \"='1.1.' + str(254 + device.index)\"",
            "d[2]: individual: ",
        ),
        (SHORT, "knxnet", "", "serial = '=device.name'", "d[0]: serial: "),
    ],
)
def test_what_an_expression_gives_no_device_is_found_before_the_run(
    tmp_path: Path, head: str, protocol: str, more: str, model: str, problem: str | None
) -> None:
    name = head.partition("]")[0].removeprefix("[")
    text = f"{head}protocol = '{protocol}'\n{more}\n[{name}.model]\n{model}"
    if problem == "":
        load_text(text, tmp_path / "s.toml")
        return
    with pytest.raises(ScenarioError) as caught:
        load_text(text, tmp_path / "s.toml")
    (found,) = caught.value.problems
    assert problem is None or problem in str(found)
    assert f"{name}.model" in str(found)


def test_a_client_id_by_default_is_checked_where_there_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="1 to 23 characters") as caught:
        load_text(LONG + "protocol = 'mqttsn'", tmp_path / "s.toml")
    (found,) = caught.value.problems
    assert "s.toml:1:" in str(found)


def test_what_a_step_sets_is_known_in_a_run_alone(tmp_path: Path) -> None:
    text = SHORT + "protocol = 'semtech'\nstate.id = ''\nboot.delay = '10s'\n"
    text += "[devices.d.model]\neui = '=state.id'\n"
    step = "[[step]]\nat = '1s'\ndevices = 'd'\nset = { id = '0011223344556677' }\n"
    load_text(text + step, tmp_path / "s.toml")
    with pytest.raises(ScenarioError, match="must be 16 hexadecimal digits"):
        load_text(text, tmp_path / "s.toml")


CHECKED = """
from construct import Byte, Struct

from iotsim import Protocol, Session, Table, Value


class Model(Table):
    value: Value

    def check_device(self, known):
        {"a": 1}[known(self.value)]


PROTOCOL = Protocol("checked", Struct("raw" / Byte), 5000, session=Session, model=Model)
VECTORS = [("01", {"raw": 1})]
"""


def test_a_check_that_fails_is_told_as_a_problem_of_the_scenario(tmp_path: Path) -> None:
    (tmp_path / "checked.py").write_text(CHECKED)
    text = SHORT + "protocol = 'checked'\n[devices.d.model]\nvalue = 'b'\n"
    with pytest.raises(ScenarioError) as caught:
        load_text(text, tmp_path / "s.toml")
    (found,) = caught.value.problems
    assert "devices.d.model: d[0]: check_device() failed: KeyError: 'b'" in str(found)
