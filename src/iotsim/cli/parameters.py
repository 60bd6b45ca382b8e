"""``--set NAME=VALUE``, for the commands that load scenarios."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iotsim.errors import Problem, ScenarioError

if TYPE_CHECKING:
    from collections.abc import Iterable


def parse_set(pairs: Iterable[str]) -> dict[str, str]:
    """Names and values; ScenarioError for what is no pair."""
    parameters = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise ScenarioError([Problem(f"{pair!r} is no NAME=VALUE", "--set")])
        parameters[name] = value
    return parameters
