"""Users of this machine: who they are, and who called sudo."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import NamedTuple

from iotsim.capabilities import Capability
from iotsim.testbed import linux

UNKNOWN_HOME = "/"


class User(NamedTuple):
    uid: int
    gid: int
    groups: tuple[int, ...]
    """Every group, with `gid`."""
    name: str
    home: str

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which programs know whose they are."""
        return {"HOME": self.home, "USER": self.name, "LOGNAME": self.name}


def find_user(text: str) -> User:
    """The user called `text`, or with that number. LookupError if there is none of that name.

    A number needs no entry in the user database: containers have users without.
    """
    try:
        entry = pwd.getpwnam(text)
    except KeyError:
        if text.isascii() and text.isdecimal() and int(text) < 1 << 32:
            return _user_of(int(text), gid=int(text))
        raise LookupError(f"there is no user called {text}") from None
    return _of_entry(entry)


def sudo_user() -> User | None:
    """The user who called sudo to start this process; None if nobody did, or it was root.

    None too where this process cannot become that user: it runs as somebody else than root, or in
    a user namespace that does not have the user.
    """
    uid, gid = (os.environ.get(name, "") for name in ("SUDO_UID", "SUDO_GID"))
    if os.geteuid() != 0 or not (uid.isdecimal() and gid.isdecimal()) or uid == "0":
        return None
    user = _user_of(int(uid), gid=int(gid))
    return user if may_become(user) else None


def may_become(user: User) -> bool:
    """Whether this process can be that user's from now on."""
    return (
        linux.has_capability(Capability.SETUID)
        and linux.has_capability(Capability.SETGID)
        and _is_mapped(user.uid, "uid_map")
        and _is_mapped(user.gid, "gid_map")
    )


def give_to_caller(made: Path | int) -> None:
    """Let what this process has just `made`, at a path or open as a descriptor, belong to the user who called
    sudo."""
    user = sudo_user()
    if user is None:
        return
    if isinstance(made, int):
        os.fchown(made, user.uid, user.gid)
    else:
        os.chown(made, user.uid, user.gid, follow_symlinks=False)


def make_folder(path: Path) -> None:
    """Make the folder `path`, and those above it that are missing, for the user who called sudo."""
    for folder in reversed([path, *path.parents]):
        try:
            folder.mkdir()
        except FileExistsError:
            if folder == path and not folder.is_dir():
                raise
        else:
            give_to_caller(folder)


def _user_of(uid: int, *, gid: int) -> User:
    try:
        return _of_entry(pwd.getpwuid(uid))
    except KeyError:
        return User(uid, gid, (gid,), str(uid), UNKNOWN_HOME)


def _of_entry(entry: pwd.struct_passwd) -> User:
    groups = tuple(os.getgrouplist(entry.pw_name, entry.pw_gid))
    return User(entry.pw_uid, entry.pw_gid, groups, entry.pw_name, entry.pw_dir)


def _is_mapped(number: int, table: str) -> bool:
    """Whether our user namespace has the id `number` (user_namespaces(7))."""
    for line in Path("/proc/self", table).read_text().splitlines():
        first, _, count = map(int, line.split())
        if first <= number < first + count:
            return True
    return False
