"""``iotsim run``: the main job."""

from __future__ import annotations

import secrets
import sys
from pathlib import Path
from typing import Annotated, Literal

import cyclopts

from iotsim.cli.app import EXIT_ERROR, EXIT_SKIPPED, external_command
from iotsim.errors import MachineError

EXIT_EMPTY = 5
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
        'NAME=VALUE': the value of '${NAME}' in the scenario.
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
    """
    from iotsim.cli.files import find_scenarios
    from iotsim.run.suite import follow_suite, parse_jobs

    follow_suite()

    try:
        parallel = parse_jobs(jobs)
    except ValueError:
        print(f"iotsim: --jobs {jobs}: a number from 1 on, or auto", file=sys.stderr)
        return EXIT_ERROR
    files = find_scenarios(scenarios)
    if not files:
        print("iotsim: no scenario found: name a file, a folder, or a bundled one", file=sys.stderr)
        return EXIT_EMPTY
    words = _repeating_words(link, duration, tolerance, set_)
    words += ("--no-messages",) * (not messages) + ("--no-capture",) * (not capture)
    for selector in capture_filter or ():
        words += ("--capture-filter", selector)
    gateway = external_command()
    if len(files) > 1:
        from iotsim.run.suite import run_suite

        options = list(words)
        options += ["--seed", str(seed)] if seed is not None else []
        options += ["--quiet"] if quiet else []
        options += ["--", *gateway] if gateway else []
        return run_suite(files, options, jobs=parallel, out=out)
    from iotsim.cli.parameters import option_duration, parse_set
    from iotsim.scenario import Overrides, load_scenario

    overrides = Overrides(
        link=link,
        gateway_command=gateway or None,
        seed=seed,
        tolerance=tolerance,
        duration_s=None if duration is None else option_duration(duration),
        parameters=parse_set(set_ or []),
    )
    default_seed = secrets.randbelow(SEEDS)
    scenario = load_scenario(files[0], overrides=overrides, default_seed=default_seed)
    if serve and scenario.link.kind == "memory":
        why = "a memory link is in virtual time, which would run on for ever"
        print(f"iotsim: --serve: {why}; use --link tun or --link loopback", file=sys.stderr)
        return EXIT_ERROR
    from iotsim.cli.render import show_progress, show_report
    from iotsim.run.capturefilter import make_filter
    from iotsim.run.run import RunOptions, run_scenario
    from iotsim.simulation.journal import Recording

    try:
        make_filter(scenario, capture_filter or ())
    except ValueError as error:
        print(f"iotsim: --capture-filter: {error}", file=sys.stderr)
        return EXIT_ERROR
    try:
        report = run_scenario(
            scenario,
            RunOptions(
                out=out,
                serve=serve,
                drop_privileges=True,
                recording=Recording(messages, capture, tuple(capture_filter or ())),
                words=words,
                gateway_given=bool(gateway),
            ),
            None if quiet else show_progress,
        )
    except MachineError as error:
        print(f"iotsim: skipped: {error}", file=sys.stderr)
        return EXIT_SKIPPED
    show_report(report, quiet=quiet)
    from iotsim.results.verdict import EXIT_SIGNALLED, exit_code

    if report.stopped_by is not None and not serve:
        return EXIT_SIGNALLED + report.stopped_by
    return exit_code(report.result.verdict)


def _repeating_words(
    link: str | None, duration: str | None, tolerance: float | None, set_: list[str] | None
) -> tuple[str, ...]:
    """The options that a command needs that is to do the same again."""
    words: list[str] = []
    for name, value in (("--link", link), ("--duration", duration), ("--tolerance", tolerance)):
        if value is not None:
            words += [name, str(value)]
    for pair in set_ or ():
        words += ["--set", pair]
    return tuple(words)
