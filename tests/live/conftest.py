"""An ordinary user, and hosts of a local network, for tests that run as root."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests import processes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

UID = 54321
CLIENT_PORTS_AS_DATA = ("-d", "udp.port==32768-60999,data")
"""For tshark: some protocol has nearly every port, and a client's own is drawn at random."""

# Where the interpreter lies in a folder that the user may not enter, it is mounted over an
# accessible one, in a mount namespace of the test.
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
os.chdir(Path(folder, "home"))
os.setgroups([])
os.setgid(int(uid))
os.setuid(int(uid))
os.execvp(command[0], command)
"""


class OrdinaryUser:
    """A made-up user, with a copy of the TUN device in `folder` and a `home` below it."""

    uid = UID

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.device = folder / "tun"
        folder.chmod(0o755)
        self.home.mkdir()
        os.chown(self.home, UID, UID)
        os.mknod(self.device, stat.S_IFCHR | 0o666, os.makedev(10, 200))
        self.device.chmod(0o666)

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "IOTSIM_TUN": str(self.device), "PYTHONDONTWRITEBYTECODE": "1"}

    def words(self, *command: str, uid: int = UID) -> list[str]:
        """The command line that runs `command` as this user, or as `uid`, in `home`."""
        return [sys.executable, "-c", BECOME_USER, str(self.folder), str(uid), *command]


@pytest.fixture
def ordinary_user() -> Iterator[OrdinaryUser]:
    """In a folder that every user may enter; pytest's own is private."""
    with tempfile.TemporaryDirectory(prefix="iotsim-test-", dir="/tmp") as name:
        yield OrdinaryUser(Path(name))


class NetHost:
    """A computer of a made-up local network: a network namespace, held by a process of ours.

    Its `/run` is its own, for ``ip netns add``. Calling it runs a shell script there, and gives
    the output, both streams.
    """

    def __init__(self) -> None:
        hold = "mount -t tmpfs none /run; ip link set lo up; echo up; exec sleep infinity"
        words = ["unshare", "--net", "--mount", "sh", "-ec", hold]
        self._started: list[subprocess.Popen[str]] = []
        self._holder = processes.start(words, stdout=subprocess.PIPE, text=True)
        if self._holder.stdout.readline() != "up\n":
            self.close()
            raise AssertionError("a network namespace cannot be made")

    @property
    def pid(self) -> int:
        return self._holder.pid

    def words(self, *command: str) -> list[str]:
        """The command line that runs `command` there."""
        return ["nsenter", f"--target={self.pid}", "--net", "--mount", *command]

    def __call__(self, script: str, *, fails: bool = False) -> str:
        result = subprocess.run(
            self.words("sh", "-ec", script),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        assert (result.returncode != 0) == fails, result.stdout
        return result.stdout

    def start(self, *command: str, **options: Any) -> subprocess.Popen[str]:
        """Start `command` there; it is ended with the host."""
        process = processes.start(
            self.words(*command), stdin=subprocess.DEVNULL, text=True, **options
        )
        self._started.append(process)
        return process

    def plug(self, name: str, other: NetHost, other_name: str) -> None:
        """Lay a cable from an interface of this host to one of another."""
        self(f"ip link add {name} type veth peer name {other_name} netns {other.pid}")
        self(f"ip link set {name} up")
        other(f"ip link set {other_name} up")

    def close(self) -> None:
        for process in self._started:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            processes.end(process)
        for pid in self._inhabitants():
            if pid != self.pid:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        processes.end(self._holder)

    def _inhabitants(self) -> list[int]:
        """Who is in the host's network namespace, also what a script left in the background."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if (folder / "ns/net").samefile(f"/proc/{self.pid}/ns/net"):
                    found.append(int(folder.name))
        return found


@pytest.fixture
def net_hosts() -> Iterator[Callable[[], NetHost]]:
    """Makes hosts, which end with the test."""
    made: list[NetHost] = []

    def make() -> NetHost:
        made.append(NetHost())
        return made[-1]

    yield make
    for host in made:
        host.close()


class Simulated:
    """``iotsim run --serve`` on one of these hosts, and what it leaves in `out`."""

    def __init__(self, process: subprocess.Popen[str], out: Path) -> None:
        self.process = process
        self.out = out

    def end(self) -> dict[str, Any]:
        """Interrupt it; its result."""
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=30)
        result: dict[str, Any] = json.loads((self.out / "result.json").read_text())
        assert result["verdict"] in ("passed", "empty"), result
        return result

    def events(self, kind: str) -> list[dict[str, Any]]:
        """Those that are on disk by now; the last line may be half written."""
        lines = (self.out / "events.jsonl").read_text().split("\n")[:-1]
        return [event for line in lines if (event := json.loads(line))["event"] == kind]


@pytest.fixture
def serve(tmp_path: Path, iotsim_environment: dict[str, str]) -> Callable[..., Simulated]:
    """``serve(host, toml)`` simulates on a host until the test ends it; the devices are up."""

    def start(host: NetHost, text: str, *, out: str = "out") -> Simulated:
        scenario = tmp_path / f"{out}.toml"
        scenario.write_text(text)
        folder = tmp_path / out
        process = host.start(
            *(
                sys.executable,
                "-m",
                "iotsim",
                "run",
                str(scenario),
                "--serve",
                "--out",
                str(folder),
            ),
            env=iotsim_environment,
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        deadline = time.monotonic() + 30
        while True:
            events = folder / "events.jsonl"
            if events.exists() and '"link-up"' in events.read_text():
                return Simulated(process, folder)
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(process.communicate()[0] if process.poll() else "not up")
            time.sleep(0.02)

    return start
