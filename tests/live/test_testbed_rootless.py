"""The same as an ordinary user, who has no privilege but an accessible /dev/net/tun."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.live.conftest import OrdinaryUser

pytestmark = pytest.mark.needs("root", "tun", "userns", "ip")

RUN = """
import os, sys, trio
from iotsim.errors import MachineError
from iotsim.testbed.bed import open_testbed
from iotsim.testbed.plan import TestbedPlan
from iotsim.testbed.runs import exec_in_run, find_run
from iotsim.wire.address import parse_address

PLAN = TestbedPlan(
    addresses=((parse_address("10.77.0.1"), 16), (parse_address("fd77::1"), 64)),
    run_name=f"rootless-{os.getpid()}",
)

async def main():
    async with open_testbed(PLAN) as testbed:
        print("up", testbed.interface, testbed.offload, testbed.user_namespace, *testbed.notes)
        process = await testbed.start_gateway(sys.argv[1:], dict(os.environ))
        async for chunk in process.output:
            print(chunk.decode(), end="", flush=True)
        print(await process.wait(), flush=True)
        inside = "id -u; ip link set iotsim0 mtu 1300 && echo privileged"
        run = find_run(PLAN.run_name)
        print(exec_in_run(run, ["sh", "-c", inside]), flush=True)

try:
    trio.run(main)
except* MachineError as group:
    print(*(f"{error.reason} | {error.fix}" for error in group.exceptions))
"""

DOCTOR = """
from iotsim.testbed.doctor import run_checks
for check in run_checks():
    print(check.name, "|", check.ok, "|", check.fix)
"""

GATEWAY = """
import os, socket
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("10.77.0.1", 69))
ping = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)
caps = [line.split()[1] for line in open("/proc/self/status") if line.startswith("CapEff")]
print(os.getuid(), os.getgid(), int(caps[0], 16), os.getpid())
"""


def as_user(user: OrdinaryUser, code: str, *arguments: str) -> list[str]:
    result = subprocess.run(
        user.words(sys.executable, "-c", code, *arguments),
        env=user.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


def test_a_private_testbed_needs_no_privilege(ordinary_user: OrdinaryUser) -> None:
    lines = as_user(ordinary_user, RUN, sys.executable, "-I", "-S", "-c", GATEWAY)
    assert lines == [
        "up iotsim0 True True",
        f"{ordinary_user.uid} {ordinary_user.uid} 0 2",
        "exit status 0",
        str(ordinary_user.uid),
        "privileged",
        "0",
    ]


def test_a_device_that_is_closed_to_the_user_gets_its_fix(ordinary_user: OrdinaryUser) -> None:
    ordinary_user.device.chmod(0o600)
    (line,) = as_user(ordinary_user, RUN, "true")
    path = ordinary_user.device
    assert line == f"{path} may not be opened by this user | sudo chmod 666 {path}"
    checks = dict(line.split(" | ", 1) for line in as_user(ordinary_user, DOCTOR))
    assert checks[str(path)] == f"False | sudo chmod 666 {path}"
    assert checks["TUN interface"] == f"False | sudo chmod 666 {path}"
    assert checks["private namespace"].startswith("True")


def test_the_doctor_finds_an_ordinary_user_well(ordinary_user: OrdinaryUser) -> None:
    checks = dict(line.split(" | ", 1) for line in as_user(ordinary_user, DOCTOR))
    assert [name for name, text in checks.items() if text.startswith("False")] == []
