"""Scenario files as tests of pytest: which files are, what they are called, and what becomes of them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.pytest_plugin.conftest import scenario

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.pytest_plugin.conftest import Project, Session

HOSTILE = r"a::b \u001b[31m\u202e\"</script>]]>$(x)\n`|`"


@pytest.fixture(scope="module")
def verdicts(make_project: Callable[[str], Project]) -> Session:
    """A project with a scenario of each verdict, all of which were run."""
    project = make_project("verdicts")
    project.ini("iotsim_scenarios = scenarios")
    project.write("scenarios/good.toml", scenario("good"))
    project.write("scenarios/bad.toml", scenario("bad", polled=True))
    project.write("scenarios/deep/lossy.toml", scenario("lossy", polled=True))
    project.write("scenarios/broken.toml", "[scenario]\nname = \n")
    project.write("scenarios/wrong.toml", scenario("wrong").replace("count =", "cout ="))
    project.write("scenarios/lacking.toml", scenario("lacking", 'requires = ["no-such-program"]'))
    project.write(
        "scenarios/matrix.toml",
        scenario("matrix").replace("count = 2", 'count = "${n}"') + "[matrix]\nn = [1, 3]\n",
    )
    empty = scenario("empty").partition("[[expect]]")[0]
    project.write("scenarios/empty.toml", empty)
    project.write("scenarios/hostile.toml", scenario(HOSTILE, polled=True))
    project.write("scenarios/foreign.toml", "[tool.other]\nx = 1\n")
    project.write("scenarios/pyproject.toml", "[tool.iotsim]\n")
    project.write("scenarios/base.toml", "[devices.pump]\ncount = 1\n")
    project.write("scenarios/heir.toml", 'extends = "base.toml"\n' + scenario("heir"))
    project.write("elsewhere/good.toml", scenario("elsewhere"))
    project.write("test_plain.py", "def test_plain():\n    pass\n")
    return project("-v", "-rA")


def test_scenarios_are_collected_by_name_and_parameters(verdicts: Session) -> None:
    names = set(verdicts.cases)
    assert {"good", "bad", "lossy", "matrix[n=1]", "matrix[n=3]", "test_plain"} <= names
    assert "scenarios/deep/lossy.toml::lossy FAILED" in verdicts.text
    assert {"foreign", "pyproject", "base", "elsewhere"}.isdisjoint(names)
    assert verdicts.status == 1


@pytest.mark.parametrize("name", ["good", "matrix[n=1]", "matrix[n=3]"])
def test_what_holds_passes(verdicts: Session, name: str) -> None:
    assert verdicts.cases[name].state == "passed"


def test_a_failure_is_explained_without_a_traceback(verdicts: Session) -> None:
    case = verdicts.cases["bad"]
    assert case.state == "failure"
    assert case.message.startswith("failed: meters are polled")
    for words in (
        "FAILED  bad (seed",
        "expected   each of meter",
        "results: ",
        "repeat:  iotsim run",
    ):
        assert words in case.text
    assert "Traceback" not in verdicts.text
    assert "scenarios.py" not in case.text
    assert "FAILED scenarios/bad.toml::bad - failed: meters are polled" in verdicts.text


def test_the_report_has_the_properties_of_the_run(verdicts: Session) -> None:
    properties = verdicts.cases["matrix[n=3]"].properties
    assert properties["verdict"] == "passed"
    assert properties["seed"].isdigit()
    assert properties["parameter.n"] == "3"
    assert properties["repeat"].startswith("iotsim run scenarios/matrix.toml --set n=3")
    assert "/results/matrix/" in properties["results"]


def test_mistakes_are_errors_with_their_lines(verdicts: Session) -> None:
    broken, wrong = verdicts.cases["broken"], verdicts.cases["wrong"]
    assert (broken.state, wrong.state) == ("error", "error")
    assert "scenarios/broken.toml:2:" in broken.text
    assert "scenarios/wrong.toml:" in wrong.text
    assert "did you mean 'count'" in wrong.text


def test_a_run_that_proves_nothing_is_an_error(verdicts: Session) -> None:
    case = verdicts.cases["empty"]
    assert case.state == "error"
    assert "empty" in case.message


def test_what_this_machine_cannot_run_is_skipped_with_the_fix(verdicts: Session) -> None:
    case = verdicts.cases["lacking"]
    assert case.state == "skipped"
    assert "no-such-program" in case.message
    assert "scenarios/lacking.toml" in case.text


def test_a_hostile_name_is_harmless_and_names_its_test(verdicts: Session) -> None:
    (name,) = (name for name in verdicts.cases if name.startswith("a:b"))
    assert "::" not in name
    assert not any(sign in verdicts.text for sign in ("\x1b", "\u202e"))
    assert verdicts.cases[name].state == "failure"


def test_no_name_of_others_spoils_the_xml(project: Project) -> None:
    project.ini("iotsim_scenarios = scenarios", "junit_family = xunit1")
    text = scenario("readings", 'description = "${word}"')
    matrix = "[matrix]\nword = ['ok', \"a\\u0001b\"]\n"
    project.write("scenarios/a\x01\x1b[2Jb.toml", text + matrix)
    project.write("scenarios/deep\x02/\u202e.toml", "[scenario]\nname = \n")
    project.write("scenarios/odd\udcff.toml", scenario("odd"))  # no UTF-8
    session = project("-rA")  # whose XML is parsed
    states = {name: case.state for name, case in session.cases.items()}
    assert states == {
        "readings[word=ok]": "passed",
        r"readings[word=a\x01b]": "passed",
        r"\u202e": "error",
        "odd": "passed",
    }
    assert not any(sign in session.text for sign in ("\x01", "\x1b", "\u202e"))
    assert r"scenarios/a\x01\x1b[2Jb.toml::readings[word=ok]" in session.text


@pytest.fixture
def three(project: Project) -> Project:
    project.ini("iotsim_scenarios = scenarios")
    project.write("scenarios/one.toml", scenario("one", 'tags = ["smoke", "xfail"]'))
    project.write("scenarios/two.toml", scenario("two", 'tags = ["slow"]', polled=True))
    project.write("scenarios/three.toml", scenario("three: a name", 'tags = ["smoke", "slow"]'))
    return project


@pytest.mark.parametrize(
    ("arguments", "chosen"),
    [
        (["-k", "two"], {"two"}),
        (["-k", "a and name"], {"three: a name"}),
        (["-k", "xfail"], {"one"}),
        (["-m", "smoke"], {"one", "three: a name"}),
        (["-m", "slow and not smoke"], {"two"}),
        (["-m", "xfail"], set()),
        (["scenarios/three.toml::three: a name"], {"three: a name"}),
        (["scenarios/one.toml"], {"one"}),
    ],
)
def test_tests_are_chosen_as_any_others(
    three: Project, arguments: list[str], chosen: set[str]
) -> None:
    session = three("-q", "--collect-only", *arguments)
    names = {line.partition("::")[2] for line in session.text.splitlines() if "::" in line}
    assert names == chosen, session.text


def test_what_failed_last_is_run_again(three: Project) -> None:
    assert three("-q", cache=True).status == 1
    again = three("-q", "--lf", cache=True)
    assert set(again.cases) == {"two"}


BRACKETS = {
    "any[n=1]": "any[n=1]",
    "any[n=3]": "any[n=3]",
    "plain [first]": "plain [first]",
    "a [half": "a (half",
    "[one] of two": "(one) of two",
    "()[x]": "()[x]",
}
"""What tests are called, by the names of scenarios that have brackets."""


@pytest.fixture
def brackets(project: Project) -> Project:
    project.ini("iotsim_scenarios = scenarios")
    for number, name in enumerate(BRACKETS):
        text = scenario(name.partition("[n=")[0], polled=name != "any[n=1]")
        if name.startswith("any"):
            value = name.removeprefix("any[n=").removesuffix("]")
            text = text.replace("count = 2", 'count = "${n}"') + f"[matrix]\nn = [{value}]\n"
        project.write(f"scenarios/s{number}.toml", text)
    return project


def test_brackets_of_names_survive_where_ids_are_read_again(brackets: Project) -> None:
    """As where tests are shared among processes, or kept to be run again."""
    session = brackets("-q", "-n", "2", "-rA", cache=True)
    assert set(session.cases) == set(BRACKETS.values())
    told = re.findall(r"^(?:FAILED|PASSED) \S+::(.*?)(?: - .*)?$", session.text, re.MULTILINE)
    assert set(told) == set(BRACKETS.values()), session.text
    again = brackets("-q", "--lf", cache=True)
    assert set(again.cases) == set(BRACKETS.values()) - {"any[n=1]"}, again.text
    assert set(brackets("-q", "scenarios/s0.toml::any[n=1]").cases) == {"any[n=1]"}


def test_a_tag_does_not_turn_a_test_into_another(three: Project) -> None:
    session = three("-q", "-k", "one")
    assert session.cases["one"].state == "passed"
    assert "xpassed" not in session.text


def test_several_processes_share_them(three: Project) -> None:
    session = three("-q", "-n", "2")
    states = {name: case.state for name, case in session.cases.items()}
    assert states == {"one": "passed", "two": "failure", "three: a name": "passed"}, session.text
    assert "repeat:  iotsim run" in session.cases["two"].text


def test_a_file_is_named_on_the_command_line(project: Project) -> None:
    project.ini()
    project.write("good.toml", scenario("good"))
    project.write("pyproject.toml", "[tool.other]\n")
    assert project("-q").status == 5  # none is guessed
    assert set(project("-q", "good.toml").cases) == {"good"}
    foreign = project("-q", "pyproject.toml")
    assert foreign.status != 0
    assert not foreign.cases


def test_the_project_says_where_scenarios_are(project: Project) -> None:
    project.ini()
    project.write("iotsim.toml", 'scenarios = ["checks"]\n')
    project.write("checks/good.toml", scenario("good"))
    project.write("other/good.toml", scenario("other"))
    assert set(project("-q").cases) == {"good"}
    project.write("iotsim.toml", 'scenaros = ["checks"]\n')
    wrong = project("-q")
    assert wrong.status not in (0, 5)
    assert "iotsim.toml:1" in wrong.text
    assert "scenarios.py" not in wrong.text


def test_parameters_go_to_those_that_have_them(project: Project) -> None:
    project.ini("iotsim_scenarios = .")
    project.write("good.toml", scenario("good"))
    text = scenario("matrix", 'duration = "${m}s"').replace('duration = "10s"\n', "")
    text = text.replace("count = 2", 'count = "${n}"')
    project.write("matrix.toml", text + "[matrix]\nn = [1, 3]\nm = [5, 6]\n")
    project.write(
        "test_meters.py",
        """
def test_meters(simulation):
    with simulation("matrix.toml", parameters={"m": 5}, judge=False) as sim:
        assert len(sim.device("meter").names) == 3
""",
    )
    session = project("-q", "--iotsim-set", "n=3")
    assert {name: case.state for name, case in session.cases.items()} == {
        "good": "passed",
        "matrix[m=5]": "passed",
        "matrix[m=6]": "passed",
        "test_meters": "passed",
    }, session.text
    assert session.cases["matrix[m=6]"].properties["parameter.n"] == "3"
    wrong = project("-q", "--iotsim-set", "n")
    assert wrong.status == 2
    assert "'n' is not NAME=VALUE" in wrong.text
    assert "scenarios.py" not in wrong.text


def test_a_folder_that_is_not_there_is_told(project: Project) -> None:
    project.ini("iotsim_scenarios = nowhere")
    project.write("good.toml", scenario("good"))
    session = project("-q")
    assert session.status not in (0, 5)
    assert "iotsim_scenarios: there is no such file or folder" in session.text


def test_what_the_project_names_and_has_not_is_told(project: Project) -> None:
    project.ini()
    project.write("test_plain.py", "def test_plain():\n    pass\n")
    project.write("iotsim.toml", 'results = "out"\n')
    assert project("-q").status == 0  # of a project without scenarios
    project.write("iotsim.toml", 'scenarios = ["scenaros"]\n')
    session = project("-q", "--iotsim-strict")
    assert session.status == 2, session.text
    assert "scenaros: there are no scenarios" in session.text
    assert "scenarios.py" not in session.text
    project.write("scenarios/good.toml", scenario("good"))
    assert project("-q").status == 2


def test_options_go_to_the_run(project: Project) -> None:
    project.ini("iotsim_scenarios = .")
    project.write("good.toml", scenario("good"))
    session = project(
        "-q", "--iotsim-seed", "7", "--iotsim-results", "out", "--iotsim-tolerance", "2"
    )
    properties = session.cases["good"].properties
    assert properties["seed"] == "7"
    assert "--tolerance 2" in properties["repeat"]
    assert (project.folder / "out" / "good.toml-good" / "result.json").is_file()


@pytest.mark.parametrize(
    ("name", "imported"),
    [
        ("other.json", {"iotsim", "iotsim.pytest_plugin"}),
        (
            "other.toml",  # which may be a scenario of a project, so that its file is looked for
            {
                "iotsim",
                "iotsim.errors",
                "iotsim.pytest_plugin",
                "iotsim.pytest_plugin.scenarios",
                "iotsim.run",
                "iotsim.run.project",
                "iotsim.safetext",
            },
        ),
    ],
)
def test_who_has_no_scenario_pays_for_nothing(
    project: Project, name: str, imported: set[str]
) -> None:
    project.ini()
    project.write("test_plain.py", "def test_plain():\n    pass\n")
    project.write(f"data/{name}", "")
    heavy = ("iotsim", "trio", "pydantic", "construct", "msgspec")
    program = (
        "import json, sys, pytest; status = pytest.main(['-q']);"
        f"print(json.dumps([m for m in sys.modules if m.startswith({heavy})]));"
        "sys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=project.folder,
        env={
            **project.environment,
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTEST_PLUGINS": "iotsim.pytest_plugin",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(json.loads(done.stdout.splitlines()[-1])) == imported


def test_several_processes_tell_of_errors_too(project: Project) -> None:
    """What a report has must be plain: that of a run with a mistake is made by another way."""
    project.ini("iotsim_scenarios = scenarios")
    project.write("scenarios/wrong.toml", scenario("wrong").replace("count =", "cout ="))
    project.write("scenarios/lacking.toml", scenario("lacking", 'requires = ["no-such-program"]'))
    session = project("-q", "-n", "2")
    assert "INTERNALERROR" not in session.text
    states = {name: case.state for name, case in session.cases.items()}
    assert states == {"wrong": "error", "lacking": "skipped"}
