"""What is written later is, whenever nothing else is to be done."""

from __future__ import annotations

from pathlib import Path

import trio

from iotsim.link.memory import MemoryLink
from iotsim.scenario import load_text
from iotsim.simulation.simulation import Simulation
from iotsim.testing.frames import datagram_frame
from iotsim.wire.address import parse_address

SCENARIO = """
[devices.meter]
count = 1
address = "10.77.1.1"
protocol = "sensornet"

[[devices.meter.rules]]
when = { kind = "READ" }
reply = { kind = "REPORT", value = 1 }
"""


async def test_the_pump_has_sinks_write_before_it_sleeps_and_answers_between(
    autojump_clock: trio.abc.Clock,
) -> None:
    scenario = load_text(SCENARIO, Path("later.toml"), default_seed=1)
    ours, theirs = MemoryLink.pair(scenario.link.mtu)
    simulation = Simulation(scenario, ours, seed=1, clock=trio.current_time, wall_time=0.0)
    service = scenario.fleets[0].services[0]
    read = {"kind": "READ", "device": 1, "seq": 1, "point": 0}
    request = datagram_frame(
        (parse_address("10.77.0.1"), 40000),
        (parse_address("10.77.1.1"), service.port),
        service.protocol.codec.encode(read),
    )
    answers_before: list[int] = []
    answered = 0

    def write_some() -> bool:
        """There are five pieces; with each, a request comes."""
        nonlocal answered
        answered += len(theirs.receive_nowait(10))
        if len(answers_before) == 5:
            return False
        answers_before.append(answered)
        theirs.send_nowait(request)
        return True

    simulation.journal.write_some = write_some
    simulation.start()
    async with trio.open_nursery() as nursery:
        await nursery.start(simulation.pump.run)
        await trio.sleep(1)
        assert answers_before == [0, 1, 2, 3, 4]
        assert answered == 5
        nursery.cancel_scope.cancel()
