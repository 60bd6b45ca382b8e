"""ICMP of both families as hosts and routers speak it (RFC 792, RFC 1122 section 3.2.2, RFC 1812
section 4.3, RFC 4443).

An error is never sent about an ICMP error, a fragment but the first, a source that is no single
host, or (as far as the caller does not say otherwise) a packet to a group; and no more often than
the token bucket allows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from iotsim.net.outcome import ANSWERED, consumed, dropped
from iotsim.net.packet import Trouble
from iotsim.wire import icmpv4, icmpv6, ipv4, ipv6
from iotsim.wire.address import IPV4_END

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

    from iotsim.net.packet import Packet
    from iotsim.net.ratelimit import TokenBucket

_QUOTED_IPV4 = icmpv4.MAXIMUM_ERROR_LENGTH - ipv4.MINIMUM_HEADER_LENGTH - icmpv4.HEADER_LENGTH
_QUOTED_IPV6 = icmpv6.MAXIMUM_ERROR_LENGTH - ipv6.HEADER_LENGTH - icmpv4.HEADER_LENGTH
_INTERNETWORK_CONTROL = 0xC0
_TYPE_OF_SERVICE = 0x1E
"""An error has this precedence, and the type of service of what it is about (RFC 1812, section
4.3.2.5)."""

_NONSTANDARD_TIME = 1 << 31
_DAY_MS = 86_400_000

_CONSUMED4 = {
    icmpv4.ECHO_REPLY: "icmp-echo-reply",
    icmpv4.DESTINATION_UNREACHABLE: "icmp-unreachable",
    icmpv4.SOURCE_QUENCH: "icmp-source-quench",
    icmpv4.REDIRECT: "icmp-redirect",
    icmpv4.TIME_EXCEEDED: "icmp-time-exceeded",
    icmpv4.PARAMETER_PROBLEM: "icmp-parameter-problem",
}
_CONSUMED6 = {
    icmpv6.DESTINATION_UNREACHABLE: "icmp-unreachable",
    icmpv6.PACKET_TOO_BIG: "icmp-packet-too-big",
    icmpv6.TIME_EXCEEDED: "icmp-time-exceeded",
    icmpv6.PARAMETER_PROBLEM: "icmp-parameter-problem",
    icmpv6.ECHO_REPLY: "icmp-echo-reply",
    icmpv6.MLD_QUERY: "mld-query",
    icmpv6.MLD_REPORT: "mld-report",
    icmpv6.MLD_DONE: "mld-done",
    icmpv6.MLDV2_REPORT: "mld-report",
    icmpv6.ROUTER_SOLICITATION: "router-solicitation",
    icmpv6.ROUTER_ADVERTISEMENT: "router-advertisement",
    icmpv6.NEIGHBOR_SOLICITATION: "neighbor-solicitation",
    icmpv6.NEIGHBOR_ADVERTISEMENT: "neighbor-advertisement",
    icmpv6.REDIRECT: "icmp-redirect",
}


class Send(Protocol):
    """Sends an IP packet, in fragments if it must."""

    def __call__(
        self,
        source: int,
        destination: int,
        protocol: int,
        payload: bytes,
        *,
        traffic_class: int = 0,
    ) -> object: ...


class Icmp:
    """Answers to ICMP messages, and errors about other packets.

    `too_big` is told (source, destination, MTU, length, now) of a packet of ours that was too long
    for the path to its destination.
    """

    def __init__(
        self,
        send: Send,
        bucket: TokenBucket,
        counters: Counter[str],
        too_big: Callable[[int, int, int, int, float], object],
    ) -> None:
        self._send = send
        self._bucket = bucket
        self._counters = counters
        self._too_big = too_big

    def receive_ipv4(self, packet: Packet, now: float) -> str:
        """A message for one of our addresses."""
        message = icmpv4.parse_icmpv4(packet.payload)
        kind = message.type
        if kind == icmpv4.ECHO_REQUEST:
            reply = icmpv4.build_icmpv4(icmpv4.ECHO_REPLY, message.code, message.rest, message.data)
        elif kind == icmpv4.TIMESTAMP_REQUEST and len(message.data) >= 4:
            # Milliseconds since the start of the run: not since midnight, so flagged as such.
            time = _NONSTANDARD_TIME | int(now * 1000) % _DAY_MS
            times = message.data[:4] + time.to_bytes(4, "big") * 2
            reply = icmpv4.build_icmpv4(icmpv4.TIMESTAMP_REPLY, 0, message.rest, times)
        else:
            if (kind, message.code) == (
                icmpv4.DESTINATION_UNREACHABLE,
                icmpv4.FRAGMENTATION_NEEDED,
            ):
                self._learn_ipv4(message, now)
            return consumed(_CONSUMED4.get(kind, "icmp-other"))
        self._send(
            packet.destination,
            packet.source,
            ipv4.ICMP,
            reply,
            traffic_class=packet.traffic_class,
        )
        return ANSWERED

    def receive_ipv6(self, packet: Packet, message: icmpv4.IcmpMessage, now: float) -> str:
        """A message, but for echo requests, for one of our addresses or groups."""
        kind = message.type
        if kind == icmpv6.PACKET_TOO_BIG:
            self._learn_ipv6(message, now)
        if kind in _CONSUMED6:
            return consumed(_CONSUMED6[kind])
        # An unknown error is for the upper layer; what else is unknown is to be ignored.
        return consumed("icmp-other") if kind < 128 else dropped("icmp-type")

    def reply_echo_ipv6(self, packet: Packet, message: icmpv4.IcmpMessage, source: int) -> None:
        """Answer an echo request as `source`, which a packet to a group does not name."""
        reply = icmpv6.build_icmpv6(
            source, packet.source, icmpv6.ECHO_REPLY, message.code, message.rest, message.data
        )
        traffic_class = packet.traffic_class
        self._send(source, packet.source, ipv6.ICMPV6, reply, traffic_class=traffic_class)

    def error(
        self,
        trouble: Trouble,
        packet: Packet,
        *,
        source: int,
        now: float,
        rest: int = 0,
    ) -> None:
        """Tell the sender of `packet`, from `source`, what is wrong with it; if we may.

        `rest` is the MTU or the pointer, where the trouble has one.
        """
        if not source or not packet.source:
            return
        is_ipv4 = packet.destination < IPV4_END
        later_fragment = packet.fragment is not None and packet.fragment.offset > 0
        # But for faults of the fragment itself, about which RFC 8200 wants to hear.
        if later_fragment and (is_ipv4 or trouble is not Trouble.FIELD):
            return
        if is_ipv4:
            if packet.protocol == ipv4.ICMP and icmpv4.is_error(packet.payload):
                return
        elif packet.protocol == ipv6.ICMPV6 and (
            icmpv6.is_error(packet.payload) or packet.payload[0] == icmpv6.REDIRECT
        ):
            return
        if not self._bucket.take(now):
            self._counters["icmp-errors-suppressed"] += 1
            return
        self._counters["icmp-errors-sent"] += 1
        if is_ipv4:
            kind, code = trouble.value[0]
            if kind == icmpv4.PARAMETER_PROBLEM:
                rest <<= 24
            message = icmpv4.build_icmpv4(kind, code, rest, packet.data[:_QUOTED_IPV4])
            protocol = ipv4.ICMP
            traffic_class = packet.traffic_class & _TYPE_OF_SERVICE | _INTERNETWORK_CONTROL
        else:
            kind, code = trouble.value[1]
            message = icmpv6.build_icmpv6(
                source, packet.source, kind, code, rest, packet.data[:_QUOTED_IPV6]
            )
            protocol, traffic_class = ipv6.ICMPV6, 0
        self._send(
            source,
            packet.source,
            protocol,
            message,
            traffic_class=traffic_class,
        )

    def _learn_ipv4(self, message: icmpv4.IcmpMessage, now: float) -> None:
        quoted = message.data
        if len(quoted) < ipv4.MINIMUM_HEADER_LENGTH or quoted[0] >> 4 != 4:
            return
        length = int.from_bytes(quoted[2:4], "big")
        source = int.from_bytes(quoted[12:16], "big")
        destination = int.from_bytes(quoted[16:20], "big")
        self._too_big(source, destination, message.rest & 0xFFFF, length, now)

    def _learn_ipv6(self, message: icmpv4.IcmpMessage, now: float) -> None:
        quoted = message.data
        if len(quoted) < ipv6.HEADER_LENGTH or quoted[0] >> 4 != 6:
            return
        length = ipv6.HEADER_LENGTH + int.from_bytes(quoted[4:6], "big")
        source = int.from_bytes(quoted[8:24], "big")
        destination = int.from_bytes(quoted[24:40], "big")
        if destination >= IPV4_END:
            self._too_big(source, destination, message.rest, length, now)
