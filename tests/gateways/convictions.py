"""Runs of the gateways of this folder, and the page about them: docs/convictions.md.

As a program it repeats the runs beside processes that take all the CPU they can get, or runs each gateway
with each scenario, and prints what came of it::

    python -m tests.gateways.convictions --runs 50 --burners 2
    python -m tests.gateways.convictions --matrix
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests import processes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

HERE = Path(__file__).resolve().parent
SCENARIOS = HERE / "scenarios"
BASES = {"meters": "none", "sensors": "observer"}  # and the name of the correct gateway for each
PAGE = HERE.parents[1] / "docs" / "convictions.md"
BEGIN, END = "<!-- made by the tests: begin -->", "<!-- made by the tests: end -->"
IOTSIM = Path(sys.executable).parent / "iotsim"
ENVIRONMENT = dict(os.environ)
"""Given as a copy, since pytest writes to its own while the threads of a pool start processes: `exec` fails
then with EFAULT now and then."""
TIMEOUT_S = 60


@dataclass(frozen=True)
class Done:
    """A run that has ended; `text` is what it printed."""

    verdict: str
    text: str
    result: dict[str, Any]

    @property
    def failed(self) -> list[dict[str, Any]]:
        """The expectations that did not hold."""
        found: list[dict[str, Any]] = self.result.get("expectations", [])
        return [expectation for expectation in found if expectation["passed"] is False]


@dataclass(frozen=True)
class Case:
    """A gateway with a bug, what is wrong with it, and the scenario that convicts it."""

    name: str
    wrong: str

    @property
    def scenario(self) -> Path:
        return SCENARIOS / f"{self.name}.toml"

    @property
    def correct(self) -> str:
        """The name of the gateway that differs from it in just that."""
        base = re.search(r'(?m)^extends = "(\w+)\.toml"', self.scenario.read_text())
        return BASES[base[1]] if base else "none"

    @property
    def about(self) -> str:
        """What the scenario says of itself at its beginning."""
        lines = self.scenario.read_text().splitlines()
        comment = lines[: next(n for n, line in enumerate(lines) if not line.startswith("#"))]
        return " ".join(line.removeprefix("#").strip() for line in comment)


def cases() -> list[Case]:
    """One for each class with a bug, in the order of bugs.py."""
    found = []
    for node in ast.parse((HERE / "bugs.py").read_text()).body:
        if isinstance(node, ast.ClassDef):
            name = re.sub(r"(?<!^)(?=[A-Z])", "-", node.name).lower()
            found.append(Case(name, (ast.get_docstring(node) or "").partition("\n")[0]))
    return found


def run(scenario: Path, bug: str, out: Path, *, seed: int = 7) -> Done:
    words: list[str | Path] = [IOTSIM, "run", scenario.relative_to(HERE), "--set", f"bug={bug}"]
    done = subprocess.run(
        [*words, "--seed", str(seed), "--out", out],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        text=True, timeout=TIMEOUT_S, cwd=HERE, env=ENVIRONMENT, check=False,
    )  # fmt: skip
    path = out / "result.json"
    result = json.loads(path.read_text()) if path.exists() else {}
    log = out / "gateway.log"
    text = done.stdout + (log.read_text(errors="replace") if log.exists() else "")
    return Done(result.get("verdict", f"status {done.returncode}"), text, result)


# ---------------------------------------------------------------- the page


VARYING = [
    (r"(?<![\d.])\d+(\.\d+)?(?= ?((ms|s|MB|kB|B|us)\b|%))", "…"),  # times, sizes, shares
    (r"\b\d+(?= (file descriptors|threads|messages|came)\b)", "…"),  # how many, in that time
    (r"\b\d+ of \d+(?= (lost|changed|doubled|out of order): )", "… of …"),
    (r"; magic=.*", ""),  # more of the same
    (r"\b(crc|seq)=\d+", r"\1=…"),
    (r"\bseq was \d+", "seq was …"),
    (r'"seq": \d+', '"seq": …'),
    (r"(?<![\d.])-?\d+\.\d+(?![\d.])", "…"),  # what was measured, and ids of it
    (r"(?<=:)\d{5}\b", "…"),  # ports of the kernel's choice
]


def stable(text: str) -> str:
    """`text` without what differs from run to run."""
    for pattern, instead in VARYING:
        text = re.sub(pattern, instead, text)
    return text


def explanation(done: Done) -> Iterator[str]:
    """The first expectation that failed, as the run tells of it; or what became of the gateway."""
    if not done.failed:
        yield stable(str(done.result.get("reason", "")))
        return
    first = done.failed[0]
    yield f"failed   {first['name']}"
    for key in ("expected", "actual", "nearest"):
        if first.get(key):
            text = first[key] if key == "expected" else stable(first[key])
            yield f"         {key:<10} {text}"


def page_of(convictions: Iterable[tuple[Case, Done, Done]]) -> str:
    """A table of all, and what each run printed."""
    table = [
        "| gateway | what is wrong with it | it is | the correct one |",
        "| --- | --- | --- | --- |",
    ]
    told = []
    for case, correct, buggy in convictions:
        table.append(
            f"| [{case.name}](#{case.name}) | {case.wrong} | {buggy.verdict} | {correct.verdict} |"
        )
        link = f"[Its scenario](../tests/gateways/scenarios/{case.scenario.name})"
        told += [f"## {case.name}", "", f"{case.wrong} {link}:", case.about, ""]
        told += ["<!-- shown: made by the tests -->", "```text", *explanation(buggy), "```", ""]
    return "\n".join([*table, "", *told])


def with_part(page: str, part: str) -> str:
    """`page` with `part` in the place of what the tests made before."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{part}\n{END}{after}"


# ---------------------------------------------------------------- many runs


def judge_often(seeds: range, names: list[str], at_a_time: int) -> Counter[tuple[str, str, str]]:
    """How often each verdict came: (scenario, gateway, verdict)."""
    counted: Counter[tuple[str, str, str]] = Counter()
    chosen = [case for case in cases() if not names or case.name in names]
    jobs = [(c, bug, seed) for seed in seeds for c in chosen for bug in (c.correct, c.name)]

    def job(work: tuple[Case, str, int]) -> tuple[Case, str, int, Done]:
        case, bug, seed = work
        out = Path(tempfile.mkdtemp(prefix="iotsim-conviction-"))
        done = run(case.scenario, bug, out, seed=seed)
        right = "passed" if bug == case.correct else "failed"
        if done.verdict in (right, "inconclusive"):
            shutil.rmtree(out)
        else:
            print(f"{case.name} with {bug}, seed {seed}: {done.verdict}, see {out}", flush=True)
        return case, bug, seed, done

    with ThreadPoolExecutor(at_a_time) as pool:
        for case, bug, _, done in pool.map(job, jobs):
            counted[case.name, bug, done.verdict] += 1
    return counted


def matrix(at_a_time: int) -> str:
    """Which scenario convicts which gateways besides its own."""
    all_cases = cases()
    jobs = [
        (scenario, bug)
        for scenario in all_cases
        for bug in all_cases
        if scenario.correct == bug.correct
    ]

    def job(work: tuple[Case, Case]) -> str:
        with tempfile.TemporaryDirectory(prefix="iotsim-conviction-") as out:
            return run(work[0].scenario, work[1].name, Path(out)).verdict

    with ThreadPoolExecutor(at_a_time) as pool:
        verdicts = dict(zip(jobs, pool.map(job, jobs), strict=True))
    rows = ["| scenario | also convicts |", "| --- | --- |"]
    for scenario in all_cases:
        others = [
            bug.name if verdict == "failed" else f"{bug.name} ({verdict})"
            for (of, bug), verdict in verdicts.items()
            if of == scenario and bug != scenario and verdict != "passed"
        ]
        rows.append(f"| {scenario.name} | {', '.join(others)} |")
    return "\n".join(rows)


def main() -> int:
    parser = argparse.ArgumentParser(description="Many runs of the gateways with bugs.")
    parser.add_argument("names", nargs="*", help="of bugs; all if none is given")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--first-seed", type=int, default=0, help="each run has the next one")
    parser.add_argument("--burners", type=int, default=0, help="processes that take all the CPU")
    parser.add_argument("--at-a-time", type=int, default=2)
    parser.add_argument("--matrix", action="store_true", help="each gateway with each scenario")
    options = parser.parse_args()
    if options.matrix:
        print(matrix(options.at_a_time))
        return 0
    began = time.monotonic()
    with ExitStack() as stack:
        for _ in range(options.burners):
            stack.enter_context(processes.started([sys.executable, "-c", "while True: pass"]))
        seeds = range(options.first_seed, options.first_seed + options.runs)
        counted = judge_often(seeds, options.names, options.at_a_time)
    correct = {case.name: case.correct for case in cases()}
    wrong = 0
    for (scenario, bug, verdict), times in sorted(counted.items()):
        right = "passed" if bug == correct[scenario] else "failed"
        wrong += times if verdict not in (right, "inconclusive") else 0
        print(f"{scenario:22} {bug:22} {verdict:12} {times}")
    inconclusive = sum(n for (*_, verdict), n in counted.items() if verdict == "inconclusive")
    print(
        f"{counted.total()} runs in {time.monotonic() - began:.0f} s: "
        f"{wrong} wrong verdicts, {inconclusive} inconclusive"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
