"""The loop of init: starts processes, reaps them, and ends everything when the simulator is gone.

Requests, from the simulator:

``start``  id, and two to four descriptors: a memory file with command, env and cwd; what takes the
           output; what gives the input, if anything does; what takes the errors, if ``errors`` says
           that it is not what takes the output
``signal`` id, signal: to the process
``stop``   id, signal: to its process group; when it exits now, it has exited, whatever it leaves
``kill``   id: SIGKILL to the process, to all that it left behind, and to their children
``pause``  id: SIGSTOP to the same, one and all
``resume`` id: SIGCONT to the same
``watch``  id, what: measure every few moments from now on what these use; `what` are options of `Gauge`
``measure`` id: measure now
``socket`` id, kind, address, port: opens a socket in here, and hands it out

Reports, to the simulator: ``started`` (sent by the child itself, for its pid), ``running`` or
``start-failed``, ``left``, ``exited``, ``killed``, ``paused``, ``resumed``, ``usage``; ``socket`` (with its
descriptor) or ``no-socket``; each with the id.

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
import math
import os
import select
import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from iotsim.testbed import channel, linux, privileges
from iotsim.testbed.gauge import Gauge
from iotsim.testbed.proctable import (
    descendants,
    proc_is_ours,
    process_name,
    read_process,
    read_processes,
)
from iotsim.testbed.sockets import make_socket

if TYPE_CHECKING:
    from collections.abc import Collection

    from iotsim.testbed.proctable import Process
    from iotsim.testbed.users import User

KILL_PASSES = 200
PASS_PAUSE_S = 0.005
PARTING_S = 0.2
"""How long what a process left may take to end with it."""
GENTLE_SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGKILL, signal.SIGTERM)
"""Those by which a process tells others to end."""
STOPPED = ("T", "t")
"""The states in /proc/PID/stat of a process that does not run until it is resumed."""


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
        self.sessions: dict[int, int] = {}
        """session -> id, of what we started: what is in there belongs to that one."""
        self.gauges: dict[int, Gauge] = {}

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
                self.look()
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
                # Those that were left behind are to be asked, too.
                self.reap()
                self.settle(at_once=True)
                self.stopping.add(number)
                self.send_signal(number, int(values["signal"]), group=True)
            case "kill":
                self.kill(number)
                channel.send(self.sock, {"event": "killed", "id": number})
            case "pause":
                self.pause(number)
                channel.send(self.sock, {"event": "paused", "id": number})
            case "resume":
                self._signal_tree(number, signal.SIGCONT)
                channel.send(self.sock, {"event": "resumed", "id": number})
            case "watch":
                self.gauges[number] = Gauge(**dict.fromkeys(values["what"], True))
                self._measure(number)
            case "measure":
                self._measure(number, asked=True)
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
            self.pids[process.pid] = self.sessions[process.pid] = number
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
                self._charge_next()
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
            heir = self._oldest_left(number)
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
        if number in self.gauges:
            self._measure(number)
        report: dict[str, Any] = {"event": "exited", "id": number}
        if os.WIFSIGNALED(status):
            report["signal"] = os.WTERMSIG(status)
        else:
            report["status"] = os.WEXITSTATUS(status)
        channel.send(self.sock, report)

    def _patience_ms(self) -> float | None:
        """How long to wait for whatever comes, as poll takes it."""
        due = min(
            min((parting.deadline for parting in self.parting.values()), default=math.inf),
            min((gauge.due for gauge in self.gauges.values()), default=math.inf),
        )
        return None if due == math.inf else max(0.0, 1000 * (due - time.monotonic())) + 1

    def _oldest_left(self, number: int) -> int | None:
        """The oldest child of ours that belongs to `number` and was not started by ourselves."""
        if not proc_is_ours():
            return None
        us = os.getpid()
        orphans = [
            process.pid
            for process in self._tree(number)
            if process.parent == us and not process.dead and process.pid not in self.pids
        ]
        return min(orphans, default=None)

    def _tree(self, number: int) -> list[Process]:
        """All that belongs to `number`, dead ones too; whom nobody owns belongs to everybody."""
        others = {pid for pid, owner in self.pids.items() if owner != number}
        others |= {session for session, owner in self.sessions.items() if owner != number}
        return descendants(read_processes(), os.getpid(), spare=others)

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
        """SIGKILL to process `number` and to all that descends from it or was left to us.

        Its exit has been reported when this returns.
        """
        for _ in range(KILL_PASSES):
            living = self._signal_tree(number, signal.SIGKILL)
            self.reap()
            if not (living or number in self.pids.values() or number in self.parting):
                break
            time.sleep(PASS_PAUSE_S)
        if number not in self.pids.values():
            self.gauges.pop(number, None)
            self.sessions = {pid: owner for pid, owner in self.sessions.items() if owner != number}

    def pause(self, number: int) -> None:
        """SIGSTOP to the same, until nobody is left who could start another one."""
        for _ in range(KILL_PASSES):
            if not self._signal_tree(number, signal.SIGSTOP, unless=STOPPED):
                return
            time.sleep(PASS_PAUSE_S)

    def _signal_tree(self, number: int, signum: int, *, unless: Collection[str] = ()) -> bool:
        """Send a signal to all that belongs to `number`; whether there was anybody to send it to.

        Those in one of the states `unless` need none.
        """
        if self.own_namespace and not proc_is_ours():
            with contextlib.suppress(ProcessLookupError):
                os.kill(-1, signum)  # no way to tell who is who: it is everybody
            return False
        tree = self._tree(number)
        living = [one.pid for one in tree if not one.dead and one.state not in unless]
        for pid in living:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signum)
        return bool(living)

    # -- what they use

    def look(self) -> None:
        """Measure where it is time."""
        now = time.monotonic()
        for number, gauge in self.gauges.items():
            if now >= gauge.due:
                self._measure(number)

    def _measure(self, number: int, *, asked: bool = False) -> None:
        gauge = self.gauges.get(number)
        if gauge is None:
            return
        usage: dict[str, Any] = {}
        if proc_is_ours():
            usage = gauge.measure(lambda: self._tree(number), self.user)._asdict()
        report = {"event": "usage", "id": number, "at": gauge.at, "asked": asked, **usage}
        # A simulator that is busy must not keep us from our work; the next one is soon there.
        with contextlib.suppress(BlockingIOError):
            channel.send(self.sock, report, flags=0 if asked else socket.MSG_DONTWAIT)

    def _charge_next(self) -> None:
        """Put what the next child to be reaped has used to the account of whoever it belongs to."""
        if not self.gauges:
            return
        ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        process = None if ended is None else read_process(ended.si_pid)
        if process is None:
            return
        owner = self.pids.get(process.pid, self.sessions.get(process.session))
        for number, gauge in self.gauges.items():
            if owner in (None, number):
                gauge.reaped_cpu_s += process.cpu_s

    def end(self) -> None:
        """End every process: with PID 1 goes all of its namespace."""
        signal.set_wakeup_fd(-1)
        if self.own_namespace:
            with contextlib.suppress(ProcessLookupError):
                os.kill(-1, signal.SIGKILL)
            return
        self.pids.clear()  # none is spared, and nobody is left to be told
        self.sessions.clear()
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


def become_subreaper() -> None:
    """Let orphans of our children become our own children."""
    linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)
