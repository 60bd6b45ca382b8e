#!/usr/bin/env python3
"""Gateways with a known bug each: `gateway.py`, or `observer.py`, but for one thing.

``bugs.py NAME OPTIONS`` runs one of them; NAME ``none`` is the correct gateway, and ``observer`` the
correct observer. The first line of a class says what is wrong with it.
"""

from __future__ import annotations

import math
import re
import socket
import struct
import sys
import threading
import time
from typing import Any, ClassVar

import observer
from gateway import (
    COMMAND,
    LENGTH_COUNTS_FROM,
    Device,
    Gateway,
    Message,
    Reading,
    Request,
    main,
)  # fmt: skip
from observer import Notification, Observer, Resource
from outbox import Outbox

# ---------------------------------------------------------------- retries


class NoRetry(Gateway):
    """Asks once, and gives up."""

    RETRIES = 0


class RetryStorm(Gateway):
    """Asks again every 10 ms until there is an answer."""

    RETRIES = 400

    def patience(self, attempt: int) -> float:
        return 0.01


class LinearBackoff(Gateway):
    """Waits 1, 2, 3 times as long, and not 1, 2, 4."""

    def patience(self, attempt: int) -> float:
        return float(self.options.timeout * (attempt + 1))


class Impatient(Gateway):
    """Asks again under a new number, and so never hears who is slower than its timeouts."""

    def ask_again(self, device: Device, request: Request, now: float) -> None:
        device.last = request.number = device.last + 1
        super().ask_again(device, request, now)


class HammersBusy(Gateway):
    """Asks a device that says BUSY again at once."""

    BUSY_WAIT = 0.0


# ---------------------------------------------------------------- who said what


class StaleAnswer(Gateway):
    """Takes a late answer to an earlier request for that to the present one."""

    def request_of(self, device: Device, message: Message) -> Request | None:
        return device.request


class MixesDevices(Gateway):
    """Tells answers apart by their number alone, which several devices have at a time."""

    def take(self, message: Message, place: tuple[str, int], now: float) -> None:
        for device in self.devices.values():
            if device.request is not None and device.request.number == message.number:
                message = message._replace(device=device.number)
                place = device.place
                break
        super().take(message, place, now)


class ForgetsTheLast(Gateway):
    """Polls the first device twice, and the last never."""

    def send_request(self, device: Device, request: Request, now: float) -> None:
        if device.number == len(self.options.devices) - 1:
            device = self.devices[0]
        super().send_request(device, request, now)


class StuckAfterReboot(Gateway):
    """Takes the numbers of a device that has booted for those that it has had before."""

    def booted(self, device: Device) -> None:
        pass


class SetsUpOnce(Gateway):
    """Sets up each device once, and not again when it has forgotten that."""

    def ask(self, device: Device, kind: int, body: bytes, now: float) -> None:
        if kind == COMMAND:
            if device.number in self.set_up:
                return
            self.set_up.add(device.number)
        super().ask(device, kind, body, now)

    set_up: ClassVar[set[int]] = set()


class OldAddress(Gateway):
    """Goes on sending to where a device was first."""

    def moved(self, device: Device, place: tuple[str, int]) -> None:
        pass


class ForgetsDevices(Gateway):
    """Does not remember over its own restart which devices there are."""

    def save(self) -> None:
        pass


# ---------------------------------------------------------------- decoding


class BadCrc(Gateway):
    """Does not look at the CRC."""

    def check_crc(self, data: bytes) -> None:
        pass


def length_of(data: bytes) -> int:
    """How long a message says that it is."""
    return int.from_bytes(data[4:6], "big") + LENGTH_COUNTS_FROM


class Truncated(Gateway):
    """Fills a message that is too short with zeros, without a look at its CRC."""

    def checked(self, data: bytes) -> bytes:
        missing = length_of(data) - len(data)
        return data + bytes(missing) if missing > 0 else super().checked(data)


class WrongLength(Gateway):
    """Does not look at the length."""

    def check_length(self, data: bytes) -> None:
        pass


class UnknownKind(Gateway):
    """Ends with an exception when it hears a kind of message that it does not know."""

    def unknown(self, kind: int) -> tuple[list[Reading], int]:
        raise KeyError(kind)


class ByteOrder(Gateway):
    """Reads integers with the least significant byte first."""

    INT = struct.Struct("<i")


class WrongUnit(Gateway):
    """Says hPa and gives Pa."""

    def pressure(self, pascal: float) -> tuple[str, float]:
        return "hPa", pascal


class WholeNumbers(Gateway):
    """Cuts the fraction off what it reports."""

    def json_of(self, device: Device, message: Message, reading: Reading) -> dict[str, Any]:
        return super().json_of(device, message, reading._replace(value=int(reading.value)))


# ---------------------------------------------------------------- north


class ForwardsRepetitions(Gateway):
    """Reports once more what a device repeats because the ACK for it was lost."""

    def take_own(self, device: Device, message: Message) -> None:
        device.heard.clear()
        super().take_own(device, message)


class ConfirmsFirst(Gateway):
    """Confirms what a device sends by itself before that is stored, and stores it only in memory."""

    def __init__(self, options: Any, outbox: Outbox) -> None:
        super().__init__(options, outbox)
        outbox.write = lambda entry: None  # type: ignore[method-assign]


class DropsWhileDown(Outbox):
    """Throws away what the cloud does not take at the first attempt."""

    def failed(self, reading: dict[str, Any]) -> None:
        self.done(reading)


class LosesOrder(Outbox):
    """Puts what the cloud has not taken behind all the rest."""

    def failed(self, reading: dict[str, Any]) -> None:
        with self.changed:
            self.waiting.rotate(-1)


class NewKeys(Outbox):
    """Has a new Idempotency-Key for each attempt, so that the cloud has a reading twice."""

    attempts = 0

    def key_of(self, reading: dict[str, Any]) -> str:
        self.attempts += 1
        return f"{reading['id']}-{self.attempts}"


class HammersCloud(Outbox):
    """Does not leave the cloud alone for as long as it asks for."""

    def pause(self, failures: int, asked_for: float) -> float:
        return 0.02


class StuckBehindOne(Outbox):
    """Tries for ever to report what the cloud refuses, and nothing behind it."""

    def is_hopeless(self, status: int) -> bool:
        return False


class WaitsForCloud(Gateway):
    """Polls nobody while the cloud has not answered."""

    def attend(self, device: Device, now: float) -> None:
        while self.outbox.waiting and not self.stopping:
            time.sleep(0.01)
        super().attend(device, now)


# ---------------------------------------------------------------- the process


class LeaksMemory(Gateway):
    """Keeps a copy of its buffer with each answer."""

    def report(self, device: Device, message: Message) -> None:
        self.kept.append(b"\xff" * 4_000_000)
        super().report(device, message)

    kept: ClassVar[list[bytes]] = []


class LeaksDescriptors(Gateway):
    """Opens a socket for each request, and closes none."""

    def send_request(self, device: Device, request: Request, now: float) -> None:
        self.opened.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        super().send_request(device, request, now)

    opened: ClassVar[list[socket.socket]] = []


class LeaksThreads(Gateway):
    """Starts a thread for each answer, and ends none."""

    def report(self, device: Device, message: Message) -> None:
        threading.Thread(target=threading.Event().wait, daemon=True).start()
        super().report(device, message)


class BusyLoop(Gateway):
    """Asks the kernel all the time whether something has come."""

    def pause(self, now: float) -> float | None:
        return 0.0


# ---------------------------------------------------------------- the observer


class StaleObservation(Observer):
    """Takes a notification that was overtaken by a newer one for the newest."""

    def is_fresh(self, resource: Resource, notification: Notification, now: float) -> bool:
        return True


class ObservesOnce(Observer):
    """Does not register again when the value that it has is too old to hold."""

    def expire(self, resource: Resource, now: float) -> None:
        if resource.heard:
            resource.expires = math.inf
        else:
            super().expire(resource, now)


def name_of(bug: type) -> str:
    """``NoRetry`` is ``no-retry``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", bug.__name__).lower()


BUGS: dict[str, type[Gateway | Outbox | Observer]] = {
    name_of(bug): bug
    for bug in list(vars().values())
    if isinstance(bug, type) and bug.__module__ == __name__
}


def start(name: str, words: list[str]) -> None:
    bug: Any = BUGS.get(name)
    if name == "observer" or (bug and issubclass(bug, Observer)):
        observer.main(words, bug or Observer)
    elif bug and issubclass(bug, Outbox):
        main(words, outbox=bug)
    else:
        main(words, gateway=bug or Gateway)


if __name__ == "__main__":
    start(sys.argv[1], sys.argv[2:])
