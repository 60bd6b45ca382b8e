"""The loop of init: starts processes, reaps them, and ends everything when the simulator is gone.

Requests, from the simulator:

``start``  id, and two descriptors: a memory file with command, env and cwd; the output's terminal
``signal`` id, signal, group: to the process or to its process group
``kill``   id: SIGKILL to the process, to all that it left behind, and to their children

Reports, to the simulator: ``started`` (sent by the child itself, for its pid), ``running`` or
``start-failed``, ``exited``, ``killed``; each with the id.

As PID 1 the kernel protects us from every signal of the namespace that we do not handle, so there
are no handlers but SIGCHLD's. Processes that `iotsim exec` brought in have a parent outside (ppid
0) and are spared by ``kill``; nothing survives the end of init itself.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iotsim.testbed import channel, linux, privileges

if TYPE_CHECKING:
    import socket

KILL_PASSES = 200
PASS_PAUSE_S = 0.005


class Supervisor:
    """`own_namespace`: we are PID 1, and ending takes everybody with us; else child subreaper."""

    def __init__(self, sock: socket.socket, *, own_namespace: bool, keep_capabilities: int) -> None:
        self.sock = sock
        self.own_namespace = own_namespace
        self.keep_capabilities = keep_capabilities
        self.pids: dict[int, int] = {}
        """pid -> id, of what we started and what still runs."""

    def run(self) -> None:
        """Serve until the control socket closes, then end every process."""
        wakeup_r, wakeup_w = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wakeup_w, warn_on_full_buffer=False)
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        poll.register(wakeup_r, select.POLLIN)
        try:
            self.reap()
            while True:
                ready = [fd for fd, _ in poll.poll()]
                if wakeup_r in ready:
                    with contextlib.suppress(BlockingIOError):
                        os.read(wakeup_r, 4096)
                    self.reap()
                if self.sock.fileno() in ready:
                    message = channel.receive(self.sock)
                    if message is None:
                        return
                    self.handle(message)
        except OSError as error:
            # The simulator went away while we were telling it something.
            if error.errno not in (errno.EPIPE, errno.ECONNRESET):
                raise
        finally:
            self.end()

    def handle(self, message: channel.Message) -> None:
        values = message.values
        number = int(values["id"])
        match values["op"]:
            case "start":
                self.start(number, *message.fds)
            case "signal":
                self.send_signal(number, int(values["signal"]), group=bool(values["group"]))
            case "kill":
                self.kill(number)
                channel.send(self.sock, {"event": "killed", "id": number})

    # -- processes

    def start(self, number: int, plan_fd: int, output_fd: int) -> None:
        plan = channel.from_memory(plan_fd)

        def enter() -> None:
            # In the child, before exec. Its own message tells the simulator its pid.
            channel.send(self.sock, {"event": "started", "id": number})
            for signum in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
                with contextlib.suppress(OSError, ValueError):
                    signal.signal(signum, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, [])
            privileges.drop_capabilities(self.keep_capabilities)

        try:
            process = subprocess.Popen(
                plan["command"],
                stdin=subprocess.DEVNULL,
                stdout=output_fd,
                stderr=output_fd,
                env=plan["env"],
                cwd=plan["cwd"],
                start_new_session=True,
                preexec_fn=enter,
            )
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            code = getattr(error, "errno", None) or 0
            culprit = getattr(error, "filename", None)
            report = {
                "event": "start-failed",
                "id": number,
                "errno": code,
                "reason": os.strerror(code) if code else str(error),
                "culprit": culprit if isinstance(culprit, str) else "",
            }
            channel.send(self.sock, report)
        else:
            self.pids[process.pid] = number
            process.returncode = 0  # we reap it ourselves
            channel.send(self.sock, {"event": "running", "id": number})
        finally:
            os.close(output_fd)
        self.reap()

    def reap(self) -> bool:
        """Collect every child that ended; True if there are none left at all."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return True
            if pid == 0:
                return False
            number = self.pids.pop(pid, None)
            if number is None:
                continue
            report: dict[str, Any] = {"event": "exited", "id": number}
            if os.WIFSIGNALED(status):
                report["signal"] = os.WTERMSIG(status)
            else:
                report["status"] = os.WEXITSTATUS(status)
            channel.send(self.sock, report)

    def send_signal(self, number: int, signum: int, *, group: bool) -> None:
        for pid, owner in self.pids.items():
            if owner == number:
                with contextlib.suppress(ProcessLookupError):
                    # It leads a session, and so a process group, of its own.
                    (os.killpg if group else os.kill)(pid, signum)

    def kill(self, number: int) -> None:
        """SIGKILL to process `number` and to all that descends from it or was left to us."""
        others = {pid for pid, owner in self.pids.items() if owner != number}
        for _ in range(KILL_PASSES):
            victims = descendants(os.getpid(), spare=others)
            for pid in victims:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            self.reap()
            if not victims:
                return
            time.sleep(PASS_PAUSE_S)

    def end(self) -> None:
        """End every process: with PID 1 goes all of its namespace."""
        signal.set_wakeup_fd(-1)
        if self.own_namespace:
            with contextlib.suppress(ProcessLookupError):
                os.kill(-1, signal.SIGKILL)
            return
        self.pids.clear()  # none is spared, and nobody is left to be told
        self.kill(-1)


def descendants(root: int, *, spare: set[int]) -> list[int]:
    """The live processes that descend from `root`, without the trees of those in `spare`."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            # The name, in parentheses, may hold anything; state and ppid follow it.
            state, ppid = (folder / "stat").read_bytes().rpartition(b")")[2].split()[:2]
        except (OSError, ValueError):
            continue
        if state not in (b"Z", b"X"):
            children.setdefault(int(ppid), []).append(int(folder.name))
    found: list[int] = []
    waiting = [root]
    while waiting:
        for pid in children.get(waiting.pop(), ()):
            if pid not in spare:
                found.append(pid)
                waiting.append(pid)
    return found


def become_subreaper() -> None:
    """Let orphans of our children become our own children."""
    linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)
