"""What devices have asked and wait to be answered, as far as rules of their fleet care: those that name
``request``, or are for what is ``unanswered``. For a fleet without such rules there is none of this.

A session that asks in a way of its own knows which message answers which, and when it gives up. For others,
and without a session, an answer is the next message from where the request went that has the same values in
the fields that the protocol echoes; what is not answered in `ANSWER_WITHIN_S` is not answered.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from iotsim.session import Ticket

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from iotsim.device.fleet import SimDevice
    from iotsim.device.reaction import Reaction, Responder
    from iotsim.device.schedule import Endpoint
    from iotsim.session.host import Message, Timer
    from iotsim.simulation.timers import Timers

    Key = tuple[Any, ...]
    Unanswered = Callable[[SimDevice, int, Mapping[str, Any], Endpoint], None]

ANSWER_WITHIN_S = 5.0


class Waiting(NamedTuple):
    request: Mapping[str, Any]
    timer: Timer


class Requests:
    """Those of the devices of one service. `otherwise` are its rules, and what comes after them;
    `unanswered(device, reboots, request, to)` is told of what nobody has answered."""

    def __init__(
        self, echo: Sequence[str], otherwise: Responder, timers: Timers, unanswered: Unanswered
    ) -> None:
        self._paths = [path.split(".") for path in echo]
        self._otherwise = otherwise
        self._timers = timers
        self._unanswered = unanswered
        self._waiting: dict[Key, Waiting] = {}

    def note(self, device: SimDevice, request: Mapping[str, Any], to: Endpoint, now: float) -> None:
        """`device` has asked, and whoever answers has to repeat something of it."""
        if not self._paths:
            return
        key = self._key(device, request, to)
        before = self._waiting.pop(key, None)
        if before is not None:
            before.timer.cancel()
        due = now + ANSWER_WITHIN_S
        timer = self._timers.call_at(due, self._give_up, key, device, request, to)
        self._waiting[key] = Waiting(request, timer)

    def ticket(self, device: SimDevice, request: Message, to: Endpoint) -> RuleTicket:
        """For a session that knows itself what answers its requests."""
        reboots = device.reboots
        return RuleTicket(request, lambda: self._unanswered(device, reboots, request, to))

    def respond(self, device: SimDevice, message: Message, now: float) -> Reaction:
        """What rules make of `message`, which may be an answer."""
        if device.peer is not None and self._waiting:
            waiting = self._waiting.pop(self._key(device, message, device.peer), None)
            if waiting is not None:
                waiting.timer.cancel()
                with answering(device, waiting.request):
                    return self._otherwise(device, message, now)
        return self._otherwise(device, message, now)

    def _give_up(
        self, key: Key, device: SimDevice, request: Mapping[str, Any], to: Endpoint
    ) -> None:
        del self._waiting[key]
        self._unanswered(device, key[1], request, to)

    def _key(self, device: SimDevice, message: Mapping[str, Any], endpoint: Endpoint) -> Key:
        values = (repr(field_at(message, path)) for path in self._paths)
        return device.index, device.reboots, *endpoint, *values


@contextmanager
def answering(device: SimDevice, request: Mapping[str, Any]) -> Iterator[None]:
    """What rules and expectations look at inside is the answer to `request`."""
    before, device.fleet.asked = device.fleet.asked, request
    try:
        yield
    finally:
        device.fleet.asked = before


class RuleTicket(Ticket):
    """A ticket of a request for whose answer no code waits: it goes to the rules."""

    __slots__ = ("_unanswered",)
    awaited = False

    def __init__(self, request: Message, unanswered: Callable[[], None]) -> None:
        super().__init__(request)
        self._unanswered = unanswered

    def answer(self, message: Message) -> None:
        self.done = True

    def give_up(self, reason: str = "timeout") -> None:
        if not self.done:
            self.done = True
            self._unanswered()

    def needs_none(self, reason: str) -> None:
        self.done = True


def field_at(message: Any, path: Sequence[str]) -> Any:
    """The field of a message; None if it has none."""
    for name in path:
        message = message.get(name) if isinstance(message, Mapping) else None
    return message
