"""The fixture `simulation` with a gateway's process in a private network: what a test can do to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from iotsim.errors import ScenarioError
from iotsim.testing.waiting import NotSeen

if TYPE_CHECKING:
    from pathlib import Path

    from iotsim.pytest_plugin.fixture import Simulate

pytestmark = pytest.mark.needs("tun")

GATEWAY = """
import binascii, json, socket, struct, sys, time, urllib.request

url, *addresses = sys.argv[1:]
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.settimeout(0.2)
number = 0
while True:
    for address in addresses:
        number += 1
        body = b"SN" + struct.pack("!BBHIHB", 1, 1, 9, 7, number, 0)
        sock.sendto(body + struct.pack("!H", binascii.crc_hqx(body, 0xFFFF)), (address, 5600))
        try:
            data, _ = sock.recvfrom(2048)
        except TimeoutError:
            print("nothing from", address, flush=True)
            continue
        print("answer from", address, flush=True)
        try:
            urllib.request.urlopen(url + "/readings", data=json.dumps({"from": address}).encode(), timeout=1)
        except OSError as error:
            print("no cloud", flush=True)
    time.sleep(0.05)
"""
METERS = """
[scenario]
name = "meters"
duration = "1m"
[gateway]
command = [
    "python3", "gateway.py", "${northbound.cloud.url}", "10.77.1.1", "10.77.1.2",
]
ready = { log = "answer" }
[northbound.cloud]
kind = "http"
listen = 8080
[devices.meter]
count = 2
address = "10.77.1.1"
protocol = "sensornet"
state = { level = 1 }
[[devices.meter.rules]]
when = { kind = "READ" }
reply = { kind = "REPORT", value = "=state.level" }
[[impair]]
name = "lost radio"
devices = "meter[1]"
between = ["50s", "55s"]
loss = "100%"
[[expect]]
name = "polled"
each = "meter"
receives = { kind = "READ" }
within = "20s"
"""
READ = {"kind": "READ"}


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    (tmp_path / "gateway.py").write_text(GATEWAY)
    path = tmp_path / "meters.toml"
    path.write_text(METERS)
    return path


async def test_an_awaited_test_sees_and_drives_all_sides(
    simulation: Simulate, scenario: Path
) -> None:
    async with simulation(scenario) as sim:
        read = await sim.wait_for("meter[0]", receives=READ, within="20s")
        assert read.device == "meter[0]"
        await sim.gateway.wait_ready("20s")
        arrival = await sim.northbound("cloud").wait_for({"path": "/readings"}, within="20s")
        assert arrival.fields["json"] == {"from": "10.77.1.1"}
        await sim.northbound("cloud").stop()
        await sim.wait_for(output="no cloud", within="20s")
        await sim.northbound("cloud").start()
        await sim.northbound("cloud").wait_for(since=sim.now, within="20s")
        await sim.device("meter[0]").set(level=8)
        answer = await sim.wait_for("meter[0]", sends={"value": 8}, within="20s")
        assert answer.in_reply_to
        async with sim.during("lost radio"):
            await sim.wait_for(output="nothing from 10.77.1.2", since=sim.now, within="20s")
        await sim.wait_for(output="answer from 10.77.1.2", since=sim.now, within="20s")
        await sim.wait_held()
        assert sim.verdicts == {"polled": "held"}
    assert sim.result.verdict == "passed"
    assert (sim.folder / "report.html").exists()


def test_a_plain_test_acts_on_the_gateway(simulation: Simulate, scenario: Path) -> None:
    with simulation(scenario) as sim:
        gateway = sim.gateway
        gateway.wait_ready("20s")
        first = gateway.pid
        gateway.pause()
        assert gateway.state == "paused"
        gateway.resume()
        sim.wait_for("meter", receives=READ, since=sim.now, within="20s")
        gateway.kill()
        assert gateway.state == "down"
        with pytest.raises(NotSeen, match=r"the gateway is not running \(down\)"):
            sim.wait_for("meter", receives=READ, since=sim.now, within="200ms")
        gateway.start()
        gateway.wait_ready("20s")
        assert gateway.pid != first
        gateway.restart()
        with pytest.raises(ScenarioError):
            gateway.resume()
        assert "answer from 10.77.1.1" in gateway.output
        sim.wait_held(within="20s")
    assert sim.result.verdict == "passed"
    assert len(sim.result.gateway.lives) == 3


async def test_a_block_that_fails_or_is_cancelled_ends_the_run(
    simulation: Simulate, scenario: Path
) -> None:
    with trio.fail_after(60):
        with pytest.raises(ZeroDivisionError):  # noqa: PT012
            async with simulation(scenario) as sim:
                await sim.wait_for("meter", receives=READ, within="20s")
                raise ZeroDivisionError
        assert sim.result.verdict != "running"
        with trio.move_on_after(60) as scope:
            async with simulation(scenario) as sim:
                await sim.wait_for("meter", receives=READ, within="20s")
                scope.cancel()
                await trio.sleep_forever()
    assert scope.cancelled_caught


def test_a_gateway_that_crashes_fails_the_test(simulation: Simulate, scenario: Path) -> None:
    with pytest.raises(Exception, match="the gateway crashed: exit status 3") as failed:  # noqa: SIM117
        with simulation(scenario, gateway=["sh", "-c", "echo oh; exit 3"]) as sim:
            sim.wait_for(output="oh", within="20s")
    text: Any = failed.value
    assert "| oh" in str(text)
