"""Which message answers which (MQTT-SN 1.2, section 6)."""

from __future__ import annotations

from typing import Any

from iotsim import Follower, Seen

ASKED = {
    "GWINFO": "SEARCHGW",
    "CONNACK": "CONNECT",
    "WILLTOPIC": "WILLTOPICREQ",
    "WILLMSG": "WILLMSGREQ",
    "REGACK": "REGISTER",
    "PUBACK": "PUBLISH",
    "PUBREC": "PUBLISH",
    "PUBCOMP": "PUBREL",
    "SUBACK": "SUBSCRIBE",
    "UNSUBACK": "UNSUBSCRIBE",
    "PINGRESP": "PINGREQ",
    "WILLTOPICRESP": "WILLTOPICUPD",
    "WILLMSGRESP": "WILLMSGUPD",
}
"""What each answers. DISCONNECT is answered by DISCONNECT."""
ALONE = frozenset({"ADVERTISE", "ENCAPSULATED"})


class MqttSnFollower(Follower):
    """By what a message asks for, and its id where it has one."""

    def key(self, message: dict[str, Any]) -> tuple[str, int] | None:
        kind = message["kind"]
        if kind in ALONE or (kind == "PUBLISH" and message["qos"] < 1):
            return None
        return ASKED.get(kind, kind), message.get("message_id", 0)

    def is_answer(self, message: dict[str, Any], seen: Seen) -> bool | None:
        kind = message["kind"]
        return None if kind == "DISCONNECT" else kind in ASKED
