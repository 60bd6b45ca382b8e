"""A process that forks one child for each run of a suite, and does nothing else.

It is forked from the command once everything that runs need is imported, and before there is a thread or
an event loop. It never runs anything itself: so each child begins as the first one did, with its own memory,
privileges that it may give up, modules of the user's that nobody has imported before, and no trace of its
neighbors. What a child does to itself (it crashes, is killed, hangs, eats its memory) is its own end alone.

The suite is at the other end of a socket: it says which job is to begin, with the descriptors for its result,
news and output; it hears how each child ended, and has them signalled. When that end closes, whatever the
reason, the children are ended.
"""

from __future__ import annotations

import faulthandler
import gc
import json
import os
import random
import selectors
import signal
import socket
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from iotsim.errors import IotsimError
from iotsim.results.verdict import EXIT_CODES, Verdict
from iotsim.run import inside
from iotsim.run.signals import ending_signals
from iotsim.testbed import linux

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, TypeAlias

    Do: TypeAlias = "Callable[[int, Path | None], int]"

STACK_SIGNAL = signal.SIGRTMIN + 6
"""A child that gets it writes the stack of its main thread to its output, whatever it is doing."""
LAST_WILL_S = 10.0
"""How long the children may take to end once the suite has gone."""
MESSAGE_BYTES = 1 << 16
OUT_OF_MEMORY_SCORE = 500
"""When the machine's memory is used up, a run and its gateway go first, not the suite."""


class Begun(NamedTuple):
    """The child of this ticket runs, as process `pid`."""

    ticket: int
    pid: int


class Gone(NamedTuple):
    """The child of this ticket has ended. `status` is that of `subprocess.Popen.returncode`; 0 or more is an
    exit status, -N a signal."""

    ticket: int
    status: int


class ForkServer:
    """The suite's end. ``socket`` can be read when there is something to `receive`."""

    def __init__(self, pid: int, sock: socket.socket) -> None:
        self.pid = pid
        self.socket = sock

    def begin(self, ticket: int, job: int, out: Path | None, fds: Sequence[int]) -> None:
        """Fork a child that does `job` with its results in `out`; `fds` are those of `_be_run`.
        IotsimError if the server has gone."""
        values = {"ticket": ticket, "job": job, "out": None if out is None else os.fspath(out)}
        try:
            socket.send_fds(self.socket, [json.dumps(values).encode()], fds)
        except OSError as error:
            raise IotsimError(f"the process that starts runs has ended: {error}") from None

    def signal(self, ticket: int, number: int) -> None:
        """Send the signal `number` to the child of this ticket, if it is still there."""
        with suppress(OSError):
            self.socket.send(json.dumps({"ticket": ticket, "signal": int(number)}).encode())

    def receive(self) -> Begun | Gone | None:
        """The next news; None if the server has gone."""
        try:
            data = self.socket.recv(MESSAGE_BYTES)
        except OSError:
            return None
        if not data:
            return None
        values = json.loads(data)
        return Begun(**values) if "pid" in values else Gone(**values)

    def close(self) -> None:
        """Let the server end, with children that it may still have, and wait for it."""
        self.socket.close()
        with suppress(ChildProcessError):
            os.waitpid(self.pid, 0)


def start_server(do: Do) -> ForkServer:
    """Fork the server, whose children call `do` with the number of their job and its folder: what that
    returns is their exit status. IotsimError where this process has more than one thread."""
    check_threads()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sys.stdout.flush()
    sys.stderr.flush()
    # What is there now is never garbage to a child, which would copy each page that it looked at.
    gc.collect()
    gc.freeze()
    pid = os.fork()
    if pid == 0:
        status = EXIT_CODES[Verdict.ERROR]
        try:
            ours.close()
            linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGTERM)
            _Server(theirs, do).serve()
            status = 0
        except BaseException:
            traceback.print_exc(file=sys.__stderr__)
        finally:
            os._exit(status)
    theirs.close()
    return ForkServer(pid, ours)


def check_threads() -> None:
    """IotsimError if this process has other threads, whose locks a fork would copy as they are."""
    threads = len(os.listdir("/proc/self/task"))  # noqa: PTH208 - names are enough
    if threads != 1:
        raise IotsimError(f"runs are forked from a process with one thread, and this has {threads}")


class _Server:
    def __init__(self, sock: socket.socket, do: Do) -> None:
        self._sock = sock
        self._do = do
        self._pid = os.getpid()
        self._tickets: dict[int, int] = {}
        """By the process of each child; a pid is not used again before its end has been waited for."""
        self._handlers = {number: signal.getsignal(number) for number in ending_signals()}
        self._woken, self._wakes = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._ending = False

    def serve(self) -> None:
        for number in ending_signals():
            # What the terminal sends is for the suite and its runs; SIGTERM is the suite's own end.
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, self._end)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wakes, warn_on_full_buffer=False)
        with selectors.DefaultSelector() as selector:
            selector.register(self._sock, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while not self._ending:
                for key, _ in selector.select():
                    if key.fileobj is self._sock:
                        self._take()
                    else:
                        with suppress(BlockingIOError):
                            os.read(self._woken, 4096)
                self._reap()
        self._end_children()

    def _end(self, *_: object) -> None:
        self._ending = True

    def _take(self) -> None:
        data, fds, _, _ = socket.recv_fds(self._sock, MESSAGE_BYTES, 3, socket.MSG_CMSG_CLOEXEC)
        if not data:
            self._ending = True
            return
        values = json.loads(data)
        ticket = values["ticket"]
        if "signal" in values:
            for pid, known in self._tickets.items():
                if known == ticket:
                    os.kill(pid, values["signal"])
            return
        try:
            check_threads()
            pid = os.fork()
        except (OSError, IotsimError) as error:
            os.write(fds[2], f"iotsim: the run cannot be started: {error}\n".encode())
            self._send({"ticket": ticket, "status": EXIT_CODES[Verdict.ERROR]})
            pid = -1
        if pid == 0:
            self._be_run(values["job"], values["out"], fds)
        for fd in fds:
            os.close(fd)
        if pid > 0:
            self._tickets[pid] = ticket
            self._send({"ticket": ticket, "pid": pid})

    def _send(self, values: dict[str, Any]) -> None:
        with suppress(OSError):
            self._sock.send(json.dumps(values).encode())

    def _reap(self) -> None:
        while self._tickets:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            ticket = self._tickets.pop(pid, None)
            if ticket is not None:
                code = os.waitstatus_to_exitcode(status)
                self._send({"ticket": ticket, "status": code})

    def _end_children(self) -> None:
        """The suite has gone: what runs is to end, so that nothing of it is left."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            for pid in self._tickets:
                os.kill(pid, number)
            give_up = time.monotonic() + LAST_WILL_S
            while self._tickets and time.monotonic() < give_up:
                self._reap()
                time.sleep(0.02)

    def _be_run(self, job: int, out: str | None, fds: Sequence[int]) -> NoReturn:
        """Be the child that does `job`; `fds` take its result, its news, and what it prints."""
        status = EXIT_CODES[Verdict.ERROR]
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for number, handler in self._handlers.items():
                signal.signal(number, handler)
            linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != self._pid:  # too late
                signal.raise_signal(signal.SIGTERM)
            self._sock.close()
            os.close(self._woken)
            os.close(self._wakes)
            result, news, output = fds
            null = os.open(os.devnull, os.O_RDONLY)
            for fd, source in enumerate((null, output, output)):
                os.dup2(source, fd)
            os.close(null)
            os.close(output)
            # What lies in the streams that were is of the process that we were forked from.
            sys.stdout = open(1, "w", errors="backslashreplace", closefd=False)  # noqa: SIM115
            sys.stderr = open(2, "w", 1, errors="backslashreplace", closefd=False)  # noqa: SIM115
            inside.join(result, news)
            faulthandler.register(STACK_SIGNAL, 2, all_threads=False)
            _be_somebody_else()
            status = self._do(job, None if out is None else Path(out))
        except KeyboardInterrupt:
            status = 130
        except BaseException:
            traceback.print_exc()
        finally:
            for stream in (sys.stdout, sys.stderr):
                with suppress(OSError, ValueError, AttributeError):
                    stream.flush()
            # Without what the interpreter does at its end: that is for whom we were forked from.
            os._exit(status)


def _be_somebody_else() -> None:
    """What is drawn at random must not be what the neighbors draw; and the process that the kernel ends
    when the machine runs out of memory is to be a run."""
    scheduler = getattr(sys.modules.get("trio._core._run"), "_r", None)
    if isinstance(scheduler, random.Random):  # which, unlike that of `random`, fork does not seed
        scheduler.seed()
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(OUT_OF_MEMORY_SCORE))
