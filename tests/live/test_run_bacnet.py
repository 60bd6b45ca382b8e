"""BACnet/IP with bacpypes3 and bacstack, over TUN: found, read, written, subscribed to."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import pairwise
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
env = {{ {path} = "{folder}" }}

[devices.d]
count = 2
address = "10.77.1.1"
protocol = "bacnet"
state = {{ fan = false, setpoint = 21.5 }}

[devices.d.model]
instance = "=1000 + device.index"
vendor = 999
max_apdu = {max_apdu}
cov_scan = "200ms"

[devices.d.model.objects]
"analog-input,1" = {{ name = "Supply air", value = "=20 + t", units = 62, cov_increment = 0.5 }}
"analog-value,1" = {{ value = "=state.setpoint", commandable = true, units = "degrees-celsius" }}
"binary-output,1" = {{ value = "=state.fan" }}
"multi-state-value,1" = {{ value = 2, states = ["off", "low", "high"] }}
"characterstring-value,1" = "grün"
"integer-value,1" = -42

[[expect]]
gateway = {{ stdout = "done" }}
within = "50s"
"""
BACPYPES3 = """
import asyncio

from bacpypes3.apdu import ErrorRejectAbortNack
from bacpypes3.argparse import SimpleArgumentParser
from bacpypes3.app import Application
from bacpypes3.pdu import Address
from bacpypes3.primitivedata import Null, ObjectIdentifier

WORDS = ["--address", "10.77.0.1/16", "--instance", "1", "--name", "gateway"]
D = Address("10.77.1.1")
AIR = ObjectIdentifier("analog-input,1")


async def tried(what, asked):
    try:
        print(what, await asked)
    except ErrorRejectAbortNack as error:
        print(what, "error", error)


async def main():
    app = Application.from_args(SimpleArgumentParser().parse_args(WORDS))
    await asyncio.sleep(0.2)
    for one in sorted(await app.who_is(timeout=2), key=lambda one: str(one.pduSource)):
        device = one.iAmDeviceIdentifier
        print("i-am", one.pduSource, device, one.maxAPDULengthAccepted, one.vendorID)
    print("who-is 1001:", len(await app.who_is(1001, 1001, timeout=1)))
    for item, prop in (
        ("device,1000", "object-name"),
        ("analog-input,1", "units"),
        ("analog-value,1", "present-value"),
        ("binary-output,1", "present-value"),
        ("multi-state-value,1", "state-text"),
        ("characterstring-value,1", "present-value"),
        ("integer-value,1", "present-value"),
        ("analog-value,1", "status-flags"),
        ("device,1000", "object-list"),
        ("device,1000", "protocol-services-supported"),
        ("analog-input,9", "present-value"),
        ("analog-input,1", "setpoint"),
    ):
        await tried(f"{item} {prop}:", app.read_property(D, item, prop))
    await tried("size:", app.read_property(D, "device,1000", "object-list", 0))
    await tried("write:", app.write_property(D, "analog-value,1", "present-value", 25.0, priority=8))
    await tried("written:", app.read_property(D, "analog-value,1", "present-value"))
    await tried("slot:", app.read_property(D, "analog-value,1", "priority-array", 8))
    await tried("relinquish:", app.write_property(D, "analog-value,1", "present-value", Null(()), priority=8))
    await tried("relinquished:", app.read_property(D, "analog-value,1", "present-value"))
    await tried("fan:", app.write_property(D, "binary-output,1", "present-value", "active"))
    await tried("fan is:", app.read_property(D, "binary-output,1", "present-value"))
    await tried("denied:", app.write_property(D, "analog-input,1", "present-value", 1.0))
    for found in await app.read_property_multiple(
        D, ["analog-input,1", ["all"], "device,1000", ["all"], "analog-value,1", ["required", "optional"]]
    ):
        print("rpm", found[0], found[1], type(found[3]).__name__)
    many = ["analog-value,1", ["present-value", "units"], AIR, ["units", "status-flags"]] * 20
    print("many:", len(await app.read_property_multiple(D, many)))
    for confirmed in (False, True):
        async with app.change_of_value(D, AIR, 7, confirmed, 30) as changes:
            (one,) = await app.read_property(D, "device,1000", "active-cov-subscriptions")
            print("subscribed", one.recipient.processIdentifier, bool(one.issueConfirmedNotifications))
            for _ in range(6):
                prop, value = await asyncio.wait_for(changes.get_value(), 10)
                print("cov", confirmed, prop, value)
    print("done")


asyncio.run(main())
"""


def run(iotsim: CommandLine, code: str, max_apdu: int = 1476) -> Done:
    name = "bacpypes3" if code is BACPYPES3 else "bacstack"
    iotsim.write(f"gateway.{'py' if name == 'bacpypes3' else 'js'}", code)
    words = {
        "bacpypes3": f'["{sys.executable}", "-u", "-W", "ignore", "gateway.py"]',
        "bacstack": '["node", "gateway.js"]',
    }
    path = {"bacpypes3": "PYTHONPATH", "bacstack": "NODE_PATH"}[name]
    scenario = SCENARIO.format(
        command=words[name], path=path, folder=CLIENTS[name].path, max_apdu=max_apdu
    )
    return iotsim.run(iotsim.write("bacnet.toml", scenario))


def bacpypes3(iotsim: CommandLine) -> Done:
    return run(iotsim, BACPYPES3)


def bacpypes3_in_segments(iotsim: CommandLine) -> Done:
    return run(iotsim, BACPYPES3, max_apdu=128)


def check_dissection(done: Done) -> None:
    """tshark takes all of it for BACnet, and finds nothing malformed or unknown."""
    flawed = '_ws.malformed or _ws.expert.group == "Malformed" or _ws.expert.group == "Undecoded"'
    capture = ["tshark", "-r", str(done.out / "capture.pcapng"), "-Y"]
    for query in (flawed, "udp.port == 47808 and not (bacnet or bvlc)"):
        seen = subprocess.run([*capture, query], capture_output=True, text=True, check=True)
        assert seen.stdout == ""
    seen = subprocess.run([*capture, "bacapp"], capture_output=True, text=True, check=True)
    assert len(seen.stdout.splitlines()) > 10


SAID = """
who-is 1001: 1
many: 80
device,1000 object-name: d[0]
analog-input,1 units: degrees-celsius
analog-value,1 present-value: 21.5
binary-output,1 present-value: inactive
multi-state-value,1 state-text: ['off', 'low', 'high']
characterstring-value,1 present-value: grün
integer-value,1 present-value: -42
analog-input,9 present-value: error object: unknown-object
analog-input,1 setpoint: error property: unknown-property
size: 7
write: None
written: 25.0
relinquish: None
relinquished: 21.5
fan: None
fan is: active
denied: error property: write-access-denied
""".strip().split("\n")


def check_bacpypes3(done: Done) -> None:
    assert done.status == 0, done.text
    lines = done.log.split("\n")
    for line in SAID:
        assert line in lines, done.log
    found = [line for line in lines if line.startswith("i-am")]
    assert [line.split()[1:3] for line in found] == [
        ["10.77.1.1", "device,1000"],
        ["10.77.1.2", "device,1001"],
    ]
    read = [line.split()[1:3] for line in lines if line.startswith("rpm")]
    assert ["analog-input,1", "cov-increment"] in read
    assert ["analog-value,1", "priority-array"] in read
    assert ["device,1000", "protocol-object-types-supported"] in read
    for confirmed in ("False", "True"):
        assert f"subscribed 7 {confirmed}" in lines
        told = [line for line in lines if line.startswith(f"cov {confirmed} present-value")]
        values = [float(line.split()[-1]) for line in told]
        assert len(values) == 3
        assert all(after - before >= 0.5 for before, after in pairwise(values))
    assert done.events_of("undecodable") == []
    check_dissection(done)


@peer("bacnet", "bacpypes3", "who-is, read, read multiple, write and relinquish, changes of values")
@peer("bacnet", "tshark", "reads what was sent to bacpypes3")
@pytest.mark.needs("tun", "bacpypes3", "tshark")
@background(job=bacpypes3)
def test_bacpypes3_reads_writes_and_is_notified(done: Done) -> None:
    check_bacpypes3(done)


@peer("bacnet", "bacpypes3", "the same in segments of 128 octets")
@pytest.mark.needs("tun", "bacpypes3", "tshark")
@background(job=bacpypes3_in_segments)
def test_bacpypes3_puts_segments_together(done: Done) -> None:
    check_bacpypes3(done)
    sent = [event["message"] for event in done.events_of("sent")]
    assert max(message.get("sequence_number") or 0 for message in sent) >= 3
    heard = [event["message"] for event in done.events_of("received")]
    parts = [each for each in heard if each.get("apdu") == "CONFIRMED_REQUEST" and "data" in each]
    assert max(each["sequence_number"] for each in parts) >= 3


BACSTACK = """
const Bacnet = require('bacstack')
const client = new Bacnet({ broadcastAddress: '10.77.255.255', apduTimeout: 3000 })
const asked = (call) => new Promise((resolve) => call((error, value) => resolve(error || value)))
const seen = new Set()
client.on('iAm', (device) => seen.add(`${device.address} ${device.deviceId}`))
client.on('error', (error) => console.log('error', error.message))
const main = async () => {
  for (let i = 0; i < 20 && seen.size < 2; i++) {
    client.whoIs()
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
  console.log('found', [...seen].sort().join(', '))
  const value = { type: 2, instance: 1 }
  const read = async () => (await asked((done) => client.readProperty('10.77.1.2', value, 85, done))).values
  console.log('read', JSON.stringify(await read()))
  const fields = [{ type: 4, value: 33.5 }]
  await asked((done) => client.writeProperty('10.77.1.2', value, 85, fields, { priority: 9 }, done))
  console.log('written', JSON.stringify(await read()))
  const missing = { type: 2, instance: 99 }
  console.log('missing', (await asked((done) => client.readProperty('10.77.1.2', missing, 85, done))).message)
  const wanted = [{ objectId: { type: 0, instance: 1 }, properties: [{ id: 8 }] }]
  const all = await asked((done) => client.readPropertyMultiple('10.77.1.2', wanted, done))
  console.log('all', all.values[0].values.map((one) => one.id).join(' '))
  console.log('done')
  client.close()
}
main()
"""


def bacstack(iotsim: CommandLine) -> Done:
    return run(iotsim, BACSTACK)


@peer("bacnet", "bacstack", "who-is, read, read multiple, write")
@peer("bacnet", "tshark", "reads what was sent to bacstack")
@pytest.mark.needs("tun", "node", "bacstack", "tshark")
@background(job=bacstack)
def test_bacstack_reads_and_writes(done: Done) -> None:
    assert done.status == 0, done.text
    assert "found 10.77.1.1 1000, 10.77.1.2 1001" in done.log
    assert re.search(r'^read \[\{"type":4,"value":21.5\}\]$', done.log, re.MULTILINE), done.log
    assert re.search(r'^written \[\{"type":4,"value":33.5\}\]$', done.log, re.MULTILINE), done.log
    assert "Class:1 - Code:31" in done.log
    (line,) = re.findall(r"^all (.*)$", done.log, re.MULTILINE)
    assert {"75", "77", "79", "85", "111", "117"} <= set(line.split())
    assert done.events_of("undecodable") == []
    check_dissection(done)
