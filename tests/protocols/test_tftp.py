"""TFTP: RFC 1350 and the options of RFC 2347 to 2349, by what a device says to its clients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from iotsim.errors import ScenarioError
from iotsim.testing import Transcript

if TYPE_CHECKING:
    from pathlib import Path

FIRMWARE = bytes(range(256)) * 5  # 1,280 bytes: two blocks of 512 and one of 256
OTHER = "10.77.0.9:50000"


@pytest.fixture
def device(tmp_path: Path) -> Any:
    (tmp_path / "fw.bin").write_bytes(FIRMWARE)

    def make(**model: Any) -> Transcript:
        files = {
            "fw.bin": {"file": "fw.bin"},
            "name": {"text": "=device.name"},
            "two": {"data": b"ab"},
        }
        return Transcript("tftp", folder=tmp_path, model={"files": files, **model})

    return make


def options(**values: Any) -> list[dict[str, str]]:
    return [{"name": name, "value": str(value)} for name, value in values.items()]


def acknowledge(device: Transcript, block: int) -> list[Any]:
    return device.receive(opcode="ACK", block=block, port=device.datagrams[-1][0])


def test_a_file_is_read_block_by_block_from_a_port_of_its_own(device: Any) -> None:
    tftp = device()
    tftp.receive(opcode="RRQ", filename="fw.bin")
    for block in (1, 2, 3):
        acknowledge(tftp, block)
    assert b"".join(message["data"] for message in tftp.sent) == FIRMWARE
    assert [message["block"] for message in tftp.sent] == [1, 2, 3]
    ports = {port for port, _ in tftp.datagrams}
    assert len(ports) == 1
    assert ports != {69}
    tftp.wait(60)
    assert len(tftp.sent) == 3
    # The port is closed with the transfer.
    acknowledge(tftp, 3)
    assert tftp.simulation.counters().counts["outcome.dropped.no-service"] == 1


def test_a_file_of_whole_blocks_ends_with_an_empty_one(device: Any) -> None:
    tftp = device(block_size=640)
    tftp.receive(opcode="RRQ", filename="fw.bin", options=options(blksize=640))
    for block in (0, 1, 2, 3):
        acknowledge(tftp, block)
    assert [len(message["data"]) for message in tftp.sent[1:]] == [640, 640, 0]


def test_options_are_agreed_to_as_far_as_they_are_known(device: Any) -> None:
    tftp = device(block_size=1000)
    asked = options(BlkSize=1428, timeout=3, tsize=0, windowsize=16)
    (answer,) = tftp.receive(opcode="RRQ", filename="fw.bin", options=asked)
    assert answer["opcode"] == "OACK"
    assert answer["options"] == options(blksize=1000, timeout=3, tsize=1280)
    (first,) = acknowledge(tftp, 0)
    assert len(first["data"]) == 1000


@pytest.mark.parametrize(
    "asked",
    [
        {"blksize": 7},
        {"blksize": "many"},
        {"timeout": 0},
        {"timeout": 256},
        {"tsize": "9" * 5000},  # int() takes at most 4,300 digits
    ],
)
def test_options_that_cannot_be_are_not_acknowledged(device: Any, asked: Any) -> None:
    (answer,) = device().receive(opcode="RRQ", filename="two", options=options(**asked))
    assert (answer["opcode"], answer["data"]) == ("DATA", b"ab")


def test_a_block_that_is_lost_is_repeated_and_then_given_up(device: Any) -> None:
    tftp = device(retries=2, timeout="2s")
    tftp.receive(opcode="RRQ", filename="two")
    tftp.wait(20)
    assert [line for line in tftp.lines() if "DATA" in line] == [
        "0.000 -> DATA 1  [wire]",
        "2.000 -> DATA 1  [wire]",
        "4.000 -> DATA 1  [wire]",
    ]
    assert tftp.lines()[-1] == "6.000 note: device[0]: 10.77.0.1:40000 does not go on with two"


def test_a_repeated_acknowledgement_sends_no_second_block(device: Any) -> None:
    """What became known as the sorcerer's apprentice (RFC 1123, section 4.2.3.1)."""
    tftp = device()
    tftp.receive(opcode="RRQ", filename="fw.bin")
    assert len(acknowledge(tftp, 1)) == 1
    assert acknowledge(tftp, 1) == []


def test_who_asks_again_before_the_first_block_has_come_gets_no_second_transfer(
    device: Any,
) -> None:
    tftp = device()
    tftp.receive(opcode="RRQ", filename="two")
    assert tftp.receive(opcode="RRQ", filename="two") == []


def test_who_has_done_with_a_transfer_may_ask_again_from_the_same_port(device: Any) -> None:
    """Section 4: whoever asks chooses its identifier; some have one alone."""
    tftp = device(writable=True)
    tftp.receive(opcode="WRQ", filename="new")
    port = tftp.datagrams[-1][0]
    tftp.receive(opcode="DATA", block=1, data=b"ab", port=port)
    (block,) = tftp.receive(opcode="RRQ", filename="new")
    assert (block["opcode"], block["data"]) == ("DATA", b"ab")
    acknowledge(tftp, 1)
    # One who has not ended what it began before, as after a restart, neither.
    tftp.receive(opcode="RRQ", filename="fw.bin")
    acknowledge(tftp, 1)
    (block,) = tftp.receive(opcode="RRQ", filename="fw.bin")
    assert (block["opcode"], block["block"]) == ("DATA", 1)


def test_two_clients_do_not_disturb_each_other(device: Any) -> None:
    tftp = device()
    tftp.receive(opcode="RRQ", filename="fw.bin")
    tftp.receive(opcode="RRQ", filename="two", peer=OTHER)
    first, second = (port for port, _ in tftp.datagrams)
    (error,) = tftp.receive(opcode="ACK", block=1, port=first, peer=OTHER)
    assert (error["code"], error["opcode"]) == ("UNKNOWN_TID", "ERROR")
    assert first != second
    (block,) = tftp.receive(opcode="ACK", block=1, port=first)
    assert block["block"] == 2


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({"opcode": "RRQ", "filename": "none"}, "NOT_FOUND"),
        ({"opcode": "WRQ", "filename": "two"}, "ACCESS_VIOLATION"),
        ({"opcode": "RRQ", "filename": "two", "mode": "mail"}, "ILLEGAL_OPERATION"),
        ({"opcode": "ACK", "block": 1}, "UNKNOWN_TID"),
        ({"opcode": "DATA", "block": 1, "data": b"x"}, "UNKNOWN_TID"),
        ({"opcode": "OACK", "options": []}, "UNKNOWN_TID"),
    ],
)
def test_what_cannot_be_is_an_error(device: Any, request_: Any, code: str) -> None:
    (answer,) = device().receive(request_)
    assert (answer["opcode"], answer["code"]) == ("ERROR", code)


def test_an_error_is_not_answered(device: Any) -> None:
    assert device().receive(opcode="ERROR", code="UNDEFINED") == []


def test_an_error_of_the_clients_ends_the_transfer(device: Any) -> None:
    tftp = device()
    tftp.receive(opcode="RRQ", filename="fw.bin")
    port = tftp.datagrams[-1][0]
    assert tftp.receive(opcode="ERROR", code="DISK_FULL", message="no room", port=port) == []
    tftp.wait(30)
    assert len(tftp.sent) == 1


def test_a_file_is_written_and_read_back(device: Any) -> None:
    tftp = device(writable=True)
    (ready,) = tftp.receive(opcode="WRQ", filename="new.bin")
    assert (ready["opcode"], ready["block"]) == ("ACK", 0)
    port = tftp.datagrams[-1][0]
    for block, part in enumerate((FIRMWARE[:512], FIRMWARE[512:1024], FIRMWARE[1024:]), 1):
        (answer,) = tftp.receive(opcode="DATA", block=block, data=part, port=port)
        assert answer["block"] == block
    # The last acknowledgement may be lost: the client repeats its block (RFC 1350, section 6).
    (again,) = tftp.receive(opcode="DATA", block=3, data=FIRMWARE[1024:], port=port)
    assert again["block"] == 3
    tftp.wait(10)
    (first,) = tftp.receive(opcode="RRQ", filename="new.bin", peer=OTHER)
    assert first["data"] == FIRMWARE[:512]


def test_a_repeated_block_gets_its_acknowledgement_again_and_is_taken_once(device: Any) -> None:
    tftp = device(writable=True)
    tftp.receive(opcode="WRQ", filename="x", options=options(blksize=8, tsize=12))
    port = tftp.datagrams[-1][0]
    for block, part in ((1, b"12345678"), (1, b"12345678"), (2, b"9")):
        (answer,) = tftp.receive(opcode="DATA", block=block, data=part, port=port)
        assert answer["block"] == block
    (whole,) = tftp.receive(opcode="RRQ", filename="x", peer=OTHER)
    assert whole["data"] == b"123456789"


def test_a_block_that_is_too_long_ends_the_transfer(device: Any) -> None:
    tftp = device(writable=True)
    tftp.receive(opcode="WRQ", filename="x")
    (answer,) = tftp.receive(opcode="DATA", block=1, data=bytes(513), port=tftp.datagrams[-1][0])
    assert answer["code"] == "ILLEGAL_OPERATION"


def test_what_is_too_large_is_refused_beforehand(device: Any) -> None:
    (answer,) = device(writable=True).receive(
        opcode="WRQ", filename="x", options=options(tsize=1 << 40)
    )
    assert answer["code"] == "DISK_FULL"


def test_lines_in_netascii_end_with_cr_and_lf(device: Any) -> None:
    tftp = device(writable=True, files={"t": {"text": "a\nb\rc"}})
    (answer,) = tftp.receive(opcode="RRQ", filename="t", mode="NetAscii")
    assert answer["data"] == b"a\r\nb\r\0c"
    tftp.receive(opcode="WRQ", filename="u", mode="netascii", peer=OTHER)
    tftp.receive(
        opcode="DATA", block=1, data=b"a\r\nb\r\0c", port=tftp.datagrams[-1][0], peer=OTHER
    )
    (back,) = tftp.receive(opcode="RRQ", filename="u", peer="10.77.0.8:1")
    assert back["data"] == b"a\nb\rc"


def test_a_reboot_forgets_what_was_written_and_ends_transfers(device: Any) -> None:
    tftp = device(writable=True)
    tftp.receive(opcode="WRQ", filename="x")
    tftp.receive(opcode="DATA", block=1, data=b"1", port=tftp.datagrams[-1][0])
    tftp.receive(opcode="RRQ", filename="fw.bin", peer=OTHER)
    tftp.reboot()
    tftp.wait(30)
    (answer,) = tftp.receive(opcode="RRQ", filename="x")
    assert answer["code"] == "NOT_FOUND"
    assert sum(message["opcode"] == "DATA" for message in tftp.sent) == 1


def test_numbers_of_blocks_begin_anew_after_65535(device: Any) -> None:
    tftp = device(files={"big": {"data": bytes(8 * 65536 + 1)}})
    tftp.receive(opcode="RRQ", filename="big", options=options(blksize=8))
    port = tftp.datagrams[-1][0]
    block = 0
    for _ in range(65537):
        (answer,) = tftp.receive(opcode="ACK", block=block, port=port)
        block = answer["block"]
    assert block == 1
    assert answer["data"] == b"\0"


def test_a_device_has_only_so_many_transfers(device: Any) -> None:
    tftp = device()
    for number in range(64):
        tftp.receive(opcode="RRQ", filename="two", peer=f"10.77.0.9:{1000 + number}")
    (answer,) = tftp.receive(opcode="RRQ", filename="two")
    assert answer["code"] == "UNDEFINED"


def test_a_file_is_one_of_three(device: Any) -> None:
    with pytest.raises(ScenarioError, match="needs one of 'file', 'text' and 'data'"):
        device(files={"a": {"text": "x", "data": b"y"}})
