"""A process inside a testbed, seen from outside."""

from __future__ import annotations

import enum
import os
import signal
import termios
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import trio

from iotsim.clock import real_s
from iotsim.testbed.proctable import Usage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping

READ_BYTES = 65536
FULL_TERMINAL_BYTES, FULL_PIPE_BYTES = 4000, 32768
"""A read gives at least this much if a process prints faster than it is read: a terminal holds 4095 bytes, a
pipe 65536."""
BEHIND_S = 0.1
"""A process that has printed that fast for this long may have waited for us."""
OUTPUT_CHUNKS = 64
"""Chunks of output that wait to be taken; beyond them the process is held up by its terminal."""
TERMINAL_ROWS, TERMINAL_COLUMNS = 50, 200


class Open(enum.Enum):
    """The type of `OPEN`."""

    OPEN = "open"


OPEN: Final = Open.OPEN
"""A standard input that never ends and gives nothing."""


class ExitStatus(NamedTuple):
    """How a process ended: by itself with a status, or by a signal."""

    status: int | None
    signal: int | None

    def __str__(self) -> str:
        return f"exit status {self.status}" if self.signal is None else signal_name(self.signal)


def signal_name(number: int) -> str:
    """``SIGSEGV``; a real-time signal has no name of its own."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


class Sample(NamedTuple):
    """What a process, with all that it started, used at the moment ``at``, by time.monotonic.

    ``usage`` is None where /proc does not show its processes.
    """

    at: float
    usage: Usage | None


class GatewayProcess:
    """Made by `Testbed.start_gateway`.

    It is the command, or once that has exited with status 0 and left others running, the oldest of
    these; then `on_left` is called with that one's name.
    """

    def __init__(
        self,
        number: int,
        streams: Streams,
        request: Callable[[dict[str, object]], Awaitable[None]],
        on_left: Callable[[str], None],
    ) -> None:
        self.number = number
        self.pid = 0
        """Of the command, as the simulator's PID namespace has it."""
        self.output: trio.MemoryReceiveChannel[bytes]
        """Chunks as they were written, stdout and stderr together; ends when nobody can write any
        more. Take them: a process whose output nobody takes stops at its next line."""
        self._sender, self.output = trio.open_memory_channel[bytes](OUTPUT_CHUNKS)
        self._streams = streams
        self._request = request
        self._on_left = on_left
        self.exit_status: ExitStatus | None = None
        """None while it runs."""
        self._exited = trio.Event()
        self._killed = trio.Event()
        self._paused = False
        self._asked: dict[str, trio.Event] = {}
        """What was requested and is not done yet."""
        self._take: Callable[[Sample], None] | None = None
        self.on_behind: Callable[[float], object] = _nothing
        """Called each time that more is printed than is read, with how long the process may have waited for
        us at most: in real seconds, up to then."""

    async def wait(self) -> ExitStatus:
        """Wait until the process has ended."""
        await self._exited.wait()
        assert self.exit_status is not None
        return self.exit_status

    async def kill(self) -> ExitStatus:
        """SIGKILL to it, and to all that it started, also where that has detached itself."""
        await self._request({"op": "kill", "id": self.number})
        await self._killed.wait()
        return await self.wait()

    async def pause(self) -> None:
        """SIGSTOP to it and to all that it started; when this returns, they stand."""
        await self._ask("pause")

    async def resume(self) -> None:
        """SIGCONT to the same."""
        await self._ask("resume")

    async def watch(self, take: Callable[[Sample], None], what: Collection[str] = ()) -> None:
        """Have it measured every few moments: `take` gets each sample, the first one at once.

        Of "fds", "memory" and "waits", only `what` is measured. The last sample comes as the process ends.
        """
        self._take = take
        await self._request({"op": "watch", "id": self.number, "what": list(what)})

    async def measure(self) -> None:
        """Have it measured now, if it is watched; the sample has been taken when this returns."""
        if self._take is not None:
            await self._ask("measure")

    async def send_signal(self, signum: int) -> None:
        """Send a signal to the process itself; nothing happens when it has ended."""
        await self._request({"op": "signal", "id": self.number, "signal": int(signum)})

    async def stop(self, signum: int = signal.SIGTERM, grace_s: float = 5.0) -> ExitStatus:
        """Ask its process group to end, and after `grace_s` real seconds kill whatever is left of it.

        What the process started and left behind is killed too, even if it detached itself. A paused process
        is resumed, so that it gets the signal.
        """
        if self.exit_status is None:
            await self._request({"op": "stop", "id": self.number, "signal": int(signum)})
            if self._paused:
                await self.resume()
            with trio.move_on_after(real_s(grace_s)):
                await self._exited.wait()
        return await self.kill()

    async def _ask(self, op: str) -> None:
        """Request `op` and wait until it is done, or there is nobody left to do it."""
        if self._killed.is_set():
            return
        done = self._asked.setdefault(op, trio.Event())
        await self._request({"op": op, "id": self.number})
        await done.wait()

    async def end(self, signum: int = signal.SIGTERM, grace_s: float = 5.0) -> ExitStatus:
        """Ask its process group to end, and after `grace_s` kill the group.

        Unlike `stop`, this leaves alone what others have left behind: it is for one process of several.
        """
        for number, patience_s in ((int(signum), grace_s), (int(signal.SIGKILL), grace_s)):
            if self.exit_status is None:
                await self._request({"op": "stop", "id": self.number, "signal": number})
                with trio.move_on_after(real_s(patience_s)):
                    await self._exited.wait()
        return await self.wait()

    # -- called by the testbed

    def _note_done(self, op: str) -> None:
        if op in ("pause", "resume"):
            self._paused = op == "pause"
        done = self._asked.pop(op, None)
        if done is not None:
            done.set()

    def _note_usage(self, values: Mapping[str, Any]) -> None:
        usage = {name: values[name] for name in Usage._fields if name in values}
        if self._take is not None:
            self._take(Sample(values["at"], Usage(**usage) if usage else None))
        if values["asked"]:
            self._note_done("measure")

    def _note_exit(self, status: ExitStatus) -> None:
        self.exit_status = status
        self._exited.set()

    def _note_left(self, name: str) -> None:
        self._on_left(name)

    def _note_killed(self) -> None:
        self._killed.set()
        self._streams.close_input()  # nobody is left who could read it
        for op in tuple(self._asked):
            self._note_done(op)

    def _note_gone(self) -> None:
        """The whole namespace has ended, and the process with it."""
        if self.exit_status is None:
            self._note_exit(ExitStatus(None, signal.SIGKILL))
        self._note_killed()

    async def _read_output(self) -> None:
        try:
            await self._pass_on_output()
        finally:
            self._streams.close_output()

    async def _pass_on_output(self) -> None:
        fd = self._streams.output
        full_since: float | None = None
        with self._sender:
            while True:
                try:
                    data = os.read(fd, READ_BYTES)
                except BlockingIOError:
                    full_since = None
                    await trio.lowlevel.wait_readable(fd)
                    continue
                except OSError:
                    return  # EIO: the last writer has closed the terminal
                if not data:
                    return
                if len(data) < self._streams.full_bytes:
                    full_since = None
                elif full_since is None:
                    full_since = time.monotonic()
                elif (behind_s := time.monotonic() - full_since) > BEHIND_S:
                    self.on_behind(behind_s)
                try:
                    await self._sender.send(data)
                except trio.BrokenResourceError:
                    return

    def _close(self) -> None:
        self._sender.close()
        self._streams.close()


def _nothing(_seconds: float) -> None:
    pass


class Streams:
    """The standard streams of a process: our ends of them, and until it is started its own.

    Its output goes to a terminal, or both streams of it to a pipe. Its input is `stdin`: what that
    descriptor gives; nothing (None); or open for ever without a byte (`OPEN`), which is the terminal
    again where there is one. `stdin` is closed with ours. `errors` is what takes its standard error,
    a descriptor that is closed with ours, too; None is what takes its output.
    """

    def __init__(
        self,
        *,
        terminal: bool = True,
        stdin: int | Open | None = None,
        errors: int | None = None,
    ) -> None:
        self.output, out = open_terminal() if terminal else os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self.output, False)
        self.full_bytes = FULL_TERMINAL_BYTES if terminal else FULL_PIPE_BYTES
        self.theirs = [out]
        """The process's ends, as `start` takes them: output, and input and errors if there are any."""
        self._output = [self.output]
        self._input: list[int] = []
        if isinstance(stdin, int):
            self.theirs.append(stdin)
        elif stdin is OPEN and terminal:
            self.theirs.append(os.dup(out))
        elif stdin is OPEN:
            theirs, ours = os.pipe2(os.O_CLOEXEC)
            self.theirs.append(theirs)
            self._input.append(ours)
        self.has_errors = errors is not None
        if errors is not None:
            self.theirs.append(errors)

    def close_theirs(self) -> None:
        """The process has its own copies now."""
        _close_all(self.theirs)

    def close_output(self) -> None:
        """Nobody reads the output any more. It must not be waited for just now."""
        _close_all(self._output)

    def close_input(self) -> None:
        """End an input that was `OPEN`; a terminal ends with the output."""
        _close_all(self._input)

    def close(self) -> None:
        self.close_theirs()
        self.close_output()
        self.close_input()


def _close_all(fds: list[int]) -> None:
    """Close and forget `fds`."""
    while fds:
        os.close(fds.pop())


def open_terminal() -> tuple[int, int]:
    """A terminal that shows what is written to it: (our end; the process's end).

    A program that sees a terminal writes line by line. Nothing is changed on the way (no OPOST:
    a newline stays one byte), nothing is echoed.
    """
    ours, theirs = os.openpty()
    attributes = termios.tcgetattr(theirs)
    attributes[1] &= ~termios.OPOST
    attributes[3] &= ~(termios.ECHO | termios.ICANON | termios.ISIG)
    termios.tcsetattr(theirs, termios.TCSANOW, attributes)
    termios.tcsetwinsize(theirs, (TERMINAL_ROWS, TERMINAL_COLUMNS))
    return ours, theirs
