"""Standings: how far expectations are while a run goes on, for whoever watches it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

Unit = Literal["", "device", "message", "time", "part"]


class Standing(NamedTuple):
    """How far one expectation is: of `total` things ``held`` have done what was asked, and ``broken`` can
    do so no more. `total` is 0 where it has no end that is known; ``unit`` says what is counted, "" that
    nothing is.

    ``keeps``: it forbids something, so that it holds as long as nothing is broken. ``due``: when time decides
    what is left, in seconds of the run, None where it does not. ``after``: what it waits for before it
    begins, "" once it has begun.
    """

    verdict: bool | None = None
    unit: Unit = ""
    held: int = 0
    broken: int = 0
    total: int = 0
    keeps: bool = False
    due: float | None = None
    after: str = ""


def add_standings(parts: Sequence[Standing], verdict: bool | None) -> Standing:
    """Those of several judges of the same expectation as one, which has come to `verdict`."""
    told = [part for part in parts if part.unit]
    if not told:
        return parts[0]._replace(verdict=verdict)
    totals = [part.total for part in told]
    dues = [part.due for part in told if part.due is not None]
    return told[0]._replace(
        verdict=verdict,
        held=sum(part.held for part in told),
        broken=sum(part.broken for part in told),
        # Each has its own devices, but all ask for the same number of anything else.
        total=sum(totals) if told[0].unit == "device" else max(totals),
        due=max(dues, default=None),
    )
