"""Captures read back: from the bytes of a file to what the messages in it are to each other.

Each step takes what the one before it gives, one at a time, so that a capture of any length is read in the
memory of a short one, and one that is still being written is read as it comes::

    read_frames(stream)       pcap, pcapng, either in gzip: frames with their time     reader, pcap, pcapng
    Datagrams().find(frame)   link and IP headers off, fragments together: UDP         frames, datagrams
    Decoder(...).decode(...)  the protocol's messages, and what they are to each other decoder

A file (`source`) is hostile until it is read: every length in it is held against what is there, and against
a bound (`MOST_FRAME`, `MOST_BLOCK`, `MOST_INTERFACES`). What is no capture, or ends within a packet, is a
`CaptureError` with the offset, after all that stands before it was given. What is in a frame is of no
concern to the file: frames that carry no UDP are counted by what they are, in ``Datagrams.skipped``.

Checksums that are wrong are told and no more: a capture at the sender's own interface shows what the
interface was to complete.

Alternatives considered: dpkt, scapy and pyshark, dependencies of which a hundred lines are of use here;
tshark as a child process, which is not there on most machines, and knows none of our protocols; mmap, which
reads no pipe.
"""

from __future__ import annotations

from iotsim.capture.datagrams import Datagrams, UdpDatagram
from iotsim.capture.decoder import Decoded, Decoder
from iotsim.capture.reader import Frame, is_capture, read_frames
from iotsim.capture.source import CaptureError

__all__ = [
    "CaptureError",
    "Datagrams",
    "Decoded",
    "Decoder",
    "Frame",
    "UdpDatagram",
    "is_capture",
    "read_frames",
]
