"""Bundled protocols of standards, asked by clients that others have written, over TUN.

What went over the link is in the run's capture, in which tshark must find nothing malformed.
"""

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
duration = "30s"
until = "gateway_exit"

[gateway]
command = {command}
env = {{ PYTHONPATH = "{path}", PYTHONDONTWRITEBYTECODE = "1" }}

[[expect]]
name = "the gateway is content"
gateway = {{ exit = 0 }}

"""


def run(iotsim: CommandLine, devices: str, gateway: str, *clients: str) -> Done:
    """Run `gateway`, Python, against `devices`, TOML."""
    iotsim.write("gateway.py", gateway)
    path = ":".join(str(CLIENTS[client].path) for client in clients)
    command = [sys.executable, "-u", "-W", "ignore", "gateway.py"]
    text = SCENARIO.format(command=command, path=path).replace("'", '"') + devices
    return iotsim.run(iotsim.write("run.toml", text))


def said(done: Done) -> list[str]:
    """The lines of the gateway."""
    return done.log.splitlines()


def dissected(done: Done, *fields: str, only: str) -> list[tuple[str, ...]]:
    """What tshark reads in the packets of the capture that match `only`; none may be malformed."""
    words = ["tshark", "-n", "-r", str(done.out / "capture.pcapng")]
    flawed = ["-Y", "_ws.malformed || _ws.expert.severity >= 6291456"]
    assert (
        subprocess.run([*words, *flawed], capture_output=True, text=True, check=True).stdout == ""
    )
    words += ["-Y", only, "-T", "fields", *(word for field in fields for word in ("-e", field))]
    text = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    return [tuple(line.split("\t")) for line in text.splitlines()]


# -- Modbus -----------------------------------------------------------------------------------------

PUMPS = """
[devices.pump]
count = 2
address = "10.77.1.1"
protocol = "modbus"
state = { run = false, setpoint = 20.5 }
signals = { level = { kind = "constant", value = 12.5 } }

[devices.pump.model.unit.1]
coils = { 0 = "=state.run", 1 = true, 2 = false }
discrete_inputs = { 0 = "=level > 10", 1 = false }

[devices.pump.model.unit.1.holding]
0 = { value = "=state.setpoint", type = "float32" }
2 = { value = -5, type = "int16" }
3 = 0x12
10 = { value = "Pump", type = "string", length = 8 }
20 = { value = 100000, type = "int32", word_order = "little" }

[devices.pump.model.unit.1.input]
0 = { value = "=level", scale = 0.1 }
1 = "=device.index"

[devices.pump.model.unit.1.identification]
vendor_name = "Acme"
product_code = "P-1"
major_minor_revision = "1.0"
product_name = "=device.name"

[devices.pump.model.unit.7.holding]
0 = 7
"""
PYMODBUS = """
from pymodbus.client import ModbusUdpClient
from pymodbus.exceptions import ModbusException

def print_refusal(answer):
    print(answer.function_code, answer.exception_code)

for number, address in enumerate(("10.77.1.1", "10.77.1.2")):
    client = ModbusUdpClient(address, port=502, timeout=3, retries=0)
    assert client.connect()
    kinds, convert = client.DATATYPE, client.convert_from_registers

    def holding(address, count=1, unit=1):
        return client.read_holding_registers(address, count=count, device_id=unit)

    print(client.read_coils(0, count=3).bits[:3], client.read_discrete_inputs(0, count=2).bits[:2])
    print(convert(holding(0, 2).registers, kinds.FLOAT32), convert(holding(2).registers, kinds.INT16))
    print(convert(holding(10, 8).registers, kinds.STRING))
    print(convert(holding(20, 2).registers, kinds.INT32, word_order="little"))
    print(client.read_input_registers(0, count=2).registers)
    assert not client.write_coil(0, True).isError()
    assert not client.write_coils(1, [False, True]).isError()
    print(client.read_coils(0, count=3).bits[:3])
    assert not client.write_register(2, 99).isError()
    assert not client.write_registers(0, client.convert_to_registers(-7.25, kinds.FLOAT32)).isError()
    print(convert(holding(0, 2).registers, kinds.FLOAT32), holding(2).registers)
    assert not client.mask_write_register(address=3, and_mask=0xF2, or_mask=0x25).isError()
    print(holding(3).registers)
    print(client.readwrite_registers(read_address=2, read_count=2, write_address=3, values=[8]).registers)
    print(client.read_device_information(read_code=2).information)
    print(holding(0, unit=7).registers)
    print_refusal(holding(1000))
    print_refusal(holding(0, 125))
    print_refusal(client.write_register(1000, 1))
    print_refusal(client.report_device_id())
    try:
        client.read_holding_registers(0, count=1, device_id=9)
    except ModbusException as error:
        print("silence")
    client.close()
"""
ANSWERS = """\
[False, True, False] [True, False]
20.5 -5
Pump
100000
[125, {number}]
[True, False, True]
-7.25 [99]
[23]
[99, 8]
{{0: b'Acme', 1: b'P-1', 2: b'1.0', 4: b'pump[{number}]'}}
[7]
131 2
131 2
134 2
145 1
"""


def pymodbus(iotsim: CommandLine) -> Done:
    return run(iotsim, PUMPS, PYMODBUS, "pymodbus")


@peer("modbus", "pymodbus", "functions 1 to 6, 15, 16, 22, 23, 43/14, exceptions, units")
@peer("modbus", "tshark", "reads requests, answers and exceptions")
@pytest.mark.needs("tun", "pymodbus", "tshark")
@background(job=pymodbus)
def test_pymodbus_reads_and_writes(done: Done) -> None:
    assert done.status == 0, done.text + done.log
    text = done.log
    for number in (0, 1):
        assert ANSWERS.format(number=number) in text
    assert text.count("silence") == 2
    assert done.events_of("undecodable") == []
    requests = dissected(done, "modbus.func_code", only="modbus && udp.dstport == 502")
    answers = dissected(
        done, "mbtcp.unit_id", "modbus.func_code", only="modbus && udp.srcport == 502"
    )
    assert len(requests) == len(answers) + 2  # those to unit 9
    assert {unit for unit, _ in answers} == {"1", "7"}
    refused = dissected(done, "modbus.exception_code", only="modbus.exception_code")
    assert len(refused) == 8


# -- SNTP -------------------------------------------------------------------------------------------

CLOCKS = """
[devices.fast]
count = 2
address = ["10.77.1.1", "fd77::1:1"]
protocol = "sntp"

[devices.fast.model]
stratum = 3
offset = "=90 + 10 * device.index"
keys = { 5 = "secret", 6 = "hex:0102030405060708090a0b0c0d0e0f1011121314" }

[devices.leaping]
count = 1
address = "10.77.2.1"
protocol = "sntp"
model = { leap = "insert" }

[devices.kissing]
count = 1
address = "10.77.3.1"
protocol = "sntp"
model = { kiss = "RATE" }
"""
NTPDIG = """
import json, subprocess, sys

def ask(*words):
    done = subprocess.run(["ntpdig", "-t", "2", "-j", *words], capture_output=True, text=True)
    for line in done.stdout.splitlines():
        told = json.loads(line)
        print(*words, round(told["offset"]), told["stratum"], told["leap"])
    for line in done.stderr.splitlines():
        print(line)

with open("keys", "w") as file:
    file.write("5 MD5 secret\\n6 SHA1 0102030405060708090a0b0c0d0e0f1011121314\\\n")
ask("10.77.1.1")
ask("10.77.1.2")
ask("-6", "fd77::1:1")
ask("10.77.2.1")
ask("10.77.3.1")
for key in ("5", "6"):
    ask("-a", key, "-k", "keys", "10.77.1.1")
"""


def ntpdig(iotsim: CommandLine) -> Done:
    return run(iotsim, CLOCKS, NTPDIG)


@peer("sntp", "ntpdig", "offset, stratum, leap, kiss-o'-death, authentication, IPv6")
@peer("sntp", "tshark", "reads strata and keys")
@pytest.mark.needs("tun", "ntpdig", "tshark")
@background(job=ntpdig)
def test_ntpdig_takes_the_time(done: Done) -> None:
    assert done.status == 0, done.text + done.log
    assert said(done) == [
        "10.77.1.1 90 3 no-leap",
        "10.77.1.2 100 3 no-leap",
        "-6 fd77::1:1 90 3 no-leap",
        "10.77.2.1 0 2 add-leap",
        "ntpdig: 10.77.3.1: Response dropped: stratum 0, probable KOD packet",
        "ntpdig: no eligible servers",
        "-a 5 -k keys 10.77.1.1 90 3 no-leap",
        "-a 6 -k keys 10.77.1.1 90 3 no-leap",
    ]
    answers = dissected(done, "ntp.stratum", "ntp.keyid", only="ntp.flags.mode == 4")
    strata, keys = zip(*answers, strict=True)
    assert strata == ("3", "3", "3", "2", "0", "3", "3")
    assert keys == ("", "", "", "", "", "00000005", "00000006")


# -- LIFX, which tshark does not dissect -------------------------------------------------------------

BULBS = """
[devices.bulb]
count = 3
address = "10.77.1.1"
protocol = "lifx"
state = { on = false }

[devices.bulb.model]
label = "Bulb"
power = "=state.on"
group = "Lounge"
location = "Home"
color = { hue = 120, saturation = 1.0, brightness = 0.5, kelvin = 3500 }
"""
LIFX_ASYNC = """
import asyncio
from lifx.color import HSBK
from lifx.devices import Device
from lifx.network.discovery.udp import discover_devices

def shown(power, color):
    return power, round(color.hue), round(color.saturation, 2), round(color.brightness, 2), color.kelvin

async def main():
    found = {}
    async for one in discover_devices(timeout=3, broadcast_address="10.77.255.255"):
        found[one.ip] = one
    print("found", sorted(found))
    for address in sorted(found):
        bulb = await Device.connect(address)
        async with bulb:
            assert bulb.serial == found[address].serial
            color, power, label = await bulb.get_color()
            print(address, type(bulb).__name__, label, *shown(power, color))
            await bulb.set_power(True)
            await bulb.set_color(HSBK(hue=240, saturation=0.5, brightness=1.0, kelvin=2700))
            await bulb.set_label("Lamp " + address)
            color, power, label = await bulb.get_color()
            print(address, label, *shown(power, color))
            version = await bulb.get_version()
            group, location = await bulb.get_group(), await bulb.get_location()
            print(address, version.vendor, version.product, group.label, location.label)
            await bulb.set_group("Hall")
            print(address, (await bulb.get_group()).label, (await bulb.get_info()).uptime > 0)
            await bulb.get_host_firmware(), await bulb.get_wifi_info()
            await bulb.ping()
    print("done")

asyncio.run(main())
"""


def lifx_async(iotsim: CommandLine) -> Done:
    return run(iotsim, BULBS, LIFX_ASYNC, "lifx-async")


@peer("lifx", "lifx-async", "discovers, labels, powers, colors; version, group, location")
@pytest.mark.needs("tun", "lifx-async")
@background(job=lifx_async)
def test_lifx_async_finds_and_colors_bulbs(done: Done) -> None:
    assert done.status == 0, done.text + done.log
    lines = said(done)
    assert lines[0] == "found ['10.77.1.1', '10.77.1.2', '10.77.1.3']"
    for address in ("10.77.1.1", "10.77.1.2", "10.77.1.3"):
        assert [line.split(" ", 1)[1] for line in lines if line.startswith(address)] == [
            "Light Bulb 0 120 1.0 0.5 3500",
            f"Lamp {address} 65535 240 0.5 1.0 2700",
            "1 27 Lounge Home",
            "Hall True",
        ]
    assert lines[-1] == "done"
    assert done.events_of("undecodable") == []


LIFXLAN = """
from lifxlan import LifxLAN

lan = LifxLAN()
lights = sorted(lan.get_lights(), key=lambda light: light.get_ip_addr())
for light in lights:
    print(light.get_ip_addr(), light.get_label(), light.get_power(), light.get_color(), end=" ")
    print(light.get_group(), light.get_location())
    light.set_power("on")
    light.set_color([0, 65535, 65535, 9000], rapid=False)
    light.set_label("Lamp")
    print(light.get_label(), light.get_power(), light.get_color(), light.get_product(), light.get_vendor())
print(sorted(lan.get_power_all_lights().values()))
lan.set_power_all_lights("off")
print(sorted(lan.get_power_all_lights().values()))
"""


def lifxlan(iotsim: CommandLine) -> Done:
    return run(iotsim, BULBS, LIFXLAN, "lifxlan")


@peer("lifx", "lifxlan", "discovers, labels, powers, colors, all lights at once")
@pytest.mark.needs("tun", "lifxlan")
@background(job=lifxlan)
def test_lifxlan_finds_and_switches_bulbs(done: Done) -> None:
    assert done.status == 0, done.text + done.log
    expected = []
    for number in (1, 2, 3):
        color = (21845, 65535, 32768, 3500)
        expected += [
            f"10.77.1.{number} Bulb 0 {color} Lounge Home",
            "Lamp 65535 (0, 65535, 65535, 9000) 27 1",
        ]
    assert said(done) == [*expected, str([65535] * 3), str([0] * 3)]
    assert done.events_of("undecodable") == []
