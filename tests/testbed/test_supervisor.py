"""The supervisor without a PID namespace: it finds what it has to end by parentage."""

from __future__ import annotations

import os
import subprocess
import sys
import termios
import time
import tty
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from tests import processes

from iotsim.testbed import channel
from iotsim.testbed.proctable import descendants, read_process, read_processes

if TYPE_CHECKING:
    from collections.abc import Iterator

SUPERVISE = """
import os, socket
from iotsim.testbed.supervisor import Supervisor, become_subreaper
become_subreaper()
Supervisor(socket.socket(fileno=os.dup(0)), own_namespace=False).run()
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
    def __init__(self, *inside: str, code: str = SUPERVISE) -> None:
        """`inside`: the words of a program that starts the supervisor."""
        self.sock, theirs = channel.make_pair()
        words = [*inside, sys.executable, "-c", code]
        self.process = processes.start(words, stdin=theirs.fileno())
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


def test_the_oldest_of_what_is_left_takes_the_place_of_one_that_exited_with_0(bench: Bench) -> None:
    script = "(sleep 0.4; exit 7) & sleep 600 & exit 0"
    terminal = bench.start(1, ["sh", "-c", script])
    bench.expect("started")
    bench.expect("running")
    assert bench.expect("left")["name"] == "sh"
    assert bench.expect("exited")["status"] == 7
    # The other one goes on until it is told to end.
    channel.send(bench.sock, {"op": "kill", "id": 1})
    bench.expect("killed")
    os.close(terminal)


def test_one_that_leaves_the_place_with_0_hands_on_again(bench: Bench) -> None:
    terminal = bench.start(1, ["sh", "-c", "(sleep 0.4; exit 0) & sleep 600 & exit 0"])
    bench.expect("started")
    bench.expect("running")
    assert bench.expect("left")["name"] == "sh"
    assert bench.expect("left")["name"] == "sleep"
    channel.send(bench.sock, {"op": "stop", "id": 1, "signal": 15})
    assert bench.expect("exited") == {"event": "exited", "id": 1, "signal": 15}
    os.close(terminal)


@pytest.mark.parametrize(
    ("script", "status"),
    [
        ("sleep 600 & trap 'exit 0' TERM; kill -TERM 0; wait", 0),  # all of its own are told to end
        (
            "sh -c 'trap \"exit 143\" TERM; while :; do sleep 0.01; done' & sleep 0.1; kill $!; exit 0",
            0,
        ),
        ("(sleep 0.05; exit 7) & exit 0", 7),  # a daemon that fails as soon as it has detached
        ("(sleep 0.05; exit 0) & exit 0", 0),
    ],
)
def test_what_ends_with_a_process_is_not_left(bench: Bench, script: str, status: int) -> None:
    terminal = bench.start(1, ["sh", "-c", script])
    bench.expect("started")
    bench.expect("running")
    assert bench.expect("exited")["status"] == status
    os.close(terminal)


def test_dead_children_that_nobody_waited_for_are_not_left(bench: Bench) -> None:
    code = "import subprocess, time; p = subprocess.Popen(['false']); time.sleep(0.2)"
    terminal = bench.start(1, [sys.executable, "-S", "-c", code])
    bench.expect("started")
    bench.expect("running")
    assert bench.expect("exited")["status"] == 0
    os.close(terminal)


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
    channel.send(bench.sock, {"op": "stop", "id": 1, "signal": 15})
    assert bench.expect("exited") == {"event": "exited", "id": 1, "signal": 15}
    os.close(terminal)
    os.close(other)


@pytest.mark.needs("root")
def test_where_proc_shows_other_processes_everything_is_killed() -> None:
    """As in a container that does not let /proc be mounted: its numbers are not ours."""
    code = SUPERVISE.replace("own_namespace=False", "own_namespace=True")
    bench = Bench("unshare", "--pid", "--fork", code=code)
    try:
        terminal = bench.start(1, [sys.executable, "-S", "-c", DETACH])
        bench.expect("started")
        bench.expect("running")
        read_pids(terminal, 2)
        channel.send(bench.sock, {"op": "kill", "id": 1})
        assert bench.expect("exited") == {"event": "exited", "id": 1, "signal": 9}
        bench.expect("killed")
        with pytest.raises(OSError, match="Input/output error"):  # nobody is left to write
            os.read(terminal, 1)
        os.close(terminal)
        # What is left in the background is not seen either: then an exit is an exit.
        terminal = bench.start(2, ["sh", "-c", "sleep 60 & exit 0"])
        bench.expect("started")
        bench.expect("running")
        assert bench.expect("exited") == {"event": "exited", "id": 2, "status": 0}
        os.close(terminal)
    finally:
        bench.end()


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
        table = read_processes()
        found = [one.pid for one in descendants(table, os.getpid())]
        assert found.index(process.pid) < found.index(grandchild)
        spared = descendants(table, os.getpid(), spare={process.pid})
        assert grandchild not in [one.pid for one in spared]


# --- pausing and measuring --------------------------------------------------------------------

COUNT = """
import os, time
os.fork()
while True:
    os.write(1, b"%d x\\n" % os.getpid())
    time.sleep(0.01)
"""


def drain(terminal: int) -> set[str]:
    """Who has written since the last time."""
    os.set_blocking(terminal, False)
    data = b""
    with suppress(BlockingIOError):
        while chunk := os.read(terminal, 65536):
            data += chunk
    os.set_blocking(terminal, True)
    return {line.split()[0] for line in data.decode().splitlines() if line.endswith(" x")}


def test_all_of_a_tree_stands_while_it_is_paused_and_goes_on_then(bench: Bench) -> None:
    terminal = bench.start(1, [sys.executable, "-ISc", COUNT])
    bench.expect("started")
    bench.expect("running")
    seen: set[str] = set()
    while len(seen) < 2:
        seen |= drain(terminal)
    channel.send(bench.sock, {"op": "pause", "id": 1})
    bench.expect("paused")
    states = [read_process(int(pid)) for pid in seen]
    assert [one.state for one in states if one is not None] == ["T", "T"]
    drain(terminal)
    time.sleep(0.1)
    assert drain(terminal) == set()
    channel.send(bench.sock, {"op": "resume", "id": 1})
    bench.expect("resumed")
    again: set[str] = set()
    while len(again) < 2:
        again |= drain(terminal)
    assert again == seen
    channel.send(bench.sock, {"op": "kill", "id": 1})
    assert bench.expect("exited")["signal"] == 9
    bench.expect("killed")
    os.close(terminal)


def test_what_is_watched_is_measured_at_once_again_and_again_and_at_its_end(bench: Bench) -> None:
    burn = "import time\nwhile time.process_time() < 0.5: pass"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-ISc', {burn!r}])"
    terminal = bench.start(1, [sys.executable, "-ISc", code])
    bench.expect("started")
    bench.expect("running")
    channel.send(bench.sock, {"op": "watch", "id": 1, "what": ["fds", "memory", "waits"]})
    usages: list[Any] = []
    while (message := channel.receive(bench.sock)) and message.values["event"] == "usage":
        usages.append(message.values)
    assert message is not None
    assert message.values["event"] == "exited"
    assert len(usages) >= 3
    assert usages[0]["processes"] == 1
    assert usages[0]["fds"] >= 3
    assert max(usage["children"] for usage in usages) == 1
    assert usages[-1]["processes"] == 0
    assert usages[-1]["cpu_s"] == pytest.approx(0.53, abs=0.15)  # also of what has ended
    times = [usage["at"] for usage in usages]
    assert times == sorted(times)
    os.close(terminal)


def test_what_others_have_left_is_neither_measured_nor_paused_nor_killed(bench: Bench) -> None:
    """Two trees below one init, each with an orphan that init has adopted."""
    orphan = "sleep 60 & echo $! x; exec sleep 60"
    script = f"(sh -c '{orphan}' &); exec sleep 60"
    terminals = [bench.start(number, ["sh", "-c", script]) for number in (1, 2)]
    for _ in terminals:
        bench.expect("started")
        bench.expect("running")
    orphans = [int(os.read(terminal, 100).split()[0]) for terminal in terminals]
    channel.send(bench.sock, {"op": "watch", "id": 2, "what": []})
    counts = {bench.expect("usage")["processes"]}
    while 3 not in counts:  # one may just be about to become another program
        counts.add(bench.expect("usage")["processes"])
    assert max(counts, key=str) == 3
    channel.send(bench.sock, {"op": "pause", "id": 2})
    while (message := channel.receive(bench.sock)) and message.values["event"] == "usage":
        pass
    assert message is not None
    assert message.values["event"] == "paused"
    states = [read_process(pid) for pid in orphans]
    assert [one.state for one in states if one is not None] == ["S", "T"]
    channel.send(bench.sock, {"op": "kill", "id": 2})
    while (message := channel.receive(bench.sock)) and message.values["event"] != "killed":
        pass
    assert [is_alive(pid) for pid in orphans] == [True, False]
    for terminal in terminals:
        os.close(terminal)
