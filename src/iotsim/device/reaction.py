"""What a device does about a message.

A reaction has one of three shapes, told apart by their class, so that the commonest needs no
wrapping:

==================  ==========================================================================
a ``dict``          one message, to be sent back at once
a ``list``          `Reply` after `Reply`, to be sent in this order, each after its own delay
a ``str``           nothing is sent: the outcome of the request (`NO_RULE`, `NO_REPLY`, `DROPPED`)
==================  ==========================================================================
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from iotsim.device.fleet import SimDevice

NO_RULE: Final = "consumed.no-rule"
"""Neither a rule nor a behavior has anything to say about this message."""
NO_REPLY: Final = "consumed.no-reply"
"""A rule or handler took the message and answers nothing."""
DROPPED: Final = "consumed.drop-rule"
"""A rule with ``drop = true`` swallowed the message."""


class Raw(dict[str, Any]):
    """In the place of a message: these bytes, as they are. TypeError if they are none."""

    def __init__(self, data: Any) -> None:
        if not isinstance(data, bytes):
            raise TypeError(f"'raw' must be bytes, not {data!r:.60}")
        super().__init__(raw=data)

    @property
    def data(self) -> bytes:
        data: bytes = self["raw"]
        return data


class Reply(NamedTuple):
    """A message to send back, `delay_s` after the request. `rule` is whose it is, as `rule_text` calls that;
    "" is no rule's."""

    delay_s: float
    message: dict[str, Any]
    rule: str = ""


Reaction: TypeAlias = dict[str, Any] | list[Reply] | str
Responder: TypeAlias = Callable[["SimDevice", dict[str, Any], float], Reaction]
"""(device, message, now) -> reaction. What an expression or a behavior raises passes through."""


def no_rule(device: SimDevice, message: dict[str, Any], now: float) -> Reaction:
    """The responder of devices without rules."""
    return NO_RULE
