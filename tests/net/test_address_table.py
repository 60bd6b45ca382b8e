from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotsim.net.address_table import AddressTable, PortHandler
from iotsim.wire.address import parse_address

if TYPE_CHECKING:
    from iotsim.net.address_table import HostPool


class Pool:
    def __init__(self) -> None:
        self.ports: dict[int, PortHandler] = {}
        self.missed: dict[int, PortHandler] = {}


POOL: HostPool = Pool()
V6 = parse_address("fd77::1:1")


def test_a_million_addresses_of_either_family() -> None:
    table = AddressTable()
    table.add(0x0A4D0101, 1_000_000, POOL)
    table.add(V6, 1_000_000, POOL)
    for first in (0x0A4D0101, V6):
        for address in (first, first + 777, first + 999_999):
            block = table.find(address)
            assert block is not None
            assert block.first == first
        assert table.find(first - 1) is None
        assert table.find(first + 1_000_000) is None


@pytest.mark.parametrize(("first", "count"), [(100, 10), (95, 6), (109, 5), (90, 30), (104, 1)])
def test_overlaps_are_refused_with_both_ranges(first: int, count: int) -> None:
    table = AddressTable()
    table.add(100, 10, POOL)
    table.add(200, 10, POOL)
    with pytest.raises(ValueError, match=r"overlaps 0\.0\.0\.100-0\.0\.0\.109"):
        table.add(first, count, POOL)


@pytest.mark.parametrize(("first", "count"), [(0, 1), (5, 0), (0xFFFFFFFF, 2), ((1 << 128) - 1, 2)])
def test_what_is_no_range_is_refused(first: int, count: int) -> None:
    with pytest.raises(ValueError, match="no range"):
        AddressTable().add(first, count, POOL)


@given(st.lists(st.tuples(st.integers(1, 300), st.integers(1, 20)), max_size=12))
def test_finds_what_a_table_of_all_addresses_would(ranges: list[tuple[int, int]]) -> None:
    table = AddressTable()
    holders: dict[int, int] = {}
    for first, count in ranges:
        addresses = range(first, first + count)
        if holders.keys() & set(addresses):
            with pytest.raises(ValueError, match="overlaps"):
                table.add(first, count, POOL)
        else:
            table.add(first, count, POOL)
            holders.update(dict.fromkeys(addresses, first))
    for address in range(325):
        block = table.find(address)
        assert (block.first if block else None) == holders.get(address)
    assert [block.first for block in table] == sorted(set(holders.values()))
