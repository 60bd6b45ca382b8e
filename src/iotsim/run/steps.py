"""The steps of a run: what its timeline says is done, to devices, gateway, and services."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from iotsim.errors import IotsimError
from iotsim.events import StepDone
from iotsim.simulation.commands import ActOnGateway, ActOnNorthbound, decode_command
from iotsim.simulation.timeline import Timeline

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from iotsim.events import Event
    from iotsim.run.crew import Crew
    from iotsim.scenario.steps import StepSpec
    from iotsim.simulation.commands import Command


class Steps:
    """The `steps` of one run, whose crew is `crew`.

    `do` carries out a command of any kind. What concerns devices alone is done by the crew at once, if it
    can, so that in virtual time the order of events is always the same; all else in a task. What is done to
    the gateway, or to one service, is done in the order of the steps, also where they are late.
    """

    def __init__(
        self,
        steps: Sequence[StepSpec],
        crew: Crew,
        *,
        do: Callable[[Command], Awaitable[None]],
        emit: Callable[[Event], object],
        clock: Callable[[], float],
    ) -> None:
        self.timeline = Timeline(steps, crew.call_at, self._perform, crew.happened)
        self.over = False
        """Everything is judged: nothing more is done."""
        self._crew = crew
        self._do = do
        self._emit = emit
        self._clock = clock
        self._stepped = trio.Event()
        self._turns: dict[str, trio.Event] = {}
        """Of the gateway ("") and each service: set once all that was to be done to it is done."""
        crew.on_held = self.happened

    def start(self, nursery: trio.Nursery) -> None:
        """Time begins; what takes time is done in `nursery`."""
        self._nursery = nursery
        self.timeline.start()

    def happened(self, name: str, t: float) -> None:
        """What others come after has happened at `t`: an expectation of this name holds, or the like."""
        self._crew.happened(name, t)
        self.timeline.follow(name, t)

    async def stepped(self) -> None:
        """Wait until another step was done."""
        await self._stepped.wait()

    async def settled(self) -> None:
        """Wait until every expectation is decided, and every step done whose time is known."""
        await self._crew.settled.wait()
        while self.timeline.open:
            await self.stepped()

    def _perform(self, step: StepSpec, due: float) -> None:
        """Do what `step` says: at once if that can be, else soon."""
        if self.over:
            return
        commands = [decode_command(one) for one in step.commands]
        try:
            if not self._do_now(commands):
                targets = {getattr(command, "service", "") for command in commands}
                before = [self._turns[target] for target in targets if target in self._turns]
                done = trio.Event()
                self._turns |= dict.fromkeys(targets, done)
                self._nursery.start_soon(self._perform_slowly, step, commands, before, done)
                return
        except IotsimError as error:
            self._failed(step, error)
        self._done(step, due)

    def _do_now(self, commands: Sequence[Command]) -> bool:
        """Whether `commands`, which are of one kind, could be carried out without waiting."""
        if any(isinstance(command, (ActOnGateway, ActOnNorthbound)) for command in commands):
            return False
        return all(self._crew.do_now(command) for command in commands)

    async def _perform_slowly(
        self,
        step: StepSpec,
        commands: Sequence[Command],
        before: Sequence[trio.Event],
        done: trio.Event,
    ) -> None:
        """As soon as all of `before` are set; sets `done`."""
        for event in before:
            await event.wait()
        try:
            for command in commands:
                await self._do(command)
        except IotsimError as error:
            self._failed(step, error)
        finally:
            done.set()
        self._done(step, self._clock())

    def _failed(self, step: StepSpec, error: IotsimError) -> None:
        """A step that cannot be done is a fault of the scenario, and ends the run."""
        self._crew.errors.append(f"{step.place}: {step.name}: {error}")
        self._crew.broken.set()

    def _done(self, step: StepSpec, t: float) -> None:
        self._emit(StepDone(t, step.name))
        self.timeline.done(step, t)
        stepped, self._stepped = self._stepped, trio.Event()
        stepped.set()
