"""TOML 1.0 with the place of every key: the only caller of the parser.

toml-rs gives a tree of nodes beside the values. A node that has ``key_line`` is a key with a value,
a node that has ``value_line`` alone is an element of an array, any other is a table made by a
header or by dotted keys, whose own place is not known: it is that of its header, which is looked
for in the text, or else of its first key.

The parser recurses without a limit of its own, so nesting is bounded before it sees the text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import toml_rs

if TYPE_CHECKING:
    from collections.abc import Sequence

Keys: TypeAlias = "tuple[str | int, ...]"

LARGEST_CHARACTERS = 4 << 20
DEEPEST = 40

_TOKEN = re.compile(
    r'"""(?:[^\\]|\\.)*?"""|\'\'\'.*?\'\'\'|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'|#[^\n]*|[\[\]{}.=,\n]',
    re.DOTALL,
)


class Place(NamedTuple):
    """Line and column, from 1; (0, 0) where unknown."""

    line: int
    column: int


class TomlError(ValueError):
    """Text that is not TOML."""

    def __init__(self, message: str, place: Place) -> None:
        self.place = place
        super().__init__(message)


class Document:
    """A parsed text: `value`, and the place of every key in it."""

    def __init__(self, text: str, value: dict[str, Any], nodes: dict[str, Any]) -> None:
        self.value = value
        self._text = text
        self._nodes = nodes

    def place(self, keys: Keys, *, of_key: bool = False) -> Place:
        """Where the value at `keys` stands (its key if `of_key`), or else what encloses it."""
        node: Any = self._nodes
        found = Place(0, 0)
        for number, key in enumerate(keys):
            inner = node["value"] if _is_leaf(node) else node
            try:
                node = inner[key]
            except (LookupError, TypeError):
                break
            last = number == len(keys) - 1
            if not _is_leaf(node):
                found = self._table_place(keys[: number + 1], node) or found
            elif last and of_key and "key_line" in node:
                found = _place(node, "key")
            elif last or "key_line" not in node:
                found = _place(node, "value")
            else:
                found = _place(node, "key")
        return found

    def _table_place(self, keys: Keys, node: Any) -> Place | None:
        names = [key for key in keys if isinstance(key, str)]
        header = r"\s*\.\s*".join(rf'["\']?{re.escape(name)}["\']?' for name in names)
        match = re.search(rf"^[ \t]*\[\s*{header}\s*\]", self._text, re.MULTILINE)
        if match is not None:
            start = self._text.index("[", match.start())
            line_start = self._text.rfind("\n", 0, start) + 1
            return Place(self._text.count("\n", 0, start) + 1, start - line_start + 1)
        return _first(node)


def _is_leaf(node: Any) -> bool:
    """Whether it is a node with a place; a table may have keys of the same names as a node's."""
    return isinstance(node, dict) and any(
        isinstance(node.get(name), (int, tuple)) for name in ("key_line", "value_line")
    )


def _place(node: dict[str, Any], what: str) -> Place:
    if f"{what}_line" not in node:
        what = "key"  # the value of several [[headers]] has no place of its own
    line, column = node[f"{what}_line"], node[f"{what}_col"]
    return Place(
        line[0] if isinstance(line, tuple) else line,
        column[0] if isinstance(column, tuple) else column,
    )


def _first(node: Any) -> Place | None:
    if _is_leaf(node):
        return _place(node, "key" if "key_line" in node else "value")
    if isinstance(node, dict):
        places = [place for inner in node.values() if (place := _first(inner)) is not None]
        return min(places, default=None)
    return None


def read_toml(text: str) -> Document:
    """Parse `text`; TomlError says what is wrong with it and where."""
    if len(text) > LARGEST_CHARACTERS:
        raise TomlError(f"longer than {LARGEST_CHARACTERS} characters", Place(0, 0))
    _check_nesting(text)
    try:
        document = toml_rs.load_with_metadata(text, toml_version="1.0.0")
        return Document(text, document.value, document.meta["nodes"])
    except toml_rs.TOMLDecodeError as error:
        reason = error.msg.rstrip().rpartition("\n")[2] or "not TOML"
        raise TomlError(reason, Place(error.lineno, error.colno)) from None
    except (ValueError, OverflowError, RecursionError) as error:
        raise TomlError(f"not TOML: {error}"[:200], Place(0, 0)) from None


def _check_nesting(text: str) -> None:
    depth = dots = 0
    for token in _TOKEN.finditer(text):
        sign = token[0]
        if sign == ".":
            dots += 1
        elif sign in ("[", "{"):
            depth += 1
            dots = 0
        else:
            if sign in ("]", "}"):
                depth = max(0, depth - 1)
            if sign[0] not in "\"'":
                dots = 0
        if depth + dots > DEEPEST:
            line = text.count("\n", 0, token.start()) + 1
            raise TomlError(f"nested more than {DEEPEST} deep", Place(line, 0))


def path_text(keys: Sequence[str | int]) -> str:
    """``devices.meter.rules[0].when`` of the keys that lead there."""
    text = ""
    for key in keys:
        if isinstance(key, int):
            text += f"[{key}]"
        else:
            shown = key if re.fullmatch(r"[\w-]{1,80}", key) else repr(key[:80])
            text += f".{shown}" if text else shown
    return text
