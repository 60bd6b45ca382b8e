"""Terminal output of a run: its progress, and its report."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import trio
from rich.live import Live
from rich.markup import escape
from rich.text import Text

from iotsim.cli.console import make_console
from iotsim.clock import real_s
from iotsim.results.context import device_context
from iotsim.results.summary import moments_wanted, summarize
from iotsim.wire.address import format_block

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from iotsim.results.summary import Row
    from iotsim.run.report import RunReport
    from iotsim.run.run import Run

COLORS = {
    "passed": "green",
    "failed": "red",
    "error": "red",
    "warning": "yellow",
    "inconclusive": "yellow",
    "empty": "yellow",
    "skipped": "yellow",
}
REFRESH_S = 0.2
PLAIN_INTERVAL_S = 5.0
LABEL_COLUMNS = 10
WIDE = 72
"""A terminal of fewer columns has none to spare for an indentation."""
WIDE_INDENT, NARROW_INDENT = 11, 4
UNIT = re.compile(r"(?<=[0-9]) (?=m?s\b)")
UNBROKEN = "\ue000"
"""Stands for the space between a number and its unit, where a line must not break."""
LEAST_COLUMNS = 20


async def show_progress(run: Run) -> None:
    """Show how `run` goes until cancelled: live in a terminal, else a line now and then."""
    console = make_console()
    scenario = run.scenario
    console.print(f"[bold]{escape(scenario.name)}[/]  seed {scenario.seed}")
    for fleet in scenario.fleets:
        where = ", ".join(format_block(b.first, b.count) for b in fleet.blocks) or "no address"
        protocols = ", ".join(f"{s.protocol.name} on {s.port}" for s in fleet.services)
        devices = "1 device" if fleet.count == 1 else f"{fleet.count} devices"
        console.print(f"  {escape(fleet.name)}: {devices}, {where}, {protocols}")
    for service in scenario.northbound.values():
        where = service.url or (f"{service.host}:{service.port}" if service.port else service.host)
        console.print(f"  {escape(service.name)}: northbound, {service.kind}, {where}")
    if scenario.gateway is None or not scenario.gateway.command:
        for line in route_hints(run):
            console.print(f"  {escape(line)}")
    if run.virtual:
        return  # there is no time to watch it
    if not console.is_terminal:
        while True:
            await trio.sleep(real_s(PLAIN_INTERVAL_S))
            console.print(progress_line(run))
    with Live(progress_line(run), console=console, auto_refresh=False, transient=True) as live:
        while True:
            await trio.sleep(real_s(REFRESH_S))
            live.update(progress_line(run), refresh=True)


def progress_line(run: Run) -> str:
    """One line: how far the run is."""
    progress = run.crew.progress()
    parts = [
        f"{run.clock():5.1f} s",
        f"{progress.received} packets in",
        f"{progress.answered} answered",
    ]
    if progress.pending:
        parts.append(f"{progress.pending} pending")
    if progress.dropped:
        parts.append(f"{progress.dropped} dropped")
    undecided = progress.verdicts.count(None)
    total = len(progress.verdicts)
    parts.append(f"{total - undecided} of {total} expectations decided")
    if run.gateway is not None:
        parts.append(f"gateway {run.gateway.state}")
    return "  " + " · ".join(parts)


def route_hints(run: Run) -> list[str]:
    """How whoever is to be the gateway reaches the devices."""
    link, spec = run.site.link, run.scenario.link
    if link.kind not in ("tun", "tap"):
        return []
    if spec.bridge:
        where = f"the devices are on the bridge {spec.bridge}: who is there, too, is the gateway"
    elif link.kind == "tap":
        where = f"the devices are on the Ethernet of {link.name}: who is there, too, is the gateway"
    elif spec.isolate == "private":
        where = (
            "the devices are in a network of their own: iotsim exec -- COMMAND runs a gateway there"
        )
    else:
        where = f"interface {link.name} is up; whoever has a route to the devices is the gateway"
    return [where, *run.site.notes]


def show_report(report: RunReport, *, quiet: bool) -> None:
    """Print what came of a run."""
    console = make_console()
    result = report.result
    color = COLORS[result.verdict]
    if quiet:
        name = escape(result.scenario)
        console.print(f"[{color}]{result.verdict}[/] {name} (seed {result.seed})")
        return
    with (report.folder / "events.jsonl").open("rb") as lines:
        context = device_context(lines, moments_wanted(result.expectations))
    summary = summarize(result, context)
    page = Page(console)
    page.print()
    for note in summary.notes:
        page.hang("  ", note)
    for row in summary.rows:
        _show_row(page, row)
    if summary.gateway_lines:
        page.print("  the gateway's last lines:")
        for line in summary.gateway_lines:
            page.hang("    | ", line, "dim", repeat=True)
    page.print()
    page.hang(Text.assemble((summary.verdict.upper(), f"bold {color}"), "  "), summary.title)
    if summary.reason:
        page.hang("  ", summary.reason)
    console.print(f"  results: {escape(_short(report.folder))}")
    if summary.repeat:
        console.print(f"  repeat:  {escape(summary.repeat)}")  # whole, to be copied


class Page:
    """Prints what is too long for a line below itself: "hanging" from where it began.

    Where nobody has said how wide a line is, as in a file, it is as long as it needs to be.
    """

    def __init__(self, console: Console) -> None:
        self.print = console.print
        self._console = console
        told = console.is_terminal or "COLUMNS" in os.environ
        self._columns = console.width if told else 0
        self.indent = " " * (WIDE_INDENT if not told or console.width >= WIDE else NARROW_INDENT)
        """What stands below an expectation is indented by this."""

    def hang(
        self, head: str | Text, body: str | Text, style: str = "", *, repeat: bool = False
    ) -> None:
        """Print `head`, and `body` beside it; with `repeat`, `head` in each line."""
        head, body = Text(head) if isinstance(head, str) else head, Text.assemble(body, style=style)
        lines = [body]
        if self._columns:
            columns = max(self._columns - head.cell_len, LEAST_COLUMNS)
            body.plain = UNIT.sub(UNBROKEN, body.plain)
            lines = [*body.wrap(self._console, columns)]
            for line in lines:
                line.plain = line.plain.replace(UNBROKEN, " ").rstrip()
        blank = head if repeat else Text(" " * head.cell_len)
        for number, line in enumerate(lines):
            self.print(Text.assemble(blank if number else head, line))


def _show_row(page: Page, row: Row) -> None:
    told = (f": {row.told}", "dim") if row.told else ""
    state = Text.assemble("  ", (f"{row.state:<7}", COLORS[row.state]), "  ")
    page.hang(state, Text.assemble(row.name, told))
    for label, text in row.facts:
        page.hang(Text(f"{page.indent}{label:<{LABEL_COLUMNS}} ", "dim"), text)
    for device, lines in row.context:
        page.hang(Text(f"{page.indent}around ", "dim"), device, "dim")
        for line in lines:
            page.hang(Text(f"{page.indent}  {line.head}", "dim"), line.body, "dim")


def _short(folder: Path) -> str:
    """`folder` as seen from here, where that is shorter."""
    relative = os.path.relpath(folder)
    return relative if not relative.startswith("..") else str(folder)
