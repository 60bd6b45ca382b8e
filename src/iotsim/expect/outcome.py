"""What became of an expectation."""

from __future__ import annotations

from dataclasses import dataclass

MAX_DEVICES = 20
"""An outcome names at most so many devices; it always tells how many there are."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One expectation, judged. All texts are one line, for people.

    ``expected``: what the scenario asked for. ``actual``: what was seen. ``nearest``: what came
    nearest to what was expected and the field that differed, or the message that should not have
    come. ``devices``: the devices that made it fail, at most `MAX_DEVICES` of ``total``, and
    ``details`` what each of these heard, in the same order. ``t``: when it failed, seconds of the
    run; None where it was found out at the end only. ``error``: an expression of the expectation
    itself failed, which makes the scenario wrong.
    """

    name: str
    kind: str
    passed: bool
    severity: str
    expected: str
    actual: str
    nearest: str = ""
    devices: tuple[str, ...] = ()
    details: tuple[str, ...] = ()
    total: int = 0
    place: str = ""
    t: float | None = None
    error: str = ""
