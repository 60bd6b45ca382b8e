"""Observers: clients that are told of a resource's state whenever it changes (RFC 7641).

A resource is looked at every so often for each of them, as the model says, and at once after a request has
written to it. There is a notification if it is another representation than that before, or if that is about
to be no longer fresh. Each is a NON message, unless the resource says otherwise, but for every
`CONFIRM_EVERY`-th, and at least one a day (section 4.5): one that is not acknowledged, or reset, ends the
observation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .codes import code_class
from .transmission import ACKNOWLEDGED

if TYPE_CHECKING:
    from iotsim import Peer

    from .model import Resource
    from .server import Coap

    Message = dict[str, Any]

CONFIRM_EVERY = 20
CONFIRM_AFTER = 24 * 3600.0
"""In seconds."""
MAX_AGE = 60
"""In seconds, where a response has none (RFC 7252, section 5.10.5)."""
REGISTER, DEREGISTER = 0, 1
NUMBERS = 1 << 24
NOT_SAID_YET = object()
"""The content format of who has only been told that what it has is valid (section 3.3.1)."""


class Observation:
    """What one client observes, with one token."""

    __slots__ = (
        "confirmed_at",
        "content_format",
        "count",
        "evaluated_at",
        "has_waited",
        "key",
        "message_id",
        "peer",
        "pending",
        "request",
        "resource",
        "said",
        "said_at",
        "stale_at",
        "timer",
    )

    def __init__(self, request: Message, peer: Peer, resource: Resource, now: float) -> None:
        self.request = request
        self.peer = peer
        self.resource = resource
        self.key = (peer.address, peer.port, request["token"])
        self.confirmed_at = now
        self.count = 0
        """Of notifications."""
        self.pending = False
        """Whether a notification is confirmable and not acknowledged yet."""
        self.has_waited = False
        """Whether the resource was to be looked at meanwhile."""
        self.message_id = -1
        self.content_format: Any = NOT_SAID_YET
        self.said: Any = None
        """The state of the last one (`Observers.state_of`), and when that was told."""
        self.said_at = now
        self.evaluated_at = now
        """When it was last asked whether there is news; for what is built on CoAP."""
        self.stale_at = 0.0
        self.timer: Any = None


class Observers:
    """Those of a device: at most as many as the model says."""

    __slots__ = ("_number", "_of", "_session")

    def __init__(self, session: Coap) -> None:
        self._session = session
        self._of: dict[tuple[int, int, bytes], Observation] = {}
        self._number = 0

    def register(self, request: Message, peer: Peer, resource: Resource, answer: Message) -> None:
        """Who asks with observe = 0 is told from now on, if there is room; `answer`, which is yet to be
        sent, is then the first notification."""
        session = self._session
        observation = Observation(request, peer, resource, session.now)
        old = self._of.get(observation.key)
        if old is None and len(self._of) >= session.model.observers:
            return
        if old is not None:
            old.timer.cancel()
        self._of[observation.key] = observation
        if answer["code"] != "VALID":
            observation.content_format = answer.get("content_format")
        self._keep(observation, answer)
        self._look_later(observation)

    def cancel(self, peer: Peer, token: bytes) -> None:
        """The client with this token is told no more (section 3.6)."""
        self._remove(self._of.get((peer.address, peer.port, token)))

    def reset(self, peer: Peer, message_id: int) -> None:
        """The client has no use for a notification (section 3.2)."""
        for observation in self.all():
            if observation.message_id == message_id and observation.key[:2] == peer.endpoint:
                self._remove(observation)

    def changed(self, path: str) -> None:
        """Look at a resource at once."""
        for observation in self.at(path):
            self.look(observation)

    def tell(self, path: str, message: Message) -> None:
        """Tell the observers of a resource what the scenario says."""
        for observation in self.at(path):
            self.notify(observation, dict(message))

    # What is built on CoAP may have other reasons to tell an observer.

    def state_of(self, answer: Message) -> Any:
        """What makes an answer another than that before."""
        return answer.get("payload", answer.get("etag")), answer["code"]

    def is_news(self, observation: Observation, answer: Message) -> bool:
        """Whether there is a notification, if the device would now answer so."""
        return (
            self.state_of(answer) != observation.said or self._session.now >= observation.stale_at
        )

    def due(self, observation: Observation) -> float:
        """When to look at the resource next."""
        now = self._session.now
        interval = observation.resource.observe or MAX_AGE
        return min(now + interval, max(observation.stale_at, now + 1.0))

    def __len__(self) -> int:
        return len(self._of)

    def all(self) -> list[Observation]:
        return list(self._of.values())

    def at(self, path: str) -> list[Observation]:
        """Those of a resource."""
        return [one for one in self._of.values() if one.request["path"] == path]

    def _remove(self, observation: Observation | None) -> None:
        if observation is not None and self._of.get(observation.key) is observation:
            del self._of[observation.key]
            observation.timer.cancel()

    def _keep(self, observation: Observation, answer: Message) -> None:
        """Number a notification, and remember what it says."""
        now = self._session.now
        self._number = (self._number + 1) % NUMBERS
        answer["observe"] = self._number
        observation.said, observation.said_at = self.state_of(answer), now
        observation.stale_at = now + answer.get("max_age", MAX_AGE)

    def _look_later(self, observation: Observation) -> None:
        wait = self.due(observation) - self._session.now
        observation.timer = self._session.call_later(wait, self.look, observation)

    def look(self, observation: Observation) -> None:
        """See whether there is something to tell."""
        session = self._session
        observation.timer.cancel()
        if observation.pending:  # one at a time (section 4.5.1): what is new is told after it
            observation.has_waited = True
        else:
            answer = session.evaluate(dict(observation.request), observation.peer)
            if answer is not None and self.is_news(observation, answer):
                self.notify(observation, answer)
        if self._of.get(observation.key) is observation:
            self._look_later(observation)

    def notify(self, observation: Observation, answer: Message) -> None:
        """Tell who observes what the device would now answer."""
        session, peer, now = self._session, observation.peer, self._session.now
        answer.pop("path", None)
        if code_class(answer["code"]) == 2 and answer["code"] != "VALID":
            format_ = answer.get("content_format")
            if observation.content_format is NOT_SAID_YET:
                observation.content_format = format_
            if format_ != observation.content_format:
                answer = {"code": "NOT_ACCEPTABLE"}  # section 4.2
        if code_class(answer["code"]) == 2:
            self._keep(observation, answer)
            observation.count += 1
        else:
            self._remove(observation)
        confirm = (
            observation.resource.confirmable
            or observation.count % CONFIRM_EVERY == 0
            or now - observation.confirmed_at >= CONFIRM_AFTER
        )
        answer["token"] = observation.request["token"]
        answer["message_id"] = observation.message_id = session.next_id()
        answer["type"] = "CON" if confirm else "NON"
        said, answer = answer, session.in_blocks(answer, observation.request, peer)
        if not confirm:
            session.send(answer, peer, says=said)
            return
        observation.pending, observation.has_waited = True, False
        observation.confirmed_at = now

        def ended(how: str) -> None:
            observation.pending = False
            if how != ACKNOWLEDGED:
                self._remove(observation)
            elif observation.has_waited and self._of.get(observation.key) is observation:
                self.look(observation)

        session.transmissions.send(answer, peer, ended, says=said)
