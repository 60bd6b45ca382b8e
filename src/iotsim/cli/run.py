"""``iotsim run``: runs scenarios and judges them."""

from __future__ import annotations

import secrets
import sys
from pathlib import Path
from typing import Annotated, Literal

import cyclopts

from iotsim.cli.app import external_command
from iotsim.cli.baseline import NO_BASELINE, BaselineFlags, base_of
from iotsim.errors import IotsimError, MachineError, Problem, ScenarioError

SEEDS = 1 << 32


def run(
    *scenarios: str,
    link: Literal["tun", "tap", "loopback", "memory"] | None = None,
    out: Path | None = None,
    seed: int | None = None,
    duration: str | None = None,
    tolerance: float | None = None,
    set_: Annotated[list[str] | None, cyclopts.Parameter(name="--set", negative=())] = None,
    serve: Annotated[bool, cyclopts.Parameter(negative=())] = False,
    jobs: str = "1",
    messages: Annotated[bool, cyclopts.Parameter(negative="--no-messages")] = True,
    capture: Annotated[bool, cyclopts.Parameter(negative="--no-capture")] = True,
    capture_filter: Annotated[list[str] | None, cyclopts.Parameter(negative=())] = None,
    quiet: Annotated[bool, cyclopts.Parameter(name=["--quiet", "-q"], negative=())] = False,
    verbose: Annotated[bool, cyclopts.Parameter(name=["--verbose", "-v"], negative=())] = False,
    base: BaselineFlags = NO_BASELINE,
) -> int:
    """Run scenarios and judge them.

    Parameters
    ----------
    scenarios
        Files, folders of files, or names of bundled scenarios ('quickstart').
    link
        Use this kind of link, whatever the scenario says.
    out
        The results folder. Default: 'results/NAME/TIME'. With several scenarios, one in it each.
    seed
        Use this seed: same seed, same devices, same faults.
    duration
        The longest that a run may take, such as '30s'.
    tolerance
        Scale every window of time by this factor.
    set_
        'NAME=VALUE': the value of '${NAME}' in the scenario; of several, in those that have it. One
        of the matrix has this value alone.
    serve
        Run until interrupted, for use by hand.
    jobs
        How many scenarios run at a time: a number, or 'auto' for one per processor.
    messages
        Write each message into events.jsonl. Without them, a failure cannot show what led to it.
    capture
        Write each packet into capture.pcapng.
    capture_filter
        Only those of these devices, and what goes to all: ``meter``, ``meter[3]``, ``meter 10%``.
        May be given several times.
    quiet
        Print the verdict and the seed alone.
    verbose
        Print also what happens, as it happens: decisions, steps, faults, what the gateway prints.
    """
    from iotsim.cli.files import find_scenarios
    from iotsim.cli.github import tell
    from iotsim.cli.level import level_of
    from iotsim.cli.parameters import (
        combinations_of,
        known_parameters,
        option_duration,
        parse_set,
    )
    from iotsim.results.result import set_words
    from iotsim.results.verdict import EXIT_SIGNALLED, Verdict, exit_code
    from iotsim.run.job import leave_verdict, run_file
    from iotsim.run.run import RunOptions
    from iotsim.run.suite import Job, join_suite, parse_jobs, run_suite
    from iotsim.safetext import safe_line
    from iotsim.scenario import Overrides
    from iotsim.scenario.parameters import combination_text
    from iotsim.simulation.journal import Recording

    hand_over = join_suite()
    named = " ".join(scenarios)
    try:
        level = level_of(quiet=quiet, verbose=verbose)
        parallel = parse_jobs(jobs)
        comparing = None if base == NO_BASELINE else base_of(base)
        duration_s = None if duration is None else option_duration(duration)
        files, notes = find_scenarios(scenarios)
        parameters = known_parameters(files, parse_set(set_ or []))
        settings = {file: combinations_of(file, parameters[file]) for file in files}
        if serve and sum(map(len, settings.values())) > 1:
            hint = "" if len(files) > 1 else "its matrix makes several: choose one with --set"
            raise ScenarioError([Problem("this is for one scenario", "--serve", hint=hint)])
    except IotsimError as error:
        leave_verdict(out, named, Verdict.ERROR, str(error))
        raise
    for note in notes:
        print(f"iotsim: {note}", file=sys.stderr)
    if not files:
        why = "no scenario found: name a file, a folder, or a bundled one"
        print(f"iotsim: {why}", file=sys.stderr)
        leave_verdict(out, named, Verdict.EMPTY, why)
        return exit_code(Verdict.EMPTY)
    gateway = external_command()
    words = _repeating_words(
        ("--link", link),
        ("--duration", duration),
        ("--tolerance", tolerance),
        ("--no-messages", not messages),
        ("--no-capture", not capture),
        *(("--capture-filter", selector) for selector in capture_filter or ()),
    )
    if sum(map(len, settings.values())) > 1:
        more = _repeating_words(("--seed", seed), ("--quiet", quiet), ("--verbose", verbose))
        behind = ("--", *gateway) if gateway else ()
        work = []
        for file, several in settings.items():
            if len(several) > 1 and not quiet:
                free = ", ".join(name for name in several[0] if name not in parameters[file])
                print(safe_line(f"{file}: {len(several)} combinations of {free}"), flush=True)
            for setting in several:
                combination = {n: v for n, v in setting.items() if n not in parameters[file]}
                options = (*words, *set_words(setting), *more, *behind)
                work.append(Job(file, options, combination_text(combination)))
        return run_suite(work, parallel=parallel, out=out)
    from iotsim.cli.progress import RunView
    from iotsim.cli.remember import remember_run
    from iotsim.cli.render import show_report

    (file,) = files
    with RunView(level) as view:
        report = run_file(
            file,
            RunOptions(
                out=out,
                watch=view.sinks,
                serve=serve,
                drop_privileges=True,
                own_process=True,
                recording=Recording(messages, capture, tuple(capture_filter or ())),
                live=view.live,
                words=words,
                gateway_given=bool(gateway),
            ),
            Overrides(
                link=link,
                gateway_command=gateway or None,
                seed=seed,
                tolerance=tolerance,
                duration_s=duration_s,
                parameters=parameters[file],
            ),
            default_seed=secrets.randbelow(SEEDS),
            progress=view.show,
        )
    hand_over(report.result)
    tell(report.result, report.folder)
    remember_run(report, serve=serve)
    if report.trouble:
        print(f"iotsim: {report.trouble}", file=sys.stderr)
    if isinstance(report.error, MachineError):
        print(f"iotsim: skipped: {report.error}", file=sys.stderr)
        return exit_code(report.result.verdict)
    if report.error is not None:
        raise report.error
    show_report(report, quiet=quiet)
    if report.stopped_by is not None and not serve:
        return EXIT_SIGNALLED + report.stopped_by
    code = exit_code(report.result.verdict)
    if comparing is None:
        return code
    # Also where the run has failed: it shows what is new about that.
    compared = comparing.settle([report.folder], quiet=quiet)
    return code or compared


def _repeating_words(*options: tuple[str, object]) -> tuple[str, ...]:
    """The words of a command line for those of `options` that were given; True is one without a value."""
    words: list[str] = []
    for name, value in options:
        if value is True:
            words.append(name)
        elif value is not None and value is not False:
            words += [name, str(value)]
    return tuple(words)
