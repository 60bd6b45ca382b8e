"""MQTT: mosquitto in the gateway's network, and a subscriber of ours that watches it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import trio

from iotsim.clock import real_s
from iotsim.northbound.mosquitto import mosquitto_conf
from iotsim.run.northbound.process import ProcessService
from iotsim.run.northbound.service import ServiceError

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping, Sequence

    from iotsim.northbound.spec import NorthboundSpec
    from iotsim.run.northbound.service import Surroundings

POLL_S = 0.02
CONFIGURATION = "mosquitto.conf"


class BrokerService(ProcessService):
    """The broker keeps sessions and retained messages over a stop, as one with a disk does."""

    def __init__(self, spec: NorthboundSpec, surroundings: Surroundings) -> None:
        super().__init__(spec, surroundings)
        from iotsim.run.northbound.watcher import Watcher  # loading paho-mqtt takes 60 ms

        self._watcher = Watcher(self._tell)
        self._watch_port = 0
        self._addresses: list[str] = []

    async def live(self, task_status: trio.TaskStatus[None]) -> None:
        if not self._watch_port:
            await self._find_places()
        await super().live(task_status)

    def words(self) -> tuple[Sequence[str], Mapping[str, str]]:
        files = self.run.files
        configuration = self.folder / CONFIGURATION
        text = mosquitto_conf(
            self.folder,
            self._addresses,
            self.spec.port,
            self._watch_port,
            largest=self.spec.largest,
            certificate=files.certificates.get(self.spec.name),
        )
        configuration.write_text(text)
        return [files.broker, "-c", str(configuration)], dict(os.environ)

    async def attend(self, task_status: trio.TaskStatus[None]) -> None:
        sock = await self._connected()
        try:
            await self._watcher.watch(sock, task_status=task_status)
        except ConnectionError as error:
            raise ServiceError(f"{self.title} does not let itself be watched: {error}") from error
        await trio.sleep_forever()  # the broker has closed the connection: it is about to end

    async def drain(self) -> None:
        await self._watcher.settle()

    async def _find_places(self) -> None:
        """See where the broker can listen, which tells why not better than its log does."""
        for sock in await self.listen("listener"):
            self._addresses.append(sock.getsockname()[0])
            sock.close()
        sock = await self.run.testbed.open_socket("listener")
        self._watch_port = sock.getsockname()[1]
        sock.close()

    async def _connected(self) -> socket.socket:
        while True:
            sock = await self.run.testbed.open_socket("stream")
            try:
                await trio.socket.from_stdlib_socket(sock).connect(("127.0.0.1", self._watch_port))
            except OSError:
                sock.close()
                await trio.sleep(real_s(POLL_S))
            else:
                return sock

    def _tell(self, fields: dict[str, Any]) -> None:
        self.count("messages")
        self.run.report(self.spec, fields)
