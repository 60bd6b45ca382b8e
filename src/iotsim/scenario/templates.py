"""``extends`` of ``[devices.NAME]``: fleets that are made from another's template."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iotsim.scenario.problems import Problems
    from iotsim.scenario.toml import Keys

MERGED = ("signals", "state", "boot")
MOST_HEIRS = 32
MOST_RULES = 20_000


def inherit(devices: Mapping[str, Any], problems: Problems) -> dict[str, Any]:
    """The tables of ``devices`` with ``extends`` resolved.

    An heir has all keys of its template and may replace each; signals, state and boot are merged by
    name, and its own rules come before the template's. What a template lacks an address for is no
    fleet, and is left out.
    """
    resolved: dict[str, Any] = {}
    templates: set[str] = set()
    rules = 0
    for name in devices:
        table = _resolve(name, devices, resolved, templates, (), problems)
        own = table.get("rules") if isinstance(table, dict) else None
        rules += len(own) if isinstance(own, list) else 0
        if rules > MOST_RULES:
            message = (
                f"more than {MOST_RULES} rules in all, those of templates counted in each heir"
            )
            problems.add(("devices",), message)
            return {}
    return {
        name: table
        for name, table in resolved.items()
        if not (
            name in templates
            and isinstance(table, dict)
            and "address" not in table
            and "dhcp" not in table
        )
    }


def _resolve(
    name: str,
    devices: Mapping[str, Any],
    resolved: dict[str, Any],
    templates: set[str],
    heirs: tuple[str, ...],
    problems: Problems,
) -> Any:
    if name in resolved:
        return resolved[name]
    table = devices[name]
    base_name = table.get("extends") if isinstance(table, dict) else None
    if not isinstance(base_name, str):
        resolved[name] = table
        return table
    place = ("devices", name, "extends")
    if base_name in (*heirs, name) or len(heirs) >= MOST_HEIRS:
        problems.add(place, "extends itself" if base_name in (*heirs, name) else "too many heirs")
        resolved[name] = {key: value for key, value in table.items() if key != "extends"}
        return resolved[name]
    if base_name not in devices:
        problems.add(place, f"there is no template '{base_name[:100]}'")
        resolved[name] = {key: value for key, value in table.items() if key != "extends"}
        return resolved[name]
    templates.add(base_name)
    base = _resolve(base_name, devices, resolved, templates, (*heirs, name), problems)
    resolved[name] = _merge(name, table, base_name, base, problems)
    return resolved[name]


def _merge(
    name: str, table: dict[str, Any], base_name: str, base: Any, problems: Problems
) -> dict[str, Any]:
    merged = {key: value for key, value in table.items() if key != "extends"}
    if not isinstance(base, dict):
        return merged
    mine: Keys = ("devices", name)
    theirs: Keys = ("devices", base_name)
    for key, value in base.items():
        own = merged.get(key)
        if key not in merged:
            merged[key] = value
            problems.inherited[(*mine, key)] = problems.origin((*theirs, key))
        elif key in MERGED and isinstance(own, dict) and isinstance(value, dict):
            merged[key] = {**value, **own}
            for inner in value.keys() - own.keys():
                problems.inherited[(*mine, key, inner)] = problems.origin((*theirs, key, inner))
        elif key == "rules" and isinstance(own, list) and isinstance(value, list):
            merged[key] = own + value
            for number in range(len(value)):
                here = (*mine, key, len(own) + number)
                problems.inherited[here] = problems.origin((*theirs, key, number))
    return merged
