from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotsim.wire import ipv4
from iotsim.wire.errors import PacketError

ADDRESS = st.integers(0, 0xFFFFFFFF)


@given(
    source=ADDRESS,
    destination=ADDRESS,
    protocol=st.integers(0, 255),
    payload=st.binary(max_size=40),
    tos=st.integers(0, 255),
    identification=st.integers(0, 65535),
    dont=st.booleans(),
    more=st.booleans(),
    offset=st.integers(0, 8000),
    ttl=st.integers(0, 255),
    options=st.sampled_from([b"", b"\x01\x01\x01\x00", bytes(40)]),
)
def test_what_is_built_parses_to_the_same(
    source: int,
    destination: int,
    protocol: int,
    payload: bytes,
    tos: int,
    identification: int,
    dont: bool,
    more: bool,
    offset: int,
    ttl: int,
    options: bytes,
) -> None:
    packet = ipv4.build_ipv4(
        source,
        destination,
        protocol,
        payload,
        tos=tos,
        identification=identification,
        dont_fragment=dont,
        more_fragments=more,
        fragment_offset=offset * 8,
        ttl=ttl,
        options=options,
    )
    header = ipv4.parse_ipv4(packet + b"padding")
    assert header == ipv4.IPv4Header(
        source,
        destination,
        protocol,
        len(packet),
        20 + len(options),
        tos,
        identification,
        dont,
        more,
        offset * 8,
        ttl,
        options,
    )
    assert header.is_fragment == (more or offset > 0)
    assert packet[header.header_length : header.total_length] == payload


def replaced(packet: bytes, offset: int, value: bytes) -> bytes:
    return packet[:offset] + value + packet[offset + len(value) :]


PACKET = ipv4.build_ipv4(0x0A4D0001, 0x0A4D0101, 17, b"12345678")


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (b"", "ipv4-truncated"),
        (PACKET[:19], "ipv4-truncated"),
        (PACKET[:-1], "ipv4-truncated"),
        (replaced(PACKET, 0, b"\x65"), "ip-version"),
        (replaced(PACKET, 0, b"\x44"), "ipv4-header-length"),
        (replaced(PACKET, 0, b"\x4f"), "ipv4-header-length"),
        (replaced(PACKET, 2, b"\x00\x13"), "ipv4-header-length"),
        (replaced(PACKET, 8, b"\x01"), "ipv4-checksum"),
    ],
)
def test_malformed_headers_are_told_apart(packet: bytes, reason: str) -> None:
    with pytest.raises(PacketError, match=reason):
        ipv4.parse_ipv4(packet)


@given(st.binary(max_size=70))
def test_any_bytes_are_a_header_or_an_error(data: bytes) -> None:
    for packet in (data, b"\x45" + data):
        try:
            header = ipv4.parse_ipv4(packet)
        except PacketError:
            continue
        assert 20 <= header.header_length <= header.total_length <= len(packet)


@pytest.mark.parametrize(
    "options",
    [
        {"payload": bytes(65516)},
        {"payload": b"", "options": b"\x01"},
        {"payload": b"", "options": bytes(44)},
        {"payload": bytes(9), "fragment_offset": 65528},
        {"payload": b"", "fragment_offset": 4},
    ],
)
def test_what_no_header_can_hold_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        ipv4.build_ipv4(1, 2, 17, **options)  # type: ignore[arg-type]


def test_kinds_of_addresses() -> None:
    assert ipv4.is_unicast(0x0A4D0001)
    assert ipv4.is_unicast(0xDFFFFFFF)
    for address in (0, 0x00FFFFFF, 0x7F000001, 0xE0000001, 0xFFFFFFFF):
        assert not ipv4.is_unicast(address)
    assert ipv4.is_multicast(0xE00000FB)
    assert not ipv4.is_multicast(0xF0000000)


@pytest.mark.parametrize(
    ("options", "reason", "offset"),
    [
        (b"\x07\x01\x00\x00", "ipv4-option", 20),
        (b"\x07\x02\x00\x00", "ipv4-option", 21),
        (b"\x01\x07\x07\x03" + bytes(8), "ipv4-option", 23),
        (b"\x07\x07\x06\x00" + bytes(4), "ipv4-option", 22),
        (b"\x44\x08\x04\x00" + bytes(4), "ipv4-option", 22),
        (b"\x01\x01\x01\x07", "ipv4-option", 23),
        (b"\x07\x09\x04\x00", "ipv4-option", 20),
        (b"\x83\x04\x04\x00", "ipv4-source-route", None),
        (b"\x89\x04\x04\x00", "ipv4-source-route", None),
    ],
)
def test_options_that_do_not_add_up(options: bytes, reason: str, offset: int | None) -> None:
    with pytest.raises(PacketError, match=reason) as caught:
        ipv4.check_options(options)
    assert caught.value.offset == offset


@given(st.binary(max_size=40))
def test_any_options_are_fine_or_an_error(options: bytes) -> None:
    with suppress(PacketError):
        ipv4.check_options(options)
    # What comes after the end of the options is not looked at.
    ipv4.check_options(b"\x01\x94\x04\x00\x00\x00" + options)
