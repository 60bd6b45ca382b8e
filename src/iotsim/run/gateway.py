"""The gateway's life in a run: started, ready, heard, exited or stopped.

The gateway is the command and what it starts. It has exited when the command has, but for a launcher: a
command that exits with status 0 and leaves other processes running hands on to the oldest of them, whose
exit is then the gateway's. A command, or a process in its place, that ends in any other way has crashed,
whatever it leaves; what is left then runs, and is read, until the run ends.
"""

from __future__ import annotations

import math
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from iotsim.clock import real_s
from iotsim.events import (
    GatewayExited,
    GatewayOutput,
    GatewayReady,
    GatewayResult,
    GatewayStarted,
    Note,
)
from iotsim.run.output import OutputText

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotsim.events import Event
    from iotsim.run.launch import Launch
    from iotsim.scenario.model import GatewaySpec, ReadySpec
    from iotsim.testbed.bed import ExitStatus, GatewayProcess, Testbed

MOST_LINES = 1000
"""So many lines of a second become events. A gateway that prints without end must not drown the rest."""
LAST_LINES = 10
PROMPT_S = 0.05
"""Text that waits for so long for the end of its line is taken for a prompt, and a line of its own."""
STOP_GRACE_S = 2.0
LAST_OUTPUT_S = 0.5
"""After its exit, for what it wrote last; what it left behind may go on writing."""
POLL_S = 0.02
TCP_LISTEN = "0A"
"""The state in /proc/net/tcp."""


class Gateway:
    """One gateway process, as the run sees it.

    `ready` and `exited` are set as these things come to pass; `status` is the exit status then.
    `last_lines` are the last lines it printed, for the report of a crash.
    """

    def __init__(
        self,
        spec: GatewaySpec,
        launch: Launch,
        emit: Callable[[Event], None],
        clock: Callable[[], float],
        log: Callable[[bytes], object],
        on_line: Callable[[str, float], None],
    ) -> None:
        self.spec = spec
        self.launch = launch
        self.ready = trio.Event()
        self.exited = trio.Event()
        self.status: ExitStatus | None = None
        self.crashed = False
        self.last_lines: list[str] = []
        self._emit = emit
        self._clock = clock
        self._log = log
        self._on_line = on_line
        self._pid = 0
        self._started_at = 0.0
        self._exited_at = 0.0
        self._stopping = False
        self._left: list[str] = []
        """The names of the processes to which it was handed on, in turn."""
        self._prompt = ""
        """What of the unfinished line has been told already."""
        self._output_ended = trio.Event()
        self._second = 0.0
        self._lines = 0
        """How many lines there have been since `_second`."""

    @property
    def signal_name(self) -> str:
        """The signal that ended it, "" if none did."""
        if self.status is None or self.status.signal is None:
            return ""
        return signal.Signals(self.status.signal).name

    @property
    def crash(self) -> str:
        """How it crashed, in a line; "" if it did not."""
        return f"the gateway crashed: {self.status}" if self.crashed else ""

    def result(self) -> GatewayResult:
        """What the results say of it."""
        return GatewayResult(
            command=list(self.launch.command),
            pid=self._pid,
            status=None if self.status is None else self.status.status,
            signal=self.signal_name,
            crashed=self.crashed,
            last_lines=self.last_lines,
        )

    def notes(self, *, heard: bool) -> list[str]:
        """What explains a failure of the run; `heard`: whether any message has come from it."""
        notes = []
        if self.status is not None and not self.crashed and not self._stopping:
            too_early = ""
            if not self.ready.is_set():
                too_early = "it was ready"
            elif not heard:
                too_early = "any message came from it"
            if too_early:
                how = f"exited with status {self.status.status}"
                after = self._exited_at - self._started_at
                notes.append(f"The gateway {how} after {after:.1f} s, before {too_early}.")
        notes += [_handed_on(name) for name in self._left]
        return notes

    async def run(
        self, testbed: Testbed, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Start the process and follow it to its end; on cancellation, stop it first."""
        launch = self.launch
        process = await testbed.start_gateway(
            launch.command,
            launch.env,
            launch.cwd,
            streams=launch.open_streams(),
            on_left=self._handed_on,
        )
        self._pid, self._started_at = process.pid, self._clock()
        self._emit(GatewayStarted(self._started_at, process.pid, list(launch.command)))
        task_status.started()
        async with trio.open_nursery() as nursery:
            # Shielded: what it prints while it is being stopped is output as well.
            reading = trio.CancelScope(shield=True)
            nursery.start_soon(self._read, process.output, reading)
            try:
                async with trio.open_nursery() as awaiting:
                    awaiting.start_soon(self._await_ready, testbed.init_pid)
                    status = await process.wait()
                    with trio.move_on_after(real_s(LAST_OUTPUT_S)):
                        await self._output_ended.wait()
                    awaiting.cancel_scope.cancel()
                self._ended(status)
                await trio.sleep_forever()  # what it has left goes on until the run ends
            finally:
                with trio.CancelScope(shield=True):
                    await self._stop(process)
                reading.cancel()

    async def _stop(self, process: GatewayProcess) -> None:
        """End it, if it has not ended, and all that it has left; take what they still print."""
        self._stopping = not self.exited.is_set()
        status = await process.stop(signal.Signals[self.spec.stop_signal], STOP_GRACE_S)
        with trio.move_on_after(real_s(LAST_OUTPUT_S)):
            await self._output_ended.wait()
        if self._stopping:
            self._ended(status)

    def _handed_on(self, name: str) -> None:
        """The command has exited and left a process of this `name` to be the gateway."""
        self._left.append(name)
        self._emit(Note(self._clock(), _handed_on(name)))

    def _ended(self, status: ExitStatus) -> None:
        self.status = status
        self._exited_at = self._clock()
        expected = self.spec.expect_exit or 0
        self.crashed = not self._stopping and status.status != expected
        self._emit(GatewayExited(self._exited_at, status.status, self.signal_name, self.crashed))
        self.exited.set()

    async def _read(
        self, output: trio.MemoryReceiveChannel[bytes], scope: trio.CancelScope
    ) -> None:
        """Take all output, within `scope`."""
        text = OutputText()
        patience_s = PROMPT_S
        with scope:
            while True:
                waiting = text.unfinished not in ("", self._prompt)
                with trio.move_on_after(real_s(patience_s) if waiting else math.inf):
                    try:
                        chunk = await output.receive()
                    except trio.EndOfChannel:
                        break
                    self._log(chunk)
                    for line in text.feed(chunk):
                        self._line(line)
                        self._prompt, patience_s = "", PROMPT_S
                    continue
                self._line(text.unfinished)
                self._prompt = text.unfinished
                patience_s *= 2  # a line of dots that grows for ever is not told dot by dot
        for line in text.end():
            self._line(line)
        self._output_ended.set()

    def _line(self, line: str) -> None:
        """It printed `line`, which may go on where the prompt has ended."""
        if line and line == self._prompt:
            return
        now = self._clock()
        self._report_line(line, now)
        before = self.last_lines[:-1] if self._prompt else self.last_lines
        self.last_lines = [*before[1 - LAST_LINES :], line]
        self._on_line(line, now)
        ready = self.spec.ready
        if ready is not None and ready.log is not None and ready.log.search(line):
            self._become_ready(f"printed a line that matches {ready.log.pattern!r}")

    def _report_line(self, text: str, now: float) -> None:
        """Make an event of a line, unless there have been very many in this second."""
        if now >= self._second + 1.0:
            if self._lines > MOST_LINES:
                left_out = self._lines - MOST_LINES
                self._emit(Note(now, f"{left_out} lines of the gateway are in gateway.log alone"))
            self._second, self._lines = now, 0
        self._lines += 1
        if self._lines <= MOST_LINES:
            self._emit(GatewayOutput(now, text))

    async def _await_ready(self, init_pid: int) -> None:
        """Wait for whatever else than a line makes it ready."""
        ready = self.spec.ready
        if ready is None:
            self._become_ready("started")
        elif ready.delay_s is not None:
            await trio.sleep(ready.delay_s)
            self._become_ready(f"{ready.delay_s:g} s have passed")
        elif ready.log is None:
            self._become_ready(await _port_open(init_pid, ready))

    def _become_ready(self, how: str) -> None:
        if not self.ready.is_set():
            self._emit(GatewayReady(self._clock(), how))
            self.ready.set()


def _handed_on(name: str) -> str:
    return (
        f"The gateway's command exited with status 0 and left {name or 'a process'} running in the "
        "background, which is the gateway since then."
    )


async def _port_open(pid: int, ready: ReadySpec) -> str:
    """Wait until a socket in the network namespace of `pid` is bound to the port asked for."""
    kind, port = ("udp", ready.udp_port) if ready.udp_port is not None else ("tcp", ready.tcp_port)
    tables = [Path(f"/proc/{pid}/net/{table}") for table in (kind, f"{kind}6")]
    while not any(_is_bound(table, port) for table in tables):  # noqa: ASYNC110 - nobody tells
        await trio.sleep(real_s(POLL_S))
    return f"{kind.upper()} port {port} is open"


def _is_bound(table: Path, port: int | None) -> bool:
    try:
        rows = [line.split() for line in table.read_text().splitlines()[1:]]
    except OSError:
        return False  # no IPv6 here, or the namespace has just ended
    return any(
        int(row[1].rpartition(":")[2], 16) == port
        and (table.name.startswith("udp") or row[3] == TCP_LISTEN)
        for row in rows
    )
