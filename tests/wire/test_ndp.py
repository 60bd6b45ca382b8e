from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotsim.wire import icmpv6, ndp
from iotsim.wire.address import parse_address
from iotsim.wire.errors import PacketError
from iotsim.wire.icmpv4 import IcmpMessage

TARGET = parse_address("fd77::1:1")
MAC = 0x020000000005


@pytest.mark.parametrize("mac", [MAC, None])
def test_a_neighbor_message(mac: int | None) -> None:
    data = ndp.neighbor_data(TARGET, ndp.TARGET_LINK_ADDRESS, mac)
    message = IcmpMessage(icmpv6.NEIGHBOR_ADVERTISEMENT, 0, ndp.SOLICITED | ndp.OVERRIDE, data)
    parsed = ndp.parse_neighbor(message, ndp.TARGET_LINK_ADDRESS)
    assert parsed == (TARGET, False, True, True, mac)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (bytes(15), "ndp-truncated"),
        (parse_address("ff02::1").to_bytes(16, "big"), "ndp-target"),
        (parse_address("::10.77.1.1").to_bytes(16, "big"), "ndp-target"),
        (TARGET.to_bytes(16, "big") + b"\x01", "ndp-option-length"),
        (TARGET.to_bytes(16, "big") + b"\x01\x00" + bytes(6), "ndp-option-length"),
        (TARGET.to_bytes(16, "big") + b"\x01\x02" + bytes(6), "ndp-option-length"),
    ],
)
def test_malformed_messages_are_told_apart(data: bytes, reason: str) -> None:
    with pytest.raises(PacketError, match=reason):
        ndp.parse_neighbor(IcmpMessage(135, 0, 0, data), ndp.SOURCE_LINK_ADDRESS)


def test_a_router_advertisement() -> None:
    data = bytes(8) + b"\x05\x01\0\0\0\0\x05\xdc" + b"\x01\x01" + MAC.to_bytes(6, "big")
    message = IcmpMessage(icmpv6.ROUTER_ADVERTISEMENT, 0, 64 << 24 | 1800, data)
    assert ndp.parse_router_advertisement(message) == (1800, MAC)
    with pytest.raises(PacketError, match="ndp-truncated"):
        ndp.parse_router_advertisement(IcmpMessage(134, 0, 0, bytes(7)))


@given(st.binary(max_size=60))
def test_any_bytes_parse_or_raise(data: bytes) -> None:
    message = IcmpMessage(135, 0, 0, data)
    with suppress(PacketError):
        neighbor = ndp.parse_neighbor(message, ndp.SOURCE_LINK_ADDRESS)
        assert neighbor.link_address is None or 0 <= neighbor.link_address < 1 << 48
    with suppress(PacketError):
        router = ndp.parse_router_advertisement(message)
        assert 0 <= router.lifetime_s < 1 << 16
