"""What a device has sent, and when, if its host must find out first where to; in virtual time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from iotsim.events import NotSent, Sent
from iotsim.protocol.registry import load_protocol
from iotsim.wire import arp, ethernet, ipv4, udp, virtio
from iotsim.wire.address import parse_address
from iotsim.wire.arp import ArpMessage

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.testing import MockClock

METERS = """
[link]
kind = "tap"
{link}

[devices.meter]
count = 2
address = ["10.77.1.1", "fd77::1:1"]
mac = "02:00:00:00:01:00"
protocol = "sensornet"

[[devices.meter.rules]]
when = {{ kind = "READ" }}
reply = {{ kind = "REPORT", value = 1 }}
{rule}

[[expect]]
each = "meter[0]"
sends = {{ kind = "REPORT" }}
within = "10s"
"""
SPEAKS = """
[[devices.meter.rules]]
after = "1s"
to = "{to}"
send = {{ kind = "READ", device = 1, seq = 1, point = 0 }}
"""
METER, STRANGER = parse_address("10.77.1.1"), parse_address("10.77.0.9")
METER_MAC, STRANGER_MAC = 0x020000000100, 0x020000000009
READ = {"kind": "READ", "device": 1, "seq": 1, "point": 0}


def meters(link: str = "", rule: str = "") -> str:
    return METERS.format(link=link, rule=rule)


def ask(far_end: Any, source: int = STRANGER) -> None:
    """A request of somebody whose MAC address nobody has asked for."""
    segment = udp.build_udp(
        source, METER, 40000, 5600, load_protocol("sensornet").protocol.codec.encode(READ)
    )
    header = ethernet.EthernetHeader(METER_MAC, STRANGER_MAC, ethernet.IPV4)
    packet = ipv4.build_ipv4(source, METER, ipv4.UDP, segment)
    far_end.link.send_nowait(virtio.PLAIN + ethernet.build_ethernet(header) + packet)


def answer_arp(far_end: Any) -> None:
    reply = arp.build_arp(ArpMessage(arp.REPLY, STRANGER_MAC, STRANGER, METER_MAC, METER))
    header = ethernet.EthernetHeader(METER_MAC, STRANGER_MAC, ethernet.ARP)
    far_end.link.send_nowait(virtio.PLAIN + ethernet.build_ethernet(header) + reply)


def outcomes(far_end: Any) -> dict[str, int]:
    return {name: n for name, n in far_end.simulation.pump.outcomes.items() if n}


def not_sent(far_end: Any) -> list[tuple[float, str, str]]:
    return [
        (event.t, event.device, event.reason)
        for event in far_end.events
        if isinstance(event, NotSent)
    ]


def sent_at(far_end: Any) -> list[float]:
    return [event.t for event in far_end.events if isinstance(event, Sent)]


async def test_what_waits_for_a_neighbor_for_ever_was_not_sent(
    linked: Callable[[str], Any], autojump_clock: MockClock
) -> None:
    async with linked(meters()) as far_end:
        await trio.sleep(1)
        ask(far_end)
        await trio.sleep(2.9)
        assert outcomes(far_end) == {"pending": 1}
        assert (sent_at(far_end), not_sent(far_end)) == ([], [])
        await trio.sleep(0.2)
        assert outcomes(far_end) == {"consumed.not-sent": 1}
        assert not_sent(far_end) == [
            (pytest.approx(4.0), "meter[0]", "nobody answers ARP for 10.77.0.9")
        ]
        await trio.sleep(10)
        assert sent_at(far_end) == []
        assert far_end.simulation.judge.verdicts() == [False]


@pytest.mark.parametrize("rule", ["", 'delay = "500ms"'])
async def test_what_waits_for_a_neighbor_was_sent_when_it_left(
    rule: str, linked: Callable[[str], Any], autojump_clock: MockClock
) -> None:
    async with linked(meters(rule=rule)) as far_end:
        await trio.sleep(1)
        ask(far_end)
        ask(far_end)
        await trio.sleep(1.5)
        assert outcomes(far_end) == {"pending": 2}
        assert sent_at(far_end) == []
        answer_arp(far_end)
        await trio.sleep(0.1)
        assert outcomes(far_end) == {"answered": 2, "consumed.arp-reply": 1}
        assert sent_at(far_end) == [pytest.approx(2.5)] * 2
        assert far_end.simulation.judge.verdicts() == [True]


async def test_a_delayed_answer_that_waits_settles_its_own_request(
    linked: Callable[[str], Any], autojump_clock: MockClock
) -> None:
    async with linked(meters(rule='delay = "500ms"')) as far_end:
        ask(far_end)
        await trio.sleep(0.4)
        ask(far_end, STRANGER + 1)
        await trio.sleep(0.2)  # The first answer waits now, the second has yet to be made.
        answer_arp(far_end)
        await trio.sleep(0.1)
        assert outcomes(far_end) == {"answered": 1, "pending": 1, "consumed.arp-reply": 1}
        await trio.sleep(5)
        assert outcomes(far_end) == {
            "answered": 1,
            "consumed.not-sent": 1,
            "consumed.arp-reply": 1,
        }


async def test_what_a_device_sends_unasked_settles_nobody_s_request(
    linked: Callable[[str], Any], autojump_clock: MockClock
) -> None:
    rules = 'delay = "20s"' + SPEAKS.format(to="10.77.0.9:5600")
    async with linked(meters(rule=rules)) as far_end:
        await trio.sleep(0.5)
        ask(far_end)
        await trio.sleep(5)
        assert [device for _, device, _ in not_sent(far_end)] == ["meter[0]", "meter[1]"]
        assert outcomes(far_end) == {"pending": 1}


@pytest.mark.parametrize(
    ("to", "reason"),
    [
        ("[2001:db8::1]:5600", "nobody answers neighbor discovery for fd77::1"),
        ("192.0.2.1:5600", "nobody answers ARP for 10.77.0.1"),
        ("[fd77::9]:5600", "nobody answers neighbor discovery for fd77::9"),
    ],
)
async def test_an_unasked_message_that_cannot_leave_was_not_sent(
    to: str, reason: str, linked: Callable[[str], Any], autojump_clock: MockClock
) -> None:
    async with linked(meters(rule=SPEAKS.format(to=to))) as far_end:
        await trio.sleep(5)
        assert not_sent(far_end) == [
            (pytest.approx(4.0), "meter[0]", reason),
            (pytest.approx(4.0), "meter[1]", reason),
        ]
        assert sent_at(far_end) == []


async def test_what_the_link_drops_was_not_sent(
    linked: Callable[[str], Any], autojump_clock: MockClock
) -> None:
    text = meters(rule=SPEAKS.format(to="10.77.0.1:5600")).replace('"tap"', '"memory"')
    async with linked(text.replace('mac = "02:00:00:00:01:00"', "")) as far_end:
        far_end.link.close()
        await trio.sleep(2)
        assert [reason for _, _, reason in not_sent(far_end)] == ["the link dropped it"] * 2
        assert sent_at(far_end) == []
        assert far_end.simulation.counters().lost == 2
