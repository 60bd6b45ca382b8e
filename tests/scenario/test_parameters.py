"""Parameters, the environment and the matrix: what ``${NAME}`` becomes, and which runs there are."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iotsim.errors import ScenarioError
from iotsim.scenario import Overrides, load_scenario, load_scenarios, load_text
from iotsim.scenario.load import planned_runs
from iotsim.scenario.parameters import (
    MOST_COMBINATIONS,
    Parameters,
    is_value,
    text_of,
    typed_like,
)
from iotsim.scenario.problems import Problems
from iotsim.scenario.toml import read_toml

if TYPE_CHECKING:
    from iotsim.scenario import Scenario

PLACE = Path("/nowhere/test.toml")
PATIENCE_S = 20.0
FLEET = '[devices.meter]\naddress = "10.77.1.1"\nprotocol = "sensornet"\n'


def load(text: str, environment: dict[str, str] | None = None, **given: str) -> Scenario:
    overrides = Overrides(parameters=given, environment=environment or {})
    return load_text(text, PLACE, overrides=overrides)


def told(text: str, environment: dict[str, str] | None = None, **given: str) -> list[str]:
    with pytest.raises(ScenarioError) as caught:
        load(text, environment, **given)
    return [str(problem).removeprefix(f"{PLACE}:") for problem in caught.value.problems]


def state(text: str, environment: dict[str, str] | None = None, **given: str) -> Any:
    """What ``${x}`` alone becomes, in the state of a device."""
    scenario = load(f"{text}\n{FLEET}state.x = '${{x}}'\n", environment, **given)
    return scenario.fleets[0].state["x"]


# ------------------------------------------------------------------------------------ parameters


def test_a_process_is_given_parameters_as_text() -> None:
    scenario = load(
        "[parameters]\nn = 5\nx = 0.3\non = true\n[gateway]\n"
        "command = ['gw', '${n}', '${x}', '${on}', '-n${n}']\nenv.N = '${n}'\n"
    )
    assert scenario.gateway.command == ("gw", "5", "0.3", "true", "-n5")
    assert scenario.gateway.env == {"N": "5"}


@pytest.mark.parametrize("value", [5, -1, 2.5, True, False, "text", "", "5", "true", "30%"])
def test_a_text_that_is_a_parameter_alone_takes_its_type(value: Any) -> None:
    found = state(
        f"[parameters]\nx = {text_of(value) if not isinstance(value, str) else repr(value)}"
    )
    assert (found, type(found)) == (value, type(value))


def test_inside_of_a_text_it_is_text() -> None:
    text = """
    [parameters]
    n = 3
    rate = 1.5
    yes = true
    name = "x"
    [scenario]
    name = "${n} ${rate} ${yes} ${name}${name} $${n} $n {n} ${n}"
    """
    assert load(text).name == "3 1.5 true xx ${n} $n {n} 3"


def test_parameters_are_filled_in_everywhere() -> None:
    text = """
    [parameters]
    count = 3
    net = "10.77"
    first = "${net}.1.1"
    word = "READ"
    time = "5s"
    where = "${devices.meter.first}"
    hops = ["10.77.9.1", "${net}.9.2"]
    when = { kind = "${word}" }
    [gateway]
    command = ["./gw", "--at=${where}", "${time}"]
    env = { WORD = "${word}", AT = "${devices.meter.last}", "X" = "${first}" }
    [devices.meter]
    count = "${count}"
    address = "${first}"
    protocol = "sensornet"
    hops = "${hops}"
    [[devices.meter.rules]]
    when = "${when}"
    delay = "${time}"
    reply = { kind = "ACK" }
    [[expect]]
    name = "within ${time}"
    each = "meter[0:${count}]"
    receives = { kind = "${word}" }
    within = "${time}"
    """
    scenario = load(text)
    assert scenario.gateway is not None
    assert scenario.gateway.command == ("./gw", "--at=${devices.meter.first}", "5s")
    assert scenario.expand(scenario.gateway.command[1], Path()) == "--at=10.77.1.1"
    assert dict(scenario.gateway.env) == {
        "WORD": "READ",
        "AT": "${devices.meter.last}",
        "X": "10.77.1.1",
    }
    assert scenario.fleets[0].count == 3
    assert scenario.expectations[0].name == "within 5s"


def test_set_goes_before_the_matrix_and_the_matrix_before_the_default() -> None:
    text = "[parameters]\nx = 1\n[matrix]\nx = [2]"
    assert state("[parameters]\nx = 1") == 1
    assert state(text) == 2
    assert state(text, x="3") == 3


@pytest.mark.parametrize(
    ("tables", "given", "value"),
    [
        ("[parameters]\nx = '1'", "5", "5"),
        ("[parameters]\nx = '1'", '"5"', '"5"'),
        ("[parameters]\nx = 1", "+5", 5),
        ("[parameters]\nx = 1", "2.5", 2.5),
        ("[parameters]\nx = 1.5", "5", 5.0),
        ("[parameters]\nx = true", "false", False),
        ("[parameters]\nx = [1]", "[1, 'a']", [1, "a"]),
        ("[parameters]\ny = 1\nx = '${y}'", "5", 5),
        ("[matrix]\nx = ['1', '2']", "5", "5"),
        ("[matrix]\nx = [1, 'two']", "5", 5),
        ("[matrix]\nx = [1, 'two']", "two", "two"),
        ("[matrix]\nx = ['5', 6]", "5", "5"),
        ("[parameters]\nx = '0'\n[matrix]\nx = [1, 2]", "5", 5),
        ("[parameters]\nx = '0'", "a=b", "a=b"),
        ("", "5", 5),
        ("", "'5'", "5"),
        ("", "5s", "5s"),
    ],
)
def test_what_is_set_has_the_type_of_what_it_replaces(tables: str, given: str, value: Any) -> None:
    found = state(tables, x=given)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "given", "problem"),
    [
        ("[parameters]\nx = 1", "five", "--set x=five: must be a number"),
        ("[parameters]\nx = true", "yes", "--set x=yes: must be true or false"),
        ("[parameters]\nx = 1.5", "fast", "--set x=fast: must be a number"),
        ("[parameters]\nx = {}", "5", "--set x=5: must be a table as TOML has it, such as {}"),
        ("[parameters]\nx = []", "[", "--set x=[: must be a list as TOML has it: "),
        ("[parameters]\nx = []", "[]\ny = 2", "must be a list as TOML has it"),
        ("[parameters]\nx = []", "[1979-05-27]", "must be a list as TOML has it"),
    ],
)
def test_what_cannot_be_set(text: str, given: str, problem: str) -> None:
    (found,) = told(f"{text}\n[scenario]\nseed = '${{x}}'", x=given)
    assert problem in found


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("parameters = 1", ["parameters: must be a table"]),
        ("matrix = []", ["matrix: must be a table"]),
        ("[[matrix]]\na = 1", ["matrix: must be a table"]),
        ("[parameters]\n'a.b' = 1", ["parameters.'a.b': 'a.b' is no name for a parameter"]),
        ("[parameters]\nresults = 1", ["2:1: parameters.results: 'results' is no name for a"]),
        (
            "[parameters]\nenv = 1",
            ["2:7: parameters.env: must be a table: the values of variables"],
        ),
        ("[parameters]\nenv.'a b' = 1", ["parameters.env.'a b': 'a b' is no name for a parameter"]),
        ("[parameters]\na = 1979-05-27", ["2:5: parameters.a: must be a text, a number"]),
        ("[parameters]\na = [[1979-05-27]]", ["2:5: parameters.a: must be a text, a number"]),
        ("[matrix]\nenv = [1]", ["2:1: matrix.env: 'env' is no name for a parameter"]),
        ("[matrix]\na = 1", ["2:5: matrix.a: must be a list of values (with one value, it is a"]),
        ("[matrix]\na = []", ["2:5: matrix.a: must be a list of values"]),
        ("[matrix]\na = [1, 2, 1]", ["2:12: matrix.a[2]: 1: the value is there twice"]),
        ("[matrix]\na = [1, '1']", ["2:9: matrix.a[1]: 1: the value is there twice"]),
        ('[matrix]\na = ["\\u0000"]', ["2:6: matrix.a[0]: has a zero byte in it"]),
        (f"[matrix]\na = ['{'x' * 1001}']", ["2:6: matrix.a[0]: longer than 1000 characters"]),
        ("[matrix]\na = [1]", ["2:1: matrix.a: nothing in the scenario has '${a}': all combin"]),
        (
            "[scenario]\nname = '${a} ${b}'\ndescription = '${a}'\n[parameters]\nbb = 1",
            [
                "the parameter '${a}' has no value, here and at 1 other place (give it by --set a=VALUE,",
                "2:8: scenario.name: the parameter '${b}' has no value (did you mean 'bb'?)",
            ],
        ),
        (
            "[scenario]\nname = '${a}'\n[parameters]\na = '${b}'",
            ["4:5: parameters.a: the parameter '${b}' has no value"],
        ),
        (
            "[scenario]\nname = '${a}'\n[parameters]\na = 'x${b}'\nb = ['${a}']",
            ["5:6: parameters.b[0]: parameters go round in a circle: a -> b -> a"],
        ),
        ("[scenario]\nname = '${a}'\n[parameters]\na = '${a}'", ["go round in a circle: a -> a"]),
        (
            "[scenario]\nname = 'x${a}'\n[parameters]\na = [1]",
            ["2:8: scenario.name: '${a}' is a list, which cannot stand inside of a text"],
        ),
        (
            "[scenario]\nname = 'x${a}'\n[parameters]\na = { b = 1 }",
            ["2:8: scenario.name: '${a}' is a table, which cannot stand inside of a text"],
        ),
        (
            "[scenario]\nname = '${a}'\n[parameters]\na = '${link.address}'",
            ["2:8: scenario.name: '${link.address}' cannot stand here: addresses are not known"],
        ),
        (
            "[scenario]\nduration = '${a}'\n[parameters]\na = 5",
            ["2:12: scenario.duration: 5 has no"],
        ),
    ],
)
def test_problems(text: str, problems: list[str]) -> None:
    found = told(text)
    assert len(found) == len(problems)
    for line, problem in zip(found, problems, strict=True):
        assert problem in line


def test_a_default_that_nobody_asks_for_may_lack_what_it_is_made_of() -> None:
    assert load("[parameters]\na = '${nosuch}'").name == "test"


# ----------------------------------------------------------------------------------- environment


def test_only_variables_that_the_scenario_names_are_looked_at() -> None:
    asked = []

    class Watched(dict[str, str]):
        def get(self, name: str, default: Any = None) -> Any:
            asked.append(name)
            return super().get(name, default)

    environment = Watched(HOME="/home/x", SECRET="s")
    text = "[scenario]\nname = '${env.HOME} $${env.SECRET} $HOME'"
    overrides = Overrides(environment=environment)
    assert load_text(text, PLACE, overrides=overrides).name == "/home/x ${env.SECRET} $HOME"
    assert set(asked) == {"HOME"}


def test_a_variable_is_a_text_unless_its_default_is_of_another_type() -> None:
    default = "[parameters]\nx = '${env.N}'\n"
    assert state(default, {"N": "5"}) == "5"
    assert state(f"{default}env.N = 3", {"N": "5"}) == 5
    assert state(f"{default}env.N = 3") == 3
    assert state(f"{default}env.N = ''", {"N": "5"}) == "5"
    assert state(default, {"N": "5"}, x="7") == 7
    (problem,) = told(f"{default}env.N = 3\n[scenario]\nname = '${{x}}'", {"N": "five"})
    assert problem == "3:9: parameters.env.N: the environment's N must be a number"


def test_a_variable_that_is_not_there() -> None:
    (problem,) = told("[gateway]\ncommand = ['x']\nenv.TOKEN = '${env.TOKEN}'")
    assert problem == (
        "3:13: gateway.env.TOKEN: '${env.TOKEN}': the environment has no such variable "
        "(a default for it is TOKEN in [parameters.env])"
    )
    (problem,) = told("[scenario]\nname = '${env.A=B}'", {"A": "1"})
    assert "the environment has no such variable" in problem


def test_a_variable_is_not_set_by_the_command_line() -> None:
    found = told("[scenario]\nname = '${env.A}'", {"A": "1"}, **{"env.A": "2"})
    assert found == [" --set env.A: a variable of the environment cannot be set here"]


def test_a_problem_with_a_value_says_where_it_is_from() -> None:
    text = f"{FLEET}count = '${{n}}'\n[parameters]\nn = '${{m}}'\nm = 0"
    (problem,) = told(text)
    assert problem == (
        "4:9: devices.meter.count: must be greater than or equal to 1 "
        f"(the value is from {PLACE}:7)"
    )


def test_what_the_environment_says_is_no_placeholder() -> None:
    text = "[scenario]\nname = 'x ${env.A}'"
    assert load(text, {"A": "${b} ${link.address}"}).name == "x ${b} ${link.address}"


def test_the_environment_is_not_among_what_results_show() -> None:
    scenario = load("[scenario]\nname = 'x'\ndescription = '${env.A}'", {"A": "secret"})
    assert dict(scenario.parameters) == {}


# ---------------------------------------------------------------------------------------- matrix


def write(folder: Path, text: str, name: str = "a.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


MATRIX = """
[scenario]
name = "Lossy at ${loss}"
[parameters]
loss = "1%"
[matrix]
loss = ["0%", "30%"]
count = [1, 100]
[devices.meter]
address = "10.77.1.1"
count = "${count}"
"""


def test_each_combination_is_a_scenario(tmp_path: Path) -> None:
    scenarios = load_scenarios(write(tmp_path, MATRIX))
    assert [dict(one.parameters) for one in scenarios] == [
        {"loss": "0%", "count": "1"},
        {"loss": "0%", "count": "100"},
        {"loss": "30%", "count": "1"},
        {"loss": "30%", "count": "100"},
    ]
    assert [one.fleets[0].count for one in scenarios] == [1, 100, 1, 100]
    assert [one.name for one in scenarios][1:3] == [
        "Lossy at 0% [count=100]",
        "Lossy at 30% [count=1]",
    ]


def test_the_matrix_is_narrowed(tmp_path: Path) -> None:
    path = write(tmp_path, MATRIX)
    (one, other) = load_scenarios(path, Overrides(parameters={"loss": "30%"}))
    assert [dict(s.parameters) for s in (one, other)] == [
        {"loss": "30%", "count": "1"},
        {"loss": "30%", "count": "100"},
    ]
    new = load_scenario(path, overrides=Overrides(parameters={"loss": "5%", "count": "7"}))
    assert (new.name, new.fleets[0].count) == ("Lossy at 5% [count=7]", 7)


def test_one_scenario_cannot_be_several(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError) as caught:
        load_scenario(write(tmp_path, MATRIX))
    (problem,) = caught.value.problems
    assert problem.message == "makes 4 scenarios, and one is asked for"
    assert problem.hint == "take one, such as by --set loss=0% --set count=1"


def test_a_combination_is_what_its_settings_make_again(tmp_path: Path) -> None:
    text = """
    [matrix]
    a = [1, 1.5, true, "x", "1 2", "'q'", [1, "b"], { c = 1, "d e" = ["\\u0007\\"\\\\"] }, []]
    b = ["${other}", "${link.address}"]
    [parameters]
    other = 7
    [devices.meter]
    address = "10.77.1.1"
    protocol = "sensornet"
    state.a = "${a}"
    state.b = "${b}"
    """
    path = write(tmp_path, text)
    scenarios = load_scenarios(path)
    assert len(scenarios) == 18
    for one in scenarios:
        again = load_scenario(path, overrides=Overrides(parameters=one.parameters))
        assert repr(again.fleets[0].state) == repr(one.fleets[0].state)
        assert again.name == one.name
    assert scenarios[0].fleets[0].state["b"] == 7
    assert scenarios[1].fleets[0].state["b"] == "10.77.0.1"


def test_what_is_wrong_with_some_combinations_says_with_which(tmp_path: Path) -> None:
    text = MATRIX.replace("[1, 100]", "[0, 1, -1]") + "cuont = 1\n"
    with pytest.raises(ScenarioError) as caught:
        load_scenarios(write(tmp_path, text))
    everywhere, zero = sorted(caught.value.problems, key=lambda one: -one.line)
    assert everywhere.message == "unknown key"
    assert zero.message == ("must be greater than or equal to 1, with loss=0%, count=0 and 3 more")


def test_a_matrix_from_another_file(tmp_path: Path) -> None:
    write(tmp_path, MATRIX, "base.toml")
    path = write(tmp_path, "extends = 'base.toml'\n[matrix]\ncount = [5]\n[parameters]\nloss = ''")
    counts = [one.fleets[0].count for one in load_scenarios(path)]
    assert counts == [5, 5]


def test_the_number_of_combinations_is_bounded(tmp_path: Path) -> None:
    names = [f"a{number}" for number in range(40)]
    text = f"[scenario]\nname = '{''.join(f'${{{name}}}' for name in names)}'\n[matrix]\n"
    huge = text + "".join(f"{name} = [1, 2]\n" for name in names)
    (problem,) = told(huge)
    assert "matrix: more than a billion combinations, of which there can be 1000" in problem
    values = ", ".join(map(str, range(MOST_COMBINATIONS)))
    path = write(tmp_path, f"[matrix]\na = [{values}]\n[scenario]\nseed = '${{a}}'")
    assert len(planned_runs(path, {})) == MOST_COMBINATIONS
    path.write_text(path.read_text().replace("[0, ", "[-1, 0, "))
    assert len(planned_runs(path, {})) == 1
    with pytest.raises(ScenarioError, match="1001 combinations, of which there can be 1000"):
        load_scenarios(path)


def test_the_tags_of_each_run_are_known_before_it_is_loaded(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
        [parameters]
        team = "radio"
        kind = "${team}-${loss}"
        [matrix]
        loss = ["low", "high"]
        more = [[], ["slow", "night"]]
        [scenario]
        tags = ["smoke", "loss-${loss}", "${kind}", "${unknown}", "${n}"]
        """,
    )
    tags = [run.tags for run in planned_runs(path, {"n": "5"})]
    low = ("smoke", "loss-low", "radio-low", "${unknown}")
    high = ("smoke", "loss-high", "radio-high", "${unknown}")
    assert tags == [low, low, high, high]
    path.write_text(path.read_text().replace("tags =", "tags = '${more}'\nexcludes ="))
    assert [run.tags for run in planned_runs(path, {})] == [(), ("slow", "night")] * 2
    assert [run.tags for run in planned_runs(path, {"more": "['x', 1]", "loss": "low"})] == [("x",)]
    path.write_text("[scenario]\ntags = 'a${team}'\n[parameters]\nteam = '${team}'")
    assert planned_runs(path, {}) == [({}, ("a${team}",), None)]


def test_so_is_its_own_limit(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
        [parameters]
        unit = "s"
        [matrix]
        patience = ["3", 4]
        [scenario]
        limit = "${patience}${unit}"
        """,
    )
    assert [run.limit_s for run in planned_runs(path, {})] == [3.0, 4.0]
    assert [run.limit_s for run in planned_runs(path, {"patience": "5", "unit": "m"})] == [300.0]
    assert [run.limit_s for run in planned_runs(path, {"patience": "4", "unit": "x"})] == [None]
    path.write_text("[scenario]\nlimit = '8s'")
    assert [run.limit_s for run in planned_runs(path, {})] == [8.0]
    for odd in ("3", "'0s'", "'${none}'", "'${env.NOBODY_HAS_THIS}'"):
        path.write_text(f"[scenario]\nlimit = {odd}")
        assert [run.limit_s for run in planned_runs(path, {})] == [None]


# --------------------------------------------------------------------------------- hostile files


def doubling(levels: int, of: str) -> str:
    lines = [f"a{n} = {of.replace('X', f'${{a{n + 1}}}')}" for n in range(levels)]
    return "\n".join(["[parameters]", *lines, f"a{levels} = 'x'", ""])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (doubling(19, "'" + "X" * 30 + "'"), "would fill in more than 16777216 characters"),
        (doubling(19, "['X', 'X', 'X', 'X', 'X']"), "would fill in more than 250000 values"),
        (doubling(19, "{ b = ['X'] }").replace("'x'", "[[[[1]]]]"), "nested more than 40 deep"),
        (doubling(5000, "'X'").replace("a4999 = ", "# "), "more than 1000 parameters"),
        (doubling(900, "'X'"), "parameters are made of others too deep: a0 -> a1 -> "),
        (
            "[parameters]\na0 = [" + "1," * 100_000 + "]\n",
            "would fill in more than 250000 values",
        ),
        (
            f"[parameters]\na0 = '{'y' * 100_000}'\n",
            "would fill in more than 16777216 characters",
        ),
    ],
    ids=["text", "lists", "deep", "many", "chain", "long list", "long text"],
)
def test_values_that_grow_are_refused_soon(text: str, problem: str) -> None:
    tags = ", ".join(["'${a0}'"] * 20_000)
    began = time.monotonic()
    found = told(f"{text}[scenario]\ntags = [{tags}]\n")
    assert time.monotonic() - began < PATIENCE_S
    assert any(problem in line for line in found), found[:3]
    assert max(map(len, found)) < 3000


simple = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.booleans(),
    st.floats(),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=10),
)
values = st.recursive(
    simple,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)


@given(values)
def test_the_text_of_a_value_is_that_value_again(value: Any) -> None:
    assert is_value(value)
    text = text_of(value)
    again = typed_like(text, value)
    assert repr(again) == repr(value)


@settings(max_examples=300, deadline=None)
@given(
    st.fixed_dictionaries(
        {}, optional={"parameters": st.dictionaries(st.sampled_from("abcd"), values | st.sampled_from(
            ["${a}", "${b}x", "${env.A}", "${link.address}", "$${a}", "${c}${d}"])),
            "matrix": st.dictionaries(st.sampled_from("abx"), st.lists(values, max_size=3) | values)}
    ),
    st.dictionaries(st.sampled_from("abz"), st.text(max_size=5), max_size=2),
)  # fmt: skip
def test_whatever_is_declared_each_combination_is_loaded_or_refused(
    tables: dict[str, Any], given: dict[str, str]
) -> None:
    declared = Parameters(tables, Problems(""))
    settings_of = declared.combinations(given)
    assert len({repr(sorted(setting.items())) for setting in settings_of}) == len(settings_of)
    text = "[scenario]\nname = '${a} ${b}'\n[devices.m]\naddress = '10.77.1.1'\nstate.a = '${c}'\n"
    text += "".join(
        f"[{name}]\n" + "".join(f"{key} = {as_toml(value)}\n" for key, value in table.items())
        for name, table in tables.items()
    )
    read_toml(text)
    for setting in settings_of[:5]:
        overrides = Overrides(parameters=setting, environment={"A": "${a}"})
        try:
            scenario = load_text(text, PLACE, overrides=overrides)
        except ScenarioError as error:
            assert all(problem.message for problem in error.problems)  # noqa: PT017
        else:
            assert dict(scenario.parameters) == setting


def as_toml(value: Any) -> str:
    return text_of([value])[1:-1]
