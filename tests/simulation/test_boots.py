"""Boots: a few in each turn, in order, and told of if they are late."""

from __future__ import annotations

from typing import Any

import pytest

from iotsim.simulation.boots import BOOTS_A_TURN, Boots
from iotsim.simulation.timers import Timers


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def boots_of(booted: list[int], timers: Timers, clock: Clock, each_s: float = 0.001) -> Boots:
    def boot(fleet: Any, index: int, reboots: int) -> None:
        booted.append(index)
        clock.now += each_s

    return Boots(timers, clock, boot)


def test_who_boots_at_once_does_so_a_few_at_a_turn() -> None:
    timers, clock, booted = Timers(), Clock(), list[int]()
    late: list[float] = []
    timers.on_late = lambda due, now: late.append(now - due)
    boots = boots_of(booted, timers, clock)
    count = 3 * BOOTS_A_TURN + 1
    for index in range(count):
        boots.add(0.0, Any, index, 0)
    turns = 0
    while len(booted) < count:
        timers.fire(clock.now, 64)
        turns += 1
        assert len(booted) == min(count, turns * BOOTS_A_TURN)
    assert booted == list(range(count))
    assert len(late) == turns - 1, "those of the first turn are on time"
    assert timers.lateness == max(late) == pytest.approx(3 * BOOTS_A_TURN * 0.001)


def test_each_boots_at_its_time_also_if_it_is_added_later() -> None:
    timers, clock, booted = Timers(), Clock(), list[int]()
    boots = boots_of(booted, timers, clock, each_s=0.0)
    for index, at in enumerate((3.0, 1.0, 2.0)):
        boots.add(at, Any, index, 0)
    for t, expected in ((0.5, []), (1.0, [1]), (2.5, [1, 2])):
        clock.now = t
        timers.fire(t, 64)
        assert booted == expected
    boots.add(2.75, Any, 3, 1)
    clock.now = 3.0
    timers.fire(3.0, 64)
    assert booted == [1, 2, 3, 0]
    assert timers.next_due() == float("inf")
