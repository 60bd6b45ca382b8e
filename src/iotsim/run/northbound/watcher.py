"""A subscriber that sees everything that is published at a broker, once, as it was published.

It subscribes to all topics with QoS 2, so that each message comes with the QoS that it was published with,
and exactly once; with MQTT 5's "retain as published", so that it tells whether it was to be retained; and
in a session that outlives the connection and the broker, so that what comes while it is not connected waits.

paho-mqtt does the protocol, driven by trio's loop instead of one of its own.
"""

from __future__ import annotations

import select
from typing import TYPE_CHECKING, Any

import paho.mqtt.client as paho
import trio
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from iotsim.clock import real_s
from iotsim.northbound.content import content_fields

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

CLIENT_ID = "iotsim-northbound"
BARRIER = "$iotsim/barrier"
"""A topic that no subscription to ``#`` has."""
FOREVER = 0xFFFFFFFF
QOS = 2
PATIENCE_S = 3.0
"""How long a broker that has more to tell may be silent."""
AT_A_TIME = 200
"""At most this many packets are taken before others have their turn."""


class _Client(paho.Client):
    """paho's client over a socket that is given to it."""

    given: socket.socket

    def _create_socket_connection(self) -> socket.socket:
        return self.given


class Watcher:
    """Watches one broker; `tell` is called with the fields of each message."""

    def __init__(self, tell: Callable[[dict[str, Any]], None]) -> None:
        self._tell = tell
        self._barrier = 0
        self._reached = 0
        self._taken = 0
        """How many packets have come."""
        self._moved = trio.Event()
        self._subscribed = trio.Event()
        self._refusal = ""
        self._client: _Client | None = None
        self._to_write = trio.Event()

    async def watch(
        self, sock: socket.socket, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Watch over `sock`, which is connected, until that ends; started once it has subscribed.

        ConnectionError if the broker does not let it.
        """
        self._subscribed, self._refusal = trio.Event(), ""
        self._client = client = self._make_client(sock)
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = FOREVER
        client.connect("broker", keepalive=0, clean_start=False, properties=properties)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write, client, sock)
                nursery.start_soon(self._announce, task_status)
                poll = select.poll()
                poll.register(sock, select.POLLIN)
                while client.socket() is not None:
                    await trio.lowlevel.wait_readable(sock)
                    for _ in range(AT_A_TIME):
                        client.loop_read()
                        self._taken += 1
                        if client.socket() is None or not poll.poll(0):
                            break
                    self._to_write.set()
                    await trio.lowlevel.checkpoint()
                    if self._refusal:
                        raise ConnectionError(self._refusal)
                nursery.cancel_scope.cancel()
        finally:
            self._client = None
            self._moved.set()
            sock.close()

    async def settle(self) -> None:
        """Wait until all that the broker has taken by now has been told, or it falls silent."""
        client = self._client
        if client is None or not self._subscribed.is_set():
            return
        self._barrier += 1
        wanted = self._barrier
        client.publish(BARRIER, str(wanted), qos=QOS)
        self._to_write.set()
        # However much there is: it ends only where nothing more comes.
        taken = -1
        while self._reached < wanted and self._client is client and self._taken != taken:
            taken = self._taken
            with trio.move_on_after(real_s(PATIENCE_S)):
                while self._reached < wanted and self._client is client:
                    self._moved = trio.Event()
                    await self._moved.wait()

    # --- inside -------------------------------------------------------------------------------

    def _make_client(self, sock: socket.socket) -> _Client:
        client = _Client(
            CallbackAPIVersion.VERSION2,
            client_id=CLIENT_ID,
            protocol=paho.MQTTv5,
            reconnect_on_failure=False,
        )
        client.given = sock.dup()  # paho closes its own, and trio must not wait for a closed one
        client.max_inflight_messages_set(0)
        client.on_connect = self._connected
        client.on_subscribe = self._has_subscribed
        client.on_message = self._received
        return client

    async def _announce(self, task_status: trio.TaskStatus[None]) -> None:
        await self._subscribed.wait()
        task_status.started()

    async def _write(self, client: _Client, sock: socket.socket) -> None:
        while True:
            self._to_write = trio.Event()
            while client.want_write():
                await trio.lowlevel.wait_writable(sock)
                client.loop_write()
            await self._to_write.wait()

    def _connected(self, client: Any, _data: Any, _flags: Any, reason: Any, _more: Any) -> None:
        if reason.is_failure:
            self._refusal = str(reason)
            return
        every = SubscribeOptions(
            qos=QOS,
            retainAsPublished=True,
            retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND,
        )
        client.subscribe([("#", every), (BARRIER, every)])

    def _has_subscribed(self, _client: Any, _data: Any, _mid: Any, reasons: Any, _m: Any) -> None:
        if any(reason.is_failure for reason in reasons):
            self._refusal = "; ".join(map(str, reasons))
        else:
            self._subscribed.set()

    def _received(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            self._tell({"error": "a topic that is no UTF-8"})
            return
        if topic == BARRIER:
            self._reached = max(self._reached, int(message.payload))
            self._moved.set()
            return
        fields = {"topic": topic, **content_fields(bytes(message.payload), "payload")}
        self._tell({**fields, "qos": message.qos, "retain": message.retain})
