"""KNXnet/IP with xknx and with knxd, over TUN: found, tunnelled and routed to."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.clients import CLIENTS

if TYPE_CHECKING:
    from tests.conftest import CommandLine, Done

background = pytest.mark.background
peer = pytest.mark.peer
SCENARIO = """
[scenario]
duration = "60s"

[gateway]
command = {command}
env = {environment}

[devices.plant]
count = 2
address = "10.77.1.1"
protocol = "knxnet"
state = {{ lamp = false, level = 40.0, words = "here" }}
signals = {{ temperature = {{ kind = "constant", value = 21.5 }} }}

[devices.plant.model]
individual = "='1.1.' + str(10 * (device.index + 1))"
channels = 2
routing = {routing}

[devices.plant.model.groups]
"1/2/1" = {{ dpt = "1.001", value = "=state.lamp" }}
"1/2/2" = {{ dpt = "1.001", value = "=state.lamp", watch = "1s", read = false }}
"1/2/3" = {{ dpt = "9.001", value = "=temperature" }}
"1/2/4" = {{ dpt = "5.001", value = "=state.level" }}
"1/2/5" = {{ dpt = "16.001", value = "=state.words" }}
"1/2/6" = {{ dpt = "12.001", value = 4294967295 }}
"1/2/7" = {{ dpt = "14.056", value = -1.5 }}
"1/2/8" = {{ dpt = "10.001", value = {{ day = 3, hour = 12, minutes = 34, seconds = 56 }} }}
"1/2/9" = {{ dpt = "11.001", value = {{ day = 24, month = 12, year = 2026 }} }}
"1/3/0" = {{ dpt = "3.007", value = {{ control = true, step = 5 }} }}
"1/3/1" = {{ dpt = "7.600", value = 2700 }}
"1/3/2" = {{ dpt = "8.001", value = -300 }}
"1/3/3" = {{ dpt = "13.010", value = -70000 }}
"1/3/4" = {{ dpt = "20.102", value = "ECONOMY" }}
"1/3/5" = {{ dpt = "232.600", value = {{ red = 255, green = 128, blue = 0 }} }}
"1/3/6" = {{ dpt = "6.010", value = -5 }}
"1/3/7" = {{ dpt = "5.003", value = 120 }}
"1/3/8" = {{ dpt = "17.001", value = 12 }}

[[devices.plant.rules]]
when = {{ service = "GROUP_VALUE_READ", group = "5/0/0" }}
reply = {{ service = "GROUP_VALUE_RESPONSE", value = "hex:0102" }}

[[expect]]
gateway = {{ stdout = "done" }}
within = "50s"
"""


def run(iotsim: CommandLine, command: list[str], routing: bool, environment: str = "{}") -> Done:
    words = "[" + ", ".join(f"'''{word}'''" for word in command) + "]"
    text = SCENARIO.format(command=words, environment=environment, routing=str(routing).lower())
    return iotsim.run(iotsim.write("knxnet.toml", text))


def check_with_tshark(done: Done, frames: int) -> None:
    """tshark takes all of it for KNXnet/IP, and finds nothing malformed."""
    capture = ["tshark", "-r", str(done.out / "capture.pcapng"), "-Y"]
    flawed = '_ws.malformed or _ws.expert.severity == "Error" or _ws.expert.severity == "Warning"'
    others = "udp and not icmp and not kip and not mdns"
    for query in (flawed, others):
        seen = subprocess.run([*capture, query], capture_output=True, text=True, check=True)
        assert seen.stdout == ""
    seen = subprocess.run([*capture, "kip"], capture_output=True, text=True, check=True)
    assert len(seen.stdout.splitlines()) > frames


XKNX = """
import asyncio
import sys

from xknx import XKNX
from xknx.io import ConnectionConfig, ConnectionType, GatewayScanner
from xknx.io.request_response import ConnectionState
from xknx.tools import group_value_write, read_group_value
from xknx.exceptions import XKNXException

LOCAL, D = "10.77.0.1", "10.77.1.1"
TYPES = {
    "1/2/1": "switch", "1/2/3": "temperature", "1/2/4": "percent", "1/2/5": "latin_1",
    "1/2/6": "pulse_4_ucount", "1/2/7": "power", "1/2/8": "time", "1/2/9": "date",
    "1/3/0": "control_dimming", "1/3/1": "color_temperature", "1/3/2": "pulse_2byte_signed",
    "1/3/3": "active_energy", "1/3/4": "hvac_mode", "1/3/5": "color_rgb",
    "1/3/6": "counter_pulses", "1/3/7": "angle", "1/3/8": "scene_number",
}


async def scan():
    xknx = XKNX()
    scanner = GatewayScanner(xknx, local_ip=LOCAL, timeout_in_seconds=3, stop_on_found=2)
    for one in sorted(await scanner.scan(), key=lambda one: one.ip_addr):
        slots = sorted(str(slot) for slot in one.tunnelling_slots)
        print("found", one.ip_addr, one.port, one.name, one.individual_address, "routing",
              one.supports_routing, "tunnelling", one.supports_tunnelling, "core", one.core_version, slots)


async def exchange(config, name):
    xknx = XKNX(connection_config=config)
    heard = []
    xknx.telegram_queue.register_telegram_received_cb(
        lambda telegram: heard.append(f"{telegram.source_address} {telegram.destination_address}"))
    await xknx.start()
    print(name, "as", xknx.current_address)
    for group, kind in TYPES.items():
        value = await read_group_value(xknx, group, value_type=kind)
        print(name, group, value)
    print(name, "raw", await read_group_value(xknx, "5/0/0"))
    heard.clear()
    group_value_write(xknx, "1/2/1", True, value_type="switch")
    group_value_write(xknx, "1/2/4", 75, value_type="percent")
    group_value_write(xknx, "1/2/5", "there", value_type="latin_1")
    await xknx.telegrams.join()
    print(name, "written", *[await read_group_value(xknx, group, value_type=TYPES[group])
                             for group in ("1/2/1", "1/2/4", "1/2/5")])
    print(name, "told", "1.1.10 1/2/2" in heard)
    if name == "tunnel":
        connected = xknx.knxip_interface._interface
        state = ConnectionState(
            transport=connected.transport,
            communication_channel_id=connected.communication_channel,
            local_hpai=connected.local_hpai,
        )
        print(name, "alive", (await state.request()).status_code.name)
    await xknx.stop()


async def full():
    taken = [XKNX(connection_config=ConnectionConfig(
        connection_type=ConnectionType.TUNNELING, gateway_ip=D, local_ip=LOCAL, route_back=back,
        auto_reconnect=False)) for back in (False, True, False)]
    for one in taken:
        try:
            await one.start()
            print("opened", one.current_address)
        except XKNXException as error:
            print("refused", error)
    await taken[0].stop()
    await taken[2].start()
    print("opened", taken[2].current_address)
    for one in taken[1:]:
        await one.stop()


async def main():
    await scan()
    if sys.argv[1] == "tunnel":
        config = ConnectionConfig(
            connection_type=ConnectionType.TUNNELING, gateway_ip=D, local_ip=LOCAL
        )
        await exchange(config, "tunnel")
        await full()
    else:
        config = ConnectionConfig(
            connection_type=ConnectionType.ROUTING, local_ip=LOCAL, individual_address="1.1.200"
        )
        await exchange(config, "routing")
    print("done", flush=True)


asyncio.run(main())
"""


def xknx(iotsim: CommandLine, way: str) -> Done:
    path = iotsim.write("gateway.py", XKNX)
    environment = f'{{ PYTHONPATH = "{CLIENTS["xknx"].path}" }}'
    return run(iotsim, [sys.executable, "-u", str(path), way], way == "routing", environment)


KNXD = """
cd "$(mktemp -d)"
url="local:$PWD/socket"
knxd -e 1.1.240 -E 1.1.241:8 -c -u"$PWD/socket" -b "$1" > knxd 2>&1 &
knxd=$!
# Whoever outlives the script is the gateway after it, with the listener's status when knxd has ended.
trap 'kill $knxd; wait; rm -r "$PWD"' EXIT
read_() { timeout 2 knxtool groupcachereadsync "$url" "$1" 2> errors; }
heard() { until grep -q "$1" heard; do sleep 0.1; done; }
until [ -S socket ] && read_ 1/2/3; do sleep 0.2; done
knxtool groupsocketlisten "$url" > heard &
read_ 1/2/1
read_ 1/2/6
read_ 5/0/0
until grep -q "to 1/2/5" heard; do knxtool groupread "$url" 1/2/5; sleep 0.2; done
knxtool groupswrite "$url" 1/2/1 1
heard "1/2/2: 01"
knxtool groupwrite "$url" 1/2/4 ff
knxtool groupread "$url" 1/2/4
heard "Response.* to 1/2/4: FF"
cat heard
echo done
"""


def knxd(iotsim: CommandLine, way: str) -> Done:
    script = iotsim.write("knxd.sh", KNXD)
    return run(iotsim, ["sh", str(script), way], way.startswith("ip:"))


READ = """
1/2/1 Switch.OFF
1/2/3 21.5
1/2/4 40
1/2/5 here
1/2/6 4294967295
1/2/7 -1.5
1/2/8 KNXTime(hour=12, minutes=34, seconds=56, day=<KNXDay.WEDNESDAY: 3>)
1/2/9 KNXDate(year=2026, month=12, day=24)
1/3/0 ControlDimming(control=<Step.INCREASE: True>, step_code=5)
1/3/1 2700
1/3/2 -300
1/3/3 -70000
1/3/4 HVACOperationMode.ECONOMY
1/3/5 RGBColor(red=255, green=128, blue=0)
1/3/6 -5
1/3/7 120
1/3/8 13
raw (1, 2)
written Switch.ON 75 there
told True
"""
"""What xknx says of the group objects; it counts scenes from 1."""


def lines(done: Done, first: str) -> list[str]:
    """Of the gateway's output, those that begin so, without that."""
    log = done.log.splitlines()
    return [line.removeprefix(f"{first} ") for line in log if line.startswith(f"{first} ")]


@peer("knxnet", "xknx", "searches; reads and writes 17 datapoint types through a tunnel")
@peer("knxnet", "xknx", "heartbeat; tunnels with and without NAT, until there are no more")
@peer("knxnet", "tshark", "reads what was sent to xknx")
@pytest.mark.needs("tun", "xknx", "tshark")
@pytest.mark.parametrize("way", ["tunnel"])
@background(job=xknx)
def test_xknx_tunnels(done: Done, way: str) -> None:
    assert done.status == 0, done.text
    assert lines(done, "found") == [
        f"10.77.1.{n} 3671 plant[{n - 1}] 1.1.{n}0 routing False tunnelling True core 1 "
        f"['1.1.{n}1', '1.1.{n}2']"
        for n in (1, 2)
    ]
    assert lines(done, "tunnel") == ["as 1.1.11", *READ.split("\n")[1:-1], "alive E_NO_ERROR"]
    assert lines(done, "opened") == ["1.1.11", "1.1.12", "1.1.11"]
    assert lines(done, "refused") == ["Tunnel connection could not be established"]
    answers = [event["message"] for event in done.events_of("sent")]
    refused = [one for one in answers if one.get("status") == "E_NO_MORE_CONNECTIONS"]
    assert [one["service"] for one in refused] == ["CONNECT_RESPONSE"]
    check_with_tshark(done, 100)


@peer("knxnet", "xknx", "the same by routing")
@peer("knxnet", "tshark", "reads what was sent to xknx")
@pytest.mark.needs("tun", "xknx", "tshark")
@pytest.mark.parametrize("way", ["routing"])
@background(job=xknx)
def test_xknx_routes(done: Done, way: str) -> None:
    assert done.status == 0, done.text
    assert lines(done, "routing") == ["as 1.1.200", *READ.split("\n")[1:-1]]
    check_with_tshark(done, 40)


@peer(
    "knxnet",
    "knxd",
    "reads, writes and listens through tunnels, with and without NAT, and by routing",
)
@peer("knxnet", "tshark", "reads what was sent to knxd")
@pytest.mark.needs("tun", "knxtool", "tshark")
@pytest.mark.parametrize("way", ["ipt:10.77.1.1", "iptn:10.77.1.1", "ip:"])
@background(job=knxd)
def test_knxd_reads_and_writes(done: Done, way: str) -> None:
    assert done.status == 0, done.text
    said = done.log.replace("from 1.1.20", "from 1.1.10")  # both devices hear what is routed
    for expected in (
        "Response from 1.1.10: 0C 33",
        "Response from 1.1.10: 00",
        "Response from 1.1.10: FF FF FF FF",
        "Response from 1.1.10: 01 02",
        "Response from 1.1.10 to 1/2/5: 68 65 72 65 00",
        "Write from 1.1.10 to 1/2/2: 01",
        "Response from 1.1.10 to 1/2/4: FF",
    ):
        assert expected in said
    check_with_tshark(done, 20)
