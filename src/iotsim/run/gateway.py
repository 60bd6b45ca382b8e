"""The gateway in a run: all of its lives, and what starts and ends them.

It is started with the run, or by a step. It may end by itself, whereupon its restart policy may start it
again, as a supervisor would that it has in the field; or a step ends it. A step's ``stop`` holds it down
until another step starts it; ``kill`` is an accident, after which the policy applies as after a crash.

A crash is a life that has ended by itself and not as expected, or by a fault when it was asked to end. What a
step did is none.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import trio

from iotsim.clock import real_s
from iotsim.errors import Problem, ScenarioError
from iotsim.events import (
    GatewayExited,
    GatewayPaused,
    GatewayReady,
    GatewayResult,
    GatewayResumed,
    GatewayStarted,
    Note,
)
from iotsim.expect.figures import FigureLog
from iotsim.expect.text import seconds
from iotsim.run.console import Console
from iotsim.run.life import Life, missed_readiness

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotsim.events import Event
    from iotsim.expect.figures import GatewaySample
    from iotsim.expect.judge import Judge
    from iotsim.run.launch import Launch
    from iotsim.scenario.model import Scenario
    from iotsim.testbed.bed import Testbed

GatewayAction: TypeAlias = Literal["start", "stop", "kill", "restart", "pause", "resume"]
ACTIONS: tuple[GatewayAction, ...] = get_args(GatewayAction)
MOST_LIVES = 1000
"""After this many, nobody starts it again: a scenario that lasts for a week must not fill the disk."""

State: TypeAlias = Literal["waiting", "starting", "ready", "paused", "down", "returning", "exited"]
"""``waiting`` for the step that starts it; ``down``: a step has ended it; ``returning``: its policy will
start it again soon; ``exited`` by itself, for good unless a step starts it."""


class Gateway:
    """The gateway, as the run sees it.

    `ready` is set once it has been ready for the first time. `judge` is told of everything that
    expectations ask for, and `wake` called where that has news; `log` gets each byte that it prints.
    """

    def __init__(
        self,
        scenario: Scenario,
        launch: Launch,
        *,
        emit: Callable[[Event], None],
        clock: Callable[[], float],
        log: Callable[[bytes], object],
        judge: Judge,
        wake: Callable[[], None],
    ) -> None:
        assert scenario.gateway is not None
        self.spec = scenario.gateway
        self.launch = launch
        self.ready = trio.Event()
        self.lives: list[Life] = []
        self.console = Console(emit, clock, log, self._line)
        asked = [spec.gateway for spec in scenario.expectations if spec.gateway is not None]
        self._figures = FigureLog() if any(one.figures for one in asked) else None
        costly = {"fds": "fds", "memory": "memory", "cpu_max": "waits"}
        self._measure = {
            what
            for name, what in costly.items()
            if any(getattr(one, name) is not None for one in asked)
        }
        self._emit = emit
        self._clock = clock
        self._judge = judge
        self._wake = wake
        self._down = ""
        """What a step has done to it, where it is not to run."""
        self._returning = False
        self._returns = 0
        """How often its policy has started it."""
        self._changed = trio.Event()
        self._acting = trio.Lock()
        self._begun = trio.Event()
        self._testbed: Testbed
        self._nursery: trio.Nursery
        self._crash_lines: list[str] = []
        """The last lines before its first crash."""
        self._left: list[str] = []
        """The names of the processes to which it was handed on, in turn."""
        self._ends: dict[str, None] = {}
        """What was out of the ordinary when it was asked to end, each once."""
        self._was_delayed = False

    # --- what there is to know ----------------------------------------------------------------

    @property
    def life(self) -> Life | None:
        """The present one, or the last; None before it was ever started."""
        return self.lives[-1] if self.lives else None

    @property
    def state(self) -> State:
        life = self.life
        if life is None:
            return "waiting"
        if life.exited.is_set():
            return "returning" if self._returning else "down" if self._down else "exited"
        if life.paused:
            return "paused"
        return "ready" if life.ready.is_set() else "starting"

    @property
    def crash(self) -> str:
        """How it crashed, in a line; "" if it did not."""
        crashed = [life for life in self.lives if life.crashed]
        if not crashed:
            return ""
        often = "" if len(crashed) == 1 else f" (and {len(crashed) - 1} more)"
        asked = ", when it was asked to end" if crashed[0].by else ""
        return f"the gateway crashed: {crashed[0].status}{asked}{often}"

    def result(self) -> GatewayResult:
        """What the results say of it."""
        result = GatewayResult(
            command=list(self.launch.command),
            last_lines=self._crash_lines or self.console.last_lines,
            lives=[life.result() for life in self.lives],
            figures=None if self._figures is None else self._figures.result(),
        )
        life = next((life for life in self.lives if life.crashed), self.life)
        if life is not None:
            result.pid, result.crashed, result.signal = life.pid, life.crashed, life.signal_name
            result.status = None if life.status is None else life.status.status
        return result

    def remarks(self) -> list[str]:
        """What is out of the ordinary, also of a run that has passed."""
        remarks = [*self._ends]
        awaited = None if self.ready.is_set() else self.spec.ready
        if awaited is not None and self.life is not None and self.life.by:
            remarks.append(f"The gateway was never ready: {missed_readiness(awaited)}.")
        return remarks

    def notes(self, *, heard: bool) -> list[str]:
        """What explains a failure of the run; `heard`: whether any message has come from it."""
        notes = []
        for life in self.lives:
            if life.status is None or life.crashed or life.by or life.ended_at is None:
                continue
            too_early = ""
            if not life.ready.is_set():
                too_early = "it was ready"
            elif not heard:
                too_early = "any message came from it"
            if too_early:
                how = f"exited with status {life.status.status}"
                after = life.ended_at - life.started_at
                notes.append(f"The gateway {how} after {after:.1f} s, before {too_early}.")
                break
        notes += [_handed_on(name) for name in self._left]
        return notes

    async def gone(self) -> None:
        """Wait until it has exited by itself, and its policy does not start it again."""
        while self.state != "exited":
            await self._changed.wait()

    # --- its lives ----------------------------------------------------------------------------

    async def run(
        self,
        testbed: Testbed,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Start it, unless a step will, and follow it; on cancellation, stop it first."""
        self._testbed = testbed
        async with trio.open_nursery() as self._nursery:
            if not self.spec.waits:
                await self._start()
            task_status.started()
            self._begun.set()
            await trio.sleep_forever()

    async def measure(self) -> None:
        """Have what it uses measured once more, as of now."""
        if self.life is not None:
            await self.life.measure()

    async def _start(self) -> None:
        if self.life is not None:
            await self.life.end("end")  # what it has left behind
        life = Life(len(self.lives) + 1, self.spec, self.launch, self._clock, self)
        self._down, self._returning = "", False
        self.lives.append(life)
        measure = None if self._figures is None else self._measure
        run = partial(life.run, self._testbed, self.console, measure=measure)
        try:
            await self._nursery.start(run)
        except BaseException:
            self.lives.pop()
            raise

    async def _return(self, life: Life) -> None:
        """Start it again, as its policy says, unless somebody has done so before."""
        await trio.sleep(self.spec.restart.delay_s)
        async with self._acting:
            if self._returning and self.life is life:
                self._returns += 1
                await self._start()

    def _is_to_return(self, life: Life) -> bool:
        restart = self.spec.restart
        if life.by in ("stop", "end") or restart.policy == "never":
            return False
        if restart.policy == "on-crash" and not (life.crashed or life.by == "kill"):
            return False
        if restart.times is not None and self._returns >= restart.times:
            return False
        return life.number < MOST_LIVES

    # --- what a life tells --------------------------------------------------------------------

    def life_started(self, life: Life) -> None:
        command = list(self.launch.command)
        self._emit(GatewayStarted(life.started_at, life.pid, command, life.number))
        self._change()

    def life_ready(self, life: Life, how: str) -> None:
        self._emit(GatewayReady(self._clock(), how, life.number))
        self.ready.set()
        self._change()

    def life_ended(self, life: Life, note: str) -> None:
        now = self._clock()
        assert life.status is not None
        status, name = life.status.status, life.signal_name
        self._emit(GatewayExited(now, status, name, life.crashed, life.by, life.number))
        if note:
            self._ends[note] = None
            self._emit(Note(now, note))
        if life.crashed and not self._crash_lines:
            self._crash_lines = list(self.console.last_lines)
        self._returning = self._is_to_return(life)
        if not life.by:
            self._judge.gateway_exited(status, name, now)
        elif life.by != "end":
            self._judge.gateway_ended_by(life.by, now)
        if self._returning:
            self._nursery.start_soon(self._return, life)
        self._wake()
        self._change()

    def life_left(self, life: Life, name: str) -> None:
        """The command has exited and left a process of this `name` to be the gateway."""
        self._left.append(name)
        self._emit(Note(self._clock(), _handed_on(name)))

    def life_measured(self, life: Life, sample: GatewaySample | None) -> None:
        if self._figures is None:
            return
        if sample is not None:
            self._figures.take(sample)
        if self._judge.gateway_measured(sample, self._clock()):
            self._wake()

    def life_delayed(self, life: Life, seconds: float) -> None:
        """It may have waited for so long, in real seconds, until what it prints was read."""
        now = self._clock()
        self._judge.lapses.late(now - real_s(seconds), now)
        if not self._was_delayed:
            self._was_delayed = True
            self._emit(Note(now, "The gateway prints faster than it is read: it may have to wait."))

    def _line(self, line: str, now: float) -> None:
        self._judge.gateway_output(line, now)
        if self.life is not None:
            self.life.hear(line)

    def _change(self) -> None:
        """Something is new: whoever waits for that looks."""
        self._changed.set()
        self._changed = trio.Event()

    # --- what a step does ---------------------------------------------------------------------

    async def do(self, action: GatewayAction) -> None:
        """Do `action`, and wait until it is done; that it is ready again, nobody waits for.

        ScenarioError if it makes no sense now since an earlier action has brought about what it asks
        for, or what it needs not to be. Where the gateway itself did, a note says so.
        """
        await self._begun.wait()
        async with self._acting:
            refusal = self._refusal(action)
            if refusal:
                raise ScenarioError([Problem(f'gateway = "{action}": {refusal}')])
            life = self.life
            if action == "start" or (action == "restart" and self.state in ("exited", "returning")):
                if life is None or life.exited.is_set():
                    await self._start()
                else:
                    self._in_vain(action, "its restart policy has started it already")
            elif life is None or life.exited.is_set():
                self._miss(action)
            elif action == "pause":
                await life.pause()
                self._emit(GatewayPaused(self._clock()))
            elif action == "resume":
                self._emit(GatewayResumed(self._clock()))  # what it does then comes later
                await life.resume()
            else:
                await self._put_down(life, action)
                if action == "restart":
                    await self._start()
            self._change()

    async def _put_down(self, life: Life, action: GatewayAction) -> None:
        self._down = action
        await life.end("kill" if action == "kill" else "stop")
        if not life.by:
            self._down = ""
            self._in_vain(action, "it had exited by itself just then")

    def _miss(self, action: GatewayAction) -> None:
        """There is nobody to do `action` to: it has exited by itself, or its policy is to start it."""
        if action == "stop" and self._returning:
            self._down, self._returning = action, False
            return
        self._in_vain(action, "it is not running")

    def _in_vain(self, action: GatewayAction, why: str) -> None:
        self._emit(Note(self._clock(), f'gateway = "{action}" found nothing to do: {why}.'))

    def _refusal(self, action: GatewayAction) -> str:
        """Why the scenario cannot mean `action` now; "" if it may."""
        state, life = self.state, self.life
        if life is None:
            return "" if action == "start" else "it has not been started yet"
        if action == "start" and state == "paused":
            return "it is paused; resume it"
        if action == "start" and state in ("starting", "ready") and not self._returns:
            return f"it is running since {seconds(round(life.started_at, 3))} into the run"
        if action == "pause" and state == "paused":
            return "it is paused already"
        if action == "resume" and state in ("starting", "ready"):
            return "it is not paused"
        if state == "down" and action != "start":
            ended = seconds(round(life.ended_at or 0.0, 3))
            return f"it is down since '{self._down}', {ended} into the run; start it"
        return ""


def _handed_on(name: str) -> str:
    return (
        f"The gateway's command exited with status 0 and left {name or 'a process'} running in the "
        "background, which is the gateway since then."
    )
