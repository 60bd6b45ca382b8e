"""A node: a LoRaWAN end device of class A (TS001-1.0.4), as far as it can be heard.

A node joins, or is activated already; then it sends what is due, what it was told to, and what the network
wants to have answered, a frame at a time. After each frame it listens twice, RX1 and RX2, and says nothing
until that is over. One timer wakes it for whatever comes next.

A frame counts from its end: that is when the concentrator has it, and what the windows are counted from.
"""

from __future__ import annotations

from collections import deque
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple

from iotsim import EncodeError, ExpressionError, Payload

from .commands import read_commands, write_command
from .crypto import DOWN
from .frame import (
    ACK,
    ADR,
    ADR_ACK_REQ,
    MOST_OPTIONS,
    PENDING,
    DataDown,
    JoinAccept,
    Keys,
    data_up,
    encoded_commands,
    join_request,
    read_data_down,
    read_join_accept,
)
from .mac import ADR_ACK_LIMIT, STICKY, Radio
from .region import (
    DATA_RATES,
    DEFAULT_CHANNELS,
    JOIN_ACCEPT_DELAY,
    LARGEST_PAYLOAD,
    RX2_DATA_RATE,
    RX2_FREQUENCY,
    airtime,
    rx1_data_rate,
    symbol_time,
)

if TYPE_CHECKING:
    from iotsim import Ticket

    from .forwarder import Forwarder
    from .message import Message
    from .model import Nodes

PAYLOAD = Payload()
SLACK_SYMBOLS = 3
"""By so much a frame's beginning may miss the window: the preamble has eight, and five have to be heard."""
FREQUENCY_SLACK = 0.005
"""In MHz."""
RETRANSMIT_TIMEOUT = 1.0, 3.0
"""In seconds after RX2, by chance (TS001, section 8)."""
FASTEST = 5
"""The data rate of a node of which none is said."""
MOST_QUEUED = 16
DEV_NONCES = 1 << 16
JOIN_DUTY_CYCLES = ((3600.0, 0.01), (11 * 3600.0, 0.001), (inf, 0.0001))
"""Up to when after the start, and how much of the time, a node may ask to join (section 7)."""


class Window(NamedTuple):
    """When and where a node listens after a frame: RX1, and a second later RX2."""

    opens: float
    frequency: float
    data_rate: int
    rx2_frequency: float
    rx2_data_rate: int

    def at(self, start: float, frequency: float, datr: str | int) -> int:
        """Which of the two, 1 or 2, a frame falls into; 0 if none."""
        windows = (
            (self.opens, self.frequency, self.data_rate),
            (self.opens + 1, self.rx2_frequency, self.rx2_data_rate),
        )
        for number, (opens, where, rate) in enumerate(windows, 1):
            if (
                DATA_RATES[rate] == datr
                and abs(frequency - where) < FREQUENCY_SLACK
                and abs(start - opens) <= SLACK_SYMBOLS * symbol_time(datr)
            ):
                return number
        return 0

    @property
    def ends(self) -> float:
        """When nothing is heard any more that has not begun."""
        return self.opens + 1 + SLACK_SYMBOLS * symbol_time(DATA_RATES[self.rx2_data_rate])


class Sending:
    """A frame that is sent until it is answered, ``left`` times more; a ``ticket`` waits for that."""

    __slots__ = ("confirmed", "data", "left", "message", "ticket")

    def __init__(
        self, data: bytes, message: Message, left: int, confirmed: bool, ticket: Ticket | None
    ) -> None:
        self.data = data
        self.message: Message | None = message
        """What the device says with it; None once that was said."""
        self.left = left
        self.confirmed = confirmed
        self.ticket = ticket


class Node:
    """Number ``number`` of those that the model calls ``name``; ``air`` is the concentrator that hears it."""

    __slots__ = (
        "ack",
        "adr_ack_cnt",
        "air",
        "answers",
        "dev_eui",
        "dev_nonce",
        "fcnt_down",
        "fcnt_up",
        "free_at",
        "join_nonce",
        "joining_since",
        "keys",
        "name",
        "next_join",
        "next_uplink",
        "number",
        "off_until",
        "queue",
        "radio",
        "resend_at",
        "sending",
        "settings",
        "signal",
        "sticky",
        "timer",
        "urgent",
        "window",
    )

    def __init__(
        self, air: Forwarder, name: str, number: int, settings: Nodes, dev_eui: int, spent: int
    ) -> None:
        self.air, self.name, self.number, self.settings = air, name, number, settings
        self.dev_eui = dev_eui
        self.dev_nonce = spent  # what must not be used again, a node keeps over a reboot
        self.fcnt_up, self.fcnt_down = spent, -1
        self.join_nonce = -1
        self.keys: Keys | None = None
        self.signal = air.uniform(-105, -60)
        self.radio = self.new_radio()
        self.window: Window | None = None
        self.sending: Sending | None = None
        self.queue: deque[tuple[Message, Ticket | None]] | None = None
        self.answers: list[bytes] = []
        self.sticky: list[bytes] = []
        self.ack = self.urgent = False
        self.adr_ack_cnt = 0
        self.free_at = self.off_until = self.resend_at = 0.0
        self.next_join = self.next_uplink = inf
        self.joining_since = air.now
        self.timer: Any = None

    def new_radio(self) -> Radio:
        settings = self.settings
        rate = None if settings.uplink is None else settings.uplink.data_rate
        if rate is None:
            # Section 4.3.1.1: without a join to begin with, the slowest until the network says more.
            rate = 0 if settings.abp is not None and settings.adr else FASTEST
        return Radio(rate, settings.nb_trans)

    # -- what comes next ----------------------------------------------------------------------------

    def begin(self) -> None:
        """Join, or send, within the time that the model says."""
        at = self.air.now + self.air.uniform(0, self.settings.start)
        if self.settings.abp is None:
            self.next_join = at
        else:
            self.keys = self.air.keys_of(self)
            if self.settings.uplink is not None:
                self.next_uplink = at
        self.schedule()

    def schedule(self) -> None:
        """Have `wake` called when there is something to do."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        due = self.due()
        if due < inf:
            self.timer = self.air.call_later(max(due - self.air.now, 0), self.wake)

    def due(self) -> float:
        ready = max(self.free_at, self.off_until)
        if self.keys is None:
            return max(ready, self.next_join)
        if self.sending is not None:
            return max(ready, self.resend_at)
        if self.queue or self.urgent:
            return ready
        return max(ready, self.next_uplink)

    def wake(self) -> None:
        self.timer = None
        try:
            if self.keys is None:
                self.join()
            elif self.sending is None:
                self.say(self.keys)
            elif self.sending.left:
                self.transmit(self.sending)
            else:
                self.finish("unanswered")
        finally:
            self.schedule()

    # -- joining (section 6.2) -----------------------------------------------------------------------

    def join(self) -> None:
        air = self.air
        if self.dev_nonce >= DEV_NONCES:
            air.log(f"{self} has no DevNonce left")
            self.next_join = inf
            return
        nonce, join_eui = self.dev_nonce, air.eui_in(self.settings.join_eui)
        self.dev_nonce += 1
        self.radio = self.new_radio()
        data = join_request(air.app_key_of(self), join_eui, self.dev_eui, nonce)
        message = {
            **self.named("JOIN_REQUEST"),
            "join_eui": f"{join_eui:016X}",
            "dev_nonce": nonce,
        }
        on_air = self.send(data, message, JOIN_ACCEPT_DELAY)
        age = air.now - self.joining_since
        share = next(share for until, share in JOIN_DUTY_CYCLES if age < until)
        pause = max(on_air / share, JOIN_ACCEPT_DELAY + 1)
        self.next_join = air.now + pause * air.uniform(1, 1.5)

    def rejoin(self) -> None:
        """Join anew, as soon as may be."""
        self.finish("rejoin")
        self.keys, self.urgent, self.next_join = None, False, self.air.now
        self.schedule()

    def take_join_accept(self, data: bytes) -> Message | None:
        """What was accepted; None if that is for another node, or a repetition."""
        accept = read_join_accept(data, self.air.app_key_of(self), self.dev_nonce - 1)
        if accept is None or accept.join_nonce <= self.join_nonce:
            return None
        self.activate(accept)
        return {
            **self.named("JOIN_ACCEPT"),
            "join_nonce": accept.join_nonce,
            "net_id": accept.net_id,
            "rx_delay": accept.rx_delay,
        }

    def activate(self, accept: JoinAccept) -> None:
        air, uplink = self.air, self.settings.uplink
        self.keys, self.join_nonce = accept.keys, accept.join_nonce
        self.fcnt_up, self.fcnt_down, self.adr_ack_cnt = 0, -1, 0
        self.answers, self.sticky, self.ack = [], [], False
        radio = self.radio
        radio.rx1_offset, radio.rx2_data_rate = accept.rx1_dr_offset, accept.rx2_data_rate
        radio.rx_delay = accept.rx_delay
        radio.list_channels(accept.frequencies)
        self.next_join = inf
        if uplink is not None:
            self.next_uplink = air.now + air.uniform(0, min(uplink.every, 2))

    # -- upwards ------------------------------------------------------------------------------------

    def submit(self, message: Message, ticket: Ticket | None) -> None:
        """Send `message` as soon as may be."""
        if self.queue is None:
            self.queue = deque()
        if len(self.queue) >= MOST_QUEUED:
            self.air.log(f"{self} has {MOST_QUEUED} uplinks to send, and leaves out another")
            if ticket is not None:
                ticket.give_up("busy")
            return
        self.queue.append((message, ticket))
        self.schedule()

    def say(self, keys: Keys) -> None:
        """Send the next new frame: what it was told to, what is due, or only what is to be answered."""
        message, ticket = self.next_message()
        own = encoded_commands(message.get("commands") or []) if message else []
        options = [*self.sticky, *self.answers]
        port, payload = None, b""
        if message is not None:
            options += own
            if message.get("data") is not None or not own:
                port, payload = message["port"], PAYLOAD.encode(message.get("data") or "")
        size, most = sum(map(len, options)), LARGEST_PAYLOAD[self.radio.data_rate]
        if len(payload) > most:
            text = f"{self}: {len(payload)} bytes; at its data rate, there are at most {most}"
            self.air.log(text)
            if ticket is not None:
                ticket.give_up("too long")
            return
        if message is not None and port is not None and size:
            if size > MOST_OPTIONS or size + len(payload) > most:
                # Commands have precedence (section 5): they go alone, and the message in the next frame.
                self.put_back({**message, "commands": []}, ticket)
                message, ticket, port = None, None, None
        if size > MOST_OPTIONS:
            port, payload, options = 0, _cut(options, most), []
        self.answers, self.urgent = [], False
        self.compose(keys, message or {}, ticket, b"".join(options), port, payload)

    def next_message(self) -> tuple[Message | None, Ticket | None]:
        if self.queue:
            return self.queue.popleft()
        uplink, now = self.settings.uplink, self.air.now
        if uplink is None or self.next_uplink > now:
            return None, None
        self.next_uplink += uplink.every
        if self.next_uplink < now:  # it has been silent, for want of a duty cycle
            self.next_uplink = now + uplink.every
        value = self.air.read(uplink.payload)
        try:
            data = PAYLOAD.decode(PAYLOAD.encode(value))
        except Exception as error:
            raise ExpressionError(str(error), uplink.payload.text) from None
        return {"port": uplink.port, "data": data, "confirmed": uplink.confirmed}, None

    def put_back(self, message: Message, ticket: Ticket | None) -> None:
        if self.queue is None:
            self.queue = deque()
        self.queue.appendleft((message, ticket))

    def compose(
        self,
        keys: Keys,
        message: Message,
        ticket: Ticket | None,
        options: bytes,
        port: int | None,
        payload: bytes,
    ) -> None:
        radio, adr = self.radio, self.settings.adr
        self.adr_ack_cnt += 1
        if adr:
            radio.back_off(self.adr_ack_cnt)
        request = adr and self.adr_ack_cnt >= ADR_ACK_LIMIT
        control = adr * ADR | request * ADR_ACK_REQ | self.ack * ACK
        confirmed = bool(message.get("confirmed"))
        data = data_up(
            keys,
            self.fcnt_up,
            confirmed=confirmed,
            control=control,
            options=options,
            port=port,
            payload=payload,
        )
        said = {
            **self.named("UPLINK"),
            "port": port,
            "data": message.get("data") if port else None,
            "fcnt": self.fcnt_up,
            "confirmed": confirmed,
            "ack": self.ack,
            "adr": adr,
            "adr_ack_req": request,
            "commands": read_commands(payload if port == 0 else options, 0),
        }
        self.fcnt_up += 1
        self.ack = False
        self.sending = Sending(data, said, radio.nb_trans, confirmed, ticket)
        self.transmit(self.sending)

    def transmit(self, sending: Sending) -> None:
        air, radio = self.air, self.radio
        said, sending.message = sending.message, None
        on_air = self.send(sending.data, said, radio.rx_delay)
        if radio.max_duty_cycle:
            self.off_until = air.now + on_air * ((1 << radio.max_duty_cycle) - 1)
        sending.left -= 1
        if sending.left or sending.confirmed or sending.ticket is not None:
            self.resend_at = air.now + radio.rx_delay + 1 + air.uniform(*RETRANSMIT_TIMEOUT)
        else:
            self.sending = None

    def send(self, data: bytes, said: Message | None, delay: float) -> float:
        """Put a frame on the air, and listen after it. Returns how long it was there, in seconds."""
        air, radio = self.air, self.radio
        joined = self.keys is not None
        channels = radio.usable_channels() if joined else DEFAULT_CHANNELS
        channel = channels[int(air.uniform(0, len(channels)))]
        rate = radio.data_rate
        datr = DATA_RATES[rate]
        self.window = Window(
            air.now + delay,
            channel.downlink or channel.frequency,
            rx1_data_rate(rate, radio.rx1_offset if joined else 0),
            radio.rx2_frequency if joined else RX2_FREQUENCY,
            radio.rx2_data_rate if joined else RX2_DATA_RATE,
        )
        self.free_at = self.window.ends
        if said is not None:
            said["frequency"], said["data_rate"] = channel.frequency, datr
        rssi = self.signal if self.settings.rssi is None else air.read(self.settings.rssi)
        air.forward(data, channel.frequency, datr, rssi - 2 * radio.tx_power, said)
        return airtime(datr, len(data))

    def finish(self, reason: str) -> None:
        """The frame that is being sent will not be answered any more."""
        sending, self.sending = self.sending, None
        if sending is not None and sending.ticket is not None:
            sending.ticket.give_up(reason)

    # -- downwards ----------------------------------------------------------------------------------

    def take(self, data: bytes, number: int, frequency: float, datr: str | int, snr: float) -> None:
        """A frame was heard in window `number`, which it closes if it is for this node."""
        sending = None
        if self.keys is None:
            found = self.take_join_accept(data)
        else:
            down = read_data_down(data, self.keys, self.fcnt_down)
            found = None
            if down is not None and not (down.options and down.port == 0):
                found = self.take_data(down, snr)
                sending, self.sending = self.sending, None
        if found is None:
            return
        self.window = None
        self.free_at = self.air.now
        message = {**found, "window": number, "frequency": frequency, "data_rate": datr}
        ticket = None if sending is None else sending.ticket
        if sending is not None and sending.confirmed and not message.get("ack"):
            if ticket is not None:
                ticket.give_up("not acknowledged")
            ticket = None
        self.air.heard(self, message, ticket)
        self.schedule()

    def take_data(self, down: DataDown, snr: float) -> Message:
        self.fcnt_down, self.adr_ack_cnt = down.fcnt, 0
        commands = read_commands(down.payload if down.port == 0 else down.options, DOWN)
        self.sticky = []
        for answer in self.radio.handle(commands, self.settings.battery, snr):
            kept = self.sticky if answer["command"] in STICKY else self.answers
            kept.append(write_command(answer))
        pending = bool(down.control & PENDING)
        self.ack = down.confirmed
        self.urgent = down.confirmed or pending
        return {
            **self.named("DOWNLINK"),
            "port": down.port,
            "data": PAYLOAD.decode(down.payload) if down.port else None,
            "fcnt": down.fcnt,
            "confirmed": down.confirmed,
            "ack": bool(down.control & ACK),
            "adr": bool(down.control & ADR),
            "pending": pending,
            "commands": commands,
        }

    # -- the rest -----------------------------------------------------------------------------------

    def named(self, kind: str) -> Message:
        """The fields of a message of `kind` that say which node it is about."""
        keys = self.keys
        return {
            "kind": kind,
            "node": self.name,
            "number": self.number,
            "dev_eui": f"{self.dev_eui:016X}",
            "dev_addr": None if keys is None else f"{keys.dev_addr:08X}",
        }

    def __str__(self) -> str:
        return f"{self.name} {self.number}"


def _cut(options: list[bytes], most: int) -> bytes:
    """As many commands as fit into a frame: the others are left out (section 5)."""
    found = b""
    for one in options:
        if len(found) + len(one) > most:
            break
        found += one
    return found


def check_uplink(message: Message) -> None:
    """Raise EncodeError if no node could ever say `message`."""
    data = message.get("data")
    if data is not None and len(PAYLOAD.encode(data)) > LARGEST_PAYLOAD[-1]:
        raise EncodeError(f"more than {LARGEST_PAYLOAD[-1]} bytes", "data")
    encoded_commands(message.get("commands") or [])
