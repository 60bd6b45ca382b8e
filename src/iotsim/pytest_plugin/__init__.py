"""The pytest plugin: scenario files as tests, and the fixture `simulation` for tests in Python.

pytest imports this at every start of everybody who has iotsim installed, so that it has to cost nothing:
nothing of iotsim is imported before there is a scenario.

`scenarios`  collects scenario files; each is run as ``iotsim run`` would, in a process of its own
             (`runner`), which `starter` has forked
`reports`    what pytest says of them
`fixture`    what `simulation` gives
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from _pytest.assertion.rewrite import assertstate_key

if TYPE_CHECKING:
    from pathlib import Path

    from iotsim.pytest_plugin.fixture import Simulate


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini(
        "iotsim_scenarios",
        "scenario files, and folders of them, that are collected as tests",
        type="paths",
        default=[],
    )
    parser.addini(
        "iotsim_strict",
        "what this machine cannot run is an error, and not skipped",
        type="bool",
        default=False,
    )
    group = parser.getgroup("iotsim", "iotsim: runs of scenarios")
    group.addoption(
        "--iotsim-results",
        metavar="DIR",
        help="a folder for what runs leave: reports, events, captures (default: where `iotsim run` "
        "has it; of the fixture `simulation`, pytest's temporary folder)",
    )
    group.addoption(
        "--iotsim-strict",
        action="store_true",
        help="what this machine cannot run is an error, and not skipped (ini: iotsim_strict)",
    )
    group.addoption(
        "--iotsim-seed", type=int, metavar="N", help="use this seed, as to repeat what has failed"
    )
    group.addoption(
        "--iotsim-link",
        choices=("tun", "tap", "loopback", "memory"),
        help="use this kind of link, whatever scenarios say",
    )
    group.addoption(
        "--iotsim-set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="the value of ${NAME} in the scenarios that have it; of a matrix, this value alone",
    )
    group.addoption(
        "--iotsim-tolerance", type=float, metavar="X", help="scale every window of time by this"
    )


def import_as_ever(config: pytest.Config) -> None:
    """Let pytest import the rest of iotsim as Python does.

    It rewrites the assertions of whatever a plugin's wheel brings, to explain those that fail: of all our
    modules, which takes a second where it cannot keep them, as in an installation that is root's. Nothing
    public turns that off; where the name is another one, it is as slow as before.
    """
    hook = getattr(config.stash.get(assertstate_key, None), "hook", None)
    getattr(hook, "_must_rewrite", set()).discard("iotsim")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    if file_path.suffix != ".toml":
        return None
    import_as_ever(parent.config)
    from iotsim.pytest_plugin.scenarios import collect

    return collect(file_path, parent)


@pytest.fixture
def simulation(request: pytest.FixtureRequest) -> Simulate:
    """Runs of scenarios: `simulation("lossy.toml")` is entered by `async with` (pytest-trio) or `with`."""
    import_as_ever(request.config)
    from iotsim.pytest_plugin.fixture import Simulate

    return Simulate(request)
