"""LoRaWAN's frames against those of other implementations: lora-packet 0.9.3 has made all of these."""

from __future__ import annotations

import pytest

from iotsim.protocols.semtech.commands import read_commands, write_command
from iotsim.protocols.semtech.crypto import DOWN, UP, cipher_payload, data_mic
from iotsim.protocols.semtech.frame import (
    JOIN_REQUEST,
    Keys,
    data_up,
    join_request,
    read_data_down,
    read_frame,
    read_join_accept,
)
from iotsim.protocols.semtech.region import airtime

APP_KEY = bytes.fromhex("00112233445566778899aabbccddeeff")
KEYS = Keys(
    0x26011BDA,
    bytes.fromhex("44024241ed4ce9a68c6a8bc055233fd3"),
    bytes.fromhex("ec925802ae430ca77fd3dd73cb2cc588"),
)
JOIN = bytes.fromhex("000807060504030201010000d07ed5b3700700f01ff3f4")
ACCEPT = bytes.fromhex("2014a21ba7546f23f554924d767a416f9ebff1b30066de5545c079a5e943d77d60")
CONFIRMED_UP = bytes.fromhex(
    "80da1b0126e202010307df257eec8a0b444c0c4b453c5af620a791124a6ed804e779750c3cdfd4ac3c5b1ef9128bd2"
)
CONFIRMED_DOWN = bytes.fromhex("a0da1b0126300500036585111a4689878466")
BEYOND_16_BITS = bytes.fromhex("60da1b01260001000348b7ceb93dd2370207")


def test_the_example_of_lora_packet() -> None:
    data = bytes.fromhex("40f17dbe4900020001954378762b11ff0d")
    keys = KEYS._replace(dev_addr=0x49BE7DF1)
    assert data_mic(keys.nwk_skey, UP, keys.dev_addr, 2, data[:-4]) == data[-4:]
    assert cipher_payload(keys.app_skey, UP, keys.dev_addr, 2, data[9:13]) == b"test"
    assert data_up(keys, 2, port=1, payload=b"test") == data


def test_a_join_request() -> None:
    data = join_request(APP_KEY, 0x0102030405060708, 0x70B3D57ED0000001, 7)
    assert data == JOIN
    assert data[0] == JOIN_REQUEST
    assert read_frame(data) == {
        "mtype": "JOIN_REQUEST",
        "join_eui": "0102030405060708",
        "dev_eui": "70B3D57ED0000001",
        "dev_nonce": 7,
        "mic": data[-4:],
    }


def test_a_join_accept_with_a_list_of_channels() -> None:
    accept = read_join_accept(ACCEPT, APP_KEY, 7)
    assert accept is not None
    assert (accept.join_nonce, accept.net_id, accept.keys.dev_addr) == (1, 0x13, 0x26011BDA)
    assert (accept.rx1_dr_offset, accept.rx2_data_rate, accept.rx_delay) == (1, 3, 5)
    assert accept.frequencies == (867.1, 867.3, 867.5, 867.7, 867.9)
    assert accept.keys.nwk_skey.hex() == "6d6b09023f002e36b5c4815ab0fceae1"
    assert accept.keys.app_skey.hex() == "fddcaa10b482fa649351e0ae6e1feaca"


@pytest.mark.parametrize("at", range(len(ACCEPT)))
def test_a_join_accept_that_was_changed(at: int) -> None:
    changed = bytearray(ACCEPT)
    changed[at] ^= 1
    assert read_join_accept(bytes(changed), APP_KEY, 7) is None


def test_a_confirmed_uplink_with_commands() -> None:
    made = data_up(
        KEYS,
        258,
        confirmed=True,
        control=0xE0,
        options=bytes.fromhex("0307"),
        port=223,
        payload=b"a payload of more than one block",
    )
    assert made == CONFIRMED_UP
    shown = read_frame(CONFIRMED_UP)
    assert shown is not None
    assert (shown["adr"], shown["adr_ack_req"], shown["ack"], shown["fcnt"]) == (
        True,
        True,
        True,
        258,
    )
    assert shown["commands"] == [
        {"command": "LINK_ADR_ANS", "channel_mask_ack": 1, "data_rate_ack": 1, "power_ack": 1}
    ]


def test_a_confirmed_downlink() -> None:
    down = read_data_down(CONFIRMED_DOWN, KEYS, -1)
    assert down is not None
    assert (down.fcnt, down.confirmed, down.control & 0x30) == (5, True, 0x30)
    assert (down.port, down.payload) == (3, b"hello")
    assert read_data_down(CONFIRMED_DOWN, KEYS, 4) == down
    # Its counter is not beyond the last: as the next with these 16 bits, its MIC is wrong.
    assert read_data_down(CONFIRMED_DOWN, KEYS, 5) is None
    assert read_data_down(CONFIRMED_DOWN, KEYS._replace(dev_addr=1), -1) is None


def test_a_counter_of_32_bits() -> None:
    """Section 4.3.1.5: 0x00010001, of which 0x0001 is on the air."""
    assert read_data_down(BEYOND_16_BITS, KEYS, 0xFFF0) is not None
    down = read_data_down(BEYOND_16_BITS, KEYS, 1)
    assert down is not None
    assert down.fcnt == 0x10001
    assert read_data_down(BEYOND_16_BITS, KEYS, -1) is None
    assert read_data_down(BEYOND_16_BITS, KEYS, 0x10001) is None
    assert read_data_down(BEYOND_16_BITS, KEYS, 0xFFFF_FFFF) is None


@pytest.mark.parametrize("size", range(len(CONFIRMED_UP)))
def test_frames_that_are_cut(size: int) -> None:
    read_frame(CONFIRMED_UP[:size])
    assert read_data_down(CONFIRMED_DOWN[: size % len(CONFIRMED_DOWN)], KEYS, -1) is None
    assert read_join_accept(ACCEPT[: size % len(ACCEPT)], APP_KEY, 7) is None


COMMANDS = [
    ("0350070051", {"command": "LINK_ADR_REQ", "data_rate": 5, "ch_mask": 7, "nb_trans": 1,
                    "ch_mask_cntl": 5, "tx_power": 0}),
    ("0404", {"command": "DUTY_CYCLE_REQ", "max_duty_cycle": 4}),
    ("0523d2ad84", {"command": "RX_PARAM_SETUP_REQ", "rx1_dr_offset": 2, "rx2_data_rate": 3,
                    "frequency": 869.525}),
    ("06", {"command": "DEV_STATUS_REQ"}),
    ("0703184f8450", {"command": "NEW_CHANNEL_REQ", "ch_index": 3, "frequency": 867.1,
                      "min_dr": 0, "max_dr": 5}),
    ("0805", {"command": "RX_TIMING_SETUP_REQ", "delay": 5}),
    ("093f", {"command": "TX_PARAM_SETUP_REQ", "max_eirp": 15, "uplink_dwell_time": 1,
              "downlink_dwell_time": 1}),
    ("0a00d2ad84", {"command": "DL_CHANNEL_REQ", "ch_index": 0, "frequency": 869.525}),
    ("021403", {"command": "LINK_CHECK_ANS", "margin": 20, "gw_cnt": 3}),
    ("0d0010a44e80", {"command": "DEVICE_TIME_ANS", "seconds": 0x4EA41000, "fraction": 128}),
]  # fmt: skip


@pytest.mark.parametrize(("data", "command"), COMMANDS)
def test_mac_commands(data: str, command: dict[str, object]) -> None:
    assert read_commands(bytes.fromhex(data), DOWN) == [command]
    assert write_command(command).hex() == data


def test_a_margin_is_signed() -> None:
    answer = {"command": "DEV_STATUS_ANS", "battery": 255, "snr": -5}
    assert write_command(answer).hex() == "06ff3b"
    assert read_commands(bytes.fromhex("06ff3b"), UP) == [answer]


def test_nothing_is_told_after_an_unknown_command() -> None:
    assert read_commands(bytes.fromhex("0680" + "06"), DOWN) == [{"command": "DEV_STATUS_REQ"}]
    assert read_commands(bytes.fromhex("0350"), DOWN) == []


@pytest.mark.parametrize(
    ("datr", "size", "milliseconds"),
    [
        # By Semtech's calculator: 8 symbols of preamble, explicit header, CRC, 4/5.
        ("SF7BW125", 23, 61.696),
        ("SF7BW125", 13, 46.336),
        ("SF9BW125", 23, 205.824),
        ("SF10BW125", 23, 370.688),
        ("SF12BW125", 23, 1482.752),
        ("SF12BW125", 51 + 13, 2793.472),
        ("SF7BW250", 23, 30.848),
    ],
)
def test_airtime(datr: str, size: int, milliseconds: float) -> None:
    assert airtime(datr, size) == pytest.approx(milliseconds / 1000)
