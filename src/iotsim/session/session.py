"""`Session`: the base class of what a protocol does between the wire and what a device says."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from iotsim.rng import unit
from iotsim.session.conversation import Conversation, Pause, Ticket, Unanswered
from iotsim.session.host import Message, Peer
from iotsim.userfile import check_plain

if TYPE_CHECKING:
    from iotsim.errors import DecodeError
    from iotsim.session.host import DeviceView, Host, Timer
    from iotsim.session.model import Cell

Until: TypeAlias = Callable[[Message], bool]


class Waiter(NamedTuple):
    """Somebody who waits for a message: from ``whom``, at the same port of the device's, or from anybody; the
    next one, or the next for which ``until`` holds."""

    pause: Pause
    whom: Peer | None
    until: Until | None

    def wants(self, message: Message, peer: Peer) -> bool:
        whom = self.whom
        if whom is not None and (whom.endpoint, whom.local_port) != (
            peer.endpoint,
            peer.local_port,
        ):
            return False
        return self.until is None or self.until(message)


NOBODY = (
    "there is nobody to ask: the scenario declares no gateway, and nobody has spoken to the device"
)
CALLED = ("receive", "carried", "refuse", "respond", "reply", "submit", "check")
"""The methods that are called, and not awaited."""
ANSWER = "consumed.answer"
"""The message answered a request of the device's."""


class Session:
    """The base class of sessions; see the package. ``__init__`` takes no arguments, and everything below
    works in it already.

    What escapes from a session (an exception, whatever datagram made it) is an error of the run with its
    traceback; the device goes on with a new session.
    """

    __slots__ = (
        "_closed",
        "_conversations",
        "_draws",
        "_host",
        "_waiters",
        "_written",
        "device",
        "model",
    )

    _host: Host
    _draws: int
    _closed: bool
    _waiters: Sequence[Waiter]
    _conversations: Sequence[Conversation]
    _written: dict[Cell, Any] | None
    device: DeviceView
    model: Any
    """What the scenario says of the fleet in this protocol, as the protocol's model class has it."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for name in CALLED:
            check_plain(
                getattr(cls, name),
                f"{cls.__name__}.{name}()",
                "it is called and not awaited, so it must be a plain 'def'; what waits belongs in "
                "'async def run', or is what start() is given",
            )

    @classmethod
    def _made_for(cls, host: Host, device: DeviceView, model: Any, draws: int = 0) -> Session:
        """The simulation's way to make one. ``draws``: so many random numbers of the device's are used."""
        session = cls.__new__(cls)
        session._host, session.device, session.model = host, device, model
        session._draws = draws
        session._closed = False
        session._waiters = session._conversations = ()
        session._written = None
        session.__init__()  # type: ignore[misc]
        return session

    # -- what a protocol overrides --------------------------------------------------------------------

    @classmethod
    def check(cls, message: Mapping[str, Any], model: Any) -> None:
        """Raise EncodeError if a device with `model` cannot say `message`, for a reason that no schema knows.

        It is called as a scenario is loaded, for each message of its rules, with all its fields, those that
        encoding passes over among them; what is an expression there has a stand-in here, of which nothing
        is told that is wrong.
        """

    def receive(self, message: Message, peer: Peer) -> None:
        """A datagram has come. By default it concerns the device."""
        self.deliver(message, peer)

    def carried(self, message: Message, peer: Peer) -> list[Message] | None:
        """What the device would have been handed of a datagram that it never had, as impairments have lost
        it, or the device was away; [] for nothing, None if that is not known. Nothing changes by it.

        It is asked where the messages above a session have a schema of their own, for expectations that
        hold because something did not come. While nobody knows, they are in doubt until the very datagram
        comes again.
        """
        return None

    def refuse(self, datagram: bytes, error: DecodeError, peer: Peer) -> Message | None:
        """The device's own answer to a datagram that is no message, for which `error` is the reason. By
        default, the ``error_reply`` of the protocol. A group is not answered."""
        return None

    def respond(self, message: Message, peer: Peer) -> Message | list[Message] | None:
        """The device's own answer to what neither a rule nor a behavior took, out of its model: one or
        several messages; [] if it takes the message, and has nothing to say; None if it does not take it."""
        return None

    def reply(self, message: Message, exchange: Any) -> None:
        """Send the answer to what was delivered with `exchange`, which by default is its peer: whenever,
        in whatever form, by a `send` that `says` it."""
        self.send(message, exchange, says=message)

    def submit(self, message: Message, peer: Peer, ticket: Ticket | None) -> None:
        """Send what the device says by itself, likewise; with a `ticket`, somebody waits for an answer."""
        self.send(message, peer, says=message)
        if ticket is not None and ticket.awaited:
            waiting = [one for one in self._waiters if not one.pause.done]
            self._waiters = [*waiting, Waiter(ticket, peer, None)]
        elif ticket is not None:
            self._host.expect(self, ticket, peer)

    async def run(self) -> None:
        """What the device does by itself, from its boot on; a reboot ends it."""

    # -- messages -----------------------------------------------------------------------------------

    def deliver(self, message: Message, peer: Peer, exchange: Any = None) -> str:
        """Hand a message to the device: its rules, its behavior, and `respond`.

        The answer comes by `reply`, with `exchange`: before this returns, or later where a rule has a
        delay. Returns what became of it: ``answered``, ``pending``, ``consumed.no-rule``,
        ``consumed.no-reply`` (it was taken, and there is nothing to say) or ``consumed.drop-rule`` (as if
        it had never come).
        """
        return self._host.deliver(self, message, peer, peer if exchange is None else exchange)

    def answered(self, message: Message, peer: Peer, ticket: Ticket | None) -> str:
        """Hand up the answer to a request of the device's: to who waits for it, else to the rules."""
        if ticket is None or not ticket.awaited or ticket.done:
            request = None
            if ticket is not None and not ticket.awaited:
                ticket.answer(message)
                request = ticket.request
            return self._host.deliver(self, message, peer, peer, request)
        self._host.observe(self, message, peer)
        ticket.answer(message)
        return ANSWER

    def evaluate(self, message: Message, peer: Peer) -> Message | None:
        """What the device would answer to `message` now, without its having come."""
        return self._host.evaluate(self, message, peer)

    def send(
        self,
        message: Mapping[str, Any],
        peer: Peer,
        *,
        says: Mapping[str, Any] | None = None,
        outside: bool = False,
    ) -> bytes:
        """Send a message of the schema in a datagram, which is returned. EncodeError if it is none.

        With `outside`, what goes to a group is for those on the link, and no other device of the run gets it:
        where every device answers to all, there would be n² messages.

        It is on the wire alone, unless the device `says` something with it, which expectations see once
        the datagram has left: `message` itself, or what that carries in another form, or a part of.
        """
        if peer is None:
            raise ValueError(NOBODY)
        return self._host.transmit(self, message, peer, says, outside)

    def resend(self, datagram: bytes, peer: Peer) -> None:
        """Send the same bytes again. If impairments have lost them so far, the device says now what it was to
        say with them."""
        self._host.resend(self, datagram, peer)

    def unsaid(self, datagram: bytes, peer: Peer) -> Message | None:
        """What the device was to say with a datagram that `send` has returned, if impairments have lost that;
        None if it has said it. It is for who repeats a message in other bytes: what is given is to be said
        with these, as it is given once."""
        return self._host.unsaid(self, datagram, peer)

    # -- time, chance, surroundings -------------------------------------------------------------------

    @property
    def now(self) -> float:
        """Seconds since the start of the run."""
        return self._host.now

    @property
    def wall_time(self) -> float:
        """Unix time, in seconds."""
        return self._host.wall_time + self._host.now

    def call_later(self, delay: float, function: Callable[..., object], *arguments: Any) -> Timer:
        """Call `function` after `delay` seconds, unless the device has rebooted meanwhile."""
        return self._host.call_later(self, delay, function, arguments)

    def uniform(self, low: float, high: float) -> float:
        """A number between `low` and `high`, of this device's own stream, which the seed repeats."""
        self._draws += 1
        return low + (high - low) * unit(self._host.key, self.device.index, self._draws)

    def bits(self, count: int) -> int:
        """A random integer of `count` bits, at most 52, of the same stream."""
        return int(self.uniform(0, 1 << count))

    @property
    def gateway(self) -> Peer | None:
        """Whom the device takes for the gateway: the declared one, else who last spoke to it."""
        return self._host.gateway(self)

    def peer(self, address: int, port: int) -> Peer | None:
        """The peer at `address` and `port`; None if the device has no address of that family."""
        return self._host.peer(self, address, port)

    def open_port(self) -> int:
        """A port of the device's, besides the protocol's, whose datagrams come to `receive`, too. Messages
        leave from there by ``peer.at(port)``. IotsimError if the device has too many."""
        return self._host.open_port(self)

    def close_port(self, port: int) -> None:
        """Close what `open_port` has opened; the end of the session closes all."""
        self._host.close_port(self, port)

    def read(self, cell: Cell) -> Any:
        """The present value of a cell of the model."""
        if cell.evaluate is not None:
            return cell.evaluate(self.device, self._host.now)
        written = self._written
        return cell.literal if written is None else written.get(cell, cell.literal)

    def write(self, cell: Cell, value: Any) -> None:
        """Make `value` that of a cell which is ``writable``."""
        if cell.state:
            self.device.state[cell.state] = value
        elif cell.evaluate is not None:
            raise ValueError("the value of an expression cannot be written")
        else:
            if self._written is None:
                self._written = {}
            self._written[cell] = value

    def reboot(self) -> None:
        """Let the device begin anew, as soon as it has dealt with what it is about: this session ends, state
        and what was written to the model are lost, and it boots as it did first."""
        self._host.reboot(self)

    def log(self, text: object) -> None:
        """Write a note into the run's events."""
        self._host.note(self, str(text))

    # -- conversations --------------------------------------------------------------------------------

    async def sleep(self, seconds: float) -> None:
        pause = Pause()
        self.call_later(seconds, pause.wake)
        await pause

    async def request(self, message: Message, peer: Peer | None) -> Message:
        """Send by `submit` and wait for the answer. `Unanswered` if the session gives it up, or `peer` is
        None."""
        if peer is None:
            raise Unanswered(NOBODY)
        ticket = Ticket(message)
        self.submit(message, peer, ticket)
        answer: Message = await ticket
        return answer

    async def ask(
        self,
        message: Message,
        peer: Peer | None,
        until: Until,
        *,
        timeout: float,  # noqa: ASYNC109  # there is no event loop
        tries: int = 1,
        backoff: float = 1.0,
        says: Message | None = None,
    ) -> Message:
        """Send `message` until a message from `peer` comes for which `until` holds; return that.

        There are `tries` attempts; each waits `backoff` times as long as the one before, the first
        `timeout` seconds. `Unanswered` if all were in vain, or `peer` is None. What is waited for does not go
        to `receive`. `says` is as in `send`.
        """
        if peer is None:
            raise Unanswered(NOBODY)
        datagram = b""
        for attempt in range(tries):
            if attempt:
                self.resend(datagram, peer)
            else:
                datagram = self.send(message, peer, says=says)
            answer = await self.wait(until, peer, timeout=timeout * backoff**attempt)
            if answer is not None:
                return answer
        raise Unanswered

    async def wait(
        self,
        until: Until,
        peer: Peer | None = None,
        *,
        timeout: float,  # noqa: ASYNC109
    ) -> Message | None:
        """The next message (from `peer`) for which `until` holds, or None after `timeout` seconds."""
        pause = Pause()
        waiter = Waiter(pause, peer, until)
        self._waiters = [*self._waiters, waiter]
        timer = self.call_later(timeout, pause.wake)
        try:
            message: Message | None = await pause
        finally:
            timer.cancel()
            self._waiters = [one for one in self._waiters if one is not waiter]
        return message

    def start(self, conversation: Coroutine[Any, Any, None]) -> None:
        """Let another coroutine run beside ``run``."""
        started = Conversation(conversation)
        self._conversations = (*(one for one in self._conversations if one.running), started)
        started.resume()

    # -- the simulation's ---------------------------------------------------------------------------

    def _take(self, message: Message, peer: Peer) -> None:
        """A datagram has come: it is for who waits for it, else for `receive`."""
        for waiter in self._waiters:
            if not waiter.pause.done and waiter.wants(message, peer):
                self._waiters = [one for one in self._waiters if one is not waiter]
                if isinstance(waiter.pause, Ticket):
                    self.answered(message, peer, waiter.pause)
                else:
                    waiter.pause.wake(message)
                return
        self.receive(message, peer)

    def _close(self) -> None:
        """The session is over: nothing that it has begun goes on."""
        self._closed = True
        for conversation in self._conversations:
            conversation.close()
