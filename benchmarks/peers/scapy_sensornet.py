"""SensorNet devices by Scapy: an answering machine on a TUN interface, as its documentation shows.

    scapy_sensornet.py INTERFACE ADDRESS PREFIX_LENGTH

Every address behind the interface answers READ by REPORT, with the value that the load generator
verifies. It does the work of one of our rules: decode, look, encode, and both checksums.
"""

from __future__ import annotations

import binascii
import struct
import subprocess
import sys

from scapy.ansmachine import AnsweringMachine
from scapy.config import conf
from scapy.fields import (
    ByteEnumField,
    ByteField,
    ConditionalField,
    IEEEFloatField,
    IntField,
    ShortField,
    StrFixedLenField,
)
from scapy.layers.inet import IP, UDP
from scapy.layers.tuntap import TunTapInterface
from scapy.packet import Packet, bind_layers

PORT = 5600
READ, REPORT = 1, 2


class SensorNet(Packet):
    name = "SensorNet"
    fields_desc = [  # noqa: RUF012
        StrFixedLenField("magic", b"SN", 2),
        ByteField("version", 1),
        ByteEnumField("kind", READ, {READ: "READ", REPORT: "REPORT"}),
        ShortField("length", None),
        IntField("device", 0),
        ShortField("seq", 0),
        ByteField("point", 0),
        ConditionalField(ByteField("unit", 0), lambda packet: packet.kind == REPORT),
        ConditionalField(ByteField("status", 0), lambda packet: packet.kind == REPORT),
        ConditionalField(IEEEFloatField("value", 0), lambda packet: packet.kind == REPORT),
        ShortField("crc", None),
    ]

    def post_build(self, packet: bytes, payload: bytes) -> bytes:
        if self.length is None:
            packet = packet[:4] + struct.pack(">H", len(packet) - 6) + packet[6:]
        if self.crc is None:
            packet = packet[:-2] + struct.pack(">H", binascii.crc_hqx(packet[:-2], 0xFFFF))
        return packet + payload


class Meters(AnsweringMachine):
    function_name = "meters"
    send_options = {}  # noqa: RUF012

    def is_request(self, request: Packet) -> bool:
        return SensorNet in request and request[SensorNet].kind == READ

    def make_reply(self, request: Packet) -> Packet:
        ip, udp, read = request[IP], request[UDP], request[SensorNet]
        value = read.device + 0.5
        return (
            IP(src=ip.dst, dst=ip.src)
            / UDP(sport=udp.dport, dport=udp.sport)
            / SensorNet(kind=REPORT, device=read.device, seq=read.seq, value=value)
        )


def main() -> None:
    interface, address, prefix = sys.argv[1:]
    tun = TunTapInterface(interface, mode_tun=True)
    for command in (
        ["ip", "address", "add", f"{address}/{prefix}", "dev", interface],
        ["ip", "link", "set", interface, "up"],
    ):
        subprocess.run(command, check=True)
    bind_layers(UDP, SensorNet, dport=PORT)
    print("ready", flush=True)
    Meters.send_function = staticmethod(tun.send)
    conf.verb = -1
    Meters(opened_socket=tun)()


if __name__ == "__main__":
    main()
