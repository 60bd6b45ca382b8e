"""What a host answered, in words that leave out what hosts may choose: identifications, TTLs.

Every checksum of every answer is verified, and fragments are put together.
"""

from __future__ import annotations

from typing import NamedTuple

from setting import name, name_mac

from iotsim.wire import arp, ethernet, icmpv4, icmpv6, igmp, ipv4, ipv6, tcp, udp
from iotsim.wire.address import IPV4_END
from iotsim.wire.errors import PacketError


class Answer(NamedTuple):
    """`data` is what was carried, as far as `text` does not tell it."""

    text: str
    data: bytes = b""
    destination: int = 0


class _Upper(NamedTuple):
    source: int
    destination: int
    protocol: int
    payload: bytes
    notes: str


ERRORS = {
    (4, 3, 0): "network unreachable",
    (4, 3, 1): "host unreachable",
    (4, 3, 2): "protocol unreachable",
    (4, 3, 3): "port unreachable",
    (4, 3, 4): "fragmentation needed",
    (4, 11, 0): "time to live exceeded",
    (4, 11, 1): "reassembly time exceeded",
    (4, 12, 0): "parameter problem",
    (6, 1, 3): "address unreachable",
    (6, 1, 4): "port unreachable",
    (6, 2, 0): "packet too big",
    (6, 3, 0): "hop limit exceeded",
    (6, 3, 1): "reassembly time exceeded",
    (6, 4, 0): "erroneous header field",
    (6, 4, 1): "unrecognized next header",
    (6, 4, 2): "unrecognized option",
    (6, 4, 3): "incomplete header chain",
}
POINTERS = {(4, 12), (6, 4)}
FLAGS = ((tcp.RST, "RST"), (tcp.ACK, "ACK"), (tcp.SYN, "SYN"), (tcp.FIN, "FIN"))


def describe(packets: list[bytes], sent: list[bytes]) -> list[Answer]:
    """The answers in `packets`, IP without a link's header, to the packets `sent`."""
    return sorted(_describe_one(upper, sent) for upper in _put_together(packets))


def describe_frames(frames: list[bytes], sent: list[bytes]) -> list[Answer]:
    """The same for Ethernet frames."""
    answers = []
    for frame in frames:
        header = ethernet.parse_ethernet(frame)
        data = frame[header.length :]
        way = f" [{name_mac(header.source)} > {name_mac(header.destination)}]"
        if header.tag is not None:
            way += f" tag {header.tag:#x}"
        if header.ethertype == ethernet.ARP:
            found = [_describe_arp(arp.parse_arp(data))]
        else:
            found = describe([data], [one[14:] for one in sent])
        answers += [answer._replace(text=answer.text + way) for answer in found]
    return sorted(answers)


def _describe_arp(message: arp.ArpMessage) -> Answer:
    kind = {arp.REQUEST: "request", arp.REPLY: "reply"}.get(message.operation, "?")
    return Answer(
        f"ARP {kind}: {name(message.sender)} is at {name_mac(message.sender_mac)}, "
        f"to {name(message.target)}"
    )


def _put_together(packets: list[bytes]) -> list[_Upper]:
    uppers = []
    fragments: dict[tuple[int, ...], list[tuple[int, bytes]]] = {}
    for packet in packets:
        if packet[0] >> 4 == 4:
            header = ipv4.parse_ipv4(packet)
            notes = f", TOS {header.tos:#x}" if header.tos else ""
            notes += f", options {header.options.hex()}" if header.options else ""
            payload = packet[header.header_length : header.total_length]
            protocol, key = header.protocol, header.identification
            offset, is_fragment = header.fragment_offset, header.is_fragment
            ends = header.source, header.destination
        else:
            header6 = ipv6.parse_ipv6(packet)
            notes = f", traffic class {header6.traffic_class:#x}" if header6.traffic_class else ""
            payload = packet[40 : 40 + header6.payload_length]
            protocol, key, offset, is_fragment = header6.next_header, 0, 0, False
            if protocol == ipv6.HOP_BY_HOP:
                extension = ipv6.parse_extension(payload, 0)
                notes += f", hop-by-hop options {payload[2 : extension.length].hex()}"
                protocol, payload = extension.next_header, payload[extension.length :]
            if protocol == ipv6.FRAGMENT:
                fragment = ipv6.parse_fragment(payload, 0)
                protocol, key, offset = (
                    fragment.next_header,
                    fragment.identification,
                    fragment.offset,
                )
                payload, is_fragment = payload[8:], True
            ends = header6.source, header6.destination
        if is_fragment:
            fragments.setdefault((*ends, protocol, key), []).append((offset, payload))
        else:
            uppers.append(_Upper(*ends, protocol, payload, notes))
    for (source, destination, protocol, _), parts in fragments.items():
        whole = b"".join(payload for _, payload in sorted(parts))
        notes = f", in {len(parts)} fragments"
        uppers.append(_Upper(source, destination, protocol, whole, notes))
    return uppers


def _describe_one(upper: _Upper, sent: list[bytes]) -> Answer:
    try:
        answer = _describe_upper(upper, sent)
    except PacketError as error:
        answer = Answer(f"broken: {error.reason}", upper.payload)
    return answer._replace(text=answer.text + upper.notes, destination=upper.destination)


def _describe_upper(upper: _Upper, sent: list[bytes]) -> Answer:
    source, destination, protocol, payload, _ = upper
    is_ipv6 = max(source, destination) >= IPV4_END
    first, second = (name(address, is_ipv6=is_ipv6) for address in (source, destination))
    ends = f"{first} > {second}"
    if protocol == udp.PROTOCOL:
        header = udp.parse_udp(payload)
        udp.verify_udp(source, destination, payload)
        ports = f"{first}:{header.source_port} > {second}:"
        data = payload[8:]
        return Answer(f"UDP {ports}{header.destination_port}, {len(data)} bytes", data)
    if protocol == tcp.PROTOCOL:
        tcp.verify_tcp(source, destination, payload)
        segment = tcp.parse_tcp(payload)
        flags = " ".join(flag for bit, flag in FLAGS if segment.flags & bit)
        return Answer(
            f"TCP {flags} {ends}, ports {segment.source_port} > {segment.destination_port}, "
            f"sequence {segment.sequence}, acknowledgment {segment.acknowledgment}"
        )
    if protocol == ipv4.ICMP:
        return _describe_icmp(4, icmpv4.parse_icmpv4(payload), ends, sent)
    if protocol == ipv6.ICMPV6:
        message = icmpv6.parse_icmpv6(source, destination, payload)
        return _describe_icmp(6, message, ends, sent)
    if protocol == ipv4.IGMP:
        igmp.parse_type(payload)
        records = _records(payload[8:], 4)
        return Answer(f"IGMPv3 report {ends}: {records}" if payload[0] == 0x22 else "IGMP report")
    return Answer(f"protocol {protocol} {ends}", payload)


def _describe_icmp(
    family: int, message: icmpv4.IcmpMessage, ends: str, sent: list[bytes]
) -> Answer:
    kind, code, rest, data = message
    what = ERRORS.get((family, kind, code))
    if what is not None:
        if (family, kind) in POINTERS:
            what += f" at byte {rest >> 24 if family == 4 else rest}"
        elif (family, kind) == (6, 2):
            what += f", MTU {rest}"
        if any(packet.startswith(data) for packet in sent):
            return Answer(f"ICMP {what}, {ends}, quoting {len(data)} bytes")
        return Answer(f"ICMP {what}, {ends}, quoting {len(data)} bytes of the whole", data)
    if (family, kind) in ((4, icmpv4.ECHO_REPLY), (6, icmpv6.ECHO_REPLY)):
        what = f"ICMP echo reply {ends}, {len(data)} bytes"
        return Answer(what + (f", code {code}" if code else ""), rest.to_bytes(4, "big") + data)
    if (family, kind) == (6, icmpv6.MLDV2_REPORT):
        return Answer(f"MLDv2 report {ends}: {_records(data, 16)}")
    if (family, kind) == (4, icmpv4.TIMESTAMP_REPLY):
        return Answer(f"ICMP timestamp reply {ends}", rest.to_bytes(4, "big") + data[:4])
    return Answer(f"ICMP type {kind} code {code} {ends}", rest.to_bytes(4, "big") + data)


def _records(data: bytes, length: int) -> str:
    """The records of a membership report: the kind and the group of each, with no sources."""
    size = 4 + length
    found = [data[at : at + size] for at in range(0, len(data), size)]
    return ", ".join(
        sorted(f"{name(int.from_bytes(one[4:], 'big'))} kind {one[0]}" for one in found)
    )
