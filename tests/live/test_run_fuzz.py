"""Hostile packets over the whole way: kernel, TUN, stack, protocol, device, files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import CommandLine, Done

pytestmark = pytest.mark.needs("tun")

background = pytest.mark.background

PACKETS = 4000
GENERATOR = '''
"""Sends PACKETS raw packets from a seeded generator into the interface, from inside."""
import binascii, random, socket, struct, sys

rng = random.Random(int(sys.argv[1]))
count = int(sys.argv[2])
sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
sock.bind(("iotsim0", 0x0800))

def checksum(data):
    data += b"\\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF

def read(number):
    body = b"SN" + struct.pack("!BBHIHB", 1, rng.choice([1, 1, 4]), 9, 7, number & 0xFFFF, 0)
    return body + struct.pack("!H", binascii.crc_hqx(body, 0xFFFF))

def mutated(data, most):
    data = bytearray(data)
    for _ in range(rng.randint(0, most)):
        kind = rng.random()
        if data and kind < 0.6:
            data[rng.randrange(len(data))] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)])
        elif data and kind < 0.8:
            del data[rng.randrange(len(data)):]
        else:
            at = rng.randint(0, len(data))
            data[at:at] = rng.randbytes(rng.randint(1, 40))
    return bytes(data)

def destination(version):
    if version == 4:
        return socket.inet_aton(rng.choice(
            ["10.77.1.1", "10.77.1.2", "10.77.1.3"] * 6 + ["10.77.1.4", "10.77.255.254", "10.77.255.255",
             "224.0.0.1", "239.1.2.3", "255.255.255.255", "0.0.0.0", "127.0.0.1", "8.8.8.8"]))
    return socket.inet_pton(socket.AF_INET6, rng.choice(
        ["fd77::1:1", "fd77::1:2"] * 4 + ["fd77::1:9", "ff02::1", "ff05::2", "::1", "::", "2001:db8::1"]))

def transport(version, source, target, number):
    """(protocol, bytes) with a right checksum."""
    kind = rng.random()
    if kind < 0.7:
        port = rng.choice([5600, 5600, 5600, 5601, 0, 53, 65535])
        payload = mutated(read(number), 3) if rng.random() < 0.8 else rng.randbytes(rng.randint(0, 99))
        segment = struct.pack("!HHHH", rng.choice([4000, 0, 5600]), port, 8 + len(payload), 0) + payload
        protocol, at = 17, 6
    elif kind < 0.9:
        protocol = 1 if version == 4 else 58
        types = [8, 0, 3, 11, 13] if version == 4 else [128, 129, 1, 3, 130, 135, 136]
        segment = struct.pack("!BBHHH", rng.choice(types), rng.randint(0, 4), 0, 1, number & 0xFFFF)
        segment += rng.randbytes(rng.randint(0, 60))
        at = 2
    else:
        protocol = rng.choice([6, 2, 41, 0, 43, 44, 50, 60, 132, rng.randrange(256)])
        segment = rng.randbytes(rng.randint(0, 60))
        return protocol, segment
    segment = mutated(segment, 1) if rng.random() < 0.3 else segment
    if len(segment) >= at + 2 and rng.random() < 0.95:
        pseudo = b""
        if version == 4 and protocol == 17:
            pseudo = source + target + struct.pack("!BBH", 0, protocol, len(segment))
        elif version == 6:
            pseudo = source + target + struct.pack("!IHBB", len(segment), 0, 0, protocol)
        cleared = segment[:at] + b"\\0\\0" + segment[at + 2:]
        total = checksum(pseudo + cleared) or 0xFFFF
        segment = segment[:at] + struct.pack("!H", total) + segment[at + 2:]
    return protocol, segment

def packet(number):
    kind = rng.random()
    if kind < 0.15:
        return rng.randbytes(rng.randint(1, 120))
    if kind < 0.7:
        source = socket.inet_aton(rng.choice(["10.77.0.1"] * 8 + ["10.77.1.1", "0.0.0.0", "10.9.9.9"]))
        target = destination(4)
        protocol, segment = transport(4, source, target, number)
        options = rng.randbytes(4 * rng.randint(1, 10)) if rng.random() < 0.1 else b""
        flags = rng.choice([0] * 8 + [0x4000, 0x2000, 0x2000 | rng.randrange(0x1FFF), rng.randrange(65536)])
        size = 20 + len(options) + len(segment)
        header = struct.pack(
            "!BBHHHBBH", 0x40 | 5 + len(options) // 4, rng.choice([0, 0xFF]), size, number & 0xFFFF,
            flags, rng.choice([64, 64, 1, 0]), protocol, 0) + source + target + options
        header = mutated(header, 1)[:60] if rng.random() < 0.2 else header
        if len(header) >= 20 and rng.random() < 0.95:
            cleared = header[:10] + b"\\0\\0" + header[12:]
            header = header[:10] + struct.pack("!H", checksum(cleared)) + header[12:]
        return header + segment
    source = socket.inet_pton(socket.AF_INET6, rng.choice(["fd77::1"] * 6 + ["fe80::1", "::"]))
    target = destination(6)
    protocol, segment = transport(6, source, target, number)
    for _ in range(rng.choice([0, 0, 0, 1, 2])):
        extension = rng.choice([0, 43, 44, 60])
        segment = bytes([protocol, 0]) + rng.randbytes(6) + segment
        protocol = extension
    header = struct.pack("!IHBB", 6 << 28, len(segment), protocol, rng.choice([64, 255, 1, 0]))
    return mutated(header + source + target, 1 if rng.random() < 0.2 else 0) + segment

sent = 0
for number in range(count):
    data = packet(number)
    if data:
        protocol = 0x86DD if data[0] >> 4 == 6 else 0x0800
        sock.sendto(data[:1500], ("iotsim0", protocol))
        sent += 1
print("sent", sent, flush=True)
'''
RULES = """
[[devices.meter.rules]]
when = { kind = "READ" }
reply = { kind = "REPORT", value = 20.5 }
delay = "0ms..2ms"

[[devices.meter.rules]]
when = { kind = "COMMAND" }
reply = { kind = "ACK" }
"""


def fuzzed(iotsim: CommandLine, seed: int) -> tuple[Done, Done]:
    folder = iotsim.folder
    script = (
        f"touch {folder}/up; until [ -e {folder}/go ]; do sleep 0.02; done; "
        f"exec python3 -IS {folder}/poller.py 10.77.1.1 10.77.1.2 10.77.1.3"
    )
    scenario = iotsim.meters(rules=RULES, until="gateway_exit")
    text = scenario.read_text().replace('"10.77.1.1"', '["10.77.1.1", "fd77::1:1"]')
    scenario.write_text(text.replace('"20s"', '"60s"').replace('"15s"', '"60s"'))
    generator = iotsim.write("generator.py", GENERATOR)
    run = iotsim.start("run", scenario, "--out", iotsim.out, "--", "sh", "-c", script)
    iotsim.wait_for((folder / "up").exists, "the gateway", run)
    words = ["python3", "-IS", generator, str(seed), str(PACKETS)]
    sender = iotsim("exec", iotsim.out, "--", *words)
    (folder / "go").touch()
    return iotsim.finish(run), sender


@background(job=fuzzed)
@pytest.mark.parametrize("seed", [1, 2])
def test_every_packet_is_accounted_for_and_none_does_harm(
    seed: int, done: tuple[Done, Done]
) -> None:
    run, sender = done
    assert sender.status == 0, sender.text
    # Afterwards, every meter still answers an ordinary poll.
    assert run.status == 0, run.text
    assert run.log.count("answer 10.77.1.") == 3
    result = run.result
    assert result["verdict"] == "passed"
    counters = result["counters"]
    assert counters["packets.received"] == counters["interface.to_devices"] >= PACKETS * 0.9
    outcomes = {name: n for name, n in counters.items() if name.startswith("outcome.")}
    assert sum(outcomes.values()) == counters["packets.received"], outcomes
    assert len(outcomes) > 20  # it has been almost everywhere
    assert counters["outcome.answered"] > 100
    assert counters["outcome.dropped.undecodable"] > 100
    assert not run.events_of("device-failed")
