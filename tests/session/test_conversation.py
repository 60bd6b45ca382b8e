"""Conversations: coroutines that what they wait for resumes."""

from __future__ import annotations

from typing import Any

import pytest

from iotsim.session.conversation import Conversation, Pause, Ticket, Unanswered


def begin(coroutine: Any) -> Conversation:
    conversation = Conversation(coroutine)
    conversation.resume()
    return conversation


def test_it_goes_on_when_what_it_waits_for_has_come() -> None:
    first, second, heard = Pause(), Pause(), []

    async def talk() -> None:
        heard.append(await first)
        heard.append(await second)

    conversation = begin(talk())
    assert (heard, conversation.running) == ([], True)
    first.wake("a")
    first.wake("not heard: only the first call counts")
    second.wake("b")
    assert (heard, conversation.running) == (["a", "b"], False)


def test_what_has_come_before_it_is_waited_for_is_not_missed() -> None:
    pause, heard = Pause(), []
    pause.wake(1)

    async def talk() -> None:
        heard.append(await pause)

    begin(talk())
    assert heard == [1]


def test_it_may_itself_cause_what_it_waits_for() -> None:
    pause, heard = Pause(), []

    async def talk() -> None:
        pause.wake("at once")
        heard.append(await pause)

    begin(talk())
    assert heard == ["at once"]


def test_a_ticket_that_is_given_up_raises_where_it_is_waited_for() -> None:
    ticket, reasons = Ticket({"kind": "READ"}), []

    async def talk() -> None:
        try:
            await ticket
        except Unanswered as error:
            reasons.append(error.reason)

    begin(talk())
    ticket.give_up("reset")
    ticket.answer({"kind": "REPORT"})
    assert reasons == ["reset"]


def test_what_it_raises_passes_through_whoever_resumed_it() -> None:
    pause = Pause()

    async def talk() -> None:
        await pause
        raise KeyError("gone")

    conversation = begin(talk())
    with pytest.raises(KeyError, match="gone"):
        pause.wake()
    assert not conversation.running


def test_one_that_is_closed_goes_no_further_and_cleans_up() -> None:
    pause, steps = Pause(), []

    async def talk() -> None:
        try:
            await pause
            steps.append("woken")
        finally:
            steps.append("cleaned up")

    conversation = begin(talk())
    conversation.close()
    pause.wake()
    assert steps == ["cleaned up"]


def test_one_may_close_itself() -> None:
    pause, steps = Pause(), []

    async def talk() -> None:
        conversation.close()
        try:
            await pause
        finally:
            steps.append("cleaned up")

    conversation = Conversation(talk())
    conversation.resume()
    assert (steps, conversation.running) == (["cleaned up"], False)
