"""Conversations: coroutines that no event loop runs, but what they wait for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iotsim.errors import IotsimError

if TYPE_CHECKING:
    from collections.abc import Coroutine, Generator


class Unanswered(IotsimError):  # noqa: N818  # reads as what it says: except Unanswered
    """Nobody answered a request in time, or it was refused; ``reason`` says which."""

    def __init__(self, reason: str = "timeout") -> None:
        self.reason = reason
        super().__init__(reason)


class Pause:
    """What a conversation waits for. ``wake`` and ``fail`` end it; only the first call counts.

    It is its own iterator, as ``await`` wants one: a fleet of sleepers has one object less for each.
    """

    __slots__ = ("_error", "_value", "conversation", "done")

    def __init__(self) -> None:
        self.done = False
        self.conversation: Conversation | None = None
        """The one that waits for it."""
        self._value: Any = None
        self._error: BaseException | None = None

    def wake(self, value: Any = None) -> None:
        self._end(value, None)

    def fail(self, error: BaseException) -> None:
        self._end(None, error)

    def _end(self, value: Any, error: BaseException | None) -> None:
        if not self.done:
            self.done, self._value, self._error = True, value, error
            if self.conversation is not None:
                self.conversation.resume()

    def __await__(self) -> Generator[Pause, None, Any]:
        return self  # type: ignore[return-value]  # it does all that `await` asks of one

    def __iter__(self) -> Pause:
        return self

    def __next__(self) -> Pause:
        if not self.done:
            return self
        if self._error is not None:
            raise self._error
        raise StopIteration(self._value)


class Ticket(Pause):
    """A request of the device's that waits for its answer.

    The session that gets one in ``submit`` hands up the answer by `Session.answered` with it, or calls
    `give_up`; `needs_none`, if no answer is to come. ``awaited`` tells that code waits for it, and not rules.
    """

    __slots__ = ("request",)
    awaited = True

    def __init__(self, request: dict[str, Any]) -> None:
        super().__init__()
        self.request = request

    def answer(self, message: dict[str, Any]) -> None:
        self.wake(message)

    def give_up(self, reason: str = "timeout") -> None:
        self.fail(Unanswered(reason))

    def needs_none(self, reason: str) -> None:
        """What was said is no request."""
        self.give_up(reason)


class Conversation:
    """A coroutine that is resumed whenever what it waits for has come. What it raises passes through
    whoever resumed it."""

    __slots__ = ("_coroutine", "_resuming")

    def __init__(self, coroutine: Coroutine[Pause, None, None]) -> None:
        self._coroutine: Coroutine[Pause, None, None] | None = coroutine
        self._resuming = False

    @property
    def running(self) -> bool:
        """Whether it has not come to its end."""
        return self._coroutine is not None

    def resume(self) -> None:
        coroutine = self._coroutine
        if coroutine is None or self._resuming:
            return
        self._resuming = True
        try:
            while True:
                pause = coroutine.send(None)
                if self._coroutine is None:  # it was closed by what it did
                    coroutine.close()
                    return
                if not pause.done:
                    pause.conversation = self
                    return
        except StopIteration:
            self._coroutine = None
        except BaseException:
            self._coroutine = None
            raise
        finally:
            self._resuming = False

    def close(self) -> None:
        """It goes no further."""
        coroutine, self._coroutine = self._coroutine, None
        if coroutine is not None and not self._resuming:
            coroutine.close()
