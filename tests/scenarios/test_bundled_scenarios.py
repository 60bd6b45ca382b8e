"""Every scenario that comes with iotsim, run as users run it: over TUN, with a real gateway.

They run at the same time, each in its own namespaces: most of a run is waiting.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.results.schemas import check_events, validator
from tests.results.test_junit import schema as junit_schema

from iotsim.cli.files import find_scenarios
from iotsim.results.fold import fold
from iotsim.results.formats import RESULT_FILE
from iotsim.results.jsonl import decode_events
from iotsim.results.result import decode_result
from iotsim.results.verdict import EXIT_CODES, Verdict
from iotsim.scenario.merge import Merged
from iotsim.scenario.sources import read_sources
from iotsim.testbed.programs import DEBIAN_PACKAGES

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).resolve().parents[2]
IOTSIM = Path(sys.executable).parent / "iotsim"
FILES = sorted(find_scenarios([str(REPOSITORY / "scenarios")]).files)
ENVIRONMENT = dict(os.environ)
"""Given as a copy, since pytest writes to its own while the threads of a pool start processes: `exec` fails
then with EFAULT now and then."""
TIMEOUT_S = 240
"""A matrix is several runs, one after the other."""
RUNS_AT_A_TIME = 3
ATTEMPTS = 3  # on a machine that is too slow at the moment, a run may be inconclusive
FORGETS_ONE = "a gateway that forgets a meter"
GATEWAY = ["python3", "examples/polling_gateway.py", "--devices", "10.77.1.1-10.77.1.13"]

pytestmark = pytest.mark.needs("tun")


@dataclass(frozen=True)
class Done:
    """A run that has ended, or several, of the combinations of a matrix: each has a folder in `outs`."""

    status: int
    text: str
    outs: list[Path]


def name_of(path: Path) -> str:
    return str(path.relative_to(REPOSITORY / "scenarios"))


def judge(path: Path, out: Path, *command: str) -> Done:
    for attempt in range(ATTEMPTS):
        done = run(path, out / str(attempt), *command)
        if done.status != EXIT_CODES[Verdict.INCONCLUSIVE]:
            break
    return done


def run(path: Path, out: Path, *command: str) -> Done:
    done = subprocess.run(
        [IOTSIM, "run", path, "--out", out, "--seed", "7", *command],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=TIMEOUT_S, cwd=REPOSITORY, env=ENVIRONMENT, check=False,
    )  # fmt: skip
    logs = "".join(file.read_text() for file in sorted(out.rglob("gateway.log")))
    outs = sorted(
        file.parent
        for file in out.rglob("result.json")
        if not (file.parent / "index.html").exists()  # of a suite
    )
    return Done(done.returncode, done.stdout + logs, outs)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Done]]]:
    folder = tmp_path_factory.mktemp("runs")
    quickstart = REPOSITORY / "scenarios" / "quickstart.toml"
    with ThreadPoolExecutor(RUNS_AT_A_TIME) as pool:
        started = {
            name_of(path): pool.submit(judge, path, folder / str(number))
            for number, path in enumerate(FILES)
        }
        started[FORGETS_ONE] = pool.submit(
            judge, quickstart, folder / "one", "--", *GATEWAY, "--rounds", "1"
        )
        yield started


def table_of(path: Path) -> dict[str, Any]:
    return Merged(read_sources(path)).value


def requires(path: Path) -> list[str]:
    found: list[str] = table_of(path)["scenario"].get("requires", [])
    return found


def needs(path: Path) -> list[str]:
    """What it requires, and what its services and its speed do."""
    services = table_of(path).get("northbound", {}).values()
    broker = ["mosquitto"] if any(s["kind"] == "mqtt" for s in services) else []
    faster = ["faketime", "cc"] if "speed" in table_of(path)["scenario"] else []
    return [*requires(path), *broker, *faster]


@pytest.mark.parametrize(
    "name",
    [pytest.param(name_of(path), marks=pytest.mark.needs(*needs(path))) for path in FILES],
)
def test_it_passes(name: str, runs: dict[str, Future[Done]]) -> None:
    done = runs[name].result()
    assert done.status == 0, done.text
    results = [json.loads((out / "result.json").read_text()) for out in done.outs]
    assert {result["verdict"] for result in results} == {"passed"}


@pytest.mark.parametrize(
    "name",
    [
        *(pytest.param(name_of(path), marks=pytest.mark.needs(*needs(path))) for path in FILES),
        FORGETS_ONE,
    ],
)
def test_its_result_is_a_fold_over_its_events(name: str, runs: dict[str, Future[Done]]) -> None:
    for out in runs[name].result().outs:
        with (out / "events.jsonl").open("rb") as lines:
            folded = fold(decode_events(lines))
        assert folded == decode_result((out / "result.json").read_bytes())


@pytest.mark.parametrize(
    "name",
    [
        *(pytest.param(name_of(path), marks=pytest.mark.needs(*needs(path))) for path in FILES),
        FORGETS_ONE,
    ],
)
def test_what_it_leaves_is_right_by_the_schemas(name: str, runs: dict[str, Future[Done]]) -> None:
    for out in runs[name].result().outs:
        assert check_events(out / "events.jsonl") >= {"run-started", "run-ended"}
        validator(RESULT_FILE).validate(json.loads((out / "result.json").read_text()))
        junit_schema(strict=False).validate((out / "junit.xml").read_text())


def test_the_quickstart_names_the_meter_that_a_gateway_forgets(
    runs: dict[str, Future[Done]],
) -> None:
    done = runs[FORGETS_ONE].result()
    assert done.status == 1
    assert "every meter is polled" in done.text
    assert "meter[13]" in done.text


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_it_requires_the_tools_that_it_uses(path: Path) -> None:
    """So that where one is missing it is skipped, and does not fail."""
    words = re.findall(r"[\w.-]+", " ".join(table_of(path)["gateway"]["command"]))
    assert {word for word in words if word in DEBIAN_PACKAGES} == set(requires(path))
