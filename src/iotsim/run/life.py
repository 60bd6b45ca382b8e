"""One life of the gateway: a process from its start to its end, and what it has left.

The gateway is the command and what it starts. It has exited when the command has, but for a launcher: a
command that exits with status 0 and leaves other processes running hands on to the oldest of them, whose
exit is then the gateway's. A command, or a process in its place, that ends in any other way has crashed,
whatever it leaves; what is left then runs, and is read, until the run ends, or it is started again. Nor is a
fault an answer to being asked to end: who gets SIGSEGV while it cleans up has crashed, too.
"""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

import trio

from iotsim.clock import real_s
from iotsim.events import GatewayLife
from iotsim.expect.figures import GatewaySample
from iotsim.testbed.bed import GatewayStartError
from iotsim.testbed.process import signal_name

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from iotsim.run.console import Console
    from iotsim.run.launch import Launch
    from iotsim.scenario.model import GatewaySpec, ReadySpec
    from iotsim.testbed.bed import ExitStatus, GatewayProcess, Sample, Testbed

By: TypeAlias = Literal["", "stop", "kill", "end"]
"""Who made a life end: itself, a step, or the end of the run."""

FAULTS = frozenset(
    (
        *(signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL),
        *(signal.SIGABRT, signal.SIGTRAP, signal.SIGSYS),
    )
)
"""What a program dies of by its own doing, whatever it was asked."""
STOP_GRACE_S = 2.0
LAST_OUTPUT_S = 0.5
"""How long what it wrote last is waited for after its exit; what it left behind may go on writing."""
POLL_S = 0.02
TCP_LISTEN = "0A"
"""The state in /proc/net/tcp."""


class Watch(Protocol):
    """What is told of a life: the gateway that it is one of."""

    def life_started(self, life: Life) -> None: ...

    def life_ready(self, life: Life, how: str) -> None: ...

    def life_ended(self, life: Life, note: str) -> None: ...

    def life_left(self, life: Life, name: str) -> None: ...

    def life_measured(self, life: Life, sample: GatewaySample | None) -> None: ...

    def life_delayed(self, life: Life, seconds: float) -> None: ...


class Life:
    """Life `number`. ``ready``, ``exited`` and ``closed`` are set as it comes to that.

    ``exited``: its process has ended, with ``status``. ``closed``: nothing is left of it.
    """

    def __init__(
        self,
        number: int,
        spec: GatewaySpec,
        launch: Launch,
        clock: Callable[[], float],
        watch: Watch,
    ) -> None:
        self.number = number
        self.spec = spec
        self.ready = trio.Event()
        self.exited = trio.Event()
        self.closed = trio.Event()
        self.status: ExitStatus | None = None
        self.by: By = ""
        self.crashed = False
        self.pid = 0
        self.started_at = 0.0
        self.ready_at: float | None = None
        self.ended_at: float | None = None
        self.stretch = 0
        """Rises whenever it goes on after a pause."""
        self.paused = False
        self._ending: By = ""
        self._launch = launch
        self._clock = clock
        self._watch = watch
        self._living = trio.CancelScope()
        self._process: GatewayProcess | None = None

    @property
    def signal_name(self) -> str:
        """The signal that ended it, "" if none did."""
        if self.status is None or self.status.signal is None:
            return ""
        return signal_name(self.status.signal)

    def result(self) -> GatewayLife:
        """What the results say of it."""
        return GatewayLife(
            pid=self.pid,
            started=self.started_at,
            ready=self.ready_at,
            ended=self.ended_at,
            status=None if self.status is None else self.status.status,
            signal=self.signal_name,
            by=self.by,
            crashed=self.crashed,
        )

    async def run(
        self,
        testbed: Testbed,
        console: Console,
        *,
        measure: Collection[str] | None = None,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Start the process and follow it, until `end` or cancellation; then end all of it.

        `measure` is what of it is measured, as `GatewayProcess.watch` has it; None measures nothing.
        """
        launch = self._launch
        streams = launch.open_streams()
        try:
            process = await testbed.start_gateway(
                launch.command,
                launch.env,
                launch.cwd,
                streams=streams,
                on_left=lambda name: self._watch.life_left(self, name),
            )
        except GatewayStartError as error:
            raise launch.refused(error) from error
        self._process = process
        process.on_behind = lambda seconds: self._watch.life_delayed(self, seconds)
        self.pid, self.started_at = process.pid, self._clock()
        self._watch.life_started(self)
        task_status.started()
        try:
            await self._follow(process, testbed, console, measure)
        finally:
            self.closed.set()

    async def _follow(
        self,
        process: GatewayProcess,
        testbed: Testbed,
        console: Console,
        measure: Collection[str] | None,
    ) -> None:
        printed = trio.Event()
        async with trio.open_nursery() as nursery:
            # Shielded: what it prints while it is being stopped is output as well.
            reading = trio.CancelScope(shield=True)
            nursery.start_soon(console.read, process.output, reading, printed)
            try:
                with self._living:
                    if measure is not None:
                        await process.watch(self._measured, measure)
                    async with trio.open_nursery() as awaiting:
                        awaiting.start_soon(self._await_ready, testbed.init_pid)
                        status = await process.wait()
                        with trio.move_on_after(real_s(LAST_OUTPUT_S)):
                            await printed.wait()
                        awaiting.cancel_scope.cancel()
                    self._ended(status, "")
                    await trio.sleep_forever()  # what it has left goes on
            finally:
                with trio.CancelScope(shield=True):
                    await self._end(process, printed)
                reading.cancel()

    async def end(self, by: By) -> None:
        """Let it be ended, and wait until nothing is left of it."""
        self._ending = by
        self._living.cancel()
        await self.closed.wait()

    async def pause(self) -> None:
        assert self._process is not None
        await self._process.measure()
        self.paused = True
        await self._process.pause()

    async def resume(self) -> None:
        assert self._process is not None
        await self._process.resume()
        self.paused = False
        self.stretch += 1
        await self._process.measure()

    async def measure(self) -> None:
        """Take a last sample, if it is measured at all."""
        if self._process is not None:
            await self._process.measure()

    async def _end(self, process: GatewayProcess, printed: trio.Event) -> None:
        """End it, if it has not ended, and all that it has left; take what they still print."""
        before = process.exit_status
        by = self._ending or "end"
        if before is None:
            self.by = by  # what is measured from now on is its end, not its life
        asked = signal.Signals[self.spec.stop_signal]
        began = trio.current_time()
        if by == "kill":
            asked = signal.SIGKILL
            status = await process.kill()
        else:
            status = await process.stop(asked, STOP_GRACE_S)
        took_s = trio.current_time() - began
        with trio.move_on_after(real_s(LAST_OUTPUT_S)):
            await printed.wait()
        if self.exited.is_set():
            return
        if before is not None or (by == "kill" and status.signal != signal.SIGKILL):
            self._ended(status, "")  # by itself, a moment before
            return
        note = _note(status, asked, took_s)
        self._ended(status, by, note, crashed=status.signal in FAULTS)

    def _ended(
        self, status: ExitStatus, by: By, note: str = "", *, crashed: bool | None = None
    ) -> None:
        self.status, self.by = status, by
        self.ended_at = self._clock()
        expected = self.spec.expect_exit or 0
        self.crashed = status.status != expected if crashed is None else crashed
        self.exited.set()
        self._watch.life_ended(self, note)

    def hear(self, line: str) -> None:
        """It printed `line`."""
        ready = self.spec.ready
        if ready is not None and ready.log is not None and ready.log.search(line):
            self._become_ready(f"printed a line that matches {ready.log.pattern!r}")

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
        if self._process is not None:
            await self.ready.wait()
            await self._process.measure()

    def _become_ready(self, how: str) -> None:
        if not self.ready.is_set():
            self.ready_at = self._clock()
            self.ready.set()
            self._watch.life_ready(self, how)

    def _measured(self, sample: Sample) -> None:
        usage = sample.usage
        if self.paused:
            return
        if usage is None:
            self._watch.life_measured(self, None)
            return
        self._watch.life_measured(
            self,
            GatewaySample(
                life=self.number,
                stretch=self.stretch,
                at=sample.at,
                ready=self.ready.is_set() and not self.by,
                **usage._asdict(),
            ),
        )


def _note(status: ExitStatus, asked: signal.Signals, took_s: float) -> str:
    """What was out of the ordinary about its end, after it was `asked` to."""
    if status.signal in (None, asked):
        return ""
    if status.signal == signal.SIGKILL and took_s >= real_s(STOP_GRACE_S):
        return (
            f"The gateway went on for {STOP_GRACE_S:g} s after {asked.name}, and was killed then."
        )
    return f"The gateway was asked to end by {asked.name}, and ended by {status}."


def missed_readiness(ready: ReadySpec) -> str:
    """What did not come of a gateway that was never ready."""
    if ready.log is not None:
        return f"it printed no line that matches {ready.log.pattern!r}"
    if ready.delay_s is not None:
        return f"{ready.delay_s:g} s have not passed"
    kind, port = _awaited_port(ready)
    return f"{kind.upper()} port {port} was not open"


async def _port_open(pid: int, ready: ReadySpec) -> str:
    """Wait until a socket in the network namespace of `pid` is bound to the port asked for."""
    kind, port = _awaited_port(ready)
    await await_port(pid, (kind,), port)
    return f"{kind.upper()} port {port} is open"


def _awaited_port(ready: ReadySpec) -> tuple[str, int]:
    kind, port = ("udp", ready.udp_port) if ready.udp_port is not None else ("tcp", ready.tcp_port)
    assert port is not None
    return kind, port


async def await_port(pid: int, kinds: Sequence[str], port: int) -> None:
    """Wait until a socket of one of `kinds` ("udp", "tcp") in the network of `pid` is bound to `port`."""
    tables = [Path(f"/proc/{pid}/net/{kind}{version}") for kind in kinds for version in ("", "6")]
    while not any(_is_bound(table, port) for table in tables):  # noqa: ASYNC110 - nobody tells
        await trio.sleep(real_s(POLL_S))


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
