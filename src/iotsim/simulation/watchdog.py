"""A watchdog over the user's code: what keeps all devices waiting is interrupted, and named.

Handlers, tasks, and the functions of a schema are called in the pump's own thread, so one that blocks or
never returns stops everything. A look at that thread's stack shows it: the same call of a function of the
user's stands there, look after look, and the event loop has not turned in between (a task that awaits is
no call that lasts). Then `Stalled` is raised in it.

The looks are taken in the thread itself, by the handler of a signal that the kernel sends it every tenth
of a second. So they cost nothing on a message's way; they can raise where they look, and nowhere else;
they end a system call that blocks; and they come even while a regular expression of Python's holds the
interpreter's lock, which no other thread would get. SIGURG does nothing by default, and hardly anybody
uses it. Looks are counted, not seconds: a process that was stopped for an hour has not stalled.

What cannot be ended so is code that catches whatever is raised and goes on, for which `hopeless` is
called, and code in C that neither returns nor looks for signals, which only another process can end:
that is why every look is told.
"""

from __future__ import annotations

import signal
import threading
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import construct
import trio

import iotsim
from iotsim.device.behavior import Device
from iotsim.device.fleet import SimDevice
from iotsim.errors import in_one_line
from iotsim.testbed.linux import ThreadTimer

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from types import CodeType, FrameType

PATIENCE_S = 5.0
"""How long a call of the user's code may last."""
LOOK_S = 0.1
HOPELESS_LOOKS = 50
"""So many looks after it was first interrupted, a call that still goes on will never end."""
SIGNAL = signal.SIGURG
OURS = tuple(f"{package.__path__[0]}/" for package in (iotsim, trio))
"""Where the user's code must not be interrupted: what it has called there would be left half done."""
CONSTRUCT = f"{construct.__path__[0]}/"
GENERATED = "<codec>"
DEBUGGERS = ("bdb", "pydevd")
"""Modules on the stack of a program that waits for its programmer."""


class Stalled(BaseException):
    """Raised in the user's code, to end it. No Exception, since code that takes its time often retries
    whatever happens, and a codec would take it for a fault of the message."""


FAULTS = (Exception, Stalled)
"""What code of the user's, or a rule, may raise: its device fails."""


def fault_in_one_line(fault: BaseException) -> str:
    """As `in_one_line`; what `Stalled` says is for people, too."""
    return in_one_line(fault, named=not isinstance(fault, Stalled))


@dataclass(frozen=True)
class Rescue:
    """What only a process can do that is the run's own. ``hopeless`` ends it, and says what has stalled.
    ``looked`` is told of every look, and by False that there will be none for now."""

    hopeless: Callable[[str], object]
    looked: Callable[[bool], object]


class Watchdog:
    """Looks after the code of `files`, within the context, which may be entered again; only in the main
    thread, where signals come.

    `on_stall` is called with the device that the stalled code is at work for (None if that is not
    known), what `Stalled` says, and the stack as text, just before that is raised; so it is told even
    if the user's code catches what is raised. With `schemas`, construct's code is the user's as well,
    whose schemas decide what it does.
    """

    def __init__(
        self,
        files: Collection[str],
        schemas: bool,
        on_stall: Callable[[SimDevice | None, Stalled, str], None],
        *,
        patience_s: float = PATIENCE_S,
        rescue: Rescue | None = None,
    ) -> None:
        self._files = frozenset(files)
        self._schemas = schemas
        self._on_stall = on_stall
        self._rescue = rescue
        self._patience = round(patience_s / LOOK_S)
        self._entered = 0
        self._token: trio.lowlevel.TrioToken
        self._call: FrameType | None = None
        """The outermost frame of the user's at the last look."""
        self._looks = 0
        """How often that was there before, in one turn of the event loop."""
        self._turned = False
        self._limit = self._patience
        """How often it may be there."""
        self._interrupted = False
        self._known: set[CodeType] = set()
        """What has stalled already is not waited for as long again."""

    def __enter__(self) -> Self:
        self._entered += 1
        main = threading.current_thread() is threading.main_thread()
        if self._entered == 1 and self._files and main:
            self._token = trio.lowlevel.current_trio_token()
            if self._rescue is not None:
                self._rescue.looked(True)
            _watch(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._entered -= 1
        if not self._entered:
            _unwatch(self)
            self._call = None
            if self._rescue is not None:
                self._rescue.looked(False)

    def look(self, frame: FrameType | None) -> None:
        """Look at the stack that ends in `frame`; Stalled if it has stayed for too long."""
        if self._rescue is not None:
            self._rescue.looked(True)
        call, inner, busy = self._find(frame)
        if call is not self._call or self._turned:
            self._call, self._looks, self._turned, self._interrupted = call, 0, False, False
            if call is not None:
                self._limit = 1 if call.f_code in self._known else self._patience
                self._token.run_sync_soon(self._turn, idempotent=True)
            return
        if call is None or inner is None:
            return
        self._looks += 1
        if self._looks < self._limit:
            return
        if self._looks > self._limit + HOPELESS_LOOKS and self._rescue is not None:
            device = _device(call)
            self._rescue.hopeless(f"{device.name if device else '?'}: {self._words(call, inner)}")
        if busy:
            return  # soon it will be seen where it may be interrupted
        stalled = Stalled(self._words(call, inner))
        if not self._interrupted:
            self._interrupted = True
            self._known.add(call.f_code)
            self._on_stall(_device(call), stalled, "".join(traceback.format_stack(frame)))
        raise stalled

    def _turn(self) -> None:
        self._turned = True

    def _find(self, frame: FrameType | None) -> tuple[FrameType | None, FrameType | None, bool]:
        """The outermost and the innermost frame of the user's, and whether that has called us."""
        outermost = innermost = None
        busy = False
        while frame is not None:
            file = frame.f_code.co_filename
            if file in self._files or (
                self._schemas and (file == GENERATED or file.startswith(CONSTRUCT))
            ):
                outermost = frame
                innermost = innermost or frame
            elif innermost is None and file.startswith(OURS):
                busy = True
            if frame.f_globals.get("__name__", "").partition(".")[0] in DEBUGGERS:
                return None, None, False
            frame = frame.f_back
        return outermost, innermost, busy

    def _words(self, call: FrameType, inner: FrameType) -> str:
        """What has stalled, and where: the outermost function of the user's, the innermost line."""
        function, frame = None, inner
        while frame is not call.f_back:
            if frame.f_code.co_filename in self._files:
                function = frame
            frame = frame.f_back  # type: ignore[assignment]
        what = f"{function.f_code.co_qualname}()" if function else "the schema of its protocol"
        place = f"{inner.f_code.co_filename}:{inner.f_lineno}"
        if self._looks < self._patience:
            return f"{what} has stalled once more, at {place}"
        told = f"{what} has kept all devices waiting for {self._looks * LOOK_S:.1f} s, at {place}"
        if isinstance(call.f_locals.get("self"), Device):
            told += "; what takes time belongs in 'async def run', with 'await self.sleep(…)'"
        return told


def _device(call: FrameType) -> SimDevice | None:
    """The device for which the user's code was called: by a function of ours, which has it at hand."""
    frame = call.f_back
    while frame is not None:
        device = frame.f_locals.get("device")
        if isinstance(device, SimDevice):
            return device
        frame = frame.f_back
    return None


class _Looks:
    """The signal, its timer, and whom it is for: those watchdogs of the process that are on duty."""

    watchdogs: tuple[Watchdog, ...] = ()
    timer: ThreadTimer
    previous: object


def _watch(watchdog: Watchdog) -> None:
    if not _Looks.watchdogs:
        _Looks.previous = signal.signal(SIGNAL, _look)
        _Looks.timer = ThreadTimer(SIGNAL, LOOK_S)
    _Looks.watchdogs += (watchdog,)


def _unwatch(watchdog: Watchdog) -> None:
    if watchdog not in _Looks.watchdogs:
        return
    _Looks.watchdogs = tuple(one for one in _Looks.watchdogs if one is not watchdog)
    if not _Looks.watchdogs:
        _Looks.timer.delete()
        signal.signal(SIGNAL, _Looks.previous or signal.SIG_DFL)  # type: ignore[arg-type]


def _look(_number: int, frame: FrameType | None) -> None:
    for watchdog in _Looks.watchdogs:
        watchdog.look(frame)
