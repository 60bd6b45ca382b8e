"""Commands: what a running simulation can be told to do, as data.

They are records of plain values, so that a line of a test, a click, and what another process was asked
to do are the same thing. As JSON each is an object whose ``do`` names the kind::

    {"do": "set", "devices": "meter[0:3]", "set": {"level": 5}}

``devices`` are selected as everywhere in a scenario. What is set and sent is written as in a rule, with
``"=expression"`` for what each device makes of its own state and signals.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from iotsim.units import bytes_as_text


class _Command(msgspec.Struct, tag_field="do", forbid_unknown_fields=True, omit_defaults=True):
    pass


class SetState(_Command, tag="set"):
    """Give these devices new state; what is not named stays."""

    devices: str
    set: dict[str, Any]


class Send(_Command, tag="send"):
    """Let these devices send a message, or several in this order, by the protocol of this name."""

    devices: str
    send: dict[str, Any] | list[dict[str, Any]]
    to: str = "gateway"
    protocol: str | None = None


class SetSignal(_Command, tag="signal"):
    """Let signals of these devices be these numbers from now on."""

    devices: str
    signal: dict[str, float]


class Reboot(_Command, tag="reboot"):
    """Let these devices begin anew: see `iotsim.device.fleet.SimDevice.reboot`."""

    devices: str


class Begin(_Command, tag="begin"):
    """Let the impairment or the fault of this name be in force from now on, for so many seconds, or until
    it is told to end; whatever times the scenario gives it are over with that."""

    begin: str
    for_s: Annotated[float, msgspec.Meta(gt=0)] | None = None


class End(_Command, tag="end"):
    """Let the impairment or the fault of this name be in force no longer."""

    end: str


class WriteNote(_Command, tag="note"):
    """Put a text into the events."""

    note: str


class ActOnGateway(_Command, tag="gateway"):
    """Let the gateway's process start, stop, restart, pause, resume, or kill it."""

    gateway: Literal["start", "stop", "kill", "restart", "pause", "resume"]


class ActOnNorthbound(_Command, tag="northbound"):
    """Start or stop a service on the gateway's other side."""

    service: str
    action: Literal["start", "stop"]


Command: TypeAlias = (
    SetState | Send | SetSignal | Reboot | Begin | End | WriteNote | ActOnGateway | ActOnNorthbound
)


def encode_command(command: Command) -> dict[str, Any]:
    """`command` as plain data; bytes as scenarios write them, ``"hex:0aff"``."""
    data: dict[str, Any] = bytes_as_text(msgspec.to_builtins(command, builtin_types=(bytes,)))
    return data


def decode_command(data: Any) -> Command:
    """The command that `data` is; ValueError (of msgspec) if it is none."""
    command: Command = msgspec.convert(data, Command)
    return command
