"""MAC commands by LoRaWAN 1.0.4 (TS001, section 5), and what EU868 makes of them (RP002, section 2.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.protocols.semtech import KEYS, RX2, Concentrator, data_down, plain

from iotsim.protocols.semtech.commands import read_commands
from iotsim.protocols.semtech.crypto import UP

if TYPE_CHECKING:
    from iotsim.protocols.semtech.frame import Keys


class Commanded(Concentrator):
    """A personalized node that is told things."""

    def __init__(self, **nodes: Any) -> None:
        uplink = {"every": "20s", "data_rate": "SF7BW125", **nodes.pop("uplink", {})}
        super().__init__(abp=True, uplink=uplink, **nodes)
        self.fcnt = -1
        self.packet = self.next_packet()

    def hear(self, *commands: dict[str, Any], keys: Keys = KEYS, **fields: Any) -> None:
        self.fcnt += 1
        frame = {name: fields.pop(name) for name in ("port", "payload") if name in fields}
        assert (
            self.downlink(data_down(keys, self.fcnt, *commands, **frame), self.packet, **fields)
            == "NONE"
        )
        self.wait(fields.get("delay", 1.0) + 2)

    def answers(self) -> list[dict[str, Any]]:
        self.packet = self.next_packet()
        found: list[dict[str, Any]] = self.packet["frame"]["commands"]
        return found

    def told(self, *commands: dict[str, Any], **fields: Any) -> list[dict[str, Any]]:
        """The answers to `commands`."""
        self.hear(*commands, **fields)
        return self.answers()

    def frequencies(self, count: int = 40) -> set[float]:
        return {self.next_packet()["freq"] for _ in range(count)}


def link_adr(**fields: Any) -> dict[str, Any]:
    keep = {"data_rate": 15, "tx_power": 15, "ch_mask": 7, "ch_mask_cntl": 0, "nb_trans": 1}
    return {"command": "LINK_ADR_REQ", **keep, **fields}


def adr_answer(mask: int = 1, rate: int = 1, power: int = 1) -> dict[str, Any]:
    acks = {"channel_mask_ack": mask, "data_rate_ack": rate, "power_ack": power}
    return {"command": "LINK_ADR_ANS", **acks}


# -- LinkADRReq (section 5.2) ----------------------------------------------------------------------------


def test_data_rate_power_and_channels() -> None:
    c = Commanded()
    before = c.packet["rssi"]
    assert c.told(link_adr(data_rate=3, tx_power=5, ch_mask=2)) == [adr_answer()]
    assert (c.packet["datr"], c.packet["freq"]) == ("SF9BW125", 868.3)
    assert c.packet["rssi"] == pytest.approx(before - 10, abs=3)
    assert c.frequencies() == {868.3}


@pytest.mark.parametrize(
    ("fields", "answer"),
    [
        ({}, adr_answer()),
        ({"data_rate": 5}, adr_answer()),
        ({"data_rate": 6}, adr_answer(rate=0)),  # the default channels are for DR 0 to 5
        ({"data_rate": 8}, adr_answer(rate=0)),
        ({"tx_power": 8}, adr_answer(power=0)),
        ({"ch_mask": 0}, adr_answer(mask=0)),
        ({"ch_mask": 8}, adr_answer(mask=0)),
        ({"ch_mask": 9}, adr_answer(mask=0)),
        ({"ch_mask_cntl": 1}, adr_answer(mask=0)),
        ({"ch_mask_cntl": 7}, adr_answer(mask=0)),
        ({"ch_mask_cntl": 6, "ch_mask": 0}, adr_answer()),
        ({"ch_mask": 0, "data_rate": 9, "tx_power": 9}, adr_answer(0, 0, 0)),
    ],
)
def test_what_link_adr_can_ask_for(fields: dict[str, Any], answer: dict[str, Any]) -> None:
    assert Commanded().told(link_adr(**fields)) == [answer]


def test_nothing_is_done_unless_all_can_be() -> None:
    c = Commanded()
    assert c.told(link_adr(data_rate=2, ch_mask=1, tx_power=9)) == [adr_answer(power=0)]
    assert c.packet["datr"] == "SF7BW125"
    assert c.frequencies() == {868.1, 868.3, 868.5}


def test_a_block_is_one() -> None:
    """The masks in their order, data rate and power of the last; the same answer to each."""
    c = Commanded()
    block = [link_adr(ch_mask=8), link_adr(ch_mask_cntl=6), link_adr(ch_mask=4, data_rate=4)]
    assert c.told(*block) == [adr_answer()] * 3
    assert (c.packet["datr"], c.packet["freq"]) == ("SF8BW125", 868.5)
    block = [link_adr(ch_mask=1), {"command": "DEV_STATUS_REQ"}, link_adr(ch_mask=0)]
    answers = c.told(*block, datr="SF8BW125")
    assert answers[0] == adr_answer()
    assert answers[1]["command"] == "DEV_STATUS_ANS"
    assert answers[2] == adr_answer(mask=0)


@pytest.mark.parametrize(("nb_trans", "sent"), [(3, 3), (0, 1), (1, 1)])
def test_repetitions(nb_trans: int, sent: int) -> None:
    c = Commanded()
    c.hear(link_adr(nb_trans=nb_trans))
    c.next_packet()
    c.wait(18)
    assert len(c.packets()) == sent - 1


def test_without_adr_the_network_sets_channels_alone() -> None:
    """Sections 4.3.1.1 and 5.2: what of the command was taken, and what was not."""
    c = Commanded(adr=False)
    asked = link_adr(data_rate=3, tx_power=5, ch_mask=2, nb_trans=3)
    before = c.packet["rssi"]
    assert c.told(asked) == [adr_answer(rate=0, power=0)]
    assert (c.packet["datr"], c.packet["freq"]) == ("SF7BW125", 868.3)
    assert c.packet["rssi"] == pytest.approx(before, abs=3)
    c.wait(18)
    assert c.packets() == []
    c.packet = c.next_packet()
    assert c.told(link_adr(ch_mask=8, data_rate=3)) == [adr_answer(mask=0, rate=0)]
    assert c.told(link_adr(ch_mask=1, data_rate=5, tx_power=0)) == [adr_answer()]
    assert c.frequencies() == {868.1}


# -- the others -----------------------------------------------------------------------------------------


def test_status() -> None:
    """Section 5.5: the margin is the SNR of the frame that asks."""
    (answer,) = Commanded(battery=254).told({"command": "DEV_STATUS_REQ"})
    assert answer == {"command": "DEV_STATUS_ANS", "battery": 254, "snr": 10}


def test_a_duty_cycle() -> None:
    """Section 5.3: 1/2^10 of the time; a frame of 14 bytes at SF7 takes 46 ms."""
    c = Commanded()
    assert c.told({"command": "DUTY_CYCLE_REQ", "max_duty_cycle": 10}) == [
        {"command": "DUTY_CYCLE_ANS"}
    ]
    first, second = c.next_packet(), c.next_packet()
    assert (second["tmst"] - first["tmst"]) / 1e6 >= 0.046 * 1023
    c.packet = second
    c.hear({"command": "DUTY_CYCLE_REQ", "max_duty_cycle": 0})
    first, second = c.next_packet(), c.next_packet()
    assert (second["tmst"] - first["tmst"]) / 1e6 == pytest.approx(20, abs=0.1)


def rx_param(**fields: Any) -> dict[str, Any]:
    usual = {"rx1_dr_offset": 0, "rx2_data_rate": 0, "frequency": 869.525}
    return {"command": "RX_PARAM_SETUP_REQ", **usual, **fields}


def test_receive_windows() -> None:
    """Section 5.4. The answer is repeated until something is heard, at the new settings."""
    c = Commanded()
    answer = {
        "command": "RX_PARAM_SETUP_ANS",
        "channel_ack": 1,
        "rx2_data_rate_ack": 1,
        "rx1_dr_offset_ack": 1,
    }
    assert c.told(rx_param(rx1_dr_offset=2, rx2_data_rate=4, frequency=868.8)) == [answer]
    assert c.answers() == [answer]
    c.hear(port=3, payload=b"1", datr="SF9BW125")
    assert c.answers() == []
    c.hear(port=3, payload=b"2", delay=2.0, freq=868.8, datr="SF8BW125")
    assert [one["window"] for one in c.said("DOWNLINK")[1:]] == [1, 2]


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"rx1_dr_offset": 6}, "rx1_dr_offset_ack"),
        ({"rx2_data_rate": 8}, "rx2_data_rate_ack"),
        ({"frequency": 915.0}, "channel_ack"),
        ({"frequency": 0.0}, "channel_ack"),
    ],
)
def test_receive_windows_that_cannot_be(fields: dict[str, Any], wrong: str) -> None:
    c = Commanded()
    (answer,) = c.told(rx_param(**{"rx1_dr_offset": 1, **fields}))
    assert [name for name, value in answer.items() if value == 0] == [wrong]
    c.hear(port=3, payload=b"as before")
    assert c.said("DOWNLINK")[-1]["data"] == "as before"


def new_channel(index: int, frequency: float, low: int = 0, high: int = 5) -> dict[str, Any]:
    fields = {"ch_index": index, "frequency": frequency, "min_dr": low, "max_dr": high}
    return {"command": "NEW_CHANNEL_REQ", **fields}


def test_new_channels() -> None:
    """Section 5.6: a channel is made, switched on, and removed by a frequency of 0."""
    c = Commanded()
    good = {"command": "NEW_CHANNEL_ANS", "channel_frequency_ok": 1, "data_rate_range_ok": 1}
    assert c.told(new_channel(3, 867.1), new_channel(15, 867.5)) == [good, good]
    assert c.frequencies() == {868.1, 868.3, 868.5, 867.1, 867.5}
    c.packet = c.next_packet()
    assert c.told(new_channel(3, 0.0)) == [good]
    assert c.frequencies() == {868.1, 868.3, 868.5, 867.5}


@pytest.mark.parametrize(
    ("command", "frequency_ok", "rates_ok"),
    [
        (new_channel(0, 867.1), 0, 1),
        (new_channel(2, 0.0), 0, 1),
        (new_channel(16, 867.1), 0, 1),
        (new_channel(255, 867.1), 0, 1),
        (new_channel(3, 915.0), 0, 1),
        (new_channel(3, 867.1, 5, 4), 1, 0),
        (new_channel(3, 867.1, 0, 8), 1, 0),
        (new_channel(3, 915.0, 0, 15), 0, 0),
    ],
)
def test_channels_that_cannot_be(command: dict[str, Any], frequency_ok: int, rates_ok: int) -> None:
    c = Commanded()
    assert c.told(command) == [
        {
            "command": "NEW_CHANNEL_ANS",
            "channel_frequency_ok": frequency_ok,
            "data_rate_range_ok": rates_ok,
        }
    ]
    assert c.frequencies() == {868.1, 868.3, 868.5}


def test_who_takes_the_last_channel_away_gives_the_default_ones_back() -> None:
    """Section 5.6: a node goes on sending, whatever channels there are."""
    c = Commanded()
    c.told(new_channel(3, 867.1))
    assert c.told(link_adr(ch_mask=8)) == [adr_answer()]
    assert c.frequencies(5) == {867.1}
    c.packet = c.next_packet()
    (answer,) = c.told(new_channel(3, 0.0))
    assert answer["channel_frequency_ok"] == 1
    assert c.frequencies() == {868.1, 868.3, 868.5}


def test_a_channel_for_another_data_rate() -> None:
    """DR 6, SF7BW250, on a channel of its own."""
    c = Commanded()
    c.hear(new_channel(3, 868.3, 6, 6), link_adr(data_rate=6, ch_mask=15))
    assert c.answers()[1] == adr_answer()
    assert (c.packet["datr"], c.packet["freq"]) == ("SF7BW250", 868.3)


def test_when_windows_open() -> None:
    """Section 5.7: Del, of which 0 is 1 s."""
    c = Commanded()
    answer = {"command": "RX_TIMING_SETUP_ANS"}
    assert c.told({"command": "RX_TIMING_SETUP_REQ", "delay": 5}) == [answer]
    assert c.answers() == [answer]
    c.hear(port=3, payload=b"x", delay=5.0)
    assert c.said("DOWNLINK")[-1]["data"] == "x"
    assert c.answers() == []
    c.hear({"command": "RX_TIMING_SETUP_REQ", "delay": 0}, delay=6.0, **RX2)
    c.answers()
    c.hear(port=3, payload=b"y", delay=1.0)
    assert c.said("DOWNLINK")[-1]["data"] == "y"


def test_a_downlink_channel() -> None:
    """Section 5.8: RX1 after channel 1 is elsewhere."""
    c = Commanded()
    request = {"command": "DL_CHANNEL_REQ", "ch_index": 1, "frequency": 869.1}
    answers = c.told(request, link_adr(ch_mask=2))
    answer = {"command": "DL_CHANNEL_ANS", "channel_frequency_ok": 1, "uplink_frequency_exists": 1}
    assert answers == [answer, adr_answer()]
    c.hear(port=3, payload=b"x", freq=869.1)
    assert c.said("DOWNLINK")[-1]["frequency"] == 869.1


@pytest.mark.parametrize(("index", "frequency", "acks"), [(7, 869.1, (1, 0)), (1, 915.0, (0, 1))])
def test_downlink_channels_that_cannot_be(
    index: int, frequency: float, acks: tuple[int, int]
) -> None:
    (answer,) = Commanded().told(
        {"command": "DL_CHANNEL_REQ", "ch_index": index, "frequency": frequency}
    )
    assert (answer["channel_frequency_ok"], answer["uplink_frequency_exists"]) == acks


def test_eu868_has_no_dwell_times() -> None:
    """RP002, section 2.4.9: TxParamSetupReq is not answered."""
    c = Commanded()
    status = {"command": "DEV_STATUS_REQ"}
    answers = c.told({"command": "TX_PARAM_SETUP_REQ", "max_eirp": 5}, status)
    assert [one["command"] for one in answers] == ["DEV_STATUS_ANS"]


def test_commands_at_port_0() -> None:
    """Section 4.3.2: encrypted with NwkSKey."""
    c = Commanded()
    c.hear(port=0, payload=b"\x06")
    assert [one["command"] for one in c.answers()] == ["DEV_STATUS_ANS"]
    assert c.said("DOWNLINK")[0]["commands"] == [{"command": "DEV_STATUS_REQ"}]
    assert "data" not in c.said("DOWNLINK")[0]


def test_more_answers_than_fopts_holds() -> None:
    """Section 5: they go alone, at port 0, and the uplink comes after."""
    c = Commanded()
    c.hear(port=0, payload=b"\x06" * 20)
    packet = c.next_packet()
    assert packet["frame"]["port"] == 0
    assert len(read_commands(plain(KEYS, packet), UP)) == 20
    after = c.next_packet()
    assert (after["frame"]["port"], plain(KEYS, after)) == (2, b"7")
    assert after["tmst"] - packet["tmst"] < 5e6


def test_more_answers_than_a_frame_holds() -> None:
    c = Commanded(uplink={"data_rate": "SF12BW125"})
    c.hear(port=0, payload=b"\x06" * 50)
    assert len(plain(KEYS, c.next_packet())) == 51  # 17 answers of three octets


def test_answers_beside_a_payload_that_fills_the_frame() -> None:
    c = Commanded(uplink={"data_rate": "SF12BW125", "payload": "x" * 50})
    c.hear({"command": "DEV_STATUS_REQ"})
    first, second = c.next_packet(), c.next_packet()
    assert "port" not in first["frame"]
    assert [one["command"] for one in first["frame"]["commands"]] == ["DEV_STATUS_ANS"]
    assert plain(KEYS, second) == b"x" * 50


def test_what_is_repeated_is_in_each_frame() -> None:
    """Section 5.4: in all uplinks, until something is heard, so that a payload which leaves no room for it is
    not sent. Of many answers of a kind one is repeated."""
    request = bytes.fromhex("0500d2ad84")  # RXParamSetupReq: the default
    for size in (49, 50):
        c = Commanded(uplink={"data_rate": "SF12BW125", "payload": "x" * size})
        c.hear(port=0, payload=request * 10)
        assert len(plain(KEYS, c.next_packet())) == 20
        for _ in range(3):
            c.packet = c.next_packet()
            assert [one["command"] for one in c.packet["frame"]["commands"]] == [
                "RX_PARAM_SETUP_ANS"
            ]
            assert c.packet["frame"].get("port") == (2 if size == 49 else None)
        c.hear(port=3, payload=b"1")
        assert plain(KEYS, c.next_packet()) == b"x" * size
        reason = "cannot send: 50 bytes, beside answers that are repeated until it hears"
        assert str(c).count(reason) == (0 if size == 49 else 3)
    c = Commanded()
    c.hear(port=0, payload=request * 10)
    assert c.next_packet()["frame"]["port"] == 0
    c.next_packet()
    assert [one["command"] for one in c.answers()] == ["RX_PARAM_SETUP_ANS"]
