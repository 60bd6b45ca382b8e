"""The supervisor without a PID namespace: it finds what it has to end by parentage."""

from __future__ import annotations

import os
import subprocess
import sys
import termios
import tty
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from tests import processes

from iotsim.testbed import channel
from iotsim.testbed.supervisor import descendants

if TYPE_CHECKING:
    from collections.abc import Iterator

SUPERVISE = """
import os, socket
from iotsim.testbed.supervisor import Supervisor, become_subreaper
become_subreaper()
Supervisor(socket.socket(fileno=os.dup(0)), own_namespace=False, keep_capabilities=0).run()
"""
DETACH = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.write(1, b"detached %d\\n" % os.getpid())
        time.sleep(60)
    os._exit(0)
os.wait()
os.write(1, b"parent %d\\n" % os.getpid())
time.sleep(60)
"""


class Bench:
    def __init__(self) -> None:
        self.sock, theirs = channel.make_pair()
        self.process = processes.start([sys.executable, "-c", SUPERVISE], stdin=theirs.fileno())
        theirs.close()

    def start(self, number: int, command: list[str]) -> int:
        """Returns our end of its terminal."""
        ours, theirs = os.openpty()
        tty.setraw(theirs, termios.TCSANOW)
        memory = channel.to_memory({"command": command, "env": dict(os.environ), "cwd": "/"})
        channel.send(self.sock, {"op": "start", "id": number}, [memory, theirs])
        os.close(memory)
        os.close(theirs)
        return ours

    def expect(self, event: str) -> dict[str, object]:
        message = channel.receive(self.sock)
        assert message is not None
        assert message.values["event"] == event, message
        return message.values

    def end(self) -> None:
        self.sock.close()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(20)
        processes.end(self.process)


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.end()


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def read_pids(terminal: int, count: int) -> dict[str, int]:
    text = ""
    while text.count("\n") < count:
        text += os.read(terminal, 4096).decode()
    return {word: int(pid) for word, pid in map(str.split, text.splitlines())}


def test_a_process_that_ends_by_itself(bench: Bench) -> None:
    os.close(bench.start(1, ["sh", "-c", "exit 7"]))
    bench.expect("started")
    bench.expect("running")
    assert bench.expect("exited")["status"] == 7


def test_a_command_that_cannot_be_executed(bench: Bench) -> None:
    os.close(bench.start(1, ["/no/such/program"]))
    bench.expect("started")
    refusal = bench.expect("start-failed")
    assert refusal["culprit"] == "/no/such/program"
    assert refusal["reason"] == "No such file or directory"


def test_kill_finds_what_was_detached_and_spares_other_processes(bench: Bench) -> None:
    other = bench.start(1, ["sleep", "60"])
    bench.expect("started")
    bench.expect("running")
    terminal = bench.start(2, [sys.executable, "-S", "-c", DETACH])
    bench.expect("started")
    bench.expect("running")
    pids = read_pids(terminal, 2)
    channel.send(bench.sock, {"op": "kill", "id": 2})
    assert bench.expect("exited") == {"event": "exited", "id": 2, "signal": 9}
    bench.expect("killed")
    assert not any(map(is_alive, pids.values()))
    channel.send(bench.sock, {"op": "signal", "id": 1, "signal": 15, "group": True})
    assert bench.expect("exited") == {"event": "exited", "id": 1, "signal": 15}
    os.close(terminal)
    os.close(other)


def test_the_end_of_the_simulator_ends_all(bench: Bench) -> None:
    terminal = bench.start(1, [sys.executable, "-S", "-c", DETACH])
    pids = read_pids(terminal, 2)
    assert all(map(is_alive, pids.values()))
    bench.end()
    assert not any(map(is_alive, pids.values()))
    os.close(terminal)


def test_descendants_are_found_through_their_parents() -> None:
    words = ["sh", "-c", "sleep 60 & echo $!; wait"]
    with processes.started(words, stdout=subprocess.PIPE) as process:
        grandchild = int(process.stdout.readline())
        found = descendants(os.getpid(), spare=set())
        assert {process.pid, grandchild} <= set(found)
        assert grandchild not in descendants(os.getpid(), spare={process.pid})
