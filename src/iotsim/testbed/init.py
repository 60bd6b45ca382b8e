"""The helper: makes the namespaces and the interface, then forks the init that supervises.

Started by `bed.spawn_helper` as a fresh interpreter whose standard input is the control socket.
The parent keeps nothing but the wait for init: when the parent has ended, everything has.
"""

from __future__ import annotations

import os
import signal
import socket
import traceback
from typing import Any

from iotsim import interpreter
from iotsim.capabilities import Capability
from iotsim.errors import MachineError
from iotsim.link import tuntap
from iotsim.testbed import (
    channel,
    isolation,
    linux,
    names,
    network,
    privileges,
    rights,
    rtnetlink,
)
from iotsim.testbed.plan import NO_INTERFACE, TestbedPlan
from iotsim.testbed.supervisor import Supervisor, become_subreaper

MARK = "iotsim-testbed"
"""The word in the command line by which running testbeds are found; name and results follow it."""
INIT_NAME = "iotsim-init"
HELPER_NAME = "iotsim-helper"


def main() -> None:
    """The program of the helper process; never returns."""
    sock = socket.socket(fileno=os.dup(0))
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)
    status = 1
    try:
        linux.set_process_name(HELPER_NAME)
        message = channel.receive(sock)
        if message is not None:
            status = _run(sock, TestbedPlan.from_json(message.values["plan"]))
    except MachineError as error:
        _report(sock, {"event": "failed", "reason": error.reason, "fix": error.fix})
    except BrokenPipeError:
        status = 0  # the simulator has gone: so do we
    except BaseException:
        _report(sock, {"event": "crashed", "traceback": traceback.format_exc()})
    # The interpreter's own way out runs what a forked child must not run a second time.
    os._exit(status)


def _report(sock: socket.socket, values: dict[str, Any]) -> None:
    try:
        channel.send(sock, values)
    except OSError:
        traceback.print_exc()


def _run(sock: socket.socket, plan: TestbedPlan) -> int:
    private = plan.isolate == "private"
    notes: list[str] = []
    user = False
    if plan.kind != NO_INTERFACE:
        # Now, since a user namespace may take away the right to read where iotsim is installed.
        rtnetlink.load_messages()
    if private:
        user = isolation.enter_private().user
        notes += network.prepare_private(user_namespace=user)
        if plan.hosts:
            names.install_names(dict(plan.hosts))
    elif plan.namespace:
        isolation.enter_named_network(plan.namespace)
    # These are of the network namespace in which they are opened, wherever they are used.
    kinds: list[str] = []
    fds: list[int] = []
    ready: dict[str, Any] = {"event": "ready", "interface": "", "offload": False}
    if plan.kind != NO_INTERFACE:
        tun = tuntap.open_tuntap(
            plan.interface_name,
            kind=plan.kind,
            queues=plan.queues,
            device=plan.tun_device or None,
            persistent=bool(plan.name) and not private,
        )
        ready |= {"interface": tun.name, "offload": tun.offload}
        kinds += ["tun"] * len(tun.fds)
        fds += tun.fds
        notes += network.configure(plan, tun.name, private=private, existing=tun.persistent)
    notes += rights.capability_notes(plan.capabilities, user_namespace=user)
    netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    netlink.bind((0, 0))
    kinds.append("netlink")
    fds.append(netlink.detach())
    for name in ("snmp", "snmp6"):
        try:
            fds.append(os.open(f"/proc/self/net/{name}", os.O_RDONLY | os.O_CLOEXEC))
        except OSError:
            continue
        kinds.append(name)
    ready |= {"user_namespace": user, "fds": kinds}
    return _fork_init(sock, plan, ready, fds, notes)


def _fork_init(
    sock: socket.socket, plan: TestbedPlan, ready: dict[str, Any], fds: list[int], notes: list[str]
) -> int:
    private = plan.isolate == "private"
    if not private:
        isolation.enter_mount_namespace()
    # Last, because the process that calls it can no longer start threads, nor a second namespace.
    own_namespace = isolation.enter_pid_namespace(allow_user=not private)
    pid = os.fork()
    if pid == 0:
        _init(sock, plan, ready, fds, notes, own_namespace=own_namespace)
    sock.close()
    for fd in fds:
        os.close(fd)
    os.waitpid(pid, 0)
    return 0


def _init(
    sock: socket.socket,
    plan: TestbedPlan,
    ready: dict[str, Any],
    fds: list[int],
    notes: list[str],
    *,
    own_namespace: bool,
) -> None:
    """The forked child: never returns."""
    try:
        linux.set_process_name(INIT_NAME)
        if own_namespace:
            if not isolation.mount_proc():
                notes.append("/proc shows the machine's processes: it could not be mounted anew")
        else:
            become_subreaper()
            notes.append("no PID namespace: processes are tracked by their parents instead")
        channel.send(sock, {**ready, "pid_namespace": own_namespace, "notes": notes}, fds)
        for fd in fds:
            os.close(fd)
        supervisor = Supervisor(
            sock,
            own_namespace=own_namespace,
            user=plan.user,
            capabilities=_capabilities(plan),
        )
        if not own_namespace:
            for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(signum, lambda *_: sock.shutdown(socket.SHUT_RDWR))
        supervisor.run()
    except BrokenPipeError:
        pass
    except BaseException:
        traceback.print_exc()
    os._exit(0)


def _capabilities(plan: TestbedPlan) -> int:
    """Those of the processes inside."""
    capabilities = plan.capabilities
    if plan.isolate != "private":
        # In the host's network there is no sysctl of our own to open low ports with.
        capabilities |= Capability.NET_BIND_SERVICE.bit
    if (plan.user.uid if plan.user is not None else os.geteuid()) == 0:
        capabilities |= privileges.ALL_FILES
    return capabilities


def command_line(run_name: str, results: str) -> list[str]:
    """How the helper is started: isolated, without site-packages' start-up files."""
    return interpreter.command(__name__, MARK, run_name, results, site=False)
