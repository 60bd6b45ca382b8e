"""A job: one scenario file, run, from its name to its results, whatever goes wrong on the way.

Whoever asked for results finds this run's own there: also of a scenario with a mistake, of a machine
that cannot, and where nothing was run at all. `iotsim.run.suite` does several jobs.
"""

from __future__ import annotations

import time
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from iotsim.errors import IotsimError, Problem, ScenarioError
from iotsim.results.result import RunResult, repeat_command, utc_text
from iotsim.run import inside
from iotsim.run.capturefilter import make_filter
from iotsim.run.failure import sole_cause, write_failure
from iotsim.run.folder import open_results
from iotsim.run.html import leave_page
from iotsim.run.limit import limited, stop_counting
from iotsim.run.report import RunReport
from iotsim.run.run import run_scenario
from iotsim.scenario import load_scenario

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from iotsim.results.verdict import Verdict
    from iotsim.run.folder import ResultsFolder
    from iotsim.run.run import Run, RunOptions
    from iotsim.scenario import Overrides
    from iotsim.scenario.head import Head
    from iotsim.scenario.model import Scenario


def run_file(
    path: Path,
    options: RunOptions,
    overrides: Overrides,
    *,
    default_seed: int = 0,
    progress: Callable[[Run], Awaitable[None]] | None = None,
) -> RunReport:
    """Run the scenario at `path`, and make the documents that are asked for. IotsimError if there is no
    folder for its results; all else that goes wrong is the report's ``error``."""
    with open_results(path.stem, options.out, options.results) as results:
        options = replace(options, out=results)
        report = _run_file(path, results, options, overrides, default_seed, progress)
        inside.tell(inside.OVER)
        return _with_documents(report, options.documents) if options.documents else report


def _run_file(
    path: Path,
    results: ResultsFolder,
    options: RunOptions,
    overrides: Overrides,
    default_seed: int,
    progress: Callable[[Run], Awaitable[None]] | None,
) -> RunReport:
    with ExitStack() as stack:
        # Who serves by hand is bounded by what the command line says, and nothing else.
        default_s = None if options.serve else overrides.default_limit_s
        first_s = default_s if overrides.limit_s is None else overrides.limit_s
        limit = stack.enter_context(limited(first_s))
        called = path.stem

        def head_known(head: Head) -> None:
            nonlocal called
            called = head.name
            if limit is None or options.serve or overrides.limit_s is not None:
                return
            if head.limit_s is not None:
                limit.set(head.limit_s)

        try:
            inside.tell("loading the scenario")
            scenario = _load(path, options, overrides, default_seed, head_known)
            if limit is not None and not options.serve:
                limit.set(scenario.limit_s)
            inside.tell("making what it runs in")
        except BaseException as error:
            stop_counting()  # nothing is to disturb what is left of it
            seed = default_seed if overrides.seed is None else overrides.seed
            begun = RunResult(
                scenario=called,
                path=str(path),
                seed=seed,
                started=utc_text(time.time()),
                parameters=dict(overrides.parameters),
                repeat=repeat_command(
                    str(path),
                    seed,
                    options=options.words,
                    parameters=overrides.parameters,
                    gateway=overrides.gateway_command or (),
                ),
            )
            write_failure(results, begun, error)
            leave_page(results)
            return _broken(results, error)
        try:
            report = run_scenario(scenario, options, progress)
        except BaseException as error:
            return _broken(results, error)
        return report._replace(trouble=results.trouble)


def _with_documents(report: RunReport, names: tuple[str, ...]) -> RunReport:
    """`report`, once documents of these names are made. One that cannot be is told of, and changes nothing
    else."""
    from iotsim.run.documents import write_documents
    from iotsim.run.past import PastRun

    try:
        write_documents(PastRun(report.folder), names)
    except Exception as error:  # the verdict of the run stands
        why = str(error) if isinstance(error, IotsimError) else repr(error)
        trouble = f"of the documents {', '.join(names)} not all are made: {why}"
        return report._replace(trouble=report.trouble or trouble)
    return report


def _load(
    path: Path,
    options: RunOptions,
    overrides: Overrides,
    default_seed: int,
    head_known: Callable[[Head], object],
) -> Scenario:
    """The scenario at `path`, which goes with `options`; ScenarioError if it does not."""
    scenario = load_scenario(
        path, overrides=overrides, default_seed=default_seed, head_known=head_known
    )
    if options.serve and scenario.link.kind == "memory":
        why = "a memory link is in virtual time, which would run on for ever"
        raise ScenarioError([Problem(why, "--serve", hint="use --link tun or --link loopback")])
    try:
        make_filter(scenario, options.recording.only)
    except ValueError as error:
        raise ScenarioError([Problem(str(error), "--capture-filter")]) from None
    return scenario


def _broken(results: ResultsFolder, error: BaseException) -> RunReport:
    assert results.result is not None
    return RunReport(results.result, results.path, error=sole_cause(error), trouble=results.trouble)


def leave_verdict(out: Path | None, name: str, verdict: Verdict, reason: str) -> None:
    """Nothing was run that was called `name`: let the results in `out`, if results are wanted there,
    say why, in place of those of an earlier run."""
    if out is None:
        return
    with suppress(IotsimError), open_results(name, out) as results:
        results.write(RunResult(scenario=name, path="", verdict=verdict, reason=reason, seed=0))
        leave_page(results)
