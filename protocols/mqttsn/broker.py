"""What a gateway keeps: topic ids, retained messages, and its clients with what waits for them.

All of it is bounded: clients and buffers as the model says, the rest as here.
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import TYPE_CHECKING, Any

from .topics import matches

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .line import Line, Outgoing
    from .model import Model

    Message = dict[str, Any]

MOST_TOPICS = 4096
MOST_RETAINED = 1024
MOST_SUBSCRIPTIONS = 64
"""Of each client."""
TOLERANCE, SHORT_TOLERANCE, SHORT_S = 1.1, 1.5, 60
"""A client is lost after so many times its keep alive, or its time asleep (section 7.2)."""


class State(Enum):
    """Of a client, as its gateway sees it (section 6.14, figure 3)."""

    ACTIVE = "active"
    ASLEEP = "asleep"
    AWAKE = "awake"
    DISCONNECTED = "disconnected"
    LOST = "lost"


CONNECTED = (State.ACTIVE, State.ASLEEP, State.AWAKE)
HEARS = (State.ACTIVE, State.AWAKE)


class Subscriber:
    """A client of the gateway."""

    __slots__ = (
        "clean",
        "client_id",
        "draining",
        "duration",
        "farewells",
        "known",
        "line",
        "predefined",
        "queue",
        "slept",
        "state",
        "subscriptions",
        "timer",
        "will",
    )

    def __init__(self, line: Line, client_id: str) -> None:
        self.line = line
        self.client_id = client_id
        self.clean = True
        self.duration = 0
        """In seconds: within that time something is to be heard of it. 0 is for ever."""
        self.state = State.ACTIVE
        self.slept = False
        self.subscriptions: dict[str, int] = {}
        """The QoS by filter."""
        self.known: set[str] = set()
        """The topics of which it knows the ids."""
        self.predefined: set[str] = set()
        """Those that it has referred to by their predefined ids."""
        self.queue: deque[Outgoing] = deque()
        self.draining = False
        self.will: Message | None = None
        self.timer: Any = None
        self.farewells = 0
        """How often a repeated DISCONNECT has been answered."""

    @property
    def allowance(self) -> float:
        """In seconds: after so long in silence it is lost."""
        return self.duration * (TOLERANCE if self.duration > SHORT_S else SHORT_TOLERANCE)

    def qos_of(self, topic: str) -> int | None:
        """The highest QoS of its subscriptions to `topic`; None if there is none."""
        found = [qos for wanted, qos in self.subscriptions.items() if matches(wanted, topic)]
        return max(found, default=None)

    def resume(self, former: Subscriber) -> None:
        """Go on where the same client was before (section 6.3)."""
        self.subscriptions, self.queue = former.subscriptions, former.queue
        self.will = former.will
        self.line.resume(former.line)
        if former.slept:  # it has not forgotten what topic ids stand for
            self.known, self.predefined = former.known, former.predefined

    def sleep(self, duration: int) -> None:
        """What waits for it waits for at most so many seconds more."""
        self.state, self.duration, self.slept = State.ASLEEP, duration, True
        self._stop("asleep")

    def move(self, line: Line) -> None:
        """It is to be reached by another line, by which what waits for an answer is sent again."""
        former, self.line = self.line, line
        line.resume(former)
        former.give_up("it has moved")

    def end(self, reason: str, state: State = State.DISCONNECTED) -> None:
        """Nothing is expected of it any more, and nothing is passed on to it."""
        self.state = state
        self._stop(reason)
        if self.clean:
            self.subscriptions, self.queue = {}, deque()

    def _stop(self, reason: str) -> None:
        if self.timer is not None:
            self.timer.cancel()
        self.line.give_up(reason)


class Asked:
    """A request of a client's, until it is settled."""

    __slots__ = ("client", "line", "message", "settled", "told")

    def __init__(
        self, message: Message, said: Message, line: Line, client: Subscriber | None
    ) -> None:
        self.message = message
        self.told = said
        """The same as rules see it."""
        self.line = line
        self.client = client
        """None of who connects, and of QoS -1."""
        self.settled = False


class Topics:
    """The topic ids of a gateway, the same for all of its clients."""

    __slots__ = ("_ids", "_names", "_next", "_taken")

    def __init__(self, model: Model) -> None:
        self._taken = set(model.topics.values())
        self._ids: dict[str, int] = {}
        self._names: dict[int, str] = {}
        self._next = 1

    def id_of(self, name: str) -> int | None:
        """The id of `name`, which is given one if it has none; None if there are no more."""
        number = self._ids.get(name)
        if number is None and len(self._ids) < MOST_TOPICS:
            while self._next in self._taken:
                self._next += 1
            number = self._next
            if number > 0xFFFE:  # 0xFFFF is reserved (section 5.3.11)
                return None
            self._next += 1
            self._ids[name] = number
            self._names[number] = name
        return number

    def name_of(self, number: int) -> str | None:
        return self._names.get(number)


class Retained:
    """The last publication with the flag retain, of each topic."""

    __slots__ = ("_messages",)

    def __init__(self) -> None:
        self._messages: dict[str, Message] = {}

    def keep(self, message: Message) -> bool:
        """Keep a publication, or forget the topic's if it has no data; False if there is no room."""
        topic = message["topic"]
        if not len(message["data"]):
            self._messages.pop(topic, None)
            return True
        if topic not in self._messages and len(self._messages) >= MOST_RETAINED:
            return False
        self._messages[topic] = message
        return True

    def matching(self, wanted: str) -> Iterator[Message]:
        return (one for topic, one in self._messages.items() if matches(wanted, topic))
