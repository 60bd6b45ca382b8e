"""Requests of a device's own: their responses, in blocks or not, and what is observed.

A request is confirmable unless it says otherwise, or goes to a group. Its response comes in the
acknowledgment, or later. A long body is sent in blocks, and a response in blocks is put together. With
``observe = 0`` there are further responses: the newest is handed up, what was overtaken on the way is not
(RFC 7641, section 3.4), and when none has come for so long that the last is stale, the device asks again
(section 3.3.1). After 4.29 the same request waits as long as its Max-Age says (RFC 8516).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .blocks import is_long
from .codes import code_class
from .observe import DEREGISTER, MAX_AGE, NUMBERS, REGISTER
from .options import LARGEST_BLOCK
from .representation import to_bytes, to_payload
from .transmission import ACKNOWLEDGED, RESET

if TYPE_CHECKING:
    from iotsim import Peer, Ticket

    from .server import Coap

    Message = dict[str, Any]

MOST_RESTARTS = 3
"""So often a body that changes while it is fetched is fetched anew."""
MOST_HELD = 64
FRESH_S = 128.0
"""After this long a notification is newer, whatever its number (RFC 7641, section 3.4)."""
LEG = ("payload", "message_id", "token", "block1", "block2", "observe", "size1")
"""What the requests for further blocks do not have in common with the first."""


class Asked:
    """A request that waits for its response, or what it observes."""

    __slots__ = (
        "body",
        "etag",
        "key",
        "left",
        "message",
        "message_id",
        "notified_at",
        "number",
        "observes",
        "peer",
        "restarts",
        "size",
        "ticket",
        "timer",
        "told",
        "whole",
    )

    def __init__(self, message: Message, peer: Peer, ticket: Ticket | None) -> None:
        self.message = message
        self.peer = peer
        self.ticket = ticket
        self.key: Any = None
        self.message_id = -1
        """Of what was sent last."""
        self.timer: Any = None
        self.left = b""
        """The body of the request, if it goes in blocks of ``size``."""
        self.size = 0
        self.body = b""
        """Of the response, as far as it is there."""
        self.etag: Any = None
        self.restarts = 0
        self.observes = message.get("observe") == REGISTER
        self.number = -1
        """Of the newest notification, and when that came."""
        self.notified_at = 0.0
        self.told: Any = None
        """A function that is given the responses instead of the rules."""
        self.whole: Message | None = None
        """The notification whose further blocks are fetched."""


class Client:
    """The requests of a device."""

    __slots__ = ("_asked", "_held", "_session")

    def __init__(self, session: Coap) -> None:
        self._session = session
        self._asked: dict[tuple[int, int, bytes], Asked] = {}
        self._held: dict[Any, float] = {}
        """Until when a request must not be repeated (RFC 8516)."""

    def submit(self, message: Message, peer: Peer, ticket: Ticket | None, told: Any = None) -> None:
        if message["code"] == "EMPTY":
            self._ping(message, peer, ticket)
            return
        message.setdefault("type", "NON" if is_group(peer.address) else "CON")
        if "token" not in message:
            message["token"] = self._token()
        asked = Asked(message, peer, ticket)
        asked.told = told
        wait = self._held.get(_same(message, peer), 0.0) - self._session.now
        if wait > 0:
            self._session.call_later(wait, self._begin_late, asked, message)
        else:
            self._begin(asked, message)

    def _begin_late(self, asked: Asked, message: Message) -> None:
        self._session.client._begin(asked, message)  # which may be another by now

    def cancel(self, message: Message, peer: Peer) -> None:
        """Observe no longer (RFC 7641, section 3.6)."""
        asked = self._asked.pop((peer.address, peer.port, message["token"]), None)
        if asked is not None:
            asked.timer.cancel()
            request = {name: value for name, value in message.items() if name != "message_id"}
            self.submit({**request, "observe": DEREGISTER}, peer, None, _ignore)

    def reset(self, peer: Peer, message_id: int) -> None:
        """A request that is not confirmable was rejected (RFC 7252, section 4.3)."""
        for asked in list(self._asked.values()):
            if asked.message_id == message_id and asked.key[:2] == peer.endpoint:
                self._fail(asked, RESET)

    def expects(self, message: Message, peer: Peer) -> bool:
        return self._find(message, peer) is not None

    def take(self, message: Message, peer: Peer) -> None:
        """A response that is expected has come."""
        asked = self._find(message, peer)
        if asked is None:
            return
        if message["type"] != "ACK":  # it is an acknowledgment, too (RFC 7252, section 5.2.2)
            self._session.transmissions.settle(asked.peer, asked.message_id, ACKNOWLEDGED)
        code = message["code"]
        if self._send_more(message, asked) or self._fetch_more(message, asked):
            return
        body, asked.body = asked.body, b""
        if body and code_class(code) == 2:  # else it is an error's own
            message = {name: value for name, value in message.items() if name != "block2"}
            message["payload"] = to_payload(body)
        if asked.whole is not None:
            message["observe"], asked.whole = asked.whole["observe"], None
        if code == "TOO_MANY_REQUESTS":
            self._hold(message, asked)
        if asked.observes and "observe" in message and code_class(code) == 2:
            if not self._is_newer(message, asked):
                return
            self._expect(asked, message.get("max_age", MAX_AGE) + self._session.uniform(5.0, 15.0))
        elif not is_group(asked.peer.address):
            self._end(asked)
        self._hand_up(message, peer, asked)

    # -- sending -----------------------------------------------------------------------------------

    def _begin(self, asked: Asked, said: Message | None) -> None:
        """Send the request, or its first block."""
        message, size = asked.message, self._session.model.block_size
        if is_long(message.get("payload"), size):
            asked.left, asked.size = to_bytes(message["payload"]), size
            self._send_block(asked, 0, message["token"], said)
        else:
            self._ask(message, asked, said)

    def _send_block(
        self, asked: Asked, start: int, token: bytes, said: Message | None = None
    ) -> None:
        end = start + asked.size
        leg = _leg(asked.message)
        if asked.message.get("observe") is not None:
            # The last block's options are those of the whole, and what it observes goes by its token.
            leg["observe"], token = asked.message["observe"], asked.message["token"]
        if not start:
            leg["size1"] = len(asked.left)
        leg |= {"token": token, "payload": asked.left[start:end]}
        leg["block1"] = {
            "number": start // asked.size,
            "more": end < len(asked.left),
            "size": asked.size,
        }
        self._ask(leg, asked, said)

    def _ask(self, message: Message, asked: Asked, said: Message | None = None) -> None:
        """Send a request, which is what the device has `said`, or a part of it."""
        session, peer = self._session, asked.peer
        if asked.key is not None:
            self._asked.pop(asked.key, None)
        group = is_group(peer.address)
        asked.key = (0, 0, message["token"]) if group else (*peer.endpoint, message["token"])
        self._asked[asked.key] = asked
        if "message_id" not in message:
            message["message_id"] = session.next_id()
        asked.message_id = message["message_id"]
        if said is not None:
            said.setdefault("message_id", asked.message_id)
        model = session.model
        confirmable = message["type"] == "CON"
        self._expect(asked, model.exchange_lifetime if confirmable else model.non_lifetime)
        if confirmable:
            key = asked.key

            def ended(how: str) -> None:
                if how != ACKNOWLEDGED and asked.key == key:
                    self._fail(asked, how)

            session.transmissions.send(message, peer, ended, says=said)
        else:
            session.send(message, peer, says=said)

    def _expect(self, asked: Asked, within: float) -> None:
        """Wait for a response, or a notification, so many seconds."""
        if asked.timer is not None:
            asked.timer.cancel()
        asked.timer = self._session.call_later(within, self._late, asked)

    def _late(self, asked: Asked) -> None:
        if self._asked.get(asked.key) is not asked:
            return
        if asked.number >= 0:  # it observes, and what it has is stale
            asked.number = -1
            again = asked.message
            asked.message = {name: again[name] for name in again if name != "message_id"}
            self._begin(asked, None)
        else:
            self._fail(asked, "timeout")

    def _ping(self, message: Message, peer: Peer, ticket: Ticket | None) -> None:
        """An empty confirmable message, which is reset by who is there (RFC 7252, section 4.3)."""
        message |= {"type": "CON", "token": b"", "message_id": self._session.next_id()}
        number = message["message_id"]

        def ended(how: str) -> None:
            if ticket is None:
                return
            if how == RESET:
                ticket.answer({"type": "RST", "code": "EMPTY", "message_id": number})
            else:
                ticket.give_up(how)

        self._session.transmissions.send(message, peer, ended, says=message)

    def _token(self) -> bytes:
        return self._session.bits(32).to_bytes(4, "big")

    # -- responses ---------------------------------------------------------------------------------

    def _find(self, message: Message, peer: Peer) -> Asked | None:
        token = message["token"]
        asked = self._asked.get((*peer.endpoint, token)) or self._asked.get((0, 0, token))
        if asked is None or (
            message["type"] == "ACK" and message["message_id"] != asked.message_id
        ):
            return None  # in an acknowledgment, both have to match (RFC 7252, section 5.3.2)
        return asked

    def _send_more(self, message: Message, asked: Asked) -> bool:
        """Send the next block of our body, or the first again where the other side takes smaller ones."""
        code, block = message["code"], message.get("block1")
        if block is None:
            return False
        # CONTINUE, or what became of this block alone, by a server that keeps none (RFC 7959, figure 8).
        if asked.left and code_class(code) == 2:
            sent = block["number"] * asked.size + asked.size
            if block["size"] < asked.size:
                asked.size = block["size"]
            if sent >= len(asked.left):
                return False
            self._send_block(asked, sent, self._token())
            return True
        if code != "REQUEST_ENTITY_TOO_LARGE" or block["number"]:
            return False
        # RFC 7959, section 2.9.3: the size that it takes, also of who has sent all at once.
        body = asked.left or to_bytes(asked.message.get("payload") or "")
        if block["size"] >= (asked.size or len(body)):
            return False
        asked.left, asked.size = body, block["size"]
        self._send_block(asked, 0, self._token())
        return True

    def _fetch_more(self, message: Message, asked: Asked) -> bool:
        """Ask for the next block of a response, if there is one."""
        block = message.get("block2")
        if block is None or code_class(message["code"]) != 2 or block["size"] > LARGEST_BLOCK:
            return False
        start = block["number"] * block["size"]
        if start != len(asked.body) and block["number"]:
            self._fail(asked, "a block that nobody asked for")
            return True
        if not start:
            asked.body, asked.etag = b"", message.get("etag")
        elif message.get("etag") != asked.etag:
            asked.restarts += 1
            if asked.restarts > MOST_RESTARTS:
                self._fail(asked, "the body changes all the time")
            else:
                asked.body = b""
                self._ask_for(0, block["size"], asked)
            return True
        if not block["more"] and not start:
            return False
        asked.body += to_bytes(message["payload"])
        if not block["more"]:
            return False
        if len(asked.body) > self._session.model.body_limit:
            self._fail(asked, "the body is too large")
            return True
        if asked.observes and "observe" in message:
            self._fetch_rest(message, asked)
        else:
            self._ask_for(block["number"] + 1, block["size"], asked)
        return True

    def _ask_for(self, number: int, size: int, asked: Asked) -> None:
        block = {"number": number, "more": False, "size": size}
        self._ask({**_leg(asked.message), "token": self._token(), "block2": block}, asked)

    def _fetch_rest(self, message: Message, asked: Asked) -> None:
        """Fetch what is left of a notification, by requests of their own (RFC 7959, section 2.6)."""
        if not self._is_newer(message, asked):
            asked.body = b""
            return
        self._expect(asked, message.get("max_age", MAX_AGE) + self._session.uniform(5.0, 15.0))
        rest = Asked({**asked.message, "observe": None}, asked.peer, asked.ticket)
        rest.body, rest.etag, rest.whole, rest.told = asked.body, asked.etag, message, asked.told
        asked.body, asked.ticket = b"", None
        block = message["block2"]
        self._ask_for(block["number"] + 1, block["size"], rest)

    def _is_newer(self, message: Message, asked: Asked) -> bool:
        """Whether a notification is newer than the last (RFC 7641, section 3.4)."""
        now, number, last = self._session.now, message["observe"], asked.number
        ahead = (number - last) % NUMBERS
        if last >= 0 and not 0 < ahead < NUMBERS // 2 and now <= asked.notified_at + FRESH_S:
            return False
        asked.number, asked.notified_at = number, now
        return True

    def _hold(self, message: Message, asked: Asked) -> None:
        same = _same(asked.message, asked.peer)
        if same in self._held or len(self._held) < MOST_HELD:
            seconds = message.get("max_age", MAX_AGE)
            self._held[same] = until = self._session.now + seconds
            self._session.call_later(seconds, self._release, same, until)

    def _release(self, same: Any, until: float) -> None:
        if self._held.get(same) == until:  # and nobody has asked for more since
            del self._held[same]
            self._forget()

    def _forget(self) -> None:
        if not self._asked and not self._held:
            self._session.forget(self)

    def _hand_up(self, message: Message, peer: Peer, asked: Asked) -> None:
        if asked.told is not None:
            asked.told(message)
            return
        ticket, asked.ticket = asked.ticket, None
        self._session.answered(message, peer, ticket)

    def _end(self, asked: Asked) -> None:
        if self._asked.get(asked.key) is asked:
            del self._asked[asked.key]
            self._forget()
        if asked.timer is not None:
            asked.timer.cancel()

    def _fail(self, asked: Asked, reason: str) -> None:
        self._end(asked)
        if asked.ticket is not None:
            asked.ticket.give_up(reason)
        if asked.told is not None:
            asked.told(None)


def is_group(address: int) -> bool:
    """Whether it is a multicast address."""
    return address >> 28 == 0xE if address < 1 << 32 else address >> 120 == 0xFF


def _leg(message: Message) -> Message:
    return {name: value for name, value in message.items() if name not in LEG}


def _same(message: Message, peer: Peer) -> Any:
    """What makes requests the same (RFC 8516, section 4)."""
    return *peer.endpoint, message["code"], message.get("path"), *message.get("query", ())


def _ignore(message: Message | None) -> None:
    """What becomes of a request is nobody's concern."""
