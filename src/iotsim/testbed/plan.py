"""What a testbed shall be: plain data that travels to the helper as JSON."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass

from iotsim.errors import MachineError
from iotsim.testbed.users import User

NETNS_PREFIX = "netns:"
NO_INTERFACE = "none"
"""The kind of a testbed that holds a gateway, and no interface of ours."""


@dataclass(frozen=True)
class TestbedPlan:
    """Where the interface stands, and how it is configured.

    Addresses are ints as in `iotsim.wire.address` (below 2**32 is IPv4), each with the length of
    its prefix.
    """

    __test__ = False  # its name looks like a test class to pytest

    isolate: str = "private"
    """"private", "host" or "netns:NAME"; what "auto" means is decided by `resolve_isolation`."""
    name: str = ""
    """The interface's name; "" is iotsim0, in the host the first free iotsimN."""
    kind: str = "tun"
    """"tun", "tap", or `NO_INTERFACE`."""
    addresses: tuple[tuple[int, int], ...] = ()
    """The gateway's side."""
    routes: tuple[tuple[int, int], ...] = ()
    """Prefixes of devices and groups that lie outside of the link's own."""
    bridge: str = ""
    """The bridge that a TAP joins; the interface itself has no address then."""
    reach: tuple[tuple[int, int], ...] = ()
    """Prefixes that other machines have to route here, for the notes; () where nothing is said."""
    mtu: int = 1500
    queue_length: int = 10_000
    """Packets that the kernel keeps for us while we are busy. A pointer each."""
    queues: int = 1
    hosts: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Host names, each with its addresses as texts; for a private testbed. None: those of the machine."""
    run_name: str = ""
    results: str = ""
    """The results folder, by which `iotsim exec` tells runs of the same name apart."""
    tun_device: str = ""
    """The clone device's path; "" is /dev/net/tun or $IOTSIM_TUN."""
    user: User | None = None
    """Whom processes inside belong to; None is the user who starts the helper."""
    capabilities: int = 0
    """What they may do besides, as a mask; see `iotsim.testbed.rights`. Both are settled here, and
    not with each process, so that a simulator that has dropped its privileges cannot ask for more."""

    @property
    def namespace(self) -> str:
        """The named network namespace to enter, or ""."""
        return (
            self.isolate.removeprefix(NETNS_PREFIX) if self.isolate.startswith(NETNS_PREFIX) else ""
        )

    @property
    def interface_name(self) -> str:
        return self.name or ("iotsim0" if self.isolate == "private" else "iotsim%d")

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> TestbedPlan:
        values = json.loads(text)
        for key in ("addresses", "routes", "reach"):
            values[key] = tuple(tuple(entry) for entry in values[key])
        values["hosts"] = tuple((name, tuple(addresses)) for name, addresses in values["hosts"])
        if values["user"] is not None:
            uid, gid, groups, name, home = values["user"]
            values["user"] = User(uid, gid, tuple(groups), name, home)
        return cls(**values)


def resolve_isolation(isolate: str, *, starts_gateway: bool, bridge: str = "") -> str:
    """ "auto" is private when iotsim starts the gateway itself, else the host, where bridges are."""
    if isolate == "auto":
        return "private" if starts_gateway and not bridge else "host"
    if isolate in ("private", "host") or isolate.removeprefix(NETNS_PREFIX) not in ("", isolate):
        return isolate
    raise MachineError(
        f"isolate = {isolate!r} is not known", 'use "auto", "private", "host" or "netns:NAME"'
    )
