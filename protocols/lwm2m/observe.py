"""Observers that are told as the attributes of what they observe say (TS Core, section 6.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iotsim.protocols.coap.message import code_class
from iotsim.protocols.coap.observe import Observation, Observers

from .attributes import Attributes, is_news
from .message import path_of

if TYPE_CHECKING:
    from .client import Lwm2m
    from .message import Message


class Notifications(Observers):
    """Of a device. A notification repeats nothing, unless ``pmax`` is over."""

    __slots__ = ()

    _session: Lwm2m

    def tell(self, path: str, message: Message) -> None:
        """Tell the observers of a path what the scenario says."""
        for observation in self.at(path):
            self.notify(observation, self._session.answer_to(observation.request, message))

    def state_of(self, answer: Any) -> Any:
        return answer.carries["value"], answer["code"]

    def is_news(self, observation: Observation, answer: Message) -> bool:
        if code_class(answer["code"]) != 2:
            return True
        attributes = self._attributes(observation)
        since = self._session.now - observation.said_at
        if since < attributes.get("pmin", 0):
            return False
        if since >= attributes.get("pmax", float("inf")):
            return True
        (before, _), (value, _) = observation.said, self.state_of(answer)
        return is_news(before, value, attributes)

    def due(self, observation: Observation) -> float:
        attributes = self._attributes(observation)
        now, said_at = self._session.now, observation.said_at
        due = now + self._session.model.observe
        if "pmax" in attributes:
            due = min(due, max(said_at + attributes["pmax"], now + attributes.get("pmin", 0), now))
        return max(due, said_at + attributes.get("pmin", 0))

    def _attributes(self, observation: Observation) -> Attributes:
        return self._session.attributes_at(path_of(observation.request["path"]) or ())
