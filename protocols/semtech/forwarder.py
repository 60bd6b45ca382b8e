"""The session: a packet forwarder (PROTOCOL.TXT), its concentrator, and the nodes that it hears.

Upwards and downwards go through a socket each, as those of the reference implementation: PUSH_DATA leaves
from a port of its own, PULL_DATA from the protocol's, and each hears the server's end of its own alone.

What a txpk asks for is checked as the reference's queue does (``jitqueue.c``), with its margins.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from iotsim import EncodeError, ExpressionError, Peer, Session, Ticket

from .frame import Keys, encoded_commands
from .link import PAYLOAD
from .model import eui_of, key_of
from .node import Heard, Node
from .region import FREQUENCIES, LARGEST_PAYLOAD, LOWEST_SNR, NOISE_FLOOR, airtime, spreading

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .message import Message
    from .model import Abp, Nodes

CHANNELS = (868.1, 868.3, 868.5, 867.1, 867.3, 867.5, 867.7, 867.9)
"""Of a concentrator for EU868, by ``chan``; the first three are of RF chain 1, the others of 0."""
TX_POWERS = frozenset((-6, -3, 0, 3, 6, 10, 11, 12, 13, 14, 16, 20, 23, 25, 26, 27))
"""In dBm: those of the reference's gain table."""
DEFAULT_POWER = 14
START_DELAY, MARGIN, JIT_DELAY = 0.0015, 0.001, 0.03
"""In seconds: what the concentrator needs before a frame, and what lies between two."""
LEAD = START_DELAY + JIT_DELAY
MOST_ADVANCE = 512.0
"""In seconds: no frame is planned further ahead."""
MOST_PLANNED = 32
MOST_OUTSTANDING = 256
"""Tokens of PUSH_DATA that may still be acknowledged."""
PATIENCE = 3
"""So many PULL_DATA in a row without an answer are told in a note."""
GPS_EPOCH, LEAP_SECONDS = 315_964_800, 18
"""GPS time 0 in Unix time, and by how much it is ahead of UTC since 2017."""
CLOCK = 1 << 32
BEST_SNR, FADING = 10.0, 1.5
"""In dB: no demodulator tells more; and what signals vary by, up and down."""


class Emission(NamedTuple):
    """A frame that is to be sent: from when to when, in seconds of the run."""

    start: float
    end: float
    txpk: Message


class Forwarder(Session):
    __slots__ = (
        "_acknowledged",
        "_booted_at",
        "_counts",
        "_down",
        "_emissions",
        "_eui",
        "_outstanding",
        "_pull",
        "_pushed",
        "_unanswered",
        "_up",
        "nodes",
    )

    def __init__(self) -> None:
        self._booted_at = self.now
        self._eui = f"{self.eui_in(self.model.eui):016X}"
        self._up: Peer | None = None
        self._down: Peer | None = None
        self._pull = -1
        self._unanswered = 0
        self._emissions: list[Emission] = []
        self._outstanding: dict[int, None] = {}
        self._counts = dict.fromkeys(("rxnb", "rxok", "rxfw", "dwnb", "txnb"), 0)
        self._pushed = self._acknowledged = 0
        self.nodes: dict[tuple[str, int], Node] = {}
        for name, settings in self.model.nodes.items():
            first = self.eui_in(settings.dev_eui)
            if settings.dev_eui.evaluate is None:
                first += self.device.index * settings.count
            for number in range(settings.count):
                eui = (first + number) & 0xFFFF_FFFF_FFFF_FFFF
                self.nodes[name, number] = Node(self, name, number, settings, eui)

    @classmethod
    def check(cls, message: Mapping[str, Any], model: Any) -> None:
        if message.get("kind") not in ("UPLINK", "JOIN_REQUEST"):
            raise EncodeError("a node says UPLINK, or JOIN_REQUEST", "kind")
        name, nodes = message.get("node"), model.nodes
        if name is None and len(nodes) != 1:
            raise EncodeError(f"which of {', '.join(nodes) or 'none'}", "node")
        if name is not None and name not in nodes:
            raise EncodeError(f"there is no {name!r:.100}: {', '.join(nodes)}", "node")
        settings: Nodes = nodes[name] if name is not None else next(iter(nodes.values()))
        if message.get("number", 0) >= settings.count:
            raise EncodeError(f"there are {settings.count}, from 0", "number")
        if message.get("kind") == "JOIN_REQUEST" and settings.abp is not None:
            raise EncodeError("such nodes do not join", "kind")
        data = message.get("data")
        if data is not None and len(PAYLOAD.encode(data)) > max(LARGEST_PAYLOAD):
            raise EncodeError(f"more than {max(LARGEST_PAYLOAD)} bytes", "data")
        encoded_commands(message.get("commands") or [])

    # -- values of the model --

    def eui_in(self, cell: Any, size: int = 8) -> int:
        return self._of(eui_of, cell, size)  # type: ignore[no-any-return]

    def app_key_of(self, node: Node) -> bytes:
        return self._of(key_of, node.settings.app_key)  # type: ignore[no-any-return]

    def keys_of(self, node: Node, abp: Abp) -> Keys:
        """Of a node that does not join."""
        first = self.eui_in(abp.dev_addr, 4)
        if abp.dev_addr.evaluate is None:
            first += self.device.index * node.settings.count
        keys = self._of(key_of, abp.nwk_skey), self._of(key_of, abp.app_skey)
        return Keys((first + node.number) & 0xFFFF_FFFF, *keys)

    def level_of(self, cell: Any) -> float:
        """A level in dBm."""
        return self._of(float, cell)  # type: ignore[no-any-return]

    def _of(self, what: Callable[..., Any], cell: Any, *arguments: Any) -> Any:
        try:
            return what(self.read(cell), *arguments)
        except (TypeError, ValueError) as error:
            raise ExpressionError(str(error), cell.text) from None

    # -- what it does by itself --

    async def run(self) -> None:
        if self.gateway is None:
            self.log("there is nobody to forward to: the scenario declares no port of the gateway")
        while self.gateway is None:
            await self.sleep(self.model.keep_alive)
        server, model = self.gateway, self.model
        self._down = server._replace(port=model.down_port or server.port)
        self._up = server._replace(port=model.up_port or server.port).at(self.open_port())
        self.start(self.report())
        for node in self.nodes.values():
            node.begin()
        while True:
            self.pull(self._down)
            await self.sleep(model.keep_alive)

    def pull(self, server: Peer) -> None:
        """Section 5.2. The protocol has no back-off: the route has to stay open."""
        self._unanswered += 1
        if self._unanswered == PATIENCE + 1:
            self.log(f"{PATIENCE} PULL_DATA were not acknowledged")
        self._pull = self.bits(16)
        self.send({"kind": "PULL_DATA", "token": self._pull, "eui": self._eui}, server)

    async def report(self) -> None:
        """Section 4: what it has counted since the report before."""
        while True:
            await self.sleep(self.model.stat_interval)
            share = 100 * self._acknowledged / self._pushed if self._pushed else 0.0
            stat: Message = {"time": f"{self.time:%Y-%m-%d %H:%M:%S} GMT"}
            if (location := self.model.location) is not None:
                stat["lati"], stat["long"] = location.latitude, location.longitude
                stat["alti"] = location.altitude
            stat |= self._counts
            stat["ackr"] = round(share, 1)
            self._counts = dict.fromkeys(self._counts, 0)
            self._pushed = self._acknowledged = 0
            self._outstanding.clear()
            self.push({"stat": stat}, None)

    def push(self, body: Message, says: Message | None) -> bytes:
        """Section 3.2. It is not repeated (section 1). The datagram; b"" if there is nobody to forward to."""
        if self._up is None:
            return b""
        token = self.bits(16)
        self._outstanding[token] = None
        if len(self._outstanding) > MOST_OUTSTANDING:
            del self._outstanding[next(iter(self._outstanding))]
        self._pushed += 1
        message = {"kind": "PUSH_DATA", "token": token, "eui": self._eui, **body}
        return self.send(message, self._up, says=says)

    # -- datagrams of the server --

    def receive(self, message: Message, peer: Peer) -> None:
        kind, up, down = message["kind"], self._up, self._down
        if up is None or down is None or peer.group:
            return
        if peer.endpoint == up.endpoint and peer.local_port == up.local_port:
            if kind == "PUSH_ACK" and message["token"] in self._outstanding:
                del self._outstanding[message["token"]]
                self._acknowledged += 1
        elif peer.endpoint == down.endpoint and peer.local_port == down.local_port:
            if kind == "PULL_ACK" and message["token"] == self._pull:
                self._unanswered = 0
            elif kind == "PULL_RESP":
                self._counts["dwnb"] += 1
                self.answer(message["token"], self.plan(message["txpk"]), peer)

    def carried(self, message: Message, peer: Peer) -> list[Message] | None:
        down = self._down
        if message["kind"] != "PULL_RESP" or down is None or peer.group:
            return []
        if (peer.endpoint, peer.local_port) != (down.endpoint, down.local_port):
            return []
        return None  # which node would hear it, and how

    def answer(self, token: int, error: str, peer: Peer) -> None:
        acknowledgment = {"error": error}
        message = {"kind": "TX_ACK", "token": token, "eui": self._eui, "txpk_ack": acknowledgment}
        self.send(message, peer)

    def plan(self, txpk: Message) -> str:
        """Have a frame sent when it is to be; the error of section 6, or NONE."""
        if not FREQUENCIES[0] <= txpk["freq"] <= FREQUENCIES[1]:
            return "TX_FREQ"
        if txpk.get("powe", DEFAULT_POWER) not in TX_POWERS:
            return "TX_POWER"
        now = self.now
        self._emissions = [one for one in self._emissions if one.end > now]
        codr = int(txpk.get("codr", "4/5")[2])
        lasts = airtime(txpk["datr"], len(txpk["data"]), codr, txpk.get("prea", 8))
        if txpk.get("imme"):
            start = self.first_free(now + LEAD + 2 * MARGIN, lasts)
        elif "tmst" in txpk:
            ahead = (txpk["tmst"] - self.tmst) % CLOCK
            start = now + (ahead - CLOCK if ahead >= CLOCK // 2 else ahead) / 1e6
        else:
            if not self.has_gps:
                return "GPS_UNLOCKED"
            unix = txpk["tmms"] / 1000 + GPS_EPOCH - LEAP_SECONDS
            start = now + unix - self.wall_time
        if start - now <= LEAD + MARGIN:
            return "TOO_LATE"
        if start - now > MOST_ADVANCE:
            return "TOO_EARLY"
        emission = Emission(start, start + lasts, txpk)
        if len(self._emissions) >= MOST_PLANNED or any(
            _collide(emission, one) for one in self._emissions
        ):
            return "COLLISION_PACKET"
        self._emissions.append(emission)
        self.call_later(start - now, self.emit, emission)
        return "NONE"

    def first_free(self, start: float, lasts: float) -> float:
        """When a frame that may be sent at once can be, behind those that are planned."""
        for planned in sorted(self._emissions, key=lambda one: one.start):
            if _collide(Emission(start, start + lasts, {}), planned):
                start = planned.end + LEAD + 2 * MARGIN
        return start

    # -- the air --

    def emit(self, emission: Emission) -> None:
        """A frame is on the air; nodes that listen just then hear it to its end."""
        self._counts["txnb"] += 1
        start, end, txpk = emission
        if not txpk.get("ipol", False):
            return
        frequency, datr = txpk["freq"], txpk["datr"]
        for node in self.nodes.values():
            window = node.window
            number = 0 if window is None else window.at(start, frequency, datr)
            if number:
                snr = min(node.level - NOISE_FLOOR, BEST_SNR)
                heard = Heard(txpk["data"], number, frequency, datr, snr)
                self.call_later(max(end - self.now, 0), node.take, heard, window)
                node.listen_until(end)

    def forward(
        self,
        data: bytes,
        frequency: float,
        datr: str | int,
        rssi: float,
        says: Message | None,
        before: bytes = b"",
    ) -> bytes:
        """A node's frame has ended: forward it, if it can be heard at all. The datagram, b"" if it was not.
        If the frame came `before`, in that datagram, it says anew what was lost with that."""
        fading = self.uniform(-FADING, FADING)
        snr = min(rssi - NOISE_FLOOR, BEST_SNR) + fading
        if isinstance(datr, str) and snr < LOWEST_SNR[spreading(datr)[0]]:
            return b""
        if before and self._up is not None:
            says = self.unsaid(before, self._up)
        if says is not None:
            says = {**says, "frequency": frequency, "data_rate": datr}
        for count in ("rxnb", "rxok", "rxfw"):
            self._counts[count] += 1
        known = frequency in CHANNELS
        packet: Message = {"tmst": self.tmst}
        if self.has_gps:
            packet["time"] = f"{self.time:%Y-%m-%dT%H:%M:%S.%f}Z"
            packet["tmms"] = int((self.wall_time - GPS_EPOCH + LEAP_SECONDS) * 1000)
        packet |= {
            "chan": CHANNELS.index(frequency) if known else len(CHANNELS),
            "rfch": int(frequency >= 868),
            "freq": frequency,
            "stat": 1,
            "modu": "LORA" if isinstance(datr, str) else "FSK",
            "datr": datr,
        }
        if isinstance(datr, str):
            packet |= {"codr": "4/5", "lsnr": round(snr, 1)}
        packet |= {"rssi": round(rssi + fading), "size": len(data), "data": data}
        return self.push({"rxpk": [packet]}, says)

    @property
    def tmst(self) -> int:
        """The concentrator's clock: microseconds since it booted, in 32 bits."""
        return round((self.now - self._booted_at) * 1e6) % CLOCK

    @property
    def time(self) -> datetime:
        return datetime.fromtimestamp(self.wall_time, UTC)

    @property
    def has_gps(self) -> bool:
        return bool(self.read(self.model.gps))

    # -- messages above --

    def heard(self, message: Message, ticket: Ticket | None) -> None:
        """A node has heard something, perhaps what the `ticket` waits for."""
        told = {name: value for name, value in message.items() if value is not None}
        assert self._down is not None  # from where it came
        self.answered(told, self._down, ticket)

    def respond(self, message: Message, peer: Peer) -> list[Message]:
        return []  # a node takes whatever it hears

    def reply(self, message: Message, exchange: Peer) -> None:
        self.submit(message, exchange, None)

    def submit(self, message: Message, peer: Peer, ticket: Ticket | None) -> None:
        self.check(message, self.model)
        name = message.get("node") or next(iter(self.model.nodes))
        node = self.nodes[name, message.get("number", 0)]
        join = message.get("kind") == "JOIN_REQUEST"
        if ticket is not None and (join or not (ticket.awaited or message.get("confirmed"))):
            ticket.needs_none("a frame that is not confirmed need not be answered")
            ticket = None
        if join:
            node.rejoin()
            return
        if message.get("port") is None:
            uplink = node.settings.uplink
            message = {**message, "port": 1 if uplink is None else uplink.port}
        node.submit(message, ticket)


def _collide(one: Emission, other: Emission) -> bool:
    return one.start - LEAD - MARGIN <= other.end and other.start - LEAD - MARGIN <= one.end
