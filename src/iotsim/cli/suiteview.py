"""What a terminal shows of several runs: a live line for each that goes on, and what became of each.

Without a terminal that redraws lines, as in the log of a CI job, there is one line for each run that has
ended, and nothing is redrawn. What did not pass is told whole in both.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from rich.cells import cell_len
from rich.console import Group
from rich.live import Live
from rich.text import Text

from iotsim.cli.console import make_console
from iotsim.cli.figures import number
from iotsim.cli.github import tell
from iotsim.cli.level import Level
from iotsim.cli.page import Page, clip, squeeze
from iotsim.cli.patience import PatientFile
from iotsim.cli.render import COLORS, print_result
from iotsim.expect.text import clip as clip_text
from iotsim.results.suite import count_verdicts
from iotsim.results.verdict import Verdict
from iotsim.safetext import safe_line, safe_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from iotsim.results.result import RunResult
    from iotsim.run.suitejobs import Ended, Job, Turn

VERDICT_CELLS = 12
REFRESH_S = 0.2
LEAST_NAME_CELLS = 20
LEAST_TEXT_CELLS = 28
HEAD_CELLS = 11
GAP_CELLS = 2
REASON_CHARACTERS = 200


class _Going(NamedTuple):
    name: str
    since: float
    text: str = ""


class SuiteView:
    """Shows how `total` runs go, on `level`. A context manager: the live lines are there inside of it.

    `begun`, `progress` and `ended` may be called by any thread. A run is known by its turn. What has ended
    is told to `iotsim.cli.github`, too.
    """

    def __init__(self, total: int, *, level: Level = Level.NORMAL) -> None:
        self._total = total
        self._level = level
        stream: Any = sys.stdout
        self._file = PatientFile(getattr(stream, "rich_proxied_file", stream))
        self._console = make_console(self._file)  # type: ignore[arg-type]  # what consoles need of a file
        self._going: dict[Turn, _Going] = {}
        self._verdicts: dict[str, int] = {}
        self._skipped_for: list[str] = []
        self._lock = threading.RLock()
        self._live: Live | None = None
        self._over = threading.Event()
        self._refresher = threading.Thread(target=self._refresh_now_and_then, daemon=True)

    def __enter__(self) -> Self:
        if self._console.is_live and self._level is not Level.QUIET:
            self._live = Live(
                self._picture(), console=self._console, auto_refresh=False, transient=True
            )
            self._live.start()
            self._refresher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._live is not None:
            self._refresher.join()
            with self._lock:
                self._live.stop()
                self._live = None
        self._file.close()

    # --- what happens -------------------------------------------------------------------------

    def begun(self, turn: Turn, name: str) -> None:
        """The run of this turn has begun."""
        with self._lock:
            self._going[turn] = _Going(safe_line(name), time.monotonic())
            if self._level is Level.VERBOSE and self._live is None:
                self._say_line("begun", "", safe_line(name))
            self._file.flush()

    def progress(self, turn: Turn, text: str) -> None:
        """How far it is, in one line; the last one is shown."""
        with self._lock:
            if turn in self._going:
                self._going[turn] = self._going[turn]._replace(text=safe_line(text))

    def ended(
        self, turn: Turn, result: RunResult, folder: Path | None = None, output: str = ""
    ) -> None:
        """It has come to `result`, whose files are in `folder`, and has printed `output`."""
        tell(result, folder, turn.repetition)
        with self._lock:
            name = self._going.pop(turn, _Going(safe_line(result.scenario), 0.0)).name
            self._verdicts[result.verdict] = self._verdicts.get(result.verdict, 0) + 1
            lines = self._lines_about(name, result, folder, output)
            # All at once, as each printing redraws what is live below.
            self._console.print(Group(*lines))
            self._file.flush()

    def say(self, text: str) -> None:
        """Print `text` above the live lines."""
        with self._lock:
            self._console.print(Text(text))
            self._file.flush()

    # --- how that looks -----------------------------------------------------------------------

    def _lines_about(
        self, name: str, result: RunResult, folder: Path | None, output: str
    ) -> list[Text]:
        lines: list[Text] = []

        def add(line: Text | None = None) -> None:
            lines.append(line or Text(""))

        page = Page(self._console, add)
        style = COLORS.get(result.verdict, "")
        head = Text.assemble((f"{result.verdict:<{VERDICT_CELLS}}", style), " ")
        page.hang(head, Text.assemble(name, (f"  {result.duration_s:.1f} s", "dim")))
        if self._level is Level.QUIET:
            return lines
        if result.verdict == "skipped":
            # What this machine lacks is mostly the same for all: it is told once.
            why = [result.reason, *result.notes]
            if why != self._skipped_for:
                self._skipped_for = why
                for text in filter(None, why):
                    page.hang("  ", safe_line(text))
            return lines
        passed = result.verdict == "passed"
        if not passed:
            print_result(page, result, folder)
            add()
        if output and (self._level is Level.VERBOSE or not (passed or result.expectations)):
            told = {safe_line(text) for text in (result.reason, *result.errors, *result.notes)}
            printed = [
                line
                for line in safe_text(output).splitlines()
                if line.removeprefix("iotsim: ") not in told
            ]
            for line in printed:
                page.hang("    | ", line, "dim", repeat=True)
            if printed:
                add()
        return lines

    def _say_line(self, what: str, style: str, text: str) -> None:
        Page(self._console).hang(Text.assemble((f"{what:<{VERDICT_CELLS}}", style), " "), text)

    def _refresh_now_and_then(self) -> None:
        while not self._over.wait(REFRESH_S):
            with self._lock:
                if self._live is not None and not self._file.is_behind:
                    # A name of others may be what no terminal can show; that ends no suite.
                    with contextlib.suppress(ValueError):
                        self._live.update(self._picture(), refresh=True)
                self._file.flush()

    def _picture(self) -> Group:
        size = self._console.size
        lines = self.lines(size.width, size.height, time.monotonic())
        return Group(*(Text.assemble(line, no_wrap=True, overflow="crop") for line in lines))

    def lines(self, columns: int, rows: int, now: float) -> list[Text]:
        """The live lines, in a terminal of this size: first how far all is, then each run that goes on."""
        signs = self._console.has_signs
        ellipsis, separator = ("…", " · ") if signs else ("...", " - ")
        counts = [f"{number(count)} {verdict}" for verdict, count in self._verdicts.items()]
        ended = sum(self._verdicts.values())
        head = separator.join([f"{number(ended)} of {number(self._total)} ended", *counts])
        lines = [Text(squeeze(head, columns, ellipsis), "bold")]
        going = list(self._going.values())
        room = max(1, rows - 2)
        shown = going if len(going) <= room else going[: room - 1]
        width = max((cell_len(one.name) for one in shown), default=0)
        width = min(
            width, max(LEAST_NAME_CELLS, columns - HEAD_CELLS - GAP_CELLS - LEAST_TEXT_CELLS)
        )
        for one in shown:
            head = f"  {now - one.since:5.1f} s  "
            name = squeeze(one.name, min(width, columns - len(head)), ellipsis)
            told = columns - len(head) - width - GAP_CELLS
            text = Text.assemble((head, "dim"), name)
            if one.text and told >= LEAST_NAME_CELLS:
                pad = " " * (width - cell_len(name) + GAP_CELLS)
                text.append(pad + clip(self._console.shown(one.text), told, ellipsis), "dim")
            lines.append(text)
        if len(shown) < len(going):
            more = f"  and {len(going) - len(shown)} more that go on"
            lines.append(Text(squeeze(more, columns, ellipsis), "dim"))
        return lines


def print_summary(jobs: Sequence[Job], ended: Sequence[Ended], waiting: int, passes: int) -> None:
    """What did not pass, with the lines that repeat it; then how many there were of each verdict."""
    page = Page(make_console())
    for one in ended:
        if one.result.verdict != Verdict.PASSED:
            _tell_again(page, jobs[one.turn.job], one)
    verdicts = [one.result.verdict for one in ended] + [str(Verdict.PASSED)] * passes
    counts = ", ".join(f"{count} {verdict}" for verdict, count in count_verdicts(verdicts).items())
    total = len(verdicts) + waiting
    what = "runs" if any(one.turn.repetition for one in ended) else "scenarios"
    left = f"; {waiting} not begun" if waiting else ""
    page.hang("", f"{len(verdicts)} of {total} {what}: {counts or 'none was run'}{left}")


def _tell_again(page: Page, job: Job, one: Ended) -> None:
    """What became of a run that has not passed, and the line that repeats it: whole, to be copied."""
    result = one.result
    reason = clip_text(safe_line(result.reason), REASON_CHARACTERS)
    again = f" #{one.turn.repetition}" if one.turn.repetition else ""
    shown = safe_line(f"{job}{again}")
    page.hang(f"{result.verdict:<13} ", f"{shown}: {reason}" if reason else shown)
    page.print(Text(f"{'':13} {safe_line(result.repeat)}"))
