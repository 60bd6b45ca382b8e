"""Requests to devices on a memory link, as fast as they come, with all that is recorded of them.

As a program: ``python -m tests.run.flood FOLDER CORES`` floods until it is killed, as if there were so many
cores, and says how far it is in FOLDER/far: the time of the run, as text.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from iotsim.link.memory import MemoryLink
from iotsim.run import scribe as scribes
from iotsim.run.files import NO_THREAD, Writer
from iotsim.run.folder import ResultsFolder
from iotsim.run.record import Record
from iotsim.scenario import load_text
from iotsim.simulation.simulation import Simulation
from iotsim.testing.frames import datagram_frame
from iotsim.wire.address import parse_address

if TYPE_CHECKING:
    from collections.abc import Callable

DEVICES = 20
BATCH = 64
SCENARIO = f"""
[devices.meter]
count = {DEVICES}
address = "10.77.1.1"
protocol = "sensornet"

[[devices.meter.rules]]
when = {{ kind = "READ" }}
reply = {{ kind = "REPORT", value = "=device.index + 0.5" }}

[[expect]]
each = "meter"
receives = {{ kind = "READ" }}
within = "5s"
"""
GATEWAY = parse_address("10.77.0.1"), 40000


class Flood:
    """``record`` is what is recorded in `folder`; `clock` gives the seconds of the run."""

    def __init__(
        self, folder: Path, clock: Callable[[], float], *, scribe: bool = False, more: str = ""
    ) -> None:
        scenario = load_text(SCENARIO + more, folder / "flood.toml", default_seed=1)
        ours, self.theirs = MemoryLink.pair(scenario.link.mtu)
        self.simulation = Simulation(scenario, ours, seed=1, clock=clock, wall_time=1.7e9)
        self.writer = Writer(NO_THREAD)
        self.record = Record(
            ResultsFolder(folder),
            scenario,
            self.simulation.journal,
            self.writer,
            wall_time=1.7e9,
            interface="memory",
            fleets=self.simulation.fleets.values(),
            may_fork=scribe,
        )
        self.simulation.start()
        self.simulation.boot(clock())
        self._service = scenario.fleets[0].services[0]
        self.asked = 0

    def ask(self, count: int = BATCH) -> None:
        """Ask devices `count` times, one after the other, and take their answers."""
        for _ in range(count):
            device = self.asked % DEVICES
            self.asked += 1
            message = {"kind": "READ", "device": device + 1, "seq": self.asked & 0xFFFF, "point": 0}
            payload = self._service.protocol.codec.encode(message)
            to = parse_address("10.77.1.1") + device, self._service.port
            self.theirs.send_nowait(datagram_frame(GATEWAY, to, payload))
        while self.simulation.pump.turn():
            pass
        self.theirs.receive_nowait(2 * count)
        self.simulation.journal.flush()

    def close(self) -> list[str]:
        self.simulation.journal.flush()
        return self.record.close()


def main(folder: Path, cores: int) -> None:
    began = time.perf_counter()

    def clock() -> float:
        return time.perf_counter() - began

    scribes.cores = lambda: cores
    flood = Flood(folder, clock, scribe=True)
    flood.ask()
    flood.record.have_scribe()
    assert flood.record.scribe is not None
    far = os.open(folder / "far", os.O_WRONLY | os.O_CREAT)
    print(flood.record.scribe.pid, flush=True)
    while True:
        flood.ask()
        os.pwrite(far, b"%20.6f" % clock(), 0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
