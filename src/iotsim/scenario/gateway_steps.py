"""What steps do to the gateway, as far as the file alone tells: who starts it, and what cannot be meant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from iotsim.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iotsim.scenario.model import GatewaySpec
    from iotsim.scenario.problems import Problems
    from iotsim.scenario.steps import StepSpec

MOST_REPEATED = 100
"""So often a repeated step is looked at."""


class Planned(NamedTuple):
    """A step, as far as it matters here: when it comes, and its `action` on the gateway ("" for none)."""

    name: str
    at_s: float | None
    after: str
    delay_s: float
    action: str


class Act(NamedTuple):
    """What is done to the gateway at a time; ``number`` is the step's place in the file."""

    at_s: float
    number: int
    action: str


def action_of(step: StepSpec) -> str:
    """What `step` does to the gateway, "" if it is about something else."""
    for command in step.commands:
        if command["do"] == "gateway":
            return str(command["gateway"])
    return ""


def starts_gateway(step: StepSpec) -> bool:
    """Whether after `step` the gateway runs."""
    return action_of(step) in ("start", "restart")


def first_start(tables: Any) -> tuple[bool, float]:
    """Of ``[[step]]`` as the file has it: whether a step starts the gateway for the first time, and when at
    the earliest.

    It is so where the first step about the gateway is ``start``: the first in the file, unless another
    one's time is known to be earlier. What is wrong with the steps is told elsewhere.
    """
    listed = tables if isinstance(tables, list) else []
    steps = [_planned(number, raw) for number, raw in enumerate(listed) if isinstance(raw, dict)]
    about = [step for step in steps if step.action]
    if not about or about[0].action != "start":
        return False, 0.0
    times = _times(steps)
    start = times.get(about[0].name)
    if start is None:
        return True, 0.0
    return start <= min(times[step.name] for step in about if step.name in times), start


def check_gateway_steps(
    steps: Sequence[StepSpec], gateway: GatewaySpec, problems: Problems
) -> None:
    """Tell of steps that make no sense whatever the gateway does, by those before them.

    What depends on whether it has exited by itself is left to the run; and so is everything, where the
    time of one of these steps is not known.
    """
    times = _times([Planned(s.name, s.at_s, s.after, s.delay_s, action_of(s)) for s in steps])
    about = [(number, step) for number, step in enumerate(steps) if action_of(step)]
    if any(step.name not in times for _, step in about):
        return
    acts = sorted(
        Act(times[step.name] + turn * step.every_s, number, action_of(step))
        for number, step in about
        for turn in range(min(step.times or MOST_REPEATED, MOST_REPEATED))
    )
    state = "waiting" if gateway.waits else "up"
    for act in acts:
        why = _refusal(state, act.action)
        if why:
            problems.add(("step", act.number, "gateway"), why)
            return
        state = _after(act.action, returns=gateway.restart.policy != "never")


def _planned(number: int, raw: dict[str, Any]) -> Planned:
    name = str(raw.get("name") or f"step {number + 1}")
    at_s = _seconds(raw["at"]) if "at" in raw else None
    delay_s = _seconds(raw.get("delay", "0s"))
    return Planned(name, at_s, str(raw.get("after", "")), delay_s, str(raw.get("gateway", "")))


def _seconds(value: Any) -> float:
    try:
        return parse_duration(value)
    except (TypeError, ValueError, AttributeError):
        return 0.0


def _times(steps: Sequence[Planned]) -> dict[str, float]:
    """name -> when that step is done for the first time, where the file tells: also after another step."""
    times: dict[str, float] = {}
    left = list(steps)
    while left:
        later = []
        for step in left:
            if step.at_s is not None:
                times[step.name] = step.at_s
            elif step.after in times:
                times[step.name] = times[step.after] + step.delay_s
            else:
                later.append(step)
        if len(later) == len(left):
            break
        left = later
    return times


def _refusal(state: str, action: str) -> str:
    if state == "waiting" and action != "start":
        return 'it has not been started yet: an earlier step must be gateway = "start"'
    if state == "down" and action != "start":
        return "an earlier step has ended it, and none has started it since"
    if state == "paused" and action in ("pause", "start"):
        return 'it is paused: an earlier step must be gateway = "resume"'
    if state == "up" and action == "resume":
        return "it is not paused"
    return ""


def _after(action: str, *, returns: bool) -> str:
    if action == "pause":
        return "paused"
    if action == "kill" and returns:
        return "returning"
    return "down" if action in ("stop", "kill") else "up"
