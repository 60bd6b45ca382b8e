"""UDP datagrams in the frames of a TUN, for whoever is at the other end of a memory link."""

from __future__ import annotations

from iotsim.wire.datagrams import datagram_frame, read_datagram

__all__ = ["datagram_frame", "read_datagram"]
