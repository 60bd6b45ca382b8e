"""Segmented messages (clauses 5.3 and 5.4): put together from segments, and cut into them."""

from __future__ import annotations

from typing import Any, NamedTuple

from iotsim import Peer, Recent, Session

from .message import Message, read_service
from .tags import MalformedError

MOST_SEGMENTS = 64
"""Of a request, as Max_Segments_Accepted says."""
ASSEMBLIES = 16
"""Requests, and responses, that are under way in segments at a time."""
HEADER = 5
"""The most octets that a segment of a response has before its data."""


class Incoming:
    """A request that comes in segments."""

    def __init__(self, window: int) -> None:
        self.window = window
        self.parts: list[bytes] = []
        self.since = 0
        """Segments since the last acknowledgement."""

    def take(self, message: Message) -> tuple[bool, bool]:
        """Whether the segment is to be acknowledged, and whether that is a negative one."""
        number = message["sequence_number"]
        if number != len(self.parts) & 255:
            # One that came before is only acknowledged again (5.4.5.2, DuplicateSegmentReceived).
            behind = (len(self.parts) - 1 - number) & 255
            return True, behind >= self.window
        self.parts.append(message["data"])
        self.since += 1
        if self.since >= self.window or not message["more_follows"]:
            self.since = 0
            return True, False
        return False, False


class Outgoing:
    """A response that goes out in segments, a window at a time. With its last one, `whole` is said."""

    def __init__(
        self,
        whole: Message,
        parts: list[bytes],
        peer: Peer,
        window: int,
        session: Session,
    ) -> None:
        self.head = {name: whole[name] for name in ("apdu", "invoke_id", "service", "destination")}
        self.whole = whole
        self.last = b""
        """The datagram with its last segment."""
        self.parts, self.peer = parts, peer
        self.proposed, self.window = window, 1
        self.first = 0
        """The first segment that is not acknowledged."""
        self.tries = 0
        self.timer: Any = None
        self._session = session

    def fill(self) -> None:
        """Send a window (5.4.4, FillWindow)."""
        for number in range(self.first, min(self.first + self.window, len(self.parts))):
            segment = {
                **self.head,
                "sequence_number": number & 255,
                "more_follows": number + 1 < len(self.parts),
                "window": self.proposed,
                "data": self.parts[number],
            }
            if segment["more_follows"]:
                self._session.send(segment, self.peer)
            elif self.last:
                self._session.resend(self.last, self.peer)
            else:
                self.last = self._session.send(segment, self.peer, says=self.whole)

    def acknowledge(self, message: Message) -> bool:
        """Whether the acknowledgement is of the window that is under way."""
        offset = (message["sequence_number"] - self.first) & 255
        if offset == 255 and message["negative"]:
            offset = -1
        elif offset >= min(self.window, len(self.parts) - self.first):
            return False
        self.first += offset + 1
        self.window = max(1, min(message["window"], 127))
        return True

    @property
    def done(self) -> bool:
        return self.first >= len(self.parts)


def cut(octets: bytes, size: int) -> list[bytes]:
    return [octets[at : at + size] for at in range(0, len(octets), size)]


class Request(NamedTuple):
    """A request, and whom its answer goes to."""

    message: Message
    peer: Peer


class InSegments(Session):
    """What of a session is about segments, and the answers to those that are none."""

    def __init__(self) -> None:
        patience = 4 * self.model.segment_timeout
        self._incoming: Recent[Any, Incoming] = Recent(patience, ASSEMBLIES)
        self._ended: Recent[Any, bool] = Recent(patience, ASSEMBLIES)
        """Requests of which segments may come again, or acknowledgements of those of their responses."""
        self._outgoing: dict[Any, Outgoing] = {}

    def _segment(self, message: Message, peer: Peer) -> None:
        """A segment of a request."""
        key = peer.endpoint, str(message["source"]), message["invoke_id"]
        if self.model.segmentation not in ("both", "receive"):
            self._abort(message, peer, "SEGMENTATION_NOT_SUPPORTED")
            return
        incoming = self._incoming.get(key, self.now)
        if incoming is None:
            if message["apdu"] != "CONFIRMED_REQUEST":
                return
            if message["sequence_number"]:
                # Clause 5.4.5.1, UnexpectedPDU_Received: as of a request from before a reboot.
                if self._ended.get(key, self.now) is None:
                    self._abort(message, peer, "INVALID_APDU_IN_THIS_STATE")
                return
            if not 1 <= message["window"] <= 127:
                self._abort(message, peer, "WINDOW_SIZE_OUT_OF_RANGE")
                return
            incoming = Incoming(min(message["window"], self.model.window))
            # Clause 5.4.5.1: the first segment is acknowledged by itself.
            incoming.since = incoming.window - 1
        self._incoming.renew(key, incoming, self.now)
        acknowledge, negative = incoming.take(message)
        if len(incoming.parts) > MOST_SEGMENTS:
            self._end_incoming(key)
            self._abort(message, peer, "BUFFER_OVERFLOW")
            return
        if acknowledge:
            answer = {
                "apdu": "SEGMENT_ACK",
                "negative": negative,
                "sequence_number": (len(incoming.parts) - 1) & 255,
                "window": incoming.window,
            }
            self._send_to(answer, message, peer)
        complete = not negative and not message["more_follows"]
        if complete and message["sequence_number"] == (len(incoming.parts) - 1) & 255:
            self._end_incoming(key)
            self._assembled(message, b"".join(incoming.parts), peer)

    def _end_incoming(self, key: Any) -> None:
        self._incoming.pop(key)
        self._ended.renew(key, True, self.now)

    def _assembled(self, last: Message, octets: bytes, peer: Peer) -> None:
        apart = ("sequence_number", "more_follows", "window", "data")
        message = {name: value for name, value in last.items() if name not in apart}
        try:
            message.update(read_service(message["apdu"], message["service"], octets, 0))
        except MalformedError as malformed:
            self.send(self._rejected(message, malformed.reject), peer)
            return
        self.deliver(message, peer, Request(message, peer))

    def _abort(self, message: Message, peer: Peer, reason: str) -> None:
        self._send_to({"apdu": "ABORT", "reason": reason}, message, peer)

    def _send_to(self, answer: Message, message: Message, peer: Peer) -> None:
        whole = {**answer, "invoke_id": message["invoke_id"], "destination": message["source"]}
        self.send(whole, peer)

    def _segment_answered(self, message: Message, peer: Peer) -> None:
        """An acknowledgement of segments of a response; or the end of that, or of a request."""
        if message["server"]:
            return
        key = peer.endpoint, str(message["source"]), message["invoke_id"]
        outgoing = self._outgoing.get(key)
        if message["apdu"] == "ABORT":
            self._end_incoming(key)
            self._finish(key)
        elif outgoing is None:
            # Clause 5.4.5.1, UnexpectedPDU_Received, but for what a network has doubled.
            if self._ended.get(key, self.now) is None:
                self._abort(message, peer, "INVALID_APDU_IN_THIS_STATE")
        elif outgoing.acknowledge(message):
            outgoing.tries = 0
            if outgoing.done:
                self._finish(key)
                self._ended.renew(key, True, self.now)
            else:
                self._fill(key, outgoing)

    def _finish(self, key: Any) -> None:
        outgoing = self._outgoing.pop(key, None)
        if outgoing is not None and outgoing.timer is not None:
            outgoing.timer.cancel()

    def _fill(self, key: Any, outgoing: Outgoing) -> None:
        if outgoing.timer is not None:
            outgoing.timer.cancel()
        outgoing.fill()
        outgoing.timer = self.call_later(self.model.segment_timeout, self._again, key, outgoing)

    def _again(self, key: Any, outgoing: Outgoing) -> None:
        outgoing.tries += 1
        if outgoing.tries > self.model.apdu_retries:
            self._finish(key)
        else:
            self._fill(key, outgoing)

    def _in_segments(self, message: Message, octets: bytes, room: int, exchange: Request) -> None:
        request, peer = exchange
        accepted = request["segmented_response_accepted"]
        parts = cut(octets, room)
        most = request["max_segments"]
        if not accepted or self.model.segmentation not in ("both", "transmit"):
            self._abort(request, peer, "SEGMENTATION_NOT_SUPPORTED")
        elif 0 < most <= 64 and len(parts) > most:
            self._abort(request, peer, "BUFFER_OVERFLOW")
        elif len(self._outgoing) >= ASSEMBLIES:
            self._abort(request, peer, "OUT_OF_RESOURCES")
        else:
            key = peer.endpoint, str(request["source"]), request["invoke_id"]
            self._finish(key)
            outgoing = Outgoing(message, parts, peer, self.model.window, self)
            self._outgoing[key] = outgoing
            self._fill(key, outgoing)

    def _rejected(self, message: Message, reason: str) -> Message:
        answer = {"apdu": "REJECT", "invoke_id": message["invoke_id"], "reason": reason}
        return {**answer, "destination": message["source"]}
