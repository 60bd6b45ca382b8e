from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotsim.net.mac import NUMBERS, check_block, derived_mac, derived_number, link_local
from iotsim.wire.address import format_address
from iotsim.wire.ethernet import GROUP_BIT, LOCAL_BIT, parse_mac


@given(st.integers(), st.integers(0, NUMBERS - 1))
def test_derived_macs_are_local_and_read_backwards(seed: int, number: int) -> None:
    mac = derived_mac(seed, number)
    assert mac & LOCAL_BIT
    assert not mac & GROUP_BIT
    assert mac < 1 << 48
    assert derived_number(seed, mac) == number
    assert derived_number(seed + 1, mac) == -1 or derived_mac(seed + 1, number) == mac


def test_seeds_do_not_meet_and_numbers_end() -> None:
    prefixes = {derived_mac(seed, 0) >> 24 for seed in range(300)}
    assert len(prefixes) == 300
    for number in (-1, NUMBERS):
        with pytest.raises(ValueError, match="device number"):
            derived_mac(1, number)


def test_link_local_addresses_follow_each_other_as_the_macs_do() -> None:
    mac = parse_mac("02:12:34:56:78:9a")
    assert format_address(link_local(mac)) == "fe80::12:34ff:fe56:789a"
    assert link_local(mac + 1000) == link_local(mac) + 1000
    assert format_address(link_local(parse_mac("00:50:c2:00:00:01"))) == "fe80::250:c2ff:fe00:1"


@pytest.mark.parametrize(
    ("mac", "count"),
    [
        ("01:00:00:00:00:01", 1),
        ("00:00:00:00:00:00", 1),
        ("ff:ff:ff:ff:ff:ff", 1),
        ("02:00:00:ff:ff:ff", 2),
    ],
)
def test_what_is_no_run_of_hosts(mac: str, count: int) -> None:
    with pytest.raises(ValueError, match="cannot have the MAC addresses"):
        check_block(parse_mac(mac), count)
