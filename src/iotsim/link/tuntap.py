"""TUN and TAP interfaces, opened by ioctl.

A TUN interface is a network card whose other end is a file descriptor: what the kernel routes to
it is read from the descriptor, what is written to the descriptor the kernel receives. TUN carries
IP packets, TAP Ethernet frames. See the kernel's Documentation/networking/tuntap.rst and
include/uapi/linux/if_tun.h.

Every packet is preceded by a ``struct virtio_net_hdr`` of 10 bytes (IFF_VNET_HDR), in which the
kernel says that a packet from a local socket has no checksum yet, and in which we may leave the
checksum of a reply to the kernel. That saves most of the cost of large payloads.

This module imports nothing heavy: it also runs in the helper process inside a namespace.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
from pathlib import Path
from typing import NamedTuple

from iotsim.errors import MachineError

DEFAULT_DEVICE = "/dev/net/tun"
DEVICE_VARIABLE = "IOTSIM_TUN"
VNET_HEADER_BYTES = 10
NAME_BYTES = 15
"""IFNAMSIZ without its terminating zero."""

TUNSETIFF = 0x400454CA
TUNSETPERSIST = 0x400454CB
TUNSETOWNER = 0x400454CC
TUNSETOFFLOAD = 0x400454D0
TUNSETVNETHDRSZ = 0x400454D8

IFF_TUN = 0x0001
IFF_TAP = 0x0002
IFF_MULTI_QUEUE = 0x0100
IFF_NO_PI = 0x1000
IFF_VNET_HDR = 0x4000
IFF_TUN_EXCL = 0x8000

TUN_F_CSUM = 0x01

_IFREQ = struct.Struct("16sH22x")


class TunTap(NamedTuple):
    """An interface that was just made. It exists as long as one of its descriptors is open."""

    name: str
    kind: str
    fds: tuple[int, ...]
    """One non-blocking descriptor per queue."""
    offload: bool
    """Whether the kernel leaves the checksums of local packets to us (TUN_F_CSUM)."""
    persistent: bool = False
    """It was there before, and stays when its descriptors are closed (`make_persistent`)."""


def tun_device() -> str:
    """The path of the clone device: /dev/net/tun unless $IOTSIM_TUN says otherwise."""
    return os.environ.get(DEVICE_VARIABLE) or DEFAULT_DEVICE


def open_tuntap(
    name: str = "iotsim%d",
    *,
    kind: str = "tun",
    queues: int = 1,
    device: str | None = None,
    persistent: bool = False,
) -> TunTap:
    """Make the interface `name` in the network namespace of the caller, and open its queues.

    ``%d`` in the name becomes the first free number. An interface that exists already is never
    taken over, unless `persistent` allows for one that `make_persistent` has made and that nobody
    uses. MachineError says what is missing and what to do about it.
    """
    if not 0 < len(name.encode()) <= NAME_BYTES or set(name) & set("/: \t\n"):
        raise MachineError(
            f"{name!r} cannot be the name of an interface",
            f"choose a name of 1 to {NAME_BYTES} bytes without '/', ':' and blanks",
        )
    path = device or tun_device()
    base = {"tun": IFF_TUN, "tap": IFF_TAP}[kind] | IFF_NO_PI | IFF_VNET_HDR
    taken_over = persistent and _exists(name)
    if taken_over and queues > 1:
        raise MachineError(
            f"the interface {name} has one queue, not {queues}",
            "write queues = 1 in [link], or choose another name",
        )
    if queues > 1:
        base |= IFF_MULTI_QUEUE
    fds: list[int] = []
    try:
        for queue in range(queues):
            fds.append(_open_device(path))
            # Only the first queue makes the interface; the others join it by its final name.
            flags = base if queue or taken_over else base | IFF_TUN_EXCL
            name = _attach(fds[-1], name, flags, kind, path)
        offload = _negotiate_offload(fds[0])
        for fd in fds:
            fcntl.ioctl(fd, TUNSETVNETHDRSZ, struct.pack("i", VNET_HEADER_BYTES))
    except BaseException:
        for fd in fds:
            os.close(fd)
        raise
    return TunTap(name, kind, tuple(fds), offload, taken_over)


def make_persistent(name: str, *, kind: str, owner: int, device: str | None = None) -> None:
    """Make an interface that stays, and that the user with the uid `owner` may open."""
    tun = open_tuntap(name, kind=kind, device=device)
    try:
        fcntl.ioctl(tun.fds[0], TUNSETOWNER, owner)
        fcntl.ioctl(tun.fds[0], TUNSETPERSIST, 1)
    finally:
        os.close(tun.fds[0])


def remove_persistent(name: str, *, device: str | None = None) -> None:
    """Remove what `make_persistent` made; MachineError if it is in use, or something else."""
    if not _exists(name):
        raise MachineError(f"there is no interface called {name}", "see what there is: ip link")
    path = device or tun_device()
    for kind in ("tun", "tap"):
        fd = _open_device(path)
        try:
            flags = {"tun": IFF_TUN, "tap": IFF_TAP}[kind] | IFF_NO_PI
            fcntl.ioctl(fd, TUNSETIFF, _IFREQ.pack(name.encode(), flags))
            fcntl.ioctl(fd, TUNSETPERSIST, 0)
        except OSError as error:
            if error.errno == errno.EINVAL and kind == "tun":
                continue  # it may be of the other kind
            raise _explain_removal(name, error) from error
        finally:
            os.close(fd)
        return


def _explain_removal(name: str, error: OSError) -> MachineError:
    match error.errno:
        case errno.EBUSY:
            return MachineError(f"{name} is in use by a program", "end the run that uses it")
        case errno.EPERM:
            return MachineError(f"{name} may not be removed by this user", "run it with sudo")
        case _:
            return MachineError(
                f"{name} is no TUN or TAP interface of iotsim's", f"sudo ip link delete {name}"
            )


def _exists(name: str) -> bool:
    try:
        socket.if_nametoindex(name)
    except OSError:
        return False
    return True


def _open_device(path: str) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise explain_open(path, error) from error


def explain_open(path: str, error: OSError) -> MachineError:
    """Why the clone device cannot be opened, and the line that would change that."""
    match error.errno:
        case errno.ENOENT:
            fix = (
                f"sudo modprobe tun; if it is still not there: sudo mkdir -p {Path(path).parent}"
                f" && sudo mknod -m 666 {path} c 10 200 (in a container: --device /dev/net/tun)"
            )
            return MachineError(f"{path} does not exist", fix)
        case errno.EACCES:
            return MachineError(f"{path} may not be opened by this user", f"sudo chmod 666 {path}")
        case errno.EPERM:
            return MachineError(
                f"{path} may not be opened here: the container's device rules forbid it",
                "start the container with --device /dev/net/tun",
            )
        case errno.ENODEV | errno.ENXIO:
            return MachineError(f"{path} has no driver behind it", "sudo modprobe tun")
        case errno.EMFILE | errno.ENFILE:
            return MachineError("too many open files", "ulimit -n 4096")
        case _:
            return MachineError(f"{path} cannot be opened: {error.strerror}", "iotsim doctor")


def _attach(fd: int, name: str, flags: int, kind: str, path: str) -> str:
    try:
        answer = fcntl.ioctl(fd, TUNSETIFF, _IFREQ.pack(name.encode(), flags))
    except OSError as error:
        raise _explain_attach(name, kind, flags, path, error) from error
    return bytes(answer[:16]).rstrip(b"\0").decode()


def _explain_attach(name: str, kind: str, flags: int, path: str, error: OSError) -> MachineError:
    match error.errno:
        case errno.EBUSY:
            if not flags & IFF_TUN_EXCL:
                return MachineError(
                    f"the interface {name} is in use by another program, an earlier run perhaps",
                    "end that, or choose another name in [link]",
                )
            return MachineError(
                f"there is already an interface called {name}",
                f"choose another name in [link], or remove it: sudo ip link delete {name}",
            )
        case errno.EPERM:
            if _exists(name):
                return MachineError(
                    f"the interface {name} belongs to another user",
                    f"sudo iotsim link delete {name}; sudo iotsim link create {name} --owner $USER",
                )
            return MachineError(
                f"making the interface {name} needs the capability CAP_NET_ADMIN",
                'run iotsim as root, or use isolate = "private", which needs no privilege',
            )
        case errno.EINVAL:
            return MachineError(
                f"the kernel refuses to make the {kind.upper()} interface {name} "
                "(it may exist already, as another kind of interface)",
                "choose another name in [link]",
            )
        case errno.ENOTTY | errno.EBADFD:
            return MachineError(
                f"{path} is not the TUN device", f"unset {DEVICE_VARIABLE}; ls -l {path}"
            )
        case _:
            return MachineError(
                f"the interface {name} cannot be made: {error.strerror}", "iotsim doctor"
            )


def _negotiate_offload(fd: int) -> bool:
    try:
        fcntl.ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM)
    except OSError:
        return False
    return True
