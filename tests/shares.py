"""What a worker of pytest-xdist takes at a time: a file whole, since its tests share what its fixtures build.

The files ``test_run_*`` of a folder are a share together: their runs go on in the background (see the marker
`background`), and one worker starts them all. It does so at the very beginning, since most of a run is
waiting, in which the others have the machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from xdist.scheduler import LoadScopeScheduling

if TYPE_CHECKING:
    from xdist.remote import Producer

RUNS = "/test_run_"


def share_of(nodeid: str) -> str:
    """The name of the share that a test belongs to."""
    file = nodeid.partition("::")[0]
    folder, runs, _ = file.partition(RUNS)
    return folder + runs if runs else file


class Shares(LoadScopeScheduling):
    def _split_scope(self, nodeid: str) -> str:
        return share_of(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Shares | None:
    if config.getoption("dist") != "load":
        return None  # something else is wanted
    config.option.loadscopereorder = False  # the number of tests says nothing of what they take
    return Shares(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: not share_of(item.nodeid).endswith(RUNS))
