"""What a device observes at another one, for code that reads it notification by notification (RFC 7641)."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from iotsim import Ticket

if TYPE_CHECKING:
    from typing import Any

    from iotsim import Peer

    from .server import Coap

    Message = dict[str, Any]

MOST_NOTIFICATIONS = 64
"""So many wait for who reads them slowly; with more, the oldest is lost."""


class Notifications:
    """What is observed, to be read by ``async for``: whole responses, until one that ends it, which is
    the last. `cancel` ends it, too."""

    def __init__(self, session: Coap, message: Message, peer: Peer) -> None:
        self._session = session
        self._message = message
        self._peer = peer
        self._came: deque[Message] = deque(maxlen=MOST_NOTIFICATIONS)
        self._waits: Ticket | None = None
        self._over = False
        session.client.submit(message, peer, None, self._told)

    def cancel(self) -> None:
        """Tell the other side that nobody observes it any more."""
        self._session.client.cancel(self._message, self._peer)
        self._told(None)

    def __aiter__(self) -> Notifications:
        return self

    async def __anext__(self) -> Message:
        if not self._came and not self._over:
            self._waits = Ticket(self._message)
            await self._waits
        if not self._came:
            raise StopAsyncIteration
        return self._came.popleft()

    def _told(self, message: Message | None) -> None:
        if self._over and message is not None and "observe" in message:
            # It was cancelled while it waited to be asked (RFC 8516).
            self._session.client.cancel(self._message, self._peer)
            return
        if message is not None:
            self._came.append(message)
        if message is None or "observe" not in message:
            self._over = True
        waits, self._waits = self._waits, None
        if waits is not None:
            waits.answer(message or {})
