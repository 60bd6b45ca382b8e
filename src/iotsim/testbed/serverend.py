"""This process's end of the server of helpers (`helperserver`), for as long as it may ask for one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket


class _End:
    sock: socket.socket | None = None


def hold(sock: socket.socket) -> None:
    """`sock` leads to the server, also for what this process forks."""
    _End.sock = sock


def held() -> socket.socket | None:
    """The socket that leads to the server, None where there is none."""
    return _End.sock


def leave_server() -> None:
    """Let go of the server, if there is one: this process cannot ask it for anything any more."""
    if _End.sock is not None:
        _End.sock.close()
        _End.sock = None
