"""`Decoder`: the messages of a protocol in UDP datagrams, and what they are to each other."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from iotsim.errors import DecodeError
from iotsim.protocol.device import StandIn
from iotsim.session.follower import Follower, Seen, is_group
from iotsim.wire.address import format_address

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from iotsim.capture.datagrams import UdpDatagram
    from iotsim.protocol.codec import Decode
    from iotsim.protocol.definition import Protocol
    from iotsim.session.follower import Endpoint

    Wanted = Callable[[dict[str, Any] | None, bool], bool]

OTHER_PORTS = "UDP at other ports"
OTHER_DEVICES = "of other devices"
NO_MATCH = "not as asked for"


class Decoded(NamedTuple):
    """A datagram of the protocol. ``message`` is None if it is none, which is the ``error``.

    ``notes`` are what it is in its conversation; ``faults`` what was wrong on its way. ``device`` is what
    its schema may ask for the device's end.
    """

    seen: Seen
    message: dict[str, Any] | None
    error: DecodeError | None
    notes: Sequence[str]
    faults: Sequence[str]
    device: StandIn


class Decoder:
    """What decodes the datagrams of a capture, in their order.

    A datagram to one of the ``ports`` (the protocol's, if none are given) is for a device, one from there
    is from a device; between two such ports it is for a device, unless ``is_device`` knows better.

    ``is_device`` tells of an address whether it is a device's: what others send, or are sent, is left out.
    ``wanted(message, from_device)`` tells of a message (None: of what is none) whether it is shown; all are
    followed.

    ``messages``, ``undecodable``, ``unfollowed`` and ``skipped`` (by why) count what has become of datagrams.
    """

    def __init__(
        self,
        protocol: Protocol,
        *,
        ports: Sequence[int] = (),
        is_device: Callable[[int], bool] | None = None,
        wanted: Wanted | None = None,
        device: StandIn | None = None,
    ) -> None:
        self.messages = self.undecodable = 0
        self.unfollowed = ""
        """Of the protocol's follower: the first mistake, if there was one."""
        self.skipped: Counter[str] = Counter()
        self._ports = frozenset(ports or (protocol.port,))
        self._is_device = is_device
        self._wanted = wanted
        self._device = device or StandIn()
        # To a device, and from one.
        self._codecs: tuple[tuple[Decode, bool], ...] = (
            (protocol.codec.decode, protocol.codec.needs_device),
            (protocol.answer_codec.decode, protocol.answer_codec.needs_device),
        )
        self._follower = (protocol.follower or Follower)(protocol.echo)
        self._began_ns: int | None = None

    def began(self, time_ns: int) -> None:
        """The time of the capture's first frame, from which times count."""
        if self._began_ns is None:
            self._began_ns = time_ns

    def decode(self, datagram: UdpDatagram) -> Decoded | None:
        """What a datagram is; None if it is not of the protocol, or not wanted."""
        number, time_ns, address, port, to, to_port, payload, faults = datagram
        self.began(time_ns)
        time = (time_ns - (self._began_ns or 0)) / 1e9
        source, destination = (address, port), (to, to_port)
        from_device = self._direction(source, destination, time)
        if from_device is None:
            return None
        seen = Seen(number, time, source, destination, from_device, payload)
        decode, needs_device = self._codecs[from_device]
        device = self._device
        if needs_device:
            device = replace(device, address=format_address(address if from_device else to))
        message: dict[str, Any] | None = None
        error: DecodeError | None = None
        notes: Sequence[str] = ()
        try:
            message = decode(payload, device)
        except DecodeError as caught:
            error = caught
        else:
            notes = self._follow(message, seen)
        if self._wanted is not None and not self._wanted(message, from_device):
            self.skipped[NO_MATCH] += 1
            return None
        if message is None:
            self.undecodable += 1
        else:
            self.messages += 1
        return Decoded(seen, message, error, notes, faults, device)

    def _direction(self, source: Endpoint, destination: Endpoint, time: float) -> bool | None:
        """Whether a datagram is from a device; None if it is no business of the protocol."""
        to_device, from_device = destination[1] in self._ports, source[1] in self._ports
        if not (to_device or from_device):
            end = self._follower.device_end(source, destination, time)
            if end is None:
                self.skipped[OTHER_PORTS] += 1
                return None
            from_device, to_device = end == source, end != source
        if self._is_device is not None:
            from_device = from_device and self._is_device(source[0])
            to_device = to_device and (self._is_device(destination[0]) or is_group(destination[0]))
            if not (to_device or from_device):
                self.skipped[OTHER_DEVICES] += 1
                return None
        return not to_device

    def _follow(self, message: dict[str, Any], seen: Seen) -> Sequence[str]:
        try:
            return self._follower.follow(message, seen)
        except Exception as error:  # of code that came with the protocol
            text = f"{type(error).__name__}: {error}"
            self.unfollowed = self.unfollowed or f"#{seen.number}: {text}"
            return (f"the follower fails: {text}",)
