"""The simulator's side of a testbed, in trio.

Two steps, because the helper can work while the simulator still imports and loads its scenario::

    helper = spawn_helper(plan)            # at once, no trio
    ...
    async with open_testbed(plan, helper) as testbed:
        process = await testbed.start_gateway(["./gateway"], env, cwd)

Leaving the context ends every process inside, closes the interface, and waits until both are gone.
"""

from __future__ import annotations

import os
import socket
from contextlib import asynccontextmanager
from itertools import count
from typing import TYPE_CHECKING, Any, Final

import trio

from iotsim.clock import real_s
from iotsim.errors import IotsimError, MachineError
from iotsim.link.tun import TunLink
from iotsim.testbed import channel
from iotsim.testbed.counters import CounterReader, InterfaceCounters
from iotsim.testbed.helper import Helper, spawn_helper
from iotsim.testbed.process import OPEN, ExitStatus, GatewayProcess, Open, Sample, Streams

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

    from iotsim.testbed.plan import TestbedPlan
    from iotsim.testbed.sockets import SocketKind

__all__ = [
    "OPEN",
    "ExitStatus",
    "GatewayProcess",
    "GatewayStartError",
    "Helper",
    "Open",
    "Sample",
    "Streams",
    "Testbed",
    "open_testbed",
    "spawn_helper",
]

CLOSE_TIMEOUT_S: Final = 10.0


class GatewayStartError(IotsimError):
    """The gateway's command cannot be executed: the scenario's fault, or the command line's."""


class Testbed:
    """A standing testbed. Made by `open_testbed`."""

    __test__ = False

    def __init__(self, plan: TestbedPlan, helper: Helper, ready: channel.Message) -> None:
        values = ready.values
        handed: dict[str, list[int]] = {}
        for name, fd in zip(values["fds"], ready.fds, strict=True):
            handed.setdefault(name, []).append(fd)
        self.interface: str = values["interface"]
        self.init_pid = ready.pid
        self.offload: bool = values["offload"]
        """The kernel leaves checksums of local packets to us, and takes ours over."""
        self.user_namespace: bool = values["user_namespace"]
        self.pid_namespace: bool = values["pid_namespace"]
        self.notes: tuple[str, ...] = tuple(values["notes"])
        """What could not be had, in words: no IPv6, say."""
        self.link: TunLink | None = None
        """Owned by the testbed; closing it twice does no harm. None where the plan has none."""
        if self.interface:
            self.link = TunLink(
                handed["tun"],
                name=self.interface,
                kind=plan.kind,
                mtu=plan.mtu,
                offload=self.offload,
            )
        self._counters = CounterReader(
            self.interface,
            handed["netlink"][0],
            {name: fds[0] for name, fds in handed.items() if name.startswith("snmp")},
        )
        self._user = plan.user
        self._helper = helper
        self._processes: dict[int, GatewayProcess] = {}
        self._starting: dict[int, trio.Event] = {}
        self._refusals: dict[int, dict[str, Any]] = {}
        self._tickets = count(1)
        self._opening: dict[int, trio.Event] = {}
        self._opened: dict[int, channel.Message] = {}
        self._nursery: trio.Nursery | None = None
        self._listening: list[trio.CancelScope] = []
        self._sending = trio.Lock()
        self._gone = trio.Event()

    @property
    def fds(self) -> tuple[int, ...]:
        """One descriptor per queue of the interface."""
        return () if self.link is None else self.link.fds

    def interface_counters(self) -> InterfaceCounters:
        """What the kernel counted at the interface; cheap."""
        return self._counters.interface_counters()

    def gateway_udp_errors(self) -> dict[str, int]:
        """Errors of UDP in the gateway's network namespace (`UdpRcvbufErrors`, …).

        In the host they are those of every program there.
        """
        return self._counters.udp_errors()

    async def open_socket(
        self, kind: SocketKind, address: str = "127.0.0.1", port: int = 0
    ) -> socket.socket:
        """A socket of the gateway's network, non-blocking; see `iotsim.testbed.sockets.make_socket`.

        OSError with the kernel's reason if there is none to be had.
        """
        ticket = next(self._tickets)
        self._opening[ticket] = opened = trio.Event()
        try:
            if not self._gone.is_set():
                request = {"op": "socket", "id": ticket, "kind": kind}
                await self._request({**request, "address": address, "port": port})
                await opened.wait()
        finally:
            del self._opening[ticket]
            message = self._opened.pop(ticket, None)
        if message is None:
            raise OSError(0, "the testbed has ended")
        if not message.fds:
            raise OSError(message.values["errno"], message.values["reason"])
        return socket.socket(fileno=message.fds[0])

    async def start_gateway(
        self,
        command: Sequence[str],
        env: Mapping[str, str],
        cwd: str | Path | None = None,
        *,
        streams: Streams | None = None,
        on_left: Callable[[str], None] = lambda _name: None,
        what: str = "the gateway",
    ) -> GatewayProcess:
        """Start `command` inside, in a session of its own, with the plan's user and capabilities.

        `streams` are the process's from now on; the default is a terminal, and no input. `on_left`
        is called when the command has exited and left another process to be the gateway; see
        `GatewayProcess`. GatewayStartError if the command cannot be executed; it calls it `what`.
        """
        assert self._nursery is not None
        streams = streams or Streams()
        if self._gone.is_set():
            streams.close()
            raise GatewayStartError(f"{what} cannot be started: the testbed has ended")
        number = len(self._processes) + 1
        process = GatewayProcess(number, streams, self._request, on_left)
        self._processes[number] = process
        self._starting[number] = started = trio.Event()
        memory = channel.to_memory(
            {
                "command": [os.fspath(word) for word in command],
                "env": dict(env),
                "cwd": os.fspath(cwd) if cwd is not None else None,
            }
        )
        try:
            request = {"op": "start", "id": number, "errors": streams.has_errors}
            await self._request(request, (memory, *streams.theirs))
        finally:
            os.close(memory)
            streams.close_theirs()
        await started.wait()
        refusal = self._refusals.pop(number, None)
        if refusal is not None:
            process._close()
            culprit = refusal["culprit"] or command[0]
            whose = f" (as user {self._user.name})" if self._user is not None else ""
            raise GatewayStartError(
                f"{what} cannot be started{whose}: {culprit}: {refusal['reason']}"
            )
        self._keep_up(process._read_output)
        return process

    def _keep_up(self, function: Callable[[], Awaitable[None]]) -> None:
        """Let `function` go on as long as the testbed does: also while a block that was cancelled, or has
        failed, still waits in there for the end of its gateway."""
        assert self._nursery is not None
        scope = trio.CancelScope(shield=True)
        self._listening.append(scope)

        async def listen() -> None:
            with scope:
                await function()

        self._nursery.start_soon(listen)

    async def _request(self, values: dict[str, Any], fds: Sequence[int] = ()) -> None:
        sock = self._helper.sock
        async with self._sending:
            while True:
                try:
                    channel.send(sock, values, fds)
                except BlockingIOError:
                    await trio.lowlevel.wait_writable(sock)
                except OSError:
                    return  # it has ended, which `_listen` tells to whoever waits
                else:
                    return

    async def _listen(self) -> None:
        """Take the helper's reports until it ends."""
        sock = self._helper.sock
        while True:
            try:
                message = channel.receive(sock)
            except BlockingIOError:
                await trio.lowlevel.wait_readable(sock)
                continue
            if message is None:
                break
            self._dispatch(message)
        self._note_gone()

    def _dispatch(self, message: channel.Message) -> None:
        values = message.values
        number = values["id"]
        if values["event"] in ("socket", "no-socket"):
            self._take_socket(number, message)
            return
        process = self._processes[number]
        match values["event"]:
            case "started":
                process.pid = message.pid
            case "running":
                self._starting.pop(number).set()
            case "start-failed":
                self._refusals[number] = values
                process._note_exit(ExitStatus(127, None))
                self._starting.pop(number).set()
            case "left":
                process._note_left(values["name"])
            case "exited":
                process._note_exit(ExitStatus(values.get("status"), values.get("signal")))
            case "killed":
                process._note_killed()
            case "paused":
                process._note_done("pause")
            case "resumed":
                process._note_done("resume")
            case "usage":
                process._note_usage(values)

    def _take_socket(self, ticket: int, message: channel.Message) -> None:
        opened = self._opening.get(ticket)
        if opened is None:  # whoever asked has been cancelled
            for fd in message.fds:
                os.close(fd)
            return
        self._opened[ticket] = message
        opened.set()

    def _note_gone(self) -> None:
        self._gone.set()
        for opened in self._opening.values():
            opened.set()
        for number, started in self._starting.items():
            self._refusals[number] = {"culprit": "init", "reason": "the testbed has ended"}
            started.set()
        self._starting.clear()
        for process in self._processes.values():
            process._note_gone()

    def _close(self) -> None:
        for process in self._processes.values():
            process._close()
        self._counters.close()
        if self.link is not None:
            self.link.close()


@asynccontextmanager
async def open_testbed(plan: TestbedPlan, helper: Helper | None = None) -> AsyncIterator[Testbed]:
    """A testbed as `plan` says. MachineError if this machine cannot do it.

    `helper` is one that `spawn_helper` started earlier for the same plan.
    """
    helper = helper or spawn_helper(plan)
    try:
        testbed = Testbed(plan, helper, await _wait_ready(helper))
        try:
            async with trio.open_nursery() as nursery:
                testbed._nursery = nursery
                testbed._keep_up(testbed._listen)
                try:
                    yield testbed
                finally:
                    testbed._nursery = None
                    nursery.cancel_scope.cancel()
                    for scope in testbed._listening:
                        scope.cancel()
        finally:
            testbed._note_gone()
            testbed._close()
    finally:
        await _close_helper(helper)


async def _wait_ready(helper: Helper) -> channel.Message:
    while True:
        try:
            message = channel.receive(helper.sock)
        except BlockingIOError:
            await trio.lowlevel.wait_readable(helper.sock)
            continue
        break
    if message is None:
        helper.sock.close()
        await _wait_errors(helper)
        raise RuntimeError(f"the helper process ended unexpectedly:\n{helper.take_errors()}")
    values = message.values
    if values["event"] == "failed":
        raise MachineError(values["reason"], values["fix"])
    if values["event"] == "crashed":
        raise RuntimeError(f"the helper process crashed:\n{values['traceback']}")
    return message


async def _wait_errors(helper: Helper) -> None:
    """Wait until the helper's error output ends, which is when all of its processes have ended."""
    while not helper.read_errors():
        await trio.lowlevel.wait_readable(helper.errors_fd)


async def _close_helper(helper: Helper) -> None:
    helper.sock.close()
    with trio.move_on_after(real_s(CLOSE_TIMEOUT_S), shield=True):
        await _wait_errors(helper)
    helper.close()
