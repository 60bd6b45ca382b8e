"""Parameters and variables of the environment, filled in for one combination of the matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iotsim.match.fieldpath import nearest
from iotsim.scenario.parameters import VARIABLE, text_of, typed_like
from iotsim.scenario.placeholders import (
    MOST_FILLED_IN,
    PLACEHOLDER,
    is_parameter,
    names_in,
    replaced,
    variable_of,
)
from iotsim.scenario.toml import DEEPEST, MOST_VALUES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iotsim.scenario.parameters import Parameters
    from iotsim.scenario.problems import Problems
    from iotsim.scenario.toml import Keys

DEEPEST_CHAIN = 20
UNKNOWN: Any = object()
"""The value of a parameter that has none, which is told."""


class Filling:
    """What the parameters of one run stand for.

    `given` are the values of ``--set``, and those of the matrix. A value may have placeholders in it.
    `used` are the names of all parameters that something was filled in for.
    """

    def __init__(
        self,
        declared: Parameters,
        given: Mapping[str, str],
        environment: Mapping[str, str],
        problems: Problems,
    ) -> None:
        self.used: set[str] = set()
        self._declared = declared
        self._given = given
        self._environment = environment
        self._problems = problems
        self._known: dict[str, Any] = {}
        self._places: dict[str, Keys] = {}
        """Where those have their values that have them from a file."""
        self._sizes: dict[str, tuple[int, int]] = {}
        self._missing: dict[str, dict[Keys, None]] = {}
        self._characters = MOST_FILLED_IN
        self._values = MOST_VALUES

    def fill(self, document: dict[str, Any]) -> dict[str, Any]:
        """`document` with its parameters filled in; other placeholders are left."""
        filled: dict[str, Any] = replaced(document, lambda keys, text: self._fill(keys, text, ()))
        self._tell_missing()
        return filled

    def _fill(self, keys: Keys, text: str, chain: tuple[str, ...]) -> Any:
        """What `text`, at `keys`, becomes; `chain` are the parameters that it is part of."""
        if "${" not in text:
            return text
        names = names_in(text)
        values = {}
        for name in names:
            if is_parameter(name) or variable_of(name):
                values[name] = self._value(name, keys, chain)
        if not values:
            return text
        if any(value is UNKNOWN for value in values.values()):
            return UNKNOWN if chain else text
        if text == f"${{{names[0]}}}":
            if names[0] in self._places:
                self._problems.spelled[keys] = self._places[names[0]]
            return values[names[0]] if self._has_room_for(names[0], keys) else text
        for name, value in values.items():
            if isinstance(value, (list, dict)):
                kind = "list" if isinstance(value, list) else "table"
                message = f"'${{{name[:100]}}}' is a {kind}, which cannot stand inside of a text"
                self._problems.add(keys, message)
                return text
        texts = {name: text_of(value) for name, value in values.items()}
        length = sum(len(texts[name]) for name in names if name in texts)
        if not self._has_room(keys, 0, length):
            return text
        return PLACEHOLDER.sub(
            lambda match: match[0] if match[1] else texts.get(match[2], match[0]), text
        )

    def _has_room_for(self, name: str, keys: Keys) -> bool:
        if name not in self._sizes:
            self._sizes[name] = _size(self._known[name])
        return self._has_room(keys, *self._sizes[name])

    def _has_room(self, keys: Keys, values: int, characters: int) -> bool:
        if self._characters < 0 or self._values < 0:
            return False  # told already
        self._characters -= characters
        self._values -= values
        if self._characters < 0:
            message = f"parameters would fill in more than {MOST_FILLED_IN} characters"
        elif self._values < 0:
            message = f"parameters would fill in more than {MOST_VALUES} values"
        else:
            return True
        self._problems.add(keys, message)
        return False

    def _value(self, name: str, keys: Keys, chain: tuple[str, ...]) -> Any:
        """The value of the parameter or variable `name`, which stands at `keys`."""
        if name in chain or len(chain) >= DEEPEST_CHAIN:
            told = " -> ".join([*chain, name])
            what = "go round in a circle" if name in chain else "are made of others too deep"
            self._problems.add(keys, f"parameters {what}: {told[:300]}")
            return UNKNOWN
        self.used.add(name)
        if name not in self._known:
            look_up = self._variable if variable_of(name) else self._parameter
            self._known[name] = look_up(name, chain)
        value = self._known[name]
        if value is UNKNOWN:
            uses = self._missing.get(name)
            if uses is not None:
                uses[self._problems.origin(keys)] = None
            elif keys:
                self._problems.silence(keys)
        return value

    def _parameter(self, name: str, chain: tuple[str, ...]) -> Any:
        declared = self._declared
        if name in self._given:
            try:
                value = declared.setting(name, self._given[name])
            except ValueError as error:
                self._problems.add((), f"--set {name}={self._given[name][:100]}: {error}")
                return UNKNOWN
            keys: Keys = ()
            if name in declared.matrix and value in declared.matrix[name]:
                keys = ("matrix", name, declared.matrix[name].index(value))
            return self._resolved(keys, value, (*chain, name))
        if name in declared.defaults:
            value = declared.defaults[name]
            return self._resolved(("parameters", name), value, (*chain, name))
        if name not in declared.doubtful:
            self._missing[name] = {}
        return UNKNOWN

    def _resolved(self, keys: Keys, value: Any, chain: tuple[str, ...]) -> Any:
        """`value`, which stands at `keys`, with the parameters in it filled in. It is that of the last in
        `chain`."""
        whole = True
        if keys:
            self._places[chain[-1]] = keys

        def replace(inner: Keys, text: str) -> Any:
            nonlocal whole
            found = self._fill(inner, text, chain)
            whole = whole and found is not UNKNOWN
            return found

        resolved = replaced(value, replace, keys)
        if not whole:
            return UNKNOWN
        if _depth(resolved) > DEEPEST:
            self._problems.add(keys, f"nested more than {DEEPEST} deep")
            return UNKNOWN
        return resolved

    def _variable(self, name: str, chain: tuple[str, ...]) -> Any:
        variable = variable_of(name)
        defaults = self._declared.variables
        text = self._environment.get(variable) if VARIABLE.fullmatch(variable) else None
        if text is not None:
            text = text.encode("utf-8", "replace").decode().replace("${", "$${")
            example = defaults.get(variable, "")
            try:
                return typed_like(text, example)
            except ValueError as error:
                place = ("parameters", "env", variable)
                self._problems.add(place, f"the environment's {variable} {error}")
                return UNKNOWN
        if variable in defaults:
            place = ("parameters", "env", variable)
            return self._resolved(place, defaults[variable], (*chain, name))
        self._missing[name] = {}
        return UNKNOWN

    def _tell_missing(self) -> None:
        """One problem for each parameter that has no value, at the first place that names it."""
        for name, uses in self._missing.items():
            if not uses:
                continue
            first, *others = uses
            shown, variable = name[:100], variable_of(name)
            message = f"the parameter '${{{shown}}}' has no value"
            hint = f"give it by --set {shown}=VALUE, or a default in [parameters]"
            if variable:
                message = f"'${{{shown}}}': the environment has no such variable"
                hint = f"a default for it is {variable[:100]} in [parameters.env]"
            else:
                known = [*self._declared.defaults, *self._declared.matrix, *self._given]
                hint = nearest(name, known) or hint
            if others:
                plural = "" if len(others) == 1 else "s"
                message += f", here and at {len(others)} other place{plural}"
            self._problems.add(first, message, hint)
        for uses in self._missing.values():
            for keys in filter(None, uses):
                self._problems.silence(keys)


def _size(value: Any) -> tuple[int, int]:
    """How many values, and characters in them, `value` has."""
    if isinstance(value, str):
        return 1, len(value)
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    sizes = [_size(one) for one in inner]
    return 1 + sum(size[0] for size in sizes), sum(size[1] for size in sizes)


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, inner), default=0) if isinstance(value, (dict, list)) else 0
