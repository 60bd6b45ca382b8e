"""IGMP and MLD, whose formats are twins."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotsim.wire import icmpv6, igmp, mld
from iotsim.wire.address import parse_address
from iotsim.wire.checksum import checksum
from iotsim.wire.errors import PacketError
from iotsim.wire.icmpv4 import IcmpMessage

GROUP = parse_address("239.1.2.3")
GROUP6 = parse_address("ff05::fd")


@pytest.mark.parametrize(
    ("message", "query"),
    [
        ("1164 0000 00000000", (0, 10.0)),
        ("1100 0000 00000000", (0, 10.0)),
        ("110a 0000 ef010203", (GROUP, 1.0)),
        ("1164 0000 ef010203 02 7d 0000", (GROUP, 10.0)),
        ("11ff 0000 00000000 02 7d 0000", (0, 3174.4)),
    ],
    ids=["version 2", "version 1", "one group", "version 3", "version 3, long"],
)
def test_igmp_queries_of_all_versions(message: str, query: tuple[int, float]) -> None:
    data = bytes.fromhex(message)
    data = data[:2] + checksum(data).to_bytes(2, "big") + data[4:]
    assert igmp.parse_type(data) == igmp.MEMBERSHIP_QUERY
    assert igmp.parse_query(data) == query


def test_igmp_query_and_report() -> None:
    query = igmp.MembershipQuery(GROUP, 2.5)
    assert igmp.parse_query(igmp.build_query(query)) == query
    report = igmp.build_report(igmp.CHANGE_TO_EXCLUDE, [GROUP, GROUP + 1])
    assert igmp.parse_type(report) == igmp.V3_REPORT
    assert report[6:] == bytes.fromhex("0002 04000000ef010203 04000000ef010204")


@given(st.binary(max_size=24))
def test_any_bytes_are_igmp_or_an_error(data: bytes) -> None:
    data = data[:2] + checksum(data[:2] + b"\0\0" + data[4:]).to_bytes(2, "big") + data[4:]
    try:
        igmp.parse_type(data)
    except PacketError:
        return
    assert igmp.parse_query(data).response_s >= 0


@pytest.mark.parametrize(
    ("rest", "tail", "response_s"),
    [(1000 << 16, b"", 1.0), (1000 << 16, bytes(4), 1.0), (0x8000 << 16, bytes(4), 32.768)],
)
def test_mld_queries_of_both_versions(rest: int, tail: bytes, response_s: float) -> None:
    message = IcmpMessage(icmpv6.MLD_QUERY, 0, rest, GROUP6.to_bytes(16, "big") + tail)
    assert mld.parse_query(message) == (GROUP6, response_s)


def test_mld_report() -> None:
    count, data = mld.report_fields(mld.MODE_IS_EXCLUDE, [GROUP6])
    assert count == 1
    assert data == bytes.fromhex("02000000") + GROUP6.to_bytes(16, "big")
    with pytest.raises(PacketError, match="mld-truncated"):
        mld.parse_query(IcmpMessage(icmpv6.MLD_QUERY, 0, 0, bytes(15)))
