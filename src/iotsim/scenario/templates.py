"""``extends`` of ``[devices.NAME]``: fleets that are made from another's template."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iotsim.scenario.toml import MOST_VALUES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iotsim.scenario.problems import Problems
    from iotsim.scenario.toml import Keys

MERGED = ("signals", "state", "boot")
MOST_HEIRS = 32
MOST_RULES = 20_000
LONG_TEXT = 100
"""A text counts as one more value for every this many characters."""


def inherit(devices: Mapping[str, Any], problems: Problems) -> dict[str, Any]:
    """The tables of ``devices`` with ``extends`` resolved.

    An heir has all keys of its template and may replace each; signals, state and boot are merged by
    name, and its own rules come before the template's. What a template lacks an address for is no
    fleet, and is left out. There are none if they would be too much in all.
    """
    heritage = _Heritage(devices, problems)
    resolved = {name: heritage.resolve(name) for name in devices}
    rules = sum(_count_rules(table) for table in resolved.values())
    for count, most, what in (
        (heritage.values, MOST_VALUES, "values"),
        (rules, MOST_RULES, "rules"),
    ):
        if count > most:
            message = f"more than {most} {what} in all, those of templates counted in each heir"
            problems.add(("devices",), message)
            return {}
    return {
        name: table
        for name, table in resolved.items()
        if not (
            name in heritage.templates
            and isinstance(table, dict)
            and "address" not in table
            and "dhcp" not in table
        )
    }


def _count_rules(table: Any) -> int:
    rules = table.get("rules") if isinstance(table, dict) else None
    return len(rules) if isinstance(rules, list) else 0


class _Heritage:
    """The tables of ``devices`` while their templates are resolved.

    `templates` are the names of those that have heirs, `values` how many values all tables resolved
    have. Once these are too many, no more is merged.
    """

    def __init__(self, devices: Mapping[str, Any], problems: Problems) -> None:
        self.templates: set[str] = set()
        self.values = 0
        self._devices = devices
        self._problems = problems
        self._resolved: dict[str, Any] = {}
        self._sizes: dict[str, int] = {}

    def resolve(self, name: str, heirs: tuple[str, ...] = ()) -> Any:
        """The table of `name`, which `heirs` wait for, with what it has of its template."""
        if name not in self._resolved:
            self._resolved[name] = self._resolve(name, heirs)
            self.values += self._sizes[name]
        return self._resolved[name]

    def _resolve(self, name: str, heirs: tuple[str, ...]) -> Any:
        table = self._devices[name]
        self._sizes[name] = _size(table)
        base_name = table.get("extends") if isinstance(table, dict) else None
        if not isinstance(base_name, str):
            return table
        own = {key: value for key, value in table.items() if key != "extends"}
        message = ""
        if base_name in (*heirs, name):
            message = "extends itself"
        elif len(heirs) >= MOST_HEIRS:
            message = "too many heirs"
        elif base_name not in self._devices:
            message = f"there is no template '{base_name[:100]}'"
        if message:
            self._problems.add(("devices", name, "extends"), message)
            return own
        self.templates.add(base_name)
        base = self.resolve(base_name, (*heirs, name))
        self._sizes[name] += self._sizes[base_name]
        if self.values + self._sizes[name] > MOST_VALUES:
            return own
        return _merge(name, own, base_name, base, self._problems)


def _size(value: Any) -> int:
    """How many values it is, a long text being several: what it costs to build something of it."""
    if isinstance(value, dict):
        return 1 + sum(map(_size, value.values()))
    if isinstance(value, list):
        return 1 + sum(map(_size, value))
    return 1 + len(value) // LONG_TEXT if isinstance(value, str) else 1


def _merge(
    name: str, own: dict[str, Any], base_name: str, base: Any, problems: Problems
) -> dict[str, Any]:
    merged = dict(own)
    if not isinstance(base, dict):
        return merged
    here: Keys = ("devices", name)
    there: Keys = ("devices", base_name)
    for key, value in base.items():
        mine = own.get(key)
        if key not in own:
            merged[key] = value
            problems.inherited[(*here, key)] = problems.origin((*there, key))
        elif key in MERGED and isinstance(mine, dict) and isinstance(value, dict):
            merged[key] = {**value, **mine}
            for inner in value.keys() - mine.keys():
                problems.inherited[(*here, key, inner)] = problems.origin((*there, key, inner))
        elif key == "rules" and isinstance(mine, list) and isinstance(value, list):
            merged[key] = mine + value
            for number in range(len(value)):
                standing = problems.origin((*there, key, number))
                problems.inherited[(*here, key, len(mine) + number)] = standing
    return merged
