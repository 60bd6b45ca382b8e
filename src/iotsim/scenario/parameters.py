"""``[parameters]`` and ``[matrix]``: what ``${NAME}`` stands for, and the runs that come of it.

A value is that of ``--set``, else of the matrix, else of ``[parameters]``. A combination of the matrix is
a mapping of names to texts, as ``--set`` takes them, so that a run can be named, started and repeated by
what a command line can say. ``${env.NAME}`` is a variable of the environment; ``[parameters.env]`` says
what it is where the environment has none. No other variable is looked at.
"""

from __future__ import annotations

import itertools
import math
import re
from typing import TYPE_CHECKING, Any

from iotsim.scenario.placeholders import names_in, typed
from iotsim.scenario.toml import TomlError, read_toml

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iotsim.scenario.problems import Problems
    from iotsim.scenario.toml import Keys

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}", re.ASCII)
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}", re.ASCII)
NO_NAMES = ("env", "results")
MOST_PARAMETERS = 1000
MOST_COMBINATIONS = 1000
LONGEST_SETTING = 1000
"""Characters of a value of the matrix, as ``--set`` takes it."""


class Parameters:
    """What a scenario declares. `defaults`, `variables` (of the environment) and `matrix` have nothing
    in them that is wrong, which is told to `problems`: `doubtful` are the names of that."""

    def __init__(self, tables: Mapping[str, Any], problems: Problems) -> None:
        self._problems = problems
        declared = dict(tables.get("parameters", {}))
        variables = declared.pop("env", {})
        if not isinstance(variables, dict):
            message = "must be a table: the values of variables that the environment lacks"
            problems.add(("parameters", "env"), message)
            variables = {}
        self.doubtful: set[str] = set()
        self.defaults = self._sound(("parameters",), declared, NAME)
        self.variables = self._sound(("parameters", "env"), variables, VARIABLE)
        self.matrix = self._matrix(tables.get("matrix", {}))

    def _sound(
        self, keys: Keys, table: Mapping[str, Any], pattern: re.Pattern[str]
    ) -> dict[str, Any]:
        if len(table) > MOST_PARAMETERS:
            self._problems.add(keys, f"more than {MOST_PARAMETERS} parameters")
            self.doubtful |= table.keys()
            return {}
        sound = {}
        for name, value in table.items():
            here = (*keys, name)
            if not pattern.fullmatch(name) or (pattern is NAME and name in NO_NAMES):
                self._problems.add(here, f"'{name[:100]}' is no name for a parameter", of_key=True)
            elif not is_value(value):
                self._problems.add(here, NO_VALUE)
            else:
                sound[name] = value
        self.doubtful |= table.keys() - sound.keys()
        return sound

    def _matrix(self, table: Mapping[str, Any]) -> dict[str, list[Any]]:
        lists = {}
        for name, values in self._sound(("matrix",), table, NAME).items():
            here = ("matrix", name)
            if not isinstance(values, list) or not values:
                hint = "with one value, it is a parameter" if not isinstance(values, list) else ""
                self._problems.add(here, "must be a list of values", hint)
            elif self._are_told_apart(here, values):
                lists[name] = values
        count = math.prod(map(len, lists.values()))
        if count > MOST_COMBINATIONS:
            shown = count if count < 10**9 else "more than a billion"
            message = f"{shown} combinations, of which there can be {MOST_COMBINATIONS}"
            self._problems.add(("matrix",), message)
            lists = {}
        self.doubtful |= table.keys() - lists.keys()
        return lists

    def _are_told_apart(self, keys: Keys, values: list[Any]) -> bool:
        """Whether each of `values` can be named on a command line."""
        before = len(self._problems)
        seen: set[str] = set()
        for number, value in enumerate(values):
            here = (*keys, number)
            text = text_of(value)
            if len(text) > LONGEST_SETTING:
                self._problems.add(here, f"longer than {LONGEST_SETTING} characters")
            elif "\0" in text:
                self._problems.add(here, "has a zero byte in it, which no command line can have")
            elif text in seen:
                self._problems.add(here, f"{text[:100]}: the value is there twice")
            seen.add(text)
        return len(self._problems) == before

    def combinations(self, given: Mapping[str, str]) -> list[dict[str, str]]:
        """What is to be set for each run of the scenario; that is `given`, if there is no matrix."""
        free = {
            name: [text_of(value) for value in values]
            for name, values in self.matrix.items()
            if name not in given
        }
        product = itertools.product(*free.values())
        return [{**given, **dict(zip(free, texts, strict=True))} for texts in product]

    def setting(self, name: str, text: str) -> Any:
        """The value of ``--set NAME=TEXT``: one of the matrix that is written so, else of the type of
        what it replaces. ValueError if it is not of that type."""
        values = self.matrix.get(name, [])
        for value in values:
            if text_of(value) == text:
                return value
        examples = [*values, *([self.defaults[name]] if name in self.defaults else [])]
        kinds = {type(example) for example in examples}
        if len(kinds) != 1 or any(_is_placeholder(example) for example in examples):
            return typed(text)
        return typed_like(text, examples[0])


NO_VALUE = "must be a text, a number, true or false, or a list or table of these"


def is_value(value: Any) -> bool:
    """Whether a parameter can be this: what TOML has, but for times."""
    if isinstance(value, dict):
        return all(map(is_value, value.values()))
    if isinstance(value, list):
        return all(map(is_value, value))
    return isinstance(value, (str, int, float))


def _is_placeholder(value: Any) -> bool:
    return isinstance(value, str) and bool(names_in(value))


def text_of(value: Any) -> str:
    """`value` as ``--set`` takes it, and as it stands inside of texts."""
    return value if isinstance(value, str) else _literal(value)


def _literal(value: Any) -> str:
    """`value` as an inline value of TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        inner = ", ".join(f"{_key(key)} = {_literal(one)}" for key, one in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list):
        return f"[{', '.join(map(_literal, value))}]"
    return _quoted(value) if isinstance(value, str) else repr(value)


def _key(name: str) -> str:
    return name if NAME.fullmatch(name) else _quoted(name)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + re.sub(r"[\x00-\x1f\x7f]", lambda one: f"\\u{ord(one[0]):04x}", escaped) + '"'


def typed_like(text: str, example: Any) -> Any:
    """`text` as a value of the type of `example`; ValueError if it is none."""
    if isinstance(example, str):
        return text
    if isinstance(example, bool):
        if text not in ("true", "false"):
            raise ValueError("must be true or false")
        return text == "true"
    if isinstance(example, (int, float)):
        if isinstance(example, int) and re.fullmatch(r"[+-]?[0-9]{1,30}", text, re.ASCII):
            return int(text)
        try:
            return float(text)
        except ValueError:
            raise ValueError("must be a number") from None
    kind = "list" if isinstance(example, list) else "table"
    try:
        table = read_toml(f"value = {text}").value
    except TomlError as error:
        raise ValueError(f"must be a {kind} as TOML has it: {error}") from None
    value = table["value"]
    if len(table) != 1 or not isinstance(value, type(example)) or not is_value(value):
        raise ValueError(f"must be a {kind} as TOML has it, such as {text_of(example)[:100]}")
    return value


def combination_text(setting: Mapping[str, str]) -> str:
    """What tells this combination from others: ``loss=30%, count=1``."""
    return ", ".join(f"{name}={text[:100]}" for name, text in setting.items())
