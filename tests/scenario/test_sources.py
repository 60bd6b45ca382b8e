"""``extends`` and ``include``: scenarios that are made of several files."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from iotsim.errors import ScenarioError
from iotsim.run.folder import ResultsFolder
from iotsim.run.launch import prepare_launch
from iotsim.scenario import check_behaviors, load_scenario, load_text
from iotsim.scenario.load import load_merged
from iotsim.scenario.merge import Merged, Source
from iotsim.scenario.sources import DEEPEST_FILES, MOST_FILES
from iotsim.scenario.toml import Document

PATIENCE_S = 20.0
keys = st.sampled_from(
    [
        "a",
        "b",
        "meter",
        "rules",
        "signals",
        "when",
        "reply",
        "name",
        "count",
        "address",
        "kind",
        "env",
    ]
)
FLEET = '[devices.meter]\naddress = "10.77.1.1"\nprotocol = "sensornet"\n'


@pytest.fixture(autouse=True)
def in_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(name: str, text: str) -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def told(path: Path | str) -> list[str]:
    with pytest.raises(ScenarioError) as caught:
        load_scenario(Path(path))
    return [str(problem) for problem in caught.value.problems]


def test_the_base_comes_first_then_what_is_included_then_the_file_itself() -> None:
    write("base.toml", "extends = 'root.toml'\n[scenario]\ntags = ['base']\nduration = '7s'")
    write("root.toml", f"{FLEET}[scenario]\ntags = ['root']\ndescription = 'from the root'")
    write("b.toml", "[scenario]\nname = 'b'\ndescription = 'b'")
    write("a.toml", "include = ['b.toml']\n[scenario]\nname = 'a'\ntags = ['a']")
    write("c.toml", "[scenario]\nname = 'c'\nseed = 3")
    main = write(
        "main.toml", "extends = 'base.toml'\ninclude = ['a.toml', 'c.toml']\nscenario.seed = 5"
    )
    scenario = load_scenario(main)
    assert (scenario.name, scenario.tags, scenario.description) == ("c", ("a",), "b")
    assert (scenario.duration_s, scenario.seed) == (7.0, 5)
    assert [fleet.name for fleet in scenario.fleets] == ["meter"]
    order = ["root.toml", "base.toml", "b.toml", "a.toml", "c.toml", "main.toml"]
    assert list(map(str, scenario.files)) == order


def test_a_problem_names_the_file_and_the_place_that_it_stands_in() -> None:
    write(
        "base/base.toml",
        f"{FLEET}cuont = 3\n[[devices.meter.rules]]\nwhen = {{ kind = 'RAED' }}\ndrop = true",
    )
    write("more.toml", "[[devices.meter.rules]]\ndrop = true\nnmae = 1\n")
    main = write(
        "main.toml",
        "extends = 'base/base.toml'\ninclude = 'more.toml'\n[devices.meter]\nport = 'x'\n"
        "[devices.heir]\nextends = 'meter'\naddress = '10.77.2.1'\n",
    )
    found = told(main)
    assert [line.split(": ")[:2] for line in found] == [
        ["main.toml:4:8", "devices.meter.port"],
        ["base/base.toml:4:1", "devices.meter.cuont"],
        ["base/base.toml:6:17", "devices.meter.rules[0].when.kind"],
        ["more.toml:3:1", "devices.meter.rules[0].nmae"],
    ]


def test_only_the_whole_is_checked() -> None:
    write("base.toml", "[devices.meter]\nprotocol = 'nosuch'\n[[expect]]\neach = 'meter'\n"
          "receives = {}\nnever = true\n")  # fmt: skip
    main = write("main.toml", f"extends = 'base.toml'\n{FLEET}")
    assert len(load_scenario(main).expectations) == 1


def test_where_an_expectation_stands_is_told_by_its_own_file() -> None:
    expect = "[[expect]]\neach = 'meter'\nreceives = {}\nnever = true\nname = "
    write("base.toml", f"{FLEET}{expect}'a'\n")
    main = write("main.toml", f"extends = 'base.toml'\n{expect}'b'\n")
    places = [spec.place for spec in load_scenario(main).expectations]
    assert places == ["base.toml:4", "main.toml:2"]


def test_impairments_of_the_base_come_first_wherever_they_stand_in_it() -> None:
    impair = "[[impair]]\nloss = '1%'\nname = "
    write("base.toml", f"{FLEET}\n\n\n\n{impair}'base'\n")
    main = write("main.toml", f"extends = 'base.toml'\n{impair}'a'\n{impair}'b'\n")
    entries = load_scenario(main).impairments
    order = sorted((one.entry.order, one.entry.name, one.entry.place) for one in entries)
    assert [one[1:] for one in order] == [
        ("base", "base.toml:8"),
        ("a", "main.toml:2"),
        ("b", "main.toml:5"),
    ]


PROTOCOL = """
from construct import Int8ub, Struct
from iotsim import Protocol
PROTOCOL = Protocol(name="own", message=Struct("a" / Int8ub), port=7000)
"""


def test_a_relative_name_belongs_to_the_file_that_it_stands_in() -> None:
    write("lib/own.py", PROTOCOL)
    write("lib/meter.py", "from iotsim import Device\nclass Meter(Device):\n    pass\n")
    write("lib/data/rows.csv", "level\n1\n2\n")
    write("lib/day.csv", "t,value\n0,1\n1,2\n")
    write("lib/gw.sh", "#!/bin/sh\n").chmod(0o755)
    write("lib/input.txt", "")
    write(
        "lib/base.toml",
        """
        [gateway]
        command = ["./gw.sh", "./input.txt"]
        cwd = "work"
        stdin = "input.txt"
        [northbound.own]
        kind = "command"
        command = ["python3", "own.py"]
        [devices.meter]
        address = "10.77.1.1"
        protocol = "own"
        behavior = "meter.py:Meter"
        data = "data/rows.csv"
        signals.lux = { kind = "csv", file = "day.csv" }
        """,
    )
    write("deeper/own.csv", "level\n7\n8\n9\n")
    main = write(
        "deeper/main.toml",
        """
        extends = "../lib/base.toml"
        [gateway]
        cwd = "mine"
        [devices.lamp]
        extends = "meter"
        address = "10.77.2.1"
        data = "own.csv"
        """,
    )
    scenario = load_scenario(main)
    check_behaviors(scenario)
    meter, lamp = scenario.fleets
    assert (meter.count, lamp.count) == (2, 3)
    assert [row["level"] for row in lamp.data] == [7, 8, 9]
    assert lamp.services[0].protocol.name == "own"
    assert lamp.signals["lux"].points
    assert scenario.folders == (Path("deeper"), Path("lib"))
    assert scenario.northbound["own"].folders == (Path("lib"), Path("lib"))
    here = Path.cwd()
    launch = prepare_launch(scenario, ResultsFolder(here / "out"), gateway_given=False)
    assert launch is not None
    assert launch.command == (str(here / "lib/gw.sh"), str(here / "lib/input.txt"))
    assert launch.cwd == here / "deeper/mine"
    assert launch.stdin == Path("lib/input.txt")


def test_a_name_that_is_a_parameter_belongs_to_the_file_that_has_its_value() -> None:
    for folder in ("lib", "own"):
        write(f"{folder}/rows.csv", f"level\n{len(folder)}\n" + "1\n" * (folder == "own"))
        write(f"{folder}/day.csv", "t,value\n0,1\n")
        write(f"{folder}/tool.sh", "")
    write(
        "lib/base.toml",
        """
        [parameters]
        rows = "rows.csv"
        tool = "./tool.sh"
        name = "rows"
        day = { kind = "csv", file = "day.csv" }
        [gateway]
        command = ["./tool.sh", "${tool}", "./${name}.csv"]
        [devices.meter]
        address = "10.77.1.1"
        data = "${rows}"
        signals.lux = "${day}"
        [devices.heir]
        extends = "meter"
        address = "10.77.2.1"
        """,
    )
    main = write("own/main.toml", "extends = '../lib/base.toml'\n[parameters]\nname = 'rows'\n")
    meter, heir = load_scenario(main).fleets
    assert (meter.count, heir.count) == (1, 1)
    os.unlink("lib/day.csv")  # noqa: PTH108
    (problem,) = told(main)[:1]
    assert problem.startswith("lib/base.toml:12:17: devices.meter.signals.lux.file: day.csv: there")
    with main.open("a") as more:
        more.write(
            "tool = './tool.sh'\nday = { kind = 'csv', file = 'day.csv' }\nrows = '${other}'\n"
        )
        more.write("[matrix]\nother = ['rows.csv']\n")
    scenario = load_scenario(main)
    assert [fleet.count for fleet in scenario.fleets] == [2, 2]
    Path("out").mkdir()
    launch = prepare_launch(scenario, ResultsFolder(Path.cwd() / "out"), gateway_given=False)
    assert launch is not None
    there = ["lib/tool.sh", "own/tool.sh", "lib/rows.csv"]
    assert launch.command == tuple(str(Path.cwd() / name) for name in there)


def test_files_that_models_name_belong_to_the_file_that_names_them() -> None:
    write("lib/boot.bin", "library")
    write("own/boot.bin", "own")
    write("own/more.bin", "more")
    write("lib/base.toml", "[devices.server]\naddress = '10.77.1.1'\nprotocol = 'tftp'\n"
          "[devices.server.model.files.'fw']\nfile = 'boot.bin'\n")  # fmt: skip
    main = write("own/main.toml", "extends = '../lib/base.toml'\n"
                 "[devices.server.model.files.'cfg']\nfile = 'more.bin'\n")  # fmt: skip
    (fleet,) = load_scenario(main).fleets
    assert "library" in repr(fleet.services[0].model)
    assert "more" in repr(fleet.services[0].model)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("extends = 'nosuch.toml'", "main.toml:1:11: extends: nosuch.toml: there is no such file"),
        ("extends = ''", "main.toml:1:11: extends: no name of a file"),
        ('extends = "a\\u0000b"', "main.toml:1:11: extends: no name of a file"),
        ("extends = '.'", "main.toml:1:11: extends: .: this is no file"),
        ("extends = '/dev/zero'", "extends: /dev/zero: this is no file"),
        ("extends = 'fifo'", "extends: fifo: this is no file"),
        ("extends = 3", "main.toml:1:11: extends: must be a text: the name of a file"),
        ("extends = ['a']", "main.toml:1:11: extends: must be a text: the name of a file"),
        ("[extends]", "extends: must be a text: the name of a file"),
        ("include = [1]", "main.toml:1:11: include: must be a list of texts: the names of files"),
        ("include = [['a']]", "include: must be a list of texts: the names of files"),
        ("include = {}", "include: must be a list of texts: the names of files"),
        ("include = ['ok.toml', 'no']", "main.toml:1:23: include[1]: no: there is no such file"),
        ("extends = '${base}'", "main.toml:1:11: extends: no placeholder can stand here"),
        (
            "extends = 'main.toml'",
            "extends: main.toml: the files go round in a circle: main.toml -> main.toml",
        ),
        (
            "extends = 'round.toml'",
            "round.toml:2:12: include[0]: link.toml: the files go round in a circle: main.toml -> round",
        ),
        (
            "include = ['ok.toml', 'deeper/../ok.toml']",
            "include[1]: deeper/../ok.toml: is part of this scenario already (main.toml:1 names it)",
        ),
        ("include = ['ok.toml', 'again.toml']", "again.toml:1:11: extends: also.toml: is part of"),
        ("extends = 'loop.toml'", "extends: loop.toml: cannot be read: Too many levels"),
        ("extends = 'x/x/x/ok.toml'\ninclude = 'ok.toml'", "include: ok.toml: is part of this"),
        ("extends = 'cut.toml'", "cut.toml:1:10: "),
        ("extends = 'latin.toml'", "latin.toml:2: not a text in UTF-8"),
        ("extends = 'text.txt'", "text.txt:1:3: this is no scenario, which would be a TOML file"),
        (f"extends = '{'x' * 5000}'", "cannot be read: File name too long"),
        (f"include = '{'x/' * 3000}'", "include: x/x/x"),
    ],
)
def test_files_that_cannot_be_had(text: str, problem: str) -> None:
    Path("deeper").mkdir()
    os.mkfifo("fifo")
    write("ok.toml", "")
    write("cut.toml", "[scenario\n")
    write("round.toml", "\ninclude = ['link.toml']\n")
    Path("link.toml").symlink_to("main.toml")
    Path("also.toml").symlink_to("ok.toml")
    write("again.toml", "extends = 'also.toml'")
    Path("loop.toml").symlink_to("loop.toml")
    Path("x").symlink_to(".")
    Path("latin.toml").write_bytes(b"\n# \xe9\n")
    write("text.txt", "a scenario")
    (found,) = told(write("main.toml", f"{text}\n"))
    assert problem in found
    assert len(found) < 2000


def test_all_that_is_wrong_with_the_files_is_told_at_once() -> None:
    write("a.toml", "extends = 'no'\n")
    write("b.toml", "= 1\n")
    found = told(write("main.toml", "extends = 'nosuch'\ninclude = ['a.toml', 'b.toml']\n"))
    assert [line.partition(": ")[0] for line in found] == [
        "main.toml:1:11",
        "a.toml:1:11",
        "b.toml:1:1",
    ]


def test_a_chain_has_an_end() -> None:
    for number in range(DEEPEST_FILES + 5):
        write(f"{number}.toml", f"extends = '{number + 1}.toml'\n")
    (found,) = told("0.toml")
    assert found.endswith(f"files name each other more than {DEEPEST_FILES} deep")
    write(f"{DEEPEST_FILES}.toml", FLEET)
    assert load_scenario(Path("0.toml")).fleets


def test_thousands_of_files_are_refused_soon() -> None:
    for number in range(MOST_FILES + 100):
        write(f"many/{number}.toml", "")
    listed = ", ".join(f"'many/{number % (MOST_FILES + 100)}.toml'" for number in range(20_000))
    began = time.monotonic()
    found = told(write("main.toml", f"include = [{listed}]\n"))
    assert time.monotonic() - began < PATIENCE_S
    assert f"a scenario is made of at most {MOST_FILES} others" in found[-1]


def test_files_that_each_name_two_end_soon() -> None:
    """Each is there once, or 2 to the power of 20 would be read."""
    for number in range(DEEPEST_FILES - 1):
        write(f"{number}.toml", f"include = ['{number + 1}.toml', '{number + 1}.toml']\n")
    write(f"{DEEPEST_FILES - 1}.toml", "")
    assert all("is part of this scenario already" in line for line in told("0.toml"))


def test_what_all_files_hold_together_is_bounded() -> None:
    values = "a = [" + "1," * 200_000 + "]\n"
    write("a.toml", values)
    (found,) = told(write("main.toml", f"extends = 'a.toml'\n{values}"))
    # The base is read first, and the file itself is then too much.
    assert "more than 250000 values and tables" in found
    write("long.toml", "#" + "x" * (3 << 20))
    (found,) = told(write("main.toml", "extends = 'long.toml'\n#" + "x" * (2 << 20)))
    assert "characters, with the files before" in found


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["", "extends = ", "include = "]),
            st.sampled_from(
                ["'a.toml'", "'b.toml'", "'c.toml'", "['a.toml', 'b.toml']", "[]", "1"]
            ),
            st.sampled_from(["", FLEET, "[scenario]\nname = '${x}'", "[matrix]\nx = [1, 2]", "="]),
        ),
        min_size=3,
        max_size=3,
    )
)
def test_whatever_files_name_each_other_they_are_loaded_or_refused(
    files: list[tuple[str, str, str]],
) -> None:
    for name, (key, value, text) in zip("abc", files, strict=True):
        write(f"{name}.toml", f"{key}{value}\n{text}\n" if key else f"{text}\n")
    try:
        scenario = load_scenario(Path("a.toml"))
    except ScenarioError as error:
        files_told = {problem.file for problem in error.problems}
        assert files_told
        assert files_told <= {"a.toml", "b.toml", "c.toml"}
    else:
        assert scenario.files[-1] == Path("a.toml")


inner = st.recursive(
    st.one_of(
        st.integers(-1, 3), st.booleans(), st.sampled_from(["", "5s", "${a}", "${b}", "READ", "x"])
    ),
    lambda one: st.lists(one, max_size=3) | st.dictionaries(keys, one, max_size=4),
    max_leaves=12,
)
tables = st.dictionaries(
    st.sampled_from(
        [
            "scenario",
            "link",
            "gateway",
            "devices",
            "expect",
            "impair",
            "step",
            "parameters",
            "matrix",
        ]
    ),
    inner | st.dictionaries(keys, st.dictionaries(keys, inner, max_size=4), max_size=3),
    max_size=5,
)


@settings(max_examples=300, deadline=None)
@given(st.lists(tables, min_size=1, max_size=3))
def test_whatever_documents_are_merged_the_whole_is_loaded_or_refused(
    values: list[dict[str, Any]],
) -> None:
    place = Path("/nowhere/test.toml")
    sources = [Source(place, Document("", value, {}, 0)) for value in values]
    try:
        scenario = load_merged(Merged(sources), place, None)
    except ScenarioError as error:
        assert len(str(error)) < 500_000  # noqa: PT017
    else:
        assert len(scenario.files) == len(values)


def test_a_text_without_a_file_extends_what_is_beside_it(tmp_path: Path) -> None:
    write("base.toml", FLEET)
    scenario = load_text("extends = 'base.toml'", tmp_path / "nosuch.toml")
    assert scenario.fleets
    assert replace(scenario, files=()).folders == (tmp_path,)
