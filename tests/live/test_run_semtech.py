"""Concentrators and their nodes with network servers out of libraries that others have written, over TUN."""

from __future__ import annotations

import struct
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from tests.clients import CLIENTS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import CommandLine, Done

background = pytest.mark.background
peer = pytest.mark.peer

SCENARIO = """
[scenario]
duration = "60s"

[link]
address = ["10.77.0.1/16", "fd77::1/64"]

[gateway]
command = {command}
env = {environment}
port = 1700

[devices.c]
count = 2
address = "{address}"
protocol = "semtech"
signals = {{ level = {{ kind = "constant", value = 21.5 }} }}

[devices.c.model]
keep_alive = "2s"
stat_interval = "4s"

[devices.c.model.nodes.meter]
count = 2
dev_eui = "70B3D57ED0000001"
join_eui = "0102030405060708"
app_key = "00112233445566778899aabbccddeeff"
start = "1s"
uplink = {{ every = "3s", port = 2, payload = "=level" }}

[devices.c.model.nodes.valve]
dev_eui = "70B3D57ED0000101"
abp = {{ dev_addr = "26011BDA", nwk_skey = "44024241ed4ce9a68c6a8bc055233fd3", app_skey = "ec925802ae430ca77fd3dd73cb2cc588" }}
start = "1s"
uplink = {{ every = "3s", port = 5, payload = "hex:00ff80", confirmed = true, data_rate = "SF9BW125" }}

[[devices.c.rules]]
when = {{ kind = "DOWNLINK", port = 9 }}
reply = {{ port = 10, data = "='got ' + msg.data" }}

[[expect]]
name = "each node that joins is accepted"
each = "c"
receives = {{ kind = "JOIN_ACCEPT", node = "meter", number = 1 }}
within = "50s"

[[expect]]
name = "each is told something"
each = "c"
receives = {{ kind = "DOWNLINK", node = "meter", port = 9, data = "hello" }}
within = "50s"

[[expect]]
gateway = {{ stdout = "done" }}
within = "55s"
"""  # noqa: E501
PAMOJA = """
import socket

from pamoja._native import LorawanMacCommand
from pamoja.gateway import Network, Packet, PacketKind, acknowledgment, encode, parse
from pamoja.lora import ChannelPlan

sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("", 1700))
network = Network(ChannelPlan.for_region("EU868"), 0x13)
for number in range(1, 5):
    network.register(
        (0x70B3D57ED0000000 + number).to_bytes(8, "big"),
        bytes.fromhex("0102030405060708"),
        bytes.fromhex("00112233445566778899aabbccddeeff"),
    )
STATUS = LorawanMacCommand(6, "Downlink")
CHANNEL = LorawanMacCommand(
    7, "Downlink", index=3, frequency_hz=867100000, min_data_rate=0, max_data_rate=5
)
RATE = LorawanMacCommand(
    3, "Downlink", data_rate=4, tx_power=2, channel_mask=15, mask_control=0, transmissions=1
)
routes, told, joined, kinds, answered = {}, {}, set(), set(), set()
# What each node is still to be told, and of what is on its way, by its token, to which: a concentrator
# refuses what it would have to send while it sends to another.
todo, on_its_way = {}, {}
while len(answered) < 4 or min(told.values()) < 5 or any(todo.values()) or "stat" not in kinds:
    data, address = sock.recvfrom(4096)
    packet = parse(data)
    kinds.add(packet.kind)
    if packet.kind == PacketKind.TX_ACK:
        print("tx", packet.tx_status, flush=True)
        node = on_its_way.pop(packet.token, None)
        if node and packet.tx_status == "NONE":
            todo[node].pop(0)
        continue
    sock.sendto(encode(acknowledgment(packet)), address)
    if packet.kind == PacketKind.PULL_DATA:
        routes[packet.gateway] = address
        continue
    if packet.status is not None:
        kinds.add("stat")
        print("stat", packet.status.received, packet.status.acknowledged_percent, flush=True)
    for heard in packet.packets:
        event = network.uplink(heard)
        print(event.outcome, event.dev_eui, event.fcnt, event.fport, event.payload, flush=True)
        transmit = None
        if event.outcome == "joined":
            joined.add(event.dev_eui)
            transmit = event.accept
        elif event.outcome == "data":
            node = event.dev_addr
            told[node] = told.get(node, 0) + 1
            if event.fport == 10:
                answered.add(node)
            for what in todo.setdefault(node, ["hello", "commands"])[:1]:
                if what == "hello":
                    transmit = network.answer(node, event.slot, 9, b"hello")
                else:
                    transmit = network.command(node, event.slot, [STATUS, CHANNEL, RATE])
        if transmit is not None and packet.gateway in routes:
            token = heard.timestamp_us % 65536
            if event.outcome == "data":
                on_its_way[token] = node
            resp = Packet(PacketKind.PULL_RESP, token, transmit=transmit)
            sock.sendto(encode(resp), routes[packet.gateway])
print("joined", len(joined), flush=True)
print("done", flush=True)
"""


LORA_PACKET = """
const dgram = require("dgram");
const lora = require("lora-packet");
const hex = (text) => Buffer.from(text, "hex");
const KEY = hex("00112233445566778899aabbccddeeff");
const sock = dgram.createSocket("udp6");
const routes = {}, sessions = {}, told = {}, pending = {}, answered = new Set();
let token = 0;
sessions["26011bda"] = sessions["26011bdb"] = {
  NwkSKey: hex("44024241ed4ce9a68c6a8bc055233fd3"),
  AppSKey: hex("ec925802ae430ca77fd3dd73cb2cc588"),
  down: 0,
};
sessions["26011bdb"] = { ...sessions["26011bda"] };
let acks = 0, addresses = 0;
function respond(eui, rxpk, delay, data, second = false) {
  if (!routes[eui]) return false;
  const txpk = {
    imme: false, tmst: (rxpk.tmst + (second ? delay + 1 : delay) * 1e6) % 2 ** 32,
    freq: second ? 869.525 : rxpk.freq, rfch: 0, powe: 14, modu: "LORA",
    datr: second ? "SF12BW125" : rxpk.datr, codr: "4/5", ipol: true, size: data.length,
    data: data.toString("base64").replace(/=+$/, ""),
  };
  token = (token + 1) % 65536;
  pending[token] = second ? null : () => respond(eui, rxpk, delay, data, true);
  const head = Buffer.from([2, token >> 8, token & 255, 3]);
  const resp = Buffer.concat([head, Buffer.from(JSON.stringify({ txpk }))]);
  sock.send(resp, routes[eui].port, routes[eui].address);
  return true;
}
function join(eui, rxpk, packet) {
  console.log("join", packet.DevEUI.toString("hex"), packet.AppEUI.toString("hex"),
    lora.verifyMIC(packet, null, KEY) ? "right" : "WRONG");
  addresses += 1;
  const DevAddr = hex("2601000" + addresses), NetID = hex("000013"), AppNonce = hex("00000" + addresses);
  const accept = lora.fromFields({ MType: "Join Accept", AppNonce, NetID, DevAddr, DLSettings: 0, RxDelay: 1,
    CFList: hex("184f84e85684b85e84886684586e8400") }, null, null, KEY);
  if (!respond(eui, rxpk, 5, accept.getPHYPayload())) return;
  sessions[DevAddr.toString("hex")] = {
    ...lora.generateSessionKeys10(KEY, NetID, AppNonce, packet.DevNonce), down: 0,
  };
}
function uplink(eui, rxpk, packet) {
  const address = packet.DevAddr.toString("hex"), session = sessions[address];
  if (!session) return console.log("stranger", address);
  const payload = packet.FRMPayload ? lora.decrypt(packet, session.AppSKey, session.NwkSKey) : Buffer.alloc(0);
  console.log(packet.getMType(), `${packet.getFPort()}`, packet.getFCtrlACK() ? "ack" : "",
    packet.getFPort() === 5 ? payload.toString("hex") : payload.toString(),
    lora.verifyMIC(packet, session.NwkSKey) ? "right" : "WRONG");
  if (packet.getFCtrlACK()) { acks += 1; told[address] = true; }
  if (packet.getFPort() === 10) answered.add(address);
  const first = !(address in told);
  const fields = {
    MType: first ? "Confirmed Data Down" : "Unconfirmed Data Down", DevAddr: packet.DevAddr,
    FCnt: session.down, FPort: 9, payload: "hello", FCtrl: { ACK: packet.isConfirmed(), ADR: true },
  };
  if (!first) { fields.FPort = 8; fields.payload = "taken"; }
  if (first || packet.isConfirmed()) {
    const data = lora.fromFields(fields, session.AppSKey, session.NwkSKey).getPHYPayload();
    if (respond(eui, rxpk, 1, data)) session.down += 1;
  }
}
sock.on("message", (data, from) => {
  const kind = data[3], head = data.subarray(0, 4);
  if (kind === 5) {
    const error = data.subarray(12).toString() || "NONE";
    console.log("tx", error);
    const again = pending[data.readUInt16BE(1)];
    if (error !== "NONE" && again) again();
    return;
  }
  sock.send(Buffer.concat([head.subarray(0, 3), Buffer.from([kind === 2 ? 4 : 1])]), from.port, from.address);
  const eui = data.subarray(4, 12).toString("hex");
  if (kind === 2) { routes[eui] = from; return; }
  for (const rxpk of JSON.parse(data.subarray(12)).rxpk || []) {
    const packet = lora.fromWire(Buffer.from(rxpk.data, "base64"));
    if (packet.getMType() === "Join Request") join(eui, rxpk, packet);
    else uplink(eui, rxpk, packet);
  }
  if (answered.size >= 6 && acks >= 6) { console.log("done"); process.exit(0); }
});
sock.bind(1700, "fd77::1");
"""  # noqa: E501


def pamoja(iotsim: CommandLine) -> Done:
    iotsim.write("gateway.py", PAMOJA)
    return run(iotsim, sys.executable, "gateway.py", "PYTHONPATH", "pamoja-gateway", "10.77.1.1")


def lora_packet(iotsim: CommandLine) -> Done:
    iotsim.write("gateway.js", LORA_PACKET)
    return run(iotsim, "node", "gateway.js", "NODE_PATH", "lora-packet", "fd77::1:1")


def run(
    iotsim: CommandLine, program: str, file: str, variable: str, client: str, address: str
) -> Done:
    scenario = SCENARIO.format(
        command=f'["{program}", "{file}"]',
        environment=f'{{ {variable} = "{CLIENTS[client].path}" }}',
        address=address,
    )
    return iotsim.run(iotsim.write("semtech.toml", scenario))


@peer("semtech", "pamoja-gateway", "a network server: joins, uplinks, downlinks, MAC commands")
@pytest.mark.needs("tun", "pamoja-gateway")
@background(job=pamoja)
def test_a_network_of_pamoja(done: Done) -> None:
    assert done.status == 0, done.text + done.log
    lines = done.log.splitlines()
    assert {line.split()[1] for line in lines if line.startswith("joined 7")} == {
        f"70b3d57ed000000{number}" for number in range(1, 5)
    }
    assert lines.count("data None 0 2 b'21.5'") == 4
    assert sum(line.endswith(" 10 b'got hello'") for line in lines) == 4
    assert any(line.startswith("stat ") and line.endswith(" 100.0") for line in lines)
    assert done.events_of("undecodable") == []
    assert {answer["command"] for answer in answers_of(done)} == {
        "DEV_STATUS_ANS",
        "NEW_CHANNEL_ANS",
        "LINK_ADR_ANS",
    }
    accepted = {**dict.fromkeys(("channel_mask_ack", "data_rate_ack", "power_ack"), 1)}
    assert {"command": "LINK_ADR_ANS", **accepted} in answers_of(done)
    rates = {packet["datr"] for packet in packets_of(done)}
    assert {"SF7BW125", "SF8BW125"} <= rates


@peer("semtech", "lora-packet", "verifies and decrypts uplinks, makes join accepts and downlinks")
@peer("semtech", "tshark", "verifies and decrypts radio frames")
@pytest.mark.needs("tun", "node", "lora-packet", "tshark")
@background(job=lora_packet)
def test_a_network_of_lora_packet(done: Done, tmp_path: Path) -> None:
    assert done.status == 0, done.text + done.log
    lines = done.log.splitlines()
    assert "WRONG" not in done.log
    joins = {tuple(line.split()[1:]) for line in lines if line.startswith("join")}
    assert joins == {
        (f"70b3d57ed000000{number}", "0102030405060708", "right") for number in range(1, 5)
    }
    assert "Unconfirmed Data Up 2  21.5 right" in lines
    assert "Unconfirmed Data Up 10 ack got hello right" in lines
    assert "Confirmed Data Up 5  00ff80 right" in lines
    assert done.events_of("undecodable") == []
    check_with_tshark(done, tmp_path / "frames.pcap")


def packets_of(done: Done) -> list[dict[str, Any]]:
    pushes = (event["message"] for event in done.events_of("sent"))
    return [packet for push in pushes for packet in push.get("rxpk") or ()]


def answers_of(done: Done) -> list[dict[str, Any]]:
    """The MAC commands that nodes have sent."""
    return [one for packet in packets_of(done) for one in packet["frame"].get("commands", ())]


# -- tshark ---------------------------------------------------------------------------------------------

LORATAP = 270
"""The link type of radio frames, each behind a header of 15 bytes."""
PUBLIC_NETWORK = 0x34
APP_KEY = "00112233445566778899aabbccddeeff"
KEYS = (
    # An address, NwkSKey, AppSKey and JoinEUI; addresses and EUIs in the order of the air. For a join, the
    # AppKey stands in the place of the others.
    ("da1b0126", "44024241ed4ce9a68c6a8bc055233fd3", "ec925802ae430ca77fd3dd73cb2cc588", "00" * 8),
    ("00000000", APP_KEY, APP_KEY, "0807060504030201"),
)


def check_with_tshark(done: Done, path: Path) -> None:
    """tshark takes all that was on the air for LoRaWAN, finds the MICs right whose keys it has, and decrypts
    what is in these frames."""
    packets = packets_of(done)
    downs = (event["message"].get("txpk") for event in done.events_of("received"))
    packets += [txpk for txpk in downs if txpk]
    capture = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, LORATAP)
    for number, packet in enumerate(packets):
        frame = bytes.fromhex(packet["data"].removeprefix("hex:"))
        tap = struct.pack(">BBHI7B", 0, 0, 15, 868_100_000, 1, 7, 0, 0, 0, 0, PUBLIC_NETWORK)
        size = len(tap) + len(frame)
        capture += struct.pack("<4I", number, 0, size, size) + tap + frame
    path.write_bytes(capture)
    words = ["tshark", "-r", str(path), "-T", "fields"]
    for row in KEYS:
        entry = ",".join(f'"{one}"' for one in row)
        words += ["-o", f"uat:encryption_keys_lorawan:{entry}"]
    fields = ("mhdr.mtype", "fhdr.devaddr", "mic.status", "frmpayload_decrypted")
    for field in fields:
        words += ["-e", f"lorawan.{field}"]
    seen = subprocess.run(
        [*words, "-e", "_ws.malformed"], capture_output=True, text=True, check=True
    )
    rows = [line.split("\t") for line in seen.stdout.splitlines()]
    assert len(rows) == len(packets)
    assert all(row[0] and not row[4] for row in rows), seen.stdout
    right = [row for row in rows if row[2] == "1"]
    joins = [row for row in rows if row[0] == "0"]
    known = [row for row in rows if row[1] == "0x26011bda"]
    assert joins
    assert known
    assert len(right) == len(joins) + len(known), seen.stdout
    assert {"00ff80", b"got hello".hex(), b"hello".hex()} <= {row[3] for row in known}
