"""A device's registration with its server (TS Core, section 6.2): made, kept alive, ended, begun anew.

It registers when it boots. It updates the registration shortly before its end, and when what it has said of
itself is no longer so. What is not answered, or refused, is tried again, each time after twice as long
(section 6.2.1.2). After an update that fails, whatever the reason, the device registers anew: the server does
not know it any more.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from iotsim import Ticket, Unanswered

from .message import Carrier, Message
from .model import MAX_TRANSMIT_WAIT
from .objects import BINDING, DISABLE_TIMEOUT, LIFETIME

if TYPE_CHECKING:
    from .client import Lwm2m

MOST_ASKED = 16
DOUBLINGS = 4
"""So often the time between two attempts doubles."""
DONE = {"REGISTER": "CREATED", "UPDATE": "CHANGED", "DEREGISTER": "DELETED"}
"""What each is answered with (TS Transport, section 6.4.3)."""
DISABLED_S = 86400
"""So long a device stays away that is not told how long (appendix E.2)."""
LINKS = "application/link-format"
NOTHING: Message = {}


class Registration:
    """That of one device."""

    __slots__ = ("_asked", "_disabled", "_session", "_told", "_waits", "location")

    def __init__(self, session: Lwm2m) -> None:
        self._session = session
        self.location = ""
        """The path that it has at the server, "" if there is none."""
        self._told: tuple[Any, ...] = ()
        """What the server knows, of what `_about` says."""
        self._asked: tuple[tuple[str, Ticket | None], ...] = ()
        """What is to be done, and who waits for what becomes of it."""
        self._waits: Ticket | None = None
        self._disabled = math.inf
        """So long it stays away once it has left, in seconds."""

    def ask(self, operation: str, ticket: Ticket | None = None) -> None:
        """Let REGISTER, UPDATE or DEREGISTER be next."""
        if ticket is None and (operation, None) in self._asked:
            return
        if len(self._asked) >= MOST_ASKED:
            if ticket is not None:
                ticket.give_up(f"{MOST_ASKED} others wait already")
            return
        self._asked = (*self._asked, (operation, ticket))
        self._session.call_later(0.0, self._wake)  # after the answer to who has asked for it

    def disable(self) -> None:
        """End it, for as long as the Server object says."""
        timeout = self._server(DISABLE_TIMEOUT)
        self._disabled = float(DISABLED_S if timeout is None else max(0, timeout))
        self.ask("DEREGISTER")

    async def run(self) -> None:
        operation, ticket = "REGISTER", None
        failures = 0
        while True:
            if operation == "UPDATE" and not self.location:
                operation = "REGISTER"
            done = await self._do(operation, ticket)
            if operation == "DEREGISTER":
                wait, operation = self._disabled, "REGISTER"
                self._disabled = math.inf
            elif done:
                failures = 0
                wait, operation = self._interval(), "UPDATE"
            elif operation == "UPDATE":
                wait, operation = 0.0, "REGISTER"
            else:
                wait = self._session.model.retry * (1 << min(failures, DOUBLINGS))
                wait *= self._session.uniform(1.0, 1.25)
                failures += 1
            if not self._asked and wait:
                self._waits = Ticket(NOTHING)
                timer = None if wait == math.inf else self._session.call_later(wait, self._wake)
                await self._waits
                if timer is not None:
                    timer.cancel()
            ticket = None
            if self._asked:
                (operation, ticket), *rest = self._asked
                self._asked = tuple(rest)

    def _wake(self) -> None:
        waits, self._waits = self._waits, None
        if waits is not None:
            waits.answer({})

    # -- one operation -----------------------------------------------------------------------------

    async def _do(self, operation: str, ticket: Ticket | None) -> bool:
        """Do one, and tell who waits for it; whether the server has agreed."""
        if operation == "DEREGISTER" and not self.location:
            if ticket is not None:
                ticket.give_up("the device is not registered")
            return False
        if operation != "UPDATE":
            self._session.forget_observers()  # they last as long as a registration (section 6.4.1)
        try:
            answer = await self._tell(operation)
        except Unanswered as error:
            self._session.log(f"{operation} is not answered: {error}")
            if ticket is not None:
                ticket.give_up(str(error))
            self.location = ""
            return False
        done: bool = answer["code"] == DONE[operation]
        if not done:
            self._session.log(f"{operation} is refused: {answer['code']}")
        elif operation == "REGISTER" and not answer["path"]:
            self._session.log("REGISTER is answered without a location")
            done = False
        if operation == "REGISTER":
            self.location = answer["path"] if done else ""
        elif operation == "DEREGISTER" or not done:
            self.location = ""
        if ticket is not None:
            ticket.answer(answer)
        return done

    async def _tell(self, operation: str) -> Message:
        """Send one to the server; its answer."""
        session = self._session
        server = session.server
        if server is None:
            raise Unanswered("there is no server")
        said: Message = {"operation": operation, "path": self.location, "value": None}
        request: Message = {"code": "DELETE", "path": self.location}
        if operation != "DEREGISTER":
            about = self._about()
            if operation == "REGISTER":
                said["path"] = "/rd"
                said["value"] = value = {**session.identity, **about}
            else:
                said["value"] = value = {
                    key: one
                    for (key, one), told in zip(about.items(), self._told, strict=True)
                    if one != told
                }
            self._told = tuple(about.values())
            request = {"code": "POST", "path": said["path"], **_body(value)}
        return await session.ask_server(Carrier(request, said), server)

    def _about(self) -> Message:
        """What a server knows of the device, and is told when it changes."""
        binding: str = self._server(BINDING)
        found: Message = {"lt": self._server(LIFETIME)}
        if self._session.model.version == "1.0":
            found["b"] = binding
        else:
            found |= {"b": binding.replace("Q", ""), "Q": "Q" in binding}
        found["objects"] = self._session.tree.links()
        return found

    def _interval(self) -> float:
        """In seconds, until the next update."""
        model = self._session.model
        if model.update is not None:
            return float(model.update)
        lifetime: int = self._server(LIFETIME)
        if lifetime <= 0:
            return math.inf  # it has no end (section 6.2.1)
        return max(lifetime / 2, lifetime - MAX_TRANSMIT_WAIT)

    def _server(self, resource: int) -> Any:
        return self._session.server_value(resource)


def _body(value: Message) -> Message:
    """Query and links of a registration (section 6.2.1; TS Transport, section 6.4.3)."""
    query = [f"{key}={one}" for key, one in value.items() if key not in ("Q", "objects")]
    if value.get("Q"):
        query.append("Q")
    found: Message = {"query": query} if query else {}
    if "objects" in value:
        links = [
            '</>;rt="oma.lwm2m";ct="110 112 11542"',
            *(f"<{path}>" for path in value["objects"]),
        ]
        found |= {"content_format": LINKS, "payload": ",".join(links)}
    return found
