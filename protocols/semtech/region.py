"""EU868 (RP002-1.0.4, section 2.4), and how long a frame is on the air."""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import NamedTuple

DATA_RATES: tuple[str | int, ...] = (
    "SF12BW125",
    "SF11BW125",
    "SF10BW125",
    "SF9BW125",
    "SF8BW125",
    "SF7BW125",
    "SF7BW250",
    50000,
)
"""By DR: LoRa's as ``datr`` has them, and the bit rate of FSK. LR-FHSS, DR8 to 11, is not there."""
LARGEST_PAYLOAD = (51, 51, 51, 115, 242, 242, 242, 242)
"""By DR: of an application, in bytes, beside which there are no FOpts (table 17, no repeater)."""
LORA = re.compile(r"SF([5-9]|1[0-2])BW(125|250|500)\Z")
TX_POWERS = range(8)
"""Each step is 2 dB below the one before."""
RX1_OFFSETS = range(6)
FREQUENCIES = (863.0, 870.0)
"""From, to: of channels and receive windows, in MHz."""
RX2_FREQUENCY, RX2_DATA_RATE = 869.525, 0
RECEIVE_DELAY, JOIN_ACCEPT_DELAY = 1.0, 5.0
"""From the end of an uplink to RX1, in seconds; RX2 comes a second later."""
MOST_CHANNELS = 16
NOISE_FLOOR = -117.0
"""In dBm: thermal noise in 125 kHz, and a noise figure of 6 dB."""
LOWEST_SNR = {5: -2.5, 6: -5.0, 7: -7.5, 8: -10.0, 9: -12.5, 10: -15.0, 11: -17.5, 12: -20.0}
"""By spreading factor: the SNR at which a LoRa demodulator still hears, in dB."""


class Channel(NamedTuple):
    """An uplink channel, in MHz, the data rates that it is for, and where RX1 listens after it."""

    frequency: float
    min_dr: int = 0
    max_dr: int = 5
    downlink: float = 0.0
    """The frequency of RX1, if it is another one (DlChannelReq)."""


DEFAULT_CHANNELS = (Channel(868.1), Channel(868.3), Channel(868.5))
"""Which cannot be changed, and on which joins are asked for."""


def data_rate(name: str | int) -> int | None:
    """The DR of a ``datr``; None if EU868 has none."""
    return DATA_RATES.index(name) if name in DATA_RATES else None


def rx1_data_rate(uplink: int, offset: int) -> int:
    """Table 18."""
    return max(uplink - offset, 0)


def is_usable(frequency: float) -> bool:
    return FREQUENCIES[0] <= frequency <= FREQUENCIES[1]


@lru_cache(4096)
def airtime(datr: str | int, size: int, codr: int = 5, preamble: int = 8) -> float:
    """How long a frame of `size` bytes is on the air, in seconds (SX1276 datasheet, section 4.1.1.7).

    `codr` is 5 for the coding rate 4/5, up to 8.
    """
    if isinstance(datr, int):  # FSK: preamble, sync word, length, payload, CRC
        return 8 * (max(preamble, 5) + 3 + 1 + size + 2) / datr
    factor, width = spreading(datr)
    symbol = (1 << factor) / width / 1000
    slow = 2 if symbol > 0.016 else 0  # low data rate optimization
    blocks = math.ceil((8 * size - 4 * factor + 28 + 16) / (4 * (factor - slow)))
    return symbol * (preamble + 4.25 + 8 + max(blocks, 0) * codr)


def symbol_time(datr: str | int) -> float:
    """In seconds; of FSK, that of a byte."""
    if isinstance(datr, int):
        return 8 / datr
    factor, width = spreading(datr)
    return (1 << factor) / width / 1000


def spreading(datr: str) -> tuple[int, int]:
    """The spreading factor, and the bandwidth in kHz, of a LoRa ``datr``. ValueError if it is none."""
    found = LORA.match(datr)
    if found is None:
        raise ValueError("no data rate of LoRa's, such as SF7BW125")
    return int(found[1]), int(found[2])
