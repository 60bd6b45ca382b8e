"""``delivered``: what a device says again, since it was not confirmed or asked once more, is one reading."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from tests.expect.transcript import FakeDevice, Transcript, expectation

from iotsim.expect import delivered as delivered_module
from iotsim.expect.join import Join
from iotsim.expect.northbound import ServiceView
from iotsim.expect.spec import DeliveredExpectation, DeviceSelection, Look
from iotsim.match import Names, compile_match


class FreeSchema:
    """Of what has whatever is asked for."""

    fields: ClassVar[dict[str, Any]] = {}

    def find(self, path: str) -> Any:
        return path

    def nearest(self, name: str) -> None:
        return None


def delivered(
    quantifier: Any, fleets: tuple[str, ...] = ("meter",), match: str = "north.value == msg.seq"
) -> Transcript:
    sent = Look(compile_match({}), "sends")
    join = Join(match, Names((), None, None, north=FreeSchema()))  # type: ignore[arg-type]
    asked = DeliveredExpectation(
        sent, "cloud", join, 1, 1, within_s=1.0, numbered=frozenset(fleets)
    )
    return Transcript(
        expectation(
            "delivered",
            quantifier=quantifier,
            devices=(DeviceSelection("meter", range(1 if quantifier == "device" else 2)),),
            direction="sends",
            match={},
            delivered=asked,
        )
    )


def say(run: Transcript, t: float, seq: int, index: int = 0) -> None:
    for observe in run.judge.observers("meter", "sends"):
        observe(FakeDevice(index), {"kind": "REPORT", "seq": seq}, t)


def come_up(run: Transcript, t: float, value: int) -> None:
    for observe in run.judge.northbound("cloud"):
        observe(ServiceView("northbound cloud"), {"value": value, "status": 200}, t)


def test_what_is_said_again_in_time_asks_for_nothing_more() -> None:
    run = delivered("device")
    say(run, 1.0, 7)
    come_up(run, 1.1, 7)
    say(run, 1.2, 7)  # its ACK was lost
    say(run, 2.0, 7)
    assert run.end().passed


def test_what_is_said_again_and_goes_up_again_is_doubled() -> None:
    run = delivered("device")
    say(run, 1.0, 7)
    come_up(run, 1.1, 7)
    say(run, 1.2, 7)
    come_up(run, 1.3, 7)
    outcome = run.end()
    assert not outcome.passed
    assert outcome.nearest.startswith("meter[0]: 1 of 1 doubled:")


@pytest.mark.parametrize(("again_at", "seq", "index"), [(2.5, 7, 0), (1.2, 8, 0), (1.2, 7, 1)])
@pytest.mark.parametrize("quantifier", ["each", "all"])
def test_later_another_and_that_of_another_are_readings_of_their_own(
    quantifier: str, again_at: float, seq: int, index: int
) -> None:
    run = delivered(quantifier)
    say(run, 1.0, 7)
    come_up(run, 1.1, 7)
    say(run, again_at, seq, index)
    outcome = run.end()
    assert not outcome.passed
    sent = 1 if index and quantifier == "each" else 2
    assert f"1 of {sent} lost" in outcome.nearest + outcome.actual


def test_where_messages_have_no_number_each_is_a_reading() -> None:
    run = delivered("device", fleets=())
    say(run, 1.0, 7)
    come_up(run, 1.1, 7)
    say(run, 1.2, 7)
    assert "1 of 2 lost" in run.end().nearest


def test_a_match_that_fails_by_what_is_no_equality_says_so() -> None:
    run = delivered("device", match="north.value == msg.seq and north.status < 100")
    say(run, 1.0, 7)
    come_up(run, 1.1, 7)
    come_up(run, 1.2, 8)
    nearest = run.end().nearest
    assert nearest.startswith("meter[0]: 1 of 1 changed:")
    assert "the rest of it does not, in value=7 status=200" in nearest


def test_more_than_can_be_watched_is_not_certain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivered_module, "MOST_OPEN", 2)
    run = delivered("device")
    for seq in range(3):
        say(run, 1.0, seq)
    for seq in (1, 2):
        come_up(run, 1.1, seq)
    [outcome] = run.judge.finish(9.0).outcomes
    assert not outcome.passed
    assert "what became of 1 message is not known" in outcome.inconclusive
