"""Testbeds in a network that already exists. The tests' own "host" is a namespace."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.needs("root", "tun", "ip")

SCRIPT = """
import os, sys, trio
from iotsim.errors import MachineError
from iotsim.testbed.bed import open_testbed
from iotsim.testbed.plan import TestbedPlan
from iotsim.wire.address import parse_address

async def main():
    isolate, address, *command = sys.argv[1:]
    plan = TestbedPlan(
        isolate=isolate, addresses=((parse_address(address), 16),), run_name="host test"
    )
    try:
        async with open_testbed(plan) as testbed:
            print("up", testbed.interface, testbed.pid_namespace, *testbed.notes, flush=True)
            process = await testbed.start_gateway(command, dict(os.environ))
            async for chunk in process.output:
                print(chunk.decode(), end="")
            print(await process.wait())
    except MachineError as error:
        print(error.reason, "|", error.fix)

trio.run(main)
"""


def in_namespace(shell: str) -> list[str]:
    """Run a shell script in a network of its own, in which `SIM` starts a testbed."""
    script = f"ip link set lo up; {shell}"
    result = subprocess.run(
        ["unshare", "--net", "--mount", "sh", "-ec", script],
        env={**os.environ, "PY": sys.executable, "SCRIPT": SCRIPT, "BIND": BIND},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


SIM = '"$PY" -c "$SCRIPT"'


@pytest.mark.needs("ps")
def test_the_interface_stands_in_the_host_and_goes_with_the_run() -> None:
    lines = in_namespace(
        f"{SIM} host 10.77.0.1 sh -c 'ip -o -4 addr show iotsim0; ps -o pid= -p $$'; ip -o link"
    )
    assert lines[0] == "up iotsim0 True"
    assert "inet 10.77.0.1/16" in lines[1]
    assert lines[2].strip() == "2"  # a PID namespace of its own even so
    assert lines[3] == "exit status 0"
    assert len(lines) == 5  # only lo is left


BIND = "import socket; socket.socket(2, 2).bind(('10.77.0.1', 69)); print('bound')"


def test_ports_below_1024_are_open_to_the_gateway() -> None:
    lines = in_namespace(f'{SIM} host 10.77.0.1 "$PY" -I -S -c "$BIND"')
    assert lines[1:] == ["bound", "exit status 0"]


@pytest.mark.parametrize(
    ("setup", "reason"),
    [
        (
            "ip tuntap add d0 mode tap; ip addr add 10.77.0.1/30 dev d0; ip link set d0 up",
            "10.77.0.1 is already an address of d0",
        ),
        (
            "ip tuntap add d0 mode tap; ip link set d0 up; ip route add 10.77.4.0/24 dev d0",
            "10.77.0.0/16 overlaps 10.77.4.0/24, which this machine routes to d0",
        ),
        (
            "ip tuntap add d0 mode tap; ip link set d0 up; ip addr add 10.1.1.1/8 dev d0",
            "10.77.0.0/16 overlaps 10.0.0.0/8, which this machine routes to d0",
        ),
    ],
)
def test_what_stands_in_the_way_is_named(setup: str, reason: str) -> None:
    (line,) = in_namespace(f"{setup}; {SIM} host 10.77.0.1 true")
    assert line.startswith(reason)
    assert "choose" in line.partition("|")[2]


def test_a_default_route_is_in_nobodys_way() -> None:
    setup = "ip tuntap add d0 mode tap; ip addr add 192.0.2.1/24 dev d0; ip link set d0 up"
    lines = in_namespace(f"{setup}; ip route add default via 192.0.2.2; {SIM} host 10.77.0.1 true")
    assert lines[-1] == "exit status 0"


def test_without_privilege_the_host_is_refused_with_the_way_out() -> None:
    drop = "setpriv --bounding-set -net_admin --inh-caps -net_admin"
    (line,) = in_namespace(f"{drop} {SIM} host 10.77.0.1 true")
    assert "needs the capability CAP_NET_ADMIN" in line
    assert "private" in line


@pytest.mark.needs("userns")
def test_net_admin_alone_is_enough_for_the_host() -> None:
    """As in a container with --cap-add NET_ADMIN: the PID namespace needs a user namespace."""
    drop = "setpriv --bounding-set -sys_admin --inh-caps -sys_admin"
    lines = in_namespace(f"{drop} {SIM} host 10.77.0.1 sh -c 'echo $$'")
    assert lines == ["up iotsim0 True", "2", "exit status 0"]


def test_a_named_network_namespace_is_entered() -> None:
    setup = "mount -t tmpfs none /run; ip netns add lab; ip -n lab link set lo up"
    lines = in_namespace(
        f"{setup}; {SIM} netns:lab 10.77.0.1 ip -br -4 addr; {SIM} netns:nosuch 10.77.0.1 true"
    )
    assert lines[0] == "up iotsim0 True"
    assert [line.split()[0] for line in lines[1:3]] == ["lo", "iotsim0"]
    assert lines[-1].startswith("there is no network namespace called nosuch | sudo ip netns add")
