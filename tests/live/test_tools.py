"""The tools of every network administrator against simulated devices, behind a TUN and a TAP.

All tools of a link are started at once, in the namespace of one run; each test looks at what one of
them said. Whatever was sent is in the run's capture, in which tshark must find nothing wrong.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from tests.live.conftest import CLIENT_PORTS_AS_DATA

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import CommandLine, Done

PROGRAMS = (
    "arping", "ndisc6", "nmap", "ping", "socat", "tcpdump", "tracepath", "traceroute", "tshark",
)  # fmt: skip
pytestmark = pytest.mark.needs("tun", *PROGRAMS)

PROTOCOL = """
from construct import GreedyBytes, Struct
from iotsim import Protocol

PROTOCOL = Protocol(name="raw", message=Struct("data" / GreedyBytes), port=5600)
"""
SCENARIO = """
[scenario]
duration = "60s"
until = "duration"

[link]
kind = "{kind}"

[gateway]
command = ["sh", "-c", "touch up; sleep 60"]
cwd = "."

[devices.echo]
count = 5
address = ["10.77.1.1", "fd77::1:1"]
{mac}
protocol = "raw"
groups = ["239.1.2.3", "ff05::fd"]

[[devices.echo.rules]]
reply = {{ data = "=msg.data" }}
"""
FAR = """
[devices.far]
count = 3
address = ["10.77.2.1", "fd77::2:1"]
protocol = "raw"
hops = ["10.77.250.1", "10.77.251.1", "fd77::fa:1", "fd77::fb:1"]
path_mtu = 1300
"""
SEGMENTS = """
import socket, sys
SOL_UDP, UDP_SEGMENT = 17, 103
for address in sys.argv[1:]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.settimeout(2)
        sock.connect((address, 5600))
        sock.setsockopt(SOL_UDP, UDP_SEGMENT, 1000)
        sent = bytes(range(256)) * 119
        sock.send(sent[:30303])
        parts = [sock.recv(2000) for _ in range(31)]
        print(address, len(parts), sorted({len(part) for part in parts}),
              sorted(parts) == sorted(sent[at:at + 1000][:30303 - at] for at in range(0, 30303, 1000)))
"""
REFUSED = """
import errno, socket, sys
for address in sys.argv[1:]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as sock:
        sock.settimeout(2)
        print(address, errno.errorcode[sock.connect_ex((address, 80))])
"""


@dataclass(frozen=True)
class Tool:
    """A command line of the shell; it must end with `status`, and each of `says`, a regular
    expression, must be in what it prints (as often as given by a trailing number)."""

    words: str
    says: tuple[str, ...]
    status: int = 0
    counts: dict[str, int] = field(default_factory=dict)


def python(code: str, *words: str) -> str:
    return shlex.join([sys.executable, "-ISc", code, *words])


LOSSLESS = r"(\d) packets transmitted, \1 received, 0% packet loss"
TUN = {
    "ping": Tool("ping -n -c 2 -i 0.1 10.77.1.1", (LOSSLESS, "64 bytes from 10.77.1.1: .* ttl=64")),
    "ping -6": Tool("ping -6 -n -c 2 -i 0.1 fd77::1:1", (LOSSLESS, "64 bytes from fd77::1:1:")),
    "ping -s 8000": Tool("ping -n -c 2 -i 0.1 -s 8000 10.77.1.2", (LOSSLESS, "8008 bytes from")),
    "ping -6 -s 8000": Tool(
        "ping -6 -n -c 2 -i 0.1 -s 8000 fd77::1:2", (LOSSLESS, "8008 bytes from")
    ),
    "ping of 65507 bytes": Tool("ping -n -c 1 -s 65507 10.77.1.3", (LOSSLESS, "65515 bytes from")),
    "ping behind routers": Tool("ping -n -c 1 10.77.2.2", (LOSSLESS, "ttl=62")),
    "ping of nobody": Tool(
        "ping -n -c 1 -W 1 10.77.9.9", ("From 10.77.255.254 .* Destination Host Unreachable",), 1
    ),
    "ping -6 of nobody": Tool(
        "ping -6 -n -c 1 -W 1 fd77::9:9",
        ("From fd77::ffff:ffff:ffff:ffff .* Address unreachable",),
        1,
    ),
    "ping that is too long for the path": Tool(
        "ping -n -c 1 -W 1 -M do -s 1400 10.77.2.3", ("Frag needed and DF set \\(mtu = 1300\\)",), 1
    ),
    "ping of a group": Tool("ping -6 -n -c 1 -W 1 -I iotsim0 ff05::fd", ("1 received",)),
    "tracepath": Tool("tracepath -n -m 5 10.77.1.4", ("10.77.1.4 .* reached", "pmtu 1500 hops 1")),
    "tracepath behind routers": Tool(
        "tracepath -n -m 5 10.77.2.1",
        ("1: +10.77.250.1", "2: +10.77.251.1", "3: +10.77.2.1 .* reached", "pmtu 1300 hops 3"),
    ),
    "tracepath -6 behind routers": Tool(
        "tracepath -6 -n -m 5 fd77::2:1",
        ("1: +fd77::fa:1", "2: +fd77::fb:1", "3: +fd77::2:1 .* reached", "pmtu 1300 hops 3"),
    ),
    "traceroute -I": Tool(
        "traceroute -n -I -q 1 -w 1 10.77.2.3",
        ("1  10.77.250.1 .*\n 2  10.77.251.1 .*\n 3  10.77.2.3 ",),
    ),
    "traceroute -U": Tool(
        "traceroute -n -U -p 7777 -q 1 -w 1 10.77.2.3",
        ("1  10.77.250.1 .*\n 2  10.77.251.1 .*\n 3  10.77.2.3 ",),
    ),
    "traceroute -T": Tool("traceroute -n -T -q 1 -w 1 10.77.2.3", (" 3  10.77.2.3 ",)),
    "traceroute -6": Tool(
        "traceroute -6 -n -I -q 1 -w 1 fd77::2:3",
        ("1  fd77::fa:1 .*\n 2  fd77::fb:1 .*\n 3  fd77::2:3 ",),
    ),
    "nmap -sn": Tool(
        "nmap -n -sn 10.77.1.0-7",
        ("Host is up, received echo-reply|Host is up", "8 IP addresses \\(5 hosts up\\)"),
    ),
    "nmap -6 -sn": Tool("nmap -6 -n -sn fd77::1:0/125", ("8 IP addresses \\(5 hosts up\\)",)),
    "nmap -sU": Tool(
        "nmap -n -sU -p 9,5600 --data-string hi --reason 10.77.1.1",
        ("9/udp +closed +discard +port-unreach", "5600/udp +open +\\S+ +udp-response"),
    ),
    "nmap -sT": Tool(
        "nmap -n -sT -p 22,80 --reason 10.77.1.1", ("80/tcp closed http +conn-refused",)
    ),
    "nmap -sO": Tool(
        "nmap -n -sO -p 1,17,253 --reason 10.77.1.1",
        ("1 +open +icmp", "253 +closed +\\S+ +proto-unreach"),
    ),
    "socat UDP4": Tool("echo hello | socat -t 0.3 - UDP4:10.77.1.1:5600", ("^hello$",)),
    "socat UDP6": Tool("echo hello | socat -t 0.3 - 'UDP6:[fd77::1:1]:5600'", ("^hello$",)),
    "socat to a group": Tool(
        "echo group | socat -t 0.5 - UDP4-DATAGRAM:239.1.2.3:5600",
        ("^group$",),
        counts={"group": 5},
    ),
    "socat to a group of IPv6": Tool(
        "echo group | socat -t 0.5 - 'UDP6-DATAGRAM:[ff05::fd]:5600'",
        ("^group$",),
        counts={"group": 5},
    ),
    "socat by broadcast": Tool(
        "echo all | socat -t 0.5 - UDP4-DATAGRAM:10.77.255.255:5600,broadcast",
        ("^all$",),
        counts={"all": 5},
    ),
    "socat to a closed port": Tool(
        "(echo a; sleep 0.2; echo b) | socat -t 0.3 - UDP4:10.77.1.1:9", ("Connection refused",), 1
    ),
    "TCP is refused": Tool(
        python(REFUSED, "10.77.1.1", "fd77::1:1"),
        ("10.77.1.1 ECONNREFUSED", "fd77::1:1 ECONNREFUSED"),
    ),
    "UDP_SEGMENT": Tool(
        python(SEGMENTS, "10.77.1.1", "fd77::1:1"),
        (r"10.77.1.1 31 \[303, 1000\] True", r"fd77::1:1 31 \[303, 1000\] True"),
    ),
}
MAC = "02:1a:00:00:00:0"
TAP = {
    "arping": Tool("arping -c 2 -W 0.1 -i iotsim0 10.77.1.1", (f"{MAC}1", "0% unanswered")),
    "arping of nobody": Tool("arping -c 1 -w 0.3 -i iotsim0 10.77.1.9", ("100% unanswered",), 1),
    "arping -d": Tool("arping -d -c 2 -W 0.1 -i iotsim0 10.77.1.2", (f"{MAC}2",)),
    "ndisc6": Tool("ndisc6 fd77::1:3 iotsim0", (f"(?i)address: {MAC}3", "from fd77::1:3")),
    "ndisc6 of nobody": Tool("ndisc6 -r 1 -w 300 fd77::1:9 iotsim0", ("Timed out",), 2),
    "ndisc6 of a link-local address": Tool(
        "ndisc6 fe80::1a:ff:fe00:4 iotsim0", (f"(?i)address: {MAC}4",)
    ),
    "ping": Tool("ping -n -c 2 -i 0.1 10.77.1.1", (LOSSLESS,)),
    "ping -s 8000": Tool("ping -n -c 2 -i 0.1 -s 8000 10.77.1.1", (LOSSLESS,)),
    "ping -6 -s 8000": Tool("ping -6 -n -c 2 -i 0.1 -s 8000 fd77::1:2", (LOSSLESS,)),
    "ping of a link-local address": Tool("ping -6 -n -c 1 fe80::1a:ff:fe00:5%iotsim0", (LOSSLESS,)),
    "ping of all nodes": Tool(
        "ping -6 -n -c 2 -i 1 ff02::1%iotsim0",  # as often as it lets ordinary users
        ("fe80::1a:ff:fe00:1%iotsim0", "fe80::1a:ff:fe00:5%iotsim0"),
    ),
    "nmap -sn": Tool(
        "nmap -n -sn 10.77.1.0-7", (f"MAC Address: (?i:{MAC}5)", "8 IP addresses \\(5 hosts up\\)")
    ),
    "nmap -sU": Tool(
        "nmap -n -sU -p 9,5600 --data-string hi --reason 10.77.1.1",
        ("9/udp +closed +discard +port-unreach", "5600/udp +open +\\S+ +udp-response"),
    ),
    "socat to a group": Tool(
        "echo group | socat -t 0.5 - UDP4-DATAGRAM:239.1.2.3:5600", (), counts={"group": 5}
    ),
    "socat to a group of IPv6": Tool(
        "echo group | socat -t 0.5 - 'UDP6-DATAGRAM:[ff05::fd]:5600'", (), counts={"group": 5}
    ),
    "UDP_SEGMENT": Tool(
        python(SEGMENTS, "10.77.1.1", "fd77::1:1"),
        (r"10.77.1.1 31 \[303, 1000\] True", r"fd77::1:1 31 \[303, 1000\] True"),
    ),
}
TOOLS = {"tun": TUN, "tap": TAP}


@dataclass
class Watched:
    """A run that all tools have been used in."""

    done: Done
    answers: dict[str, tuple[int, str]]


def use_tools(iotsim: CommandLine, kind: str) -> Watched:
    tools = TOOLS[kind]
    mac = f'mac = "{MAC}1"' if kind == "tap" else ""
    iotsim.write("protocols/raw.py", PROTOCOL)
    text = SCENARIO.format(kind=kind, mac=mac) + (FAR if kind == "tun" else "")
    run = iotsim.start("run", iotsim.write("tools.toml", text), "--out", iotsim.out)
    iotsim.wait_for((iotsim.folder / "up").exists, "the run", run)
    lines = [
        f"({tool.words}) > {number}.text 2>&1; echo $? > {number}.status"
        for number, tool in enumerate(tools.values())
    ]
    script = " &\n".join(f"({line})" for line in lines) + " & wait"
    # It is not by our uid that we may do all there.
    iotsim.environment["NMAP_PRIVILEGED"] = "1"
    asked = iotsim("exec", iotsim.out, "--", "sh", "-c", script)
    assert asked.status == 0, asked.text
    run.terminate()
    done = iotsim.finish(run)
    answers = {
        name: (
            int((iotsim.folder / f"{number}.status").read_text()),
            (iotsim.folder / f"{number}.text").read_text(),
        )
        for number, name in enumerate(tools)
    }
    return Watched(done, answers)


@pytest.fixture(scope="module")
def watched(
    tmp_path_factory: pytest.TempPathFactory, command_line_in: Callable[[Path], CommandLine]
) -> Iterator[dict[str, Watched]]:
    lines = {kind: command_line_in(tmp_path_factory.mktemp(kind)) for kind in TOOLS}
    try:
        with ThreadPoolExecutor() as pool:
            jobs = {kind: pool.submit(use_tools, line, kind) for kind, line in lines.items()}
        yield {kind: job.result() for kind, job in jobs.items()}
    finally:
        for line in lines.values():
            line.end()


def check(tool: Tool, answer: tuple[int, str]) -> None:
    status, text = answer
    for pattern in tool.says:
        assert re.search(pattern, text, re.MULTILINE), text
    for line, count in tool.counts.items():
        assert Counter(text.splitlines())[line] == count, text
    assert status == tool.status, text


@pytest.mark.parametrize("name", TUN)
def test_over_tun(name: str, watched: dict[str, Watched]) -> None:
    check(TUN[name], watched["tun"].answers[name])


@pytest.mark.parametrize("name", TAP)
def test_over_tap(name: str, watched: dict[str, Watched]) -> None:
    check(TAP[name], watched["tap"].answers[name])


CHECKSUMS = ("ip", "udp", "tcp")
# What the gateway's kernel quotes of a packet whose checksum was left to it has none yet.
FAULTS = (
    '_ws.malformed || _ws.expert.group == "Malformed"'
    ' || (_ws.expert.group == "Checksum"'
    " && !(icmp.type == 3 && ip.src == 10.77.0.1) && !(icmpv6.type == 1 && ipv6.src == fd77::1))"
)


@pytest.mark.parametrize("kind", ["tun", "tap"])
def test_tshark_finds_nothing_wrong_in_the_capture(kind: str, watched: dict[str, Watched]) -> None:
    def frames(expression: str) -> list[str]:
        capture = str(watched[kind].done.out / "capture.pcapng")
        words = ["tshark", "-n", *CLIENT_PORTS_AS_DATA, "-r", capture]
        for name in CHECKSUMS:
            words += ["-o", f"{name}.check_checksum:TRUE"]
        words += ["-Y", expression]
        read = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
        return read.stdout.splitlines()

    assert frames(FAULTS) == []
    assert len(frames('ip.checksum.status == "Good" || ipv6')) > 200
