"""``[link]`` and ``[gateway]``: what the devices stand on, and who talks to them."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from iotsim.scenario.addresses import (
    LOOPBACK_GATEWAY,
    default_router,
    gateway_side,
    host_address,
    within,
)
from iotsim.scenario.model import GatewaySpec, LinkSpec, ReadySpec
from iotsim.scenario.schema import GatewayTable, LinkTable, ReadyTable, check
from iotsim.wire.address import is_ipv4

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iotsim.scenario.problems import Problems
    from iotsim.scenario.toml import Keys

DEFAULT_ADDRESSES = ("10.77.0.1/16", "fd77::1/64")
MOST_QUEUES = 64
LEAST_MTU6 = 1280  # RFC 8200, section 5
MOST_ENV = 1000


def build_link(raw: Any, problems: Problems) -> LinkSpec | None:
    keys: Keys = ("link",)
    table = check(LinkTable, raw, keys, problems)
    if table is None:
        return None
    _check_tap(table, problems)
    queues = _queues(table, problems)
    sides = _sides(table, problems)
    routers = _routers(table, sides, problems)
    if table.kind == "loopback":
        return LinkSpec("loopback", address4=LOOPBACK_GATEWAY, mtu=65535)
    return LinkSpec(
        kind=table.kind,
        name=table.name,
        address4=sides.get(4),
        address6=sides.get(6),
        router=routers.get(4, 0),
        router6=routers.get(6, 0),
        mtu=table.mtu,
        isolate=table.isolate,
        queues=queues,
        bridge=table.bridge,
        vlan=table.vlan or 0,
    )


def _check_tap(table: LinkTable, problems: Problems) -> None:
    """Bridges and VLANs are for Ethernets."""
    if table.bridge and table.kind != "tap":
        problems.add(("link", "bridge"), "'bridge' is for a tap link", of_key=True)
    if table.vlan and not table.bridge:
        problems.add(
            ("link", "vlan"), "'vlan' is for a tap link that joins a 'bridge'", of_key=True
        )
    if table.bridge and table.isolate == "private":
        message = "a bridge is in the host or in a named namespace, not in a private one"
        problems.add(("link", "isolate"), message, 'write isolate = "host"')


def _queues(table: LinkTable, problems: Problems) -> int:
    """How many queues, and so processes; 0 stands for one per processor."""
    keys, queues = ("link", "queues"), table.queues
    if queues == "auto":
        return 0
    if isinstance(queues, bool) or not isinstance(queues, int) or not 1 <= queues <= MOST_QUEUES:
        problems.add(keys, f'must be "auto", or from 1 to {MOST_QUEUES}')
        return 1
    if queues > 1 and table.kind != "tun":
        problems.add(keys, "only a tun link can have several queues")
    return queues


def _sides(table: LinkTable, problems: Problems) -> dict[int, tuple[int, int]]:
    """IP version -> the gateway's (address, prefix length)."""
    sides: dict[int, tuple[int, int]] = {}
    small = table.mtu < LEAST_MTU6
    if table.address is None:
        for text in DEFAULT_ADDRESSES[: 1 if small else 2]:
            side = gateway_side(text)
            sides[4 if is_ipv4(side[0]) else 6] = side
        return sides
    for place, text in _places(table.address, ("link", "address")):
        with problems.at(*place):
            side = gateway_side(text)
            version = 4 if is_ipv4(side[0]) else 6
            if version in sides:
                raise ValueError(f"a second IPv{version} address; the link has one of each version")
            if version == 6 and small:
                raise ValueError(f"IPv6 needs an mtu of {LEAST_MTU6} bytes at least")
            sides[version] = side
    return sides


def _routers(
    table: LinkTable, sides: dict[int, tuple[int, int]], problems: Problems
) -> dict[int, int]:
    tap = table.kind == "tap"
    routers = {version: side[0] if tap else default_router(side) for version, side in sides.items()}
    for place, text in _places(table.router or [], ("link", "router")):
        with problems.at(*place):
            address = host_address(text)
            version = 4 if is_ipv4(address) else 6
            side = sides.get(version)
            if not within(address, side):
                raise ValueError(f"{text} lies outside of the link's prefix")
            if side is not None and address == side[0] and not tap:
                raise ValueError(f"{text} is the gateway's own address")
            routers[version] = address
    return routers


def _places(texts: Sequence[str], keys: Keys) -> list[tuple[Keys, str]]:
    if len(texts) == 1:
        return [(keys, texts[0])]
    return [((*keys, number), text) for number, text in enumerate(texts)]


def build_gateway(raw: Any, problems: Problems) -> GatewaySpec | None:
    keys: Keys = ("gateway",)
    table = check(GatewayTable, raw, keys, problems)
    if table is None:
        return None
    command = tuple(table.command or ())
    if "command" not in raw:
        for key in ("env", "cwd", "ready", "stop_signal", "expect_exit"):
            if key in raw:
                message = f"'{key}' is for a gateway with a 'command'"
                problems.add((*keys, key), message, of_key=True)
    elif command and not command[0]:
        problems.add((*keys, "command"), "the command's name is empty")
    for number, word in enumerate(command):
        if "\0" in word:
            problems.add((*keys, "command", number), "has a zero byte in it")
    if len(table.env) > MOST_ENV:
        problems.add((*keys, "env"), f"more than {MOST_ENV} variables")
    for name, value in table.env.items():
        if not name or "=" in name or "\0" in name + value:
            problems.add((*keys, "env", name), "no name and value for a variable", of_key=True)
    if table.cwd is not None and (not table.cwd or "\0" in table.cwd):
        problems.add((*keys, "cwd"), "no name of a folder")
    address = None
    if table.address is not None:
        with problems.at(*keys, "address"):
            address = host_address(table.address)
    if table.address is not None and "port" not in raw:
        message = "'address' needs 'port', too: both are where devices send to"
        problems.add((*keys, "address"), message, of_key=True)
    return GatewaySpec(
        command=command,
        env=MappingProxyType(dict(table.env)),
        cwd=table.cwd,
        address=address,
        port=table.port,
        ready=_ready(table, problems),
        stop_signal=table.stop_signal,
        expect_exit=table.expect_exit,
    )


def _ready(table: GatewayTable, problems: Problems) -> ReadySpec | None:
    if table.ready is None:
        return None
    keys: Keys = ("gateway", "ready")
    ready = check(ReadyTable, table.ready, keys, problems)
    if ready is None:
        return None
    if len(table.ready) != 1:
        problems.add(keys, "needs one of 'log', 'udp', 'tcp' and 'delay'")
    return ReadySpec(ready.log, ready.udp, ready.tcp, ready.delay)
