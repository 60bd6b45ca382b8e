"""An activation of a node: its keys, counters and settings, and the frames that these make (section 4.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from iotsim import EncodeError, Payload

from .commands import read_commands, write_command
from .crypto import DOWN, UP
from .frame import (
    ACK,
    ADR,
    ADR_ACK_REQ,
    MOST_OPTIONS,
    PENDING,
    Keys,
    data_up,
    encoded_commands,
    read_data_down,
)
from .mac import ADR_ACK_LIMIT, STICKY, Radio
from .region import LARGEST_PAYLOAD

if TYPE_CHECKING:
    from .message import Message

PAYLOAD = Payload()


class Composed(NamedTuple):
    """A frame, and what it says; ``left`` is the message that did not fit beside the commands, or ``refused``
    why it will not."""

    data: bytes
    says: Message
    left: Message | None
    refused: str


class Link:
    """What a node and its network share since it was activated."""

    __slots__ = (
        "ack",
        "adr_ack_cnt",
        "answers",
        "fcnt_down",
        "fcnt_up",
        "keys",
        "radio",
        "sticky",
        "urgent",
    )

    def __init__(self, keys: Keys, radio: Radio, fcnt_up: int = 0) -> None:
        self.keys = keys
        self.radio = radio
        self.fcnt_up = fcnt_up
        self.fcnt_down = -1
        self.ack = False
        """Whether the last that was heard is to be acknowledged."""
        self.urgent = False
        """Whether the network waits for a frame, of whatever content."""
        self.answers: list[bytes] = []
        """Those to the commands that were heard last, not yet sent."""
        self.sticky: list[bytes] = []
        """Those that are repeated, after they were sent, until something is heard: one of a kind."""
        self.adr_ack_cnt = 0

    # -- upwards ------------------------------------------------------------------------------------

    def compose(self, message: Message | None, adr: bool) -> Composed:
        """The next frame: `message`, or nothing but what is to be answered. EncodeError if it is too long.

        Commands have precedence (section 5): if they do not fit into FOpts beside the message, they go
        alone, at port 0 if need be, and the message is left for the next frame. Beside what is repeated until
        something is heard it would not fit then either, so that it is refused.
        """
        if adr:
            self.radio.back_off(self.adr_ack_cnt + 1)
        most = LARGEST_PAYLOAD[self.radio.data_rate]
        options = self.answers or self.sticky
        port, payload = None, b""
        left: Message | None = None
        refused = ""
        if message is not None:
            own = encoded_commands(message.get("commands") or [])
            data = message.get("data")
            if data is not None or not own:
                port, payload = message["port"], b"" if data is None else PAYLOAD.encode(data)
            if len(payload) > most:
                raise EncodeError(f"{len(payload)} bytes, where there are at most {most}", "data")
            room = min(MOST_OPTIONS, most - len(payload))
            if port is not None and sum(map(len, options + own)) > room:
                if not self.answers and sum(map(len, options)) > room:
                    refused = (
                        f"{len(payload)} bytes, beside answers that are repeated until it hears"
                    )
                    own = []
                else:
                    left = {**message, "commands": []}
                message, port, payload = None, None, b""
            options = options + own
        if sum(map(len, options)) > MOST_OPTIONS:
            port, payload, options = 0, _cut(options, most), []
        self.answers = []
        frame, says = self.sealed(message or {}, b"".join(options), port, payload, adr)
        return Composed(frame, says, left, refused)

    def sealed(
        self, message: Message, options: bytes, port: int | None, payload: bytes, adr: bool
    ) -> tuple[bytes, Message]:
        """A frame, and what it says."""
        self.adr_ack_cnt += 1
        request = adr and self.adr_ack_cnt >= ADR_ACK_LIMIT
        confirmed = bool(message.get("confirmed"))
        data = data_up(
            self.keys,
            self.fcnt_up,
            confirmed=confirmed,
            control=adr * ADR | request * ADR_ACK_REQ | self.ack * ACK,
            options=options,
            port=port,
            payload=payload,
        )
        says = {
            "port": port,
            "data": PAYLOAD.decode(payload) if port else None,
            "fcnt": self.fcnt_up,
            "confirmed": confirmed,
            "ack": self.ack,
            "adr": adr,
            "adr_ack_req": request,
            "commands": read_commands(options if port else options or payload, UP),
        }
        self.fcnt_up += 1
        self.ack = self.urgent = False
        return data, says

    # -- downwards ----------------------------------------------------------------------------------

    def take(self, data: bytes, battery: int, snr: float) -> Message | None:
        """What a frame says, which is done; None if it is for another node, or an old one."""
        down = read_data_down(data, self.keys, self.fcnt_down)
        if down is None or (down.options and down.port == 0):  # section 4.3.1.6
            return None
        self.fcnt_down, self.adr_ack_cnt = down.fcnt, 0
        commands = read_commands(down.payload if down.port == 0 else down.options, DOWN)
        answers = self.radio.handle(commands, battery, snr)
        self.answers = [write_command(one) for one in answers]
        kept = {one["command"]: one for one in answers if one["command"] in STICKY}
        self.sticky = [write_command(one) for one in kept.values()]
        pending = bool(down.control & PENDING)
        self.ack, self.urgent = down.confirmed, down.confirmed or pending
        return {
            "port": down.port,
            "data": PAYLOAD.decode(down.payload) if down.port else None,
            "fcnt": down.fcnt,
            "confirmed": down.confirmed,
            "ack": bool(down.control & ACK),
            "adr": bool(down.control & ADR),
            "pending": pending,
            "commands": commands,
        }


def _cut(options: list[bytes], most: int) -> bytes:
    """As many commands as fit into a frame: the others are left out (section 5)."""
    found = b""
    for one in options:
        if len(found) + len(one) > most:
            break
        found += one
    return found
