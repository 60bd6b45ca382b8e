"""Every scenario that comes with iotsim, run as users run it: over TUN, with a real gateway.

They run at the same time, each in its own namespaces: most of a run is waiting.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).resolve().parents[2]
IOTSIM = Path(sys.executable).parent / "iotsim"
FILES = sorted((REPOSITORY / "scenarios").rglob("*.toml"))
FORGETS_ONE = "a gateway that forgets a meter"
GATEWAY = ["python3", "examples/polling_gateway.py", "--devices", "10.77.1.1-10.77.1.13"]
SKIPPED = 3


@dataclass(frozen=True)
class Done:
    status: int
    text: str
    result: dict[str, Any]


def name_of(path: Path) -> str:
    return str(path.relative_to(REPOSITORY / "scenarios"))


def run(path: Path, out: Path, *command: str) -> Done:
    done = subprocess.run(
        [IOTSIM, "run", path, "--out", out, "--seed", "7", *command],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=60, cwd=REPOSITORY, check=False,
    )  # fmt: skip
    files = [out / "gateway.log", out / "result.json"]
    log, result = (file.read_text() if file.exists() else "" for file in files)
    return Done(done.returncode, done.stdout + log, json.loads(result or "{}"))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Done]]]:
    folder = tmp_path_factory.mktemp("runs")
    quickstart = REPOSITORY / "scenarios" / "quickstart.toml"
    with ThreadPoolExecutor(max_workers=4) as pool:
        started = {
            name_of(path): pool.submit(run, path, folder / str(number))
            for number, path in enumerate(FILES)
        }
        started[FORGETS_ONE] = pool.submit(
            run, quickstart, folder / "one", "--", *GATEWAY, "--rounds", "1"
        )
        yield started


def result_of(run: Future[Done]) -> Done:
    done = run.result()
    if done.status == SKIPPED and not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        pytest.skip("needs /dev/net/tun")
    return done


@pytest.mark.parametrize("name", [name_of(path) for path in FILES])
def test_it_passes(name: str, runs: dict[str, Future[Done]]) -> None:
    done = result_of(runs[name])
    assert done.status == 0, done.text
    assert done.result["verdict"] == "passed"


def test_the_quickstart_names_the_meter_that_a_gateway_forgets(
    runs: dict[str, Future[Done]],
) -> None:
    done = result_of(runs[FORGETS_ONE])
    assert done.status == 1
    assert "every meter is polled" in done.text
    assert "meter[13]" in done.text
