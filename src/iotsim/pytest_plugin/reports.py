"""What pytest's reports say of a run: its explanation in the place of a traceback, and its properties."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from _pytest._code.code import TerminalRepr

from iotsim.results.verdict import Verdict
from iotsim.run.failure import sole_cause
from iotsim.safetext import safe_line, safe_text
from iotsim.testing.waiting import Inconclusive

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from pathlib import Path

    from _pytest._io import TerminalWriter

    from iotsim.results.result import RunResult

NAME = "iotsim-reports"
SKIPPED = pytest.StashKey[BaseException]()
"""What has skipped a test, on its way to pytest."""


class Explained(Exception):  # noqa: N818
    """A run did not pass; `text` explains it."""

    def __init__(self, result: RunResult, text: str) -> None:
        self.result = result
        self.text = text
        super().__init__(text)


class Unable(Exception):  # noqa: N818
    """This machine cannot run a test, and that is an error here."""


class Explanation(TerminalRepr):
    """`text`, in the place of a traceback; ``reprcrash`` has `message`, for summaries."""

    def __init__(self, path: Path, message: str, text: str) -> None:
        self.reprcrash = SimpleNamespace(path=str(path), lineno=1, message=safe_line(message))
        self.text = text

    def toterminal(self, tw: TerminalWriter) -> None:
        for line in self.text.splitlines():
            tw.line(line)

    def __str__(self) -> str:
        return self.text


def register(config: pytest.Config) -> None:
    """Let reports be as `Reports` makes them, from now on."""
    if not config.pluginmanager.has_plugin(NAME):
        config.pluginmanager.register(Reports(), NAME)


class Reports:
    """Lets reports tell of what was raised, and not of the groups that the nurseries it passed have put
    around it; of a run that did not pass, they have its explanation. Where nothing was proven against the
    gateway, that is an error and no failure: for pytest, what is not the test's own is its set-up's."""

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        cause: BaseException | None = None
        if call.excinfo is not None:
            cause = call.excinfo.value
            if "simulation" in getattr(item, "fixturenames", ()):
                cause = sole_cause(cause)
            if isinstance(cause, pytest.skip.Exception):
                # pytest-trio makes a skip of its own of it, which has lost the reason.
                cause = item.stash.get(SKIPPED, cause)
            if cause is not call.excinfo.value:
                call.excinfo = pytest.ExceptionInfo.from_exception(cause)
        report = yield
        if isinstance(cause, Explained):
            result = cause.result
            message = f"{result.verdict}: {result.reason}" if result.reason else result.verdict
            report.longrepr = Explanation(item.path, message, cause.text)
            proven = result.verdict == Verdict.FAILED
        elif isinstance(cause, Unable):
            report.longrepr = Explanation(item.path, str(cause), str(cause))
            proven = False
        else:
            proven = not isinstance(cause, Inconclusive)
        if not proven and report.when == "call":
            report.when = "setup"
        return report


def unable(config: pytest.Config, texts: Iterable[str]) -> BaseException:
    """What ends a test that this machine cannot run, as `texts` tell: it is skipped, or an error where the
    project, or the command line, wants that."""
    lines = [line.strip() for text in texts for line in safe_text(text).splitlines()]
    reason = safe_line("; ".join(filter(None, lines)))
    if config.getoption("iotsim_strict") or config.getini("iotsim_strict"):
        return Unable(f"this machine cannot run it: {reason}")
    return pytest.skip.Exception(reason, _use_item_location=True)


def properties(result: RunResult, folder: Path | None) -> list[tuple[str, object]]:
    """What reports of a test have of its run, by the names that junit.xml of ``iotsim run`` has for them."""
    found: list[tuple[str, object]] = [
        ("verdict", str(result.verdict)),  # no enum: pytest-xdist sends plain types only
        ("seed", str(result.seed)),
        ("repeat", result.repeat),
    ]
    if folder is not None:
        found.append(("results", str(folder)))
    return found + [(f"parameter.{name}", text) for name, text in result.parameters.items()]
