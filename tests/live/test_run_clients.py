"""Bundled protocols, spoken with clients that others have written, over TUN."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from tests.clients import CLIENTS

if TYPE_CHECKING:
    from tests.conftest import CommandLine, Done

background = pytest.mark.background

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
