"""Packets as a pcapng file (draft-ietf-opsawg-pcapng), written block by block.

The file is one section: a Section Header Block, an Interface Description Block with nanosecond
times, then an Enhanced Packet Block for each packet. Before the first packet of a device stands a Name
Resolution Block with its addresses. Every block ends on a boundary of 32 bits and repeats its length, so that
a file that was cut off is readable up to its last whole block.

An Enhanced Packet Block:

======  ============================  =====================================================
offset  field                         here
======  ============================  =====================================================
0       type, total length            6, 44 + the packet padded to 4 bytes
8       interface, time high, low     nanoseconds since 1970
20      captured, original length     equal: packets are whole
28      packet, padding
        option 2 (epb_flags)          inbound: to the devices; outbound: from them
        options 1 (opt_comment), end  what there is to say of it
        total length
======  ============================  =====================================================

Frames come with a virtio_net_hdr; a checksum that was left to the kernel is completed here, as it
would have been on a wire.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, TypeAlias

from iotsim.safetext import safe_line
from iotsim.wire.virtio import HEADER_LENGTH, complete_checksum, needs_checksum

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from iotsim.events import PacketRecord

LINKTYPE_ETHERNET = 1
LINKTYPE_RAW = 101
"""IPv4 and IPv6 packets without a link header, as a TUN has them."""

_OPTION = Struct("<HH")
_PACKET_HEAD = Struct("<QIIIQ")
_FLAGS_AND_LENGTH = Struct("<HHIHHI")
_LENGTH = Struct("<I")
_BLOCK_HEAD = Struct("<II")

_EPB_FIXED_BYTES = 44
_INBOUND, _OUTBOUND = 1, 2
_MAX_SNAPLEN = 262144
SECTION, INTERFACE, NAMES, PACKET = 0x0A0D0D0A, 1, 4, 6
_COMMENT = 1
_NAMES_OF_A_BLOCK = 1000
COMMENT_BYTES = 500
MOST_COMMENTS = 8
NAME_BYTES = 200
"""Longer texts are cut."""

# The header of a UDP datagram over IPv4 without IP options whose checksum the kernel would
# complete: nearly every packet of a run. The checksum is at offset 26 of the packet and covers all
# from 20 on.
_PLAIN_UDP = needs_checksum(20, 6)
_UDP_START = HEADER_LENGTH + 20
_UDP_CHECKSUM = HEADER_LENGTH + 26
_UDP_PAYLOAD = HEADER_LENGTH + 28
_UDP_LEAST = 28

Shape: TypeAlias = "tuple[int, bytes, int, int, Callable[..., bytes]]"
"""Length of the packet, the block's end behind it, type and length of the block in one number, both lengths
of the packet in another, and how a plain UDP packet is packed whole."""


class PcapngWriter:
    """Encodes packets for one interface. `epoch` is the Unix time of t = 0."""

    def __init__(
        self, linktype: int, *, name: str = "iotsim", description: str = "", epoch: float = 0.0
    ) -> None:
        self._linktype = linktype
        self._name = name
        self._description = description
        self._epoch_ns = int(epoch * 1e9)
        # Length of a frame -> what the block of its packet looks like, one per direction.
        self._shapes: tuple[dict[int, Shape], ...] = ({}, {})

    def header(self) -> bytes:
        """What the file begins with."""
        application = _option(4, b"iotsim")
        section = _block(SECTION, b"\x4d\x3c\x2b\x1a\x01\0\0\0" + b"\xff" * 8 + application)
        fields = self._linktype.to_bytes(4, "little") + _MAX_SNAPLEN.to_bytes(4, "little")
        options = _option(2, _text(self._name, NAME_BYTES))
        if self._description:
            options += _option(3, _text(self._description, COMMENT_BYTES))
        return section + _block(INTERFACE, fields + options + _option(9, b"\x09"))

    def encode_remarked(
        self, records: Sequence[PacketRecord], remarks: Mapping[int, Sequence[str]]
    ) -> bytes:
        """As `encode`, with `remarks` about some of them, by their places, as comments."""
        blocks = self._blocks(records)
        for place, texts in remarks.items():
            block = blocks[place]
            if block:
                options = b"".join([_comment(text) for text in texts[:MOST_COMMENTS]])
                # Before the end of options and the length, which is in the block twice.
                total = _LENGTH.pack(len(block) + len(options))
                parts = block[:4], total, block[8:-8], options, block[-8:-4], total
                blocks[place] = b"".join(parts)
        return b"".join(blocks)

    def encode(self, records: Sequence[PacketRecord]) -> bytes:
        """`records` as blocks, each of them whole."""
        return b"".join(self._blocks(records))

    def _blocks(self, records: Sequence[PacketRecord]) -> list[bytes]:
        """The block of each of `records`; empty where there is no packet."""
        blocks: list[bytes] = []
        append = blocks.append
        epoch, shapes = self._epoch_ns, self._shapes
        from_bytes = int.from_bytes
        high, since = 0, epoch
        for t, direction, frame in records:
            low = int(t * 1e9) + since
            if not 0 <= low <= 0xFFFFFFFF:
                ns = low + (high << 32)
                high, low = ns >> 32, ns & 0xFFFFFFFF
                since = epoch - (high << 32)
            try:
                length, tail, block, lengths, pack_udp = shapes[direction][len(frame)]
            except KeyError:
                if len(frame) < HEADER_LENGTH:
                    append(b"")  # not even a header: there is no packet in it
                    continue
                shape = self._make_shape(direction, len(frame))
                length, tail, block, lengths, pack_udp = shape
            if frame[:HEADER_LENGTH] == _PLAIN_UDP and length >= _UDP_LEAST:
                # The sum may be taken over words of either byte order (RFC 1071, section 2), and in
                # this one an odd length needs no padding.
                checksum = -from_bytes(frame[_UDP_START:], "little") % 65535 or 65535
                head, payload = frame[HEADER_LENGTH:_UDP_CHECKSUM], frame[_UDP_PAYLOAD:]
                append(pack_udp(block, 0, high, low, lengths, head, checksum, payload, tail))
            else:
                packet = _PACKET_HEAD.pack(block, 0, high, low, lengths)
                append(packet + complete_checksum(frame) + tail)
        return blocks

    def _make_shape(self, direction: int, size: int) -> Shape:
        length = size - HEADER_LENGTH
        padding = -length % 4
        total = _EPB_FIXED_BYTES + length + padding
        flags = _OUTBOUND if direction else _INBOUND
        tail = bytes(padding) + _FLAGS_AND_LENGTH.pack(2, 4, flags, 0, 0, total)
        payload = max(0, length - _UDP_LEAST)
        pack_udp = Struct(f"{_PACKET_HEAD.format}26sH{payload}s{len(tail)}s").pack
        made = length, tail, PACKET | total << 32, length | length << 32, pack_udp
        self._shapes[direction][size] = made
        return made


def heading_blocks(data: bytes) -> bytes:
    """Those of the blocks in `data` that name addresses, which every part of a file begins with."""
    found, at = [], 0
    while at + 8 <= len(data):
        kind, total = _BLOCK_HEAD.unpack_from(data, at)
        if kind != NAMES or total < 12:
            break  # they stand first in what is written at a time
        found.append(data[at : at + total])
        at += total
    return b"".join(found)


def encode_names(names: Iterable[tuple[bytes, str]]) -> bytes:
    """Name Resolution Blocks that give addresses, of 4 or 16 bytes, names; nothing if there are none."""
    records = [
        _option(1 if len(address) == 4 else 2, address + _host(name)) for address, name in names
    ]
    blocks = []
    for first in range(0, len(records), _NAMES_OF_A_BLOCK):
        some = b"".join(records[first : first + _NAMES_OF_A_BLOCK])
        blocks.append(_block(NAMES, some + _OPTION.pack(0, 0)))
    return b"".join(blocks)


def _host(name: str) -> bytes:
    return _text(name, NAME_BYTES).replace(b"\0", b"") + b"\0"


def _text(text: str, limit: int) -> bytes:
    """`text` in UTF-8 and without control characters, of at most `limit` bytes."""
    data = safe_line(text).encode("utf-8", "backslashreplace")
    if len(data) <= limit:
        return data
    return data[: limit - 3].decode(errors="ignore").encode() + "…".encode()


def _comment(text: str) -> bytes:
    if (
        text.isascii() and text.isprintable() and len(text) <= COMMENT_BYTES
    ):  # as below, in fewer steps
        length = len(text)
        return _OPTION.pack(_COMMENT, length) + text.encode() + bytes(-length % 4)
    return _option(_COMMENT, _text(text, COMMENT_BYTES))


def _option(code: int, value: bytes) -> bytes:
    return _OPTION.pack(code, len(value)) + value + bytes(-len(value) % 4)


def _block(kind: int, body: bytes) -> bytes:
    """A block of `kind` whose body ends with options."""
    body += _OPTION.pack(0, 0)
    total = _LENGTH.pack(12 + len(body))
    return _LENGTH.pack(kind) + total + body + total
