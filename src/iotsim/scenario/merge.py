"""Several files as one document: what stands in the nearer file wins.

Tables are merged at every level, and each key keeps the place where it stands (`Merged.locate`). Some
values are whole, and replaced as such: they mean something only together. Lists of tables that are
sections (``[[expect]]``) are joined, those of the base first; of rules, of which the first that matches
answers, those of the nearer file come first. Any other list is replaced.

Files that agree in what is a table and what is a list can be merged in any grouping, to the same end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from iotsim.scenario.sections import SECTIONS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from iotsim.scenario.toml import Document, Keys

WHOLE = (
    ("gateway", "ready"),
    ("devices", "*", "signals", "*"),
    ("devices", "*", "boot", "announce"),
    ("parameters", "env", "*"),
    ("matrix", "*"),
)
"""Tables that are replaced, and not merged: a signal, a message, one way out of several, a value."""


@dataclass(frozen=True, eq=False)
class Source:
    """A file of a scenario."""

    path: Path
    document: Document


class _Part(NamedTuple):
    """What one of the files has at some keys of the merged document: `value`, at its own `keys`."""

    source: Source
    keys: Keys
    value: Any


class Merged:
    """The document that several files make: `value`, and where everything in it stands.

    `sources` are the files, the one that is loaded last.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self.sources = tuple(sources)
        self._origins: dict[Keys, tuple[Source, Keys]] = {}
        parts = [_Part(source, (), source.document.value) for source in sources]
        self.value: dict[str, Any] = self._merge(parts, ())

    def locate(self, keys: Keys) -> tuple[Source, Keys]:
        """The file that has what stands at `keys`, and the keys that lead there in it."""
        for length in range(len(keys), 0, -1):
            found = self._origins.get(keys[:length])
            if found is not None:
                source, standing = found
                return source, standing + keys[length:]
        return self.sources[-1], keys

    def _merge(self, parts: list[_Part], keys: Keys) -> Any:
        if _is_list(keys):
            parts = _without_mistakes(parts, keys)
        nearest = parts[-1]
        self._origins[keys] = (nearest.source, nearest.keys)
        joined = _joined(parts, keys)
        if len(joined) == 1:
            return nearest.value
        if isinstance(nearest.value, list):
            return self._join(joined, keys)
        names = dict.fromkeys(name for part in joined for name in part.value)
        merged = {}
        for name in names:
            inner = [
                _Part(part.source, (*part.keys, name), part.value[name])
                for part in joined
                if name in part.value
            ]
            merged[name] = self._merge(inner, (*keys, name))
        return merged

    def _join(self, parts: list[_Part], keys: Keys) -> list[Any]:
        items: list[Any] = []
        for part in reversed(parts) if _is_rules(keys) else parts:
            for number, item in enumerate(part.value):
                self._origins[(*keys, len(items))] = (part.source, (*part.keys, number))
                items.append(item)
        return items


def _without_mistakes(parts: list[_Part], keys: Keys) -> list[_Part]:
    """`parts` as lists, since one rule may be a table; or what is no list alone, so that it is refused."""
    if _is_rules(keys) and len(parts) > 1:
        parts = [
            part._replace(value=[part.value]) if isinstance(part.value, dict) else part
            for part in parts
        ]
    return [part for part in parts if not isinstance(part.value, list)][:1] or parts


def _joined(parts: list[_Part], keys: Keys) -> list[_Part]:
    """Those of `parts` that go together with the nearest, which is the last."""
    nearest = parts[-1].value
    merges = isinstance(nearest, dict) and not _is_whole(keys)
    if not merges and not (isinstance(nearest, list) and _is_list(keys)):
        return parts[-1:]
    first = len(parts) - 1
    while first > 0 and isinstance(parts[first - 1].value, type(nearest)):
        first -= 1
    return parts[first:]


def _is_whole(keys: Keys) -> bool:
    if len(keys) == 2 and keys[0] == "parameters":
        return keys[1] != "env"
    return any(
        len(keys) == len(whole)
        and all(name in ("*", key) for name, key in zip(whole, keys, strict=True))
        for whole in WHOLE
    )


def _is_list(keys: Keys) -> bool:
    """Whether they lead to a list of tables that is joined."""
    if len(keys) == 1:
        section = SECTIONS.get(str(keys[0]))
        return section is not None and section.form == "list"
    return _is_rules(keys)


def _is_rules(keys: Keys) -> bool:
    """Whether they lead to an ordered list of which the first that matches answers."""
    if len(keys) != 3 or keys[2] != "rules":
        return False
    section = SECTIONS.get(str(keys[0]))
    return section is not None and section.form == "tables by name"
