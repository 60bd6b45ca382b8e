from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotsim.wire import dhcp
from iotsim.wire.dhcp import DhcpMessage
from iotsim.wire.errors import PacketError

ADDRESS = st.integers(0, 0xFFFFFFFF)
MESSAGE = DhcpMessage(dhcp.REPLY, 7, 0x020000000001, {dhcp.MESSAGE_TYPE: b"\2"})


@given(
    ADDRESS,
    st.integers(0, (1 << 48) - 1),
    st.dictionaries(st.integers(1, 254).filter(lambda kind: kind != 52), st.binary(max_size=30)),
    st.tuples(ADDRESS, ADDRESS, ADDRESS, ADDRESS),
)
def test_what_is_built_parses_to_the_same(
    transaction: int, mac: int, options: dict[int, bytes], addresses: tuple[int, int, int, int]
) -> None:
    message = DhcpMessage(dhcp.REQUEST, transaction, mac, options, 5, 0x8000, *addresses)
    data = dhcp.build_dhcp(message)
    assert len(data) >= dhcp.MINIMUM_LENGTH
    assert dhcp.parse_dhcp(data) == message


def test_types_and_numbers() -> None:
    assert MESSAGE.type == dhcp.OFFER
    assert MESSAGE._replace(options={}).type == 0
    message = MESSAGE._replace(options={3: b"\n\x4d\0\1\n\x4d\0\2", 51: b"\1"})
    assert message.number(dhcp.ROUTER) == 0x0A4D0001
    assert message.number(dhcp.LEASE_TIME) == 0
    assert message.number(dhcp.REBINDING_TIME) == 0


def test_options_in_parts_and_in_other_fields() -> None:
    data = bytearray(dhcp.build_dhcp(MESSAGE._replace(options={52: b"\3", 12: b"first"})))
    data[44:54] = bytes([12, 7]) + b" second\xff"
    data[108:113] = bytes([0, 12, 2]) + b" 3"
    options = dhcp.parse_dhcp(bytes(data)).options
    assert options[12] == b"first 3 second"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (bytes(239), "dhcp-truncated"),
        (bytes(240), "dhcp-format"),
        (dhcp.build_dhcp(MESSAGE)[:240] + b"\x35\x02\x01", "dhcp-option-length"),
        (dhcp.build_dhcp(MESSAGE)[:240] + b"\x35", "dhcp-option-length"),
    ],
)
def test_malformed_messages_are_told_apart(data: bytes, reason: str) -> None:
    with pytest.raises(PacketError, match=reason):
        dhcp.parse_dhcp(data)


@given(st.binary(max_size=60))
def test_any_options_parse_or_raise(data: bytes) -> None:
    try:
        message = dhcp.parse_dhcp(dhcp.build_dhcp(MESSAGE)[:240] + data)
    except PacketError:
        return
    assert 0 <= message.type <= 255
