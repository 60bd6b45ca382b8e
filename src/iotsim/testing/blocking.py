"""`blocking_run`: `live_run` for plain functions. The run goes on in an event loop of its own, in a thread.

What the block calls is carried out in that loop, and returns when it is done there. Ctrl-C ends the call,
and with the block the run. On a memory link time is virtual: it stands still while the test thinks, and
goes on while it waits, so that nothing is ever late.
"""

from __future__ import annotations

import inspect
import math
import threading
from concurrent.futures import Future, wait
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import trio

from iotsim.clock import ScaledClock
from iotsim.errors import IotsimError
from iotsim.run.failure import sole_cause
from iotsim.testing.building import build
from iotsim.testing.live import TEST_SEED, LiveOptions, LiveRun, live_run
from iotsim.testing.parts import LiveDevices, LiveGateway, LiveService
from iotsim.testing.sockets import Socket

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from iotsim.testing.building import ScenarioSource

PARTS = (LiveRun, LiveDevices, LiveGateway, LiveService, Socket)
"""What has a face of its own in a plain function."""
OVER = "the run is over"


@contextmanager
def blocking_run(
    source: ScenarioSource, options: LiveOptions | None = None, **building: Any
) -> Iterator[Any]:
    """As `iotsim.testing.live.live_run`; the block is given a `Blocking` of a `LiveRun`."""
    __tracebackhide__ = True
    scenario = build(source, **{"default_seed": TEST_SEED, **building})
    loop = Loop(virtual=scenario.link.kind == "memory", pace=scenario.pace)
    loop.start()
    try:
        with loop.entered(partial(live_run, scenario, options), main=True) as sim:
            yield Blocking(sim, loop)
    finally:
        loop.close()


class Blocking:
    """The same as `target`, whose methods return when they are done; it belongs to a loop."""

    def __init__(self, target: Any, loop: Loop) -> None:
        object.__setattr__(self, "_target", target)
        object.__setattr__(self, "_loop", loop)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        target, loop = self._target, self._loop
        if loop.over:
            return getattr(target, name)
        if inspect.isroutine(inspect.getattr_static(type(target), name, None)):
            return partial(_call, loop, getattr(target, name))
        return _faced(loop.call(getattr, target, name), loop)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{name!r} cannot be set")

    def __dir__(self) -> list[str]:
        return [name for name in dir(self._target) if not name.startswith("_")]

    def __repr__(self) -> str:
        return f"<Blocking {self._target!r}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call(self._target.close)


def _call(loop: Loop, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    __tracebackhide__ = True
    made = loop.call(function, *arguments, **named)
    if isinstance(made, AbstractAsyncContextManager):
        return loop.entered(lambda: made)
    return _faced(made, loop)


def _faced(value: Any, loop: Loop) -> Any:
    return Blocking(value, loop) if isinstance(value, PARTS) else value


class _BlockFailed(Exception):  # noqa: N818
    """In the loop, in the place of whatever the block has raised."""


class Loop:
    """An event loop in a thread of its own, for calls from another thread. `virtual`: its time stands still
    but while somebody waits for a call; else it goes at `pace`."""

    def __init__(self, *, virtual: bool, pace: float = 1.0) -> None:
        self._clock: Any = None
        if virtual:
            from trio.testing import MockClock

            self._clock = MockClock()
        elif pace != 1:
            self._clock = ScaledClock(pace)
        self._virtual = virtual
        self._calls = 0
        self._unanswered: set[Future[Any]] = set()
        self._up: Future[None] = Future()
        self._thread = threading.Thread(target=self._live, name="iotsim run", daemon=True)
        self._token: trio.lowlevel.TrioToken
        self._nursery: trio.Nursery

    def start(self) -> None:
        self._thread.start()
        self._up.result()

    @property
    def over(self) -> bool:
        """Whether it has ended: nobody else is at work on what it had."""
        return not self._thread.is_alive()

    def close(self) -> None:
        """End what is still going on, and wait for the end of the thread."""
        self._soon(lambda: self._nursery.cancel_scope.cancel())
        self._thread.join()

    def call(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """What `function` gives in the loop; if it is async, once it is done."""
        __tracebackhide__ = True
        done, scope = self._submit(partial(function, *arguments, **named))
        try:
            return self._wait(done, scope)
        except (IotsimError, AssertionError) as error:  # which say themselves what is wrong
            raise error.with_traceback(None) from None

    @contextmanager
    def entered(
        self, manager: Callable[[], AbstractAsyncContextManager[Any]], *, main: bool = False
    ) -> Iterator[Any]:
        """What `manager` makes in the loop, entered and left by one task there. If it is the `main` one, the
        loop ends with it."""
        __tracebackhide__ = True
        inside: Future[Any] = Future()
        leave = trio.Event()
        failed = False

        async def hold() -> None:
            try:
                async with manager() as value:
                    self._count(-1)  # time goes on when somebody waits
                    inside.set_result(value)
                    try:
                        await leave.wait()
                    finally:
                        self._count(1)
                    if failed:
                        raise _BlockFailed
            finally:
                if main:
                    self._nursery.cancel_scope.cancel()

        done, scope = self._submit(hold)

        def not_entered(_: object) -> None:
            if not inside.done():
                inside.set_result(None)

        done.add_done_callback(not_entered)
        try:
            value = self._wait(inside, scope, done)
            if done.done():
                done.result()  # it has not begun
            yield value
        except BaseException as error:
            failed = True
            self._soon(leave.set)
            wait([done])
            cause = done.exception()
            if cause is error or cause is None or isinstance(cause, _BlockFailed):
                raise
            raise cause.with_traceback(None) from error
        self._soon(leave.set)
        try:
            self._wait(done, scope)
        except (IotsimError, AssertionError) as error:
            raise error.with_traceback(None) from None

    # --- between the threads ------------------------------------------------------------------

    def _live(self) -> None:
        broken: BaseException | None = None
        try:
            trio.run(self._serve, clock=self._clock)
        except BaseException as error:  # which is ours: what calls raise is theirs
            broken = error
        for future in (self._up, *tuple(self._unanswered)):
            if not future.done():
                over = RuntimeError(OVER)
                over.__cause__ = broken
                future.set_exception(over)

    async def _serve(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        async with trio.open_nursery() as self._nursery:
            self._up.set_result(None)
            await trio.sleep_forever()

    def _soon(self, function: Callable[[], object]) -> bool:
        """Call `function` in the loop soon; whether there is one."""
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(function)
            return True
        return False

    def _submit(self, function: Callable[[], Any]) -> tuple[Future[Any], trio.CancelScope]:
        """Let `function` be called in the loop; what it will give, and the scope of the call."""
        done: Future[Any] = Future()
        self._unanswered.add(done)
        done.add_done_callback(self._unanswered.discard)
        scope = trio.CancelScope()

        async def perform() -> None:
            self._count(1)
            try:
                with scope:
                    value = function()
                    if inspect.isawaitable(value):
                        value = await value
                    done.set_result(value)
            except Exception as error:
                done.set_exception(sole_cause(error))
            finally:
                self._count(-1)
                if not done.done():
                    done.set_exception(RuntimeError(OVER))

        def begin() -> None:
            try:
                self._nursery.start_soon(perform)
            except RuntimeError:
                done.set_exception(RuntimeError(OVER))

        if not self._soon(begin):
            done.set_exception(RuntimeError(OVER))
        return done, scope

    def _wait(self, future: Future[Any], scope: trio.CancelScope, *others: Future[Any]) -> Any:
        """What `future` gives. If this thread is told to stop meanwhile (Ctrl-C, a time limit), the call in
        `scope` is ended first."""
        __tracebackhide__ = True
        try:
            wait([future])
        except BaseException:
            self._soon(scope.cancel)
            wait([future, *others])
            raise
        return future.result()

    def _count(self, more: int) -> None:
        """Virtual time goes on while somebody waits for a call."""
        self._calls += more
        if self._virtual:
            self._clock.autojump_threshold = 0 if self._calls else math.inf
