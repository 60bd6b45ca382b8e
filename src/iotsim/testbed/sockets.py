"""Sockets that are opened inside a testbed's network and used outside of it.

A socket is of the network namespace in which it was made, whoever holds it: so the simulator listens in
the gateway's network without being in there.
"""

from __future__ import annotations

import socket
from typing import Literal, TypeAlias, get_args

SocketKind: TypeAlias = Literal["listener", "udp", "stream"]
"""A TCP socket that listens; a bound UDP socket; a TCP socket that its holder connects."""
KINDS: tuple[str, ...] = get_args(SocketKind)
BACKLOG = 4096
"""Connections that wait to be taken; the kernel has a bound of its own besides (somaxconn)."""


def make_socket(kind: str, address: str, port: int) -> socket.socket:
    """A socket of this process's network at `address` and `port` (0: any); OSError if there is none.

    `address` is an IPv4 or IPv6 address. An IPv6 socket takes no IPv4, not even at ``::``.
    """
    if kind not in KINDS:
        raise ValueError(f"{kind!r} is no kind of socket")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
    try:
        if kind != "stream":
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            if kind == "listener":
                # What its predecessor's connections have left behind (TIME_WAIT) holds nobody up.
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((address, port))
            if kind == "listener":
                sock.listen(BACKLOG)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock
