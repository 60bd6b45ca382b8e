"""Run an unmodified ``iotsim run`` with the load generator as its gateway, and measure all of it.

The rate is what the load generator sees. How long it takes from then until the last record of
events.jsonl and capture.pcapng is on disk is told beside it. Every reply must be there: received and
sent messages in the events, packets in both directions in the capture.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from build import HERE, LOADGEN

IOTSIM = Path(sys.executable).parent / "iotsim"
PAGE = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")
EVENT_KINDS = (b'"received"', b'"sent"')
PCAPNG_PACKET = 6
OPTION_FLAGS = 2


class OursError(RuntimeError):
    """A run of ours did not do what it was measured for."""


@dataclass
class Usage:
    """What the processes of a run used, but for the load generator: it plays the gateway."""

    samples: list[tuple[float, int]] = field(default_factory=list)
    """(Unix time, resident bytes of all processes together)"""
    cpu: list[tuple[float, float]] = field(default_factory=list)
    """(Unix time, seconds of processor time of all processes together)"""

    def peak(self, before: float = float("inf")) -> int:
        return max((rss for t, rss in self.samples if t < before), default=0)

    def cpu_share(self, after: float, before: float) -> float:
        """Of one core, between two times."""
        inside = [(t, cpu) for t, cpu in self.cpu if after <= t <= before]
        (t0, cpu0), (t1, cpu1) = inside[0], inside[-1]
        return (cpu1 - cpu0) / (t1 - t0)


@dataclass
class Ours:
    load: dict[str, Any]
    rate: float
    """Replies a second."""
    flush_s: float
    """From the load generator's end until all records were on disk."""
    start_s: float
    """From the start of iotsim until the load generator's first request (or its hold)."""
    end_s: float
    """From the load generator's end until iotsim had ended."""
    usage: Usage
    verdict: str
    records: dict[str, int]


def run_ours(
    scenario: str,
    load: list[str],
    *,
    out: Path,
    cpu: int | None = None,
    sample_s: float = 0.0,
    options: tuple[str, ...] = (),
    launcher: tuple[str, ...] = (str(IOTSIM),),
    timeout_s: float = 150,
    check_records: bool = True,
) -> Ours:
    """One run; OursError when a reply is missing in the records, or the verdict is not passed."""
    pin = ["taskset", "-c", str(cpu)] if cpu is not None else []
    result_file = out.with_suffix(".load.json")
    result_file.unlink(missing_ok=True)
    command = [
        *pin, *launcher, "run", str(HERE / "scenarios" / scenario), "--out", str(out), *options,
        "--", str(LOADGEN), "--output", str(result_file), *load,
    ]  # fmt: skip
    began = time.time()
    with out.with_suffix(".log").open("wb") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        )
        usage = Usage()
        sampler = Sampler(process.pid, usage, sample_s)
        with sampler:
            try:
                status = process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                process.terminate()
                process.wait(10)
                raise OursError(f"{scenario}: not done after {timeout_s:.0f} s") from None
    ended = time.time()
    text = out.with_suffix(".log").read_text(errors="replace")
    if not result_file.exists() or not result_file.read_text().strip():
        raise OursError(f"{scenario}: exit status {status}, no load was made\n{text[-1500:]}")
    made = json.loads(result_file.read_text())
    verdict = json.loads((out / "result.json").read_text())["verdict"]
    if status or verdict != "passed":
        raise OursError(f"{scenario}: {verdict}, exit status {status}\n{made}\n{text[-1500:]}")
    records: dict[str, int] = {}
    if check_records:
        records = count_records(out)
        compare_records(scenario, made, records)
    load_end = made["started_unix"] + made["seconds"]
    files = [out / name for name in ("events.jsonl", "capture.pcapng") if (out / name).exists()]
    on_disk = max([load_end, *(file.stat().st_mtime for file in files)])
    return Ours(
        load=made,
        rate=made["rate"],
        flush_s=on_disk - load_end,
        start_s=made["started_unix"] - began,
        end_s=ended - load_end,
        usage=usage,
        verdict=verdict,
        records=records,
    )


def compare_records(scenario: str, made: dict[str, Any], records: dict[str, int]) -> None:
    """Without a retransmission all four are equal; with one, a request may have been lost."""
    replies = made["replies"] + made["late"]
    exact = {"sent": replies, "packets out": replies}
    if made["retransmits"] == 0:
        exact |= {"received": replies, "packets in": replies}
    wrong = {name: records[name] for name, count in exact.items() if records[name] != count}
    if wrong:
        raise OursError(f"{scenario}: {replies} replies, but the records have {wrong}")


def count_records(out: Path) -> dict[str, int]:
    kinds = Counter[bytes]()
    with (out / "events.jsonl").open("rb") as lines:
        for line in lines:
            kinds[line[9:20].partition(b",")[0]] += 1
    counts = {"received": kinds[b'"received"'], "sent": kinds[b'"sent"']}
    return counts | count_packets(out / "capture.pcapng")


def count_packets(path: Path) -> dict[str, int]:
    """Packets by direction (pcapng draft, section 4.3.1: the flags option), and only UDP ones."""
    counts = Counter[int]()
    data = path.read_bytes()
    at = 0
    while at + 12 <= len(data):
        kind, length = struct.unpack_from("=II", data, at)
        if kind == PCAPNG_PACKET:
            captured = struct.unpack_from("=I", data, at + 20)[0]
            if data[at + 28] == 0x45 and data[at + 28 + 9] == 17:
                option = at + 28 + (captured + 3 & ~3)
                counts[direction(data, option, at + length - 4)] += 1
        at += length
    return {"packets in": counts[1], "packets out": counts[2]}


def direction(data: bytes, at: int, end: int) -> int:
    """1 inbound, 2 outbound, 0 not told."""
    while at + 4 <= end:
        code, length = struct.unpack_from("=HH", data, at)
        if code == OPTION_FLAGS:
            return int(struct.unpack_from("=I", data, at + 4)[0]) & 3
        if code == 0:
            break
        at += 4 + (length + 3 & ~3)
    return 0


# ---------------------------------------------------------------- memory and processor time


class Sampler:
    """Adds up /proc for a process and its descendants, every `interval` seconds; 0: never."""

    def __init__(self, pid: int, usage: Usage, interval: float) -> None:
        self.pid = pid
        self.usage = usage
        self.interval = interval
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self) -> None:
        if self.interval:
            self.thread.start()

    def __exit__(self, *_: object) -> None:
        self.done.set()
        if self.interval:
            self.thread.join()

    def run(self) -> None:
        while not self.done.wait(self.interval):
            resident, cpu = tree_usage(self.pid)
            now = time.time()
            if resident:
                self.usage.samples.append((now, resident))
                self.usage.cpu.append((now, cpu))


def tree_usage(root: int) -> tuple[int, float]:
    """Resident bytes and processor seconds of `root` and what descends from it."""
    stats: dict[int, tuple[int, int, float, str]] = {}
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            text = Path(entry.path, "stat").read_text()
        except OSError:
            continue  # it has ended meanwhile
        name, _, rest = text.partition("(")[2].rpartition(")")
        part = rest.split()
        cpu = (int(part[11]) + int(part[12])) / TICKS
        stats[int(entry.name)] = (int(part[1]), int(part[21]) * PAGE, cpu, name)
    family = {root}
    for pid in sorted(stats):  # a child's id may be below its parent's after a wrap: look twice
        if stats[pid][0] in family:
            family.add(pid)
    family |= {pid for pid in stats if stats[pid][0] in family}
    counted = [stats[pid] for pid in family if pid in stats and stats[pid][3] != LOADGEN.name]
    return sum(s[1] for s in counted), sum(s[2] for s in counted)
