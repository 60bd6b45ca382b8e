"""What messages of any protocol are called, and which of them belong together: from their fields alone.

Events say what a device's message answers, but not what the gateway's does. Most protocols repeat
something of a request in its answer; where a field of such a name is the same in both, they are taken
for a pair, and the report says that it is inferred.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

KIND_FIELDS = (
    *("kind", "opcode", "code", "type", "pdu", "pdu_type", "service", "function", "op", "method"),
    *("command", "cmd", "name"),
)
"""Fields that say what a message is; the first that a message has counts."""
PAIRING_FIELDS = (
    *("token", "request_id", "invoke_id", "transaction_id", "transaction", "message_id", "msg_id"),
    *("mid", "packet_id", "sequence", "seq", "id"),
)
"""Fields that answers repeat, the surest first."""
PAIRED_BY = 2
"""By so many of its fields a request may be found."""
_EMPTY = ("", "hex:")


def kind_of(message: Mapping[str, Any], protocol: str) -> str:
    """What `message` is called: ``READ``, ``code=3``, or the protocol where no field tells."""
    for name in KIND_FIELDS:
        value = message.get(name)
        if value.__class__ is str and value:
            return value
        if value.__class__ is int:
            return f"{name}={value}"
    for value in message.values():
        if value.__class__ is dict:
            for name in KIND_FIELDS[:8]:
                inner = value.get(name)
                if inner.__class__ is str and inner:
                    return inner
    return protocol


def pairing_keys(message: Mapping[str, Any]) -> Iterator[tuple[str, str | int]]:
    """What `message` may share with its answer, or with its request: names and values, surest first."""
    for name in PAIRING_FIELDS:
        if name in message:
            value = message[name]
            if (value.__class__ is str and value not in _EMPTY) or value.__class__ is int:
                yield name, value
