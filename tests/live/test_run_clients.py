"""Bundled protocols, spoken with clients that others have written, over TUN."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from tests.clients import CLIENTS

if TYPE_CHECKING:
    from tests.conftest import CommandLine, Done

background = pytest.mark.background
peer = pytest.mark.peer

MIIO = """
[scenario]
duration = "20s"

[gateway]
command = [{python}, "-u", "-W", "ignore", "gateway.py", "${{devices.bulb.addresses}}"]
env = {{ PYTHONPATH = "{path}" }}

[devices.bulb]
address = "10.77.1.1"
protocol = "miio"
data = "tokens.csv"
state = {{ power = "off" }}
behavior = "bulb.py:Bulb"

[[expect]]
name = "each is switched on"
each = "bulb"
receives = {{ kind = "COMMAND", payload = {{ exists = true }} }}
within = "15s"

[[expect]]
gateway = {{ stdout = "done" }}
within = "15s"
"""
BULB = """
from iotsim import Device, on

class Bulb(Device):
    @property
    def header(self):
        return {"device": 1000 + self.index, "stamp": int(self.now)}

    @on(kind="HELLO")
    def hello(self, request):
        return {**self.header, "unknown": 0}

    @on(kind="COMMAND")
    def command(self, request):
        asked = request["payload"]
        method, params = asked["method"], asked["params"]
        reply = {"id": asked["id"]}
        if method == "get_prop":
            reply["result"] = [self.state.get(name) for name in params]
        elif method == "set_power":
            self.state["power"] = params[0]
            reply["result"] = ["ok"]
        else:
            reply["error"] = {"code": -5001, "message": "unknown method"}
        return {**self.header, "payload": reply}
"""
TOKENS = ("00112233445566778899aabbccddeeff", "ffeeddccbbaa99887766554433221100")
MIIO_GATEWAY = f"""
import sys
from miio import Device
from miio.exceptions import DeviceException

for address, token in zip(sys.argv[1].split(","), {TOKENS!r}, strict=True):
    bulb = Device(address, token, timeout=2)
    print(address, bulb.send_handshake().header.value.device_id.hex())
    print(address, *bulb.send("get_prop", ["power"]))
    print(address, *bulb.send("set_power", ["on"]))
    print(address, *bulb.send("get_prop", ["power", "color"]))
    try:
        bulb.send("fly", [])
    except DeviceException as error:
        print(address, error)
    try:
        Device(address, "{"00" * 16}", timeout=0.2).send("get_prop", ["power"], retry_count=0)
    except DeviceException as error:
        print(address, error)
print("done")
"""


def python_miio(iotsim: CommandLine) -> Done:
    iotsim.write("bulb.py", BULB)
    iotsim.write("gateway.py", MIIO_GATEWAY)
    iotsim.write("tokens.csv", "token\n" + "".join(f"hex:{token}\n" for token in TOKENS))
    path = CLIENTS["python-miio"].path
    scenario = MIIO.format(python=f'"{sys.executable}"', path=path)
    return iotsim.run(iotsim.write("miio.toml", scenario))


@peer("miio", "python-miio", "handshake, commands, errors, a wrong token")
@pytest.mark.needs("tun", "python-miio")
@background(job=python_miio)
def test_python_miio_commands_bulbs_each_with_its_token(done: Done) -> None:
    assert done.status == 0, done.text
    said = [line.split(" ", 1) for line in done.log.splitlines() if line.startswith("10.77.")]
    for number, address in enumerate(("10.77.1.1", "10.77.1.2")):
        assert [text for who, text in said if who == address] == [
            (1000 + number).to_bytes(4, "big").hex(),
            "off",
            "ok",
            "on None",
            "{'code': -5001, 'message': 'unknown method'}",
            "No response from the device",
        ]
    refused = done.events_of("undecodable")
    assert {(event["device"], event["path"]) for event in refused} == {
        ("bulb[0]", "checksum"),
        ("bulb[1]", "checksum"),
    }
    assert done.result["counters"]["outcome.dropped.undecodable"] == len(refused)


TPLINK = """
[scenario]
duration = "20s"

[gateway]
command = ["node", "gateway.js", "${{devices.plug.addresses}}"]
env = {{ NODE_PATH = "{path}", NO_COLOR = "1" }}

[devices.plug]
count = 2
address = "10.77.1.1"
protocol = "tplink"
state = {{ relay = 0 }}
behavior = "plug.py:Plug"

[[expect]]
name = "each is switched on"
each = "plug"
receives = {{ payload = {{ exists = true }} }}
within = "15s"

[[expect]]
gateway = {{ stdout = "done" }}
within = "15s"
"""
PLUG = """
from iotsim import Device, on

INFO = {"model": "HS100(EU)", "type": "IOT.SMARTPLUGSWITCH", "feature": "TIM", "err_code": 0}
VERSIONS = {"sw_ver": "1.2.5", "hw_ver": "1.0"}
UNKNOWN = {"err_code": -1, "err_msg": "module not support"}

class Plug(Device):
    @on()
    def answer(self, request):
        return {
            "payload": {
                module: {name: self.do(module, name, given) for name, given in commands.items()}
                for module, commands in request["payload"].items()
            }
        }

    def do(self, module, name, given):
        if (module, name) == ("system", "get_sysinfo"):
            relay = self.state["relay"]
            own = {"alias": self.name, "deviceId": f"{self.index:040X}", "mac": f"50:C7:BF:0:0:{self.index}"}
            return {**INFO, **VERSIONS, **own, "relay_state": relay}
        if (module, name) == ("system", "set_relay_state"):
            self.state["relay"] = given["state"]
            return {"err_code": 0}
        return UNKNOWN
"""
TPLINK_GATEWAY = """
const { Client } = require("tplink-smarthome-api");

async function main() {
  const client = new Client({ defaultSendOptions: { transport: "udp", timeout: 2000 } });
  const hosts = process.argv[2].split(",");
  for (const host of hosts) {
    const plug = await client.getDevice({ host });
    console.log(host, plug.alias, plug.model, String(plug.relayState));
    console.log(host, String(await plug.setPowerState(true)), String(await plug.getPowerState()));
    await plug.schedule.getNextAction().catch((error) => console.log(host, error.response));
  }
  const found = new Set();
  client.on("device-new", (plug) => {
    console.log(plug.host, "found");
    if (found.add(plug.host).size === hosts.length) {
      client.stopDiscovery();
      console.log("done");
    }
  });
  client.startDiscovery({ broadcast: "10.77.255.255", discoveryInterval: 200 });
}

main();
"""


def tplink_smarthome_api(iotsim: CommandLine) -> Done:
    iotsim.write("plug.py", PLUG)
    iotsim.write("gateway.js", TPLINK_GATEWAY)
    scenario = TPLINK.format(path=CLIENTS["tplink-smarthome-api"].path)
    return iotsim.run(iotsim.write("tplink.toml", scenario))


@peer("tplink", "tplink-smarthome-api", "discovers, switches, errors")
@pytest.mark.needs("tun", "node", "tplink-smarthome-api")
@background(job=tplink_smarthome_api)
def test_tplink_smarthome_api_finds_and_switches_plugs(done: Done) -> None:
    assert done.status == 0, done.text
    said = [line.split(" ", 1) for line in done.log.splitlines() if line.startswith("10.77.")]
    for number, address in enumerate(("10.77.1.1", "10.77.1.2")):
        assert [text for who, text in said if who == address] == [
            f"plug[{number}] HS100(EU) false",
            "true true",
            '{"err_code":-1,"err_msg":"module not support"}',
            "found",
        ]
    assert done.events_of("undecodable") == []


WIZ = """
[scenario]
duration = "25s"

[gateway]
command = [{python}, "-u", "gateway.py", "${{devices.light.addresses}}"]
env = {{ PYTHONPATH = "{path}" }}

[devices.light]
count = 2
address = "10.77.1.1"
protocol = "wiz"
state = {{ on = false, dimming = 100, listening = false }}

[[devices.light.rules]]
when = {{ method = "registration" }}
set = {{ listening = "=msg.params.register" }}
reply = {{ env = "pro", result = {{ mac = "{mac}", success = true }} }}

[[devices.light.rules]]
when = {{ method = "getSystemConfig" }}
reply.env = "pro"
[devices.light.rules.reply.result]
mac = "{mac}"
moduleName = "ESP01_SHRGB1C_31"
fwVersion = "1.21.0"
drvConf = [20, 1]

[[devices.light.rules]]
when = {{ method = "getUserConfig" }}
reply = {{ env = "pro", result = {{ whiteRange = [2700, 6500], extRange = [2200, 6500] }} }}

[[devices.light.rules]]
when = {{ method = "getPilot" }}
reply.env = "pro"
[devices.light.rules.reply.result]
mac = "{mac}"
rssi = -60
src = ""
state = "=state.on"
sceneId = 0
temp = 2700
dimming = "=state.dimming"

[[devices.light.rules]]
when = {{ method = "setPilot", params.dimming = {{ min = 10, max = 100 }} }}
set = {{ on = "=msg.params.state", dimming = "=msg.params.dimming" }}
reply = {{ env = "pro", result.success = true }}

[[devices.light.rules]]
reply = {{ env = "pro", error = {{ code = -32601, message = "Method not found" }} }}

[[devices.light.rules]]
every = "1s"
where = "=state.listening"
to = "10.77.0.1:38900"
send.method = "syncPilot"
send.env = "pro"
[devices.light.rules.send.params]
mac = "{mac}"
src = "hb"
state = "=state.on"
dimming = "=state.dimming"

[[expect]]
name = "each is dimmed"
each = "light"
receives = {{ method = "setPilot", params = {{ state = true, dimming = {{ min = 45, max = 55 }} }} }}
within = "20s"

[[expect]]
name = "each tells that it is on"
each = "light"
sends = {{ method = "syncPilot", params.state = true }}
within = "20s"

[[expect]]
gateway = {{ stdout = "done" }}
within = "20s"
"""
WIZ_GATEWAY = """
import asyncio, sys
from pywizlight import PilotBuilder, wizlight
from pywizlight.discovery import find_wizlights

async def main():
    found = await find_wizlights(wait_time=1.5, broadcast_address="10.77.255.255")
    for bulb in sorted(found, key=lambda bulb: bulb.ip_address):
        print(bulb.ip_address, "found", bulb.mac_address)
    for address in sys.argv[1].split(","):
        light = wizlight(address)
        kind = await light.get_bulbtype()
        print(address, light.mac, kind.name, kind.kelvin_range.min, kind.kelvin_range.max)
        [state] = await light.updateState()
        print(address, state.get_state(), state.get_brightness())
        await light.turn_on(PilotBuilder(brightness=128))
        [state] = await light.updateState()
        print(address, state.get_state(), state.get_brightness())
        print(address, "power", await light.get_power())
        pushed = asyncio.Event()
        assert await light.start_push(lambda states: pushed.set())
        await light.turn_on(PilotBuilder(brightness=64))
        await asyncio.wait_for(pushed.wait(), 5)
        [state] = light.state
        print(address, "pushed", state.get_source(), state.get_brightness())
        await light.async_close()
    print("done")

asyncio.run(main())
"""


def pywizlight(iotsim: CommandLine) -> Done:
    iotsim.write("gateway.py", WIZ_GATEWAY)
    path, mac = CLIENTS["pywizlight"].path, "=hex(0xa8bb50000000 + device.index)[2:]"
    scenario = WIZ.format(python=f'"{sys.executable}"', path=path, mac=mac)
    return iotsim.run(iotsim.write("wiz.toml", scenario))


@peer("wiz", "pywizlight", "discovers, dims, listens")
@pytest.mark.needs("tun", "pywizlight")
@background(job=pywizlight)
def test_pywizlight_finds_dims_and_listens_to_lights(done: Done) -> None:
    assert done.status == 0, done.text
    said = [line.split(" ", 1) for line in done.log.splitlines() if line.startswith("10.77.")]
    for number, address in enumerate(("10.77.1.1", "10.77.1.2")):
        assert [text for who, text in said if who == address] == [
            f"found a8bb5000000{number}",
            f"a8bb5000000{number} ESP01_SHRGB1C_31 2200 6500",
            "False 255",
            "True 128",
            "power None",
            "pushed hb 64",
        ]
    assert done.events_of("undecodable") == []


SMP = """
[scenario]
duration = "20s"

[gateway]
command = [{python}, "-u", "gateway.py", "${{devices.board.addresses}}"]
env = {{ PYTHONPATH = "{path}" }}

[devices.board]
count = 2
address = "10.77.1.1"
protocol = "smp"
state = {{ received = 0 }}

[[devices.board.rules]]
when = {{ op = "WRITE", group = "OS", command = 0 }}
reply = {{ op = "WRITE_RSP", payload = {{ r = "=msg.payload.d + ' from ' + device.name" }} }}

[[devices.board.rules]]
when = {{ op = "READ", group = "IMAGE", command = 0 }}
reply.op = "READ_RSP"
reply.payload = {{ images = [{{ slot = 0, version = "1.2.3", hash = "hex:{hash}", active = true }}] }}

[[devices.board.rules]]
when = {{ op = "WRITE", group = "IMAGE", command = 1, payload.off = {{ not = "=state.received" }} }}
reply = {{ op = "WRITE_RSP", payload = {{ off = "=state.received" }} }}

[[devices.board.rules]]
when = {{ op = "WRITE", group = "IMAGE", command = 1 }}
set = {{ received = "=state.received + len(msg.payload.data)" }}
reply = {{ op = "WRITE_RSP", payload = {{ off = "=state.received" }} }}

[[devices.board.rules]]
when = {{ op = "WRITE", group = "IMAGE", command = 0 }}
reply = {{ op = "WRITE_RSP", payload = {{ err = {{ group = 1, rc = 3 }} }} }}

[[devices.board.rules]]
when = {{ op = "WRITE" }}
reply = {{ op = "WRITE_RSP", payload = {{ rc = 10 }} }}

[[expect]]
name = "each has the whole image"
each = "board"
sends = {{ group = "IMAGE", payload.off = 3000 }}
within = "15s"

[[expect]]
name = "no part is bigger than the link takes"
any = "board"
receives = {{ length = {{ min = 1465 }} }}
never = true

[[expect]]
gateway = {{ stdout = "done" }}
within = "15s"
"""
SMP_GATEWAY = """
import asyncio, sys
from smpclient import SMPClient
from smpclient.requests.image_management import ImageStatesRead, ImageStatesWrite
from smpclient.requests.os_management import EchoWrite, ResetWrite
from smpclient.transport.udp import SMPUDPTransport

async def main():
    for address in sys.argv[1].split(","):
        async with SMPClient(SMPUDPTransport(), address) as client:
            print(address, (await client.request(EchoWrite(d="hello"))).r)
            [image] = (await client.request(ImageStatesRead())).images
            print(address, image.slot, image.version, image.hash.hex(), image.active)
            parts = [offset async for offset in client.upload(bytes(3000))]
            print(address, "sent", parts[-1], "in several parts" if len(parts) > 2 else parts)
            wrong = await client.request(ImageStatesWrite(hash=bytes(32), confirm=True))
            print(address, wrong.err.group.name, int(wrong.err.rc))
            print(address, (await client.request(ResetWrite())).rc.name)
    print("done")

asyncio.run(main())
"""


def smpclient(iotsim: CommandLine) -> Done:
    iotsim.write("gateway.py", SMP_GATEWAY)
    path, digest = CLIENTS["smpclient"].path, bytes(range(32)).hex()
    scenario = SMP.format(python=f'"{sys.executable}"', path=path, hash=digest)
    return iotsim.run(iotsim.write("smp.toml", scenario))


@peer("smp", "smpclient", "echo, images listed and uploaded, errors of both kinds")
@pytest.mark.needs("tun", "smpclient")
@background(job=smpclient)
def test_smpclient_manages_boards(done: Done) -> None:
    assert done.status == 0, done.text
    said = [line.split(" ", 1) for line in done.log.splitlines() if line.startswith("10.77.")]
    for number, address in enumerate(("10.77.1.1", "10.77.1.2")):
        assert [text for who, text in said if who == address] == [
            f"hello from board[{number}]",
            f"0 1.2.3 {bytes(range(32)).hex()} True",
            "sent 3000 in several parts",
            "IMAGE_MANAGEMENT 3",
            "EBUSY",
        ]
    assert done.events_of("undecodable") == []
