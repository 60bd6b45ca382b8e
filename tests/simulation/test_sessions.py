"""Sessions at work: what they hear and say, when they begin and end, and what becomes of their mistakes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.session.helpers import write_protocol

from iotsim.errors import ScenarioError
from iotsim.events import DeviceFailed, DeviceRebooted, Note, Received, Sent, SessionFailed
from iotsim.testing import Transcript, simulated

if TYPE_CHECKING:
    from pathlib import Path

PLAIN = "class Talk(Session):\n    pass\n"
RULE = {"when": {"kind": "GET"}, "reply": {"kind": "PUT", "number": "=msg.number + 1"}}


@pytest.fixture
def talk(tmp_path: Path) -> Any:
    def make(session: str, **table: Any) -> Transcript:
        write_protocol(tmp_path, session)
        return Transcript("talk", folder=tmp_path, **table)

    return make


def test_a_session_that_overrides_nothing_changes_nothing(talk: Any) -> None:
    device = talk(PLAIN, rules=[RULE])
    assert device.receive(kind="GET", number=4)[0]["number"] == 5
    device.receive(kind="ACK")
    assert device.lines() == ["0.000 <- GET 4", "0.000 -> PUT 5", "0.000 <- ACK 0"]
    received, sent = (e for e in device.events if isinstance(e, (Received, Sent)) and e.id < 3)
    assert sent.in_reply_to == received.id
    outcomes = device.simulation.counters().counts
    assert outcomes["outcome.answered"] == 1
    assert outcomes["outcome.consumed.no-rule"] == 1


def test_rules_come_first_then_the_model(talk: Any) -> None:
    device = talk(
        """
class Talk(Session):
    def respond(self, message, peer):
        if message["kind"] == "GET":
            return {"kind": "PUT", "number": 99}
""",
        rules=[{"when": {"kind": "GET", "number": 1}, "reply": {"kind": "PUT", "number": 7}}],
    )
    assert [device.receive(kind="GET", number=n)[0]["number"] for n in (1, 2)] == [7, 99]
    assert device.receive(kind="ACK") == []


def test_a_message_can_be_taken_without_an_answer(talk: Any) -> None:
    device = talk(
        """
class Talk(Session):
    def respond(self, message, peer):
        if message["kind"] != "ACK":
            return [{"kind": "PUT"}, {"kind": "BAD"}][:message["number"]]
"""
    )
    assert [len(device.receive(kind="GET", number=number)) for number in range(3)] == [0, 1, 2]
    device.receive(kind="ACK")
    outcomes = device.simulation.counters().counts
    assert outcomes["outcome.consumed.no-reply"] == 1
    assert outcomes["outcome.answered"] == 2
    assert outcomes["outcome.consumed.no-rule"] == 1


def test_what_a_session_keeps_for_itself_is_on_the_wire_alone(talk: Any) -> None:
    device = talk(
        """
class Talk(Session):
    def receive(self, message, peer):
        self.send({"kind": "ACK", "number": message["number"]}, peer)
        if message["kind"] != "ACK":
            self.deliver({**message, "data": b"whole"}, peer)

    def reply(self, message, exchange):
        self.send({**message, "data": b"part"}, exchange, says=message)
""",
        rules=[RULE],
    )
    device.receive(kind="GET", number=1)
    device.receive(kind="ACK", number=9)
    assert device.lines() == [
        "0.000 <- GET 1 [wire]",
        "0.000 -> ACK 1 [wire]",
        "0.000 <- GET 1 [application]",
        "0.000 -> PUT 2 [wire]",
        "0.000 -> PUT 2 [application]",
        "0.000 <- ACK 9 [wire]",
        "0.000 -> ACK 9 [wire]",
    ]


LATER = """
class Talk(Session):
    def reply(self, message, exchange):
        self.send({"kind": "ACK"}, exchange)
        if message["number"] < 9:
            self.call_later(2.0, self.go_on, message, exchange)

    def go_on(self, message, peer):
        self.send(message, peer, says=message)
"""


def test_what_a_session_keeps_back_was_not_said(talk: Any) -> None:
    device = talk(LATER, rules=[RULE])
    device.receive(kind="GET", number=1)
    device.receive(kind="GET", number=8)
    device.wait(3)
    assert device.lines() == [
        "0.000 <- GET 1",
        "0.000 -> ACK 0 [wire]",
        "0.000 <- GET 8",
        "0.000 -> ACK 0 [wire]",
        "2.000 -> PUT 2",
    ]


def test_an_answer_with_a_delay_comes_by_the_session_later(talk: Any) -> None:
    device = talk(PLAIN, rules=[{**RULE, "delay": "2s"}])
    device.receive(kind="GET", number=1)
    assert device.simulation.progress().pending == 1
    device.wait(3)
    assert device.lines() == ["0.000 <- GET 1", "2.000 -> PUT 2"]
    assert device.simulation.progress().answered == 1
    sent = device.events[-1]
    assert isinstance(sent, Sent)
    assert sent.in_reply_to == 1


RUNS = """
class Talk(Session):
    async def run(self):
        number = 0
        while True:
            try:
                answer = await self.ask(
                    {"kind": "REGISTER", "number": number},
                    self.gateway,
                    lambda m: m["kind"] == "ACK",
                    timeout=1.0,
                    tries=3,
                    backoff=2.0,
                )
                self.log(f"registered as {answer['number']}")
                await self.sleep(10)
            except Unanswered as error:
                self.log(f"unanswered: {error.reason}")
                await self.sleep(5)
            number += 1
"""


def test_a_conversation_repeats_waits_and_goes_on(talk: Any) -> None:
    device = talk(RUNS)
    device.wait(12.5)  # 1 + 2 + 4 s of waiting, then 5 of rest
    device.receive(kind="ACK", number=42)
    device.wait(3)
    assert device.lines() == [
        "0.000 -> REGISTER 0 [wire]",
        "1.000 -> REGISTER 0 [wire]",
        "3.000 -> REGISTER 0 [wire]",
        "7.000 note: device[0]: unanswered: timeout",
        "12.000 -> REGISTER 1 [wire]",
        "12.500 <- ACK 42 [wire]",
        "12.500 note: device[0]: registered as 42",
    ]
    assert device.simulation.counters().counts["outcome.consumed.session"] == 1


def test_a_reboot_ends_the_conversation_and_begins_it_anew(talk: Any) -> None:
    device = talk(RUNS)
    device.wait(0.5)
    device.reboot()
    device.wait(1.2)
    # The repetition that was due at 1.0 belonged to the life before.
    assert device.lines() == [
        "0.000 -> REGISTER 0 [wire]",
        "0.500 -> REGISTER 0 [wire]",
        "1.500 -> REGISTER 0 [wire]",
    ]


def test_a_reboot_does_not_draw_the_same_numbers_again(talk: Any) -> None:
    device = talk(
        """
class Talk(Session):
    async def run(self):
        self.send({"kind": "PUT", "number": self.bits(8)}, self.gateway)
        self.send({"kind": "PUT", "number": self.bits(8)}, self.gateway)
"""
    )
    device.reboot()
    device.reboot()
    numbers = [message["number"] for message in device.sent]
    assert len(numbers) == len(set(numbers)) == 6


def test_what_answers_late_after_a_reboot_is_not_said(talk: Any) -> None:
    device = talk(PLAIN, rules=[{**RULE, "delay": "2s"}])
    device.receive(kind="GET", number=1)
    device.reboot()
    device.wait(5)
    assert device.sent == []
    assert device.simulation.counters().counts["outcome.dropped.device-rebooted"] == 1


BROKEN = """
class Talk(Session):
    seen = 0

    def receive(self, message, peer):
        self.seen += 1
        if message["kind"] == "BAD":
            raise KeyError("no such thing")
        self.send({"kind": "ACK", "number": self.seen}, peer)
"""


def test_a_session_that_fails_is_reported_and_begins_anew(talk: Any) -> None:
    device = talk(BROKEN, may_fail=True)
    device.receive(kind="GET")
    device.receive(kind="GET")
    device.receive(kind="BAD", data=b"x")
    assert [message["number"] for message in device.receive(kind="GET")] == [1]
    (failed,) = [event for event in device.events if isinstance(event, SessionFailed)]
    assert failed.error == "the session of talk failed: KeyError: 'no such thing' (talk.py:18)"
    assert failed.data == "050078"
    assert "talk.py" in failed.traceback
    assert not device.device.failed
    assert device.simulation.counters().counts["outcome.dropped.session-failed"] == 1


async def test_a_session_that_fails_makes_the_verdict_an_error(
    tmp_path: Path, autojump_clock: object
) -> None:
    write_protocol(tmp_path, BROKEN)
    scenario = tmp_path / "scenario.toml"
    scenario.write_text(
        '[scenario]\nname = "broken"\nduration = "5s"\n[link]\naddress = "10.77.0.1/16"\n'
        '[devices.d]\ncount = 2\naddress = "10.77.1.1"\nprotocol = "talk"\n'
        '[[expect]]\nany = "d"\nreceives = {}\nwithin = "1s"\n'
    )
    async with simulated(scenario) as gateway:
        for _ in range(3):
            gateway.send("d[1]", {"kind": "BAD"})
        gateway.send("d[1]", {"kind": "GET"})
        assert (await gateway.receive(1.0)).message["number"] == 1  # type: ignore[index]
    result = gateway.run.result
    assert result.verdict == "error"
    assert "d[1]: the session of talk failed: KeyError" in str(result.errors)
    assert "1 of the devices failed" in str(result.errors)


def test_a_conversation_that_fails_begins_anew_after_a_moment(talk: Any) -> None:
    device = talk(
        """
class Talk(Session):
    async def run(self):
        await self.sleep(1)
        raise ValueError("at work")
""",
        may_fail=True,
    )
    device.wait(5.5)
    assert [line for line in device.lines() if "failed" in line] == [
        "1.000 failed: the session of talk failed: ValueError: at work (talk.py:15)",
        "3.000 failed: the session of talk failed: ValueError: at work (talk.py:15)",
        "5.000 failed: the session of talk failed: ValueError: at work (talk.py:15)",
    ]
    assert len(device.simulation.failed_devices) == 1


def test_a_rule_that_fails_stops_its_device_and_not_the_session(talk: Any) -> None:
    device = talk(
        PLAIN,
        may_fail=True,
        rules=[
            {"when": {"kind": "GET"}, "reply": {"kind": "PUT", "number": "=1 // (msg.number - 1)"}}
        ],
    )
    device.receive(kind="GET", number=1)
    assert device.device.failed
    (failed,) = [event for event in device.events if isinstance(event, DeviceFailed)]
    assert "=1 // (msg.number - 1)" in failed.error
    assert not [event for event in device.events if isinstance(event, SessionFailed)]


def test_a_rules_answer_that_is_no_message_is_the_rules_mistake(talk: Any) -> None:
    device = talk(
        PLAIN,
        may_fail=True,
        rules=[{"when": {"kind": "GET"}, "reply": {"kind": "PUT", "number": "=msg.number * 300"}}],
    )
    device.receive(kind="GET", number=1)
    assert device.device.failed
    assert "number" in device.lines()[-1]


def test_the_answer_to_a_request_goes_to_who_asked(talk: Any) -> None:
    device = talk(
        """
class Talk(Session):
    def receive(self, message, peer):
        if message["kind"] == "BAD":
            self.start(self.question(peer))
        else:
            self.deliver(message, peer)

    async def question(self, peer):
        answer = await self.request({"kind": "GET", "number": 3}, peer)
        self.log(answer["number"])
""",
        rules=[{"when": {"kind": "PUT"}, "reply": {"kind": "ACK"}}],
    )
    device.receive(kind="BAD")
    device.receive(kind="PUT", number=8)
    device.receive(kind="PUT", number=9)
    assert device.lines() == [
        "0.000 <- BAD 0 [wire]",
        "0.000 -> GET 3",
        "0.000 <- PUT 8",
        "0.000 note: device[0]: 8",
        "0.000 <- PUT 9",
        "0.000 -> ACK 0",
    ]


def test_the_devices_own_sendings_go_through_the_session(talk: Any) -> None:
    device = talk(
        """
class Talk(Session):
    def submit(self, message, peer, ticket):
        self.send({**message, "number": 77}, peer, says=message)
""",
        rules=[{"send": {"kind": "PUT"}, "every": "10s"}],
    )
    device.wait(10)
    assert [message["number"] for message in device.sent] == [77]
    assert [line.split(" ", 1)[1] for line in device.lines()] == [
        "-> PUT 77 [wire]",
        "-> PUT 0 [application]",
    ]


def test_a_group_is_told_and_no_error_goes_to_it(tmp_path: Path) -> None:
    write_protocol(
        tmp_path,
        """
class Talk(Session):
    def receive(self, message, peer):
        self.log("group" if peer.group else "alone")
""",
    )
    source = (tmp_path / "talk.py").read_text()
    errors = 'error_reply=lambda error, data: {"kind": "BAD"}, groups=["224.0.1.9"], '
    (tmp_path / "talk.py").write_text(source.replace("session=Talk", errors + "session=Talk"))
    device = Transcript("talk", folder=tmp_path)
    device.receive(kind="GET", at="224.0.1.9")
    device.receive(kind="GET")
    device.receive(b"", at="224.0.1.9")
    assert device.sent == []
    device.receive(b"")
    assert [line.split(": ")[-1] for line in device.lines() if "note" in line] == ["group", "alone"]
    assert [message["kind"] for message in device.sent] == ["BAD"]


def test_what_would_be_said_now_can_be_asked_without_saying_it(talk: Any) -> None:
    device = talk(
        """
class Talk(Session):
    def receive(self, message, peer):
        self.log(self.evaluate({"kind": "GET", "number": 1, "data": b""}, peer))
""",
        rules=[RULE],
    )
    device.receive(kind="ACK")
    assert device.sent == []
    assert "{'kind': 'PUT', 'number': 2}" in device.lines()[-1]


PORTS = """
class Talk(Session):
    ours = 0

    def receive(self, message, peer):
        if message["kind"] == "GET":
            self.ours = self.open_port()
            self.send({"kind": "PUT", "number": 1}, peer.at(self.ours))
        elif message["kind"] == "ACK":
            self.close_port(self.ours)
        else:
            self.send({"kind": "PUT", "number": 2}, peer)
"""


def test_a_session_may_speak_from_another_port(talk: Any) -> None:
    device = talk(PORTS)
    device.receive(kind="GET")
    ((port, _),) = device.datagrams
    assert port >= 49152
    device.receive(kind="PUT", port=port)
    assert [one[0] for one in device.datagrams] == [port, port]
    sent = [event for event in device.events if isinstance(event, Sent)]
    assert [event.in_reply_to for event in sent] == [1, 3]
    assert device.simulation.counters().counts["outcome.answered"] == 2
    device.receive(kind="ACK", port=port)
    assert device.receive(kind="PUT", port=port) == []
    assert device.simulation.counters().counts["outcome.dropped.no-service"] == 1


def test_the_end_of_a_session_closes_its_ports(talk: Any) -> None:
    device = talk(PORTS)
    device.receive(kind="GET")
    ((port, _),) = device.datagrams
    device.reboot()
    assert device.receive(kind="PUT", port=port) == []


def test_a_device_has_so_many_ports_and_no_more(talk: Any) -> None:
    device = talk(PORTS, may_fail=True)
    for _ in range(64):
        device.receive(kind="GET")
    assert len({port for port, _ in device.datagrams}) == 64
    device.receive(kind="GET")
    assert "has 64 ports open, which is the most" in device.lines()[-1]


def test_an_answer_of_its_own_repeats_what_the_protocol_does(tmp_path: Path) -> None:
    write_protocol(
        tmp_path,
        """
BUSY = {"kind": "BAD"}

class Talk(Session):
    def respond(self, message, peer):
        return BUSY if message["kind"] == "GET" else [BUSY, {"kind": "ACK", "number": 1}]
""",
    )
    path = tmp_path / "talk.py"
    path.write_text(path.read_text().replace("session=Talk", 'session=Talk, echo=["number"]'))
    device = Transcript("talk", folder=tmp_path)
    assert [one["number"] for one in device.receive(kind="GET", number=4)] == [4]
    assert [one["number"] for one in device.receive(kind="PUT", number=5)] == [5, 1]


REBOOTS = """
class Talk(Session):
    def respond(self, message, peer):
        if message["kind"] == "BAD":
            self.call_later(5, self.log, "never")
            self.reboot()
            self.reboot()
            return {"kind": "ACK"}
        self.device.state["count"] += 1
        return {"kind": "PUT", "number": self.device.state["count"]}

    async def run(self):
        self.log("up")
"""


def test_a_message_can_have_the_device_begin_anew(talk: Any) -> None:
    device = talk(REBOOTS, state={"count": 0})
    for _ in range(2):
        device.receive(kind="GET")
    assert device.receive(kind="BAD")[0]["kind"] == "ACK"
    assert device.receive(kind="GET")[0]["number"] == 1
    device.wait(10)
    assert [event.text for event in device.events if isinstance(event, Note)] == [
        "device[0]: up",
        "device[0]: up",
    ]
    assert len([event for event in device.events if isinstance(event, DeviceRebooted)]) == 1


def test_so_can_a_behavior(tmp_path: Path) -> None:
    (tmp_path / "meter.py").write_text(
        """
from iotsim import Device, on

class Meter(Device):
    @on(kind="READ")
    def read(self, request):
        self.reboot()
"""
    )
    device = Transcript("sensornet", folder=tmp_path, behavior="meter.py:Meter")
    device.receive(kind="READ", device=1, seq=1, point=0)
    assert [event for event in device.events if isinstance(event, DeviceRebooted)]


def test_a_transcript_does_not_go_on_over_a_failure(talk: Any) -> None:
    device = talk("class Talk(Session):\n    def receive(self, message, peer):\n        1 / 0\n")
    with pytest.raises(AssertionError, match=r"ZeroDivisionError(.|\n)*talk.py"):
        device.receive(kind="GET")


def test_a_model_may_have_numbers_for_names(talk: Any) -> None:
    session = """
class Model(Table):
    registers: dict[int, Value]

class Talk(Session):
    def respond(self, message, peer):
        cell = self.model.registers.get(message["number"])
        return {"kind": "BAD" if cell is None else "PUT", "number": self.read(cell) if cell else 0}
"""
    device = talk(session, model={"registers": {"7": 3}})
    assert [device.receive(kind="GET", number=n)[0]["kind"] for n in (7, 8)] == ["PUT", "BAD"]
    with pytest.raises(ScenarioError, match=r"registers\.two"):
        talk(session, model={"registers": {"two": 3}})


def test_bytes_that_a_device_is_told_to_say_are_those(talk: Any) -> None:
    device = talk(PLAIN)
    device.say(kind="PUT", data=b"\xff\x00")
    assert device.sent[-1]["data"] == b"\xff\x00"


@pytest.mark.parametrize(
    ("to", "outcome"),
    [
        ("peer", "answered"),
        ("peer.at(7000)", "answered"),
        ("peer._replace(port=peer.port + 1)", "consumed.session"),
    ],
)
def test_a_late_answer_keeps_the_datagram_pending_that_it_is_to(
    talk: Any, to: str, outcome: str
) -> None:
    device = talk(
        f"""
class Talk(Session):
    def receive(self, message, peer):
        self.deliver(message, {to})
""",
        rules=[{**RULE, "delay": "1s"}],
    )
    device.receive(kind="GET", number=4)
    assert device.simulation.progress().pending == (outcome == "answered")
    device.wait(2)
    assert device.simulation.counters().counts[f"outcome.{outcome}"] == 1
    assert device.simulation.progress().pending == 0
    assert device.lines()[-1].startswith("1.000 -> ")
