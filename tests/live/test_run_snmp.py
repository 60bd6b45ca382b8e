"""SNMP with net-snmp's programs and with pysnmp, over TUN: requests of all kinds, traps and informs."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.clients import CLIENTS

if TYPE_CHECKING:
    from tests.conftest import CommandLine, Done

background = pytest.mark.background
peer = pytest.mark.peer
OURS = "1.3.6.1.4.1.9999"
SCENARIO = """
[scenario]
duration = "60s"

[link]
address = ["10.77.0.1/16", "fd77::1/64"]

[gateway]
command = {command}
env = {environment}
port = 162

[devices.d]
count = 2
address = ["10.77.1.1", "fd77::1:1"]
protocol = "snmp"
state = {{ label = "here" }}

[devices.d.model]
interfaces = 2
inform_timeout = "500ms"
inform_retries = 6

[devices.d.model.objects]
"1.3.6.1.4.1.9999.1.0" = {{ value = "=state.label", writable = true }}
"1.3.6.1.4.1.9999.2.0" = {{ value = 7, writable = true }}
"1.3.6.1.4.1.9999.3.0" = {{ type = "COUNTER64", value = 1234567890123 }}
"1.3.6.1.4.1.9999.4.0" = {{ type = "IPADDRESS", value = "=device.address" }}
"1.3.6.1.4.1.9999.5.0" = "hex:00ff80"
"1.3.6.1.4.1.9999.6.4294967295" = {{ type = "OID", value = "2.999.4294967295" }}
"1.3.6.1.4.1.9999.7.0" = {{ type = "GAUGE32", value = 4294967295 }}

{rules}

[[expect]]
gateway = {{ stdout = "done" }}
within = "50s"
"""
NOTIFICATION = """
[[devices.d.rules]]
after = "{after}"
every = "500ms"
times = 1
send = {{ {fields}, bindings = [
{bindings}
] }}
"""


def notification(fields: str, after: str, *bindings: str) -> str:
    return NOTIFICATION.format(fields=fields, after=after, bindings=",\n".join(bindings))


def trap_oid(number: int) -> str:
    return (
        f'{{ oid = "1.3.6.1.6.3.1.1.4.1.0", type = "OID", value = "1.3.6.1.6.3.1.1.5.{number}" }}'
    )


NOTIFICATIONS = "".join(
    (
        notification(
            f'pdu = "TRAP", version = 1, generic_trap = "LINK_UP", enterprise = "{OURS}"',
            "3s",
            f'{{ oid = "{OURS}.2.0", type = "INTEGER", value = 11 }}',
        ),
        notification('pdu = "TRAP"', "3s", trap_oid(3), f'{{ oid = "{OURS}.2.0", value = 22 }}'),
        notification('pdu = "INFORM"', "0s", trap_oid(4), f'{{ oid = "{OURS}.2.0", value = 33 }}'),
    )
)
MIB = """
T-MIB DEFINITIONS ::= BEGIN
ours OBJECT IDENTIFIER ::= { iso 3 6 1 2 1 2 }
table OBJECT-TYPE SYNTAX SEQUENCE OF Row ACCESS not-accessible STATUS mandatory ::= { ours 2 }
row OBJECT-TYPE SYNTAX Row ACCESS not-accessible STATUS mandatory INDEX { number } ::= { table 1 }
Row ::= SEQUENCE { number INTEGER, name OCTET STRING, kind INTEGER }
number OBJECT-TYPE SYNTAX INTEGER ACCESS read-only STATUS mandatory ::= { row 1 }
name OBJECT-TYPE SYNTAX OCTET STRING ACCESS read-only STATUS mandatory ::= { row 2 }
kind OBJECT-TYPE SYNTAX INTEGER ACCESS read-only STATUS mandatory ::= { row 3 }
END
"""
NET_SNMP = f"""
here="$PWD"
export MIBS= SNMP_PERSISTENT_DIR="$(mktemp -d)"
mkdir "$SNMP_PERSISTENT_DIR/cert_indexes"
trap 'kill %1; wait; rm -r "$SNMP_PERSISTENT_DIR"' EXIT
sleep 1
snmptrapd -C --disableAuthorization=yes -f -n -On -Lo udp:162 > traps &
D=10.77.1.1 T=1.3.6.1.2.1.2.2
say() {{ echo "== $*"; "$@" 2>&1; }}
say snmpget -v1 -c public -On $D {OURS}.1.0 {OURS}.4.0
say snmpget -v2c -c public -On $D {OURS}.3.0 {OURS}.5.0 {OURS}.6.4294967295 {OURS}.7.0
say snmpget -v2c -c public -On 'udp6:[fd77::1:2]' 1.3.6.1.2.1.1.5.0
say snmpget -v2c -c public -On $D {OURS}.1.1 {OURS}
say snmpget -v1 -c public -On $D {OURS}.3.0
say snmpget -v2c -c wrong -t 0.2 -r 1 $D {OURS}.1.0
say snmpset -v2c -c private -On $D {OURS}.1.0 s there {OURS}.2.0 i 8
say snmpset -v2c -c private -On $D {OURS}.1.0 s nowhere {OURS}.2.0 s 9
say snmpset -v1 -c private -On $D {OURS}.3.0 i 9
say snmpset -v2c -c public -On $D {OURS}.2.0 i 9
say snmpget -v2c -c public -On $D {OURS}.1.0 {OURS}.2.0
say snmpbulkget -v2c -c public -On -Cn1 -Cr2 $D 1.3.6.1.2.1.1.6 $T.1.1 $T.1.2
say snmptable -v2c -c public -CB -M "$here" -m T-MIB $D T-MIB::table
snmpwalk -v1 -c public -On $D 1.3 > v1
snmpwalk -v2c -c public -On $D 1.3 > v2
snmpbulkwalk -v2c -c public -On -Cr50 $D 1.3 > bulk
wc -l v1 v2 bulk
cut -d' ' -f1 v2 | uniq > names
cut -d' ' -f1 bulk | uniq | cmp names - && echo the same names
sleep 4
cat traps
echo done
"""


def net_snmp(iotsim: CommandLine) -> Done:
    iotsim.write("gateway.sh", NET_SNMP)
    iotsim.write("T-MIB.txt", MIB)
    command = '["bash", "-c", "cd \\"$FOLDER\\" && . ./gateway.sh"]'
    environment = f'{{ FOLDER = "{iotsim.folder}" }}'
    scenario = SCENARIO.format(command=command, environment=environment, rules=NOTIFICATIONS)
    return iotsim.run(iotsim.write("snmp.toml", scenario))


def said(log: str) -> dict[str, list[str]]:
    """What each of the programs has printed, by its command line."""
    parts = re.split(r"^== (.*)$", log, flags=re.MULTILINE)
    return {
        command.replace(OURS, "OURS"): [
            line.replace(OURS, "OURS") for line in text.split("\n") if line
        ]
        for command, text in zip(parts[1::2], parts[2::2], strict=True)
    }


EXPECTED = {
    "snmpget -v1 -c public -On 10.77.1.1 OURS.1.0 OURS.4.0": [
        '.OURS.1.0 = STRING: "here"',
        ".OURS.4.0 = IpAddress: 10.77.1.1",
    ],
    "snmpget -v2c -c public -On 10.77.1.1 OURS.3.0 OURS.5.0 OURS.6.4294967295 OURS.7.0": [
        ".OURS.3.0 = Counter64: 1234567890123",
        ".OURS.5.0 = Hex-STRING: 00 FF 80 ",
        ".OURS.6.4294967295 = OID: .2.999.4294967295",
        ".OURS.7.0 = Gauge32: 4294967295",
    ],
    "snmpget -v2c -c public -On udp6:[fd77::1:2] 1.3.6.1.2.1.1.5.0": [
        '.1.3.6.1.2.1.1.5.0 = STRING: "d[1]"'
    ],
    "snmpget -v2c -c public -On 10.77.1.1 OURS.1.1 OURS": [
        ".OURS.1.1 = No Such Instance currently exists at this OID",
        ".OURS = No Such Object available on this agent at this OID",
    ],
    "snmpget -v1 -c public -On 10.77.1.1 OURS.3.0": [
        "Error in packet",
        "Reason: (noSuchName) There is no such variable name in this MIB.",
        "Failed object: .OURS.3.0",
    ],
    "snmpget -v2c -c wrong -t 0.2 -r 1 10.77.1.1 OURS.1.0": [
        "Timeout: No Response from 10.77.1.1."
    ],
    "snmpset -v2c -c private -On 10.77.1.1 OURS.1.0 s there OURS.2.0 i 8": [
        '.OURS.1.0 = STRING: "there"',
        ".OURS.2.0 = INTEGER: 8",
    ],
    "snmpset -v2c -c private -On 10.77.1.1 OURS.1.0 s nowhere OURS.2.0 s 9": [
        "Error in packet.",
        "Reason: wrongType (The set datatype does not match the data type the agent expects)",
        "Failed object: .OURS.2.0",
    ],
    "snmpset -v1 -c private -On 10.77.1.1 OURS.3.0 i 9": [
        "Error in packet.",
        "Reason: (noSuchName) There is no such variable name in this MIB.",
        "Failed object: .OURS.3.0",
    ],
    "snmpset -v2c -c public -On 10.77.1.1 OURS.2.0 i 9": [
        "Error in packet.",
        "Reason: noAccess",
        "Failed object: .OURS.2.0",
    ],
    "snmpget -v2c -c public -On 10.77.1.1 OURS.1.0 OURS.2.0": [
        '.OURS.1.0 = STRING: "there"',
        ".OURS.2.0 = INTEGER: 8",
    ],
    "snmpbulkget -v2c -c public -On -Cn1 -Cr2 10.77.1.1 1.3.6.1.2.1.1.6 "
    "1.3.6.1.2.1.2.2.1.1 1.3.6.1.2.1.2.2.1.2": [
        '.1.3.6.1.2.1.1.6.0 = ""',
        ".1.3.6.1.2.1.2.2.1.1.1 = INTEGER: 1",
        '.1.3.6.1.2.1.2.2.1.2.1 = STRING: "eth0"',
        ".1.3.6.1.2.1.2.2.1.1.2 = INTEGER: 2",
        '.1.3.6.1.2.1.2.2.1.2.2 = STRING: "eth1"',
    ],
}


@peer("snmp", "net-snmp", "get, getnext, getbulk, walk, table, set; v1 and v2c")
@peer("snmp", "snmptrapd", "takes traps and informs, which are repeated until it is there")
@peer("snmp", "tshark", "reads what was sent to net-snmp")
@pytest.mark.needs("tun", "snmpset", "snmptrapd", "tshark")
@background(job=net_snmp)
def test_net_snmp_reads_writes_and_is_notified(done: Done) -> None:
    assert done.status == 0, done.text
    answers = said(done.log)
    for command, lines in EXPECTED.items():
        assert answers[command] == lines
    (table,) = [lines for command, lines in answers.items() if command.startswith("snmptable")]
    text = "\n".join(table)
    assert re.search(r"number +name +kind\n +1 +\"?eth0\"? +6\n +2 +\"?eth1\"? +6\n", text), text
    assert "the same names" in text
    walked = [
        int(count) for count in re.findall(r"^ *([0-9]+) (?:v1|v2|bulk)$", text, re.MULTILINE)
    ]
    counter64s = 2 * 2 + 1
    assert walked[1] - 1 - counter64s <= walked[0] < walked[1]
    for value in (11, 22, 33):
        assert text.count(f".OURS.2.0 = INTEGER: {value}\n") == 2
    informs = [event for event in done.events_of("sent") if event["message"]["pdu"] == "INFORM"]
    assert len(informs) > 2, "the first of each came before there was a receiver"
    acknowledged = [
        event for event in done.events_of("received") if event["message"]["pdu"] == "RESPONSE"
    ]
    assert {event["device"] for event in acknowledged} == {"d[0]", "d[1]"}
    assert done.events_of("undecodable") == []
    check_dissection(done)


def check_dissection(done: Done) -> None:
    """tshark takes all of it for SNMP, and finds nothing malformed."""
    flawed = '_ws.malformed or _ws.expert.group == "Malformed" or _ws.expert.group == "Checksum"'
    capture = ["tshark", "-r", str(done.out / "capture.pcapng"), "-Y"]
    others = "udp and not icmp and not icmpv6 and not snmp and not mdns"
    for query in (flawed, others):
        seen = subprocess.run([*capture, query], capture_output=True, text=True, check=True)
        assert seen.stdout == ""
    seen = subprocess.run([*capture, "snmp"], capture_output=True, text=True, check=True)
    assert len(seen.stdout.splitlines()) > 20


PYSNMP = f"""
import asyncio

from pysnmp.hlapi.v3arch.asyncio import *

D = "10.77.1.1"
ENGINE = SnmpEngine()


def line(result):
    error, status, index, bindings = result
    if error:
        return str(error)
    if status:
        return f"{{status.prettyPrint()}} at {{index}}"
    return " ".join(f"{{type(value).__name__}}={{value.prettyPrint()}}" for _, value in bindings)


async def main():
    target = await UdpTransportTarget.create((D, 161), timeout=1, retries=2)

    def asked(model, community="public"):
        return ENGINE, CommunityData(community, mpModel=model), target, ContextData()

    def oid(text, *value):
        return ObjectType(ObjectIdentity(text), *value)

    for model in (0, 1):
        print(model, line(await get_cmd(*asked(model), oid("{OURS}.1.0"), oid("{OURS}.4.0"))))
        print(model, line(await get_cmd(*asked(model), oid("{OURS}.3.0"))))
        print(model, line(await next_cmd(*asked(model), oid("{OURS}.5.0"))))
        print(model, line(await set_cmd(*asked(model, "private"), oid("{OURS}.2.0", Integer32(9)))))
        print(model, line(await set_cmd(*asked(model, "private"), oid("{OURS}.2.0", OctetString("9")))))
    print(1, line(await bulk_cmd(*asked(1), 0, 3, oid("{OURS}.6"))))
    count = 0
    async for _ in walk_cmd(*asked(1), oid("1.3.6.1.2.1.2.2"), lexicographicMode=False):
        count += 1
    print("walked", count)
    print("done")


asyncio.run(main())
"""
END = "No more variables left in this MIB View"
PYSNMP_SAID = [
    "0 OctetString=here IpAddress=10.77.1.1",
    "0 noSuchName at 1",
    "0 ObjectIdentifier=2.999.4294967295",
    "0 Integer32=9",
    "0 badValue at 1",
    "1 OctetString=here IpAddress=10.77.1.1",
    "1 Counter64=1234567890123",
    "1 ObjectIdentifier=2.999.4294967295",
    "1 Integer=9",
    "1 wrongType at 1",
    f"1 ObjectIdentifier=2.999.4294967295 Gauge32=4294967295 EndOfMibView={END}",
    "walked 36",
    "done",
]


def pysnmp(iotsim: CommandLine) -> Done:
    iotsim.write("gateway.py", PYSNMP)
    command = f'["{sys.executable}", "-u", "-W", "ignore", "gateway.py"]'
    environment = f'{{ PYTHONPATH = "{CLIENTS["pysnmp"].path}" }}'
    scenario = SCENARIO.format(command=command, environment=environment, rules="")
    return iotsim.run(iotsim.write("pysnmp.toml", scenario))


@peer("snmp", "pysnmp", "reads and writes")
@peer("snmp", "tshark", "reads what was sent to pysnmp")
@pytest.mark.needs("tun", "pysnmp", "tshark")
@background(job=pysnmp)
def test_pysnmp_reads_and_writes(done: Done) -> None:
    assert done.status == 0, done.text
    lines = [line.strip() for line in done.log.splitlines()]
    assert lines == PYSNMP_SAID
    assert done.events_of("undecodable") == []
    check_dissection(done)
