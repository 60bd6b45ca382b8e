"""LwM2M with servers that others have written, over TUN: lwm2m-node-lib, and aiocoap with kpn-senml,
lwm2m-codec and cbor2 for the bodies."""

from __future__ import annotations

import subprocess
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
port = 5683
env = {env}

[devices.d]
count = {count}
address = {address}
protocol = "lwm2m"
state = {{ on = false }}
signals = {{ temperature = {{ kind = "sine", mean = 20.0, amplitude = 5.0, period = "7s" }} }}

[devices.d.model]
lifetime = "8s"
retry = "1s"
ack_timeout = "500ms"
observe = "200ms"

[devices.d.model.objects.3]
0 = {{ 9 = 75, 13 = 1700000000, 7 = {{ 0 = 3800, 1 = 5000 }} }}

[devices.d.model.objects.3303]
0 = {{ 5700 = "=temperature", 5701 = "Cel", 5750 = "hall" }}

[devices.d.model.objects.3311.0]
5850 = "=state.on"
5851 = 10

[[devices.d.rules]]
when = {{ operation = "EXECUTE", path = "/3/0/4" }}
reply = {{ code = "CHANGED" }}

{more}

[[expect]]
gateway = {{ stdout = "done" }}
within = "55s"
"""
FLAWED = (
    "(ip.src == 10.77.1.0/24 or ipv6.src == fd77::/64) and ("
    '_ws.malformed or _ws.expert.group == "Malformed" or _ws.expert.group == "Undecoded"'
    ' or _ws.expert.group == "Protocol" or coap.opt.name == "Unknown Option")'
)


def tshark(done: Done, *words: str) -> str:
    command = ["tshark", "-r", str(done.out / "capture.pcapng"), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


NODE = """
const lwm2m = require('lwm2m-node-lib').server;
require('logops').setLevel('FATAL');
const util = require('util');
const config = { port: 5683, ipProtocol: 'udp4', serverProtocol: 'udp4', lifetimeCheckInterval: 1000,
  udpWindow: 100, writeFormat: 'text/plain', deviceRegistry: { type: 'memory' },
  types: [], defaultType: 'Device', logLevel: 'FATAL' };
const call = name => (...args) => new Promise(resolve =>
  lwm2m[name](...args, (error, value) => resolve(error ? `error ${error.code || error.name}` : value)));
const [read, write, execute, observe, discover, attributes, cancel] =
  ['read', 'write', 'execute', 'observe', 'discover', 'writeAttributes', 'cancelObserver'].map(call);
const ids = {};
const updates = {};
let gone = 0;

function print(...words) { console.log(words.join(' ')); }

lwm2m.start(config, (error, info) => {
  if (error) throw error;
  const registry = lwm2m.getRegistry();
  lwm2m.setHandler(info, 'registration', (endpoint, lifetime, version, binding, payload, callback) => {
    print('registered', endpoint, lifetime, version, binding, payload);
    callback();
    registry.getByName(endpoint, (error, device) => { ids[endpoint] = device.id; begin(); });
  });
  lwm2m.setHandler(info, 'updateRegistration', (device, payload, callback) => {
    updates[device.name] = (updates[device.name] || 0) + 1;
    callback();
  });
  lwm2m.setHandler(info, 'unregistration', (device, callback) => { gone += 1; callback(); });
  print('listening');
});

let begun = false;
async function until(holds) { while (!holds()) await new Promise(resolve => setTimeout(resolve, 50)); }

async function begin() {
  if (begun || Object.keys(ids).length < 2) return;
  begun = true;
  const id = ids['d[0]'];
  print('read', await read(id, 3303, 0, 5701), await read(id, 3, 0, 9), await read(id, 3, 0, 16));
  print('missing', await read(id, 3303, 0, 5999), await read(id, 9, 0, 1));
  print('write', await write(id, 3303, 0, 5750, 'cellar'), await read(id, 3303, 0, 5750));
  print('switch', await write(id, 3311, 0, 5850, '1'), await read(id, 3311, 0, 5850));
  print('other', await read(ids['d[1]'], 3311, 0, 5850));
  print('refused', await write(id, 3303, 0, 5700, '5'), await write(id, 3311, 0, 5851, 'x'));
  print('execute', await execute(id, 3, 0, 4, ''), await execute(id, 3, 0, 5, ''));
  print('discover', await discover(id, 3303, 0));
  print('attributes', await attributes(id, 3303, 0, 5700, { pmin: 1, pmax: 2 }));
  print('discover', await discover(id, 3303, 0, 5700));
  const seen = [];
  await observe(id, 3303, 0, 5700, value => seen.push([Date.now(), Number(value)]));
  await until(() => seen.length >= 4);
  const gaps = seen.slice(2).map((one, at) => one[0] - seen[at + 1][0]);
  print('observed', seen.every(one => one[1] >= 15 && one[1] <= 25), gaps.every(gap => gap > 700));
  await cancel(id, 3303, 0, 5700);
  print('trigger', await execute(id, 1, 0, 8, ''));
  await until(() => updates['d[0]'] >= 2 && updates['d[1]'] >= 1);
  print('updated');
  await until(() => gone >= 1);
  print('deregistered');
  print('done');
}
"""
NODE_RULES = """
[[devices.d.rules]]
after = "12s"
send = { operation = "DEREGISTER" }
where = "device.index == 1"
"""


def node(iotsim: CommandLine) -> Done:
    iotsim.write("server.js", NODE)
    paths = f'{{ NODE_PATH = "{CLIENTS["lwm2m-node-lib"].path}" }}'
    text = SCENARIO.format(
        command='["node", "server.js"]', env=paths, count=2, address='"10.77.1.1"', more=NODE_RULES
    )
    return iotsim.run(iotsim.write("lwm2m.toml", text))


@peer("lwm2m", "lwm2m-node-lib", "as server: registers, updates, deregisters")
@peer("lwm2m", "lwm2m-node-lib", "reads, writes, executes, discovers, writes attributes, observes")
@peer("lwm2m", "tshark", "reads what was sent to lwm2m-node-lib")
@pytest.mark.needs("tun", "node", "lwm2m-node-lib", "tshark")
@background(job=node)
def test_lwm2m_node_lib_is_the_server(done: Done) -> None:
    assert done.status == 0, done.text + done.log
    lines = done.log.splitlines()
    links = '</>;rt="oma.lwm2m";ct="110 112 11542",</1/0>,</3/0>,</3303/0>,</3311/0>'
    for line in (
        f"registered d[0] 8 1.1 U {links}",
        f"registered d[1] 8 1.1 U {links}",
        "read Cel 75 U",
        "missing error 4.04 error 4.04",
        "write  cellar",
        "switch  1",
        "other 0",
        "refused error 4.05 error 4.00",
        "execute  error 4.05",
        "discover </3303/0>,</3303/0/5700>,</3303/0/5701>,</3303/0/5750>",
        "discover </3303/0/5700>;pmin=1;pmax=2",
        "observed true true",
        "updated",
        "deregistered",
    ):
        assert line in lines, line
    assert done.events_of("undecodable") == []
    assert tshark(done, "-Y", FLAWED) == ""
