"""``[link] hosts``: the names that the gateway can resolve, and where they lead."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from iotsim.scenario.problems import nearest
from iotsim.units import parse_ip

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iotsim.scenario.loading import Loading
    from iotsim.scenario.model import LinkSpec, Scenario
    from iotsim.scenario.problems import Problems
    from iotsim.scenario.toml import Keys

HOST = re.compile(
    r"(?=.{1,253}\Z)[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})?(\.[A-Za-z0-9_][A-Za-z0-9_-]{0,62})*"
)
SERVICE = "northbound."
MOST_HOSTS = 1000
MOST_ADDRESSES = 20


def check_hosts(
    table: Mapping[str, Any], keys: Keys, problems: Problems
) -> Mapping[str, tuple[str, ...]]:
    """The names that are sound, each with its addresses or one ``northbound.NAME``."""
    if len(table) > MOST_HOSTS:
        problems.add(keys, f"more than {MOST_HOSTS} names")
        return MappingProxyType({})
    hosts: dict[str, tuple[str, ...]] = {}
    for name, value in table.items():
        here = (*keys, name)
        if isinstance(value, dict):
            hint = f'write the name in quotes: "{name}.example" = …'
            problems.add(here, "a table instead of where the name leads", hint)
            continue
        if not HOST.fullmatch(name):
            problems.add(here, "no host name", of_key=True)
        targets = value if isinstance(value, list) else [value]
        if (
            not targets
            or len(targets) > MOST_ADDRESSES
            or not all(isinstance(t, str) for t in targets)
        ):
            message = "must be 'northbound.NAME', an address, or a list of addresses"
            problems.add(here, message)
        elif targets[0].startswith(SERVICE) and len(targets) == 1:
            hosts[name.lower()] = (targets[0],)
        else:
            with problems.at(*here):
                hosts[name.lower()] = tuple(str(parse_ip(target)) for target in targets)
    return MappingProxyType(hosts)


def check_names(scenario: Scenario, loading: Loading) -> None:
    """The services that names lead to are there, and there is a place where the names can be resolved."""
    link, problems, keys = scenario.link, loading.problems, ("link", "hosts")
    services = loading.tables["northbound"]
    raw = loading.tables["link"].get("hosts")
    for name in raw if isinstance(raw, dict) else ():
        target = link.hosts.get(name.lower(), ("",))[0]
        if target.startswith(SERVICE) and target.removeprefix(SERVICE) not in services:
            hint = nearest(target, [f"{SERVICE}{service}" for service in services])
            problems.add((*keys, name), f"there is no [{target[:100]}]", hint)
    if link.hosts and (why := _unresolvable(link, loading)):
        hint = "leave 'hosts' out, and give the gateway addresses: ${northbound.NAME.address}"
        problems.add(
            keys, f"names can be given in a private network only: {why}", hint, of_key=True
        )


def _unresolvable(link: LinkSpec, loading: Loading) -> str:
    """Why the gateway would not see the names; "" if it will."""
    if link.kind in ("loopback", "memory"):
        return f"a {link.kind} link has none"
    if link.isolate == "private":
        return ""
    if link.isolate != "auto":
        return f"this one is isolate = '{link.isolate}'"
    if link.bridge:
        return "a bridge is in the host"
    gateway = loading.tables.get("gateway")
    if not (isinstance(gateway, dict) and gateway.get("command")):
        return "iotsim does not start the gateway, which is in the host then"
    return ""
