"""Fuzzes what reads bytes of others, scenarios and results: ``python tests/fuzz/fuzz.py --seconds 60``.

Each harness ``fuzz_NAME.py`` gets its share of the time, as many at once as there are processors.
What was found in earlier runs to lead far is kept in build/fuzz/NAME; an input that fails is left
there as ``crash-…``, and ``python tests/fuzz/fuzz_NAME.py build/fuzz/crash-…`` (with IOTSIM_FUZZ=1)
tries it again. The fuzzer, atheris, is installed if it is not there.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import os
import platform
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
BUILD = HERE.parents[1] / "build" / "fuzz"
HARNESSES = sorted(path.stem for path in HERE.glob("fuzz_*.py"))
LONGEST_INPUT = 8192
INSTALL = [sys.executable, "-m", "pip", "install", "--quiet", "--only-binary=:all:", "atheris"]


def has_atheris() -> bool:
    """Whether the fuzzer is there, now at the latest."""
    try:
        importlib.import_module("atheris")
    except ImportError:
        return subprocess.run(INSTALL, check=False).returncode == 0
    return True


def make_corpus(name: str) -> Path:
    """The folder of inputs to start from: the harness's seeds, and what was found before."""
    folder = BUILD / name
    folder.mkdir(parents=True, exist_ok=True)
    for seed in importlib.import_module(name).seeds():
        if len(seed) <= LONGEST_INPUT:
            (folder / hashlib.sha1(seed, usedforsecurity=False).hexdigest()).write_bytes(seed)
    return folder


def run(name: str, seconds: int, inputs: int) -> bool:
    """Fuzz one harness, with `inputs` above 0 always in the same way; whether it stood."""
    corpus = make_corpus(name)
    words = [
        sys.executable,
        HERE / f"{name}.py",
        corpus,
        f"-max_total_time={seconds}",
        f"-max_len={LONGEST_INPUT}",
        "-timeout=10",
        "-rss_limit_mb=1024",
        "-print_final_stats=1",
        f"-artifact_prefix={BUILD}/",
    ]
    environment = {**os.environ, "IOTSIM_FUZZ": "1"}
    if inputs:
        words += [f"-runs={inputs}", "-seed=1"]
        environment["PYTHONHASHSEED"] = "0"
    done = subprocess.run(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=environment,
        check=False,
    )
    lines = done.stdout.splitlines()
    executed = [line.split()[-1] for line in lines if "number_of_executed_units" in line]
    print(f"{name}: {' '.join(executed) or 'no'} inputs, at most {seconds} s", flush=True)
    if done.returncode:
        print(done.stdout[-4000:], flush=True)
    return not done.returncode


def main() -> int:
    parser = argparse.ArgumentParser(description="Fuzz what reads bytes from the network.")
    parser.add_argument("--seconds", type=int, default=60, help="in all (default: 60)")
    parser.add_argument(
        "--inputs", type=int, default=0, help="for each, and the same each time (default: no end)"
    )
    parser.add_argument("names", nargs="*", default=HARNESSES, help=f"of {', '.join(HARNESSES)}")
    arguments = parser.parse_args()
    if not has_atheris():
        print(
            f"skipped: there is no atheris for Python {platform.python_version()} on this machine"
        )
        return 0
    workers = min(os.cpu_count() or 1, len(arguments.names))
    share = max(arguments.seconds * workers // len(arguments.names), 1)
    with ThreadPoolExecutor(workers) as pool:
        stood = list(pool.map(lambda name: run(name, share, arguments.inputs), arguments.names))
    return 0 if all(stood) else 1


if __name__ == "__main__":
    sys.exit(main())
