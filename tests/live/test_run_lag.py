"""A simulator that is late itself blames nobody for it, and everybody for the rest: over a real TUN."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import TYPE_CHECKING

import pytest
from tests import processes

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from tests.conftest import CommandLine, Done

pytestmark = pytest.mark.needs("tun")

STOPPED_S = 0.3
ATTEMPTS = 5
"""On a machine as busy as this one, there is lag besides our own."""
METERS = """
[scenario]
duration = "4s"
until = "duration"
[gateway]
{ready}
command = ["python3", "-u", "gateway.py", "${{devices.meter.addresses}}"]
[devices.meter]
count = 2
address = "10.77.1.1"
protocol = "sensornet"
[[devices.meter.rules]]
when = {{ kind = "READ" }}
reply = {{ kind = "REPORT", value = 20.5 }}
[[expect]]
name = "every meter is polled"
each = "meter"
receives = {{ kind = "READ" }}
within = "1500ms"
[[expect]]
name = "nobody is rebooted"
each = "meter"
receives = {{ kind = "COMMAND" }}
never = true
"""
GATEWAY = '''
"""Polls each address once a tenth of a second, but for the last where it is told to forget one."""
import binascii, socket, struct, sys, time

addresses = sys.argv[1].split(",")
if {forgets}:
    addresses.pop()
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.settimeout(1)
number = 0
while True:
    for address in addresses:
        number += 1
        body = b"SN" + struct.pack("!BBHIHB", 1, 1, 9, 7, number, 0)
        sock.sendto(body + struct.pack("!H", binascii.crc_hqx(body, 0xFFFF)), (address, 5600))
        try:
            sock.recvfrom(2048)
        except TimeoutError:
            pass
    time.sleep(0.1)
'''
WINDOW_S = 1.5


def start(
    iotsim: CommandLine, *, forgets: bool, ready: str = "", link: str = ""
) -> subprocess.Popen[str]:
    iotsim.write("gateway.py", GATEWAY.replace("{forgets}", str(forgets)))
    path = iotsim.write("meters.toml", METERS.format(ready=ready) + link)
    return iotsim.start("run", path, "--out", iotsim.out)


def told(iotsim: CommandLine, event: str) -> bool:
    events = iotsim.out / "events.jsonl"
    return events.exists() and f'"event":"{event}"' in events.read_text().replace(" ", "")


def stop_for_a_while(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)
    time.sleep(STOPPED_S)
    os.kill(pid, signal.SIGCONT)


def words(done: Done) -> list[str]:
    return [
        "inconclusive" if one["inconclusive"] else "passed" if one["passed"] else "failed"
        for one in done.result["expectations"]
    ]


def stopped(iotsim: CommandLine, *, after: str, ready: str = "", wait_s: float = 0.2) -> Done:
    """A run whose simulator is stopped a while after an event; its gateway forgets a meter."""
    for path in (iotsim.out / "events.jsonl", iotsim.out / "result.json"):
        path.unlink(missing_ok=True)
    run = start(iotsim, forgets=True, ready=ready)
    iotsim.wait_for(lambda: told(iotsim, after), after, run)
    time.sleep(wait_s)
    stop_for_a_while(run.pid)
    return iotsim.finish(run)


def test_a_stop_within_the_window_leaves_it_open(iotsim: CommandLine) -> None:
    done = stopped(iotsim, after="gateway-started")
    assert (done.status, done.result["verdict"]) == (4, "inconclusive"), done.text
    assert words(done) == ["inconclusive", "passed"]
    missed, _ = done.result["expectations"]
    assert missed["devices"] == ["meter[1]"]
    assert "the simulator itself was up to" in missed["inconclusive"]
    assert "in doubt" in done.text
    lag = done.result["lag"]
    assert max(lag.values()) >= STOPPED_S - 0.05


@pytest.mark.parametrize(
    ("after", "ready"),
    [
        pytest.param("expectation-decided", "", id="after the window"),
        pytest.param("gateway-started", 'ready = { delay = "1500ms" }', id="before the window"),
    ],
)
def test_a_stop_beside_the_window_changes_nothing(
    iotsim: CommandLine, after: str, ready: str
) -> None:
    for _ in range(ATTEMPTS):
        done = stopped(iotsim, after=after, ready=ready)
        first, second = words(done)
        assert (first, second) in (("failed", "passed"), ("inconclusive", "passed")), done.text
        if first == "failed":
            assert (done.status, done.result["verdict"]) == (1, "failed")
            # A stop amid its work, with nothing waiting for it, is no lag.
            if max(done.result["lag"].values()) >= STOPPED_S - 0.05:
                return
    pytest.fail(f"in doubt, or unseen, each time: {done.text}")


@pytest.fixture
def burner() -> Iterator[None]:
    """Every processor has something else to do."""
    started = [
        processes.start([sys.executable, "-c", "while True: pass"])
        for _ in range(os.cpu_count() or 1)
    ]
    yield
    for process in started:
        processes.end(process)


@pytest.mark.parametrize("queues", [1, 2])
def test_beside_a_burner_no_verdict_is_wrong(
    iotsim: CommandLine, burner: None, queues: int
) -> None:
    link = f"[link]\nqueues = {queues}\n"
    for forgets in (False, True):
        done = iotsim.finish(start(iotsim, forgets=forgets, link=link))
        right = "failed" if forgets else "passed"
        assert done.result["verdict"] in (right, "inconclusive"), done.text


PRINTER = '''
"""Prints what it is told, in MB, before it polls."""
import sys

line = "debug: " + "x" * 92 + "\\n"
for _ in range({mb} * 10000):
    sys.stdout.write(line)
'''


@pytest.mark.parametrize("mb", [0, 40])
def test_a_gateway_that_waits_for_its_output_to_be_read_is_not_blamed(
    iotsim: CommandLine, mb: int
) -> None:
    gateway = PRINTER.replace("{mb}", str(mb)) + GATEWAY.replace("{forgets}", "True")
    iotsim.write("gateway.py", gateway)
    scenario = METERS.format(ready="").replace('"-u", ', "")
    run = iotsim.start("run", iotsim.write("meters.toml", scenario), "--out", iotsim.out)
    polled, never = words(iotsim.finish(run))
    assert polled == ("inconclusive" if mb == 40 else "failed"), "it forgets a meter"
    assert never == "passed"
    faster = "prints faster than it is read"
    assert (faster in (iotsim.out / "events.jsonl").read_text()) == (mb == 40)
