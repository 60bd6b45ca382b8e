"""Devices whose readings stand still or are old, and whose clocks are off."""

from __future__ import annotations

from typing import Any

import pytest

from iotsim.device import Fleet
from iotsim.device.trouble import Frozen, Skewed, Stale, Trouble, TroubledDevice

RULES = [
    {
        "when": {"at": "=t"},
        "reply": {"kind": "RIGHT"},
    },
    {
        "where": "=t > 100",
        "reply": {"kind": "LATE"},
    },
    {
        "set": {"last": "=t"},
        "reply": {"time": "=t", "level": "=level", "name": "=device.name", "last": "=state.last"},
    },
]


@pytest.fixture
def device(build: Any) -> TroubledDevice:
    signals = {
        "level": build.signal("ramp", start=0.0, stop=100.0, period=100.0),
        "other": build.signal("ramp", start=0.0, stop=200.0, period=100.0),
    }
    spec = build.spec(
        [*RULES, {"send": {"time": "=t", "level": "=level"}, "every": 1.0}],
        signals=signals,
        state={"last": 0.0},
    )
    device = Fleet(spec, 1, TroubledDevice).device(0)
    assert isinstance(device, TroubledDevice)
    return device


def give(device: TroubledDevice, *troubles: Trouble) -> None:
    device.fleet.troubles = [
        (order, range(device.index, device.index + 1), one) for order, one in enumerate(troubles)
    ]


def ask(device: TroubledDevice, now: float, **message: Any) -> Any:
    return device.fleet.responders[0](device, message, now)


def test_without_troubles_it_is_a_device_as_any(device: TroubledDevice) -> None:
    assert ask(device, 10.0) == {"time": 10.0, "level": 10.0, "name": "meter[0]", "last": 10.0}
    assert device.fleet.schedules[0].build(device, 10.0) == [{"time": 10.0, "level": 10.0}]


def test_frozen_signals_stay_as_they_were(device: TroubledDevice) -> None:
    give(device, Frozen(20.0, ["level"]))
    assert (device.signal("level", 50.0), device.signal("other", 50.0)) == (20.0, 100.0)
    give(device, Frozen(20.0))
    assert (device.signal("level", 50.0), device.signal("other", 50.0)) == (20.0, 40.0)
    assert ask(device, 50.0)["time"] == 50.0


def test_stale_signals_are_those_of_so_long_ago_and_at_first_those_of_the_start(
    device: TroubledDevice,
) -> None:
    give(device, Stale(30.0))
    assert (device.signal("level", 50.0), device.signal("level", 10.0)) == (20.0, 0.0)


def test_what_is_stale_and_then_frozen_is_frozen(device: TroubledDevice) -> None:
    give(device, Stale(30.0), Frozen(40.0, ["level"]))
    assert (device.signal("level", 90.0), device.signal("other", 90.0)) == (40.0, 120.0)


def test_a_skewed_clock_moves_t_but_neither_signals_nor_the_times_of_rules(
    device: TroubledDevice,
) -> None:
    give(device, Skewed(10.0, -5.0, 0.5))
    # Ten seconds after it began, the clock has gained five.
    assert ask(device, 20.0) == {"time": 20.0, "level": 20.0, "name": "meter[0]", "last": 20.0}
    assert ask(device, 12.0)["time"] == 12.0 - 5.0 + 1.0
    assert ask(device, 12.0)["level"] == 12.0
    assert device.state["last"] == 8.0
    assert device.fleet.schedules[0].build(device, 12.0) == [{"time": 8.0, "level": 12.0}]
    assert ask(device, 12.0, at=8.0) == {"kind": "RIGHT"}
    assert ask(device, 90.0) == {"kind": "LATE"}
