"""What this machine can and cannot do for a run, found out by trying, with the fix for each.

Namespaces and the interface are tried in a child process that comes and goes, exactly as a run
would make them; the rest explains why that failed.
"""

from __future__ import annotations

import json
import math
import os
import platform
import resource
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from iotsim import interpreter
from iotsim.capabilities import Capability
from iotsim.errors import MachineError
from iotsim.link import tuntap
from iotsim.testbed import cgroup, isolation, linux

MIN_KERNEL = (4, 18)
MIN_OPEN_FILES = 256
MIN_PROCESSES = 32
PROBE_TIMEOUT_S = 20


class Check(NamedTuple):
    """One finding. `fix` is the one line that would make it good, "" if it is good already."""

    name: str
    ok: bool
    detail: str
    fix: str = ""
    required: bool = True
    """False: only some scenarios need it."""


def run_checks(tun_device: str = "") -> list[Check]:
    """Every check, in the order in which a run would meet them."""
    device = tun_device or tuntap.tun_device()
    probe = run_probe(device)
    return [
        check_kernel(platform.release()),
        check_tun_device(device),
        check_user_namespaces(),
        probe_check("private namespace", probe, "namespaces"),
        probe_check("TUN interface", probe, "tun"),
        probe_check("checksum offload", probe, "offload", required=False),
        probe_check("PID namespace", probe, "pid"),
        probe_check("IPv6", probe, "ipv6", required=False),
        check_capabilities(private=probe.get("namespaces", [False])[0]),
        check_open_files(),
        *check_container(),
    ]


def check_kernel(release: str) -> Check:
    numbers = release.split("-")[0].split(".")
    version = tuple(int(number) for number in numbers[:2] if number.isdigit())
    if version >= MIN_KERNEL:
        return Check("kernel", True, f"Linux {release}")
    wanted = ".".join(map(str, MIN_KERNEL))
    return Check("kernel", False, f"Linux {release}", f"upgrade to Linux {wanted} or newer")


def check_tun_device(path: str) -> Check:
    """Whether the clone device is there, is what it should be, and may be opened."""
    try:
        status = Path(path).stat()
    except OSError as error:
        problem = tuntap.explain_open(path, error)
        return Check(path, False, problem.reason, problem.fix)
    if not stat.S_ISCHR(status.st_mode):
        fix = f"sudo rm {path} && sudo mknod -m 666 {path} c 10 200"
        return Check(path, False, f"{path} is no character device", fix)
    mode = f"mode {stat.S_IMODE(status.st_mode):04o}, owner {status.st_uid}:{status.st_gid}"
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        problem = tuntap.explain_open(path, error)
        return Check(path, False, f"{problem.reason} ({mode})", problem.fix)
    return Check(path, True, f"can be opened ({mode})")


def check_user_namespaces() -> Check:
    """The switches that keep ordinary users from making namespaces."""
    if isolation.may_administer():
        return Check("user namespaces", True, "not needed: this user may administer the network")
    found = []
    for path, forbidding, fix in isolation.USER_SYSCTLS:
        try:
            value = Path(path).read_text().strip()
        except OSError:
            continue
        key = path.removeprefix("/proc/sys/").replace("/", ".")
        if value == forbidding:
            return Check("user namespaces", False, f"{key} = {value}", fix)
        found.append(f"{key} = {value}")
    return Check("user namespaces", True, ", ".join(found) or "nothing restricts them")


def check_capabilities(*, private: bool) -> Check:
    """What `isolate = "host"` needs; `private` tells whether private namespaces can be made."""
    if linux.has_capability(Capability.NET_ADMIN):
        return Check("capabilities", True, 'CAP_NET_ADMIN: isolate = "host" is possible')
    if private:
        detail = 'none, and none are needed, except where a scenario says isolate = "host"'
        return Check("capabilities", True, detail)
    return Check(
        "capabilities",
        False,
        'no CAP_NET_ADMIN: isolate = "host" is not possible either',
        'run iotsim as root where a scenario says isolate = "host"',
        required=False,
    )


def check_open_files() -> Check:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= MIN_OPEN_FILES:
        return Check("open files", True, f"at most {soft}")
    return Check("open files", False, f"at most {soft} (hard limit {hard})", "ulimit -n 4096")


def check_container() -> list[Check]:
    """Limits that a container may have put around us."""
    findings = []
    if Path("/.dockerenv").exists() or Path("/run/.containerenv").exists():
        findings.append("in a container")
    status = Path("/proc/self/status").read_text()
    if "\nSeccomp:\t" in status and "\nSeccomp:\t0" not in status:
        findings.append("system calls are filtered (seccomp)")
    pids = cgroup.least("pids.max")
    limits = (
        (pids, "processes"),
        (cgroup.memory_bytes(), "bytes of memory"),
        (cgroup.cores(), "cores"),
    )
    findings += [f"at most {limit:.16g} {what}" for limit, what in limits if limit < math.inf]
    checks = [Check("container", True, ", ".join(findings) or "no limits found")]
    if pids < MIN_PROCESSES:
        fix = "start the container with --pids-limit 256"
        checks.append(Check("processes", False, f"the cgroup allows only {pids:g}", fix))
    return checks


# -- the probe


def run_probe(device: str) -> dict[str, Any]:
    """Try it all in a process of its own: step -> [ok, detail, fix]."""
    try:
        result = subprocess.run(
            interpreter.command(__name__, device, site=False),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PROBE_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return {"namespaces": [False, f"could not be tried: {error}", ""]}
    try:
        findings: dict[str, Any] = json.loads(result.stdout)
    except ValueError:
        lines = result.stderr.strip().splitlines() or [f"exit status {result.returncode}"]
        return {"namespaces": [False, f"could not be tried: {lines[-1]}", ""]}
    return findings


def probe_check(name: str, probe: dict[str, Any], step: str, *, required: bool = True) -> Check:
    ok, detail, fix = probe.get(step, [False, "not tried, because of the above", ""])
    return Check(name, ok, detail, fix, required)


def main() -> None:
    """The program of the probing process, argv: the TUN device. Prints its findings as JSON."""
    print(json.dumps(_try_everything(sys.argv[1])))


def _try_everything(device: str) -> dict[str, Any]:
    from iotsim.testbed import network

    found: dict[str, Any] = {}
    try:
        made = isolation.enter_private()
    except MachineError as error:
        found["namespaces"] = [False, error.reason, error.fix]
        return found
    how = "with a user namespace, without privilege" if made.user else "with root's privilege"
    found["namespaces"] = [True, f"can be made ({how})", ""]
    notes = network.prepare_private(user_namespace=made.user)
    ipv6 = network.has_ipv6()
    found["ipv6"] = [ipv6, "available" if ipv6 else "the kernel has it switched off", ""]
    if not ipv6:
        found["ipv6"][2] = "remove ipv6.disable=1 from the kernel's command line"
    try:
        tun = tuntap.open_tuntap("iotsim0", device=device)
    except MachineError as error:
        found["tun"] = [False, error.reason, error.fix]
    else:
        detail = "; ".join(["can be made", *notes])
        found["tun"] = [True, detail, ""]
        text = "the kernel does the checksums" if tun.offload else "checksums in software: slower"
        found["offload"] = [tun.offload, text, "" if tun.offload else "upgrade the kernel"]
    if not isolation.enter_pid_namespace(allow_user=False):
        found["pid"] = [False, "a PID namespace cannot be made", isolation.userns_fix()]
        return found
    child = os.fork()
    if child == 0:
        os._exit(0 if isolation.mount_proc() else 1)
    _, status = os.waitpid(child, 0)
    text = "can be made" if status == 0 else "can be made; /proc still shows the whole machine"
    found["pid"] = [True, text, ""]
    return found
