from __future__ import annotations

from iotsim.net.sweep import STEPS_AT_ONCE, Sweeps


def test_every_index_has_its_time() -> None:
    sweeps = Sweeps()
    done: list[tuple[int, float]] = []
    assert sweeps.add("a", 3, 10.0, 0.5, lambda index, now: done.append((index, now)))
    assert not sweeps.add("a", 3, 99.0, 0.5, lambda index, now: None)
    assert sweeps.next_due() == 10.0
    sweeps.pop_due(9.9)
    assert done == []
    sweeps.pop_due(10.0)
    assert sweeps.next_due() == 10.5
    sweeps.pop_due(11.2)
    assert done == [(0, 10.0), (1, 11.2), (2, 11.2)]
    assert sweeps.next_due() is None
    assert sweeps.add("a", 1, 12.0, 0.5, lambda index, now: None)


def test_who_is_late_catches_up_in_pieces() -> None:
    sweeps = Sweeps()
    done: list[int] = []
    sweeps.add("a", STEPS_AT_ONCE + 5, 0.0, 0.001, lambda index, now: done.append(index))
    sweeps.pop_due(1000.0)
    assert len(done) == STEPS_AT_ONCE
    due = sweeps.next_due()
    assert due is not None
    assert due < 1000.0
    sweeps.pop_due(1000.0)
    assert done == list(range(STEPS_AT_ONCE + 5))
