"""Devices that speak to each other beside a real gateway: on each link and with several queues alike; and
links that have room for one device only."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import CommandLine, Done

pytestmark = pytest.mark.needs("tun")
background = pytest.mark.background

BUNDLED = Path(__file__).parents[2] / "scenarios" / "network" / "between_devices.toml"
LINKS = {"tun": "", "two queues": "queues = 2", "tap": 'kind = "tap"'}


def on_each_link(iotsim: CommandLine) -> dict[str, Done]:
    runs = {}
    for number, (name, link) in enumerate(LINKS.items()):
        text = BUNDLED.read_text().replace("[gateway]", f"[link]\n{link}\n[gateway]", 1)
        path = iotsim.write(f"scenario{number}.toml", text)
        out = iotsim.folder / f"out{number}"
        runs[name] = out, iotsim.start("run", path, "--out", out, "--quiet")
    return {name: iotsim.finish(run, out) for name, (out, run) in runs.items()}


@background(job=on_each_link)
def test_devices_hear_each_other_on_every_link(done: dict[str, Done]) -> None:
    decisions = {}
    for name, run in done.items():
        assert run.status == 0, run.text + run.log
        decisions[name] = [
            (each["name"], each["passed"], each["total"], each["devices"])
            for each in run.result["expectations"]
        ]
        counters = run.result["counters"]
        between = {key: n for key, n in counters.items() if key.startswith("between_devices.")}
        assert between == {
            "between_devices.packets": 12,
            "between_devices.outcome.answered": 3,
            "between_devices.outcome.consumed.no-rule": 9,
        }
        assert counters["packets.recorded"] == counters["packets.received"] + counters["link.sent"]
    assert decisions["two queues"] == decisions["tap"] == decisions["tun"]


@background(job=on_each_link)
def test_what_devices_say_to_each_other_is_in_the_events(done: dict[str, Done]) -> None:
    told = {
        name: sorted(
            (event["event"], event["device"], event["peer"], str(event["message"]))
            for kind in ("received", "sent")
            for event in run.events_of(kind)
        )
        for name, run in done.items()
    }
    assert told["two queues"] == told["tap"] == told["tun"]
    heard = {(device, peer) for kind, device, peer, _ in told["tun"] if kind == "received"}
    assert heard == {
        ("lamp[1]", "[fd77::1:1]:5600"),
        ("switch[0]", "[fd77::2:2]:5600"),
        *((f"lamp[{n}]", "10.77.1.1:5600") for n in range(6)),
        *((f"clock[{n}]", "10.77.1.1:5600") for n in range(2)),
        *(("switch[0]", f"10.77.2.{n}:5600") for n in range(1, 7)),
    }


PINGED = """
[scenario]
duration = "20s"
[link]
address = ["{}", "{}"]
[gateway]
command = ["sh", "-c", "ping -q -c 1 -W 5 {} && ping -q -c 1 -W 5 {}"]
[devices.meter]
address = ["{}", "{}"]
protocol = "sensornet"
[[expect]]
gateway = {{ exit = 0 }}
"""
SMALL = [
    ("10.77.0.0/31", "fd77::1/127", "10.77.0.1", "fd77::"),
    ("10.77.0.1/31", "fd77::/127", "10.77.0.0", "fd77::1"),
    ("10.77.0.1/30", "fd77::1/126", "10.77.0.2", "fd77::2"),
]


def on_small_links(iotsim: CommandLine) -> list[Done]:
    runs = []
    for number, (side, side6, device, device6) in enumerate(SMALL):
        text = PINGED.format(side, side6, device, device6, device, device6)
        path = iotsim.write(f"small{number}.toml", text)
        out = iotsim.folder / f"out{number}"
        runs.append((out, iotsim.start("run", path, "--out", out, "--quiet")))
    return [iotsim.finish(run, out) for out, run in runs]


@pytest.mark.needs("ping")
@background(job=on_small_links)
def test_a_link_may_hold_a_gateway_and_one_device(done: list[Done]) -> None:
    for run in done:
        assert run.status == 0, run.text + run.log
        assert run.result["counters"]["outcome.answered"] == 2
