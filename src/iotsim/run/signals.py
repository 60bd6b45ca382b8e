"""The signals that end a run before its time, and in order."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import trio

from iotsim.clock import real_s

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

REST_S = 0.02


def ending_signals() -> tuple[signal.Signals, ...]:
    """SIGINT, SIGTERM, and SIGHUP, which comes when the terminal is closed.

    Not SIGHUP where it is ignored: so nohup(1) keeps a run alive without its terminal.
    """
    if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
        return signal.SIGINT, signal.SIGTERM
    return signal.SIGINT, signal.SIGTERM, signal.SIGHUP


def ignore_endings() -> None:
    """Let no further signal end this process: it ends by the first one, as soon as it has told so."""
    for number in ending_signals():
        signal.signal(number, signal.SIG_IGN)


async def take_rest(received: AsyncIterator[int]) -> None:
    """Take the signals that `received` still has. What it is left with comes once more behind it."""
    ignore_endings()
    with trio.move_on_after(real_s(REST_S)):
        async for _ in received:
            pass
