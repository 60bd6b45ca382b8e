"""The bytes of messages: from the capture, or from the codec, and only where they are the message's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.results.html.generated import failed_outcome, run_ended, run_started
from tests.results.html.reading import document_of

from iotsim.capture import Frame
from iotsim.events import ExpectationDecided, Received, Sent, Undecodable
from iotsim.protocol.registry import load_protocol
from iotsim.results.html.raw import AddressBook, Sources
from iotsim.wire import ipv4, udp
from iotsim.wire.address import parse_address

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iotsim.events import Event

PROTOCOL = load_protocol("sensornet").protocol
WALL_TIME = 1_700_000_000.0
PEER, PEER_PORT = "10.77.0.1", 38653
FLEETS = {"meter": {"count": 4, "addresses": ["10.77.1.1-10.77.1.4"], "protocols": ["sensornet"]}}
READ = {"kind": "READ", "device": 1, "seq": 7}
REPORT = {"kind": "REPORT", "device": 1, "seq": 7, "value": 20}


def known(name: str) -> Any:
    return PROTOCOL if name == "sensornet" else None


def frame(t: float, source: str, to: str, payload: bytes) -> Frame:
    """A packet of the capture: the gateway's where `source` is its address, else a device's."""
    ends = parse_address(source), parse_address(to)
    ports = (PEER_PORT, 5600) if source == PEER else (5600, PEER_PORT)
    segment = udp.build_udp(*ends, *ports, payload)
    packet = ipv4.build_ipv4(*ends, udp.PROTOCOL, segment)
    return Frame(1, int(WALL_TIME * 1e9) + int(t * 1e9), 101, packet, len(packet))


def received(t: float, message: dict[str, Any], **others: Any) -> Received:
    whole = PROTOCOL.codec.decode(PROTOCOL.codec.encode(message))
    return Received(t, 1, "meter[1]", f"{PEER}:{PEER_PORT}", "sensornet", whole, **others)


def told(events: list[Event], frames: list[Frame] | None = None, find: Any = known) -> Any:
    captures = [] if frames is None else [lambda: iter(frames)]
    begin = run_started(fleets=FLEETS, wall_time=WALL_TIME)
    return document_of([begin, *events, run_ended(9.0)], Sources(captures, find))


def test_bytes_are_those_of_the_datagram_at_that_time_between_these_ends() -> None:
    asked, other = PROTOCOL.codec.encode(READ), PROTOCOL.codec.encode(READ | {"seq": 8})
    answer = PROTOCOL.answer_codec.encode(REPORT)
    sent = Sent(1.5, 2, "meter[1]", f"{PEER}:{PEER_PORT}", "sensornet", {}, 1)
    sent.message = PROTOCOL.answer_codec.decode(answer)
    document = told(
        [received(1.25, READ), sent],
        [
            frame(0.5, PEER, "10.77.1.2", other),
            frame(1.25, PEER, "10.77.1.3", asked),  # to another device
            frame(1.25, PEER, "10.77.1.2", asked),
            frame(1.5, "10.77.1.2", PEER, answer),
        ],
    )
    table = document["bytes"]
    assert table["row"] == [0, 1]
    assert table["hex"] == [asked.hex(), answer.hex()]
    assert table["from"] == ["capture", "capture"]
    assert (table["lacking"], table["left_out"]) == (0, "")
    layout = {
        path: (offset, size) for path, offset, size in document["layouts"][table["layout"][0]]
    }
    assert layout["magic"] == (0, 16)
    assert layout["seq"][1] == 16
    start = layout["seq"][0] // 8
    assert int.from_bytes(asked[start : start + 2], "big") == 7
    answer_layout = {path for path, _, _ in document["layouts"][table["layout"][1]]}
    assert "status.quality" in answer_layout


def test_what_a_device_got_later_is_looked_for_when_it_came() -> None:
    data = PROTOCOL.codec.encode(READ)
    held = received(1.25, READ, impaired="slow", fate="delayed", delay_s=0.25)
    document = told([held], [frame(1.25, PEER, "10.77.1.2", data)])
    assert document["bytes"]["from"] == ["capture"]


def test_a_datagram_of_the_same_time_may_be_another_message() -> None:
    other = PROTOCOL.codec.encode(READ | {"seq": 8})
    data = PROTOCOL.codec.encode(READ)
    frames = [frame(1.25, PEER, "10.77.1.2", other), frame(1.2501, PEER, "10.77.1.2", data)]
    document = told([received(1.25, READ)], frames)
    assert document["bytes"]["hex"] == [data.hex()]
    # Nothing else was there: these are the bytes at that time, and it is not said where fields are.
    document = told([received(1.25, READ)], frames[:1])
    assert document["bytes"]["hex"] == [other.hex()]
    assert document["bytes"]["layout"] == [-1]
    # What is only near that time is not taken for it.
    document = told([received(1.2501, READ)], frames[:1], lambda _: None)
    assert document["bytes"]["row"] == []


def test_what_came_to_another_device_at_the_same_time_is_not_taken_for_it() -> None:
    data = PROTOCOL.codec.encode(READ)
    document = told([received(1.25, READ)], [frame(1.25, PEER, "10.77.1.4", data)], lambda _: None)
    assert document["bytes"]["row"] == []


def test_what_came_to_a_group_came_to_each_of_it() -> None:
    data = PROTOCOL.codec.encode(READ)
    for group in ("239.1.2.3", "10.77.255.255"):
        document = told([received(1.25, READ)], [frame(1.25, PEER, group, data)], lambda _: None)
        assert document["bytes"]["hex"] == [data.hex()]


def test_a_device_without_an_address_is_known_by_what_it_says() -> None:
    data = PROTOCOL.codec.encode(READ)
    stray = received(1.25, READ)
    stray.device = "other[0]"
    frames = [frame(1.25, PEER, "10.99.0.1", data)]
    assert told([stray], frames)["bytes"]["from"] == ["capture"]
    assert told([stray], frames, lambda _: None)["bytes"]["row"] == []


def test_datagrams_of_one_time_are_not_kept_for_every_message() -> None:
    answer = PROTOCOL.answer_codec.encode(REPORT)
    message = PROTOCOL.answer_codec.decode(answer)
    events = [
        Sent(1.0, n + 1, "meter[1]", f"{PEER}:{PEER_PORT}", "sensornet", message)
        for n in range(100)
    ]
    frames = [frame(1.0, "10.77.1.2", PEER, answer)] * 5000
    document = told(list(events), frames)
    assert document["bytes"]["from"] == ["capture"] * 100


def test_without_a_capture_the_codec_makes_them_again() -> None:
    document = told([received(1.25, READ)])
    assert document["bytes"]["from"] == ["encoded"]
    assert document["bytes"]["hex"] == [PROTOCOL.codec.encode(READ).hex()]
    assert document["bytes"]["layout"] == [0]


def test_what_no_codec_makes_has_no_bytes() -> None:
    wrong = Received(1.0, 1, "meter[1]", f"{PEER}:9", "sensornet", {"kind": "READ", "no": "such"})
    foreign = Received(1.0, 2, "meter[1]", f"{PEER}:9", "another", {"kind": "READ"})
    document = told([wrong, foreign])
    assert document["bytes"]["row"] == []
    assert document["bytes"]["lacking"] == 2
    assert document["bytes"]["left_out"].startswith("2 messages: there is no capture")


def test_a_capture_that_ends_within_a_packet_is_read_up_to_there() -> None:
    data = PROTOCOL.codec.encode(READ)

    def frames() -> Iterator[Frame]:
        yield Frame(1, int(WALL_TIME * 1e9), 101, b"\x45\x00", 2)
        yield frame(1.25, PEER, "10.77.1.2", data)

    begin = run_started(fleets=FLEETS, wall_time=WALL_TIME)
    sources = Sources([frames], lambda _: None)
    document = document_of([begin, received(1.25, READ), run_ended(9.0)], sources)
    assert document["bytes"]["from"] == ["capture"]
    assert document["bytes"]["layout"] == [-1]


def test_undecodable_datagrams_are_in_their_events() -> None:
    event = Undecodable(1.0, 1, "meter[0]", f"{PEER}:9", "sensornet", "bad", "crc", 7, "0aff")
    garbled = Undecodable(1.0, 2, "meter[0]", f"{PEER}:9", "sensornet", "bad", "crc", 7, "no hex")
    document = told([event, garbled])
    assert document["bytes"]["hex"] == ["0aff"]
    assert document["bytes"]["from"] == ["event"]


def test_what_no_datagram_carried_is_not_looked_for() -> None:
    document = told([received(1.25, READ, layer="application")])
    assert document["bytes"]["row"] == []
    assert document["bytes"]["lacking"] == 0


def test_failures_come_first() -> None:
    events: list[Event] = [received(n / 100, READ) for n in range(1, 500)]
    failed = ExpectationDecided(4.0, failed_outcome(4.0, "meter[1]", number=0))
    document = told([*events, failed])
    assert document["bytes"]["row"][0] == document["expectations"][0]["groups"][0]["rows"][0]
    assert 200 < len(document["bytes"]["row"]) < 400


def test_addresses_are_by_place_in_each_block() -> None:
    book = AddressBook(
        {
            "meter": {"addresses": ["10.77.1.1-10.77.1.4", "fd77::1-fd77::4", "nonsense", 7]},
            "lamp": {"addresses": "10.77.2.1"},
        }
    )
    assert book.addresses("meter[2]") == {0x0A4D0103, 0xFD77 << 112 | 3}
    assert book.addresses("meter[4]") == book.addresses("lamp[0]") == book.addresses("") == set()
