"""What the format has and this version does not: refused by name, so that nothing is ignored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from iotsim.scenario.problems import Problems
    from iotsim.scenario.toml import Keys

MESSAGE = "part of the format, not supported by this version yet"

TABLES = ("impair", "fault", "step", "northbound", "matrix")
KEYS = {
    "gateway": ("restart",),
    "devices": ("model", "power"),
    "expect": ("sequence", "latency", "delivered"),
}


def without_unsupported(
    table: dict[str, Any], kind: str, keys: Keys, problems: Problems
) -> dict[str, Any]:
    """`table` without what this version does not support, which becomes problems.

    `kind` is a table's name in `KEYS`, or "" for the file as a whole.
    """
    names = TABLES if kind == "" else KEYS.get(kind, ())
    for name in names:
        if name in table:
            problems.add((*keys, name), MESSAGE, of_key=True)
    return {key: value for key, value in table.items() if key not in names}
