"""CSV files that a scenario names: a row for each device, or the points of a signal."""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING, Any

from iotsim import userfile
from iotsim.units import parse_bytes
from iotsim.userfile import UserFileError

if TYPE_CHECKING:
    from pathlib import Path

LARGEST_BYTES = 256 << 20
MOST_COLUMNS = 1000
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
                rows.append({n: _value(cell) for n, cell in zip(names, cells, strict=True)})
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


def _value(cell: str) -> Any:
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
