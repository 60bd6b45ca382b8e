"""Observers that are told as the attributes of what they observe say (TS Core, section 6.4)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from iotsim.protocols.coap.codes import code_class
from iotsim.protocols.coap.model import Resource
from iotsim.protocols.coap.observe import Observation, Observers

from .attributes import Attributes, is_news
from .message import Carrier, path_of

if TYPE_CHECKING:
    from .client import Lwm2m
    from .message import Message

OBSERVED = Resource.model_validate({"observe": "1s"})
"""What CoAP is to know of all paths of LwM2M; when they are looked at, `Notifications.due` says."""


class Notifications(Observers):
    """Of a device. A notification repeats nothing, unless ``pmax`` is over."""

    __slots__ = ()

    _session: Lwm2m

    def tell(self, path: str, message: Message) -> None:
        """Tell the observers of a path what the scenario says."""
        for observation in self.at(path):
            self.notify(observation, self._session.answer_to(observation.request, message))

    def changed(self, path: str) -> None:
        """Look at once at what is at a path, what that is in, and what is in it."""
        changed = path_of(path)
        if changed is None:
            super().changed(path)
            return
        for observation in self.all():
            observed = path_of(observation.request["path"])
            if observed is not None and observed[: len(changed)] == changed[: len(observed)]:
                self.look(observation)

    def forget(self) -> None:
        """Nobody is told of a path of LwM2M any more: a server asks anew after a registration."""
        for observation in self.all():
            if observation.resource is OBSERVED:
                self._remove(observation)

    def state_of(self, answer: Message) -> Any:
        said = answer.carries if isinstance(answer, Carrier) else None
        return super().state_of(answer) if said is None else (said["value"], answer["code"])

    def is_news(self, observation: Observation, answer: Message) -> bool:
        if not isinstance(answer, Carrier):  # it is a resource of CoAP's own
            return super().is_news(observation, answer)
        if code_class(answer["code"]) != 2:
            return True
        attributes = self._attributes(observation)
        since = self._session.now - observation.said_at
        if since < attributes.get("pmin", 0):
            return False
        if since >= attributes.get("pmax", math.inf):
            return True
        if self._session.now < observation.evaluated_at + attributes.get("epmin", 0):
            return False
        observation.evaluated_at = self._session.now
        (before, _), (value, _) = observation.said, self.state_of(answer)
        return is_news(before, value, attributes)

    def due(self, observation: Observation) -> float:
        if observation.resource is not OBSERVED:
            return super().due(observation)
        attributes = self._attributes(observation)
        now, said_at = self._session.now, observation.said_at
        due = now + min(self._session.model.observe, attributes.get("epmax") or math.inf)
        due = max(due, observation.evaluated_at + attributes.get("epmin", 0))
        latest = said_at + attributes.get("pmax", math.inf)
        if now < latest < due:
            due = latest
        return max(due, said_at + attributes.get("pmin", 0))

    def _attributes(self, observation: Observation) -> Attributes:
        return self._session.attributes_at(path_of(observation.request["path"]) or ())
