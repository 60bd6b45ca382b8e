"""A run inside a suite: what its process tells the suite, of how far it is and what it came to.

Where there is no suite, nothing of this does anything.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from iotsim.results.result import encode_result

if TYPE_CHECKING:
    from iotsim.results.result import RunResult

SUITE = "IOTSIM_SUITE"
"""Set for the processes of a suite's runs, and for all that they start: who reports for all is the suite."""
LONGEST_WORDS = 500
OVER = "writing what is left of it"
"""What a run is doing once its limit does not count any more."""


class _Ends:
    """The descriptors that lead to the suite, -1 where there is none; and what was last told."""

    result = -1
    news = -1
    doing = ""


def join(result: int, news: int) -> None:
    """This process is a run of a suite from now on, which is to get the result and the news there."""
    _Ends.result, _Ends.news = result, news
    os.set_blocking(news, False)
    os.environ[SUITE] = "1"


def in_suite() -> bool:
    """Whether a suite shows how far this run is, and what came of it."""
    return _Ends.news >= 0


def tell(what: str) -> None:
    """Say in a line what this run is doing now. It is left out if the suite has not read what was said
    before."""
    _Ends.doing = what
    if _Ends.news < 0:
        return
    line = what.replace("\n", " ")[:LONGEST_WORDS]
    with suppress(OSError):
        os.write(_Ends.news, line.encode(errors="replace") + b"\n")


def doing() -> str:
    """What was told last."""
    return _Ends.doing


def hand_over(result: RunResult) -> None:
    """Give the suite the result of this run: the last of several counts."""
    if _Ends.result < 0:
        return
    data = encode_result(result)
    os.ftruncate(_Ends.result, 0)
    written = 0
    while written < len(data):
        written += os.pwrite(_Ends.result, data[written:], written)


def leave() -> None:
    """What is forked from now on is no run of the suite, and is not to reach it."""
    for fd in (_Ends.result, _Ends.news):
        if fd >= 0:
            with suppress(OSError):
                os.close(fd)
    _Ends.result = _Ends.news = -1
