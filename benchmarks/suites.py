"""Measure suites: many short scenarios in one command, each with a gateway in a network of its own.

    suites.py [--settled N] [--seconds N] [--jobs auto] [--keep DIR]

``settled`` scenarios are over once their gateway has asked three devices, which takes it no time; ``seconds``
last for one second each. What counts is the wall clock; where the machine has other work to do, the
processor time of a scenario, with its gateway and all that is around it, tells more.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

GATEWAY = '''\
"""Asks each device for its reading once, and prints what answers."""
import binascii, socket, struct, sys

sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.settimeout(5)
for number, address in enumerate(sys.argv[1:]):
    body = b"SN" + struct.pack("!BBHIHB", 1, 1, 9, 7, number, 0)
    sock.sendto(body + struct.pack("!H", binascii.crc_hqx(body, 0xFFFF)), (address, 5600))
    print(address, sock.recvfrom(2048)[0].hex())
'''
SCENARIO = """\
[scenario]
name = "{name}"
duration = "{duration}"
until = "{until}"

[gateway]
command = ["python3", "-IS", "gateway.py", "10.77.1.1", "10.77.1.2", "10.77.1.3"]

[devices.meter]
count = 3
address = "10.77.1.1"
protocol = "sensornet"

[[devices.meter.rules]]
when = {{ kind = "READ" }}
reply = {{ kind = "REPORT", value = 20.5 }}

[[expect]]
name = "every meter is read"
each = "meter"
receives = {{ kind = "READ" }}
within = "{duration}"
"""
SETTLED, SECOND = "settled", "second"
KINDS = {SETTLED: ("10s", "settled"), SECOND: ("1s", "duration")}


class Measured(NamedTuple):
    """What a suite took; all in seconds, ``cpu_s`` and ``idle_share`` of one scenario and of the machine."""

    count: int
    wall_s: float
    cpu_s: float
    jobs: int
    verdicts: dict[str, int]
    retried: int

    def __str__(self) -> str:
        verdicts = ", ".join(f"{count} {verdict}" for verdict, count in self.verdicts.items())
        again = f", {self.retried} done again" if self.retried else ""
        return (
            f"{self.count} scenarios, {self.jobs} at a time: {self.wall_s:.1f} s, "
            f"{1000 * self.cpu_s / self.count:.0f} ms of a processor each ({verdicts}{again})"
        )


def write_suite(folder: Path, kind: str, count: int) -> None:
    duration, until = KINDS[kind]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "gateway.py").write_text(GATEWAY)
    for number in range(count):
        name = f"{kind}-{number:03}"
        text = SCENARIO.format(name=name, duration=duration, until=until)
        (folder / f"{name}.toml").write_text(text)


def measure(folder: Path, jobs: str) -> Measured:
    """Run the suite in `folder` with the command that users have."""
    out = folder / "out"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    words = ["run", str(folder), "--jobs", jobs, "--seed", "7", "--out", str(out), "--quiet"]
    iotsim = Path(sys.executable).with_name("iotsim")
    done = subprocess.run([iotsim, *words], stdout=subprocess.DEVNULL, check=False)
    wall_s = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if done.returncode not in (0, 4):
        raise SystemExit(f"the suite has ended with {done.returncode}: see {out}")
    result = json.loads((out / "result.json").read_text())
    retried = sum(run.get("retried", False) for run in result["runs"])
    return Measured(len(result["runs"]), wall_s, cpu_s, result["jobs"], result["counts"], retried)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--settled", type=int, default=300)
    parser.add_argument("--seconds", type=int, default=100)
    parser.add_argument("--jobs", default="auto")
    parser.add_argument("--keep", type=Path, help="leave scenarios and results there")
    options = parser.parse_args()
    folder = options.keep or Path(tempfile.mkdtemp(prefix="iotsim-suites-"))
    print(f"{len(os.sched_getaffinity(0))} processors, load {os.getloadavg()[0]:.1f}")
    try:
        for kind, count in ((SETTLED, options.settled), (SECOND, options.seconds)):
            if count:
                write_suite(folder / kind, kind, count)
                print(f"{kind}: {measure(folder / kind, options.jobs)}", flush=True)
    finally:
        if options.keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
