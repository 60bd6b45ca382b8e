"""What a terminal shows while a run goes on: what is simulated, and how far it is."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Self

import trio
from rich.console import Group
from rich.live import Live
from rich.text import Text

from iotsim.cli.console import make_console
from iotsim.cli.level import Level
from iotsim.cli.look import Trend, brief, live_lines, look_at, short
from iotsim.cli.page import Page
from iotsim.cli.patience import PatientFile
from iotsim.cli.verbose import Narrator
from iotsim.clock import real_s
from iotsim.safetext import safe_line
from iotsim.wire.address import format_block

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from iotsim.events import EventSink
    from iotsim.run.run import Run

REFRESH_S = 0.2
PLAIN_INTERVAL_S = 5.0
TELL_INTERVAL_S = 0.5


class RunView:
    """Prints how a run goes on, on `level`: live in a terminal, else a line now and then. A context manager,
    after which everything is printed.

    ``live``: it looks at all that `RunOptions.live` gives. ``sinks`` are for `RunOptions.watch`, `show` is
    the ``progress`` of `run_scenario`. Nobody waits for the terminal meanwhile: see `PatientFile`.

    With `tell`, the run is one of several, whoever shows them all is told in a line how far it is, and
    nothing is printed but what is verbose.
    """

    def __init__(self, level: Level, tell: Callable[[str], object] | None = None) -> None:
        self._level = level
        self._tell = tell
        stream: Any = sys.stdout
        self._file = PatientFile(getattr(stream, "rich_proxied_file", stream))
        self._console = make_console(self._file)  # type: ignore[arg-type]  # what consoles need of a file
        self._narrator = Narrator(self._console) if level is Level.VERBOSE else None
        self.live = self._console.is_live and level is not Level.QUIET and tell is None
        self.sinks: Sequence[EventSink] = [] if self._narrator is None else [self._narrator]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if self._narrator is not None:
            self._narrator.end()
        self._file.close()

    async def show(self, run: Run) -> None:
        """Show how `run` goes until cancelled."""
        if self._narrator is not None or (self._tell is None and self._level is not Level.QUIET):
            _print_head(Page(self._console), run)
        if self._narrator is not None:
            self._narrator.begin()
        self._file.flush()
        if run.virtual:
            return  # there is no time to watch it
        if self._tell is not None:
            await self._show_to(self._tell, run)
        elif self.live:
            await self._show_live(run)
        elif self._level is not Level.QUIET:
            await self._show_lines(run)

    async def _show_to(self, tell: Callable[[str], object], run: Run) -> None:
        while True:
            tell(short(look_at(run)))
            self._file.flush()
            await trio.sleep(real_s(TELL_INTERVAL_S))

    async def _show_lines(self, run: Run) -> None:
        trend, shown_at = Trend(), 0.0
        while True:
            await trio.sleep(real_s(REFRESH_S if self._narrator else PLAIN_INTERVAL_S))
            if run.clock() - shown_at >= real_s(PLAIN_INTERVAL_S):
                look, shown_at = look_at(run), run.clock()
                trend.add(look)
                Page(self._console).hang("  ", brief(look, trend))
            self._file.flush()

    async def _show_live(self, run: Run) -> None:
        trend, console = Trend(), self._console

        def picture() -> Group:
            look = look_at(run)
            trend.add(look)
            size = console.size
            return Group(
                *(
                    Text.assemble(line, no_wrap=True, overflow="crop")
                    for line in live_lines(
                        look, trend, size.width, size.height, signs=console.has_signs
                    )
                )
            )

        with Live(picture(), console=console, auto_refresh=False, transient=True) as live:
            while True:
                await trio.sleep(real_s(REFRESH_S))
                if not self._file.is_behind:
                    live.update(picture(), refresh=True)
                self._file.flush()


def _print_head(page: Page, run: Run) -> None:
    """What is simulated, and how whoever is to be the gateway reaches it."""
    scenario = run.scenario
    page.hang("", Text.assemble((safe_line(scenario.name), "bold"), f"  seed {scenario.seed}"))
    for fleet in scenario.fleets:
        where = ", ".join(format_block(b.first, b.count) for b in fleet.blocks) or "no address"
        protocols = ", ".join(f"{s.protocol.name} on {s.port}" for s in fleet.services)
        devices = "1 device" if fleet.count == 1 else f"{fleet.count} devices"
        page.hang("  ", safe_line(f"{fleet.name}: {devices}, {where}, {protocols}"))
    for service in scenario.northbound.values():
        where = service.url or (f"{service.host}:{service.port}" if service.port else service.host)
        page.hang("  ", safe_line(f"{service.name}: northbound, {service.kind}, {where}"))
    if scenario.gateway is None or not scenario.gateway.command:
        for line in route_hints(run):
            page.hang("  ", safe_line(line))


def route_hints(run: Run) -> list[str]:
    """How whoever is to be the gateway reaches the devices."""
    link, spec = run.site.link, run.scenario.link
    if link.kind not in ("tun", "tap"):
        return []
    if spec.bridge:
        where = f"the devices are on the bridge {spec.bridge}: whoever else is on it is the gateway"
    elif link.kind == "tap":
        where = (
            f"the devices are on the Ethernet of {link.name}: whoever else is on it is the gateway"
        )
    elif spec.isolate == "private":
        where = (
            "the devices are in a network of their own: iotsim exec -- COMMAND runs a gateway there"
        )
    else:
        where = f"interface {link.name} is up; whoever has a route to the devices is the gateway"
    return [where, *run.site.notes]
