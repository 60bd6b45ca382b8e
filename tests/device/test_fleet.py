from __future__ import annotations

import statistics
import sys
import tracemalloc
from typing import Any

import pytest

from iotsim.device import Fleet
from iotsim.device.spec import FleetSpec
from iotsim.errors import ScenarioError
from iotsim.units import DurationRange


def test_devices_are_made_when_they_are_asked_for(build: Any) -> None:
    fleet = build.fleet(count=5)
    assert (len(fleet), fleet.created) == (5, 0)
    device = fleet.device(3)
    assert fleet.device(3) is device is fleet.devices[3]
    assert fleet.created == 1
    assert (device.name, device.address, device.index) == ("meter[3]", "10.77.1.4", 3)
    assert (device.peer, device.failed, device.behavior) == (None, False, None)
    for index in (5, -1):
        with pytest.raises(IndexError):
            fleet.device(index)


def test_a_fleet_without_addresses_has_none() -> None:
    assert Fleet(FleetSpec("m", 1), 1).device(0).address == ""


def test_state_is_each_devices_own_with_its_row_of_data(build: Any) -> None:
    rows = tuple({"serial": f"S{number}"} for number in range(3))
    fleet = build.fleet(count=3, state={"list": [1], "serial": ""}, data=rows)
    fleet.device(0).state["list"].append(2)
    assert fleet.device(0).state == {"list": [1, 2], "serial": "S0"}
    assert fleet.device(2).state == {"list": [1], "serial": "S2"}


def test_data_needs_a_row_for_each_device(build: Any) -> None:
    with pytest.raises(ScenarioError, match="data has 1 rows for 3 devices of meter"):
        build.fleet(count=3, data=({"a": 1},))


def test_signals_by_name(build: Any) -> None:
    signals = {"x": build.signal("noise"), "y": build.signal("noise")}
    fleet, same, other = (
        build.fleet(signals=signals, count=count, seed=seed)
        for count, seed in ((5, 1), (50, 1), (5, 2))
    )
    reading = fleet.device(4).signal("x", 7.0)
    assert reading == same.device(4).signal("x", 7.0)
    assert reading != other.device(4).signal("x", 7.0)
    assert reading != fleet.device(3).signal("x", 7.0)
    assert reading != fleet.device(4).signal("y", 7.0)
    with pytest.raises(KeyError):
        fleet.device(0).signal("z", 0.0)


def test_a_bad_signal_names_its_place(build: Any) -> None:
    with pytest.raises(ScenarioError, match=r"devices\.meter\.signals\.x: min 2 is not below max"):
        build.fleet(signals={"x": build.signal("random_walk", min=2.0, max=1.0)})


def test_booting(build: Any) -> None:
    assert not build.fleet().boots_later
    assert build.fleet().boots_at(3) == 0.0
    ramp = build.fleet(ramp_s=20.0)
    assert ramp.boots_later
    assert [ramp.boots_at(index) for index in (0, 1, 9)] == [0.0, 2.0, 18.0]
    delayed = build.fleet(count=1000, boot_delay=DurationRange(1.0, 3.0))
    assert delayed.boots_later
    boots = [delayed.boots_at(index) for index in range(1000)]
    assert all(1.0 <= t < 3.0 for t in boots)
    assert statistics.mean(boots) == pytest.approx(2.0, abs=0.05)


def test_received_counts_messages(build: Any) -> None:
    fleet = build.fleet([{"reply": {}}])
    fleet.responders[0](fleet.device(0), {}, 0.0)
    assert fleet.device(0).received == 1


def test_a_million_devices_cost_nothing_before_they_speak(build: Any) -> None:
    spec = build.spec([{"reply": {}}, {"send": {}, "every": 60.0}], count=1_000_000)
    tracemalloc.start()
    fleet = Fleet(spec, 1)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(fleet) == 1_000_000
    assert used < 10e6


def test_a_stateless_device_takes_at_most_150_bytes(build: Any) -> None:
    count = 100_000
    spec = build.spec([{"when": {"kind": "READ"}, "reply": {"value": 1}}], count=count)
    tracemalloc.start()
    fleet = Fleet(spec, 1)
    for index in range(count):
        fleet.responders[0](fleet.device(index), {"kind": "READ"}, 0.0)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert fleet.created == count
    assert used / count <= 150
    assert sys.getsizeof(fleet.device(0)) <= 96
