from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotsim.net.address_table import AddressPool, PortHandler
from iotsim.wire.address import parse_address

if TYPE_CHECKING:
    from iotsim.net.address_table import HostGroup


class PoolGroup:
    def __init__(self) -> None:
        self.ports: dict[int, PortHandler] = {}


GROUP: HostGroup = PoolGroup()
V6 = parse_address("fd77::1:1")


def test_a_million_addresses_of_either_family() -> None:
    pool = AddressPool()
    pool.add(0x0A4D0101, 1_000_000, GROUP)
    pool.add(V6, 1_000_000, GROUP)
    for first in (0x0A4D0101, V6):
        for address in (first, first + 777, first + 999_999):
            run = pool.find(address)
            assert run is not None
            assert run.first == first
        assert pool.find(first - 1) is None
        assert pool.find(first + 1_000_000) is None


@pytest.mark.parametrize(("first", "count"), [(100, 10), (95, 6), (109, 5), (90, 30), (104, 1)])
def test_overlaps_are_refused_with_both_ranges(first: int, count: int) -> None:
    pool = AddressPool()
    pool.add(100, 10, GROUP)
    pool.add(200, 10, GROUP)
    with pytest.raises(ValueError, match=r"overlaps 0\.0\.0\.100-0\.0\.0\.109"):
        pool.add(first, count, GROUP)


@pytest.mark.parametrize(("first", "count"), [(0, 1), (5, 0), (0xFFFFFFFF, 2), ((1 << 128) - 1, 2)])
def test_what_is_no_range_is_refused(first: int, count: int) -> None:
    with pytest.raises(ValueError, match="no range"):
        AddressPool().add(first, count, GROUP)


@given(st.lists(st.tuples(st.integers(1, 300), st.integers(1, 20)), max_size=12))
def test_finds_what_a_table_of_all_addresses_would(ranges: list[tuple[int, int]]) -> None:
    pool = AddressPool()
    table: dict[int, int] = {}
    for first, count in ranges:
        addresses = range(first, first + count)
        if table.keys() & set(addresses):
            with pytest.raises(ValueError, match="overlaps"):
                pool.add(first, count, GROUP)
        else:
            pool.add(first, count, GROUP)
            table.update(dict.fromkeys(addresses, first))
    for address in range(325):
        run = pool.find(address)
        assert (run.first if run else None) == table.get(address)
    assert [run.first for run in pool] == sorted(set(table.values()))
