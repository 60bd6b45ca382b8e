"""The timeline of a run: does each step of the scenario when its time has come.

A step has a time of its own, or comes after another step or an expectation. Whoever runs the simulation
gives `call_at`, to set a timer, and `perform`, which does what a step says and then calls `Timeline.done`,
at once or when it is done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from iotsim.scenario.steps import StepSpec


class Timeline:
    """The `steps` of one run. `happened` is told of each step that was done: its name, and when.

    ``open`` is how many are to be done at a time that is known, or are being done.
    """

    def __init__(
        self,
        steps: Sequence[StepSpec],
        call_at: Callable[..., object],
        perform: Callable[[StepSpec, float], object],
        happened: Callable[[str, float], object],
    ) -> None:
        self.open = 0
        self._call_at = call_at
        self._perform = perform
        self._happened = happened
        self._steps = steps
        self._after: dict[str, list[StepSpec]] = {}
        for step in steps:
            if step.after:
                self._after.setdefault(step.after, []).append(step)
        self._came: set[str] = set()

    def start(self) -> None:
        """Time begins."""
        for step in self._steps:
            if step.at_s is not None:
                self._schedule(step, step.at_s, 1)

    def follow(self, name: str, t: float) -> None:
        """What is called `name` has happened at `t`: steps that come after it have a time now."""
        for step in self._after.get(name, ()):
            self._schedule(step, t + step.delay_s, 1)

    def done(self, step: StepSpec, t: float) -> None:
        """`step` was done at `t`."""
        self.open -= 1
        self._came.add(step.name)
        self._happened(step.name, t)
        self.follow(step.name, t)

    def missing(self) -> list[StepSpec]:
        """The steps that were never done."""
        return [step for step in self._steps if step.name not in self._came]

    def _schedule(self, step: StepSpec, due: float, number: int) -> None:
        # What is repeated for ever is waited for once: else no run would ever be settled.
        counted = number == 1 or step.times is not None
        self.open += counted
        self._call_at(due, self._do, step, due, number, counted)

    def _do(self, step: StepSpec, due: float, number: int, counted: bool) -> None:
        self.open += not counted  # while it is being done
        if step.every_s and (step.times is None or number < step.times):
            self._schedule(step, due + step.every_s, number + 1)
        self._perform(step, due)
