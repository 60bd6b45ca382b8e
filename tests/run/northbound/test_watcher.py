"""The subscriber that watches a broker, without a broker."""

from __future__ import annotations

import fcntl
import resource
import socket
from typing import TYPE_CHECKING, Any

import pytest

from iotsim.run.northbound.watcher import Watcher

if TYPE_CHECKING:
    from collections.abc import Iterator

FD_SETSIZE = 1024


class Client:
    """Stands in for paho's: reads a packet a time, a byte each, until it has read them all."""

    def __init__(self, sock: socket.socket, packets: int) -> None:
        self._sock = sock
        self._left = packets

    def connect(self, *_: Any, **__: Any) -> None: ...

    def socket(self) -> socket.socket | None:
        return self._sock if self._left else None

    def loop_read(self) -> None:
        assert self._sock.recv(1)
        self._left -= 1

    def want_write(self) -> bool:
        return False


@pytest.fixture
def high() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A pair of sockets, the first of which has a number that select(2) does not take."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard <= FD_SETSIZE:
        pytest.skip("no process may have so many files open here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, FD_SETSIZE + 16), hard))
    low, other = socket.socketpair()
    with (
        low,
        other,
        socket.socket(fileno=fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, FD_SETSIZE)) as sock,
    ):
        yield sock, other
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_a_broker_is_watched_also_with_a_thousand_files_open(
    high: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    sock, broker = high
    client = Client(sock, 3)
    monkeypatch.setattr(Watcher, "_make_client", lambda _self, _sock: client)
    broker.send(b"abc")
    await Watcher(lambda _fields: None).watch(sock)
    assert client.socket() is None
