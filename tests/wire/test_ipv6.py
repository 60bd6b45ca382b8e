from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotsim.wire import ipv6
from iotsim.wire.address import parse_address
from iotsim.wire.errors import PacketError

ADDRESS = st.integers(0, (1 << 128) - 1)
PACKET = ipv6.build_ipv6(parse_address("fd77::1"), parse_address("fd77::1:1"), 17, b"12345678")


@given(
    ADDRESS,
    ADDRESS,
    st.integers(0, 255),
    st.binary(max_size=40),
    st.integers(0, 255),
    st.integers(0, 255),
    st.integers(0, 0xFFFFF),
)
def test_what_is_built_parses_to_the_same(
    source: int,
    destination: int,
    next_header: int,
    payload: bytes,
    hop_limit: int,
    traffic_class: int,
    flow_label: int,
) -> None:
    packet = ipv6.build_ipv6(
        source,
        destination,
        next_header,
        payload,
        hop_limit=hop_limit,
        traffic_class=traffic_class,
        flow_label=flow_label,
    )
    assert ipv6.parse_ipv6(packet + b"padding") == (
        source,
        destination,
        next_header,
        len(payload),
        hop_limit,
        traffic_class,
        flow_label,
    )
    assert packet[40:] == payload


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (b"", "ipv6-truncated"),
        (PACKET[:39], "ipv6-truncated"),
        (PACKET[:-1], "ipv6-truncated"),
        (b"\x40" + PACKET[1:], "ip-version"),
    ],
)
def test_malformed_headers_are_told_apart(packet: bytes, reason: str) -> None:
    with pytest.raises(PacketError, match=reason):
        ipv6.parse_ipv6(packet)


def test_a_payload_too_long_for_its_length_field() -> None:
    with pytest.raises(ValueError, match="65536"):
        ipv6.build_ipv6(1, 2, 17, bytes(65536))


@pytest.mark.parametrize("content", [b"", b"\x05\x02\0\0", b"\x05\x03\0\0\0", bytes(22)])
def test_extensions_are_padded_to_words_with_options_that_parse(content: bytes) -> None:
    header = ipv6.build_extension(59, content)
    assert len(header) % 8 == 0
    assert ipv6.parse_extension(header, 0) == (59, len(header))
    kinds = [option.kind for option in ipv6.parse_options(header, 0, len(header))]
    assert [kind for kind in kinds if kind != 1] == ([5] if content[:1] == b"\x05" else [])


@given(st.binary(max_size=40))
def test_any_options_parse_or_raise(data: bytes) -> None:
    try:
        options = list(ipv6.parse_options(data, 0, len(data)))
    except PacketError:
        return
    assert all(2 <= option.offset < len(data) for option in options)


@given(st.integers(0, 255), st.integers(0, 8191), st.booleans(), st.integers(0, 0xFFFFFFFF))
def test_fragment_headers(kind: int, offset: int, more: bool, identification: int) -> None:
    header = ipv6.FragmentHeader(kind, offset * 8, more, identification)
    assert ipv6.parse_fragment(ipv6.build_fragment(header), 0) == header


def test_a_fragment_has_to_stand_at_a_word() -> None:
    with pytest.raises(ValueError, match="12"):
        ipv6.build_fragment(ipv6.FragmentHeader(17, 12, True, 1))
    with pytest.raises(PacketError, match="ipv6-header-chain"):
        ipv6.parse_fragment(bytes(7), 0)
    with pytest.raises(PacketError, match="ipv6-header-chain"):
        ipv6.parse_extension(b"\x3b\x01" + bytes(6), 0)


def test_kinds_of_addresses() -> None:
    assert ipv6.is_multicast(parse_address("ff02::1"))
    assert not ipv6.is_multicast(parse_address("fe80::1"))
    assert ipv6.is_link_local(parse_address("fe80::1"))
    assert ipv6.is_link_local(parse_address("febf::1"))
    assert not ipv6.is_link_local(parse_address("fec0::1"))
    assert ipv6.solicited_node(parse_address("fd77::12:3456")) == parse_address("ff02::1:ff12:3456")
