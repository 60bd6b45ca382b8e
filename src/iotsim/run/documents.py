"""What can be made of a run's results afterwards, or made again: a table of documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from iotsim.errors import IotsimError
from iotsim.results.junit import encode_junit, suite_of
from iotsim.results.result import encode_result
from iotsim.run.files import replace_file
from iotsim.run.html import FILE as PAGE
from iotsim.run.html import build_page

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from iotsim.run.past import PastRun


class Document(NamedTuple):
    """A document in `file`, whose content ``build`` makes; ``what`` it is, for people."""

    file: str
    build: Callable[[PastRun], bytes]
    what: str


def _result(past: PastRun) -> bytes:
    return encode_result(past.result)


def _junit(past: PastRun) -> bytes:
    return encode_junit([suite_of(past.result)])


DOCUMENTS = {
    "result": Document("result.json", _result, "what the run came to, as data"),
    "junit": Document("junit.xml", _junit, "the same for CI systems"),
    "report": Document(PAGE, build_page, "a page that shows what happened"),
}


def write_documents(past: PastRun, names: Sequence[str], folder: Path | None = None) -> list[Path]:
    """Write the documents of these names into `folder`, by default that of the run; where they are.

    IotsimError if there is no such document, or it cannot be written.
    """
    written = []
    for name in names:
        if name not in DOCUMENTS:
            raise IotsimError(f"there is no document {name!r}: {', '.join(DOCUMENTS)}")
        document = DOCUMENTS[name]
        path = (folder or past.folder) / document.file
        try:
            replace_file(path, document.build(past))
        except OSError as error:
            raise IotsimError(f"{path} is not written: {error.strerror}") from error
        written.append(path)
    return written
