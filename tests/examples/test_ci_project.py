"""The sample project of docs/ci.md, as a copy of it fares that has iotsim from the wheel."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
from pathlib import Path

import junitparser
import pytest

from iotsim.results.result import decode_result

REPOSITORY = Path(__file__).resolve().parents[2]
PROJECT = REPOSITORY / "examples" / "ci-project"
RUNS = {"outage", "radio/loss-5", "radio/loss-20", "smoke"}

pytestmark = pytest.mark.needs("tun")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of it, with an environment ``.venv`` in which the wheel is installed."""
    folder = tmp_path_factory.mktemp("ci") / "project"
    shutil.copytree(
        PROJECT, folder, ignore=shutil.ignore_patterns("results", "__pycache__", ".pytest_cache")
    )
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder.parent]
    subprocess.run([*build, REPOSITORY], check=True, timeout=120)
    (wheel,) = folder.parent.glob("*.whl")
    venv.create(folder / ".venv", symlinks=True)
    python = folder / ".venv" / "bin" / "python"
    install = [*pip, "--python", python, "install", "--no-deps", "--no-index", wheel]
    subprocess.run(install, check=True, timeout=120)
    (site,) = (folder / ".venv" / "lib").glob("python*/site-packages")
    # The dependencies are those of the tests.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return folder


def run(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    python = project / ".venv" / "bin" / "python"
    return subprocess.run(
        [python, "-m", *words],
        cwd=project,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=180,
        check=False,
    )


def test_its_suite_passes(project: Path) -> None:
    done = run(project, "iotsim", "run", "--out", "out")
    assert done.returncode == 0, done.stdout
    assert "4 of 4 scenarios: 4 passed" in done.stdout
    for name in RUNS:
        result = decode_result((project / "out" / name / "result.json").read_bytes())
        assert result.verdict == "passed"
        assert (project / "out" / name / "report.html").stat().st_size > 10_000
    cases = [
        case
        for suite in junitparser.JUnitXml.fromfile(str(project / "out" / "junit.xml"))
        for case in suite
    ]
    assert len(cases) == 3 * 4 + 4
    assert all(case.is_passed for case in cases)
    assert (project / "out" / "index.html").exists()


def test_its_shares_are_the_whole(project: Path) -> None:
    shares = [
        run(project, "iotsim", "run", "--shard", f"{number}/2", "--list").stdout.splitlines()
        for number in (1, 2)
    ]
    whole = run(project, "iotsim", "run", "--list").stdout.splitlines()
    assert len(whole) == 4
    names = [line.split("  ")[0] for share in shares for line in share]
    assert sorted(names) == sorted(line.split("  ")[0] for line in whole)
    assert all(shares)


def test_its_tests_pass(project: Path) -> None:
    """By the line of the workflow, which leaves what to look at where it is kept as an artifact."""
    text = (project / ".github" / "workflows" / "iotsim.yml").read_text()
    (line,) = (line.split("run: ", 1)[1] for line in text.splitlines() if "run: pytest" in line)
    done = run(project, *line.split(), "tests")
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout
    assert len(list((project / "results" / "pytest").glob("*/report.html"))) == 3


def test_a_gateway_that_forgets_is_convicted(project: Path) -> None:
    good = (project / "gateway" / "collector.py").read_text()
    bad = good.replace("maxlen=MOST_WAITING", "maxlen=1")
    assert bad != good
    (project / "gateway" / "collector.py").write_text(bad)
    try:
        done = run(project, "iotsim", "run", "scenarios/outage.toml", "--out", "bad")
    finally:
        (project / "gateway" / "collector.py").write_text(good)
    assert done.returncode == 1, done.stdout
    result = decode_result((project / "bad" / "result.json").read_bytes())
    assert [e.name for e in result.expectations if not e.passed] == [
        "each probe's readings reach the cloud, once and unchanged"
    ]


def test_its_pipelines_say_what_the_command_line_understands(project: Path) -> None:
    """Each `iotsim` line of the workflow, with --list in the place of running."""
    text = (project / ".github" / "workflows" / "iotsim.yml").read_text()
    lines = [line.split("run: ", 1)[1] for line in text.splitlines() if "run: iotsim run" in line]
    assert len(lines) == 2
    for line in lines:
        words = line.replace("${{ matrix.shard }}", "1/2").split()
        assert run(project, *words, "--list").returncode == 0
    assert tomllib.loads((project / "iotsim.toml").read_text())["run"]["jobs"] == "auto"
