"""`PacketError`, the one exception of the package."""

from __future__ import annotations

from iotsim.errors import IotsimError


class PacketError(IotsimError):
    """Bytes that are no packet of the kind they claim to be; ``reason`` says why, in kebab-case.

    ``offset`` is the byte of the packet at fault, where the protocol has a way to report one
    (ICMP's Parameter Problem).
    """

    def __init__(self, reason: str, offset: int | None = None) -> None:
        self.reason = reason
        self.offset = offset
        super().__init__(reason)
