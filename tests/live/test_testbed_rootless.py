"""The same as an ordinary user, who has no privilege but an accessible /dev/net/tun.

The user is made up; the device is a copy of the node; and where the interpreter lies in a folder
that the user may not enter, it is mounted over an accessible one, in a mount namespace of the test.
"""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can set this test up")

UID = 54321

BECOME_USER = """
import os, sys
from pathlib import Path
from iotsim.testbed import linux

MS_BIND = 4096
folder, uid, *command = sys.argv[1:]
base = Path(sys.base_prefix)
closed = next((path for path in reversed(base.parents) if not path.stat().st_mode & 1), None)
linux.unshare(linux.CLONE_NEWNS)
linux.mount("none", "/", "none", linux.MS_REC | linux.MS_SLAVE)
if closed:
    stash = Path(folder, "interpreter")
    stash.mkdir(exist_ok=True)
    linux.mount(str(base), str(stash), "none", MS_BIND)
    linux.mount("tmpfs", str(closed), "tmpfs", 0)
    closed.chmod(0o755)
    base.mkdir(parents=True)
    linux.mount(str(stash), str(base), "none", MS_BIND)
os.chdir("/")
os.setgroups([])
os.setgid(int(uid))
os.setuid(int(uid))
os.execv(sys.executable, [sys.executable, *command])
"""

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


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user may enter, with a device node in it; pytest's own is private."""
    with tempfile.TemporaryDirectory(prefix="iotsim-test-", dir="/tmp") as name:
        path = Path(name)
        path.chmod(0o755)
        os.mknod(path / "tun", stat.S_IFCHR | 0o666, os.makedev(10, 200))
        (path / "tun").chmod(0o666)
        yield path


def as_user(folder: Path, code: str, *arguments: str, device: str = "tun") -> list[str]:
    result = subprocess.run(
        [sys.executable, "-c", BECOME_USER, str(folder), str(UID), "-c", code, *arguments],
        env={**os.environ, "IOTSIM_TUN": str(folder / device), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


def test_a_private_testbed_needs_no_privilege(folder: Path) -> None:
    lines = as_user(folder, RUN, sys.executable, "-I", "-S", "-c", GATEWAY)
    assert lines == [
        "up iotsim0 True True",
        f"{UID} {UID} 0 2",
        "exit status 0",
        str(UID),
        "privileged",
        "0",
    ]


def test_a_device_that_is_closed_to_the_user_gets_its_fix(folder: Path) -> None:
    (folder / "tun").chmod(0o600)
    (line,) = as_user(folder, RUN, "true")
    path = folder / "tun"
    assert line == f"{path} may not be opened by this user | sudo chmod 666 {path}"
    checks = dict(line.split(" | ", 1) for line in as_user(folder, DOCTOR))
    assert checks[str(path)] == f"False | sudo chmod 666 {path}"
    assert checks["TUN interface"] == f"False | sudo chmod 666 {path}"
    assert checks["private namespace"].startswith("True")


def test_the_doctor_finds_an_ordinary_user_well(folder: Path) -> None:
    checks = dict(line.split(" | ", 1) for line in as_user(folder, DOCTOR))
    assert [name for name, text in checks.items() if text.startswith("False")] == ["capabilities"]
