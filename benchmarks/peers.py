"""The yardsticks: who they are, how their server is started, and what is asked of them."""

from __future__ import annotations

from dataclasses import dataclass

from build import HERE, LOADGEN, PEERS_PYTHON, TUN_ECHO, installed
from pair import run_pair

PEERS = HERE / "peers"


@dataclass(frozen=True)
class Peer:
    """``requests`` is the number for a full run, so large that it takes a second or more."""

    name: str
    asked: str
    server: tuple[str, ...]
    ready: str
    load: tuple[str, ...]
    requests: int
    needs: str
    """A program, or a package of the peers' environment as "python:NAME"."""

    def available(self, versions: dict[str, str]) -> bool:
        kind, _, package = self.needs.partition(":")
        return bool(versions.get(package)) if kind == "python" else installed(self.needs)

    def run(
        self, requests: int, outstanding: int = 64, cpu: int | None = None
    ) -> dict[str, object]:
        client = [
            str(LOADGEN), *self.load, "--requests", str(requests),
            "--outstanding", str(outstanding), "--seconds", "20",
        ]  # fmt: skip
        return run_pair(list(self.server), client, ready=self.ready, cpu=cpu)


def python(script: str, *arguments: str) -> tuple[str, ...]:
    return (str(PEERS_PYTHON), str(PEERS / script), *arguments)


FLEET = ("--first", "10.77.1.1", "--devices", "1000")
LOCAL = ("--first", "127.0.0.1")

ECHO = Peer(
    name="C echo over TUN",
    asked="the datagram itself",
    server=(str(TUN_ECHO), "bench0", "10.77.0.1", "16"),
    ready="stdout:ready",
    load=("--mode", "echo", *FLEET),
    requests=400_000,
    needs="cc",
)
LIBCOAP = Peer(
    name="libcoap coap-server (C)",
    asked="CoAP GET to 2.05",
    server=("coap-server-notls", "-A", "127.0.0.1"),
    ready="udp:5683",
    load=("--mode", "coap", "--path", "", *LOCAL),
    requests=200_000,
    needs="coap-server-notls",
)
SNMPD = Peer(
    name="net-snmp snmpd (C)",
    asked="SNMPv2c GET",
    server=(
        "snmpd", "-f", "-r", "-LE", "0", "-C", "-c", str(PEERS / "snmpd.conf"),
        "udp:127.0.0.1:161",
    ),
    ready="udp:161",
    load=("--mode", "snmp", *LOCAL),
    requests=80_000,
    needs="snmpd",
)  # fmt: skip
PYMODBUS = Peer(
    name="pymodbus UDP server",
    asked="Modbus read, 2 registers",
    server=python("pymodbus_server.py", "502"),
    ready="udp:502",
    load=("--mode", "modbus", "--timeout-ms", "200", *LOCAL),  # it drops some requests under load
    requests=10_000,
    needs="python:pymodbus",
)
AIOCOAP = Peer(
    name="aiocoap server",
    asked="CoAP GET to 2.05",
    server=python("aiocoap_server.py", "5683"),
    ready="stdout:ready",
    load=("--mode", "coap", *LOCAL),
    requests=8_000,
    needs="python:aiocoap",
)
SCAPY = Peer(
    name="Scapy answering machine over TUN",
    asked="SensorNet READ to REPORT",
    server=python("scapy_sensornet.py", "bench0", "10.77.0.1", "16"),
    ready="stdout:ready",
    load=("--mode", "sensornet", *FLEET),
    requests=1_500,
    needs="python:scapy",
)
YARDSTICKS = (ECHO, LIBCOAP, SNMPD, PYMODBUS, AIOCOAP, SCAPY)
