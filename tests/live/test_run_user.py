"""Who a run and its gateway are: under sudo, as root, and with rights that the scenario asks for.

Everything lies in the private home (mode 0750) of a user who has no entry in the user database.
"""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.live.conftest import UID

from iotsim.capabilities import Capability

if TYPE_CHECKING:
    from tests.conftest import CommandLine
    from tests.live.conftest import OrdinaryUser

pytestmark = pytest.mark.needs("root", "tun")

EXPECT = '[[expect]]\nname = "ends well"\ngateway = { exit = 0 }'
PORTRAIT = """
pid=$(exec sh -c 'echo $PPID')
grep -E '^(Uid|Gid|CapEff|CapAmb|NoNewPrivs):' /proc/$pid/status
echo HOME: $HOME $USER $LOGNAME
echo mine > mine; cat ../result.json > /dev/null && echo read: yes
"""
SEVERAL_QUEUES = "queues = 2"


@pytest.fixture
def home(iotsim: CommandLine, ordinary_user: OrdinaryUser) -> CommandLine:
    """``iotsim`` in the private home of the user."""
    iotsim.folder, iotsim.out = ordinary_user.home, ordinary_user.home / "results" / "out"
    ordinary_user.home.chmod(0o750)
    for name in ("SUDO_UID", "SUDO_GID", "USER", "LOGNAME"):
        iotsim.environment.pop(name, None)
    iotsim.environment |= {"HOME": "/root", "USER": "root", "LOGNAME": "root"}
    return iotsim


def sudo(home: CommandLine) -> None:
    """From now on commands are started as by that user's sudo."""
    home.environment |= {"SUDO_UID": str(UID), "SUDO_GID": str(UID)}


def portrait(home: CommandLine, gateway: str = "", link: str = "") -> dict[str, list[Any]]:
    """What the gateway finds itself to be, after a run that must pass."""
    home.write("portrait.sh", PORTRAIT)
    command = f'command = ["/bin/sh", "portrait.sh"]\n{gateway}'
    scenario = home.meters(gateway=command, expect=EXPECT, link=link)
    for path in home.folder.rglob("*"):
        os.chown(path, UID, UID)
    done = home.run(scenario)
    assert done.status == 0, done.text + done.log
    rows = (line.partition(":") for line in done.log.splitlines())
    return {name: text.split() for name, _, text in rows}


def capabilities_of(found: dict[str, list[Any]]) -> int:
    assert found["CapEff"] == found["CapAmb"]
    return int(found["CapEff"][0], 16)


def owners(folder: Path) -> set[int]:
    return {path.lstat().st_uid for path in (folder, *folder.rglob("*"))}


@pytest.mark.parametrize("link", ["", SEVERAL_QUEUES])
def test_under_sudo_all_is_the_callers(home: CommandLine, link: str) -> None:
    sudo(home)
    found = portrait(home, link=link)
    assert found["Uid"] == found["Gid"] == [str(UID)] * 4
    assert capabilities_of(found) == 0
    assert found["NoNewPrivs"] == ["1"]
    assert found["HOME"] == ["/", str(UID), str(UID)]
    assert found["read"] == ["yes"]
    assert owners(home.out.parent) == {UID}
    assert "work/" in json.loads((home.out / "result.json").read_text())["files"]


def test_root_otherwise_is_root_and_has_the_right_to_every_file(home: CommandLine) -> None:
    found = portrait(home)
    assert found["Uid"] == ["0"] * 4
    assert capabilities_of(found) == Capability.DAC_OVERRIDE.bit
    assert found["HOME"] == ["/root", "root", "root"]
    assert owners(home.out) == {0}


@pytest.mark.parametrize("called_sudo", [True, False])
def test_the_scenario_names_another_user(home: CommandLine, called_sudo: bool) -> None:
    if called_sudo:
        sudo(home)
    home.folder.chmod(0o751)  # so that this one comes to its working folder
    user = 54322
    found = portrait(home, f"user = {user}")
    assert found["Uid"] == found["Gid"] == [str(user)] * 4
    assert capabilities_of(found) == 0
    assert owners(home.out / "work") == {user}
    assert owners(home.out) == {user, UID if called_sudo else 0}


def test_capabilities_that_the_scenario_names_outlive_exec(home: CommandLine) -> None:
    sudo(home)
    found = portrait(home, 'capabilities = ["net_raw", "CAP_SYS_NICE"]')
    assert found["Uid"] == [str(UID)] * 4
    assert capabilities_of(found) == Capability.NET_RAW.bit | Capability.SYS_NICE.bit


def test_a_user_that_there_is_not(home: CommandLine) -> None:
    gateway = 'command = ["true"]\nuser = "no.such.user"'
    done = home.run(home.meters(gateway=gateway))
    assert done.status == 2
    assert "the gateway cannot be started: there is no user called no.such.user" in done.text
    assert done.result["verdict"] == "error"


def test_an_ordinary_user_gives_no_rights_away(
    home: CommandLine, ordinary_user: OrdinaryUser
) -> None:
    home.environment["IOTSIM_TUN"] = str(ordinary_user.device)
    home.folder.chmod(0o755)
    for gateway, reason in (
        ("user = 0", "the gateway cannot run as root: this user may not become another"),
        ('capabilities = ["net_raw"]', "the gateway cannot have CAP_NET_RAW"),
    ):
        scenario = home.meters(gateway=f'command = ["true"]\n{gateway}', link='isolate = "host"')
        words = ordinary_user.words(*home.words("run", scenario, "--out", home.out))
        done = home.finish(home.start_other(words))
        assert done.status == 3, done.text
        assert reason in done.text
        assert "fix: run iotsim as root" in done.text
        assert "loopback" not in done.text  # which would not help


def test_in_a_network_of_its_own_an_ordinary_user_gives_rights_over_that(
    home: CommandLine, ordinary_user: OrdinaryUser
) -> None:
    home.environment["IOTSIM_TUN"] = str(ordinary_user.device)
    command = (
        'command = ["grep", "CapAmb", "/proc/self/status"]\ncapabilities = ["net_raw", "kill"]'
    )
    scenario = home.meters(gateway=command, expect=EXPECT)
    words = ordinary_user.words(*home.words("run", scenario, "--out", home.out))
    done = home.finish(home.start_other(words))
    assert done.status == 0, done.text
    assert int(done.log.split()[1], 16) == Capability.NET_RAW.bit | Capability.KILL.bit
    (note,) = [note for note in done.result["notes"] if "CAP_KILL" in note]
    assert note.startswith("the gateway has CAP_KILL over its own user namespace only")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP])
def test_under_sudo_nothing_is_left_either(home: CommandLine, number: signal.Signals) -> None:
    """Its helper is still root's, so the kernel does not let the end of a user's process end it."""
    sudo(home)
    token = f"600.{os.getpid()}{int(number)}"
    command = (
        f'command = ["/bin/sh", "-c", "trap : HUP TERM; setsid sleep {token} & sleep {token}"]'
    )
    run = home.start("run", home.meters(gateway=command, until="duration"), "--out", home.out)
    home.wait_for(lambda: len(those_with(token)) == 3, "the gateway's processes", run)
    run.send_signal(number)
    assert run.wait(20) == (-number if number == signal.SIGKILL else 128 + number)
    home.wait_for(lambda: those_with(token, str(home.out)) == [], "their end")
    verdict = json.loads((home.out / "result.json").read_text())["verdict"]
    assert verdict == ("running" if number == signal.SIGKILL else "error")


def those_with(*words: str) -> list[str]:
    """Processes with one of `words` in their command line."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if any(word in line for word in words):
            found.append(line)
    return found
