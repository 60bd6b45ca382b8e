"""What is measured, section by section. Each gives plain data, or says why there is none."""

from __future__ import annotations

import json
import os
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from subprocess import TimeoutExpired
from typing import Any

from build import HERE
from codec import measure_codecs
from ours import IOTSIM, Ours, OursError, run_ours
from pair import PairError
from peers import ECHO, YARDSTICKS, Peer
from schemas import measure_schemas

FLEET = ("--first", "10.77.1.1", "--devices", "1000")
SENSORNET = ("--mode", "sensornet", *FLEET)
BIG_FLEET = ("--mode", "sensornet", "--first", "10.128.0.1")
OURS_SENSORNET = "iotsim, SensorNet"
OURS_COAP = "iotsim, CoAP"
OURS_MODBUS = "iotsim, Modbus"
OURS_SNMP = "iotsim, SNMP"
FOR_LONG = "iotsim, SensorNet, a million requests"
"""More than a backlog of records has room for, so that most are written meanwhile."""
OURS = {
    OURS_SENSORNET: ("SensorNet READ to REPORT", "sensornet.toml", SENSORNET),
    OURS_COAP: ("CoAP GET to 2.05", "coap.toml", ("--mode", "coap", *FLEET)),
    OURS_MODBUS: ("Modbus read, 2 registers", "modbus.toml", ("--mode", "modbus", *FLEET)),
    OURS_SNMP: ("SNMPv2c GET", "snmp.toml", ("--mode", "snmp", *FLEET)),
}
"""What each is asked, its scenario, and the load. All but the first answer out of a model."""
BARE = ", log and capture off"
FAILURES = (OursError, PairError, TimeoutExpired, OSError)

SAMPLE_S = 0.5
"""How often the processor time of a run is looked at, of which a request's is made. To look takes some."""

Measured = dict[str, float]


@dataclass
class Bench:
    """Where to work, how long, and what is installed."""

    work: Path
    quick: bool
    versions: dict[str, str]
    runs: int = 0

    @property
    def repeats(self) -> int:
        return 1 if self.quick else 5

    def count(self, full: int) -> int:
        return full // 10 if self.quick else full

    def ours(self, scenario: str, *load: str, **options: Any) -> Ours:
        """One run of ours in a folder of its own, which is removed afterwards."""
        self.runs += 1
        return run_ours(scenario, list(load), out=self.work / f"run-{self.runs}", **options)


Contender = Callable[[], Measured]


def interleave(contenders: dict[str, Contender], repeats: int) -> dict[str, Any]:
    """``rounds``: what each measured, round by round; ``missing``: why one could not."""
    rounds: list[dict[str, Measured]] = []
    missing: dict[str, str] = {}
    for number in range(repeats):
        rounds.append({})
        for name, contender in contenders.items():
            if name in missing:
                continue
            try:
                rounds[-1][name] = contender()
            except FAILURES as error:
                missing[name] = str(error)
                print(f"   {name}: {error}", file=sys.stderr, flush=True)
                continue
            shown = ", ".join(f"{key} {value:,.1f}" for key, value in rounds[-1][name].items())
            print(f"   {number + 1}/{repeats} {name}: {shown}", flush=True)
    return {"rounds": rounds, "missing": missing}


def medians(rounds: list[dict[str, Measured]]) -> dict[str, Measured]:
    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for measured in rounds:
        for name, figures in measured.items():
            for key, value in figures.items():
                values[name][key].append(value)
    return {
        name: {key: statistics.median(found) for key, found in figures.items()}
        for name, figures in values.items()
    }


def ratio(rounds: list[dict[str, Measured]], name: str, to: str, key: str) -> float | None:
    """The median of the ratios within each round, None where there is no round with both."""
    found = [r[name][key] / r[to][key] for r in rounds if name in r and to in r and r[to][key]]
    return statistics.median(found) if found else None


# ---------------------------------------------------------------- sections


def rates(bench: Bench) -> dict[str, Any]:
    def ours(
        scenario: str, load: tuple[str, ...], *, bare: bool = False, requests: int = 200_000
    ) -> Contender:
        options = ("--no-messages", "--no-capture") if bare else ()

        def run() -> Measured:
            done = bench.ours(
                scenario, *load, "--requests", str(bench.count(requests)),
                options=options, check_records=not bare, sample_s=SAMPLE_S,
            )  # fmt: skip
            began, lasted_s = done.load["started_unix"], done.load["seconds"]
            return {
                "cpu_us": 1e6 * done.usage.cpu_share(began, began + lasted_s) / done.load["rate"],
                "rate": done.rate,
                "flush_s": done.flush_s,
                "p50_us": done.load["latency_us"]["p50"],
                "p99_us": done.load["latency_us"]["p99"],
            }

        return run

    contenders: dict[str, Contender] = {}
    for name, (_, scenario, load) in OURS.items():
        contenders[name] = ours(scenario, load)
        contenders[name + BARE] = ours(scenario, load, bare=True)
    contenders[FOR_LONG] = ours("sensornet.toml", SENSORNET, requests=1_000_000)
    absent = {}
    for peer in YARDSTICKS:
        if peer.available(bench.versions):
            contenders[peer.name] = partial(run_peer, peer, bench.count(peer.requests))
        else:
            absent[peer.name] = f"{peer.needs.removeprefix('python:')} is not installed"
    result = interleave(contenders, bench.repeats)
    result["missing"] |= absent
    asked = {name + bare: what for name, (what, *_) in OURS.items() for bare in ("", BARE)}
    asked[FOR_LONG] = asked[OURS_SENSORNET]
    result["asked"] = asked | {peer.name: peer.asked for peer in YARDSTICKS}
    return result


def run_peer(peer: Peer, requests: int) -> Measured:
    return of_load(peer.run(requests))


def of_load(load: dict[str, Any]) -> Measured:
    wrong = sum(load["bad"].values())
    if wrong or load["replies"] < 0.99 * load["requests"]:
        raise PairError(f"{load['replies']} of {load['requests']} replies, {wrong} bad")
    latency = load["latency_us"]
    return {"rate": load["rate"], "p50_us": latency["p50"], "p99_us": latency["p99"]}


def latency(bench: Bench) -> dict[str, Any]:
    """One request outstanding, all processes on one core: across cores the wake-up dominates."""
    core = min(os.sched_getaffinity(0))
    requests = bench.count(50_000)

    def ours() -> Measured:
        load = (*SENSORNET, "--outstanding", "1", "--requests", str(requests))
        return of_load(bench.ours("sensornet.toml", *load, cpu=core).load)

    contenders: dict[str, Contender] = {
        OURS_SENSORNET: ours,
        ECHO.name: lambda: of_load(ECHO.run(requests, outstanding=1, cpu=core)),
    }
    return interleave(contenders, bench.repeats)


def codec(_bench: Bench) -> dict[str, Any]:
    return {"us": measure_codecs()}


def schemas(_bench: Bench) -> dict[str, Any]:
    return {"examples": measure_schemas()}


def sizes(bench: Bench) -> dict[str, Any]:
    """The cost of a packet by the size of the fleet, which is asked in random order."""

    def ours(scenario: str, devices: int) -> Contender:
        def run() -> Measured:
            load = (*BIG_FLEET, "--devices", str(devices), "--order", "random")
            done = bench.ours(scenario, *load, "--requests", str(bench.count(150_000)))
            return {"us": 1e6 / done.rate}

        return run

    return interleave(
        {
            "10": ours("ten.toml", 10),
            "10,000": ours("ten-thousand.toml", 10_000),
            "1,000,000": ours("million.toml", 1_000_000),
        },
        1 if bench.quick else 3,
    )


def scale(bench: Bench) -> dict[str, Any]:
    """Large fleets: start, memory at rest, memory when each device has answered once."""
    fleets = {
        "1,000,000 of SensorNet": ("sensornet", "million.toml", 1_000_000),
        "100,000 of CoAP": ("coap", "hundred-thousand-coap.toml", 100_000),
    }
    return {name: _fleet(bench, *fleet) for name, fleet in fleets.items()}


def _fleet(bench: Bench, mode: str, scenario: str, devices: int) -> dict[str, Any]:
    requests = bench.count(devices)
    load = ("--mode", mode, "--first", "10.128.0.1", "--devices", str(devices))
    load = (*load, "--requests", str(requests), "--hold", "1")
    try:
        done = bench.ours(
            scenario, *load, "--seconds", "120", sample_s=0.1, check_records=False, timeout_s=240
        )
    except FAILURES as error:
        return {"missing": str(error)}
    return {
        "asked": requests,
        "start_s": done.start_s - 1,  # the load generator held for a second
        "rest_bytes": done.usage.peak(before=done.load["started_unix"]),
        "peak_bytes": done.usage.peak(before=done.load["started_unix"] + done.load["seconds"]),
        "rate": done.rate,
    }


def reports(bench: Bench) -> dict[str, Any]:
    """100,000 devices that report every 60 s: processor share once they all run, and memory."""
    seconds = 10 if bench.quick else 40
    load = ("--mode", "sink", "--port", "5600", "--seconds", str(seconds))
    try:
        done = bench.ours("reports.toml", *load, sample_s=0.1, check_records=False)
    except FAILURES as error:
        return {"missing": str(error)}
    began = done.load["started_unix"]
    return {
        "devices": 100_000,
        "seconds": seconds,
        "rate": done.load["replies"] / seconds,
        "cpu_share": done.usage.cpu_share(began + 2, began + seconds - 0.5),
        "peak_bytes": done.usage.peak(),
    }


def queues(bench: Bench) -> dict[str, Any]:
    """A worker for each of two queues against one, more devices than the kernel's flow table."""

    def ours(scenario: str) -> Contender:
        def run() -> Measured:
            load = ("--mode", "sensornet", "--first", "10.77.1.1", "--devices", "12000")
            done = bench.ours(scenario, *load, "--requests", str(bench.count(200_000)))
            return {"rate": done.rate}

        return run

    contenders = {"one": ours("one-queue.toml"), "two": ours("two-queues.toml")}
    return interleave(contenders, bench.repeats)


PLAIN, LOSSY, DELAYED = "as it is", "an impairment: loss", "an impairment: delay, both ways"
FIFTY = "48 expectations more"
MANY_OUTSTANDING = "1024"
"""Enough that a delay of 10 ms in all does not bound the rate: half of them are on their way at 50,000/s."""


def disturbed(bench: Bench) -> dict[str, Any]:
    """SensorNet as it is, behind impairments, and with fifty expectations."""

    def ours(scenario: str) -> Contender:
        def run() -> Measured:
            load = (*SENSORNET, "--outstanding", MANY_OUTSTANDING)
            load = (*load, "--requests", str(bench.count(150_000)))
            return {"rate": bench.ours(scenario, *load, check_records=False).load["rate"]}

        return run

    fifty = bench.work / "fifty.toml"
    base = HERE / "scenarios" / "sensornet.toml"
    never = '[[expect]]\neach = "meter"\nreceives = {{ kind = "READ", point = {} }}\nnever = true\n'
    fifty.write_text(f'extends = "{base}"\n' + "".join(map(never.format, range(1, 49))))
    contenders = {
        PLAIN: ours("sensornet.toml"),
        LOSSY: ours("loss.toml"),
        DELAYED: ours("delay.toml"),
        FIFTY: ours(str(fifty)),
    }
    return interleave(contenders, bench.repeats)


def layers(bench: Bench) -> dict[str, Any]:
    """Where the time of the SensorNet run goes, by a sampling profile of a run of its own."""
    profile = bench.work / "layers.json"
    os.environ["IOTSIM_LAYERS"] = str(profile)
    launcher = (str(Path(IOTSIM).parent / "python"), str(HERE / "layers.py"))
    try:
        done = bench.ours(
            "sensornet.toml", *SENSORNET, "--requests", str(bench.count(200_000)),
            launcher=launcher,
        )  # fmt: skip
    except FAILURES as error:
        return {"missing": str(error)}
    return {**json.loads(profile.read_text()), "us": 1e6 / done.load["rate"]}
