"""Runs without a kernel: a gateway's process that is part of the test, in virtual time."""

from __future__ import annotations

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
from iotsim.testbed.process import ExitStatus

if TYPE_CHECKING:
    import signal
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    from iotsim.testbed.process import Streams


class FakeProcess:
    """A process that prints `lines` at their times, and exits at `exits_at` with `status`.

    With `leaves` it is what its command has left at once.
    """

    pid = 4711

    def __init__(self, script: Script, on_left: Callable[[str], None]) -> None:
        self._script = script
        self._on_left = on_left
        self._sender, self.output = trio.open_memory_channel[bytes](100)
        self._exited = False
        self.stopped_with: signal.Signals | None = None

    async def wait(self) -> ExitStatus:
        start = trio.current_time()
        if self._script.leaves:
            self._on_left(self._script.leaves)
        with self._sender:
            for at, line in self._script.lines:
                await trio.sleep_until(start + at)
                await self._sender.send(line.encode() + b"\n")
            await trio.sleep_until(start + self._script.exits_at)
        self._exited = True
        return self._script.status

    async def stop(self, signum: signal.Signals, grace_s: float) -> ExitStatus:
        if self._exited:
            return self._script.status
        self.stopped_with = signum
        self._script.stopped.set()
        self._sender.close()
        return ExitStatus(None, int(signum))


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
        self.interface = script.interface

    async def start_gateway(
        self, command: Any, env: Any, cwd: Path, *, streams: Streams, on_left: Any
    ) -> FakeProcess:
        streams.close()
        self._script.command, self._script.env, self._script.cwd = command, dict(env), cwd
        return FakeProcess(self._script, on_left)

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
