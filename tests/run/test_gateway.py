"""The gateway's output and readiness as the run takes them; its process is in tests/live."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio

from iotsim.events import Event, GatewayOutput, Note
from iotsim.match.pattern import Pattern
from iotsim.run.console import MOST_LINES, PROMPT_S, Console
from iotsim.run.launch import Launch
from iotsim.run.life import POLL_S, Life, _is_bound
from iotsim.scenario.model import GatewaySpec, ReadySpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trio.testing import MockClock


class Bench:
    """A life of a gateway without a process, its console, and what is told of them."""

    def __init__(self, ready: ReadySpec | None = None) -> None:
        self.events: list[Event] = []
        self.heard: list[str] = []
        self.log = bytearray()
        self.now = 0.0
        self.readiness: list[str] = []
        spec = GatewaySpec(("gw",), ready=ready)
        launch = Launch(("gw",), {}, Path("/"))
        self.life = Life(1, spec, launch, lambda: self.now, self)  # type: ignore[arg-type]
        self.console = Console(
            self.events.append, lambda: self.now, self.log.extend, self.take_line
        )

    def take_line(self, line: str, _t: float) -> None:
        self.heard.append(line)
        self.life.hear(line)

    def life_ready(self, _life: Life, how: str) -> None:
        self.readiness.append(how)

    async def print(self, pieces: Sequence[tuple[float, bytes]]) -> None:
        """Let it print each of `pieces` after a pause, and close its output."""
        sender, receiver = trio.open_memory_channel[bytes](9)
        async with trio.open_nursery() as nursery:
            scope, ended = trio.CancelScope(), trio.Event()
            nursery.start_soon(self.console.read, receiver, scope, ended)
            for pause, chunk in pieces:
                await trio.sleep(pause)
                await sender.send(chunk)
            sender.close()
            await ended.wait()

    @property
    def lines(self) -> list[str]:
        return [event.line for event in self.events if isinstance(event, GatewayOutput)]


def test_a_flood_of_lines_does_not_become_a_flood_of_events() -> None:
    bench = Bench()
    for _ in range(3 * MOST_LINES):
        bench.console.take("y")
    bench.now = 1.5
    bench.console.take("at last")
    assert len(bench.lines) == MOST_LINES + 1
    assert bench.lines[-1] == "at last"
    (note,) = [event for event in bench.events if isinstance(event, Note)]
    assert note.text.startswith(f"{2 * MOST_LINES} lines")
    assert len(bench.heard) == 3 * MOST_LINES + 1  # expectations see every line


async def test_colors_are_no_part_of_a_line_but_of_the_log(autojump_clock: MockClock) -> None:
    bench = Bench(ReadySpec(log=Pattern("^INFO listening$")))
    await bench.print([(0, b"\x1b[32mINFO\x1b"), (1, b"[0m listening\x1b[K\r\nnext\n")])
    assert bench.heard[-2:] == bench.console.last_lines[-2:] == ["INFO listening", "next"]
    assert bench.log == b"\x1b[32mINFO\x1b[0m listening\x1b[K\r\nnext\n"
    assert bench.readiness == ["printed a line that matches '^INFO listening$'"]


async def test_text_that_waits_for_the_end_of_its_line_is_heard(autojump_clock: MockClock) -> None:
    bench = Bench(ReadySpec(log=Pattern("^login: $")))
    await bench.print([(0, b"hello\nlog"), (PROMPT_S / 2, b"in: ")])
    assert bench.heard == ["hello", "login: "]  # not "log": that was soon gone on with
    assert bench.life.ready.is_set()


async def test_a_line_that_goes_on_is_heard_as_a_whole_too(autojump_clock: MockClock) -> None:
    bench = Bench()
    await bench.print([(0, b"Loading..."), (2 * PROMPT_S, b" done\n"), (0, b"next\n")])
    assert bench.heard == bench.lines == ["Loading...", "Loading... done", "next"]
    assert bench.console.last_lines == ["Loading... done", "next"]


async def test_a_prompt_whose_newline_comes_late_is_told_once(autojump_clock: MockClock) -> None:
    bench = Bench()
    await bench.print([(0, b"ready"), (2 * PROMPT_S, b"\n\nready\n")])
    assert bench.heard == bench.lines == ["ready", "", "ready"]


async def test_a_line_that_grows_without_end_is_not_told_dot_by_dot(
    autojump_clock: MockClock,
) -> None:
    bench = Bench()
    await bench.print([(2 * PROMPT_S, b".")] * 1000)
    assert len(bench.heard) < 5
    assert bench.heard[-1] == "." * 1000


async def test_what_was_printed_last_needs_no_newline(autojump_clock: MockClock) -> None:
    bench = Bench()
    await bench.print([(0, b"a\nTraceback\x1b[0"), (0, b"m")])
    assert bench.heard == ["a", "Traceback"]


# --- when it is ready -------------------------------------------------------------------------


async def test_it_may_be_ready_by_time_alone(autojump_clock: MockClock) -> None:
    bench = Bench(ReadySpec(delay_s=2.5))
    began = trio.current_time()
    await bench.life._await_ready(os.getpid())
    assert trio.current_time() - began == pytest.approx(2.5)
    assert bench.readiness == ["2.5 s have passed"]


@pytest.mark.parametrize("kind", ["udp", "tcp"])
async def test_it_is_ready_once_its_port_is_open(kind: str) -> None:
    how = socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, how) as other, socket.socket(socket.AF_INET, how) as sock:
        for one in (other, sock):
            one.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        sock.close()
        spec: Any = {f"{kind}_port": port}
        bench = Bench(ReadySpec(**spec))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(bench.life._await_ready, os.getpid())
            await trio.sleep(3 * POLL_S)  # the other port is open all the time
            assert not bench.life.ready.is_set()
            with socket.socket(socket.AF_INET, how) as own:
                own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                own.bind(("127.0.0.1", port))
                if kind == "tcp":
                    await trio.sleep(3 * POLL_S)
                    assert not bench.life.ready.is_set()  # nobody could connect yet
                    own.listen()
                with trio.fail_after(5):
                    await bench.life.ready.wait()
    assert bench.readiness == [f"{kind.upper()} port {port} is open"]


@pytest.mark.parametrize(
    ("table", "state", "bound"),
    [("udp6", "07", True), ("tcp6", "0A", True), ("tcp6", "01", False)],
)
def test_a_port_may_be_open_for_ipv6_alone(
    tmp_path: Path, table: str, state: str, bound: bool
) -> None:
    """The kernel's table as proc(5) has it, so that no IPv6 is needed here; 15E0 is 5600."""
    address = "00000000000000000000000001000000"
    head = "  sl  local_address                         remote_address                        st"
    (tmp_path / table).write_text(f"{head}\n   0: {address}:15E0 {'0' * 32}:0000 {state} 0 0\n")
    assert _is_bound(tmp_path / table, 5600) == bound
    assert not _is_bound(tmp_path / table, 5601)


async def test_a_network_that_has_gone_has_no_open_port(autojump_clock: MockClock) -> None:
    bench = Bench(ReadySpec(udp_port=5600))
    with trio.move_on_after(60):
        await bench.life._await_ready(2**22 + 1)  # no process has this id (proc(5), pid_max)
    assert bench.readiness == []
