"""What the network may set on a node, and how that answers (TS001-1.0.4, section 5; RP002, section 2.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .region import (
    DATA_RATES,
    DEFAULT_CHANNELS,
    MOST_CHANNELS,
    RX1_OFFSETS,
    RX2_DATA_RATE,
    RX2_FREQUENCY,
    TX_POWERS,
    Channel,
    is_usable,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .commands import Command

KEEP = 15
"""Of LinkADRReq: the data rate, or the power, stays as it is."""
ALL_CHANNELS = 6
"""ChMaskCntl by which all channels are on."""
STICKY = ("RX_PARAM_SETUP_ANS", "RX_TIMING_SETUP_ANS", "DL_CHANNEL_ANS")
"""Answers that are repeated until something is heard (sections 5.4, 5.7 and 5.8)."""
ADR_ACK_LIMIT, ADR_ACK_DELAY = 64, 32
ALL_DEFAULT = (1 << len(DEFAULT_CHANNELS)) - 1
"""The mask of the default channels."""
Channels = tuple[Channel | None, ...]


class Radio:
    """The settings of a node's radio; at first, those after it was activated."""

    __slots__ = (
        "adr",
        "channels",
        "data_rate",
        "mask",
        "max_duty_cycle",
        "nb_trans",
        "rx1_offset",
        "rx2_data_rate",
        "rx2_frequency",
        "rx_delay",
        "tx_power",
    )

    def __init__(self, data_rate: int, nb_trans: int, adr: bool) -> None:
        self.adr = adr
        """Whether the network may set the data rate, the power and the repetitions."""
        self.channels: Channels = DEFAULT_CHANNELS
        self.mask = ALL_DEFAULT
        self.data_rate = data_rate
        self.tx_power = 0
        self.nb_trans = nb_trans
        self.rx1_offset = 0
        self.rx2_data_rate = RX2_DATA_RATE
        self.rx2_frequency = RX2_FREQUENCY
        self.rx_delay = 1
        self.max_duty_cycle = 0

    def usable_channels(self) -> list[Channel]:
        """Those that are on, and for the data rate; if none is, those that are on."""
        on = [
            channel
            for number, channel in enumerate(self.channels)
            if channel is not None and self.mask >> number & 1
        ]
        rate = self.data_rate
        return [one for one in on if one.min_dr <= rate <= one.max_dr] or on

    def set_channel(self, number: int, channel: Channel | None) -> None:
        """Make `channel` that of `number`, and switch it on; None removes it."""
        channels = list(self.channels) + [None] * (number + 1 - len(self.channels))
        channels[number] = channel
        self.channels = tuple(channels)
        bit = 1 << number
        # without any channel it would be mute: then those of the region are on again
        self.mask = (self.mask & ~bit or ALL_DEFAULT) if channel is None else self.mask | bit

    def list_channels(self, frequencies: Iterable[float]) -> None:
        """The CFList of a join accept: channels 3 to 7."""
        for number, frequency in enumerate(frequencies, len(DEFAULT_CHANNELS)):
            if is_usable(frequency):
                self.set_channel(number, Channel(frequency))

    def back_off(self, unheard: int) -> None:
        """Section 4.3.1.1: nothing was heard for `unheard` uplinks. Power first, then rate, then channels."""
        if unheard < ADR_ACK_LIMIT + ADR_ACK_DELAY or (unheard - ADR_ACK_LIMIT) % ADR_ACK_DELAY:
            return
        if self.tx_power:
            self.tx_power = 0
        elif self.data_rate:
            self.data_rate -= 1
        else:
            self.nb_trans = 1
            self.mask |= ALL_DEFAULT

    # -- requests -----------------------------------------------------------------------------------

    def handle(self, commands: list[Command], battery: int, snr: float) -> list[Command]:
        """Do what a frame asks for; the answers, in the order of the requests.

        TxParamSetupReq is none of EU868's, and not answered (RP002, section 2.4.9).
        """
        answers: list[Command] = []
        at = 0
        while at < len(commands):
            name = commands[at]["command"]
            if name == "LINK_ADR_REQ":
                end = at
                while end < len(commands) and commands[end]["command"] == name:
                    end += 1
                answers += [self.link_adr(commands[at:end])] * (end - at)
                at = end
                continue
            command = commands[at]
            at += 1
            if name == "DEV_STATUS_REQ":
                margin = min(max(round(snr), -32), 31)
                answers.append({"command": "DEV_STATUS_ANS", "battery": battery, "snr": margin})
            elif name in REQUESTS:
                answers.append(REQUESTS[name](self, command))
        return answers

    def link_adr(self, block: list[Command]) -> Command:
        """Section 5.2: requests one after the other are one, of which nothing is done unless all can be.

        Without ADR, the node keeps its data rate, power and repetitions (section 4.3.1.1), and takes the
        channels.
        """
        mask, known = self.mask, sum(1 << n for n, one in enumerate(self.channels) if one)
        channels_ok = True
        for command in block:
            if command["ch_mask_cntl"] == ALL_CHANNELS:
                mask = known
            elif command["ch_mask_cntl"] == 0:
                mask = command["ch_mask"]
            else:
                channels_ok = False
        channels_ok = channels_ok and mask != 0 and not mask & ~known
        last = block[-1]
        rate = self.data_rate if last["data_rate"] == KEEP else last["data_rate"]
        power = self.tx_power if last["tx_power"] == KEEP else last["tx_power"]
        on = [one for n, one in enumerate(self.channels) if one is not None and mask >> n & 1]
        rate_ok = rate < len(DATA_RATES) and (
            not channels_ok or any(one.min_dr <= rate <= one.max_dr for one in on)
        )
        power_ok = power in TX_POWERS
        if not self.adr:
            rate_ok, power_ok = rate == self.data_rate, power == self.tx_power
            if channels_ok:
                self.mask = mask
        elif channels_ok and rate_ok and power_ok:
            self.mask, self.data_rate, self.tx_power = mask, rate, power
            self.nb_trans = last["nb_trans"] or 1
        return {
            "command": "LINK_ADR_ANS",
            "channel_mask_ack": int(channels_ok),
            "data_rate_ack": int(rate_ok),
            "power_ack": int(power_ok),
        }

    def duty_cycle(self, command: Command) -> Command:
        self.max_duty_cycle = command["max_duty_cycle"]
        return {"command": "DUTY_CYCLE_ANS"}

    def rx_param_setup(self, command: Command) -> Command:
        offset, rate = command["rx1_dr_offset"], command["rx2_data_rate"]
        offset_ok, rate_ok = offset in RX1_OFFSETS, rate < len(DATA_RATES)
        channel_ok = is_usable(command["frequency"])
        if offset_ok and rate_ok and channel_ok:
            self.rx1_offset, self.rx2_data_rate = offset, rate
            self.rx2_frequency = command["frequency"]
        return {
            "command": "RX_PARAM_SETUP_ANS",
            "channel_ack": int(channel_ok),
            "rx2_data_rate_ack": int(rate_ok),
            "rx1_dr_offset_ack": int(offset_ok),
        }

    def new_channel(self, command: Command) -> Command:
        """Section 5.6. A frequency of 0 removes the channel; the default ones stay as they are."""
        number, frequency = command["ch_index"], command["frequency"]
        rates = range(len(DATA_RATES))
        rates_ok = command["min_dr"] <= command["max_dr"] and command["max_dr"] in rates
        free = len(DEFAULT_CHANNELS) <= number < MOST_CHANNELS
        frequency_ok = free and (frequency == 0 or is_usable(frequency))
        if frequency_ok and rates_ok:
            channel = Channel(frequency, command["min_dr"], command["max_dr"])
            self.set_channel(number, channel if frequency else None)
        return {
            "command": "NEW_CHANNEL_ANS",
            "channel_frequency_ok": int(frequency_ok),
            "data_rate_range_ok": int(rates_ok),
        }

    def rx_timing_setup(self, command: Command) -> Command:
        self.rx_delay = command["delay"] or 1
        return {"command": "RX_TIMING_SETUP_ANS"}

    def dl_channel(self, command: Command) -> Command:
        number, frequency = command["ch_index"], command["frequency"]
        channel = self.channels[number] if number < len(self.channels) else None
        frequency_ok = is_usable(frequency)
        if channel is not None and frequency_ok:
            channels = list(self.channels)
            channels[number] = channel._replace(downlink=frequency)
            self.channels = tuple(channels)
        return {
            "command": "DL_CHANNEL_ANS",
            "channel_frequency_ok": int(frequency_ok),
            "uplink_frequency_exists": int(channel is not None),
        }


REQUESTS = {
    "DUTY_CYCLE_REQ": Radio.duty_cycle,
    "RX_PARAM_SETUP_REQ": Radio.rx_param_setup,
    "NEW_CHANNEL_REQ": Radio.new_channel,
    "RX_TIMING_SETUP_REQ": Radio.rx_timing_setup,
    "DL_CHANNEL_REQ": Radio.dl_channel,
}
