"""What is wrong with a scenario, collected with its places, so that all of it is told at once."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iotsim.errors import Problem, ScenarioError
from iotsim.match.fieldpath import nearest as nearest_name
from iotsim.scenario.toml import LARGEST_CHARACTERS, path_text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

    from iotsim.scenario.csvdata import FileError
    from iotsim.scenario.merge import Merged
    from iotsim.scenario.toml import Keys

MOST_PROBLEMS = 100
"""After these, no more is looked for: a file that is that wrong is wrong in one way, many times."""
LONGEST_MESSAGE = 1500
LONGEST_HINT = 500

MUST_BE = "must be "
MESSAGES = {
    "missing": "this key is missing",
    "extra_forbidden": "unknown key",
    "string_type": "must be a text",
    "int_type": "must be an integer",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "bytes_type": "must be bytes such as 'hex:0a ff'",
    "list_type": "must be a list",
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "model_attributes_type": "must be a table",
    "finite_number": "must be finite",
}


class TooManyProblems(Exception):  # noqa: N818
    """Internal: `MOST_PROBLEMS` are found, and loading ends. What is wrong stands in `Problems`."""


class Problems:
    """The problems of one scenario, which stands in `file`, and in the others that it is `merged` of.

    `inherited` leads from where a key appears to be (in a template's heir) to where it stands, `spelled`
    from a value that is a parameter to where that has its value.
    """

    def __init__(self, file: str, merged: Merged | None = None) -> None:
        self.file = file
        self.merged = merged
        self.inherited: dict[Keys, Keys] = {}
        self.spelled: dict[Keys, Keys] = {}
        self._found: dict[Problem, None] = {}
        self._warnings: dict[Problem, None] = {}
        self._complete = True
        self._added = 0
        self._unknown: set[Keys] = set()
        self._unknown_in: set[Keys] = set()

    def __len__(self) -> int:
        """How often something was found wrong, be it told already, or not at all."""
        return self._added

    def silence(self, keys: Keys) -> None:
        """What stands at `keys` is not known, which is told: nothing more is told of it."""
        standing = self.origin(keys)
        self._unknown.add(standing)
        if standing and isinstance(standing[-1], int):
            self._unknown_in.add(standing[:-1])

    def add(self, keys: Keys, message: str, hint: str = "", *, of_key: bool = False) -> None:
        """Something is wrong at `keys`: with the value there, or with the key if `of_key`."""
        self._added += 1
        keys = self.origin(keys)
        if self._is_unknown(keys):
            return
        spelled = self._spelled(keys)
        if spelled != keys and not of_key:
            hint = "; ".join(filter(None, (hint, f"the value is from {self.where(spelled)}")))
        file, standing, place = self._locate(keys, of_key=of_key)
        self._keep(message, file, *place, path_text(standing), hint)

    def warn(self, keys: Keys, message: str, hint: str = "", *, of_key: bool = False) -> None:
        """Something at `keys` is suspicious, though it runs."""
        file, standing, place = self._locate(self.origin(keys), of_key=of_key)
        message, hint = _clipped(message, LONGEST_MESSAGE), _clipped(hint, LONGEST_HINT)
        found = Problem(f"warning: {message}", file, *place, path_text(standing), hint)
        if len(self._warnings) < MOST_PROBLEMS:
            self._warnings[found] = None

    @property
    def warnings(self) -> list[Problem]:
        """What is suspicious, in the order of the file."""
        return sorted(
            self._warnings, key=lambda one: (one.file != self.file, one.file, one.line, one.column)
        )

    def add_file(self, keys: Keys, name: str, path: Path, error: FileError) -> None:
        """Something is wrong with the file at `path`, which is called `name` at `keys`."""
        if not error.line:
            self.add(keys, f"{name[:200]}: {error}")
            return
        self._added += 1
        self._keep(str(error), str(path), error.line)

    def _keep(
        self, message: str, file: str, line: int, column: int = 0, path: str = "", hint: str = ""
    ) -> None:
        message, hint = _clipped(message, LONGEST_MESSAGE), _clipped(hint, LONGEST_HINT)
        found = Problem(message, file, line, column, path, hint)
        if found not in self._found and len(self._found) >= MOST_PROBLEMS:
            self._complete = False
            raise TooManyProblems
        self._found[found] = None

    def _is_unknown(self, keys: Keys) -> bool:
        if not self._unknown:
            return False
        inside = any(keys[:length] in self._unknown for length in range(1, len(keys) + 1))
        return inside or keys in self._unknown_in

    def origin(self, keys: Keys) -> Keys:
        for length in range(len(keys), 0, -1):
            standing = self.inherited.get(keys[:length])
            if standing is not None:
                return self.origin(standing + keys[length:])
        return keys

    def _locate(self, keys: Keys, *, of_key: bool = False) -> tuple[str, Keys, tuple[int, int]]:
        """The file in which `keys` stand, the keys in it, and their line and column."""
        if self.merged is None:
            return self.file, keys, (0, 0)
        source, standing = self.merged.locate(keys)
        return str(source.path), standing, source.document.place(standing, of_key=of_key)

    def where(self, keys: Keys) -> str:
        """``file:line`` of what stands at `keys`."""
        file, _, (line, _) = self._locate(self.origin(keys), of_key=True)
        return f"{file}:{line}" if line else file

    def order(self, keys: Keys) -> int:
        """A number that rises from line to line of a file, and from each file to those that are nearer."""
        keys = self.origin(keys)
        _, _, (line, _) = self._locate(keys, of_key=True)
        if self.merged is None:
            return line
        source, _ = self.merged.locate(keys)
        return self.merged.sources.index(source) * (LARGEST_CHARACTERS + 1) + line

    def folder_at(self, keys: Keys) -> Path:
        """The folder of the file that says what is at `keys`: what is relative there is looked for in it."""
        return Path(self._locate(self._spelled(self.origin(keys)))[0]).parent

    def _spelled(self, keys: Keys) -> Keys:
        """Where the value at `keys` is written, or that which it is a part of."""
        length = len(keys) if self.spelled else 0
        while length:
            standing = self.spelled.get(keys[:length])
            if standing is None:
                length -= 1
            else:
                keys = standing + keys[length:]
                length = len(keys)
        return keys

    @contextmanager
    def at(self, *keys: str | int) -> Iterator[None]:
        """A ValueError inside becomes a problem at `keys`."""
        try:
            yield
        except ValueError as error:
            self.add(keys, str(error), getattr(error, "hint", ""))

    def add_errors(
        self, error: ValidationError, prefix: Keys, known: dict[Keys, Any], table: Any
    ) -> None:
        """All errors of a pydantic model, which `table` is not; `known` gives the keys that the model at a
        path has."""
        told: list[tuple[Keys, str, str, bool]] = []
        for detail in error.errors(include_url=False):
            path, kind = tuple(detail["loc"]), detail["type"]
            message, hint = _message(detail)
            of_key = kind in ("missing", "extra_forbidden") or path[-1:] == ("[key]",)
            if kind == "extra_forbidden":
                hint = nearest(str(path[-1]), known.get(path[:-1], ()))
            if kind == "missing":
                message = f"the key '{path[-1]}' is missing"
                path = path[:-1]
            keys = _written(path, table) or path[:1]  # of a default, that has it
            both = [message, told[-1][1]] if told and told[-1][0] == keys else []
            if both and all(one.startswith(MUST_BE) for one in both):  # either of two types
                message = f"{told.pop()[1]} or {message.removeprefix(MUST_BE)}"
            told.append((keys, message, hint, of_key))
        for keys, message, hint, of_key in told:
            self.add(prefix + keys, message, hint, of_key=of_key)

    def raise_any(self) -> None:
        """ScenarioError with all problems, in the order of the file, if there are any."""
        if not self._found:
            return
        found = sorted(
            self._found, key=lambda one: (one.file != self.file, one.file, one.line, one.column)
        )
        if not self._complete:
            found.append(Problem(f"and more: these are the first {MOST_PROBLEMS}", self.file))
        raise ScenarioError(found)


def _clipped(text: str, length: int) -> str:
    return text if len(text) <= length else text[:length] + "..."


def _written(path: Keys, table: Any) -> Keys:
    """The keys of a pydantic `path` that are written in `table`: it also names types, and what a validator
    has put around a value."""
    keys: list[str | int] = []
    for step in path:
        key = str(step) if isinstance(table, dict) else step
        inside = range(len(table)) if isinstance(table, list) else table
        if isinstance(table, (dict, list)) and key in inside:
            table = table[key]  # type: ignore[index]
            keys.append(key)
    return tuple(keys)


def _message(detail: ErrorDetails) -> tuple[str, str]:
    kind = detail["type"]
    if kind == "value_error":
        error = detail.get("ctx", {}).get("error")
        return str(error), getattr(error, "hint", "")
    if kind == "literal_error":
        expected = str(detail["ctx"]["expected"])
        given = str(detail["input"])[:100]
        choices = [word.strip("' ") for word in expected.replace(" or ", ", ").split(", ")]
        shown = "true" if expected == "True" else expected
        return f"must be {shown}", nearest_name(given, choices)
    message = MESSAGES.get(kind)
    if message is None:
        text = detail["msg"].removeprefix("Input should be ")
        message = f"must be {text}" if text != detail["msg"] else text
    return message, ""


def nearest(name: str, known: Collection[str]) -> str:
    """The hint that names what was probably meant, or lists what there is."""
    hint = nearest_name(name, known)
    if not hint and known and len(known) <= 20:
        return "there is " + ", ".join(sorted(known))
    return hint
