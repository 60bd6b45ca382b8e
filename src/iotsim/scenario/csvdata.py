"""CSV files that a scenario names: a row for each device, or the points of a signal."""

from __future__ import annotations

import csv
import io
import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

from iotsim import userfile
from iotsim.device.signals import read_points
from iotsim.units import parse_bytes
from iotsim.userfile import UserFileError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Rows: TypeAlias = "tuple[Mapping[str, Any], ...]"
Points: TypeAlias = "tuple[tuple[float, float], ...]"

LARGEST_BYTES = 32 << 20
MOST_COLUMNS = 1000
MOST_ROWS = 1_000_000
MOST_CELLS = 4_000_000
"""Of all data files of a scenario, counted each time that one is gone through."""
_NAME = re.compile(r"[A-Za-z_]\w{0,63}", re.ASCII)


class FileError(ValueError):
    """A file that cannot be used; ``line`` is 0 where it is the whole file's fault."""

    def __init__(self, message: str, line: int = 0) -> None:
        self.line = line
        super().__init__(message)


def read_text(path: Path, largest: int = LARGEST_BYTES) -> str:
    """The text of a UTF-8 file; FileError if there is none."""
    try:
        return userfile.read(path, largest).decode("utf-8-sig")
    except UserFileError as error:
        raise FileError(str(error)) from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise FileError("not a text in UTF-8", line) from None


class DataFiles:
    """The CSV files of one scenario: fleets and signals that name the same one share what is in it.

    FileError tells of a file that cannot be used, or of all of them being too much.
    """

    def __init__(self) -> None:
        self._rows: dict[Path, Rows] = {}
        self._points: dict[tuple[Path, str, str], Points] = {}
        self._cells = 0

    def rows(self, path: Path) -> Rows:
        """A row for each device; see `read_rows`."""
        if path not in self._rows:
            self._rows[path] = tuple(map(MappingProxyType, read_rows(self._read(path))))
        return self._rows[path]

    def points(self, path: Path, time: str, column: str) -> Points:
        """The points of a signal; see `iotsim.device.signals.read_points`."""
        key = (path, time, column)
        if key not in self._points:
            text = self._read(path)
            try:
                self._points[key] = read_points(text, time, column)
            except ValueError as error:
                line = re.match(r"line ([0-9]+): ", str(error))
                if line is None:
                    raise FileError(str(error)) from None
                raise FileError(str(error)[line.end() :], int(line[1])) from None
        return self._points[key]

    def _read(self, path: Path) -> str:
        text = read_text(path)
        rows = max(text.count("\n"), text.count("\r"))
        if rows > MOST_ROWS:
            raise FileError(f"more than {MOST_ROWS} rows")
        self._cells += rows + text.count(",")
        if self._cells > MOST_CELLS:
            raise FileError(f"more than {MOST_CELLS} cells, with those of data files before")
        return text


def read_rows(text: str) -> list[dict[str, Any]]:
    """The rows under the header of a CSV text; numbers, true, false and ``hex:`` are such.

    FileError names the line of what is wrong.
    """
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(reader, None)
        if header is None:
            raise FileError("the file is empty; its first row names the columns", 1)
        names = [name.strip() for name in header]
        _check_header(names)
        rows = []
        for cells in reader:
            if not cells:
                continue
            if len(cells) != len(names):
                raise FileError(f"{len(cells)} cells under {len(names)} columns", reader.line_num)
            try:
                rows.append({n: parse_cell(cell) for n, cell in zip(names, cells, strict=True)})
            except ValueError as error:
                raise FileError(str(error), reader.line_num) from None
        return rows
    except csv.Error as error:
        raise FileError(str(error), reader.line_num) from None


def _check_header(names: list[str]) -> None:
    if len(names) > MOST_COLUMNS:
        raise FileError(f"more than {MOST_COLUMNS} columns", 1)
    seen: set[str] = set()
    for name in names:
        if not _NAME.fullmatch(name):
            raise FileError(
                f"'{name[:100]}' is no name for a column: expressions could not use it", 1
            )
        if name in seen:
            raise FileError(f"the column '{name}' is there twice", 1)
        seen.add(name)


def parse_cell(cell: str) -> Any:
    """The value of a cell; ValueError if it begins like bytes or a number, but is none."""
    text = cell.strip()
    if text in ("true", "false"):
        return text == "true"
    if text.startswith("hex:"):
        return parse_bytes(text)
    # leading zeros make a text: they belong to serial numbers
    if re.fullmatch(r"[+-]?(0|[1-9][0-9]{0,30})", text, re.ASCII):
        return int(text)
    if re.fullmatch(
        r"[+-]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,4})?", text, re.ASCII
    ):
        number = float(text)
        if number in (float("inf"), float("-inf")):
            raise ValueError(f"{text} is too large")
        return number
    return cell
