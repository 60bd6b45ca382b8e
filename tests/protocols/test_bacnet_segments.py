"""BACnet/IP: segments (clause 5.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.protocols.bacnet import (
    CODEC,
    OBJECTS,
    READ_ALL,
    REQUEST,
    device,
    segments,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iotsim.testing import Transcript


def acknowledge(one: Transcript, segment: Mapping[str, Any], window: int, **rest: Any) -> list[Any]:
    return one.receive(
        apdu="SEGMENT_ACK",
        invoke_id=segment["invoke_id"],
        sequence_number=segment["sequence_number"],
        window=window,
        server=False,
        **rest,
    )


def test_a_long_response_comes_in_segments() -> None:
    one = device()
    whole = one.receive(READ_ALL, segmented_response_accepted=True)
    assert len(whole) == 1
    octets = one.datagrams[-1][1][9:]
    sent = one.receive(READ_ALL, segmented_response_accepted=True, max_apdu=50, invoke_id=9)
    assert (len(sent), sent[0]["sequence_number"], sent[0]["more_follows"]) == (1, 0, True)
    parts = [sent[0]["data"]]
    while sent[-1]["more_follows"]:
        sent = acknowledge(one, sent[-1], window=4)
        assert len(sent) <= 4
        parts += [segment["data"] for segment in sent]
    assert acknowledge(one, sent[-1], window=4) == []
    assert all(len(payload) <= 6 + 50 for _, payload in one.datagrams[1:])
    # The time of day is in both.
    assert len(b"".join(parts)) == len(octets)
    one.wait(60)
    assert one.sent[-1]["sequence_number"] == len(parts) - 1


def test_segments_are_sent_again_and_given_up() -> None:
    one = device()
    one.receive(READ_ALL, segmented_response_accepted=True, max_apdu=50)
    one.wait(60)
    assert [segment["sequence_number"] for segment in one.sent] == [0, 0, 0, 0]


def test_a_negative_acknowledgement_has_the_rest_sent_again() -> None:
    one = device()
    (first,) = one.receive(READ_ALL, segmented_response_accepted=True, max_apdu=50)
    sent = acknowledge(one, first, window=4)
    again = acknowledge(one, sent[1], window=4, negative=True)
    assert [segment["sequence_number"] for segment in again] == [3, 4, 5, 6]


def test_who_takes_no_segments_gets_an_abort() -> None:
    (answer,) = device().receive(READ_ALL, max_apdu=50, invoke_id=3)
    assert (answer["apdu"], answer["reason"]) == ("ABORT", "SEGMENTATION_NOT_SUPPORTED")
    few = {"segmented_response_accepted": True, "max_segments": 2, "max_apdu": 50}
    (answer,) = device().receive(READ_ALL, **few)
    assert (answer["apdu"], answer["reason"]) == ("ABORT", "BUFFER_OVERFLOW")
    (answer,) = device({"segmentation": "none"}).receive(
        READ_ALL, segmented_response_accepted=True, max_apdu=50
    )
    assert answer["reason"] == "SEGMENTATION_NOT_SUPPORTED"


def test_a_request_is_put_together() -> None:
    one = device()
    parts = segments(REQUEST, 15, service="READ_PROPERTY_MULTIPLE")
    answers = [one.receive(part) for part in parts]
    assert [len(each) for each in answers[:4]] == [1, 0, 0, 1]
    assert answers[0][0]["apdu"] == "SEGMENT_ACK"
    assert [each["apdu"] for each in answers[-1]] == ["SEGMENT_ACK", "COMPLEX_ACK"]
    assert len(answers[-1][1]["results"]) == len(OBJECTS)


def test_a_lost_segment_is_asked_for() -> None:
    one = device()
    parts = segments(REQUEST, 15, service="READ_PROPERTY_MULTIPLE")
    one.receive(parts[0])
    (answer,) = one.receive(parts[2])
    assert (answer["negative"], answer["sequence_number"]) == (True, 0)
    (answer,) = one.receive(parts[0])
    assert (answer["negative"], answer["sequence_number"]) == (False, 0)


def test_a_segment_of_a_request_that_nobody_has_begun_is_aborted() -> None:
    """Clause 5.4.5.1, UnexpectedPDU_Received; one that came twice has been begun."""
    one = device()
    parts = segments(REQUEST, 15, service="READ_PROPERTY_MULTIPLE")
    one.receive(parts[0])
    one.reboot()
    (answer,) = one.receive(parts[1])
    assert (answer["apdu"], answer["invoke_id"]) == ("ABORT", 5)
    assert (answer["server"], answer["reason"]) == (True, "INVALID_APDU_IN_THIS_STATE")
    for part in parts:
        one.receive(part)
    assert one.sent[-1]["apdu"] == "COMPLEX_ACK"
    assert one.receive(parts[-1]) == []


def test_an_acknowledgement_of_segments_that_nobody_has_sent_is_aborted() -> None:
    """Clause 5.4.5.1, UnexpectedPDU_Received; not one that came twice, nor what is for all."""
    one = device()
    (sent,) = one.receive(READ_ALL, segmented_response_accepted=True, max_apdu=206)
    while sent["more_follows"]:
        sent = acknowledge(one, sent, window=1)[-1]
    assert acknowledge(one, sent, window=1) == []
    assert acknowledge(one, sent, window=1) == []
    stranger = {**sent, "invoke_id": 99}
    (answer,) = acknowledge(one, stranger, window=1)
    assert (answer["apdu"], answer["invoke_id"]) == ("ABORT", 99)
    assert (answer["server"], answer["reason"]) == (True, "INVALID_APDU_IN_THIS_STATE")
    everybody = {"network": 0xFFFF, "address": b""}
    assert acknowledge(one, stranger, window=1, destination=everybody) == []
    one.reboot()
    (answer,) = acknowledge(one, sent, window=1)
    assert answer["apdu"] == "ABORT"


def test_segments_without_end_are_refused() -> None:
    one = device()
    parts = segments(bytes(100), 1, service="READ_PROPERTY_MULTIPLE")
    for part in parts:
        one.receive(part)
    assert one.sent[-1]["reason"] == "BUFFER_OVERFLOW"


def test_a_long_request_may_take_its_time() -> None:
    """Clause 5.4.5.2: the timer starts anew with each segment."""
    one = device()
    for part in segments(REQUEST, 15, service="READ_PROPERTY_MULTIPLE"):
        one.receive(part)
        one.wait(3)
    assert one.sent[-1]["apdu"] == "COMPLEX_ACK"


def test_an_abort_ends_a_request_in_segments() -> None:
    """Clause 5.4.5.2, AbortPDU_Received."""
    one = device()
    parts = segments(REQUEST, 15, service="READ_PROPERTY_MULTIPLE")
    one.receive(parts[0])
    one.receive(parts[1])
    one.receive(apdu="ABORT", invoke_id=5, reason="OTHER", server=False)
    wanted = {"object": "analog-value,2", "properties": [{"property": "present-value"}] * 10}
    other = CODEC.encode({"service": "READ_PROPERTY_MULTIPLE", "reads": [wanted]})[10:]
    for part in segments(other, 15, service="READ_PROPERTY_MULTIPLE"):
        one.receive(part)
    assert [each["object"] for each in one.sent[-1]["results"]] == ["analog-value,2"]


def test_a_response_in_segments_is_said_with_the_last() -> None:
    """On the wire are segments; what the device says is what they carry."""
    one = device()
    (sent,) = one.receive(READ_ALL, segmented_response_accepted=True, max_apdu=206)
    while sent["more_follows"]:
        assert not [line for line in one.lines() if " -> " in line and "[wire]" not in line]
        (sent,) = acknowledge(one, sent, window=1)
    (said,) = [line for line in one.lines() if " -> " in line and "[application]" in line]
    assert "COMPLEX_ACK READ_PROPERTY_MULTIPLE" in said
