"""What the tests of the pytest plugin share: pytest, started as users start it, in a project of theirs."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TIMEOUT_S = 120.0
PASSING = """
[scenario]
name = "{name}"
duration = "10s"
{head}
[link]
kind = "memory"
[devices.meter]
count = 2
address = "10.77.1.1"
protocol = "sensornet"
[[devices.meter.rules]]
every = "1s"
send = {{ kind = "REPORT", device = 1, seq = 1, value = 3 }}
to = "10.77.0.1:9000"
[[expect]]
name = "readings are sent"
each = "meter"
sends = {{ kind = "REPORT" }}
within = "5s"
"""
POLLED = """
[[expect]]
name = "meters are polled"
each = "meter"
receives = { kind = "READ" }
within = "5s"
"""


def scenario(name: str = "readings", head: str = "", *, polled: bool = False) -> str:
    """A scenario on a memory link, with nobody as its gateway: so it fails if meters are to be `polled`."""
    return PASSING.format(name=name, head=head) + (POLLED if polled else "")


@dataclass(frozen=True)
class Case:
    """A test in pytest's JUnit XML. ``state``: "passed", "failure", "error" or "skipped"."""

    state: str
    message: str
    text: str
    properties: dict[str, str]


@dataclass(frozen=True)
class Session:
    """A pytest that has ended."""

    status: int
    text: str
    cases: dict[str, Case]


class Project:
    """A folder in which pytest is started."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = {**environment, "COLUMNS": "200"}
        self.environment.pop("PYTEST_CURRENT_TEST", None)

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    def ini(self, *lines: str) -> None:
        head = ["[pytest]", "filterwarnings = error", "addopts = --strict-markers --strict-config"]
        self.write("pytest.ini", "\n".join([*head, *lines, ""]))

    def words(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]

    def __call__(self, *arguments: str, cache: bool = False) -> Session:
        words = self.words("--junitxml=junit.xml", *arguments)
        if cache:
            words.remove("no:cacheprovider")
            words.remove("-p")
        junit = self.folder / "junit.xml"
        junit.unlink(missing_ok=True)
        done = subprocess.run(
            words,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        cases = cases_of(junit.read_text()) if junit.exists() else {}
        return Session(done.returncode, done.stdout, cases)


def cases_of(xml: str) -> dict[str, Case]:
    found = {}
    for element in ET.fromstring(xml).iter("testcase"):
        state, message, text = "passed", "", ""
        for outcome in ("failure", "error", "skipped"):
            inner = element.find(outcome)
            if inner is not None:
                state, message, text = outcome, inner.get("message", ""), inner.text or ""
        properties = {one.get("name", ""): one.get("value", "") for one in element.iter("property")}
        found[element.get("name", "")] = Case(state, message, text, properties)
    return found


@pytest.fixture
def project(tmp_path: Path, iotsim_environment: dict[str, str]) -> Project:
    return Project(tmp_path, dict(iotsim_environment))


@pytest.fixture(scope="module")
def make_project(
    tmp_path_factory: pytest.TempPathFactory, iotsim_environment: dict[str, str]
) -> Callable[[str], Project]:
    """Makes a project that several tests look at."""
    return lambda name: Project(tmp_path_factory.mktemp(name), dict(iotsim_environment))


__all__ = ["Case", "Project", "Session", "scenario"]
