"""The loop of init: starts processes, reaps them, and ends everything when the simulator is gone.

Requests, from the simulator:

``start``  id, and two to four descriptors: a memory file with command, env and cwd; what takes the
           output; what gives the input, if anything does; what takes the errors, if ``errors`` says
           that it is not what takes the output
``signal`` id, signal: to the process
``stop``   id, signal: to its process group; when it exits now, it has exited, whatever it leaves
``kill``   id: SIGKILL to the process, to all that it left behind, and to their children
``socket`` id, kind, address, port: opens a socket in here, and hands it out

Reports, to the simulator: ``started`` (sent by the child itself, for its pid), ``running`` or
``start-failed``, ``left``, ``exited``, ``killed``; ``socket`` (with its descriptor) or ``no-socket``;
each with the id.

A process that exits with status 0 and leaves others running, as a launcher of daemons does, hands on
to the oldest of them that is now a child of ours (``left``, with its name): from then on that one is
the process, for signals and for its exit, of which the same is true again. What ends at the same time
has not been left running: it was told to end, or it is a daemon that has failed to start, whose status
then counts.

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
from typing import TYPE_CHECKING, Any, NamedTuple

from iotsim.testbed import channel, linux, privileges
from iotsim.testbed.sockets import make_socket

if TYPE_CHECKING:
    import socket

    from iotsim.testbed.users import User

KILL_PASSES = 200
PASS_PAUSE_S = 0.005
PARTING_S = 0.2
"""For so long what a process left may still end with it."""
GENTLE_SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGKILL, signal.SIGTERM)
"""Those by which a process tells others to end."""


class Parting(NamedTuple):
    """A process that has exited with status 0; others of its may be left."""

    deadline: float
    status: int = 0
    """How it all ended, if nothing is left: as waitpid has it."""


class Supervisor:
    """`own_namespace`: we are PID 1, and ending takes everybody with us; else child subreaper.

    `user` is whom the processes belong to, None for whoever we are; `capabilities` is a mask of what
    they may do.
    """

    def __init__(
        self,
        sock: socket.socket,
        *,
        own_namespace: bool,
        user: User | None = None,
        capabilities: int = 0,
    ) -> None:
        self.sock = sock
        self.own_namespace = own_namespace
        self.user = user
        self.capabilities = capabilities
        self.pids: dict[int, int] = {}
        """pid -> id, of what we started and what still runs."""
        self.parting: dict[int, Parting] = {}
        self.stopping: set[int] = set()
        """The ids of those that were asked to stop."""

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
                ready = [fd for fd, _ in poll.poll(self._patience_ms())]
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
                fds = list(message.fds)
                errors_fd = fds.pop() if values.get("errors") else None
                self.start(number, *fds, errors_fd=errors_fd)
            case "signal":
                self.send_signal(number, int(values["signal"]), group=False)
            case "stop":
                # Who has been left is to be asked, too.
                self.reap()
                self.settle(at_once=True)
                self.stopping.add(number)
                self.send_signal(number, int(values["signal"]), group=True)
            case "kill":
                self.kill(number)
                channel.send(self.sock, {"event": "killed", "id": number})
            case "socket":
                self.open_socket(number, values["kind"], values["address"], int(values["port"]))

    def open_socket(self, number: int, kind: str, address: str, port: int) -> None:
        """Hand out a socket of this network."""
        try:
            sock = make_socket(kind, address, port)
        except OSError as error:
            reason = error.strerror or str(error)
            report = {"event": "no-socket", "id": number, "errno": error.errno or 0}
            channel.send(self.sock, {**report, "reason": reason})
            return
        with sock:
            channel.send(self.sock, {"event": "socket", "id": number}, [sock.fileno()])

    # -- processes

    def start(
        self,
        number: int,
        plan_fd: int,
        output_fd: int,
        input_fd: int | None = None,
        *,
        errors_fd: int | None = None,
    ) -> None:
        plan = channel.from_memory(plan_fd)
        if self.user is not None:
            # So that it can open /dev/stdout again, as many a logger does.
            for fd in (output_fd, errors_fd):
                if fd is not None:
                    os.fchown(fd, self.user.uid, -1)

        def enter() -> None:
            # In the child, before exec. Its own message tells the simulator its pid.
            channel.send(self.sock, {"event": "started", "id": number})
            for signum in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
                with contextlib.suppress(OSError, ValueError):
                    signal.signal(signum, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, [])
            if self.user is not None:
                privileges.become(self.user, keep_capabilities=True)
            privileges.drop_capabilities(self.capabilities)

        try:
            process = subprocess.Popen(
                plan["command"],
                stdin=subprocess.DEVNULL if input_fd is None else input_fd,
                stdout=output_fd,
                stderr=output_fd if errors_fd is None else errors_fd,
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
            for fd in (output_fd, input_fd, errors_fd):
                if fd is not None:
                    os.close(fd)
        self.reap()

    def reap(self) -> None:
        """Collect every child that has ended, and report of those that count."""
        ended: list[tuple[int, int]] = []
        failed = 0
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    break
                number = self.pids.pop(pid, None)
                if number is not None:
                    ended.append((number, status))
                elif not told_to_end(status):
                    failed = failed or status
        for number, parting in self.parting.items():
            self.parting[number] = parting._replace(status=parting.status or failed)
        for number, status in ended:
            if status == 0 and number not in self.stopping:
                self.parting[number] = Parting(time.monotonic() + PARTING_S)
            else:
                self._report_exit(number, status)
        self.settle()

    def settle(self, *, at_once: bool = False) -> None:
        """Tell of those that have exited with status 0: whether that was all, or who takes over."""
        for number, parting in tuple(self.parting.items()):
            heir = self._oldest_left()
            if heir is None:
                if somebody_waits():
                    continue  # whoever has just ended has a status that may count
                self._report_exit(number, parting.status)
            elif at_once or time.monotonic() >= parting.deadline:
                self.pids[heir] = number
                name = process_name(heir)
                channel.send(self.sock, {"event": "left", "id": number, "name": name})
            else:
                continue
            del self.parting[number]

    def _report_exit(self, number: int, status: int) -> None:
        report: dict[str, Any] = {"event": "exited", "id": number}
        if os.WIFSIGNALED(status):
            report["signal"] = os.WTERMSIG(status)
        else:
            report["status"] = os.WEXITSTATUS(status)
        channel.send(self.sock, report)

    def _patience_ms(self) -> float | None:
        """How long to wait for whatever comes, as poll takes it."""
        if not self.parting:
            return None
        deadline = min(parting.deadline for parting in self.parting.values())
        return max(0.0, 1000 * (deadline - time.monotonic())) + 1

    def _oldest_left(self) -> int | None:
        """The oldest child of ours that is none of those that we started ourselves."""
        if not proc_is_ours():
            return None
        orphans = [pid for pid in children_of(os.getpid()) if pid not in self.pids]
        return min(orphans, default=None)

    def send_signal(self, number: int, signum: int, *, group: bool) -> None:
        for pid, owner in self.pids.items():
            if owner == number:
                with contextlib.suppress(ProcessLookupError):
                    # What was started in a session of its own is in no group with us.
                    leader = os.getpgid(pid) if group else 0
                    if leader not in (0, os.getpgrp()):
                        os.killpg(leader, signum)
                    else:
                        os.kill(pid, signum)

    def kill(self, number: int) -> None:
        """SIGKILL to process `number` and to all that descends from it or was left to us."""
        if self.own_namespace and not proc_is_ours():
            os.kill(-1, signal.SIGKILL)  # no way to tell who is who: it is everybody
            return
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


def told_to_end(status: int) -> bool:
    """Whether a process with this status, as waitpid has it, ended well, or because it was told to.

    Some exit with 128 and the number of the signal then, as a shell shows it.
    """
    if os.WIFSIGNALED(status):
        return os.WTERMSIG(status) in GENTLE_SIGNALS
    return os.WEXITSTATUS(status) in (0, *(128 + number for number in GENTLE_SIGNALS))


def somebody_waits() -> bool:
    """Whether a child of ours has ended and has not been reaped."""
    try:
        return os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return False


def descendants(root: int, *, spare: set[int]) -> list[int]:
    """The live processes that descend from `root`, without the trees of those in `spare`."""
    children = _children()
    found: list[int] = []
    waiting = [root]
    while waiting:
        for pid in children.get(waiting.pop(), ()):
            if pid not in spare:
                found.append(pid)
                waiting.append(pid)
    return found


def proc_is_ours() -> bool:
    """Whether /proc shows our PID namespace: some containers do not let it be mounted anew."""
    try:
        return str(Path("/proc/self").readlink()) == str(os.getpid())
    except OSError:
        return False


def children_of(pid: int) -> list[int]:
    """The live children of `pid`."""
    return _children().get(pid, [])


def _children() -> dict[int, list[int]]:
    """pid -> its live children, of all processes that /proc shows."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            # The name, in parentheses, may hold anything; state and ppid follow it.
            state, ppid = (folder / "stat").read_bytes().rpartition(b")")[2].split()[:2]
        except (OSError, ValueError):
            continue
        if state not in (b"Z", b"X"):
            children.setdefault(int(ppid), []).append(int(folder.name))
    return children


def process_name(pid: int) -> str:
    """The name in /proc/PID/comm, "" if the process has gone."""
    try:
        return Path("/proc", str(pid), "comm").read_text(errors="replace").removesuffix("\n")
    except OSError:
        return ""


def become_subreaper() -> None:
    """Let orphans of our children become our own children."""
    linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)
