"""Group objects (3/3/7, section 3.1): values behind group addresses, which are read, written, and told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iotsim import EncodeError

from .telegram import UNASSIGNED

if TYPE_CHECKING:
    from .model import GroupObject
    from .server import Knxnet

    Message = dict[str, Any]


class GroupObjects:
    """Those of a device, as their flags allow."""

    __slots__ = ("_seen", "_session")

    def __init__(self, session: Knxnet) -> None:
        self._session = session
        self._seen: dict[str, tuple[int, bytes]] = {}
        """Of those that are watched, what was sent last."""

    def respond(self, message: Message) -> Message | list[Message] | None:
        """What the device answers out of its model, as in `Session.respond`."""
        group, service = message["group"], message["service"]
        point = self._session.model.groups.get(group)
        if point is None:
            return None
        if service == "GROUP_VALUE_READ" and point.read:
            value = self._value(group, point)
            return [] if value is None else {"service": "GROUP_VALUE_RESPONSE", "value": value[0]}
        if service == "GROUP_VALUE_WRITE" and point.is_writable:
            if message["value"] is not None:
                self._session.write(point.value, message["value"])
                if group in self._seen:
                    self._seen[group] = point.form.pack(message["value"])
            return []
        return None

    def begin(self) -> None:
        """From now on, tell values at intervals, and when they change."""
        later, uniform = self._session.call_later, self._session.uniform
        for group, point in self._session.model.groups.items():
            if point.every is not None:
                later(uniform(0, point.every), self._cycle, group, point, point.every)
            if point.watch is not None:
                value = self._value(group, point)
                self._seen[group] = value[1] if value else (0, b"")
                later(point.watch, self._watch, group, point, point.watch)

    def look(self) -> None:
        """Tell at once what a write has changed of what is watched."""
        for group in self._seen:
            self._tell_changed(group, self._session.model.groups[group])

    def _cycle(self, group: str, point: GroupObject, every: float) -> None:
        self._session.call_later(every, self._cycle, group, point, every)
        value = self._value(group, point)
        if value is not None:
            self._tell(group, *value)

    def _watch(self, group: str, point: GroupObject, every: float) -> None:
        self._session.call_later(every, self._watch, group, point, every)
        self._tell_changed(group, point)

    def _tell_changed(self, group: str, point: GroupObject) -> None:
        value = self._value(group, point)
        if value is not None and self._seen[group] != value[1]:
            self._tell(group, *value)

    def _tell(self, group: str, value: Any, packed: tuple[int, bytes]) -> None:
        if group in self._seen:
            self._seen[group] = packed
        telegram = {"service": "GROUP_VALUE_WRITE", "group": group, "value": value}
        self._session.tell({**telegram, "source": UNASSIGNED, "priority": "LOW"})

    def _value(self, group: str, point: GroupObject) -> tuple[Any, tuple[int, bytes]] | None:
        """The present value, and how it stands in a telegram; None if it cannot."""
        value = point.form.nearest(self._session.read(point.value))
        try:
            return value, point.form.pack(value)
        except EncodeError as error:
            self._session.log(f"{group} has no value of type {point.dpt}: {error.reason}")
            return None
