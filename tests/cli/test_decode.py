"""``iotsim decode``: hex, captures, and what is said at the end."""

from __future__ import annotations

import gzip
import io
import json
import os
import signal
import subprocess
from contextlib import suppress
from struct import pack
from typing import TYPE_CHECKING, Any

import pytest
from tests.capture.files import EPOCH, GATEWAY, LITTLE, METER, SECOND, packet

from iotsim.cli.app import run_command_line
from iotsim.protocol.registry import load_protocol
from iotsim.wire import ipv4

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import CommandLine

READ = "534e 01 01 0009 00000007 0001 00 ea02"


@pytest.fixture(autouse=True)
def in_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    "data", [[READ], READ.split(), [READ.replace(" ", "")], ["0x" + READ.replace(" ", "")]]
)
def test_decode_shows_each_field_at_its_place(
    data: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line(["decode", "sensornet", *data]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["6", "00", "00", "00", "07", "device", "7"] in lines
    assert lines[-1][0] == "READ"


def test_decode_reads_standard_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(READ + "\n"))
    assert run_command_line(["decode", "sensornet", "-"]) == 0
    assert "device" in capsys.readouterr().out


def test_decode_of_what_is_no_message_shows_how_far_it_came(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_command_line(["decode", "sensornet", READ[:-1] + "3"]) == 2
    text = capsys.readouterr().out
    assert "device" in text
    assert "error: crc: wrong checksum: the message has 0xea03, its bytes give 0xea02" in text


@pytest.mark.parametrize("data", ["xyz", "123"])
def test_decode_of_what_is_no_hex(data: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["decode", "sensornet", data]) == 2
    assert "that is not a datagram in hex" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ("123", "it has an odd number of digits, 3"),
        ("0g", "it has 'g'"),
        ("\u0661\u0662", "it has '\u0661'"),
        ("00" * 65_528, "65528 bytes are more than UDP carries"),
        ("00" * 600_000, "it has more than 1048576 characters"),
    ],
    ids=["odd", "letter", "digits of another script", "large", "huge"],
)
def test_hostile_hex(
    data: str, why: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(data))
    assert run_command_line(["decode", "sensornet", "-"]) == 2
    assert why in capsys.readouterr().err


def test_the_largest_datagram_is_decoded_in_few_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cli_long.py").write_text(
        "from construct import GreedyRange, Int8ub, Struct\nfrom iotsim import Protocol\n"
        "ITEM = Struct('a' / Struct('b' / Int8ub))\n"
        "MESSAGE = Struct('all' / GreedyRange(ITEM))\n"
        "PROTOCOL = Protocol(name='cli_long', message=MESSAGE, port=7000)\n"
    )
    monkeypatch.setattr("sys.stdin", io.StringIO("07" * 65_527))
    assert run_command_line(["decode", "cli_long", "-"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) < 2100
    assert max(map(len, lines)) < 4200
    assert "and 129055 more" in lines


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ("size", "'size': must be NAME=VALUE"),
        ("size=hex:zz", "size: "),
        ("size=1e999", "size: 1e999"),
    ],
)
def test_what_no_device_remembers(
    state: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line(["decode", "sensornet", "07", "--state", state]) == 2
    assert message in capsys.readouterr().err


# -- captures -----------------------------------------------------------------------------------------


def sensornet(kind: str, seq: int, **fields: object) -> bytes:
    protocol = load_protocol("sensornet", []).protocol
    return protocol.codec.encode({"kind": kind, "device": 7, "seq": seq, **fields})


def capture(*more: bytes) -> bytes:
    """A meter is asked, twice, and answers; then `more` packets, 0.1 s after each other."""
    back = {"source": METER, "destination": GATEWAY, "ports": (5600, 40000)}
    packets = [
        packet(sensornet("READ", 1)),
        packet(sensornet("READ", 1)),
        packet(sensornet("REPORT", 1, value=20.5), **back),
        *more,
    ]
    return LITTLE.pcap(
        [(EPOCH * SECOND + i * SECOND // 10, data) for i, data in enumerate(packets)]
    )


class Command:
    """``iotsim decode sensornet``; what it prints is in ``lines`` and ``errors``."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.lines: list[str] = []
        self.errors = ""

    def __call__(self, *words: str, status: int = 0) -> list[str]:
        assert run_command_line(["decode", "sensornet", *words]) == status
        captured = self._capsys.readouterr()
        self.lines, self.errors = captured.out.splitlines(), captured.err
        return self.lines


@pytest.fixture
def decode(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


ASKED = "10.77.0.1:40000 > 10.77.1.1:5600  READ  device=7 seq=1"
TOLD = "10.77.1.1:5600 > 10.77.0.1:40000  REPORT 20.5 device=7 seq=1"
SUMMARY = [
    f"#1  0.000000  {ASKED}",
    f"#2  0.100000  {ASKED}  [repeats #1]",
    f"#3  0.200000  {TOLD}  [answers #1 after 200 ms]",
]


def test_a_capture_in_lines(tmp_path: Path, decode: Command) -> None:
    (tmp_path / "a.pcap").write_bytes(capture())
    assert decode("a.pcap", "--summary") == [
        *SUMMARY,
        "3 datagrams, in 200 ms from 2023-11-14 22:13:20.000000 UTC on",
    ]
    assert decode("./a.pcap", "--summary", "--count", "1")[0] == SUMMARY[0]


def test_a_capture_as_trees(tmp_path: Path, decode: Command) -> None:
    (tmp_path / "a.pcapng").write_bytes(LITTLE.pcapng([(0, packet(sensornet("READ", 1)))]))
    lines = decode("a.pcapng")
    assert lines[0] == SUMMARY[0]
    assert "    6   00 00 00 07  device   7" in lines
    assert lines[-2:] == ["", "1 datagram"]


def test_what_is_no_message_and_what_is_left_out(tmp_path: Path, decode: Command) -> None:
    tcp = ipv4.build_ipv4(GATEWAY, METER, ipv4.TCP, bytes(20))
    other = packet(b"x", ports=(40000, 53))
    bad = packet(bytes(100))
    (tmp_path / "a.pcap").write_bytes(capture(tcp, other, tcp, bad))
    lines = decode("a.pcap", "--summary", status=2)
    head = "#7  0.600000  10.77.0.1:40000 > 10.77.1.1:5600  no message: magic: "
    assert lines[3].startswith(head)
    assert lines[3].endswith("(at byte 0)")
    assert lines[4] == "    " + " ".join(["00"] * 64) + " ..."
    assert lines[5].startswith("4 datagrams (1 undecodable), in 600 ms ")
    assert lines[6] == "left out: 1 UDP at other ports, 2 TCP"
    assert any(line.startswith("    error: magic: ") for line in decode("a.pcap", status=2))


def test_a_wrong_checksum_is_told_beside_the_message(tmp_path: Path, decode: Command) -> None:
    good = packet(sensornet("READ", 1))
    (tmp_path / "a.pcap").write_bytes(LITTLE.pcap([(0, good[:26] + b"\1\1" + good[28:])]))
    assert decode("a.pcap", "--summary")[0] == f"{SUMMARY[0]}  [wrong UDP checksum]"


def test_a_damaged_capture_is_shown_up_to_there(tmp_path: Path, decode: Command) -> None:
    (tmp_path / "a.pcap").write_bytes(capture()[:-5])
    lines = decode("a.pcap", "--summary", status=2)
    assert lines[:2] == SUMMARY[:2]
    assert lines[2].startswith("2 datagrams, ")
    assert "the file ends within a packet" in decode.errors
    (tmp_path / "a.pcap").write_bytes(b"PNG, rather")
    assert decode("a.pcap", status=2) == ["0 datagrams"]
    assert "this is no capture, neither pcap nor pcapng (at byte 0)" in decode.errors


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_a_capture_from_standard_input(
    pack: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch, decode: Command
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(pack(capture()))))
    assert decode("-", "--summary")[:3] == SUMMARY
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(READ.encode())))
    assert decode("-")[-1] == "READ  device=7 seq=1"


def test_none_of_the_protocol(tmp_path: Path, decode: Command) -> None:
    (tmp_path / "a.pcap").write_bytes(LITTLE.pcap([]))
    assert decode("a.pcap", status=5) == ["0 datagrams"]
    (tmp_path / "a.pcap").write_bytes(capture())
    assert decode("a.pcap", "--port", "5601", status=5)[-1] == "left out: 3 UDP at other ports"
    assert decode("a.pcap", "--port", "5601", "--port", "5600", "--summary")[:3] == SUMMARY


@pytest.mark.parametrize(
    ("words", "numbers", "why"),
    [
        (["--where", 'kind = "REPORT"'], [3], "3 not as asked for"),
        (["--where", '{ kind = "REPORT", value = { min = 20, max = 21 } }'], [3], "3 not as asked for"),
        (["--where", "value = { min = 21 }"], [], "4 not as asked for"),
        (["--where", "undecodable = true"], [4], "3 not as asked for"),
        (["--device", "10.77.1.1"], [1, 2, 3, 4], ""),
        (["--device", "10.77.0.0/16"], [1, 2, 3, 4], ""),
        (["--device", "10.77.1.2-10.77.1.9"], [], "4 of other devices"),
        (["--device", "10.77.1.2", "--device", "10.77.1.1"], [1, 2, 3, 4], ""),
    ],
)  # fmt: skip
def test_only_some(
    words: list[str], numbers: list[int], why: str, tmp_path: Path, decode: Command
) -> None:
    (tmp_path / "a.pcap").write_bytes(capture(packet(b"no")))
    lines = decode("a.pcap", "--json", *words, status=2 if 4 in numbers else 0 if numbers else 5)
    assert [json.loads(line)["number"] for line in lines] == numbers
    assert why in decode.errors


def test_lines_of_json(tmp_path: Path, decode: Command) -> None:
    (tmp_path / "a.pcap").write_bytes(capture(packet(sensornet("READ", 1)[:9])))
    _, _, told, wrong = map(json.loads, decode("a.pcap", "--json", status=2))
    assert told["message"]["value"] == 20.5
    told["message"] = None
    assert told == {
        "number": 3,
        "t": 0.2,
        "source": "10.77.1.1:5600",
        "destination": "10.77.0.1:40000",
        "from_device": True,
        "datagram": "hex:" + sensornet("REPORT", 1, value=20.5).hex(),
        "message": None,
        "notes": ["answers #1 after 200 ms"],
        "faults": [],
    }
    assert wrong["message"] is None
    assert wrong["error"]["path"] == "device"
    assert wrong["error"]["offset"] == 6
    assert decode.errors.startswith("4 datagrams (1 undecodable)")


HOSTILE = "\x1b[2J\x7f\x9b\u202e\U000e0001 ü"


def test_text_of_others_is_harmless_and_still_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    protocol = load_protocol("tftp", []).protocol
    name = HOSTILE.encode().decode("latin-1")
    request = protocol.codec.encode({"opcode": "RRQ", "filename": name})
    (tmp_path / "a.pcap").write_bytes(LITTLE.pcap([(0, packet(request, ports=(40000, 69)))]))
    assert run_command_line(["decode", "tftp", "a.pcap"]) == 0
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "\x9b" not in shown
    assert "\\x1b[2J\\x7f" in shown
    assert run_command_line(["decode", "tftp", "a.pcap", "--json"]) == 0
    line = capsys.readouterr().out
    assert line.strip().isascii()
    assert line.strip().isprintable()
    assert json.loads(line)["message"]["filename"] == name


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ([], "give bytes in hex, the path of a capture, or --interface"),
        (["nowhere.pcap"], "nowhere.pcap cannot be read: No such file or directory"),
        (["."], ". cannot be read: Is a directory"),
        (["00", "--summary"], "for hex there are --answer and --state only"),
        (["a.pcap", "--answer"], "--answer is for hex"),
        (["a.pcap", "--count", "-1"], "--count is a number of datagrams"),
        (["a.pcap", "--port", "70000"], "--port from 1 to 65535"),
        (["a.pcap", "--device", "meter"], "--device meter: 'meter' is no IP address"),
        (["a.pcap", "--where", "kind ="], "--where kind =: "),
        (["a.pcap", "--where", "x = 1 }\ny = { z = 1"], "that is no match"),
        (["a.pcap", "--where", 'kin = "READ"'], "unknown field 'kin' (did you mean 'kind'?)"),
        (["a.pcap", "--where", 'device = "=state.x"'], "state"),
        (["00", "--interface", "lo"], "give either bytes or --interface, not both"),
    ],
)
def test_what_cannot_be_asked_for(
    words: list[str], why: str, tmp_path: Path, decode: Command
) -> None:
    (tmp_path / "a.pcap").write_bytes(capture())
    assert decode(*words, status=2) == []
    assert why in decode.errors


def test_a_match_of_fields_that_only_answers_have(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    protocol = load_protocol("modbus", []).protocol
    asked = {"unit": 1, "function": "READ_COILS", "address": 1, "count": 8}
    refused = {"unit": 1, "function": "READ_COILS_ERROR", "exception": "ILLEGAL_FUNCTION"}
    ask, tell = protocol.codec.encode(asked), protocol.answer_codec.encode(refused)
    packets = [packet(ask, ports=(40000, 502)), packet(tell, METER, GATEWAY, (502, 40000))]
    (tmp_path / "a.pcap").write_bytes(LITTLE.pcap([(0, data) for data in packets]))
    words = ["decode", "modbus", "a.pcap", "--json", "--where", 'exception = "ILLEGAL_FUNCTION"']
    assert run_command_line(words) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["notes"] == ["refuses #1 after 0 s"]


def test_a_follower_that_fails_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "unfollowed.py").write_text(
        "from construct import Int8ub, Struct\nfrom iotsim import Follower, Protocol\n"
        "class Failing(Follower):\n    def key(self, message):\n        return 1 / 0\n"
        "PROTOCOL = Protocol('unfollowed', Struct('a' / Int8ub), port=5600, follower=Failing)\n"
    )
    (tmp_path / "a.pcap").write_bytes(LITTLE.pcap([(0, packet(b"\1"))]))
    assert run_command_line(["decode", "unfollowed", "a.pcap", "--summary"]) == 2
    captured = capsys.readouterr()
    assert "a=1  [the follower fails: ZeroDivisionError: division by zero]" in captured.out
    assert captured.err.endswith("follower fails: #1: ZeroDivisionError: division by zero\n")


@pytest.mark.parametrize("time_ns", [(1 << 64) * 1_000_000_000, -1_000_000_000])
def test_times_that_no_calendar_has(time_ns: int, tmp_path: Path, decode: Command) -> None:
    seconds = LITTLE.option(9, b"\0") + LITTLE.option(
        14, pack("<q", min(time_ns // SECOND, 1 << 62))
    )
    data = LITTLE.section() + LITTLE.interface(options=seconds)
    (tmp_path / "a.pcapng").write_bytes(data + LITTLE.enhanced(0, packet(sensornet("READ", 1))))
    assert decode("a.pcapng", "--summary")[0] == SUMMARY[0]


def test_a_pipe_is_read_as_it_comes_until_nobody_reads_on(iotsim: CommandLine) -> None:
    """As of ``tcpdump -w - | iotsim decode PROTOCOL - | head``."""
    process = piped(iotsim)
    process.stdout.close()
    record = capture()[24:]
    with suppress(BrokenPipeError):
        while process.poll() is None:
            os.write(process.stdin.fileno(), record)
    assert process.wait(30) == 0


def test_an_interrupted_capture_is_counted(iotsim: CommandLine) -> None:
    process = piped(iotsim)
    process.send_signal(signal.SIGINT)
    assert process.stdout.read().decode().startswith("3 datagrams, in 200 ms")
    assert process.wait(30) == 0


def piped(iotsim: CommandLine) -> Any:
    """The command, which has read what `capture` has, and waits for more."""
    words = ["decode", "sensornet", "-", "--summary"]
    process = iotsim.start(*words, stdin=subprocess.PIPE, text=False, bufsize=0)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(capture())
    for line in SUMMARY:
        assert process.stdout.readline().decode().rstrip() == line
    return process
