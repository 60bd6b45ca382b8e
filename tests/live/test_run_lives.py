"""Gateways that are started and ended by steps, and gateways that use too much: real processes."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from tests import processes

if TYPE_CHECKING:
    from tests.conftest import CommandLine, Done

pytestmark = pytest.mark.needs("tun")

background = pytest.mark.background

POLLS = '''
"""Polls whoever it is told of, for ever, and has the bug that it is told of."""
import binascii, os, signal, socket, struct, subprocess, sys, time

bug, addresses = sys.argv[1], sys.argv[2].split(",")
kept = []

def read(number):
    body = b"SN" + struct.pack("!BBHIHB", 1, 1, 9, 7, number & 0xFFFF, 0)
    return body + struct.pack("!H", binascii.crc_hqx(body, 0xFFFF))

if bug == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if bug == "daemon":
    if os.fork():
        sys.exit()
    os.setsid()
    if os.fork():
        os._exit(0)
    time.sleep(0.3)
open("starts", "a").write("x")
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.settimeout(0.2)
print("listening, life", os.path.getsize("starts"), flush=True)
number = 0
while True:
    number += 1
    sock.sendto(read(number), (addresses[number % len(addresses)], 5600))
    try:
        sock.recv(2048)
    except OSError:
        pass
    if bug == "fds":
        kept.append(open("/dev/null"))
    elif bug == "memory":
        kept.append(bytearray(300_000))
    elif bug == "children" and number % 10 == 0:
        kept.append(subprocess.Popen(["true"]))  # and nobody waits for it
    elif bug == "sanitizer" and number == 20:
        print("==7==ERROR: AddressSanitizer: heap-use-after-free on address 0x602000000010")
    elif bug == "crash" and number == 20:
        os.kill(os.getpid(), signal.SIGSEGV)
    pause = time.monotonic() + 0.05
    while time.monotonic() < pause:
        if bug != "cpu":
            time.sleep(0.05)
'''


def command(bug: str, **keys: str) -> str:
    words = [sys.executable, "-ISu", "polls.py", bug, "${devices.meter.addresses}"]
    lines = [f"command = {words}", 'ready = { log = "^listening" }']
    return "\n".join([*lines, *(f"{key} = {value}" for key, value in keys.items())])


# --- what steps do ----------------------------------------------------------------------------

STEPS = """
[[step]]
name = "the gateway crashes"
at = "1s"
gateway = "kill"
[[step]]
after = "the gateway crashes"
delay = "300ms"
gateway = "start"
[[step]]
at = "2s"
gateway = "pause"
[[step]]
at = "3s"
gateway = "resume"
[[step]]
name = "the last"
at = "4s"
gateway = "restart"
[[expect]]
name = "goes on after each"
each = "meter"
receives = { kind = "READ" }
after = "the last"
within = "4s"
[[expect]]
name = "stays"
gateway = { running = true, threads = { max = 1 }, fds = { max = 4 } }
"""


def stepped(iotsim: CommandLine, bug: str, link: str) -> Done:
    port = 5600 if link != "loopback" else 5601
    iotsim.write("polls.py", POLLS.replace("5600", str(port)))
    scenario = iotsim.meters(gateway=command(bug), expect=STEPS, until="duration", port=port)
    options = () if link == "tun" else ("--link", link)
    return iotsim.run(scenario, "--duration", "9s", *options)


@background(job=stepped)
@pytest.mark.parametrize(
    ("bug", "link"),
    [
        ("none", "tun"),
        ("none", "tap"),
        ("none", "loopback"),
        ("daemon", "tun"),
        ("stubborn", "tun"),
    ],
)
def test_steps_end_start_and_pause_all_of_a_gateway(bug: str, link: str, done: Done) -> None:
    assert done.status == 0, done.text
    lives = done.result["gateway"]["lives"]
    assert [(life.get("by"), life.get("crashed", False)) for life in lives] == [
        ("kill", False),
        ("stop", False),
        ("end", False),
    ]
    assert all(life["ready"] > life["started"] for life in lives)
    # It goes on in the same folder, with the same log.
    assert (done.out / "work" / "starts").read_text() == "xxx"
    lines = [line for line in done.log.splitlines() if line.startswith("listening")]
    assert lines == [f"listening, life {number}" for number in (1, 2, 3)]
    # While it is paused nothing comes, and while it is down neither.
    heard = [event["t"] for event in done.events_of("received")]
    (paused,), (resumed,) = done.events_of("gateway-paused"), done.events_of("gateway-resumed")
    quiet = [
        (paused["t"], resumed["t"]),
        (lives[0]["ended"], lives[1]["started"]),
    ]
    for begin, end in quiet:
        assert not [t for t in heard if begin + 0.1 < t < end]
        assert end - begin > 0.25
    assert heard[-1] > lives[2]["ready"]
    killed = [
        event["text"] for event in done.events_of("note") if "was killed then" in event["text"]
    ]
    assert bool(killed) == (bug == "stubborn")


LATE = """
[[step]]
name = "the gateway comes"
at = "1500ms"
gateway = "start"
[[expect]]
name = "polls then"
each = "meter"
receives = { kind = "READ" }
within = "10s"
"""


def late(iotsim: CommandLine) -> Done:
    iotsim.write("polls.py", POLLS)
    return iotsim.run(iotsim.meters(gateway=command("none"), expect=LATE))


@background(job=late)
def test_a_gateway_that_a_step_starts_is_not_there_before(done: Done) -> None:
    assert done.status == 0, done.text
    assert done.result["gateway"]["lives"][0]["started"] > 1.5
    assert min(event["t"] for event in done.events_of("received")) > 1.5


def on_crash(iotsim: CommandLine) -> Done:
    iotsim.write("polls.py", POLLS)
    gateway = command("crash", restart='{ policy = "on-crash", delay = "200ms", times = 2 }')
    scenario = iotsim.meters(gateway=gateway, expect=EACH_COMES_BACK)
    return iotsim.run(scenario)


EACH_COMES_BACK = """
[[expect]]
name = "many polls"
all = "meter"
receives = { kind = "READ" }
count = { min = 50 }
"""


@background(job=on_crash)
def test_a_gateway_that_crashes_is_started_again_and_convicted(done: Done) -> None:
    assert done.status == 1
    assert "the gateway crashed: SIGSEGV" in done.text
    crashed = [life.get("crashed", False) for life in done.result["gateway"]["lives"]]
    assert crashed == [True, True, False]
    assert done.result["expectations"][0]["passed"]  # only that it has been started again did that


def starts_twice(iotsim: CommandLine) -> Done:
    iotsim.write("polls.py", POLLS)
    step = '[[step]]\nname = "again"\nat = "500ms"\ngateway = "restart"\n'
    step += '[[step]]\nname = "too much"\nat = "1s"\ngateway = "start"\n'
    return iotsim.run(iotsim.meters(gateway=command("none"), expect=step))


@background(job=starts_twice)
def test_to_start_what_runs_is_an_error_of_the_scenario(done: Done) -> None:
    assert done.status == 2, done.text
    assert 'too much: gateway = "start": it is running since 5' in done.result["reason"]


# --- what it uses -----------------------------------------------------------------------------

BOUNDS = {
    "fds": "fds = { max = 25, growth = 2 }",
    "memory": 'memory = { max = "60MB", growth = "4MB" }',
    "cpu": 'cpu = { max = "50%" }',
    "children": "children = { max = 2, growth = 0 }",
    "threads": "threads = { max = 4 }",
    "sanitizer": "sanitizer = false",
    "crash": "running = true",
}
EXPECTATIONS = "".join(
    f'[[expect]]\nname = "{name}"\ngateway = {{ {bound} }}\n' for name, bound in BOUNDS.items()
)
BURN = "while True: pass"


def uses(iotsim: CommandLine, bug: str, burners: int) -> Done:
    iotsim.write("polls.py", POLLS)
    scenario = iotsim.meters(gateway=command(bug), expect=EXPECTATIONS)
    with ExitStack() as stack:
        for _ in range(burners):
            words = [sys.executable, "-ISc", BURN]
            stack.enter_context(processes.started(words, stdout=subprocess.DEVNULL))
        return iotsim.run(scenario, "--duration", "6s")


@background(job=uses)
@pytest.mark.parametrize(
    ("bug", "burners"),
    [*((bug, 0) for bug in BOUNDS if bug != "threads"), ("none", 2), ("daemon", 0), ("memory", 2)],
)
def test_who_uses_too_much_is_convicted_of_that_and_of_nothing_else(
    bug: str, burners: int, done: Done
) -> None:
    told = done.result["expectations"]
    convicted = [e["name"] for e in told if not e["passed"] and not e["inconclusive"]]
    # Of one that crashes soon it is not known whether it would have leaked; and on a busy machine it is
    # not known of the one that never rests how much more it would have used.
    open_ones = [e["name"] for e in told if e["inconclusive"]]
    if bug == "cpu" and not convicted:
        assert (open_ones, done.status) == (["cpu"], 4), done.text
        return
    assert convicted == ([bug] if bug in BOUNDS else []), done.text
    assert done.status == (1 if bug in BOUNDS else 0), done.text
    assert not open_ones or bug == "crash"
    figures = done.result["gateway"]["figures"]
    assert figures["fds"] >= 4
    assert figures["memory"] > 4_000_000
    if bug != "crash":
        assert (figures["cpu"] > 0.5) == (bug == "cpu")


TEARS = """
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
static void end(int number) { exit(0); }
int main(void) {
    signal(SIGTERM, end);
    volatile char *lost = malloc(7);
    lost[0] = 1;
    lost = 0;
    puts("up");
    fflush(stdout);
    while (1) pause();
}
"""


def leaks_until_its_exit(iotsim: CommandLine) -> Done:
    source = iotsim.write("tears.c", TEARS)
    subprocess.run(
        ["gcc", "-g", "-fsanitize=address", "-o", iotsim.folder / "tears", source], check=True
    )
    expect = '[[expect]]\nname = "clean"\ngateway = { sanitizer = false, stdout = "up" }'
    gateway = 'command = ["./tears"]\nready = { log = "up" }'
    return iotsim.run(iotsim.meters(gateway=gateway, expect=expect), "--duration", "1s")


@background(job=leaks_until_its_exit)
@pytest.mark.needs("gcc")
def test_what_a_sanitizer_reports_at_the_very_end_counts(done: Done) -> None:
    assert done.status == 1, done.text
    (outcome,) = done.result["expectations"]
    assert "LeakSanitizer: detected memory leaks" in outcome["actual"]


NOBODY = """
command = ["sh", "-c", "echo up; exec sleep 60"]
ready = { log = "up" }
user = "nobody"
"""
FEW = """
[[expect]]
name = "few"
gateway = { fds = { max = 10 }, memory = { max = "50MB" } }
"""


def another_user(iotsim: CommandLine) -> Done:
    """As in a container whose root may not look into other users' processes."""
    scenario = iotsim.meters(gateway=NOBODY, expect=FEW)
    lacks = ["setpriv", "--bounding-set", "-sys_ptrace", "--inh-caps", "-sys_ptrace"]
    words = iotsim.words("run", scenario, "--out", iotsim.out, "--duration", "1s")
    return iotsim.finish(iotsim.start_other([*lacks, *words]))


@background(job=another_user)
@pytest.mark.needs("root", "setpriv")
def test_a_gateway_of_another_user_is_measured_too(done: Done) -> None:
    assert done.status == 0, done.text
    figures = done.result["gateway"]["figures"]
    assert (figures["fds"] >= 3, figures["memory"] > 100_000) == (True, True)
