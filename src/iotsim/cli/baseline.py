"""Options of ``iotsim run`` that compare what was run with a baseline, and what they do."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import cyclopts

from iotsim.errors import IotsimError, Problem, ScenarioError
from iotsim.safetext import safe_line

if TYPE_CHECKING:
    from collections.abc import Iterable

    from iotsim.results.compare.profile import Profile
    from iotsim.results.compare.thresholds import Threshold


@cyclopts.Parameter(name="*")
@dataclass(frozen=True)
class BaselineFlags:
    baseline: Path | None = None
    """Compare what was run with this file, and fail if something is worse."""

    update_baseline: Annotated[bool, cyclopts.Parameter(negative=())] = False
    """Put those runs that passed into that file, in the place of what it has of the same scenarios."""

    threshold: Annotated[list[str] | None, cyclopts.Parameter(negative=())] = None
    """'FIGURE=LIMIT': how much a figure may change from the baseline, such as 'latency.p95=20%' or
    'rate=-10%'. May be given several times."""


NO_BASELINE = BaselineFlags()


@dataclass(frozen=True)
class Base:
    """What to do with the baseline in ``file`` once all has been run."""

    file: Path
    update: bool
    thresholds: tuple[Threshold, ...]

    def settle(self, folders: Iterable[Path], *, quiet: bool = False) -> int:
        """Compare the runs whose results are in `folders` with the baseline, or put them into it, and say so.
        An exit code as that of ``iotsim compare``. IotsimError if the file cannot be read, or written."""
        from iotsim.cli.compared import show_comparison
        from iotsim.results.compare.comparison import EXIT_CODES
        from iotsim.run.compare import compare_found, find_in_baseline, found_in

        found = []
        for folder in folders:
            try:
                found.append(found_in(folder, ""))
            except IotsimError as error:
                print(f"iotsim: {error}", file=sys.stderr)
        if self.update:
            return self._put([one.load() for one in found])
        told = compare_found(find_in_baseline(self.file), found, self.thresholds, partly=True)
        told.notes += [
            f"{name} is not in {self.file}: --update-baseline puts it there" for name in told.new
        ]
        if not quiet or EXIT_CODES[told.state]:
            print(f"\ncompared with {self.file}")
            show_comparison(told)
        else:
            for note in told.notes:
                print(f"iotsim: {safe_line(note)}", file=sys.stderr)
        if told.scenarios and (idle := told.idle_thresholds()):
            for text in idle:
                print(f"iotsim: --threshold {text}: no run has such a figure", file=sys.stderr)
            return 2
        return EXIT_CODES[told.state]

    def _put(self, profiles: list[Profile]) -> int:
        from iotsim.run.baseline import update_baseline

        updated = update_baseline(self.file, profiles)
        for name, verdict in updated.refused.items():
            told = f"{name} is not put into {self.file}: it has not passed ({verdict})"
            print(f"iotsim: {safe_line(told)}", file=sys.stderr)
        print(f"{self.file}: {len(updated.put)} updated, {updated.in_all} in all")
        return 0  # where one is refused, that its run has not passed says the rest


def base_of(flags: BaselineFlags) -> Base | None:
    """What is asked for, None if nothing is. Before anything is run, so that a mistake is told at once:
    ScenarioError for one in the options, IotsimError if the baseline cannot be used."""
    from iotsim.cli.compare import parse_thresholds
    from iotsim.run.baseline import read_baseline

    thresholds = parse_thresholds(flags.threshold or ())
    if flags.baseline is None:
        for given, name in (
            (flags.update_baseline, "--update-baseline"),
            (thresholds, "--threshold"),
        ):
            if given:
                raise ScenarioError([Problem("it needs --baseline FILE", name)])
        return None
    if flags.baseline.exists() or not flags.update_baseline:
        try:
            read_baseline(flags.baseline)
        except IotsimError as error:
            hint = "" if flags.baseline.exists() else " (--update-baseline makes it)"
            raise IotsimError(f"--baseline {error}{hint}") from None
    return Base(flags.baseline, flags.update_baseline, tuple(thresholds))
