"""Sockets of another process's network, handed out by the supervisor."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

import pytest
from tests.testbed.test_supervisor import Bench

from iotsim.testbed import channel
from iotsim.testbed.sockets import make_socket

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.end()


def ask(bench: Bench, kind: str, address: str, port: int) -> channel.Message:
    values = {"op": "socket", "id": 7, "kind": kind, "address": address, "port": port}
    channel.send(bench.sock, values)
    message = channel.receive(bench.sock)
    assert message is not None
    assert message.values["id"] == 7
    return message


def test_a_listener_and_who_connects_to_it(bench: Bench) -> None:
    (fd,) = ask(bench, "listener", "127.0.0.1", 0).fds
    (client_fd,) = ask(bench, "stream", "127.0.0.1", 0).fds
    with socket.socket(fileno=fd) as listener, socket.socket(fileno=client_fd) as client:
        client.setblocking(True)
        client.connect(listener.getsockname())
        connection, _ = listener.accept()
        with connection:
            client.sendall(b"hello")
            assert connection.recv(10) == b"hello"


def test_a_socket_for_datagrams(bench: Bench) -> None:
    (fd,) = ask(bench, "udp", "127.0.0.1", 0).fds
    with socket.socket(fileno=fd) as bound, socket.socket(type=socket.SOCK_DGRAM) as client:
        bound.setblocking(True)
        client.sendto(b"hello", bound.getsockname())
        assert bound.recv(10) == b"hello"


def test_why_there_is_none_is_told_and_the_supervisor_goes_on(bench: Bench) -> None:
    refused = ask(bench, "listener", "192.0.2.1", 80)
    assert not refused.fds
    assert refused.values["errno"] == errno.EADDRNOTAVAIL
    assert refused.values["reason"] == "Cannot assign requested address"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        refused = ask(bench, "listener", "127.0.0.1", taken.getsockname()[1])
    assert refused.values["errno"] == errno.EADDRINUSE
    test_a_socket_for_datagrams(bench)


def test_ipv6_takes_no_ipv4() -> None:
    with make_socket("listener", "::", 0) as six:
        port = six.getsockname()[1]
        make_socket("listener", "0.0.0.0", port).close()


def test_there_are_no_other_kinds() -> None:
    with pytest.raises(ValueError, match="'raw' is no kind of socket"):
        make_socket("raw", "127.0.0.1", 0)
