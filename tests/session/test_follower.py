"""What a follower that knows nothing of a protocol but its ``echo`` fields says of conversations."""

from __future__ import annotations

import tracemalloc

import pytest
from construct import Byte, Default, Enum, GreedyBytes, Struct
from hypothesis import given
from hypothesis import strategies as st
from tests.capture.conversation import Conversation

from iotsim import Follower, Protocol, ProtocolError, Seen
from iotsim.session import Mark
from iotsim.session import follower as module

MESSAGE = Struct(
    "kind" / Enum(Byte, GET=1, STATE=2),
    "number" / Default(Byte, 0),
    "data" / Default(GreedyBytes, b""),
)
NUMBERED = Protocol("numbered", MESSAGE, 5000, echo=["number"])
PLAIN = Protocol("plain", MESSAGE, 5000)
NESTED = Protocol(
    "nested",
    Struct("head" / Struct("number" / Byte), "data" / GreedyBytes),
    5000,
    echo=["head.number"],
)


def test_what_has_the_same_number_in_the_other_direction_is_an_answer() -> None:
    talk = Conversation(NUMBERED)
    assert talk.ask(kind="GET", number=1, t=0.0) == ""
    assert talk.ask(kind="GET", number=2, t=0.5) == ""
    assert talk.tell(kind="STATE", number=2, t=0.75) == "answers #2 after 250 ms"
    assert talk.tell(kind="STATE", number=1, t=1.5) == "answers #1 after 1.5 s"
    assert talk.tell(kind="STATE", number=3) == ""


def test_a_device_may_ask_too() -> None:
    talk = Conversation(NUMBERED)
    assert talk.tell(kind="GET", number=9, t=1.0) == ""
    assert talk.ask(kind="STATE", number=9, t=1.25) == "answers #1 after 250 ms"


class ByKind(Follower):
    """As docs/sessions.md has it for protocols in which both ends number what they ask."""

    def is_answer(self, message: dict[str, object], seen: Seen) -> bool:
        return message["kind"] == "STATE"


def test_requests_with_the_same_number_are_told_apart_by_their_kind() -> None:
    said = []
    for protocol in (NUMBERED, Protocol("kinds", MESSAGE, 5000, echo=["number"], follower=ByKind)):
        talk = Conversation(protocol)
        talk.tell(kind="GET", number=1, t=0.0)
        said.append(talk.ask(kind="GET", number=1, t=1.0))
        assert talk.tell(kind="STATE", number=1, t=2.0).startswith("answers #2") is bool(said[1:])
    assert said == ["answers #1 after 1 s", ""]


def test_the_same_bytes_are_a_repetition_of_requests_and_of_answers() -> None:
    talk = Conversation(NUMBERED)
    talk.ask(kind="GET", number=1)
    assert talk.ask(kind="GET", number=1) == "repeats #1"
    talk.tell(kind="STATE", number=1)
    assert talk.ask(kind="GET", number=1) == "repeats #1"
    assert talk.tell(kind="STATE", number=1) == "repeats #3"


def test_a_number_that_is_used_again_is_another_request() -> None:
    talk = Conversation(NUMBERED)
    talk.ask(kind="GET", number=1)
    talk.tell(kind="STATE", number=1)
    assert talk.ask(kind="GET", number=1, data=b"other", t=10.0) == ""
    assert talk.tell(kind="STATE", number=1, data=b"news", t=10.5) == "answers #3 after 500 ms"
    assert talk.ask(kind="GET", number=1, t=90.0) == ""  # nobody remembers the first any more


def test_others_use_the_same_numbers() -> None:
    talk = Conversation(NUMBERED)
    other, device = "10.77.0.2:40000", "10.77.1.2:5000"
    talk.ask(kind="GET", number=1)
    talk.ask(kind="GET", number=1, to=device)
    talk.ask(kind="GET", number=1, sender=other)
    assert talk.tell(kind="STATE", number=1, to=other, t=1.0) == "answers #3 after 800 ms"
    assert talk.tell(kind="STATE", number=1, sender=device, t=1.0) == "answers #2 after 900 ms"


@pytest.mark.parametrize("group", ["224.0.1.187", "255.255.255.255", "10.77.255.255"])
def test_whoever_is_in_a_group_answers(group: str) -> None:
    talk = Conversation(NUMBERED)
    talk.ask(kind="GET", number=1, to=f"{group}:5000", t=0.0)
    assert talk.tell(kind="STATE", number=1, t=0.25) == "answers #1 after 250 ms"
    assert (
        talk.tell(kind="STATE", number=1, sender="10.77.1.2:5000", t=0.5)
        == "answers #1 after 500 ms"
    )


def test_over_ipv6() -> None:
    talk = Conversation(NUMBERED)
    talk.ask(kind="GET", number=1, sender="[fd77::1]:40000", to="[ff02::fd]:5000", t=0.0)
    said = talk.tell(kind="STATE", number=1, sender="[fd77::1:1]:5000", to="[fd77::1]:40000", t=1.0)
    assert said == "answers #1 after 1 s"


def test_a_number_may_stand_within() -> None:
    talk = Conversation(NESTED)
    talk.ask(head={"number": 4}, data=b"")
    assert talk.tell(head={"number": 4}, data=b"x", t=0.5) == "answers #1 after 500 ms"


def test_without_numbers_the_next_from_a_device_is_the_answer() -> None:
    talk = Conversation(PLAIN)
    talk.ask(kind="GET", t=0.0)
    assert talk.ask(kind="GET", t=0.5) == "repeats #1"
    assert talk.tell(kind="STATE", t=0.75) == "answers #1 after 750 ms"
    assert talk.tell(kind="STATE") == ""  # it speaks by itself
    assert talk.ask(kind="GET", t=2.0) == ""  # as it was asked before, and had an answer
    assert talk.tell(kind="STATE", t=2.25) == "answers #5 after 250 ms"


class Forgetful(Follower):
    lifetime = 1.0

    def answers(self, message: dict[str, object], seen: Seen, asked: Mark) -> str:
        return f"{asked} had to wait"


def test_a_protocol_says_it_in_its_own_words() -> None:
    talk = Conversation(Protocol("own", MESSAGE, 5000, echo=["number"], follower=Forgetful))
    talk.ask(kind="GET", number=1, t=0.0)
    assert talk.tell(kind="STATE", number=1, t=0.5) == "#1 had to wait"
    talk.ask(kind="GET", number=2, t=1.0)
    assert talk.tell(kind="STATE", number=2, t=2.5) == ""


def test_what_is_no_follower_is_refused() -> None:
    with pytest.raises(ProtocolError, match="follower is no class derived from"):
        Protocol("wrong", MESSAGE, 5000, follower=dict)  # type: ignore[arg-type]


@given(
    st.lists(
        st.tuples(st.booleans(), st.integers(0, 3), st.integers(0, 2), st.floats(0, 100)),
        max_size=30,
    ),
    st.sampled_from([NUMBERED, PLAIN]),
)
def test_each_message_answers_one_before_it_in_the_other_direction(
    talk: list[tuple[bool, int, int, float]], protocol: Protocol
) -> None:
    """Whatever is said when, clocks that are set back included."""
    conversation = Conversation(protocol)
    for at, (asks, number, other, t) in enumerate(talk):
        speak = conversation.ask if asks else conversation.tell
        said = speak(kind="GET", number=number, data=bytes([other]), t=t)
        if not said:
            continue
        kind, what = said.split()[:2]
        earlier = talk[int(what.removeprefix("#")) - 1]
        assert int(what.removeprefix("#")) <= at
        if kind == "answers":
            assert earlier[0] != asks
            assert earlier[1] == number or protocol is PLAIN
        else:
            assert earlier[:3] == (asks, number, other)


def test_what_is_remembered_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 100)
    talk = Conversation(NUMBERED)
    for port in range(1, 500):
        talk.ask(kind="GET", number=1, sender=f"10.77.0.1:{port}", t=0.0)
    assert (
        talk.tell(kind="STATE", number=1, to="10.77.0.1:499", t=0.5) == "answers #499 after 500 ms"
    )
    assert talk.tell(kind="STATE", number=1, to="10.77.0.1:300", t=0.5) == ""


def test_long_values_are_told_apart_and_not_kept() -> None:
    protocol = Protocol("long", MESSAGE, 5000, echo=["data"])
    talk = Conversation(protocol)
    one, other = b"x" * 50_000 + b"1", b"x" * 50_000 + b"2"
    talk.ask(kind="GET", data=one, t=0.0)
    talk.ask(kind="GET", data=other, t=0.25)
    assert talk.tell(kind="STATE", data=one, t=0.5) == "answers #1 after 500 ms"
    assert talk.tell(kind="STATE", data=other, t=0.5) == "answers #2 after 250 ms"
    tracemalloc.start()
    try:
        for number in range(200):
            talk.ask(kind="GET", data=number.to_bytes(50_000, "big"), t=1.0)
        assert tracemalloc.get_traced_memory()[0] < 500_000
    finally:
        tracemalloc.stop()
