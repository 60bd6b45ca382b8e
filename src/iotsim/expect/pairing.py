"""What a message has in common with the one that answers it: the fields that its protocol echoes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

LONGEST_KEY = 64


def echo_key(echo: Sequence[str]) -> Callable[[Mapping[str, Any]], Hashable | None] | None:
    """The function that gives the values of these fields in a message, None if it lacks one of them.

    None where nothing is echoed.
    """
    if not echo:
        return None
    paths = [path.split(".") for path in echo]

    def key(message: Mapping[str, Any]) -> Hashable | None:
        values: list[Any] = []
        for path in paths:
            value: Any = message
            for name in path:
                value = value.get(name) if isinstance(value, dict) else None
            if value is None:
                return None
            short = isinstance(value, int | float) or (
                isinstance(value, str | bytes) and len(value) <= LONGEST_KEY
            )
            values.append(value if short else hash(repr(value)))
        return tuple(values)

    return key
