"""Runs in several processes: the same verdicts, one result, and an end whatever happens."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.live.conftest import CLIENT_PORTS_AS_DATA

from iotsim.testbed import cgroup

if TYPE_CHECKING:
    from tests.conftest import CommandLine, Done

pytestmark = pytest.mark.needs("tun")
background = pytest.mark.background

HEAD = """
[scenario]
duration = "{duration}"
until = "{until}"
[link]
queues = {queues}
[gateway]
command = ["python3", "-ISu", "gateway.py"]
port = 7000
"""
METERS = """
[devices.meter]
count = {count}
address = "10.77.1.1"
protocol = "sensornet"
"""
ANSWER = """
[[devices.meter.rules]]
when = { kind = "READ" }
reply = { kind = "REPORT", value = 20.5 }
"""
GATEWAY = """
import binascii, socket, struct, sys, time

def message(kind, body):
    head = b"SN" + struct.pack("!BBHIH", 1, kind, 8 + len(body), 7, 1) + body
    return head + struct.pack("!H", binascii.crc_hqx(head, 0xFFFF))

READ = message(1, bytes([0]))

def new_socket(port=0):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("10.77.0.1", port))
    sock.settimeout(5)
    return sock

def ask(sock, address):
    sock.sendto(READ, (address, 5600))
    data, peer = sock.recvfrom(2048)
    assert peer == (address, 5600), peer
    return struct.unpack_from("!f", data, 15)[0]
"""


def scenario(iotsim: CommandLine, gateway: str, text: str, **keys: Any) -> Path:
    iotsim.write("gateway.py", GATEWAY + gateway)
    keys = {"queues": 2, "until": "gateway_exit", "duration": "20s", "count": 14, **keys}
    return iotsim.write("scenario.toml", (HEAD + METERS).format(**keys) + text)


def check_counters(done: Done) -> None:
    """What the kernel delivered was received, and each packet has come to one end."""
    counters = done.result["counters"]
    outcomes = sum(count for name, count in counters.items() if name.startswith("outcome."))
    assert counters["packets.received"] == counters["interface.to_devices"] == outcomes
    assert counters["interface.from_devices"] == counters["link.sent"]
    recorded = counters["packets.received"] + counters["link.sent"]
    assert counters["packets.recorded"] == recorded
    assert len(done.events) == counters["events"] + 1  # all but the last, which tells it


def check_files(done: Done) -> None:
    """The parts have become one, in the order of time."""
    assert not list(done.out.glob("*shard*"))
    assert not list(done.out.glob(".*"))
    events = done.events
    assert [event["event"] for event in events[:2]] == ["run-started", "link-up"]
    assert events[-1]["event"] == "run-ended"
    # All members of a group hear a datagram at the same time, but are told one after the other.
    times = [event["t"] for event in events if event["event"] != "received"]
    assert times == sorted(times)


# --- verdicts ---------------------------------------------------------------------------------

POLL_13 = """
sock = new_socket()
for _ in range(3):
    for number in range(1, 14):
        ask(sock, "10.77.1.%d" % number)
    time.sleep(0.1)
"""
KINDS = {
    "within": 'receives = { kind = "READ" }\nwithin = "10s"',
    "within, too late": 'receives = { kind = "COMMAND" }\nwithin = "100ms"',
    "sends": 'sends = { kind = "REPORT" }\nwithin = "10s"',
    "never": 'receives = { kind = "COMMAND" }\nnever = true',
    "never, broken": 'receives = { kind = "READ" }\nnever = true',
    "always": 'receives = { kind = "READ" }\nalways = { version = 1 }',
    "always, broken": 'receives = { kind = "READ" }\nalways = { version = 2 }',
    "count": 'receives = { kind = "READ" }\ncount = { min = 3, max = 3 }',
    "count, broken": 'receives = { kind = "READ" }\ncount = { max = 2 }',
    "count of all": 'receives = { kind = "READ" }\ncount = { min = 39, max = 39 }',
    "rate": 'receives = { kind = "READ" }\ncount = { max = 1 }\nper = "20ms"',
    "rate, broken": 'receives = { kind = "READ" }\ncount = { max = 1 }\nper = "10s"',
    "rate of all": 'receives = { kind = "READ" }\ncount = { max = 13 }\nper = "20ms"',
}
WHOM = [
    *(f'{quantifier} = "meter"' for quantifier in ("each", "any", "all", "none")),
    'each = "meter[0:13]"',
    'device = "meter[3]"',
    'device = "meter[13]"',
]
OF_THE_GATEWAY = """
[[expect]]
name = "the gateway says so"
gateway = { exit = 0, stdout = { contains = "done" } }
[[expect]]
name = "the gateway says something else"
gateway = { stdout = { contains = "something else" } }
"""


def judged(iotsim: CommandLine) -> dict[int, Done]:
    """The same by one process and by two."""
    expect = "".join(
        f'[[expect]]\nname = "{kind}; {whom.replace(chr(34), "")}"\n{whom}\n{text}\n'
        for kind, text in KINDS.items()
        for whom in WHOM
    )
    runs = {}
    for queues in (1, 2):
        path = scenario(
            iotsim, POLL_13 + 'print("done")', ANSWER + expect + OF_THE_GATEWAY, queues=queues
        )
        out = iotsim.folder / f"out{queues}"
        runs[queues] = out, iotsim.start("run", path, "--out", out, "--quiet")
        iotsim.wait_for(lambda out=out: (out / "events.jsonl").exists(), "it is loaded")  # type: ignore[misc]
    return {queues: iotsim.finish(run, out) for queues, (out, run) in runs.items()}


@background(job=judged)
def test_every_expectation_has_the_verdict_of_a_single_process(done: dict[int, Done]) -> None:
    one, two = (
        {
            each["name"]: (each["passed"], each["total"], each["devices"], each["expected"])
            for each in done[queues].result["expectations"]
        }
        for queues in (1, 2)
    )
    assert len(one) == len(KINDS) * len(WHOM) + 2
    assert two == one
    for run in done.values():  # a busy machine may be late, and blames nobody then
        assert run.status == 1 or (run.status == 4 and " ms late, " in run.result["reason"])
    assert one["within; each = meter"][:3] == (False, 1, ["meter[13]"])
    assert one["count of all; all = meter"][0]
    assert one["the gateway says so"][0]
    assert not one["the gateway says something else"][0]
    assert {passed for passed, *_ in one.values()} == {True, False}


# --- one state, one result --------------------------------------------------------------------

FROM_MANY_SOCKETS = """
for number in range(12):
    sock = new_socket()
    for address in range(1, 15):
        value = ask(sock, "10.77.1.%d" % address)
        assert value == number + 1, (address, value, number)
print("done")
"""
COUNTING = """
state = { reads = 0 }
[[devices.meter.rules]]
when = { kind = "READ" }
set = { reads = "=state.reads + 1" }
reply = { kind = "REPORT", value = "=state.reads" }
[[expect]]
name = "the gateway got what it expected"
gateway = { exit = 0, stdout = { contains = "done" } }
[[expect]]
name = "all are read"
each = "meter"
receives = { kind = "READ" }
count = { min = 12, max = 12 }
"""


def crowded(iotsim: CommandLine) -> Done:
    return iotsim.run(scenario(iotsim, FROM_MANY_SOCKETS, COUNTING, queues=3))


@background(job=crowded)
def test_a_device_lives_in_one_process_whichever_queue_its_packets_come_by(done: Done) -> None:
    assert done.status == 0, done.text + done.log
    times = [event["t"] for event in done.events]
    assert times == sorted(times)
    counters = done.result["counters"]
    assert counters["packets.received"] == counters["outcome.answered"] == 12 * 14
    assert counters["devices.created"] == 14
    # Each of the many flows is new to the kernel.
    assert counters["link.handed_over"] > 0
    check_counters(done)
    check_files(done)


@background(job=crowded)
def test_events_tell_one_story(done: Done) -> None:
    received, sent = done.events_of("received"), done.events_of("sent")
    assert Counter(event["device"] for event in received) == {f"meter[{n}]": 12 for n in range(14)}
    for device in (f"meter[{n}]" for n in range(14)):
        values = [e["message"]["value"] for e in sent if e["device"] == device]
        assert values == list(map(float, range(1, 13)))
    told = [event["outcome"] for event in done.events_of("expectation-decided")]
    last = {outcome["number"]: outcome for outcome in told}
    assert [last[number] for number in sorted(last)] == done.result["expectations"]


@background(job=crowded)
@pytest.mark.needs("tshark")
def test_the_capture_is_one(done: Done) -> None:
    words = [
        "tshark",
        "-n",
        *CLIENT_PORTS_AS_DATA,
        "-r",
        done.out / "capture.pcapng",
        "-T",
        "fields",
    ]
    for name in ("frame.time_delta", "ip.src", "udp.srcport", "udp.dstport", "_ws.malformed"):
        words += ["-e", name]
    read = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
    rows = [line.split("\t") for line in read.stdout.splitlines()]
    assert len(rows) == done.result["counters"]["packets.recorded"] == 2 * 12 * 14
    assert all(float(row[0]) >= 0 for row in rows)
    assert not any(row[4] for row in rows)
    asked = Counter(row[2] for row in rows if row[1] == "10.77.0.1")
    answered = Counter(row[3] for row in rows if row[1] != "10.77.0.1")
    assert asked == answered
    assert set(asked.values()) == {14}


LIVELY = """
behavior = "lively.py:Lively"
groups = ["239.1.2.3"]
[[devices.meter.rules]]
after = "100ms"
send = { kind = "REPORT", value = 1, device = 1, seq = 1 }
[[expect]]
name = "each reports once"
each = "meter"
sends = { kind = "REPORT" }
count = { min = 3, max = 3 }
"""
LIVELY_PY = """
from iotsim.device import Device, on

class Lively(Device):
    async def run(self):
        self.log("lives")
        await self.sleep("200ms")
        await self.send({"kind": "REPORT", "value": 2, "device": 1, "seq": 1})

    @on(kind="READ")
    def read(self, request):
        return {"kind": "REPORT", "value": 3}
"""
LISTENER = """
sock = new_socket(7000)
sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("10.77.0.1"))
sock.sendto(READ, ("239.1.2.3", 5600))
sock.settimeout(1)
heard = []
try:
    while True:
        data, peer = sock.recvfrom(2048)
        if struct.unpack_from("!f", data, 15)[0] == 3:
            heard.append(peer[0])
except TimeoutError:
    assert sorted(heard) == sorted("10.77.1.%d" % n for n in range(1, 15)), heard
    print("done")
"""


def lively(iotsim: CommandLine) -> Done:
    iotsim.write("lively.py", LIVELY_PY)
    return iotsim.run(scenario(iotsim, LISTENER, LIVELY, queues='"auto"'))


@background(job=lively)
def test_behaviors_and_schedules_run_once_for_each_device_and_groups_hear_once(done: Done) -> None:
    assert done.status == 0, done.text + done.log
    assert "done" in done.log
    lives = [e["text"] for e in done.events_of("note") if e["text"].endswith("lives")]
    assert sorted(lives) == sorted(f"meter[{n}]: lives" for n in range(14))
    counters = done.result["counters"]
    assert counters["outcome.answered"] == 1
    sent = Counter((e["device"], e["message"]["value"]) for e in done.events_of("sent"))
    assert sent == {(f"meter[{n}]", value): 1 for n in range(14) for value in (1, 2, 3)}
    queues = cgroup.processors()
    assert counters.get("link.copied", 0) == queues - 1
    check_counters(done)
    check_files(done)


# --- whatever happens -------------------------------------------------------------------------

POLL_FOR_EVER = """
sock = new_socket()
sock.settimeout(0.2)
while True:
    for number in range(1, 15):
        try:
            ask(sock, "10.77.1.%d" % number)
        except TimeoutError:
            pass
    time.sleep(0.02)
"""
NEVER = """
[[expect]]
name = "nobody is rebooted"
each = "meter"
receives = { kind = "COMMAND" }
never = true
"""


def processes() -> dict[int, tuple[int, bytes]]:
    """Parent and command line of all processes that are not yet dead."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            line = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if state not in "ZX":
            found[int(folder.name)] = int(parent), line
    return found


def workers_of(pid: int) -> list[int]:
    """The forked ones among the children of `pid`."""
    all_of_them = processes()
    own = all_of_them[pid][1]
    return sorted(p for p, (parent, line) in all_of_them.items() if parent == pid and line == own)


def offspring_of(pid: int) -> set[int]:
    all_of_them, found = processes(), {pid}
    while more := {p for p, (parent, _) in all_of_them.items() if parent in found} - found:
        found |= more
    return found


def wait_for_traffic(iotsim: CommandLine, run: subprocess.Popen[str], parts: int = 2) -> None:
    def flows() -> bool:
        names = [f"events.shard{n}.jsonl" for n in range(parts)] if parts > 1 else ["events.jsonl"]
        files = [iotsim.out / name for name in names]
        return all(file.exists() and b'"sent"' in file.read_bytes() for file in files)

    iotsim.wait_for(flows, "traffic", run)


def polling(iotsim: CommandLine, *options: str, gateway: str = POLL_FOR_EVER) -> Any:
    path = scenario(iotsim, gateway, ANSWER + NEVER)
    run = iotsim.start("run", path, "--out", iotsim.out, *options)
    wait_for_traffic(iotsim, run)
    return run


def bereft(iotsim: CommandLine) -> Done:
    """A worker of it is killed."""
    run = polling(iotsim)
    time.sleep(0.5)  # what is reported is on disk a quarter of a second later
    workers = workers_of(run.pid)
    assert len(workers) == 2
    os.kill(workers[1], signal.SIGKILL)
    (iotsim.folder / "victim").write_text(str(workers[1]))
    done = iotsim.finish(run)
    assert not processes().keys() & set(workers)
    return done


@background(job=bereft)
def test_the_death_of_a_worker_is_an_error_that_loses_nothing_reported(done: Done) -> None:
    assert done.status == 2, done.text
    assert "Traceback" not in done.text
    victim = (done.out.parent / "victim").read_text()
    told = f"worker 1 (process {victim}) was ended by SIGKILL"
    assert done.result["verdict"] == "error"
    assert done.result["reason"] == told
    assert told in done.text
    assert [event["text"] for event in done.events_of("note")] == [told]
    assert done.result["duration_s"] < 10
    answered = {event["device"] for event in done.events_of("sent")}
    assert answered == {f"meter[{n}]" for n in range(14)}
    check_files(done)


def orphaned(iotsim: CommandLine) -> dict[str, Any]:
    """The run's process is killed."""
    run = polling(iotsim)
    family = offspring_of(run.pid)
    workers = workers_of(run.pid)
    spaces = {
        str(Path(f"/proc/{pid}/ns/{kind}").readlink()) for pid in family for kind in ("net", "pid")
    } - {str(Path(f"/proc/self/ns/{kind}").readlink()) for kind in ("net", "pid")}
    run.kill()
    run.wait()

    def left() -> set[str]:
        there = set()
        for folder in Path("/proc").glob("[0-9]*"):
            for kind in ("net", "pid"):
                try:
                    there.add(str((folder / "ns" / kind).readlink()))
                except OSError:
                    continue
        return there & spaces

    iotsim.wait_for(lambda: not processes().keys() & family, "the end of all processes")
    iotsim.wait_for(lambda: not left(), "the end of all namespaces")
    return {"out": iotsim.out, "workers": workers, "spaces": spaces}


@background(job=orphaned)
def test_nothing_outlives_the_run(done: dict[str, Any]) -> None:
    assert len(done["workers"]) == 2
    assert done["spaces"]
    assert json.loads((done["out"] / "result.json").read_text())["verdict"] == "running"
    for part in done["out"].glob("events.shard*.jsonl"):
        assert all(map(json.loads, part.read_text().splitlines()))


def interrupted(iotsim: CommandLine) -> Done:
    run = polling(iotsim)
    run.send_signal(signal.SIGINT)
    return iotsim.finish(run)


@background(job=interrupted)
def test_ctrl_c_ends_all_in_order(done: Done) -> None:
    assert done.status == 130, done.text
    assert "Traceback" not in done.text
    assert done.result["reason"] == "interrupted by SIGINT"
    check_counters(done)
    check_files(done)


def served(iotsim: CommandLine) -> Done:
    run = polling(iotsim, "--serve")
    # As the terminal does: to every process of the foreground.
    for pid in [run.pid, *workers_of(run.pid)]:
        os.kill(pid, signal.SIGINT)
    return iotsim.finish(run)


@background(job=served)
def test_serving_by_several_processes(done: Done) -> None:
    assert done.status == 0, done.text
    assert done.result["verdict"] == "passed"
    check_counters(done)
    check_files(done)


def broken(iotsim: CommandLine) -> Done:
    iotsim.write("lively.py", "from iotsim.device import Device\nclass Other(Device): pass\n")
    return iotsim.run(scenario(iotsim, LISTENER, LIVELY))


@background(job=broken)
def test_a_broken_behavior_is_the_users_fault(done: Done) -> None:
    assert done.status == 2, done.text
    assert "Traceback" not in done.text
    assert done.text.count("Lively") == 1
    assert done.result["verdict"] == "error"
    assert "lively.py" in done.result["reason"]


FAILING = """
[[devices.meter.rules]]
when = { kind = "READ" }
reply = { kind = "REPORT", value = "=1 / (device.index - 3) / (device.index - 4)" }
"""


def failing(iotsim: CommandLine) -> Done:
    gateway = 'sock = new_socket()\nfor n in range(1, 15):\n    sock.sendto(READ, ("10.77.1.%d" % n, 5600))\n'
    return iotsim.run(scenario(iotsim, gateway + "time.sleep(0.2)\n", FAILING + NEVER))


@background(job=failing)
def test_devices_that_fail_are_named_wherever_they_live(done: Done) -> None:
    assert done.status == 2, done.text
    assert "2 of the devices failed" in done.result["reason"]
    assert {event["device"] for event in done.events_of("device-failed")} == {
        "meter[3]",
        "meter[4]",
    }
    assert done.result["counters"]["outcome.dropped.device-failed"] == 2
    check_counters(done)


# --- overload ---------------------------------------------------------------------------------

FLOOD = """
socks = [new_socket() for _ in range(8)]
end = time.monotonic() + 1.5
while time.monotonic() < end:
    for sock in socks:
        for number in range(1, 15):
            sock.sendto(READ, ("10.77.1.%d" % number, 5600))
"""
SLOW = """
behavior = "slow.py:Slow"
[[expect]]
name = "each is rebooted"
each = "meter"
receives = { kind = "COMMAND" }
within = "1s"
"""
SLOW_PY = """
import time
from iotsim.device import Device, on

class Slow(Device):
    @on(kind="READ")
    def read(self, request):
        time.sleep(0.002)
        return {"kind": "REPORT", "value": 1}
"""


def resident_kib(pids: set[int]) -> int:
    total = 0
    for pid in pids:
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            continue
        for line in status.splitlines():
            if line.startswith("RssAnon:"):
                total += int(line.split()[1])
    return total


def flooded(iotsim: CommandLine, queues: int) -> tuple[Done, list[int]]:
    iotsim.write("slow.py", SLOW_PY)
    path = scenario(iotsim, FLOOD, SLOW, queues=queues)
    run = iotsim.start("run", path, "--out", iotsim.out)
    wait_for_traffic(iotsim, run, parts=queues)
    memory: list[int] = []
    while run.poll() is None and not (iotsim.out / "result.json").read_text().count("interface."):
        memory.append(resident_kib(offspring_of(run.pid)))
        time.sleep(0.1)
    return iotsim.finish(run), memory


@background(job=flooded)
@pytest.mark.parametrize("queues", [1, 2])
def test_a_gateway_that_asks_faster_than_anybody_answers(
    queues: int, done: tuple[Done, list[int]]
) -> None:
    run, memory = done
    assert run.status == 4, run.text
    result = run.result
    assert result["verdict"] == "inconclusive"
    assert "packets were lost in the simulator, or on their way to it" in result["reason"]
    counters = result["counters"]
    assert counters["interface.to_devices_dropped"] > 1000
    assert counters["outcome.answered"] > 100
    assert counters["outcome.dropped.too-late"] > 0
    outcomes = sum(count for name, count in counters.items() if name.startswith("outcome."))
    assert counters["packets.received"] == counters["interface.to_devices"] == outcomes
    # The queue is what bounds the wait; all of it together cannot last longer than the run.
    assert 0.5 < result["lag"]["queue"] < result["duration_s"] + 3
    assert result["duration_s"] < 8
    assert [event["event"] for event in run.events].count("simulator-lag") >= 2
    # Without a bound it would be hundreds of megabytes.
    assert len(memory) > 5
    assert max(memory) - memory[0] < 30_000, memory


# --- bounds -----------------------------------------------------------------------------------

MANY_READS = """
sock = new_socket()
def flood(count):
    for number in range(count):
        ask(sock, "10.77.1.%d" % (1 + number % 14))
flood(1000)
sock.sendto(message(5, bytes([0])), ("10.77.1.5", 5600))
flood(6000)
"""


def bounded(iotsim: CommandLine) -> Done:
    text = """
    [[expect]]
    name = "nothing is acknowledged"
    each = "meter"
    receives = { kind = "ACK" }
    never = true
    [results]
    events = "1MB"
    capture = "1MB"
    """
    return iotsim.run(scenario(iotsim, MANY_READS, ANSWER + text, duration="60s"))


@background(job=bounded)
def test_bounds_hold_for_all_processes_together(done: Done) -> None:
    assert done.status == 1, done.text
    events = done.events
    (failed,) = {event["outcome"]["t"] for event in done.events_of("expectation-decided")}
    assert (done.out / "events.jsonl").stat().st_size <= 1_000_000
    assert (done.out / "capture.pcapng").stat().st_size <= 1_000_000
    assert done.result["counters"]["events"] > 14_000
    near = [event for event in events if abs(event["t"] - failed) < 0.005]
    assert {"received", "sent"} <= {event["event"] for event in near}
    assert "ACK" in {event["message"]["kind"] for event in near if "message" in event}
    assert events[-1]["t"] - events[-100]["t"] < 1
    assert not list(done.out.glob("*.[0-9]*.*"))
    held = [note for note in done.result["notes"] if "is held to 333 kB" in note]
    assert len(held) == 4, done.result["notes"]
