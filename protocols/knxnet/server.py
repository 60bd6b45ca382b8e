"""`Knxnet`: the session of a KNXnet/IP device: it is found, tunnels and routes, and has group objects.

The device is a bus of its own: what a tunnel sends, the other tunnels hear, the routing group, and the device
itself; likewise what comes from the group, and what the device says. Rules see telegrams of groups, once
each.
"""

from __future__ import annotations

import ipaddress
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from iotsim import DecodeError, EncodeError, ExpressionError, Peer, Session

from .cemi import GROUP_SERVICES, individual_number, individual_text
from .channel import KINDS, MANAGEMENT, TUNNEL, Channel
from .discovery import FOUND, FOUND_EXTENDED, dibs, is_selected
from .group import GroupObjects
from .model import serial_bytes
from .properties import confirm
from .routing import Routing
from .telegram import UNASSIGNED, Saying, frame, pack, unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from iotsim import Ticket

    from .model import Model

Message = dict[str, Any]

MANUFACTURER = 0x00FA
"""In serial numbers that the scenario does not give: that of the KNX Association."""
MOST_MANAGEMENT = 1
"""Connections for device management."""
MOST_ASKED = 16
"""So many responses a device waits for."""
RESPONSE_S = 5.0
"""For so long; no standard says it."""
LONGEST_NAME = 30
ALL_DEVICES = "0/0/0"
ROUTE_BACK = {"address": "0.0.0.0", "port": 0}
"""Answer where it came from (3/8/2, section 8.6.2.2)."""


class Knxnet(Session):
    """A KNXnet/IP device. What it remembers are its channels, which the model bounds, and what waits in
    them."""

    __slots__ = ("_asked", "_channels", "_last", "_objects", "_routing", "programming")

    model: Model

    def __init__(self) -> None:
        self.programming = False
        self._channels: dict[int, Channel] = {}
        self._last = 0
        """The number of the channel that was opened last: those to come have others, as long as may be."""
        self._routing = Routing(self) if self.model.routing else None
        self._asked: list[Ticket] = []
        """The reads of its own that wait for a response, in order."""
        self._objects = GroupObjects(self)

    @classmethod
    def check(cls, message: Mapping[str, Any], model: Model) -> None:
        pack(message, model)

    # -- who it is ----------------------------------------------------------------------------------

    @property
    def individual(self) -> str:
        return individual_text(self._told("individual", individual_number))

    @property
    def serial(self) -> bytes:
        given: bytes = self._told("serial", serial_bytes)
        return given or MANUFACTURER.to_bytes(2, "big") + self.device.index.to_bytes(4, "big")

    @property
    def name(self) -> bytes:
        return str(self.read(self.model.name)).encode("latin-1", "replace")[:LONGEST_NAME]

    @property
    def mac(self) -> bytes:
        """One of those that are locally administered."""
        return b"\2\0" + self.device.index.to_bytes(4, "big")

    @property
    def tunnel_addresses(self) -> list[str]:
        """Those after the device's own; at the end of its line, those before it."""
        own, count = individual_number(self.individual), self.model.channels
        first = own + 1 if (own & 0xFF) + count <= 0xFF else own - count
        return [individual_text(first + number) for number in range(count)]

    @property
    def used_addresses(self) -> set[str]:
        """Of these, those of tunnels that are open."""
        return {one.individual for one in self._channels.values() if one.kind is TUNNEL}

    def _told(self, name: str, read: Callable[[Any], Any]) -> Any:
        cell = getattr(self.model, name)
        try:
            return read(self.read(cell))
        except EncodeError as error:
            raise ExpressionError(error.reason, cell.text) from None

    # -- frames -------------------------------------------------------------------------------------

    def receive(self, message: Message, peer: Peer) -> None:
        take = TAKEN.get(message["service"])
        if take is not None:
            take(self, message, peer)

    def carried(self, message: Message, peer: Peer) -> list[Message] | None:
        cemi: Message = message.get("cemi", {})
        code = cemi.get("code")
        if message["service"] == "ROUTING_INDICATION":
            if not peer.group or self._routing is None or code != "L_DATA_IND":
                return []
        else:
            channel = self._channels.get(message.get("channel", 0))
            if channel is None or peer.endpoint != channel.data.endpoint or code != "L_DATA_REQ":
                return []
            if message["sequence"] != channel.expected:
                return []
            if cemi["source"] == UNASSIGNED:
                cemi = {**cemi, "source": channel.individual}
        with suppress(DecodeError):
            telegram = self._telegram_of(cemi)
            return [] if telegram is None else [telegram]
        return []

    def refuse(self, datagram: bytes, error: DecodeError, peer: Peer) -> Message | None:
        """A request for a connection that cannot be read is answered by what is wrong with it."""
        if datagram[:1] != b"\6" or datagram[2:4] != b"\x02\x05" or peer.group:
            return None
        if datagram[1] != 0x10:
            return connection_refused("E_VERSION_NOT_SUPPORTED")
        return connection_refused("E_CONNECTION_OPTION") if error.path.startswith("cri") else None

    def endpoint(self, hpai: Message, peer: Peer) -> Peer | None:
        """Whom `peer` names; it itself, if that is no address, as behind a NAT (3/8/2, section 8.6.2.2)."""
        address, port = ipaddress.IPv4Address(hpai["address"]), hpai["port"]
        if hpai["host_protocol"] != "IPV4_UDP":
            return None
        if not int(address) or not port or (int(address), port) == peer.endpoint:
            return peer
        if address.is_multicast or address.is_reserved or address.is_loopback:
            return None
        return None if int(address) == peer.local else self.peer(int(address), port)

    def own(self, peer: Peer) -> Message:
        """The endpoint of the device itself, as HPAI; it has room for IPv4 alone."""
        if peer.local >= 1 << 32:
            return ROUTE_BACK
        return {"address": str(ipaddress.IPv4Address(peer.local)), "port": peer.local_port}

    # -- discovery and self description (3/8/2, sections 4.2 and 7.6) -------------------------------

    def _search(self, message: Message, peer: Peer) -> None:
        to = self.endpoint(message["discovery"], peer)
        if to is not None:
            answer = {"control": self.own(peer), "dibs": dibs(self, FOUND)}
            self.send({"service": "SEARCH_RESPONSE", **answer}, to)

    def _search_extended(self, message: Message, peer: Peer) -> None:
        to = self.endpoint(message["discovery"], peer)
        wanted = list(FOUND_EXTENDED)
        for parameter in message["parameters"]:
            if parameter["type"] == "REQUEST_DIBS":
                wanted += parameter["dibs"]
            elif not is_selected(self, parameter):
                return
        if to is not None:
            answer = {"control": self.own(peer), "dibs": dibs(self, dict.fromkeys(wanted))}
            self.send({"service": "SEARCH_RESPONSE_EXTENDED", **answer}, to)

    def _describe(self, message: Message, peer: Peer) -> None:
        to = self.endpoint(message["control"], peer)
        if to is not None:
            self.send({"service": "DESCRIPTION_RESPONSE", "dibs": dibs(self, FOUND)}, to)

    # -- connections (3/8/2, section 5) -------------------------------------------------------------

    def _connect(self, message: Message, peer: Peer) -> None:
        if peer.group:
            return
        endpoints = message["control"], message["data_endpoint"]
        if any(one["host_protocol"] != "IPV4_UDP" for one in endpoints):
            self.send(connection_refused("E_HOST_PROTOCOL_TYPE"), peer)
            return
        control, data = (self.endpoint(one, peer) for one in endpoints)
        if control is None or data is None:
            return
        cri = message["cri"]
        kind = KINDS.get(cri["connection_type"])
        if kind is None:
            self.send(connection_refused("E_CONNECTION_TYPE"), control)
            return
        individual, refused = self._room(kind, cri)
        if refused:
            self.send(connection_refused(refused), control)
            return
        while True:
            self._last = self._last % 255 + 1
            if self._last not in self._channels:
                break
        number = self._last
        channel = Channel(self, number, kind, control, data, peer.address, individual)
        self._channels[number] = channel
        crd = {"connection_type": kind.name} | ({"individual": individual} if individual else {})
        answer = {"channel": number, "status": "E_NO_ERROR", "data_endpoint": self.own(peer)}
        self.send({"service": "CONNECT_RESPONSE", **answer, "crd": crd}, control)

    def _room(self, kind: Any, cri: Message) -> tuple[str, str]:
        """The individual address of a new channel, and why there is none to be had."""
        if kind is MANAGEMENT:
            taken = sum(channel.kind is kind for channel in self._channels.values())
            return "", "E_NO_MORE_CONNECTIONS" if taken >= MOST_MANAGEMENT else ""
        if cri["layer"] != "TUNNEL_LINKLAYER":
            return "", "E_TUNNELLING_LAYER"
        used, addresses, wanted = self.used_addresses, self.tunnel_addresses, cri["individual"]
        if wanted is not None and wanted not in addresses:
            return "", "E_NO_TUNNELLING_ADDRESS"
        if wanted is not None and wanted in used:
            return "", "E_CONNECTION_IN_USE"
        free = [one for one in addresses if one not in used]
        if not free:
            return "", "E_NO_MORE_CONNECTIONS"
        return wanted or free[0], ""

    def _tell_state(self, message: Message, peer: Peer) -> None:
        channel = self._channel_of(message, peer)
        if channel is not None:
            channel.heard = self.now
        self._answer_channel("CONNECTIONSTATE_RESPONSE", channel, message, peer)

    def _disconnect(self, message: Message, peer: Peer) -> None:
        channel = self._channel_of(message, peer)
        if channel is not None:
            del self._channels[channel.number]
            channel.close()
        self._answer_channel("DISCONNECT_RESPONSE", channel, message, peer)

    def _channel_of(self, message: Message, peer: Peer) -> Channel | None:
        channel = self._channels.get(message["channel"])
        return channel if channel is not None and channel.is_of(peer) else None

    def _answer_channel(
        self, service: str, channel: Channel | None, message: Message, peer: Peer
    ) -> None:
        to = self.endpoint(message["control"], peer)
        if to is not None and not peer.group:
            status = "E_CONNECTION_ID" if channel is None else "E_NO_ERROR"
            self.send({"service": service, "channel": message["channel"], "status": status}, to)

    def end(self, channel: Channel) -> None:
        """The device itself ends a connection (section 5.5)."""
        del self._channels[channel.number]
        channel.close()
        ended = {"channel": channel.number, "control": self.own(channel.control)}
        self.send({"service": "DISCONNECT_REQUEST", **ended}, channel.control)

    # -- what comes through them (3/8/4, section 2.6) -----------------------------------------------

    def _take_request(self, message: Message, peer: Peer) -> None:
        channel, sequence = self._channels.get(message["channel"]), message["sequence"]
        if channel is None or peer.endpoint != channel.data.endpoint:
            return
        behind = (channel.expected - sequence) & 0xFF
        if channel.kind.request != message["service"] or behind > 1:
            return
        channel.heard = self.now
        ack = {"channel": channel.number, "sequence": sequence}
        self.send({"service": channel.kind.ack, **ack}, peer)
        if behind:
            return  # it was repeated
        channel.expected = (channel.expected + 1) & 0xFF
        cemi = message["cemi"]
        if channel.kind is MANAGEMENT:
            if cemi["code"] == "M_RESET_REQ":
                self.reboot()
            confirmation = confirm(self, cemi, self.own(peer)["address"])
            if confirmation is not None:
                channel.send(confirmation)
        elif cemi["code"] == "L_DATA_REQ":
            self._take_telegram(channel, cemi, peer)

    def _take_ack(self, message: Message, peer: Peer) -> None:
        channel = self._channels.get(message["channel"])
        if channel is None or peer.endpoint != channel.data.endpoint:
            return
        if channel.kind.ack == message["service"]:
            channel.heard = self.now
            channel.acknowledged(message["sequence"], message["status"])

    def _take_telegram(self, channel: Channel, cemi: Message, peer: Peer) -> None:
        """A client's telegram: confirm it, and let all others hear it."""
        sent = {**cemi, "code": "L_DATA_IND", "additional": []}
        if sent["source"] == UNASSIGNED:
            sent["source"] = channel.individual
        is_heard = self._spread(sent, channel) or cemi["address_type"] == "GROUP"
        channel.send({**sent, "code": "L_DATA_CON", "error": not is_heard})
        self._hear(sent, peer)

    def _take_routed(self, message: Message, peer: Peer) -> None:
        cemi = message["cemi"]
        if peer.group and self._routing is not None and cemi["code"] == "L_DATA_IND":
            for tunnel in self._hearers(cemi):
                tunnel.send(cemi)
            self._hear(cemi, peer)

    def _take_busy(self, message: Message, peer: Peer) -> None:
        if peer.group and self._routing is not None:
            self._routing.busy(message["wait_time"])

    def _take_lost(self, message: Message, peer: Peer) -> None:
        if peer.group and self._routing is not None:
            self.log(f"{peer} has lost {message['lost_messages']} telegrams")

    # -- the bus ------------------------------------------------------------------------------------

    def _hearers(self, cemi: Message, but: Channel | None = None) -> list[Channel]:
        """The tunnels that hear a telegram."""
        tunnels = [one for one in self._channels.values() if one.kind is TUNNEL and one is not but]
        if cemi["address_type"] == "GROUP":
            return tunnels
        return [one for one in tunnels if one.individual == cemi["destination"]]

    def _spread(
        self, cemi: Message, but: Channel | None = None, says: Saying | None = None
    ) -> bool:
        """Send a telegram to all that hear it, but to a channel; whether there is anybody."""
        hearers = self._hearers(cemi, but)
        if self._routing is not None:
            self._routing.send(cemi, says)
        for tunnel in hearers:
            tunnel.send(cemi, says)
        return bool(hearers) or self._routing is not None

    def _telegram_of(self, cemi: Message) -> Message | None:
        """What rules see of a frame; None if it is none of a group's. DecodeError if its value is none."""
        service, group = cemi["apci"], cemi["destination"]
        if cemi["address_type"] != "GROUP" or cemi["tpci"] or group == ALL_DEVICES:
            return None
        if service not in GROUP_SERVICES:
            return None
        telegram = {"service": service, "group": group, "source": cemi["source"], "value": None}
        telegram["priority"] = cemi["priority"]
        if service != "GROUP_VALUE_READ":
            telegram["value"] = unpack(cemi, self.model)
        return telegram

    def _hear(self, cemi: Message, peer: Peer) -> None:
        """A telegram has come: if it is one of a group, it concerns the device."""
        try:
            telegram = self._telegram_of(cemi)
        except DecodeError as error:
            group = cemi["destination"]
            point = self.model.groups[group]
            self.log(f"what {cemi['source']} sends to {group} is no {point.dpt}: {error.reason}")
            return
        if telegram is None:
            return
        self.answered(telegram, peer, self._ticket(telegram))
        if telegram["service"] == "GROUP_VALUE_WRITE":
            self._objects.look()

    # -- the device ---------------------------------------------------------------------------------

    def respond(self, message: Message, peer: Peer) -> Message | list[Message] | None:
        return self._objects.respond(message)

    def reply(self, message: Message, exchange: Any) -> None:
        self.tell(message)

    def submit(self, message: Message, peer: Peer, ticket: Ticket | None) -> None:
        if ticket is not None:
            self._wait_for(message, ticket)
        self.tell(message)

    def tell(self, message: Message) -> None:
        """Say a telegram to the whole bus, whoever asked for it."""
        self._spread(frame(message, self.model, self.individual), says=Saying(message))

    def _wait_for(self, message: Message, ticket: Ticket) -> None:
        """A read waits for a response to its group, whoever's; nothing else is ever answered."""
        self._asked = [one for one in self._asked if not one.done]
        if message["service"] != "GROUP_VALUE_READ":
            ticket.needs_none("only a GROUP_VALUE_READ is answered")
        elif len(self._asked) >= MOST_ASKED:
            ticket.give_up("too many are asked")
        else:
            self._asked.append(ticket)
            self.call_later(RESPONSE_S, ticket.give_up)

    def _ticket(self, telegram: Message) -> Ticket | None:
        """Of the read that `telegram` answers."""
        if telegram["service"] == "GROUP_VALUE_RESPONSE":
            for ticket in self._asked:
                if ticket.request["group"] == telegram["group"] and not ticket.done:
                    self._asked.remove(ticket)
                    return ticket
        return None

    async def run(self) -> None:
        self._objects.begin()


def connection_refused(status: str) -> Message:
    return {"service": "CONNECT_RESPONSE", "channel": 0, "status": status}


TAKEN: dict[Any, Callable[[Knxnet, Message, Peer], None]] = {
    "SEARCH_REQUEST": Knxnet._search,
    "SEARCH_REQUEST_EXTENDED": Knxnet._search_extended,
    "DESCRIPTION_REQUEST": Knxnet._describe,
    "CONNECT_REQUEST": Knxnet._connect,
    "CONNECTIONSTATE_REQUEST": Knxnet._tell_state,
    "DISCONNECT_REQUEST": Knxnet._disconnect,
    "DEVICE_CONFIGURATION_REQUEST": Knxnet._take_request,
    "DEVICE_CONFIGURATION_ACK": Knxnet._take_ack,
    "TUNNELLING_REQUEST": Knxnet._take_request,
    "TUNNELLING_ACK": Knxnet._take_ack,
    "ROUTING_INDICATION": Knxnet._take_routed,
    "ROUTING_BUSY": Knxnet._take_busy,
    "ROUTING_LOST_MESSAGE": Knxnet._take_lost,
}
