"""``iotsim decode`` beside tshark and tcpdump: on captures of each kind, and on links as things pass."""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from tests.capture.files import (
    ETHERNET,
    GATEWAY,
    GATEWAY6,
    LITTLE,
    METER,
    METER6,
    linked,
    packet,
)
from tests.conftest import TIMEOUT_S

from iotsim.capture import Datagrams, frames, read_frames
from iotsim.net.fragmentation import fragment_ipv4
from iotsim.wire import ipv4, udp
from iotsim.wire.address import format_address

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import CommandLine
    from tests.live.conftest import NetHost

pytestmark = pytest.mark.needs("tun", "tshark", "tcpdump")
background = pytest.mark.background

Row: TypeAlias = tuple[int, float, str, str, int, int, str]
"""Number and time of a datagram, addresses, ports, payload."""

FIELDS = (
    *("frame.number", "frame.time_epoch", "ip.src", "ipv6.src", "ip.dst", "ipv6.dst"),
    *("udp.srcport", "udp.dstport", "udp.payload"),
)


def tshark(path: Path) -> list[Row]:
    """The UDP datagrams of a capture, as tshark has them: those that errors quote are none."""
    words = ["tshark", "-n", "-r", str(path), "-Y", "udp and not icmp and not icmpv6"]
    words += ["-o", "ip.defragment:TRUE", "-T", "fields"]
    for name in FIELDS:
        words += ["-e", name]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
    rows: list[Row] = []
    for line in done.stdout.splitlines():
        number, when, source4, source6, to4, to6, port, to_port, payload = line.split("\t")
        ends = source4 or source6, to4 or to6, int(port), int(to_port)
        rows.append((int(number), float(when), *ends, payload))
    return rows


def ours(path: Path) -> list[Row]:
    datagrams = Datagrams()
    with path.open("rb") as file:
        found = [datagrams.find(frame) for frame in read_frames(file)]
    return [
        (
            one.number,
            one.time_ns / 1e9,
            format_address(one.source),
            format_address(one.destination),
            one.source_port,
            one.destination_port,
            one.payload.hex(),
        )
        for one in found
        if one is not None
    ]


def assert_the_same(path: Path) -> int:
    """That both see the same datagrams in a capture; how many."""
    theirs = tshark(path)
    for own, other in zip(ours(path), theirs, strict=True):
        assert own[0] == other[0]
        assert own[1] == pytest.approx(other[1], abs=1e-6)
        assert own[2:] == other[2:]
    return len(theirs)


def capture(iotsim: CommandLine, protocol: str, least: int) -> Path:
    """Of a run of the bundled scenario of `protocol`."""
    done = iotsim.run(f"protocols/{protocol}")
    assert done.status == 0, done.text
    return done.out / "capture.pcapng"


@background(job=capture)
@pytest.mark.needs("editcap")
@pytest.mark.parametrize(
    ("protocol", "least"),
    [
        pytest.param("coap", 28, marks=pytest.mark.needs("coap-client-notls")),
        pytest.param("tftp", 30, marks=pytest.mark.needs("curl")),
        pytest.param("snmp", 100, marks=pytest.mark.needs("snmpbulkwalk", "snmptrapd")),
        ("modbus", 28),
        ("lifx", 20),
    ],
)
def test_the_captures_of_runs(
    done: Path, protocol: str, least: int, tmp_path: Path, iotsim: CommandLine
) -> None:
    """As they are, and as others write them; each datagram is of the protocol, and most are answers."""
    count = assert_the_same(done)
    assert count >= least
    for form in ("pcap", "nsecpcap", "pcapng"):
        other = tmp_path / f"other.{form}"
        subprocess.run(["editcap", "-F", form, done, other], check=True, timeout=60)
        assert assert_the_same(other) == count
    decoded = iotsim("decode", protocol, done, "--json", stderr=subprocess.DEVNULL)
    assert decoded.status == 0, decoded.text
    messages = [json.loads(line) for line in decoded.text.splitlines()]
    assert len(messages) == count
    noted = [note for message in messages for note in message["notes"]]
    related = re.compile(r"(answers|acknowledges|refuses) #\d+ after|(acknowledges )?block \d+ of")
    assert sum(related.match(note) is not None for note in noted) >= least // 3


TALK = """
import socket, sys

def talk(family, local, remote, size, port):
    one = socket.socket(family, socket.SOCK_DGRAM)
    one.bind((local, 0))
    one.sendto(bytes(range(256)) * (size // 256), (remote, port))

for local, remote in zip(sys.argv[1].split(","), sys.argv[2].split(",")):
    family = socket.AF_INET6 if ":" in remote else socket.AF_INET
    for size in (256, 1024, 4096, 16384):
        talk(family, local, remote, size, 5600)
"""
SENT = 4
"""Datagrams to each address."""


def connect(net_hosts: Callable[[], NetHost]) -> tuple[NetHost, NetHost]:
    """Two hosts on a cable."""
    left, right = net_hosts(), net_hosts()
    left.plug("up0", right, "up0")
    for host, number in ((left, 1), (right, 2)):
        host("ip link set lo up")
        host(f"ip address add 10.99.0.{number}/24 dev up0")
        host(f"ip address add fd99::{number}/64 dev up0 nodad")
    return left, right


LOCAL, REMOTE = "10.99.0.1,fd99::1", "10.99.0.2,fd99::2"


def recorded(host: NetHost, path: Path, *options: str, until: int) -> subprocess.Popen[str]:
    """tcpdump, once it listens; it writes packet by packet."""
    words = ["tcpdump", "-U", "--immediate-mode", "-w", str(path), *options, f"-c{until}"]
    process = host.start(*words, stderr=subprocess.PIPE)
    assert process.stderr is not None
    while "listening on" not in process.stderr.readline():
        assert process.poll() is None
    return process


@pytest.mark.needs("root")
@pytest.mark.parametrize(
    "options",
    [("-iup0",), ("-iany",), ("-iany", "-yLINUX_SLL"), ("-iup0", "-s80")],
    ids=" ".join,
)
def test_captures_of_tcpdump_with_fragments_tags_and_links_of_other_kinds(
    options: tuple[str, ...], net_hosts: Callable[[], NetHost], tmp_path: Path
) -> None:
    left, right = connect(net_hosts)
    path = tmp_path / "capture.pcap"
    packets = 30
    process = recorded(right, path, *options, until=packets)
    deadline = time.monotonic() + TIMEOUT_S
    while process.poll() is None:  # what is lost on the way comes again
        left(f"{sys.executable} -c '{TALK}' {LOCAL} {REMOTE}")
        assert time.monotonic() < deadline
    datagrams = Datagrams()
    with path.open("rb") as file:
        recorded_frames = [*read_frames(file)]
    assert len(recorded_frames) == packets
    found = [one for one in map(datagrams.find, recorded_frames) if one is not None]
    if "-s80" in options:
        assert datagrams.skipped["cut short by the capture"] > 0
        return
    assert assert_the_same(path) == len(found) > 0
    assert any(len(one.payload) > 1500 for one in found)
    # The sender leaves checksums to the interface, which a cable of this kind has no need of.
    assert {fault for one in found for fault in one.faults} <= {"wrong UDP checksum"}


@pytest.mark.needs("root")
def test_what_passes_an_interface_is_shown_as_it_passes(
    net_hosts: Callable[[], NetHost], iotsim: CommandLine
) -> None:
    left, right = connect(net_hosts)
    iotsim.write(
        "raw.py",
        "from construct import GreedyBytes, Struct\nfrom iotsim import Protocol\n"
        "PROTOCOL = Protocol('raw', Struct('data' / GreedyBytes), port=5600)\n",
    )
    words = iotsim.words("decode", "raw", "--interface", "up0", "--json")
    process = right.start(
        *("sh", "-c", f"cd {iotsim.folder} && exec {shlex.join(words)}"),
        env=iotsim.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stderr.readline() == "listening on up0, until Ctrl-C\n"
    left(f"{sys.executable} -c '{TALK}' {LOCAL} {REMOTE}")
    shown: list[dict[str, Any]] = [json.loads(process.stdout.readline()) for _ in range(2 * SENT)]
    process.send_signal(signal.SIGINT)
    rest, told = process.communicate(timeout=30)
    assert rest == ""
    assert told.startswith(f"{2 * SENT} datagrams, in ")
    assert "fragments of others" in told
    assert process.returncode == 0
    sizes = {256, 1024, 4096, 16384}
    for source in ("10.99.0.1", "fd99::1"):
        mine = [one for one in shown if source in one["source"]]
        assert {(len(one["datagram"]) - 4) // 2 for one in mine} == sizes
    assert all(one["faults"] == [] for one in shown)
    assert [one["t"] for one in shown] == sorted(one["t"] for one in shown)


@pytest.mark.needs("root")
def test_a_packet_to_oneself_is_heard_once(
    net_hosts: Callable[[], NetHost], iotsim: CommandLine
) -> None:
    host = net_hosts()
    host("ip link set lo up")
    words = iotsim.words("decode", "tftp", "--interface", "lo", "--count", "2")
    process = host.start(
        *words, env=iotsim.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    assert process.stderr.readline().startswith("listening on lo")
    rrq = "00 01 66 00 6f 63 74 65 74 00"
    send = (
        "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM);"
        f"[s.sendto(bytes.fromhex('{rrq}'), ('127.0.0.1', 69)) for _ in range(2)]"
    )
    host(f'{sys.executable} -c "{send}"')
    text, told = process.communicate(timeout=30)
    assert process.returncode == 0, told
    heads = [line for line in text.splitlines() if line.startswith("#")]
    assert re.fullmatch(r"#1 .* > 127\.0\.0\.1:69  RRQ f", heads[0])
    assert re.fullmatch(r"#\d+ .* > 127\.0\.0\.1:69  RRQ f  \[repeats #1\]", heads[1])
    assert "2   66 00" in text
    assert text.splitlines()[-1].startswith("2 datagrams, in ")  # of ICMP nothing is heard


@pytest.mark.needs("root")
def test_an_interface_that_goes_away_or_a_reader_that_does_ends_it(
    net_hosts: Callable[[], NetHost], iotsim: CommandLine
) -> None:
    host = net_hosts()
    words = iotsim.words("decode", "tftp", "--interface", "gone7", "--summary")
    options = {"env": iotsim.environment, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}

    def listen() -> subprocess.Popen[str]:
        host("ip link add gone7 type veth peer name other7; ip link set gone7 up")
        process = host.start(*words, **options)
        assert process.stderr is not None
        assert process.stderr.readline().startswith("listening on gone7")
        return process

    process = listen()
    host("ip link delete gone7")
    text, _ = process.communicate(timeout=30)
    assert text.startswith("0 datagrams")
    assert process.returncode == 5
    process = listen()
    assert process.stdout is not None
    process.stdout.close()  # nothing passes there, and it ends all the same
    assert process.wait(30) == 5


@pytest.mark.needs("root")
def test_who_may_not_listen_is_told_what_is_missing(iotsim: CommandLine) -> None:
    words = iotsim.words("decode", "coap", "--interface", "lo")
    done = iotsim.finish(iotsim.start_other(["setpriv", "--bounding-set=-net_raw", *words]))
    assert done.status == 3
    assert "takes the capability CAP_NET_RAW" in done.text
    assert "fix: run it as root" in done.text
    done = iotsim("decode", "coap", "--interface", "nowhere")
    assert done.status == 3
    assert "there is no interface nowhere" in done.text
    assert "name one of lo" in done.text


def test_the_link_of_a_run_is_heard_from_inside_it(iotsim: CommandLine) -> None:
    """Without root: `iotsim exec` is in the run's network."""
    folder = iotsim.folder
    gateway = iotsim.write(
        "gateway.sh",
        f"""
        touch {folder}/up; until [ -e {folder}/go ]; do sleep 0.02; done
        python3 {folder}/poller.py 10.77.1.1 10.77.1.2 10.77.1.3
        until [ -e {folder}/heard ]; do sleep 0.02; done
        """,
    )
    scenario = iotsim.meters(gateway=f'command = ["sh", "{gateway}"]', until="gateway_exit")
    run = iotsim.start("run", scenario, "--out", iotsim.out, "--tolerance", "5")
    iotsim.wait_for((folder / "up").exists, "the gateway", run)
    errors = folder / "errors"
    inside = iotsim.words("decode", "sensornet", "--interface", "iotsim0", "--summary")
    with errors.open("w") as log:
        listening = iotsim.start("exec", iotsim.out, "--", *inside, "--count", "6", stderr=log)
        iotsim.wait_for(lambda: "listening on" in errors.read_text(), "it listens", run)
        (folder / "go").touch()
        heard = iotsim.finish(listening)
    (folder / "heard").touch()
    assert heard.status == 0, heard.text + errors.read_text()
    done = iotsim.finish(run)
    assert done.status == 0, done.text
    asked = [line for line in heard.text.splitlines() if "  READ  " in line]
    told = [line for line in heard.text.splitlines() if "  REPORT " in line]
    assert len(asked) == len(done.events_of("received")) == 3
    assert len(told) == len(done.events_of("sent")) == 3
    assert all(re.search(r"\[answers #\d+ after \S+ m?s\]$", line) for line in told)


@pytest.mark.parametrize("linktype", [frames.ETHERNET, frames.NULL, frames.LOOP, frames.LINUX_SLL2])
def test_captures_that_no_interface_of_here_makes(linktype: int, tmp_path: Path) -> None:
    """Tags of two kinds, options, fragments out of order, checksums of 0, all on links of each type."""
    segment = udp.build_udp(GATEWAY, METER, 40000, 5600, bytes(4000))
    parts = fragment_ipv4(GATEWAY, METER, ipv4.UDP, segment, 1500, 9)
    options = bytes([ipv4.NO_OPERATION] * 4)
    plain = packet(b"plain")
    packets = [
        plain,
        packet(b"", GATEWAY6, METER6),
        *reversed(parts),
        plain[:26] + b"\0\0" + plain[28:],
        ipv4.build_ipv4(GATEWAY, METER, ipv4.TCP, bytes(20)),
        ipv4.build_ipv4(GATEWAY, METER, ipv4.UDP, plain[20:], options=options),
    ]
    made = [linked(linktype, data) for data in packets]
    if linktype == frames.ETHERNET:
        made += [
            ETHERNET + bytes.fromhex(tags) + b"\x08\x00" + packet(tags.encode())
            for tags in ("8100 0007", "88a8 0007 8100 0008")
        ]
    path = tmp_path / "made.pcapng"
    path.write_bytes(
        LITTLE.pcapng([(i * 1_000_000, data) for i, data in enumerate(made)], linktype)
    )
    count = assert_the_same(path)
    assert count == (7 if linktype == frames.ETHERNET else 5)
