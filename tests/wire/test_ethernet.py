from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotsim.wire import arp, ethernet
from iotsim.wire.address import parse_address
from iotsim.wire.errors import PacketError

MAC = st.integers(0, (1 << 48) - 1)


@given(MAC, MAC, st.integers(0x0600, 0xFFFF), st.none() | st.integers(0, 0xFFFF))
def test_headers_with_and_without_tag(
    destination: int, source: int, ethertype: int, tag: int | None
) -> None:
    if ethertype == ethernet.VLAN:
        return
    header = ethernet.EthernetHeader(destination, source, ethertype, tag)
    data = ethernet.build_ethernet(header)
    assert len(data) == header.length
    assert ethernet.parse_ethernet(b"front" + data + b"payload", 5) == header


def test_the_vlan_is_a_part_of_the_tag() -> None:
    assert ethernet.EthernetHeader(1, 2, 3).vlan == 0
    assert ethernet.EthernetHeader(1, 2, 3, 0xE064).vlan == 100


@given(st.binary(max_size=20))
def test_any_bytes_are_a_header_or_an_error(data: bytes) -> None:
    try:
        header = ethernet.parse_ethernet(data)
    except PacketError:
        return
    assert ethernet.build_ethernet(header) == data[: header.length]


def test_macs_of_groups() -> None:
    group = parse_address("224.128.2.3")
    assert ethernet.format_mac(ethernet.group_mac(group)) == "01:00:5e:00:02:03"
    group = parse_address("ff02::1:ff12:3456")
    assert ethernet.format_mac(ethernet.group_mac(group)) == "33:33:ff:12:34:56"
    assert ethernet.is_group(ethernet.BROADCAST)
    assert not ethernet.is_group(0x020000000001)


@given(MAC)
def test_macs_as_text(mac: int) -> None:
    assert ethernet.parse_mac(ethernet.format_mac(mac)) == mac


@pytest.mark.parametrize("text", ["", "02:00:00:00:00", "02:00:00:00:00:0g", "020000000001"])
def test_what_is_no_mac(text: str) -> None:
    with pytest.raises(ValueError, match="no MAC address"):
        ethernet.parse_mac(text)


@given(st.integers(0, 65535), MAC, st.integers(0, 0xFFFFFFFF), MAC, st.integers(0, 0xFFFFFFFF))
def test_arp_messages(
    operation: int, sender_mac: int, sender: int, target_mac: int, target: int
) -> None:
    message = arp.ArpMessage(operation, sender_mac, sender, target_mac, target)
    assert arp.parse_arp(arp.build_arp(message) + bytes(18)) == message


@pytest.mark.parametrize(
    ("data", "reason"), [(bytes(27), "arp-truncated"), (bytes(28), "arp-format")]
)
def test_malformed_arp_is_told_apart(data: bytes, reason: str) -> None:
    with pytest.raises(PacketError, match=reason):
        arp.parse_arp(data)
