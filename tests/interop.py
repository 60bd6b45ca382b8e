"""The marker `peer`, for tests in which a bundled protocol is spoken with a program that others have written.

``@pytest.mark.peer("coap", "libcoap", "reads, writes, observes")`` names the protocol, the program, and what
it does; a test may have several. A run of all tests, or of these (``pytest -m peer``), makes the table in
docs/protocols/README.md of what came of them; in CI, where nothing may be missing, a table that says anything
else is a failure.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from xdist.workermanage import WorkerController

NOTES = "interop"
"""What a worker of pytest-xdist calls its notes in what it sends to the controller."""

PAGE = Path(__file__).parents[1] / "docs" / "protocols" / "README.md"
BEGIN, END = "<!-- made by the tests: begin -->", "<!-- made by the tests: end -->"
HEAD = "| protocol | with | what | holds |\n| --- | --- | --- | --- |\n"


class Case(NamedTuple):
    protocol: str
    who: str
    what: str


def table(results: Iterable[tuple[Case, bool]]) -> str:
    """The lines of a table; what holds in one test, and in another does not, does not."""
    held: dict[Case, bool] = {}
    for case, passed in results:
        held[case] = passed and held.get(case, True)
    rows = (
        f"| [{protocol}]({protocol}.md) | {who} | {what} | {'yes' if held[case] else '**no**'} |\n"
        for case in sorted(held, key=lambda case: tuple(map(str.lower, case)))
        for protocol, who, what in (case,)
    )
    return HEAD + "".join(rows)


def with_table(page: str, lines: str) -> str:
    """`page` with `lines` in the place of its table."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{lines}\n{END}{after}"


class Recorder:
    """Notes what comes of the tests with the marker, and sees to the page when all were run.

    With pytest-xdist each worker notes what it has run, and leaves the page to the controller.
    """

    def __init__(self, config: pytest.Config) -> None:
        self.results: list[tuple[Case, bool]] = []
        self.works = hasattr(config, "workerinput")
        self.whole = self.works or (
            config.args_source is pytest.Config.ArgsSource.TESTPATHS
            and not config.getoption("collectonly")
        )

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        if any(item.get_closest_marker("peer") for item in items):
            self.whole = False

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> object:
        report = yield
        cases = [Case(*mark.args) for mark in item.iter_markers("peer")]
        if report.skipped:
            self.whole = self.whole and not cases
        elif report.when == "call" or report.failed:
            self.results += [(case, report.passed) for case in cases]
        return report

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: WorkerController) -> None:
        whole, results = getattr(node, "workeroutput", {}).get(NOTES, (False, []))
        self.whole = self.whole and whole
        self.results += [(Case(*case), passed) for case, passed in results]

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.works:
            notes = [(tuple(case), passed) for case, passed in self.results]
            session.config.workeroutput[NOTES] = self.whole, notes
            return
        page = PAGE.read_text()
        made = with_table(page, table(self.results))
        stopped = session.shouldstop or session.shouldfail
        if stopped or session.exitstatus == pytest.ExitCode.INTERRUPTED:
            return
        if not self.whole or made == page:
            return
        if os.environ.get("CI"):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
            terminal = session.config.pluginmanager.get_plugin("terminalreporter")
            terminal.write_line(f"\n{PAGE}: is not what the tests have made of it:", red=True)
            terminal.write_line(table(self.results))
        else:
            PAGE.write_text(made)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "peer(protocol, who, what): a row of the table in docs/protocols/README.md"
    )
    config.pluginmanager.register(Recorder(config))
