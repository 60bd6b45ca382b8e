"""``iotsim check FILE...``: is this a scenario that can run? Needs no privilege, runs nothing."""

from __future__ import annotations

import sys
from typing import Annotated

import cyclopts


def check(
    *scenarios: str,
    behaviors: Annotated[bool, cyclopts.Parameter(negative=())] = False,
    strict: Annotated[bool, cyclopts.Parameter(negative=())] = False,
    set_: Annotated[list[str] | None, cyclopts.Parameter(name="--set", negative=())] = None,
) -> int:
    """Check scenarios, and print everything that is wrong with them.

    Parameters
    ----------
    scenarios
        Files, folders of files, or names of bundled scenarios.
    behaviors
        Load the files of behaviors too. They are code, and loading them runs it.
    strict
        Take what is merely suspicious, and told as a warning, for an error.
    set_
        'NAME=VALUE': the value of '${NAME}' in the scenario; of several, in those that have it.
    """
    from iotsim.cli.files import find_scenarios
    from iotsim.cli.parameters import known_parameters, parse_set
    from iotsim.errors import Problem, ScenarioError
    from iotsim.expect.text import plural
    from iotsim.scenario import Overrides, check_behaviors, load_scenario

    files, notes = find_scenarios(scenarios)
    for note in notes:
        print(f"iotsim: {note}", file=sys.stderr)
    if not files:
        print("iotsim: no scenario found: name a file, a folder, or a bundled one", file=sys.stderr)
        return 5
    problems = 0
    for file, parameters in known_parameters(files, parse_set(set_ or [])).items():
        warnings: list[Problem] = []
        try:
            scenario = load_scenario(
                file, overrides=Overrides(parameters=parameters), warn=warnings.append
            )
            if behaviors:
                check_behaviors(scenario)
        except ScenarioError as error:
            problems += len(error.problems)
            for problem in sorted(
                [*error.problems, *warnings], key=lambda one: (one.file, one.line, one.column)
            ):
                print(problem)
        else:
            for problem in warnings:
                print(problem)
            problems += len(warnings) if strict else 0
            devices = plural(sum(fleet.count for fleet in scenario.fleets), "device")
            expectations = plural(len(scenario.expectations), "expectation")
            told = f", {plural(len(warnings), 'warning')}" if warnings else ""
            word = "wrong" if strict and warnings else "ok"
            print(f"{file}: {word}, {devices}, {expectations}{told}")
    return 2 if problems else 0
