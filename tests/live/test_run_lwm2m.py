"""LwM2M with servers that others have written, over TUN: lwm2m-node-lib, and aiocoap with
cbor2 for the bodies."""

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
duration = "52s"

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
within = "50s"
"""
FLAWED = (
    "(ip.src == 10.77.1.0/24 or ipv6.src == fd77::1:1) and ("
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


AIOCOAP = """
import asyncio, json, subprocess, sys
import aiocoap, cbor2
from aiocoap import Code, Message, resource

LINKS, TLV, JSON, CBOR = 40, 11542, 110, 112
registered = asyncio.Event()
where = []
counts = {"POST": 0, "updates": 0, "DELETE": 0, "sent": None}


class Registrations(resource.Resource):
    async def render_post(self, request):
        counts["POST"] += 1
        print("registered", *request.opt.uri_query, flush=True)
        where[:] = [request.remote.hostinfo]
        registered.set()
        return Message(code=Code.CREATED, location_path=("rd", str(counts["POST"])))


class Registration(resource.Resource):
    async def render_post(self, request):
        counts["updates"] += 1
        if counts["updates"] == 1:
            return Message(code=Code.NOT_FOUND)  # as if the server had been restarted
        return Message(code=Code.CHANGED)

    async def render_delete(self, request):
        counts["DELETE"] += 1
        return Message(code=Code.DELETED)


class Data(resource.Resource):
    async def render_post(self, request):
        counts["sent"] = cbor2.loads(request.payload)
        return Message(code=Code.CHANGED)


async def main():
    site = resource.Site()
    site.add_resource(["rd"], Registrations())
    for number in range(1, 9):
        site.add_resource(["rd", str(number)], Registration())
    site.add_resource(["dp"], Data())
    context = await aiocoap.Context.create_server_context(site, bind=(sys.argv[1], 5683))
    await registered.wait()

    async def ask(what, code, path, **fields):
        request = Message(code=code, uri=f"coap://{where[0]}{path}", **fields)
        answer = await asyncio.wait_for(context.request(request).response, 20)
        format_ = answer.opt.content_format
        print(what, answer.code.name, "" if format_ is None else int(format_), flush=True)
        return answer

    answer = await ask("tlv", Code.GET, "/3303/0", accept=TLV)
    print("body", answer.payload.hex())
    answer = await ask("json", Code.GET, "/3/0", accept=JSON)
    records = json.loads(answer.payload)
    print("senml", records[0]["bn"], {one["n"]: one.get("v") for one in records}["9"])
    answer = await ask("cbor", Code.GET, "/3311", accept=CBOR)
    print("cbor", cbor2.loads(answer.payload))
    body = cbor2.dumps([{-2: "/3311/0/", 0: "5850", 4: True}, {0: "5851", 2: 70}])
    await ask("write", Code.POST, "/3311/0", payload=body, content_format=CBOR)
    names = json.dumps([{"n": "/3311/0/5851"}, {"n": "/3303/0/5701"}]).encode()
    answer = await ask("composite", Code.FETCH, "/", payload=names, content_format=JSON, accept=JSON)
    print("values", answer.payload.decode())
    body = json.dumps([{"n": "/3311/0/5851", "v": 5}, {"n": "/3303/0/5750", "vs": "x"}]).encode()
    await ask("write composite", Code.iPATCH, "/", payload=body, content_format=JSON)
    await ask("create", Code.POST, "/3311", payload=bytes.fromhex("e116da01"), content_format=TLV)
    await ask("delete", Code.DELETE, "/3311/1")
    await ask("none", Code.GET, "/3311/1")
    await ask("format", Code.GET, "/3311/0", accept=41)
    await ask("media", Code.PUT, "/3311/0", payload=b"x", content_format=41)
    await ask("security", Code.GET, "/0")
    request = Message(code=Code.GET, uri=f"coap://{where[0]}/3303/0/5700", observe=0, accept=JSON)
    observed = context.request(request)
    await observed.response
    seen = []
    async for notification in observed.observation:
        seen.append(json.loads(notification.payload)[0]["v"])
        if len(seen) == 3:
            break
    observed.observation.cancel()
    print("observed", all(15 <= value <= 25 for value in seen), flush=True)
    while counts["POST"] < 2 or counts["updates"] < 2 or not counts["DELETE"]:
        await asyncio.sleep(0.05)
    print("sent", counts["sent"], flush=True)
    print("done", flush=True)


asyncio.run(main())
"""
AIOCOAP_RULES = """
[[devices.d.rules]]
after = "10s"
send = { operation = "SEND", path = "/3303/0/5701" }

[[devices.d.rules]]
after = "20s"
send = { operation = "DEREGISTER" }
"""


def aiocoap(iotsim: CommandLine) -> Done:
    iotsim.write("server.py", AIOCOAP)
    path = CLIENTS["aiocoap"].path
    text = SCENARIO.format(
        command=f'["{sys.executable}", "-W", "ignore", "server.py", "fd77::1"]',
        env=f'{{ PYTHONPATH = "{path}" }}',
        count=1,
        address='"fd77::1:1"',
        more=AIOCOAP_RULES,
    )
    return iotsim.run(iotsim.write("lwm2m.toml", text))


@peer(
    "lwm2m", "aiocoap", "as server over IPv6: composite operations, create, delete, observe, send"
)
@peer("lwm2m", "aiocoap", "as server that forgets a registration")
@peer("lwm2m", "cbor2", "reads and writes SenML in CBOR")
@pytest.mark.needs("tun", "aiocoap", "tshark")
@background(job=aiocoap)
def test_aiocoap_is_the_server(done: Done) -> None:
    assert done.status == 0, done.text + done.log
    lines = done.log.splitlines()
    for line in (
        "registered ep=d[0] lwm2m=1.1 lt=8 b=U",
        "tlv CONTENT 11542",
        "json CONTENT 110",
        "senml /3/0/ 75",
        "cbor [{-2: '/3311/', 0: '0/5850', 4: False}, {0: '0/5851', 2: 10}]",
        "write CHANGED ",
        "composite CONTENT 110",
        'values [{"n":"/3311/0/5851","v":70},{"n":"/3303/0/5701","vs":"Cel"}]',
        "write composite CHANGED ",
        "create CREATED ",
        "delete DELETED ",
        "none NOT_FOUND ",
        "format NOT_ACCEPTABLE ",
        "media UNSUPPORTED_CONTENT_FORMAT ",
        "security UNAUTHORIZED ",
        "observed True",
        "sent [{0: '/3303/0/5701', 3: 'Cel'}]",
    ):
        assert line in lines, (line, done.log)
    assert done.events_of("undecodable") == []
    assert tshark(done, "-Y", FLAWED) == ""
