"""Runs as an ordinary user: with TUN, without it, and on the loopback link instead."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import junitparser
import pytest

if TYPE_CHECKING:
    from tests.conftest import CommandLine, Done
    from tests.live.conftest import OrdinaryUser

pytestmark = pytest.mark.needs("root", "tun", "userns", "ip")

REPOSITORY = Path(__file__).resolve().parents[2]
POLL = 'command = ["python3", "-ISu", "poller.py", {}]'
POLL_ALL = POLL.format(", ".join(f'"10.77.1.{n}"' for n in (1, 2, 3)))


@pytest.fixture
def run(iotsim: CommandLine, ordinary_user: OrdinaryUser) -> Run:
    return Run(iotsim, ordinary_user)


class Run:
    """``iotsim run`` as the ordinary user, in a network whose ports nobody else has."""

    def __init__(self, iotsim: CommandLine, user: OrdinaryUser) -> None:
        self.iotsim = iotsim
        self.user = user
        iotsim.folder = user.home
        iotsim.out = user.home / "out"

    def __call__(self, *words: str | Path) -> Done:
        network = ["unshare", "--net", "sh", "-c", 'ip link set lo up; exec "$@"', "sh"]
        command = [*network, *self.user.words(*map(str, words))]
        environment = {**self.iotsim.environment, "IOTSIM_TUN": str(self.user.device)}
        return self.iotsim.finish(self.iotsim.start_other(command, env=environment))

    def iotsim_run(self, *words: str | Path) -> Done:
        return self(*self.iotsim.words("run", *words, "--out", self.iotsim.out))


def test_with_tun_no_privilege_is_needed(run: Run) -> None:
    done = run.iotsim_run(run.iotsim.meters(gateway=POLL_ALL))
    assert done.status == 0, done.text
    assert done.result["link"] == "tun"
    assert done.result["counters"]["outcome.answered"] == 3
    assert (done.out / "capture.pcapng").stat().st_uid == run.user.uid


def test_without_tun_the_run_is_skipped_with_the_fix(run: Run) -> None:
    run.user.device.chmod(0o600)
    done = run.iotsim_run(run.iotsim.meters(gateway=POLL_ALL))
    assert done.status == 3
    assert f"{run.user.device} may not be opened by this user" in done.text
    assert f"fix: sudo chmod 666 {run.user.device}" in done.text
    assert "--link loopback" in done.text
    assert "Traceback" not in done.text
    assert done.result["verdict"] == "skipped"
    (suite,) = junitparser.JUnitXml.fromfile(str(done.out / "junit.xml"))
    assert (suite.tests, suite.skipped) == (1, 1)


def test_without_tun_the_demo_runs_on_loopback_and_says_so(run: Run) -> None:
    run.user.device.chmod(0o600)
    binaries = Path(sys.executable).parent
    done = run("env", f"BIN={binaries}", "sh", REPOSITORY / "examples" / "demo.sh")
    assert done.status == 0, done.text
    skipped, banner, passed = (done.text.index(word) for word in ("fix:", "LOOPBACK", "PASSED"))
    assert skipped < banner < passed
    assert "meter: 14 devices, 127." in done.text


def test_the_loopback_link_moves_the_devices_and_answers(run: Run) -> None:
    # Not until it is "settled": that is when the gateway has asked, not when it has printed the answer.
    gateway = POLL.format('"${devices.meter.first}"')
    scenario = run.iotsim.meters(gateway=gateway, expect=ONE_IS_READ, until="gateway_exit")
    done = run.iotsim_run(scenario, "--link", "loopback")
    assert done.status == 0, done.text
    assert done.result["link"] == "loopback"
    (received,) = done.events_of("received")
    assert received["device"] == "meter[0]"
    assert received["peer"].startswith("127.")
    assert done.log.startswith("answer 127.")


def test_a_gateway_that_wants_the_devices_port_on_loopback_is_told_why_not(run: Run) -> None:
    bind = "import socket; socket.socket(type=socket.SOCK_DGRAM).bind(('0.0.0.0', 5600))"
    scenario = run.iotsim.meters(gateway=f'command = ["python3", "-ISuc", "{bind}"]')
    done = run.iotsim_run(scenario, "--link", "loopback")
    assert done.status == 1, done.text
    assert any("the devices' ports are taken" in note for note in done.result["notes"])


ONE_IS_READ = """
[[expect]]
name = "the first is read"
device = "meter[0]"
receives = { kind = "READ" }
within = "4s"
"""


LIVES = """
[[step]]
name = "crash"
at = "500ms"
gateway = "kill"
[[step]]
after = "crash"
delay = "100ms"
gateway = "start"
[[step]]
at = "1s"
gateway = "pause"
[[step]]
at = "1200ms"
gateway = "resume"
[[expect]]
name = "uses little"
gateway = { fds = { max = 10 }, memory = { max = "50MB", growth = "5MB" }, threads = { max = 1 } }
"""


@pytest.mark.parametrize("link", ["tun", "loopback"])
def test_a_gateway_is_ended_paused_and_measured(run: Run, link: str) -> None:
    gateway = 'command = ["sh", "-c", "echo up; exec sleep 60"]\nready = { log = "up" }'
    scenario = run.iotsim.meters(gateway=gateway, expect=LIVES)
    done = run.iotsim_run(scenario, "--link", link, "--duration", "6s")
    assert done.status == 0, done.text
    assert [life["by"] for life in done.result["gateway"]["lives"]] == ["kill", "end"]
    assert done.result["gateway"]["figures"]["fds"] >= 3
