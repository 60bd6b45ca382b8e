"""``report.html``: where its data comes from, and when it is made.

It is made once the result is written, and decides nothing: if it cannot be made, a note says why. Bytes of
messages need the capture, and the protocols: those of the run itself, or, later on, the bundled ones and
those of the current folder and its project. No others are executed, whatever a results folder says, and none
that stands in there: results may be of others, and looked at from inside.
"""

from __future__ import annotations

import re
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from iotsim.errors import IotsimError
from iotsim.results.result import RUNNING
from iotsim.run.files import open_file, replace_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from iotsim.capture.reader import Frame
    from iotsim.protocol.definition import Protocol
    from iotsim.run.folder import ResultsFolder
    from iotsim.run.past import PastRun

FILE = "report.html"
_CAPTURE = re.compile(r"capture(\.shard\d+)?(\.(?P<segment>\d+))?\.pcapng", re.ASCII)


def build_page(past: PastRun, protocols: Mapping[str, Protocol] | None = None) -> bytes:
    """The page of a run, as bytes of HTML. `protocols`: those that it was about, where they are at hand.

    IotsimError if its results do not tell what run it was.
    """
    from iotsim.results.html.page import render_page

    return render_page(page_data(past, protocols))


def page_data(past: PastRun, protocols: Mapping[str, Protocol] | None = None) -> dict[str, Any]:
    """The data of the same page, see `iotsim.results.html.data`."""
    from iotsim.results.html.data import report_data
    from iotsim.results.html.raw import Sources

    result = past.result
    find = partial(_find_protocol, past.folder) if protocols is None else protocols.get
    captures = [_frames(path) for path in _captures(past.folder)]
    return report_data(past.lines, result, Sources(captures, find))


def leave_page(results: ResultsFolder) -> None:
    """Let the page of the run that `results` are of stand beside them, if it has ended."""
    from iotsim.run.past import PastRun

    result = results.result
    if result is None or result.verdict == RUNNING or results.has_page:
        return
    results.has_page = True
    try:
        results.check()
        page = build_page(PastRun(results.path), results.protocols)
        replace_file(results.path / FILE, page)
    except KeyboardInterrupt:
        why = "interrupted"
    except OSError as error:
        why = error.strerror or str(error)
    except Exception as error:  # it is not what the run was for
        why = f"{type(error).__name__}: {error}"
    else:
        return
    note = f"{FILE} is not written: {why} (iotsim report DIR makes it again)"
    with suppress(Exception, KeyboardInterrupt):
        results.write(msgspec.structs.replace(result, notes=[*result.notes, note]))
    results.trouble = results.trouble or note


def _find_protocol(results: Path, name: str) -> Protocol | None:
    from iotsim.protocol.registry import candidates, load_protocol
    from iotsim.run.project import find_project

    def is_in_results(path: Path) -> bool:
        inside = results.resolve()
        return any(one.is_relative_to(inside) for one in (path.absolute(), path.resolve()))

    try:
        project = find_project()
        ours = project.file is None or not is_in_results(project.file)
        search = [Path(), *(project.protocols if ours else ())]
        if any(is_in_results(path) for path in candidates(name, search) if path.is_file()):
            return None
        return load_protocol(name, search).protocol
    except (IotsimError, OSError, ValueError):
        return None


def _captures(folder: Path) -> list[Path]:
    """The files of the capture: of a killed run there may be several, for processes and segments."""
    found = [(path, _CAPTURE.fullmatch(path.name)) for path in folder.iterdir()]
    return sorted(path for path, match in found if match)


def _frames(path: Path) -> Callable[[], Iterator[Frame]]:
    def frames() -> Iterator[Frame]:
        from iotsim.capture import CaptureError, read_frames

        # What cannot be read has no bytes for anybody; one of a killed run may end within a packet.
        with suppress(OSError, CaptureError), open_file(path) as file:
            yield from read_frames(file)

    return frames
