"""Whole runs in virtual time: when they end, what they are judged by, and what they leave."""

from __future__ import annotations

import signal
import xml.etree.ElementTree as ET
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio

from iotsim.errors import IotsimError
from iotsim.events import GatewayExited, GatewayOutput, GatewayReady, Note
from iotsim.results.fold import fold
from iotsim.results.jsonl import decode_events
from iotsim.results.result import decode_result
from iotsim.run import record
from iotsim.run.run import RunOptions, open_run
from iotsim.run.scribe import Busy, Scribe
from iotsim.scenario import load_text
from iotsim.testbed.process import ExitStatus
from iotsim.testing import Gateway
from iotsim.wire import ipv4, udp, virtio
from iotsim.wire.address import parse_address

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from trio.testing import MockClock

    from iotsim.events import Event
    from iotsim.link.memory import MemoryLink
    from iotsim.results.result import RunResult

    OnAFakeMachine = Callable[[Any], MemoryLink]

SCENARIO = """
[scenario]
name = "meters"
duration = "60s"
{scenario}
[gateway]
command = ["gateway"]
port = 5600
{gateway}
[devices.meter]
count = 2
address = "10.77.1.1"
protocol = "sensornet"
{device}
[[devices.meter.rules]]
when = {{ kind = "READ" }}
reply = {{ kind = "REPORT", value = "={value}" }}
{expect}
"""
POLLED = """
[[expect]]
name = "polled"
each = "meter"
receives = { kind = "READ" }
within = "10s"
"""
NEVER = """
[[expect]]
name = "no reboot"
each = "meter"
receives = { kind = "COMMAND" }
never = true
"""
READ = {"kind": "READ", "device": 7, "seq": 1}


def scenario_of(tmp_path: Path, expect: str = POLLED, value: str = "1", **parts: str) -> Any:
    empty = dict.fromkeys(("scenario", "gateway", "device"), "")
    text = SCENARIO.format(expect=expect, value=value, **(empty | parts))
    return load_text(text, tmp_path / "meters.toml", default_seed=1)


async def live(
    scenario: Any,
    link: MemoryLink,
    *,
    polls: int = 2,
    options: RunOptions | None = None,
    after: Callable[[Gateway], Any] | None = None,
) -> tuple[RunResult, list[Event]]:
    """A run to its end, in which the gateway polls this many meters, one a second."""
    events: list[Event] = []
    options = options or RunOptions(files=False, watch=(events.extend,))
    async with open_run(scenario, options) as run:
        gateway = Gateway(run, link, events)
        for index in range(polls):
            await trio.sleep(1)
            gateway.send(f"meter[{index}]", READ)
        if after is not None:
            await after(gateway)
        await run.wait()
    return run.result, events


# --- when it ends -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("until", "exits_at", "expect", "ends"),
    [
        ("settled", 1e9, POLLED, 2.0),
        ("settled", 5.0, NEVER, 5.05),  # and a moment for its last words
        ("gateway_exit", 5.0, POLLED, 5.05),
        ("duration", 5.0, POLLED, 60.0),
        ("quiet", 1e9, POLLED, 4.0),
        ("settled", 1e9, NEVER, 60.0),
    ],
)
async def test_a_run_ends_when_the_scenario_says(
    tmp_path: Path,
    script: Any,
    autojump_clock: MockClock,
    on_a_fake_machine: OnAFakeMachine,
    until: str,
    exits_at: float,
    expect: str,
    ends: float,
) -> None:
    script.exits_at = exits_at
    link = on_a_fake_machine(script)
    scenario = scenario_of(tmp_path, expect, scenario=f'until = "{until}"')
    result, _ = await live(scenario, link)
    assert result.duration_s == pytest.approx(ends, abs=0.2)
    assert result.verdict == "passed"
    # A gateway that has not exited by itself is asked to.
    assert script.stopped.is_set() == (exits_at > ends)


async def test_quiet_waits_for_answers_and_for_what_still_comes(
    tmp_path: Path, script: Any, autojump_clock: MockClock, on_a_fake_machine: OnAFakeMachine
) -> None:
    link = on_a_fake_machine(script)
    scenario = scenario_of(tmp_path, scenario='until = "quiet"\nquiet = "3s"')

    async def go_on(gateway: Gateway) -> None:
        for _ in range(5):
            await trio.sleep(2)
            gateway.send("meter[0]", READ)

    result, _ = await live(scenario, link, after=go_on)
    assert result.duration_s == pytest.approx(12 + 3, abs=0.3)


# --- what it is judged by ---------------------------------------------------------------------


async def test_who_polls_all_passes_and_who_misses_one_fails(
    tmp_path: Path, script: Any, autojump_clock: MockClock, on_a_fake_machine: OnAFakeMachine
) -> None:
    link = on_a_fake_machine(script)
    result, events = await live(scenario_of(tmp_path), link, polls=1)
    assert (result.verdict, result.expectations[0].devices) == ("failed", ("meter[1]",))
    assert fold(events) == result


async def test_windows_begin_when_the_gateway_is_ready(
    tmp_path: Path, script: Any, autojump_clock: MockClock, on_a_fake_machine: OnAFakeMachine
) -> None:
    script.lines = [(30.0, "at your service")]
    link = on_a_fake_machine(script)
    scenario = scenario_of(tmp_path, gateway='ready = { log = "service" }')
    result, events = await live(scenario, link, polls=0)
    [ready] = [event for event in events if isinstance(event, GatewayReady)]
    assert ready.t == pytest.approx(30.0, abs=0.1)
    assert result.duration_s == pytest.approx(40.0, abs=0.1)
    assert result.verdict == "failed"


async def test_a_gateway_that_is_never_ready_is_told(
    tmp_path: Path, script: Any, autojump_clock: MockClock, on_a_fake_machine: OnAFakeMachine
) -> None:
    link = on_a_fake_machine(script)
    scenario = scenario_of(tmp_path, gateway='ready = { log = "service" }')
    result, _ = await live(scenario, link, polls=1)
    assert result.verdict == "failed"
    assert "never ready" in result.expectations[0].actual


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (ExitStatus(0, None), "passed"),
        (ExitStatus(3, None), "failed"),
        (ExitStatus(None, signal.SIGSEGV), "failed"),
    ],
)
async def test_a_crash_of_the_gateway_fails_the_run(
    tmp_path: Path,
    script: Any,
    autojump_clock: MockClock,
    on_a_fake_machine: OnAFakeMachine,
    status: ExitStatus,
    verdict: str,
) -> None:
    script.exits_at, script.status = 5.0, status
    script.lines = [(1.0, "last words")]
    link = on_a_fake_machine(script)
    result, events = await live(scenario_of(tmp_path, POLLED + NEVER), link)
    assert result.verdict == verdict
    assert result.gateway is not None
    assert result.gateway.crashed == (verdict == "failed")
    assert result.gateway.last_lines == ["last words"]
    [exited] = [event for event in events if isinstance(event, GatewayExited)]
    assert exited.crashed == result.gateway.crashed
    assert fold(events) == result


async def test_a_device_that_fails_makes_an_error_whatever_held(
    tmp_path: Path, script: Any, autojump_clock: MockClock, on_a_fake_machine: OnAFakeMachine
) -> None:
    link = on_a_fake_machine(script)
    result, events = await live(scenario_of(tmp_path, value="1 / device.index"), link)
    assert result.expectations[0].passed
    assert (result.verdict, "meter[0]" in result.reason) == ("error", True)
    assert fold(events) == result


async def test_what_an_interruption_left_open_is_no_failure(
    tmp_path: Path, script: Any, autojump_clock: MockClock, on_a_fake_machine: OnAFakeMachine
) -> None:
    link = on_a_fake_machine(script)

    async def interrupt(gateway: Gateway) -> None:
        gateway.run.stop(signal.SIGINT)
        gateway.run.stop(signal.SIGTERM)

    expect = POLLED + POLLED.replace("polled", "asked soon").replace(
        'each = "meter"', 'any = "meter"'
    )
    result, events = await live(scenario_of(tmp_path, expect), link, polls=1, after=interrupt)
    assert result.verdict == "error"
    assert result.reason == "interrupted by SIGTERM"
    assert [outcome.name for outcome in result.expectations] == ["asked soon"]
    assert "1 of 2 expectations were not decided yet." in result.notes
    assert fold(events) == result


async def test_a_block_that_interrupts_its_run_and_ends_has_interrupted_it(
    tmp_path: Path, script: Any, autojump_clock: MockClock, on_a_fake_machine: OnAFakeMachine
) -> None:
    on_a_fake_machine(script)
    async with open_run(scenario_of(tmp_path), RunOptions(files=False)) as run:
        run.stop(signal.SIGINT)
    assert (run.result.verdict, run.result.reason) == ("error", "interrupted by SIGINT")
    assert run.result.expectations == []


async def test_nothing_to_check_is_empty_and_no_pass(
    tmp_path: Path, script: Any, autojump_clock: MockClock, on_a_fake_machine: OnAFakeMachine
) -> None:
    result, _ = await live(scenario_of(tmp_path, ""), on_a_fake_machine(script), polls=0)
    assert result.verdict == "empty"


async def test_served_by_hand_a_run_lasts_until_it_is_stopped(
    tmp_path: Path, script: Any, autojump_clock: MockClock, on_a_fake_machine: OnAFakeMachine
) -> None:
    link = on_a_fake_machine(script)

    async def stop(gateway: Gateway) -> None:
        await trio.sleep(3600)
        gateway.run.stop(signal.SIGINT)

    options = RunOptions(files=False, serve=True)
    result, _ = await live(scenario_of(tmp_path), link, options=options, after=stop)
    assert (result.verdict, result.duration_s) == ("passed", pytest.approx(3602.0))


# --- inconclusive -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dropped", "polls", "expect", "verdict"),
    [
        (0, 1, POLLED, "failed"),
        (3, 1, POLLED, "inconclusive"),  # the reading may have been among them
        (3, 2, POLLED, "passed"),  # it was seen, so that it holds
        (3, 2, POLLED + NEVER, "inconclusive"),  # what should not come may have been among them
        (3, 2, POLLED + NEVER.replace("never", 'severity = "warning"\nnever'), "passed"),
        (3, 2, POLLED.replace("each", "none").replace("READ", "COMMAND"), "inconclusive"),
    ],
)
async def test_what_the_kernel_dropped_puts_in_doubt_what_was_not_seen(
    tmp_path: Path,
    script: Any,
    autojump_clock: MockClock,
    on_a_fake_machine: OnAFakeMachine,
    dropped: int,
    polls: int,
    expect: str,
    verdict: str,
) -> None:
    script.interface, script.dropped, script.exits_at = "tun0", dropped, 15.0
    link = on_a_fake_machine(script)
    result, events = await live(scenario_of(tmp_path, expect), link, polls=polls)
    assert result.verdict == verdict
    assert result.counters.get("interface.to_devices_dropped", 0) == dropped
    assert fold(events) == result


@pytest.mark.parametrize(
    ("lag", "polls", "verdict"),
    [(0.05, 1, "failed"), (0.2, 1, "inconclusive"), (0.2, 2, "passed")],
)
async def test_a_simulator_that_was_late_blames_nobody(
    tmp_path: Path,
    script: Any,
    autojump_clock: MockClock,
    on_a_fake_machine: OnAFakeMachine,
    lag: float,
    polls: int,
    verdict: str,
) -> None:
    link = on_a_fake_machine(script)

    async def be_late(gateway: Gateway) -> None:
        gateway.simulation.pump.timers.lateness = lag
        gateway.simulation.judge.lapses.late(2.0, 2.0 + lag)

    result, _ = await live(scenario_of(tmp_path), link, polls=polls, after=be_late)
    assert (result.verdict, result.lag["timers"]) == (verdict, pytest.approx(lag))


async def test_a_crash_is_the_gateways_however_late_the_simulator_was(
    tmp_path: Path, script: Any, autojump_clock: MockClock, on_a_fake_machine: OnAFakeMachine
) -> None:
    script.interface, script.dropped = "tun0", 3
    script.exits_at, script.status = 5.0, ExitStatus(None, signal.SIGABRT)
    result, _ = await live(scenario_of(tmp_path), on_a_fake_machine(script), polls=0)
    assert (result.verdict, "SIGABRT" in result.reason) == ("failed", True)


@pytest.mark.parametrize(
    ("ready", "before"),
    [("", "any message came from it"), ('ready = { log = "up" }', "it was ready")],
)
async def test_an_exit_before_anything_has_happened_is_told_first(
    tmp_path: Path,
    script: Any,
    autojump_clock: MockClock,
    on_a_fake_machine: OnAFakeMachine,
    ready: str,
    before: str,
) -> None:
    script.exits_at = 0.2
    scenario = scenario_of(tmp_path, gateway=ready)
    result, _ = await live(scenario, on_a_fake_machine(script), polls=0)
    assert result.verdict == "failed"
    assert result.gateway is not None
    assert not result.gateway.crashed
    assert result.notes[0] == f"The gateway exited with status 0 after 0.2 s, before {before}.", (
        result.notes
    )


async def test_an_exit_after_the_work_is_done_is_no_news(
    tmp_path: Path, script: Any, autojump_clock: MockClock, on_a_fake_machine: OnAFakeMachine
) -> None:
    script.exits_at = 1.5  # of two meters it has polled one
    result, _ = await live(scenario_of(tmp_path), on_a_fake_machine(script), polls=1)
    assert result.verdict == "failed"
    assert not any("exited" in note for note in result.notes)


async def test_the_gateway_may_be_what_its_command_leaves_in_the_background(
    tmp_path: Path, script: Any, autojump_clock: MockClock, on_a_fake_machine: OnAFakeMachine
) -> None:
    script.leaves, script.lines = "gwd", [(9.0, "from the daemon")]
    script.exits_at, script.status = 10.0, ExitStatus(7, None)
    result, events = await live(scenario_of(tmp_path, NEVER), on_a_fake_machine(script), polls=0)
    assert result.reason == "the gateway crashed: exit status 7"
    (told,) = [note for note in result.notes if "left gwd running in the background" in note]
    assert told in [event.text for event in events if isinstance(event, Note)]
    assert "from the daemon" in [e.line for e in events if isinstance(e, GatewayOutput)]


async def test_the_gateways_own_losses_are_told_as_such(
    tmp_path: Path, script: Any, autojump_clock: MockClock, on_a_fake_machine: OnAFakeMachine
) -> None:
    script.udp_errors = {"UdpRcvbufErrors": 2}
    link = on_a_fake_machine(script)

    async def lose(gateway: Gateway) -> None:
        script.udp_errors["UdpRcvbufErrors"] = 7

    result, _ = await live(scenario_of(tmp_path), link, after=lose)
    assert result.verdict == "passed"
    assert "The gateway's own receive buffer was full: it lost 5 datagrams there." in result.notes


@pytest.mark.parametrize(("packets", "what"), [(1, "1 packet came"), (3, "3 packets came")])
async def test_what_came_to_a_port_where_nobody_listens_is_told(
    tmp_path: Path,
    script: Any,
    autojump_clock: MockClock,
    on_a_fake_machine: OnAFakeMachine,
    packets: int,
    what: str,
) -> None:
    link = on_a_fake_machine(script)
    scenario = scenario_of(tmp_path, device="port = 5601")

    async def knock(_gateway: Gateway) -> None:
        source, meter = parse_address("10.77.0.1"), parse_address("10.77.1.1")
        segment = udp.build_udp(source, meter, 4000, 5600, b"anybody?")
        for _ in range(packets):
            link.send_nowait(virtio.PLAIN + ipv4.build_ipv4(source, meter, udp.PROTOCOL, segment))

    result, _ = await live(scenario, link, polls=0, after=knock)
    [note] = [note for note in result.notes if "no device listens" in note]
    assert note.startswith(f"{what} to UDP ports where no device listens; ")
    assert "5601" in note


# --- what it starts and leaves ----------------------------------------------------------------


async def test_the_gateway_is_started_with_what_the_scenario_says(
    tmp_path: Path, script: Any, autojump_clock: MockClock, on_a_fake_machine: OnAFakeMachine
) -> None:
    (tmp_path / "gateway.py").write_text("")
    scenario = scenario_of(
        tmp_path, gateway='env = { METERS = "${devices.meter.count}", R = "${results}" }'
    )
    link = on_a_fake_machine(script)
    _, events = await live(scenario, link)
    assert script.env["METERS"] == "2"
    assert script.env["R"] == script.env["IOTSIM_RESULTS"]
    assert script.cwd is not None
    assert not script.cwd.exists()  # of a run without files, which has taken it along
    assert Note(0.0, "this machine is imaginary") in events


async def test_a_run_leaves_its_files_and_they_agree(
    tmp_path: Path, script: Any, autojump_clock: MockClock, on_a_fake_machine: OnAFakeMachine
) -> None:
    out = tmp_path / "out"
    link = on_a_fake_machine(script)
    script.lines = [(0.5, "hello")]
    seen: list[str] = []

    async def look(_gateway: Gateway) -> None:
        seen.append(decode_result((out / "result.json").read_bytes()).verdict)

    result, _ = await live(
        scenario_of(tmp_path), link, polls=1, options=RunOptions(out=out), after=look
    )
    assert seen == ["running"]
    assert decode_result((out / "result.json").read_bytes()) == result
    with (out / "events.jsonl").open("rb") as lines:
        assert fold(decode_events(lines)) == result
    assert {name.rstrip("/") for name in result.files} <= {path.name for path in out.iterdir()}
    assert (out / "gateway.log").read_bytes() == b"hello\n"
    suite = ET.parse(out / "junit.xml").getroot()
    assert suite.get("failures") == "1"


async def test_several_queues_need_processes_from_before_the_event_loop(tmp_path: Path) -> None:
    scenario = scenario_of(tmp_path, device="", scenario="[link]\nqueues = 2\n")
    with pytest.raises(IotsimError, match="run_scenario"):
        async with open_run(scenario, RunOptions(files=False)):
            pass


# --- in real time, over the loopback link -----------------------------------------------------

LOOPBACK = """
[scenario]
name = "meter"
duration = "20s"
until = "settled"
[link]
kind = "loopback"
[devices.meter]
address = "10.77.1.1"
protocol = "sensornet"
port = {port}
[[devices.meter.rules]]
when = {{ kind = "READ" }}
reply = {{ kind = "REPORT", value = 1 }}
[[expect]]
name = "polled"
each = "meter"
sends = {{ kind = "REPORT" }}
within = "200ms"
"""


@asynccontextmanager
async def gateway_and_port() -> AsyncIterator[tuple[trio.socket.SocketType, int]]:
    """A socket on the loopback interface, and a port for devices, which is nobody's."""
    with trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM) as gateway:
        await gateway.bind(("127.0.0.1", 0))
        with trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM) as other:
            await other.bind(("127.0.0.1", 0))
            port = other.getsockname()[1]
        yield gateway, port


async def test_where_somebody_else_is_the_gateway_windows_begin_when_it_is_heard(
    tmp_path: Path,
) -> None:
    async with gateway_and_port() as (gateway, port):
        text = LOOPBACK.format(port=port)
        scenario = load_text(text, tmp_path / "meter.toml", default_seed=1)
        codec = scenario.fleets[0].services[0].protocol.codec
        async with open_run(scenario, RunOptions(out=tmp_path / "out")) as run:
            await trio.sleep(0.4)  # twice as long as a window
            assert not run.over.is_set()
            await gateway.sendto(codec.encode(READ), ("127.77.0.1", port))
            with trio.fail_after(10):
                reply, peer = await gateway.recvfrom(2048)
                await run.wait()
    assert (codec.decode(reply)["kind"], peer) == ("REPORT", ("127.77.0.1", port))
    assert run.result.verdict == "passed"
    assert 0.4 < run.result.duration_s < 20
    assert decode_result((tmp_path / "out" / "result.json").read_bytes()) == run.result


@pytest.mark.parametrize("at_once", [True, False])
async def test_what_a_broken_run_has_put_off_is_written_when_its_failure_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: bool
) -> None:
    monkeypatch.setattr(record, "may_have_scribe", lambda: True)
    monkeypatch.setattr(record, "has_core_to_spare", lambda: at_once)
    monkeypatch.setattr(Busy, "now", lambda _self, _records: True)
    monkeypatch.setattr(
        Scribe, "write_some", lambda _self: False
    )  # there is always something else to do
    out = tmp_path / "out"
    async with gateway_and_port() as (gateway, port):
        text = LOOPBACK.format(port=port)
        scenario = load_text(text, tmp_path / "meter.toml", default_seed=1)
        codec = scenario.fleets[0].services[0].protocol.codec

        async def run_until_it_breaks() -> None:
            async with open_run(scenario, RunOptions(out=out, own_process=True)) as run:
                with trio.fail_after(10):
                    for _ in range(3):
                        await gateway.sendto(codec.encode(READ), ("127.77.0.1", port))
                        await gateway.recvfrom(2048)
                        run.crew.journal.flush()
                raise RuntimeError("somebody is to blame")

        with pytest.raises(RuntimeError, match="somebody is to blame"):
            await run_until_it_breaks()
    lines = (out / "events.jsonl").read_bytes().splitlines()
    kinds = [event.__struct_config__.tag for event in decode_events(lines)]
    assert (kinds.count("received"), kinds.count("sent")) == (3, 3)
