"""What is sent in a turn leaves in groups, in order, and a link that drops some of it is heeded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from iotsim.events import OUT, Event, Note, PacketRecord
from iotsim.scenario import load_text
from iotsim.simulation import pump
from iotsim.simulation.simulation import Simulation
from iotsim.testing.frames import datagram_frame, read_datagram
from iotsim.wire.address import parse_address

if TYPE_CHECKING:
    from collections.abc import Sequence

SCENARIO = """
[devices.meter]
count = 100
address = "10.77.1.1"
protocol = "sensornet"

[[devices.meter.rules]]
when = { kind = "READ" }
reply = { kind = "REPORT", value = "=device.index" }

[[devices.meter.rules]]
when = { kind = "COMMAND" }
reply = { kind = "REPORT", value = "=device.index" }
delay = "1s"
"""


class Tun:
    """A link that holds what it is given; ``full``: it drops that."""

    kind = "tun"
    name = "fake"
    mtu = 1500

    def __init__(self) -> None:
        self.waiting: list[bytes] = []
        self.sent: list[bytes] = []
        self.full = False

    def receive_nowait(self, limit: int) -> list[bytes]:
        frames, self.waiting = self.waiting[:limit], self.waiting[limit:]
        return frames

    def send_nowait(self, frame: bytes) -> bool:
        if not self.full:
            self.sent.append(frame)
        return not self.full

    def send_all(self, frames: Sequence[bytes]) -> int:
        return sum(not self.send_nowait(frame) for frame in frames)

    def wait_briefly(self, timeout_s: float) -> bool:
        return False

    async def wait_readable(self) -> None:
        raise AssertionError

    def statistics(self) -> dict[str, int]:
        return {"sent": len(self.sent), "send_dropped": 0}

    def close(self) -> None:
        pass


class Bench:
    def __init__(self) -> None:
        scenario = load_text(SCENARIO, Path("together.toml"), default_seed=1)
        self.now = 0.0
        self.link = Tun()
        self.simulation = Simulation(
            scenario, self.link, seed=1, clock=lambda: self.now, wall_time=0.0
        )
        self.simulation.start()
        self.simulation.boot(0.0)
        self._service = scenario.fleets[0].services[0]
        self.events: list[Event] = []
        self.packets: list[PacketRecord] = []
        self.simulation.journal.add_event_sink(self.events.extend)
        self.simulation.journal.add_packet_sink(self.packets.extend)

    def ask(self, count: int, kind: str = "READ") -> None:
        """Have `count` devices asked, one after the other."""
        more = {"code": "REBOOT"} if kind == "COMMAND" else {"point": 0}
        for index in range(count):
            message = {"kind": kind, "device": index + 1, "seq": index, **more}
            self.link.waiting.append(
                datagram_frame(
                    (parse_address("10.77.0.1"), 40000),
                    (parse_address("10.77.1.1") + index, self._service.port),
                    self._service.protocol.codec.encode(message),
                )
            )

    def answers(self) -> list[float]:
        decode = self._service.protocol.codec.decode
        return [decode(read_datagram(frame)[2])["value"] for frame in self.link.sent]


@pytest.mark.parametrize(
    ("most", "step_s", "left"),
    [
        (64, 0.0, [0] * 12),
        (5, 0.0, [0, 0, 0, 0, 0, 5, 5, 5, 5, 5, 10, 10]),
        (64, 1.2e-4, [0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8]),
    ],
)
def test_answers_leave_in_groups_and_in_order(
    monkeypatch: pytest.MonkeyPatch, most: int, step_s: float, left: list[int]
) -> None:
    """``left`` are how many had left at the time of each request, which are `step_s` apart."""
    monkeypatch.setattr(pump, "TOGETHER_FRAMES", most)
    bench = Bench()
    receive = bench.simulation.pump.receive
    seen: list[int] = []

    def note(frame: bytes, now: float) -> str:
        seen.append(len(bench.link.sent))
        bench.now += step_s
        return receive(frame, now)

    monkeypatch.setattr(bench.simulation.pump, "receive", note)
    bench.ask(len(left))
    bench.simulation.pump.turn()
    assert seen == left
    assert bench.answers() == list(range(len(left)))
    bench.simulation.journal.flush()
    assert [direction for _, direction, _ in bench.packets].count(OUT) == len(left)


def test_so_does_what_timers_send() -> None:
    bench = Bench()
    bench.ask(5, "COMMAND")
    bench.simulation.pump.turn()
    assert bench.answers() == []
    bench.now = 1.0
    bench.simulation.pump.turn()
    assert bench.answers() == [0, 1, 2, 3, 4]


def test_what_a_link_drops_of_a_group_is_noted_and_the_rest_told_one_by_one() -> None:
    bench = Bench()
    bench.link.full = True
    bench.ask(3)
    bench.simulation.pump.turn()
    bench.ask(2)
    bench.simulation.pump.turn()
    bench.simulation.journal.flush()
    notes = [event.text for event in bench.events if isinstance(event, Note)]
    assert notes == ["the link dropped 3 packets that were told as sent"]
    kinds = [event.__struct_config__.tag for event in bench.events]
    assert kinds.count("sent") == 3
    assert kinds.count("not-sent") == 2
    bench.link.full = False
    bench.ask(pump.BATCH_FRAMES)
    bench.simulation.pump.turn()
    assert len(bench.answers()) == pump.BATCH_FRAMES
