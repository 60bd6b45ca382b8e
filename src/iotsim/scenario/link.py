"""``[link]``: what stands between the gateway and the devices."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from iotsim.scenario.addresses import (
    LOOPBACK_GATEWAY,
    default_router,
    gateway_side,
    router_address,
)
from iotsim.scenario.hosts import check_hosts
from iotsim.scenario.model import LinkSpec
from iotsim.scenario.schema import Model, Table, Texts, check, from_text
from iotsim.units import parse_ip
from iotsim.wire.address import is_ipv4

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iotsim.scenario.loading import Loading
    from iotsim.scenario.model import Scenario
    from iotsim.scenario.problems import Problems
    from iotsim.scenario.toml import Keys

DEFAULT_ADDRESSES = ("10.77.0.1/16", "fd77::1/64")
MOST_QUEUES = 64
QUEUES = {"anyOf": [{"type": "integer", "minimum": 1, "maximum": MOST_QUEUES}, {"const": "auto"}]}
LEAST_MTU6 = 1280  # RFC 8200, section 5


def _interface_name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.-]{0,15}", value) or value in (".", ".."):
        raise ValueError("not a name for an interface: 15 letters, digits, '_', '-', '.' at most")
    return value


def _isolation(value: str) -> str:
    if not re.fullmatch(r"auto|private|host|netns:[A-Za-z0-9_.-]+", value):
        raise ValueError("must be 'auto', 'private', 'host' or 'netns:NAME'")
    return value


class LinkTable(Model):
    kind: Literal["tun", "tap", "loopback", "memory"] = "tun"
    name: Annotated[str, BeforeValidator(from_text(_interface_name, "'iot0'"))] = ""
    address: Texts | None = None
    router: Texts | None = None
    mtu: Annotated[int, Field(ge=68, le=65535)] = 1500
    isolate: Annotated[str, BeforeValidator(from_text(_isolation, "'private'"))] = "auto"
    queues: Annotated[Any, WithJsonSchema(QUEUES)] = 1
    bridge: Annotated[str, BeforeValidator(from_text(_interface_name, "'br0'"))] = ""
    vlan: Annotated[int, Field(ge=1, le=4094)] | None = None
    hosts: Table = {}


def build_link(scenario: Scenario, loading: Loading) -> Scenario:
    problems = loading.problems
    before = len(problems)
    table = check(LinkTable, loading.tables["link"], ("link",), problems)
    if table is not None:
        scenario = replace(scenario, link=_link(table, problems))
    loading.link_sound = len(problems) == before
    return scenario


def _link(table: LinkTable, problems: Problems) -> LinkSpec:
    _check_tap(table, problems)
    queues = _queues(table, problems)
    sides = _sides(table, problems)
    routers = _routers(table, sides, problems)
    hosts = check_hosts(table.hosts, ("link", "hosts"), problems)
    if table.kind == "loopback":
        return LinkSpec("loopback", address4=LOOPBACK_GATEWAY, mtu=65535, hosts=hosts)
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
        hosts=hosts,
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
            version = parse_ip(text).version
            routers[version] = router_address(text, sides.get(version), may_be_gateway=tap)
    return routers


def _places(texts: Sequence[str], keys: Keys) -> list[tuple[Keys, str]]:
    if len(texts) == 1:
        return [(keys, texts[0])]
    return [((*keys, number), text) for number, text in enumerate(texts)]
