"""``iotsim report``: the documents of a run, made again from its events."""

from __future__ import annotations

from pathlib import Path


def report(results: str, /, *documents: str, out: Path | None = None) -> int:
    """Make the documents of a run from what it has left, also if it was killed.

    Parameters
    ----------
    results
        The results folder of the run; 'last', the newest one; or a scenario, by its name or file: the
        newest of it.
    documents
        Which: result, junit, report, xunit, tap, devices.csv. Default: all.
    out
        The folder to write them into. Default: that of the run.
    """
    from iotsim.run.documents import DOCUMENTS, write_documents
    from iotsim.run.lookup import find_results
    from iotsim.run.past import PastRun

    for path in write_documents(PastRun(find_results(results)), documents or tuple(DOCUMENTS), out):
        print(path)
    return 0
