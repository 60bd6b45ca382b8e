"""Options of the commands that load scenarios, from text to values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iotsim.errors import Problem, ScenarioError
from iotsim.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import Iterable


def parse_set(pairs: Iterable[str]) -> dict[str, str]:
    """What ``--set NAME=VALUE`` says; ScenarioError for what is no such pair."""
    parameters = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise ScenarioError([Problem(f"{pair!r} is no NAME=VALUE", "--set")])
        parameters[name] = value
    return parameters


def option_duration(text: str) -> float:
    """What ``--duration 30s`` says, in seconds; ScenarioError for what is no duration."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise ScenarioError([Problem(str(error), "--duration")]) from None
