"""The limit of a run: how long it may take in real time, with all that is around it.

A timer of the process counts it (SIGALRM), since it is for whatever a run may hang in: loading, a link that
does not come up, a gateway that does not end, virtual time that does not advance. Before there is an event
loop it is an exception; in the event loop a signal like those that end a run in order. It comes again and
again, since some code swallows exceptions; the first one in the event loop that is `GRACE_S` late ends the
run in whatever it is.
"""

from __future__ import annotations

import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

from iotsim.errors import IotsimError
from iotsim.expect.text import plural
from iotsim.run import inside

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iotsim.run.run import Run

LIMIT_SIGNAL = signal.SIGALRM
GRACE_S = 10.0
"""How long the end may take: the gateway is stopped, and files are written."""
AGAIN_S = 0.5
MOST_NAMED = 3


class _Counting:
    limit: Limit | None = None


def stop_counting() -> None:
    """The run is over: its limit, if it has one, does not count any more."""
    if _Counting.limit is not None:
        _Counting.limit.set(None)


class Limit:
    """The limit of the run of this process, which counts from when it was made."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self.seconds: float | None = None

    def set(self, seconds: float | None) -> None:
        """From now on it is this; None: there is none."""
        self.seconds = seconds
        left_s = 0.0
        if seconds is not None:
            left_s = max(1e-3, self._began + seconds - time.monotonic())
        signal.setitimer(signal.ITIMER_REAL, left_s, AGAIN_S if left_s else 0.0)

    @property
    def text(self) -> str:
        return f"{self.seconds:g} s" if self.seconds is not None else "none"


@contextmanager
def limited(seconds: float | None) -> Iterator[Limit | None]:
    """Have a limit for what the block does, which may set another. None where that cannot be: outside of the
    main thread, to which signals come."""
    if threading.current_thread() is not threading.main_thread():
        yield None
        return
    limit = Limit()

    def reached(_number: int, _frame: object) -> NoReturn:
        raise IotsimError(
            f"ended at its limit of {limit.text}: it was {inside.doing() or 'starting'}"
        )

    before = signal.signal(LIMIT_SIGNAL, reached)
    _Counting.limit = limit
    try:
        limit.set(seconds)
        yield limit
    finally:
        stop_counting()
        _Counting.limit = None
        signal.signal(LIMIT_SIGNAL, before)


def what_it_does(run: Run) -> str:
    """What `run` is about now, or what it waits for: for people, in half a sentence."""
    if not hasattr(run, "crew"):
        return "making the link, and what stands around it"
    if run.over.is_set():
        return "stopping the gateway"
    if run.gateway is not None and not run.gateway.ready.is_set():
        return "waiting until the gateway is ready"
    verdicts = run.crew.progress().verdicts
    names = [
        repr(spec.name)
        for spec, verdict in zip(run.scenario.expectations, verdicts, strict=False)
        if verdict is None
    ]
    if not names:
        return "waiting for its end, with all expectations decided"
    shown = ", ".join(names[:MOST_NAMED]) + (", ..." if len(names) > MOST_NAMED else "")
    return f"waiting for {len(names)} of {plural(len(verdicts), 'expectation')}: {shown}"
