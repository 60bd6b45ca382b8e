"""``iotsim run``: runs scenarios and judges them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import cyclopts

from iotsim.cli.app import external_command
from iotsim.cli.baseline import NO_BASELINE, BaselineFlags, base_of
from iotsim.cli.suiteoptions import NO_FLAGS, SuiteFlags
from iotsim.errors import IotsimError, Problem, ScenarioError

if TYPE_CHECKING:
    from iotsim.run.suitejobs import Job


def run(
    *scenarios: str,
    link: Literal["tun", "tap", "loopback", "memory"] | None = None,
    out: Path | None = None,
    seed: int | None = None,
    duration: str | None = None,
    limit: str | None = None,
    tolerance: float | None = None,
    set_: Annotated[list[str] | None, cyclopts.Parameter(name="--set", negative=())] = None,
    serve: Annotated[bool, cyclopts.Parameter(negative=())] = False,
    messages: Annotated[bool, cyclopts.Parameter(negative="--no-messages")] = True,
    capture: Annotated[bool, cyclopts.Parameter(negative="--no-capture")] = True,
    capture_filter: Annotated[list[str] | None, cyclopts.Parameter(negative=())] = None,
    report: Annotated[list[str] | None, cyclopts.Parameter(negative=())] = None,
    quiet: Annotated[bool, cyclopts.Parameter(name=["--quiet", "-q"], negative=())] = False,
    verbose: Annotated[bool, cyclopts.Parameter(name=["--verbose", "-v"], negative=())] = False,
    flags: SuiteFlags = NO_FLAGS,
    base: BaselineFlags = NO_BASELINE,
) -> int:
    """Run scenarios and judge them.

    Parameters
    ----------
    scenarios
        Files, folders of files, or names of bundled scenarios ('quickstart'). Default: those of the project,
        as iotsim.toml says.
    link
        Use this kind of link, whatever the scenario says.
    out
        The results folder. Default: 'results/NAME/TIME'. With several scenarios, one in it each.
    seed
        Use this seed: same seed, same devices, same faults.
    duration
        The longest that a run may take, such as '30s'.
    limit
        The longest that a run may take in real time, with all that is around it: one that takes longer is
        ended, as an error.
    tolerance
        Scale every window of time by this factor.
    set_
        'NAME=VALUE': the value of '${NAME}' in the scenario; of several, in those that have it. One
        of the matrix has this value alone.
    serve
        Run until interrupted, for use by hand.
    messages
        Write each message into events.jsonl. Without them, a failure cannot show what led to it.
    capture
        Write each packet into capture.pcapng.
    capture_filter
        Only those of these devices, and what goes to all: 'meter', 'meter[3]', 'meter 10%'.
        May be given several times.
    report
        Make this of the results, too: 'tap', 'devices.csv', 'xunit'. May be given several times, or with
        commas.
    quiet
        Print the verdict and the seed alone.
    verbose
        Print also what happens, as it happens: decisions, steps, faults, what the gateway prints.
    """
    from iotsim.cli.doing import Doing, do_several
    from iotsim.cli.jobs import choose_jobs, find_jobs, list_jobs, memory_of, suite_options, warn
    from iotsim.cli.level import level_of
    from iotsim.cli.parameters import option_duration, parse_set
    from iotsim.results.verdict import EXIT_SIGNALLED, Verdict, exit_code
    from iotsim.run.job import leave_verdict
    from iotsim.run.project import find_project
    from iotsim.run.run import RunOptions
    from iotsim.scenario import Overrides
    from iotsim.simulation.journal import Recording

    named = " ".join(scenarios)
    gateway = external_command()
    words = _repeating_words(
        ("--link", link),
        ("--duration", duration),
        ("--limit", limit),
        ("--tolerance", tolerance),
        ("--no-messages", not messages),
        ("--no-capture", not capture),
        *(("--capture-filter", selector) for selector in capture_filter or ()),
    )
    more = _repeating_words(("--seed", seed))
    try:
        level = level_of(quiet=quiet, verbose=verbose)
        documents = _document_names(report)
        comparing = None if base == NO_BASELINE else base_of(base)
        project = find_project()
        overrides = Overrides(
            link=link,
            gateway_command=gateway or None,
            seed=seed,
            tolerance=tolerance,
            duration_s=None if duration is None else option_duration(duration),
            limit_s=None if limit is None else option_duration(limit, "--limit"),
            default_tolerance=project.tolerance,
            default_limit_s=project.limit_s,
            protocols=project.protocols,
        )
        behind = ("--", *gateway) if gateway else ()
        found, notes = find_jobs(
            scenarios, project, parse_set(set_ or []), (*words, *more), behind, overrides.limit_s
        )
        memory = memory_of(project, out)
        jobs, plan = choose_jobs(found, flags, memory)
        how = suite_options(flags, project, out, plan)
        if serve and (len(jobs) > 1 or how.repeats):
            one_file = len({job.file for job in jobs}) == 1
            hint = "its matrix makes several: choose one with --set" if one_file else ""
            raise ScenarioError([Problem("this is for one scenario", "--serve", hint=hint)])
    except IotsimError as error:
        leave_verdict(out, named, Verdict.ERROR, str(error))
        raise
    warn(notes)
    if not jobs:
        why = _why_none(found, flags)
        print(f"iotsim: {why}", file=sys.stderr)
        if not flags.list_:
            leave_verdict(out, named, Verdict.EMPTY, why)
        return exit_code(Verdict.EMPTY)
    if flags.list_:
        list_jobs(jobs)
        return 0
    options = RunOptions(
        out=out,
        results=project.results,
        serve=serve,
        drop_privileges=True,
        own_process=True,
        recording=Recording(messages, capture, tuple(capture_filter or ())),
        words=words,
        gateway_given=bool(gateway),
        documents=documents,
    )
    doing = Doing(jobs, options, overrides, level)
    if len(jobs) == 1 and not how.repeats:
        code, folders = doing.do_one(memory if out is None else None)
    else:
        code, folders = do_several(doing, how, memory)
    if comparing is None or not folders or code >= EXIT_SIGNALLED:
        return code
    # Also where something has failed: it shows what is new about that.
    compared = comparing.settle(folders, quiet=quiet)
    return code or compared


def _document_names(texts: list[str] | None) -> tuple[str, ...]:
    if not texts:
        return ()
    from iotsim.run.documents import document_names

    return document_names(texts)


def _why_none(found: list[Job], flags: SuiteFlags) -> str:
    if not found:
        return "no scenario found: name a file, a folder, or a bundled one"
    if flags.failed:
        return f"none of {len(found)} has failed last time"
    if flags.shard:
        return f"share {flags.shard} has none of them: there are more shares than scenarios"
    return f"none of {len(found)} is chosen"


def _repeating_words(*options: tuple[str, object]) -> tuple[str, ...]:
    """The words of a command line for those of `options` that were given; True is one without a value."""
    words: list[str] = []
    for name, value in options:
        if value is True:
            words.append(name)
        elif value is not None and value is not False:
            words += [name, str(value)]
    return tuple(words)
