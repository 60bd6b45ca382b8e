"""Messages and descriptors over the control socket between the simulator and its helper.

A SOCK_SEQPACKET pair of unix sockets: each message is one JSON object of at most 32 KiB, with open
descriptors beside it (SCM_RIGHTS). The kernel adds who sent it (SCM_CREDENTIALS), in the receiver's
own PID namespace: that is how the simulator learns the pids of processes inside.
"""

from __future__ import annotations

import array
import json
import os
import socket
import struct
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_MESSAGE_BYTES = 32768
MAX_DESCRIPTORS = 250
"""The kernel takes 253 in one message (SCM_MAX_FD)."""
_SO_PASSCRED = 16
_SCM_CREDENTIALS = 2
_CREDENTIALS = struct.Struct("iII")


class Message(NamedTuple):
    values: dict[str, Any]
    fds: list[int]
    pid: int
    """The sender, 0 if unknown."""


def make_pair() -> tuple[socket.socket, socket.socket]:
    """The simulator's end and the helper's end."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, _SO_PASSCRED, 1)
    return ours, theirs


def send(
    sock: socket.socket, values: dict[str, Any], fds: Sequence[int] = (), *, flags: int = 0
) -> None:
    """Send one message; `fds` stay open on this side. OSError if the other side is gone.

    `flags` are those of sendmsg(2).
    """
    data = json.dumps(values).encode()
    if len(data) > MAX_MESSAGE_BYTES:
        raise ValueError(f"a control message of {len(data)} bytes")
    ancillary = (
        [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds).tobytes())] if fds else []
    )
    sock.sendmsg([data], ancillary, socket.MSG_NOSIGNAL | flags)


def receive(sock: socket.socket) -> Message | None:
    """The next message, None when the other side is gone. BlockingIOError if there is none yet."""
    space = socket.CMSG_SPACE(4 * MAX_DESCRIPTORS) + socket.CMSG_SPACE(_CREDENTIALS.size)
    try:
        data, ancillary, _, _ = sock.recvmsg(MAX_MESSAGE_BYTES, space, socket.MSG_CMSG_CLOEXEC)
    except ConnectionResetError:
        # It is gone, and did not read all we sent. That is told once; then comes what it had sent.
        return receive(sock)
    fds: list[int] = []
    pid = 0
    for level, kind, content in ancillary:
        if level != socket.SOL_SOCKET:
            continue
        if kind == socket.SCM_RIGHTS:
            received = array.array("i")
            received.frombytes(content[: len(content) - len(content) % received.itemsize])
            fds.extend(received)
        elif kind == _SCM_CREDENTIALS and len(content) == _CREDENTIALS.size:
            pid = _CREDENTIALS.unpack(content)[0]
    if not data:
        for fd in fds:
            os.close(fd)
        return None
    return Message(json.loads(data), fds, pid)


def to_memory(values: dict[str, Any]) -> int:
    """A memory file that holds `values`: for what may exceed a message, as an environment may."""
    fd = os.memfd_create("iotsim", os.MFD_CLOEXEC)
    with open(fd, "wb", closefd=False) as file:
        file.write(json.dumps(values).encode())
    return fd


def from_memory(fd: int) -> dict[str, Any]:
    """What `to_memory` wrote; closes `fd`."""
    with open(fd, "rb") as file:
        file.seek(0)
        values: dict[str, Any] = json.loads(file.read())
    return values
