"""The fixture `simulation`, over a memory link: in virtual time, with a gateway that is part of the test."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio

from iotsim.errors import IotsimError, ScenarioError
from iotsim.protocol.registry import load_protocol
from iotsim.testing.live import RunFailed
from iotsim.testing.waiting import NotSeen

if TYPE_CHECKING:
    from trio.testing import MockClock

    from iotsim.pytest_plugin.fixture import Simulate
    from iotsim.testing.live import LiveRun

METERS = """
[scenario]
name = "meters"
duration = "1m"
[link]
kind = "memory"
address = ["10.77.0.1/16", "fd77::1/64"]
[northbound.cloud]
kind = "http"
listen = 8080
[devices.meter]
count = 3
address = ["10.77.1.1", "fd77::1:1"]
protocol = "sensornet"
state = { level = 1 }
signals = { temperature = { kind = "constant", value = 20 } }
[[devices.meter.rules]]
when = { kind = "READ" }
reply = { kind = "REPORT", value = "=state.level" }
[[expect]]
name = "polled"
each = "meter"
receives = { kind = "READ" }
within = "10s"
"""
TABLES: dict[str, Any] = tomllib.loads(METERS)
ADDRESSES = ["10.77.1.1", "10.77.1.2", "10.77.1.3"]


@pytest.fixture(scope="module")
def codec() -> Any:
    return load_protocol("sensornet").protocol.codec


def read(codec: Any, seq: int = 1) -> bytes:
    data: bytes = codec.encode({"kind": "READ", "device": 7, "seq": seq}, None)
    return data


async def poll(sim: LiveRun, codec: Any) -> list[float]:
    """The gateway of these tests: asks each meter once."""
    values = []
    with sim.socket() as sock:
        sock.settimeout("2s")
        for address in ADDRESSES:
            await sock.sendto(read(codec), (address, 5600))
            data, peer = await sock.recvfrom()
            assert peer == (address, 5600)
            values.append(codec.decode(data, None)["value"])
    return values


async def test_a_gateway_in_python_is_judged(
    simulation: Simulate, autojump_clock: MockClock, codec: Any
) -> None:
    async with simulation(METERS) as sim:
        assert sim.verdicts == {"polled": "open"}
        assert await poll(sim, codec) == [1, 1, 1]
        await sim.wait_held()
        assert sim.verdicts == {"polled": "held"}
    assert sim.result.verdict == "passed"


def test_a_plain_test_drives_the_same_run(simulation: Simulate, codec: Any) -> None:
    with simulation(TABLES) as sim, sim.socket(port=4000) as sock:
        assert sock.getsockname() == ("10.77.0.1", 4000)
        sock.settimeout(2)
        for address in ADDRESSES:
            sock.sendto(read(codec), (address, 5600))
            assert codec.decode(sock.recvfrom()[0], None)["value"] == 1
        with pytest.raises(TimeoutError):
            sock.recvfrom()
        assert sim.now == pytest.approx(2.0)  # it went on for nothing else
        sim.wait_held("polled")
    assert sim.result.verdict == "passed"
    assert [event.device for event in sim.received("meter[0]")] == ["meter[0]"]


def test_a_run_goes_on_to_its_verdict_which_is_the_tests(simulation: Simulate) -> None:
    with pytest.raises(Exception, match="FAILED  meters") as failed:  # noqa: SIM117
        with simulation(METERS):
            pass
    text = str(failed.value)
    for words in ("expected   each of meter", "results: ", "repeat:  pytest ", "--iotsim-seed 1"):
        assert words in text


def test_a_run_that_is_not_judged_ends_with_the_block(simulation: Simulate) -> None:
    with simulation(METERS, judge=False) as sim:
        sim.sleep("1s")
    assert sim.result.duration_s == pytest.approx(1.0)


async def test_what_came_before_counts_and_nothing_is_returned_twice(
    simulation: Simulate, autojump_clock: MockClock, codec: Any
) -> None:
    async with simulation(METERS, judge=False) as sim:
        sock = sim.socket()
        for seq in (1, 2):
            await sock.sendto(read(codec, seq), (ADDRESSES[0], 5600))
            await sim.sleep(1)
        first = await sim.wait_for("meter", receives={"kind": "READ"})
        second = await sim.wait_for("meter[0]", receives={"kind": "READ"})
        assert (first.message["seq"], second.message["seq"]) == (1, 2)
        answer = await sim.device("meter[0]").wait_for(sends={"kind": "REPORT"}, since=first)
        assert answer.in_reply_to == first.id
        with pytest.raises(NotSeen):
            await sim.wait_for("meter[0]", receives={"kind": "READ"}, within="1s")
        with pytest.raises(NotSeen):
            await sim.wait_for("meter[0]", sends={"kind": "REPORT"}, since="2s", within="1s")


async def test_waiting_sees_what_is_still_to_come(
    simulation: Simulate, autojump_clock: MockClock, codec: Any
) -> None:
    async with simulation(METERS, judge=False) as sim, trio.open_nursery() as nursery:

        async def ask_late() -> None:
            await sim.sleep("3s")
            await sim.socket().sendto(read(codec), (ADDRESSES[2], 5600))

        nursery.start_soon(ask_late)
        event = await sim.wait_for("meter[2]", receives={"kind": "READ"}, within="5s")
        assert event.t == pytest.approx(3.0)


async def test_what_did_not_come_is_explained_by_what_came_nearest(
    simulation: Simulate, autojump_clock: MockClock, codec: Any
) -> None:
    async with simulation(METERS, judge=False) as sim:
        await sim.socket().sendto(read(codec, seq=3), (ADDRESSES[1], 5600))
        with pytest.raises(NotSeen, match=r"seq was 3 instead of 4") as missed:
            await sim.wait_for("meter", receives={"kind": "READ", "seq": 4}, within="2s")
        assert "meter receives kind READ and seq 4: not within 2 s" in str(missed.value)
        with pytest.raises(NotSeen, match="nothing was received"):
            await sim.wait_for("meter[0]", receives={"kind": "READ"}, within="2s")
        with pytest.raises(NotSeen, match="it has received nothing"):
            await sim.northbound("cloud").wait_for({"path": "/x"}, within="1s")


async def test_what_came_before_since_is_told_and_is_never_the_nearest(
    simulation: Simulate, autojump_clock: MockClock, codec: Any
) -> None:
    async with simulation(METERS, judge=False) as sim:
        sock = sim.socket()
        for seq in (3, 4, 5):
            await sock.sendto(read(codec, seq), (ADDRESSES[0], 5600))
            await sim.sleep(1)
        last = await sim.wait_for("meter[0]", receives={"kind": "READ", "seq": 5})
        wanted = {"kind": "READ", "seq": 4}
        with pytest.raises(NotSeen) as missed:
            await sim.wait_for("meter[0]", receives=wanted, since=last, within="1s")
        assert "one came at t=1.0" in str(missed.value)
        assert "before `since`" in str(missed.value)
        assert "nearest" not in str(missed.value)
        with pytest.raises(NotSeen, match=r"nearest: .*seq was 5 instead of 4") as missed:
            await sim.wait_for("meter[0]", receives=wanted, since="1.5s", within="1s")
        assert "since t=1.500 s: 1 message was received" in str(missed.value)
        with pytest.raises(NotSeen) as missed:
            await sim.wait_for("meter[0]", receives={"kind": "READ"}, since="4s", within="1s")
        assert "the last of 3 came at t=2.0" in str(missed.value)


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ({"devices": "meter[0]", "receives": {"kid": 1}}, "did you mean 'kind'"),
        ({"devices": "meter[3]", "receives": {}}, r"there is no 'meter\[3\]'"),
        ({"devices": "metre", "receives": {}}, "did you mean 'meter'"),
        ({"northbound": "clod", "receives": {}}, "no northbound service"),
        ({"devices": "meter", "receives": {}, "within": "5 parsecs"}, "parsecs"),
        ({"output": "("}, "regular expression|parenthes|missing"),
    ],
)
def test_a_mistake_in_what_is_waited_for_is_told_at_once(
    simulation: Simulate, what: dict[str, Any], words: str
) -> None:
    with simulation(METERS, judge=False) as sim:
        with pytest.raises(ScenarioError, match=words):
            sim.wait_for(**what)
        assert sim.now == 0


def test_devices_are_looked_at_and_told_what_to_do(simulation: Simulate, codec: Any) -> None:
    with simulation(METERS, judge=False) as sim:
        meter = sim.device("meter[1]")
        assert (meter.address, meter.names, meter.state["level"]) == ("10.77.1.2", ["meter[1]"], 1)
        meter.set(level=5)
        meter.set_signal(temperature=80)
        assert (meter.state["level"], meter.signal("temperature")) == (5, 80)
        with sim.socket(9000) as sock:
            meter.send({"kind": "REPORT", "device": 1, "seq": 9, "value": 2}, to="10.77.0.1:9000")
            assert codec.decode(sock.recvfrom()[0], None)["seq"] == 9
        assert [event.message["seq"] for event in meter.sent({"kind": "REPORT"})] == [9]
        meter.reboot()
        assert meter.state["level"] == 1
        sim.note("enough")
        with pytest.raises(IotsimError, match="3 devices, and not one"):
            _ = sim.device("meter").state
        with pytest.raises(ScenarioError, match="no signal"):
            meter.signal("humidity")


def test_troubles_begin_and_end_when_the_test_says(simulation: Simulate, codec: Any) -> None:
    troubles = {"radio": {"devices": "meter[0]", "loss": "100%"}}
    faults = {
        "gone": {"devices": "meter[1]", "offline": True},
        "stuck": {"devices": "meter[2]", "freeze": True},
        "odd": {"devices": "meter[2]", "malform": {"value": 99}},
    }
    with (
        simulation(METERS, impair=troubles, fault=faults, judge=False) as sim,
        sim.socket() as sock,
    ):
        sock.settimeout("1s")

        def answer(index: int) -> Any:
            sock.sendto(read(codec), (ADDRESSES[index], 5600))
            try:
                return codec.decode(sock.recvfrom()[0], None)["value"]
            except TimeoutError:
                return None

        assert [answer(index) for index in range(3)] == [1, 1, 1]
        for name in ("radio", "gone", "odd"):
            sim.begin(name)
        assert [answer(index) for index in range(3)] == [None, None, 99]
        for name in ("radio", "gone", "odd"):
            sim.end(name)
        assert [answer(index) for index in range(3)] == [1, 1, 1]
        with sim.during("radio"):
            assert answer(0) is None
        sim.begin("gone", "3s")
        assert answer(1) is None
        sim.sleep("3s")
        assert answer(1) == 1
        sim.begin("stuck")
        assert answer(2) == 1
        with pytest.raises(ScenarioError, match="did you mean 'radio'"):
            sim.begin("radoi")
        lost = [event for event in sim.received("meter[0]") if event.impaired == "radio"]
        assert len(lost) == 2


def test_the_other_side_is_told_and_looked_at(simulation: Simulate) -> None:
    with simulation(METERS, judge=False) as sim:
        cloud = sim.northbound("cloud")
        cloud.receive(method="POST", path="/readings", body="x")
        assert cloud.wait_for({"path": "/readings"}).fields["status"] == 200
        cloud.stop()
        with pytest.raises(ConnectionRefusedError):
            cloud.receive(method="POST", path="/readings", body="x")
        cloud.start()
        cloud.receive(method="POST", path="/other", body="x")
        assert len(cloud.received({"path": "/readings"})) == 1


def test_expectations_are_asserted_in_between(simulation: Simulate) -> None:
    with simulation(METERS, judge=False) as sim:
        with pytest.raises(RunFailed, match="polled: not decided yet"):
            sim.assert_held()
        with pytest.raises(RunFailed, match="expected  each of meter"):
            sim.wait_held("polled")
        assert sim.now == pytest.approx(10.0)
        with pytest.raises(ScenarioError, match="there is polled"):
            sim.assert_held("poled")


def test_sockets_are_like_those_of_a_kernel(simulation: Simulate, codec: Any) -> None:
    with simulation(METERS, judge=False) as sim:
        sock = sim.socket(4000)
        with pytest.raises(OSError, match="in use"):
            sim.socket(4000)
        with pytest.raises(OSError, match="no address"):
            sock.sendto(b"", ("example.invalid", 1))
        for port in (0, 65536):
            with pytest.raises(OverflowError):
                sock.sendto(b"", (ADDRESSES[0], port))
        sock.sendto(read(codec), ("fd77::1:1", 5600))
        data, peer = sock.recvfrom(4)
        assert (len(data), peer) == (4, ("fd77::1:1", 5600))
        sock.close()
        with pytest.raises(OSError, match="closed"):
            sock.recvfrom()


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ({**TABLES, "devices": {"meter": {"cuont": 1}}}, r"devices\.meter\.cuont: unknown key"),
        ({**TABLES, "extra": 1}, "extra: unknown table"),
        ({**TABLES, "scenario": {"name": object()}}, r"scenario\.name: object is nothing"),
        ({**TABLES, 1: 2}, "the key 1 is no text"),
        ({**TABLES, "expect": [{"each": "meter"}]}, r"\(tables\): expect\[0\]"),
    ],
)
def test_tables_are_checked_as_a_file(
    simulation: Simulate, tables: dict[Any, Any], words: str
) -> None:
    with pytest.raises(ScenarioError, match=words), simulation(tables):
        pass


def test_tables_without_end_are_refused(simulation: Simulate) -> None:
    tables: dict[str, Any] = {**TABLES}
    tables["scenario"] = {"name": tables}
    with pytest.raises(ScenarioError, match="nested more than"), simulation(tables):
        pass


def test_changes_win_over_the_file(simulation: Simulate) -> None:
    quickstart = Path(__file__).parents[2] / "scenarios/quickstart.toml"
    changes = {"devices": {"meter": {"count": 2}}}
    with simulation(quickstart, changes=changes, link="memory", seed=7, judge=False) as sim:
        meter = sim.device("meter[1]")
        with sim.socket() as sock:  # in the place of the scenario's own gateway
            sock.sendto(
                meter.encode({"kind": "READ", "device": 1, "seq": 1}), (meter.address, 5600)
            )
            assert meter.decode(sock.recv())["kind"] == "REPORT"
        assert sim.device("meter").names == ["meter[0]", "meter[1]"]
    assert sim.result.seed == 7


def test_parameters_choose_of_a_matrix(simulation: Simulate) -> None:
    text = METERS.replace("count = 3", 'count = "${n}"') + "[matrix]\nn = [1, 2]\n"
    with pytest.raises(ScenarioError, match="2 scenarios"), simulation(text):
        pass
    with simulation(text, parameters={"n": 2}, judge=False) as sim:
        assert len(sim.device("meter").names) == 2


def test_there_must_be_such_a_file(simulation: Simulate) -> None:
    with pytest.raises(FileNotFoundError, match=r"no scenario 'nowhere\.toml' in"):  # noqa: SIM117
        with simulation("nowhere.toml"):
            pass


async def test_the_block_fails_by_what_it_raises(
    simulation: Simulate, autojump_clock: MockClock
) -> None:
    with pytest.raises(ZeroDivisionError) as failed:
        async with simulation(METERS) as sim:
            raise ZeroDivisionError
    assert sim.result.verdict != "running"  # its files are whole
    assert any("results: " in note for note in failed.value.__notes__)


def test_a_loop_that_breaks_leaves_nobody_waiting(simulation: Simulate) -> None:
    with pytest.raises(RuntimeError, match="the run is over"):  # noqa: PT012, SIM117
        with simulation(METERS, judge=False) as sim:
            sim._loop._soon(lambda: 1 / 0)  # what trio takes for a bug of its own
            sim.sleep("1h")
    assert sim._loop.over
