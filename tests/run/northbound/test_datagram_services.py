"""UDP and syslog over real sockets."""

from __future__ import annotations

import socket
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
import trio

from iotsim.match import Names, compile_match
from iotsim.northbound.fields import SCHEMAS
from iotsim.northbound.spec import AnswerRule, ReplySpec
from iotsim.units import DurationRange

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def client(port: int) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", port))
        sock.setblocking(False)
        yield sock


async def answer_of(sock: socket.socket) -> bytes:
    with trio.fail_after(20):
        await trio.lowlevel.wait_readable(sock)
    return sock.recv(65536)


async def test_datagrams_are_reported_and_answered_by_rules(serving: Any) -> None:
    match = compile_match({"json": {"cmd": "ping"}}, SCHEMAS["udp"], Names())
    rule = AnswerRule(when=match, reply=ReplySpec(content="pong"), delay=DurationRange(0.05, 0.05))
    async with serving(kind="udp", rules=(rule,)) as bench:
        with client(bench.port) as sock:
            for data in (b'{"cmd": "ping"}', b"\xff", b""):
                sock.send(data)
            assert await answer_of(sock) == b"pong"
            seen = await bench.wait_for(3)
    assert [one["payload"] for one in seen] == ['{"cmd": "ping"}', b"\xff", ""]
    assert [one.get("json") for one in seen] == [{"cmd": "ping"}, None, None]
    assert bench.counters["northbound.cloud.datagrams"] == 3


async def test_a_burst_is_taken_whole_and_in_order(serving: Any) -> None:
    async with serving(kind="udp") as bench:
        with client(bench.port) as sock:
            for number in range(2000):
                sock.send(b"%d" % number)
                if number % 100 == 0:
                    await trio.lowlevel.checkpoint()
            seen = await bench.wait_for(2000)
    assert [one["json"] for one in seen] == list(range(2000))
    assert "northbound.cloud.lost" not in bench.counters


async def test_what_has_come_is_drained(serving: Any) -> None:
    async with serving(kind="udp") as bench:
        with client(bench.port) as sock:
            for _ in range(50):
                sock.send(b"1")
            await bench.northbound.drain()
            assert len(bench.seen) == 50


@pytest.mark.parametrize("kind", ["udp", "syslog"])
async def test_draining_ends_though_more_keeps_coming(
    serving: Any, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr("iotsim.run.northbound.datagrams.MOST_HELD", 100)
    async with serving(kind=kind) as bench:
        with client(bench.port) as sock:

            class Echo(list[Any]):
                """For each datagram that was taken, there is another one."""

                def append(self, fields: Any) -> None:
                    super().append(fields)
                    sock.send(b"1")

            bench.seen = Echo()
            sock.send(b"1")
            await bench.northbound.drain()
            assert len(bench.seen) >= 100
            bench.seen = []


async def test_what_the_kernel_dropped_is_counted(
    serving: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("iotsim.run.northbound.datagrams.RECEIVE_BUFFER", 4096)
    async with serving(kind="udp") as bench:
        with client(bench.port) as sock:
            for _ in range(500):
                sock.send(b"x" * 1000)
        await bench.northbound.do("cloud", "stop")
    lost = bench.counters["northbound.cloud.lost"]
    assert lost > 0
    assert lost + len(bench.seen) == 500
    assert bench.northbound.lost() == lost


async def test_a_stopped_service_is_not_there(serving: Any) -> None:
    async with serving(kind="udp") as bench:
        await bench.northbound.do("cloud", "stop")
        with client(bench.port) as sock:
            sock.send(b"1")
            with pytest.raises(ConnectionRefusedError):
                await answer_of(sock)
            await bench.northbound.do("cloud", "start")
            sock.send(b"2")
            (seen,) = await bench.wait_for(1)
    assert seen["json"] == 2


async def test_syslog_comes_by_udp_and_by_tcp(serving: Any) -> None:
    async with serving(kind="syslog") as bench:
        with client(bench.port) as sock:
            sock.send(b"<11>gw: over udp")
            await bench.wait_for(1)
        async with await bench.connect() as stream:
            await stream.send_all(b"<12>gw: line\n13 <13>gw: frame")
            await bench.wait_for(3)
            await stream.send_all(b"<14>gw: the last")
        seen = await bench.wait_for(4)
    assert [(one["severity"], one["message"]) for one in seen] == [
        ("err", "over udp"),
        ("warning", "line"),
        ("notice", "frame"),
        ("info", "the last"),
    ]


async def test_syslog_without_end_is_cut_off_and_named(serving: Any) -> None:
    async with serving(kind="syslog", largest=1000) as bench, await bench.connect() as stream:
        with suppress(trio.BrokenResourceError):
            await stream.send_all(b"x" * 10_000_000)
    assert bench.seen[-1]["error"] == "a message of more than 1000 bytes"
