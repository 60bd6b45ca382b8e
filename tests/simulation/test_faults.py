"""Device faults, as a gateway sees them, in virtual time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from iotsim.events import (
    DeviceFailed,
    DeviceRebooted,
    FaultChanged,
    NotSent,
    Received,
    Sent,
    Undecodable,
)
from iotsim.testing.frames import datagram_frame, read_datagram
from iotsim.wire import icmpv4, ipv4, virtio
from iotsim.wire.address import parse_address

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.testing import MockClock

    from iotsim.testing import Gateway

METERS = """
[scenario]
name = "meters"
duration = "10m"
[devices.meter]
count = 3
address = "10.77.1.1"
protocol = "sensornet"
state = { reads = 0 }
[devices.meter.signals]
level = { kind = "ramp", start = 0, stop = 1000, period = "1000s" }
[[devices.meter.rules]]
when = { kind = "READ" }
set = { reads = "=state.reads + 1" }
reply = { kind = "REPORT", value = "=level", status = { alarm = false }, point = "=state.reads" }
[[devices.meter.rules]]
when = { kind = "COMMAND" }
reply = { kind = "ACK" }
"""
SPEAKING = """
[gateway]
port = 40000
[[devices.meter.rules]]
send = { kind = "REPORT", value = "=level", device = 1, seq = 1, status = {} }
every = "10s"
"""
READ = {"kind": "READ", "device": 7, "seq": 1}
COMMAND = {"kind": "COMMAND", "code": "IDENTIFY", "device": 7, "seq": 2}


def with_fault(text: str, more: str = "") -> str:
    return f"{METERS}{more}[[fault]]\nname = 'trouble'\n{text}\n"


async def ask(gateway: Gateway, device: str = "meter[0]", message: Any = READ) -> list[Any]:
    """What has come within a moment of a request."""
    gateway.send(device, message)
    await trio.sleep(0.01)
    return gateway.take()


async def kinds(gateway: Gateway, device: str = "meter[0]", message: Any = READ) -> list[str]:
    return [
        one.message["kind"] if one.message else "" for one in await ask(gateway, device, message)
    ]


# -- what a device says -------------------------------------------------------------------------


async def test_a_mute_device_hears_and_says_nothing(
    autojump_clock: MockClock, simulated: Callable[..., Any]
) -> None:
    async with simulated(
        with_fault("devices = 'meter[1]'\nat = '5s'\nfor = '5s'\nmute = true")
    ) as one:
        assert await kinds(one, "meter[1]") == ["REPORT"]
        await trio.sleep(5)
        assert await kinds(one, "meter[1]") == []
        assert await kinds(one, "meter[0]") == ["REPORT"]
        await trio.sleep(5)
        [answer] = await ask(one, "meter[1]")
        assert answer.message["point"] == 3  # it has heard the second, too
        [lost] = [event for event in one.events if isinstance(event, NotSent)]
        assert (lost.device, lost.impaired, lost.reason) == ("meter[1]", "trouble", "mute")
        assert lost.message is not None
        assert lost.message["kind"] == "REPORT"


async def test_what_is_mute_may_be_some_messages_alone(
    autojump_clock: MockClock, simulated: Callable[..., Any]
) -> None:
    text = with_fault("when = { kind = 'REPORT' }\nskip = 1\nfirst = 2\nmute = true")
    async with simulated(text) as gateway:
        answered = [await kinds(gateway) for _ in range(4)]
        assert answered == [["REPORT"], [], [], ["REPORT"]]
        assert await kinds(gateway, "meter[1]") == ["REPORT"]  # each device counts for itself
        assert await kinds(gateway, message=COMMAND) == ["ACK"]


async def test_an_answer_is_repeated(
    autojump_clock: MockClock, simulated: Callable[..., Any]
) -> None:
    async with simulated(with_fault("every = 2\nrepeat = 2")) as gateway:
        assert await kinds(gateway) == ["REPORT"]
        one, two, three = await ask(gateway)
        assert one.payload == two.payload == three.payload
        sent = [event for event in gateway.events if isinstance(event, Sent)]
        assert [event.fate for event in sent] == ["", "repeated", "repeated", ""]
        assert [event.impaired for event in sent] == ["", *["trouble"] * 3]


async def test_bytes_are_missing_or_too_many_or_others(
    autojump_clock: MockClock, simulated: Callable[..., Any]
) -> None:
    async with simulated(METERS) as gateway:
        [right] = await ask(gateway)
    for fault, wrong in (
        ("truncate = 4", right.payload[:-4]),
        ("truncate = 1000", b""),
        ("extra = 'hex:00 ff'", right.payload + b"\x00\xff"),
        ("raw = 'hex:de ad'", b"\xde\xad"),
    ):
        async with simulated(with_fault(f"first = 1\n{fault}")) as gateway:
            [answer] = await ask(gateway)
            assert answer.payload == wrong
            [garbled] = [event for event in gateway.events if isinstance(event, Undecodable)]
            assert (garbled.sent, garbled.data) == (True, wrong.hex())
            assert await kinds(gateway) == ["REPORT"]


async def test_fields_are_malformed_and_all_else_is_right(
    autojump_clock: MockClock, simulated: Callable[..., Any]
) -> None:
    fault = """
    malform = { value = -999, "status.alarm" = "=not msg.status.alarm", seq = "=msg.seq + 65536 * 3" }
    """
    async with simulated(with_fault(fault)) as gateway:
        [answer] = await ask(gateway)
        message = answer.message
        assert (message["value"], message["status"]["alarm"], message["seq"]) == (-999, True, 1)
        # What does not have the fields is let go.
        assert await kinds(gateway, message=COMMAND) == ["ACK"]
        sent = [event for event in gateway.events if isinstance(event, Sent)]
        assert [event.impaired for event in sent] == ["trouble", ""]
        assert sent[0].message["value"] == -999  # as the wire has it


@pytest.mark.parametrize("field", ["crc", "length"])
async def test_a_checksum_and_a_length_can_be_wrong(
    autojump_clock: MockClock, simulated: Callable[..., Any], field: str
) -> None:
    expected = """
    [[expect]]
    name = "garbled"
    device = "meter[0]"
    sends = { undecodable = true }
    within = "1s"
    """
    text = with_fault(f"malform = {{ {field} = 'wrong' }}") + expected
    async with simulated(text) as gateway:
        [answer] = await ask(gateway)
        assert answer.message is None
        [garbled] = [event for event in gateway.events if isinstance(event, Undecodable)]
        assert garbled.reason.startswith(("wrong checksum", "wrong length"))
    assert gateway.run.result.verdict == "passed"


async def test_a_constant_and_an_enum_can_be_anything(
    autojump_clock: MockClock, simulated: Callable[..., Any]
) -> None:
    async with simulated(
        with_fault("malform = { version = 9, kind = 77, magic = 'hex:58 58' }")
    ) as one:
        [answer] = await ask(one)
        assert answer.payload[:4] == b"XX\x09\x4d"


async def test_several_malform_one_message_and_then_it_is_cut(
    autojump_clock: MockClock, simulated: Callable[..., Any]
) -> None:
    text = (
        with_fault("malform = { seq = 5 }")
        + "[[fault]]\nmalform = { version = 9 }\n[[fault]]\ntruncate = 2\n"
    )
    async with simulated(text) as gateway:
        [answer] = await ask(gateway)
        assert answer.payload[2] == 9
        assert answer.payload[10:12] == b"\0\5"
        assert len(answer.payload) == 19


# -- what a device takes ------------------------------------------------------------------------


async def test_a_slow_device_deals_with_messages_later(
    autojump_clock: MockClock, simulated: Callable[..., Any]
) -> None:
    text = with_fault("when = { kind = 'READ' }\nslow = '2s..3s'")
    async with simulated(text) as gateway:
        assert await kinds(gateway) == []
        assert await kinds(gateway, message=COMMAND) == ["ACK"]
        await trio.sleep(1.9)
        assert gateway.take() == []
        await trio.sleep(1.1)
        [answer] = gateway.take()
        assert 2 <= answer.message["value"] <= 3.1  # what it measures then
        received = next(event for event in gateway.events if isinstance(event, Received))
        assert (received.impaired, received.fate) == ("trouble", "slow")
        assert 2 <= received.delay_s <= 3
        outcomes = gateway.simulation.pump.outcomes.by_category()
        assert outcomes == {"answered": 2, "pending": 0, "consumed": 0, "dropped": 0}


async def test_an_error_is_the_protocols_own_and_leaves_rules_alone(
    autojump_clock: MockClock, simulated: Callable[..., Any]
) -> None:
    async with simulated(with_fault("skip = 1\nfirst = 1\nerror = 'BUSY'")) as gateway:
        assert await kinds(gateway) == ["REPORT"]
        [refused] = await ask(gateway)
        assert refused.message["error"] == "BUSY"
        assert (refused.message["device"], refused.message["seq"]) == (7, 1)
        [answer] = await ask(gateway)
        assert answer.message["point"] == 2  # the rules have not heard the second


async def test_what_is_no_request_is_neither_refused_nor_counted(
    autojump_clock: MockClock, simulated: Callable[..., Any]
) -> None:
    async with simulated(with_fault("first = 1\nerror = 'BUSY'")) as gateway:
        assert await kinds(gateway, message={"kind": "ACK", "device": 7, "seq": 1}) == []
        assert await kinds(gateway) == ["ERROR"]
        assert await kinds(gateway) == ["REPORT"]


async def test_a_message_can_be_a_devices_end(
    autojump_clock: MockClock, simulated: Callable[..., Any]
) -> None:
    text = with_fault("when = { kind = 'COMMAND' }\nreboot = { down = '2s' }")
    async with simulated(text) as gateway:
        assert await kinds(gateway) == ["REPORT"]
        assert await kinds(gateway, message=COMMAND) == []
        assert await kinds(gateway) == []
        await trio.sleep(2)
        [answer] = await ask(gateway)
        assert answer.message["point"] == 1  # it has forgotten the first
        assert [event.device for event in gateway.events if isinstance(event, DeviceRebooted)] == [
            "meter[0]"
        ]


# -- conditions ---------------------------------------------------------------------------------

ROUTER = parse_address("10.77.255.254")
GATEWAY = parse_address("10.77.0.1")


def ping(address: str) -> bytes:
    message = icmpv4.build_icmpv4(icmpv4.ECHO_REQUEST, 0, 1, b"data")
    return virtio.PLAIN + ipv4.build_ipv4(GATEWAY, parse_address(address), 1, message)


async def pinged(far_end: Any, address: str) -> tuple[int, int]:
    """Who has answered a ping, and by what type of ICMP message."""
    far_end.link.send_nowait(ping(address))
    await trio.sleep(0.01)
    [frame] = far_end.link.receive_nowait(10)
    packet = frame[virtio.HEADER_LENGTH :]
    return ipv4.parse_ipv4(packet).source, packet[20]


async def test_an_offline_device_is_not_there_not_even_for_a_ping(
    autojump_clock: MockClock, linked: Callable[..., Any]
) -> None:
    text = with_fault("devices = 'meter[1]'\nbetween = ['5s', '10s']\noffline = true", SPEAKING)
    async with linked(text) as far_end:
        assert await pinged(far_end, "10.77.1.2") == (parse_address("10.77.1.2"), 0)
        await trio.sleep(5)
        far_end.link.receive_nowait(100)
        source, kind = await pinged(far_end, "10.77.1.2")
        assert (source, kind) == (ROUTER, icmpv4.DESTINATION_UNREACHABLE)
        assert (await pinged(far_end, "10.77.1.1"))[1] == 0
        await trio.sleep(5)
        far_end.link.receive_nowait(100)
        assert (await pinged(far_end, "10.77.1.2"))[1] == 0
        changes = [event for event in far_end.events if isinstance(event, FaultChanged)]
        assert [(e.t, e.name, e.fault, e.devices, e.begun) for e in changes] == [
            (5.0, "trouble", "offline", "meter[1]", True),
            (10.0, "trouble", "offline", "meter[1]", False),
        ]


async def test_what_an_offline_device_would_say_is_lost(
    autojump_clock: MockClock, simulated: Callable[..., Any]
) -> None:
    text = with_fault("devices = 'meter[0]'\nat = '20s'\nfor = '30s'\noffline = true", SPEAKING)
    async with simulated(text) as gateway:
        await trio.sleep(60)
        said = [one.device for one in gateway.take()]
        assert {name: said.count(name) for name in said} == {
            "meter[0]": 3,
            "meter[1]": 6,
            "meter[2]": 6,
        }
        lost = [event for event in gateway.events if isinstance(event, NotSent)]
        assert [event.reason for event in lost] == ["offline"] * 3


async def test_what_was_on_its_way_to_a_device_that_has_gone_is_lost(
    autojump_clock: MockClock, simulated: Callable[..., Any]
) -> None:
    text = with_fault("at = '1s'\nfor = '5s'\noffline = true") + (
        "[[impair]]\ndirection = 'to_device'\ndelay = '2s'\n"
    )
    async with simulated(text) as gateway:
        gateway.send("meter[0]", READ)
        await trio.sleep(7)
        assert gateway.take() == []
        gateway.send("meter[0]", READ)
        await trio.sleep(2.1)
        [answer] = gateway.take()
        assert answer.message["point"] == 1


async def test_a_reboot_loses_state_and_boots_anew(
    autojump_clock: MockClock, simulated: Callable[..., Any]
) -> None:
    boot = "[devices.meter.boot]\nannounce = { kind = 'ACK', device = 1, seq = 1 }\n[gateway]\nport = 40000\n"
    text = with_fault("devices = 'meter[0]'\nat = '5s'\nreboot = { down = '2s' }", boot)
    async with simulated(text) as gateway:
        await trio.sleep(0.5)
        assert len(gateway.take()) == 3  # all have announced themselves
        await kinds(gateway)
        await trio.sleep(5)
        assert await kinds(gateway) == []
        assert gateway.simulation.fleets["meter"].device(0).state == {"reads": 0}
        await trio.sleep(2)
        assert [one.device for one in gateway.take()] == ["meter[0]"]
        [answer] = await ask(gateway)
        assert answer.message["point"] == 1


async def test_signals_freeze_and_go_on(
    autojump_clock: MockClock, simulated: Callable[..., Any]
) -> None:
    text = with_fault("devices = 'meter[0]'\nat = '10s'\nfor = '20s'\nfreeze = ['level']")
    async with simulated(text) as gateway:
        values = []
        for at in (5, 15, 25, 35):
            await trio.sleep_until(trio.current_time() + at - gateway.run.clock())
            values.append([(await ask(gateway, f"meter[{n}]"))[0].message["value"] for n in (0, 1)])
        assert [round(frozen) for frozen, _ in values] == [5, 10, 10, 35]
        assert [round(other) for _, other in values] == [5, 15, 25, 35]


async def test_signals_are_stale(autojump_clock: MockClock, simulated: Callable[..., Any]) -> None:
    async with simulated(with_fault("at = '50s'\nstale = '30s'")) as gateway:
        await trio.sleep(100)
        assert round((await ask(gateway))[0].message["value"]) == 70


async def test_a_clock_is_off(autojump_clock: MockClock, simulated: Callable[..., Any]) -> None:
    text = with_fault("at = '100s'\nclock_skew = { offset = '-5s', drift = '10%' }")
    text = text.replace('value = "=level"', 'value = "=t", device = "=int(level)"')
    async with simulated(text) as gateway:
        await trio.sleep(90)
        [before] = await ask(gateway)
        assert round(before.message["value"]) == 90
        await trio.sleep(110)
        [after] = await ask(gateway)
        assert round(after.message["value"]) == 205  # five late, and a tenth of 100 early
        assert after.message["device"] == 200


async def test_a_device_sleeps_and_says_late_what_it_would_have_said(
    autojump_clock: MockClock, simulated: Callable[..., Any]
) -> None:
    text = with_fault("at = '100s'\nsleep = { every = '60s', awake = '2s' }", SPEAKING)
    async with simulated(text) as gateway:
        await trio.sleep(101)
        gateway.take()
        assert await kinds(gateway) == ["REPORT"]
        await trio.sleep(2)
        gateway.take()
        assert await kinds(gateway) == []
        await trio.sleep_until(trio.current_time() + 159.9 - gateway.run.clock())
        assert gateway.take() == []
        await trio.sleep(0.2)
        assert len(gateway.take()) >= 15  # what each would have sent meanwhile
        assert await kinds(gateway) == ["REPORT"]


async def test_devices_with_power_sleep_by_themselves_from_their_boot_on(
    autojump_clock: MockClock, simulated: Callable[..., Any]
) -> None:
    text = METERS.replace(
        "state = { reads = 0 }",
        'state = { reads = 0 }\npower = { every = "10s", awake = "1s" }\nboot = { delay = "5s" }',
    )
    async with simulated(text) as gateway:
        awake = []
        for second in range(1, 30):
            await trio.sleep_until(trio.current_time() + second + 0.5 - gateway.run.clock())
            awake.append(await kinds(gateway) == ["REPORT"])
        assert [second for second, one in enumerate(awake, 1) if one] == [5, 15, 25]


async def test_a_device_is_found_at_another_address_and_moves_back(
    autojump_clock: MockClock, linked: Callable[..., Any]
) -> None:
    text = with_fault(
        "devices = 'meter[1:3]'\nat = '10s'\nfor = '10s'\nrebind = { address = '10.77.9.9' }",
        SPEAKING,
    )
    async with linked(text) as far_end:
        codec = far_end.simulation.fleets["meter"].spec.services[0].protocol.codec

        async def answers(address: str, port: int = 5600) -> list[tuple[int, int]]:
            request = datagram_frame(
                (GATEWAY, 50000), (parse_address(address), port), codec.encode(READ)
            )
            far_end.link.receive_nowait(100)
            far_end.link.send_nowait(request)
            await trio.sleep(0.01)
            found = (read_datagram(frame) for frame in far_end.link.receive_nowait(100))
            return [one[0] for one in found if one is not None and one[1] == 50000]

        old, new = parse_address("10.77.1.3"), parse_address("10.77.9.10")
        assert await answers("10.77.1.3") == [(old, 5600)]
        await trio.sleep(10)
        assert await answers("10.77.1.3") == []
        assert await answers("10.77.9.10") == [(new, 5600)]
        assert await answers("10.77.1.1") == [(parse_address("10.77.1.1"), 5600)]
        far_end.link.receive_nowait(100)
        await trio.sleep(9)  # what is said unasked leaves from there, too
        found = [read_datagram(frame) for frame in far_end.link.receive_nowait(100)]
        sources = {one[0][0] for one in found if one is not None}
        assert sources <= {parse_address(a) for a in ("10.77.1.1", "10.77.9.9", "10.77.9.10")}
        await trio.sleep(1)
        assert await answers("10.77.1.3") == [(old, 5600)]
        assert await answers("10.77.9.10") == []


async def test_a_device_is_found_at_another_port(
    autojump_clock: MockClock, linked: Callable[..., Any]
) -> None:
    text = with_fault("devices = 'meter[1]'\nat = '10s'\nfor = '10s'\nrebind = { port = 5700 }")
    async with linked(text) as far_end:
        codec = far_end.simulation.fleets["meter"].spec.services[0].protocol.codec

        async def answered(address: str, port: int) -> list[int]:
            request = datagram_frame(
                (GATEWAY, 50000), (parse_address(address), port), codec.encode(READ)
            )
            far_end.link.receive_nowait(100)
            far_end.link.send_nowait(request)
            await trio.sleep(0.01)
            found = (read_datagram(frame) for frame in far_end.link.receive_nowait(100))
            return [one[0][1] for one in found if one is not None]

        assert await answered("10.77.1.2", 5600) == [5600]
        await trio.sleep(10)
        assert await answered("10.77.1.2", 5600) == []
        assert await answered("10.77.1.2", 5700) == [5700]
        assert await answered("10.77.1.1", 5600) == [5600]
        assert await answered("10.77.1.1", 5700) == []
        await trio.sleep(10)
        assert await answered("10.77.1.2", 5600) == [5600]
        assert await answered("10.77.1.2", 5700) == []


@pytest.mark.parametrize("rebind", ["address = '10.77.9.9'", "port = 5700"])
async def test_what_comes_to_the_new_place_of_a_device_that_is_away_is_seen(
    rebind: str, autojump_clock: MockClock, linked: Callable[..., Any]
) -> None:
    text = with_fault(
        f"devices = 'meter[1]'\nrebind = {{ {rebind} }}\n"
        "[[fault]]\ndevices = 'meter[1]'\noffline = true\n"
        "[[expect]]\ndevice = 'meter[1]'\nnever = true\nreceives = { kind = 'READ' }\n"
    )
    async with linked(text) as far_end:
        await trio.sleep(1)
        codec = far_end.simulation.fleets["meter"].spec.services[0].protocol.codec
        places = [("10.77.1.2", 5600), ("10.77.9.9", 5600), ("10.77.1.2", 5700)]
        for address, port in places:
            request = datagram_frame(
                (GATEWAY, 50000), (parse_address(address), port), codec.encode(READ)
            )
            far_end.link.send_nowait(request)
            await trio.sleep(0.1)
        received = [one for one in far_end.events if isinstance(one, Received)]
        assert far_end.simulation.judge.verdicts() == [False]
    assert [(one.device, one.impaired, one.fate) for one in received] == [
        ("meter[1]", "away", "lost")
    ]


# -- together -----------------------------------------------------------------------------------


async def test_faults_follow_steps_and_expectations(
    autojump_clock: MockClock, simulated: Callable[..., Any]
) -> None:
    text = (
        METERS
        + """
    [[fault]]
    after = "read"
    at = "1s"
    for = "2s"
    mute = true
    [[step]]
    name = "worn out"
    at = "20s"
    devices = "meter[0]"
    fault = { offline = true, for = "5s" }
    [[expect]]
    name = "read"
    device = "meter[0]"
    receives = { kind = "READ" }
    within = "15s"
    """
    )
    async with simulated(text) as gateway:
        await trio.sleep(10)
        assert await kinds(gateway) == ["REPORT"]
        await trio.sleep(1)
        assert await kinds(gateway) == []
        await trio.sleep(2)
        assert await kinds(gateway) == ["REPORT"]
        await trio.sleep(8)
        assert await kinds(gateway) == []
        assert await kinds(gateway, "meter[1]") == ["REPORT"]
        await trio.sleep(4)
        assert await kinds(gateway) == ["REPORT"]


async def transcript(simulated: Callable[..., Any], text: str) -> list[Any]:
    """What all devices have sent, and when, while they are read now and then."""
    async with simulated(text) as gateway:
        for _ in range(20):
            for number in range(3):
                gateway.send(f"meter[{number}]", READ)
            await trio.sleep(0.7)
        await trio.sleep(5)
        return [
            (round(event.t, 6), event.device, round(event.message["value"], 3), event.impaired)
            for event in gateway.events
            if isinstance(event, Sent)
        ]


async def test_another_fault_changes_nothing_for_other_devices_and_faults(
    autojump_clock: MockClock, simulated: Callable[..., Any]
) -> None:
    slow = "[[fault]]\ndevices = 'meter[0:2]'\nslow = '100ms..900ms'\n"
    more = "[[fault]]\ndevices = 'meter[2]'\nslow = '100ms..900ms'\n"
    first = await transcript(simulated, METERS + slow)
    assert await transcript(simulated, METERS + slow) == first
    second = await transcript(simulated, METERS + more + slow)

    def of_two(events: list[Any]) -> list[Any]:
        return [(t, device, message) for t, device, message, _ in events if device != "meter[2]"]

    assert of_two(second) == of_two(first)
    times = {t for t, device, _, _ in first if device == "meter[0]"}
    assert len(times) == 20
    assert second != first


async def test_an_expression_that_fails_stops_the_device_also_when_a_message_was_held(
    autojump_clock: MockClock, simulated: Callable[..., Any]
) -> None:
    delayed = "[[impair]]\ndirection = 'from_device'\ndelay = '1s'\n"
    for fault in (
        "where = '1 / (msg.point - 1) > 0'\nmute = true",
        "malform = { value = '=1 / 0.0' }",
    ):
        text = METERS + delayed + f"[[fault]]\ndevices = 'meter[0]'\n{fault}\n"
        if "1 / 0.0" in fault:
            text = text.replace("1 / 0.0", "1 / (msg.point - 1)")
        async with simulated(text) as gateway:
            gateway.send("meter[0]", READ)
            gateway.send("meter[1]", READ)
            await trio.sleep(2)
            assert [one.device for one in gateway.take()] == ["meter[1]"]
            [failed] = [event for event in gateway.events if isinstance(event, DeviceFailed)]
            assert (failed.device, "division by zero" in failed.error) == ("meter[0]", True)
        assert gateway.run.result.verdict == "error"


async def test_what_a_step_sets_is_frozen_and_stale_as_well(
    autojump_clock: MockClock, simulated: Callable[..., Any]
) -> None:
    steps = """
    [[step]]
    at = "20s"
    devices = "meter"
    signal = { level = 500 }
    [[fault]]
    devices = "meter[0]"
    at = "10s"
    freeze = true
    [[fault]]
    devices = "meter[1]"
    stale = "30s"
    """
    async with simulated(METERS + steps) as gateway:
        await trio.sleep(45)
        values = [(await ask(gateway, f"meter[{n}]"))[0].message["value"] for n in range(3)]
        assert [round(value) for value in values] == [10, 15, 500]
        await trio.sleep(6)
        assert (await ask(gateway, "meter[1]"))[0].message["value"] == 500


async def test_a_fault_that_no_message_came_for_is_told_but_no_condition(
    autojump_clock: MockClock, simulated: Callable[..., Any]
) -> None:
    text = (
        METERS
        + """
    [[fault]]
    name = "away"
    devices = "meter[2]"
    offline = true
    [[fault]]
    name = "in vain"
    when = { kind = "READINGS" }
    truncate = 1
    [[fault]]
    name = "refused"
    when = { kind = "COMMAND" }
    error = "BUSY"
    """
    )
    async with simulated(text) as gateway:
        await kinds(gateway)
        assert sorted(gateway.simulation.disturbances.idle()) == ["in vain", "refused"]
        await kinds(gateway, message=COMMAND)
        assert gateway.simulation.disturbances.idle() == ["in vain"]
