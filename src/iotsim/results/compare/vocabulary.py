"""What has been said in a run: kinds of messages, their fields, and the names that stand in these.

A *kind* is what the first of `KIND_FIELDS` holds that a message has. A field is named by its path, as
``status.quality``; ``[]`` stands for any place in a list. A *name* is a text that looks like one: such
values are compared, as those of an enumeration. Of a field with more than `MOST_NAMES` of them none is: it
holds free text. All is bounded, whatever a gateway sends.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

KIND_FIELDS = (
    *("kind", "operation", "service", "pdu", "opcode", "function", "method", "word", "code"),
    *("type", "mode"),
)
MOST_NAMES = 32
MOST_KINDS = 256
"""Of one protocol and direction."""
MOST_FIELDS = 512
"""Of one kind."""
DEEPEST = 8
# Not what is rather a number, an identifier or bytes in hex.
_NAME = re.compile(
    r"(?!.*[0-9]{3})(?![0-9A-Fa-f]{6,}$)[A-Za-z][A-Za-z0-9_.-]{0,39}", re.ASCII | re.DOTALL
)
_PATH_PART = re.compile(r"[^\x00-\x20\x7f]{1,60}")


class Word(NamedTuple):
    """A kind, with a ``field`` of it, with a ``name`` in that; what is told of less than all is "".

    ``direction`` is the device's: "received" or "sent".
    """

    protocol: str
    direction: str
    kind: str
    field: str = ""
    name: str = ""


class Kind:
    """What messages of one kind held: the names in each field; None where it holds free text. ``whole``:
    no field was left out because there were too many."""

    __slots__ = ("fields", "whole")

    def __init__(self) -> None:
        self.fields: dict[str, set[str] | None] = {}
        self.whole = True

    def look(self, message: Mapping[str, Any], before: str = "", depth: int = DEEPEST) -> None:
        """Take in the fields of `message`, which stands at the path `before`."""
        fields = self.fields
        for name, value in message.items():
            path = before + name
            if path not in fields:
                if len(fields) >= MOST_FIELDS:
                    self.whole = False
                    continue
                if not _PATH_PART.fullmatch(name):
                    continue
                fields[path] = set()
            kind = value.__class__
            if kind is str:
                names = fields[path]
                if names is not None and value not in names:
                    self._add_name(path, names, value)
            elif kind is dict or kind is list:
                self._look_inside(path, value, depth)

    def _add_name(self, path: str, names: set[str], value: str) -> None:
        if not _NAME.fullmatch(value):
            if value and not value.startswith("hex:"):
                self.fields[path] = None
        elif len(names) < MOST_NAMES:
            names.add(value)
        else:
            self.fields[path] = None

    def _look_inside(self, path: str, value: Any, depth: int) -> None:
        if not depth:
            return
        if value.__class__ is dict:
            self.look(value, f"{path}.", depth - 1)
            return
        for one in value:
            # As of a field called "[]", without a dot before it.
            if one.__class__ in (dict, list, str):
                self.look({"[]": one}, path, depth - 1)


class Vocabulary:
    """The kinds of messages that were seen, by protocol and direction."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, str], dict[str, Kind]] = {}
        self._whole = True

    def add(self, protocol: str, direction: str, message: Mapping[str, Any]) -> None:
        kinds = self._kinds.get((protocol, direction))
        if kinds is None:
            if len(self._kinds) >= MOST_KINDS:
                self._whole = False
                return
            kinds = self._kinds[protocol, direction] = {}
        text = kind_of(message)
        kind = kinds.get(text)
        if kind is None:
            if len(kinds) >= MOST_KINDS:
                self._whole = False
                return
            kind = kinds[text] = Kind()
        kind.look(message)

    @property
    def whole(self) -> bool:
        """Whether nothing was left out because there was too much of it."""
        return self._whole and all(
            kind.whole for kinds in self._kinds.values() for kind in kinds.values()
        )

    def words(self) -> dict[str, dict[str, dict[str, dict[str, list[str] | None]]]]:
        """As plain data: protocol -> direction -> kind -> field -> its names, sorted."""
        told: dict[str, dict[str, dict[str, dict[str, list[str] | None]]]] = {}
        for (protocol, direction), kinds in sorted(self._kinds.items()):
            told.setdefault(protocol, {})[direction] = {
                text: {
                    path: names if names is None else sorted(names)
                    for path, names in sorted(kind.fields.items())
                }
                for text, kind in sorted(kinds.items())
            }
        return told


def kind_of(message: Mapping[str, Any]) -> str:
    """What tells the kind of `message`, as ``READ``; "" if no field does."""
    for name in KIND_FIELDS:
        value = message.get(name)
        if value.__class__ is str and len(value) <= 60:
            return value
    return ""


Words = dict[str, dict[str, dict[str, dict[str, list[str] | None]]]]


def unseen(these: Words, those: Words) -> Iterator[Word]:
    """What `these` have that `those` have not. Of a kind that is missing only the kind is told, and of a
    field only the field."""
    for protocol, directions in these.items():
        for direction, kinds in directions.items():
            known = those.get(protocol, {}).get(direction, {})
            for kind, fields in kinds.items():
                if kind not in known:
                    yield Word(protocol, direction, kind)
                    continue
                yield from (
                    Word(protocol, direction, kind, *what)
                    for what in _unseen_fields(fields, known[kind])
                )


def _unseen_fields(
    fields: Mapping[str, list[str] | None], known: Mapping[str, list[str] | None]
) -> Iterator[tuple[str, str]]:
    fresh = [path for path in fields if path not in known]
    for path in fresh:
        # Of a field that is new only itself is told, not what it has inside.
        if not any(path.startswith((f"{outer}.", f"{outer}[")) for outer in fresh):
            yield path, ""
    for path, names in fields.items():
        before = known.get(path)
        if names is not None and before is not None:
            yield from ((path, name) for name in names if name not in before)
