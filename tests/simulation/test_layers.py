"""What expectations see of what goes by a session, and of what does not; and what has not left."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
import trio
from tests.session.helpers import write_protocol
from tests.simulation.test_sending import answer_arp, not_sent, outcomes

from iotsim.events import Received, Sent, SessionFailed
from iotsim.protocol.registry import load_protocol
from iotsim.simulation.sessions import SessionService
from iotsim.wire import ethernet, ipv4, udp, virtio
from iotsim.wire.address import parse_address

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trio.testing import MockClock

PLAIN = "class Talk(Session):\n    pass\n"
WITHHELD = """
class Talk(Session):
    def receive(self, message, peer):
        if message["kind"] == "GET":
            self.deliver(message, peer)

    def reply(self, message, exchange):
        if message["number"]:
            self.send({**message, "data": b"x"}, exchange, says=message)
"""
FLEET = """
[devices.meter]
count = 2
address = "10.77.1.1"
protocol = {protocol}

[[devices.meter.rules]]
when = {when}
reply = {reply}
{more}
"""
READ = {"kind": "READ", "device": 1, "seq": 1, "point": 0}
SENSORNET = {
    "protocol": '"sensornet"',
    "when": '{ kind = "READ" }',
    "reply": '{ kind = "REPORT", value = 1 }',
    "more": "",
}
BOTH = {**SENSORNET, "protocol": '["sensornet", "talk"]', "more": 'protocol = "sensornet"'}
TALK = {
    "protocol": '"talk"',
    "when": '{ kind = "GET" }',
    "reply": '{ kind = "PUT", number = "=msg.number" }',
    "more": "",
}


def expected(*expectations: str) -> str:
    return "".join(f"\n[[expect]]\n{expectation}\n" for expectation in expectations)


@pytest.mark.parametrize("fleet", [SENSORNET, BOTH], ids=["alone", "beside a session"])
@pytest.mark.parametrize("direction", ["receives", "sends"])
@pytest.mark.parametrize("others", ["", "application"])
async def test_without_a_session_each_layer_has_all_messages(
    fleet: dict[str, str],
    direction: str,
    others: str,
    simulated: Callable[[str], Any],
    tmp_path: Path,
    autojump_clock: MockClock,
) -> None:
    write_protocol(tmp_path, PLAIN)
    kind = "READ" if direction == "receives" else "REPORT"
    layers = ['layer = "wire"', *([""] if others else [])]
    watched = f'{direction} = {{ kind = "{kind}" }}'
    expectations = [
        text
        for layer in layers
        for text in (
            f'each = "meter"\nnever = true\n{watched}\n{layer}',
            f'each = "meter"\n{watched}\nwithin = "9s"\n{layer}',
            f'all = "meter"\n{watched}\ncount = {{ min = 1, max = 2 }}\n{layer}',
        )
    ]
    async with simulated(FLEET.format(**fleet) + expected(*expectations)) as gateway:
        for device in ("meter[0]", "meter[1]", "meter[1]"):
            gateway.send(device, READ)
            await trio.sleep(0.1)
        verdicts = gateway.simulation.judge.verdicts()
    assert verdicts == [False, True, False] * len(layers)


async def test_with_a_session_each_layer_has_its_own(
    simulated: Callable[[str], Any], tmp_path: Path, autojump_clock: MockClock
) -> None:
    write_protocol(tmp_path, WITHHELD)
    wire = '\nlayer = "wire"'
    expectations = expected(
        'each = "meter"\nnever = true\nreceives = { kind = "ACK" }',
        'each = "meter"\nnever = true\nreceives = { kind = "ACK" }' + wire,
        'each = "meter"\nnever = true\nsends = { data = "hex:78" }',
        'each = "meter"\nnever = true\nsends = { data = "hex:78" }' + wire,
        'each = "meter"\nsends = { kind = "PUT" }\nwithin = "1s"',
        'each = "meter"\nsends = { kind = "PUT" }\nwithin = "1s"' + wire,
    )
    async with simulated(FLEET.format(**TALK) + expectations) as gateway:
        gateway.send("meter[0]", {"kind": "ACK"})
        gateway.send("meter[0]", {"kind": "GET", "number": 1})
        gateway.send("meter[1]", {"kind": "GET", "number": 0})
        await trio.sleep(2)
        assert gateway.simulation.judge.verdicts() == [None, False, None, False, False, False]
        assert outcomes(gateway) == {"answered": 1, "consumed.session": 2}


@pytest.mark.parametrize("delay", ["", 'delay = "500ms"'])
@pytest.mark.parametrize("session", [PLAIN, WITHHELD], ids=["as it is", "in another form"])
@pytest.mark.parametrize("reached", [True, False])
async def test_an_answer_was_given_once_it_has_left(
    reached: bool,
    session: str,
    delay: str,
    linked: Callable[[str], Any],
    tmp_path: Path,
    autojump_clock: MockClock,
) -> None:
    write_protocol(tmp_path, session)
    link = '[link]\nkind = "tap"\n'
    fleet = FLEET.format(**{**TALK, "more": delay}).replace(
        "count = 2", 'count = 2\nmac = "02:00:00:00:01:00"'
    )
    expectation = expected('each = "meter[0]"\nsends = { kind = "PUT" }\nwithin = "10s"')
    async with linked(link + fleet + expectation) as far_end:
        ask(far_end, tmp_path)
        await trio.sleep(2)
        assert outcomes(far_end) == {"pending": 1}
        assert [event for event in far_end.events if isinstance(event, Sent)] == []
        if reached:
            answer_arp(far_end)
        await trio.sleep(9)
        done = {"answered": 1, "consumed.arp-reply": 1} if reached else {"consumed.not-sent": 1}
        assert outcomes(far_end) == done
        assert len(not_sent(far_end)) == (not reached)
        assert far_end.simulation.judge.verdicts() == [reached]
        layers = [] if not reached else [""] if session == PLAIN else ["wire", "application"]
        sent = [event for event in far_end.events if isinstance(event, Sent)]
        assert [(event.layer, event.in_reply_to) for event in sent] == [(one, 1) for one in layers]


def ask(far_end: Any, folder: Path) -> None:
    """A request of a stranger, of whom nobody knows where it is."""
    codec = load_protocol("talk", [folder]).protocol.codec
    payload = codec.encode({"kind": "GET", "number": 1})
    stranger, meter = parse_address("10.77.0.9"), parse_address("10.77.1.1")
    segment = udp.build_udp(stranger, meter, 40000, 5000, payload)
    header = ethernet.EthernetHeader(0x020000000100, 0x020000000009, ethernet.IPV4)
    packet = ipv4.build_ipv4(stranger, meter, ipv4.UDP, segment)
    far_end.link.send_nowait(virtio.PLAIN + ethernet.build_ethernet(header) + packet)


REPEATED = {
    "coap": (
        5683,
        '{ code = "POST", path = "/r", payload = "1" }',
        '{ code = "POST", payload = "1" }',
        "",
    ),
    "snmp": (
        162,
        '{ pdu = "INFORM", bindings = [ { oid = "1.3.6.1.4.1.5.1", type = "INTEGER", value = 1 } ] }',
        '{ pdu = "INFORM" }',
        'model = { inform_timeout = "1s" }',
    ),
    "lwm2m": (5683, "", '{ operation = "REGISTER" }', 'model = { endpoint = "=device.name" }'),
}
SPEAKER = """
[gateway]
port = {port}
[devices.meter]
address = "10.77.1.1"
protocol = "{protocol}"
{model}
{rule}
[[impair]]
direction = "from_device"
first = {lost}
{fate}

[[expect]]
name = "never said"
each = "meter"
sends = {said}
never = true
[[expect]]
name = "said"
each = "meter"
sends = {said}
within = "20s"
"""


@pytest.mark.parametrize("fate", ['loss = "100%"', "corrupt = 1.0"])
@pytest.mark.parametrize("lost", [0, 1, 2])
@pytest.mark.parametrize("protocol", REPEATED)
async def test_what_is_repeated_is_said_with_the_first_copy_that_is_not_lost(
    protocol: str,
    lost: int,
    fate: str,
    simulated: Callable[[str], Any],
    autojump_clock: MockClock,
) -> None:
    port, sent, said, model = REPEATED[protocol]
    rule = f"[[devices.meter.rules]]\nafter = '1s'\nsend = {sent}" if sent else ""
    text = SPEAKER.format(
        port=port, protocol=protocol, model=model, rule=rule, lost=lost, fate=fate, said=said
    )
    if not lost:
        text = text.partition("[[impair]]")[0] + "[[expect]]" + text.partition("[[expect]]")[2]
    async with simulated(text) as gateway:
        await trio.sleep(20)  # nobody answers: it is repeated
        events = [event for event in gateway.events if isinstance(event, Sent)]
        never, _ = gateway.simulation.judge.verdicts()
    copies = [event.t for event in events if event.layer != "application"]
    told = [event.t for event in events if event.layer != "wire"]
    assert len(copies) >= 3 - lost
    assert told == copies[:1]
    assert never is False


@pytest.mark.parametrize("fate", ['loss = "100%"', "corrupt = 1.0"])
async def test_what_never_reached_a_session_leaves_in_doubt_what_it_would_have_broken(
    fate: str, simulated: Callable[[str], Any], tmp_path: Path, autojump_clock: MockClock
) -> None:
    write_protocol(tmp_path, PLAIN)
    get, put = 'receives = { kind = "GET" }', 'receives = { kind = "PUT" }'
    doubtful = {
        f'each = "meter"\nnever = true\n{get}': True,
        f'each = "meter"\nnever = true\n{put}': False,
        f'each = "meter"\ncount = {{ max = 0 }}\n{get}': True,
        f'all = "meter"\nnever = true\n{get}': True,
        # What is lost may come again, and is then the same to who counts.
        f'each = "meter"\ncount = {{ max = 1 }}\n{get}': False,
        f'each = "meter"\nalways = {{ number = {{ max = 5 }} }}\n{get}': True,
        f'each = "meter"\nalways = {{ number = {{ max = 9 }} }}\n{get}': False,
        # The other meter has certainly heard nothing.
        f'any = "meter"\nnever = true\n{get}': False,
    }
    on_the_wire = f'each = "meter"\nnever = true\n{get}\nlayer = "wire"'
    expectations = expected(*doubtful, on_the_wire)
    impaired = f"\n[[impair]]\ndirection = 'to_device'\n{fate}\n"
    async with simulated(FLEET.format(**TALK) + impaired + expectations) as gateway:
        for number in (4, 9):
            gateway.send("meter[1]", {"kind": "GET", "number": number})
            await trio.sleep(0.1)
        *outcomes, seen = gateway.simulation.judge.finish(1.0).outcomes
    assert [bool(one.inconclusive) for one in outcomes] == [*doubtful.values()]
    assert [one.passed for one in outcomes] == [not doubt for doubt in doubtful.values()]
    assert (seen.passed, seen.inconclusive) == (False, "")
    assert "meter[1]" in outcomes[0].inconclusive


AWAY = {
    "offline": "[[fault]]\noffline = true\n",
    "not booted": "",
    "down": "[[fault]]\nreboot = { down = '20s' }\nat = '10ms'\n",
    "asleep": "",
}
POWER = {
    "not booted": "boot = { delay = '20s' }\n",
    "asleep": "power = { every = '60s', awake = '1ms' }\n",
}


@pytest.mark.parametrize("why", AWAY)
@pytest.mark.parametrize("talks", [False, True], ids=["", "session"])
async def test_what_the_gateway_sends_to_a_device_that_is_away_is_seen_on_the_link(
    why: str,
    talks: bool,
    simulated: Callable[[str], Any],
    tmp_path: Path,
    autojump_clock: MockClock,
) -> None:
    write_protocol(tmp_path, PLAIN)
    fleet, kind, layer = (TALK, "GET", 'layer = "wire"') if talks else (SENSORNET, "READ", "")
    text = FLEET.format(**fleet).replace("count = 2\n", f"count = 2\n{POWER.get(why, '')}")
    expectations = expected(
        f'device = "meter[1]"\nwithin = "5s"\nreceives = {{ kind = "{kind}" }}\n{layer}',
        f'device = "meter[1]"\nnever = true\nreceives = {{ kind = "{kind}" }}\n{layer}',
        f'device = "meter[1]"\ncount = {{ max = 2 }}\nper = "1s"\nreceives = {{ kind = "{kind}" }}\n{layer}',
    )
    async with simulated(text + AWAY[why] + expectations) as gateway:
        await trio.sleep(0.1)
        for _ in range(4):
            gateway.send("meter[1]", {"kind": "GET", "number": 4} if talks else READ)
            await trio.sleep(0.1)
        verdicts = gateway.simulation.judge.verdicts()
        received = [event for event in gateway.events if isinstance(event, Received)]
        sent = [event for event in gateway.events if isinstance(event, Sent)]
    assert verdicts == [True, False, False]
    assert {(event.impaired, event.fate, event.layer) for event in received} == {
        ("away", "lost", "wire" if talks else "")
    }
    assert len(received) == 4
    assert sent == []


async def test_an_answer_that_never_comes_is_missed_in_its_time_also_after_a_pause(
    simulated: Callable[[str], Any], autojump_clock: MockClock
) -> None:
    pair = 'from = { receives = { kind = "READ" } }, to = { sends = { kind = "REPORT" } }'
    mute = "\n[[fault]]\nmute = true\nskip = 1\nfirst = 1\n"
    latency = expected(f'each = "meter"\nlatency = {{ {pair}, max = "200ms" }}')
    async with simulated(FLEET.format(**SENSORNET) + mute + latency) as gateway:
        judge = gateway.simulation.judge
        gateway.send("meter[0]", READ)
        await trio.sleep(3)
        assert judge.verdicts() == [None]
        gateway.send("meter[0]", READ)
        await trio.sleep(0.1)
        assert judge.verdicts() == [None]
        await trio.sleep(0.2)
        assert judge.verdicts() == [False]


ASKS_TWICE = """
class Talk(Session):
    async def run(self):
        for _ in range(2):
            message = {"kind": "GET", "number": 7}
            with suppress(Unanswered):
                await self.ask(
                    message, self.gateway, lambda m: m["kind"] == "ACK", timeout=1, tries=2, says=message
                )
            await self.sleep(3)
"""


async def test_the_same_bytes_anew_say_nothing_of_what_was_lost_before(
    simulated: Callable[[str], Any], tmp_path: Path, autojump_clock: MockClock
) -> None:
    write_protocol(tmp_path, "from contextlib import suppress\n" + ASKS_TWICE)
    fleet = FLEET.format(**TALK).replace("count = 2", "count = 1")
    lost = "\n[[impair]]\ndirection = 'from_device'\nfirst = 2\nloss = '100%'\n"
    async with simulated("[gateway]\nport = 5000\n" + fleet + lost) as gateway:
        await trio.sleep(20)
        sent = [event.layer for event in gateway.events if isinstance(event, Sent)]
    assert sent == ["", "wire"]


async def test_what_is_doubled_is_said_by_the_copy_that_is_not_lost(
    simulated: Callable[[str], Any], autojump_clock: MockClock
) -> None:
    port, sent, said, model = REPEATED["coap"]
    rule = f"[[devices.meter.rules]]\nafter = '1s'\nsend = {sent}"
    text = SPEAKER.format(
        port=port,
        protocol="coap",
        model=model,
        rule=rule,
        lost=1,
        fate="duplicate = 1.0\n[[impair]]\ndirection = 'from_device'\nfirst = 1\nloss = 1.0",
        said=said,
    )
    async with simulated(text) as gateway:
        await trio.sleep(20)
        layers = [event.layer for event in gateway.events if isinstance(event, Sent)]
    assert len(layers) > 2
    assert [layer for layer in layers if layer != "wire"] == [""]


SPEAKS_AS_IT_BOOTED = """
class Talk(Session):
    async def run(self):
        self.key = 7

    def submit(self, message, peer, ticket):
        self.send({**message, "number": self.key}, peer, says=message)
"""


async def test_a_device_boots_before_it_sends_also_if_it_is_late(
    simulated: Callable[[str], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In real time: some thousand boots take longer than the time after which devices send."""
    write_protocol(tmp_path, SPEAKS_AS_IT_BOOTED)
    boot = SessionService.boot

    def slowly(self: SessionService, device: Any, reboots: int) -> None:
        time.sleep(1e-4)
        boot(self, device, reboots)

    monkeypatch.setattr(SessionService, "boot", slowly)
    rule = 'protocol = "talk"\n[[devices.meter.rules]]\nafter = "20ms"\nsend = { kind = "PUT" }'
    fleet = f'[devices.meter]\ncount = 1000\naddress = "10.77.64.1"\n{rule}\n'
    async with simulated("[gateway]\nport = 5000\n" + fleet) as gateway:
        await trio.sleep(0.5)
        events = gateway.events
    assert not [event for event in events if isinstance(event, SessionFailed)]
    sent = [event for event in events if isinstance(event, Sent) and event.layer == "wire"]
    assert {event.message["number"] for event in sent} == {7}
