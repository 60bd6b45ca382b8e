"""A broker in Python, aMQTT, as a program that tells in lines of JSON what it is sent.

It stands in where mosquitto is not installed; nobody but the program itself imports this page. Its
argument is a file with its settings::

    {"listeners": [{"bind": "127.0.0.1:1883", …}], "kept": "the file for retained messages"}

It prints ``{"ready": true}``, then each message that it takes, ``{"topic", "data" (hex), "qos", "retain"}``,
and ``{"synced": true}`` some time after each SIGUSR1, with all messages before that. SIGTERM ends it.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

PLUGIN = f"{__name__}.Teller"
ANONYMOUS = "amqtt.plugins.authentication.AnonymousAuthPlugin"
SYNC_S = 0.05
"""The broker confirms a message a few turns of its loop before it passes it on."""
BasePlugin: Any = importlib.import_module("amqtt.plugins.base").BasePlugin


def tell(values: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


class Teller(BasePlugin):  # type: ignore[misc]
    """Tells what is published, and keeps retained messages over a stop."""

    kept = Path()

    async def on_broker_message_broadcast(self, *, client_id: str, message: Any) -> None:
        packet = message.publish_packet
        retain = bool(packet is not None and packet.retain_flag)
        data = bytes(message.data or b"").hex()
        tell({"topic": message.topic, "data": data, "qos": message.qos or 0, "retain": retain})

    async def on_broker_post_start(self) -> None:
        with suppress(FileNotFoundError):
            for topic, data, qos in json.loads(self.kept.read_text()):
                await self.context.retain_message(topic, bytes.fromhex(data), qos)

    async def on_broker_pre_shutdown(self) -> None:
        messages = self.context.retained_messages.values()
        kept = [(one.topic, bytes(one.data).hex(), one.qos) for one in messages]
        self.kept.write_text(json.dumps(kept))


async def serve(settings: dict[str, Any]) -> None:
    """Be the broker until SIGTERM."""
    # The plugin is loaded by its name, from this page imported once more.
    importlib.import_module(__name__).Teller.kept = Path(settings["kept"])
    listeners = {f"listener{n}": one for n, one in enumerate(settings["listeners"])}
    listeners["default"] = listeners.pop("listener0")
    config = {"listeners": listeners, "plugins": {ANONYMOUS: {"allow_anonymous": True}, PLUGIN: {}}}
    broker = importlib.import_module("amqtt.broker").Broker(config)
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    loop.add_signal_handler(signal.SIGUSR1, loop.call_later, SYNC_S, tell, {"synced": True})
    await broker.start()
    tell({"ready": True})
    await ended.wait()
    await broker.shutdown()


def main() -> None:
    """The program; its last argument is the file with its settings."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    asyncio.run(serve(json.loads(Path(sys.argv[-1]).read_text())))
