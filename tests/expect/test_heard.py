"""What came instead of what was expected: what is kept of it, and what of it is shown."""

from __future__ import annotations

from typing import Any

import pytest
from tests.expect.transcript import FakeDevice, Transcript, expectation

from iotsim.errors import DecodeError
from iotsim.expect.heard import (
    MOST,
    MOST_REASONS,
    MOST_SAMPLES,
    Amount,
    Heard,
    Sample,
    Samples,
    nearest,
)
from iotsim.expect.spec import DeviceSelection
from iotsim.match import compile_match

COMMAND = {"kind": "COMMAND", "code": "RESET", "seq": 9}


def sample(t: float = 1.0, **message: Any) -> Sample:
    samples = Samples()
    samples.add(0, FakeDevice(0), message, t)
    return samples.of(0)[0]


def nearest_of(match: dict[str, Any], *messages: dict[str, Any]) -> str:
    samples = [sample(t=float(t), **message) for t, message in enumerate(messages)]
    return nearest(samples, compile_match(match).explain).text


def test_the_nearest_differs_in_the_fewest_fields() -> None:
    match = {"kind": "COMMAND", "code": "IDENTIFY", "seq": 9}
    text = nearest_of(match, {"kind": "READ", "seq": 1}, COMMAND, {"kind": "READ", "seq": 9})
    assert text == "code was RESET instead of IDENTIFY (t=1.000 s)"


def test_among_equals_the_nearest_has_the_field_at_all() -> None:
    text = nearest_of({"code": "IDENTIFY"}, {"kind": "READ"}, COMMAND, {"kind": "WRITE"})
    assert text == "code was RESET instead of IDENTIFY (t=1.000 s)"


@pytest.mark.parametrize(
    ("expected", "nearest_value"),
    [(50, 48), ({"min": 50}, 48), ({"any": [10, 70]}, 12), ({"min": 60, "max": 70}, 48)],
)
def test_among_numbers_the_nearest_is_the_closest(expected: Any, nearest_value: int) -> None:
    text = nearest_of({"seq": expected}, {"seq": 3}, {"seq": 48}, {"seq": 12}, {"seq": "x"})
    assert text.startswith(f"seq was {nearest_value} ")


def test_what_is_equally_near_is_told_of_the_first_time() -> None:
    assert nearest_of({"kind": "READ"}, {"kind": "A"}, {"kind": "B"}).startswith("kind was A")


def test_what_matches_is_no_near_miss_and_a_failing_expression_is_told() -> None:
    assert nearest_of({"kind": "READ"}, {"kind": "READ"}) == ""
    assert "zero" in nearest_of({"seq": "=1 // (msg.n - 1)"}, {"seq": 3, "n": 1})


def test_the_state_is_explained_as_it_was() -> None:
    spec = expectation("within", within_s=5.0, match={"seq": "=state.expected"})
    run = Transcript(spec)
    device = FakeDevice(1, state={"expected": 7})
    message = {"seq": 6}
    for observe in run.judge.observers("meter", "receives"):
        observe(device, message, 1.0)
    device.state["expected"] = 6
    message["seq"] = 7  # as a behavior may that makes its answer of the request
    assert "nearest: seq was 6 instead of =state.expected" in run.end().nearest


def test_a_message_of_the_right_kind_is_near_however_late_it_comes() -> None:
    spec = expectation("within", within_s=500.0, match={"kind": "COMMAND", "code": "IDENTIFY"})
    run = Transcript(spec)
    for n in range(400):
        run.hear(0, float(n), {"kind": "READ"})
    run.hear(0, 400.0, COMMAND)
    outcome = run.end(499.0)
    assert outcome.nearest == (
        "meter[0]: heard more than 254 messages; nearest: code was RESET instead of IDENTIFY "
        "(t=400.000 s)"
    )


def test_what_an_index_passes_by_is_heard_all_the_same() -> None:
    kinds = ("READ", "WRITE", "COMMAND", "ACK")
    specs = [expectation("within", within_s=5.0, match={"kind": kind}) for kind in kinds]
    run = Transcript(*specs)
    assert len(run.judge.observers("meter", "receives")) == 1
    for index in range(3):
        run.hear(index, 1.0, {"kind": "READ"})
        run.hear(index, 2.0, {"kind": "WRITE"})
    outcomes = run.judge.finish(9.0, gateway_heard=True).outcomes
    assert [outcome.passed for outcome in outcomes] == [True, True, False, False]
    assert outcomes[3].details[0] == (
        "heard 2 messages; nearest: kind was READ instead of ACK (t=1.000 s)"
    )


def test_what_could_not_be_decoded_is_counted_beside_the_messages() -> None:
    run = Transcript(expectation("within", within_s=5.0, match={"kind": "ACK"}))
    for n in range(16):
        run.hear(0, n / 10, {"kind": "READ"})
    for n in range(15):
        error = DecodeError(f"too short by {n}", "payload", 12)
        run.judge.undecodable(FakeDevice(0), n / 10, error)
    outcome = run.end()
    heard = "heard 16 messages and 15 datagrams that could not be decoded (payload: too short by 0"
    assert outcome.details[0].startswith(heard)
    assert run.notes == ["15 datagrams of the gateway could not be decoded: payload"]


def test_reasons_are_told_by_how_often_they_were() -> None:
    run = Transcript(expectation("within", within_s=5.0))
    for path in ("crc", "payload", "crc"):
        run.judge.undecodable(FakeDevice(0), 1.0, DecodeError("wrong", path))
    run.end()
    expected = "3 datagrams of the gateway could not be decoded: crc (2), payload (1)"
    assert run.notes == [expected]


def test_what_could_not_be_decoded_explains_nothing_where_nothing_failed_for_it() -> None:
    for spec in (
        expectation("never"),
        expectation("within", within_s=5.0, direction="sends"),
        expectation("never", match={"undecodable": True}),
    ):
        run = Transcript(spec)
        run.judge.undecodable(FakeDevice(0), 1.0, "wrong")
        run.end()
        assert run.notes == []


def test_bounds_of_what_is_kept() -> None:
    heard = Heard(3)
    heard.waiting = [(bytearray(4), range(3))]
    for n in range(100):
        heard.note_undecodable(0, f"reason {n}")
    assert len(heard.reasons) == MOST_REASONS
    assert heard.amount([0, 1]).undecodable == heard.undecodable == 100
    assert Amount(MOST, more=True).text("sent") == "sent more than 254 messages"
    with pytest.raises(TypeError):
        Amount() + 3  # type: ignore[operator]


def test_a_full_store_makes_room_of_devices_that_nobody_waits_for() -> None:
    devices = MOST_SAMPLES + 100
    state = bytearray(devices + 1)
    heard = Heard(devices)
    heard.waiting = [(state, range(devices))]
    for index in range(MOST_SAMPLES):
        heard.keep(FakeDevice(index), COMMAND, 1.0)
    assert heard.samples.full
    heard.keep(FakeDevice(MOST_SAMPLES), COMMAND, 1.0)
    assert not heard.samples.of(MOST_SAMPLES)
    state[:50] = bytes([1]) * 50
    for index in range(MOST_SAMPLES, MOST_SAMPLES + 20):
        heard.keep(FakeDevice(index), COMMAND, 1.0)
    assert heard.samples.of(MOST_SAMPLES + 19)
    assert not heard.samples.of(0)
    heard.keep(FakeDevice(1), COMMAND, 1.0)  # nobody waits for it
    assert not heard.samples.of(1)


def test_a_pool_tells_what_its_devices_heard_together() -> None:
    spec = expectation("within", within_s=5.0, quantifier="all", match={"kind": "ACK"})
    run = Transcript(spec)
    run.hear(0, 1.0, {"kind": "READ"})
    run.hear(2, 1.5, {"kind": "READ"})
    outcome = run.end()
    assert outcome.actual == "none of them did"
    assert outcome.nearest == (
        "heard 2 messages; nearest: kind was READ instead of ACK (t=1.000 s)"
    )


def test_a_count_of_a_pool_says_who_sent_what_and_when() -> None:
    run = Transcript(expectation("count", count_min=5, quantifier="all"))
    run.hear(2, 1.0)
    run.hear(0, 2.0)
    assert run.end().actual == "2 came: t=1.000 s, t=2.000 s; the first: meter[2] kind=READ"
    assert (
        Transcript(expectation("count", count_min=5, quantifier="all")).end().actual == "none came"
    )


def test_what_cannot_be_decoded_can_be_counted() -> None:
    run = Transcript(expectation("count", count_min=3, match={"undecodable": True}))
    run.judge.undecodable(FakeDevice(0), 1.0, "wrong")
    outcome = run.end()
    assert outcome.details == (
        "1 came: what could not be decoded (t=1.000 s)",
        "none came",
        "none came",
    )


def test_the_margin_of_a_pass() -> None:
    for quantifier, actual in (
        ("each", "all 3 did, the last (meter[1]) 2.5 s before the deadline"),
        ("any", "at least one did: meter[2], 4 s before the deadline"),
        ("all", "together they did: meter[2], 4 s before the deadline"),
    ):
        run = Transcript(expectation("within", within_s=5.0, quantifier=quantifier))
        for index, t in ((2, 1.0), (0, 2.0), (1, 2.5)):
            run.hear(index, t)
        assert run.end().actual == actual


def test_the_margin_of_a_device_counts_from_its_boot() -> None:
    run = Transcript(
        expectation("within", within_s=1.0),
        boot_time=lambda index: index * 2.0,
        booted_by=lambda: 4.0,
    )
    for index, t in ((0, 0.75), (1, 2.5), (2, 4.5)):
        run.hear(index, t)
    assert run.end().actual == "all 3 did, the last (meter[0]) 250 ms before the deadline"


def test_the_margin_of_one_device() -> None:
    one = (DeviceSelection("meter", (1,)),)
    run = Transcript(expectation("within", within_s=5.0, devices=one, quantifier="device"))
    run.hear(1, 1.0)
    assert run.end().actual == "it did, 4 s before the deadline"


class Odd(int):
    """What a protocol's own adapter may make of a field."""


def test_samples_are_kept_as_they_were_also_what_cannot_be_packed() -> None:
    for value in (7, 1.5, "text", b"bytes", None, True, [1, {"a": (2,)}], 1 << 90, Odd(3)):
        samples, message = Samples(), {"value": value}
        device = FakeDevice(4, state={"seen": [value]})
        samples.add(0, device, message, 2.5)
        message["value"] = "changed"
        device.state["seen"] = "changed"
        (kept,) = samples.of(0)
        assert (kept.t, kept.message, kept.device.index) == (2.5, {"value": value}, 4)
        assert type(kept.message["value"]) is type(value)
        assert kept.device.state == {"seen": [value]}


def test_who_finds_no_room_makes_nobody_look_through_all_again_and_again() -> None:
    heard = Heard(4 * MOST_SAMPLES)
    looked = 0

    class State(bytearray):
        def __getitem__(self, index: Any) -> Any:
            nonlocal looked
            looked += 1
            return super().__getitem__(index)

    state = State(4 * MOST_SAMPLES)
    heard.waiting = [(state, range(4 * MOST_SAMPLES))]  # type: ignore[list-item]
    for index in range(4 * MOST_SAMPLES):
        heard.keep(FakeDevice(index), {"kind": "READ"}, 1.0)
    assert heard.samples.full
    assert looked < 20 * MOST_SAMPLES
    for index in range(MOST_SAMPLES):
        state[index] = 1  # it has what it waited for
    before = heard.samples.keys() & set(range(MOST_SAMPLES))
    for index in range(4 * MOST_SAMPLES):
        heard.keep(FakeDevice(index), {"kind": "READ"}, 1.0)
    assert before
    assert not heard.samples.keys() & before, "they have made room"
