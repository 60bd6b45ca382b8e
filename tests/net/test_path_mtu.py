from __future__ import annotations

import pytest

from iotsim.net.path_mtu import PATH_MTU_LIFETIME_S, PathMtuCache

PEER, PEER6 = 0x0A4D0001, 0xFD77 << 112 | 1


@pytest.mark.parametrize(
    ("peer", "mtu", "length", "expected"),
    [
        (PEER, 1300, 1500, 1300),
        (PEER, 1500, 1500, 1500),
        (PEER, 9000, 1500, 1500),
        (PEER, 68, 1500, 552),
        (PEER, 0, 1500, 1492),
        (PEER, 0, 1006, 576),
        (PEER, 0, 100, 552),
        (PEER6, 1300, 1500, 1300),
        (PEER6, 1280, 1500, 1280),
        (PEER6, 1000, 1500, 1500),
    ],
)
def test_what_is_believed(peer: int, mtu: int, length: int, expected: int) -> None:
    paths = PathMtuCache(1500)
    assert paths.learn(peer, mtu, length, 0.0) == (expected < 1500)
    assert paths.get(peer) == expected
    assert paths.smallest == expected


def test_a_path_gets_narrower_and_is_forgotten() -> None:
    paths = PathMtuCache(1500)
    assert paths.learn(PEER, 1400, 1500, 0.0)
    assert not paths.learn(PEER, 1450, 1500, 1.0)
    assert paths.learn(PEER6, 1350, 1500, 2.0)
    assert paths.learn(PEER, 1300, 1500, 3.0)
    assert paths.next_due() == 2.0 + PATH_MTU_LIFETIME_S
    paths.pop_due(2.0 + PATH_MTU_LIFETIME_S)
    assert (paths.get(PEER), paths.get(PEER6), paths.smallest) == (1300, 1500, 1300)
    paths.pop_due(3.0 + PATH_MTU_LIFETIME_S)
    assert paths.smallest == 1500
    assert paths.next_due() is None


def test_the_oldest_path_makes_room() -> None:
    paths = PathMtuCache(1500, capacity=3)
    for peer in range(5):
        assert paths.learn(PEER + peer, 1400, 1500, float(peer))
    assert [paths.get(PEER + peer) for peer in range(5)] == [1500, 1500, 1400, 1400, 1400]
