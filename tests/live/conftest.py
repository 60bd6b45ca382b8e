"""An ordinary user, for tests that run as root."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

UID = 54321

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

    def words(self, *command: str) -> list[str]:
        """The command line that runs `command` as this user, in `home`."""
        return [sys.executable, "-c", BECOME_USER, str(self.folder), str(UID), *command]


@pytest.fixture
def ordinary_user() -> Iterator[OrdinaryUser]:
    """In a folder that every user may enter; pytest's own is private."""
    with tempfile.TemporaryDirectory(prefix="iotsim-test-", dir="/tmp") as name:
        yield OrdinaryUser(Path(name))
