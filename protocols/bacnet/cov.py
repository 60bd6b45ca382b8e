"""Subscriptions to changes of values (clauses 13.1 and 13.14)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iotsim import Unanswered

from .objects import RefusedError, has_increment
from .services import COV_SUBSCRIPTION
from .syntax import Cursor, Writer, read_elements

if TYPE_CHECKING:
    from iotsim import Peer

    from .message import Message
    from .server import Bacnet


class Subscription:
    """Who is notified of an object, and what it was told last."""

    def __init__(self, peer: Peer, message: Message, end: float | None) -> None:
        self.peer = peer
        self.ended = False
        self.process: int = message["process"]
        self.item: str = message["monitored_object"]
        self.confirmed: bool = message["confirmed"]
        self.network = message["source"]
        self.end = end
        self.told: tuple[Any, Any] = (None, None)
        self.busy = False


class Subscriptions:
    """Those of a device. They are bounded, and end with their lifetime."""

    def __init__(self, device: Bacnet) -> None:
        self.device = device
        self.all: dict[Any, Subscription] = {}
        self._timer: Any = None
        device.database.subscribed = self.elements

    def elements(self) -> list[Message]:
        """They as a value of Active_COV_Subscriptions."""
        self._forget()
        octets = b"".join(map(self._octets, self.all.values()))
        return read_elements(Cursor(octets, 0, len(octets)), None, "", 0)

    def _octets(self, one: Subscription) -> bytes:
        address, port = one.peer.endpoint
        local = {"network": 0, "mac": address.to_bytes(4, "big") + port.to_bytes(2, "big")}
        remote = one.network and {"network": one.network["network"], "mac": one.network["address"]}
        increments = has_increment(one.item)
        return Writer().items(
            {
                "recipient": {
                    "recipient": {"address": remote or local},
                    "process": one.process,
                },
                "monitored": {"object": one.item, "property": "present-value"},
                "confirmed": one.confirmed,
                "time_remaining": self._left(one),
                "increment": self.device.database.increment(one.item) if increments else None,
            },
            COV_SUBSCRIPTION,
        )

    def _left(self, one: Subscription) -> int:
        """For how many seconds it goes on; 0 if it does not end."""
        return 0 if one.end is None else max(1, round(one.end - self.device.now))

    def subscribe(self, message: Message, peer: Peer) -> None:
        """Execute SUBSCRIBE_COV (clause 13.14.2). RefusedError."""
        device, now = self.device, self.device.now
        item = device.database.find(message["monitored_object"])
        if item == device.database.device:
            raise RefusedError("object", "optional-functionality-not-supported")
        source = message["source"] or {"network": 0, "address": b""}
        origin = source["network"], source["address"]
        key = peer.endpoint, origin, message["process"], item
        confirmed, lifetime = message["confirmed"], message["lifetime"]
        if confirmed is None and lifetime is None:
            self._end(key)
            return
        if confirmed is None:
            raise RefusedError("services", "inconsistent-parameters")
        self._forget()
        if key not in self.all and len(self.all) >= device.model.subscriptions:
            raise RefusedError("resources", "no-space-to-add-list-element")
        end = now + lifetime if lifetime else None
        self._end(key)
        one = Subscription(peer._replace(group=0), {**message, "monitored_object": item}, end)
        self.all[key] = one
        device.call_later(0.0, self.check, one)
        if self._timer is None:
            self._timer = device.call_later(device.model.cov_scan, self._scan)

    def _end(self, key: Any) -> None:
        one = self.all.pop(key, None)
        if one is not None:
            one.ended = True

    def _forget(self) -> None:
        """End those whose lifetime is over."""
        now = self.device.now
        for key in [key for key, one in self.all.items() if one.end is not None and one.end <= now]:
            self._end(key)

    def clear(self) -> None:
        for key in list(self.all):
            self._end(key)

    def _scan(self) -> None:
        self._forget()
        for one in list(self.all.values()):
            self.check(one)
        self._timer = (
            self.device.call_later(self.device.model.cov_scan, self._scan) if self.all else None
        )

    def written(self) -> None:
        """Values may have changed by a write: look once that is answered."""
        self._forget()
        for one in self.all.values():
            self.device.call_later(0.0, self.check, one)

    def check(self, one: Subscription) -> None:
        """Notify a subscriber if the value has changed by the increment, or the flags (clause 13.1.1)."""
        base = self.device.database
        if one.busy or not self.device.may_initiate or one.ended:
            return
        kind, value = base.present(one.item)
        flags = base.read(one.item, "status-flags")[1]
        before, flags_before = one.told
        if flags == flags_before and (value == before or self._is_near(one.item, value, before)):
            return
        one.told = value, flags
        values = [
            {"property": "present-value", "type": kind, "value": value},
            {"property": "status-flags", "type": "BIT_STRING", "value": flags},
        ]
        self._notify(one, values)

    def _is_near(self, item: str, value: Any, before: Any) -> bool:
        base = self.device.database
        if before is None or not has_increment(item):
            return False
        return bool(abs(value - before) < base.increment(item))

    def _notify(self, one: Subscription, values: list[dict[str, Any]]) -> None:
        message: Message = {
            "service": f"{'CONFIRMED' if one.confirmed else 'UNCONFIRMED'}_COV_NOTIFICATION",
            "destination": one.network,
            "process": one.process,
            "device": self.device.database.device,
            "monitored_object": one.item,
            "time_remaining": self._left(one),
            "values": values,
        }
        if not one.confirmed:
            self.device.send(message, one.peer, says=message)
            return
        one.busy = True
        self.device.start(self._confirm(one, message))

    async def _confirm(self, one: Subscription, message: Message) -> None:
        try:
            await self.device.confirm(message, one.peer)
        except Unanswered:
            self.device.log(f"{one.peer} does not acknowledge that {one.item} has changed")
        one.busy = False
        self.check(one)
