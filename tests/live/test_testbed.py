"""Private testbeds on this machine: needs root and /dev/net/tun, and fails without them."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from iotsim.errors import MachineError
from iotsim.testbed.bed import (
    OPEN,
    ExitStatus,
    GatewayProcess,
    GatewayStartError,
    Streams,
    Testbed,
    open_testbed,
)
from iotsim.testbed.helper import spawn_helper
from iotsim.testbed.plan import TestbedPlan
from iotsim.testbed.privileges import ALL_FILES
from iotsim.testbed.runs import read_run
from iotsim.wire.address import parse_address

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.needs("tun")

PLAN = TestbedPlan(
    addresses=((parse_address("10.77.0.1"), 16), (parse_address("fd77::1"), 64)),
    routes=((parse_address("192.168.9.0"), 24),),
    run_name="live test",
)
NEEDS_CSUM = 1


@pytest.fixture(autouse=True)
def hang_is_a_failure() -> Iterator[None]:
    def fail(*_: object) -> None:
        raise TimeoutError("the test hangs")

    previous = signal.signal(signal.SIGALRM, fail)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, previous)


def swap(frame: bytes) -> bytes:
    """A UDP frame with source and destination exchanged, which leaves all its checksums right."""
    packet = frame[10:]
    if packet[0] >> 4 == 4:
        head, a, b = packet[:12], packet[12:16], packet[16:20]
    else:
        head, a, b = packet[:8], packet[8:24], packet[24:40]
    rest = packet[len(head) + 2 * len(a) :]
    return frame[:10] + head + b + a + rest[2:4] + rest[:2] + rest[4:]


async def echo(testbed: Testbed, seen: list[bytes]) -> None:
    while True:
        await testbed.link.wait_readable()
        for frame in testbed.link.receive_nowait(64):
            seen.append(frame)
            assert testbed.link.send_nowait(swap(frame))


async def read_all(process: GatewayProcess) -> str:
    return b"".join([chunk async for chunk in process.output]).decode()


async def read_until(process: GatewayProcess, text: str) -> str:
    found = ""
    async for chunk in process.output:
        found += chunk.decode()
        if text in found:
            return found
    raise AssertionError(f"the output ended without {text!r}: {found!r}")


def python(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", code, *arguments]


CLIENT = """
import socket, sys
for text in sys.argv[1:]:
    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)
        sock.connect((text, 5600))
        sock.send(b"hello " + text.encode())
        print(sock.recv(100).decode())
"""


async def test_an_unmodified_process_talks_to_the_link() -> None:
    targets = ["10.77.1.1", "10.77.255.254", "fd77::1:1", "192.168.9.7"]
    seen: list[bytes] = []
    async with open_testbed(PLAN) as testbed, trio.open_nursery() as nursery:
        nursery.start_soon(echo, testbed, seen)
        process = await testbed.start_gateway(python(CLIENT, *targets), {})
        output = await read_all(process)
        assert await process.wait() == ExitStatus(0, None)
        counters = testbed.interface_counters()
        nursery.cancel_scope.cancel()
    assert output.splitlines() == [f"hello {target}" for target in targets]
    # The kernel adds no packet of its own, and leaves the checksums to us.
    assert len(seen) == len(targets)
    assert {frame[0] for frame in seen} == {NEEDS_CSUM}
    assert testbed.offload
    assert counters == (4, 4, 0, 0)


SELF_PORTRAIT = """
import json, os, socket
def bind(kind, port, protocol=0):
    with socket.socket(socket.AF_INET, kind, protocol) as sock:
        try:
            sock.bind(("10.77.0.1", port))
        except OSError as error:
            return error.strerror
        return "bound"
status = dict(line.split(":\\t") for line in open("/proc/self/status").read().splitlines())
try:
    raw = bind(socket.SOCK_RAW, 0, socket.IPPROTO_ICMP)
except OSError as error:
    raw = error.strerror
print(json.dumps({
    "uid": os.getuid(), "caps": [int(status[key], 16) for key in ("CapEff", "CapPrm", "CapInh")],
    "no_new_privs": status["NoNewPrivs"],
    "leader": os.getpid() == os.getpgid(0) == os.getsid(0),
    "stdin": os.readlink("/proc/self/fd/0"), "tty": os.isatty(1) and os.isatty(2),
    "fds": len(os.listdir("/proc/self/fd")),
    "pids": sorted(int(name) for name in os.listdir("/proc") if name.isdigit()),
    "cwd": os.getcwd(), "env": dict(os.environ),
    "low port": bind(socket.SOCK_DGRAM, 69), "ping": bind(socket.SOCK_DGRAM, 0, 1), "raw": raw,
    "interfaces": [name for _, name in socket.if_nameindex()],
}))
"""


async def test_what_the_gateway_finds_itself_to_be(tmp_path: Path) -> None:
    async with open_testbed(PLAN) as testbed:
        env = {"A": "1", "BYTES": os.fsdecode(b"\xff"), "LC_ALL": "C.UTF-8", "BIG": "x" * 100_000}
        process = await testbed.start_gateway(python(SELF_PORTRAIT), env, tmp_path)
        found = json.loads(await read_all(process))
        assert process.pid > 0
        assert testbed.notes == ()
    assert found == {
        "uid": os.getuid(),
        # Root's gateway can read root's and everybody's files, as programs of root expect to.
        "caps": [0 if os.getuid() else ALL_FILES] * 3,
        "no_new_privs": "1",
        "leader": True,
        "stdin": "/dev/null",
        "tty": True,
        "fds": 4,  # the fourth is the listing's own
        "pids": [1, 2],
        "cwd": str(tmp_path),
        "env": env,
        "low port": "bound",
        "ping": "bound",
        "raw": "Operation not permitted",
        "interfaces": ["lo", "iotsim0"],
    }


@pytest.mark.parametrize(
    ("command", "status"),
    [
        (["sh", "-c", "exit 3"], ExitStatus(3, None)),
        (["sh", "-c", "kill -SEGV $$"], ExitStatus(None, signal.SIGSEGV)),
        (["sh", "-c", "kill -9 1; kill -TERM 1; exit 4"], ExitStatus(4, None)),
    ],
)
async def test_how_a_gateway_ends_is_told(command: list[str], status: ExitStatus) -> None:
    async with open_testbed(PLAN) as testbed:
        process = await testbed.start_gateway(command, dict(os.environ))
        assert await process.wait() == status
        assert process.exit_status == status


async def test_a_command_that_cannot_be_started(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("no program")
    async with open_testbed(PLAN) as testbed:
        with pytest.raises(GatewayStartError, match="nosuch: No such file or directory"):
            await testbed.start_gateway(["nosuch"], dict(os.environ))
        with pytest.raises(GatewayStartError, match="Permission denied"):
            await testbed.start_gateway([str(tmp_path / "data")], {})
        with pytest.raises(GatewayStartError, match="/no/such/folder: No such file"):
            await testbed.start_gateway(["true"], dict(os.environ), "/no/such/folder")
        # The testbed is none the worse for it.
        process = await testbed.start_gateway(["true"], dict(os.environ))
        assert await process.wait() == ExitStatus(0, None)


DETACH = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGHUP, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        print("ready", flush=True)
        time.sleep(600)
    os._exit(0)
os.wait()
time.sleep(600)
"""


async def test_a_gateway_that_heeds_the_signal_is_not_killed() -> None:
    async with open_testbed(PLAN) as testbed:
        command = [
            "sh",
            "-c",
            "trap 'echo bye; exit 5' TERM; echo ready; while :; do sleep 0.1; done",
        ]
        process = await testbed.start_gateway(command, dict(os.environ))
        await read_until(process, "ready")
        assert await process.stop(signal.SIGTERM, 20) == ExitStatus(5, None)
        # Some shells tell, too, that the `sleep` they waited for was terminated.
        assert (await read_all(process)).endswith("bye\n")


@pytest.mark.needs("ps")
async def test_stopping_kills_what_ignores_it_and_a_new_one_can_start() -> None:
    async with open_testbed(PLAN) as testbed:
        process = await testbed.start_gateway(python(DETACH), {})
        await read_until(process, "ready")
        assert await process.stop(signal.SIGTERM, 0.05) == ExitStatus(None, signal.SIGKILL)
        # The output ends only when no process is left that could write.
        assert await read_all(process) == ""
        second = await testbed.start_gateway(["ps", "-eo", "pid,comm"], dict(os.environ))
        listing = await read_all(second)
        assert [line.split()[1] for line in listing.splitlines()[1:]] == ["iotsim-init", "ps"]
        assert await process.stop() == ExitStatus(None, signal.SIGKILL)


LAUNCHER = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (os.write(1, b"good-bye\\n"), os._exit(6)))
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
for number in range(int(sys.argv[1])):
    os.write(1, b"%d " % number + b"x" * 1000 + b"\\n")
os.write(1, b"all\\n")
if len(sys.argv) > 2:
    time.sleep(0.4)
    os._exit(int(sys.argv[2]))
time.sleep(600)
"""


async def test_a_launcher_hands_on_to_what_it_leaves_in_the_background() -> None:
    left: list[str] = []
    async with open_testbed(PLAN) as testbed:
        command = python(LAUNCHER, "500", "5")
        process = await testbed.start_gateway(command, {}, on_left=left.append)
        # Far more than a terminal holds, of a process that the command has left behind.
        output = await read_all(process)
        assert await process.wait() == ExitStatus(5, None)
    assert [line.split()[0] for line in output.splitlines()] == [*map(str, range(500)), "all"]
    assert left
    assert set(left) == {Path(sys.executable).name}


async def test_what_a_launcher_left_is_asked_to_stop() -> None:
    async with open_testbed(PLAN) as testbed:
        process = await testbed.start_gateway(python(LAUNCHER, "0"), {})
        await read_until(process, "all")
        assert await process.stop(signal.SIGTERM, 20) == ExitStatus(6, None)
        assert await read_all(process) == "good-bye\n"


async def test_a_launcher_that_fails_has_failed_whatever_it_leaves() -> None:
    async with open_testbed(PLAN) as testbed:
        command = ["sh", "-c", "(sleep 600; echo never) & echo left; exit 3"]
        process = await testbed.start_gateway(command, dict(os.environ))
        await read_until(process, "left")
        assert await process.wait() == ExitStatus(3, None)
        await process.stop()
        assert await read_all(process) == ""


SHOW_STREAMS = """
import os, sys
print([os.isatty(fd) for fd in range(3)], sys.stdin.read(), flush=True)
print("error", file=sys.stderr)
"""


async def test_pipes_instead_of_a_terminal(tmp_path: Path) -> None:
    (tmp_path / "input").write_text("typed")
    async with open_testbed(PLAN) as testbed:
        fd = os.open(tmp_path / "input", os.O_RDONLY)
        streams = Streams(terminal=False, stdin=fd)
        process = await testbed.start_gateway(python(SHOW_STREAMS), {}, streams=streams)
        assert await read_all(process) == "[False, False, False] typed\nerror\n"
        streams = Streams(stdin=os.open(tmp_path / "input", os.O_RDONLY))
        process = await testbed.start_gateway(python(SHOW_STREAMS), {}, streams=streams)
        assert await read_all(process) == "[False, True, True] typed\nerror\n"


@pytest.mark.parametrize("terminal", [True, False])
async def test_an_input_that_stays_open(terminal: bool) -> None:
    code = "import os, sys; print(os.isatty(0), flush=True); sys.stdin.read(); print('ended')"
    async with open_testbed(PLAN) as testbed:
        streams = Streams(terminal=terminal, stdin=OPEN)
        process = await testbed.start_gateway(python(code), {}, streams=streams)
        assert await process.output.receive() == f"{terminal}\n".encode()
        await trio.sleep(0.05)
        assert process.exit_status is None
        await process.stop(signal.SIGTERM, 5)
        assert await read_all(process) == ""


async def test_signals_reach_the_process() -> None:
    async with open_testbed(PLAN) as testbed:
        script = "trap 'kill $!; echo reloaded; exit 0' HUP; sleep 600 & echo ready; wait"
        command = ["sh", "-c", script]
        process = await testbed.start_gateway(command, dict(os.environ))
        await read_until(process, "ready")
        await process.send_signal(signal.SIGHUP)
        assert await process.wait() == ExitStatus(0, None)


async def test_leaving_the_testbed_ends_what_runs_in_it() -> None:
    async with open_testbed(PLAN) as testbed:
        process = await testbed.start_gateway(python(DETACH), {})
        await read_until(process, "ready")
        assert read_run(testbed.init_pid) is not None
    assert read_run(testbed.init_pid) is None
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)
    assert process.exit_status is not None


async def test_an_init_that_is_killed_takes_the_gateway_along() -> None:
    async with open_testbed(PLAN) as testbed:
        process = await testbed.start_gateway(python(DETACH), {})
        await read_until(process, "ready")
        os.kill(testbed.init_pid, signal.SIGKILL)
        assert await process.wait() == ExitStatus(None, signal.SIGKILL)
        with pytest.raises(GatewayStartError, match="has ended"):
            await testbed.start_gateway(["true"], dict(os.environ))


async def test_two_at_once_do_not_meet() -> None:
    outputs = []

    async def one() -> None:
        async with open_testbed(PLAN) as testbed, trio.open_nursery() as nursery:
            nursery.start_soon(echo, testbed, [])
            process = await testbed.start_gateway(python(CLIENT, "10.77.1.1"), {})
            outputs.append(await read_all(process))
            nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(one)
        nursery.start_soon(one)
    assert outputs == ["hello 10.77.1.1\n"] * 2


FLOOD = """
import socket, time
here = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
here.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
here.bind(("10.77.0.1", 700))
there = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(100):
    there.sendto(bytes(1000), ("10.77.1.1", 9))
for _ in range(100):
    there.sendto(bytes(1000), ("10.77.0.1", 700))
"""


async def test_what_is_lost_in_the_kernel_is_counted() -> None:
    plan = TestbedPlan(addresses=PLAN.addresses, queue_length=10)
    async with open_testbed(plan) as testbed:
        process = await testbed.start_gateway(python(FLOOD), {})
        assert await process.wait() == ExitStatus(0, None)
        received = len(testbed.link.receive_nowait(1000))
        counters = testbed.interface_counters()
        assert received < 100
        assert received + counters.tx_dropped == 100
        assert counters.tx_packets == received
        assert testbed.gateway_udp_errors()["UdpRcvbufErrors"] > 0


async def test_a_helper_that_was_started_early_serves() -> None:
    helper = spawn_helper(PLAN)
    async with open_testbed(PLAN, helper) as testbed:
        assert testbed.interface == "iotsim0"
    assert helper.process.returncode == 0


def test_a_helper_that_is_not_needed_after_all() -> None:
    helper = spawn_helper(PLAN)
    helper.close()
    assert helper.process.returncode is not None


async def test_a_plan_that_the_kernel_refuses_is_explained() -> None:
    with pytest.raises(MachineError, match="MTU of iotsim0 cannot be 100000"):
        async with open_testbed(TestbedPlan(mtu=100_000)):
            pass
    same = ((parse_address("10.77.0.1"), 16),) * 2
    with pytest.raises(MachineError, match=r"10\.77\.0\.1/16 cannot be an address"):
        async with open_testbed(TestbedPlan(addresses=same)):
            pass
    with pytest.raises(MachineError, match="already an interface called lo"):
        async with open_testbed(TestbedPlan(name="lo")):
            pass
    with pytest.raises(MachineError, match="/no/tun does not exist"):
        async with open_testbed(TestbedPlan(tun_device="/no/tun")):
            pass


async def test_a_small_mtu_means_no_ipv6() -> None:
    plan = TestbedPlan(addresses=PLAN.addresses, mtu=600)
    async with open_testbed(plan) as testbed:
        assert testbed.notes == ("fd77::1/64 was not set: IPv6 needs an MTU of 1280, not 600",)


@pytest.mark.parametrize("kind", ["tun", "tap"])
async def test_several_queues(kind: str) -> None:
    plan = TestbedPlan(addresses=PLAN.addresses, queues=3, kind=kind)
    async with open_testbed(plan) as testbed:
        assert len(testbed.fds) == 3
        process = await testbed.start_gateway(
            python("import socket; socket.socket(2, 2).sendto(b'x', ('10.77.1.1', 9))"), {}
        )
        with trio.fail_after(10):
            await testbed.link.wait_readable()
        assert len(testbed.link.receive_nowait(10)) >= 1
        await process.wait()


@pytest.mark.parametrize("terminal", [True, False])
async def test_many_lives_hold_no_more_files_open_than_one(terminal: bool) -> None:
    async with open_testbed(PLAN) as testbed:
        held = []
        for _ in range(3):
            process = await testbed.start_gateway(
                ["echo", "ready"], {}, streams=Streams(terminal=terminal, stdin=OPEN)
            )
            assert await read_all(process) == "ready\n"
            await process.stop()
            await trio.testing.wait_all_tasks_blocked()
            held.append(len(os.listdir("/proc/self/fd")))  # noqa: PTH208
        assert held[0] == held[-1]


async def test_output_that_nobody_takes_does_not_hinder_the_end() -> None:
    async with open_testbed(PLAN) as testbed:
        process = await testbed.start_gateway(["yes"], dict(os.environ))
        assert await process.output.receive()
        with trio.fail_after(20):
            assert await process.stop(signal.SIGTERM, 5) == ExitStatus(None, signal.SIGTERM)
