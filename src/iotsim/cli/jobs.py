"""From files to the jobs of a suite, and to those that are chosen."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from iotsim.cli.files import find_scenarios, scenarios_of
from iotsim.cli.parameters import known_parameters, runs_of
from iotsim.errors import Problem, ScenarioError
from iotsim.results.result import set_words
from iotsim.run.memory import Memory
from iotsim.run.selection import choose, divide, parse_shard, plan_mark
from iotsim.run.suitejobs import Job, SuiteOptions, parse_jobs
from iotsim.safetext import safe_line
from iotsim.scenario.outline import read_outline
from iotsim.scenario.parameters import combination_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from iotsim.cli.suiteoptions import SuiteFlags
    from iotsim.scenario.project import Project


def find_jobs(
    words: Sequence[str],
    project: Project,
    given: Mapping[str, str],
    options: Sequence[str],
    behind: Sequence[str],
    limit_s: float | None,
) -> tuple[list[Job], list[str]]:
    """A job for each combination of each scenario that `words` name, or that the project has if there are no
    words; and notes about what was left out.

    `given` is what ``--set`` says, `options` and what is `behind` them are the words that go with each run,
    `limit_s` is that of the command line. ScenarioError tells of words that name nothing.
    """
    files, notes = find_scenarios(words or scenarios_of(project))
    parameters = known_parameters(files, given)
    jobs = []
    for file in files:
        outline = read_outline(file)
        name = (outline.name if outline else "") or file.stem
        for setting, tags, own_limit_s in runs_of(file, parameters[file]):
            free = {n: v for n, v in setting.items() if n not in parameters[file]}
            combination = combination_text(free)
            jobs.append(
                Job(
                    file,
                    (*options, *set_words(setting), *behind),
                    combination,
                    tuple(free),
                    parameters=setting,
                    scenario=name,
                    tags=tags,
                    identity=_identity(file, combination, project.root),
                    protocols=outline.protocols if outline else frozenset(),
                    limit_s=limit_s or own_limit_s or project.limit_s,
                )
            )
    return jobs, notes


def _identity(file: Path, combination: str, root: Path) -> str:
    """What the file is called in its project, from wherever it is run."""
    path = file.resolve()
    top = root.resolve()
    name = str(path.relative_to(top)) if path.is_relative_to(top) else str(path)
    whole = f"{name} [{combination}]" if combination else name
    return whole.encode(errors="backslashreplace").decode()  # of a file whose name is no UTF-8


def memory_of(project: Project, out: Path | None) -> Memory:
    """Where runs are remembered: in the folder that is asked for, or in the project's."""
    return Memory(project.results) if out is None else Memory(out, held=True)


def choose_jobs(jobs: Sequence[Job], flags: SuiteFlags, memory: Memory) -> tuple[list[Job], str]:
    """Those of `jobs` that `flags` ask for, and the mark of the division into shares, "" without one."""
    chosen = choose(jobs, tags=flags.tag or (), names=flags.name or ())
    if flags.failed:
        failed = memory.failed()
        chosen = [job for job in chosen if job.identity in failed]
    if flags.shard is None:
        return chosen, ""
    shard = parse_shard(flags.shard)
    seconds = {
        job.identity: memory.seconds[job.identity]
        for job in chosen
        if job.identity in memory.seconds
    }
    mark = plan_mark([job.identity for job in chosen], seconds)
    share = divide(chosen, shard, name=lambda job: job.identity, seconds=seconds)
    return share, mark


def suite_options(flags: SuiteFlags, project: Project, out: Path | None, plan: str) -> SuiteOptions:
    """How the suite is done. ScenarioError for what cannot be."""
    if flags.repeat < 1:
        raise ScenarioError([Problem("a number from 1", f"--repeat {flags.repeat}")])
    if flags.jobs is not None:
        parallel, auto = parse_jobs(flags.jobs), flags.jobs == "auto"
    else:
        parallel, auto = (
            (parse_jobs("auto"), True) if project.jobs == 0 else (project.jobs or 1, False)
        )
    endless = flags.until_fail and flags.repeat == 1
    return SuiteOptions(
        parallel,
        project.results,
        out,
        repeat=0 if endless else flags.repeat,
        until_fail=flags.until_fail,
        fail_fast=flags.fail_fast,
        retry=auto,
        shard=None if flags.shard is None else parse_shard(flags.shard),
        plan=plan,
        drop_privileges=True,
    )


def list_jobs(jobs: Sequence[Job]) -> None:
    """Print what would be run: names, and tags behind them."""
    width = max(len(str(job)) for job in jobs)
    for job in jobs:
        tags = f"  {' '.join(job.tags)}" if job.tags else ""
        print(safe_line(f"{job!s:<{width}}{tags}".rstrip()))


def warn(notes: Sequence[str]) -> None:
    for note in notes:
        print(f"iotsim: {note}", file=sys.stderr)
