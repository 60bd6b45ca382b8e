"""The marker `needs`: what a test needs of the machine, and how to get it.

``@pytest.mark.needs("tun", "ping")`` skips a test where one of these is missing; the reason has the
line that provides it. A name is a program on PATH, a client of `tests.clients`, or one of

==========  ====================================================================================
``root``    uid 0 with its capabilities: the test makes namespaces, devices and users of its own
``tun``     a private network with a TUN interface can be made, tried as ``iotsim doctor`` does
``userns``  ordinary users may make user namespaces
==========  ====================================================================================

In CI (the variable CI is set), which has everything, a skip is a failure, but for tests that are
marked `may_skip`. As a program, ``python -m tests.needs`` installs programs and clients, if it can.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from tests.clients import CLIENTS, Client

from iotsim.link.tuntap import tun_device
from iotsim.testbed.doctor import run_probe
from iotsim.testbed.isolation import may_administer, userns_fix
from iotsim.testbed.programs import DEBIAN_PACKAGES, install_line, missing_programs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

PACKAGES = {
    **DEBIAN_PACKAGES,
    "cc": "gcc libc6-dev",
    "chromedriver": "chromium-driver",
    "chromium": "chromium",
    "editcap": "wireshark-common",
    "knxtool": "knxd knxd-tools",
    "node": "nodejs",
    "npm": "npm",
    "prove": "perl",
    "text2pcap": "wireshark-common",
    "tftp": "tftp-hpa",
}
INSTALL = "python -m tests.needs"
NOBODY = 65534
INSTALLED_AT_A_TIME = 4


def lacks_root() -> str:
    return "" if os.geteuid() == 0 and may_administer() else "run the tests as root"


def lacks_tun() -> str:
    probe = run_probe(tun_device())
    for step in ("namespaces", "tun", "pid"):
        ok, detail, fix = probe[step]
        if not ok:
            return str(fix or detail)
    return ""


def lacks_userns() -> str:
    words = ["unshare", "--user", "true"]
    if os.geteuid() == 0:
        words = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *words]
    done = subprocess.run(words, capture_output=True, check=False)
    return userns_fix() if done.returncode else ""


CONDITIONS: dict[str, Callable[[], str]] = {
    "root": lacks_root,
    "tun": lacks_tun,
    "userns": lacks_userns,
}
"""Each gives what to do for a need that is no program, "" if it is met."""


@functools.cache
def lacking(need: str) -> str:
    """What to do for `need`, "" if it is met."""
    if need in CONDITIONS:
        return CONDITIONS[need]()
    if need in CLIENTS:
        return "" if CLIENTS[need].is_installed else INSTALL
    return install_line([need], PACKAGES) if missing_programs([need]) else ""


def reason_to_skip(needs: Iterable[str]) -> str:
    """What is missing of `needs`, with the lines that provide it; "" if nothing is."""
    missing = sorted(need for need in needs if lacking(need))
    programs = [need for need in missing if need not in CONDITIONS and need not in CLIENTS]
    fixes = list(dict.fromkeys(lacking(need) for need in missing if need not in programs))
    fixes += [install_line(programs, PACKAGES)] if programs else []
    return f"needs {', '.join(missing)}: {'; '.join(fixes)}" if missing else ""


def needs_of(item: pytest.Item) -> list[str]:
    """What the marks of a test and of its module name, without repetition."""
    return list(dict.fromkeys(need for mark in item.iter_markers("needs") for need in mark.args))


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(*names): skip where one of them is missing")
    config.addinivalue_line("markers", "may_skip: a skip is no failure in CI either")
    # Debian has some of the programs where ordinary users do not look.
    os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if reason := reason_to_skip(needs_of(item)):
        pytest.skip(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    report = yield
    if report.skipped and os.environ.get("CI") and item.get_closest_marker("may_skip") is None:
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid}: skipped in CI: {report.longrepr}"
    return report


def install() -> None:
    """Install what is missing. Where that fails, tests are skipped."""
    install_programs()
    install_clients()


def install_clients() -> None:
    """Install the clients that are missing, a few at a time: most of it is waiting for a registry."""
    missing = [client for client in CLIENTS.values() if not client.is_installed]
    if not missing:
        return
    print(f"installing what the tests need: {', '.join(one.name for one in missing)}", flush=True)
    with ThreadPoolExecutor(INSTALLED_AT_A_TIME) as pool:
        for client, done in zip(missing, pool.map(Client.install, missing), strict=True):
            if not done:
                print(f"{client.name}: that failed: the tests that need it are skipped", flush=True)


def install_programs() -> None:
    """Install the programs that are missing, as root on Debian."""
    missing = missing_programs(PACKAGES)
    if not missing or os.geteuid() != 0 or shutil.which("apt-get") is None:
        return
    packages = dict.fromkeys(" ".join(PACKAGES[name] for name in missing).split())
    print(f"installing what the tests need: {' '.join(packages)}", flush=True)
    for words in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
        done = subprocess.run(
            ["apt-get", "-qq", *words],
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            stdout=subprocess.DEVNULL,
            check=False,
        )
        if done.returncode:
            print("that failed: the tests that need them are skipped")
            return


if __name__ == "__main__":
    install()
