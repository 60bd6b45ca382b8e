"""MQTT by aMQTT, a broker in Python, where mosquitto is not installed.

It speaks MQTT 3.1.1 over IPv4, no more, and over a stop it keeps retained messages, but no sessions.
"""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING, Any

import trio

from iotsim import interpreter
from iotsim.clock import real_s
from iotsim.northbound.content import content_fields
from iotsim.run.northbound.process import ProcessService
from iotsim.run.northbound.service import ServiceError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from iotsim.northbound.spec import NorthboundSpec
    from iotsim.run.northbound.service import Surroundings

PROGRAM = "iotsim.run.northbound.amqtt_program"
PATIENCE_S = 3.0


class AmqttService(ProcessService):
    """The broker is a process that tells what it is sent."""

    separate_errors = True

    def __init__(self, spec: NorthboundSpec, surroundings: Surroundings) -> None:
        super().__init__(spec, surroundings)
        self._addresses: list[str] = []
        self._ready = trio.Event()
        self._synced = trio.Event()
        self._held = b""

    async def live(self, task_status: trio.TaskStatus[None]) -> None:
        self._ready, self._held = trio.Event(), b""
        # See where it can listen, which tells why not better than its log does.
        sockets = await self.listen("listener")
        found = [sock.getsockname()[0] for sock in sockets]
        for sock in sockets:
            sock.close()
        self._addresses = [address for address in found if ":" not in address]
        if not self._addresses:
            raise ServiceError(f"{self.title} cannot listen at {found[0]}: aMQTT has no IPv6")
        await super().live(task_status)

    def words(self) -> tuple[Sequence[str], Mapping[str, str]]:
        settings = self.folder / "settings.json"
        listeners = [self._listener(address) for address in self._addresses]
        kept = str(self.folder / "retained.json")
        settings.write_text(json.dumps({"listeners": listeners, "kept": kept}))
        return interpreter.command(PROGRAM, str(settings)), dict(os.environ)

    async def await_ready(self) -> None:
        await self._ready.wait()

    async def drain(self) -> None:
        if self.process is not None and self._ready.is_set():
            self._synced = trio.Event()
            await self.process.send_signal(signal.SIGUSR1)
            with trio.move_on_after(real_s(PATIENCE_S)):
                await self._synced.wait()

    def take(self, chunk: bytes) -> None:
        *lines, self._held = (self._held + chunk).split(b"\n")
        for line in lines:
            self._told(json.loads(line))

    def _told(self, values: dict[str, Any]) -> None:
        if "ready" in values:
            self._ready.set()
        elif "synced" in values:
            self._synced.set()
        else:
            self.count("messages")
            content = content_fields(bytes.fromhex(values["data"]), "payload")
            fields = {"topic": values["topic"], **content}
            fields |= {"qos": values["qos"], "retain": values["retain"]}
            self.run.report(self.spec, fields)

    def _listener(self, address: str) -> dict[str, Any]:
        listener: dict[str, Any] = {"type": "tcp", "bind": f"{address}:{self.spec.port}"}
        certificate = self.run.files.certificates.get(self.spec.name)
        if certificate is not None:
            chain, key = str(certificate.chain), str(certificate.key)
            listener |= {"ssl": True, "certfile": chain, "keyfile": key}
        return listener
