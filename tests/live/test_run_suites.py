"""Runs of a suite are to the gateway, to the kernel and to root what each of them is alone."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from iotsim.results.suite import decode_suite
from iotsim.testbed import channel, serverend
from iotsim.testbed.bed import open_testbed
from iotsim.testbed.helper import ROOM_BYTES, spawn_helper, start_server
from iotsim.testbed.plan import TestbedPlan
from iotsim.testbed.privileges import drop_privileges
from iotsim.testbed.runs import list_runs
from iotsim.wire.address import parse_address

if TYPE_CHECKING:
    from tests.conftest import CommandLine, Done

pytestmark = pytest.mark.needs("root", "tun")

PLAN = TestbedPlan(addresses=((parse_address("10.77.0.1"), 16),))
SUDO = {"HOME": "/root", "USER": "root", "SUDO_UID": "54321", "SUDO_GID": "54321"}
MADE_BY_PYTEST = ("pytest-", "popen-")
PORTRAIT = """
grep -E '^(Uid|Gid|Groups|Cap...|NoNewPrivs|SigBlk|SigIgn|SigCgt|Threads|Seccomp)' /proc/self/status
echo fds $(ls /proc/self/fd)
echo tty $(test -t 0; echo $?) $(test -t 1; echo $?) $(test -t 2; echo $?)
echo init $(cat /proc/1/comm)
echo interfaces $(ls /sys/class/net)
echo variables $(env | cut -d= -f1 | sort | grep -v IOTSIM_SUITE)
"""
BEHAVIOR = """
import json, os
from iotsim import Device
from iotsim.testbed import serverend

def portrait():
    status = dict(line.split(":\\t") for line in open("/proc/self/status").read().splitlines())
    sockets = 0
    for fd in os.listdir("/proc/self/fd"):
        try:
            sockets += os.readlink(f"/proc/self/fd/{fd}").startswith("socket:")
        except OSError:
            pass
    return {
        "uid": os.getuid(),
        "capabilities": status["CapEff"],
        "sockets": sockets,
        "server": serverend.held() is not None,
        "threads": status["Threads"],
    }

class Meter(Device):
    async def run(self):
        with open(os.environ["PORTRAITS"] + f"/{self.name}.json", "w") as file:
            json.dump(portrait(), file)
"""


def portraits(iotsim: CommandLine, suite: bool, environment: dict[str, str]) -> list[Any]:
    """What gateways and behaviors see, of two runs in a suite or of one alone."""
    iotsim.write("portrait.sh", PORTRAIT)
    iotsim.write("meter.py", BEHAVIOR)
    iotsim.environment.update(environment)
    seen = iotsim.folder / "seen"
    seen.mkdir(mode=0o777)
    seen.chmod(0o777)
    iotsim.folder.chmod(0o777)
    iotsim.environment["PORTRAITS"] = str(seen)
    names = ("a", "b") if suite else ("a",)
    for name in names:
        path = iotsim.meters(
            name=f"all/{name}.toml",
            gateway=f'command = ["sh", "{iotsim.folder}/portrait.sh"]',
            rules=f'behavior = "{iotsim.folder}/meter.py:Meter"',
            expect='[[expect]]\nname = "it ends"\ngateway = { exit = 0 }\n',
        )
        text = path.read_text()
        # The behavior belongs to the fleet, not to its rules.
        head, _, rest = text.partition(f'behavior = "{iotsim.folder}/meter.py:Meter"')
        path.write_text(head.rstrip() + f'\nbehavior = "{iotsim.folder}/meter.py:Meter"\n' + rest)
    out = iotsim.folder / "out"
    done = iotsim("run", "all", "--jobs", "2", "--out", out, "-q")
    assert done.status == 0, done.text
    owner = int(environment.get("SUDO_UID", "0"))
    assert {path.lstat().st_uid for path in (out, *out.rglob("*"))} == {owner}
    folders = [out / name for name in names] if suite else [out]
    found: list[Any] = [(folder / "gateway.log").read_text() for folder in folders]
    found.append(json.loads((seen / "meter[0].json").read_text()))
    return found


@pytest.mark.parametrize("environment", [{}, SUDO], ids=["root", "sudo"])
def test_gateway_and_behavior_are_who_they_are_alone(
    environment: dict[str, str], command_line_in: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    lines = [command_line_in(tmp_path_factory.mktemp(name)) for name in ("alone", "suite")]
    for line in lines:
        # Folders that pytest has made are closed to other users.
        for folder in line.folder.parents:
            if folder.name.startswith(MADE_BY_PYTEST):
                folder.chmod(0o755)
    try:
        (alone, behavior), (a, b, behavior_in_suite) = (
            portraits(line, suite, environment)
            for line, suite in zip(lines, (False, True), strict=True)
        )
    finally:
        for line in lines:
            line.end()
    assert a == b == alone
    assert behavior_in_suite == behavior
    assert behavior["server"] is False


def killed(iotsim: CommandLine) -> tuple[Done, list[str]]:
    """A suite that is killed while its gateways run; and what was found of its runs before."""
    for name in ("a", "b"):
        command = f'command = ["sh", "-c", "touch {iotsim.folder}/{name}.up; sleep 60"]'
        path = iotsim.meters(name=f"all/{name}.toml", gateway=command, until="duration")
        path.write_text(path.read_text().replace("[scenario]", f'[scenario]\nname = "run {name}"'))
    suite = iotsim.start("run", "all", "--jobs", "2", "--out", iotsim.out)
    up = [iotsim.folder / f"{name}.up" for name in ("a", "b")]
    iotsim.wait_for(lambda: all(path.exists() for path in up), "the gateways", suite)
    ours = [run for run in list_runs() if run.results.startswith(str(iotsim.out))]
    pids = [run.init_pid for run in ours]
    inside = iotsim("exec", str(iotsim.out / "b"), "--", "ip", "-o", "link", "show", "iotsim0")
    suite.send_signal(signal.SIGKILL)
    done = iotsim.finish(suite)
    iotsim.wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), "their end")
    assert inside.status == 0, inside.text
    return done, sorted(run.name for run in ours)


@pytest.mark.background(job=killed)
def test_its_runs_are_found_by_name_and_end_with_it_also_when_it_is_killed(
    done: tuple[Done, list[str]],
) -> None:
    suite, names = done
    assert suite.status == -signal.SIGKILL
    assert names == ["run a", "run b"]


def twelve(iotsim: CommandLine) -> Done:
    command = 'command = ["python3", "-IS", "../poller.py", "10.77.1.1", "10.77.1.2", "10.77.1.3"]'
    for number in range(12):
        iotsim.meters(name=f"all/s{number:02}.toml", gateway=command)
    return iotsim.run("all", "--jobs", "auto", "--seed", "7", "-q")


@pytest.mark.background(job=twelve)
def test_many_at_a_time_have_networks_of_their_own(done: Done) -> None:
    """All of them have the same addresses, and none hears another."""
    assert done.status == 0, done.text
    suite = decode_suite((done.out / "result.json").read_bytes())
    assert suite.counts == {"passed": 12}
    for run in suite.runs:
        lines = (done.out / run.folder / "events.jsonl").read_text().splitlines()
        assert sum('"event":"received"' in line for line in lines) == 3


async def test_a_helper_of_a_server_serves_as_any_other() -> None:
    with start_server():
        helper = spawn_helper(PLAN)
        assert helper.process is None
        assert serverend.held() is None  # it is asked once
        async with open_testbed(PLAN, helper) as testbed:
            assert testbed.interface == "iotsim0"
            process = await testbed.start_gateway(["true"], {})
            assert (await process.wait()).status == 0
    assert helper.sock.fileno() == -1


async def test_where_the_server_has_gone_there_is_another_way() -> None:
    with start_server():
        server = serverend.held()
        assert server is not None
        ours, theirs = channel.make_pair()
        theirs.close()
        serverend.hold(ours)
        server.close()
        helper = spawn_helper(PLAN)
        assert helper.process is not None
        async with open_testbed(PLAN, helper) as testbed:
            assert testbed.interface == "iotsim0"


async def test_a_run_whose_name_has_no_room_is_found_all_the_same() -> None:
    plan = TestbedPlan(addresses=PLAN.addresses, run_name="x" * ROOM_BYTES)
    with start_server():
        helper = spawn_helper(plan)
        async with open_testbed(plan, helper):
            assert [run for run in list_runs() if run.name == plan.run_name]


def test_who_gives_up_privileges_lets_go_of_the_server(tmp_path: Path) -> None:
    with start_server():
        server = serverend.held()
        assert server is not None
        fd = server.fileno()
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                drop_privileges(tmp_path)
                gone = serverend.held() is None
                try:
                    os.fstat(fd)
                except OSError:
                    status = 0 if gone else 1
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
