from __future__ import annotations

import gc
import pickle
import sys
from typing import TYPE_CHECKING

import pytest

from iotsim.device import load_behavior
from iotsim.device.spec import BehaviorSpec
from iotsim.errors import ScenarioError

if TYPE_CHECKING:
    from pathlib import Path

    from iotsim import Device

METER = """\
from dataclasses import dataclass

from iotsim import Device, on


@dataclass
class Reading:
    value: int


class Meter(Device):
    @on(kind="READ")
    def read(self, request):
        return {"value": Reading(3).value}
"""


def load(folder: Path, text: str, name: str = "Meter") -> type[Device]:
    path = folder / "meter.py"
    path.write_text(text)
    with load_behavior(BehaviorSpec(path, name)) as behavior:
        assert sys.modules[behavior.__module__].Meter is behavior
        value = vars(sys.modules[behavior.__module__])["Reading"](3)
        assert pickle.loads(pickle.dumps(value)) == value
        return behavior


def test_a_file_is_a_module_of_its_own_each_time(tmp_path: Path) -> None:
    first, second = load(tmp_path, METER), load(tmp_path, METER)
    assert first is not second
    assert first.__module__ != second.__module__
    assert [path.name for path in tmp_path.iterdir()] == ["meter.py"]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("x = 1\nclass Meter(:\n", 2, "invalid syntax"),
        ("import nothing_of_this_name\n", 1, "ModuleNotFoundError: No module named"),
        ("def f():\n    return 1 / 0\n\nf()\n", 2, "ZeroDivisionError: division by zero"),
        ("import sys\nsys.exit(3)\n", 2, "SystemExit: 3"),
        (METER.replace("    def", "    async def"), 12, "is an 'async def', but an @on handler"),
        (METER + "    def run(self): ...\n", 11, "so it must be an 'async def'"),
        ("from iotsim import Device\n", 0, "there is no class 'Meter'"),
        ("class Meter: pass\n", 0, "no class derived from iotsim.Device"),
        ("from iotsim import Device as Meter\n", 0, "no class derived from iotsim.Device"),
        ("x = '\0'\n", 0, "null bytes"),
        (METER.replace("Meter", "Metre"), 0, "did you mean 'Metre'?"),
        (METER.replace("Meter", "Pump"), 0, "it has Pump"),
    ],
)
def test_what_is_wrong_with_a_file_names_its_line(
    tmp_path: Path, text: str, line: int, message: str
) -> None:
    before = set(sys.modules)
    with pytest.raises(ScenarioError, match=r"meter\.py") as caught:
        load(tmp_path, text)
    (problem,) = caught.value.problems
    assert message in str(problem)
    assert problem.line == line or "null bytes" in message
    assert not [name for name in set(sys.modules) - before if name.startswith("iotsim_user")]


def test_a_file_that_is_not_there_is_the_scenarios_fault(tmp_path: Path) -> None:
    spec = BehaviorSpec(tmp_path / "gone.py", "Meter", "scenario.toml:7")
    told = r"scenario.toml:7: behavior: .*gone.py: there is no such file"
    with pytest.raises(ScenarioError, match=told), load_behavior(spec):
        pass


def test_a_name_with_a_nul_is_the_scenarios_fault(tmp_path: Path) -> None:
    spec = BehaviorSpec(tmp_path / "me\0ter.py", "Meter", "scenario.toml:7")
    with (
        pytest.raises(ScenarioError, match="there is no such file"),
        load_behavior(spec),
    ):
        pass


def test_of_a_hundred_loads_nothing_stays(tmp_path: Path) -> None:
    def objects() -> int:
        gc.collect()
        return len(gc.get_objects())

    load(tmp_path, METER)
    modules, before = set(sys.modules), objects()
    for _ in range(100):
        load(tmp_path, METER)
        with pytest.raises(ScenarioError):
            load(tmp_path, METER, "Nobody")
    assert set(sys.modules) == modules
    assert objects() - before < 100  # less than one each
