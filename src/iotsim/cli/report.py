"""``iotsim report``: the documents of a run, made again from its events."""

from __future__ import annotations

from pathlib import Path


def report(folder: Path, /, *documents: str, out: Path | None = None) -> int:
    """Make the documents of a run from what it has left, also if it was killed.

    Parameters
    ----------
    folder
        The results folder of the run.
    documents
        Which: result, junit. Default: all.
    out
        The folder to write them into. Default: that of the run.
    """
    from iotsim.run.documents import DOCUMENTS, write_documents
    from iotsim.run.past import PastRun

    for path in write_documents(PastRun(folder), documents or tuple(DOCUMENTS), out):
        print(path)
    return 0
