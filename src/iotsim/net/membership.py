"""Membership reports: IGMPv3 (RFC 3376) and MLDv2 (RFC 3810), for every device in a group.

Each device reports for itself, as a switch that learns from reports wants it. Queries are answered
by a sweep over the pool that takes as long as the query allows. A query for one group is answered
with all groups of the device: correct, and one report less to build.

Devices with IPv6 addresses are in the groups of those addresses in which neighbor solicitations are
sent (RFC 4291, section 2.8), and report them: a switch would keep solicitations from them otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from iotsim.net.outcome import consumed, dropped
from iotsim.wire import icmpv6, igmp, ipv4, ipv6, mld, virtio
from iotsim.wire.address import IPV4_END

if TYPE_CHECKING:
    from iotsim.net.address_table import Block
    from iotsim.net.ethernet import EthernetStack
    from iotsim.net.packet import Packet
    from iotsim.wire.icmpv4 import IcmpMessage

ROBUSTNESS = 2
UNSOLICITED_INTERVAL_S = 1.0
LONGEST_RESPONSE_S = 60.0


class MembershipReports:
    """Reports in the name of each device."""

    def __init__(self, stack: EthernetStack) -> None:
        self._stack = stack

    def announce(self, block: Block, now: float, spacing_s: float) -> None:
        """Tell the routers which groups the devices of `block` have joined."""
        for number in range(ROBUSTNESS):
            start = now + number * UNSOLICITED_INTERVAL_S
            kind = igmp.CHANGE_TO_EXCLUDE
            self._sweep(block, ("join", block.first, number), kind, start, spacing_s)

    def receive_igmp(self, packet: Packet, now: float) -> str:
        """A query for IPv4 groups, whose checksum was right."""
        query = igmp.parse_query(packet.payload)
        self._respond(query.group, query.response_s, now, is_ipv4=True)
        return consumed("igmp-query")

    def receive_mld(self, packet: Packet, message: IcmpMessage, now: float) -> str:
        """A query for IPv6 groups, whose checksum was right."""
        if not ipv6.is_link_local(packet.source):
            return dropped("mld-not-genuine")
        query = mld.parse_query(message)
        self._respond(query.group, query.response_s, now, is_ipv4=False)
        return consumed("mld-query")

    def _respond(self, group: int, response_s: float, now: float, *, is_ipv4: bool) -> None:
        response_s = min(response_s, LONGEST_RESPONSE_S)
        for block in self._stack.ip.table:
            if (block.first < IPV4_END) != is_ipv4:
                continue
            count = block.end - block.first
            if not group or group in self._stack.ip.groups.joined(block.pool):
                spacing_s = response_s / (count + 1)
                key = "report", block.first
                self._sweep(block, key, igmp.MODE_IS_EXCLUDE, now + spacing_s, spacing_s)
            elif group & -(1 << 24) == ipv6.SOLICITED_NODE:
                # Of the devices, one at most has an address whose end is the group's.
                index = (group - block.first) & 0xFFFFFF
                if index < count:
                    self._report_solicited(block, index, now + response_s / 2)

    def _report_solicited(self, block: Block, index: int, due: float) -> None:
        for local in self._stack.ip.table:
            if local.pool is block.pool and ipv6.is_link_local(local.first):
                key = "report", local.first, index
                self._sweep(local, key, igmp.MODE_IS_EXCLUDE, due, 0.0, only=index)

    def _sweep(
        self,
        block: Block,
        key: tuple[object, ...],
        kind: int,
        start: float,
        spacing_s: float,
        *,
        only: int | None = None,
    ) -> None:
        """Report for all devices of `block`, or `only` for one."""
        is_ipv4 = block.first < IPV4_END
        groups = [
            group
            for group in self._stack.ip.groups.joined(block.pool)
            if (group < IPV4_END) == is_ipv4
        ]
        # MLD is spoken from link-local addresses (RFC 3810, section 5.2.13).
        if not (groups if is_ipv4 else ipv6.is_link_local(block.first)):
            return

        def report(index: int, _: float) -> None:
            index = index if only is None else only
            source = block.first + index
            if not self._stack.mac_of(source):
                return  # The host is absent.
            if is_ipv4:
                packet = _report4(source, kind, groups)
            else:
                packet = _report6(source, kind, [*groups, *self._solicited_nodes(block, index)])
            self._stack.send_packet(virtio.PLAIN + packet)

        count = block.end - block.first if only is None else 1
        self._stack.sweeps.add(key, count, start, spacing_s, report)

    def _solicited_nodes(self, block: Block, index: int) -> list[int]:
        """The groups for neighbor solicitations of the addresses of a device."""
        groups = {
            ipv6.solicited_node(other.first + index)
            for other in self._stack.ip.table
            if other.pool is block.pool
            and other.first >= IPV4_END
            and index < other.end - other.first
        }
        return sorted(groups)


def _report4(source: int, kind: int, groups: list[int]) -> bytes:
    return ipv4.build_ipv4(
        source,
        igmp.ALL_V3_ROUTERS,
        ipv4.IGMP,
        igmp.build_report(kind, groups),
        tos=0xC0,
        ttl=1,
        options=igmp.ROUTER_ALERT,
    )


def _report6(source: int, kind: int, groups: list[int]) -> bytes:
    destination = ipv6.ALL_MLDV2_ROUTERS
    rest, data = mld.report_fields(kind, groups)
    message = icmpv6.build_icmpv6(source, destination, icmpv6.MLDV2_REPORT, 0, rest, data)
    options = ipv6.build_extension(ipv6.ICMPV6, mld.ROUTER_ALERT)
    return ipv6.build_ipv6(source, destination, ipv6.HOP_BY_HOP, options + message, hop_limit=1)
