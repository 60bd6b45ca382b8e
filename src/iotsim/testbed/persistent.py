"""Interfaces that stay: made once by root, used by an ordinary user run after run.

What needs privilege about an interface is to make it and to give it addresses. To open one that is
the user's own needs none, so that ``[link] name`` with ``isolate = "host"`` runs without root.
"""

from __future__ import annotations

import contextlib
import pwd
from typing import TYPE_CHECKING

from iotsim.capabilities import Capability
from iotsim.errors import MachineError
from iotsim.link import tuntap
from iotsim.testbed import linux, network
from iotsim.testbed.plan import TestbedPlan

if TYPE_CHECKING:
    from collections.abc import Sequence


def create_interface(
    name: str, *, kind: str, owner: str, addresses: Sequence[tuple[int, int]], mtu: int, bridge: str
) -> list[str]:
    """Make the interface `name` for the user `owner`, with `addresses` or as a port of `bridge`.

    Returns notes. MachineError says what is in the way; nothing is left behind then.
    """
    uid = find_user(owner)
    if not linux.has_capability(Capability.NET_ADMIN):
        raise MachineError(
            "making an interface needs the capability CAP_NET_ADMIN", "run it with sudo"
        )
    plan = TestbedPlan(
        isolate="host",
        name=name,
        kind=kind,
        addresses=() if bridge else tuple(addresses),
        mtu=mtu,
        bridge=bridge,
    )
    tuntap.make_persistent(name, kind=kind, owner=uid)
    try:
        return network.configure(plan, name, private=False)
    except BaseException:
        with contextlib.suppress(MachineError):
            tuntap.remove_persistent(name)
        raise


def delete_interface(name: str) -> None:
    """Remove what `create_interface` made."""
    tuntap.remove_persistent(name)


def find_user(owner: str) -> int:
    """The uid of a user who is named by name or number."""
    try:
        return pwd.getpwnam(owner).pw_uid
    except KeyError:
        if owner.isascii() and owner.isdecimal() and int(owner) < 1 << 32:
            return int(owner)
        raise MachineError(
            f"there is no user called {owner}", "see what there is: getent passwd"
        ) from None
