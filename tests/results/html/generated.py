"""Events of a run as large as one likes, made up: what a gateway that polls many devices would leave.

As a program: ``python -m tests.results.html.generated EVENTS DEVICES > events.jsonl``.
"""

from __future__ import annotations

import random
import sys
from typing import TYPE_CHECKING

from iotsim.events import (
    ExpectationDecided,
    FaultChanged,
    GatewayExited,
    GatewayOutput,
    GatewayReady,
    GatewayStarted,
    LinkUp,
    Northbound,
    Outcome,
    Received,
    RunEnded,
    RunStarted,
    Sent,
    StepDone,
)
from iotsim.results.jsonl import EventEncoder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iotsim.events import Event

EVENTS_A_SECOND = 10_000


def run_started(devices: int = 14, **others: object) -> RunStarted:
    fields = {
        "t": 0.0,
        "scenario": "Polled",
        "path": "polled.toml",
        "seed": 7,
        "wall_time": 1_700_000_000.0,
        "link": "tun",
        "tolerance": 1.0,
        "repeat": "iotsim run polled.toml --seed 7",
        "versions": {"iotsim": "0"},
        "fleets": {
            "meter": {
                "count": devices,
                "addresses": ["10.77.0.2-10.77.255.254"],
                "protocols": ["sensornet"],
            }
        },
    }
    return RunStarted(**(fields | others))  # type: ignore[arg-type]


def failed_outcome(t: float, *devices: str, **others: object) -> Outcome:
    fields = {
        "name": "every meter is polled",
        "kind": "within",
        "passed": False,
        "severity": "error",
        "expected": "each of meter receives kind READ within 1 s",
        "actual": f"{len(devices)} did not",
        "devices": devices,
        "details": tuple("heard nothing in that time" for _ in devices),
        "total": len(devices),
        "place": "polled.toml:30",
        "t": t,
    }
    return Outcome(**(fields | others))  # type: ignore[arg-type]


def run_ended(t: float, verdict: str = "failed") -> RunEnded:
    return RunEnded(
        t=t,
        verdict=verdict,
        reason="an expectation did not hold",
        duration_s=t,
        notes=["a note"],
        errors=[],
        gateway=None,
        counters={"packets.received": 5},
        lag={"link": 0.001},
        files=["events.jsonl"],
    )


def read(id: int, t: float, device: int, peer: str = "10.77.0.1:38653") -> Received:  # noqa: A002
    message = {
        "magic": "SN",
        "version": 1,
        "kind": "READ",
        "length": 9,
        "device": device % 65536,
        "seq": id % 65536,
        "point": 0,
        "crc": id * 40503 % 65536,
    }
    return Received(t, id, f"meter[{device}]", peer, "sensornet", message)


def report(id: int, t: float, device: int, reply: int, peer: str = "10.77.0.1:38653") -> Sent:  # noqa: A002
    message = {
        "magic": "SN",
        "version": 1,
        "kind": "REPORT",
        "length": 15,
        "device": device % 65536,
        "seq": reply % 65536,
        "point": 0,
        "unit": "NONE",
        "status": {"quality": "GOOD", "alarm": False, "battery_low": False},
        "value": id % 1000 / 8,
        "crc": id * 40503 % 65536,
    }
    return Sent(t, id, f"meter[{device}]", peer, "sensornet", message, in_reply_to=reply)


def events(count: int, devices: int, seed: int = 1) -> Iterator[Event]:
    """About `count` events of a run that has failed in its middle."""
    draw = random.Random(seed)
    end = count / EVENTS_A_SECOND
    yield run_started(devices)
    yield LinkUp(0.0, "tun", "iotsim0", ["10.77.0.1/16"], 1500)
    yield GatewayStarted(0.01, 4242, ["gateway", "--poll"])
    yield GatewayReady(0.02, "started")
    yield GatewayOutput(0.02, "ready")
    number, spoken = 0, 5
    while spoken < count:
        t = 0.05 + end * spoken / count
        device = number // 2 % devices
        befell = {"impaired": "lossy", "fate": "lost"} if draw.random() < 0.02 else {}
        asked = read(number + 1, t, device)
        for name, text in befell.items():
            setattr(asked, name, text)
        yield asked
        spoken += 1
        if not befell:
            t += draw.expovariate(5000)
            answer = report(number + 2, t, device, number + 1)
            yield answer
            spoken += 1
        number += 2
        if number % 2000 == 0:
            yield GatewayOutput(t, f"polled {number} times")
            yield Northbound(t, number, "cloud", {"path": "/v1", "status": 200})
            spoken += 2
        if number % (count // 4 * 2 or 2) == count // 8 * 2:
            yield StepDone(t, f"step {number}")
            yield FaultChanged(t, "deaf", "freeze", "meter[0]", begun=True)
    failed = failed_outcome(end / 2, "meter[1]", "meter[2]", "meter[5]", number=0)
    yield ExpectationDecided(end / 2, failed)
    yield GatewayExited(end + 0.1, 0, "", crashed=False, by="end")
    yield run_ended(end + 0.2)


if __name__ == "__main__":
    encode = EventEncoder({"sensornet": ()}).encode
    for event in events(int(sys.argv[1]), int(sys.argv[2])):
        sys.stdout.buffer.write(encode([event]))
