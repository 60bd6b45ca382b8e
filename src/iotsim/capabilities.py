"""The capabilities of Linux by name and number (capabilities(7), linux/capability.h)."""

from __future__ import annotations

import enum


class Capability(enum.IntEnum):
    """The value is the number of the capability's bit."""

    CHOWN = 0
    DAC_OVERRIDE = 1
    DAC_READ_SEARCH = 2
    FOWNER = 3
    FSETID = 4
    KILL = 5
    SETGID = 6
    SETUID = 7
    SETPCAP = 8
    LINUX_IMMUTABLE = 9
    NET_BIND_SERVICE = 10
    NET_BROADCAST = 11
    NET_ADMIN = 12
    NET_RAW = 13
    IPC_LOCK = 14
    IPC_OWNER = 15
    SYS_MODULE = 16
    SYS_RAWIO = 17
    SYS_CHROOT = 18
    SYS_PTRACE = 19
    SYS_PACCT = 20
    SYS_ADMIN = 21
    SYS_BOOT = 22
    SYS_NICE = 23
    SYS_RESOURCE = 24
    SYS_TIME = 25
    SYS_TTY_CONFIG = 26
    MKNOD = 27
    LEASE = 28
    AUDIT_WRITE = 29
    AUDIT_CONTROL = 30
    SETFCAP = 31
    MAC_OVERRIDE = 32
    MAC_ADMIN = 33
    SYSLOG = 34
    WAKE_ALARM = 35
    BLOCK_SUSPEND = 36
    AUDIT_READ = 37
    PERFMON = 38
    BPF = 39
    CHECKPOINT_RESTORE = 40

    @property
    def bit(self) -> int:
        """As a mask of this one alone."""
        return 1 << self.value

    def __str__(self) -> str:
        return f"CAP_{self.name}"


NETWORK = (
    Capability.NET_BIND_SERVICE.bit
    | Capability.NET_BROADCAST.bit
    | Capability.NET_ADMIN.bit
    | Capability.NET_RAW.bit
)
"""Those whose object is a network namespace, as a mask."""


def parse_capability(text: str) -> Capability:
    """The capability called `text`: ``net_raw`` or ``CAP_NET_RAW``. ValueError if there is none."""
    try:
        return Capability[text.upper().removeprefix("CAP_")]
    except KeyError:
        raise ValueError(f"there is no capability {text!r}; see capabilities(7)") from None


def names_of(mask: int) -> str:
    """The capabilities of `mask`, for people."""
    return ", ".join(str(one) for one in Capability if mask & one.bit)
