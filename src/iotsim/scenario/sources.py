"""``extends`` and ``include``: the files that a scenario is made of.

The base comes first, then what is included, in order, then the file itself; so does what each of these
is made of. A relative name belongs to the file that it stands in.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from iotsim.errors import Problem, ScenarioError
from iotsim.scenario.csvdata import FileError, read_text
from iotsim.scenario.merge import Source
from iotsim.scenario.placeholders import names_in
from iotsim.scenario.problems import MOST_PROBLEMS
from iotsim.scenario.sections import SECTIONS
from iotsim.scenario.toml import (
    LARGEST_CHARACTERS,
    MOST_VALUES,
    TomlError,
    path_text,
    read_toml,
)

if TYPE_CHECKING:
    from iotsim.scenario.toml import Keys

EXTENDS, INCLUDE = COMPOSING = ("extends", "include")
"""The keys of a file, outside of all tables, that name others."""
MOST_FILES = 250
DEEPEST_FILES = 20
LONGEST_NAME = 200


def read_sources(path: Path, text: str | None = None) -> list[Source]:
    """The file at `path` after all those that it is made of; `text` is what it says, if that is known.

    ScenarioError tells all that is wrong with the files as such, and with how they name each other.
    """
    gathering = _Gathering()
    if text is None:
        try:
            text = read_text(path, LARGEST_CHARACTERS)
        except FileError as error:
            raise ScenarioError([Problem(str(error), str(path), error.line)]) from None
    gathering.take(path, text, {})
    if gathering.problems:
        raise ScenarioError(gathering.problems[:MOST_PROBLEMS])
    return gathering.sources


class _Gathering:
    """The files found so far, in the order in which they are merged."""

    def __init__(self) -> None:
        self.sources: list[Source] = []
        self.problems: list[Problem] = []
        self._taken: dict[str, str] = {}
        """The real path of each file that is named, and where it was."""
        self._named = 0
        self._characters = 0
        self._values = 0

    def take(self, path: Path, text: str, heirs: dict[str, Path]) -> None:
        """Take the file at `path`, which says `text`, after all that it is made of. `heirs` are those
        that have led here, by their real paths."""
        self._characters += len(text)
        if self._characters > LARGEST_CHARACTERS:
            self._refuse(
                path, f"longer than {LARGEST_CHARACTERS} characters, with the files before"
            )
            return
        try:
            document = read_toml(text, most_values=MOST_VALUES - self._values)
        except TomlError as error:
            self.problems.append(_no_toml(error, text, path))
            return
        self._values += document.values
        source = Source(path, document)
        heirs = {**heirs, os.path.realpath(path): path}
        for keys, name in self._names(source):
            if self._named >= MOST_FILES:
                self._wrong(source, keys, f"a scenario is made of at most {MOST_FILES} others")
                return
            self._named += 1
            self._follow(source, keys, name, heirs)
        self.sources.append(source)

    def _names(self, source: Source) -> list[tuple[Keys, str]]:
        """What `source` names, with the keys of each."""
        found: list[tuple[Keys, str]] = []
        document = source.document.value
        base, included = document.get(EXTENDS, []), document.get(INCLUDE, [])
        if EXTENDS in document and not isinstance(base, str):
            self._wrong(source, (EXTENDS,), "must be a text: the name of a file")
        elif isinstance(base, str):
            found.append(((EXTENDS,), base))
        if isinstance(included, str):
            found.append(((INCLUDE,), included))
        elif not isinstance(included, list) or not all(isinstance(n, str) for n in included):
            self._wrong(source, (INCLUDE,), "must be a list of texts: the names of files")
        else:
            found += [((INCLUDE, number), name) for number, name in enumerate(included)]
        return found

    def _follow(self, source: Source, keys: Keys, name: str, heirs: dict[str, Path]) -> None:
        """Take the file that is called `name` at `keys` of `source`."""
        shown = name[:LONGEST_NAME]
        if names_in(name):
            message = "no placeholder can stand here: which files there are is known before"
            self._wrong(source, keys, message)
            return
        if not name or "\0" in name:
            self._wrong(source, keys, "no name of a file")
            return
        path = _beside(source.path, name)
        real = os.path.realpath(path)
        if real in heirs:
            circle = [*list(heirs.values())[list(heirs).index(real) :], path]
            told = " -> ".join(str(file)[-LONGEST_NAME:] for file in circle)
            self._wrong(source, keys, f"{shown}: the files go round in a circle: {told}")
        elif real in self._taken:
            hint = f"{self._taken[real]} names it"
            self._wrong(source, keys, f"{shown}: is part of this scenario already", hint)
        elif len(heirs) > DEEPEST_FILES:
            self._wrong(
                source, keys, f"{shown}: files name each other more than {DEEPEST_FILES} deep"
            )
        else:
            self._taken[real] = f"{source.path}:{source.document.place(keys).line}"
            try:
                text = read_text(path, LARGEST_CHARACTERS)
            except FileError as error:
                if error.line:
                    self.problems.append(Problem(str(error), str(path), error.line))
                else:
                    self._wrong(source, keys, f"{shown}: {error}")
                return
            self.take(path, text, heirs)

    def _wrong(self, source: Source, keys: Keys, message: str, hint: str = "") -> None:
        line, column = source.document.place(keys)
        problem = Problem(message, str(source.path), line, column, path_text(keys), hint)
        self.problems.append(problem)

    def _refuse(self, path: Path, message: str) -> None:
        self.problems.append(Problem(message, str(path)))


def _beside(path: Path, name: str) -> Path:
    """The file that is called `name` in the one at `path`."""
    file = path.parent / name
    plain = os.path.normpath(file)  # which, behind a symbolic link, may be another file
    return Path(plain) if os.path.realpath(plain) == os.path.realpath(file) else file


def _no_toml(error: TomlError, text: str, path: Path) -> Problem:
    message, hint = str(error), ""
    line = text.split("\n")[error.place.line - 1] if error.place.line else ""
    header = _list_header().match(line)
    if path.suffix.lower() not in (".toml", ""):
        message = f"this is no scenario, which would be a TOML file: {message}"
    elif header is not None and "duplicate key" in message:
        hint = f"write [[{header[1]}]] for each of several"
    return Problem(message, str(path), *error.place, hint=hint)


def _list_header() -> re.Pattern[str]:
    """The header of a table, where there should be one of a list of tables."""

    def names(form: str) -> str:
        return "|".join(name for name, section in SECTIONS.items() if section.form == form)

    lists, named = names("list"), names("tables by name")
    return re.compile(rf"\s*\[\s*({lists}|(?:{named})\.[\w-]+\.rules)\s*\]", re.ASCII)
