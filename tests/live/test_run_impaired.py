"""Impairments as a gateway's socket sees them, over TUN, each against its setting.

One gateway asks fleets whose impairments differ, a few hundred times each, and prints what came back. All
draws are seeded, so that a share is never off by chance; times have the machine's own lateness in them,
which only adds.
"""

from __future__ import annotations

import json
import math
import statistics
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.conftest import CommandLine, Done

ASKED = 600
SIGMAS = 4.0

GATEWAY = """
import json, select, socket, struct, sys, time

ASKED = int(sys.argv[1])
FLEETS = dict(pair.split("=") for pair in sys.argv[2:])

def crc(data):
    value = 0xFFFF
    for byte in data:
        value ^= byte << 8
        for _ in range(8):
            value = (value << 1 ^ 0x1021 if value & 0x8000 else value << 1) & 0xFFFF
    return value

def read(seq):
    body = b"SN" + bytes([1, 1]) + struct.pack(">H", 9) + struct.pack(">IHB", 1, seq, 0)
    return body + struct.pack(">H", crc(body))

def csum_errors():
    names, values = [line.split() for line in open("/proc/net/snmp") if line.startswith("Udp:")]
    return int(values[names.index("InCsumErrors")])

def ask(address, gap, number):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    sock.connect((address, 5600))
    sock.setblocking(False)
    sent, got, order = {}, {}, []
    before = csum_errors()
    def take(until):
        while (left := until - time.monotonic()) > 0:
            if select.select([sock], [], [], left)[0]:
                data = sock.recv(2048)
                seq = struct.unpack(">H", data[10:12])[0]
                got.setdefault(seq, []).append(time.monotonic() - sent[seq])
                order.append(seq)
    for seq in range(number):
        sent[seq] = time.monotonic()
        sock.send(read(seq))
        take(time.monotonic() + gap)
    take(time.monotonic() + 1.5)
    sock.close()
    return {"got": got, "order": order, "bad": csum_errors() - before}

found = {}
for name, address in FLEETS.items():
    slow = name in ("rate",)
    found[name] = ask(address, 0.0 if slow else 0.002, 40 if slow else ASKED)
print("FOUND", json.dumps(found), flush=True)
"""

FLEET = """
[devices.{name}]
address = "10.77.{number}.1"
protocol = "sensornet"
[[devices.{name}.rules]]
when = {{ kind = "READ" }}
reply = {{ kind = "REPORT", value = 20 }}
[[impair]]
name = "{name}"
devices = "{name}"
{impair}
"""
IMPAIRED = {
    "plain": "loss = 0.0\nfirst = 1",
    "loss": 'direction = "to_device"\nloss = "30%"',
    "both": 'loss = "20%"',
    "bursts": 'direction = "from_device"\nloss = { enter = "5%", leave = "25%" }',
    "delay": 'direction = "from_device"\ndelay = "20ms..80ms"',
    "duplicate": 'direction = "from_device"\nduplicate = "25%"',
    "reorder": 'direction = "from_device"\ndelay = "30ms"\nreorder = "10%"',
    "corrupt": 'direction = "from_device"\ncorrupt = "20%"',
    "rate": 'direction = "from_device"\nrate = "64kbit/s"\nqueue = 9',
    "hole": 'direction = "from_device"\nmtu = 50',
    "third": 'direction = "to_device"\nloss = "100%"\nevery = 3',
    "report": 'direction = "both"\nloss = "100%"\nwhen = { kind = "REPORT" }\nskip = 5\nfirst = 10',
}
HEAD = """
[scenario]
duration = "60s"
seed = 3
[[expect]]
name = "all was asked"
gateway = {{ exit = 0 }}
[gateway]
command = ["python3", "gateway.py", "{asked}", {fleets}]
"""


def job(iotsim: CommandLine) -> Done:
    iotsim.write("gateway.py", GATEWAY)
    fleets = ", ".join(f'"{name}=${{devices.{name}.first}}"' for name in IMPAIRED)
    text = HEAD.format(asked=ASKED, fleets=fleets)
    for number, (name, impair) in enumerate(IMPAIRED.items(), 1):
        text += FLEET.format(name=name, number=number, impair=impair)
    return iotsim.run(iotsim.write("impaired.toml", text))


def found(done: Done, name: str) -> dict[str, Any]:
    line = next(line for line in done.log.splitlines() if line.startswith("FOUND"))
    seen: dict[str, Any] = json.loads(line.removeprefix("FOUND"))[name]
    return seen


def near(hits: int, number: int, share: float) -> bool:
    return abs(hits - number * share) <= SIGMAS * math.sqrt(number * share * (1 - share))


def delays(seen: dict[str, Any]) -> list[float]:
    return [times[0] for times in seen["got"].values()]


impaired = pytest.mark.background(job=job)
pytestmark = pytest.mark.needs("tun")


@impaired
def test_the_share_that_is_lost(done: Done) -> None:
    assert done.result["verdict"] == "passed", done.text
    assert len(found(done, "plain")["got"]) == ASKED
    assert near(len(found(done, "loss")["got"]), ASKED, 0.7)
    assert near(len(found(done, "both")["got"]), ASKED, 0.8 * 0.8)


@impaired
def test_bursts(done: Done) -> None:
    """As many bursts as are drawn, each as long as the line is bad: four on average."""
    got = {int(seq) for seq in found(done, "bursts")["got"]}
    lost = [seq not in got for seq in range(ASKED)]
    bursts = sum(now and not before for before, now in zip([False, *lost], lost, strict=False))
    assert near(bursts, ASKED - sum(lost), 0.05)
    assert 2.5 < sum(lost) / bursts < 6


@impaired
def test_delays(done: Done) -> None:
    seen = delays(found(done, "delay"))
    plain = statistics.median(delays(found(done, "plain")))
    assert len(seen) == ASKED
    assert min(seen) >= 0.020
    assert 0.044 < statistics.median(seen) - plain < 0.065
    quarters = statistics.quantiles(seen, n=4)
    assert 0.022 < quarters[2] - quarters[0] < 0.045
    assert found(done, "delay")["order"] != sorted(found(done, "delay")["order"])


@impaired
def test_duplicates(done: Done) -> None:
    got = found(done, "duplicate")["got"]
    assert len(got) == ASKED
    assert {len(times) for times in got.values()} == {1, 2}
    assert near(sum(len(times) == 2 for times in got.values()), ASKED, 0.25)


@impaired
def test_what_is_reordered_overtakes(done: Done) -> None:
    seen = delays(found(done, "reorder"))
    assert len(seen) == ASKED
    assert near(sum(delay < 0.028 for delay in seen), ASKED, 0.10)


@impaired
def test_a_corrupt_packet_is_dropped_by_the_gateways_kernel(done: Done) -> None:
    seen = found(done, "corrupt")
    assert near(len(seen["got"]), ASKED, 0.80)
    assert (
        0 < seen["bad"] <= ASKED - len(seen["got"])
    )  # a wrong port or length is no wrong checksum
    assert seen["bad"] > 0.6 * (ASKED - len(seen["got"]))


@impaired
def test_a_slow_line(done: Done) -> None:
    """Forty answers at once: the line takes one, nine wait, and what is sent goes at 64 kbit/s."""
    seen = sorted(delays(found(done, "rate")))
    packet_s = 8 * (28 + 21) / 64_000
    assert 10 <= len(seen) <= 14
    # None comes sooner than the line allows; a busy machine may let it come later.
    assert all(delay >= 0.9 * number * packet_s for number, delay in enumerate(seen))


@impaired
def test_counts_and_black_holes(done: Done) -> None:
    assert set(map(int, found(done, "third")["got"])) == {n for n in range(ASKED) if n % 3 != 2}
    lost = set(range(ASKED)) - set(map(int, found(done, "report")["got"]))
    assert lost == set(range(5, 15))
    assert len(found(done, "hole")["got"]) == ASKED  # 49 bytes are not longer than 50


@impaired
def test_all_of_it_is_counted(done: Done) -> None:
    counters = done.result["counters"]
    assert counters["impaired.loss.lost"] == ASKED - len(found(done, "loss")["got"])
    assert counters["impaired.third.lost"] == ASKED // 3
    assert counters["impaired.report.lost"] == 10
    sent = [event for event in done.events_of("sent") if event["device"] == "delay[0]"]
    assert len(sent) == ASKED
    assert all(event["impaired"] == "delay" for event in sent)
    assert all(0.02 <= event["delay_s"] < 0.08 for event in sent)
