"""CoAP with clients that others have written, over TUN: libcoap's, and aiocoap as client and server."""

from __future__ import annotations

import hashlib
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
env = {{ PYTHONPATH = "{path}" }}

[devices.d]
address = ["10.77.1.1", "fd77::1:1"]
protocol = "coap"
state = {{ led = 0, table = {{ a = 1 }} }}

[devices.d.model]
leisure = "500ms"

[devices.d.model.resources]
"/temp" = {{ value = 20.5, rt = "temperature-c", if = "sensor" }}
"/led" = {{ value = "=state.led", methods = ["GET", "PUT"] }}
"/large" = {{ value = "{large}", methods = ["GET", "PUT"] }}
"/table" = {{ value = "=state.table", format = "application/json", methods = ["GET", "FETCH", "IPATCH"] }}
"/count" = {{ value = "=int(t * 2)", observe = "500ms" }}
"/sure" = {{ value = "=int(t * 2)", observe = "500ms", confirmable = true }}
"/valid" = {{ value = "same", etag = true, methods = ["GET", "PUT"] }}
"/create" = {{ methods = ["GET", "PUT", "DELETE"] }}

[[devices.d.rules]]
when = {{ path = "/late" }}
reply = {{ code = "CONTENT", content_format = "text/plain", payload = "at last" }}
delay = "1s"

[[devices.d.rules]]
when = {{ code = "POST", path = "/lost" }}
times = 1
drop = true

[[devices.d.rules]]
when = {{ code = "POST", path = "/lost" }}
reply = {{ code = "CREATED", location_path = ["lost", "1"] }}

{more}
[[expect]]
gateway = {{ stdout = "done" }}
within = "55s"
"""
LARGE = "".join(f"{number:05}" for number in range(1000))
FLAWED = (
    "(ip.src == 10.77.1.1 or ipv6.src == fd77::1:1) and ("
    '_ws.malformed or _ws.expert.group == "Malformed" or _ws.expert.group == "Undecoded"'
    ' or _ws.expert.group == "Protocol" or coap.opt.name == "Unknown Option")'
)


def check_with_tshark(done: Done) -> None:
    seen = subprocess.run(
        ["tshark", "-r", done.out / "capture.pcapng", "-Y", FLAWED],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert seen.stdout == ""


LIBCOAP = """
cd "$(mktemp -d)"
trap 'rm -r "$PWD"' EXIT
ask() { echo "$device $1: $(coap-client-notls -B 5 "${@:2}" 2>&1 | tr '\\n' ' ')"; }
for n in $(seq -w 0 9999); do printf %s $n; done > body
for device in 10.77.1.1 '[fd77::1:1]'; do
    at=coap://$device
    ask get $at/temp
    ask non -N $at/temp
    ask links $at/.well-known/core?rt=temperature-c
    ask put -m put -e 7 $at/led
    ask led $at/led
    ask bad -m put -e on $at/led
    ask none $at/none
    ask method -m delete $at/temp
    ask accept -A 50 $at/temp
    ask critical -O 65001,x $at/temp
    ask proxy -O 35,coap://x/ $at/temp
    ask late $at/late
    ask lost -m post -e x $at/lost
    ask ipatch -m ipatch -t 52 -e '{"b":2}' $at/table
    ask fetch -m fetch -t 50 -e {} $at/table
    ask create -m put -O 5, -e x $at/create
    ask again -m put -O 5, -e x $at/create
    ask delete -m delete $at/create
    ask count -s 2 $at/count
    ask sure -s 2 $at/sure
    for size in 16 64 512 1024; do
        echo "$device blocks $size: $(coap-client-notls -B 5 -b $size $at/large | tr -d '\\n' | md5sum)"
    done
    for size in 64 1024; do
        coap-client-notls -B 5 -b $size -m put -f body $at/large
        echo "$device upload $size: $(coap-client-notls -B 5 $at/large | tr -d '\\n' | md5sum)"
        coap-client-notls -B 5 -m put -e "$(head -c 5000 body)" $at/large
    done
    coap-client-notls -B 5 -m put -f body $at/large
done
device=group
ask get -B 2 -N coap://224.0.1.187/temp
ask none -B 2 -N coap://224.0.1.187/none
echo done
"""
LIBCOAP_SAYS = {
    "get": "20.5",
    "non": "20.5",
    "links": '</temp>;rt="temperature-c";if="sensor";ct=0',
    "put": "",
    "led": "7",
    "bad": "4.00 a finite number, and nothing else",
    "none": "4.04",
    "method": "4.05",
    "accept": "4.06",
    "critical": "4.02 option 65001 is not understood",
    "proxy": "5.05",
    "late": "at last",
    "lost": "",
    "ipatch": "",
    "fetch": '{"a":1,"b":2}',
    "create": "",
    "again": "4.12",
    "delete": "",
}


def libcoap(iotsim: CommandLine) -> Done:
    iotsim.write("gateway.sh", LIBCOAP)
    text = SCENARIO.format(command='["bash", "gateway.sh"]', path="", large=LARGE, more="")
    return iotsim.run(iotsim.write("coap.toml", text))


@peer("coap", "libcoap", "GET, PUT, errors, late answers, observe, IPv4 and IPv6")
@peer("coap", "libcoap", "blocks of 16 to 1024 bytes, both ways")
@peer("coap", "libcoap", "a group asked")
@peer("coap", "tshark", "reads what was sent to libcoap")
@pytest.mark.needs("tun", "coap-client-notls", "tshark")
@background(job=libcoap)
def test_libcoap_speaks_with_devices(done: Done) -> None:
    assert done.status == 0, done.text
    said = dict(line.split(": ", 1) for line in done.log.splitlines() if ": " in line)
    body = "".join(f"{number:04}" for number in range(10_000))
    for device in ("10.77.1.1", "[fd77::1:1]"):
        for what, text in LIBCOAP_SAYS.items():
            assert said[f"{device} {what}"].strip() == text, what
        for what in ("count", "sure"):  # numbers that follow each other, four in two seconds
            assert len(said[f"{device} {what}"].strip()) >= 4
        for size in (64, 1024):
            assert said[f"{device} upload {size}"].split()[0] == md5(body)
    for size in (16, 64, 512, 1024):
        assert said[f"10.77.1.1 blocks {size}"].split()[0] == md5(LARGE)
        assert said[f"[fd77::1:1] blocks {size}"].split()[0] == md5(body)
    assert said["group get"].strip() == "20.5"
    assert said["group none"].strip() == ""
    assert done.events_of("undecodable") == []
    check_with_tshark(done)


def md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


AIOCOAP = """
import asyncio, sys
import aiocoap
from aiocoap import Code, Message, resource
from aiocoap.numbers import ContentFormat

D = "coap://10.77.1.1"
LARGE = "x" * 5000


class Echo(resource.Resource):
    async def render_post(self, request):
        print("posted", len(request.payload), request.payload[-4:].decode(), flush=True)
        return Message(code=Code.CHANGED, payload=request.payload)


class Slow(resource.Resource):
    async def render_get(self, request):
        await asyncio.sleep(1)
        return Message(payload=b"slow")


class Large(resource.Resource):
    async def render_get(self, request):
        return Message(payload=LARGE.encode())


class Ticks(resource.ObservableResource):
    ticks = 0

    def update_observation_count(self, count):
        print("observers", count, flush=True)

    async def tick(self):
        while True:
            await asyncio.sleep(0.3)
            self.ticks += 1
            self.updated_state()

    async def render_get(self, request):
        return Message(payload=str(self.ticks).encode())


async def main():
    site = resource.Site()
    ticks = Ticks()
    for name, one in (("echo", Echo()), ("slow", Slow()), ("large", Large()), ("ticks", ticks)):
        site.add_resource([name], one)
    await aiocoap.Context.create_server_context(site, bind=("10.77.0.1", 5683))
    asyncio.create_task(ticks.tick())
    client = await aiocoap.Context.create_client_context()

    async def ask(what, code, path, **fields):
        request = Message(code=code, uri=D + path, **fields)
        answer = await asyncio.wait_for(client.request(request).response, 10)
        print(what, answer.code.name, answer.payload[-20:].decode(), flush=True)
        return answer

    await ask("get", Code.GET, "/temp")
    await ask("non", Code.GET, "/temp", mtype=aiocoap.NON)
    await ask("put", Code.PUT, "/led", payload=b"3")
    answer = await ask("large", Code.GET, "/large")
    print("size", len(answer.payload))
    await ask("upload", Code.PUT, "/large", payload=b"y" * 20000)
    answer = await ask("again", Code.GET, "/large")
    print("size", len(answer.payload))
    answer = await ask("etag", Code.GET, "/valid")
    await ask("valid", Code.GET, "/valid", etags=[answer.opt.etag])
    await ask("match", Code.PUT, "/valid", payload=b"z", if_match=[b"no"])
    await ask("ipatch", Code.iPATCH, "/table", payload=b'{"b":2}', content_format=52)
    await ask("fetch", Code.FETCH, "/table", payload=b"{}", content_format=50)
    await ask("late", Code.GET, "/late")
    await ask("links", Code.GET, "/.well-known/core?rt=temperature-c")
    request = client.request(Message(code=Code.GET, uri=D + "/sure", observe=0))
    await request.response
    seen = []
    async for notification in request.observation:
        seen.append(int(notification.payload))
        if len(seen) == 3:
            break
    request.observation.cancel()
    print("observed", seen == list(range(seen[0], seen[0] + 3)), flush=True)
    await asyncio.sleep(4)
    print("done", flush=True)


asyncio.run(main())
"""
AS_CLIENT = """
[[devices.d.rules]]
after = "2s"
send = { code = "POST", path = "/echo", payload = "=str(1234)" }
to = "10.77.0.1:5683"

[[devices.d.rules]]
after = "2500ms"
send = { code = "POST", path = "/echo", payload = "=state.long" }
to = "10.77.0.1:5683"

[[devices.d.rules]]
after = "3s"
send = { code = "GET", path = "/slow" }
to = "10.77.0.1:5683"

[[devices.d.rules]]
after = "3500ms"
send = { code = "GET", path = "/large" }
to = "10.77.0.1:5683"

[[devices.d.rules]]
after = "4s"
send = { code = "GET", path = "/ticks", observe = 0 }
to = "10.77.0.1:5683"

[[expect]]
name = "a short body is echoed"
device = "d"
receives = { code = "CHANGED", payload = "1234" }
within = "20s"

[[expect]]
name = "a long one as well, in blocks both ways"
device = "d"
receives = { code = "CHANGED", payload = "=state.long" }
within = "20s"

[[expect]]
name = "a slow answer"
device = "d"
receives = { code = "CONTENT", payload = "slow" }
within = "20s"

[[expect]]
name = "a large answer"
device = "d"
receives = { code = "CONTENT", payload = "=state.large" }
within = "20s"

[[expect]]
name = "it is notified"
device = "d"
receives = { observe = { min = 3 }, payload = { regex = "^[0-9]+$" } }
within = "20s"
"""


def aiocoap(iotsim: CommandLine) -> Done:
    iotsim.write("gateway.py", AIOCOAP)
    command = f'["{sys.executable}", "-u", "-W", "ignore", "gateway.py"]\nport = 5683'
    path = CLIENTS["aiocoap"].path
    text = SCENARIO.format(command=command, path=path, large=LARGE, more=AS_CLIENT)
    long = f'large = "{"x" * 5000}", long = "{"0123456789" * 500}", led'
    return iotsim.run(iotsim.write("coap.toml", text.replace("led", long, 1)))


@peer("coap", "aiocoap", "GET, PUT, FETCH, iPATCH, ETag, If-Match, blocks, observe")
@peer("coap", "aiocoap", "as server: is posted to, also in blocks, and is observed")
@peer("coap", "tshark", "reads what was sent to aiocoap")
@pytest.mark.needs("tun", "aiocoap", "tshark")
@background(job=aiocoap)
def test_aiocoap_asks_and_is_asked(done: Done) -> None:
    assert done.status == 0, done.text
    lines = done.log.splitlines()
    for line in (
        "get CONTENT 20.5",
        "non CONTENT 20.5",
        "put CHANGED ",
        "size 5000",
        "upload CHANGED ",
        "size 20000",
        "etag CONTENT same",
        "valid VALID ",
        "match PRECONDITION_FAILED ",
        "ipatch CHANGED ",
        'fetch CONTENT {"a":1,"b":2}',
        "late CONTENT at last",
        "observed True",
        "posted 4 1234",
        "posted 5000 6789",
        "observers 1",
    ):
        assert line in lines, line
    assert done.events_of("undecodable") == []
    check_with_tshark(done)
