"""Scenario files as tests: ``scenarios/lossy.toml::a lossy radio[loss=10%]``.

Which TOML files are scenarios is never guessed: what the ini option ``iotsim_scenarios`` names, what is
below the folder of scenarios of the project, and what is itself an argument of pytest.

A test is one run, by ``iotsim run`` in a process of its own, so that neither privileges that it gives up
nor protocols that it imports are seen by others. The run is the test's set-up, and its verdict the test:
so pytest says FAILED where the gateway failed, and ERROR where nothing was proven: of a scenario that is
wrong, a run that is inconclusive or was empty. A machine that cannot run it skips it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from iotsim.safetext import safe_line, safe_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from iotsim.pytest_plugin.runner import Done, Runner
    from iotsim.results.result import RunResult
    from iotsim.run.suitejobs import Job
    from iotsim.scenario.project import Project

NO_SCENARIOS = ("pyproject.toml", "iotsim.toml")
"""Files that never are one, also where they cannot be read."""
TAG = re.compile(r"[^\W_][\w.+/-]*")
"""Tags that ``-m`` can name."""
MARKS_OF_PYTEST = frozenset(
    (
        "filterwarnings",
        "parametrize",
        "skip",
        "skipif",
        "tryfirst",
        "trylast",
        "usefixtures",
        "xfail",
    )
)
"""A tag must not change what a test comes to."""
ROUND = str.maketrans("[]", "()")


def collect(path: Path, parent: pytest.Collector) -> ScenarioFile | None:
    """What is in the TOML file at `path`; None if it is none of ours."""
    if path.name in NO_SCENARIOS:
        declared(
            parent.config
        )  # where nothing else is in a TOML file, its mistakes are told as well
        return None
    if path in declared(parent.config) or (
        parent.session.isinitpath(path) and _may_be_scenario(path)
    ):
        file = ScenarioFile.from_parent(parent, path=path)
        shown = safe_line(file.nodeid)
        # pytest's terminal and its XML have node ids as they are.
        if shown != file.nodeid:
            file = ScenarioFile.from_parent(parent, path=path, nodeid=shown)
        return file
    return None


def _may_be_scenario(path: Path) -> bool:
    from iotsim.scenario.outline import read_outline

    outline = read_outline(path)
    return outline is None or outline.is_scenario  # what cannot be read, its run tells


DECLARED = pytest.StashKey["frozenset[Path]"]()
PROJECT = pytest.StashKey["Project"]()


def declared(config: pytest.Config) -> frozenset[Path]:
    """The scenario files that the project says it has."""
    if DECLARED not in config.stash:
        config.stash[DECLARED] = frozenset(_declared(config))
    return config.stash[DECLARED]


def _declared(config: pytest.Config) -> Iterable[Path]:
    from iotsim.errors import ScenarioError
    from iotsim.run.project import may_be_project

    named: list[Path] = config.getini("iotsim_scenarios")
    for path in named:
        if not path.exists():
            told = f"iotsim_scenarios: there is no such file or folder: {path}"
            raise pytest.Collector.CollectError(safe_line(told))
    try:
        words = [str(path) for path in named]
        if not words and may_be_project(config.rootpath):
            words = _words_of(project_of(config))
        if not words:
            return []
        from iotsim.cli.files import find_scenarios

        files = find_scenarios(words).files
    except ScenarioError as error:
        raise pytest.Collector.CollectError(str(error)) from None
    return [Path(os.path.abspath(file)) for file in files]  # noqa: PTH100 - links stay, as pytest has them


def _words_of(project: Project) -> list[str]:
    """What the project says that its scenarios are. ScenarioError if it names what is not there; one that
    names nothing may have none."""
    if not project.names_scenarios and not all(path.exists() for path in project.scenarios):
        return []
    from iotsim.cli.files import scenarios_of

    return scenarios_of(project)


def project_of(config: pytest.Config) -> Project:
    """The project that pytest's rootdir is in, which is also where scenarios are run. ScenarioError tells
    what is wrong with its file."""
    from iotsim.run.project import find_project

    if PROJECT not in config.stash:
        config.stash[PROJECT] = find_project(config.rootpath)
    return config.stash[PROJECT]


class ScenarioFile(pytest.File):
    """A file of one scenario, or of several by its matrix."""

    def collect(self) -> Iterable[ScenarioItem]:
        from iotsim.errors import ScenarioError
        from iotsim.pytest_plugin import reports
        from iotsim.scenario.load import merged_runs
        from iotsim.scenario.merge import Merged
        from iotsim.scenario.parameters import combination_text
        from iotsim.scenario.sources import read_sources

        reports.register(self.config)
        try:
            merged = Merged(read_sources(self.path))
        except ScenarioError:  # which its run tells
            yield self._item(item_name(self.path.stem), {})
            return
        head = merged.value.get("scenario")
        head = head if isinstance(head, dict) else {}
        name = head.get("name")
        name = name if isinstance(name, str) and name.strip() else self.path.stem
        given = parameters_for(merged.value, self.config)
        for setting, tags, _ in merged_runs(merged, self.path, given):
            free = {name: text for name, text in setting.items() if name not in given}
            item = self._item(item_name(name, combination_text(free)), setting)
            item.tag(tags)
            yield item

    def _item(self, name: str, setting: Mapping[str, str]) -> ScenarioItem:
        """The test of this name. Its id is as pytest reads it where it is written, as in its cache: there,
        what a bracket begins is no part of the name. Versions without such ids (``id``) take text alone."""
        nodeid = f"{self.nodeid}::{name}" if "[" in name and hasattr(self, "id") else None
        return ScenarioItem.from_parent(self, name=name, nodeid=nodeid, setting=setting)


def parameters_for(tables: Mapping[str, Any], config: pytest.Config) -> dict[str, str]:
    """Those that the command line sets and that a scenario with these tables has."""
    from iotsim.cli.parameters import parse_set
    from iotsim.errors import ScenarioError
    from iotsim.scenario.placeholders import names_in, strings

    try:
        given = parse_set(config.getoption("iotsim_set"))
    except ScenarioError as error:
        raise pytest.Collector.CollectError(f"--iotsim-set: {error}") from None
    names = {name for _, text in strings(tables) for name in names_in(text)} if given else set()
    return {name: text for name, text in given.items() if name in names}


def item_name(name: str, combination: str = "") -> str:
    """The name of a test: that of its scenario, with a `combination` of parameters in brackets. Other
    brackets are round ones if they do not end it, since pytest reads all behind the first "[" as parameters.
    """
    whole = node_name(name) + (f"[{node_name(combination)}]" if combination else "")
    if "[" in whole and not whole.endswith("]"):
        return whole.translate(ROUND)
    return whole


def node_name(text: str) -> str:
    """`text` as a part of a node id, which a command line can name again."""
    return re.sub(r":{2,}", ":", safe_line(text)).strip()


class ScenarioItem(pytest.Item):
    """One run of a scenario, with the parameters of `setting`."""

    obj = None
    """What plugins such as pytest-trio, with its ``trio_mode``, look at to see whether a test is theirs."""

    def __init__(self, *, setting: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.setting = dict(setting)
        self.result: RunResult | None = None
        self.folder = Path()
        self.output = ""

    def tag(self, tags: Sequence[str]) -> None:
        """Let ``-m`` and ``-k`` know the scenario's `tags`."""
        self.extra_keyword_matches.update(tags)
        for tag in dict.fromkeys(tags):
            if TAG.fullmatch(tag) and tag not in MARKS_OF_PYTEST:
                self.config.addinivalue_line("markers", f"{tag}: a tag of iotsim scenarios")
                self.add_marker(getattr(pytest.mark, tag))

    def reportinfo(self) -> tuple[Path, int, str]:
        return Path(safe_line(str(self.path))), 0, self.name

    def setup(self) -> None:
        from iotsim.pytest_plugin.reports import properties, unable
        from iotsim.results.verdict import Verdict
        from iotsim.testing.explanation import explain

        self.folder = results_folder(self.config, self.path.stem, self.nodeid)
        result, self.output = self._run()
        self.result = result
        self.user_properties[:] = properties(result, self.folder)  # those of the last attempt
        if result.verdict == Verdict.SKIPPED:
            raise unable(self.config, (result.reason, *result.notes))
        if result.verdict not in (Verdict.PASSED, Verdict.FAILED):
            raise self._explained(result)
        if result.verdict == Verdict.PASSED:
            self.add_report_section("call", "iotsim", explain(result, self.folder))

    def runtest(self) -> None:
        assert self.result is not None
        if self.result.verdict != "passed":
            raise self._explained(self.result)

    def _explained(self, result: RunResult) -> Exception:
        """What came of the run, in the place of a traceback."""
        from iotsim.pytest_plugin.reports import Explained
        from iotsim.testing.explanation import explain

        text = explain(result, self.folder, repeat=result.repeat)
        lines = safe_text(self.output).strip("\n").splitlines()
        printed = [line for line in lines if line.removeprefix("iotsim: ").strip() not in text]
        if printed:
            text = "\n".join([text, "", "Its process has printed:", *printed])
        return Explained(result, text)

    def job(self) -> Job:
        """What `iotsim run` is to do for it."""
        from iotsim.results.result import set_words
        from iotsim.run.suitejobs import Job

        option = self.config.getoption
        words: list[str] = []
        for name in ("link", "tolerance", "seed"):
            if (value := option(f"iotsim_{name}")) is not None:
                words += [f"--{name}", str(value)]
        words += set_words(self.setting)
        return Job(Path(os.path.relpath(self.path, self.config.rootpath)), tuple(words))

    def _run(self) -> Done:
        runner, numbers = runner_of(self.session)
        return runner.run(numbers[self.nodeid], self.folder)


RUNNER = pytest.StashKey["tuple[Runner, dict[str, int]]"]()


def runner_of(session: pytest.Session) -> tuple[Runner, dict[str, int]]:
    """What runs the scenarios of `session`, and their numbers by their node ids."""
    from iotsim.pytest_plugin.runner import Runner

    config = session.config
    if RUNNER not in config.stash:
        items = [item for item in session.items if isinstance(item, ScenarioItem)]
        runner = Runner([item.job() for item in items], config.rootpath)
        config.add_cleanup(runner.close)
        config.stash[RUNNER] = runner, {item.nodeid: n for n, item in enumerate(items)}
    return config.stash[RUNNER]


def results_folder(config: pytest.Config, name: str, nodeid: str) -> Path:
    """A folder of its own for a run of the scenario `name`."""
    from iotsim.errors import IotsimError
    from iotsim.run.folder import open_results, slug

    chosen = config.getoption("iotsim_results")
    out = Path(chosen) / slug(nodeid) if chosen else None
    try:
        with open_results(name, out, project_of(config).results) as folder:
            return folder.path
    except IotsimError as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None
