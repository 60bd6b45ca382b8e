"""The commands and environments of the processes that a scenario has: the gateway, services."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field

from iotsim.scenario.parameters import text_of
from iotsim.scenario.schema import MOST_ITEMS, written

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from iotsim.scenario.problems import Problems
    from iotsim.scenario.toml import Keys

MOST_ENV = 1000


def _command(value: Any) -> Any:
    if isinstance(value, str):
        try:
            words = shlex.split(value)
        except ValueError:
            words = [value]
        raise ValueError(f"must be a list of the program and its arguments: {json.dumps(words)}")
    return [_word(word) for word in value] if isinstance(value, list) else value


def _word(value: Any) -> Any:
    """A parameter alone has a type of its own, and what processes are given is text."""
    return text_of(value) if isinstance(value, (bool, int, float)) else value


def _environment(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _word(one) for name, one in value.items()}
    return value


WORD: dict[str, Any] = {"type": ["string", "number", "boolean"]}
Command = Annotated[
    list[str],
    Field(min_length=1, max_length=MOST_ITEMS),
    BeforeValidator(written(_command, type="array", items=WORD, minItems=1)),
]

Environment = Annotated[
    dict[str, str],
    BeforeValidator(
        written(
            _environment,
            type="object",
            additionalProperties=WORD,
        )
    ),
]


def check_program(
    command: Sequence[str], env: Mapping[str, str], keys: Keys, problems: Problems
) -> None:
    """Tell what no process can be given, of ``command`` and ``env`` in the table at `keys`."""
    if command and not command[0]:
        problems.add((*keys, "command"), "the command's name is empty")
    for number, word in enumerate(command):
        if "\0" in word:
            problems.add((*keys, "command", number), "has a zero byte in it")
    if len(env) > MOST_ENV:
        problems.add((*keys, "env"), f"more than {MOST_ENV} variables")
    for name, value in env.items():
        if not name or "=" in name or "\0" in name + value:
            problems.add((*keys, "env", name), "no name and value for a variable", of_key=True)
