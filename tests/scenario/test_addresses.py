from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iotsim.device.spec import AddressBlock, FleetSpec
from iotsim.errors import ScenarioError
from iotsim.scenario.addresses import (
    check_overlaps,
    default_router,
    gateway_side,
    plan_blocks,
    relocate,
    reserved_addresses,
    within,
)
from iotsim.scenario.problems import Problems
from iotsim.wire.address import parse_address

BASE = parse_address("10.0.0.0")


def test_default_routers() -> None:
    for text, router in (
        ("10.77.0.1/16", "10.77.255.254"),
        ("10.77.0.2/29", "10.77.0.6"),
        ("10.77.0.6/29", "10.77.0.5"),
        # With one address besides the gateway's there is no router, but a device.
        ("10.77.0.2/30", "0.0.0.0"),
        ("10.77.0.0/31", "0.0.0.0"),
        ("10.77.0.1/31", "0.0.0.0"),
        ("fd77::1/127", "0.0.0.0"),
        ("fd77::1/126", "fd77::3"),
        ("192.168.5.254/24", "192.168.5.253"),
        ("fd77::1/64", "fd77::ffff:ffff:ffff:ffff"),
        ("fd77::ff/120", "fd77::fe"),
    ):
        assert default_router(gateway_side(text)) == parse_address(router)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("10.77.0.1/32", "a prefix of 32 bits has no room for devices"),
        ("fd77::1/128", "a prefix of 128 bits has no room for devices"),
        ("10.77.0.1/0", "would hold every address there is"),
        ("10.77.0.0/30", "10.77.0.0 is the address of the network 10.77.0.0/30 itself"),
        ("10.77.0.3/30", "10.77.0.3 is the broadcast address of 10.77.0.0/30"),
        ("fd77::/64", "fd77:: is the routers' anycast address of fd77::/64"),
        ("fd77::4/126", "fd77::4 is the routers' anycast address of fd77::4/126"),
    ],
)
def test_what_a_gateway_cannot_have(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=re.escape(problem)):
        gateway_side(text)


@pytest.mark.parametrize("text", ["10.77.0.0/31", "10.77.0.1/31", "fd77::/127", "fd77::1/127"])
def test_of_two_addresses_hosts_have_both(text: str) -> None:
    address, length = gateway_side(text)
    assert reserved_addresses((address, length)) == {}
    assert within(address ^ 1, (address, length))


def test_within_a_prefix() -> None:
    side = gateway_side("10.77.0.1/16")
    assert within(parse_address("10.77.255.255"), side)
    assert not within(parse_address("10.78.0.0"), side)
    assert not within(parse_address("fd77::1"), side)
    assert not within(parse_address("10.77.0.1"), None)


@pytest.mark.parametrize(
    ("entries", "count", "expected"),
    [
        (["10.77.1.1"], None, (1, [1])),
        (["10.77.1.1"], 5, (5, [5])),
        (["10.77.1.0/28"], None, (14, [14])),
        (["10.77.1.0/28"], 3, (3, [3])),
        (["10.77.1.1-10.77.1.9", "fd77::1"], None, (9, [9, 9])),
        (["10.77.1.0/24", "fd77::1:0/120"], None, (254, [254, 254])),
    ],
)
def test_counts(entries: list[str], count: int | None, expected: tuple[int, list[int]]) -> None:
    problems = Problems("x")
    planned, blocks = plan_blocks(entries, count, (), problems)
    problems.raise_any()
    assert (planned, [block.count for block in blocks]) == expected


@pytest.mark.parametrize(
    ("entries", "count", "said"),
    [
        (["fd77::/64"], None, "room for 18446744073709551615 devices"),
        (["fd77::1-fd77::2"], 3, "3 devices do not fit into 2 addresses"),
        (["239.255.255.255"], 2, "multicast"),
        (["10.77.1.1", "nonsense"], 2, "no IP address"),
    ],
)
def test_what_cannot_be_planned(entries: list[str], count: int | None, said: str) -> None:
    problems = Problems("x")
    plan_blocks(entries, count, (), problems)
    with pytest.raises(ScenarioError, match=said):
        problems.raise_any()


blocks = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 12)), max_size=6)


@settings(max_examples=80)
@given(blocks)
def test_overlaps_are_found(pairs: list[tuple[int, int]]) -> None:
    problems = Problems("x")
    listed = [(AddressBlock(BASE + a, n), ("r", i), str(i)) for i, (a, n) in enumerate(pairs)]
    check_overlaps(listed, problems)
    addresses = [a + k for a, n in pairs for k in range(n)]
    assert bool(problems) == (len(set(addresses)) < len(addresses))


def test_relocation_is_in_the_order_of_declaration() -> None:
    moved = relocate(
        [
            FleetSpec("b", 3, (AddressBlock(BASE, 3), AddressBlock(1 << 100, 3))),
            FleetSpec("a", 2, (AddressBlock(BASE + 9, 2), AddressBlock(BASE + 99, 2))),
            FleetSpec("c", 1, (AddressBlock(1 << 101, 1),)),
        ]
    )
    first = parse_address("127.77.0.1")
    assert [[block.first - first for block in fleet.blocks] for fleet in moved] == [
        [0],
        [3, 5],
        [7],
    ]
    with pytest.raises(ValueError, match="has room for"):
        relocate([FleetSpec("a", 1 << 24, (AddressBlock(BASE, 1 << 24),))])
