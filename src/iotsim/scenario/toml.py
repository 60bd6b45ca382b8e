"""TOML 1.0 with the place of every key: the only caller of the parser.

toml-rs gives a tree of nodes beside the values. A node that has ``key_line`` is a key with a value,
a node that has ``value_line`` alone is an element of an array, any other is a table made by a
header or by dotted keys, whose own place is not known: it is that of its header, which is looked
for in the text, or else of its first key.

The parser recurses without a limit of its own, in nested values and in a run of equals signs; its time
grows with the square of a number's digits, and it takes about a kilobyte for each value. So a scan
bounds all of this before: in one pass it finds strings and comments exactly as the parser's lexer
does, also those that are not closed, and counts what is left. A carriage return that does not belong
to a line feed, where lexers differ, is refused before.
"""

from __future__ import annotations

import os
import re
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

# The parser has an allocator of its own, which would take 4 MiB of huge pages as it is loaded.
_COMMIT = "MIMALLOC_ARENA_EAGER_COMMIT"
_was_set = _COMMIT in os.environ
os.environ.setdefault(_COMMIT, "0")
import toml_rs  # noqa: E402

if not _was_set:
    del os.environ[_COMMIT]  # a gateway's environment is nobody's but the user's

if TYPE_CHECKING:
    from collections.abc import Sequence

Keys: TypeAlias = "tuple[str | int, ...]"

LARGEST_CHARACTERS = 4 << 20
DEEPEST = 40
MOST_VALUES = 250_000
"""Each takes about 1 kB while the parser tells its place."""
LONGEST_WORD = 1000
LONGEST_PATH = 400

_STRING = r"""
    (?: "{3} (?: [^"\\]++ | \\. | "(?!"") )*+ (?: "{3,5} | \\?\Z )
      | '{3} (?: [^']++ | '(?!'') )*+ (?: '{3,5} | \Z )
      | "    (?: [^"\\\n]++ | \\["\\] | \\ )*+ "?
      | '    [^'\n]*+ '?
    )
"""
_STRINGS = re.compile(_STRING, re.DOTALL | re.VERBOSE)
_DELIMITERS = r".=,\[\]{}\ \t\#\r\n"
_TOKEN = re.compile(
    rf"""
      (?P<open> [\[{{] )
    | (?P<close> [\]}}] )
    | (?P<comma> , )
    | (?P<equals> = (?: [ \t]*+ = )*+ )      # the parser descends at each further one
    | \#[^\n]*+
    | (?P<path>                             # a dotted key, but for its first word
          (?: (?: {_STRING} | \. )
              [ \t]*+ (?: [^{_DELIMITERS}"'][^{_DELIMITERS}]*+ )?+ [ \t]*+ )++ )
    | (?<! [^{_DELIMITERS}"'] )             # a word with quotes in it, which begin no string
          [^{_DELIMITERS}"']++ ["'] [^{_DELIMITERS}]*+
    | (?<! [^{_DELIMITERS}"'] ) (?P<word> [^{_DELIMITERS}"']{{{LONGEST_WORD + 1}}} )
    """,
    re.DOTALL | re.VERBOSE,
)

_LONE_RETURN = re.compile(r"\r(?!\n)")
_HEADER = re.compile(r"^[ \t]*\[(?!\[)([^\n\]]+)\]", re.MULTILINE)
_HEADER_NAME = re.compile(r""""([^"\n]*)"|'([^'\n]*)'|([\w-]+)""")


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
    """A parsed text: `value`, and the place of every key in it. It has so many `values`, about."""

    def __init__(
        self, text: str, value: dict[str, Any], nodes: dict[str, Any], values: int
    ) -> None:
        self.value = value
        self.values = values
        self._text = text
        self._nodes = nodes
        self._firsts: dict[int, Place | None] = {}

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
        names = tuple(key for key in keys if isinstance(key, str))
        return self._headers.get(names) or self._first(node)

    @cached_property
    def _headers(self) -> dict[tuple[str, ...], Place]:
        """Where the header of each table stands; made once there is a problem."""
        headers: dict[tuple[str, ...], Place] = {}
        line, counted = 1, 0
        for header in _HEADER.finditer(self._text):
            start = header.end() - len(header[1]) - 2
            line += self._text.count("\n", counted, start)
            counted = start
            names = tuple("".join(name.groups("")) for name in _HEADER_NAME.finditer(header[1]))
            headers.setdefault(names, Place(line, start - header.start() + 1))
        return headers

    def _first(self, node: Any) -> Place | None:
        if _is_leaf(node):
            return _place(node, "key" if "key_line" in node else "value")
        if not isinstance(node, dict):
            return None
        if id(node) not in self._firsts:
            places = [place for inner in node.values() if (place := self._first(inner)) is not None]
            self._firsts[id(node)] = min(places, default=None)
        return self._firsts[id(node)]


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


def read_toml(text: str, *, most_values: int = MOST_VALUES) -> Document:
    """Parse `text`; TomlError says what is wrong with it and where."""
    if len(text) > LARGEST_CHARACTERS:
        raise TomlError(f"longer than {LARGEST_CHARACTERS} characters", Place(0, 0))
    if (stray := _LONE_RETURN.search(text)) is not None:
        message = "a carriage return that does not belong to the end of a line"
        raise TomlError(message, _place_at(text, stray.start()))
    values = _check_limits(text, most_values)
    try:
        document = toml_rs.load_with_metadata(text, toml_version="1.0.0")
        return Document(text, document.value, document.meta["nodes"], values)
    except toml_rs.TOMLDecodeError as error:
        reason = error.msg.rstrip().rpartition("\n")[2] or "not TOML"
        raise TomlError(reason, Place(error.lineno, error.colno)) from None
    except (ValueError, OverflowError, RecursionError) as error:
        raise TomlError(f"not TOML: {error}"[:200], Place(0, 0)) from None


def _check_limits(text: str, most_values: int) -> int:
    """How many values `text` has; TomlError for what would crash the parser, or take it too much time
    or memory.

    Each value begins with a bracket, or after a comma, an equals sign or, as a table, the dot of a key.
    """
    opened: list[str] = []
    values = 0
    for token in _TOKEN.finditer(text):
        kind, inner = token.lastgroup, 0
        if kind == "open":
            opened.append("]" if token[0] == "[" else "}")
        elif kind == "close":
            if opened and token[0] == opened[-1]:  # to the parser, any other closes nothing
                opened.pop()
        elif kind == "equals":
            inner = token[0].count("=")
        elif kind == "path" and "." in token[0]:
            inner = _STRINGS.sub("", token[0]).count(".")
        values += inner + (kind in ("open", "comma"))
        if len(opened) + inner > DEEPEST:
            reason = f"nested more than {DEEPEST} deep"
        elif values > most_values:
            reason = f"more than {MOST_VALUES} values and tables"
            if most_values < MOST_VALUES:
                reason += ", with those of the files before"
        elif kind == "word":
            reason = f"a word of more than {LONGEST_WORD} characters"
        else:
            continue
        raise TomlError(reason, _place_at(text, token.start()))
    return values


def _place_at(text: str, offset: int) -> Place:
    line_start = text.rfind("\n", 0, offset) + 1
    return Place(text.count("\n", 0, offset) + 1, offset - line_start + 1)


def path_text(keys: Sequence[str | int]) -> str:
    """``devices.meter.rules[0].when`` of the keys that lead there."""
    text = ""
    for key in keys:
        if isinstance(key, int):
            text += f"[{key}]"
        else:
            shown = key if re.fullmatch(r"[\w-]{1,80}", key) else repr(key[:80])
            text += f".{shown}" if text else shown
    return text if len(text) <= LONGEST_PATH else f"{text[:LONGEST_PATH]}..."
