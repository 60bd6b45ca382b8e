"""``iotsim check FILE...``: is this a scenario that can run? Needs no privilege, runs nothing."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import cyclopts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from iotsim.errors import Problem


def check(
    *scenarios: str,
    behaviors: Annotated[bool, cyclopts.Parameter(negative=())] = False,
    strict: Annotated[bool, cyclopts.Parameter(negative=())] = False,
    set_: Annotated[list[str] | None, cyclopts.Parameter(name="--set", negative=())] = None,
) -> int:
    """Check scenarios, and print everything that is wrong with them.

    What is wrong with a file that several of them have in common is told once.

    Parameters
    ----------
    scenarios
        Files, folders of files, or names of bundled scenarios. Default: those of the project, as
        iotsim.toml says.
    behaviors
        Load the files of behaviors too. They are code, and loading them runs it.
    strict
        Take what is merely suspicious, and told as a warning, for an error.
    set_
        'NAME=VALUE': the value of '${NAME}' in the scenario; of several, in those that have it.
    """
    from iotsim.cli.files import find_scenarios, scenarios_of
    from iotsim.cli.parameters import known_parameters, parse_set
    from iotsim.errors import ScenarioError
    from iotsim.expect.text import plural
    from iotsim.run.project import find_project
    from iotsim.safetext import safe_line
    from iotsim.scenario import Overrides, check_behaviors, each_scenario
    from iotsim.scenario.parameters import combination_text

    project = find_project()
    files, notes = find_scenarios(scenarios or scenarios_of(project))
    for note in notes:
        print(f"iotsim: {note}", file=sys.stderr)
    if not files:
        print("iotsim: no scenario found: name a file, a folder, or a bundled one", file=sys.stderr)
        return 5
    problems = 0
    told: dict[Problem | str, list[Path]] = {}
    for file, parameters in known_parameters(files, parse_set(set_ or [])).items():
        lines = []
        warnings: dict[Problem, None] = {}
        try:
            given = Overrides(
                parameters=parameters,
                default_tolerance=project.tolerance,
                protocols=project.protocols,
            )
            for scenario in each_scenario(file, given, warn=warnings.setdefault):
                if behaviors:
                    check_behaviors(scenario)
                devices = plural(sum(fleet.count for fleet in scenario.fleets), "device")
                expectations = plural(len(scenario.expectations), "expectation")
                free = {n: v for n, v in scenario.parameters.items() if n not in parameters}
                which = f" [{combination_text(free)}]" if free else ""
                lines.append((f"{file}{which}", f"{devices}, {expectations}"))
        except ScenarioError as error:
            problems += len(error.problems)
            found, lines = [*error.problems, *warnings], []
            found.sort(key=lambda one: (one.file != str(file), one.file, one.line, one.column))
        else:
            found = list(warnings)
        problems += len(warnings) if strict else 0
        for problem in found:
            told.setdefault(problem, []).append(file)
        many = f", {plural(len(warnings), 'warning')}" if warnings else ""
        word = "wrong" if strict and warnings else "ok"
        for name, counts in lines:
            told.setdefault(f"{name}: {word}, {counts}{many}", []).append(file)
    for one, concerned in told.items():
        print(safe_line(one if isinstance(one, str) else _problem_text(one, concerned, files)))
    return 2 if problems else 0


def _problem_text(problem: Problem, concerned: Sequence[Path], checked: Sequence[Path]) -> str:
    """`problem` as a line; of a file that several scenarios have in common, with those it concerns."""
    from iotsim.cli.files import some_files

    if len(concerned) == len(checked) or [problem.file] == [str(file) for file in concerned]:
        return str(problem)
    return str(replace(problem, message=f"{problem.message}, for {some_files(concerned)}"))
