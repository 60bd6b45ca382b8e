"""What the blocks of others are: which of how many, of which file, and whether they were there before.

A transfer is known by its client's address and port, and its server's address: the server's port is
another one than that of the request (RFC 1350, section 4).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iotsim import Follower, Recent

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from iotsim import Endpoint, Mark, Seen

    Message = dict[str, Any]

BLOCK = 512
"""The size of a block, in bytes, where no other is agreed to (RFC 1350, section 2)."""
MOST = 1 << 12
"""So many transfers are remembered at a time."""
LONGEST_NAME = 100
"""Characters of a file's name that are remembered."""
NUMBERS = 1 << 16
"""Numbers of blocks there are; behind the last comes 0 again."""


class Transfer:
    """A file on its way. Blocks are counted from 1, and on beyond the numbers that a block can have."""

    __slots__ = ("acknowledged", "block_size", "last", "mark", "name", "size")

    def __init__(self, request: Message, mark: Mark) -> None:
        self.name: str = request["filename"][:LONGEST_NAME]
        self.mark = mark
        self.block_size = BLOCK
        self.size = -1
        """Of the file; -1 if that is not known."""
        self.last = 0
        """The last block that was sent."""
        self.acknowledged = -1

    def take(self, options: Iterable[Message], *names: str) -> None:
        """Take from `options` what the server agrees to, or the client tells (RFC 2348, RFC 2349)."""
        for option in options:
            name, value = option["name"].lower(), option["value"][:20]
            if name in names and value.isascii() and value.isdigit():
                if name == "tsize":
                    self.size = int(value)
                else:
                    self.block_size = max(int(value), 1)

    def number(self, block: int) -> int:
        """Which block it is: of those that have this number, the nearest to the last one."""
        behind = (block - self.last + NUMBERS // 2) % NUMBERS - NUMBERS // 2
        return max(self.last + behind, 0)


class TftpFollower(Follower):
    """Tells blocks, acknowledgements and what ends a transfer."""

    def __init__(self, echo: Sequence[str] = ()) -> None:
        super().__init__(echo)
        self._transfers: Recent[tuple[Endpoint, int], Transfer] = Recent(self.lifetime, MOST)

    def device_end(self, source: Endpoint, destination: Endpoint, time: float) -> Endpoint | None:
        if self._transfers.get((source, destination[0]), time) is not None:
            return destination
        if self._transfers.get((destination, source[0]), time) is not None:
            return source
        return None

    def follow(self, message: Message, seen: Seen) -> list[str]:
        server = seen.source if seen.from_device else seen.destination
        key = seen.client, server[0]
        transfer = self._transfers.get(key, seen.time)
        if message["opcode"] in ("RRQ", "WRQ"):
            if transfer is not None and seen.is_again(transfer.mark):
                return [f"repeats {transfer.mark}"]
            transfer = Transfer(message, seen.mark)
            if message["opcode"] == "WRQ":  # what an RRQ has there is no size, but a question
                transfer.take(message["options"], "tsize")
        if transfer is None:
            return []
        self._transfers.renew(key, transfer, seen.time)
        match message["opcode"]:
            case "DATA":
                return [self._block(message, transfer)]
            case "ACK":
                return [self._acknowledgement(message, transfer, seen)]
            case "OACK":
                transfer.take(message["options"], "tsize", "blksize")
                return [f"answers {seen.after(transfer.mark)}"]
            case "ERROR":
                return [f"ends the transfer of {transfer.name} that {transfer.mark} began"]
        return []

    @staticmethod
    def _block(message: Message, transfer: Transfer) -> str:
        number = transfer.number(message["block"])
        total = "" if transfer.size < 0 else f" of {transfer.size // transfer.block_size + 1}"
        again = ", repeated" if number <= transfer.last else ""
        transfer.last = max(transfer.last, number)
        return f"block {number}{total} of {transfer.name}{again}"

    @staticmethod
    def _acknowledgement(message: Message, transfer: Transfer, seen: Seen) -> str:
        number = transfer.number(message["block"])
        again = ", repeated" if number <= transfer.acknowledged else ""
        transfer.acknowledged = max(transfer.acknowledged, number)
        if number:
            return f"acknowledges block {number} of {transfer.name}{again}"
        # Before the first block: of the server, to a WRQ; of the client, to an OACK.
        return (
            f"answers {seen.after(transfer.mark)}" if seen.from_device else "takes the options"
        ) + again
