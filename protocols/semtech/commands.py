"""MAC commands (TS001-1.0.4, section 5): the octets of FOpts, or of FRMPayload at port 0.

The payload of each is a little-endian integer, and its fields are bits of that. A command here is a table:
``{"command": "LINK_ADR_REQ", "data_rate": 5, …}``. What the rest of a frame is after a command that is not
known cannot be told (section 5), and is left.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

from iotsim import EncodeError

from .crypto import DOWN, UP

Command: TypeAlias = dict[str, Any]


class Kind(NamedTuple):
    """A command: its identifier, direction, name, size in octets, and fields: name, lowest bit, bits."""

    cid: int
    direction: int
    name: str
    size: int = 0
    fields: tuple[tuple[str, int, int], ...] = ()


FREQUENCY = ("frequency", 8, 24)  # in MHz here, in steps of 100 Hz on the air
KINDS = (
    Kind(0x02, UP, "LINK_CHECK_REQ"),
    Kind(0x02, DOWN, "LINK_CHECK_ANS", 2, (("margin", 0, 8), ("gw_cnt", 8, 8))),
    Kind(
        0x03,
        DOWN,
        "LINK_ADR_REQ",
        4,
        (
            ("tx_power", 0, 4),
            ("data_rate", 4, 4),
            ("ch_mask", 8, 16),
            ("nb_trans", 24, 4),
            ("ch_mask_cntl", 28, 3),
        ),
    ),
    Kind(
        0x03,
        UP,
        "LINK_ADR_ANS",
        1,
        (("channel_mask_ack", 0, 1), ("data_rate_ack", 1, 1), ("power_ack", 2, 1)),
    ),
    Kind(0x04, DOWN, "DUTY_CYCLE_REQ", 1, (("max_duty_cycle", 0, 4),)),
    Kind(0x04, UP, "DUTY_CYCLE_ANS"),
    Kind(
        0x05,
        DOWN,
        "RX_PARAM_SETUP_REQ",
        4,
        (("rx2_data_rate", 0, 4), ("rx1_dr_offset", 4, 3), FREQUENCY),
    ),
    Kind(
        0x05,
        UP,
        "RX_PARAM_SETUP_ANS",
        1,
        (("channel_ack", 0, 1), ("rx2_data_rate_ack", 1, 1), ("rx1_dr_offset_ack", 2, 1)),
    ),
    Kind(0x06, DOWN, "DEV_STATUS_REQ"),
    Kind(0x06, UP, "DEV_STATUS_ANS", 2, (("battery", 0, 8), ("snr", 8, 6))),
    Kind(
        0x07,
        DOWN,
        "NEW_CHANNEL_REQ",
        5,
        (("ch_index", 0, 8), FREQUENCY, ("min_dr", 32, 4), ("max_dr", 36, 4)),
    ),
    Kind(
        0x07,
        UP,
        "NEW_CHANNEL_ANS",
        1,
        (("channel_frequency_ok", 0, 1), ("data_rate_range_ok", 1, 1)),
    ),
    Kind(0x08, DOWN, "RX_TIMING_SETUP_REQ", 1, (("delay", 0, 4),)),
    Kind(0x08, UP, "RX_TIMING_SETUP_ANS"),
    Kind(
        0x09,
        DOWN,
        "TX_PARAM_SETUP_REQ",
        1,
        (("max_eirp", 0, 4), ("uplink_dwell_time", 4, 1), ("downlink_dwell_time", 5, 1)),
    ),
    Kind(0x09, UP, "TX_PARAM_SETUP_ANS"),
    Kind(0x0A, DOWN, "DL_CHANNEL_REQ", 4, (("ch_index", 0, 8), FREQUENCY)),
    Kind(
        0x0A,
        UP,
        "DL_CHANNEL_ANS",
        1,
        (("channel_frequency_ok", 0, 1), ("uplink_frequency_exists", 1, 1)),
    ),
    Kind(0x0D, UP, "DEVICE_TIME_REQ"),
    Kind(0x0D, DOWN, "DEVICE_TIME_ANS", 5, (("seconds", 0, 32), ("fraction", 32, 8))),
)
BY_CID = {(kind.cid, kind.direction): kind for kind in KINDS}
BY_NAME = {kind.name: kind for kind in KINDS}
STEPS_PER_MHZ = 10_000


def read_commands(data: bytes, direction: int) -> list[Command]:
    """The commands of a frame, up to one that is not known, or not whole."""
    found: list[Command] = []
    at = 0
    while at < len(data):
        kind = BY_CID.get((data[at], direction))
        at += 1
        if kind is None or at + kind.size > len(data):
            break
        bits = int.from_bytes(data[at : at + kind.size], "little")
        command: Command = {"command": kind.name}
        for name, low, width in kind.fields:
            command[name] = _value(name, bits >> low & (1 << width) - 1)
        found.append(command)
        at += kind.size
    return found


def _value(name: str, bits: int) -> int | float:
    if name == "frequency":
        return bits / STEPS_PER_MHZ
    if name == "snr":  # six bits, signed
        return bits - 64 if bits & 32 else bits
    return bits


def write_command(command: Command) -> bytes:
    """Its octets. EncodeError if it is none, or a field is beyond its bits; what is not given is 0."""
    name = command.get("command") if isinstance(command, dict) else None
    kind = BY_NAME.get(name) if isinstance(name, str) else None
    if kind is None:
        raise EncodeError(f"there is no MAC command {name!r:.100}", "command")
    unknown = command.keys() - {"command", *(field for field, _, _ in kind.fields)}
    if unknown:
        raise EncodeError(f"{kind.name} has no field {min(unknown)!r:.100}", "command")
    bits = 0
    for field, low, width in kind.fields:
        value = command.get(field, 0)
        if not isinstance(value, int | float) or value != value:
            raise EncodeError(f"{value!r:.100} is no number", field)
        number = round(value * STEPS_PER_MHZ) if field == "frequency" else value
        lowest = -32 if field == "snr" else 0
        if int(number) != number or not lowest <= number < lowest + (1 << width):
            raise EncodeError(f"{value!r:.100} is no number of {width} bits", field)
        bits |= (int(number) & (1 << width) - 1) << low
    return bytes([kind.cid]) + bits.to_bytes(kind.size, "little")
