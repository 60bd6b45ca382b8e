"""ICMP as a host and a router speak it (RFC 792, RFC 1122 section 3.2.2, RFC 1812 section 4.3).

An error is never sent about an ICMP error, a broadcast or multicast, a fragment but the first, or
a source that is no single host; and no more often than the token bucket allows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from iotsim.net.outcome import ANSWERED, consumed
from iotsim.wire import icmpv4, ipv4

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

    from iotsim.net.ratelimit import TokenBucket
    from iotsim.wire.ipv4 import IPv4Header

_QUOTED_BYTES = icmpv4.MAXIMUM_ERROR_LENGTH - ipv4.MINIMUM_HEADER_LENGTH - icmpv4.HEADER_LENGTH

_RECEIVED_ERRORS = {
    icmpv4.DESTINATION_UNREACHABLE: "icmp-unreachable",
    icmpv4.SOURCE_QUENCH: "icmp-source-quench",
    icmpv4.REDIRECT: "icmp-redirect",
    icmpv4.TIME_EXCEEDED: "icmp-time-exceeded",
    icmpv4.PARAMETER_PROBLEM: "icmp-parameter-problem",
}


class Icmp4:
    """Answers to ICMP messages, and errors about other packets.

    `send` takes (source, destination, protocol, payload) of a packet to send.
    """

    def __init__(
        self,
        send: Callable[[int, int, int, bytes], object],
        bucket: TokenBucket,
        counters: Counter[str],
    ) -> None:
        self._send = send
        self._bucket = bucket
        self._counters = counters

    def receive(self, header: IPv4Header, payload: bytes) -> str:
        """A message for one of our addresses."""
        message = icmpv4.parse_icmpv4(payload)
        if message.type == icmpv4.ECHO_REQUEST and message.code == 0:
            reply = icmpv4.build_icmpv4(icmpv4.ECHO_REPLY, 0, message.rest, message.data)
            self._send(header.destination, header.source, ipv4.ICMP, reply)
            return ANSWERED
        return consumed(_RECEIVED_ERRORS.get(message.type, "icmp-other"))

    def error(
        self,
        kind: int,
        code: int,
        *,
        source: int,
        header: IPv4Header,
        packet: bytes,
        now: float,
        rest: int = 0,
    ) -> None:
        """Tell the sender of `packet`, from `source`, what is wrong with it; if we may."""
        if header.fragment_offset or not source:
            return
        if header.protocol == ipv4.ICMP and icmpv4.is_error(packet[header.header_length :]):
            return
        if not self._bucket.take(now):
            self._counters["icmp-errors-suppressed"] += 1
            return
        self._counters["icmp-errors-sent"] += 1
        quoted = packet[: min(header.total_length, _QUOTED_BYTES)]
        message = icmpv4.build_icmpv4(kind, code, rest, quoted)
        self._send(source, header.source, ipv4.ICMP, message)
