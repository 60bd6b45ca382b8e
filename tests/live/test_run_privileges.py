"""Who the simulator and the gateway are: as root, by sudo, and as an ordinary user."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from iotsim.capabilities import Capability
from iotsim.testbed.privileges import ALL_FILES, READ_FILES

if TYPE_CHECKING:
    from tests.conftest import CommandLine, Done
    from tests.live.conftest import OrdinaryUser

pytestmark = pytest.mark.needs("root", "tun")

REPOSITORY = Path(__file__).parents[2]
OTHER_UID = 54322
PORTRAIT = """
import json, os, socket, sys
status = dict(line.split(":\\t") for line in open("/proc/self/status").read().splitlines())
try:
    raw = bool(socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP))
except PermissionError:
    raw = False
open("written", "w").close()
with open("/dev/stderr", "w") as again:
    print("opened again", file=again)
print(json.dumps({
    "uid": os.getuid(), "gid": os.getgid(), "groups": os.getgroups(),
    "capabilities": int(status["CapEff"], 16), "raw": raw,
    "home": os.environ["HOME"], "user": os.environ.get("USER"),
    "work": os.stat(".").st_uid, "no_new_privs": status["NoNewPrivs"],
}))
"""
COMMAND = f'command = ["{sys.executable}", "-ISu", "portrait.py"]\n'
OPENED = """
[[expect]]
name = "it has all it needs"
gateway = { stdout = "opened again", exit = 0 }
"""
SUDO = {"HOME": "/root", "USER": "root", "SUDO_UID": "54321", "SUDO_GID": "54321"}
NO_SUDO = {"HOME": "/root", "USER": "root"}
ORDINARY = {"HOME": "/", "USER": "somebody"}


class PrivateHome:
    """A home that is closed to others, with a scenario, and with an iotsim, in it."""

    def __init__(self, iotsim: CommandLine, user: OrdinaryUser) -> None:
        self.iotsim = iotsim
        self.user = user
        iotsim.folder = user.home
        iotsim.out = user.home / "results" / "one"
        iotsim.write("portrait.py", PORTRAIT)
        for name in ("src", "protocols"):
            shutil.copytree(
                REPOSITORY / name,
                user.home / "app" / name,
                ignore=shutil.ignore_patterns("__pycache__"),
            )
        self._own(user.home, user.uid)
        user.home.chmod(0o750)

    def _own(self, folder: Path, uid: int) -> None:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, uid, uid)

    def give_away(self) -> None:
        """Let it be another ordinary user's."""
        self._own(self.user.home, OTHER_UID)

    def words(self, *words: str | Path, uid: int = 0) -> list[str]:
        return self.user.words(*self.iotsim.words(*words), uid=uid)

    def environment(self, *environments: dict[str, str]) -> dict[str, str]:
        merged = {**self.iotsim.environment, "IOTSIM_TUN": str(self.user.device)}
        for environment in ({"PYTHONPATH": str(self.user.home / "app" / "src")}, *environments):
            merged.update(environment)
        return merged

    def run(
        self, environment: dict[str, str], *, gateway: str = "", link: str = "", uid: int = 0
    ) -> Done:
        """``iotsim run`` there, of a scenario with such a gateway."""
        scenario = self.iotsim.meters(gateway=COMMAND + gateway, expect=OPENED, link=link)
        os.chown(scenario, self.user.uid, self.user.uid)
        words = self.words("run", scenario.name, "--out", "results/one", uid=uid)
        return self.iotsim.finish(self.iotsim.start_other(words, env=self.environment(environment)))

    def owners(self) -> set[int]:
        """Whose the results are, with the folders that were made for them."""
        results = self.user.home / "results"
        found = [results, *(path for path in results.rglob("*") if "work" not in path.parts)]
        return {path.lstat().st_uid for path in found}


@pytest.fixture
def home(iotsim: CommandLine, ordinary_user: OrdinaryUser) -> PrivateHome:
    return PrivateHome(iotsim, ordinary_user)


def portrait(done: Done) -> dict[str, Any]:
    assert done.status == 0, done.text
    assert "opened again\n" in done.log
    found: dict[str, Any] = json.loads(done.log.splitlines()[-1])
    return found


def test_root_in_a_home_that_is_closed_to_it(home: PrivateHome) -> None:
    found = portrait(home.run(NO_SUDO))
    # It reads what it wants, as programs of root expect, and has no other of root's rights.
    assert (found["uid"], found["capabilities"], found["raw"]) == (0, ALL_FILES, False)
    assert found["work"] == 0
    assert home.owners() == {0}


def test_who_calls_sudo_has_the_results_and_is_the_gateways_user(home: PrivateHome) -> None:
    found = portrait(home.run(SUDO))
    uid = home.user.uid
    assert found == {
        "uid": uid,
        "gid": uid,
        "groups": [uid],
        "work": uid,
        "capabilities": 0,
        "raw": False,
        "no_new_privs": "1",
        "home": "/",
        "user": str(uid),
    }
    assert home.owners() == {uid}


def test_a_run_that_fails_early_leaves_its_results_to_who_called_sudo(home: PrivateHome) -> None:
    done = home.run(SUDO, gateway='user = "no.such.user"')
    assert done.status == 2
    reason = "the gateway cannot be started: there is no user called no.such.user"
    assert done.result["reason"] == reason
    assert home.owners() == {home.user.uid}


BEHAVIOR = """
from iotsim import Device

class Meter(Device):
    pass
"""


@pytest.mark.parametrize(("queues", "processes"), [(1, 2), (2, 3)])  # a guard, or two workers
@pytest.mark.parametrize("private_of_another", [False, True])
def test_what_the_simulator_is_once_it_runs(
    home: PrivateHome, private_of_another: bool, queues: int, processes: int
) -> None:
    """No more than who called sudo, but where iotsim itself is closed to them: then it may read."""
    home.iotsim.write("meter.py", BEHAVIOR)
    scenario = home.iotsim.meters(
        gateway='command = ["sleep", "60"]',
        rules='behavior = "meter.py:Meter"',
        link=f"queues = {queues}",
        until="duration",
    )
    if private_of_another:
        home.give_away()
    out = home.user.folder / "out"
    words = home.words("run", scenario.name, "--out", out)
    run = home.iotsim.start_other(words, env=home.environment(SUDO))
    home.iotsim.wait_for((out / "events.jsonl").exists, "its events", run)
    events = out / "events.jsonl"
    home.iotsim.wait_for(lambda: "gateway-ready" in events.read_text(), "the gateway", run)
    children = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
    status = [status_of(pid) for pid in (str(run.pid), *children)]
    simulating = [found for found in status if found["Name"] != "iotsim-helper"]
    assert len(simulating) == processes
    for found in simulating:
        assert set(found["Uid"].split()) == {str(home.user.uid)}
        expected = READ_FILES if private_of_another else 0
        assert {int(found[key], 16) for key in ("CapEff", "CapPrm")} == {expected}
    run.send_signal(signal.SIGINT)
    assert home.iotsim.finish(run, out).result["reason"] == "interrupted by SIGINT"
    assert {path.lstat().st_uid for path in (out, *out.iterdir())} == {home.user.uid}


def status_of(pid: str) -> dict[str, str]:
    lines = Path("/proc", pid, "status").read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def test_results_go_to_a_folder_that_is_not_theirs_too(home: PrivateHome) -> None:
    out = home.user.home / "results" / "one"
    out.mkdir(parents=True)
    portrait(home.run(SUDO))
    assert out.stat().st_uid == 0
    assert {path.stat().st_uid for path in out.iterdir()} == {home.user.uid}


def test_a_user_of_its_own(home: PrivateHome) -> None:
    home.user.home.chmod(0o755)  # else it could not read what it is to execute
    found = portrait(home.run(SUDO, gateway=f"user = {OTHER_UID}"))
    assert (found["uid"], found["work"], found["capabilities"]) == (OTHER_UID, OTHER_UID, 0)


def test_root_again_for_the_gateway_alone(home: PrivateHome) -> None:
    found = portrait(home.run(SUDO, gateway='user = "root"'))
    assert (found["uid"], found["work"], found["home"]) == (0, 0, "/root")
    assert home.owners() == {home.user.uid}


@pytest.mark.parametrize("environment", [SUDO, NO_SUDO])
def test_capabilities_that_are_asked_for(home: PrivateHome, environment: dict[str, str]) -> None:
    found = portrait(home.run(environment, gateway='capabilities = ["net_raw", "CAP_SYS_NICE"]'))
    asked = Capability.NET_RAW.bit | Capability.SYS_NICE.bit
    assert found["capabilities"] == asked | (0 if environment is SUDO else ALL_FILES)
    assert (found["raw"], found["no_new_privs"]) == (True, "1")


def test_after_sigkill_nothing_is_left_of_what_sudo_started(home: PrivateHome) -> None:
    """Its helper stays root's, and so hears nothing from the kernel of the end of its parent."""
    token = f"600.{os.getpid()}"
    script = f"trap : HUP TERM; setsid sleep {token} & sleep {token}"
    scenario = home.iotsim.meters(gateway=f'command = ["sh", "-c", "{script}"]', until="duration")
    words = home.words("run", scenario.name, "--out", "results/one")
    run = home.iotsim.start_other(words, env=home.environment(SUDO))
    home.iotsim.wait_for(lambda: len(those_with(token)) == 3, "the gateway's processes", run)
    run.kill()
    run.wait()
    of_the_run = (token, str(home.iotsim.out))
    home.iotsim.wait_for(lambda: those_with(*of_the_run) == [], "the end of all")
    assert home.owners() == {home.user.uid}


def those_with(*words: str) -> list[str]:
    """The command lines that have one of `words`, of processes that are not yet dead."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            line = path.read_bytes().decode(errors="replace")
            found += [line] if any(word in line for word in words) else []
    return found


@pytest.mark.needs("userns")
class TestAsAnOrdinaryUser:
    def test_capabilities_are_those_over_the_runs_own_network(self, home: PrivateHome) -> None:
        asked = 'capabilities = ["net_raw", "sys_time"]'
        done = home.run(ORDINARY, gateway=asked, uid=home.user.uid)
        found = portrait(done)
        assert found["capabilities"] == Capability.NET_RAW.bit | Capability.SYS_TIME.bit
        assert found["raw"]
        (note,) = [note for note in done.result["notes"] if "CAP_SYS_TIME" in note]
        assert "over its own user namespace only" in note
        assert "CAP_NET_RAW" not in note

    def test_there_are_none_over_the_machines_network(self, home: PrivateHome) -> None:
        done = home.run(
            ORDINARY,
            gateway='capabilities = "net_raw"',
            link='isolate = "host"',
            uid=home.user.uid,
        )
        assert done.status == 3
        assert "the gateway cannot have CAP_NET_RAW\n  fix: run iotsim as root\n" in done.text
        assert "lesser way" not in done.text
        assert done.result["verdict"] == "skipped"

    def test_nobody_can_be_another_user(self, home: PrivateHome) -> None:
        done = home.run(ORDINARY, gateway='user = "root"', uid=home.user.uid)
        assert done.status == 3
        assert "the gateway cannot run as root: this user may not become another" in done.text
        assert "  fix: run iotsim as root\n" in done.text

    def test_everybody_can_be_named(self, home: PrivateHome) -> None:
        uid = home.user.uid
        found = portrait(home.run(ORDINARY, gateway=f"user = {uid}", uid=uid))
        assert (found["uid"], found["user"]) == (uid, str(uid))


@pytest.mark.needs("userns")
@pytest.mark.parametrize("ordinary", [False, True], ids=["sudo", "ordinary"])
def test_runs_of_a_suite_are_whose_they_are_alone(home: PrivateHome, ordinary: bool) -> None:
    uid = home.user.uid
    for name in ("a", "b"):
        command = COMMAND.replace("portrait.py", "../portrait.py")
        scenario = home.iotsim.meters(name=f"all/{name}.toml", gateway=command, expect=OPENED)
        for path in (scenario.parent, scenario):
            os.chown(path, uid, uid)
    environment = home.environment(ORDINARY if ordinary else SUDO)
    words = home.words("run", "all", "--jobs", "2", "--out", "results/all", uid=uid * ordinary)
    out = home.user.home / "results" / "all"
    done = home.iotsim.finish(home.iotsim.start_other(words, env=environment), out)
    assert done.status == 0, done.text
    for name in ("a", "b"):
        found = json.loads((out / name / "gateway.log").read_text().splitlines()[-1])
        assert (found["uid"], found["raw"]) == (uid, False)
    assert home.owners() == {uid}
    assert json.loads((out / "result.json").read_text())["counts"] == {"passed": 2}
