"""Configuring the interface: addresses, routes, MTU, queue length, and a quiet kernel.

Runs in the helper, inside the network namespace.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from iotsim.errors import MachineError
from iotsim.testbed.rtnetlink import IFF_UP, RT_TABLE_LOCAL, RTN_UNICAST, RouteSocket

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from iotsim.testbed.plan import TestbedPlan

Prefix: TypeAlias = "ipaddress.IPv4Network | ipaddress.IPv6Network"

IPV6_SWITCH = "/proc/sys/net/ipv6/conf"
MIN_IPV6_MTU = 1280
MOST_NEIGHBORS = 3
"""At most this many addresses of this machine are offered as the way to the devices."""


def has_ipv6() -> bool:
    """Whether the kernel has IPv6 (ipv6.disable=1 removes it)."""
    return Path(IPV6_SWITCH).exists()


def write_sysctl(name: str, value: str) -> str:
    """Set one sysctl; "" or why it could not be set (containers mount /proc/sys read-only)."""
    try:
        Path("/proc/sys", name).write_text(value)
    except OSError as error:
        return f"{name.replace('/', '.')} could not be set to {value}: {error.strerror}"
    return ""


def prepare_private(*, user_namespace: bool) -> list[str]:
    """Sysctls of a fresh network namespace; returns notes on what could not be set.

    The gateway has no capabilities, so any port and ICMP echo sockets are opened to it. Interfaces
    that are made afterwards take their IPv6 settings from ``default``.
    """
    groups = f"{os.getegid()} {os.getegid()}" if user_namespace else "0 2147483647"
    settings = [
        ("net/ipv4/ip_unprivileged_port_start", "0"),
        ("net/ipv4/ping_group_range", groups),
    ]
    if has_ipv6():
        settings += [(f"net/ipv6/conf/default/{key}", value) for key, value in _QUIET_IPV6]
        settings.append(("net/ipv6/conf/default/disable_ipv6", "0"))
    return [note for name, value in settings if (note := write_sysctl(name, value))]


_QUIET_IPV6 = (
    # Nobody answers router solicitations or duplicate address detection on this link.
    ("accept_dad", "0"),
    ("accept_ra", "0"),
    ("autoconf", "0"),
    ("router_solicitations", "0"),
)


def configure(plan: TestbedPlan, name: str, *, private: bool, existing: bool = False) -> list[str]:
    """Bring `name` up with the plan's addresses and routes; returns notes.

    An `existing` interface keeps what it has, and what it lacks is added where that is allowed.
    MachineError names the address, route or interface that stands in the way.
    """
    index = socket.if_nametoindex(name)
    with contextlib.closing(RouteSocket()) as kernel:
        if private:
            kernel.set_link(socket.if_nametoindex("lo"), up=True)
        elif plan.bridge:
            return _join_bridge(kernel, plan, name, index)
        else:
            _refuse_conflicts(kernel, plan, index)
            if has_ipv6() and not existing:
                for key, value in _QUIET_IPV6:
                    write_sysctl(f"net/ipv6/conf/{name}/{key}", value)
        has = _Present(kernel, index) if existing else None
        if has is None or has.mtu != plan.mtu:
            with _explained(f"the MTU of {name} cannot be {plan.mtu}"):
                kernel.set_link(index, mtu=plan.mtu)
        if has is None or not has.up:
            with _explained(f"{name} cannot be switched on"):
                kernel.set_link(index, up=True, queue_length=plan.queue_length)
        notes = _add_addresses(kernel, plan, name, index, has)
        if not private:
            notes += reach_notes(kernel, plan, index)
    return notes


class _Present:
    """What an interface has already."""

    def __init__(self, kernel: RouteSocket, index: int) -> None:
        (link,) = (link for link in kernel.links() if link["index"] == index)
        self.mtu = link.get_attr("IFLA_MTU")
        self.up = bool(link["flags"] & IFF_UP)
        self.addresses = {
            (int(ipaddress.ip_address(_address_of(message))), message["prefixlen"])
            for message in kernel.addresses()
            if message["index"] == index
        }
        self.routes = {
            ipaddress.ip_network(f"{destination}/{message['dst_len']}", strict=False)
            for message in kernel.routes()
            if message.get_attr("RTA_OIF") == index and (destination := message.get_attr("RTA_DST"))
        }


def _add_addresses(
    kernel: RouteSocket, plan: TestbedPlan, name: str, index: int, has: _Present | None
) -> list[str]:
    notes: list[str] = []
    ipv6 = has_ipv6() and plan.mtu >= MIN_IPV6_MTU and _ipv6_enabled(name)
    for number, length in plan.addresses:
        address = ipaddress.ip_address(number)
        if address.version == 6 and not ipv6:
            notes.append(f"{address}/{length} was not set: {_why_no_ipv6(plan)}")
            continue
        if has is not None and (number, length) in has.addresses:
            continue
        fix = f"sudo ip address add {address}/{length} dev {name}" if has is not None else ""
        with _explained(f"{address}/{length} cannot be an address of {name}", fix):
            kernel.add_address(index, address, length)
    for number, length in plan.routes:
        route = ipaddress.ip_network((number, length), strict=False)
        if route.version == 6 and not ipv6:
            notes.append(f"the route to {route} was not set: {_why_no_ipv6(plan)}")
            continue
        if has is not None and route in has.routes:
            continue
        fix = f"sudo ip route add {route} dev {name}" if has is not None else ""
        with _explained(f"{route} cannot be routed to {name}", fix):
            kernel.add_route(index, route)
    return notes


def _join_bridge(kernel: RouteSocket, plan: TestbedPlan, name: str, index: int) -> list[str]:
    """Make `name` a port of the plan's bridge: all addresses are the devices' and the bridge's."""
    bridge, kind, up, joined = 0, "", False, 0
    for link in kernel.links():
        if link["index"] == index and link.get_attr("IFLA_MTU") == plan.mtu:
            joined = link.get_attr("IFLA_MASTER") or 0
        if link.get_attr("IFLA_IFNAME") == plan.bridge:
            info = link.get_attr("IFLA_LINKINFO")
            bridge, up = link["index"], bool(link["flags"] & IFF_UP)
            kind = info.get_attr("IFLA_INFO_KIND") if info else ""
    if not bridge:
        fix = f"sudo ip link add {plan.bridge} type bridge && sudo ip link set {plan.bridge} up"
        raise MachineError(f"there is no bridge called {plan.bridge}", fix)
    if kind != "bridge":
        raise MachineError(
            f"{plan.bridge} is an interface, but no bridge",
            "see what there is: ip link show type bridge",
        )
    if joined == bridge:
        return []  # it is persistent, and was a port already
    if has_ipv6():
        # A port of a bridge is no host: neither addresses of its own nor questions of its own.
        write_sysctl(f"net/ipv6/conf/{name}/disable_ipv6", "1")
    with _explained(f"{name} cannot join the bridge {plan.bridge}"):
        kernel.set_link(index, mtu=plan.mtu, queue_length=plan.queue_length)
        kernel.set_link(index, master=bridge)
        kernel.set_link(index, up=True)
    if not up:
        return [f"the bridge {plan.bridge} is down: sudo ip link set {plan.bridge} up"]
    return []


def reach_notes(kernel: RouteSocket, plan: TestbedPlan, own_index: int) -> list[str]:
    """What a gateway on another machine needs: a route on its side, and forwarding on ours."""
    names = {link["index"]: link.get_attr("IFLA_IFNAME") for link in kernel.links()}
    neighbors: dict[int, list[str]] = {4: [], 6: []}
    for message in kernel.addresses():
        address = ipaddress.ip_address(_address_of(message))
        if message["index"] != own_index and not (address.is_loopback or address.is_link_local):
            where = f"{address} ({names.get(message['index'], '?')})"
            neighbors[address.version].append(where)
    notes = []
    for number, length in plan.reach:
        prefix = ipaddress.ip_network((number, length), strict=False)
        via = " or ".join(neighbors[prefix.version][:MOST_NEIGHBORS]) or "ADDRESS-OF-THIS-MACHINE"
        family = "-6 " if prefix.version == 6 else ""
        notes.append(f"on a gateway elsewhere: ip {family}route add {prefix} via {via}")
    for version, name in ((4, "net/ipv4/ip_forward"), (6, "net/ipv6/conf/all/forwarding")):
        asked = any(ipaddress.ip_address(number).version == version for number, _ in plan.reach)
        if asked and neighbors[version] and _read_sysctl(name) == "0":
            key = name.replace("/", ".")
            notes.append(
                f"this machine does not forward IPv{version}, so only its own programs reach the "
                f"devices; sudo sysctl -w {key}=1 lets others reach them, too"
            )
    return notes


def _address_of(message: Any) -> str:
    """The address in a message about one: an interface's own end, where there are two."""
    return str(message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS"))


def _read_sysctl(name: str) -> str:
    try:
        return Path("/proc/sys", name).read_text().strip()
    except OSError:
        return ""


@contextlib.contextmanager
def _explained(what: str, fix_by_root: str = "") -> Iterator[None]:
    """Say what a refusal of the kernel's was about."""
    try:
        yield
    except OSError as error:
        fix = "change [link] in the scenario"
        if error.errno == errno.EPERM:
            fix = fix_by_root or "run iotsim as root: this needs CAP_NET_ADMIN"
        raise MachineError(f"{what}: {error.strerror}", fix) from error


def _ipv6_enabled(name: str) -> bool:
    with contextlib.suppress(OSError):
        return Path(IPV6_SWITCH, name, "disable_ipv6").read_text().strip() == "0"
    return False


def _why_no_ipv6(plan: TestbedPlan) -> str:
    if not has_ipv6():
        return "this kernel has no IPv6"
    if plan.mtu < MIN_IPV6_MTU:
        return f"IPv6 needs an MTU of {MIN_IPV6_MTU}, not {plan.mtu}"
    return "IPv6 is disabled on this machine (net.ipv6.conf.default.disable_ipv6)"


def wanted_prefixes(plan: TestbedPlan) -> list[Prefix]:
    """Every prefix that the plan routes to the interface."""
    return [
        ipaddress.ip_network((number, length), strict=False)
        for number, length in (*plan.addresses, *plan.routes)
    ]


def find_conflict(
    wanted: Iterable[Prefix], existing: Iterable[tuple[Prefix, str]]
) -> tuple[Prefix, Prefix, str] | None:
    """The first wanted prefix that overlaps an existing route: (wanted, existing, where).

    A default route overlaps everything and is in nobody's way.
    """
    routes = [(prefix, where) for prefix, where in existing if prefix.prefixlen]
    for prefix in wanted:
        for other, where in routes:
            if prefix.version == other.version and prefix.overlaps(other):
                return prefix, other, where
    return None


def _refuse_conflicts(kernel: RouteSocket, plan: TestbedPlan, own_index: int) -> None:
    names = {link["index"]: link.get_attr("IFLA_IFNAME") for link in kernel.links()}
    mine = {number for number, _ in plan.addresses}
    for message in kernel.addresses():
        text = _address_of(message)
        if message["index"] != own_index and int(ipaddress.ip_address(text)) in mine:
            raise MachineError(
                f"{text} is already an address of {names.get(message['index'], '?')} "
                "(another run, perhaps)",
                'choose another [link] address, or isolate = "private"',
            )
    existing: list[tuple[Prefix, str]] = []
    for message in kernel.routes():
        destination = message.get_attr("RTA_DST")
        interface = message.get_attr("RTA_OIF")
        # The local table holds the machine's own addresses and broadcasts.
        if (
            not destination
            or message["type"] != RTN_UNICAST
            or message["table"] == RT_TABLE_LOCAL
            or interface == own_index
        ):
            continue
        prefix = ipaddress.ip_network(f"{destination}/{message['dst_len']}", strict=False)
        if not prefix.is_link_local:
            existing.append((prefix, names.get(interface, "?")))
    conflict = find_conflict(wanted_prefixes(plan), existing)
    if conflict:
        prefix, other, where = conflict
        raise MachineError(
            f"{prefix} overlaps {other}, which this machine routes to {where}",
            'choose other addresses in [link] and [devices], or isolate = "private"',
        )
