"""The gateways that a client knows of (section 6.1), and how they are found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iotsim import Ticket

if TYPE_CHECKING:
    from iotsim import Peer, Session

    Message = dict[str, Any]

PORT = 1883
GROUPS = (0xE1010101, 0xFF1E_FEED_CACA_DEAD_0000_0000_0000_FEED)
"""225.1.1.1 and ff1e:feed:caca:dead::feed: the standard leaves them open; gateways use these over UDP."""
SEARCH_DELAY_S = 5.0
"""TSEARCHGW: SEARCHGW waits for up to so long."""
INFO_DELAY_S = 5.0
"""TGWINFO: a client's GWINFO does, and is not sent if another is heard meanwhile."""
ADVERTISED_S = 900.0
"""TADV, until a gateway has told its own."""
MOST_MISSED = 3
"""NADV: a gateway that has missed so many ADVERTISE is not there."""
MOST_GATEWAYS = 16
ADDRESS_BYTES = (4, 16)


def group(session: Session) -> Peer | None:
    """Where all of the network is reached."""
    return session.peer(GROUPS[0], PORT) or session.peer(GROUPS[1], PORT)


class Directory:
    """The gateways that were heard of, each until it has missed `MOST_MISSED` advertisements."""

    __slots__ = ("_entries", "_found", "_heard_info", "_heard_search", "_informs", "_session")

    def __init__(self, session: Session) -> None:
        self._session = session
        self._entries: dict[int, tuple[Peer, float]] = {}
        self._found: Ticket | None = None
        self._heard_search = False
        self._heard_info = False
        self._informs = False

    def take(self, message: Message, peer: Peer) -> bool:
        """ADVERTISE, GWINFO or SEARCHGW has come; whether it is one of these."""
        kind = message["kind"]
        if kind == "ADVERTISE":
            self._add(message["gateway_id"], peer, message["duration"])
        elif kind == "GWINFO":
            self._heard_info = True
            address = message.get("gateway_address", b"")
            port = PORT if address else peer.port
            if address:
                if len(address) - 2 in ADDRESS_BYTES:
                    port, address = int.from_bytes(address[-2:], "big"), address[:-2]
                if len(address) not in ADDRESS_BYTES or not port:
                    return True
            at = int.from_bytes(address, "big") if address else peer.address
            found = self._session.peer(at, port)
            if found is not None:
                self._add(message["gateway_id"], found, ADVERTISED_S)
        elif kind == "SEARCHGW":
            self._heard_search = True
            if self._entries and not self._informs:
                self._informs, self._heard_info = True, False
                self._session.call_later(self._session.uniform(0, INFO_DELAY_S), self._inform)
        else:
            return False
        return True

    def _add(self, number: int, peer: Peer, duration: float) -> None:
        if number not in self._entries and len(self._entries) >= MOST_GATEWAYS:
            return
        peer = peer._replace(group=0)
        self._entries[number] = peer, self._session.now + max(duration, 1) * MOST_MISSED
        if self._found is not None:
            self._found.wake(True)

    def _inform(self) -> None:
        """Tell others of a gateway."""
        self._informs = False
        known, everybody = self.any(), group(self._session)
        if self._heard_info or known is None or everybody is None:
            return
        number, peer = known
        address = peer.address.to_bytes(4 if peer.address < 1 << 32 else 16, "big")
        if peer.port != PORT:
            address += peer.port.to_bytes(2, "big")
        message = {"kind": "GWINFO", "gateway_id": number, "gateway_address": address}
        self._session.send(message, everybody)

    def any(self) -> tuple[int, Peer] | None:
        """A gateway that is there: its id, and where it is."""
        for number, (peer, until) in list(self._entries.items()):
            if until > self._session.now:
                return number, peer
            del self._entries[number]
        return None

    def forget(self, lost: Peer) -> None:
        """The gateway at `lost` does not answer."""
        for number, (peer, _) in list(self._entries.items()):
            if peer.endpoint == lost.endpoint:
                del self._entries[number]

    async def find(self) -> Peer:
        """A gateway that is there: known, or searched for at growing intervals."""
        session = self._session
        interval = session.model.retry
        while (known := self.any()) is None:
            self._heard_search = False
            if await self._hears_of_one(session.uniform(0, SEARCH_DELAY_S)):
                continue
            everybody = group(session)
            # Who has just heard another's SEARCHGW waits for what that is answered.
            if everybody is not None and not self._heard_search:
                session.send({"kind": "SEARCHGW"}, everybody)
            if not await self._hears_of_one(interval):
                interval = min(2 * interval, session.model.wait)
        return known[1]

    async def _hears_of_one(self, seconds: float) -> bool:
        ticket = self._found = Ticket({})
        timer = self._session.call_later(seconds, ticket.wake)
        found = await ticket
        timer.cancel()
        self._found = None
        return bool(found)
