"""What a device has sent, and when, if its host must find out first where to; in virtual time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from iotsim.events import NotSent, Sent
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


def ask(gateway: Any, source: int = STRANGER) -> None:
    """A request of somebody whose MAC address nobody has asked for."""
    segment = udp.build_udp(source, METER, 40000, 5600, gateway.codec.encode(READ))
    header = ethernet.EthernetHeader(METER_MAC, STRANGER_MAC, ethernet.IPV4)
    packet = ipv4.build_ipv4(source, METER, ipv4.UDP, segment)
    gateway.link.send_nowait(virtio.PLAIN + ethernet.build_ethernet(header) + packet)


def answer_arp(gateway: Any) -> None:
    reply = arp.build_arp(ArpMessage(arp.REPLY, STRANGER_MAC, STRANGER, METER_MAC, METER))
    header = ethernet.EthernetHeader(METER_MAC, STRANGER_MAC, ethernet.ARP)
    gateway.link.send_nowait(virtio.PLAIN + ethernet.build_ethernet(header) + reply)


def outcomes(gateway: Any) -> dict[str, int]:
    return {name: n for name, n in gateway.simulation.pump.outcomes.items() if n}


def not_sent(gateway: Any) -> list[tuple[float, str, str]]:
    return [
        (event.t, event.device, event.reason)
        for event in gateway.events
        if isinstance(event, NotSent)
    ]


def sent_at(gateway: Any) -> list[float]:
    return [event.t for event in gateway.events if isinstance(event, Sent)]


async def test_what_waits_for_a_neighbor_for_ever_was_not_sent(
    simulated: Callable[[str], Any], autojump_clock: MockClock
) -> None:
    async with simulated(meters()) as gateway:
        await trio.sleep(1)
        ask(gateway)
        await trio.sleep(2.9)
        assert outcomes(gateway) == {"pending": 1}
        assert (sent_at(gateway), not_sent(gateway)) == ([], [])
        await trio.sleep(0.2)
        assert outcomes(gateway) == {"consumed.not-sent": 1}
        assert not_sent(gateway) == [
            (pytest.approx(4.0), "meter[0]", "nobody answers ARP for 10.77.0.9")
        ]
        await trio.sleep(10)
        assert sent_at(gateway) == []
        assert gateway.simulation.judge.verdicts() == [False]


@pytest.mark.parametrize("rule", ["", 'delay = "500ms"'])
async def test_what_waits_for_a_neighbor_was_sent_when_it_left(
    rule: str, simulated: Callable[[str], Any], autojump_clock: MockClock
) -> None:
    async with simulated(meters(rule=rule)) as gateway:
        await trio.sleep(1)
        ask(gateway)
        ask(gateway)
        await trio.sleep(1.5)
        assert outcomes(gateway) == {"pending": 2}
        assert sent_at(gateway) == []
        answer_arp(gateway)
        # Another frame leaves meanwhile: an answer to a ping of the second, at another time.
        await trio.sleep(0.1)
        assert outcomes(gateway) == {"answered": 2, "consumed.arp-reply": 1}
        assert sent_at(gateway) == [pytest.approx(2.5)] * 2
        assert gateway.simulation.judge.verdicts() == [True]


async def test_a_delayed_answer_that_waits_settles_its_own_request(
    simulated: Callable[[str], Any], autojump_clock: MockClock
) -> None:
    async with simulated(meters(rule='delay = "500ms"')) as gateway:
        ask(gateway)
        await trio.sleep(0.4)
        ask(gateway, STRANGER + 1)
        await trio.sleep(0.2)  # The first answer waits now, the second has yet to be made.
        answer_arp(gateway)
        await trio.sleep(0.1)
        assert outcomes(gateway) == {"answered": 1, "pending": 1, "consumed.arp-reply": 1}
        await trio.sleep(5)
        assert outcomes(gateway) == {
            "answered": 1,
            "consumed.not-sent": 1,
            "consumed.arp-reply": 1,
        }


async def test_what_a_device_sends_unasked_settles_nobody_s_request(
    simulated: Callable[[str], Any], autojump_clock: MockClock
) -> None:
    rules = 'delay = "20s"' + SPEAKS.format(to="10.77.0.9:5600")
    async with simulated(meters(rule=rules)) as gateway:
        await trio.sleep(0.5)
        ask(gateway)
        await trio.sleep(5)
        assert [device for _, device, _ in not_sent(gateway)] == ["meter[0]", "meter[1]"]
        assert outcomes(gateway) == {"pending": 1}


@pytest.mark.parametrize(
    ("to", "reason"),
    [
        ("[2001:db8::1]:5600", "nobody answers neighbor discovery for fd77::1"),
        ("192.0.2.1:5600", "nobody answers ARP for 10.77.0.1"),
        ("[fd77::9]:5600", "nobody answers neighbor discovery for fd77::9"),
    ],
)
async def test_an_unasked_message_that_cannot_leave_was_not_sent(
    to: str, reason: str, simulated: Callable[[str], Any], autojump_clock: MockClock
) -> None:
    async with simulated(meters(rule=SPEAKS.format(to=to))) as gateway:
        await trio.sleep(5)
        assert not_sent(gateway) == [
            (pytest.approx(4.0), "meter[0]", reason),
            (pytest.approx(4.0), "meter[1]", reason),
        ]
        assert sent_at(gateway) == []


async def test_what_the_link_drops_was_not_sent(
    simulated: Callable[[str], Any], autojump_clock: MockClock
) -> None:
    text = meters(rule=SPEAKS.format(to="10.77.0.1:5600")).replace('"tap"', '"memory"')
    async with simulated(text.replace('mac = "02:00:00:00:01:00"', "")) as gateway:
        gateway.link.close()
        await trio.sleep(2)
        assert [reason for _, _, reason in not_sent(gateway)] == ["the link dropped it"] * 2
        assert sent_at(gateway) == []
        assert gateway.simulation.counters().lost == 2
