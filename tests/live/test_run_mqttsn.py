"""MQTT-SN with programs that others have written, over TUN: clients of mqtt-sn-12 with a device that is their
gateway, and devices that are clients of the gateway mqttsngw, before the broker mosquitto."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from tests.clients import CLIENTS

from iotsim.protocol.registry import load_protocol
from iotsim.protocols.mqttsn.message import RETURN_CODES
from iotsim.testing.frames import datagram_frame
from iotsim.units import parse_endpoint
from iotsim.wire import virtio

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import CommandLine, Done

background = pytest.mark.background
peer = pytest.mark.peer

FLAWED = (
    "ip.src == 10.77.1.0/24 and udp and (not mqttsn or _ws.malformed"
    ' or _ws.expert.group == "Malformed" or _ws.expert.group == "Undecoded"'
    ' or _ws.expert.group == "Protocol")'
)


def tshark(capture: Path, shown: str, *fields: str) -> list[str]:
    """The lines of what is shown of a capture."""
    words = ["tshark", "-r", str(capture), "-d", "udp.port==1883,mqttsn", "-Y", shown]
    words += ["-T", "fields"] if fields else []
    words += [word for field in fields for word in ("-e", field)]
    seen = subprocess.run(words, capture_output=True, text=True, check=True)
    return seen.stdout.splitlines()


FIELDS = {
    "dup": "mqttsn.dup",
    "qos": "mqttsn.qos",
    "retain": "mqttsn.retain",
    "will": "mqttsn.will",
    "clean_session": "mqttsn.clean.session",
    "gateway_id": "mqttsn.gw.id",
    "radius": "mqttsn.radius",
    "protocol_id": "mqttsn.protocol.id",
    "message_id": "mqttsn.msg.id",
    "client_id": "mqttsn.client.id",
    "will_topic": "mqttsn.will.topic",
    "will_message": "mqttsn.will.msg",
    "data": "mqttsn.pub.msg",
}
"""What tshark calls the fields."""
DURATIONS = {
    "ADVERTISE": "mqttsn.adv.interv",
    "CONNECT": "mqttsn.keep.alive",
    "DISCONNECT": "mqttsn.sleep.timer",
}

UNREAD = {
    ("WILLTOPIC", "qos"),
    ("WILLTOPIC", "retain"),
    ("WILLTOPICUPD", "qos"),
    ("WILLTOPICUPD", "retain"),
    ("SUBSCRIBE", "dup"),
    ("SUBSCRIBE", "qos"),
    ("SUBACK", "qos"),
}
"""The flags that it does not show."""


@peer("mqttsn", "tshark", "reads every type of message as it was meant, field by field")
@pytest.mark.needs("tshark")
def test_tshark_reads_every_message(tmp_path: Path) -> None:
    loaded = load_protocol("mqttsn")
    codec = loaded.protocol.codec
    # tshark knows no WILLTOPIC and WILLTOPICUPD that are empty, as sections 5.4.7 and 5.4.23 have them.
    vectors = [
        one
        for one in loaded.vectors
        if not one.decodes_only and one.data not in (b"\x02\x07", b"\x02\x1a")
    ]
    capture = tmp_path / "all.pcap"
    raw_ip = 101
    with capture.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, raw_ip))
        for vector in vectors:
            ends = parse_endpoint("10.77.1.1:1883"), parse_endpoint("10.77.0.1:1883")
            frame = virtio.complete_checksum(datagram_frame(*ends, codec.encode(vector.fields)))
            file.write(struct.pack("<IIII", 0, 0, len(frame), len(frame)) + frame)
    assert tshark(capture, FLAWED) == []
    wanted = ["mqttsn.msg.type", *FIELDS.values(), *DURATIONS.values()]
    lines = tshark(capture, "udp", *wanted)
    assert len(lines) == len(vectors)
    for line, vector in zip(lines, vectors, strict=True):
        seen = dict(zip(wanted, line.split("\t"), strict=True))
        message = codec.decode(vector.data)
        kind = message["kind"]
        if kind == "ENCAPSULATED":
            continue
        assert int(seen["mqttsn.msg.type"], 16) == vector.data[3 if vector.data[0] == 1 else 1]
        names = FIELDS | ({"duration": DURATIONS[kind]} if kind in DURATIONS else {})
        for name, value in message.items():
            if name in names and (kind, name) not in UNREAD and value != b"\x00\xff":
                assert read(seen[names[name]], value) == value, (kind, name)


def read(text: str, like: Any) -> Any:
    """What tshark has written, as a value of the same type."""
    if isinstance(like, bool):
        return text in ("1", "True")
    if isinstance(like, int):
        return -1 if (like, int(text, 0)) == (-1, 3) else int(text, 0)
    return text


PACKETS = """
# One line for each packet of standard input: what the library's classes read.
import json, sys
from mqttsn12 import packets

CLASSES = {
    0: "Advertise", 1: "SearchGateway", 2: "GatewayInfo", 4: "Connect", 5: "Connack", 6: "WillTopicReq",
    7: "WillTopic", 8: "WillMessageReq", 9: "WillMessage", 10: "Register", 11: "Regack", 12: "Publish",
    13: "PubAck", 14: "PubComp", 15: "PubRec", 16: "PubRel", 18: "Sub", 19: "SubAck", 21: "Unsuback",
    22: "PingReq", 23: "PingRes", 24: "DisconnectReq", 27: "WillTopicRes", 29: "WillMessageResp",
}
for line in sys.stdin:
    data = bytes.fromhex(line)
    packet = getattr(packets, CLASSES[data[3 if data[0] == 1 else 1]] + "Packet")()
    packet.decode(data)
    fields = vars(packet).values()
    print(json.dumps([one.decode("latin-1") if hasattr(one, "decode") else one for one in fields]))
"""


@peer("mqttsn", "mqtt-sn-12", "its codec reads every type that it knows as it was meant")
@pytest.mark.needs("mqtt-sn-12")
def test_the_codec_of_mqtt_sn_12_reads_what_ours_writes() -> None:
    loaded = load_protocol("mqttsn")
    unread = {"UNSUBSCRIBE", "WILLTOPICUPD", "WILLMSGUPD", "ENCAPSULATED"}
    # It has no empty WILLTOPIC, and no GWINFO with an address.
    vectors = [
        one
        for one in loaded.vectors
        if not (one.fields["kind"] in unread or one.decodes_only or one.data == b"\x02\x07")
        and "gateway_address" not in one.fields
    ]
    done = subprocess.run(
        [sys.executable, "-c", PACKETS],
        input="\n".join(loaded.protocol.codec.encode(one.fields).hex() for one in vectors),
        env={"PYTHONPATH": str(CLIENTS["mqtt-sn-12"].path)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    for line, vector in zip(done.stdout.splitlines(), vectors, strict=True):
        seen = json.loads(line)
        for name, value in vector.fields.items():
            if name in (
                "radius",
                "gateway_id",
                "duration",
                "message_id",
                "client_id",
                "will_topic",
                "data",
            ):
                text = value.decode("latin-1") if isinstance(value, bytes) else value
                assert text in seen, (vector.fields, name)
            elif name in ("topic", "topic_id"):
                short = (
                    vector.fields.get("topic_id_type") == "SHORT"
                    and vector.fields["kind"] == "PUBLISH"
                )
                assert (int.from_bytes(value.encode(), "big") if short else value) in seen
            elif name == "return_code":
                assert RETURN_CODES[value] in seen


GATEWAY = """
[scenario]
duration = "60s"

[gateway]
command = ["bash", "clients.sh"]
env = {{ PYTHONPATH = "{path}", PYTHON = "{python}", PYTHONUNBUFFERED = "1" }}

[devices.hub]
address = "10.77.1.1"
protocol = "mqttsn"

[devices.hub.model]
role = "gateway"
topics = {{ "fixed/topic" = 7 }}
retry = "2s"

[[devices.hub.rules]]
when = {{ kind = "REGISTER", topic = "refused" }}
reply = {{ kind = "REGACK", return_code = "NOT_SUPPORTED" }}

[[devices.hub.rules]]
every = "500ms"
send = {{ kind = "PUBLISH", topic = "level/9", data = "{long}" }}

[[expect]]
gateway = {{ stdout = "done" }}
within = "55s"
"""
CLIENTS_SH = """
at() { "$PYTHON" -W ignore -m mqttsn12.$1 -h 10.77.1.1 -p 1883 "${@:2}" 2>&1; }
sub() { name=$1; shift; at mqtt_sn_sub -i "$name" "$@" > "$work/$name" & }
heard() { until grep -qs "$2" "$work/$1"; do sleep 0.1; done; }
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
at mqtt_sn_pub -t config/mode -m retained -q 1 -r
sub config -t config/mode -1
heard config retained
sub name -t sensor/a -q 1
sub wildcard -t 'sensor/#'
sub short -t ab
sub predefined -T 7 -q 1
sub will -t will/w
"$PYTHON" -W ignore "${0%/*}/api.py"
while true; do
    at mqtt_sn_pub -t sensor/a -m at -q 1
    at mqtt_sn_pub -t ab -m short -q 0
    at mqtt_sn_pub -T 7 -m predefined -q 1
    grep -qs at "$work/name" && grep -qs at "$work/wildcard" && grep -qs short "$work/short" \\
        && grep -qs predefined "$work/predefined" && break
done
heard will gone
at mqtt_sn_pub -t refused -m x -q 1 | grep -o 'REGISTER failed: Rejected.*'
for name in config name wildcard short predefined will; do
    echo "$name: $(head -1 "$work/$name")"
done
echo done
"""
API = """
# What the two programs have no option for: all of the library's client.
from mqttsn12.client.MqttSnClient import MqttSnClient, MqttSnListener


class Heard(MqttSnListener):
    def __init__(self):
        self.all = []

    def message_arrived(self, message):
        self.all.append((message.get_topic_name(), bytes(message.get_payload())))


client = MqttSnClient()
client.set_client_id("api")
client.set_will("will/w", "gone", 1, True)  # retained: who subscribes late hears it
client.set_keep_alive(2)
client.open("10.77.1.1", 1883)
client.send_search_gateway(0)
client.send_connect()
client.send_will_topic_update("will/w")
client.send_will_message_update("gone")
client.send_publish("level/2", b"twice", 2)
client.send_publish("long", b"x" * 1000, 1)
client.send_publish_predefined(7, b"predefined", -1)
heard = Heard()
client.send_subscribe("level/+", 0, heard)
while not heard.all:
    client.polling()
print(heard.all[0][0], len(heard.all[0][1]), flush=True)
client.send_unsubscribe("level/+")
client.send_ping_req()
# And now it is heard no more: its will is published.
"""


def clients(iotsim: CommandLine) -> Done:
    iotsim.write("clients.sh", CLIENTS_SH)
    iotsim.write("api.py", API)
    text = GATEWAY.format(path=CLIENTS["mqtt-sn-12"].path, python=sys.executable, long="y" * 400)
    return iotsim.run(iotsim.write("mqttsn.toml", text))


@peer(
    "mqttsn",
    "mqtt-sn-12",
    "its clients publish and subscribe: names, wildcards, short, predefined, retained",
)
@peer("mqttsn", "mqtt-sn-12", "QoS -1, 0, 1 and 2, long messages, a rejection")
@peer("mqttsn", "mqtt-sn-12", "a will, updated, and published when its client is lost")
@peer("mqttsn", "mqtt-sn-12", "SEARCHGW, PINGREQ, UNSUBSCRIBE")
@peer("mqttsn", "tshark", "reads what a gateway sent to mqtt-sn-12")
@pytest.mark.needs("tun", "mqtt-sn-12", "tshark")
@background(job=clients)
def test_clients_of_mqtt_sn_12_speak_with_a_gateway(done: Done) -> None:
    assert done.status == 0, done.text
    assert done.log.splitlines() == [
        "level/9 400",
        "REGISTER failed: Rejected: not supported (3)",
        "config: retained",
        "name: at",
        "wildcard: at",
        "short: short",
        "predefined: predefined",
        "will: gone",
        "done",
    ]
    heard = [
        event["message"] for event in done.events_of("received") if event["layer"] == "application"
    ]
    assert {(one["topic"], one["qos"]) for one in heard if one["kind"] == "PUBLISH"} == {
        ("config/mode", 1),
        ("sensor/a", 1),
        ("ab", 0),
        ("fixed/topic", 1),
        ("fixed/topic", -1),
        ("level/2", 2),
        ("long", 1),
    }
    assert done.events_of("undecodable") == []
    assert tshark(done.out / "capture.pcapng", FLAWED) == []


BROKER = """
[scenario]
duration = "60s"

[gateway]
command = ["bash", "broker.sh"]
port = 1883
env = {{ NODE_PATH = "{path}" }}

[devices.sensor]
count = 2
address = "10.77.1.1"
protocol = "mqttsn"
state = {{ led = "off" }}

[devices.sensor.model]
subscribe = ["cmd/+", "ab"]
keep_alive = "2s"
retry = "500ms"
retries = 2

[[devices.sensor.rules]]
every = "1s"
send = {{ kind = "PUBLISH", topic = "=device.name + '/temperature'", data = "=20 + device.index", qos = 1 }}

[[devices.sensor.rules]]
every = "1s"
send = {{ kind = "PUBLISH", topic = "cd", data = "short", retain = true }}

[[devices.sensor.rules]]
when = {{ kind = "PUBLISH", topic = "cmd/led" }}
set = {{ led = "=msg.data" }}
reply = {{ kind = "PUBLISH", topic = "=device.name + '/led'", data = "=state.led" }}

[devices.sleeper]
count = 1
address = "10.77.1.9"
protocol = "mqttsn"

[devices.sleeper.model]
subscribe = ["cmd/#"]
sleep = "2s"
retry = "500ms"
retries = 2

[[devices.sleeper.rules]]
when = {{ kind = "PUBLISH" }}
reply = {{ kind = "PUBLISH", topic = "sleeper/led", data = "=msg.data", qos = 1 }}

[[expect]]
name = "what was told while it slept"
each = "sleeper"
receives = {{ kind = "PUBLISH", topic = "cmd/led", data = "on" }}
within = "50s"

[[expect]]
name = "after a restart each subscribes again"
each = "sensor"
sends = {{ kind = "SUBSCRIBE", topic = "ab" }}
count = {{ min = 2 }}

[[expect]]
gateway = {{ stdout = "done" }}
within = "55s"
"""
BROKER_SH = """
work=$(mktemp -d)
trap 'kill $(jobs -p) 2> /dev/null; rm -r "$work"' EXIT
printf 'user root\\nlistener 18830 127.0.0.1\\nallow_anonymous true\\n' > "$work/conf"
mosquitto -c "$work/conf" 2> "$work/log" &
heard() { mosquitto_sub -h 127.0.0.1 -p 18830 -W 30 -C 1 -v -t "$1"; }
publish() { mosquitto_pub -h 127.0.0.1 -p 18830 "$@"; }
until publish -t up -m up 2> "$work/error"; do sleep 0.1; done
start() { node "${0%/*}/gateway.js" & gateway=$!; }
start
heard sensor\\[0\\]/temperature
heard sensor\\[1\\]/temperature
heard cd
for device in sensor\\[0\\] sensor\\[1\\] sleeper; do
    publish -q 1 -t cmd/led -m on -r
    heard "$device/led" > "$work/$device" &
done
wait_for() { until [ -s "$work/$1" ]; do publish -q 1 -t cmd/led -m on; sleep 0.3; done; cat "$work/$1"; }
wait_for sensor\\[0\\]
wait_for sensor\\[1\\]
wait_for sleeper
kill -9 $gateway
wait $gateway 2> /dev/null
start
heard sensor\\[0\\]/temperature
heard sensor\\[1\\]/temperature
echo done
sleep 100
"""
GATEWAY_JS = r"""
// mqttsngw's core and its connection to a broker speak of parsed packets: here are bytes and the socket.
const dgram = require('dgram');
const Core = require('mqttsngw-core');
const Broker = require('mqttsngw-mqttbroker');
const TYPES = {
    connect: 4, connack: 5, register: 10, regack: 11, publish: 12, puback: 13, subscribe: 18,
    suback: 19, unsubscribe: 20, unsuback: 21, pingreq: 22, pingresp: 23, disconnect: 24,
};
const CODES = ['Accepted', 'Rejected: congestion', 'Rejected: invalid topic ID', 'Rejected: not supported'];
const KINDS = ['normal', 'pre-defined', 'short topic'];

// A bus of events that have three words, of which a listener may leave the second open.
const listeners = [];
const same = (wanted, name) => wanted.every((word, place) => word === '*' || word === name[place]);
const bus = {
    on: (name, call) => listeners.push([name, call]),
    removeListener: (name, call) => {
        const at = listeners.findIndex((one) => one[1] === call && one[0].join() === name.join());
        if (at >= 0) listeners.splice(at, 1);
    },
    emit: (name, ...rest) => {
        const found = listeners.filter((one) => same(one[0], name));
        found.forEach((one) => one[1](...rest));
        return found.length > 0;
    },
};

function read(data) {
    const at = data[0] === 1 ? 3 : 1;
    const cmd = Object.keys(TYPES).find((name) => TYPES[name] === data[at]);
    const rest = data.subarray(at + 1);
    const packet = { cmd };
    const flags = (byte) => {
        packet.qos = byte >> 5 & 3;
        packet.retain = (byte & 16) > 0;
        packet.topicIdType = KINDS[byte & 3];
    };
    if (cmd === 'connect') {
        packet.will = (rest[0] & 8) > 0;
        packet.cleanSession = (rest[0] & 4) > 0;
        packet.duration = rest.readUInt16BE(2);
        packet.clientId = rest.toString('utf8', 4);
    } else if (cmd === 'register') {
        packet.msgId = rest.readUInt16BE(2);
        packet.topicName = rest.toString('utf8', 4);
    } else if (cmd === 'publish') {
        flags(rest[0]);
        const short = packet.topicIdType === 'short topic';
        packet.topicId = short ? rest.toString('utf8', 1, 3) : rest.readUInt16BE(1);
        packet.msgId = rest.readUInt16BE(3);
        packet.payload = Buffer.from(rest.subarray(5));
    } else if (cmd === 'regack' || cmd === 'puback') {
        packet.topicId = rest.readUInt16BE(0);
        packet.msgId = rest.readUInt16BE(2);
        packet.returnCode = CODES[rest[4]];
    } else if (cmd === 'subscribe' || cmd === 'unsubscribe') {
        flags(rest[0]);
        packet.msgId = rest.readUInt16BE(1);
        packet.topicName = rest.toString('utf8', 3);
    } else if (cmd === 'disconnect' && rest.length) {
        packet.duration = rest.readUInt16BE(0);
    }
    return packet;
}

function write(packet) {
    const word = (number) => [number >> 8, number & 255];
    const flags = (packet.qos || 0) << 5 | Math.max(KINDS.indexOf(packet.topicIdType), 0);
    const code = CODES.indexOf(packet.returnCode);
    const short = packet.topicIdType === 'short topic';
    const body = Buffer.concat([Buffer.from([TYPES[packet.cmd]]), ...{
        connack: () => [Buffer.from([code])],
        register: () => [
            Buffer.from([...word(packet.topicId), ...word(packet.msgId)]), Buffer.from(packet.topicName),
        ],
        regack: () => [Buffer.from([...word(packet.topicId), ...word(packet.msgId), code])],
        publish: () => [
            Buffer.from([flags]), short ? Buffer.from(packet.topicId) : Buffer.from(word(packet.topicId)),
            Buffer.from(word(packet.msgId)), Buffer.from(packet.payload),
        ],
        puback: () => [
            Buffer.from([...word(Number(packet.topicId) || 0), ...word(packet.msgId), code]),
        ],
        suback: () => [Buffer.from([flags, ...word(packet.topicId || 0), ...word(packet.msgId), code])],
        unsuback: () => [Buffer.from(word(packet.msgId))],
        pingresp: () => [],
        disconnect: () => [],
    }[packet.cmd]()]);
    return Buffer.concat([Buffer.from([body.length + 1]), body]);
}

const socket = dgram.createSocket('udp4');
socket.on('message', (data, from) => {
    const packet = read(data);
    packet.clientKey = `${from.address}:${from.port}`;
    bus.emit(['snUnicastIngress', packet.clientKey, packet.cmd], packet);
});
bus.on(['snUnicastOutgress', '*', '*'], (packet) => {
    const [address, port] = packet.clientKey.split(':');
    socket.send(write(packet), Number(port), address);
});
const log = { error: (text) => console.log('error', text) };
Broker({ log, broker: () => ({ url: 'mqtt://127.0.0.1:18830' }) })(bus)();
Core({ log })(bus)();
socket.bind(1883, '10.77.0.1');
"""


def broker(iotsim: CommandLine) -> Done:
    iotsim.write("broker.sh", BROKER_SH)
    iotsim.write("gateway.js", GATEWAY_JS)
    path = ":".join(str(CLIENTS[name].path) for name in ("mqttsngw-core", "mqttsngw-mqttbroker"))
    return iotsim.run(iotsim.write("mqttsn.toml", BROKER.format(path=path)))


@peer(
    "mqttsn",
    "mqttsngw",
    "its gateway before mosquitto: REGISTER both ways, QoS 0 and 1, wildcards, short topics",
)
@peer("mqttsn", "mqttsngw", "a device sleeps, and is told what came meanwhile")
@peer("mqttsn", "mqttsngw", "it is killed and starts again, and devices connect anew")
@peer("mqttsn", "tshark", "reads what devices sent to mqttsngw")
@pytest.mark.needs(
    "tun", "mqttsngw-core", "mqttsngw-mqttbroker", "node", "mosquitto", "mosquitto_pub", "tshark"
)
@background(job=broker)
def test_devices_speak_through_mqttsngw_with_a_broker(done: Done) -> None:
    assert done.status == 0, done.text
    temperatures = ["sensor[0]/temperature 20", "sensor[1]/temperature 21"]
    lines = done.log.splitlines()
    assert [line for line in lines[: lines.index("done")] if "gateway.js" not in line] == [
        *temperatures,
        "cd short",
        "sensor[0]/led on",
        "sensor[1]/led on",
        "sleeper/led on",
        *temperatures,  # from the gateway that was started again
    ]
    sent = [event["message"] for event in done.events_of("sent") if event["layer"] == "wire"]
    assert {
        "CONNECT",
        "SUBSCRIBE",
        "REGISTER",
        "REGACK",
        "PUBLISH",
        "PUBACK",
        "PINGREQ",
        "DISCONNECT",
    } == ({message["kind"] for message in sent})
    heard = [
        event["message"] for event in done.events_of("received") if event["layer"] == "application"
    ]
    assert {one["return_code"] for one in heard if "return_code" in one} == {"ACCEPTED"}
    assert done.events_of("undecodable") == []
    assert tshark(done.out / "capture.pcapng", FLAWED) == []
