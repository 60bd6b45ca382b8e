"""Runs without a kernel: a gateway's process that is part of the test, in virtual time."""

from __future__ import annotations

import signal
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import trio

from iotsim.link.memory import MemoryLink
from iotsim.run import preparation
from iotsim.run import run as run_module
from iotsim.run.site import Site
from iotsim.testbed.counters import InterfaceCounters
from iotsim.testbed.process import ExitStatus, Sample
from iotsim.testbed.proctable import Usage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Sequence
    from pathlib import Path

    from iotsim.testbed.process import Streams


class FakeProcess:
    """A process that prints `lines` at their times, and exits at `exits_at` with `status`.

    With `leaves` it is what its command has left at once. What it uses is what the script says.
    """

    pid = 4711

    def __init__(self, script: Script, on_left: Callable[[str], None]) -> None:
        self._script = script
        self._on_left = on_left
        self._sender, self.output = trio.open_memory_channel[bytes](100)
        self._take: Callable[[Sample], None] | None = None
        self.exit_status: ExitStatus | None = None
        script.processes.append(self)
        self.done: list[str] = []

    async def wait(self) -> ExitStatus:
        start = trio.current_time()
        if self._script.leaves:
            self._on_left(self._script.leaves)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._sample, start)
            for at, line in self._script.lines:
                await trio.sleep_until(start + at)
                await self._sender.send(line.encode() + b"\n")
            await trio.sleep_until(start + self._script.exits_at)
            self._sender.close()
            nursery.cancel_scope.cancel()
        self.exit_status = self._script.status
        return self._script.status

    async def stop(self, signum: signal.Signals, grace_s: float) -> ExitStatus:
        if self._script.last_words and self.exit_status is None:
            await self._sender.send(self._script.last_words.encode() + b"\n")
        if self._script.stubborn:
            await trio.sleep(grace_s)
            return self._end("stop", signal.SIGKILL)
        return self._end("stop", self._script.fault or signum)

    async def kill(self) -> ExitStatus:
        return self._end("kill", signal.SIGKILL)

    def _end(self, how: str, signum: signal.Signals) -> ExitStatus:
        self.done.append(how)
        if self.exit_status is None:
            self._script.stopped.set()
            self._sender.close()
            self.exit_status = ExitStatus(None, int(signum))
        return self.exit_status

    async def pause(self) -> None:
        self.done.append("pause")

    async def resume(self) -> None:
        self.done.append("resume")

    async def watch(self, take: Callable[[Sample], None], what: Collection[str]) -> None:
        self._take = take
        await self.measure()

    async def measure(self) -> None:
        if self._take is not None and self.exit_status is None:
            now = trio.current_time()
            self._take(Sample(now, self._script.usage(now)))

    async def _sample(self, start: float) -> None:
        while True:
            await trio.sleep(0.1)
            await self.measure()


@dataclass
class Script:
    """What the fake gateway does, what the fake kernel has counted, and what came of it."""

    lines: Sequence[tuple[float, str]] = ()
    exits_at: float = float("inf")
    status: ExitStatus = field(default_factory=lambda: ExitStatus(0, None))
    leaves: str = ""
    interface: str = ""
    dropped: int = 0
    udp_errors: dict[str, int] = field(default_factory=dict)
    lives: list[Script] = field(default_factory=list)
    """What it does in its second life, in its third, ...; then again what it did in the last of them."""
    usage: Callable[[float], Usage | None] = lambda _t: Usage(1, 1)
    processes: list[FakeProcess] = field(default_factory=list)
    """Those that were started."""
    last_words: str = ""
    """What it prints when it is asked to end."""
    stubborn: bool = False
    """It does not end when it is asked to."""
    fault: signal.Signals | None = None
    """What ends it when it is asked to end."""
    stopped: trio.Event = field(default_factory=trio.Event)
    command: Sequence[str] = ()
    env: dict[str, str] = field(default_factory=dict)
    cwd: Path | None = None


class FakeTestbed:
    """What a run asks of a testbed."""

    init_pid = 1
    notes = ("this machine is imaginary",)

    def __init__(self, script: Script) -> None:
        self._script = script
        self._lives = iter(script.lives)
        self._next = script
        self.interface = script.interface

    async def start_gateway(
        self, command: Any, env: Any, cwd: Path, *, streams: Streams, on_left: Any
    ) -> FakeProcess:
        streams.close()
        self._script.command, self._script.env, self._script.cwd = command, dict(env), cwd
        script, self._next = self._next, next(self._lives, self._next)
        return FakeProcess(script, on_left)

    def gateway_udp_errors(self) -> dict[str, int]:
        return dict(self._script.udp_errors)

    def interface_counters(self) -> InterfaceCounters:
        return InterfaceCounters(
            rx_packets=0, rx_dropped=0, tx_packets=0, tx_dropped=self._script.dropped
        )


@pytest.fixture
def script() -> Script:
    """What the gateway does: a test sets what differs, before the run."""
    return Script()


@pytest.fixture
def on_a_fake_machine(monkeypatch: pytest.MonkeyPatch) -> Callable[[Script], MemoryLink]:
    """Let runs take place on a machine with this gateway; the gateway's end of the link."""

    def prepare(script: Script) -> MemoryLink:
        ours, theirs = MemoryLink.pair()

        @asynccontextmanager
        async def open_site(*_: Any) -> AsyncIterator[Site]:
            yield Site(ours, FakeTestbed(script))  # type: ignore[arg-type]

        monkeypatch.setattr(run_module, "open_site", open_site)
        monkeypatch.setattr(preparation, "make_plan", lambda *_: None)
        return theirs

    return prepare
