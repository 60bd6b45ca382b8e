"""The workers as the run's process sees them: forked first, asked by a socket, waited for at the end."""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
import select
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING, Any

import trio

from iotsim.clock import real_s
from iotsim.run.shards.worker import HELD_SIGNALS, work
from iotsim.simulation.counters import Counters, Progress
from iotsim.simulation.shard import Shard
from iotsim.testbed import channel
from iotsim.testbed.process import signal_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from iotsim.scenario.model import Scenario

ROOM_TIMEOUT_S = 10.0
"""A worker that has taken none of hundreds of requests for so long hangs."""
DISMISSAL_TIMEOUT_S = 10.0
"""After which a worker that was let go of is killed."""
PEER_BUFFER_BYTES = 4 << 20
SO_SNDBUFFORCE = 32


class WorkerProcess:
    """A forked worker, as seen from the run's process."""

    def __init__(self, number: int, pid: int, control: socket.socket) -> None:
        self.number = number
        self.pid = pid
        self.control = control
        self.progress = Progress()
        self.counters = Counters()
        self.dead = False
        self.answers: dict[str, Any] = {}
        self.news = trio.Event()

    def __str__(self) -> str:
        return f"worker {self.number} (process {self.pid})"

    def tell(self) -> None:
        """There are news for whoever waits for an answer."""
        news, self.news = self.news, trio.Event()
        news.set()

    def request(self, fds: Sequence[int] = (), /, **values: Any) -> None:
        """Send a request. Where there is no room for it, wait: the worker is about to make some."""
        with contextlib.suppress(OSError):  # it has died, which `_listen` sees
            while True:
                try:
                    channel.send(self.control, values, fds)
                except BlockingIOError:
                    if not self._has_room():
                        self.control.shutdown(
                            socket.SHUT_RDWR
                        )  # so that it ends, and the run with it
                        return
                else:
                    return

    def _has_room(self) -> bool:
        poll = select.poll()
        poll.register(self.control, select.POLLOUT)
        return bool(poll.poll(1000 * ROOM_TIMEOUT_S))


def fork_workers(scenario: Scenario, folder: Path, count: int) -> list[WorkerProcess]:
    """Fork `count` workers. Call it while this process has neither threads nor an event loop."""
    controls = [channel.make_pair() for _ in range(count)]
    pairs = {pair: make_peers() for pair in itertools.combinations(range(count), 2)}
    workers: list[WorkerProcess] = []
    # What exists now is shared with the workers, as long as no collector touches it.
    gc.freeze()
    sys.stdout.flush()
    held = signal.pthread_sigmask(signal.SIG_BLOCK, HELD_SIGNALS)
    try:
        for number, (ours, theirs) in enumerate(controls):
            pid = os.fork()
            if pid == 0:
                peers = {}
                for (one, other), (left, right) in pairs.items():
                    if number == one:
                        peers[other] = left
                    elif number == other:
                        peers[one] = right
                # The others' ends would keep their sockets open when the others have gone.
                kept = {theirs, *peers.values()}
                for sock in itertools.chain(*controls, *pairs.values()):
                    if sock not in kept:
                        sock.close()
                work(scenario, folder, Shard(number, count), theirs, peers)
            ours.setblocking(False)
            workers.append(WorkerProcess(number, pid, ours))
        for sock in itertools.chain((theirs for _, theirs in controls), *pairs.values()):
            sock.close()
    except BaseException:
        dismiss_workers(workers)
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)
    return workers


def make_peers() -> tuple[socket.socket, socket.socket]:
    """The ends of a socket between two workers, each with as large a buffer as it may have."""
    pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for sock in pair:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, PEER_BUFFER_BYTES)
        with contextlib.suppress(PermissionError):  # an ordinary user's limit holds
            sock.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, PEER_BUFFER_BYTES)
    return pair


def dismiss_workers(workers: Iterable[WorkerProcess]) -> None:
    """Let go of `workers`, whatever they do, and wait until they have ended."""
    for worker in workers:
        worker.control.close()
    deadline = time.monotonic() + DISMISSAL_TIMEOUT_S
    for worker in workers:
        while not (ended := _has_ended(worker)) and time.monotonic() < deadline:
            time.sleep(0.005)
        if not ended:
            os.kill(worker.pid, signal.SIGKILL)
            os.waitpid(worker.pid, 0)


def _has_ended(worker: WorkerProcess) -> bool:
    try:
        return os.waitpid(worker.pid, os.WNOHANG)[0] != 0
    except ChildProcessError:
        return True


async def ending_of(worker: WorkerProcess) -> str:
    """How `worker`, whose socket is closed, comes to its end, which is near."""
    pidfd = os.pidfd_open(worker.pid)
    try:
        with trio.move_on_after(real_s(DISMISSAL_TIMEOUT_S)):
            await trio.lowlevel.wait_readable(pidfd)
        return exit_status(pidfd)
    finally:
        os.close(pidfd)


def exit_status(pidfd: int) -> str:
    """How a process has ended, which is left for others to ask, too."""
    ended = os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    if ended is None:
        return "does not listen any more"
    if ended.si_code == os.CLD_EXITED:
        return f"ended with status {ended.si_status}"
    return f"was ended by {signal_name(ended.si_status)}"
