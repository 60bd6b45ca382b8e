"""Device faults as sockets of a gateway see them: each against what the scenario says, over TUN and TAP."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from iotsim.protocol.registry import load_protocol

if TYPE_CHECKING:
    from tests.conftest import CommandLine, Done

pytestmark = pytest.mark.needs("tun")
background = pytest.mark.background

FAULTS = [
    "offline = true",
    "mute = true",
    "truncate = 4",
    'extra = "hex:00 ff"',
    'raw = "hex:de ad be ef"',
    'malform = { crc = "wrong" }',
    'malform = { value = -999, seq = "=msg.seq + 65536 * 3" }',
    "repeat = 2",
    'error = "BUSY"',
    'slow = "300ms..400ms"',
    'rebind = { address = "10.77.9.9" }',
    "rebind = { port = 5700 }",
    'at = "4s"\nfor = "2s"\noffline = true',
    'at = "4s"\nreboot = { down = "2s" }',
    'sleep = { every = "2s", awake = "1s" }',
    "freeze = true",
    "",
]
"""One for each device, in their order; the last has none."""
SLEEPING = 14
SCENARIO = """
[scenario]
duration = "60s"
until = "gateway_exit"

[link]
kind = "{link}"
queues = {queues}

[gateway]
command = ["python3", "-u", "gateway.py"]

[devices.meter]
count = {count}
address = "10.77.1.1"
protocol = "sensornet"
state = {{ reads = 0 }}
signals = {{ level = {{ kind = "ramp", start = 0, stop = 1000, period = "1000s" }} }}

[[devices.meter.rules]]
when = {{ kind = "READ" }}
set = {{ reads = "=state.reads + 1" }}
reply = {{ kind = "REPORT", value = "=level", point = "=state.reads", status = {{}} }}
"""
GATEWAY = """
import json, select, socket, time

BEGIN = time.monotonic()
READ = bytes.fromhex("{read}")

def ask(address, port=5600, wait=0.25):
    "What comes within a while: source, port, bytes, after how long; and what the socket says."
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.IPPROTO_IP, 11, 1)  # IP_RECVERR: ICMP errors are told
        sent = time.monotonic()
        try:
            sock.sendto(READ, (address, port))
        except OSError as error:
            return [["error", error.errno]]
        found = []
        while (left := sent + wait - time.monotonic()) > 0:
            if not select.select([sock], [], [], left)[0]:
                break
            try:
                data, source = sock.recvfrom(2048)
            except OSError as error:
                found.append(["error", error.errno])
                break
            found.append([*source, data.hex(), time.monotonic() - sent])
        return found

def ping(address):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP) as sock:
        try:
            sock.sendto(bytes.fromhex("0800000000000001"), (address, 0))
        except OSError:
            return False
        sock.settimeout(0.5)
        try:
            return sock.recvfrom(100)[0][0] == 0
        except OSError:
            return False

def neighbors():
    with open("/proc/net/arp") as table:
        return {{line.split()[0]: line.split()[2:4] for line in table.readlines()[1:]}}

seen = {{}}
# Every 50 ms, whether those of the windows answer.
seen["track"] = []
while time.monotonic() - BEGIN < 9:
    row = [time.monotonic() - BEGIN]
    for n in (13, 14, 15, 16):
        got = ask(f"10.77.1.{{n}}", wait=0.05)
        row.append([one[2] for one in got if one[0] != "error"])
    seen["track"].append(row)
seen["answers"] = [ask(f"10.77.1.{{n}}", wait=0.6) for n in range(1, {count} + 1)]
seen["pings"] = [ping(f"10.77.1.{{n}}") for n in range(1, {count} + 1)]
seen["moved"] = [ask("10.77.9.9"), ask("10.77.1.12", 5700)]
seen["moved_ping"] = ping("10.77.9.9")
seen["neighbors"] = neighbors()
print(json.dumps(seen))
"""


CODEC = load_protocol("sensornet").protocol.codec
READ = {"kind": "READ", "device": 7, "seq": 1}


def run_over(iotsim: CommandLine, link: str, queues: int = 1) -> Done:
    read = CODEC.encode(READ).hex()
    iotsim.write("gateway.py", GATEWAY.format(read=read, count=len(FAULTS)))
    text = SCENARIO.format(link=link, queues=queues, count=len(FAULTS))
    text += "".join(
        f"[[fault]]\nname = 'of {number}'\ndevices = 'meter[{number}]'\n{fault}\n"
        for number, fault in enumerate(FAULTS)
        if fault
    )
    text += '[[expect]]\ngateway = { stdout = "answers" }\nwithin = "50s"\n'
    return iotsim.run(iotsim.write(f"{link}.toml", text))


def over_tun(iotsim: CommandLine) -> Done:
    return run_over(iotsim, "tun")


def over_tap(iotsim: CommandLine) -> Done:
    return run_over(iotsim, "tap")


def over_two_queues(iotsim: CommandLine) -> Done:
    return run_over(iotsim, "tun", 2)


def check(done: Done) -> dict[str, Any]:
    """What a gateway's sockets have seen, held against the settings."""
    assert done.status == 0, done.text + done.log
    seen: dict[str, Any] = json.loads(done.log[done.log.index("{") :])
    answers = [[one for one in several if one[0] != "error"] for several in seen["answers"]]
    payloads = [[bytes.fromhex(one[2]) for one in several] for several in answers]
    [whole] = payloads[16]
    message = CODEC.decode(whole)
    assert message["kind"] == "REPORT"

    offline, mute, truncated, extra, raw, crc, malformed, repeated, busy, slow, *moved = payloads[
        :12
    ]
    assert offline == mute == []
    assert [len(data) for data in truncated] == [len(whole) - 4]
    assert [data[-2:] for data in extra] == [b"\x00\xff"]
    assert len(extra[0]) == len(whole) + 2
    assert raw == [b"\xde\xad\xbe\xef"]
    assert crc[0][-2:] != CODEC.encode({**message, **decoded(crc[0][:-2])})[-2:]
    fields = CODEC.decode(malformed[0])
    assert (fields["value"], fields["seq"]) == (-999, (1 + 65536 * 3) & 0xFFFF)
    assert len(repeated) == 3
    assert len(set(repeated)) == 1
    assert CODEC.decode(busy[0])["error"] == "BUSY"
    assert 0.3 <= answers[9][0][3] < 0.6
    assert len(slow) == 1

    # Those that have moved are where the scenario says, and nowhere else.
    assert moved == [[], []]
    [[address, port, data, _]] = seen["moved"][0]
    assert (address, port, CODEC.decode(bytes.fromhex(data))["kind"]) == (
        "10.77.9.9",
        5600,
        "REPORT",
    )
    [[address, port, _, _]] = seen["moved"][1]
    assert (address, port) == ("10.77.1.12", 5700)
    pings = seen["pings"]
    assert [at for at, there in enumerate(pings) if not there and at != SLEEPING] == [0, 10]
    assert seen["moved_ping"] is True

    check_windows(seen["track"], done)
    return seen


def decoded(data: bytes) -> dict[str, Any]:
    """The fields of a REPORT without its checksum."""
    return {"value": 0.0, "seq": int.from_bytes(data[10:12], "big")}


def check_windows(track: list[Any], done: Done) -> None:
    """When devices answered that are sometimes away, in the gateway's own time."""
    begun = {event["name"]: event["t"] for event in done.events_of("fault") if event["begun"]}
    over = {event["name"]: event["t"] for event in done.events_of("fault") if not event["begun"]}
    assert begun["of 12"] == pytest.approx(4, abs=0.2)
    assert over["of 12"] - begun["of 12"] == pytest.approx(2, abs=0.2)
    for column in (1, 2):
        times = [row[0] for row in track if not row[column]]
        # One window of two seconds, with nothing in it, and answers on both sides.
        assert max(times) - min(times) == pytest.approx(2, abs=0.6)
        inside = [row for row in track if min(times) <= row[0] <= max(times)]
        assert sum(bool(row[column]) for row in inside) <= 2
        assert track[-1][column]
    # What was rebooted counts anew.
    points = [CODEC.decode(bytes.fromhex(row[2][0]))["point"] for row in track if row[2]]
    drop = next(at for at, point in enumerate(points) if at and point < points[at - 1])
    assert points[drop] == 1
    [reboot] = done.events_of("device-rebooted")
    assert reboot["device"] == "meter[13]"
    # Half of the time asleep, in turns of a second.
    awake = sum(bool(row[3]) for row in track) / len(track)
    assert 0.25 < awake < 0.75
    turns = sum(bool(one[3]) != bool(two[3]) for one, two in pairwise(track))
    assert 3 <= turns <= 12
    frozen = {CODEC.decode(bytes.fromhex(row[4][0]))["value"] for row in track if row[4]}
    assert frozen == {0.0}


@background(job=over_tun)
def test_over_tun_each_fault_is_what_a_gateways_sockets_see(done: Done) -> None:
    seen = check(done)
    # No route to a device that is away: EHOSTUNREACH, by the router. A closed port: ECONNREFUSED.
    assert seen["answers"][0] == [["error", 113]]
    assert seen["answers"][10] == [["error", 113]]
    assert seen["answers"][11] == [["error", 111]]


@background(job=over_two_queues)
def test_several_processes_share_faults_as_they_share_devices(done: Done) -> None:
    check(done)


@background(job=over_tap)
def test_over_tap_a_device_that_is_away_has_no_mac_address_either(done: Done) -> None:
    seen = check(done)
    known = seen["neighbors"]
    complete = {address for address, (flags, _) in known.items() if int(flags, 16) & 2}
    assert "10.77.1.1" not in complete
    assert "10.77.1.11" not in complete
    # The device that has moved keeps its MAC, which is the eleventh.
    first, moved = (int(known[one][1].replace(":", ""), 16) for one in ("10.77.1.2", "10.77.9.9"))
    assert moved - first == 9
    assert seen["answers"][11] == [["error", 111]]


COAP = """
[scenario]
duration = "60s"
[gateway]
command = ["bash", "gateway.sh"]
[devices.d]
count = 4
address = "10.77.1.1"
protocol = "coap"
[devices.d.model.resources]
"/large" = { value = "{large}" }
[[fault]]
devices = "d[1]"
when = { block2 = { exists = true } }
skip = 2
malform = { "block2.number" = 9 }
[[fault]]
devices = "d[2]"
skip = 1
first = 1
raw = "hex:ff ff ff ff"
[[fault]]
devices = "d[3]"
when = { code = "GET" }
error = "SERVICE_UNAVAILABLE"
[[expect]]
gateway = { stdout = "done" }
within = "50s"
"""
LIBCOAP = """
for n in 1 2 3 4; do
    echo "$n: $(coap-client-notls -B 4 -b 64 coap://10.77.1.$n/large 2>&1 | tr -d '\\n')"
done
echo done
"""
LARGE = "".join(f"{number:04}" for number in range(100))


def libcoap(iotsim: CommandLine) -> Done:
    iotsim.write("gateway.sh", LIBCOAP)
    return iotsim.run(iotsim.write("coap.toml", COAP.replace("{large}", LARGE)))


@pytest.mark.needs("tun", "coap-client-notls")
@background(job=libcoap)
def test_libcoap_refuses_what_is_malformed_and_bears_what_is_garbled(done: Done) -> None:
    assert done.status == 0, done.text + done.log
    said = dict(line.split(": ", 1) for line in done.log.splitlines() if ": " in line)
    assert said["1"] == LARGE
    assert LARGE not in said["2"]  # the body was never complete
    # What is no message is told of, and asked for again.
    body, warned = re.subn(r"\w{3} \d+ [\d:.]+ WARN discard malformed PDU", "", said["3"])
    assert (body, warned) == (LARGE, 1)
    assert "5.03" in said["4"]
    [garbled] = done.events_of("undecodable")
    assert (garbled["device"], garbled["data"], garbled["sent"]) == ("d[2]", "ffffffff", True)
    wrong = [one for one in done.events_of("sent") if one.get("fate") == "malformed"]
    assert wrong
    assert {one["message"]["block2"]["number"] for one in wrong} == {9}


LWM2M = """
[scenario]
duration = "60s"
until = "gateway_exit"
[gateway]
port = 5683
ready = { udp = 5683 }
command = ["python3", "-u", "server.py"]
[devices.node]
count = 2
address = "10.77.1.1"
protocol = "lwm2m"
[devices.node.model]
lifetime = "1h"
[devices.node.model.objects.3303.0]
5700 = 20
[[fault]]
name = "brown-out"
devices = "node[1]"
after = "it is registered"
at = "1s"
reboot = { down = "2s" }
[[expect]]
name = "it is registered"
device = "node[1]"
receives = { operation = "RESPONSE", code = "CREATED" }
within = "20s"
[[expect]]
name = "it registers anew"
device = "node[1]"
sends = { operation = "REGISTER" }
count = 2
[[expect]]
name = "the other does not"
device = "node[0]"
sends = { operation = "REGISTER" }
count = 1
[[expect]]
gateway = { stdout = "done" }
within = "50s"
"""
SERVER = """
import socket, time
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("10.77.0.1", 5683))
registered = []
while len(registered) < 3:
    data, device = server.recvfrom(2048)
    token = data[4:4 + (data[0] & 15)]
    if data[0] >> 4 & 3 != 0 or data[1] != 2:
        continue
    registered.append(device[0])
    print("register", device[0])
    location = bytes([0x82]) + b"rd" + bytes([1]) + b"1"
    server.sendto(bytes([0x60 | len(token), 0x41]) + data[2:4] + token + location, device)
time.sleep(1)
print("done")
"""


def lwm2m(iotsim: CommandLine) -> Done:
    iotsim.write("server.py", SERVER)
    return iotsim.run(iotsim.write("lwm2m.toml", LWM2M))


@background(job=lwm2m)
def test_an_lwm2m_device_that_was_rebooted_registers_again(done: Done) -> None:
    assert done.status == 0, done.text + done.log
    lines = [line.split()[1:] for line in done.log.splitlines() if line.startswith("register")]
    assert lines[2:] == [["10.77.1.2"]]
    [reboot] = done.events_of("device-rebooted")
    assert reboot["device"] == "node[1]"
    again = [
        event["t"]
        for event in done.events_of("sent")
        if event["device"] == "node[1]" and event["message"].get("operation") == "REGISTER"
    ][1]
    assert again - reboot["t"] == pytest.approx(2, abs=0.3)
