"""How much a command tells of what it does."""

from __future__ import annotations

from enum import IntEnum

from iotsim.errors import Problem, ScenarioError


class Level(IntEnum):
    """``QUIET``: the verdict alone. ``VERBOSE``: also what happens while a run goes on, line by line."""

    QUIET = 0
    NORMAL = 1
    VERBOSE = 2


def level_of(*, quiet: bool, verbose: bool) -> Level:
    """What the options of a command ask for; ScenarioError if that is both."""
    if quiet and verbose:
        raise ScenarioError([Problem("it can only be one of the two", "--quiet --verbose")])
    return Level.QUIET if quiet else Level.VERBOSE if verbose else Level.NORMAL
