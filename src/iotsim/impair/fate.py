"""Fate: what an entry makes of a datagram that it is for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import msgspec

from iotsim.units import format_duration

if TYPE_CHECKING:
    from iotsim.events import Befell, Remark
    from iotsim.match import DeviceView


class Passage(msgspec.Struct, gc=False):
    """A datagram on its way past entries, which change it.

    ``message`` is what rules and sessions made or the link brought, None if it could not be decoded: scopes
    look at that one, whatever entries have made of the datagram since. ``payload`` is what it is now, `size`
    the bytes of the IP packet that carries it, `t` the time at which it has come so far. ``flip`` is a number
    that says which bit of it is wrong, -1 for none.

    ``impaired`` are the names of the entries that it has met, ``fate`` what they have made of it, and
    ``delay_s`` how long they have held it, all for people.
    """

    device: DeviceView
    message: Mapping[str, Any] | None
    payload: bytes
    size: int
    t: float
    flip: int = -1
    impaired: str = ""
    fate: str = ""
    delay_s: float = 0.0
    changed: bool = False
    """The payload is not what the message was encoded to any more."""
    said: Mapping[str, Any] | None = None
    """What the device says with it above its session, in a message of another schema than ``message``."""
    malformed: Mapping[str, Any] | None = None
    """The values that faults have given fields in place of their own."""

    @property
    def befell(self) -> Befell:
        """What befell it so far."""
        return self.impaired, self.fate, self.delay_s


class Copy(NamedTuple):
    """One of what goes on: after `delay_s` seconds, with another payload if that is not None, and with
    the bit wrong that `flip` says (modulo their number), if it is not -1. ``fate`` says what is special
    about it, in a word."""

    delay_s: float = 0.0
    payload: bytes | None = None
    flip: int = -1
    fate: str = ""


DELAYED = "delayed"
Fate: TypeAlias = "str | float | tuple[Copy, ...] | None"
"""None: it goes on as it is. A text: it is lost, and why. A number: it goes on after so many seconds, more
than 0, and is `DELAYED`. Else the copies that go on instead, the original first; there is at least one."""
Effect: TypeAlias = Callable[[Passage], Fate]
Lot: TypeAlias = Callable[[int], Fate]
"""What is drawn for the next datagram of the device at an index, whatever it is."""


def in_words(remark: Remark) -> str:
    """`remark` for people."""
    if isinstance(remark, str):
        return remark
    device, (impaired, fate, delay_s) = remark
    fate = fate or "duplicated"  # what is the first of several goes on as it is
    if delay_s:
        held = f"{DELAYED} {format_duration(delay_s)}"
        fate = fate.replace(DELAYED, held) if DELAYED in fate else f"{fate}, {held}"
    return f"{device}: {fate} ({impaired})"


def names(first: str, second: str) -> str:
    """Both as a list."""
    return f"{first}, {second}" if first and second else first or second
