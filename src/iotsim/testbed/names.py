"""Host names in a testbed's mount namespace: its own /etc/hosts, resolver and order of both.

Whoever resolves a name inside finds the same answers, however it does so::

    glibc, musl, Go, c-ares   read /etc/hosts, which has the names
    all of these              ask the nameserver of /etc/resolv.conf for what is not in there: a
                              responder of the run, which knows the same names and denies all others
    glibc                     asks modules besides, in the order of /etc/nsswitch.conf, among them ones
                              that ask the machine's own daemons by a unix socket: here, files and DNS
    glibc                     asks a daemon nscd first, whose socket is hidden

What is mounted over a file is seen in this mount namespace alone, and goes with it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from iotsim.errors import MachineError
from iotsim.testbed import linux

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NAMESERVER = "127.0.0.1"
"""Where a resolver also asks that finds no /etc/resolv.conf."""
NSCD_FOLDERS = ("/run/nscd", "/var/run/nscd")
STAGE = "/tmp"
"""Where the files are written, on a file system that is there for only so long."""


def install_names(names: Mapping[str, Sequence[str]]) -> None:
    """Let processes of this mount namespace resolve `names`, each with its addresses, and none else.

    MachineError if the kernel does not let it be done.
    """
    try:
        linux.mount("none", STAGE, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV)
        try:
            for path, text in _files(names).items():
                if not Path(path).exists():
                    continue  # without it everybody asks the nameserver at this address
                source = Path(STAGE, path.replace("/", "_"))
                source.write_text(text)
                source.chmod(0o644)
                linux.mount(str(source), path, "none", linux.MS_BIND)
            _hide_nscd()
        finally:
            linux.unmount(STAGE)
    except OSError as error:
        raise MachineError(
            f"the names of [link] hosts cannot be had: {error.strerror}",
            "leave 'hosts' out, and give the gateway addresses",
        ) from error


def _files(names: Mapping[str, Sequence[str]]) -> dict[str, str]:
    own = os.uname().nodename
    lines = ["127.0.0.1 localhost", "::1 localhost ip6-localhost ip6-loopback", f"127.0.0.1 {own}"]
    lines += [f"{address} {name}" for name, addresses in names.items() for address in addresses]
    return {
        "/etc/hosts": "\n".join(lines) + "\n",
        "/etc/resolv.conf": f"nameserver {NAMESERVER}\n",
        "/etc/nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n",
    }


def _hide_nscd() -> None:
    for folder in NSCD_FOLDERS:
        if os.path.isdir(folder) and not os.path.islink(folder):  # noqa: PTH112, PTH114
            linux.mount("none", folder, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV)
