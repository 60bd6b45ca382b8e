"""A judge that is fed by hand, and what tests feed it with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from iotsim.expect.judge import Judge
from iotsim.expect.slots import FleetView
from iotsim.expect.spec import DeviceSelection, ExpectSpec
from iotsim.match import compile_match

READ = {"kind": "READ"}
COMMAND = {"kind": "COMMAND", "code": 7}


@dataclass
class FakeDevice:
    index: int
    fleet: str = "meter"
    state: dict[str, Any] = field(default_factory=dict)
    address: str = "10.77.1.1"
    asked: dict[str, Any] | None = None

    @property
    def name(self) -> str:
        return f"{self.fleet}[{self.index}]"

    def signal(self, name: str, t: float) -> float:
        return t


def expectation(kind: str, **fields: Any) -> ExpectSpec:
    devices = fields.pop("devices", (DeviceSelection("meter", range(3)),))
    matcher = compile_match(fields.pop("match", READ))
    return ExpectSpec(name=kind, kind=kind, devices=devices, matcher=matcher, **fields)


class Transcript:
    """A judge over three meters (unless told otherwise), fed by hand."""

    def __init__(self, *specs: ExpectSpec, tolerance: float = 1.0, **view: Any) -> None:
        fleet = FleetView("meter", view.pop("count", 3), **view)
        self.judge = Judge(specs, {"meter": fleet}, tolerance)
        self.judge.gateway_ready(0.0)

    def hear(self, index: int, t: float, message: dict[str, Any] | None = None) -> None:
        for observe in self.judge.observers("meter", "receives"):
            observe(FakeDevice(index), READ if message is None else message, t)

    def end(self, now: float = 10.0, *, gateway_heard: bool = True) -> Any:
        findings = self.judge.finish(now, gateway_heard=gateway_heard)
        self.notes = findings.notes
        (outcome,) = findings.outcomes
        return outcome
