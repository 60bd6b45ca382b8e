"""A service that is a process in the gateway's network."""

from __future__ import annotations

import os
import signal
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from iotsim.clock import real_s
from iotsim.run.northbound.service import Service, ServiceError
from iotsim.run.output import OutputText
from iotsim.testbed.bed import GatewayStartError, Streams

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from iotsim.northbound.spec import NorthboundSpec
    from iotsim.run.northbound.service import Surroundings
    from iotsim.testbed.bed import GatewayProcess

GRACE_S = 3.0
LAST_LINES = 3
LARGEST_LOG = 10 << 20
"""Bytes of what it prints that are kept."""
LAST_OUTPUT_S = 0.5


class ProcessService(Service):
    """A process: `words` start it, and it has started once `await_ready` returns.

    What it prints goes to `take`, and from there into a log of its own. When it ends by itself the run has
    failed, and not for the gateway's sake.
    """

    separate_errors = False

    def __init__(self, spec: NorthboundSpec, surroundings: Surroundings) -> None:
        super().__init__(spec, surroundings)
        self.folder = surroundings.files.folder / spec.name
        self.process: GatewayProcess | None = None
        self._logged = 0
        self._last: deque[str] = deque(maxlen=LAST_LINES)
        self._read_all = trio.Event()
        self._text = OutputText()

    def words(self) -> tuple[Sequence[str], Mapping[str, str]]:
        """The command and its environment."""
        raise NotImplementedError

    async def await_ready(self) -> None:
        """Wait until it can be reached."""

    async def attend(self, task_status: trio.TaskStatus[None]) -> None:
        """Do what is to be done while it runs; started once it can be reached."""
        await self.await_ready()
        task_status.started()
        await trio.sleep_forever()

    async def live(self, task_status: trio.TaskStatus[None]) -> None:
        errors: tuple[int, int] | None = os.pipe2(os.O_CLOEXEC) if self.separate_errors else None
        streams = Streams(terminal=False, errors=None if errors is None else errors[1])
        command, env = self.words()
        try:
            self.process = process = await self.run.testbed.start_gateway(
                command, env, self.folder, streams=streams, what=self.title
            )
        except GatewayStartError as error:
            if errors is not None:
                os.close(errors[0])
            raise ServiceError(str(error)) from error
        self._read_all, self._text = trio.Event(), OutputText()
        async with trio.open_nursery() as nursery:
            # Shielded: what it prints while it is being stopped is output as well.
            reading = trio.CancelScope(shield=True), trio.CancelScope(shield=True)
            nursery.start_soon(self._read, process, reading[0])
            if errors is not None:
                nursery.start_soon(self._read_errors, errors[0], reading[1])
            try:
                async with trio.open_nursery() as attending:
                    started = trio.Event()
                    attending.start_soon(self._watch, process, started)
                    await attending.start(self.attend)
                    started.set()
                    task_status.started()
            finally:
                with trio.CancelScope(shield=True):
                    await process.end(signal.SIGTERM, GRACE_S)
                    with trio.move_on_after(real_s(LAST_OUTPUT_S)):
                        await self._read_all.wait()
                self.process = None
                for scope in reading:
                    scope.cancel()

    async def _watch(self, process: GatewayProcess, started: trio.Event) -> None:
        status = await process.wait()
        with trio.move_on_after(real_s(LAST_OUTPUT_S)):
            await self._read_all.wait()
        said = "; ".join(self._last)
        reason = f"{self.title} ended by itself: {status}{said and ': '}{said}"
        if not started.is_set():
            raise ServiceError(reason)
        self.run.fail(reason)

    async def _read(self, process: GatewayProcess, scope: trio.CancelScope) -> None:
        with scope:
            async for chunk in process.output:
                self.take(chunk)
            self.take(b"")
        self._read_all.set()

    def take(self, chunk: bytes) -> None:
        """It printed `chunk`; b"" is the end of its output."""
        self._log(chunk)
        self._last.extend(filter(None, self._text.feed(chunk)))

    async def _read_errors(self, fd: int, scope: trio.CancelScope) -> None:
        with scope:
            async with trio.lowlevel.FdStream(fd) as stream:
                async for chunk in stream:
                    ProcessService.take(self, bytes(chunk))

    def _log(self, chunk: bytes) -> None:
        chunk = chunk[: LARGEST_LOG - self._logged]
        if chunk:
            self._logged += len(chunk)
            with suppress(OSError), Path(f"{self.folder}.log").open("ab") as file:
                file.write(chunk)
