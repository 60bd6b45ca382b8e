"""Making and entering namespaces, in the helper process alone (it has no threads)."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import NamedTuple

from iotsim.capabilities import Capability
from iotsim.errors import MachineError
from iotsim.testbed import linux

NETNS_FOLDER = "/run/netns"

USER_SYSCTLS = (
    # (path, the value that forbids user namespaces to ordinary users, the line that allows them)
    (
        "/proc/sys/kernel/unprivileged_userns_clone",
        "0",
        "sudo sysctl -w kernel.unprivileged_userns_clone=1",
    ),
    (
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
    ),
    ("/proc/sys/user/max_user_namespaces", "0", "sudo sysctl -w user.max_user_namespaces=10000"),
)


class Isolation(NamedTuple):
    """What was made, in words for `LinkUp` and the log."""

    user: bool
    network: bool
    mount: bool


def may_administer() -> bool:
    """Whether namespaces and interfaces can be made without a user namespace."""
    return linux.has_capability(Capability.SYS_ADMIN) and linux.has_capability(Capability.NET_ADMIN)


def enter_private() -> Isolation:
    """Move the calling process into a network and a mount namespace of its own.

    Without privilege a user namespace comes with them, in which the user keeps their own uid and
    gid, so that files and what the gateway sees of itself stay the same.
    """
    user = not may_administer()
    flags = linux.CLONE_NEWNET | linux.CLONE_NEWNS
    if user:
        enter_user_namespace(flags)
    else:
        try:
            linux.unshare(flags)
        except OSError as error:
            raise MachineError(
                f"a network namespace cannot be made: {error.strerror}", userns_fix()
            ) from error
    _make_mounts_ours()
    return Isolation(user=user, network=True, mount=True)


def enter_user_namespace(flags: int) -> None:
    """unshare(2) a user namespace and `flags`, mapping the caller's uid and gid to themselves."""
    uid, gid = os.geteuid(), os.getegid()
    try:
        linux.unshare(linux.CLONE_NEWUSER | flags)
        # Ids can be mapped without privilege only if setgroups is given up (user_namespaces(7)).
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"{uid} {uid} 1")
        _write("/proc/self/gid_map", f"{gid} {gid} 1")
    except OSError as error:
        reason = f"a user namespace cannot be made: {os.strerror(error.errno or 0)}"
        raise MachineError(reason, userns_fix()) from error


def userns_fix() -> str:
    """The line that lets this user make user namespaces, as far as the machine tells why not."""
    for path, forbidding, fix in USER_SYSCTLS:
        try:
            value = Path(path).read_text().strip()
        except OSError:
            continue
        if value == forbidding:
            return fix
    if Path("/.dockerenv").exists() or Path("/run/.containerenv").exists():
        return (
            "start the container with --device /dev/net/tun --cap-add SYS_ADMIN "
            "--cap-add NET_ADMIN, and where AppArmor confines it with "
            "--security-opt apparmor=unconfined"
        )
    return "run iotsim as root, or allow user namespaces to this user"


def enter_pid_namespace(*, allow_user: bool) -> bool:
    """Make the next child PID 1 of a namespace. False where that is not allowed.

    `allow_user`: a user namespace may be made for it, if none was made before.
    """
    try:
        linux.unshare(linux.CLONE_NEWPID)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOSPC, errno.EINVAL, errno.ENOSYS):
            raise
    else:
        return True
    if not allow_user:
        return False
    try:
        enter_user_namespace(linux.CLONE_NEWNS | linux.CLONE_NEWPID)
    except MachineError:
        return False
    _make_mounts_ours()
    return True


def enter_mount_namespace() -> bool:
    """A mount namespace, for /proc to agree with the PID namespace; False where not allowed."""
    try:
        linux.unshare(linux.CLONE_NEWNS)
    except OSError:
        return False
    _make_mounts_ours()
    return True


def enter_named_network(name: str) -> None:
    """setns(2) to the network namespace that ``ip netns add NAME`` made."""
    path = f"{NETNS_FOLDER}/{name}"
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise MachineError(
            f"there is no network namespace called {name}", f"sudo ip netns add {name}"
        ) from error
    try:
        linux.setns(fd, linux.CLONE_NEWNET)
    except OSError as error:
        raise MachineError(
            f"the network namespace {name} cannot be entered: {error.strerror}",
            "run iotsim as root: entering another namespace needs CAP_SYS_ADMIN",
        ) from error
    finally:
        os.close(fd)


def mount_proc() -> bool:
    """Let /proc show the PID namespace. False where it may not be mounted (some containers)."""
    try:
        linux.mount("proc", "/proc", "proc", linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC)
    except OSError:
        return False
    return True


def _make_mounts_ours() -> None:
    # What is mounted outside still arrives here; what we mount stays with us.
    linux.mount("none", "/", "none", linux.MS_REC | linux.MS_SLAVE)


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)
