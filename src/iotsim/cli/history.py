"""``iotsim history``: how the scenarios of a project have fared."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import cyclopts

if TYPE_CHECKING:
    from iotsim.results.trends import HistoryRun, ScenarioHistory

FORMAT = 1
OPT_IN = """no history is kept here. A line in iotsim.toml, at the root of your project, begins one:
  [history]
  file = ".iotsim/history.sqlite\""""
COMMIT_CHARACTERS = 10
EXPECTATIONS_TOLD = 3
AGO = re.compile(r"([0-9]{1,5})\s*([mhdw])", re.ASCII)
AGO_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def history(
    *,
    scenario: Annotated[str | None, cyclopts.Parameter(name=["--scenario", "-s"])] = None,
    since: str | None = None,
    json: Annotated[bool, cyclopts.Parameter(negative=())] = False,
) -> int:
    """Show how the scenarios of this project have fared: verdicts, flake rate, times, the last green run.

    Parameters
    ----------
    scenario
        Only scenarios with this in their name or their file.
    since
        Only runs since then: '7d', '12h', or a date such as '2026-01-31'.
    json
        Print it as JSON.
    """
    from iotsim.errors import IotsimError
    from iotsim.results.trends import tell
    from iotsim.run.history import read_history
    from iotsim.run.project import find_project

    project = find_project()
    if project.history is None:
        raise IotsimError(OPT_IN)
    runs = read_history(project.history, since=None if since is None else parse_since(since))
    told = [
        one
        for one in tell(runs)
        if scenario is None or scenario in one.scenario or scenario in one.path
    ]
    if json:
        _print_json(told, str(project.history))
    elif not told:
        print("no run is in the history" + (" of that" if scenario or since else ""))
    for number, one in enumerate([] if json else told):
        if number:
            print()
        _show(one)
    return 0


def parse_since(text: str) -> float:
    """The Unix time that `text` means: so long ago, or a date. ScenarioError if it means none."""
    from iotsim.errors import Problem, ScenarioError

    now = datetime.now().astimezone()
    if match := AGO.fullmatch(text.strip()):
        ago = timedelta(**{AGO_UNITS[match[2]]: int(match[1])})
        return (now - ago).timestamp()
    try:
        moment = datetime.fromisoformat(text.strip())
        # Without a zone, it is the time here.
        return moment.astimezone().timestamp()
    except (ValueError, OverflowError, OSError):
        hint = "write 7d, 12h, or a date such as 2026-01-31"
        raise ScenarioError([Problem("no time", f"--since {text[:40]}", hint=hint)]) from None


def _print_json(told: list[ScenarioHistory], file: str) -> None:
    import msgspec

    from iotsim.safetext import safe_json

    document = {"format": FORMAT, "file": file.encode(errors="backslashreplace").decode()}
    data = msgspec.json.encode({**document, "scenarios": told})
    print(safe_json(msgspec.json.format(data, indent=2).decode()))


def _show(told: ScenarioHistory) -> None:
    from iotsim.cli.compared import say
    from iotsim.expect.text import plural
    from iotsim.results.compare.figures import SECONDS, value_text
    from iotsim.results.result import title_of
    from iotsim.results.trends import verdict_line

    say("", title_of(told.scenario, told.parameters))
    counts = ", ".join(f"{count} {verdict}" for verdict, count in told.verdicts.items())
    say("  runs        ", f"{told.runs}: {counts}")
    say("  flake rate  ", _flake_rate(told))
    say("  verdicts    ", verdict_line(told.trend))
    times = [run.p95_s for run in told.trend]
    if known := [one for one in times if one is not None]:
        names = ", ".join(sorted({run.times for run in told.trend if run.times}))
        low, high = (value_text(one, SECONDS) for one in (min(known), max(known)))
        span = low if low == high else f"{low} to {high}"
        say("  p95         ", f"{_bars(times)}  {span} ({names})".lstrip())
    green = told.last_green
    say("  last green  ", "never" if green is None else _run_text(green))
    for one in told.expectations[:EXPECTATIONS_TOLD]:
        flips = f", {plural(one.flips, 'flip')}" if one.flips else ""
        say("  not passed  ", f"{one.name}: in {one.failed} of {told.runs} runs{flips}")


def _flake_rate(told: ScenarioHistory) -> str:
    from iotsim.expect.text import plural

    if told.flake_rate is None:
        if not any(run.commit for run in told.trend):
            return "not known: the project is in no git repository with a commit"
        return "not known: no two runs had the same commit and inputs"
    text = f"{100 * told.flake_rate:.3g}%"
    if told.flips:
        text += f" ({plural(told.flips, 'flip')} of {told.pairs}"
        return f"{text}, {told.flips_with_one_seed} with the same seed)"
    return f"{text} (no flip of {told.pairs})"


def _bars(times: list[float | None]) -> str:
    import sys

    from iotsim.results.trends import BARS, spark_line

    try:
        BARS.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ""
    return spark_line(times)


def _run_text(run: HistoryRun) -> str:
    try:
        when = datetime.fromtimestamp(run.ended).astimezone().strftime("%Y-%m-%d %H:%M")
    except (ValueError, OverflowError, OSError):
        when = "at an unknown time"
    commit = f", commit {run.commit[:COMMIT_CHARACTERS]}" if run.commit else ""
    changed = " with changes" if run.commit and run.changed else ""
    return f"{when}, seed {run.seed}{commit}{changed}, {run.folder}"
