from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from iotsim.capabilities import Capability

if TYPE_CHECKING:
    from collections.abc import Iterator

UID = 54321
NOTHING, READ, ALL = 0, Capability.DAC_READ_SEARCH.bit, Capability.DAC_OVERRIDE.bit

SCRIPT = """
import json, os, sys, threading
from pathlib import Path
from iotsim.testbed import privileges

def show():
    lines = Path("/proc/thread-self/status").read_text().splitlines()
    found = dict(line.split(":\\t") for line in lines if ":\\t" in line)
    capabilities = [int(found[key], 16) for key in ("CapEff", "CapPrm", "CapAmb")]
    print(json.dumps([os.getresuid(), os.getresgid(), capabilities, found["NoNewPrivs"]]))

results, scenario = map(Path, sys.argv[1:])
# Where the tests' interpreter lies is not what is tried here.
privileges._sources = lambda folders: [(str(one), os.R_OK | os.X_OK) for one in folders]
privileges.drop_privileges(results, scenario)
show()
thread = threading.Thread(target=show)
thread.start()
thread.join()
(results / "result.json").write_text("{}")
list(scenario.iterdir())
"""

LAST_WILL = f"""
import os
from iotsim.testbed import linux, privileges
from iotsim.testbed.users import find_user

linux.prctl(linux.PR_SET_PDEATHSIG, {int(signal.SIGUSR1)})
privileges.become(find_user("{UID}"))
print(os.getresuid(), os.getresgid(), os.getgroups(), linux.get_parent_death_signal())
"""


def drop(results: Path, scenario: Path, *, sudo: bool) -> list[Any]:
    """Drop privileges as a process that sudo has started, or not: what they are then."""
    environment = {name: text for name, text in os.environ.items() if "SUDO" not in name}
    if sudo:
        environment |= {"SUDO_UID": str(UID), "SUDO_GID": str(UID)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, results, scenario],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    first, thread = map(json.loads, done.stdout.splitlines())
    assert first == thread
    assert first[2] == [first[2][0]] * 3
    assert first[3] == "1"
    return [first[0][0], first[2][0]]


@pytest.fixture
def folders() -> Iterator[tuple[Path, Path]]:
    """Of results and of a scenario, where every user may enter; pytest's own are private."""
    with tempfile.TemporaryDirectory(prefix="iotsim-test-", dir="/tmp") as name:
        Path(name).chmod(0o755)
        results, scenario = Path(name, "results"), Path(name, "scenario")
        for folder in (results, scenario):
            folder.mkdir(mode=0o755)
        yield results, scenario


@pytest.mark.needs("root")
def test_root_keeps_the_right_to_every_file(folders: tuple[Path, Path]) -> None:
    for folder in folders:
        os.chown(folder, UID, UID)
        folder.chmod(0o700)
    assert drop(*folders, sudo=False) == [0, ALL]


@pytest.mark.needs("root")
@pytest.mark.parametrize(
    ("results_owner", "scenario_mode", "kept"),
    [
        (UID, 0o755, NOTHING),
        (UID, 0o700, READ),  # another user's home, say
        (0, 0o755, ALL),
    ],
)
def test_who_called_sudo_keeps_what_the_run_cannot_do_without(
    folders: tuple[Path, Path], results_owner: int, scenario_mode: int, kept: int
) -> None:
    results, scenario = folders
    os.chown(results, results_owner, results_owner)
    scenario.chmod(scenario_mode)
    assert drop(results, scenario, sudo=True) == [UID, kept]
    assert (results / "result.json").stat().st_uid == UID


@pytest.mark.needs("root")
def test_for_results_of_theirs_in_a_closed_place_they_need_not_write_everywhere(
    folders: tuple[Path, Path],
) -> None:
    closed, scenario = folders
    closed.chmod(0o700)
    results = closed / "out"
    results.mkdir()
    os.chown(results, UID, UID)
    assert drop(results, scenario, sudo=True) == [UID, READ]
    assert (results / "result.json").stat().st_uid == UID


@pytest.mark.needs("root")
def test_who_becomes_another_user_still_dies_with_its_parent() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LAST_WILL], capture_output=True, text=True, check=True
    )
    ids = str((UID,) * 3)
    assert done.stdout == f"{ids} {ids} [{UID}] {int(signal.SIGUSR1)}\n"
