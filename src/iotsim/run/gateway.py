"""The gateway's life in a run: started, ready, heard, exited or stopped."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from iotsim.events import (
    GatewayExited,
    GatewayOutput,
    GatewayReady,
    GatewayResult,
    GatewayStarted,
    Note,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from iotsim.events import Event
    from iotsim.scenario.model import GatewaySpec, ReadySpec
    from iotsim.testbed.bed import ExitStatus, Testbed

LINE_BYTES = 4096
"""A longer line is cut into lines of this length."""
MOST_LINES = 1000
"""So many lines of a second become events. A gateway that prints without end must not drown the rest."""
LAST_LINES = 10
STOP_GRACE_S = 2.0
LAST_OUTPUT_S = 0.5
"""After its exit, for what it wrote last; its children may hold the terminal open for longer."""
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
        emit: Callable[[Event], None],
        clock: Callable[[], float],
        log: Callable[[bytes], object],
        on_line: Callable[[str, float], None],
    ) -> None:
        self.spec = spec
        self.ready = trio.Event()
        self.exited = trio.Event()
        self.status: ExitStatus | None = None
        self.crashed = False
        self.last_lines: list[str] = []
        self._emit = emit
        self._clock = clock
        self._log = log
        self._on_line = on_line
        self._command: list[str] = []
        self._pid = 0
        self._stopping = False
        self._seen = trio.Event()
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
            command=self._command,
            pid=self._pid,
            status=None if self.status is None else self.status.status,
            signal=self.signal_name,
            crashed=self.crashed,
            last_lines=self.last_lines,
        )

    async def run(
        self,
        testbed: Testbed,
        command: Sequence[str],
        env: Mapping[str, str],
        cwd: Path,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Start the process and follow it to its end; on cancellation, stop it first."""
        process = await testbed.start_gateway(command, env, cwd)
        self._command, self._pid = list(command), process.pid
        self._emit(GatewayStarted(self._clock(), process.pid, self._command))
        task_status.started()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._wait_ready, testbed.init_pid)
            # Shielded: what it prints while it is being stopped is output as well.
            reading = trio.CancelScope(shield=True)
            nursery.start_soon(self._read, process.output, reading)
            try:
                try:
                    status = await process.wait()
                except trio.Cancelled:
                    self._stopping = True
                    with trio.CancelScope(shield=True):
                        status = await process.stop(_signal(self.spec.stop_signal), STOP_GRACE_S)
                with trio.CancelScope(shield=True):
                    reading.deadline = trio.current_time() + LAST_OUTPUT_S
                    await self._output_ended.wait()
            finally:
                reading.cancel()
            self._ended(status)
            nursery.cancel_scope.cancel()

    def _ended(self, status: ExitStatus) -> None:
        self.status = status
        expected = self.spec.expect_exit
        if self._stopping:
            self.crashed = False
        elif expected is not None:
            self.crashed = status.status != expected
        else:
            self.crashed = status.status != 0
        self._emit(GatewayExited(self._clock(), status.status, self.signal_name, self.crashed))
        self.exited.set()

    async def _read(
        self, output: trio.MemoryReceiveChannel[bytes], scope: trio.CancelScope
    ) -> None:
        """Take all output, within `scope`."""
        rest = b""
        with scope:
            async for chunk in output:
                self._log(chunk)
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    self._line(line)
                while len(rest) > LINE_BYTES:
                    self._line(rest[:LINE_BYTES])
                    rest = rest[LINE_BYTES:]
        if rest:
            self._line(rest)
        self._output_ended.set()

    def _line(self, line: bytes) -> None:
        now = self._clock()
        text = line.rstrip(b"\r").decode(errors="replace")
        self._report_line(text, now)
        self.last_lines = [*self.last_lines[1 - LAST_LINES :], text]
        self._on_line(text, now)
        ready = self.spec.ready
        if ready is not None and ready.log is not None and ready.log.search(text):
            self._seen.set()

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

    async def _wait_ready(self, init_pid: int) -> None:
        ready = self.spec.ready
        if ready is None:
            how = "started"
        elif ready.log is not None:
            await self._seen.wait()
            how = f"printed a line that matches {ready.log.pattern!r}"
        elif ready.delay_s is not None:
            await trio.sleep(ready.delay_s)
            how = f"{ready.delay_s:g} s have passed"
        else:
            how = await _port_open(init_pid, ready)
        self._emit(GatewayReady(self._clock(), how))
        self.ready.set()


async def _port_open(pid: int, ready: ReadySpec) -> str:
    """Wait until a socket in the network namespace of `pid` is bound to the port asked for."""
    kind, port = ("udp", ready.udp_port) if ready.udp_port is not None else ("tcp", ready.tcp_port)
    tables = [Path(f"/proc/{pid}/net/{table}") for table in (kind, f"{kind}6")]
    while not any(_is_bound(table, port) for table in tables):  # noqa: ASYNC110 - nobody tells
        await trio.sleep(POLL_S)
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


def gateway_environment(extra: Mapping[str, str], results: Path) -> dict[str, str]:
    """Our own environment, where the results go, and what the scenario adds."""
    return {**os.environ, "IOTSIM_RESULTS": str(results), **extra}


def locate(word: str, folders: Sequence[Path]) -> str:
    """A word of the gateway's command: the file that it names in the first of `folders` to have it.

    The gateway runs in a folder of its own, so what was written relative must be made absolute.
    What is no relative path, or names no file, stays as it is.
    """
    if word and not word.startswith(("/", "-")) and ("/" in word or "." in word):
        for folder in folders:
            # os.path's, unlike pathlib's, takes what can be no name, such as a script, for no file.
            if os.path.isfile(folder / word):  # noqa: PTH113
                return str((folder / word).resolve())
    return word


def _signal(name: str) -> signal.Signals:
    return signal.Signals[name]
