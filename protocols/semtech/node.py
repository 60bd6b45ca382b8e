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

from construct import ConstructError

from iotsim import EncodeError, ExpressionError

from .frame import JoinAccept, Keys, join_request, read_join_accept
from .link import PAYLOAD, Link
from .mac import Radio
from .region import (
    DATA_RATES,
    DEFAULT_CHANNELS,
    JOIN_ACCEPT_DELAY,
    RECEIVE_DELAY,
    RX1_OFFSETS,
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

SLACK_SYMBOLS = 3
"""By so much a frame's beginning may miss the window: the preamble has eight, and five have to be heard."""
FREQUENCY_SLACK = 0.005
"""In MHz."""
RETRANSMIT_TIMEOUT = 1.0, 3.0
"""In seconds after RX2, by chance (TS001, section 8)."""
MOST_QUEUED = 16
DEV_NONCES = 1 << 16
JOIN_DUTY_CYCLES = ((3600.0, 0.01), (11 * 3600.0, 0.001), (inf, 0.0001))
"""Up to when after the start, and how much of the time, a node may ask to join (section 7)."""
EMPTY_FRAME = 12
"""The bytes of a frame that only acknowledges."""
EARLY = 1e-6
"""In seconds: a timer may be off by a rounding."""


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


class Heard(NamedTuple):
    """A frame that a node hears, and in which window."""

    data: bytes
    window: int
    frequency: float
    datr: str | int
    snr: float


class Sending:
    """A frame that is sent until something answers it, ``left`` times more; a ``ticket`` waits for that."""

    __slots__ = ("confirmed", "data", "datagram", "left", "says", "ticket")

    def __init__(self, data: bytes, says: Message, left: int, ticket: Ticket | None) -> None:
        self.data = data
        self.says = says
        """What the device says with it."""
        self.datagram = b""
        """In which it was last forwarded; b"" while nobody has heard it."""
        self.confirmed: bool = says["confirmed"]
        self.left = left
        self.ticket = ticket


class Node:
    """Number ``number`` of those that the model calls ``name``; ``air`` is the concentrator that hears it."""

    __slots__ = (
        "air",
        "dev_eui",
        "dev_nonce",
        "first_fcnt",
        "free_at",
        "join_nonce",
        "joining_since",
        "link",
        "name",
        "next_join",
        "next_uplink",
        "number",
        "off_until",
        "queue",
        "resend_at",
        "sending",
        "settings",
        "signal",
        "timer",
        "window",
    )

    def __init__(
        self, air: Forwarder, name: str, number: int, settings: Nodes, dev_eui: int
    ) -> None:
        self.air, self.name, self.number, self.settings = air, name, number, settings
        self.dev_eui = dev_eui
        # What a node has used it may not use again, so that it keeps that over a reboot: these are more than
        # it can have used, since all that it sends is followed by the delay of RX1.
        rebooted = air.device.reboots > 0
        self.dev_nonce = rebooted + int(rebooted * air.now / JOIN_ACCEPT_DELAY)
        self.first_fcnt = rebooted + int(rebooted * air.now / RECEIVE_DELAY)
        self.join_nonce = -1
        self.link: Link | None = None
        self.signal = air.uniform(-105, -60)
        self.window: Window | None = None
        self.sending: Sending | None = None
        self.queue: deque[tuple[Message, Ticket | None]] | None = None
        self.free_at = self.off_until = self.resend_at = 0.0
        self.next_join = self.next_uplink = inf
        self.joining_since = air.now
        self.timer: Any = None

    def activated(self, keys: Keys, fcnt_up: int = 0) -> Link:
        settings = self.settings
        radio = Radio(settings.data_rate, settings.nb_trans, settings.adr)
        return Link(keys, radio, fcnt_up)

    # -- what comes next ----------------------------------------------------------------------------

    def begin(self) -> None:
        """Join, or send, within the time that the model says."""
        at = self.air.now + self.air.uniform(0, self.settings.start)
        if self.settings.abp is None:
            self.next_join = at
        else:
            self.link = self.activated(self.air.keys_of(self, self.settings.abp), self.first_fcnt)
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
        if self.link is None:
            return max(ready, self.next_join)
        if self.sending is not None:
            return max(ready, self.resend_at)
        if self.queue or self.link.urgent:
            return ready
        return max(ready, self.next_uplink)

    def wake(self) -> None:
        self.timer = None
        try:
            if self.link is None:
                self.join()
            elif self.sending is None:
                self.say(self.link)
            elif self.sending.left:
                self.transmit(self.sending, self.link.radio)
            else:
                self.finish("unanswered")
        finally:
            self.schedule()

    # -- joining (section 6.2) -----------------------------------------------------------------------

    def join(self) -> None:
        air, nonce = self.air, self.dev_nonce
        if nonce >= DEV_NONCES:
            air.log(f"{self} has no DevNonce left")
            self.next_join = inf
            return
        self.dev_nonce += 1
        join_eui = air.eui_in(self.settings.join_eui)
        data = join_request(air.app_key_of(self), join_eui, self.dev_eui, nonce)
        says = self.named("JOIN_REQUEST", join_eui=f"{join_eui:016X}", dev_nonce=nonce)
        self.send(data, says, None)
        on_air = airtime(DATA_RATES[self.settings.data_rate], len(data))
        age = air.now - self.joining_since
        share = next(share for until, share in JOIN_DUTY_CYCLES if age < until)
        pause = max(on_air / share, JOIN_ACCEPT_DELAY + 1)
        self.next_join = air.now + pause * air.uniform(1, 1.5)

    def rejoin(self) -> None:
        """Join anew, as soon as may be."""
        self.finish("rejoin")
        self.link, self.next_join = None, self.air.now
        self.schedule()

    def take_join_accept(self, data: bytes) -> Message | None:
        """What was accepted; None if that is for another node, or a repetition."""
        accept = read_join_accept(data, self.air.app_key_of(self), self.dev_nonce - 1)
        if accept is None or accept.join_nonce <= self.join_nonce:
            return None
        self.activate(accept)
        return self.named(
            "JOIN_ACCEPT",
            join_nonce=accept.join_nonce,
            net_id=accept.net_id,
            rx_delay=accept.rx_delay,
        )

    def activate(self, accept: JoinAccept) -> None:
        self.join_nonce, self.next_join = accept.join_nonce, inf
        self.link = self.activated(accept.keys)
        radio = self.link.radio
        # What the region does not have stays as it is.
        if accept.rx1_dr_offset in RX1_OFFSETS:
            radio.rx1_offset = accept.rx1_dr_offset
        if accept.rx2_data_rate < len(DATA_RATES):
            radio.rx2_data_rate = accept.rx2_data_rate
        radio.rx_delay = accept.rx_delay
        radio.list_channels(accept.frequencies)
        uplink = self.settings.uplink
        if uplink is not None:
            self.next_uplink = self.air.now + self.air.uniform(0, min(uplink.every, 2))

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

    def say(self, link: Link) -> None:
        """Send the next new frame: what it was told to, what is due, or only what is to be answered."""
        message, ticket = self.queue.popleft() if self.queue else (self.periodic(), None)
        if message is None and not link.urgent:
            return
        try:
            data, says, left, refused = link.compose(message, self.settings.adr)
        except EncodeError as error:
            self.refuse(str(error), ticket)
            return
        if refused:
            self.refuse(refused, ticket)
            ticket = None
        elif left is not None:
            self.queue = self.queue or deque()
            self.queue.appendleft((left, ticket))
            ticket = None
        self.sending = Sending(data, self.named("UPLINK", **says), link.radio.nb_trans, ticket)
        self.transmit(self.sending, link.radio)

    def refuse(self, reason: str, ticket: Ticket | None) -> None:
        """A message is not sent."""
        self.air.log(f"{self} cannot send: {reason}")
        if ticket is not None:
            ticket.give_up("too long")

    def periodic(self) -> Message | None:
        """The uplink of the model, if it is due."""
        uplink, now = self.settings.uplink, self.air.now
        if uplink is None or self.next_uplink > now + EARLY:
            return None
        self.next_uplink += uplink.every
        if self.next_uplink < now:  # it could not speak for so long
            self.next_uplink = now + uplink.every
        data = self.air.read(uplink.payload)
        try:
            PAYLOAD.encode(data)
        except ConstructError as error:
            raise ExpressionError(str(error), uplink.payload.text) from None
        return {"port": uplink.port, "data": data, "confirmed": uplink.confirmed}

    def transmit(self, sending: Sending, radio: Radio) -> None:
        air = self.air
        heard = self.send(sending.data, sending.says, radio, sending.datagram)
        sending.datagram = heard or sending.datagram
        if radio.max_duty_cycle:
            on_air = airtime(DATA_RATES[radio.data_rate], len(sending.data))
            self.off_until = air.now + on_air * ((1 << radio.max_duty_cycle) - 1)
        sending.left -= 1
        if sending.left or sending.confirmed or sending.ticket is not None:
            self.resend_at = air.now + radio.rx_delay + 1 + air.uniform(*RETRANSMIT_TIMEOUT)
        else:
            self.sending = None

    def send(self, data: bytes, says: Message, radio: Radio | None, before: bytes = b"") -> bytes:
        """Put a frame on the air, without a `radio` to join, and listen after it. The datagram and `before`
        are as in `Forwarder.forward`."""
        air = self.air
        channels = DEFAULT_CHANNELS if radio is None else radio.usable_channels()
        channel = channels[int(air.uniform(0, len(channels)))]
        if radio is None:
            rate, power = self.settings.data_rate, 0
            opens = air.now + JOIN_ACCEPT_DELAY
            window = Window(opens, channel.frequency, rate, RX2_FREQUENCY, RX2_DATA_RATE)
        else:
            rate, power = radio.data_rate, radio.tx_power
            where = channel.downlink or channel.frequency
            rx1 = air.now + radio.rx_delay, where, rx1_data_rate(rate, radio.rx1_offset)
            window = Window(*rx1, radio.rx2_frequency, radio.rx2_data_rate)
        self.window, self.free_at = window, window.ends
        datr = DATA_RATES[rate]
        level = self.level - 2 * power
        return air.forward(data, channel.frequency, datr, level, says, before)

    @property
    def level(self) -> float:
        """How strong it is at the concentrator, in dBm, at its highest power."""
        rssi = self.settings.rssi
        return self.signal if rssi is None else self.air.level_of(rssi)

    def finish(self, reason: str) -> None:
        """What is being sent will not be answered any more."""
        sending, self.sending = self.sending, None
        if sending is not None and sending.ticket is not None:
            sending.ticket.give_up(reason)

    # -- downwards ----------------------------------------------------------------------------------

    def listen_until(self, end: float) -> None:
        """A frame has begun in a window: nothing is sent until it has ended, and is dealt with."""
        self.free_at = max(self.free_at, end + EARLY)
        self.schedule()

    def take(self, heard: Heard, window: Window) -> None:
        """A frame has ended that began in `window`, which it closes if it is for this node."""
        if self.window is not window:
            return
        ticket = None
        if self.link is None:
            message = self.take_join_accept(heard.data)
        else:
            found = self.link.take(heard.data, self.settings.battery, heard.snr)
            message = None if found is None else self.named("DOWNLINK", **found)
            ticket = None if found is None else self.answered(found)
        if message is None:
            return
        self.window = None
        # What is said next has its own time on the air, at the end of which it counts.
        self.free_at = self.air.now + airtime(heard.datr, EMPTY_FRAME)
        message |= {
            "window": heard.window,
            "frequency": heard.frequency,
            "data_rate": heard.datr,
        }
        self.air.heard(message, ticket)
        self.schedule()

    def answered(self, found: Message) -> Ticket | None:
        """Something was heard, so that nothing is repeated any more (section 4.3.1.3); who waits for it."""
        sending = self.sending
        if sending is not None and sending.confirmed and not found["ack"]:
            self.finish("not acknowledged")
            return None
        self.sending = None
        return None if sending is None else sending.ticket

    # -- the rest -----------------------------------------------------------------------------------

    def named(self, kind: str, **fields: Any) -> Message:
        """A message of `kind` about this node."""
        keys = None if self.link is None else self.link.keys
        return {
            "kind": kind,
            "node": self.name,
            "number": self.number,
            "dev_eui": f"{self.dev_eui:016X}",
            "dev_addr": None if keys is None else f"{keys.dev_addr:08X}",
            **fields,
        }

    def __str__(self) -> str:
        return f"{self.name} {self.number}"
