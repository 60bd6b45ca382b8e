"""System calls that Python 3.11 does not offer, by ctypes. Each raises OSError."""

from __future__ import annotations

import ctypes
import os
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from iotsim.capabilities import Capability

CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_BIND = 4096
MS_REC = 16384
MS_SLAVE = 1 << 19
MNT_DETACH = 2

PR_SET_PDEATHSIG = 1
PR_GET_PDEATHSIG = 2
PR_SET_KEEPCAPS = 8
PR_SET_NAME = 15
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
PR_CAP_AMBIENT_CLEAR_ALL = 4

_CAPABILITY_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)


class _CapabilityHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _CapabilityData(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def _check(result: int, what: str) -> None:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def unshare(flags: int) -> None:
    """unshare(2). Only in a process without threads."""
    _check(_libc.unshare(flags), "unshare")


def setns(fd: int, kind: int = 0) -> None:
    """setns(2). Only in a process without threads."""
    _check(_libc.setns(fd, kind), "setns")


def mount(source: str, target: str, filesystem: str, flags: int) -> None:
    """mount(2), without data."""
    _check(
        _libc.mount(
            source.encode(), target.encode(), filesystem.encode(), ctypes.c_ulong(flags), None
        ),
        f"mount {target}",
    )


def unmount(target: str) -> None:
    """umount2(2), at once for whoever looks from now on."""
    _check(_libc.umount2(target.encode(), MNT_DETACH), f"unmount {target}")


def prctl(option: int, argument: int = 0, argument3: int = 0) -> None:
    """prctl(2) with integer arguments."""
    zero = ctypes.c_ulong(0)
    _check(
        _libc.prctl(option, ctypes.c_ulong(argument), ctypes.c_ulong(argument3), zero, zero),
        f"prctl {option}",
    )


def get_parent_death_signal() -> int:
    """The signal that the death of the parent sends to this process, 0 for none."""
    number = ctypes.c_int(0)
    _check(_libc.prctl(PR_GET_PDEATHSIG, ctypes.byref(number), 0, 0, 0), "prctl PR_GET_PDEATHSIG")
    return number.value


def set_process_name(name: str) -> None:
    """The name in /proc/PID/comm, of at most 15 bytes."""
    _check(_libc.prctl(PR_SET_NAME, name.encode(), 0, 0, 0), "prctl PR_SET_NAME")


def get_capabilities() -> tuple[int, int, int]:
    """The calling thread's effective, permitted and inheritable capabilities, as bit masks."""
    header = _CapabilityHeader(_CAPABILITY_VERSION_3, 0)
    data = (_CapabilityData * 2)()
    _check(_libc.capget(ctypes.byref(header), data), "capget")
    low, high = data[0], data[1]
    return (
        low.effective | high.effective << 32,
        low.permitted | high.permitted << 32,
        low.inheritable | high.inheritable << 32,
    )


def set_capabilities(effective: int, permitted: int, inheritable: int) -> None:
    """Set the calling thread's capabilities, and no other thread's."""
    header = _CapabilityHeader(_CAPABILITY_VERSION_3, 0)
    data = (_CapabilityData * 2)()
    mask = 0xFFFFFFFF
    data[0] = _CapabilityData(effective & mask, permitted & mask, inheritable & mask)
    data[1] = _CapabilityData(effective >> 32, permitted >> 32, inheritable >> 32)
    _check(_libc.capset(ctypes.byref(header), data), "capset")


def has_capability(capability: Capability) -> bool:
    """Whether the calling thread has `capability` in its own user namespace, effective."""
    return bool(get_capabilities()[0] & capability.bit)


class _SignalEvent(ctypes.Structure):
    _fields_ = (
        ("value", ctypes.c_void_p),
        ("number", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("thread", ctypes.c_int),
        ("_unused", ctypes.c_char * 64),
    )


class _TimerSpec(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_long) for name in ("every_s", "every_ns", "first_s", "first_ns")
    )


SIGEV_THREAD_ID = 4


class ThreadTimer:
    """timer_create(2): sends the thread that makes it signal `number` every `interval_s`, until deleted.

    The kernel does, so it also comes while another thread cannot run, since this one holds the
    interpreter's lock.
    """

    def __init__(self, number: int, interval_s: float) -> None:
        event = _SignalEvent(
            number=number, notify=SIGEV_THREAD_ID, thread=threading.get_native_id()
        )
        self._id = ctypes.c_void_p()
        clock, new = time.CLOCK_MONOTONIC, ctypes.byref(self._id)
        _check(_libc.timer_create(clock, ctypes.byref(event), new), "timer_create")
        seconds, nanoseconds = divmod(round(interval_s * 1e9), 10**9)
        spec = _TimerSpec(seconds, nanoseconds, seconds, nanoseconds)
        _check(_libc.timer_settime(self._id, 0, ctypes.byref(spec), None), "timer_settime")

    def delete(self) -> None:
        _check(_libc.timer_delete(self._id), "timer_delete")
