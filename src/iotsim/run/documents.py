"""What can be made of a run's results afterwards, or made again: a table of documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from iotsim.errors import IotsimError, Problem, ScenarioError
from iotsim.results.cases import suite_of
from iotsim.results.devices import DeviceTable
from iotsim.results.junit import encode_junit
from iotsim.results.result import encode_result
from iotsim.results.tap import encode_tap
from iotsim.run.files import replace_file
from iotsim.run.folder import shown_folder
from iotsim.run.html import FILE as PAGE
from iotsim.run.html import build_page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
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
    return encode_junit([suite_of(past.result, folder=shown_folder(past.folder))])


def _xunit(past: PastRun) -> bytes:
    suite = suite_of(past.result, folder=shown_folder(past.folder))
    return encode_junit([suite], strict=True)


def _devices(past: PastRun) -> bytes:
    table = DeviceTable(past.result)
    try:
        table.read(past.lines())
    except ValueError as error:
        raise IotsimError(f"{past.folder}: {error}") from None
    return b"".join(table.csv())


def _tap(past: PastRun) -> bytes:
    return encode_tap([suite_of(past.result)])


DOCUMENTS = {
    "result": Document("result.json", _result, "what the run came to, as data"),
    "junit": Document("junit.xml", _junit, "the same for CI systems"),
    "xunit": Document("xunit.xml", _xunit, "the same for Jenkins' xUnit plugin, which is strict"),
    "devices.csv": Document("devices.csv", _devices, "what each device did, for a spreadsheet"),
    "tap": Document("results.tap", _tap, "the same in the Test Anything Protocol"),
    "report": Document(PAGE, build_page, "a page that shows what happened"),
}


def document_names(texts: Iterable[str]) -> tuple[str, ...]:
    """The names of documents in `texts`, each of which may have several with commas, in the order of their
    first naming. ScenarioError for what is none."""
    names = [name.strip() for text in texts for name in text.split(",")]
    hint = f"documents: {', '.join(DOCUMENTS)}"
    wrong = [name for name in names if name not in DOCUMENTS]
    if wrong:
        raise ScenarioError(Problem(f"there is no document {name!r}", hint=hint) for name in wrong)
    return tuple(dict.fromkeys(names))


def write_documents(past: PastRun, names: Sequence[str], folder: Path | None = None) -> list[Path]:
    """Write the documents of these names into `folder`, by default that of the run; where they are.

    IotsimError if there is no such document, or it cannot be written.
    """
    written = []
    for name in document_names(names):
        document = DOCUMENTS[name]
        path = (folder or past.folder) / document.file
        try:
            replace_file(path, document.build(past))
        except OSError as error:
            raise IotsimError(f"{path} is not written: {error.strerror}") from error
        written.append(path)
    return written
