"""The result of a run, as a fold over its events.

Three kinds of events make it: how the run started, what became of each expectation (of several events
about one, the last counts), and how the run ended. So whoever has ``events.jsonl`` has the result, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from iotsim.events import ExpectationDecided, RunEnded, RunStarted
from iotsim.results.result import RunResult, utc_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from iotsim.events import Event, Outcome


def fold(events: Iterable[Event]) -> RunResult:
    """The result that `events`, in their order, amount to; ValueError if they do not tell how it started.

    If the run has not ended, it is "running", up to the last event.
    """
    started: RunStarted | None = None
    ended: RunEnded | None = None
    outcomes: dict[int, Outcome] = {}
    last = 0.0
    for event in events:
        last = event.t
        if isinstance(event, ExpectationDecided):
            outcomes[event.outcome.number] = event.outcome
        elif isinstance(event, RunStarted):
            started = event
        elif isinstance(event, RunEnded):
            ended = event
    if started is None:
        raise ValueError("these events do not tell how the run started")
    result = result_of(started, [outcomes[number] for number in sorted(outcomes)], ended)
    if ended is None:
        result.duration_s = last
    return result


def result_of(
    started: RunStarted, outcomes: list[Outcome], ended: RunEnded | None = None
) -> RunResult:
    """The result of a run that started so, came to these outcomes, and ended so, if it has."""
    result = RunResult(
        scenario=started.scenario,
        path=started.path,
        seed=started.seed,
        started=utc_text(started.wall_time),
        repeat=started.repeat,
        parameters=started.parameters,
        link=started.link,
        tolerance=started.tolerance,
        speed=started.speed,
        fleets=started.fleets,
        versions=started.versions,
        expectations=outcomes,
    )
    if ended is not None:
        result.verdict = ended.verdict
        result.reason = ended.reason
        result.duration_s = ended.duration_s
        result.notes = ended.notes
        result.errors = ended.errors
        result.gateway = ended.gateway
        result.counters = ended.counters
        result.unmatched = ended.unmatched
        result.lag = ended.lag
        result.files = ended.files
    return result
